//! Tries: to have more objects of a kind than a host can keep, by every call that makes one, again and again without dropping any. The
//! seed says which.
//!
//! Must happen: at the cap the call is an out-of-memory error, at which this scene stops, or the session ends with a reason that names
//! the limit; the worker's memory stays bounded.

use hostile::{Ticks, seed};
use kit::bindings::wasi_gfx::surface::surface::{CreateDesc, Surface};
use kit::bindings::wasi_gfx::surface::surface_webgpu::Context;
use kit::log::{Level, log};
use kit::webgpu::*;

/// More than any cap.
const MOST: usize = 120_000;
/// Objects between two turns.
const AT_ONCE: usize = 500;
const SHADER: &str = "@compute @workgroup_size(1) fn main() {}";

struct Start;

impl kit::bindings::Guest for Start {
    async fn start() {
        let gpu = kit::Gpu::request().await;
        let device = gpu.device();
        let surface = Surface::new(CreateDesc { width: None, height: None });
        let module = gpu.shader("", SHADER);
        let descriptor = || GpuComputePipelineDescriptor {
            compute: GpuProgrammableStage { module: &module, entry_point: None, constants: None },
            layout: GpuLayoutMode::Auto,
            label: None,
        };
        let pipeline = device.create_compute_pipeline(descriptor());
        let texture = device.create_texture(&texture());
        let layout = device
            .create_bind_group_layout(&GpuBindGroupLayoutDescriptor { entries: Vec::new(), label: None });
        let buffer = gpu.buffer("", GpuBufferUsage::COPY_SRC, &[0; 4]);
        let ways: &[&dyn Fn()] = &[
            &|| keep(get_gpu()),
            &|| keep(get_gpu().wgsl_language_features()),
            &|| keep(device.features()),
            &|| keep(device.limits()),
            &|| keep(device.adapter_info()),
            &|| keep(device.queue()),
            &|| keep(device.lost()),
            &|| keep(device.on_uncaptured_error()),
            &|| device.push_error_scope(GpuErrorFilter::Validation),
            &|| keep(buffer_of(device)),
            &|| keep(device.create_texture(&self::texture())),
            &|| keep(texture.create_view(None)),
            &|| keep(device.create_sampler(None)),
            &|| {
                let descriptor = GpuBindGroupLayoutDescriptor { entries: Vec::new(), label: None };
                keep(device.create_bind_group_layout(&descriptor));
            },
            &|| keep(gpu.bind_group("", &layout, Vec::new())),
            &|| {
                let descriptor = GpuPipelineLayoutDescriptor {
                    bind_group_layouts: Vec::new(),
                    immediate_size: None,
                    label: None,
                };
                keep(device.create_pipeline_layout(&descriptor));
            },
            &|| keep(gpu.shader("", SHADER)),
            &|| keep(device.create_compute_pipeline(descriptor())),
            &|| keep(pipeline.get_bind_group_layout(0)),
            &|| keep(device.create_command_encoder(None)),
            &|| {
                let encoder = device.create_command_encoder(None);
                keep(encoder.begin_compute_pass(None));
                keep(encoder);
            },
            &|| keep(device.create_command_encoder(None).finish(None)),
            &|| {
                let encoder = device.create_command_encoder(None);
                encoder.copy_buffer_to_buffer(&buffer, None, &buffer, None, None);
                keep(encoder.finish(None));
            },
            &|| keep(bundle_encoder(device)),
            &|| keep(bundle_encoder(device).finish(None)),
            &|| {
                let (type_, count) = (GpuQueryType::Occlusion, 1);
                keep(device.create_query_set(&GpuQuerySetDescriptor { type_, count, label: None }));
            },
            &|| keep(RecordGpuPipelineConstantValue::new()),
            &|| keep(RecordOptionGpuSize64::new()),
            &|| keep(Surface::new(CreateDesc { width: None, height: None })),
            &|| keep(Context::new(&surface)),
            &|| keep(surface.on_frame()),
            &|| keep(kit::bindings::scenecast::scene::input::events()),
        ];
        let Some(make) = usize::try_from(seed()).ok().and_then(|way| ways.get(way)) else {
            log(Level::Info, &format!("there are {} ways", ways.len()));
            return;
        };
        let mut ticks = Ticks::begin();
        for number in 0..MOST / AT_ONCE {
            device.push_error_scope(GpuErrorFilter::OutOfMemory);
            (0..AT_ONCE).for_each(|_| make());
            if let Ok(Some(error)) = device.pop_error_scope().await {
                log(Level::Info, &format!("refused: {}", error.message()));
                return;
            }
            log(Level::Info, &format!("made {}", (number + 1) * AT_ONCE));
            ticks.next().await;
        }
        log(Level::Info, "there is no cap");
    }
}

/// Leaves a handle open.
fn keep<T>(handle: T) {
    core::mem::forget(handle);
}

fn buffer_of(device: &GpuDevice) -> GpuBuffer {
    device.create_buffer(&GpuBufferDescriptor {
        size: 4,
        usage: GpuBufferUsage::COPY_SRC,
        mapped_at_creation: None,
        label: None,
    })
}

fn bundle_encoder(device: &GpuDevice) -> GpuRenderBundleEncoder {
    device.create_render_bundle_encoder(&GpuRenderBundleEncoderDescriptor {
        depth_read_only: None,
        stencil_read_only: None,
        color_formats: vec![Some(GpuTextureFormat::Rgba8unorm)],
        depth_stencil_format: None,
        sample_count: None,
        label: None,
    })
}

fn texture() -> GpuTextureDescriptor {
    GpuTextureDescriptor {
        size: GpuExtent3D { width: 1, height: None, depth_or_array_layers: None },
        mip_level_count: None,
        sample_count: None,
        dimension: None,
        format: GpuTextureFormat::Rgba8unorm,
        usage: GpuTextureUsage::COPY_SRC | GpuTextureUsage::TEXTURE_BINDING,
        view_formats: None,
        texture_binding_view_dimension: None,
        label: None,
    }
}

kit::bindings::export_start!(Start with_types_in kit::bindings);
