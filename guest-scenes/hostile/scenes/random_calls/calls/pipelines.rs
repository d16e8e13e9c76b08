//! Layouts, bind groups, shaders and pipelines.

use hostile::Random;
use kit::webgpu::*;

use super::{devices::all, keep, take};
use crate::values::Values as _;
use crate::{Result, World};

const COMPUTE: &str = "
@group(0) @binding(0) var<uniform> shift: vec4<u32>;
@group(0) @binding(1) var<storage, read_write> words: array<u32>;
override scale: f32 = 1.0;
var<workgroup> shared_words: array<u32, 64>;
@compute @workgroup_size(4) fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    shared_words[local + shift.y] = words[id.y];
    workgroupBarrier();
    words[id.x + shift.x] = shared_words[id.y] + u32(scale);
}";
const DRAWING: &str = "
override depth: f32 = 0.5;
@vertex fn main(@builtin(vertex_index) index: u32, @location(0) place: vec4<f32>) -> @builtin(position) vec4<f32> {
    return place + vec4<f32>(f32(index), f32(index & 1u), depth, 1.0);
}
@fragment fn fragment() -> @location(0) vec4<f32> { return vec4<f32>(1.0 / depth); }";
const TRIANGLE: &str = "
@vertex fn main(@builtin(vertex_index) index: u32) -> @builtin(position) vec4<f32> {
    return vec4<f32>(f32(index & 1u) * 4.0 - 1.0, f32(index & 2u) * 2.0 - 1.0, 0.5, 1.0);
}
@fragment fn fragment() -> @location(0) vec4<f32> { return vec4<f32>(1.0); }";

pub fn create_bind_group_layout(world: &mut World) {
    let device = take!(world.devices);
    let random = &mut world.random;
    let entries = (0..random.below(5)).map(|_| layout_entry(random)).collect();
    let layout =
        device.create_bind_group_layout(&GpuBindGroupLayoutDescriptor { entries, label: random.label() });
    keep!(world.bind_group_layouts, layout);
}

fn layout_entry(random: &mut Random) -> GpuBindGroupLayoutEntry {
    let kind = random.below(6);
    GpuBindGroupLayoutEntry {
        binding: if random.one_in(8) { random.number() } else { random.small() },
        visibility: GpuShaderStage::from_bits_truncate(random.any() as u8),
        buffer: (kind < 2 || kind == 5).then(|| GpuBufferBindingLayout {
            type_: random.pick(&[
                None,
                Some(GpuBufferBindingType::Uniform),
                Some(GpuBufferBindingType::Storage),
                Some(GpuBufferBindingType::ReadOnlyStorage),
            ]),
            has_dynamic_offset: random.flag(),
            min_binding_size: random.one_in(3).then(|| random.size()),
        }),
        sampler: (kind == 2).then(|| GpuSamplerBindingLayout {
            type_: random.pick(&[
                None,
                Some(GpuSamplerBindingType::NonFiltering),
                Some(GpuSamplerBindingType::Comparison),
            ]),
        }),
        texture: (kind == 3 || kind == 5).then(|| GpuTextureBindingLayout {
            sample_type: random.pick(&[
                None,
                Some(GpuTextureSampleType::Depth),
                Some(GpuTextureSampleType::Uint),
                Some(GpuTextureSampleType::UnfilterableFloat),
            ]),
            view_dimension: random.one_in(3).then(|| random.view_dimension()),
            multisampled: random.flag(),
        }),
        storage_texture: (kind == 4).then(|| GpuStorageTextureBindingLayout {
            access: random.pick(&[
                None,
                Some(GpuStorageTextureAccess::WriteOnly),
                Some(GpuStorageTextureAccess::ReadOnly),
                Some(GpuStorageTextureAccess::ReadWrite),
            ]),
            format: random.format(),
            view_dimension: random.one_in(3).then(|| random.view_dimension()),
        }),
    }
}

