//! The native side: the calls of guest-scenes/bench/calls/hostcalls.rs in bare wgpu, with the same descriptors; and copies of the same bytes.

use std::time::Duration;

use super::{Calls, Clock, HostcallsError, Spent, Work};
use crate::gpu::Gpu;

const SHADER: &str = include_str!("../../../../guest-scenes/bench/calls/hostcalls.wgsl");
/// The side of the picture that the frames draw.
const PICTURE: u32 = 64;
const FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba8Unorm;
/// Things that a dynamic offset can choose.
const QUADS: u32 = 256;
/// How far they are apart: the default of `minUniformBufferOffsetAlignment`.
const QUAD_STRIDE: u32 = 256;
/// Of a quad in the shader, with its padding.
const QUAD_BYTES: wgpu::BufferSize = wgpu::BufferSize::new(16).expect("it is not zero");
/// The most that one `write-buffer` writes.
const MAX_WRITTEN: u32 = 1 << 20;
/// A frame that takes longer than this has no place in a benchmark.
const FRAME_TIMEOUT: Duration = Duration::from_mins(1);

/// A device, and everything that the frames use.
pub(super) struct Native {
    device: wgpu::Device,
    queue: wgpu::Queue,
    view: wgpu::TextureView,
    render_pipeline: wgpu::RenderPipeline,
    quads: wgpu::BindGroup,
    compute_pipeline: wgpu::ComputePipeline,
    counter: wgpu::BindGroup,
    written: wgpu::Buffer,
    data: Vec<u8>,
}

impl Native {
    pub(super) async fn new(gpu: &Gpu) -> Result<Self, HostcallsError> {
        let (device, queue) = gpu
            .adapter()
            .request_device(&wgpu::DeviceDescriptor::default())
            .await
            .map_err(|error| HostcallsError::Native(error.to_string()))?;
        let shader = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: None,
            source: wgpu::ShaderSource::Wgsl(SHADER.into()),
        });
        let texture = device.create_texture(&wgpu::TextureDescriptor {
            label: None,
            size: wgpu::Extent3d { width: PICTURE, height: PICTURE, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: FORMAT,
            usage: wgpu::TextureUsages::RENDER_ATTACHMENT,
            view_formats: &[],
        });
        let (render_pipeline, quads) = quads(&device, &queue, &shader);
        let (compute_pipeline, counter) = counter(&device, &shader);
        Ok(Self {
            view: texture.create_view(&wgpu::TextureViewDescriptor::default()),
            render_pipeline,
            quads,
            compute_pipeline,
            counter,
            written: buffer(&device, MAX_WRITTEN.into(), wgpu::BufferUsages::COPY_DST),
            data: bytes(MAX_WRITTEN),
            device,
            queue,
        })
    }

    pub(super) fn device(&self) -> &wgpu::Device {
        &self.device
    }

    /// One frame.
    pub(super) fn frame(&self, work: Work, clock: Clock) -> Result<Spent, HostcallsError> {
        let start_ns = clock.now_ns();
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let calls_ns = if work.calls == Calls::Dispatch {
            self.dispatch(&mut encoder, work, clock)
        } else {
            self.draw(&mut encoder, work, clock)
        };
        let submission = self.queue.submit([encoder.finish()]);
        let wait = wgpu::PollType::Wait { submission_index: Some(submission), timeout: Some(FRAME_TIMEOUT) };
        self.device.poll(wait).map_err(|error| HostcallsError::Native(error.to_string()))?;
        Ok(Spent { calls_ns, frame_ns: clock.now_ns().saturating_sub(start_ns) })
    }

    /// Nanoseconds of the calls in a compute pass.
    fn dispatch(&self, encoder: &mut wgpu::CommandEncoder, work: Work, clock: Clock) -> u64 {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(&self.compute_pipeline);
        pass.set_bind_group(0, &self.counter, &[]);
        let begun_ns = clock.now_ns();
        for _ in 0..work.count {
            pass.dispatch_workgroups(1, 1, 1);
        }
        clock.now_ns().saturating_sub(begun_ns)
    }

    /// Nanoseconds of the calls in a render pass.
    fn draw(&self, encoder: &mut wgpu::CommandEncoder, work: Work, clock: Clock) -> u64 {
        let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                view: &self.view,
                depth_slice: None,
                resolve_target: None,
                ops: wgpu::Operations {
                    load: wgpu::LoadOp::Clear(wgpu::Color::TRANSPARENT),
                    store: wgpu::StoreOp::Store,
                },
            })],
            ..Default::default()
        });
        pass.set_pipeline(&self.render_pipeline);
        self.bind(&mut pass, 0);
        let begun_ns = clock.now_ns();
        self.record(&mut pass, work);
        clock.now_ns().saturating_sub(begun_ns)
    }

    fn record(&self, pass: &mut wgpu::RenderPass<'_>, work: Work) {
        match work.calls {
            Calls::BindAndDraw => {
                for i in 0..work.count {
                    self.bind(pass, i);
                    pass.draw(0..3, 0..1);
                }
            }
            Calls::SetBindGroup => {
                for i in 0..work.count {
                    self.bind(pass, i);
                }
            }
            Calls::Draw => {
                for _ in 0..work.count {
                    pass.draw(0..3, 0..1);
                }
            }
            Calls::WriteBuffer(bytes) => {
                let data = self.data.get(..bytes as usize).unwrap_or(&self.data);
                for _ in 0..work.count {
                    self.queue.write_buffer(&self.written, 0, data);
                }
            }
            // Of the other kind of pass.
            Calls::Dispatch => {}
        }
    }

    fn bind(&self, pass: &mut wgpu::RenderPass<'_>, i: u32) {
        pass.set_bind_group(0, &self.quads, &[i % QUADS * QUAD_STRIDE]);
    }
}

