//! How the passes of `orbit-model` look to WebGPU: layouts, samplers, pipelines. Each is created once.

use kit::webgpu::{
    GpuAddressMode, GpuBindGroupLayout, GpuBindGroupLayoutDescriptor, GpuBindGroupLayoutEntry,
    GpuBufferBindingLayout, GpuCompareFunction, GpuCullMode, GpuDepthStencilState, GpuFilterMode,
    GpuRenderPipeline, GpuSampler, GpuSamplerBindingLayout, GpuSamplerBindingType, GpuSamplerDescriptor,
    GpuShaderStage, GpuTextureBindingLayout, GpuTextureFormat, GpuTextureSampleType, GpuVertexAttribute,
    GpuVertexBufferLayout, GpuVertexFormat,
};
use kit::{Gpu, RenderPipeline, depth_state};
use orbit_model::pass;

pub const DEPTH_FORMAT: GpuTextureFormat = GpuTextureFormat::Depth24plus;
pub const SHADOW_FORMAT: GpuTextureFormat = GpuTextureFormat::Depth16unorm;

pub struct Layouts {
    pub shadow: GpuBindGroupLayout,
    pub main: GpuBindGroupLayout,
}

impl Layouts {
    pub fn new(gpu: &Gpu) -> Self {
        let both = GpuShaderStage::VERTEX | GpuShaderStage::FRAGMENT;
        let uniforms = || GpuBindGroupLayoutEntry {
            buffer: Some(GpuBufferBindingLayout {
                type_: None,
                has_dynamic_offset: None,
                min_binding_size: None,
            }),
            ..nothing(0, both)
        };
        let texture = |sample_type| {
            Some(GpuTextureBindingLayout {
                sample_type: Some(sample_type),
                view_dimension: None,
                multisampled: None,
            })
        };
        let sampler = |type_| Some(GpuSamplerBindingLayout { type_: Some(type_) });
        let create = |label: &str, entries| {
            gpu.device().create_bind_group_layout(&GpuBindGroupLayoutDescriptor {
                entries,
                label: Some(label.into()),
            })
        };
        let fragment = GpuShaderStage::FRAGMENT;
        Self {
            shadow: create("shadow pass", vec![uniforms()]),
            main: create(
                "main pass",
                vec![
                    uniforms(),
                    GpuBindGroupLayoutEntry {
                        texture: texture(GpuTextureSampleType::Depth),
                        ..nothing(1, both)
                    },
                    GpuBindGroupLayoutEntry {
                        sampler: sampler(GpuSamplerBindingType::Comparison),
                        ..nothing(2, both)
                    },
                    GpuBindGroupLayoutEntry {
                        texture: texture(GpuTextureSampleType::Float),
                        ..nothing(3, fragment)
                    },
                    GpuBindGroupLayoutEntry {
                        sampler: sampler(GpuSamplerBindingType::Filtering),
                        ..nothing(4, fragment)
                    },
                ],
            ),
        }
    }
}

fn nothing(binding: u32, visibility: GpuShaderStage) -> GpuBindGroupLayoutEntry {
    GpuBindGroupLayoutEntry {
        binding,
        visibility,
        buffer: None,
        sampler: None,
        texture: None,
        storage_texture: None,
    }
}

/// Of the shadow map and of the glaze.
pub fn samplers(gpu: &Gpu) -> [GpuSampler; 2] {
    let create = |address_mode, compare| {
        gpu.device().create_sampler(Some(&GpuSamplerDescriptor {
            address_mode_u: Some(address_mode),
            address_mode_v: Some(address_mode),
            address_mode_w: None,
            mag_filter: Some(GpuFilterMode::Linear),
            min_filter: Some(GpuFilterMode::Linear),
            mipmap_filter: None,
            lod_min_clamp: None,
            lod_max_clamp: None,
            compare,
            max_anisotropy: None,
            label: None,
        }))
    };
    [
        create(GpuAddressMode::ClampToEdge, Some(GpuCompareFunction::LessEqual)),
        create(GpuAddressMode::Repeat, None),
    ]
}

pub struct Pipelines {
    pub shadow: GpuRenderPipeline,
    pub far_ground: GpuRenderPipeline,
    pub sky: GpuRenderPipeline,
    pub near_ground: GpuRenderPipeline,
    pub knot: GpuRenderPipeline,
}

impl Pipelines {
    pub fn new(gpu: &Gpu, layouts: &Layouts) -> Self {
        let shader = gpu.shader("orbit", orbit_model::SHADER);
        let create = |label, vertex, fragment, layout, vertex_buffers, depth| {
            gpu.render_pipeline(RenderPipeline {
                label,
                shader: &shader,
                vertex_entry_point: vertex,
                fragment_entry_point: fragment,
                vertex_buffers,
                bind_group_layout: Some(layout),
                cull_mode: Some(GpuCullMode::Back),
                depth: Some(depth),
                sample_count: 1,
            })
        };
        let main = &layouts.main;
        let solid = depth_state(DEPTH_FORMAT, true, GpuCompareFunction::Less);
        let painted = || depth_state(DEPTH_FORMAT, false, GpuCompareFunction::Always);
        let shadow_depth = GpuDepthStencilState {
            depth_bias: Some(pass::SHADOW_DEPTH_BIAS),
            depth_bias_slope_scale: Some(pass::SHADOW_DEPTH_BIAS_SLOPE_SCALE),
            ..depth_state(SHADOW_FORMAT, true, GpuCompareFunction::Less)
        };
        let backdrop = Some("backdrop_fragment");
        let near_ground = Some("near_ground_fragment");
        Self {
            shadow: create("shadow", "shadow_vertex", None, &layouts.shadow, vec![vertices()], shadow_depth),
            far_ground: create(
                "far ground",
                "far_ground_vertex",
                backdrop,
                main,
                vec![vertices()],
                painted(),
            ),
            sky: create("sky", "sky_vertex", backdrop, main, vec![], painted()),
            near_ground: create(
                "near ground",
                "near_ground_vertex",
                near_ground,
                main,
                vec![vertices()],
                painted(),
            ),
            knot: create("knot", "knot_vertex", Some("knot_fragment"), main, vec![vertices()], solid),
        }
    }
}

fn vertices() -> GpuVertexBufferLayout {
    let formats = [GpuVertexFormat::Float32x3, GpuVertexFormat::Float32x3, GpuVertexFormat::Float32x2];
    let attributes = (0..)
        .zip(formats)
        .zip(pass::ATTRIBUTE_OFFSETS)
        .map(|((shader_location, format), offset)| GpuVertexAttribute { format, offset, shader_location });
    GpuVertexBufferLayout {
        array_stride: pass::VERTEX_STRIDE,
        step_mode: None,
        attributes: attributes.collect(),
    }
}
