//! `wasi-gfx:frame-buffer` and `wasi-gfx:surface/surface-frame-buffer`: pictures that are drawn on the processor.
//!
//! A picture is rows of pixels without padding, from the top. A pixel is four bytes: blue, green, red, and one that means nothing
//! (a little-endian word `0x00RRGGBB`), as the published components write it.
//!
//! - A buffer has the size that the window had when it was taken. It is the same picture, whoever takes it, until it is presented
//!   or the window has another size; then it is a new one, of zeros.
//! - What is set replaces the whole picture. Its size is told by its length alone: that of its buffer; else one that the window had
//!   lately, for a scene that has not seen a resize yet; else the one that the scene asked for when it made its surface. A length
//!   that fits none of them is [`WrongLength`], which ends the scene: the interface has no other way to say it.
//! - A buffer that was presented can be set again. It is then the picture that is presented next.
//!
//! There is one window a session, and so one picture that is being drawn, whatever the number of surfaces, contexts and buffers:
//! that and the two on their way out are all that a scene can make the host keep.

use renderer_protocol::FrameSize;
use wasmtime::component::Resource;

use super::{
    Surface, SurfaceCtxView,
    bindings::frame_buffer::wasi_gfx::{frame_buffer::frame_buffer, surface::surface_frame_buffer},
};
use crate::{frame::CpuPicture, host::Tick};

/// `surface-frame-buffer.context`: the window, as a scene with this wish sees it.
pub struct Context {
    wish: Option<FrameSize>,
}

/// `frame-buffer.buffer`
pub struct Buffer {
    size: FrameSize,
    wish: Option<FrameSize>,
}

/// The picture that is being drawn.
pub(super) struct Drawing {
    size: FrameSize,
    /// The tick that it was begun in. Another may begin before it is presented, of which the scene has seen nothing.
    tick: Tick,
    /// `None`: zeros.
    picture: Option<CpuPicture>,
}

/// Bytes that are no picture.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a frame buffer was set to {found} bytes, which is no picture of a size that the surface has or had lately: at {size} it has \
     {expected} bytes, 4 a pixel without padding"
)]
pub struct WrongLength {
    /// Bytes that were given.
    pub found: usize,
    /// The buffer's size.
    pub size: FrameSize,
    /// The bytes of that.
    pub expected: usize,
}

impl SurfaceCtxView<'_> {
    /// The picture that is being drawn, or a new one.
    fn drawing(&mut self, size: FrameSize) -> &mut Drawing {
        let tick = self.ctx.window.current_tick();
        self.ctx.drawing.get_or_insert(Drawing { size, tick, picture: None })
    }
}

impl frame_buffer::Host for SurfaceCtxView<'_> {}

impl frame_buffer::HostBuffer for SurfaceCtxView<'_> {
    fn get_with_copy(&mut self, buffer: Resource<Buffer>) -> wasmtime::Result<Vec<u8>> {
        let size = self.table.get(&buffer)?.size;
        let drawing = self.ctx.drawing.as_ref().filter(|drawing| drawing.size == size);
        Ok(match drawing.and_then(|drawing| drawing.picture.as_ref()) {
            Some(picture) => picture.pixels().to_vec(),
            None => vec![0; CpuPicture::bytes(size)],
        })
    }

    fn set_with_copy(&mut self, buffer: Resource<Buffer>, pixels: Vec<u8>) -> wasmtime::Result<()> {
        let Buffer { size, wish } = *self.table.get(&buffer)?;
        let found = pixels.len();
        let sizes = std::iter::once(size).chain(self.ctx.window.recent_sizes()).chain(wish);
        let fitting = sizes.into_iter().find(|size| CpuPicture::bytes(*size) == found);
        let Some(picture) = fitting.and_then(|size| CpuPicture::new(size, pixels)) else {
            return Err(WrongLength { found, size, expected: CpuPicture::bytes(size) }.into());
        };
        self.drawing(size).picture = Some(picture);
        Ok(())
    }

    fn drop(&mut self, buffer: Resource<Buffer>) -> wasmtime::Result<()> {
        self.table.delete(buffer)?;
        Ok(())
    }
}

impl surface_frame_buffer::Host for SurfaceCtxView<'_> {}

impl surface_frame_buffer::HostContext for SurfaceCtxView<'_> {
    fn new(&mut self, surface: Resource<Surface>) -> wasmtime::Result<Resource<Context>> {
        let wish = self.table.get(&surface)?.wish;
        Ok(self.table.push(Context { wish })?)
    }

    fn get_current_buffer(&mut self, context: Resource<Context>) -> wasmtime::Result<Resource<Buffer>> {
        let wish = self.table.get(&context)?.wish;
        let size = self.ctx.window.size();
        self.ctx.drawing.take_if(|drawing| drawing.size != size);
        self.drawing(size);
        Ok(self.table.push(Buffer { size, wish })?)
    }

    /// Without a buffer there is nothing to show.
    fn present(&mut self, context: Resource<Context>) -> wasmtime::Result<()> {
        self.table.get(&context)?;
        if let Some(Drawing { size, tick, picture }) = self.ctx.drawing.take() {
            self.ctx.screen.show_picture(picture.unwrap_or_else(|| CpuPicture::black(size)), tick);
        }
        Ok(())
    }

    fn drop(&mut self, context: Resource<Context>) -> wasmtime::Result<()> {
        self.table.delete(context)?;
        Ok(())
    }
}
