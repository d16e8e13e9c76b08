//! Queues (<https://www.w3.org/TR/webgpu/#queues>).

use futures::channel::oneshot;
use wasmtime::component::{Accessor, Resource};

use super::bindings::wasi::webgpu::webgpu as wit;
use super::buffers::Buffer;
use super::command_encoding::{CommandBuffer, texture_copy};
use super::device::{Device, label_of, relabel};
use super::errors::ErrorKind;
use super::{WebGpu, WebGpuCtxView, convert, memory};

/// `gpu-queue`; all handles are the device's one queue.
pub struct Queue {
    pub(super) device: Device,
}

/// What is written to a buffer in one go is a multiple of this many bytes.
const WRITE_ALIGNMENT: usize = 4;

/// The part of `data` that `write-buffer` means, if it is one.
fn part(data: &[u8], offset: Option<u64>, size: Option<u64>) -> Option<&[u8]> {
    let rest = data.get(usize::try_from(offset.unwrap_or(0)).ok()?..)?;
    let part = match size {
        Some(size) => rest.get(..usize::try_from(size).ok()?)?,
        None => rest,
    };
    part.len().is_multiple_of(WRITE_ALIGNMENT).then_some(part)
}

/// <https://www.w3.org/TR/webgpu/#dom-gpuqueue-writebuffer>
pub(super) fn write_buffer(
    device: &Device,
    buffer: &wgpu::Buffer,
    buffer_offset: u64,
    data: &[u8],
    (data_offset, size): (Option<u64>, Option<u64>),
) -> Result<(), wit::WriteBufferError> {
    let part = part(data, data_offset, size).ok_or_else(|| wit::WriteBufferError {
        kind: wit::WriteBufferErrorKind::OperationError,
        message: format!(
            "offset {data_offset:?} and size {size:?} must be within the {} bytes of data, and a multiple of \
             {WRITE_ALIGNMENT} bytes long",
            data.len()
        ),
    })?;
    if !device.is_lost() {
        match device.count_write(part.len()) {
            Ok(()) => device.queue().write_buffer(buffer, buffer_offset, part),
            Err(over) => device.report(ErrorKind::OutOfMemory, over.to_string()),
        }
    }
    Ok(())
}

/// <https://www.w3.org/TR/webgpu/#dom-gpuqueue-writetexture>
pub(super) fn write_texture(
    device: &Device,
    texture: &wgpu::Texture,
    destination: &wit::GpuTexelCopyTextureInfo,
    data: &[u8],
    layout: wit::GpuTexelCopyBufferLayout,
    size: wit::GpuExtent3D,
) {
    let extent = convert::extent(size);
    let whole = texture.size();
    // A larger one is refused below, and keeps nothing.
    let fits = extent.width <= whole.width
        && extent.height <= whole.height
        && extent.depth_or_array_layers <= whole.depth_or_array_layers;
    let bytes = if fits { memory::texture_write_bytes(texture.format(), extent) } else { 0 };
    if let Err(over) = device.count_write(usize::try_from(bytes).unwrap_or(usize::MAX)) {
        device.report(ErrorKind::OutOfMemory, over.to_string());
        return;
    }
    device.queue().write_texture(
        texture_copy(texture, destination),
        data,
        convert::texel_layout(layout.offset, layout.bytes_per_row, layout.rows_per_image),
        extent,
    );
}

impl WebGpuCtxView<'_> {
    /// Handles of their own of what `write-buffer-with-copy` needs.
    pub(super) fn buffer_to_write(
        &self,
        queue: &Resource<Queue>,
        buffer: &Resource<Buffer>,
    ) -> wasmtime::Result<(Device, wgpu::Buffer)> {
        Ok((self.table.get(queue)?.device.clone(), self.table.get(buffer)?.wgpu.clone()))
    }

    /// Handles of their own of what `write-texture-with-copy` needs; `None` if nothing may be written.
    pub(super) fn texture_to_write(
        &self,
        queue: &Resource<Queue>,
        destination: &wit::GpuTexelCopyTextureInfo,
    ) -> wasmtime::Result<Option<(Device, wgpu::Texture)>> {
        let device = &self.table.get(queue)?.device;
        let texture = self.table.get(&destination.texture)?;
        if texture.life.as_ref().is_some_and(super::SurfaceTextureLife::is_expired) {
            device.invalid(
                "the texture of a surface was written after it was presented, replaced or destroyed",
            );
            return Ok(None);
        }
        if device.is_lost() {
            return Ok(None);
        }
        if let Some(life) = &texture.life {
            life.submit();
        }
        Ok(Some((device.clone(), texture.wgpu.clone())))
    }
}

