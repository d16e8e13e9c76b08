//! `wasi-gfx:surface`: the conventions that components use for "a window", on an offscreen texture.
//!
//! Owns the surface resource and its context: configuration, the current texture, `present`. Events are [`super::window`]'s, pixels
//! go to a [`Presenter`](crate::frame::Presenter). There is one window a session, so every surface that a scene makes is that window; its size is the
//! viewers' to choose, and the sizes that a scene wishes for are not followed.

pub(crate) mod bindings;
mod swapchain;

use wasmtime::component::{Access, HasData, Linker, Resource, ResourceTable, StreamReader};

use super::{
    events::Topic,
    webgpu::{ErrorKind, Texture},
    window::{Topics, Window},
};
use crate::frame::{FrameClock, PresentInfo, Presenter};
use bindings::wasi_gfx::surface::{surface, surface_webgpu};
use swapchain::Swapchain;

/// What the interface keeps for a session.
pub struct SurfaceCtx {
    window: Window,
    presenter: Presenter,
    clock: FrameClock,
}

impl SurfaceCtx {
    /// What is drawn in the window goes to the presenter.
    pub fn new(window: Window, presenter: Presenter, clock: FrameClock) -> Self {
        Self { window, presenter, clock }
    }

    /// The session's window.
    pub fn window(&mut self) -> &mut Window {
        &mut self.window
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

/// Offers `wasi-gfx:surface/surface` and `surface-webgpu`.
pub fn add_to_linker<T: SurfaceView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    surface::add_to_linker::<T, HasSurface>(linker, T::surface)?;
    surface_webgpu::add_to_linker::<T, HasSurface>(linker, T::surface)
}

/// A `surface` resource: the session's window.
pub struct Surface;

/// A `surface-webgpu.context` resource.
#[derive(Default)]
pub struct Context {
    configured: Option<Swapchain>,
}

impl surface::Host for SurfaceCtxView<'_> {}

impl surface::HostSurface for SurfaceCtxView<'_> {
    fn new(&mut self, _wish: surface::CreateDesc) -> wasmtime::Result<Resource<Surface>> {
        Ok(self.table.push(Surface)?)
    }

    fn height(&mut self, _surface: Resource<Surface>) -> wasmtime::Result<u32> {
        Ok(self.ctx.window.size().height())
    }

    fn width(&mut self, _surface: Resource<Surface>) -> wasmtime::Result<u32> {
        Ok(self.ctx.window.size().width())
    }

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

impl surface_webgpu::Host for SurfaceCtxView<'_> {}

impl surface_webgpu::HostContext for SurfaceCtxView<'_> {
    fn new(&mut self, _surface: Resource<Surface>) -> wasmtime::Result<Resource<Context>> {
        Ok(self.table.push(Context::default())?)
    }

    /// `GPUCanvasContext.configure`, <https://www.w3.org/TR/webgpu/#dom-gpucanvascontext-configure>.
    fn configure(
        &mut self,
        context: Resource<Context>,
        configuration: surface_webgpu::ContextConfiguration,
    ) -> wasmtime::Result<()> {
        let device = self.table.get(&configuration.device)?.clone();
        let swapchain = Swapchain::new(&device, &configuration, self.ctx.presenter.is_cpu());
        self.table.get_mut(&context)?.configured = swapchain;
        Ok(())
    }

    fn unconfigure(&mut self, context: Resource<Context>) -> wasmtime::Result<()> {
        self.table.get_mut(&context)?.configured = None;
        Ok(())
    }

    /// The texture that the next `present` shows; the same one until then. Its size is the window's when it was first asked for.
    fn get_current_texture(&mut self, context: Resource<Context>) -> wasmtime::Result<Resource<Texture>> {
        // In this order: a tick that begins in between makes the picture acknowledge too little, and never too much.
        let tick = self.ctx.window.current_tick();
        let size = self.ctx.window.size();
        let Some(swapchain) = &mut self.table.get_mut(&context)?.configured else {
            // The IDL throws an InvalidStateError here, and the interface has no result to carry it.
            return Err(NotConfigured.into());
        };
        let texture = swapchain.current_texture(size, tick).ok_or(NotConfigured)?;
        Ok(self.table.push(texture)?)
    }

    fn present(&mut self, context: Resource<Context>) -> wasmtime::Result<()> {
        let Some(swapchain) = &mut self.table.get_mut(&context)?.configured else {
            return Err(NotConfigured.into());
        };
        let Some((texture, tick)) = swapchain.take_current() else { return Ok(()) };
        let device = swapchain.device();
        if device.is_lost() {
            return Ok(());
        }
        let pts_us = self.ctx.clock.now_us();
        let info = PresentInfo {
            pts_us,
            input_sequence: tick.input_sequence,
            scene_us: u32::try_from(pts_us.saturating_sub(tick.started_us)).unwrap_or(u32::MAX),
        };
        if let Err(error) = self.ctx.presenter.present(device.wgpu(), device.queue(), &texture, info) {
            device.report(
                ErrorKind::Validation,
                format!("the surface's texture could not be presented: {error}"),
            );
        }
        swapchain.recycle(texture);
        Ok(())
    }

    fn drop(&mut self, context: Resource<Context>) -> wasmtime::Result<()> {
        self.table.delete(context)?;
        Ok(())
    }
}

/// A context was used before `configure`.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the surface's context is not configured: call `configure` first")]
struct NotConfigured;
