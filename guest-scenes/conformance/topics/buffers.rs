//! Buffers and their mapping: <https://www.w3.org/TR/webgpu/#buffers>

use conformance::Topic;
use conformance::futures::future::join;
use conformance::webgpu::{
    GetMappedRangeErrorKind, GpuBuffer, GpuBufferDescriptor, GpuBufferMapState, GpuBufferUsage, GpuDevice,
    GpuErrorFilter, GpuMapMode, MapAsyncError, MapAsyncErrorKind,
};

conformance::export_topic!(run);

async fn run(topic: &mut Topic) {
    properties(topic);
    creation(topic).await;
    mapping_at_creation(topic).await;
    invalid_and_mapped(topic).await;
    mapping_to_read(topic).await;
    mapping_to_write(topic).await;
    ranges(topic).await;
    parts(topic).await;
    refused_mappings(topic).await;
    pending_mappings(topic).await;
    use_while_mapped(topic).await;
    destruction(topic).await;
}

const READABLE: GpuBufferUsage = GpuBufferUsage::MAP_READ.union(GpuBufferUsage::COPY_DST);
const WRITABLE: GpuBufferUsage = GpuBufferUsage::MAP_WRITE.union(GpuBufferUsage::COPY_SRC);

fn buffer(device: &GpuDevice, size: u64, usage: GpuBufferUsage, mapped: Option<bool>) -> GpuBuffer {
    device.create_buffer(&GpuBufferDescriptor { size, usage, mapped_at_creation: mapped, label: None })
}

fn is_operation_error(result: &Result<(), MapAsyncError>) -> bool {
    matches!(result, Err(error) if matches!(error.kind, MapAsyncErrorKind::OperationError) && !error.message.is_empty())
}

