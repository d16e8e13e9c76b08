//! The smallest complete scene, and the one to copy: a triangle that turns.
//!
//! A scene is a WebAssembly component that draws with WebGPU. The kit asks for the device, sets up the surface and runs the event
//! loop; a scene says what to create, what changes, and what to draw.

use kit::webgpu::{GpuBindGroup, GpuBindingResource, GpuBuffer, GpuBufferUsage, GpuRenderPipeline};
use kit::{Gpu, RenderPipeline, Scene, Size, Target, export_scene};

/// Written in WGSL, <https://www.w3.org/TR/WGSL/>.
const SHADER: &str = include_str!("triangle.wgsl");

/// Radians a frame: at 30 frames a second, a turn takes ten seconds.
const TURN_PER_FRAME: f32 = std::f32::consts::TAU / 300.0;

struct Triangle {
    pipeline: GpuRenderPipeline,
    /// What the shader needs to know: the angle, and how much wider than high the picture is.
    uniforms: GpuBuffer,
    bind_group: GpuBindGroup,
    angle: f32,
}

// This makes the scene the component's entry point.
export_scene!(Triangle);

impl Scene for Triangle {
    /// Everything that is created once. Shaders and pipelines are expensive: make them here, not while drawing.
    async fn new(gpu: &Gpu) -> Self {
        let shader = gpu.shader("triangle", SHADER);
        let pipeline = gpu.render_pipeline(RenderPipeline {
            label: "triangle",
            shader: &shader,
            vertex_entry_point: "vertex",
            fragment_entry_point: Some("fragment"),
            // The corners stand in the shader, so there are no buffers of vertices.
            vertex_buffers: vec![],
            bind_group_layout: None,
            cull_mode: None,
            depth: None,
            sample_count: 1,
        });
        let uniforms = gpu.buffer("uniforms", GpuBufferUsage::UNIFORM, &[0; 8]);
        let bind_group = gpu.bind_group(
            "uniforms",
            &pipeline.get_bind_group_layout(0),
            vec![GpuBindingResource::GpuBuffer(&uniforms)],
        );
        Self { pipeline, uniforms, bind_group, angle: 0.0 }
    }

    /// Called once for every frame. The result says whether the picture changes; this one always does.
    fn update(&mut self) -> bool {
        self.angle = (self.angle + TURN_PER_FRAME) % std::f32::consts::TAU;
        true
    }

    fn draw(&mut self, gpu: &Gpu, target: &Target) {
        let uniforms = [self.angle.to_le_bytes(), aspect(target.size).to_le_bytes()];
        gpu.write(&self.uniforms, uniforms.as_flattened());

        // Commands are recorded first, and then sent to the GPU together.
        let encoder = gpu.device().create_command_encoder(None);
        let pass = target.begin_pass(&encoder, [0.07, 0.08, 0.11]);
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, Some(&self.bind_group), None, None, None)
            .expect("there are no dynamic offsets");
        pass.draw(3, None, None, None);
        pass.end();
        gpu.submit(encoder);
    }
}

/// Width by height.
#[expect(clippy::cast_precision_loss, reason = "pictures are far below 2^24 pixels wide")]
fn aspect(size: Size) -> f32 {
    size.width as f32 / size.height as f32
}
