//! Block-compressed formats: <https://www.w3.org/TR/webgpu/#packed-formats>

use conformance::Topic;
use conformance::drawing::{bytes_of, extent, first_of, origin, texture_2d};
use conformance::webgpu::*;

conformance::export_topic!(run);

const USAGE: GpuTextureUsage =
    GpuTextureUsage::TEXTURE_BINDING.union(GpuTextureUsage::COPY_DST).union(GpuTextureUsage::COPY_SRC);

async fn run(topic: &mut Topic) {
    absent(topic).await;
    topic.take_all_features().await;
    if topic.has("texture-compression-bc") {
        for (format, block, texels) in BC {
            decodes(topic, *format, block, texels).await;
        }
        copies(topic).await;
        sizes(topic).await;
        volumes(topic).await;
    }
    if topic.has("texture-compression-etc2") {
        // One colour for the block: 15, 8 and 0 of 15 in both halves, each texel's modifier the smallest.
        let block = [0xff, 0x88, 0x00, 0x00, 0, 0, 0, 0];
        decodes(topic, GpuTextureFormat::Etc2Rgb8unorm, &block, &[(0, [1.0, 0.541, 0.008, 1.0])]).await;
    }
    if topic.has("texture-compression-astc") {
        // A block that says that all of it is one colour, of 16 bits a channel.
        let block =
            [0xfc, 0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0xff, 0x7f, 0xff, 0xff];
        decodes(topic, GpuTextureFormat::Astc4x4Unorm, &block, &[(0, [1.0, 0.0, 0.5, 1.0])]).await;
    }
}

async fn absent(topic: &mut Topic) {
    for (feature, format) in [
        ("texture-compression-bc", GpuTextureFormat::Bc7RgbaUnorm),
        ("texture-compression-etc2", GpuTextureFormat::EacRg11snorm),
        ("texture-compression-astc", GpuTextureFormat::Astc4x4UnormSrgb),
    ] {
        topic.check("a device has no compressed formats that were not asked for", !topic.has(feature));
        topic
            .invalid(&format!("{format:?} needs its feature"), |device| {
                device.create_texture(&texture_2d(4, 4, format, USAGE))
            })
            .await;
    }
}

/// The first texel of a block, and others by their number, row by row.
type Texels = &'static [(u32, [f32; 4])];

/// Two colours as 5, 6 and 5 bits, red and blue; then indices, four texels a byte: 0, 1, 2, 3 in the first row, 0 in the others.
const RED_AND_BLUE: [u8; 8] = [0x00, 0xf8, 0x1f, 0x00, 0b11_10_01_00, 0, 0, 0];
const RED: [f32; 4] = [1.0, 0.0, 0.0, 1.0];
const RED_TO_BLUE: Texels = &[
    (0, RED),
    (1, [0.0, 0.0, 1.0, 1.0]),
    (2, [2.0 / 3.0, 0.0, 1.0 / 3.0, 1.0]),
    (3, [1.0 / 3.0, 0.0, 2.0 / 3.0, 1.0]),
    (15, RED),
];
/// From 255 down to 0 in seven steps, three bits a texel: 0, 1, 2 and 7 in the first row.
const RAMP: [u8; 8] = [255, 0, 0b10_001_000, 0b0000_1110, 0, 0, 0, 0];

