//! Devices: what they are, how they are lost, their error scopes (<https://www.w3.org/TR/webgpu/#devices>). What a device
//! creates is in the chapter of the created thing.

mod lost;

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use futures::channel::oneshot;
use futures::future::{Either, select};
use renderer_protocol::SceneLimits;
use tokio::sync::watch;
use wasmtime::component::{Access, Accessor, FutureReader, Resource, StreamReader};

pub use self::lost::LostInfo;
use self::lost::{Loss, LostFuture};
use super::adapter::{AdapterInfo, SupportedFeatures, SupportedLimits};
use super::bind_groups::{BindGroup, BindGroupLayout, PipelineLayout};
use super::bindings::wasi::webgpu::webgpu as wit;
use super::buffers::Buffer;
use super::bundles::RenderBundleEncoder;
use super::command_encoding::CommandEncoder;
use super::errors::{ErrorKind, ErrorSink, GpuError, UncapturedErrorEvent, UncapturedErrors};
use super::pipelines::{ComputePipeline, RenderPipeline};
use super::queries::QuerySet;
use super::queues::Queue;
use super::quota::{Claim, Hold, Kind, Timeline};
use super::samplers::Sampler;
use super::shaders::ShaderModule;
use super::textures::Texture;
use super::{DeviceSlot, Log, WebGpu, WebGpuCtxView, WebGpuView, labels, memory};
use crate::gpu::{Gpu, Poller};
use crate::host::{OverLimit, OverQuota};

/// `gpu-device`; a cheap handle, and all handles are one device.
#[derive(Clone)]
pub struct Device {
    shared: Arc<Shared>,
}

struct Shared {
    gpu: Arc<Gpu>,
    wgpu: wgpu::Device,
    queue: wgpu::Queue,
    loss: Loss,
    poller: Poller,
    timeline: Arc<Timeline>,
    label: Mutex<String>,
    queue_label: Mutex<String>,
    _slot: DeviceSlot,
}

impl Device {
    /// Opens a device of `gpu`; the error is for the scene's author. This takes as long as the driver takes: 10 to 200 ms.
    pub(super) fn open(
        gpu: Arc<Gpu>,
        required_features: wgpu::Features,
        required_limits: wgpu::Limits,
        labels: (String, String),
        log: Log,
        slot: DeviceSlot,
    ) -> Result<Self, String> {
        let (label, queue_label) = labels;
        let descriptor = wgpu::DeviceDescriptor {
            label: Some(label.as_str()),
            required_features,
            required_limits,
            experimental_features: wgpu::ExperimentalFeatures::disabled(),
            memory_hints: wgpu::MemoryHints::default(),
            trace: wgpu::Trace::Off,
        };
        // Without a browser in between, wgpu's futures are ready when they are made.
        let (wgpu, queue) = gpu
            .adapter()
            .request_device(&descriptor)
            .now_or_never()
            .ok_or("the driver did not answer")?
            .map_err(|error| error.to_string())?;
        let queued_errors = usize::try_from(slot.quota.limits().max_queued_errors).unwrap_or(usize::MAX);
        let errors = Arc::new(ErrorSink::new(log, queued_errors));
        let sink = Arc::clone(&errors);
        // Without this handler wgpu panics at the first wrong call.
        wgpu.on_uncaptured_error(Arc::new(move |error: wgpu::Error| sink.report(error.into())));
        let lost = Arc::new(watch::Sender::new(None));
        let end_of_device =
            Loss { errors: Arc::clone(&errors), lost: Arc::clone(&lost), quota: Arc::clone(&slot.quota) };
        wgpu.set_device_lost_callback({
            let end_of_device = end_of_device.clone();
            move |reason, message| {
                let reason = match reason {
                    wgpu::DeviceLostReason::Unknown => wit::GpuDeviceLostReason::Unknown,
                    wgpu::DeviceLostReason::Destroyed => wit::GpuDeviceLostReason::Destroyed,
                };
                end_of_device.happened(LostInfo { reason, message });
            }
        });
        let on_failure = {
            let end_of_device = end_of_device.clone();
            move |message: &str| end_of_device.given_up(message)
        };
        let poller = Poller::start(wgpu.clone(), on_failure).map_err(|error| error.to_string())?;
        let (label, queue_label) = (Mutex::new(label), Mutex::new(queue_label));
        let timeline = Timeline::new(Arc::clone(&slot.quota), wgpu.clone(), queue.clone());
        Ok(Self {
            shared: Arc::new(Shared {
                gpu,
                wgpu,
                queue,
                loss: end_of_device,
                poller,
                timeline,
                label,
                queue_label,
                _slot: slot,
            }),
        })
    }

