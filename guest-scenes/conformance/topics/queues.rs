//! Queues: <https://www.w3.org/TR/webgpu/#queues>

use conformance::futures::{future::join_all, join};
use conformance::webgpu::{
    GpuBuffer, GpuBufferUsage, GpuErrorFilter, GpuExtent3D, GpuOrigin3D, GpuTexelCopyBufferLayout,
    GpuTexelCopyTextureInfo, GpuTexture, GpuTextureDescriptor, GpuTextureFormat, GpuTextureUsage,
    WriteBufferErrorKind,
};
use conformance::{Texel, Topic};

conformance::export_topic!(run);

async fn run(topic: &mut Topic) {
    writes(topic).await;
    refused_writes(topic).await;
    order(topic).await;
    submissions(topic).await;
    textures(topic).await;
    completion(topic).await;
}

fn target(topic: &Topic, size: u64) -> GpuBuffer {
    topic.empty_buffer(GpuBufferUsage::COPY_DST | GpuBufferUsage::COPY_SRC, size)
}

/// <https://www.w3.org/TR/webgpu/#dom-gpuqueue-writebuffer>
async fn writes(topic: &mut Topic) {
    let data: Vec<u8> = (1..=32).collect();
    let cases = [
        (0, None, None, 0..32),
        (4, None, Some(8), 0..8),
        (0, Some(4), Some(8), 4..12),
        (8, Some(1), Some(4), 1..5),
        (12, Some(20), None, 20..32),
        (0, Some(32), None, 32..32),
        (32, None, Some(0), 0..0),
        (0, None, Some(0), 0..0),
    ];
    for (buffer_offset, data_offset, size, part) in cases {
        let buffer = target(topic, 32);
        let written = topic
            .valid("a write is right", |device| {
                device.queue().write_buffer_with_copy(&buffer, buffer_offset, &data, data_offset, size)
            })
            .await;
        topic.check("a write is done", written.is_ok());
        let mut expected = vec![0; 32];
        let start = usize::try_from(buffer_offset).unwrap_or(0);
        expected[start..start + part.len()].copy_from_slice(&data[part]);
        topic.equal(
            &format!("write {data_offset:?} {size:?} at {buffer_offset}"),
            topic.bytes(&buffer).await,
            expected,
        );
    }
}

async fn refused_writes(topic: &mut Topic) {
    let buffer = target(topic, 32);
    let data = [9; 16];
    // Parts of the data that there are not, and parts of words: the caller is told.
    let wrong = [
        (Some(17), None),
        (None, Some(20)),
        (Some(8), Some(12)),
        (Some(u64::MAX), None),
        (Some(4), Some(u64::MAX - 3)),
        (None, Some(3)),
        (Some(1), None),
        (Some(13), Some(1)),
    ];
    for (offset, size) in wrong {
        let refused = topic
            .valid("a write that is none is no error of the device", |device| {
                device.queue().write_buffer_with_copy(&buffer, 0, &data, offset, size)
            })
            .await;
        topic.check(&format!("{offset:?} {size:?} is an operation error"), matches!(&refused, Err(error) if matches!(error.kind, WriteBufferErrorKind::OperationError) && !error.message.is_empty()));
    }
    for buffer_offset in [2, 20, 32, 36, u64::MAX - 3, u64::MAX] {
        let answer = topic
            .invalid(&format!("a write of 16 bytes at {buffer_offset}"), |device| {
                device.queue().write_buffer_with_copy(&buffer, buffer_offset, &data, None, None)
            })
            .await;
        topic.check("which the device says, and not the call", answer.is_ok());
    }
    topic
        .invalid("a write of nothing beyond the end", |device| {
            device.queue().write_buffer_with_copy(&buffer, 36, &[], None, None)
        })
        .await
        .expect("no bytes are whole words");
    let source = topic.empty_buffer(GpuBufferUsage::COPY_SRC, 32);
    topic
        .invalid("a write to what lacks COPY_DST", |device| {
            device.queue().write_buffer_with_copy(&source, 0, &data, None, None)
        })
        .await
        .expect("the write itself is right");
    topic.equal("refused writes change nothing", topic.bytes(&buffer).await, vec![0; 32]);
}

