//! Copies of texels: <https://www.w3.org/TR/webgpu/#image-copies>

use conformance::drawing::{TARGET, bytes_of, extent, first_of, origin, texture_2d};
use conformance::webgpu::*;
use conformance::{Texel, Topic};

conformance::export_topic!(run);

const COPIED: GpuTextureUsage = GpuTextureUsage::COPY_SRC.union(GpuTextureUsage::COPY_DST);
const SOURCE: GpuBufferUsage = GpuBufferUsage::COPY_SRC.union(GpuBufferUsage::COPY_DST);

async fn run(topic: &mut Topic) {
    buffer_to_texture(topic).await;
    texture_to_buffer(topic).await;
    texture_to_texture(topic).await;
    writes(topic).await;
    levels_and_slices(topic).await;
    wrong_layouts(topic).await;
    wrong_regions(topic).await;
    wrong_usages(topic).await;
    wrong_formats(topic).await;
    nothing_to_copy(topic).await;
}

fn texture(topic: &Topic, format: GpuTextureFormat, [width, height, layers]: [u32; 3]) -> GpuTexture {
    topic.device().create_texture(&GpuTextureDescriptor {
        size: extent(width, height, layers),
        ..texture_2d(1, 1, format, COPIED)
    })
}

/// Bytes that count up.
fn counting(count: usize) -> Vec<u8> {
    (0..count).map(|at| (at % 251) as u8).collect()
}

/// All texels of the layers of a texture with one byte in each.
async fn layers(topic: &Topic, texture: &GpuTexture) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for layer in 0..texture.depth_or_array_layers() {
        all.push(topic.texels(texture, Texel { bytes: 1, layer, ..Texel::default() }).await);
    }
    all
}

async fn buffer_to_texture(topic: &mut Topic) {
    let bytes = counting(256 * 16);
    let buffer = topic.buffer(SOURCE, &bytes);
    let texture = texture(topic, GpuTextureFormat::R8uint, [4, 3, 3]);
    topic.submit(|encoder| {
        encoder.copy_buffer_to_texture(
            &GpuTexelCopyBufferInfo { offset: Some(7), ..bytes_of(&buffer, Some(256), Some(4)) },
            &GpuTexelCopyTextureInfo { origin: Some(origin(1, 1, 1)), ..first_of(&texture) },
            extent(2, 2, 2),
        );
    });
    let at = |layer: usize, row: usize, column: usize| bytes[7 + (layer * 4 + row) * 256 + column];
    let layer = |layer| {
        vec![0, 0, 0, 0, 0, at(layer, 0, 0), at(layer, 0, 1), 0, 0, at(layer, 1, 0), at(layer, 1, 1), 0]
    };
    let expected = vec![vec![0; 12], layer(0), layer(1)];
    let found = layers(topic, &texture).await;
    topic.equal("a region comes from its rows and images of the buffer", found, expected);

    let line = self::texture(topic, GpuTextureFormat::R8uint, [4, 1, 1]);
    topic.submit(|encoder| {
        encoder.copy_buffer_to_texture(&bytes_of(&buffer, None, None), &first_of(&line), extent(4, 1, 1));
    });
    let found = layers(topic, &line).await;
    topic.equal("one row needs no bytes from row to row", found, [[0, 1, 2, 3]]);
}

async fn texture_to_buffer(topic: &mut Topic) {
    let texture = texture(topic, GpuTextureFormat::R8uint, [4, 2, 2]);
    let layout = GpuTexelCopyBufferLayout { offset: None, bytes_per_row: Some(4), rows_per_image: Some(2) };
    let texels: Vec<u8> = (1..=16).collect();
    topic.queue().write_texture_with_copy(&first_of(&texture), &texels, layout, extent(4, 2, 2));
    let buffer = topic.buffer(SOURCE, &[99; 256 * 8]);
    topic.submit(|encoder| {
        encoder.copy_texture_to_buffer(
            &GpuTexelCopyTextureInfo { origin: Some(origin(1, 0, 0)), ..first_of(&texture) },
            &GpuTexelCopyBufferInfo { offset: Some(3), ..bytes_of(&buffer, Some(256), Some(3)) },
            extent(3, 2, 2),
        );
    });
    let mut expected = vec![99; 256 * 8];
    for (row, texels) in [(0, [2, 3, 4]), (1, [6, 7, 8]), (3, [10, 11, 12]), (4, [14, 15, 16])] {
        expected[3 + row * 256..][..3].copy_from_slice(&texels);
    }
    let found = topic.bytes(&buffer).await;
    topic.check("a copy writes its texels and no other byte", found == expected);
}

