//! What `scenecast bench hostcalls` runs: nothing but calls, as many as the host asks for, so that the host can take the time.
//!
//! Its native twin makes the same calls with the same descriptors; a change here is one there:
//! renderer/src/bench/hostcalls/native.rs.

use std::cell::RefCell;

use bench::bindings::scenecast::bench::floor;
#[expect(clippy::wildcard_imports, reason = "most of what WebGPU has to describe things is used here")]
use bench::bindings::wasi::webgpu::webgpu::*;
use bench::bindings::{Guest, Pass as PassKind, Side, Work};

const SHADER: &str = include_str!("hostcalls.wgsl");
/// The side of the picture that the frames draw.
const PICTURE: u32 = 64;
const FORMAT: GpuTextureFormat = GpuTextureFormat::Rgba8unorm;
/// Things that a dynamic offset can choose.
const QUADS: u32 = 256;
/// How far they are apart: the default of `minUniformBufferOffsetAlignment`.
const QUAD_STRIDE: u32 = 256;
/// Of a quad in the shader, with its padding.
const QUAD_BYTES: u64 = 16;
/// The most that one `write-buffer` writes.
const MAX_WRITTEN: u32 = 1 << 20;

struct Bench {
    device: GpuDevice,
    queue: GpuQueue,
    view: GpuTextureView,
    render_pipeline: GpuRenderPipeline,
    quads: GpuBindGroup,
    compute_pipeline: GpuComputePipeline,
    counter: GpuBindGroup,
    written: GpuBuffer,
    data: Vec<u8>,
}

struct Frame {
    encoder: GpuCommandEncoder,
    pass: Pass,
}

enum Pass {
    Render(GpuRenderPassEncoder),
    Compute(GpuComputePassEncoder),
}

thread_local! {
    static BENCH: RefCell<Option<Bench>> = const { RefCell::new(None) };
    static FRAME: RefCell<Option<Frame>> = const { RefCell::new(None) };
}

struct Calls;

bench::bindings::export!(Calls);

impl Guest for Calls {
    async fn prepare() {
        let adapter = get_gpu().request_adapter(None).await.expect("the host has an adapter");
        let device = adapter.request_device(None).await.expect("the adapter gives a device");
        BENCH.set(Some(Bench::new(device)));
    }

    fn begin(pass: PassKind) {
        with_bench(|bench| FRAME.set(Some(bench.begin(pass))));
    }

    fn make(work: Work, side: Side, count: u32) {
        with_bench(|bench| {
            FRAME.with_borrow(|frame| {
                let frame = frame.as_ref().expect("`begin` comes first");
                match side {
                    Side::Host => bench.record(&frame.pass, work, count),
                    Side::Floor => bench.record_floor(&frame.pass, work, count),
                }
            });
        });
    }

    async fn finish() {
        let Frame { encoder, pass } = FRAME.take().expect("`begin` comes first");
        match pass {
            Pass::Render(pass) => pass.end(),
            Pass::Compute(pass) => pass.end(),
        }
        let queue = with_bench(|bench| {
            bench.queue.submit(&[&encoder.finish(None)]);
            bench.device.queue()
        });
        queue.on_submitted_work_done().await;
    }
}

fn with_bench<R>(calls: impl FnOnce(&Bench) -> R) -> R {
    BENCH.with_borrow(|bench| calls(bench.as_ref().expect("`prepare` comes first")))
}

impl Bench {
    fn new(device: GpuDevice) -> Self {
        let queue = device.queue();
        let shader = device.create_shader_module(&GpuShaderModuleDescriptor {
            code: SHADER.into(),
            compilation_hints: None,
            label: None,
        });
        let texture = device.create_texture(&GpuTextureDescriptor {
            size: GpuExtent3D { width: PICTURE, height: Some(PICTURE), depth_or_array_layers: None },
            mip_level_count: None,
            sample_count: None,
            dimension: None,
            format: FORMAT,
            usage: GpuTextureUsage::RENDER_ATTACHMENT,
            view_formats: None,
            texture_binding_view_dimension: None,
            label: None,
        });
        let (render_pipeline, quads) = quads(&device, &queue, &shader);
        let (compute_pipeline, counter) = counter(&device, &shader);
        let written = buffer(&device, MAX_WRITTEN.into(), GpuBufferUsage::COPY_DST);
        Self {
            view: texture.create_view(None),
            render_pipeline,
            quads,
            compute_pipeline,
            counter,
            written,
            data: (0..MAX_WRITTEN).map(|i| i.to_le_bytes()[0]).collect(),
            device,
            queue,
        }
    }

