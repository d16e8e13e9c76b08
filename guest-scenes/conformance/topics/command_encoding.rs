//! Command encoders: <https://www.w3.org/TR/webgpu/#command-encoding>

use conformance::webgpu::{
    GpuBuffer, GpuBufferUsage, GpuCommandBufferDescriptor, GpuCommandEncoder, GpuCommandEncoderDescriptor,
    GpuDevice,
};
use conformance::{Topic, whole, words};

conformance::export_topic!(run);

async fn run(topic: &mut Topic) {
    copies(topic).await;
    wrong_copies(topic).await;
    clears(topic).await;
    debug_groups(topic).await;
    states(topic).await;
    passes(topic).await;
    lives(topic).await;
}

fn record<R>(device: &GpuDevice, record: impl FnOnce(&GpuCommandEncoder) -> R) {
    let encoder = device.create_command_encoder(None);
    record(&encoder);
    device.queue().submit(&[&encoder.finish(None)]);
}

/// Without submitting: what is wrong is told by `finish`.
fn finish<R>(device: &GpuDevice, record: impl FnOnce(&GpuCommandEncoder) -> R) {
    let encoder = device.create_command_encoder(None);
    record(&encoder);
    encoder.finish(None);
}

/// <https://www.w3.org/TR/webgpu/#dom-gpucommandencoder-copybuffertobuffer>
async fn copies(topic: &mut Topic) {
    let data: Vec<u8> = (1..=32).collect();
    let source = topic.buffer(GpuBufferUsage::COPY_SRC, &data);
    let cases = [
        (None, None, None, 0..32, 0),
        (Some(8), None, None, 8..32, 0),
        (Some(8), Some(4), None, 8..32, 4),
        (None, Some(16), Some(16), 0..16, 16),
        (Some(4), Some(20), Some(8), 4..12, 20),
        (Some(32), None, None, 32..32, 0),
        (None, Some(40), Some(0), 0..0, 40),
        (Some(0), Some(0), Some(4), 0..4, 0),
    ];
    for (source_offset, destination_offset, size, part, at) in cases {
        let destination = topic.storage(40);
        let what = format!("a copy from {source_offset:?} to {destination_offset:?} of {size:?}");
        topic
            .valid(&what, |device| {
                record(device, |encoder| {
                    encoder.copy_buffer_to_buffer(
                        &source,
                        source_offset,
                        &destination,
                        destination_offset,
                        size,
                    )
                })
            })
            .await;
        let mut expected = vec![0; 40];
        expected[at..at + part.len()].copy_from_slice(&data[part]);
        topic.equal(&what, topic.bytes(&destination).await, expected);
    }
}

async fn wrong_copies(topic: &mut Topic) {
    let both = GpuBufferUsage::COPY_SRC | GpuBufferUsage::COPY_DST;
    let (source, destination) = (topic.empty_buffer(both, 32), topic.empty_buffer(both, 32));
    let only_source = topic.empty_buffer(GpuBufferUsage::COPY_SRC, 32);
    let only_destination = topic.empty_buffer(GpuBufferUsage::COPY_DST, 32);
    let crooked = topic.empty_buffer(both, 30);
    type Case<'a> = (&'a str, &'a GpuBuffer, Option<u64>, &'a GpuBuffer, Option<u64>, Option<u64>);
    let wrong: [Case; 15] = [
        ("a source without COPY_SRC", &only_destination, None, &destination, None, Some(4)),
        ("a destination without COPY_DST", &source, None, &only_source, None, Some(4)),
        ("a crooked size", &source, None, &destination, None, Some(6)),
        ("the crooked size of a buffer", &crooked, None, &destination, None, None),
        ("a crooked source offset", &source, Some(2), &destination, None, Some(4)),
        ("a crooked destination offset", &source, None, &destination, Some(2), Some(4)),
        ("more than the source", &source, Some(16), &destination, None, Some(20)),
        ("more than the destination", &source, None, &destination, Some(16), Some(20)),
        (
            "the rest of the source, which is more than the destination",
            &source,
            None,
            &destination,
            Some(4),
            None,
        ),
        ("an offset beyond the source", &source, Some(36), &destination, None, None),
        ("nothing beyond the source", &source, Some(36), &destination, None, Some(0)),
        ("offsets beyond all", &source, Some(u64::MAX - 3), &destination, Some(u64::MAX - 3), Some(8)),
        ("a size beyond all", &source, Some(4), &destination, Some(4), Some(u64::MAX - 3)),
        ("a buffer to itself", &source, None, &source, Some(16), Some(16)),
        ("a buffer to itself at the same place", &source, None, &source, None, None),
    ];
    for (what, source, source_offset, destination, destination_offset, size) in wrong {
        topic
            .invalid(what, |device| {
                finish(device, |encoder| {
                    encoder.copy_buffer_to_buffer(
                        source,
                        source_offset,
                        destination,
                        destination_offset,
                        size,
                    )
                })
            })
            .await;
    }
}

