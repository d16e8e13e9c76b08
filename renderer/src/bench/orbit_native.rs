//! The scene `orbit` drawn by bare wgpu: the same shapes, shaders, passes and frames, without a guest, a sandbox or bindings.
//!
//! What is drawn stands in the crate `orbit-model`, which the scene shares; only the translation into wgpu's types is here.

use orbit_model::{Control, Key, Mesh, Uniforms, pass};

use super::NativeScene;

const DEPTH_FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Depth24Plus;
const SHADOW_FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Depth16Unorm;

/// `orbit` while a viewer holds the right arrow key from the first frame on: the camera moves in every frame.
#[derive(Debug)]
pub struct OrbitNative {
    control: Control,
    ticks: u32,
    size: [u32; 2],
    shadow_drawn: bool,
    uniforms: wgpu::Buffer,
    knot: Shape,
    near_ground: Shape,
    far_ground: Shape,
    shadow_group: wgpu::BindGroup,
    main_group: wgpu::BindGroup,
    shadow_view: wgpu::TextureView,
    colour_view: Option<wgpu::TextureView>,
    depth_view: wgpu::TextureView,
    pipelines: Pipelines,
}

#[derive(Debug)]
struct Shape {
    vertices: wgpu::Buffer,
    indices: wgpu::Buffer,
    index_count: u32,
}

#[derive(Debug)]
struct Pipelines {
    shadow: wgpu::RenderPipeline,
    far_ground: wgpu::RenderPipeline,
    sky: wgpu::RenderPipeline,
    near_ground: wgpu::RenderPipeline,
    knot: wgpu::RenderPipeline,
}

impl NativeScene for OrbitNative {
    fn draw(&mut self, device: &wgpu::Device, queue: &wgpu::Queue, target: &wgpu::TextureView, frame: u32) {
        while self.ticks < frame {
            self.control.tick();
            self.ticks += 1;
        }
        let uniforms = Uniforms::new(self.control.camera(), self.control.spin(), self.size);
        queue.write_buffer(&self.uniforms, 0, bytemuck::bytes_of(&uniforms));
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        if !self.shadow_drawn {
            self.draw_shadow(&mut encoder);
            self.shadow_drawn = true;
        }
        self.draw_picture(&mut encoder, target);
        queue.submit([encoder.finish()]);
    }
}

