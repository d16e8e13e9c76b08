//! Buffers and their mapping: <https://www.w3.org/TR/webgpu/#buffers>

use conformance::Topic;
use conformance::webgpu::{GpuBufferDescriptor, GpuBufferMapState, GpuBufferUsage, GpuMapMode};

conformance::export_topic!(run);

async fn run(topic: &mut Topic) {
    properties(topic);
    mapping(topic).await;
}

fn properties(topic: &mut Topic) {
    let usage = GpuBufferUsage::COPY_SRC | GpuBufferUsage::STORAGE;
    let buffer = topic.device().create_buffer(&GpuBufferDescriptor {
        size: 20,
        usage,
        mapped_at_creation: None,
        label: Some("first".into()),
    });
    topic.equal("a buffer has the size that it was created with", buffer.size(), 20);
    topic.equal("a buffer has the usage that it was created with", buffer.usage(), usage);
    topic.equal("a buffer is not mapped unless asked for", buffer.map_state(), GpuBufferMapState::Unmapped);
    topic.equal("a buffer keeps its label", buffer.label(), "first");
    buffer.set_label("second");
    topic.equal("a buffer takes a new label", buffer.label(), "second");
}

async fn mapping(topic: &mut Topic) {
    let buffer = topic.device().create_buffer(&GpuBufferDescriptor {
        size: 16,
        usage: GpuBufferUsage::MAP_READ | GpuBufferUsage::COPY_DST,
        mapped_at_creation: Some(true),
        label: None,
    });
    topic.equal("a buffer is mapped when asked for", buffer.map_state(), GpuBufferMapState::Mapped);
    let written = buffer.get_mapped_range_set_with_copy(&[1, 2, 3, 4], Some(8), Some(4));
    topic.check("a mapped buffer is written", written.is_ok());
    topic.check("a mapped buffer is unmapped", buffer.unmap().is_ok());
    let mapped = buffer.map_async(GpuMapMode::READ, None, None).await;
    topic.check("a buffer with MAP_READ is mapped to be read", mapped.is_ok());
    let bytes = buffer.get_mapped_range_get_with_copy(Some(8), None);
    topic.equal("a buffer has what was written to it", bytes.ok(), Some(vec![1, 2, 3, 4, 0, 0, 0, 0]));
}