pub fn create_pipeline_layout(world: &mut World) {
    let device = take!(world.devices);
    let layouts = world.objects.bind_group_layouts.some(&mut world.random, 6);
    let random = &mut world.random;
    let mut bind_group_layouts: Vec<_> = all(&layouts).into_iter().map(Some).collect();
    if random.one_in(4) {
        bind_group_layouts.push(None);
    }
    let layout = device.create_pipeline_layout(&GpuPipelineLayoutDescriptor {
        bind_group_layouts,
        immediate_size: random.one_in(3).then(|| random.number()),
        label: random.label(),
    });
    keep!(world.pipeline_layouts, layout);
}

pub fn create_bind_group(world: &mut World) {
    let device = take!(world.devices);
    let layout = take!(world.bind_group_layouts);
    let buffers = world.objects.buffers.some(&mut world.random, 3);
    let textures = world.objects.textures.some(&mut world.random, 1);
    let views = world.objects.views.some(&mut world.random, 1);
    let samplers = world.objects.samplers.some(&mut world.random, 1);
    let random = &mut world.random;
    let mut resources: Vec<GpuBindingResource<'_>> = Vec::new();
    for buffer in all(&buffers) {
        resources.push(if random.one_in(2) {
            GpuBindingResource::GpuBuffer(buffer)
        } else {
            GpuBindingResource::GpuBufferBinding(GpuBufferBinding {
                buffer,
                offset: random.maybe(|random| random.offset()),
                size: random.maybe(|random| random.size()),
            })
        });
    }
    resources.extend(all(&textures).into_iter().map(GpuBindingResource::GpuTexture));
    resources.extend(all(&views).into_iter().map(GpuBindingResource::GpuTextureView));
    resources.extend(all(&samplers).into_iter().map(GpuBindingResource::GpuSampler));
    let entries = resources
        .into_iter()
        .zip(0..)
        .map(|(resource, number)| GpuBindGroupEntry {
            binding: if random.one_in(8) { random.number() } else { number },
            resource,
        })
        .collect();
    let group =
        device.create_bind_group(&GpuBindGroupDescriptor { layout: &layout, entries, label: random.label() });
    keep!(world.bind_groups, group);
}

/// Right, cut, repeated and mixed; never with a loop.
fn source(random: &mut Random) -> String {
    let mut source = random.pick(&[COMPUTE, DRAWING, TRIANGLE]).to_owned();
    match random.below(8) {
        0 => return random.text(),
        1 => return " ".repeat(300_000),
        2..5 => {
            for _ in 0..=random.below(4) {
                let start = random.below(source.len());
                let end = (start + random.below(40)).min(source.len());
                let part = source[start..end].to_owned();
                match random.below(3) {
                    0 => source.replace_range(start..end, ""),
                    1 => source.insert_str(end, &part),
                    _ => source.insert_str(random.below(source.len()), &part),
                }
                if source.is_empty() {
                    break;
                }
            }
        }
        _ => {}
    }
    source
}

pub fn create_shader_module(world: &mut World) {
    let device = take!(world.devices);
    let layout = world.objects.pipeline_layouts.any(&mut world.random);
    let random = &mut world.random;
    let compilation_hints = random.one_in(4).then(|| {
        let layout = match &layout {
            Some(layout) => GpuLayoutMode::Specific(layout),
            None => GpuLayoutMode::Auto,
        };
        vec![GpuShaderModuleCompilationHint { entry_point: random.text(), layout: Some(layout) }]
    });
    let module = device.create_shader_module(&GpuShaderModuleDescriptor {
        code: source(random),
        compilation_hints,
        label: random.label(),
    });
    keep!(world.modules, module);
}

pub fn compilation_info(world: &mut World) {
    let module = take!(world.modules);
    world.start(async move {
        let info = module.get_compilation_info().await;
        Some(Box::new(|objects: &mut crate::Objects, random: &mut Random| {
            objects.compilation_infos.add(random, info)
        }) as Result)
    });
}

pub fn compilation_message(world: &mut World) {
    if let Some(info) = world.objects.compilation_infos.any(&mut world.random) {
        for message in info.messages() {
            keep!(world.compilation_messages, message);
        }
    }
    let message = take!(world.compilation_messages);
    drop((message.message(), message.type_(), message.line_num(), message.line_pos()));
    message.offset();
    message.length();
}

