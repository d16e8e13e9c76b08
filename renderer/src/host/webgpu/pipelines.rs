//! Compute and render pipelines (<https://www.w3.org/TR/webgpu/#pipelines>). Compiled where shaders are, and for the same reason.

mod description;

use std::sync::Arc;

use futures::channel::oneshot;
use wasmtime::component::Resource;

use self::description::{ComputeDescription, Description, Layout, RenderDescription, Stage, VertexBuffer};
use super::bind_groups::BindGroupLayout;
use super::bindings::wasi::webgpu::webgpu as wit;
use super::device::{Device, capture};
use super::errors::{ErrorKind, GpuError};
use super::quota::{Claim, Kind};
use super::records::ConstantRecord;
use super::shaders::ShaderModule;
use super::{WebGpuCtxView, convert, labels};
use crate::gpu::{CompileError, MAX_WAITING_BYTES, QueueFull};
use crate::host::{OverLimit, OverQuota};

/// A pipeline of either kind.
pub struct Pipeline<P> {
    pub(super) wgpu: P,
    /// What its layout has of immediate data.
    pub(super) immediate_bytes: u32,
    label: String,
    device: Device,
    _claim: Arc<Claim>,
    _shaders: [Option<Arc<Claim>>; 2],
}

/// `gpu-compute-pipeline`
pub type ComputePipeline = Pipeline<wgpu::ComputePipeline>;
/// `gpu-render-pipeline`
pub type RenderPipeline = Pipeline<wgpu::RenderPipeline>;

/// Makes a pipeline on the compiler's thread. What comes with an error is invalid.
fn compile<D: Description>(device: &wgpu::Device, description: &D) -> (D::Pipeline, Option<GpuError>) {
    match description.refusal(device) {
        None => capture(device, |device| description.create(device)),
        Some(message) => {
            let (pipeline, _) = capture(device, |device| D::create_invalid(device, description.label()));
            (pipeline, Some(GpuError::new(ErrorKind::Validation, message)))
        }
    }
}

fn pipeline_error(error: GpuError) -> wit::CreatePipelineError {
    let reason = match error.kind {
        ErrorKind::Validation => wit::GpuPipelineErrorReason::Validation,
        ErrorKind::OutOfMemory | ErrorKind::Internal => wit::GpuPipelineErrorReason::Internal,
    };
    wit::CreatePipelineError {
        kind: wit::CreatePipelineErrorKind::GpuPipelineError(reason),
        message: error.message,
    }
}

/// What becomes a pipeline when it is made.
struct Plan {
    device: Device,
    immediate_bytes: u32,
    label: String,
    claim: Arc<Claim>,
    shaders: [Option<Arc<Claim>>; 2],
}

impl Plan {
    /// Counts the pipeline before it is made.
    fn new<D: Description>(device: &Device, description: &D) -> Result<Self, OverQuota> {
        let claim = device.claim(Kind::Pipeline)?;
        let shaders = description.stages().map(|stage| stage.and_then(|stage| stage.claim.clone()));
        Ok(Self {
            device: device.clone(),
            immediate_bytes: description.immediate_bytes(),
            label: description.label().to_owned(),
            claim,
            shaders,
        })
    }

    /// The pipeline, which may be invalid, and why it is.
    fn settle<D: Description>(
        self,
        compiled: Result<(D::Pipeline, Option<GpuError>), CompileError>,
    ) -> (Pipeline<D::Pipeline>, Option<GpuError>) {
        let Self { device, immediate_bytes, label, claim, shaders } = self;
        let (wgpu, error) = compiled.unwrap_or_else(|failure| {
            let error = GpuError::new(ErrorKind::Internal, format!("{failure} at the pipeline {label:?}"));
            (device.unheard(|device| D::create_invalid(device, &label)).0, Some(error))
        });
        (Pipeline { wgpu, immediate_bytes, label, device, _claim: claim, _shaders: shaders }, error)
    }
}