impl OrbitNative {
    /// For targets of `size` pixels in `format`, which must not be an sRGB format: the shaders encode what they write.
    pub fn new(
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        format: wgpu::TextureFormat,
        size: [u32; 2],
    ) -> Self {
        let mut control = Control::default();
        control.key_down(1, Key::Right, false);
        let layouts = Layouts::new(device);
        let uniforms = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("uniforms"),
            size: size_of::<Uniforms>() as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let shadow_view = attachment(
            device,
            "shadow map",
            [pass::SHADOW_SIZE; 2],
            1,
            SHADOW_FORMAT,
            wgpu::TextureUsages::TEXTURE_BINDING,
        );
        let shadow_group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("shadow pass"),
            layout: &layouts.shadow,
            entries: &[wgpu::BindGroupEntry { binding: 0, resource: uniforms.as_entire_binding() }],
        });
        let glaze = upload_glaze(device, queue);
        let [shadow_sampler, glaze_sampler] = samplers(device);
        let main_group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("main pass"),
            layout: &layouts.main,
            entries: &[
                wgpu::BindGroupEntry { binding: 0, resource: uniforms.as_entire_binding() },
                wgpu::BindGroupEntry {
                    binding: 1,
                    resource: wgpu::BindingResource::TextureView(&shadow_view),
                },
                wgpu::BindGroupEntry {
                    binding: 2,
                    resource: wgpu::BindingResource::Sampler(&shadow_sampler),
                },
                wgpu::BindGroupEntry { binding: 3, resource: wgpu::BindingResource::TextureView(&glaze) },
                wgpu::BindGroupEntry { binding: 4, resource: wgpu::BindingResource::Sampler(&glaze_sampler) },
            ],
        });
        let colour_view = (pass::SAMPLE_COUNT > 1).then(|| {
            attachment(device, "samples", size, pass::SAMPLE_COUNT, format, wgpu::TextureUsages::empty())
        });
        let depth_view =
            attachment(device, "depth", size, pass::SAMPLE_COUNT, DEPTH_FORMAT, wgpu::TextureUsages::empty());
        let [near_ground, far_ground] = orbit_model::near_and_far_ground();
        Self {
            control,
            ticks: 0,
            size,
            shadow_drawn: false,
            uniforms,
            knot: Shape::new(device, queue, "knot", &orbit_model::knot()),
            near_ground: Shape::new(device, queue, "near ground", &near_ground),
            far_ground: Shape::new(device, queue, "far ground", &far_ground),
            shadow_group,
            main_group,
            shadow_view,
            colour_view,
            depth_view,
            pipelines: Pipelines::new(device, &layouts, format),
        }
    }

    fn draw_shadow(&self, encoder: &mut wgpu::CommandEncoder) {
        let mut drawing = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("shadow pass"),
            color_attachments: &[],
            depth_stencil_attachment: Some(depth_attachment(&self.shadow_view, wgpu::StoreOp::Store)),
            ..Default::default()
        });
        drawing.set_bind_group(0, &self.shadow_group, &[]);
        drawing.set_pipeline(&self.pipelines.shadow);
        self.knot.draw(&mut drawing);
    }

    fn draw_picture(&self, encoder: &mut wgpu::CommandEncoder, target: &wgpu::TextureView) {
        let [r, g, b] = orbit_model::background().map(f64::from);
        let (view, resolve_target, store) = match &self.colour_view {
            Some(samples) => (samples, Some(target), wgpu::StoreOp::Discard),
            None => (target, None, wgpu::StoreOp::Store),
        };
        let mut drawing = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("main pass"),
            color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                view,
                depth_slice: None,
                resolve_target,
                ops: wgpu::Operations { load: wgpu::LoadOp::Clear(wgpu::Color { r, g, b, a: 1.0 }), store },
            })],
            depth_stencil_attachment: Some(depth_attachment(&self.depth_view, wgpu::StoreOp::Discard)),
            ..Default::default()
        });
        drawing.set_bind_group(0, &self.main_group, &[]);
        drawing.set_pipeline(&self.pipelines.far_ground);
        self.far_ground.draw(&mut drawing);
        drawing.set_pipeline(&self.pipelines.sky);
        drawing.draw(0..pass::SKY_CELLS * 6, 0..pass::SKY_CELLS);
        drawing.set_pipeline(&self.pipelines.near_ground);
        self.near_ground.draw(&mut drawing);
        drawing.set_pipeline(&self.pipelines.knot);
        self.knot.draw(&mut drawing);
    }
}

impl Shape {
    fn new(device: &wgpu::Device, queue: &wgpu::Queue, label: &str, mesh: &Mesh) -> Self {
        let upload = |bytes: &[u8], usage| {
            let buffer = device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size: bytes.len() as u64,
                usage: usage | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            });
            queue.write_buffer(&buffer, 0, bytes);
            buffer
        };
        Self {
            vertices: upload(bytemuck::cast_slice(&mesh.vertices), wgpu::BufferUsages::VERTEX),
            indices: upload(bytemuck::cast_slice(&mesh.indices), wgpu::BufferUsages::INDEX),
            index_count: u32::try_from(mesh.indices.len()).unwrap_or(u32::MAX),
        }
    }

    fn draw(&self, drawing: &mut wgpu::RenderPass<'_>) {
        drawing.set_vertex_buffer(0, self.vertices.slice(..));
        drawing.set_index_buffer(self.indices.slice(..), wgpu::IndexFormat::Uint16);
        drawing.draw_indexed(0..self.index_count, 0, 0..1);
    }
}