    fn begin(&self, pass: PassKind) -> Frame {
        let encoder = self.device.create_command_encoder(None);
        let pass = match pass {
            PassKind::Render => {
                let pass = encoder.begin_render_pass(&GpuRenderPassDescriptor {
                    color_attachments: vec![Some(GpuRenderPassColorAttachment {
                        view: &self.view,
                        depth_slice: None,
                        resolve_target: None,
                        clear_value: None,
                        load_op: GpuLoadOp::Clear,
                        store_op: GpuStoreOp::Store,
                    })],
                    depth_stencil_attachment: None,
                    occlusion_query_set: None,
                    timestamp_writes: None,
                    max_draw_count: None,
                    label: None,
                });
                pass.set_pipeline(&self.render_pipeline);
                bind(&pass, &self.quads, 0);
                Pass::Render(pass)
            }
            PassKind::Compute => {
                let pass = encoder.begin_compute_pass(None);
                pass.set_pipeline(&self.compute_pipeline);
                pass.set_bind_group(0, Some(&self.counter), None, None, None)
                    .expect("there are no dynamic offsets");
                Pass::Compute(pass)
            }
        };
        Frame { encoder, pass }
    }

    fn record(&self, pass: &Pass, work: Work, count: u32) {
        match (work, pass) {
            (Work::BindAndDraw, Pass::Render(pass)) => {
                for i in 0..count {
                    bind(pass, &self.quads, i);
                    pass.draw(3, None, None, None);
                }
            }
            (Work::SetBindGroup, Pass::Render(pass)) => {
                for i in 0..count {
                    bind(pass, &self.quads, i);
                }
            }
            (Work::Draw, Pass::Render(pass)) => {
                for _ in 0..count {
                    pass.draw(3, None, None, None);
                }
            }
            (Work::Dispatch, Pass::Compute(pass)) => {
                for _ in 0..count {
                    pass.dispatch_workgroups(1, None, None);
                }
            }
            (Work::WriteBuffer(bytes), _) => {
                let data = &self.data[..bytes as usize];
                for _ in 0..count {
                    self.queue
                        .write_buffer_with_copy(&self.written, 0, data, None, None)
                        .expect("the data is within the buffer");
                }
            }
            _ => panic!("this host has no such work in such a pass"),
        }
    }

    fn record_floor(&self, pass: &Pass, work: Work, count: u32) {
        match (work, pass) {
            (Work::BindAndDraw, Pass::Render(pass)) => {
                for i in 0..count {
                    bind_floor(pass, &self.quads, i);
                    floor::draw(pass, 3, None, None, None);
                }
            }
            (Work::SetBindGroup, Pass::Render(pass)) => {
                for i in 0..count {
                    bind_floor(pass, &self.quads, i);
                }
            }
            (Work::Draw, Pass::Render(pass)) => {
                for _ in 0..count {
                    floor::draw(pass, 3, None, None, None);
                }
            }
            (Work::Dispatch, Pass::Compute(pass)) => {
                for _ in 0..count {
                    floor::dispatch_workgroups(pass, 1, None, None);
                }
            }
            (Work::WriteBuffer(bytes), _) => {
                let data = &self.data[..bytes as usize];
                for _ in 0..count {
                    floor::write_buffer_with_copy(&self.queue, &self.written, 0, data, None, None)
                        .expect("the floor does nothing, and does it well");
                }
            }
            (Work::ThreeOptions, Pass::Render(pass)) => {
                for _ in 0..count {
                    floor::three_options(pass, None, None, None);
                }
            }
            _ => panic!("the floor has no such work in such a pass"),
        }
    }
}

