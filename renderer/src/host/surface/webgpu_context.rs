//! `wasi-gfx:surface/surface-webgpu`: textures of the window, shown by `present`.

use std::sync::Arc;

use wasmtime::component::Resource;

use super::{
    Surface, SurfaceCtxView,
    bindings::wasi_gfx::surface::surface_webgpu::{self, ContextConfiguration},
    swapchain::Swapchain,
};
use crate::host::{
    OverLimit,
    webgpu::{CanvasConfiguration, NotConfigured, Texture, bindings::wasi::webgpu::webgpu},
};

/// Contexts of a scene's surfaces at once: a scene needs one, and each has textures of the window's size.
pub(super) const MAX_CONTEXTS: usize = 8;

/// `surface-webgpu.context`
pub struct Context {
    configured: Option<Swapchain>,
    /// One of the [`MAX_CONTEXTS`].
    _counted: Arc<()>,
}

impl surface_webgpu::Host for SurfaceCtxView<'_> {}

impl surface_webgpu::HostContext for SurfaceCtxView<'_> {
    fn new(&mut self, _surface: Resource<Surface>) -> wasmtime::Result<Resource<Context>> {
        // The store's own is one more.
        if Arc::strong_count(&self.ctx.contexts) > MAX_CONTEXTS {
            return Err(OverLimit { what: "contexts of surfaces at once", limit: MAX_CONTEXTS }.into());
        }
        let context = Context { configured: None, _counted: Arc::clone(&self.ctx.contexts) };
        Ok(self.table.push(context)?)
    }

    /// As `GPUCanvasContext.configure`, <https://www.w3.org/TR/webgpu/#dom-gpucanvascontext-configure>.
    fn configure(
        &mut self,
        context: Resource<Context>,
        configuration: ContextConfiguration,
    ) -> wasmtime::Result<()> {
        let configuration = webgpu::GpuCanvasConfiguration {
            device: configuration.device,
            format: configuration.format,
            usage: configuration.usage,
            view_formats: configuration.view_formats,
            color_space: configuration.color_space,
            tone_mapping: configuration.tone_mapping,
            alpha_mode: configuration.alpha_mode,
        };
        if let Some(configuration) = CanvasConfiguration::new(self.table, configuration)? {
            let swapchain = Swapchain::new(configuration, self.ctx.screen.is_cpu());
            self.table.get_mut(&context)?.configured = Some(swapchain);
        }
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
        let swapchain = self.table.get_mut(&context)?.configured.as_mut().ok_or(NotConfigured)?;
        let texture = swapchain.current_texture(size, tick).ok_or(NotConfigured)?;
        Ok(self.table.push(texture)?)
    }

    /// Without a texture there is nothing to show.
    fn present(&mut self, context: Resource<Context>) -> wasmtime::Result<()> {
        if let Some(swapchain) = &mut self.table.get_mut(&context)?.configured {
            self.ctx.screen.show(swapchain);
        }
        Ok(())
    }

    fn drop(&mut self, context: Resource<Context>) -> wasmtime::Result<()> {
        self.table.delete(context)?;
        Ok(())
    }
}
