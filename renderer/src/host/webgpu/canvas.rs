//! Canvas contexts (<https://www.w3.org/TR/webgpu/#canvas-rendering>): the interface has the type, and no function that makes
//! one. Scenes draw to a `wasi-gfx:surface` instead.

use wasmtime::component::Resource;

use super::WebGpuCtxView;
use super::bindings::wasi::webgpu::webgpu as wit;
use super::textures::Texture;

/// `gpu-canvas-context`, of which there are none.
pub enum CanvasContext {}

impl wit::HostGpuCanvasContext for WebGpuCtxView<'_> {
    fn configure(
        &mut self,
        this: Resource<CanvasContext>,
        _configuration: wit::GpuCanvasConfiguration,
    ) -> wasmtime::Result<()> {
        match *self.table.get(&this)? {}
    }

    fn unconfigure(&mut self, this: Resource<CanvasContext>) -> wasmtime::Result<()> {
        match *self.table.get(&this)? {}
    }

    fn get_configuration(
        &mut self,
        this: Resource<CanvasContext>,
    ) -> wasmtime::Result<Option<wit::GpuCanvasConfigurationOwned>> {
        match *self.table.get(&this)? {}
    }

    fn get_current_texture(&mut self, this: Resource<CanvasContext>) -> wasmtime::Result<Resource<Texture>> {
        match *self.table.get(&this)? {}
    }

    super::drop_entry!(CanvasContext);
}
