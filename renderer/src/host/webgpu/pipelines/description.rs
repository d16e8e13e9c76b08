//! What a pipeline is made of, owned, so that it can go to the compiler's thread: checked where wgpu would not, and made there.
//!
//! Knows wgpu's descriptors and devices, and nothing of a scene's handles or of what is counted but the claims that it keeps.

use std::sync::Arc;

use super::super::convert;
use super::super::quota::Claim;
use super::super::shaders::invalid_module;
use crate::gpu::workgroup_bytes;

/// A descriptor of a pipeline that owns all it speaks of, so that it can go to the compiler's thread.
pub(super) trait Description: Send + 'static {
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
pub(super) struct Stage {
    pub(super) module: wgpu::ShaderModule,
    /// The source of a compute shader that may take workgroup memory.
    pub(super) workgroup_source: Option<Arc<str>>,
    /// What the shader takes of immediate data.
    pub(super) immediate_bytes: u32,
    /// Of the shader module, which wgpu's pipeline keeps.
    pub(super) claim: Option<Arc<Claim>>,
    pub(super) entry_point: Option<String>,
    pub(super) constants: Vec<(String, f64)>,
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
pub(super) struct Layout {
    pub(super) wgpu: wgpu::PipelineLayout,
    pub(super) immediate_bytes: u32,
}

pub(super) struct ComputeDescription {
    pub(super) label: String,
    pub(super) layout: Option<Layout>,
    pub(super) stage: Stage,
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

pub(super) struct VertexBuffer {
    pub(super) array_stride: u64,
    pub(super) step_mode: wgpu::VertexStepMode,
    pub(super) attributes: Vec<wgpu::VertexAttribute>,
}

pub(super) struct RenderDescription {
    pub(super) label: String,
    pub(super) layout: Option<Layout>,
    pub(super) vertex: Stage,
    pub(super) buffers: Vec<Option<VertexBuffer>>,
    pub(super) primitive: wgpu::PrimitiveState,
    pub(super) depth_stencil: Option<wgpu::DepthStencilState>,
    pub(super) multisample: wgpu::MultisampleState,
    pub(super) fragment: Option<(Stage, Vec<Option<wgpu::ColorTargetState>>)>,
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
