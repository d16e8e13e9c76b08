//! A glazed knot on a wide floor, in sunlight. Drag, wheel, fingers and keys move the camera; an untouched scene rests.
//!
//! What is seen, and how input moves it, stands in the crate `orbit-model`; here it is drawn through `wasi:webgpu`.

mod pipelines;

use kit::input::{Event, Key as Code, PointerEvent};
use kit::webgpu::{
    GpuBindGroup, GpuBindingResource, GpuBuffer, GpuBufferUsage, GpuColor, GpuCommandEncoder, GpuIndexFormat,
    GpuLoadOp, GpuRenderPassColorAttachment, GpuRenderPassDepthStencilAttachment, GpuRenderPassDescriptor,
    GpuRenderPassEncoder, GpuRenderPipeline, GpuStoreOp, GpuTextureFormat, GpuTextureUsage, GpuTextureView,
};
use kit::{Gpu, Scene, Size, Target, Texture, export_scene};
use orbit_model::{Control, Key, Mesh, PointerId, Uniforms, pass};
use pipelines::{DEPTH_FORMAT, Layouts, Pipelines, SHADOW_FORMAT, samplers};

struct Orbit {
    control: Control,
    /// The shadow map shows the knot as it stands.
    shadow_is_current: bool,
    uniforms: GpuBuffer,
    knot: Shape,
    near_ground: Shape,
    far_ground: Shape,
    shadow_group: GpuBindGroup,
    main_group: GpuBindGroup,
    shadow_view: GpuTextureView,
    depth_view: Option<GpuTextureView>,
    pipelines: Pipelines,
}

export_scene!(Orbit);

impl Scene for Orbit {
    async fn new(gpu: &Gpu) -> Self {
        let layouts = Layouts::new(gpu);
        let uniforms = gpu.buffer("uniforms", GpuBufferUsage::UNIFORM, &[0; size_of::<Uniforms>()]);
        let shadow_view = gpu
            .texture(&Texture {
                label: "shadow map",
                size: square(pass::SHADOW_SIZE),
                format: SHADOW_FORMAT,
                usage: GpuTextureUsage::RENDER_ATTACHMENT | GpuTextureUsage::TEXTURE_BINDING,
                mip_level_count: 1,
                sample_count: 1,
            })
            .create_view(None);
        let shadow_group =
            gpu.bind_group("shadow pass", &layouts.shadow, vec![GpuBindingResource::GpuBuffer(&uniforms)]);
        let glaze = upload_glaze(gpu);
        let [shadow_sampler, glaze_sampler] = samplers(gpu);
        let main_group = gpu.bind_group(
            "main pass",
            &layouts.main,
            vec![
                GpuBindingResource::GpuBuffer(&uniforms),
                GpuBindingResource::GpuTextureView(&shadow_view),
                GpuBindingResource::GpuSampler(&shadow_sampler),
                GpuBindingResource::GpuTextureView(&glaze),
                GpuBindingResource::GpuSampler(&glaze_sampler),
            ],
        );
        let [near_ground, far_ground] = orbit_model::near_and_far_ground();
        Self {
            control: Control::default(),
            shadow_is_current: false,
            uniforms,
            knot: Shape::new(gpu, "knot", &orbit_model::knot()),
            near_ground: Shape::new(gpu, "near ground", &near_ground),
            far_ground: Shape::new(gpu, "far ground", &far_ground),
            shadow_group,
            main_group,
            shadow_view,
            depth_view: None,
            pipelines: Pipelines::new(gpu, &layouts),
        }
    }

    fn input(&mut self, event: &Event, size: Size) {
        let control = &mut self.control;
        match event {
            Event::PointerDown(pointer) => control.pointer_down(id(pointer), place(pointer, size)),
            Event::PointerMove(pointer) => control.pointer_move(id(pointer), place(pointer, size)),
            Event::PointerUp(pointer) | Event::PointerCancel(pointer) => control.pointer_up(id(pointer)),
            Event::Wheel(wheel) => control.wheel(single(wheel.delta_y)),
            Event::KeyDown(key) => {
                if let Some(action) = key.key.and_then(action) {
                    control.key_down(key.viewer, action, key.repeat);
                }
            }
            Event::KeyUp(key) => {
                if let Some(action) = key.key.and_then(action) {
                    control.key_up(key.viewer, action);
                }
            }
            // What is pressed is released before a viewer loses the focus.
            Event::Focus(_) => {}
        }
    }

    fn update(&mut self) -> bool {
        let moved = self.control.tick();
        self.shadow_is_current &= !moved.knot;
        moved.anything()
    }

    fn resize(&mut self, gpu: &Gpu, size: Size) {
        let depth = gpu.texture(&Texture {
            label: "depth",
            size,
            format: DEPTH_FORMAT,
            usage: GpuTextureUsage::RENDER_ATTACHMENT,
            mip_level_count: 1,
            sample_count: 1,
        });
        self.depth_view = Some(depth.create_view(None));
    }

    fn draw(&mut self, gpu: &Gpu, target: &Target) {
        let size = [target.size.width, target.size.height];
        let uniforms = Uniforms::new(self.control.camera(), self.control.spin(), size);
        gpu.write(&self.uniforms, bytemuck::bytes_of(&uniforms));
        let encoder = gpu.device().create_command_encoder(None);
        if !self.shadow_is_current {
            self.draw_shadow(&encoder);
            self.shadow_is_current = true;
        }
        self.draw_picture(&encoder, &target.view);
        gpu.submit(encoder);
    }
}