/// Makes a pipeline while the store waits; its error is one of the device.
fn make<D: Description>(device: &Device, description: D) -> Result<Pipeline<D::Pipeline>, OverQuota> {
    let plan = Plan::new(device, &description)?;
    let theirs = device.wgpu().clone();
    let compiled = device.gpu().compiler().run(move || compile(&theirs, &description));
    let (pipeline, error) = plan.settle::<D>(compiled);
    if let Some(GpuError { kind, message }) = error {
        device.report(kind, message);
    }
    Ok(pipeline)
}

/// A pipeline that is being made.
type Making<P> = Result<Pipeline<P>, wit::CreatePipelineError>;

/// Makes a pipeline off the store's thread; its error is the answer, and no matter of error scopes.
fn start<D: Description>(
    device: &Device,
    description: D,
) -> wasmtime::Result<impl Future<Output = Making<D::Pipeline>> + Send + use<D>> {
    let plan = Plan::new(device, &description)?;
    let theirs = device.wgpu().clone();
    // It is counted until it is compiled, even when the scene gives its answer up.
    let claim = Arc::clone(&plan.claim);
    let work = device.gpu().compiler().start_work(description.bytes(), move || {
        let compiled = compile(&theirs, &description);
        drop((description, claim));
        compiled
    });
    let work = work.map_err(|QueueFull| OverLimit {
        what: "bytes of asynchronous pipelines that wait for the compiler",
        limit: MAX_WAITING_BYTES,
    })?;
    Ok(async move {
        let compiled = work.await.map_err(|oneshot::Canceled| CompileError);
        match plan.settle::<D>(compiled) {
            // A lost device has no errors: <https://www.w3.org/TR/webgpu/#dom-gpudevice-createcomputepipelineasync>
            (pipeline, Some(error)) if !pipeline.device.is_lost() => Err(pipeline_error(error)),
            (pipeline, _) => Ok(pipeline),
        }
    })
}