pub fn record_of_constants(world: &mut World) {
    if world.random.one_in(4) {
        keep!(world.constants, RecordGpuPipelineConstantValue::new());
    }
    let record = take!(world.constants);
    let key = world.random.pick(&["scale", "", "no", "\0", "\u{10ffff}", "maxBindGroups"]);
    match world.random.below(6) {
        0 => record.add(key, f64::from(world.random.float())),
        1 => record.remove(key),
        2 => drop(record.get(key)),
        3 => drop((record.has(key), record.keys())),
        4 => drop(record.values()),
        _ => drop(record.entries()),
    }
}

fn constants(random: &mut Random) -> Option<RecordGpuPipelineConstantValue> {
    random.one_in(3).then(|| {
        let record = RecordGpuPipelineConstantValue::new();
        for _ in 0..random.below(3) {
            record.add(random.pick(&["scale", "depth", "", "no", "0"]), f64::from(random.float()));
        }
        record
    })
}

fn entry_point(random: &mut Random) -> Option<String> {
    random.pick(&[None, Some("main"), Some("main"), Some("fragment"), Some("")]).map(Into::into)
}

/// Calls with a description of a compute pipeline.
macro_rules! with_compute_pipeline {
    ($world:ident, $device:ident, $descriptor:ident => $call:expr) => {
        let $device = take!($world.devices);
        let module = take!($world.modules);
        let layout =
            $world.objects.pipeline_layouts.any(&mut $world.random).filter(|_| $world.random.one_in(2));
        let random = &mut $world.random;
        let (entry_point, constants, label) = (entry_point(random), constants(random), random.label());
        #[allow(unused_mut, reason = "one of the two calls moves it")]
        let $descriptor = move || (module, layout, entry_point, constants, label);
        $call
    };
}

fn compute_descriptor<'a>(
    module: &'a GpuShaderModule,
    layout: Option<&'a GpuPipelineLayout>,
    entry_point: Option<String>,
    constants: Option<RecordGpuPipelineConstantValue>,
    label: Option<String>,
) -> GpuComputePipelineDescriptor<'a> {
    GpuComputePipelineDescriptor {
        compute: GpuProgrammableStage { module, entry_point, constants },
        layout: layout.map_or(GpuLayoutMode::Auto, GpuLayoutMode::Specific),
        label,
    }
}

pub fn create_compute_pipeline(world: &mut World) {
    with_compute_pipeline!(world, device, parts => {
        let (module, layout, entry_point, constants, label) = parts();
        let descriptor = compute_descriptor(&module, layout.as_deref(), entry_point, constants, label);
        keep!(world.compute_pipelines, device.create_compute_pipeline(descriptor));
    });
}

pub fn create_compute_pipeline_async(world: &mut World) {
    with_compute_pipeline!(world, device, parts => {
        let (module, layout, entry_point, constants, label) = parts();
        world.start(async move {
            let descriptor = compute_descriptor(&module, layout.as_deref(), entry_point, constants, label);
            let pipeline = device.create_compute_pipeline_async(descriptor).await.ok()?;
            Some(Box::new(|objects: &mut crate::Objects, random: &mut Random| {
                objects.compute_pipelines.add(random, pipeline);
            }) as Result)
        });
    });
}

/// All of a render pipeline's description that borrows nothing.
struct RenderParts {
    entry_points: [Option<String>; 2],
    constants: [Option<RecordGpuPipelineConstantValue>; 2],
    buffers: Option<Vec<Option<GpuVertexBufferLayout>>>,
    targets: Option<Vec<Option<GpuColorTargetState>>>,
    primitive: Option<GpuPrimitiveState>,
    depth_stencil: Option<GpuDepthStencilState>,
    multisample: Option<GpuMultisampleState>,
    label: Option<String>,
}