/// Everything happens in the order of the calls.
async fn order(topic: &mut Topic) {
    let (source, copy) = (target(topic, 4), target(topic, 40));
    let mut all = Vec::new();
    for round in 0..10 {
        topic.gpu.write(&source, &[round, round, round, round + 100]);
        topic.submit(|encoder| {
            encoder.copy_buffer_to_buffer(&source, None, &copy, Some(u64::from(round) * 4), Some(4))
        });
        all.extend([round, round, round, round + 100]);
    }
    topic.equal(
        "a write comes before what is submitted later, and after what was before",
        topic.bytes(&copy).await,
        all,
    );
    let encoders: Vec<_> = (0..3).map(|_| topic.device().create_command_encoder(None)).collect();
    let values: Vec<_> =
        (0..3).map(|value| topic.buffer(GpuBufferUsage::COPY_SRC, &[value + 1; 4])).collect();
    for (encoder, value) in encoders.iter().zip(&values).rev() {
        encoder.copy_buffer_to_buffer(value, None, &source, None, None);
    }
    let commands: Vec<_> = encoders.iter().map(|encoder| encoder.finish(None)).collect();
    topic
        .valid("several command buffers go at once", |device| {
            device.queue().submit(&[&commands[2], &commands[0], &commands[1]])
        })
        .await;
    topic.equal("and are done in their order", topic.bytes(&source).await, vec![2; 4]);
}

/// <https://www.w3.org/TR/webgpu/#dom-gpuqueue-submit>
async fn submissions(topic: &mut Topic) {
    topic.valid("nothing may be submitted", |device| device.queue().submit(&[])).await;
    let (source, copy) = (topic.buffer(GpuBufferUsage::COPY_SRC, &[5; 4]), target(topic, 4));
    let record = |topic: &Topic| {
        let encoder = topic.device().create_command_encoder(None);
        encoder.copy_buffer_to_buffer(&source, None, &copy, None, None);
        encoder.finish(None)
    };
    let once = record(topic);
    topic.valid("commands are submitted", |device| device.queue().submit(&[&once])).await;
    topic.invalid("once", |device| device.queue().submit(&[&once])).await;
    topic.gpu.write(&copy, &[0; 4]);
    let (twice, other) = (record(topic), record(topic));
    topic.invalid("and not twice at once", |device| device.queue().submit(&[&twice, &twice])).await;
    topic
        .invalid("nor with what was submitted before", |device| device.queue().submit(&[&other, &once]))
        .await;
    topic.equal("nothing of a refused submission is done", topic.bytes(&copy).await, vec![0; 4]);
    topic.invalid("what was refused is spent", |device| device.queue().submit(&[&other])).await;
}

fn texture(topic: &Topic, usage: GpuTextureUsage) -> GpuTexture {
    topic.device().create_texture(&GpuTextureDescriptor {
        size: GpuExtent3D { width: 4, height: Some(4), depth_or_array_layers: Some(2) },
        mip_level_count: None,
        sample_count: None,
        dimension: None,
        format: GpuTextureFormat::Rgba8uint,
        usage,
        view_formats: None,
        texture_binding_view_dimension: None,
        label: None,
    })
}

const LAYOUT: GpuTexelCopyBufferLayout =
    GpuTexelCopyBufferLayout { offset: None, bytes_per_row: None, rows_per_image: None };

fn whole_of(texture: &GpuTexture) -> GpuTexelCopyTextureInfo<'_> {
    GpuTexelCopyTextureInfo { texture, mip_level: None, origin: None, aspect: None }
}

