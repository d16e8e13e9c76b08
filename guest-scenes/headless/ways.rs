//! A scene that presents in all the ways that a scene may, and fails in those that it may not. The picture is one grey, which says
//! what was drawn when; each tick draws, and a key that goes down in it says how:
//!
//! | key | what the scene does |
//! |---|---|
//! | none | presents the number of ticks so far, from 1 on |
//! | `KeyD` | presents 201, and then 202 |
//! | `KeyN` | presents nothing |
//! | `KeyA` | has another task wait for the GPU, which then presents 203 |
//! | `KeyZ` | has another task sleep for 150 ms, which then presents 204 |
//! | `KeyC` | presents the clock in units of 10 ms |
//! | `KeyR` | presents a random number |
//! | `KeyL` | writes to the log, then presents as without a key |
//! | `KeyE` | returns |
//! | `KeyT` | traps |
//! | `KeyS` | computes without end |
//! | `KeyY` | yields without end |
//! | `KeyG` | gives the GPU work without end, and presents |

use core::future::pending;
use core::pin::{Pin, pin};
use std::rc::Rc;

use futures::future::{Either, select};
use headless::{get_random_u64, now, wait_for};
use kit::Gpu;
use kit::bindings::scenecast::scene::input::{Event, events};
use kit::bindings::wasi_gfx::surface::surface::Key;
use kit::bindings::wasi_gfx::surface::surface_webgpu::Context;
use kit::log::{Level, log};
use kit::webgpu::{
    GpuBindGroupDescriptor, GpuBindGroupEntry, GpuBindingResource, GpuBufferUsage, GpuColor,
    GpuComputePipelineDescriptor, GpuLayoutMode, GpuLoadOp, GpuProgrammableStage,
    GpuRenderPassColorAttachment, GpuRenderPassDescriptor, GpuStoreOp,
};

struct Start;

impl kit::bindings::Guest for Start {
    async fn start() {
        kit::log::panics();
        run().await;
    }
}

kit::bindings::export_start!(Start with_types_in kit::bindings);

struct Screen {
    gpu: Gpu,
    context: Context,
}

impl Screen {
    fn present(&self, grey: u8) {
        let texture = self.context.get_current_texture();
        let view = texture.create_view(None);
        let value = f64::from(grey) / 255.0;
        let encoder = self.gpu.device().create_command_encoder(None);
        let pass = encoder.begin_render_pass(&GpuRenderPassDescriptor {
            color_attachments: vec![Some(GpuRenderPassColorAttachment {
                view: &view,
                depth_slice: None,
                resolve_target: None,
                clear_value: Some(GpuColor { r: value, g: value, b: value, a: 1.0 }),
                load_op: GpuLoadOp::Clear,
                store_op: GpuStoreOp::Store,
            })],
            depth_stencil_attachment: None,
            occlusion_query_set: None,
            timestamp_writes: None,
            max_draw_count: None,
            label: None,
        });
        pass.end();
        self.gpu.submit(encoder);
        self.context.present();
    }

    /// More workgroups than any GPU gets through while somebody waits.
    fn hang(&self) {
        let shader = self.gpu.shader(
            "endless",
            "@group(0) @binding(0) var<storage, read_write> sum: atomic<u32>;
             @compute @workgroup_size(64) fn main() { for (var i = 0u; i < 60000u; i++) { atomicAdd(&sum, i); } }",
        );
        let pipeline = self.gpu.device().create_compute_pipeline(GpuComputePipelineDescriptor {
            compute: GpuProgrammableStage { module: &shader, entry_point: None, constants: None },
            layout: GpuLayoutMode::Auto,
            label: None,
        });
        let sum = self.gpu.buffer("sum", GpuBufferUsage::STORAGE, &[0; 4]);
        let group = self.gpu.device().create_bind_group(&GpuBindGroupDescriptor {
            layout: &pipeline.get_bind_group_layout(0),
            entries: vec![GpuBindGroupEntry { binding: 0, resource: GpuBindingResource::GpuBuffer(&sum) }],
            label: None,
        });
        let encoder = self.gpu.device().create_command_encoder(None);
        let pass = encoder.begin_compute_pass(None);
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, Some(&group), None, None, None).expect("there are no dynamic offsets");
        pass.dispatch_workgroups(65535, Some(65535), None);
        pass.end();
        self.gpu.submit(encoder);
    }
}

async fn run() {
    let mut input = events();
    let gpu = Gpu::request().await;
    let (surface, context) = gpu.open_window();
    let mut ticks = surface.on_frame();
    let screen = Rc::new(Screen { gpu, context });
    let mut count: u8 = 0;
    let mut later: Pin<Box<dyn Future<Output = ()>>> = Box::pin(pending());
    loop {
        {
            let mut tick = pin!(ticks.next());
            loop {
                match select(tick.as_mut(), later.as_mut()).await {
                    Either::Left((None, _)) => return,
                    Either::Left((Some(_), _)) => break,
                    Either::Right(_) => later = Box::pin(pending()),
                }
            }
        }
        count = count.wrapping_add(1);
        match pressed(&mut input).await {
            None => screen.present(count),
            Some(Key::KeyD) => {
                screen.present(201);
                screen.present(202);
            }
            Some(Key::KeyN) => {}
            Some(Key::KeyA) => {
                let screen = Rc::clone(&screen);
                later = Box::pin(async move {
                    screen.gpu.queue().on_submitted_work_done().await;
                    screen.present(203);
                });
            }
            Some(Key::KeyZ) => {
                let screen = Rc::clone(&screen);
                later = Box::pin(async move {
                    wait_for(150_000_000).await;
                    screen.present(204);
                });
            }
            Some(Key::KeyC) => screen.present(u8::try_from(now() / 10_000_000).unwrap_or(u8::MAX)),
            Some(Key::KeyR) => screen.present(get_random_u64().to_le_bytes()[0]),
            Some(Key::KeyL) => {
                log(Level::Warn, "the scene was asked to write this");
                screen.present(count);
            }
            Some(Key::KeyT) => panic!("the scene was asked to trap"),
            Some(Key::KeyS) => loop {
                core::hint::spin_loop();
            },
            Some(Key::KeyY) => loop {
                wit_bindgen::yield_async().await;
            },
            Some(Key::KeyG) => {
                screen.hang();
                screen.present(count);
            }
            Some(_) => return,
        }
    }
}

/// The key that went down since the last tick, if one did.
async fn pressed(input: &mut wit_bindgen::StreamReader<Event>) -> Option<Key> {
    let mut key = None;
    loop {
        let mut read = pin!(input.read(Vec::with_capacity(16)));
        let batch = match futures::poll!(read.as_mut()) {
            core::task::Poll::Ready((_, batch)) => batch,
            core::task::Poll::Pending => read.cancel().1,
        };
        if batch.is_empty() {
            return key;
        }
        key = batch.iter().fold(key, |key, event| match event {
            Event::KeyDown(event) => event.key,
            _ => key,
        });
    }
}