    /// The wgpu device. Errors of calls to it arrive in the scene's error scopes, so make none with it that are not the scene's.
    pub fn wgpu(&self) -> &wgpu::Device {
        &self.shared.wgpu
    }

    /// The wgpu queue of the device.
    pub fn queue(&self) -> &wgpu::Queue {
        &self.shared.queue
    }

    /// Raises an error as WebGPU does: to the innermost error scope of its kind, or else as an uncaptured error.
    pub fn report(&self, kind: ErrorKind, message: impl Into<String>) {
        self.shared.loss.errors.report(GpuError::new(kind, message));
    }

    /// The host's end of a stream of the errors that no error scope captures, as events.
    pub fn uncaptured_error_events<T: WebGpuView + 'static>(
        &self,
    ) -> Result<UncapturedErrors<T, UncapturedErrorEvent>, OverLimit> {
        Ok(UncapturedErrors::new(self.shared.loss.errors.stream()?, T::webgpu))
    }

    /// A validation error, raised by [`Device::report`].
    pub(super) fn invalid(&self, message: impl Into<String>) {
        self.report(ErrorKind::Validation, message);
    }

    /// Reports `message` and makes an invalid object: by `make`, which asks wgpu for what it must refuse, unheard.
    pub(super) fn make_invalid<R>(
        &self,
        message: impl Into<String>,
        make: impl FnOnce(&wgpu::Device) -> R,
    ) -> R {
        let object = self.unheard(make).0;
        self.invalid(message);
        object
    }

    /// Makes calls whose error is not for the scene's error scopes, and returns the error too.
    ///
    /// wgpu keeps these scopes by thread, so `calls` must stay on this one.
    pub(super) fn unheard<R>(&self, calls: impl FnOnce(&wgpu::Device) -> R) -> (R, Option<GpuError>) {
        capture(&self.shared.wgpu, calls)
    }

    /// Makes sure that what was registered for the end of work that is submitted will be called.
    pub(super) fn poll_soon(&self) {
        self.shared.poller.wake();
    }

    /// What the scene may use.
    pub(super) fn scene_limits(&self) -> &SceneLimits {
        self.shared.timeline.quota().limits()
    }

    /// Counts an object for which WebGPU has no out-of-memory error: going over the quota ends the scene.
    pub(super) fn claim(&self, kind: Kind) -> Result<Arc<Claim>, OverQuota> {
        self.claim_memory(Some(kind), 0)
    }

    /// Counts an object and its memory; going over the quota is an out-of-memory error, and an invalid object.
    pub(super) fn claim_memory(&self, kind: Option<Kind>, bytes: u64) -> Result<Arc<Claim>, OverQuota> {
        self.shared.timeline.claim(kind, bytes)
    }

    /// Counts a texture that the host makes for the scene, until what is returned is dropped.
    pub fn claim_for_host(&self, texture: &wgpu::TextureDescriptor<'_>) -> HostClaim {
        HostClaim { claim: self.shared.timeline.claim_for_host(memory::texture_bytes(texture)) }
    }

    /// For something that will hold recorded commands.
    pub(super) fn hold(&self, kind: Option<Kind>) -> Result<Hold, OverQuota> {
        self.shared.timeline.hold(kind)
    }

    /// To be called before the queue writes this many bytes.
    pub(super) fn count_write(&self, bytes: usize) -> Result<(), OverQuota> {
        self.shared.timeline.write(bytes)
    }

    /// To be called after each submit to the [queue](Device::queue).
    pub fn count_submit(&self) {
        self.shared.timeline.submitted();
    }

    /// Makes an object with memory: by `make` if the quota has room for it, and else by `make_invalid`, with an out-of-memory error.
    /// wgpu's own errors are the scene's, and leave nothing counted. `probe` makes a small one of the same kind: a description that no
    /// device accepts is a validation error, however large it is.
    pub(super) fn make_counted<R>(
        &self,
        (kind, bytes): (Kind, u64),
        what: impl FnOnce() -> String,
        make: impl FnOnce(&wgpu::Device) -> R,
        make_invalid: impl FnOnce(&wgpu::Device) -> R,
        probe: impl FnOnce(&wgpu::Device),
    ) -> (R, Option<Arc<Claim>>) {
        match self.claim_memory(Some(kind), bytes) {
            Ok(claim) => {
                let (object, error) = self.unheard(make);
                if let Some(error) = error {
                    claim.without_memory();
                    self.report(error.kind, error.message);
                }
                (object, Some(claim))
            }
            Err(over) => {
                let error = self.unheard(probe).1;
                let error = error.unwrap_or_else(|| {
                    GpuError::new(
                        ErrorKind::OutOfMemory,
                        format!("there is no memory for {}: {over}", what()),
                    )
                });
                self.report(error.kind, error.message);
                (self.unheard(make_invalid).0, None)
            }
        }
    }

    /// The same device, and not only one of the same adapter.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    pub(super) fn gpu(&self) -> &Arc<Gpu> {
        &self.shared.gpu
    }

    /// True from its loss on: nothing that is asked of it has an effect then.
    pub fn is_lost(&self) -> bool {
        self.shared.loss.lost.borrow().is_some()
    }

    pub(super) fn queue_label(&self) -> &Mutex<String> {
        &self.shared.queue_label
    }

    /// The loss alone, for callbacks that must not keep the device.
    pub(super) fn loss(&self) -> watch::Receiver<Option<LostInfo>> {
        self.shared.loss.lost.subscribe()
    }

    /// The answer to something that was asked of the device, or `None` if the device is lost before it comes.
    pub(super) fn unless_lost<R: Send>(
        &self,
        answer: oneshot::Receiver<R>,
    ) -> impl Future<Output = Option<R>> + Send + use<R> {
        let mut lost = self.loss();
        async move {
            let lost = pin!(lost.wait_for(Option::is_some));
            match select(answer, lost).await {
                Either::Left((answer, _)) => answer.ok(),
                Either::Right(_) => None,
            }
        }
    }

    /// The loss of <https://www.w3.org/TR/webgpu/#dom-gpudevice-destroy>; what the scene has of the device is destroyed by the caller.
    ///
    /// wgpu's device lives on: pictures that were presented are still read from its memory by another thread, and wgpu's own `destroy`
    /// would free that under it. So each of the scene's own buffers, textures and query sets is destroyed alone. What has no handle any
    /// more but is part of a bind group or view goes with those.
    fn destroy(&self) {
        let info = LostInfo {
            reason: wit::GpuDeviceLostReason::Destroyed,
            message: "the device was destroyed by its owner".to_owned(),
        };
        self.shared.loss.happened(info);
    }

    /// What a driver does that resets its GPU, for tests: no other device of it is touched.
    #[cfg(test)]
    pub(super) fn fail(&self, message: &str) {
        self.shared.loss.given_up(message);
    }
}

