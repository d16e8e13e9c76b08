//! `wasi-gfx:surface`: the conventions that components use for "a window", on an offscreen texture; and the same window as a canvas
//! of WebGPU.
//!
//! Owns the surface resource, the ways to draw to it (a file each), and when what of them is shown. Events are [`super::window`]'s,
//! pixels go to a [`Presenter`](crate::frame::Presenter). There is one window a session, so every surface that a scene makes is that
//! window; its size is the viewers' to choose, and the sizes that a scene wishes for are not followed.

pub(crate) mod bindings;
mod canvas;
mod frame_buffer;
mod screen;
mod swapchain;
mod webgpu_context;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use renderer_protocol::FrameSize;
use wasmtime::component::{Access, HasData, Linker, Resource, ResourceTable, StreamReader};

pub use self::canvas::Turns;
pub use self::frame_buffer::{Buffer, Context as FrameBufferContext, WrongLength};
pub use self::webgpu_context::Context;
use self::{
    bindings::{
        frame_buffer::wasi_gfx::{
            frame_buffer::frame_buffer as frame_buffers, surface::surface_frame_buffer,
        },
        wasi_gfx::surface::{surface, surface_webgpu},
    },
    canvas::WindowCanvas,
    screen::Screen,
};
use super::{
    events::Topic,
    webgpu::CanvasContext,
    window::{Topics, Window},
};
use crate::frame::{FrameClock, Presenter};

/// What the interface keeps for a session.
pub struct SurfaceCtx {
    window: Window,
    screen: Screen,
    canvas: Arc<WindowCanvas>,
    /// The picture of the frame buffers.
    drawing: Option<frame_buffer::Drawing>,
    /// Counts the contexts for WebGPU.
    contexts: Arc<()>,
}

impl SurfaceCtx {
    /// What is drawn in the window goes to the presenter.
    pub fn new(window: Window, presenter: Presenter, clock: FrameClock) -> Self {
        let screen = Screen::new(presenter, clock);
        let canvas = WindowCanvas::new(window.clone(), screen.clone());
        Self { window, screen, canvas, drawing: None, contexts: Arc::default() }
    }

    /// The session's window.
    pub fn window(&mut self) -> &mut Window {
        &mut self.window
    }

    /// The window's context as a canvas; all are one.
    pub fn canvas_context(&self) -> CanvasContext {
        CanvasContext::new(self.canvas.clone())
    }

    /// To be told of the scene's turns.
    pub fn turns(&self) -> Turns {
        Turns::new(self.window.clone(), Arc::clone(&self.canvas))
    }
}

/// [`SurfaceCtx`] with the store's resources.
pub struct SurfaceCtxView<'a> {
    /// The context.
    pub ctx: &'a mut SurfaceCtx,
    /// The resources.
    pub table: &'a mut ResourceTable,
}

/// Store data that has a [`SurfaceCtx`].
pub trait SurfaceView: Send {
    /// Borrows it.
    fn surface(&mut self) -> SurfaceCtxView<'_>;
}

/// The marker that joins the interfaces to [`SurfaceView`].
pub struct HasSurface;

impl HasData for HasSurface {
    type Data<'a> = SurfaceCtxView<'a>;
}

/// Offers `wasi-gfx:surface` and `wasi-gfx:frame-buffer`.
pub fn add_to_linker<T: SurfaceView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    surface::add_to_linker::<T, HasSurface>(linker, T::surface)?;
    surface_webgpu::add_to_linker::<T, HasSurface>(linker, T::surface)?;
    surface_frame_buffer::add_to_linker::<T, HasSurface>(linker, T::surface)?;
    frame_buffers::add_to_linker::<T, HasSurface>(linker, T::surface)
}

/// A `surface` resource: the session's window.
pub struct Surface {
    /// The size that the scene asked for, if a picture can have it.
    wish: Option<FrameSize>,
}

impl surface::Host for SurfaceCtxView<'_> {}

impl surface::HostSurface for SurfaceCtxView<'_> {
    /// The size is a wish; [`frame_buffer`] says what it is good for.
    fn new(&mut self, wish: surface::CreateDesc) -> wasmtime::Result<Resource<Surface>> {
        let wish = wish.width.zip(wish.height).and_then(|(width, height)| FrameSize::new(width, height).ok());
        Ok(self.table.push(Surface { wish })?)
    }

    fn height(&mut self, _surface: Resource<Surface>) -> wasmtime::Result<u32> {
        Ok(self.ctx.window.size().height())
    }

    fn width(&mut self, _surface: Resource<Surface>) -> wasmtime::Result<u32> {
        Ok(self.ctx.window.size().width())
    }

    /// A wish that is not followed, so no `on-resize` tells of it: the viewers choose the size.
    fn request_set_size(
        &mut self,
        _surface: Resource<Surface>,
        _height: Option<u32>,
        _width: Option<u32>,
    ) -> wasmtime::Result<()> {
        Ok(())
    }

    fn drop(&mut self, surface: Resource<Surface>) -> wasmtime::Result<()> {
        self.table.delete(surface)?;
        Ok(())
    }
}

/// Opens a stream of one kind of event.
fn open<T: 'static, E>(
    mut host: Access<'_, T, HasSurface>,
    topic: impl FnOnce(&mut Topics) -> &mut Topic<E>,
) -> wasmtime::Result<StreamReader<E>>
where
    E: Clone + Send + Sync + wasmtime::component::Lower + wasmtime::component::Lift + 'static,
{
    let producer = host.get().ctx.window.open(topic)?;
    StreamReader::new(host, producer)
}

impl<T: 'static> surface::HostSurfaceWithStore<T> for HasSurface {
    fn on_resize(
        host: Access<'_, T, Self>,
        _surface: Resource<Surface>,
    ) -> wasmtime::Result<StreamReader<surface::ResizeEvent>> {
        open(host, |topics| &mut topics.resizes)
    }

    fn on_frame(
        host: Access<'_, T, Self>,
        _surface: Resource<Surface>,
    ) -> wasmtime::Result<StreamReader<surface::FrameEvent>> {
        open(host, |topics| &mut topics.frames)
    }

    fn on_pointer_up(
        host: Access<'_, T, Self>,
        _surface: Resource<Surface>,
    ) -> wasmtime::Result<StreamReader<surface::PointerEvent>> {
        open(host, |topics| &mut topics.pointer_ups)
    }

    fn on_pointer_down(
        host: Access<'_, T, Self>,
        _surface: Resource<Surface>,
    ) -> wasmtime::Result<StreamReader<surface::PointerEvent>> {
        open(host, |topics| &mut topics.pointer_downs)
    }

    fn on_pointer_move(
        host: Access<'_, T, Self>,
        _surface: Resource<Surface>,
    ) -> wasmtime::Result<StreamReader<surface::PointerEvent>> {
        open(host, |topics| &mut topics.pointer_moves)
    }

    fn on_key_up(
        host: Access<'_, T, Self>,
        _surface: Resource<Surface>,
    ) -> wasmtime::Result<StreamReader<surface::KeyEvent>> {
        open(host, |topics| &mut topics.key_ups)
    }

    fn on_key_down(
        host: Access<'_, T, Self>,
        _surface: Resource<Surface>,
    ) -> wasmtime::Result<StreamReader<surface::KeyEvent>> {
        open(host, |topics| &mut topics.key_downs)
    }
}
