//! Adapters, devices, and what they say of errors.

use std::rc::Rc;

use hostile::Random;
use kit::webgpu::*;
use kit::webgpu_objects::on_uncaptured_error_event;

use super::{keep, take};
use crate::values::Values as _;
use crate::{Result, World};

/// Requests of devices that go on while the sequence does; a session ends when it has more than eight devices.
const DEVICE_REQUESTS_IN: usize = 12;
const FEATURES: &[GpuFeatureName] = &[
    GpuFeatureName::CoreFeaturesAndLimits,
    GpuFeatureName::DepthClipControl,
    GpuFeatureName::Depth32floatStencil8,
    GpuFeatureName::TextureCompressionBc,
    GpuFeatureName::TextureCompressionEtc2,
    GpuFeatureName::TimestampQuery,
    GpuFeatureName::IndirectFirstInstance,
    GpuFeatureName::ShaderF16,
    GpuFeatureName::Float32Filterable,
    GpuFeatureName::DualSourceBlending,
    GpuFeatureName::Subgroups,
    GpuFeatureName::TextureComponentSwizzle,
];
const FILTERS: &[GpuErrorFilter] =
    &[GpuErrorFilter::Validation, GpuErrorFilter::OutOfMemory, GpuErrorFilter::Internal];

/// The device that a sequence begins with, mostly with all that the adapter has.
pub async fn open(world: &mut World) {
    let gpu = get_gpu();
    if let Some(adapter) = gpu.request_adapter(None).await {
        let required_features = world.random.one_in(2).then(|| {
            let features = adapter.features();
            let named = [
                ("timestamp-query", GpuFeatureName::TimestampQuery),
                ("depth32float-stencil8", GpuFeatureName::Depth32floatStencil8),
                ("texture-compression-bc", GpuFeatureName::TextureCompressionBc),
            ];
            named.into_iter().filter(|(name, _)| features.has(name)).map(|(_, feature)| feature).collect()
        });
        let descriptor = GpuDeviceDescriptor {
            required_features,
            required_limits: None,
            default_queue: None,
            label: world.random.label(),
        };
        if let Ok(device) = adapter.request_device(Some(descriptor)).await {
            keep!(world.queues, device.queue());
            keep!(world.devices, device);
        }
        keep!(world.adapters, adapter);
    }
    keep!(world.gpus, gpu);
}

pub fn request_adapter(world: &mut World) {
    let gpu = take!(world.gpus);
    let random = &mut world.random;
    let options = random.maybe(|random| GpuRequestAdapterOptions {
        feature_level: random.pick(&[None, Some("core"), Some("compatibility"), Some("")]).map(Into::into),
        power_preference: random.pick(&[None, Some(GpuPowerPreference::LowPower)]),
        force_fallback_adapter: random.flag(),
        xr_compatible: random.pick(&[None, Some(false), Some(true)]),
    });
    world.start(async move {
        let adapter = gpu.request_adapter(options).await?;
        Some(Box::new(|objects: &mut crate::Objects, random: &mut Random| {
            objects.adapters.add(random, adapter)
        }) as Result)
    });
}

pub fn request_device(world: &mut World) {
    if !world.random.one_in(DEVICE_REQUESTS_IN) {
        return;
    }
    let adapter = take!(world.adapters);
    let random = &mut world.random;
    let required_features =
        random.one_in(2).then(|| (0..random.below(4)).map(|_| random.pick(FEATURES)).collect());
    let required_limits = random.one_in(3).then(|| {
        let limits = RecordOptionGpuSize64::new();
        for _ in 0..random.below(4) {
            let name = random.pick(&[
                "maxBindGroups",
                "maxTextureDimension2D",
                "minUniformBufferOffsetAlignment",
                "",
                "no",
            ]);
            let value = random.maybe(|random| random.pick(&[0, 1, 4, 256, 8192, 1 << 40, u64::MAX]));
            limits.add(name, value);
        }
        limits
    });
    let descriptor = GpuDeviceDescriptor {
        required_features,
        required_limits,
        default_queue: random.maybe(|random| GpuQueueDescriptor { label: random.label() }),
        label: random.label(),
    };
    world.start(async move {
        let device = adapter.request_device(Some(descriptor)).await.ok()?;
        Some(Box::new(|objects: &mut crate::Objects, random: &mut Random| {
            objects.queues.add(random, device.queue());
            objects.devices.add(random, device);
        }) as Result)
    });
}

pub fn record_of_limits(world: &mut World) {
    if world.random.one_in(4) {
        keep!(world.wanted_limits, RecordOptionGpuSize64::new());
    }
    let record = take!(world.wanted_limits);
    let key = world.random.pick(&["scale", "", "no", "\0", "\u{10ffff}", "maxBindGroups"]);
    match world.random.below(6) {
        0 => record.add(key, world.random.maybe(|random| random.size())),
        1 => record.remove(key),
        2 => drop(record.get(key)),
        3 => drop((record.has(key), record.keys())),
        4 => drop(record.values()),
        _ => drop(record.entries()),
    }
}

