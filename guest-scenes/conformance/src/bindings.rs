//! Entries of bind group layouts and bind groups, for compute shaders.

use kit::webgpu::*;

/// An entry without a resource, which is wrong as it is.
pub const ENTRY: GpuBindGroupLayoutEntry = GpuBindGroupLayoutEntry {
    binding: 0,
    visibility: GpuShaderStage::COMPUTE,
    buffer: None,
    sampler: None,
    texture: None,
    storage_texture: None,
};

/// A buffer without dynamic offset.
pub fn buffer_entry(
    binding: u32,
    type_: GpuBufferBindingType,
    min_binding_size: Option<u64>,
) -> GpuBindGroupLayoutEntry {
    GpuBindGroupLayoutEntry {
        binding,
        buffer: Some(GpuBufferBindingLayout {
            type_: Some(type_),
            has_dynamic_offset: None,
            min_binding_size,
        }),
        ..ENTRY
    }
}

/// A texture at binding 0.
pub fn texture_entry(
    sample_type: Option<GpuTextureSampleType>,
    view_dimension: Option<GpuTextureViewDimension>,
    multisampled: Option<bool>,
) -> GpuBindGroupLayoutEntry {
    GpuBindGroupLayoutEntry {
        texture: Some(GpuTextureBindingLayout { sample_type, view_dimension, multisampled }),
        ..ENTRY
    }
}

/// A storage texture at binding 0.
pub fn storage_texture_entry(
    access: Option<GpuStorageTextureAccess>,
    format: GpuTextureFormat,
    view_dimension: Option<GpuTextureViewDimension>,
) -> GpuBindGroupLayoutEntry {
    GpuBindGroupLayoutEntry {
        storage_texture: Some(GpuStorageTextureBindingLayout { access, format, view_dimension }),
        ..ENTRY
    }
}

/// A sampler at binding 0.
pub fn sampler_entry(type_: Option<GpuSamplerBindingType>) -> GpuBindGroupLayoutEntry {
    GpuBindGroupLayoutEntry { sampler: Some(GpuSamplerBindingLayout { type_ }), ..ENTRY }
}

/// A bind group layout.
pub fn layout(device: &GpuDevice, entries: Vec<GpuBindGroupLayoutEntry>) -> GpuBindGroupLayout {
    device.create_bind_group_layout(&GpuBindGroupLayoutDescriptor { entries, label: None })
}

/// A bind group.
pub fn group(
    device: &GpuDevice,
    layout: &GpuBindGroupLayout,
    entries: Vec<GpuBindGroupEntry<'_>>,
) -> GpuBindGroup {
    device.create_bind_group(&GpuBindGroupDescriptor { layout, entries, label: None })
}

/// One entry of a bind group.
pub fn entry(binding: u32, resource: GpuBindingResource<'_>) -> GpuBindGroupEntry<'_> {
    GpuBindGroupEntry { binding, resource }
}

/// A storage buffer that is written, with or without dynamic offset.
pub fn storage_entry(binding: u32, has_dynamic_offset: bool) -> GpuBindGroupLayoutEntry {
    GpuBindGroupLayoutEntry {
        binding,
        visibility: GpuShaderStage::COMPUTE,
        buffer: Some(GpuBufferBindingLayout {
            type_: Some(GpuBufferBindingType::Storage),
            has_dynamic_offset: Some(has_dynamic_offset),
            min_binding_size: None,
        }),
        sampler: None,
        texture: None,
        storage_texture: None,
    }
}
