//! Tries: to keep the GPU for itself. The seed says how: 0 a compute shader that loops without end, 1 a fragment shader that does, 2 the
//! largest dispatch of a shader that works long, 3 a thousand million instances, 4 ten thousand pictures full of costly texels over each
//! other; 5 is 0 by a scene that goes on ticking and waits for none of it. Mesa's software rasteriser ends every loop by itself after
//! 65,535 rounds, so of 0 and 1 there are many.
//!
//! Must happen: the session ends after some seconds, by what the GPU has not done; the process is gone then, and what it had of the GPU
//! with it. Never run this where others use the GPU.

use hostile::{Ticks, seed};
use kit::Target;
use kit::bindings::wasi_gfx::surface::surface_webgpu::Context;
use kit::log::{Level, log};
use kit::webgpu::*;

/// The bound is a number that no compiler can know, so that the loop stays.
const COMPUTE: &str = "
@group(0) @binding(0) var<storage, read_write> x: array<u32>;
@compute @workgroup_size(1) fn for_ever() { loop { x[0] = x[0] * 3u + 1u; if (x[1] == 7u) { break; } } }
@compute @workgroup_size(64) fn long(@builtin(global_invocation_id) id: vec3u) {
    var y = id.x ^ id.y ^ id.z;
    for (var i = 0u; i < 100000u + x[1]; i++) { y = y * 1664525u + 1013904223u; }
    if (y == 12345u) { x[0] = y; }
}";
const DRAW: &str = "
@vertex fn vertex(@builtin(vertex_index) i: u32) -> @builtin(position) vec4f {
    return vec4f(vec2f(f32(i & 1u), f32(i >> 1u)) * 4.0 - 1.0, 0.0, 1.0);
}
fn costly(at: vec4f, rounds: u32) -> vec4f {
    var v = at.xy;
    for (var i = 0u; i < rounds; i++) { v = sin(v * 1.7 + v.yx); }
    return vec4f(v, 0.0, 1.0);
}
@fragment fn for_ever(@builtin(position) at: vec4f) -> @location(0) vec4f {
    var v = at;
    loop { v = costly(v, 10u); if (v.x > 2.0) { break; } }
    return v;
}
@fragment fn long(@builtin(position) at: vec4f) -> @location(0) vec4f { return costly(at, 200u); }";

struct Start;

impl kit::bindings::Guest for Start {
    async fn start() {
        let gpu = kit::Gpu::request().await;
        let (_surface, context) = gpu.open_window();
        let mut ticks = Ticks::begin();
        ticks.next().await;
        log(Level::Info, "hangs the GPU now");
        match seed() {
            0 | 5 => compute(&gpu, "for_ever", [65_535, 65_535, 1]),
            2 => compute(&gpu, "long", [65_535, 65_535, 65_535]),
            1 => draw(&gpu, &context, "for_ever", 1, 1_000),
            3 => draw(&gpu, &context, "long", 1, 1_000_000_000),
            _ => draw(&gpu, &context, "long", 10_000, 1),
        }
        if seed() != 5 {
            gpu.queue().on_submitted_work_done().await;
            log(Level::Info, "it is done");
        }
        while ticks.next().await {}
    }
}

fn compute(gpu: &kit::Gpu, entry_point: &str, [x, y, z]: [u32; 3]) {
    let module = gpu.shader("hang", COMPUTE);
    let pipeline = gpu.device().create_compute_pipeline(GpuComputePipelineDescriptor {
        compute: GpuProgrammableStage {
            module: &module,
            entry_point: Some(entry_point.into()),
            constants: None,
        },
        layout: GpuLayoutMode::Auto,
        label: None,
    });
    let buffer = gpu.buffer("x", GpuBufferUsage::STORAGE, &[0; 16]);
    let group =
        gpu.bind_group("x", &pipeline.get_bind_group_layout(0), vec![GpuBindingResource::GpuBuffer(&buffer)]);
    let encoder = gpu.device().create_command_encoder(None);
    let pass = encoder.begin_compute_pass(None);
    pass.set_pipeline(&pipeline);
    pass.set_bind_group(0, Some(&group), None, None, None).expect("the group fits");
    pass.dispatch_workgroups(x, Some(y), Some(z));
    pass.end();
    gpu.submit(encoder);
}

fn draw(gpu: &kit::Gpu, context: &Context, fragment: &str, draws: u32, instances: u32) {
    let module = gpu.shader("hang", DRAW);
    let pipeline = gpu.device().create_render_pipeline(GpuRenderPipelineDescriptor {
        vertex: GpuVertexState { module: &module, entry_point: None, buffers: None, constants: None },
        primitive: None,
        depth_stencil: None,
        multisample: None,
        fragment: Some(GpuFragmentState {
            module: &module,
            entry_point: Some(fragment.into()),
            targets: vec![Some(GpuColorTargetState { format: gpu.format(), blend: None, write_mask: None })],
            constants: None,
        }),
        layout: GpuLayoutMode::Auto,
        label: None,
    });
    let texture = context.get_current_texture();
    let size = kit::Size { width: texture.width(), height: texture.height() };
    let target = Target { view: texture.create_view(None), size };
    let encoder = gpu.device().create_command_encoder(None);
    let pass = target.begin_pass(&encoder, [0.0, 0.0, 0.0]);
    pass.set_pipeline(&pipeline);
    for _ in 0..draws {
        pass.draw(3, Some(instances), None, None);
    }
    pass.end();
    gpu.submit(encoder);
    context.present();
}

kit::bindings::export_start!(Start with_types_in kit::bindings);