fn bind(pass: &GpuRenderPassEncoder, quads: &GpuBindGroup, i: u32) {
    pass.set_bind_group(0, Some(quads), Some(&[offset(i)]), None, None).expect("the offset is a whole list");
}

fn bind_floor(pass: &GpuRenderPassEncoder, quads: &GpuBindGroup, i: u32) {
    floor::set_bind_group(pass, 0, Some(quads), Some(&[offset(i)]), None, None)
        .expect("the floor does nothing, and does it well");
}

fn offset(i: u32) -> u32 {
    i % QUADS * QUAD_STRIDE
}

fn buffer(device: &GpuDevice, size: u64, usage: GpuBufferUsage) -> GpuBuffer {
    device.create_buffer(&GpuBufferDescriptor { size, usage, mapped_at_creation: None, label: None })
}

/// The pipeline that draws a quad's triangle, and the quads, of which a dynamic offset chooses one.
fn quads(
    device: &GpuDevice,
    queue: &GpuQueue,
    shader: &GpuShaderModule,
) -> (GpuRenderPipeline, GpuBindGroup) {
    let layout = device.create_bind_group_layout(&GpuBindGroupLayoutDescriptor {
        entries: vec![GpuBindGroupLayoutEntry {
            binding: 0,
            visibility: GpuShaderStage::VERTEX,
            buffer: Some(GpuBufferBindingLayout {
                type_: None,
                has_dynamic_offset: Some(true),
                min_binding_size: None,
            }),
            sampler: None,
            texture: None,
            storage_texture: None,
        }],
        label: None,
    });
    let pipeline_layout = device.create_pipeline_layout(&GpuPipelineLayoutDescriptor {
        bind_group_layouts: vec![Some(&layout)],
        immediate_size: None,
        label: None,
    });
    let pipeline = device.create_render_pipeline(GpuRenderPipelineDescriptor {
        vertex: GpuVertexState {
            buffers: None,
            module: shader,
            entry_point: Some("vertex".into()),
            constants: None,
        },
        primitive: None,
        depth_stencil: None,
        multisample: None,
        fragment: Some(GpuFragmentState {
            targets: vec![Some(GpuColorTargetState { format: FORMAT, blend: None, write_mask: None })],
            module: shader,
            entry_point: Some("fragment".into()),
            constants: None,
        }),
        layout: GpuLayoutMode::Specific(&pipeline_layout),
        label: None,
    });
    let uniforms = buffer(
        device,
        u64::from(QUADS) * u64::from(QUAD_STRIDE),
        GpuBufferUsage::UNIFORM | GpuBufferUsage::COPY_DST,
    );
    queue
        .write_buffer_with_copy(&uniforms, 0, &quad_bytes(), None, None)
        .expect("the data is within the buffer");
    let group = device.create_bind_group(&GpuBindGroupDescriptor {
        layout: &layout,
        entries: vec![GpuBindGroupEntry {
            binding: 0,
            resource: GpuBindingResource::GpuBufferBinding(GpuBufferBinding {
                buffer: &uniforms,
                offset: None,
                size: Some(QUAD_BYTES),
            }),
        }],
        label: None,
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

/// The pipeline that counts, and where it counts.
fn counter(device: &GpuDevice, shader: &GpuShaderModule) -> (GpuComputePipeline, GpuBindGroup) {
    let pipeline = device.create_compute_pipeline(GpuComputePipelineDescriptor {
        compute: GpuProgrammableStage { module: shader, entry_point: Some("count".into()), constants: None },
        layout: GpuLayoutMode::Auto,
        label: None,
    });
    let counter = buffer(device, 4, GpuBufferUsage::STORAGE);
    let group = device.create_bind_group(&GpuBindGroupDescriptor {
        layout: &pipeline.get_bind_group_layout(0),
        entries: vec![GpuBindGroupEntry { binding: 0, resource: GpuBindingResource::GpuBuffer(&counter) }],
        label: None,
    });
    (pipeline, group)
}