async fn texture_to_texture(topic: &mut Topic) {
    let source = texture(topic, GpuTextureFormat::R8uint, [4, 2, 2]);
    let layout = GpuTexelCopyBufferLayout { offset: None, bytes_per_row: Some(4), rows_per_image: Some(2) };
    let texels: Vec<u8> = (1..=16).collect();
    topic.queue().write_texture_with_copy(&first_of(&source), &texels, layout, extent(4, 2, 2));
    let target = texture(topic, GpuTextureFormat::R8uint, [3, 3, 3]);
    let copy = |encoder: &GpuCommandEncoder| {
        encoder.copy_texture_to_texture(
            &GpuTexelCopyTextureInfo { origin: Some(origin(2, 0, 0)), ..first_of(&source) },
            &GpuTexelCopyTextureInfo { origin: Some(origin(0, 1, 1)), ..first_of(&target) },
            extent(2, 2, 2),
        );
    };
    topic.submit(copy);
    let found = layers(topic, &target).await;
    let expected = [vec![0; 9], vec![0, 0, 0, 3, 4, 0, 7, 8, 0], vec![0, 0, 0, 11, 12, 0, 15, 16, 0]];
    topic.equal("a region goes from layers to layers", found, expected);

    topic.submit(|encoder| {
        encoder.copy_texture_to_texture(
            &first_of(&source),
            &GpuTexelCopyTextureInfo { origin: Some(origin(0, 0, 1)), ..first_of(&source) },
            extent(4, 2, 1),
        );
    });
    let found = layers(topic, &source).await;
    let expected: Vec<u8> = (1..=8).collect();
    topic.equal("layers of one texture are copied to others", found, [expected.clone(), expected]);
    topic
        .invalid_commands("a layer is not copied to itself", |encoder| {
            encoder.copy_texture_to_texture(
                &first_of(&source),
                &GpuTexelCopyTextureInfo { origin: Some(origin(2, 0, 0)), ..first_of(&source) },
                extent(1, 1, 1),
            );
        })
        .await;
    let srgb = texture(topic, GpuTextureFormat::Rgba8unormSrgb, [1, 1, 1]);
    let plain = texture(topic, TARGET, [1, 1, 1]);
    let layout = GpuTexelCopyBufferLayout { offset: None, bytes_per_row: None, rows_per_image: None };
    topic.queue().write_texture_with_copy(&first_of(&plain), &[100, 150, 200, 250], layout, extent(1, 1, 1));
    topic.submit(|encoder| {
        encoder.copy_texture_to_texture(&first_of(&plain), &first_of(&srgb), extent(1, 1, 1));
    });
    let found = topic.texels(&srgb, Texel::default()).await;
    topic.equal("formats that differ in sRGB are copied byte by byte", found, [100, 150, 200, 250]);
    let other = texture(topic, GpuTextureFormat::R32uint, [1, 1, 1]);
    topic
        .invalid_commands("formats of the same size are not copied to each other", |encoder| {
            encoder.copy_texture_to_texture(&first_of(&plain), &first_of(&other), extent(1, 1, 1));
        })
        .await;
}

