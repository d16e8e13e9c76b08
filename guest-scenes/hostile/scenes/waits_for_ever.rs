//! Tries: to hold its worker by calls that are never answered: the loss of a device that is not lost, an error that nobody makes, keys that
//! nobody presses; and by a mapping that is given up while it is pending.
//!
//! Must happen: only the tasks that wait, wait. Ticks and the other tasks go on, pictures are drawn, the worker answers, and `stop` ends
//! the session at once.

use futures::future::{join, join4};
use hostile::Ticks;
use kit::bindings::wasi_gfx::surface::surface::{CreateDesc, Surface};
use kit::log::{Level, log};
use kit::webgpu::{GpuBufferDescriptor, GpuBufferUsage, GpuMapMode};

struct Start;

impl kit::bindings::Guest for Start {
    async fn start() {
        let gpu = kit::Gpu::request().await;
        let surface = Surface::new(CreateDesc { width: None, height: None });
        let (mut errors, mut keys) = (gpu.device().on_uncaptured_error(), surface.on_key_down());
        let lost = gpu.device().lost();
        let waits = join(async { drop(errors.next().await) }, async { drop(keys.next().await) });
        let maps = async {
            let mut ticks = Ticks::begin();
            loop {
                let buffer = gpu.device().create_buffer(&GpuBufferDescriptor {
                    size: 4096,
                    usage: GpuBufferUsage::MAP_READ | GpuBufferUsage::COPY_DST,
                    mapped_at_creation: None,
                    label: None,
                });
                let mut mapping = Box::pin(buffer.map_async(GpuMapMode::READ, None, None));
                let _ = futures::poll!(mapping.as_mut());
                drop(mapping);
                if !ticks.next().await {
                    return;
                }
            }
        };
        let counts = async {
            let mut ticks = Ticks::begin();
            let mut count = 0;
            while ticks.next().await {
                count += 1;
                log(Level::Info, &format!("tick {count}"));
            }
        };
        join4(async { drop(lost.await) }, waits, maps, counts).await;
    }
}

kit::bindings::export_start!(Start with_types_in kit::bindings);