impl WebGpuCtxView<'_> {
    /// <https://www.w3.org/TR/webgpu/#dictdef-gpuprogrammablestage>
    fn stage(
        &mut self,
        module: &Resource<ShaderModule>,
        entry_point: Option<String>,
        constants: Option<Resource<ConstantRecord>>,
    ) -> wasmtime::Result<Stage> {
        let module = self.table.get(module)?;
        let immediate_bytes = module.immediate_bytes;
        let claim = Some(Arc::clone(&module.claim));
        let (module, workgroup_source) = (module.wgpu.clone(), module.workgroup_source.clone());
        let constants = match constants {
            Some(record) => self.table.delete(record)?.into_iter().collect(),
            None => Vec::new(),
        };
        let entry_point = entry_point.map(labels::entry_point);
        Ok(Stage { module, workgroup_source, immediate_bytes, claim, entry_point, constants })
    }

    fn layout(&self, layout: &wit::GpuLayoutMode) -> wasmtime::Result<Option<Layout>> {
        Ok(match layout {
            wit::GpuLayoutMode::Specific(layout) => {
                let layout = self.table.get(layout)?;
                Some(Layout { wgpu: layout.wgpu.clone(), immediate_bytes: layout.immediate_bytes })
            }
            wit::GpuLayoutMode::Auto => None,
        })
    }

    fn compute_description(
        &mut self,
        descriptor: wit::GpuComputePipelineDescriptor,
    ) -> wasmtime::Result<ComputeDescription> {
        let wit::GpuProgrammableStage { module, entry_point, constants } = descriptor.compute;
        Ok(ComputeDescription {
            label: labels::of(descriptor.label),
            layout: self.layout(&descriptor.layout)?,
            stage: self.stage(&module, entry_point, constants)?,
        })
    }

    fn render_description(
        &mut self,
        descriptor: wit::GpuRenderPipelineDescriptor,
    ) -> wasmtime::Result<RenderDescription> {
        let wit::GpuVertexState { buffers, module, entry_point, constants } = descriptor.vertex;
        let vertex = self.stage(&module, entry_point, constants)?;
        let buffers = buffers
            .unwrap_or_default()
            .into_iter()
            .map(|buffer| {
                buffer.map(|buffer| VertexBuffer {
                    array_stride: buffer.array_stride,
                    step_mode: buffer.step_mode.map_or(wgpu::VertexStepMode::Vertex, Into::into),
                    attributes: buffer
                        .attributes
                        .into_iter()
                        .map(|attribute| wgpu::VertexAttribute {
                            format: attribute.format.into(),
                            offset: attribute.offset,
                            shader_location: attribute.shader_location,
                        })
                        .collect(),
                })
            })
            .collect();
        let fragment = match descriptor.fragment {
            Some(wit::GpuFragmentState { targets, module, entry_point, constants }) => {
                let targets = targets.into_iter().map(|target| target.map(convert::color_target)).collect();
                Some((self.stage(&module, entry_point, constants)?, targets))
            }
            None => None,
        };
        Ok(RenderDescription {
            label: labels::of(descriptor.label),
            layout: self.layout(&descriptor.layout)?,
            vertex,
            buffers,
            primitive: convert::primitive(descriptor.primitive),
            depth_stencil: descriptor.depth_stencil.map(convert::depth_stencil),
            multisample: convert::multisample(descriptor.multisample),
            fragment,
        })
    }

    /// <https://www.w3.org/TR/webgpu/#dom-gpudevice-createcomputepipeline>
    pub(super) fn make_compute_pipeline(
        &mut self,
        device: &Resource<Device>,
        descriptor: wit::GpuComputePipelineDescriptor,
    ) -> wasmtime::Result<Resource<ComputePipeline>> {
        let description = self.compute_description(descriptor)?;
        let pipeline = make(self.table.get(device)?, description)?;
        Ok(self.table.push(pipeline)?)
    }

    /// <https://www.w3.org/TR/webgpu/#dom-gpudevice-createrenderpipeline>
    pub(super) fn make_render_pipeline(
        &mut self,
        device: &Resource<Device>,
        descriptor: wit::GpuRenderPipelineDescriptor,
    ) -> wasmtime::Result<Resource<RenderPipeline>> {
        let description = self.render_description(descriptor)?;
        let pipeline = make(self.table.get(device)?, description)?;
        Ok(self.table.push(pipeline)?)
    }

    /// <https://www.w3.org/TR/webgpu/#dom-gpudevice-createcomputepipelineasync>
    pub(super) fn start_compute_pipeline(
        &mut self,
        device: &Resource<Device>,
        descriptor: wit::GpuComputePipelineDescriptor,
    ) -> wasmtime::Result<
        impl Future<Output = Result<ComputePipeline, wit::CreatePipelineError>> + Send + use<>,
    > {
        let description = self.compute_description(descriptor)?;
        start(self.table.get(device)?, description)
    }

    /// <https://www.w3.org/TR/webgpu/#dom-gpudevice-createrenderpipelineasync>
    pub(super) fn start_render_pipeline(
        &mut self,
        device: &Resource<Device>,
        descriptor: wit::GpuRenderPipelineDescriptor,
    ) -> wasmtime::Result<impl Future<Output = Result<RenderPipeline, wit::CreatePipelineError>> + Send + use<>>
    {
        let description = self.render_description(descriptor)?;
        start(self.table.get(device)?, description)
    }
}

impl wit::HostGpuComputePipeline for WebGpuCtxView<'_> {
    fn get_bind_group_layout(
        &mut self,
        this: Resource<ComputePipeline>,
        index: u32,
    ) -> wasmtime::Result<Resource<BindGroupLayout>> {
        let pipeline = self.table.get(&this)?;
        let claim = pipeline.device.claim(Kind::Layout)?;
        let wgpu = pipeline.wgpu.get_bind_group_layout(index);
        Ok(self.table.push(BindGroupLayout { wgpu, label: String::new(), _claim: claim })?)
    }

    super::object_base!(ComputePipeline);
}

