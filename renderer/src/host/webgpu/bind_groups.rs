//! Bind group layouts, bind groups and pipeline layouts (<https://www.w3.org/TR/webgpu/#bindings>).

use std::num::NonZeroU64;
use std::sync::Arc;

use wasmtime::component::Resource;

use super::WebGpuCtxView;
use super::bindings::wasi::webgpu::webgpu as wit;
use super::device::Device;
use super::labels;
use super::quota::{Claim, Kind};
use super::textures::{Lives, ViewClaim};

/// `gpu-bind-group-layout`
pub struct BindGroupLayout {
    pub(super) wgpu: wgpu::BindGroupLayout,
    pub(super) label: String,
    pub(super) _claim: Arc<Claim>,
}

/// `gpu-bind-group`
pub struct BindGroup {
    pub(super) wgpu: wgpu::BindGroup,
    /// Of the textures of surfaces that are in it.
    pub(super) lives: Lives,
    label: String,
    _claim: Arc<Claim>,
    _kept: Vec<Kept>,
}

/// What a bind group keeps that has memory.
enum Kept {
    Memory { _claim: Option<Arc<Claim>> },
    View { _claim: ViewClaim },
}

/// `gpu-pipeline-layout`
pub struct PipelineLayout {
    pub(super) wgpu: wgpu::PipelineLayout,
    pub(super) immediate_bytes: u32,
    label: String,
    _claim: Arc<Claim>,
}

/// A binding number that no layout can have: their numbers are below `maxBindingsPerBindGroup`.
const NO_BINDING: u32 = u32::MAX;

/// <https://www.w3.org/TR/webgpu/#dictdef-gpubindgrouplayoutentry>
fn layout_entry(entry: &wit::GpuBindGroupLayoutEntry) -> Result<wgpu::BindGroupLayoutEntry, String> {
    let ty = match (entry.buffer, entry.sampler, entry.texture, entry.storage_texture) {
        (Some(buffer), None, None, None) => wgpu::BindingType::Buffer {
            ty: match buffer.type_.unwrap_or(wit::GpuBufferBindingType::Uniform) {
                wit::GpuBufferBindingType::Uniform => wgpu::BufferBindingType::Uniform,
                wit::GpuBufferBindingType::Storage => wgpu::BufferBindingType::Storage { read_only: false },
                wit::GpuBufferBindingType::ReadOnlyStorage => {
                    wgpu::BufferBindingType::Storage { read_only: true }
                }
            },
            has_dynamic_offset: buffer.has_dynamic_offset.unwrap_or(false),
            min_binding_size: NonZeroU64::new(buffer.min_binding_size.unwrap_or(0)),
        },
        (None, Some(sampler), None, None) => {
            wgpu::BindingType::Sampler(match sampler.type_.unwrap_or(wit::GpuSamplerBindingType::Filtering) {
                wit::GpuSamplerBindingType::Filtering => wgpu::SamplerBindingType::Filtering,
                wit::GpuSamplerBindingType::NonFiltering => wgpu::SamplerBindingType::NonFiltering,
                wit::GpuSamplerBindingType::Comparison => wgpu::SamplerBindingType::Comparison,
            })
        }
        (None, None, Some(texture), None) => wgpu::BindingType::Texture {
            sample_type: match texture.sample_type.unwrap_or(wit::GpuTextureSampleType::Float) {
                wit::GpuTextureSampleType::Float => wgpu::TextureSampleType::Float { filterable: true },
                wit::GpuTextureSampleType::UnfilterableFloat => {
                    wgpu::TextureSampleType::Float { filterable: false }
                }
                wit::GpuTextureSampleType::Depth => wgpu::TextureSampleType::Depth,
                wit::GpuTextureSampleType::Sint => wgpu::TextureSampleType::Sint,
                wit::GpuTextureSampleType::Uint => wgpu::TextureSampleType::Uint,
            },
            view_dimension: texture.view_dimension.map_or(wgpu::TextureViewDimension::D2, Into::into),
            multisampled: texture.multisampled.unwrap_or(false),
        },
        (None, None, None, Some(texture)) => wgpu::BindingType::StorageTexture {
            access: texture.access.map_or(wgpu::StorageTextureAccess::WriteOnly, Into::into),
            format: texture.format.into(),
            view_dimension: texture.view_dimension.map_or(wgpu::TextureViewDimension::D2, Into::into),
        },
        _ => {
            return Err(format!(
                "entry {} of a bind group layout must have exactly one of buffer, sampler, texture and storage-texture",
                entry.binding
            ));
        }
    };
    Ok(wgpu::BindGroupLayoutEntry {
        binding: entry.binding,
        visibility: entry.visibility.into(),
        ty,
        count: None,
    })
}