struct Layouts {
    shadow: wgpu::BindGroupLayout,
    main: wgpu::BindGroupLayout,
}

impl Layouts {
    fn new(device: &wgpu::Device) -> Self {
        let entry =
            |binding, visibility, ty| wgpu::BindGroupLayoutEntry { binding, visibility, ty, count: None };
        let uniforms = entry(
            0,
            wgpu::ShaderStages::VERTEX_FRAGMENT,
            wgpu::BindingType::Buffer {
                ty: wgpu::BufferBindingType::Uniform,
                has_dynamic_offset: false,
                min_binding_size: None,
            },
        );
        let texture = |sample_type| wgpu::BindingType::Texture {
            sample_type,
            view_dimension: wgpu::TextureViewDimension::D2,
            multisampled: false,
        };
        let sampler = wgpu::BindingType::Sampler;
        let fragment = wgpu::ShaderStages::FRAGMENT;
        let both = wgpu::ShaderStages::VERTEX_FRAGMENT;
        let create = |label, entries: &[_]| {
            device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(label), entries })
        };
        Self {
            shadow: create("shadow pass", &[uniforms]),
            main: create(
                "main pass",
                &[
                    uniforms,
                    entry(1, both, texture(wgpu::TextureSampleType::Depth)),
                    entry(2, both, sampler(wgpu::SamplerBindingType::Comparison)),
                    entry(3, fragment, texture(wgpu::TextureSampleType::Float { filterable: true })),
                    entry(4, fragment, sampler(wgpu::SamplerBindingType::Filtering)),
                ],
            ),
        }
    }
}

impl Pipelines {
    fn new(device: &wgpu::Device, layouts: &Layouts, format: wgpu::TextureFormat) -> Self {
        let shader = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("orbit"),
            source: wgpu::ShaderSource::Wgsl(orbit_model::SHADER.into()),
        });
        let [position, normal, uv] = pass::ATTRIBUTE_OFFSETS;
        let attributes = wgpu::vertex_attr_array![0 => Float32x3, 1 => Float32x3, 2 => Float32x2];
        let attributes: Vec<_> = attributes
            .into_iter()
            .zip([position, normal, uv])
            .map(|(attribute, offset)| wgpu::VertexAttribute { offset, ..attribute })
            .collect();
        let mesh = [Some(wgpu::VertexBufferLayout {
            array_stride: pass::VERTEX_STRIDE,
            step_mode: wgpu::VertexStepMode::Vertex,
            attributes: &attributes,
        })];
        let targets =
            [Some(wgpu::ColorTargetState { format, blend: None, write_mask: wgpu::ColorWrites::ALL })];
        let create = |label: &str, vertex: &str, fragment: Option<&str>, layout, depth_stencil| {
            let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: Some(label),
                bind_group_layouts: &[Some(layout)],
                ..Default::default()
            });
            let count = if fragment.is_some() { pass::SAMPLE_COUNT } else { 1 };
            let buffers: &[_] = if label == "sky" { &[] } else { &mesh };
            device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
                label: Some(label),
                layout: Some(&layout),
                vertex: wgpu::VertexState {
                    module: &shader,
                    entry_point: Some(vertex),
                    compilation_options: wgpu::PipelineCompilationOptions::default(),
                    buffers,
                },
                primitive: wgpu::PrimitiveState {
                    cull_mode: Some(wgpu::Face::Back),
                    ..wgpu::PrimitiveState::default()
                },
                depth_stencil: Some(depth_stencil),
                multisample: wgpu::MultisampleState { count, ..wgpu::MultisampleState::default() },
                fragment: fragment.map(|entry_point| wgpu::FragmentState {
                    module: &shader,
                    entry_point: Some(entry_point),
                    compilation_options: wgpu::PipelineCompilationOptions::default(),
                    targets: &targets,
                }),
                multiview_mask: None,
                cache: None,
            })
        };
        let depth = |format, write, compare| wgpu::DepthStencilState {
            format,
            depth_write_enabled: Some(write),
            depth_compare: Some(compare),
            stencil: wgpu::StencilState::default(),
            bias: wgpu::DepthBiasState::default(),
        };
        let solid = depth(DEPTH_FORMAT, true, wgpu::CompareFunction::Less);
        let painted = || depth(DEPTH_FORMAT, false, wgpu::CompareFunction::Always);
        let shadow_depth = wgpu::DepthStencilState {
            bias: wgpu::DepthBiasState {
                constant: pass::SHADOW_DEPTH_BIAS,
                slope_scale: pass::SHADOW_DEPTH_BIAS_SLOPE_SCALE,
                clamp: 0.0,
            },
            ..depth(SHADOW_FORMAT, true, wgpu::CompareFunction::Less)
        };
        let main = &layouts.main;
        let backdrop = Some("backdrop_fragment");
        let near_ground = Some("near_ground_fragment");
        Self {
            shadow: create("shadow", "shadow_vertex", None, &layouts.shadow, shadow_depth),
            far_ground: create("far ground", "far_ground_vertex", backdrop, main, painted()),
            sky: create("sky", "sky_vertex", backdrop, main, painted()),
            near_ground: create("near ground", "near_ground_vertex", near_ground, main, painted()),
            knot: create("knot", "knot_vertex", Some("knot_fragment"), main, solid),
        }
    }
}

