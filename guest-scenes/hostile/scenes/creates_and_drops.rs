//! Tries: to make the host keep something of what was given back: objects of each kind, created and dropped again and again. The seed says
//! how many times a thousand.
//!
//! Must happen: the worker's memory stays what it was. The scene says when each tenth of the work is done.

use hostile::{Ticks, seed};
use kit::log::{Level, log};
use kit::webgpu::*;

/// Objects between two ticks.
const AT_ONCE: u64 = 100;
/// One pipeline and one shader for so many of the others: they take a thousand times as long.
const PIPELINE_IN: u64 = 50;
const SHADER: &str = "
@group(0) @binding(0) var<storage, read_write> x: u32;
@compute @workgroup_size(1) fn main() { x = 1u; }";

struct Start;

impl kit::bindings::Guest for Start {
    async fn start() {
        let total = seed() * 1000;
        let gpu = kit::Gpu::request().await;
        let device = gpu.device();
        let mut ticks = Ticks::begin();
        let module = gpu.shader("", SHADER);
        let descriptor = || GpuComputePipelineDescriptor {
            compute: GpuProgrammableStage { module: &module, entry_point: None, constants: None },
            layout: GpuLayoutMode::Auto,
            label: None,
        };
        let layout = device.create_compute_pipeline(descriptor()).get_bind_group_layout(0);
        let kept = gpu.buffer("", GpuBufferUsage::STORAGE, &[0; 16]);
        for number in 0..total {
            drop(gpu.bind_group("a group", &layout, vec![GpuBindingResource::GpuBuffer(&kept)]));
            let buffer = gpu.buffer("a buffer", GpuBufferUsage::COPY_SRC, &[1; 64]);
            if number % 2 == 0 {
                buffer.destroy();
            }
            drop(device.create_sampler(None));
            if number % PIPELINE_IN == 0 {
                drop(gpu.shader("a module", SHADER));
                drop(device.create_compute_pipeline(descriptor()));
            }
            if number % AT_ONCE == 0 {
                gpu.submit(device.create_command_encoder(None));
                gpu.queue().on_submitted_work_done().await;
            }
            if number % (total / 10) == 0 {
                log(Level::Info, &format!("{number} of {total}"));
                ticks.next().await;
            }
        }
    }
}

kit::bindings::export_start!(Start with_types_in kit::bindings);