/// <https://www.w3.org/TR/webgpu/#dom-gpuqueue-writetexture>
async fn textures(topic: &mut Topic) {
    let usage = GpuTextureUsage::COPY_DST | GpuTextureUsage::COPY_SRC;
    let made = texture(topic, usage);
    let data: Vec<u8> = (0..=255).collect();
    let extent = |width, height, depth| GpuExtent3D {
        width,
        height: Some(height),
        depth_or_array_layers: Some(depth),
    };
    topic
        .valid("a row without a layout", |device| {
            device.queue().write_texture_with_copy(
                &whole_of(&made),
                &data,
                LAYOUT,
                GpuExtent3D { width: 4, height: None, depth_or_array_layers: None },
            );
        })
        .await;
    let mut expected = vec![0; 64];
    expected[..16].copy_from_slice(&data[..16]);
    topic.equal("fills the first row", topic.texels(&made, Texel::default()).await, expected.clone());
    topic
        .valid("rows with space between them", |device| {
            device.queue().write_texture_with_copy(
                &GpuTexelCopyTextureInfo {
                    texture: &made,
                    mip_level: Some(0),
                    origin: Some(GpuOrigin3D { x: Some(1), y: Some(2), z: None }),
                    aspect: None,
                },
                &data,
                GpuTexelCopyBufferLayout { offset: Some(100), bytes_per_row: Some(20), rows_per_image: None },
                extent(2, 2, 1),
            );
        })
        .await;
    for (row, start) in [(2, 100), (3, 120)] {
        expected[row * 16 + 4..row * 16 + 12].copy_from_slice(&data[start..start + 8]);
    }
    topic.equal("fill a part", topic.texels(&made, Texel::default()).await, expected.clone());
    topic
        .valid("two layers", |device| {
            device.queue().write_texture_with_copy(
                &whole_of(&made),
                &data,
                GpuTexelCopyBufferLayout { offset: None, bytes_per_row: Some(16), rows_per_image: Some(5) },
                extent(4, 4, 2),
            );
        })
        .await;
    topic.equal("fill the first", topic.texels(&made, Texel::default()).await, data[..64].to_vec());
    topic.equal(
        "and the second",
        topic.texels(&made, Texel { layer: 1, ..Texel::default() }).await,
        data[80..144].to_vec(),
    );

    let unwritable = texture(topic, GpuTextureUsage::COPY_SRC);
    let row = Some(16);
    let wrong = [
        ("what lacks COPY_DST", &unwritable, LAYOUT, extent(4, 1, 1)),
        (
            "more than the texture has",
            &made,
            GpuTexelCopyBufferLayout { bytes_per_row: Some(20), ..LAYOUT },
            extent(5, 1, 1),
        ),
        (
            "more layers than it has",
            &made,
            GpuTexelCopyBufferLayout { bytes_per_row: row, rows_per_image: Some(4), ..LAYOUT },
            extent(4, 4, 3),
        ),
        (
            "more rows than the data",
            &made,
            GpuTexelCopyBufferLayout { offset: Some(200), bytes_per_row: row, ..LAYOUT },
            extent(4, 4, 1),
        ),
        ("rows without a stride", &made, LAYOUT, extent(4, 2, 1)),
        (
            "layers without rows",
            &made,
            GpuTexelCopyBufferLayout { bytes_per_row: row, ..LAYOUT },
            extent(4, 4, 2),
        ),
        (
            "rows that overlap",
            &made,
            GpuTexelCopyBufferLayout { bytes_per_row: Some(12), ..LAYOUT },
            extent(4, 2, 1),
        ),
        (
            "an offset beyond the data",
            &made,
            GpuTexelCopyBufferLayout { offset: Some(u64::MAX), ..LAYOUT },
            extent(4, 1, 1),
        ),
        (
            "a stride beyond all",
            &made,
            GpuTexelCopyBufferLayout {
                bytes_per_row: Some(u32::MAX),
                rows_per_image: Some(u32::MAX),
                ..LAYOUT
            },
            extent(4, 4, 2),
        ),
    ];
    for (what, texture, layout, size) in wrong {
        topic
            .fails(what, GpuErrorFilter::Validation, |device| {
                device.queue().write_texture_with_copy(&whole_of(texture), &data, layout, size)
            })
            .await;
    }
    topic
        .valid("nothing may be written", |device| {
            device.queue().write_texture_with_copy(&whole_of(&made), &[], LAYOUT, extent(0, 0, 1))
        })
        .await;
    topic.equal(
        "refused writes change nothing",
        topic.texels(&made, Texel::default()).await,
        data[..64].to_vec(),
    );
}

/// <https://www.w3.org/TR/webgpu/#dom-gpuqueue-onsubmittedworkdone>
async fn completion(topic: &mut Topic) {
    topic.queue().on_submitted_work_done().await;
    topic.check("the work is done when there is none", true);
    let (source, copy) = (topic.buffer(GpuBufferUsage::COPY_SRC, &[5; 4]), target(topic, 4));
    topic.submit(|encoder| encoder.copy_buffer_to_buffer(&source, None, &copy, None, None));
    topic.queue().on_submitted_work_done().await;
    topic.check("the work is done though nobody asks for its results", true);
    let other = topic.device().queue();
    join!(
        topic.queue().on_submitted_work_done(),
        other.on_submitted_work_done(),
        topic.queue().on_submitted_work_done()
    );
    topic.check("several may wait", true);
    topic.submit(|encoder| encoder.copy_buffer_to_buffer(&source, None, &copy, None, None));
    join_all((0..20).map(|_| other.on_submitted_work_done())).await;
    topic.check("many may wait", true);
}