async fn writes(topic: &mut Topic) {
    let texture = texture(topic, GpuTextureFormat::R8uint, [3, 2, 2]);
    let data = counting(64);
    let layout =
        GpuTexelCopyBufferLayout { offset: Some(5), bytes_per_row: Some(7), rows_per_image: Some(3) };
    topic.queue().write_texture_with_copy(&first_of(&texture), &data, layout, extent(3, 2, 2));
    let found = layers(topic, &texture).await;
    let expected = [[5, 6, 7, 12, 13, 14], [26, 27, 28, 33, 34, 35]];
    topic.equal("a write takes offset, rows and images as they are, without alignment", found, expected);

    // The last row needs no padding: 5 + 3 * 7 + 7 + 3 bytes.
    topic
        .valid("the last row of a write needs only its texels", |device| {
            device.queue().write_texture_with_copy(&first_of(&texture), &data[..36], layout, extent(3, 2, 2));
        })
        .await;
    for (what, bytes, layout) in [
        ("a write needs the bytes of its last row", &data[..35], layout),
        ("a write needs data", &[], layout),
        (
            "a write begins within its data",
            &data[..],
            GpuTexelCopyBufferLayout { offset: Some(65), ..layout },
        ),
        (
            "a write's offset does not overflow",
            &data[..],
            GpuTexelCopyBufferLayout { offset: Some(u64::MAX), ..layout },
        ),
        (
            "several rows need the bytes from row to row",
            &data[..],
            GpuTexelCopyBufferLayout { bytes_per_row: None, ..layout },
        ),
        (
            "several images need the rows from image to image",
            &data[..],
            GpuTexelCopyBufferLayout { rows_per_image: None, ..layout },
        ),
        (
            "a row has room for its texels",
            &data[..],
            GpuTexelCopyBufferLayout { bytes_per_row: Some(2), ..layout },
        ),
        (
            "an image has room for its rows",
            &data[..],
            GpuTexelCopyBufferLayout { rows_per_image: Some(1), ..layout },
        ),
        (
            "the size of rows does not overflow",
            &data[..],
            GpuTexelCopyBufferLayout {
                bytes_per_row: Some(u32::MAX),
                rows_per_image: Some(u32::MAX),
                ..layout
            },
        ),
    ] {
        topic
            .invalid(what, |device| {
                device.queue().write_texture_with_copy(&first_of(&texture), bytes, layout, extent(3, 2, 2));
            })
            .await;
    }
    let found = layers(topic, &texture).await;
    topic.equal("a write that is wrong writes nothing", found, expected);

    // In the order of the queue: the copy that was submitted first must not see what is written later.
    let line = self::texture(topic, GpuTextureFormat::R8uint, [4, 1, 1]);
    let layout = GpuTexelCopyBufferLayout { offset: None, bytes_per_row: None, rows_per_image: None };
    let buffer = topic.empty_buffer(SOURCE, 4);
    topic.queue().write_texture_with_copy(&first_of(&line), &[1, 2, 3, 4], layout, extent(4, 1, 1));
    topic.submit(|encoder| {
        encoder.copy_texture_to_buffer(&first_of(&line), &bytes_of(&buffer, None, None), extent(4, 1, 1));
    });
    topic.queue().write_texture_with_copy(&first_of(&line), &[5, 6, 7, 8], layout, extent(4, 1, 1));
    let found = (topic.bytes(&buffer).await, layers(topic, &line).await);
    topic.equal("writes and copies happen in their order", found, (vec![1, 2, 3, 4], vec![vec![5, 6, 7, 8]]));
}

async fn levels_and_slices(topic: &mut Topic) {
    let volume = topic.device().create_texture(&GpuTextureDescriptor {
        size: extent(4, 4, 4),
        mip_level_count: Some(2),
        dimension: Some(GpuTextureDimension::D3),
        ..texture_2d(1, 1, GpuTextureFormat::R8uint, COPIED)
    });
    let level = |level, z| GpuTexelCopyTextureInfo {
        mip_level: Some(level),
        origin: Some(origin(0, 0, z)),
        ..first_of(&volume)
    };
    let layout = GpuTexelCopyBufferLayout { offset: None, bytes_per_row: Some(2), rows_per_image: Some(2) };
    topic
        .valid("a level of a volume is written", |device| {
            device.queue().write_texture_with_copy(&level(1, 0), &counting(8), layout, extent(2, 2, 2));
        })
        .await;
    topic.submit(|encoder| encoder.copy_texture_to_texture(&level(1, 1), &level(0, 3), extent(2, 2, 1)));
    let second = topic.texels(&volume, Texel { bytes: 1, mip_level: 1, layer: 1, ..Texel::default() }).await;
    topic.equal("slices of a level have their texels", second, [4, 5, 6, 7]);
    let fourth = topic.texels(&volume, Texel { bytes: 1, mip_level: 0, layer: 3, ..Texel::default() }).await;
    topic.equal("slices are copied between levels", fourth[..8].to_vec(), [4, 5, 0, 0, 6, 7, 0, 0]);
    topic
        .invalid("a level is as deep as it is", |device| {
            device.queue().write_texture_with_copy(&level(1, 0), &counting(64), layout, extent(2, 2, 3));
        })
        .await;
    topic
        .invalid("a level is as wide as it is", |device| {
            device.queue().write_texture_with_copy(&level(1, 0), &counting(64), layout, extent(4, 2, 1));
        })
        .await;
}