impl wit::HostGpuRenderPipeline for WebGpuCtxView<'_> {
    fn get_bind_group_layout(
        &mut self,
        this: Resource<RenderPipeline>,
        index: u32,
    ) -> wasmtime::Result<Resource<BindGroupLayout>> {
        let pipeline = self.table.get(&this)?;
        let claim = pipeline.device.claim(Kind::Layout)?;
        let wgpu = pipeline.wgpu.get_bind_group_layout(index);
        Ok(self.table.push(BindGroupLayout { wgpu, label: String::new(), _claim: claim })?)
    }

    super::object_base!(RenderPipeline);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::webgpu::tests::Scene;

    /// A pipeline at which the compiler panics.
    struct Deadly;

    impl Description for Deadly {
        type Pipeline = wgpu::ComputePipeline;

        fn label(&self) -> &'static str {
            "deadly"
        }

        fn bytes(&self) -> usize {
            0
        }

        fn immediate_bytes(&self) -> u32 {
            0
        }

        fn create(&self, _device: &wgpu::Device) -> wgpu::ComputePipeline {
            panic!("a test's panic")
        }

        fn create_invalid(device: &wgpu::Device, label: &str) -> wgpu::ComputePipeline {
            ComputeDescription::create_invalid(device, label)
        }
    }

    #[tokio::test]
    async fn a_pipeline_at_which_the_compiler_fails_is_invalid_and_an_internal_error() {
        let mut scene = Scene::new().await;
        let handle = scene.device();
        let device = scene.view().table.get(&handle).unwrap().clone();

        let pipeline = make(&device, Deadly).unwrap();
        assert_eq!(scene.errors(), ["the shader compiler failed at the pipeline \"deadly\""]);
        let error = device.unheard(|_| pipeline.wgpu.get_bind_group_layout(0)).1;
        assert_eq!(error.map(|error| error.kind), Some(ErrorKind::Validation), "the pipeline is invalid");

        let answer = start(&device, Deadly).unwrap().await.err().unwrap();
        assert!(matches!(
            answer.kind,
            wit::CreatePipelineErrorKind::GpuPipelineError(wit::GpuPipelineErrorReason::Internal)
        ));
        assert_eq!(scene.errors(), Vec::<String>::new(), "an answer is no error of the device");
    }

    /// A pipeline that is compiled when it may be.
    struct Slow(std::sync::mpsc::Receiver<()>);

    impl Description for Slow {
        type Pipeline = wgpu::ComputePipeline;

        fn label(&self) -> &'static str {
            "slow"
        }

        fn immediate_bytes(&self) -> u32 {
            0
        }

        fn bytes(&self) -> usize {
            0
        }

        fn create(&self, device: &wgpu::Device) -> wgpu::ComputePipeline {
            let _ = self.0.recv();
            ComputeDescription::create_invalid(device, self.label())
        }

        fn create_invalid(device: &wgpu::Device, label: &str) -> wgpu::ComputePipeline {
            ComputeDescription::create_invalid(device, label)
        }
    }

    #[tokio::test]
    async fn a_scene_that_asks_for_many_pipelines_at_once_gets_its_promises_at_once_up_to_its_quota() {
        let mut scene = Scene::new().await;
        let handle = scene.device();
        let device = scene.view().table.get(&handle).unwrap().clone();
        let limit = device.scene_limits().max_pipelines;

        let (mut go_on, mut promises) = (Vec::new(), Vec::new());
        for _ in 0..limit {
            // If a call waited for the compiler, it would wait for ever.
            let (tell, wait) = std::sync::mpsc::channel();
            promises.push(start(&device, Slow(wait)).unwrap());
            go_on.push(tell);
        }
        // What is given up still waits, and so still counts.
        promises.clear();
        let over = start(&device, Deadly).err().unwrap();
        assert_eq!(over.downcast_ref::<OverQuota>().map(|over| over.setting), Some("max-pipelines"));
        go_on.clear();
    }
}
