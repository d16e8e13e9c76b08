//! The calls that most topics need: what a call's error is, and what bytes and pixels there are.

use kit::webgpu::*;

use crate::Topic;

/// An error that an error scope held.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Error {
    /// The filter that it passes; `gpu-error-kind` is a variant, which cannot be compared.
    pub kind: GpuErrorFilter,
    pub message: String,
}

/// The filter that errors of a kind pass.
pub fn filter_of(kind: GpuErrorKind) -> GpuErrorFilter {
    match kind {
        GpuErrorKind::ValidationError => GpuErrorFilter::Validation,
        GpuErrorKind::OutOfMemoryError => GpuErrorFilter::OutOfMemory,
        GpuErrorKind::InternalError => GpuErrorFilter::Internal,
    }
}

/// Makes calls to a device and returns their result, and their first error of any of the three kinds.
pub async fn catching_on<R>(device: &GpuDevice, calls: impl FnOnce(&GpuDevice) -> R) -> (R, Option<Error>) {
    let filters = [GpuErrorFilter::Validation, GpuErrorFilter::OutOfMemory, GpuErrorFilter::Internal];
    for filter in filters {
        device.push_error_scope(filter);
    }
    let result = calls(device);
    let mut first = None;
    for _ in filters {
        let error = device.pop_error_scope().await.expect("a scope was pushed above");
        first =
            error.map(|error| Error { kind: filter_of(error.kind()), message: error.message() }).or(first);
    }
    (result, first)
}

/// Of what a row of a copy between a buffer and a texture has a multiple of bytes:
/// <https://www.w3.org/TR/webgpu/#abstract-opdef-validating-gputexelcopybufferinfo>
const ROW_ALIGNMENT: u32 = 256;

/// The bytes from one row to the next in a copy of rows of `width` texels to a buffer.
pub fn bytes_per_row(width: u32, bytes_per_texel: u32) -> u32 {
    (width * bytes_per_texel).next_multiple_of(ROW_ALIGNMENT)
}

impl Topic {
    pub fn device(&self) -> &GpuDevice {
        self.gpu.device()
    }

    pub fn queue(&self) -> &GpuQueue {
        self.gpu.queue()
    }

    /// Makes calls and returns their result, and their first error of any of the three kinds.
    pub async fn catching<R>(&self, calls: impl FnOnce(&GpuDevice) -> R) -> (R, Option<Error>) {
        catching_on(self.device(), calls).await
    }

    /// The result of an asynchronous call that has not begun yet, and its first error that an error scope holds.
    pub async fn catching_async<R>(&self, call: impl Future<Output = R>) -> (R, Option<Error>) {
        self.device().push_error_scope(GpuErrorFilter::Validation);
        let result = call.await;
        let error = self.device().pop_error_scope().await.expect("a scope was pushed above");
        (result, error.map(|error| Error { kind: filter_of(error.kind()), message: error.message() }))
    }

    /// Makes calls that are right.
    pub async fn valid<R>(&mut self, what: &str, calls: impl FnOnce(&GpuDevice) -> R) -> R {
        let (result, error) = self.catching(calls).await;
        self.equal(what, error, None::<Error>);
        result
    }

    /// Makes calls that break a rule of the standard, which is a validation error and nothing worse.
    pub async fn invalid<R>(&mut self, what: &str, calls: impl FnOnce(&GpuDevice) -> R) -> R {
        self.fails(what, GpuErrorFilter::Validation, calls).await
    }

    /// Makes calls that end with an error of this kind.
    pub async fn fails<R>(
        &mut self,
        what: &str,
        kind: GpuErrorFilter,
        calls: impl FnOnce(&GpuDevice) -> R,
    ) -> R {
        let (result, error) = self.catching(calls).await;
        self.equal(what, error.map(|error| error.kind), Some(kind));
        result
    }

    /// A buffer with this content.
    pub fn buffer(&self, usage: GpuBufferUsage, contents: &[u8]) -> GpuBuffer {
        self.gpu.buffer("", usage, contents)
    }

    /// A buffer of zeros.
    pub fn empty_buffer(&self, usage: GpuBufferUsage, size: u64) -> GpuBuffer {
        self.device().create_buffer(&GpuBufferDescriptor {
            size,
            usage,
            mapped_at_creation: None,
            label: None,
        })
    }

    /// Compiles WGSL.
    pub fn shader(&self, code: &str) -> GpuShaderModule {
        self.gpu.shader("", code)
    }

    /// Records and submits commands.
    pub fn submit<R>(&self, record: impl FnOnce(&GpuCommandEncoder) -> R) -> R {
        let encoder = self.device().create_command_encoder(None);
        let result = record(&encoder);
        self.gpu.submit(encoder);
        result
    }

    /// The bytes of a buffer whose usage has `COPY_SRC`.
    pub async fn bytes(&self, buffer: &GpuBuffer) -> Vec<u8> {
        let copy = self.empty_buffer(GpuBufferUsage::COPY_DST | GpuBufferUsage::MAP_READ, buffer.size());
        self.submit(|encoder| encoder.copy_buffer_to_buffer(buffer, None, &copy, None, None));
        copy.map_async(GpuMapMode::READ, None, None).await.expect("a new buffer can be mapped");
        copy.get_mapped_range_get_with_copy(None, None).expect("the buffer is mapped")
    }

    /// The texels of one level and layer of a texture whose usage has `COPY_SRC`, row by row without padding.
    pub async fn texels(&self, texture: &GpuTexture, texel: Texel) -> Vec<u8> {
        let width = (texture.width() >> texel.mip_level).max(1);
        let height = (texture.height() >> texel.mip_level).max(1);
        let stride = bytes_per_row(width, texel.bytes);
        let buffer = self.empty_buffer(
            GpuBufferUsage::COPY_DST | GpuBufferUsage::COPY_SRC,
            u64::from(stride) * u64::from(height),
        );
        self.submit(|encoder| {
            encoder.copy_texture_to_buffer(
                &GpuTexelCopyTextureInfo {
                    texture,
                    mip_level: Some(texel.mip_level),
                    origin: Some(GpuOrigin3D { x: None, y: None, z: Some(texel.layer) }),
                    aspect: Some(texel.aspect),
                },
                &GpuTexelCopyBufferInfo {
                    buffer: &buffer,
                    offset: None,
                    bytes_per_row: Some(stride),
                    rows_per_image: None,
                },
                GpuExtent3D { width, height: Some(height), depth_or_array_layers: None },
            );
        });
        let padded = self.bytes(&buffer).await;
        let rows = padded.chunks_exact(stride as usize);
        rows.flat_map(|row| &row[..(width * texel.bytes) as usize]).copied().collect()
    }
}

/// Which texels of a texture are read.
#[derive(Clone, Copy, Debug)]
pub struct Texel {
    /// Of one texel, in a copy of its aspect.
    pub bytes: u32,
    pub mip_level: u32,
    /// Array layer, or depth slice.
    pub layer: u32,
    pub aspect: GpuTextureAspect,
}

/// Four bytes, level and layer 0.
impl Default for Texel {
    fn default() -> Self {
        Self { bytes: 4, mip_level: 0, layer: 0, aspect: GpuTextureAspect::All }
    }
}