async fn wrong_layouts(topic: &mut Topic) {
    let texture = texture(topic, TARGET, [4, 4, 2]);
    let buffer = topic.empty_buffer(SOURCE, 2048);
    let size = extent(4, 4, 2);
    let right = bytes_of(&buffer, Some(256), Some(4));
    topic
        .valid("rows are a multiple of 256 bytes apart", |device| {
            let encoder = device.create_command_encoder(None);
            encoder.copy_buffer_to_texture(&right, &first_of(&texture), size);
            encoder.copy_texture_to_buffer(&first_of(&texture), &right, size);
            encoder.finish(None)
        })
        .await;
    for (what, layout) in [
        ("rows are no other number of bytes apart", bytes_of(&buffer, Some(16), Some(4))),
        ("rows are not nearly 256 bytes apart", bytes_of(&buffer, Some(260), Some(4))),
        ("several rows need their distance", bytes_of(&buffer, None, Some(4))),
        ("several images need their distance", bytes_of(&buffer, Some(256), None)),
        ("images have room for their rows", bytes_of(&buffer, Some(256), Some(3))),
        ("rows have room for their texels", bytes_of(&buffer, Some(0), Some(4))),
        ("a copy starts at a multiple of its texel", GpuTexelCopyBufferInfo { offset: Some(2), ..right }),
        ("a copy ends within its buffer", GpuTexelCopyBufferInfo { offset: Some(512), ..right }),
        ("a copy starts within its buffer", GpuTexelCopyBufferInfo { offset: Some(4096), ..right }),
        ("an offset does not overflow", GpuTexelCopyBufferInfo { offset: Some(u64::MAX - 3), ..right }),
        ("images are within their buffer", bytes_of(&buffer, Some(256), Some(u32::MAX))),
        ("rows are within their buffer", bytes_of(&buffer, Some(u32::MAX - 255), Some(4))),
    ] {
        topic
            .invalid_commands(&format!("{what}, to a texture"), |encoder| {
                encoder.copy_buffer_to_texture(&layout, &first_of(&texture), size);
            })
            .await;
        topic
            .invalid_commands(&format!("{what}, to a buffer"), |encoder| {
                encoder.copy_texture_to_buffer(&first_of(&texture), &layout, size);
            })
            .await;
    }
}

async fn wrong_regions(topic: &mut Topic) {
    let texture = texture(topic, TARGET, [4, 4, 2]);
    let other = self::texture(topic, TARGET, [8, 8, 8]);
    let buffer = topic.empty_buffer(SOURCE, 1 << 16);
    for (at, size) in [
        ([1, 0, 0], [4, 1, 1]),
        ([0, 4, 0], [1, 1, 1]),
        ([0, 0, 1], [1, 1, 2]),
        ([u32::MAX, 0, 0], [1, 1, 1]),
        ([2, 0, 0], [u32::MAX, 1, 1]),
        ([0, 0, u32::MAX], [1, 1, 2]),
        ([5, 0, 0], [0, 1, 1]),
    ] {
        let place =
            GpuTexelCopyTextureInfo { origin: Some(origin(at[0], at[1], at[2])), ..first_of(&texture) };
        let size = extent(size[0], size[1], size[2]);
        let layout = bytes_of(&buffer, Some(256), Some(8));
        let what = format!("a region lies within its texture: {at:?} {size:?}");
        topic.invalid_commands(&what, |encoder| encoder.copy_buffer_to_texture(&layout, &place, size)).await;
        topic.invalid_commands(&what, |encoder| encoder.copy_texture_to_buffer(&place, &layout, size)).await;
        topic
            .invalid_commands(&what, |encoder| {
                encoder.copy_texture_to_texture(&place, &first_of(&other), size)
            })
            .await;
        topic
            .invalid_commands(&what, |encoder| {
                encoder.copy_texture_to_texture(&first_of(&other), &place, size)
            })
            .await;
    }
    let level = GpuTexelCopyTextureInfo { mip_level: Some(1), ..first_of(&texture) };
    topic
        .invalid_commands("a level that is not there is not copied", |encoder| {
            encoder.copy_texture_to_buffer(&level, &bytes_of(&buffer, None, None), extent(1, 1, 1));
        })
        .await;
}