impl Orbit {
    fn draw_shadow(&self, encoder: &GpuCommandEncoder) {
        let pass = encoder.begin_render_pass(&GpuRenderPassDescriptor {
            color_attachments: vec![],
            depth_stencil_attachment: Some(cleared_depth(&self.shadow_view, GpuStoreOp::Store)),
            occlusion_query_set: None,
            timestamp_writes: None,
            max_draw_count: None,
            label: Some("shadow pass".into()),
        });
        bind(&pass, &self.shadow_group);
        self.knot.draw(&pass, &self.pipelines.shadow);
        pass.end();
    }

    fn draw_picture(&self, encoder: &GpuCommandEncoder, view: &GpuTextureView) {
        let [r, g, b] = orbit_model::background().map(f64::from);
        let pass = encoder.begin_render_pass(&GpuRenderPassDescriptor {
            color_attachments: vec![Some(GpuRenderPassColorAttachment {
                view,
                depth_slice: None,
                resolve_target: None,
                clear_value: Some(GpuColor { r, g, b, a: 1.0 }),
                load_op: GpuLoadOp::Clear,
                store_op: GpuStoreOp::Store,
            })],
            depth_stencil_attachment: self
                .depth_view
                .as_ref()
                .map(|view| cleared_depth(view, GpuStoreOp::Discard)),
            occlusion_query_set: None,
            timestamp_writes: None,
            max_draw_count: None,
            label: Some("main pass".into()),
        });
        bind(&pass, &self.main_group);
        self.far_ground.draw(&pass, &self.pipelines.far_ground);
        pass.set_pipeline(&self.pipelines.sky);
        pass.draw(pass::SKY_CELLS * 6, Some(pass::SKY_CELLS), None, None);
        self.near_ground.draw(&pass, &self.pipelines.near_ground);
        self.knot.draw(&pass, &self.pipelines.knot);
        pass.end();
    }
}

/// A mesh on the GPU.
struct Shape {
    vertices: GpuBuffer,
    indices: GpuBuffer,
    index_count: u32,
}

impl Shape {
    fn new(gpu: &Gpu, label: &str, mesh: &Mesh) -> Self {
        Self {
            vertices: gpu.buffer(label, GpuBufferUsage::VERTEX, bytemuck::cast_slice(&mesh.vertices)),
            indices: gpu.buffer(label, GpuBufferUsage::INDEX, bytemuck::cast_slice(&mesh.indices)),
            index_count: u32::try_from(mesh.indices.len()).expect("indices have 16 bits"),
        }
    }

    fn draw(&self, pass: &GpuRenderPassEncoder, pipeline: &GpuRenderPipeline) {
        pass.set_pipeline(pipeline);
        pass.set_vertex_buffer(0, Some(&self.vertices), None, None);
        pass.set_index_buffer(&self.indices, GpuIndexFormat::Uint16, None, None);
        pass.draw_indexed(self.index_count, None, None, None, None);
    }
}

fn bind(pass: &GpuRenderPassEncoder, group: &GpuBindGroup) {
    pass.set_bind_group(0, Some(group), None, None, None).expect("there are no dynamic offsets");
}

fn cleared_depth(
    view: &GpuTextureView,
    depth_store_op: GpuStoreOp,
) -> GpuRenderPassDepthStencilAttachment<'_> {
    GpuRenderPassDepthStencilAttachment {
        view,
        depth_clear_value: Some(1.0),
        depth_load_op: Some(GpuLoadOp::Clear),
        depth_store_op: Some(depth_store_op),
        depth_read_only: None,
        stencil_clear_value: None,
        stencil_load_op: None,
        stencil_store_op: None,
        stencil_read_only: None,
    }
}

fn upload_glaze(gpu: &Gpu) -> GpuTextureView {
    let levels = orbit_model::glaze();
    let texture = gpu.texture(&Texture {
        label: "glaze",
        size: square(orbit_model::TEXTURE_SIZE),
        format: GpuTextureFormat::Rgba8unorm,
        usage: GpuTextureUsage::TEXTURE_BINDING | GpuTextureUsage::COPY_DST,
        mip_level_count: u32::try_from(levels.len()).expect("a texture has few levels"),
        sample_count: 1,
    });
    for (mip_level, level) in (0..).zip(&levels) {
        gpu.write_texture(&texture, mip_level, square(level.size), level.size * 4, &level.pixels);
    }
    texture.create_view(None)
}

fn square(side: u32) -> Size {
    Size { width: side, height: side }
}

fn id(pointer: &PointerEvent) -> PointerId {
    (pointer.viewer, pointer.id)
}

/// In units of the picture's height.
fn place(pointer: &PointerEvent, size: Size) -> glam::Vec2 {
    let height = f64::from(size.height.max(1));
    glam::Vec2::new(single(pointer.x / height), single(pointer.y / height))
}

#[expect(clippy::cast_possible_truncation, reason = "fewer digits are enough for a place on a screen")]
fn single(value: f64) -> f32 {
    value as f32
}

/// What a key does, by its place on the keyboard.
fn action(code: Code) -> Option<Key> {
    Some(match code {
        Code::ArrowLeft | Code::KeyA => Key::Left,
        Code::ArrowRight | Code::KeyD => Key::Right,
        Code::ArrowUp | Code::KeyW => Key::Up,
        Code::ArrowDown | Code::KeyS => Key::Down,
        Code::Equal | Code::NumpadAdd => Key::ZoomIn,
        Code::Minus | Code::NumpadSubtract => Key::ZoomOut,
        Code::KeyR => Key::Reset,
        Code::Space => Key::Turntable,
        _ => return None,
    })
}