/// Counts memory that is the host's own, until it is dropped: whose it is destroys it then, whatever recorded commands speak of it.
pub struct HostClaim {
    claim: Arc<Claim>,
}

impl Drop for HostClaim {
    fn drop(&mut self) {
        self.claim.release_memory();
    }
}

/// The body of [`Device::unheard`], for threads that have only the wgpu device.
pub(super) fn capture<R>(
    device: &wgpu::Device,
    calls: impl FnOnce(&wgpu::Device) -> R,
) -> (R, Option<GpuError>) {
    let scopes = [wgpu::ErrorFilter::Validation, wgpu::ErrorFilter::OutOfMemory, wgpu::ErrorFilter::Internal]
        .map(|filter| device.push_error_scope(filter));
    let made = calls(device);
    let mut first = None;
    // Scopes are popped in the reverse of their order. wgpu's native scopes are ready at once.
    for scope in scopes.into_iter().rev() {
        if let Some(error) = scope.pop().now_or_never().flatten() {
            first = Some(error.into());
        }
    }
    (made, first)
}

fn locked(label: &Mutex<String>) -> std::sync::MutexGuard<'_, String> {
    // A label that a panic left behind is still a label.
    label.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A copy of a label that handles share.
pub(super) fn label_of(label: &Mutex<String>) -> String {
    locked(label).clone()
}

/// Changes a label that handles share.
pub(super) fn relabel(label: &Mutex<String>, to: String) {
    *locked(label) = labels::bounded(to);
}