async fn wrong_usages(topic: &mut Topic) {
    let texture = texture(topic, TARGET, [1, 1, 1]);
    let unusable = topic.device().create_texture(&texture_2d(1, 1, TARGET, GpuTextureUsage::TEXTURE_BINDING));
    let buffer = topic.empty_buffer(SOURCE, 4);
    let other = topic.empty_buffer(GpuBufferUsage::STORAGE, 4);
    let size = extent(1, 1, 1);
    let (right, wrong) = (bytes_of(&buffer, None, None), bytes_of(&other, None, None));
    topic
        .invalid_commands("a source buffer has COPY_SRC", |e| {
            e.copy_buffer_to_texture(&wrong, &first_of(&texture), size)
        })
        .await;
    topic
        .invalid_commands("a target buffer has COPY_DST", |e| {
            e.copy_texture_to_buffer(&first_of(&texture), &wrong, size)
        })
        .await;
    topic
        .invalid_commands("a source texture has COPY_SRC", |e| {
            e.copy_texture_to_buffer(&first_of(&unusable), &right, size)
        })
        .await;
    topic
        .invalid_commands("a target texture has COPY_DST", |e| {
            e.copy_buffer_to_texture(&right, &first_of(&unusable), size)
        })
        .await;
    topic
        .invalid_commands("a source of texels has COPY_SRC", |e| {
            e.copy_texture_to_texture(&first_of(&unusable), &first_of(&texture), size)
        })
        .await;
    topic
        .invalid_commands("a target of texels has COPY_DST", |e| {
            e.copy_texture_to_texture(&first_of(&texture), &first_of(&unusable), size)
        })
        .await;
    let layout = GpuTexelCopyBufferLayout { offset: None, bytes_per_row: None, rows_per_image: None };
    topic
        .invalid("a written texture has COPY_DST", |device| {
            device.queue().write_texture_with_copy(&first_of(&unusable), &[0; 4], layout, size);
        })
        .await;
    let samples = topic.device().create_texture(&GpuTextureDescriptor {
        sample_count: Some(4),
        ..texture_2d(1, 1, TARGET, COPIED | GpuTextureUsage::RENDER_ATTACHMENT)
    });
    topic
        .invalid_commands("samples are not copied to a buffer", |e| {
            e.copy_texture_to_buffer(&first_of(&samples), &right, size)
        })
        .await;
    topic
        .invalid_commands("samples are not copied to texels", |e| {
            e.copy_texture_to_texture(&first_of(&samples), &first_of(&texture), size)
        })
        .await;
    topic
        .invalid("samples are not written", |device| {
            device.queue().write_texture_with_copy(&first_of(&samples), &[0; 4], layout, size);
        })
        .await;
    topic
        .valid("samples are copied to samples", |device| {
            let other = device.create_texture(&GpuTextureDescriptor {
                sample_count: Some(4),
                ..texture_2d(1, 1, TARGET, COPIED | GpuTextureUsage::RENDER_ATTACHMENT)
            });
            let encoder = device.create_command_encoder(None);
            encoder.copy_texture_to_texture(&first_of(&samples), &first_of(&other), size);
            device.queue().submit(&[&encoder.finish(None)]);
        })
        .await;
}

