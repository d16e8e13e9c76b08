//! Compute and render pipelines (<https://www.w3.org/TR/webgpu/#pipelines>). Compiled where shaders are, and for the same reason.

use std::future::Future;
use std::sync::Arc;

use wasmtime::component::Resource;

use super::bind_groups::BindGroupLayout;
use super::bindings::wasi::webgpu::webgpu as wit;
use super::device::{Device, capture};
use super::errors::{ErrorKind, GpuError};
use super::quota::{Claim, Kind};
use super::records::ConstantRecord;
use super::shaders::ShaderModule;
use super::{WebGpuCtxView, convert, labels};

/// `gpu-compute-pipeline`
pub struct ComputePipeline {
    pub(super) wgpu: wgpu::ComputePipeline,
    label: String,
    device: Device,
    _claim: Arc<Claim>,
}

/// `gpu-render-pipeline`
pub struct RenderPipeline {
    pub(super) wgpu: wgpu::RenderPipeline,
    label: String,
    device: Device,
    _claim: Arc<Claim>,
}

/// A descriptor that owns all it speaks of, so that it can go to the compiler's thread.
struct Stage {
    module: wgpu::ShaderModule,
    entry_point: Option<String>,
    constants: Vec<(String, f64)>,
}

impl Stage {
    fn constants(&self) -> Vec<(&str, f64)> {
        self.constants.iter().map(|(name, value)| (name.as_str(), *value)).collect()
    }
}

fn options<'a>(constants: &'a [(&'a str, f64)]) -> wgpu::PipelineCompilationOptions<'a> {
    wgpu::PipelineCompilationOptions { constants, zero_initialize_workgroup_memory: true }
}

struct ComputeDescription {
    label: String,
    layout: Option<wgpu::PipelineLayout>,
    stage: Stage,
}

impl ComputeDescription {
    fn create(&self, device: &wgpu::Device) -> wgpu::ComputePipeline {
        device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&self.label),
            layout: self.layout.as_ref(),
            module: &self.stage.module,
            entry_point: self.stage.entry_point.as_deref(),
            compilation_options: options(&self.stage.constants()),
            cache: None,
        })
    }
}

struct VertexBuffer {
    array_stride: u64,
    step_mode: wgpu::VertexStepMode,
    attributes: Vec<wgpu::VertexAttribute>,
}

struct RenderDescription {
    label: String,
    layout: Option<wgpu::PipelineLayout>,
    vertex: Stage,
    buffers: Vec<Option<VertexBuffer>>,
    primitive: wgpu::PrimitiveState,
    depth_stencil: Option<wgpu::DepthStencilState>,
    multisample: wgpu::MultisampleState,
    fragment: Option<(Stage, Vec<Option<wgpu::ColorTargetState>>)>,
}

impl RenderDescription {
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
            layout: self.layout.as_ref(),
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
}

/// A pipeline that panicked in the compiler cannot be made at all: there is nothing to return but a trap.
fn compiler_failed(device: &Device, label: &str) -> wasmtime::Error {
    let message = format!("the shader compiler failed at the pipeline {label:?}");
    device.report(ErrorKind::Internal, message.clone());
    wasmtime::Error::msg(message)
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

/// Makes a pipeline off the store's thread; its error is the answer, and no matter of error scopes.
fn start<P: Send + 'static, C: FnOnce(&wgpu::Device) -> P + Send + 'static>(
    device: &Device,
    create: C,
) -> impl Future<Output = Result<P, wit::CreatePipelineError>> + Send + use<P, C> {
    let theirs = device.wgpu().clone();
    let work = device.gpu().compiler().start_work(move || capture(&theirs, create));
    async move {
        match work.await {
            Ok((pipeline, None)) => Ok(pipeline),
            Ok((_, Some(error))) => Err(pipeline_error(error)),
            Err(canceled) => {
                let message = format!("the shader compiler failed: {canceled}");
                Err(pipeline_error(GpuError::new(ErrorKind::Internal, message)))
            }
        }
    }
}

impl WebGpuCtxView<'_> {
    /// <https://www.w3.org/TR/webgpu/#dictdef-gpuprogrammablestage>
    fn stage(
        &mut self,
        module: &Resource<ShaderModule>,
        entry_point: Option<String>,
        constants: Option<Resource<ConstantRecord>>,
    ) -> wasmtime::Result<Stage> {
        let module = self.table.get(module)?.wgpu.clone();
        let constants = match constants {
            Some(record) => self.table.delete(record)?.into_iter().collect(),
            None => Vec::new(),
        };
        Ok(Stage { module, entry_point, constants })
    }

    fn layout(&self, layout: &wit::GpuLayoutMode) -> wasmtime::Result<Option<wgpu::PipelineLayout>> {
        Ok(match layout {
            wit::GpuLayoutMode::Specific(layout) => Some(self.table.get(layout)?.wgpu.clone()),
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
        let device = self.table.get(device)?;
        let claim = device.claim(Kind::Pipeline)?;
        let (theirs, label) = (device.wgpu().clone(), description.label.clone());
        let wgpu = device
            .gpu()
            .compiler()
            .run(move || description.create(&theirs))
            .map_err(|_| compiler_failed(device, &label))?;
        let device = device.clone();
        Ok(self.table.push(ComputePipeline { wgpu, label, device, _claim: claim })?)
    }

    /// <https://www.w3.org/TR/webgpu/#dom-gpudevice-createrenderpipeline>
    pub(super) fn make_render_pipeline(
        &mut self,
        device: &Resource<Device>,
        descriptor: wit::GpuRenderPipelineDescriptor,
    ) -> wasmtime::Result<Resource<RenderPipeline>> {
        let description = self.render_description(descriptor)?;
        let device = self.table.get(device)?;
        let claim = device.claim(Kind::Pipeline)?;
        let (theirs, label) = (device.wgpu().clone(), description.label.clone());
        let wgpu = device
            .gpu()
            .compiler()
            .run(move || description.create(&theirs))
            .map_err(|_| compiler_failed(device, &label))?;
        let device = device.clone();
        Ok(self.table.push(RenderPipeline { wgpu, label, device, _claim: claim })?)
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
        let label = description.label.clone();
        let device = self.table.get(device)?.clone();
        let claim = device.claim(Kind::Pipeline)?;
        let work = start(&device, move |device| description.create(device));
        Ok(async move { work.await.map(|wgpu| ComputePipeline { wgpu, label, device, _claim: claim }) })
    }

    /// <https://www.w3.org/TR/webgpu/#dom-gpudevice-createrenderpipelineasync>
    pub(super) fn start_render_pipeline(
        &mut self,
        device: &Resource<Device>,
        descriptor: wit::GpuRenderPipelineDescriptor,
    ) -> wasmtime::Result<impl Future<Output = Result<RenderPipeline, wit::CreatePipelineError>> + Send + use<>>
    {
        let description = self.render_description(descriptor)?;
        let label = description.label.clone();
        let device = self.table.get(device)?.clone();
        let claim = device.claim(Kind::Pipeline)?;
        let work = start(&device, move |device| description.create(device));
        Ok(async move { work.await.map(|wgpu| RenderPipeline { wgpu, label, device, _claim: claim }) })
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
