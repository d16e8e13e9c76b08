//! Tries: one call with more than it may carry, as bytes, as text, as a list of records and as a list of records with lists. The seed
//! says which.
//!
//! Must happen: the session ends with a reason that names the limit, and the worker has not taken the bytes.

use hostile::seed;
use kit::log::{Level, log};
use kit::webgpu::*;

/// More than one call may carry, and less than a scene's memory.
const BYTES: usize = 100 << 20;

struct Start;

impl kit::bindings::Guest for Start {
    async fn start() {
        let gpu = kit::Gpu::request().await;
        let device = gpu.device();
        log(Level::Info, "calls now");
        match seed() {
            0 => {
                let buffer = gpu.buffer("", GpuBufferUsage::COPY_DST, &[0; 4]);
                drop(gpu.queue().write_buffer_with_copy(&buffer, 0, &vec![1; BYTES], None, None));
            }
            1 => drop(gpu.shader("", &" ".repeat(BYTES))),
            2 => device.set_label(&"a".repeat(BYTES)),
            3 => {
                // A record of an entry has some hundred bytes.
                let entry = GpuBindGroupLayoutEntry {
                    binding: 0,
                    visibility: GpuShaderStage::COMPUTE,
                    buffer: None,
                    sampler: Some(GpuSamplerBindingLayout { type_: None }),
                    texture: None,
                    storage_texture: None,
                };
                drop(device.create_bind_group_layout(&GpuBindGroupLayoutDescriptor {
                    entries: vec![entry; BYTES / size_of::<GpuBindGroupLayoutEntry>()],
                    label: None,
                }));
            }
            _ => {
                // Many short lists that are long together.
                let attribute =
                    GpuVertexAttribute { format: GpuVertexFormat::Float32, offset: 0, shader_location: 0 };
                let buffer = || GpuVertexBufferLayout {
                    array_stride: 4,
                    step_mode: None,
                    attributes: vec![attribute; 1000],
                };
                let count = BYTES / (1000 * size_of::<GpuVertexAttribute>());
                let shader = gpu
                    .shader("", "@vertex fn main() -> @builtin(position) vec4<f32> { return vec4<f32>(); }");
                drop(device.create_render_pipeline(GpuRenderPipelineDescriptor {
                    vertex: GpuVertexState {
                        buffers: Some((0..count).map(|_| Some(buffer())).collect()),
                        module: &shader,
                        entry_point: None,
                        constants: None,
                    },
                    primitive: None,
                    depth_stencil: None,
                    multisample: None,
                    fragment: None,
                    layout: GpuLayoutMode::Auto,
                    label: None,
                }));
            }
        }
        log(Level::Error, "the call returned");
    }
}

kit::bindings::export_start!(Start with_types_in kit::bindings);