/// <https://www.w3.org/TR/webgpu/#dom-gpucommandencoder-clearbuffer>
async fn clears(topic: &mut Topic) {
    for (offset, size, cleared) in [
        (None, None, 0..16),
        (Some(4), None, 4..16),
        (None, Some(8), 0..8),
        (Some(8), Some(4), 8..12),
        (Some(16), None, 16..16),
        (Some(4), Some(0), 4..4),
    ] {
        let buffer = topic.buffer(GpuBufferUsage::COPY_SRC, &[1; 16]);
        topic
            .valid("a clear", |device| record(device, |encoder| encoder.clear_buffer(&buffer, offset, size)))
            .await;
        let mut expected = vec![1; 16];
        expected[cleared].fill(0);
        topic.equal(&format!("a clear from {offset:?} of {size:?}"), topic.bytes(&buffer).await, expected);
    }
    let buffer = topic.buffer(GpuBufferUsage::COPY_SRC, &[1; 16]);
    let crooked = topic.empty_buffer(GpuBufferUsage::COPY_DST, 14);
    let source = topic.empty_buffer(GpuBufferUsage::COPY_SRC, 16);
    for (what, buffer, offset, size) in [
        ("a crooked offset", &buffer, Some(2), None),
        ("a crooked size", &buffer, None, Some(6)),
        ("the crooked size of a buffer", &crooked, None, None),
        ("more than there is", &buffer, Some(8), Some(12)),
        ("an offset beyond the end", &buffer, Some(20), None),
        ("a size beyond all", &buffer, Some(4), Some(u64::MAX - 3)),
        ("a buffer without COPY_DST", &source, None, None),
    ] {
        topic
            .invalid(what, |device| finish(device, |encoder| encoder.clear_buffer(buffer, offset, size)))
            .await;
    }
}

/// <https://www.w3.org/TR/webgpu/#debug-markers>
async fn debug_groups(topic: &mut Topic) {
    topic
        .valid("groups nest, and markers are anywhere", |device| {
            record(device, |encoder| {
                encoder.push_debug_group("outer");
                encoder.insert_debug_marker("a\0marker");
                encoder.push_debug_group("");
                let pass = encoder.begin_compute_pass(None);
                pass.push_debug_group("\u{1f600}");
                pass.insert_debug_marker(&"long ".repeat(10_000));
                pass.pop_debug_group();
                pass.end();
                encoder.pop_debug_group();
                encoder.pop_debug_group();
            })
        })
        .await;
    topic
        .invalid("a group that is not closed", |device| {
            finish(device, |encoder| encoder.push_debug_group("open"))
        })
        .await;
    topic
        .invalid("a group that was not opened", |device| finish(device, GpuCommandEncoder::pop_debug_group))
        .await;
    topic
        .invalid("a group that is closed before it is opened", |device| {
            finish(device, |encoder| {
                encoder.pop_debug_group();
                encoder.push_debug_group("late");
            })
        })
        .await;
    topic
        .invalid("a group of a pass that is not closed", |device| {
            finish(device, |encoder| {
                let pass = encoder.begin_compute_pass(None);
                pass.push_debug_group("open");
                pass.end();
            })
        })
        .await;
    topic
        .invalid("a group that is opened outside of a pass and closed inside", |device| {
            finish(device, |encoder| {
                encoder.push_debug_group("outside");
                let pass = encoder.begin_compute_pass(None);
                pass.pop_debug_group();
                pass.end();
            })
        })
        .await;
    topic
        .invalid("a group that is opened inside of a pass and closed outside", |device| {
            finish(device, |encoder| {
                let pass = encoder.begin_compute_pass(None);
                pass.push_debug_group("inside");
                pass.end();
                encoder.pop_debug_group();
            })
        })
        .await;
}

/// <https://www.w3.org/TR/webgpu/#encoder-state>
async fn states(topic: &mut Topic) {
    let buffer = topic.storage(16);
    let encoder = topic
        .device()
        .create_command_encoder(Some(&GpuCommandEncoderDescriptor { label: Some("an encoder".into()) }));
    topic.equal("an encoder keeps its label", encoder.label(), "an encoder");
    let commands = topic
        .valid("an encoder is finished", |_| {
            encoder.finish(Some(&GpuCommandBufferDescriptor { label: Some("commands".into()) }))
        })
        .await;
    topic.equal("commands keep their label", commands.label(), "commands");
    let again = topic.invalid("but not twice", |_| encoder.finish(None)).await;
    topic.invalid("what comes of it cannot be submitted", |device| device.queue().submit(&[&again])).await;
    topic.invalid("a finished encoder clears nothing", |_| encoder.clear_buffer(&buffer, None, None)).await;
    topic.invalid("nor copies", |_| encoder.copy_buffer_to_buffer(&buffer, None, &buffer, None, None)).await;
    topic.invalid("nor marks", |_| encoder.insert_debug_marker("late")).await;
    topic.invalid("nor begins a group", |_| encoder.push_debug_group("late")).await;
    topic.invalid("nor ends one", |_| encoder.pop_debug_group()).await;
    let pass = topic.invalid("nor begins a pass", |_| encoder.begin_compute_pass(None)).await;
    topic.invalid("which cannot be ended", |_| pass.end()).await;
    topic.valid("its commands are right all the same", |device| device.queue().submit(&[&commands])).await;
}

