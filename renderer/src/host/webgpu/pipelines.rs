//! Compute and render pipelines (<https://www.w3.org/TR/webgpu/#pipelines>). Compiled where shaders are, and for the same reason.

use std::sync::Arc;

use futures::channel::oneshot;
use wasmtime::component::Resource;

use super::bind_groups::BindGroupLayout;
use super::bindings::wasi::webgpu::webgpu as wit;
use super::device::{Device, capture};
use super::errors::{ErrorKind, GpuError};
use super::quota::{Claim, Kind};
use super::records::ConstantRecord;
use super::shaders::{ShaderModule, invalid_module};
use super::{WebGpuCtxView, convert, labels};
use crate::gpu::{CompileError, MAX_WAITING_BYTES, QueueFull, workgroup_bytes};
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

/// A descriptor of a pipeline that owns all it speaks of, so that it can go to the compiler's thread.
trait Description: Send + 'static {
    /// wgpu's pipeline.
    type Pipeline: Send + 'static;

    fn label(&self) -> &str;

    /// The memory that it has, besides objects that are counted.
    fn bytes(&self) -> usize;

    /// What the pipeline's layout has of immediate data, in bytes.
    fn immediate_bytes(&self) -> u32;

    /// Its stages, at most two.
    fn stages(&self) -> [Option<&Stage>; 2] {
        [None, None]
    }

    /// Why the pipeline cannot be made, if wgpu would not say it.
    fn refusal(&self, _device: &wgpu::Device) -> Option<String> {
        None
    }

    /// Makes the pipeline; errors are in wgpu's innermost error scope.
    fn create(&self, device: &wgpu::Device) -> Self::Pipeline;

    /// Makes a pipeline that is invalid.
    fn create_invalid(device: &wgpu::Device, label: &str) -> Self::Pipeline;
}

/// <https://www.w3.org/TR/webgpu/#dictdef-gpuprogrammablestage>
struct Stage {
    module: wgpu::ShaderModule,
    /// The source of a compute shader that may take workgroup memory.
    workgroup_source: Option<Arc<str>>,
    /// What the shader takes of immediate data.
    immediate_bytes: u32,
    /// Of the shader module, which wgpu's pipeline keeps.
    claim: Option<Arc<Claim>>,
    entry_point: Option<String>,
    constants: Vec<(String, f64)>,
}

impl Stage {
    /// Of a shader that is none.
    fn invalid(device: &wgpu::Device) -> Self {
        Self {
            module: invalid_module(device, ""),
            workgroup_source: None,
            immediate_bytes: 0,
            claim: None,
            entry_point: None,
            constants: Vec::new(),
        }
    }

    fn bytes(&self) -> usize {
        let constants = self.constants.iter().map(|(name, _)| name.capacity()).sum::<usize>();
        let entry_point = self.entry_point.as_ref().map_or(0, String::capacity);
        list_bytes(&self.constants).saturating_add(constants).saturating_add(entry_point)
    }

    fn constants(&self) -> Vec<(&str, f64)> {
        self.constants.iter().map(|(name, value)| (name.as_str(), *value)).collect()
    }
}

/// The memory of a list's own.
fn list_bytes<T>(list: &Vec<T>) -> usize {
    list.capacity().saturating_mul(size_of::<T>())
}

fn options<'a>(constants: &'a [(&'a str, f64)]) -> wgpu::PipelineCompilationOptions<'a> {
    wgpu::PipelineCompilationOptions { constants, zero_initialize_workgroup_memory: true }
}

/// A layout that is given, and what it has of immediate data.
struct Layout {
    wgpu: wgpu::PipelineLayout,
    immediate_bytes: u32,
}

struct ComputeDescription {
    label: String,
    layout: Option<Layout>,
    stage: Stage,
}

impl Description for ComputeDescription {
    type Pipeline = wgpu::ComputePipeline;

    fn label(&self) -> &str {
        &self.label
    }

    fn bytes(&self) -> usize {
        self.stage.bytes().saturating_add(self.label.capacity())
    }

    fn immediate_bytes(&self) -> u32 {
        self.layout.as_ref().map_or(self.stage.immediate_bytes, |layout| layout.immediate_bytes)
    }

    fn stages(&self) -> [Option<&Stage>; 2] {
        [Some(&self.stage), None]
    }

    /// <https://www.w3.org/TR/webgpu/#dom-supported-limits-maxcomputeworkgroupstoragesize>
    fn refusal(&self, device: &wgpu::Device) -> Option<String> {
        let source = self.stage.workgroup_source.as_deref()?;
        let bytes = workgroup_bytes(source, self.stage.entry_point.as_deref(), &self.stage.constants)?;
        let limit = device.limits().max_compute_workgroup_storage_size;
        (bytes > u64::from(limit)).then(|| {
            format!(
                "the compute pipeline {:?} takes {bytes} bytes of workgroup memory; this device allows {limit}",
                self.label
            )
        })
    }

    fn create(&self, device: &wgpu::Device) -> wgpu::ComputePipeline {
        device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&self.label),
            layout: self.layout.as_ref().map(|layout| &layout.wgpu),
            module: &self.stage.module,
            entry_point: self.stage.entry_point.as_deref(),
            compilation_options: options(&self.stage.constants()),
            cache: None,
        })
    }

    fn create_invalid(device: &wgpu::Device, label: &str) -> wgpu::ComputePipeline {
        Self { label: label.to_owned(), layout: None, stage: Stage::invalid(device) }.create(device)
    }
}