impl WebGpuCtxView<'_> {
    /// <https://www.w3.org/TR/webgpu/#dom-gpudevice-createbindgrouplayout>
    pub(super) fn make_bind_group_layout(
        &mut self,
        device: &Resource<Device>,
        descriptor: wit::GpuBindGroupLayoutDescriptor,
    ) -> wasmtime::Result<Resource<BindGroupLayout>> {
        let device = self.table.get(device)?;
        let claim = device.claim(Kind::Layout)?;
        let label = labels::of(descriptor.label);
        let entries: Result<Vec<_>, String> = descriptor.entries.iter().map(layout_entry).collect();
        let wgpu = match entries {
            Ok(entries) => device.wgpu().create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
                label: Some(&label),
                entries: &entries,
            }),
            Err(message) => device.make_invalid(message, |device| {
                let entry = wgpu::BindGroupLayoutEntry {
                    binding: NO_BINDING,
                    visibility: wgpu::ShaderStages::NONE,
                    ty: wgpu::BindingType::Sampler(wgpu::SamplerBindingType::Filtering),
                    count: None,
                };
                device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
                    label: Some(&label),
                    entries: &[entry],
                })
            }),
        };
        Ok(self.table.push(BindGroupLayout { wgpu, label, _claim: claim })?)
    }

    /// <https://www.w3.org/TR/webgpu/#dom-gpudevice-createpipelinelayout>
    pub(super) fn make_pipeline_layout(
        &mut self,
        device: &Resource<Device>,
        descriptor: wit::GpuPipelineLayoutDescriptor,
    ) -> wasmtime::Result<Resource<PipelineLayout>> {
        let device = self.table.get(device)?;
        let claim = device.claim(Kind::Layout)?;
        let label = labels::of(descriptor.label);
        let mut layouts = Vec::with_capacity(descriptor.bind_group_layouts.len());
        for layout in &descriptor.bind_group_layouts {
            layouts.push(match layout {
                Some(layout) => Some(&self.table.get(layout)?.wgpu),
                None => None,
            });
        }
        let immediate_bytes = descriptor.immediate_size.unwrap_or(0);
        // wgpu asserts this one.
        let limit = usize::try_from(device.wgpu().limits().max_bind_groups)?;
        let wgpu = if layouts.len() <= limit {
            device.wgpu().create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: Some(&label),
                bind_group_layouts: &layouts,
                immediate_size: immediate_bytes,
            })
        } else {
            let message = format!(
                "the pipeline layout {label:?} has {} bind group layouts; this device allows {limit}",
                layouts.len()
            );
            device.make_invalid(message, |device| {
                device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                    label: Some(&label),
                    bind_group_layouts: &[],
                    immediate_size: u32::MAX,
                })
            })
        };
        Ok(self.table.push(PipelineLayout { wgpu, immediate_bytes, label, _claim: claim })?)
    }

    /// <https://www.w3.org/TR/webgpu/#dom-gpudevice-createbindgroup>
    pub(super) fn make_bind_group(
        &mut self,
        device: &Resource<Device>,
        descriptor: wit::GpuBindGroupDescriptor,
    ) -> wasmtime::Result<Resource<BindGroup>> {
        let device = self.table.get(device)?;
        let claim = device.claim(Kind::BindGroup)?;
        let label = labels::of(descriptor.label);
        // A texture stands for its default view, which has to live until the group is made.
        let mut views = Vec::new();
        let mut kept = Vec::with_capacity(descriptor.entries.len());
        let mut lives = Lives::default();
        for entry in &descriptor.entries {
            if let wit::GpuBindingResource::GpuTexture(texture) = &entry.resource {
                let texture = self.table.get(texture)?;
                kept.push(Kept::Memory { _claim: texture.claim.clone() });
                views.push(texture.default_view());
                lives.extend(&texture.life);
            }
            if let wit::GpuBindingResource::GpuTextureView(view) = &entry.resource {
                lives.extend(&self.table.get(view)?.life);
            }
        }
        let mut views = views.iter();
        let mut refusal = None;
        let mut entries = Vec::with_capacity(descriptor.entries.len());
        for entry in &descriptor.entries {
            let resource = match &entry.resource {
                wit::GpuBindingResource::GpuBuffer(buffer) => {
                    let buffer = self.table.get(buffer)?;
                    kept.push(Kept::Memory { _claim: buffer.claim.clone() });
                    buffer.wgpu.as_entire_binding()
                }
                wit::GpuBindingResource::GpuBufferBinding(binding) => {
                    let buffer = self.table.get(&binding.buffer)?;
                    kept.push(Kept::Memory { _claim: buffer.claim.clone() });
                    if binding.size == Some(0) {
                        refusal = Some(format!(
                            "binding {} of the bind group {label:?} has no bytes",
                            entry.binding
                        ));
                    }
                    wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                        buffer: &buffer.wgpu,
                        offset: binding.offset.unwrap_or(0),
                        size: binding.size.and_then(NonZeroU64::new),
                    })
                }
                wit::GpuBindingResource::GpuSampler(sampler) => {
                    let sampler = self.table.get(sampler)?;
                    kept.push(Kept::Memory { _claim: Some(Arc::clone(&sampler.claim)) });
                    wgpu::BindingResource::Sampler(&sampler.wgpu)
                }
                wit::GpuBindingResource::GpuTextureView(view) => {
                    let view = self.table.get(view)?;
                    kept.push(Kept::View { _claim: view.claim.clone() });
                    wgpu::BindingResource::TextureView(&view.wgpu)
                }
                wit::GpuBindingResource::GpuTexture(_) => match views.next() {
                    Some(view) => wgpu::BindingResource::TextureView(view),
                    // One view was made for each texture.
                    None => continue,
                },
            };
            entries.push(wgpu::BindGroupEntry { binding: entry.binding, resource });
        }
        let most = usize::try_from(device.wgpu().limits().max_bindings_per_bind_group).unwrap_or(usize::MAX);
        if entries.len() > most {
            refusal =
                Some(format!("the bind group {label:?} has {} entries; {most} are allowed", entries.len()));
            // What is refused keeps nothing.
            (kept, lives) = (Vec::new(), Lives::default());
        }
        let layout = &self.table.get(&descriptor.layout)?.wgpu;
        let create = |device: &wgpu::Device, entries: &[wgpu::BindGroupEntry<'_>]| {
            device.create_bind_group(&wgpu::BindGroupDescriptor { label: Some(&label), layout, entries })
        };
        let wgpu = match refusal {
            None => create(device.wgpu(), &entries),
            Some(message) => {
                for entry in &mut entries {
                    entry.binding = NO_BINDING;
                }
                device.make_invalid(message, |device| create(device, &entries))
            }
        };
        Ok(self.table.push(BindGroup { wgpu, lives, label, _claim: claim, _kept: kept })?)
    }
}