impl<T: 'static> wit::HostGpuDeviceWithStore<T> for WebGpu {
    async fn create_compute_pipeline_async(
        accessor: &Accessor<T, Self>,
        this: Resource<Device>,
        descriptor: wit::GpuComputePipelineDescriptor,
    ) -> wasmtime::Result<Result<Resource<ComputePipeline>, wit::CreatePipelineError>> {
        let _operation = accessor.with(|mut access| access.get().ctx.outstanding().begin());
        let work = accessor.with(|mut access| access.get().start_compute_pipeline(&this, descriptor))?;
        match work.await {
            Ok(pipeline) => accessor.with(|mut access| Ok(Ok(access.get().table.push(pipeline)?))),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn create_render_pipeline_async(
        accessor: &Accessor<T, Self>,
        this: Resource<Device>,
        descriptor: wit::GpuRenderPipelineDescriptor,
    ) -> wasmtime::Result<Result<Resource<RenderPipeline>, wit::CreatePipelineError>> {
        let _operation = accessor.with(|mut access| access.get().ctx.outstanding().begin());
        let work = accessor.with(|mut access| access.get().start_render_pipeline(&this, descriptor))?;
        match work.await {
            Ok(pipeline) => accessor.with(|mut access| Ok(Ok(access.get().table.push(pipeline)?))),
            Err(error) => Ok(Err(error)),
        }
    }

    fn lost(
        mut host: Access<T, Self>,
        this: Resource<Device>,
    ) -> wasmtime::Result<FutureReader<Resource<LostInfo>>> {
        let mut lost = host.get().table.get(&this)?.shared.loss.lost.subscribe();
        let info = async move { lost.wait_for(Option::is_some).await.ok().and_then(|info| info.clone()) };
        let view = host.getter();
        FutureReader::new(host, LostFuture { info: info.boxed(), view })
    }

    async fn pop_error_scope(
        accessor: &Accessor<T, Self>,
        this: Resource<Device>,
    ) -> wasmtime::Result<Result<Option<Resource<GpuError>>, wit::PopErrorScopeError>> {
        // All errors are known when the call returns that made them, so there is nothing to wait for.
        accessor.with(|mut access| {
            let view = access.get();
            let device = view.table.get(&this)?;
            let error = match device.shared.loss.errors.pop_scope() {
                // A lost device has no errors.
                _ if device.is_lost() => None,
                Ok(error) => error,
                Err(error) => {
                    return Ok(Err(wit::PopErrorScopeError {
                        kind: wit::PopErrorScopeErrorKind::OperationError,
                        message: error.to_string(),
                    }));
                }
            };
            Ok(Ok(error.map(|error| view.table.push(error)).transpose()?))
        })
    }

    fn on_uncaptured_error(
        mut host: Access<T, Self>,
        this: Resource<Device>,
    ) -> wasmtime::Result<StreamReader<Resource<GpuError>>> {
        let errors = host.get().table.get(&this)?.shared.loss.errors.stream()?;
        let view = host.getter();
        StreamReader::new(host, UncapturedErrors::new(errors, view))
    }
}

impl wit::HostGpuDevice for WebGpuCtxView<'_> {
    fn features(&mut self, this: Resource<Device>) -> wasmtime::Result<Resource<SupportedFeatures>> {
        let features = SupportedFeatures(self.table.get(&this)?.wgpu().features());
        Ok(self.table.push(features)?)
    }

    fn limits(&mut self, this: Resource<Device>) -> wasmtime::Result<Resource<SupportedLimits>> {
        let limits = SupportedLimits(Box::new(self.table.get(&this)?.wgpu().limits()));
        Ok(self.table.push(limits)?)
    }

    fn adapter_info(&mut self, this: Resource<Device>) -> wasmtime::Result<Resource<AdapterInfo>> {
        let info = AdapterInfo::of(self.table.get(&this)?.gpu());
        Ok(self.table.push(info)?)
    }

    fn queue(&mut self, this: Resource<Device>) -> wasmtime::Result<Resource<Queue>> {
        let queue = Queue { device: self.table.get(&this)?.clone() };
        Ok(self.table.push(queue)?)
    }

    fn destroy(&mut self, this: Resource<Device>) -> wasmtime::Result<()> {
        let device = self.table.get(&this)?.clone();
        device.destroy();
        for object in self.table.iter_mut() {
            if let Some(buffer) = object.downcast_ref::<Buffer>() {
                buffer.destroy_with(&device);
            } else if let Some(texture) = object.downcast_mut::<Texture>() {
                texture.destroy_with(&device);
            } else if let Some(set) = object.downcast_ref::<QuerySet>() {
                set.destroy_with(&device);
            }
        }
        // Nothing of it is submitted any more, and what it wrote must not count until it is dropped.
        device.shared.timeline.flush();
        device.poll_soon();
        Ok(())
    }

    fn create_buffer(
        &mut self,
        this: Resource<Device>,
        descriptor: wit::GpuBufferDescriptor,
    ) -> wasmtime::Result<Resource<Buffer>> {
        self.make_buffer(&this, descriptor)
    }

    fn create_texture(
        &mut self,
        this: Resource<Device>,
        descriptor: wit::GpuTextureDescriptor,
    ) -> wasmtime::Result<Resource<Texture>> {
        self.make_texture(&this, descriptor)
    }

    fn create_sampler(
        &mut self,
        this: Resource<Device>,
        descriptor: Option<wit::GpuSamplerDescriptor>,
    ) -> wasmtime::Result<Resource<Sampler>> {
        self.make_sampler(&this, descriptor)
    }

    fn create_bind_group_layout(
        &mut self,
        this: Resource<Device>,
        descriptor: wit::GpuBindGroupLayoutDescriptor,
    ) -> wasmtime::Result<Resource<BindGroupLayout>> {
        self.make_bind_group_layout(&this, descriptor)
    }

    fn create_pipeline_layout(
        &mut self,
        this: Resource<Device>,
        descriptor: wit::GpuPipelineLayoutDescriptor,
    ) -> wasmtime::Result<Resource<PipelineLayout>> {
        self.make_pipeline_layout(&this, descriptor)
    }

    fn create_bind_group(
        &mut self,
        this: Resource<Device>,
        descriptor: wit::GpuBindGroupDescriptor,
    ) -> wasmtime::Result<Resource<BindGroup>> {
        self.make_bind_group(&this, descriptor)
    }

    fn create_shader_module(
        &mut self,
        this: Resource<Device>,
        descriptor: wit::GpuShaderModuleDescriptor,
    ) -> wasmtime::Result<Resource<ShaderModule>> {
        self.make_shader_module(&this, descriptor)
    }

    fn create_compute_pipeline(
        &mut self,
        this: Resource<Device>,
        descriptor: wit::GpuComputePipelineDescriptor,
    ) -> wasmtime::Result<Resource<ComputePipeline>> {
        self.make_compute_pipeline(&this, descriptor)
    }

    fn create_render_pipeline(
        &mut self,
        this: Resource<Device>,
        descriptor: wit::GpuRenderPipelineDescriptor,
    ) -> wasmtime::Result<Resource<RenderPipeline>> {
        self.make_render_pipeline(&this, descriptor)
    }

    fn create_command_encoder(
        &mut self,
        this: Resource<Device>,
        descriptor: Option<wit::GpuCommandEncoderDescriptor>,
    ) -> wasmtime::Result<Resource<CommandEncoder>> {
        self.make_command_encoder(&this, descriptor)
    }

    fn create_render_bundle_encoder(
        &mut self,
        this: Resource<Device>,
        descriptor: wit::GpuRenderBundleEncoderDescriptor,
    ) -> wasmtime::Result<Resource<RenderBundleEncoder>> {
        self.make_render_bundle_encoder(&this, descriptor)
    }

    fn create_query_set(
        &mut self,
        this: Resource<Device>,
        descriptor: wit::GpuQuerySetDescriptor,
    ) -> wasmtime::Result<Result<Resource<QuerySet>, wit::CreateQuerySetError>> {
        self.make_query_set(&this, descriptor)
    }

    fn label(&mut self, this: Resource<Device>) -> wasmtime::Result<String> {
        Ok(label_of(&self.table.get(&this)?.shared.label))
    }

    fn set_label(&mut self, this: Resource<Device>, label: String) -> wasmtime::Result<()> {
        relabel(&self.table.get(&this)?.shared.label, label);
        Ok(())
    }

    fn push_error_scope(
        &mut self,
        this: Resource<Device>,
        filter: wit::GpuErrorFilter,
    ) -> wasmtime::Result<()> {
        Ok(self.table.get(&this)?.shared.loss.errors.push_scope(filter.into())?)
    }

    super::drop_entry!(Device);
}