struct VertexBuffer {
    array_stride: u64,
    step_mode: wgpu::VertexStepMode,
    attributes: Vec<wgpu::VertexAttribute>,
}

struct RenderDescription {
    label: String,
    layout: Option<Layout>,
    vertex: Stage,
    buffers: Vec<Option<VertexBuffer>>,
    primitive: wgpu::PrimitiveState,
    depth_stencil: Option<wgpu::DepthStencilState>,
    multisample: wgpu::MultisampleState,
    fragment: Option<(Stage, Vec<Option<wgpu::ColorTargetState>>)>,
}

/// <https://www.w3.org/TR/webgpu/#abstract-opdef-validating-gpumultisamplestate>, and what it says with the first target.
fn multisample_refusal(
    multisample: wgpu::MultisampleState,
    targets: Option<&[Option<wgpu::ColorTargetState>]>,
) -> Option<&'static str> {
    if !multisample.alpha_to_coverage_enabled {
        return None;
    }
    if multisample.count <= 1 {
        return Some("alpha to coverage needs more than one sample");
    }
    let first = targets.and_then(|targets| targets.first()?.as_ref());
    let has_alpha = first.is_some_and(|target| target.format.components() == 4);
    let blends = first.is_some_and(|target| {
        let features = target.format.guaranteed_format_features(wgpu::Features::FLOAT32_BLENDABLE);
        features.flags.contains(wgpu::TextureFormatFeatureFlags::BLENDABLE)
    });
    (!has_alpha || !blends)
        .then_some("alpha to coverage needs a first colour target with alpha that can be blended")
}

impl Description for RenderDescription {
    type Pipeline = wgpu::RenderPipeline;

    fn label(&self) -> &str {
        &self.label
    }

    fn bytes(&self) -> usize {
        let attributes = self.buffers.iter().flatten().map(|buffer| list_bytes(&buffer.attributes)).sum();
        let fragment = self.fragment.as_ref();
        let targets =
            fragment.map_or(0, |(stage, targets)| stage.bytes().saturating_add(list_bytes(targets)));
        [self.label.capacity(), self.vertex.bytes(), list_bytes(&self.buffers), attributes, targets]
            .into_iter()
            .fold(0, usize::saturating_add)
    }

    fn immediate_bytes(&self) -> u32 {
        let fragment = self.fragment.as_ref().map_or(0, |(stage, _)| stage.immediate_bytes);
        let auto = self.vertex.immediate_bytes.max(fragment);
        self.layout.as_ref().map_or(auto, |layout| layout.immediate_bytes)
    }

    fn stages(&self) -> [Option<&Stage>; 2] {
        [Some(&self.vertex), self.fragment.as_ref().map(|(stage, _)| stage)]
    }

    fn refusal(&self, _device: &wgpu::Device) -> Option<String> {
        let targets = self.fragment.as_ref().map(|(_, targets)| targets.as_slice());
        let message = multisample_refusal(self.multisample, targets)?;
        Some(format!("the render pipeline {:?}: {message}", self.label))
    }

    fn create(&self, device: &wgpu::Device) -> wgpu::RenderPipeline {
        let buffers: Vec<_> = self
            .buffers
            .iter()
            .map(|buffer| {
                buffer.as_ref().map(|buffer| wgpu::VertexBufferLayout {
                    array_stride: buffer.array_stride,
                    step_mode: buffer.step_mode,
                    attributes: &buffer.attributes,
                })
            })
            .collect();
        let vertex_constants = self.vertex.constants();
        let fragment = self.fragment.as_ref().map(|(stage, targets)| (stage, targets, stage.constants()));
        device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
            label: Some(&self.label),
            layout: self.layout.as_ref().map(|layout| &layout.wgpu),
            vertex: wgpu::VertexState {
                module: &self.vertex.module,
                entry_point: self.vertex.entry_point.as_deref(),
                compilation_options: options(&vertex_constants),
                buffers: &buffers,
            },
            primitive: self.primitive,
            depth_stencil: self.depth_stencil.clone(),
            multisample: self.multisample,
            fragment: fragment.as_ref().map(|(stage, targets, constants)| wgpu::FragmentState {
                module: &stage.module,
                entry_point: stage.entry_point.as_deref(),
                compilation_options: options(constants),
                targets,
            }),
            multiview_mask: None,
            cache: None,
        })
    }

    fn create_invalid(device: &wgpu::Device, label: &str) -> wgpu::RenderPipeline {
        let description = Self {
            label: label.to_owned(),
            layout: None,
            vertex: Stage::invalid(device),
            buffers: Vec::new(),
            primitive: convert::primitive(None),
            depth_stencil: None,
            multisample: convert::multisample(None),
            fragment: None,
        };
        description.create(device)
    }
}

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