fn is_abort_error(result: &Result<(), MapAsyncError>) -> bool {
    matches!(result, Err(error) if matches!(error.kind, MapAsyncErrorKind::AbortError) && !error.message.is_empty())
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

/// <https://www.w3.org/TR/webgpu/#dom-gpudevice-createbuffer>
async fn creation(topic: &mut Topic) {
    let all = GpuBufferUsage::all() - GpuBufferUsage::MAP_READ - GpuBufferUsage::MAP_WRITE;
    for size in [0, 1, 3, 4, 17, 1 << 20] {
        let made = topic.valid("a buffer may have any size", |device| buffer(device, size, all, None)).await;
        topic.equal("and has it", made.size(), size);
    }
    for usage in [READABLE, WRITABLE, GpuBufferUsage::MAP_READ, GpuBufferUsage::MAP_WRITE] {
        let made =
            topic.valid("a buffer may be mapped and copied", |device| buffer(device, 8, usage, None)).await;
        topic.equal("and has its usage", made.usage(), usage);
    }
    let wrong = [
        GpuBufferUsage::empty(),
        GpuBufferUsage::MAP_READ | GpuBufferUsage::MAP_WRITE,
        GpuBufferUsage::MAP_READ | GpuBufferUsage::COPY_SRC,
        GpuBufferUsage::MAP_WRITE | GpuBufferUsage::COPY_DST,
        GpuBufferUsage::MAP_READ | GpuBufferUsage::STORAGE,
        GpuBufferUsage::MAP_WRITE | GpuBufferUsage::INDEX,
        GpuBufferUsage::MAP_WRITE | GpuBufferUsage::COPY_SRC | GpuBufferUsage::QUERY_RESOLVE,
    ];
    for usage in wrong {
        topic.invalid(&format!("the usage {usage:?}"), |device| buffer(device, 8, usage, None)).await;
    }
    let limit = topic.device().limits().max_buffer_size();
    topic
        .invalid("a buffer above the limit", |device| {
            buffer(device, limit + 1, GpuBufferUsage::COPY_DST, None)
        })
        .await;
}

async fn mapping_at_creation(topic: &mut Topic) {
    let made = buffer(topic.device(), 16, READABLE, Some(true));
    topic.equal("a buffer is mapped when asked for", made.map_state(), GpuBufferMapState::Mapped);
    topic.equal(
        "a buffer begins as zeros",
        made.get_mapped_range_get_with_copy(None, None).ok(),
        Some(vec![0; 16]),
    );
    let written = made.get_mapped_range_set_with_copy(&[1, 2, 3, 4], Some(8), Some(4));
    topic.check("a mapped buffer is written", written.is_ok());
    topic.equal(
        "and what was written is there",
        made.get_mapped_range_get_with_copy(None, None).ok(),
        Some(vec![0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0]),
    );
    topic.check("a mapped buffer is unmapped", made.unmap().is_ok());
    topic.equal("and is then", made.map_state(), GpuBufferMapState::Unmapped);
    let mapped = made.map_async(GpuMapMode::READ, None, None).await;
    topic.check("a buffer with MAP_READ is mapped to be read", mapped.is_ok());
    let bytes = made.get_mapped_range_get_with_copy(Some(8), None);
    topic.equal("a buffer has what was written to it", bytes.ok(), Some(vec![1, 2, 3, 4, 0, 0, 0, 0]));

    // Without any of the mapping usages.
    let made = topic
        .valid("every buffer may be mapped when it is made", |device| {
            buffer(device, 12, GpuBufferUsage::COPY_SRC, Some(true))
        })
        .await;
    topic.check("it is written", made.get_mapped_range_set_with_copy(&[5; 12], None, None).is_ok());
    topic.check("it is unmapped", made.unmap().is_ok());
    topic.equal("and has its bytes on the GPU", topic.bytes(&made).await, vec![5; 12]);

    let empty = topic
        .valid("a buffer without bytes may be mapped when it is made", |device| {
            buffer(device, 0, GpuBufferUsage::COPY_SRC, Some(true))
        })
        .await;
    topic.equal("it is mapped", empty.map_state(), GpuBufferMapState::Mapped);
    topic.equal("it has no bytes", empty.get_mapped_range_get_with_copy(None, None).ok(), Some(Vec::new()));
    topic.check("none is written to it", empty.get_mapped_range_set_with_copy(&[], None, None).is_ok());
    topic.check("it is unmapped", empty.unmap().is_ok());

    for size in [1, 2, 3, 5, 255] {
        topic
            .invalid("a buffer that is mapped when it is made has whole words", |device| {
                buffer(device, size, GpuBufferUsage::COPY_SRC, Some(true))
            })
            .await;
    }
}

/// A buffer that is mapped when it is made is mapped even if it is invalid, so that a program need not wait for the error.
async fn invalid_and_mapped(topic: &mut Topic) {
    let made = topic
        .invalid("usages that exclude each other", |device| {
            buffer(device, 16, GpuBufferUsage::MAP_READ | GpuBufferUsage::STORAGE, Some(true))
        })
        .await;
    topic.equal("an invalid buffer is mapped too", made.map_state(), GpuBufferMapState::Mapped);
    topic.equal("it has zeros", made.get_mapped_range_get_with_copy(None, None).ok(), Some(vec![0; 16]));
    topic.check("it can be written", made.get_mapped_range_set_with_copy(&[1; 16], None, None).is_ok());
    topic.check("not beyond its end", made.get_mapped_range_set_with_copy(&[1; 17], None, None).is_err());
    topic.check("nor at a crooked offset", made.get_mapped_range_get_with_copy(Some(4), None).is_err());
    topic.check("it is unmapped", made.unmap().is_ok());
    topic.equal("and is then", made.map_state(), GpuBufferMapState::Unmapped);

    let huge = topic
        .invalid("a buffer of more bytes than there are", |device| {
            buffer(device, u64::MAX - 7, GpuBufferUsage::COPY_SRC, Some(true))
        })
        .await;
    topic.check("nobody gets so many bytes", huge.get_mapped_range_get_with_copy(None, None).is_err());
    topic.check("it is unmapped too", huge.unmap().is_ok());
}

async fn mapping_to_read(topic: &mut Topic) {
    let made = buffer(topic.device(), 16, READABLE, None);
    topic.gpu.write(&made, &[7; 16]);
    topic.check("a mapping comes", made.map_async(GpuMapMode::READ, None, None).await.is_ok());
    topic.equal("the state says so", made.map_state(), GpuBufferMapState::Mapped);
    topic.equal(
        "a mapping has what was written before",
        made.get_mapped_range_get_with_copy(None, None).ok(),
        Some(vec![7; 16]),
    );
    topic.check(
        "a range that is mapped to read may be written",
        made.get_mapped_range_set_with_copy(&[1; 16], None, None).is_ok(),
    );
    topic.check("it is unmapped", made.unmap().is_ok());
    topic.check("and mapped again", made.map_async(GpuMapMode::READ, None, None).await.is_ok());
    topic.equal(
        "what was written while it was mapped to read is gone",
        made.get_mapped_range_get_with_copy(None, None).ok(),
        Some(vec![7; 16]),
    );
}

async fn mapping_to_write(topic: &mut Topic) {
    let made = buffer(topic.device(), 16, WRITABLE, None);
    topic.check("a mapping comes", made.map_async(GpuMapMode::WRITE, None, None).await.is_ok());
    topic.equal(
        "a range that is mapped to write has what the buffer has",
        made.get_mapped_range_get_with_copy(None, None).ok(),
        Some(vec![0; 16]),
    );
    topic.check("it is written", made.get_mapped_range_set_with_copy(&[9; 8], Some(8), None).is_ok());
    topic.check(
        "less than the range has may be written",
        made.get_mapped_range_set_with_copy(&[8, 7, 6], Some(0), Some(8)).is_ok(),
    );
    topic.check("it is unmapped", made.unmap().is_ok());
    topic.equal(
        "and has its bytes on the GPU",
        topic.bytes(&made).await,
        vec![8, 7, 6, 0, 0, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9],
    );
    topic.check("it is mapped again", made.map_async(GpuMapMode::WRITE, Some(8), Some(4)).await.is_ok());
    topic.equal(
        "and has what it had",
        made.get_mapped_range_get_with_copy(Some(8), Some(4)).ok(),
        Some(vec![9; 4]),
    );
}

/// <https://www.w3.org/TR/webgpu/#dom-gpubuffer-getmappedrange>
async fn ranges(topic: &mut Topic) {
    let made = buffer(topic.device(), 64, GpuBufferUsage::COPY_SRC, Some(true));
    let bytes: Vec<u8> = (0..64).collect();
    made.get_mapped_range_set_with_copy(&bytes, None, None).expect("the buffer is mapped");
    let right = [
        (None, None),
        (Some(8), None),
        (None, Some(4)),
        (Some(56), Some(8)),
        (Some(60 - 4), Some(4)),
        (Some(64), None),
        (Some(64), Some(0)),
        (Some(16), Some(0)),
    ];
    for (offset, size) in right {
        let start = usize::try_from(offset.unwrap_or(0)).unwrap_or(0);
        let end = size.map_or(64, |size| start + usize::try_from(size).unwrap_or(0));
        topic.equal(
            &format!("the range {offset:?}, {size:?} is read"),
            made.get_mapped_range_get_with_copy(offset, size).ok(),
            Some(bytes[start..end].to_vec()),
        );
    }
    let wrong = [
        (Some(4), None),
        (Some(1), Some(4)),
        (None, Some(3)),
        (None, Some(68)),
        (Some(72), None),
        (Some(72), Some(0)),
        (Some(64), Some(4)),
        (Some(8), Some(60)),
        (Some(u64::MAX), None),
        (Some(u64::MAX - 7), Some(8)),
        (Some(8), Some(u64::MAX - 3)),
    ];
    for (offset, size) in wrong {
        let read = made.get_mapped_range_get_with_copy(offset, size);
        topic.check(&format!("the range {offset:?}, {size:?} is an operation error"), matches!(&read, Err(error) if matches!(error.kind, GetMappedRangeErrorKind::OperationError) && !error.message.is_empty()));
        let written = made.get_mapped_range_set_with_copy(&[], offset, size);
        topic.check(&format!("the range {offset:?}, {size:?} is not written"), written.is_err());
    }
    topic.check(
        "more than a range has is not written",
        made.get_mapped_range_set_with_copy(&[0; 9], Some(8), Some(8)).is_err(),
    );
    topic.equal(
        "refused writes change nothing",
        made.get_mapped_range_get_with_copy(None, None).ok(),
        Some(bytes),
    );
}

/// A part of a buffer is mapped, and nothing beside it.
async fn parts(topic: &mut Topic) {
    let made = buffer(topic.device(), 64, READABLE, None);
    topic.gpu.write(&made, &(0..64).collect::<Vec<u8>>());
    topic.check("a part is mapped", made.map_async(GpuMapMode::READ, Some(16), Some(16)).await.is_ok());
    topic.equal(
        "it is read",
        made.get_mapped_range_get_with_copy(Some(16), Some(16)).ok(),
        Some((16..32).collect::<Vec<u8>>()),
    );
    topic.equal(
        "a part of it is read",
        made.get_mapped_range_get_with_copy(Some(24), Some(4)).ok(),
        Some((24..28).collect::<Vec<u8>>()),
    );
    for (offset, size) in [
        (None, None),
        (Some(8), Some(16)),
        (Some(16), None),
        (Some(24), Some(12)),
        (Some(32), Some(4)),
        (Some(0), Some(4)),
    ] {
        topic.check(
            &format!("{offset:?}, {size:?} is not in the part"),
            made.get_mapped_range_get_with_copy(offset, size).is_err(),
        );
    }
    made.unmap().expect("a mapped buffer is unmapped");
    topic.check("the rest is mapped", made.map_async(GpuMapMode::READ, Some(56), None).await.is_ok());
    topic.equal(
        "it reaches to the end",
        made.get_mapped_range_get_with_copy(Some(56), None).ok(),
        Some((56..64).collect::<Vec<u8>>()),
    );
    made.unmap().expect("a mapped buffer is unmapped");
    topic.check(
        "a part without bytes is mapped",
        made.map_async(GpuMapMode::READ, Some(64), None).await.is_ok(),
    );
    topic.equal("and is mapped", made.map_state(), GpuBufferMapState::Mapped);
    topic.equal(
        "and has none",
        made.get_mapped_range_get_with_copy(Some(64), Some(0)).ok(),
        Some(Vec::new()),
    );
    topic.check("and has nothing else", made.get_mapped_range_get_with_copy(Some(0), Some(0)).is_err());
}

/// <https://www.w3.org/TR/webgpu/#dom-gpubuffer-mapasync>
async fn refused_mappings(topic: &mut Topic) {
    let readable = buffer(topic.device(), 32, READABLE, None);
    let writable = buffer(topic.device(), 32, WRITABLE, None);
    let neither = buffer(topic.device(), 32, GpuBufferUsage::COPY_SRC | GpuBufferUsage::COPY_DST, None);
    let read = GpuMapMode::READ;
    let wrong = [
        (&readable, GpuMapMode::WRITE, None, None),
        (&writable, read, None, None),
        (&neither, read, None, None),
        (&neither, GpuMapMode::WRITE, None, None),
        (&readable, GpuMapMode::empty(), None, None),
        (&readable, GpuMapMode::READ | GpuMapMode::WRITE, None, None),
        (&readable, read, Some(4), None),
        (&readable, read, None, Some(30)),
        (&readable, read, Some(8), Some(28)),
        (&readable, read, Some(40), None),
        (&readable, read, Some(40), Some(0)),
        (&readable, read, Some(u64::MAX - 7), Some(8)),
        (&readable, read, None, Some(u64::MAX - 3)),
    ];
    for (buffer, mode, offset, size) in wrong {
        let (answer, error) = topic.catching_async(buffer.map_async(mode, offset, size)).await;
        let what = format!("{mode:?} {offset:?} {size:?} of {:?}", buffer.usage());
        topic.check(&format!("{what} is an operation error"), is_operation_error(&answer));
        topic.equal(
            &format!("{what} is a validation error"),
            error.map(|error| error.kind),
            Some(GpuErrorFilter::Validation),
        );
        topic.equal("what was refused is unmapped", buffer.map_state(), GpuBufferMapState::Unmapped);
    }
    let mapped = buffer(topic.device(), 32, READABLE, Some(true));
    let (answer, error) = topic.catching_async(mapped.map_async(read, None, None)).await;
    topic.check("what is mapped is not mapped again", is_operation_error(&answer) && error.is_some());
    topic.equal("and stays mapped", mapped.map_state(), GpuBufferMapState::Mapped);
    topic.check("and can be used", mapped.get_mapped_range_get_with_copy(None, None).is_ok());
}

async fn pending_mappings(topic: &mut Topic) {
    let made = buffer(topic.device(), 16, READABLE, None);
    let answer = topic
        .catching_async(async {
            join(made.map_async(GpuMapMode::READ, None, None), async {
                let state = made.map_state();
                let read = made.get_mapped_range_get_with_copy(None, None).is_err();
                let second = made.map_async(GpuMapMode::READ, None, None).await;
                (state, read, second)
            })
            .await
        })
        .await;
    let ((first, (state, read, second)), error) = answer;
    // A driver that has nothing to do may be done at once.
    topic.check("a mapping is pending or there", state != GpuBufferMapState::Unmapped);
    topic.check("what is pending cannot be read", read || state == GpuBufferMapState::Mapped);
    topic.check("a second mapping is refused", is_operation_error(&second) && error.is_some());
    topic.check("and does not disturb the first", first.is_ok());
    made.unmap().expect("a mapped buffer is unmapped");

    let (answer, (state, again)) = join(made.map_async(GpuMapMode::READ, None, None), async {
        made.unmap().expect("a pending mapping is cancelled");
        let state = made.map_state();
        (state, made.map_async(GpuMapMode::READ, None, None).await)
    })
    .await;
    topic.check(
        "a pending mapping that is unmapped is aborted, unless it was there already",
        is_abort_error(&answer) || answer.is_ok(),
    );
    topic.equal("and is unmapped at once", state, GpuBufferMapState::Unmapped);
    topic.check("another one follows it", again.is_ok());
    topic.equal("and is there", made.map_state(), GpuBufferMapState::Mapped);
    made.unmap().expect("a mapped buffer is unmapped");
    for _ in 0..3 {
        topic.valid("unmapping what is not mapped does nothing", |_| made.unmap().is_ok()).await;
    }

    let (answer, state) = join(made.map_async(GpuMapMode::READ, None, None), async {
        made.destroy();
        made.map_state()
    })
    .await;
    topic.check(
        "a pending mapping of what is destroyed is aborted, unless it was there already",
        is_abort_error(&answer) || answer.is_ok(),
    );
    topic.equal("and is unmapped at once", state, GpuBufferMapState::Unmapped);
    topic.equal("and stays so", made.map_state(), GpuBufferMapState::Unmapped);
}

/// <https://www.w3.org/TR/webgpu/#dom-gpuqueue-submit>
async fn use_while_mapped(topic: &mut Topic) {
    let made = buffer(topic.device(), 16, READABLE, None);
    let source = topic.buffer(GpuBufferUsage::COPY_SRC, &[3; 16]);
    made.map_async(GpuMapMode::READ, None, None).await.expect("a new buffer can be mapped");
    let encoder = topic.device().create_command_encoder(None);
    encoder.copy_buffer_to_buffer(&source, None, &made, None, None);
    let commands = topic.valid("commands may be recorded for what is mapped", |_| encoder.finish(None)).await;
    topic.invalid("but not submitted", |device| device.queue().submit(&[&commands])).await;
    topic
        .invalid("nor may it be written", |device| {
            device.queue().write_buffer_with_copy(&made, 0, &[1; 4], None, None)
        })
        .await
        .expect("the write itself is right");
    made.unmap().expect("a mapped buffer is unmapped");
    topic.invalid("refused commands are spent", |device| device.queue().submit(&[&commands])).await;
    made.map_async(GpuMapMode::READ, None, None).await.expect("the buffer can be mapped");
    topic.equal(
        "and have done nothing",
        made.get_mapped_range_get_with_copy(None, None).ok(),
        Some(vec![0; 16]),
    );
}

/// <https://www.w3.org/TR/webgpu/#dom-gpubuffer-destroy>
async fn destruction(topic: &mut Topic) {
    let mapped = buffer(topic.device(), 16, GpuBufferUsage::COPY_SRC, Some(true));
    topic.valid("what is mapped may be destroyed", |_| mapped.destroy()).await;
    topic.equal("and is unmapped by that", mapped.map_state(), GpuBufferMapState::Unmapped);
    topic.check("and cannot be read", mapped.get_mapped_range_get_with_copy(None, None).is_err());
    topic.check("nor written", mapped.get_mapped_range_set_with_copy(&[0; 4], None, None).is_err());
    topic.equal("what was destroyed still says its size", mapped.size(), 16);
    topic
        .valid("it may be destroyed and unmapped again", |_| {
            mapped.destroy();
            mapped.unmap().is_ok()
        })
        .await;

    let made = buffer(topic.device(), 16, READABLE, None);
    made.destroy();
    let (answer, error) = topic.catching_async(made.map_async(GpuMapMode::READ, None, None)).await;
    topic.check("what was destroyed is not mapped", is_operation_error(&answer) && error.is_some());
    topic.equal("and is unmapped", made.map_state(), GpuBufferMapState::Unmapped);
    topic
        .invalid("it is not written", |device| {
            device.queue().write_buffer_with_copy(&made, 0, &[0; 4], None, None)
        })
        .await
        .expect("the write itself is right");
    let source = topic.buffer(GpuBufferUsage::COPY_SRC, &[3; 16]);
    let encoder = topic.device().create_command_encoder(None);
    let commands = topic
        .valid("commands may be recorded for it", |_| {
            encoder.copy_buffer_to_buffer(&source, None, &made, None, None);
            encoder.finish(None)
        })
        .await;
    topic.invalid("but not submitted", |device| device.queue().submit(&[&commands])).await;

    let target = topic.storage(16);
    let encoder = topic.device().create_command_encoder(None);
    encoder.copy_buffer_to_buffer(&source, None, &target, None, None);
    let commands = encoder.finish(None);
    topic
        .valid("what is submitted may be destroyed", |device| {
            device.queue().submit(&[&commands]);
            source.destroy();
        })
        .await;
    topic.equal("and the work is done all the same", topic.bytes(&target).await, vec![3; 16]);
}
