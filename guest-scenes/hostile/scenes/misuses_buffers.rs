//! Tries: to map a buffer twice, to unmap it twice, to write it while it is mapped, and to submit what was destroyed or submitted before.
//!
//! Must happen: validation errors, or what the standard says that the call returns, and nothing else.

use conformance::Topic;
use conformance::webgpu::*;

conformance::export_topic!(run);

async fn run(topic: &mut Topic) {
    let buffer = topic.empty_buffer(GpuBufferUsage::MAP_WRITE | GpuBufferUsage::COPY_SRC, 64);
    let target = topic.empty_buffer(GpuBufferUsage::COPY_DST, 64);
    topic.check("a buffer is mapped", buffer.map_async(GpuMapMode::WRITE, None, None).await.is_ok());

    topic.device().push_error_scope(GpuErrorFilter::Validation);
    let again = buffer.map_async(GpuMapMode::WRITE, None, None).await;
    topic.check("mapping a mapped buffer is refused", again.is_err());
    let error = topic.device().pop_error_scope().await;
    topic.check("mapping a mapped buffer is a validation error", matches!(error, Ok(Some(_))));
    topic.check("the first mapping holds", buffer.get_mapped_range_get_with_copy(None, None).is_ok());

    let copy = |device: &GpuDevice| {
        let encoder = device.create_command_encoder(None);
        encoder.copy_buffer_to_buffer(&buffer, None, &target, None, None);
        encoder.finish(None)
    };
    let commands = topic.valid("a copy of a mapped buffer is recorded", |device| copy(device)).await;
    topic
        .invalid("a copy of a mapped buffer is not submitted", |device| device.queue().submit(&[&commands]))
        .await;

    topic
        .valid("a buffer is unmapped twice", |_| {
            let _ = (buffer.unmap(), buffer.unmap());
        })
        .await;
    topic
        .check("an unmapped buffer has no range", buffer.get_mapped_range_get_with_copy(None, None).is_err());

    let commands = copy(topic.device());
    topic.valid("commands are submitted once", |device| device.queue().submit(&[&commands])).await;
    topic.invalid("commands are not submitted twice", |device| device.queue().submit(&[&commands])).await;

    topic
        .invalid("a buffer that cannot be written is not written", |device| {
            drop(device.queue().write_buffer_with_copy(&buffer, 0, &[0; 4], None, None));
        })
        .await;

    let commands = copy(topic.device());
    buffer.destroy();
    buffer.destroy();
    topic
        .invalid("commands with a destroyed buffer are not submitted", |device| {
            device.queue().submit(&[&commands])
        })
        .await;
    topic.check(
        "a destroyed buffer is not mapped",
        buffer.map_async(GpuMapMode::WRITE, None, None).await.is_err(),
    );
}
