//! Tries: to have all memory of the GPU, as buffers and as textures.
//!
//! Must happen: at the scene's quota an out-of-memory error; afterwards the scene goes on, and can have what it gave back. What others
//! have and get is not touched.

use conformance::Topic;
use conformance::webgpu::*;
use hostile::Ticks;

conformance::export_topic!(run);

/// What one buffer or texture has: a texture of 4096 x 4096 in four bytes a texel.
const BYTES_AT_ONCE: u64 = 64 << 20;
const SIDE: u32 = 4096;
/// No quota is higher than these together, and no machine here has as much.
const MOST: usize = 4096;

async fn run(topic: &mut Topic) {
    let buffer = |device: &GpuDevice| {
        device.create_buffer(&GpuBufferDescriptor {
            size: BYTES_AT_ONCE,
            usage: GpuBufferUsage::STORAGE,
            mapped_at_creation: None,
            label: None,
        })
    };
    let texture = |device: &GpuDevice| {
        device.create_texture(&GpuTextureDescriptor {
            size: GpuExtent3D { width: SIDE, height: Some(SIDE), depth_or_array_layers: None },
            mip_level_count: None,
            sample_count: None,
            dimension: None,
            format: GpuTextureFormat::Rgba8unorm,
            usage: GpuTextureUsage::TEXTURE_BINDING,
            view_formats: None,
            texture_binding_view_dimension: None,
            label: None,
        })
    };
    let first = until_refused(topic, "buffers", buffer).await;
    topic.say("the quota is reached");
    hold(first.len()).await;
    first.iter().for_each(GpuBuffer::destroy);
    topic.valid("what was destroyed can be had again", buffer).await.destroy();
    let textures = until_refused(topic, "textures", texture).await;
    topic.equal("textures count as buffers do", textures.len(), first.len());
    drop((first, textures));
    topic.queue().submit(&[]);
    topic.queue().on_submitted_work_done().await;
    topic.valid("what was dropped can be had again", buffer).await;
}

async fn until_refused<T>(topic: &mut Topic, what: &str, make: impl Fn(&GpuDevice) -> T) -> Vec<T> {
    let mut made = Vec::new();
    for _ in 0..MOST {
        let (object, error) = topic.catching(&make).await;
        match error {
            None => made.push(object),
            Some(error) => {
                topic.equal(
                    &format!("{what} beyond the quota are out of memory"),
                    error.kind,
                    GpuErrorFilter::OutOfMemory,
                );
                topic.check(&format!("some {what} can be had"), !made.is_empty());
                return made;
            }
        }
    }
    topic.check(&format!("{what} have a quota"), false);
    made
}

/// Time for a neighbour to be looked at.
async fn hold(_held: usize) {
    let mut ticks = Ticks::begin();
    for _ in 0..30 {
        ticks.next().await;
    }
}