impl wit::HostGpuBindGroupLayout for WebGpuCtxView<'_> {
    super::object_base!(BindGroupLayout);
}

impl wit::HostGpuBindGroup for WebGpuCtxView<'_> {
    super::object_base!(BindGroup);
}

impl wit::HostGpuPipelineLayout for WebGpuCtxView<'_> {
    super::object_base!(PipelineLayout);
}

/// The dynamic offsets of a `set-bind-group`: all that were given, or the part that is named.
/// <https://www.w3.org/TR/webgpu/#gpubindingcommandsmixin-setbindgroup-uint32array>
pub(super) fn dynamic_offsets(
    offsets: Option<&[u32]>,
    start: Option<u64>,
    length: Option<u32>,
) -> Result<&[u32], wit::SetBindGroupError> {
    let offsets = offsets.unwrap_or(&[]);
    if start.is_none() && length.is_none() {
        return Ok(offsets);
    }
    let range = || {
        let start = usize::try_from(start.unwrap_or(0)).ok()?;
        let rest = offsets.get(start..)?;
        match length {
            Some(length) => rest.get(..usize::try_from(length).ok()?),
            None => Some(rest),
        }
    };
    range().ok_or_else(|| wit::SetBindGroupError {
        kind: wit::SetBindGroupErrorKind::RangeError,
        message: format!(
            "the part from {start:?} of length {length:?} is not within the {} dynamic offsets",
            offsets.len()
        ),
    })
}
