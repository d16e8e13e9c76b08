//! `wasi:webgpu`, on wgpu: one file for each chapter of the WebGPU specification.
//!
//! This host owns what WebGPU says about errors and about states: a wrong call makes an invalid object and an error in the
//! device's innermost error scope, or in its stream of uncaptured errors. It never traps for that, and never panics; where
//! wgpu would panic, the misuse is recognised here first. It knows nothing of surfaces (they are `host::surface`'s), of the
//! frames' way out of the GPU, or of the worker.

mod adapter;
mod bind_groups;
pub mod bindings;
mod buffers;
mod bundles;
mod canvas;
mod command_encoding;
mod commands;
mod compute_passes;
mod convert;
mod device;
mod errors;
mod immediates;
mod labels;
mod lists;
mod memory;
mod passes;
mod pipelines;
mod queries;
mod queues;
mod quota;
mod records;
mod render_passes;
mod samplers;
mod shaders;
mod textures;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use renderer_protocol::SceneLimits;
use wasmtime::component::{HasData, Linker, ResourceTable};

pub use self::canvas::{Canvas, CanvasConfiguration, CanvasContext, NotConfigured};
pub use self::convert::standard_format;
pub use self::device::{Device, HostClaim};
pub use self::errors::{ErrorKind, MAX_LOGGED, MAX_MESSAGE_BYTES, UncapturedErrorEvent, UncapturedErrors};
use self::quota::Quota;
pub use self::quota::{GpuWork, Unfinished};
pub use self::textures::{SurfaceTextureLife, Texture};
use super::{Outstanding, OverQuota};
use crate::gpu::Gpu;

/// Called with one line for each uncaptured error; see [`MAX_LOGGED`].
type Log = Arc<dyn Fn(&str) + Send + Sync>;

/// What a store keeps for `wasi:webgpu`.
pub struct WebGpuCtx {
    gpu: Arc<Gpu>,
    log: Log,
    last_ticket: u64,
    quota: Arc<Quota>,
    devices: Arc<()>,
    records: records::RecordSlots,
    outstanding: Outstanding,
}

/// One of the devices that a scene may have at once, until it is dropped.
struct DeviceSlot {
    quota: Arc<Quota>,
    _counted: Arc<()>,
}

impl WebGpuCtx {
    /// A scene's access to `gpu`, as far as `limits` let it. `on_uncaptured` gets the text of errors that no error scope of the scene captured, a bounded
    /// number of times, each at most [`MAX_MESSAGE_BYTES`] long, on whatever thread they arise.
    pub fn new(
        gpu: Arc<Gpu>,
        limits: SceneLimits,
        on_uncaptured: impl Fn(&str) + Send + Sync + 'static,
    ) -> Self {
        Self {
            gpu,
            log: Arc::new(on_uncaptured),
            last_ticket: 0,
            quota: Quota::new(limits),
            devices: Arc::default(),
            records: records::RecordSlots::default(),
            outstanding: Outstanding::default(),
        }
    }

    /// What the scene waits for that ends by itself.
    pub fn outstanding(&self) -> &Outstanding {
        &self.outstanding
    }

    /// How far the GPU is with what the scene gave it.
    pub fn gpu_work(&self) -> GpuWork {
        GpuWork::of(Arc::clone(&self.quota))
    }

    fn device_slot(&self) -> Result<DeviceSlot, OverQuota> {
        let limit = self.quota.limits().max_devices;
        // The context's own is one more.
        let devices = Arc::strong_count(&self.devices).saturating_sub(1);
        if u64::try_from(devices).is_ok_and(|devices| devices < limit) {
            Ok(DeviceSlot { quota: Arc::clone(&self.quota), _counted: Arc::clone(&self.devices) })
        } else {
            Err(OverQuota { what: "devices at once", limit, setting: "max-devices" })
        }
    }

    /// Tells requests apart that end elsewhere than here.
    fn next_ticket(&mut self) -> u64 {
        self.last_ticket = self.last_ticket.wrapping_add(1);
        self.last_ticket
    }
}

/// What a call sees of the store.
pub struct WebGpuCtxView<'a> {
    /// The context.
    pub ctx: &'a mut WebGpuCtx,
    /// The store's resources.
    pub table: &'a mut ResourceTable,
}

/// A store's data that has a [`WebGpuCtx`].
pub trait WebGpuView: Send {
    /// Both parts at once.
    fn webgpu(&mut self) -> WebGpuCtxView<'_>;
}

/// Names [`WebGpuCtxView`] as the data of the host functions.
pub struct WebGpu;

impl HasData for WebGpu {
    type Data<'a> = WebGpuCtxView<'a>;
}

/// Offers `wasi:webgpu/webgpu` to components.
pub fn add_to_linker<T: WebGpuView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    bindings::wasi::webgpu::webgpu::add_to_linker::<T, WebGpu>(linker, T::webgpu)?;
    lists::add_to_linker(linker)
}

/// `label` and `set-label` of a resource with a field `label`, <https://www.w3.org/TR/webgpu/#gpuobjectbase>, and its `drop`.
macro_rules! object_base {
    ($object:ty) => {
        fn label(&mut self, this: Resource<$object>) -> wasmtime::Result<String> {
            Ok(self.table.get(&this)?.label.clone())
        }

        fn set_label(&mut self, this: Resource<$object>, label: String) -> wasmtime::Result<()> {
            self.table.get_mut(&this)?.label = $crate::host::webgpu::labels::bounded(label);
            Ok(())
        }

        $crate::host::webgpu::drop_entry!($object);
    };
}

/// `drop` of a resource that is only an entry of the table.
macro_rules! drop_entry {
    ($object:ty) => {
        fn drop(&mut self, this: Resource<$object>) -> wasmtime::Result<()> {
            self.table.delete(this)?;
            Ok(())
        }
    };
}

use {drop_entry, object_base};

impl bindings::wasi::webgpu::webgpu::Host for WebGpuCtxView<'_> {
    fn get_gpu(&mut self) -> wasmtime::Result<wasmtime::component::Resource<adapter::GpuObject>> {
        Ok(self.table.push(adapter::GpuObject)?)
    }
}