const BC: &[(GpuTextureFormat, &[u8], Texels)] = &[
    (GpuTextureFormat::Bc1RgbaUnorm, &RED_AND_BLUE, RED_TO_BLUE),
    (
        GpuTextureFormat::Bc1RgbaUnormSrgb,
        &RED_AND_BLUE,
        &[(0, RED), (1, [0.0, 0.0, 1.0, 1.0]), (2, [0.402, 0.0, 0.091, 1.0])],
    ),
    // The smaller colour first: index 3 is transparent black.
    (
        GpuTextureFormat::Bc1RgbaUnorm,
        &[0x1f, 0x00, 0x00, 0xf8, 0b11_10_01_00, 0, 0, 0],
        &[(0, [0.0, 0.0, 1.0, 1.0]), (1, RED), (2, [0.5, 0.0, 0.5, 1.0]), (3, [0.0; 4])],
    ),
    // Four bits of alpha a texel before the colours.
    (
        GpuTextureFormat::Bc2RgbaUnorm,
        &[0x50, 0xff, 0, 0, 0, 0, 0, 0, 0x00, 0xf8, 0x1f, 0x00, 0, 0, 0, 0],
        &[(0, [1.0, 0.0, 0.0, 0.0]), (1, [1.0, 0.0, 0.0, 1.0 / 3.0]), (2, RED), (4, [1.0, 0.0, 0.0, 0.0])],
    ),
    (
        GpuTextureFormat::Bc2RgbaUnormSrgb,
        &[0x50, 0xff, 0, 0, 0, 0, 0, 0, 0x00, 0xf8, 0x1f, 0x00, 0, 0, 0, 0],
        &[(0, [1.0, 0.0, 0.0, 0.0]), (1, [1.0, 0.0, 0.0, 1.0 / 3.0]), (2, RED)],
    ),
    (
        GpuTextureFormat::Bc3RgbaUnorm,
        &[255, 0, 0b10_001_000, 0b0000_1110, 0, 0, 0, 0, 0x00, 0xf8, 0x1f, 0x00, 0, 0, 0, 0],
        &[
            (0, RED),
            (1, [1.0, 0.0, 0.0, 0.0]),
            (2, [1.0, 0.0, 0.0, 6.0 / 7.0]),
            (3, [1.0, 0.0, 0.0, 1.0 / 7.0]),
        ],
    ),
    (
        GpuTextureFormat::Bc3RgbaUnormSrgb,
        &[255, 0, 0b10_001_000, 0b0000_1110, 0, 0, 0, 0, 0x00, 0xf8, 0x1f, 0x00, 0, 0, 0, 0],
        &[(0, RED), (1, [1.0, 0.0, 0.0, 0.0])],
    ),
    (
        GpuTextureFormat::Bc4RUnorm,
        &RAMP,
        &[
            (0, RED),
            (1, [0.0, 0.0, 0.0, 1.0]),
            (2, [6.0 / 7.0, 0.0, 0.0, 1.0]),
            (3, [1.0 / 7.0, 0.0, 0.0, 1.0]),
        ],
    ),
    (
        GpuTextureFormat::Bc4RSnorm,
        &[127, 0x81, 0b10_001_000, 0b0000_1110, 0, 0, 0, 0],
        &[(0, RED), (1, [-1.0, 0.0, 0.0, 1.0]), (2, [5.0 / 7.0, 0.0, 0.0, 1.0])],
    ),
    (
        GpuTextureFormat::Bc5RgUnorm,
        &[255, 0, 0, 0, 0, 0, 0, 0, 255, 0, 0b10_001_000, 0b0000_1110, 0, 0, 0, 0],
        &[(0, [1.0, 1.0, 0.0, 1.0]), (1, RED), (2, [1.0, 6.0 / 7.0, 0.0, 1.0])],
    ),
    (
        GpuTextureFormat::Bc5RgSnorm,
        &[127, 0x81, 0, 0, 0, 0, 0, 0, 127, 0x81, 0b10_001_000, 0b0000_1110, 0, 0, 0, 0],
        &[(0, [1.0, 1.0, 0.0, 1.0]), (1, [1.0, -1.0, 0.0, 1.0])],
    ),
    // Mode 11: ten bits for each end of each channel, and no deltas. Both ends are 0: black.
    (
        GpuTextureFormat::Bc6hRgbUfloat,
        &[3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[(0, [0.0, 0.0, 0.0, 1.0])],
    ),
    // Red at its largest in both ends: all bits of 5 to 14 and 35 to 44.
    (
        GpuTextureFormat::Bc6hRgbUfloat,
        &[0xe3, 0x7f, 0, 0, 0xf8, 0x1f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[(0, [65504.0, 0.0, 0.0, 1.0]), (15, [65504.0, 0.0, 0.0, 1.0])],
    ),
    // Red at its smallest: the sign alone is set, which is the most negative number.
    (
        GpuTextureFormat::Bc6hRgbFloat,
        &[0x23, 0x40, 0, 0, 0x08, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[(0, [-65504.0, 0.0, 0.0, 1.0])],
    ),
    // Mode 5 of one colour: no rotation, seven bits a channel and eight of alpha; red and alpha at their largest.
    (
        GpuTextureFormat::Bc7RgbaUnorm,
        &[0x20, 0xff, 0x3f, 0, 0, 0, 0xfc, 0xff, 0x03, 0, 0, 0, 0, 0, 0, 0],
        &[(0, RED), (15, RED)],
    ),
    (
        GpuTextureFormat::Bc7RgbaUnormSrgb,
        &[0x20, 0xff, 0x3f, 0, 0, 0, 0xfc, 0xff, 0x03, 0, 0, 0, 0, 0, 0, 0],
        &[(0, RED), (15, RED)],
    ),
];

async fn decodes(topic: &mut Topic, format: GpuTextureFormat, block: &[u8], texels: &[(u32, [f32; 4])]) {
    let texture = topic
        .valid(&format!("there are textures of {format:?}"), |device| {
            device.create_texture(&texture_2d(4, 4, format, USAGE))
        })
        .await;
    let layout = GpuTexelCopyBufferLayout { offset: None, bytes_per_row: None, rows_per_image: None };
    topic
        .valid(&format!("a block of {format:?} is written"), |device| {
            device.queue().write_texture_with_copy(&first_of(&texture), block, layout, extent(4, 4, 1));
        })
        .await;
    let code = "
        @group(0) @binding(0) var<storage, read_write> out: array<vec4f>;
        @group(0) @binding(1) var t: texture_2d<f32>;
        @compute @workgroup_size(1) fn main() {
            for (var at = 0u; at < 16; at++) { out[at] = textureLoad(t, vec2u(at % 4, at / 4), 0); }
        }";
    let view = texture.create_view(None);
    let found = topic.computed(code, vec![GpuBindingResource::GpuTextureView(&view)], 64).await;
    for (number, expected) in texels {
        let found: Vec<f32> =
            (0..4).map(|channel| f32::from_bits(found[*number as usize * 4 + channel])).collect();
        let near = found
            .iter()
            .zip(expected)
            .all(|(found, expected)| (found - expected).abs() <= 0.012 * expected.abs().max(1.0));
        topic.check(&format!("texel {number} of a block of {format:?} is {expected:?}: {found:?}"), near);
    }
}

async fn copies(topic: &mut Topic) {
    let format = GpuTextureFormat::Bc1RgbaUnorm;
    let texture = topic.device().create_texture(&GpuTextureDescriptor {
        size: extent(12, 8, 2),
        mip_level_count: Some(3),
        ..texture_2d(1, 1, format, USAGE)
    });
    // Three by two blocks of eight bytes, in each of two layers.
    let blocks: Vec<u8> = (0..96).collect();
    let layout = GpuTexelCopyBufferLayout { offset: None, bytes_per_row: Some(24), rows_per_image: Some(2) };
    topic
        .valid("rows and images are counted in blocks", |device| {
            device.queue().write_texture_with_copy(&first_of(&texture), &blocks, layout, extent(12, 8, 2));
        })
        .await;
    let buffer = topic.empty_buffer(GpuBufferUsage::COPY_DST | GpuBufferUsage::COPY_SRC, 1024);
    topic
        .valid("blocks are copied to a buffer", |device| {
            let encoder = device.create_command_encoder(None);
            encoder.copy_texture_to_buffer(
                &GpuTexelCopyTextureInfo { origin: Some(origin(4, 4, 1)), ..first_of(&texture) },
                &bytes_of(&buffer, Some(256), None),
                extent(8, 4, 1),
            );
            device.queue().submit(&[&encoder.finish(None)]);
        })
        .await;
    let found = topic.bytes(&buffer).await;
    // Layer 1, row 1, from the second block on.
    topic.equal("a region of blocks is copied", found[..16].to_vec(), blocks[48 + 24 + 8..][..16].to_vec());

    // The second level is 6 by 4 texels: one and a half blocks wide, and two in memory.
    let level = GpuTexelCopyTextureInfo { mip_level: Some(1), ..first_of(&texture) };
    let layout = GpuTexelCopyBufferLayout { offset: None, bytes_per_row: Some(16), rows_per_image: None };
    topic
        .valid("a level that ends within a block is written in whole blocks", |device| {
            device.queue().write_texture_with_copy(&level, &blocks, layout, extent(8, 4, 1));
        })
        .await;
    for (what, place, size) in [
        (
            "a region begins at a block",
            GpuTexelCopyTextureInfo { origin: Some(origin(2, 0, 0)), ..first_of(&texture) },
            extent(4, 4, 1),
        ),
        ("a region has whole blocks", first_of(&texture), extent(6, 4, 1)),
        ("a region has whole rows of blocks", first_of(&texture), extent(4, 2, 1)),
        ("a region lies within the blocks of its level", level, extent(12, 4, 1)),
    ] {
        topic
            .invalid(what, |device| {
                device.queue().write_texture_with_copy(&place, &blocks, layout, size);
            })
            .await;
    }
    let short = GpuTexelCopyBufferLayout { offset: None, bytes_per_row: Some(16), rows_per_image: Some(2) };
    topic
        .invalid("a row has room for its blocks", |device| {
            device.queue().write_texture_with_copy(&first_of(&texture), &blocks, short, extent(12, 8, 1));
        })
        .await;
}

async fn sizes(topic: &mut Topic) {
    let format = GpuTextureFormat::Bc1RgbaUnorm;
    for (width, height) in [(5, 4), (4, 6), (1, 1)] {
        topic
            .invalid("a size is a multiple of a block", |device| {
                device.create_texture(&texture_2d(width, height, format, USAGE))
            })
            .await;
    }
    for (what, descriptor) in [
        (
            "a compressed texture is not drawn on",
            texture_2d(4, 4, format, GpuTextureUsage::RENDER_ATTACHMENT),
        ),
        ("a compressed texture is no storage", texture_2d(4, 4, format, GpuTextureUsage::STORAGE_BINDING)),
        (
            "a compressed texture has one sample",
            GpuTextureDescriptor { sample_count: Some(4), ..texture_2d(4, 4, format, USAGE) },
        ),
        (
            "a compressed texture has more than one dimension",
            GpuTextureDescriptor {
                dimension: Some(GpuTextureDimension::D1),
                ..texture_2d(4, 1, format, USAGE)
            },
        ),
    ] {
        topic.invalid(what, |device| device.create_texture(&descriptor)).await;
    }
    topic
        .valid("a compressed texture may be viewed as sRGB", |device| {
            device.create_texture(&GpuTextureDescriptor {
                view_formats: Some(vec![GpuTextureFormat::Bc1RgbaUnormSrgb]),
                ..texture_2d(4, 4, format, USAGE)
            })
        })
        .await;
}

async fn volumes(topic: &mut Topic) {
    let volume = GpuTextureDescriptor {
        size: extent(4, 4, 2),
        dimension: Some(GpuTextureDimension::D3),
        ..texture_2d(4, 4, GpuTextureFormat::Bc1RgbaUnorm, USAGE)
    };
    if topic.has("texture-compression-bc-sliced-3d") {
        topic.valid("a volume may be compressed", |device| device.create_texture(&volume)).await;
    } else {
        topic.invalid("a compressed volume needs its feature", |device| device.create_texture(&volume)).await;
    }
}