fn vertex_buffers(random: &mut Random) -> Vec<Option<GpuVertexBufferLayout>> {
    let buffer = |random: &mut Random| GpuVertexBufferLayout {
        array_stride: random.pick(&[16, 16, 0, 1, 3, 2048, 2052, u64::MAX]),
        step_mode: random.pick(&[None, Some(GpuVertexStepMode::Instance)]),
        attributes: (0..random.below(3))
            .map(|_| GpuVertexAttribute {
                format: random.pick(&[
                    GpuVertexFormat::Float32x4,
                    GpuVertexFormat::Uint8,
                    GpuVertexFormat::Unorm1010102,
                ]),
                offset: random.pick(&[0, 0, 4, 1, u64::MAX]),
                shader_location: random.pick(&[0, 0, 1, 15, 16, u32::MAX]),
            })
            .collect(),
    };
    (0..random.below(4)).map(|_| random.maybe(buffer)).collect()
}

fn render_parts(random: &mut Random) -> RenderParts {
    use GpuPrimitiveTopology::{LineStrip, PointList, TriangleList, TriangleStrip};
    let face = |random: &mut Random| GpuStencilFaceState {
        compare: random.maybe(|random| random.compare()),
        fail_op: random.pick(&[
            None,
            Some(GpuStencilOperation::Invert),
            Some(GpuStencilOperation::IncrementWrap),
        ]),
        depth_fail_op: None,
        pass_op: random.pick(&[None, Some(GpuStencilOperation::Replace)]),
    };
    let component = |random: &mut Random| GpuBlendComponent {
        operation: random.pick(&[None, Some(GpuBlendOperation::Min), Some(GpuBlendOperation::Add)]),
        src_factor: random.pick(&[None, Some(GpuBlendFactor::Src1Alpha), Some(GpuBlendFactor::Constant)]),
        dst_factor: random.pick(&[None, Some(GpuBlendFactor::SrcAlphaSaturated), Some(GpuBlendFactor::One)]),
    };
    let target = |random: &mut Random| GpuColorTargetState {
        format: random.format(),
        blend: random.one_in(4).then(|| GpuBlendState { color: component(random), alpha: component(random) }),
        write_mask: random.one_in(3).then(|| GpuColorWrite::from_bits_truncate(random.any() as u8)),
    };
    RenderParts {
        entry_points: [entry_point(random), Some("fragment".into()).filter(|_| !random.one_in(4))],
        constants: [constants(random), constants(random)],
        buffers: random.one_in(2).then(|| vertex_buffers(random)),
        targets: random.maybe(|random| (0..random.below(3)).map(|_| random.maybe(target)).collect()),
        primitive: random.maybe(|random| GpuPrimitiveState {
            topology: random.pick(&[
                None,
                Some(TriangleList),
                Some(TriangleStrip),
                Some(LineStrip),
                Some(PointList),
            ]),
            strip_index_format: random.pick(&[None, None, Some(GpuIndexFormat::Uint16)]),
            front_face: None,
            cull_mode: random.pick(&[None, Some(GpuCullMode::Back), Some(GpuCullMode::None)]),
            unclipped_depth: random.flag(),
        }),
        depth_stencil: random.one_in(3).then(|| GpuDepthStencilState {
            format: random.format(),
            depth_write_enabled: random.flag(),
            depth_compare: random.maybe(|random| random.compare()),
            stencil_front: random.maybe(face),
            stencil_back: random.maybe(face),
            stencil_read_mask: random.maybe(|random| random.number()),
            stencil_write_mask: random.maybe(|random| random.number()),
            depth_bias: random.pick(&[None, Some(i32::MIN), Some(i32::MAX)]),
            depth_bias_slope_scale: random.maybe(|random| random.float()),
            depth_bias_clamp: random.maybe(|random| random.float()),
        }),
        multisample: random.one_in(3).then(|| GpuMultisampleState {
            count: random.pick(&[None, Some(0), Some(1), Some(4), Some(u32::MAX)]),
            mask: random.maybe(|random| random.number()),
            alpha_to_coverage_enabled: random.flag(),
        }),
        label: random.label(),
    }
}