impl<T: 'static> wit::HostGpuQueueWithStore<T> for WebGpu {
    /// <https://www.w3.org/TR/webgpu/#dom-gpuqueue-onsubmittedworkdone>
    async fn on_submitted_work_done(
        accessor: &Accessor<T, Self>,
        this: Resource<Queue>,
    ) -> wasmtime::Result<()> {
        let _operation = accessor.with(|mut access| access.get().ctx.outstanding().begin());
        let done = accessor.with(|mut access| -> wasmtime::Result<_> {
            let view = access.get();
            let device = &view.table.get(&this)?.device;
            let (done, wait) = oneshot::channel();
            device.queue().on_submitted_work_done(move || {
                // Whoever asked may have stopped waiting.
                let _ = done.send(());
            });
            device.poll_soon();
            Ok(device.unless_lost(wait))
        })?;
        // The work of a lost device is done too.
        done.await;
        Ok(())
    }
}

impl wit::HostGpuQueue for WebGpuCtxView<'_> {
    /// <https://www.w3.org/TR/webgpu/#dom-gpuqueue-submit>
    fn submit(
        &mut self,
        this: Resource<Queue>,
        command_buffers: Vec<Resource<CommandBuffer>>,
    ) -> wasmtime::Result<()> {
        let mut buffers = Vec::with_capacity(command_buffers.len());
        let mut error = None;
        // One that is wrong spoils all, and none can be submitted again.
        for buffer in &command_buffers {
            match self.table.get_mut(buffer)?.take() {
                Ok(buffer) => buffers.push(buffer),
                Err(message) => error = error.or(Some(message)),
            }
        }
        let device = &self.table.get(&this)?.device;
        match error {
            Some(message) => device.invalid(message),
            // What is submitted to a lost device is never done.
            None if device.is_lost() => {}
            None => {
                device.queue().submit(buffers);
                device.count_submit();
                for buffer in &command_buffers {
                    self.table.get(buffer)?.submitted();
                }
            }
        }
        // From here on the GPU holds what was recorded, or nobody.
        for buffer in &command_buffers {
            self.table.get_mut(buffer)?.let_go();
        }
        Ok(())
    }

    fn write_buffer_with_copy(
        &mut self,
        this: Resource<Queue>,
        buffer: Resource<Buffer>,
        buffer_offset: u64,
        data: Vec<u8>,
        data_offset: Option<u64>,
        size: Option<u64>,
    ) -> wasmtime::Result<Result<(), wit::WriteBufferError>> {
        let (device, buffer) = self.buffer_to_write(&this, &buffer)?;
        Ok(write_buffer(&device, &buffer, buffer_offset, &data, (data_offset, size)))
    }

    fn write_texture_with_copy(
        &mut self,
        this: Resource<Queue>,
        destination: wit::GpuTexelCopyTextureInfo,
        data: Vec<u8>,
        data_layout: wit::GpuTexelCopyBufferLayout,
        size: wit::GpuExtent3D,
    ) -> wasmtime::Result<()> {
        if let Some((device, texture)) = self.texture_to_write(&this, &destination)? {
            write_texture(&device, &texture, &destination, &data, data_layout, size);
        }
        Ok(())
    }

    fn label(&mut self, this: Resource<Queue>) -> wasmtime::Result<String> {
        Ok(label_of(self.table.get(&this)?.device.queue_label()))
    }

    fn set_label(&mut self, this: Resource<Queue>, label: String) -> wasmtime::Result<()> {
        relabel(self.table.get(&this)?.device.queue_label(), label);
        Ok(())
    }

    super::drop_entry!(Queue);
}
