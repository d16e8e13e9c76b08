//! Tries: to take the device from under everything that waits for it: mappings, pipelines, the end of submitted work, its loss, its
//! errors; by destroying it, by dropping the last handle, and by both in the answer to another call.
//!
//! Must happen: each call is answered, or given up with the session; what was made is dropped after its device without harm.

use conformance::Topic;
use conformance::futures::future::join5;
use conformance::webgpu::*;

conformance::export_topic!(run);

const ROUNDS: u32 = 12;
const SHADER: &str = "@compute @workgroup_size(1) fn main() {}";

async fn run(topic: &mut Topic) {
    for round in 0..ROUNDS {
        let adapter = get_gpu().request_adapter(None).await.expect("the host has an adapter");
        let device = adapter.request_device(None).await.expect("there are no other devices");
        let buffer = device.create_buffer(&GpuBufferDescriptor {
            size: 256,
            usage: GpuBufferUsage::MAP_READ | GpuBufferUsage::COPY_DST,
            mapped_at_creation: None,
            label: None,
        });
        let module = device.create_shader_module(&GpuShaderModuleDescriptor {
            code: SHADER.into(),
            compilation_hints: None,
            label: None,
        });
        let (queue, lost, mut errors) = (device.queue(), device.lost(), device.on_uncaptured_error());
        let encoder = device.create_command_encoder(None);
        let pass = encoder.begin_compute_pass(None);
        let maps = buffer.map_async(GpuMapMode::READ, None, None);
        let compiles = device.create_compute_pipeline_async(GpuComputePipelineDescriptor {
            compute: GpuProgrammableStage { module: &module, entry_point: None, constants: None },
            layout: GpuLayoutMode::Auto,
            label: None,
        });
        let destroys = async {
            if round % 2 == 0 {
                // In the answer to another call.
                queue.on_submitted_work_done().await;
            }
            device.destroy();
            device.destroy();
        };
        let (mapped, _, (), info, error) =
            join5(maps, compiles, destroys, async { lost.await }, async { errors.next().await }).await;
        topic.equal("a device that is destroyed says so", info.reason(), GpuDeviceLostReason::Destroyed);
        topic.check("the stream of errors ends with its device", error.is_none());
        if mapped.is_ok() {
            let _ = buffer.unmap();
        }
        drop((device, queue, module));
        pass.end();
        let commands = encoder.finish(None);
        drop((adapter, pass, encoder, commands));
        topic.check("a buffer outlives its device", buffer.size() == 256);
        buffer.destroy();
    }
    topic.valid("another device is as before", |device| device.queue().submit(&[])).await;
}