fn render_descriptor<'a>(
    module: &'a GpuShaderModule,
    layout: Option<&'a GpuPipelineLayout>,
    parts: RenderParts,
) -> GpuRenderPipelineDescriptor<'a> {
    let [vertex_entry_point, fragment_entry_point] = parts.entry_points;
    let [vertex_constants, fragment_constants] = parts.constants;
    GpuRenderPipelineDescriptor {
        vertex: GpuVertexState {
            buffers: parts.buffers,
            module,
            entry_point: vertex_entry_point,
            constants: vertex_constants,
        },
        primitive: parts.primitive,
        depth_stencil: parts.depth_stencil,
        multisample: parts.multisample,
        fragment: parts.targets.map(|targets| GpuFragmentState {
            targets,
            module,
            entry_point: fragment_entry_point,
            constants: fragment_constants,
        }),
        layout: layout.map_or(GpuLayoutMode::Auto, GpuLayoutMode::Specific),
        label: parts.label,
    }
}

pub fn create_render_pipeline(world: &mut World) {
    let device = take!(world.devices);
    let module = take!(world.modules);
    let layout = world.objects.pipeline_layouts.any(&mut world.random).filter(|_| world.random.one_in(3));
    let descriptor = render_descriptor(&module, layout.as_deref(), render_parts(&mut world.random));
    keep!(world.render_pipelines, device.create_render_pipeline(descriptor));
}

pub fn create_render_pipeline_async(world: &mut World) {
    let device = take!(world.devices);
    let module = take!(world.modules);
    let layout = world.objects.pipeline_layouts.any(&mut world.random).filter(|_| world.random.one_in(3));
    let parts = render_parts(&mut world.random);
    world.start(async move {
        let descriptor = render_descriptor(&module, layout.as_deref(), parts);
        let pipeline = device.create_render_pipeline_async(descriptor).await.ok()?;
        Some(Box::new(|objects: &mut crate::Objects, random: &mut Random| {
            objects.render_pipelines.add(random, pipeline);
        }) as Result)
    });
}

pub fn compute_pipeline_layout(world: &mut World) {
    let pipeline = take!(world.compute_pipelines);
    keep!(world.bind_group_layouts, pipeline.get_bind_group_layout(world.random.number()));
}

pub fn render_pipeline_layout(world: &mut World) {
    let pipeline = take!(world.render_pipelines);
    keep!(world.bind_group_layouts, pipeline.get_bind_group_layout(world.random.number()));
}

/// Pipelines and a bind group that are right, so that commands come further than to the first error.
pub fn right_ones(world: &mut World) {
    let device = take!(world.devices);
    let shader = |code: &str| {
        device.create_shader_module(&GpuShaderModuleDescriptor {
            code: code.into(),
            compilation_hints: None,
            label: None,
        })
    };
    let compute = shader(COMPUTE);
    let pipeline = device.create_compute_pipeline(compute_descriptor(&compute, None, None, None, None));
    let layout = pipeline.get_bind_group_layout(0);
    let buffer = |usage| {
        device.create_buffer(&GpuBufferDescriptor { size: 256, usage, mapped_at_creation: None, label: None })
    };
    let (uniform, storage) = (
        buffer(GpuBufferUsage::UNIFORM | GpuBufferUsage::COPY_DST),
        buffer(GpuBufferUsage::STORAGE | GpuBufferUsage::COPY_SRC),
    );
    let group = device.create_bind_group(&GpuBindGroupDescriptor {
        layout: &layout,
        entries: vec![
            GpuBindGroupEntry { binding: 0, resource: GpuBindingResource::GpuBuffer(&uniform) },
            GpuBindGroupEntry { binding: 1, resource: GpuBindingResource::GpuBuffer(&storage) },
        ],
        label: None,
    });
    let triangle = shader(TRIANGLE);
    let target = GpuColorTargetState { format: GpuTextureFormat::Rgba8unorm, blend: None, write_mask: None };
    let parts = RenderParts {
        entry_points: [None, None],
        constants: [None, None],
        buffers: None,
        targets: Some(vec![Some(target)]),
        primitive: None,
        depth_stencil: None,
        multisample: None,
        label: None,
    };
    let drawing = device.create_render_pipeline(render_descriptor(&triangle, None, parts));
    keep!(world.compute_pipelines, pipeline);
    keep!(world.bind_group_layouts, layout);
    keep!(world.buffers, uniform);
    keep!(world.buffers, storage);
    keep!(world.bind_groups, group);
    keep!(world.modules, triangle);
    keep!(world.render_pipelines, drawing);
}