async fn passes(topic: &mut Topic) {
    let buffer = topic.storage(16);
    for (what, misuse) in [
        (
            "a clear while a pass is open",
            &(|encoder: &GpuCommandEncoder, buffer: &GpuBuffer| encoder.clear_buffer(buffer, None, None))
                as &dyn Fn(&GpuCommandEncoder, &GpuBuffer),
        ),
        ("a copy while a pass is open", &|encoder, buffer| {
            encoder.copy_buffer_to_buffer(buffer, None, buffer, None, None)
        }),
        ("a group while a pass is open", &|encoder, _| encoder.push_debug_group("")),
        ("a marker while a pass is open", &|encoder, _| encoder.insert_debug_marker("")),
        ("a pass while a pass is open", &|encoder, _| drop(encoder.begin_compute_pass(None))),
    ] {
        let encoder = topic.device().create_command_encoder(None);
        topic
            .valid(&format!("{what} is told later"), |_| {
                let pass = encoder.begin_compute_pass(None);
                misuse(&encoder, &buffer);
                pass.end();
            })
            .await;
        topic.invalid(what, |_| encoder.finish(None)).await;
    }

    let encoder = topic.device().create_command_encoder(None);
    let pass = encoder.begin_compute_pass(None);
    let commands =
        topic.invalid("an encoder is not finished while a pass is open", |_| encoder.finish(None)).await;
    topic.invalid("and its commands are invalid", |device| device.queue().submit(&[&commands])).await;
    topic.invalid("nor is the pass ended after that", |_| pass.end()).await;

    let encoder = topic.device().create_command_encoder(None);
    let pass = encoder.begin_compute_pass(None);
    topic.valid("a pass is ended", |_| pass.end()).await;
    topic.invalid("but not twice", |_| pass.end()).await;
    topic.invalid("a pass that was ended marks nothing", |_| pass.insert_debug_marker("late")).await;
    topic.invalid("nor dispatches", |_| pass.dispatch_workgroups(1, None, None)).await;
    topic
        .invalid("nor binds", |_| pass.set_bind_group(0, None, None, None, None))
        .await
        .expect("no offsets are given");
    topic
        .valid("its encoder is right all the same", |device| device.queue().submit(&[&encoder.finish(None)]))
        .await;

    topic
        .valid("passes follow each other", |device| {
            record(device, |encoder| {
                for _ in 0..3 {
                    encoder.begin_compute_pass(None).end();
                    encoder.clear_buffer(&buffer, None, None);
                }
            })
        })
        .await;
    topic
        .invalid("a pass that is dropped without an end keeps its encoder locked", |device| {
            finish(device, |encoder| drop(encoder.begin_compute_pass(None)))
        })
        .await;
}

/// What is recorded is held by the commands, and not by those who recorded it.
async fn lives(topic: &mut Topic) {
    let output = topic.storage(4);
    let encoder = topic.device().create_command_encoder(None);
    {
        let pipeline = topic.compute_pipeline(
            "@group(0) @binding(0) var<storage, read_write> x: u32;
             @group(0) @binding(1) var<uniform> y: vec4u;
             @compute @workgroup_size(1) fn main() { x = y.x; }",
        );
        let input = topic.buffer(GpuBufferUsage::UNIFORM, &[3; 16]);
        let group = topic.group_of(&pipeline, 0, vec![whole(&output), whole(&input)]);
        let pass = encoder.begin_compute_pass(None);
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, Some(&group), None, None, None).expect("no offsets are given");
        pass.dispatch_workgroups(1, None, None);
        pass.end();
    }
    let commands = encoder.finish(None);
    drop(encoder);
    topic.queue().submit(&[&commands]);
    drop(commands);
    topic.equal("commands use what was dropped since", words(&topic.bytes(&output).await), [0x0303_0303]);
    for _ in 0..3 {
        // An encoder, commands and a pass that nobody uses.
        topic.device().create_command_encoder(None).begin_compute_pass(None);
        topic.device().create_command_encoder(None).finish(None);
    }
    topic.check("what nobody uses is dropped", true);
}