/// <https://www.w3.org/TR/webgpu/#depth-formats>
async fn wrong_formats(topic: &mut Topic) {
    let buffer = topic.empty_buffer(SOURCE, 1024);
    let layout = bytes_of(&buffer, Some(256), None);
    let size = extent(2, 2, 1);
    let (all, depth, stencil) =
        (GpuTextureAspect::All, GpuTextureAspect::DepthOnly, GpuTextureAspect::StencilOnly);
    for (format, aspect, readable, writable) in [
        (GpuTextureFormat::Depth16unorm, all, true, true),
        (GpuTextureFormat::Depth16unorm, depth, true, true),
        (GpuTextureFormat::Depth16unorm, stencil, false, false),
        (GpuTextureFormat::Depth32float, all, true, false),
        (GpuTextureFormat::Depth24plus, all, false, false),
        (GpuTextureFormat::Depth24plusStencil8, all, false, false),
        (GpuTextureFormat::Depth24plusStencil8, depth, false, false),
        (GpuTextureFormat::Depth24plusStencil8, stencil, true, true),
        (GpuTextureFormat::Stencil8, all, true, true),
        (GpuTextureFormat::Stencil8, stencil, true, true),
        (GpuTextureFormat::Stencil8, depth, false, false),
        (TARGET, depth, false, false),
        (TARGET, stencil, false, false),
    ] {
        let texture = texture(topic, format, [2, 2, 1]);
        let info = GpuTexelCopyTextureInfo { aspect: Some(aspect), ..first_of(&texture) };
        let (_, read) = topic
            .catching(|device| {
                let encoder = device.create_command_encoder(None);
                encoder.copy_texture_to_buffer(&info, &layout, size);
                encoder.finish(None)
            })
            .await;
        let (_, written) = topic
            .catching(|device| {
                let encoder = device.create_command_encoder(None);
                encoder.copy_buffer_to_texture(&layout, &info, size);
                encoder.finish(None)
            })
            .await;
        let what = format!("{aspect:?} of {format:?} is copied to and from buffers as the table says");
        topic.equal(&what, (read.is_none(), written.is_none()), (readable, writable));
    }
    let texture = texture(topic, GpuTextureFormat::Depth16unorm, [2, 2, 1]);
    topic
        .invalid_commands("depth is copied whole", |encoder| {
            encoder.copy_texture_to_buffer(&first_of(&texture), &layout, extent(1, 2, 1));
        })
        .await;
    topic
        .invalid_commands("depth is copied from multiples of four bytes", |encoder| {
            let layout = GpuTexelCopyBufferInfo { offset: Some(2), ..layout };
            encoder.copy_texture_to_buffer(&first_of(&texture), &layout, size);
        })
        .await;
}

async fn nothing_to_copy(topic: &mut Topic) {
    let texture = texture(topic, TARGET, [2, 2, 2]);
    let buffer = topic.empty_buffer(SOURCE, 1024);
    for size in [extent(0, 2, 1), extent(2, 0, 1), extent(2, 2, 0)] {
        topic
            .valid(&format!("a copy of nothing does nothing: {size:?}"), |device| {
                let layout = bytes_of(&buffer, Some(256), Some(2));
                let encoder = device.create_command_encoder(None);
                encoder.copy_buffer_to_texture(&layout, &first_of(&texture), size);
                encoder.copy_texture_to_buffer(&first_of(&texture), &layout, size);
                encoder.copy_texture_to_texture(
                    &first_of(&texture),
                    &GpuTexelCopyTextureInfo { origin: Some(origin(0, 0, 1)), ..first_of(&texture) },
                    GpuExtent3D {
                        depth_or_array_layers: Some(size.depth_or_array_layers.unwrap_or(1).min(1)),
                        ..size
                    },
                );
                device.queue().submit(&[&encoder.finish(None)]);
                let layout = GpuTexelCopyBufferLayout {
                    offset: None,
                    bytes_per_row: Some(8),
                    rows_per_image: Some(2),
                };
                // Rows that have no texels still lie apart.
                device.queue().write_texture_with_copy(&first_of(&texture), &[0; 8], layout, size);
            })
            .await;
    }
    let end = GpuTexelCopyTextureInfo { origin: Some(origin(2, 2, 2)), ..first_of(&texture) };
    topic
        .valid("a copy of nothing may lie at the end", |device| {
            let encoder = device.create_command_encoder(None);
            encoder.copy_texture_to_buffer(&end, &bytes_of(&buffer, None, None), extent(0, 0, 0));
            device.queue().submit(&[&encoder.finish(None)]);
        })
        .await;
}
