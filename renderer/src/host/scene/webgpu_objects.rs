//! `scenecast:scene/webgpu-objects`: what `wasi:webgpu` names and has no function to get.

use wasmtime::component::{Access, Resource, StreamReader};

use super::{WebGpuObjects, bindings::scenecast::scene::webgpu_objects};
use crate::host::{
    surface::SurfaceCtxView,
    webgpu::{CanvasContext, Device, UncapturedErrorEvent, WebGpuView},
};

impl webgpu_objects::Host for SurfaceCtxView<'_> {
    fn canvas_context(&mut self) -> wasmtime::Result<Resource<CanvasContext>> {
        Ok(self.table.push(self.ctx.canvas_context())?)
    }
}

impl<T: WebGpuView + 'static> webgpu_objects::HostWithStore<T> for WebGpuObjects {
    fn on_uncaptured_error_event(
        mut host: Access<'_, T, Self>,
        device: Resource<Device>,
    ) -> wasmtime::Result<StreamReader<Resource<UncapturedErrorEvent>>> {
        let events = host.get().table.get(&device)?.uncaptured_error_events::<T>()?;
        StreamReader::new(host, events)
    }
}