fn attachment(
    device: &wgpu::Device,
    label: &str,
    [width, height]: [u32; 2],
    sample_count: u32,
    format: wgpu::TextureFormat,
    usage: wgpu::TextureUsages,
) -> wgpu::TextureView {
    device
        .create_texture(&wgpu::TextureDescriptor {
            label: Some(label),
            size: wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count,
            dimension: wgpu::TextureDimension::D2,
            format,
            usage: usage | wgpu::TextureUsages::RENDER_ATTACHMENT,
            view_formats: &[],
        })
        .create_view(&wgpu::TextureViewDescriptor::default())
}

fn depth_attachment(
    view: &wgpu::TextureView,
    store: wgpu::StoreOp,
) -> wgpu::RenderPassDepthStencilAttachment<'_> {
    wgpu::RenderPassDepthStencilAttachment {
        view,
        depth_ops: Some(wgpu::Operations { load: wgpu::LoadOp::Clear(1.0), store }),
        stencil_ops: None,
    }
}

/// Of the shadow map and of the glaze.
fn samplers(device: &wgpu::Device) -> [wgpu::Sampler; 2] {
    let linear = wgpu::SamplerDescriptor {
        mag_filter: wgpu::FilterMode::Linear,
        min_filter: wgpu::FilterMode::Linear,
        ..wgpu::SamplerDescriptor::default()
    };
    let shadow =
        wgpu::SamplerDescriptor { compare: Some(wgpu::CompareFunction::LessEqual), ..linear.clone() };
    let glaze = wgpu::SamplerDescriptor {
        address_mode_u: wgpu::AddressMode::Repeat,
        address_mode_v: wgpu::AddressMode::Repeat,
        ..linear
    };
    [device.create_sampler(&shadow), device.create_sampler(&glaze)]
}