/// Mapped memory of the device, as much as a frame's writes need: what they could cost if they were nothing but copies.
pub(super) struct Staging {
    views: Vec<wgpu::BufferViewMut>,
    data: Vec<u8>,
}

impl Staging {
    pub(super) fn new(device: &wgpu::Device, size: u32, count: u32) -> Self {
        let view = |_| {
            let staging = device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size: size.into(),
                usage: wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC,
                mapped_at_creation: true,
            });
            // A new buffer of this kind is mapped whole, which also faulted its memory in, because WebGPU's is zeroed.
            staging.get_mapped_range_mut(..).ok()
        };
        Self { views: (0..count).filter_map(view).collect(), data: bytes(size) }
    }

    /// Copies the bytes into each buffer.
    pub(super) fn copy_ns(mut self, clock: Clock) -> u64 {
        let start_ns = clock.now_ns();
        for view in &mut self.views {
            view.slice(..).copy_from_slice(&self.data);
        }
        clock.now_ns().saturating_sub(start_ns)
    }
}

/// Copies the bytes of a frame's writes, each to memory of its own that is kept to the end. The allocator has none that large: it asks
/// the system, which gives zeroed pages one by one as they are written.
pub(super) fn copy_to_new_memory_ns(size: u32, count: u32, clock: Clock) -> u64 {
    let data = bytes(size);
    let start_ns = clock.now_ns();
    let copies: Vec<Vec<u8>> = (0..count).map(|_| data.clone()).collect();
    let end_ns = clock.now_ns();
    drop(std::hint::black_box(copies));
    end_ns.saturating_sub(start_ns)
}

fn bytes(count: u32) -> Vec<u8> {
    (0..count).map(|i| i.to_le_bytes()[0]).collect()
}

fn buffer(device: &wgpu::Device, size: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
    device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
}

fn quads(
    device: &wgpu::Device,
    queue: &wgpu::Queue,
    shader: &wgpu::ShaderModule,
) -> (wgpu::RenderPipeline, wgpu::BindGroup) {
    let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: None,
        entries: &[wgpu::BindGroupLayoutEntry {
            binding: 0,
            visibility: wgpu::ShaderStages::VERTEX,
            ty: wgpu::BindingType::Buffer {
                ty: wgpu::BufferBindingType::Uniform,
                has_dynamic_offset: true,
                min_binding_size: None,
            },
            count: None,
        }],
    });
    let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: None,
        bind_group_layouts: &[Some(&layout)],
        immediate_size: 0,
    });
    let pipeline = device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label: None,
        layout: Some(&pipeline_layout),
        vertex: wgpu::VertexState {
            module: shader,
            entry_point: Some("vertex"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            buffers: &[],
        },
        primitive: wgpu::PrimitiveState::default(),
        depth_stencil: None,
        multisample: wgpu::MultisampleState::default(),
        fragment: Some(wgpu::FragmentState {
            module: shader,
            entry_point: Some("fragment"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            targets: &[Some(FORMAT.into())],
        }),
        multiview_mask: None,
        cache: None,
    });
    let uniforms = buffer(
        device,
        u64::from(QUADS) * u64::from(QUAD_STRIDE),
        wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
    );
    queue.write_buffer(&uniforms, 0, &quad_bytes());
    let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout: &layout,
        entries: &[wgpu::BindGroupEntry {
            binding: 0,
            resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer: &uniforms,
                offset: 0,
                size: Some(QUAD_BYTES),
            }),
        }],
    });
    (pipeline, group)
}

/// A grid of triangles that are some pixels large.
#[expect(clippy::cast_precision_loss, reason = "the numbers are small")]
fn quad_bytes() -> Vec<u8> {
    let side = 2.0 / 16.0_f32;
    (0..QUADS)
        .flat_map(|i| {
            let (x, y) = ((i % 16) as f32 * side - 1.0, (i / 16) as f32 * side - 1.0);
            let mut bytes = [x, y, side].map(f32::to_le_bytes).concat();
            bytes.resize(QUAD_STRIDE as usize, 0);
            bytes
        })
        .collect()
}

fn counter(device: &wgpu::Device, shader: &wgpu::ShaderModule) -> (wgpu::ComputePipeline, wgpu::BindGroup) {
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: None,
        layout: None,
        module: shader,
        entry_point: Some("count"),
        compilation_options: wgpu::PipelineCompilationOptions::default(),
        cache: None,
    });
    let counter = buffer(device, 4, wgpu::BufferUsages::STORAGE);
    let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout: &pipeline.get_bind_group_layout(0),
        entries: &[wgpu::BindGroupEntry { binding: 0, resource: counter.as_entire_binding() }],
    });
    (pipeline, group)
}