/// Everything that only tells something.
pub fn properties(world: &mut World) {
    if world.random.one_in(4) {
        let adapter = take!(world.adapters);
        keep!(world.features, adapter.features());
        keep!(world.limits, adapter.limits());
        keep!(world.adapter_infos, adapter.info());
    } else if world.random.one_in(3) {
        let device = take!(world.devices);
        keep!(world.features, device.features());
        keep!(world.limits, device.limits());
        keep!(world.adapter_infos, device.adapter_info());
    }
    if world.random.one_in(4) {
        keep!(world.gpus, get_gpu());
        let gpu = take!(world.gpus);
        gpu.get_preferred_canvas_format();
        keep!(world.language_features, gpu.wgsl_language_features());
    }
    let text = world.random.text();
    if let Some(features) = world.objects.features.any(&mut world.random) {
        features.has(&text);
    }
    if let Some(features) = world.objects.language_features.any(&mut world.random) {
        features.has(&text);
    }
    if let Some(info) = world.objects.adapter_infos.any(&mut world.random) {
        drop([info.vendor(), info.architecture(), info.device(), info.description()]);
        info.subgroup_min_size();
        info.subgroup_max_size();
        info.is_fallback_adapter();
    }
    if let Some(limits) = world.objects.limits.any(&mut world.random) {
        read_all(&limits);
    }
}

fn read_all(limits: &GpuSupportedLimits) {
    limits.max_texture_dimension1_d();
    limits.max_texture_dimension2_d();
    limits.max_texture_dimension3_d();
    limits.max_texture_array_layers();
    limits.max_bind_groups();
    limits.max_bind_groups_plus_vertex_buffers();
    limits.max_immediate_size();
    limits.max_bindings_per_bind_group();
    limits.max_dynamic_uniform_buffers_per_pipeline_layout();
    limits.max_dynamic_storage_buffers_per_pipeline_layout();
    limits.max_sampled_textures_per_shader_stage();
    limits.max_samplers_per_shader_stage();
    limits.max_storage_buffers_per_shader_stage();
    limits.max_storage_buffers_in_vertex_stage();
    limits.max_storage_buffers_in_fragment_stage();
    limits.max_storage_textures_per_shader_stage();
    limits.max_storage_textures_in_vertex_stage();
    limits.max_storage_textures_in_fragment_stage();
    limits.max_uniform_buffers_per_shader_stage();
    limits.max_uniform_buffer_binding_size();
    limits.max_storage_buffer_binding_size();
    limits.min_uniform_buffer_offset_alignment();
    limits.min_storage_buffer_offset_alignment();
    limits.max_vertex_buffers();
    limits.max_buffer_size();
    limits.max_vertex_attributes();
    limits.max_vertex_buffer_array_stride();
    limits.max_inter_stage_shader_variables();
    limits.max_color_attachments();
    limits.max_color_attachment_bytes_per_sample();
    limits.max_compute_workgroup_storage_size();
    limits.max_compute_invocations_per_workgroup();
    limits.max_compute_workgroup_size_x();
    limits.max_compute_workgroup_size_y();
    limits.max_compute_workgroup_size_z();
    limits.max_compute_workgroups_per_dimension();
}

pub fn queue(world: &mut World) {
    let device = take!(world.devices);
    keep!(world.queues, device.queue());
}

/// Rarely, so that sequences have a device for most of their time.
pub fn destroy(world: &mut World) {
    let device = take!(world.devices);
    if world.random.one_in(6) {
        device.destroy();
    }
}

pub fn push_error_scope(world: &mut World) {
    let device = take!(world.devices);
    device.push_error_scope(world.random.pick(FILTERS));
}

pub fn pop_error_scope(world: &mut World) {
    let device = take!(world.devices);
    world.start(async move {
        let error = device.pop_error_scope().await.ok()??;
        Some(Box::new(|objects: &mut crate::Objects, random: &mut Random| objects.errors.add(random, error))
            as Result)
    });
}

pub fn lost(world: &mut World) {
    let device = take!(world.devices);
    let lost = device.lost();
    if world.random.one_in(3) {
        return;
    }
    world.start(async move {
        let info = lost.await;
        Some(Box::new(|objects: &mut crate::Objects, random: &mut Random| {
            objects.lost_infos.add(random, info)
        }) as Result)
    });
}

pub fn uncaptured_errors(world: &mut World) {
    let device = take!(world.devices);
    if world.random.one_in(3) {
        keep!(world.error_streams, device.on_uncaptured_error());
        return;
    }
    let mut stream = device.on_uncaptured_error();
    world.start(async move {
        let error = stream.next().await?;
        Some(Box::new(|objects: &mut crate::Objects, random: &mut Random| objects.errors.add(random, error))
            as Result)
    });
}

pub fn uncaptured_error_events(world: &mut World) {
    let device = take!(world.devices);
    if world.random.one_in(3) {
        keep!(world.error_event_streams, on_uncaptured_error_event(&device));
        return;
    }
    let mut stream = on_uncaptured_error_event(&device);
    world.start(async move {
        let event = stream.next().await?;
        Some(Box::new(|objects: &mut crate::Objects, random: &mut Random| {
            objects.error_events.add(random, event);
        }) as Result)
    });
}

pub fn read_error_event(world: &mut World) {
    let event = take!(world.error_events);
    keep!(world.errors, event.error());
}

pub fn read_error(world: &mut World) {
    if let Some(info) = world.objects.lost_infos.any(&mut world.random) {
        drop((info.reason(), info.message()));
    }
    let error = take!(world.errors);
    drop((error.kind(), error.message()));
}

/// Keeps a handle until a call that borrows it is done.
pub fn all<T>(handles: &[Rc<T>]) -> Vec<&T> {
    handles.iter().map(AsRef::as_ref).collect()
}