fn upload_glaze(device: &wgpu::Device, queue: &wgpu::Queue) -> wgpu::TextureView {
    let levels = orbit_model::glaze();
    let extent = |size| wgpu::Extent3d { width: size, height: size, depth_or_array_layers: 1 };
    let texture = device.create_texture(&wgpu::TextureDescriptor {
        label: Some("glaze"),
        size: extent(orbit_model::TEXTURE_SIZE),
        mip_level_count: u32::try_from(levels.len()).unwrap_or(1),
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::Rgba8Unorm,
        usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
        view_formats: &[],
    });
    for (mip_level, level) in (0..).zip(&levels) {
        queue.write_texture(
            wgpu::TexelCopyTextureInfo { mip_level, ..texture.as_image_copy() },
            &level.pixels,
            wgpu::TexelCopyBufferLayout {
                offset: 0,
                bytes_per_row: Some(level.size * 4),
                rows_per_image: Some(level.size),
            },
            extent(level.size),
        );
    }
    texture.create_view(&wgpu::TextureViewDescriptor::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: [u32; 2] = [320, 192];
    const FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba8Unorm;

    /// The picture of one frame, four bytes a pixel.
    async fn draw(frame: u32) -> Vec<u8> {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
        descriptor.backends = wgpu::Backends::VULKAN;
        let adapter = wgpu::Instance::new(descriptor)
            .request_adapter(&wgpu::RequestAdapterOptions::default())
            .await
            .expect("a Vulkan adapter, for example Mesa's software rasteriser (mesa-vulkan-drivers)");
        let (device, queue) =
            adapter.request_device(&wgpu::DeviceDescriptor::default()).await.expect("a device");
        let [width, height] = SIZE;
        let target = device.create_texture(&wgpu::TextureDescriptor {
            label: Some("target"),
            size: wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: FORMAT,
            usage: wgpu::TextureUsages::RENDER_ATTACHMENT | wgpu::TextureUsages::COPY_SRC,
            view_formats: &[],
        });
        let view = target.create_view(&wgpu::TextureViewDescriptor::default());
        OrbitNative::new(&device, &queue, FORMAT, SIZE).draw(&device, &queue, &view, frame);
        let bytes_per_row = width * 4;
        let buffer = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("readback"),
            size: u64::from(bytes_per_row * height),
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let layout = wgpu::TexelCopyBufferLayout {
            offset: 0,
            bytes_per_row: Some(bytes_per_row),
            rows_per_image: None,
        };
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_texture_to_buffer(
            target.as_image_copy(),
            wgpu::TexelCopyBufferInfo { buffer: &buffer, layout },
            target.size(),
        );
        queue.submit([encoder.finish()]);
        buffer.map_async(wgpu::MapMode::Read, .., |mapped| mapped.expect("the buffer maps"));
        device.poll(wgpu::PollType::wait_indefinitely()).expect("the drawing ends");
        buffer.get_mapped_range(..).expect("the buffer is mapped").to_vec()
    }

    fn pixel(picture: &[u8], [x, y]: [u32; 2]) -> [u8; 3] {
        let at = ((y * SIZE[0] + x) * 4) as usize;
        [picture[at], picture[at + 1], picture[at + 2]]
    }

    fn brightness(colour: [u8; 3]) -> u32 {
        colour.into_iter().map(u32::from).sum()
    }

    #[tokio::test]
    async fn the_knot_stands_before_the_haze_and_casts_a_shadow_on_the_ground() {
        let picture = draw(0).await;
        let haze = orbit_model::background().map(|part| part * 255.0);
        for (part, expected) in pixel(&picture, [4, SIZE[1] / 4]).into_iter().zip(haze) {
            assert!((f32::from(part) - expected).abs() < 2.0, "the haze is {part}, not {expected}");
        }
        let ground = brightness(pixel(&picture, [8, SIZE[1] - 8]));
        let darkest = picture.as_chunks::<4>().0.iter().map(|[r, g, b, _]| brightness([*r, *g, *b])).min();
        assert!(darkest < Some(ground / 2), "nothing is much darker than the ground ({darkest:?}, {ground})");
    }

    #[tokio::test]
    async fn the_picture_of_a_frame_depends_on_its_number_alone() {
        let (first, again, later) = (draw(3).await, draw(3).await, draw(9).await);
        assert!(first == again, "the same frame was drawn differently");
        assert!(first != later, "the held key moved nothing");
    }
}
