//! Queues (<https://www.w3.org/TR/webgpu/#queues>).

use futures::channel::oneshot;
use wasmtime::component::{Accessor, Resource};

use super::bindings::wasi::webgpu::webgpu as wit;
use super::buffers::Buffer;
use super::command_encoding::CommandBuffer;
use super::device::{Device, label_of, relabel};
use super::errors::ErrorKind;
use super::{WebGpu, WebGpuCtxView, convert};

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

impl<T: 'static> wit::HostGpuQueueWithStore<T> for WebGpu {
    /// <https://www.w3.org/TR/webgpu/#dom-gpuqueue-onsubmittedworkdone>
    async fn on_submitted_work_done(
        accessor: &Accessor<T, Self>,
        this: Resource<Queue>,
    ) -> wasmtime::Result<()> {
        let done = accessor.with(|mut access| -> wasmtime::Result<_> {
            let view = access.get();
            let device = &view.table.get(&this)?.device;
            let (done, wait) = oneshot::channel();
            device.queue().on_submitted_work_done(move || {
                // Whoever asked may have stopped waiting.
                let _ = done.send(());
            });
            device.poll_soon();
            Ok(wait)
        })?;
        // The work of a lost device is done too.
        let _ = done.await;
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
            }
        }
        // From here on the GPU holds what was recorded, or nobody.
        for buffer in &command_buffers {
            self.table.get_mut(buffer)?.let_go();
        }
        Ok(())
    }

    /// <https://www.w3.org/TR/webgpu/#dom-gpuqueue-writebuffer>
    fn write_buffer_with_copy(
        &mut self,
        this: Resource<Queue>,
        buffer: Resource<Buffer>,
        buffer_offset: u64,
        data: Vec<u8>,
        data_offset: Option<u64>,
        size: Option<u64>,
    ) -> wasmtime::Result<Result<(), wit::WriteBufferError>> {
        let Some(part) = part(&data, data_offset, size) else {
            return Ok(Err(wit::WriteBufferError {
                kind: wit::WriteBufferErrorKind::OperationError,
                message: format!(
                    "offset {data_offset:?} and size {size:?} must be within the {} bytes of data, and a multiple of \
                     {WRITE_ALIGNMENT} bytes long",
                    data.len()
                ),
            }));
        };
        let buffer = &self.table.get(&buffer)?.wgpu;
        let device = &self.table.get(&this)?.device;
        if !device.is_lost() {
            match device.count_write(part.len()) {
                Ok(()) => device.queue().write_buffer(buffer, buffer_offset, part),
                Err(over) => device.report(ErrorKind::OutOfMemory, over.to_string()),
            }
        }
        Ok(Ok(()))
    }

    /// <https://www.w3.org/TR/webgpu/#dom-gpuqueue-writetexture>
    fn write_texture_with_copy(
        &mut self,
        this: Resource<Queue>,
        destination: wit::GpuTexelCopyTextureInfo,
        data: Vec<u8>,
        data_layout: wit::GpuTexelCopyBufferLayout,
        size: wit::GpuExtent3D,
    ) -> wasmtime::Result<()> {
        let device = &self.table.get(&this)?.device;
        let (destination, life) = self.texture_copy(&destination)?;
        if life.is_some_and(super::SurfaceTextureLife::is_expired) {
            device.invalid(
                "the texture of a surface was written after it was presented, replaced or destroyed",
            );
            return Ok(());
        }
        if device.is_lost() {
            return Ok(());
        }
        if let Some(life) = life {
            life.submit();
        }
        let layout =
            convert::texel_layout(data_layout.offset, data_layout.bytes_per_row, data_layout.rows_per_image);
        match device.count_write(data.len()) {
            Ok(()) => device.queue().write_texture(destination, &data, layout, convert::extent(size)),
            Err(over) => device.report(ErrorKind::OutOfMemory, over.to_string()),
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
