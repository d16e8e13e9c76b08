//! Storage textures: <https://www.w3.org/TR/webgpu/#dictdef-gpustoragetexturebindinglayout>

use conformance::drawing::{extent, first_of, texture_2d, view};
use conformance::formats::{Able, Kind, PLAIN, Plain};
use conformance::webgpu::*;
use conformance::{Texel, Topic};

conformance::export_topic!(run);

const USAGE: GpuTextureUsage =
    GpuTextureUsage::STORAGE_BINDING.union(GpuTextureUsage::COPY_SRC).union(GpuTextureUsage::COPY_DST);

async fn run(topic: &mut Topic) {
    let reads = get_gpu().wgsl_language_features().has("readonly_and_readwrite_storage_textures");
    every_format(topic, reads).await;
    dimensions(topic).await;
    levels_and_layers(topic).await;
    fragments(topic).await;
    refused_layouts(topic).await;
    refused_views(topic).await;
    topic.take_all_features().await;
    if topic.has("bgra8unorm-storage") {
        let bgra = PLAIN.iter().find(|plain| plain.format == GpuTextureFormat::Bgra8unorm);
        writes(topic, bgra.expect("it is a plain format"), "bgra8unorm").await;
    }
}

/// The name of a format in WGSL, which is that of the standard.
fn name(format: GpuTextureFormat) -> String {
    let name = format!("{format:?}").to_lowercase();
    name.rsplit("::").next().unwrap_or_default().replace(['-', '_'], "")
}

async fn every_format(topic: &mut Topic, reads: bool) {
    for plain in PLAIN {
        if !plain.feature.is_empty() || !plain.able.contains(&Able::WriteOnly) {
            continue;
        }
        let name = name(plain.format);
        writes(topic, plain, &name).await;
        if reads {
            loads(topic, plain, &name).await;
            if plain.able.contains(&Able::ReadWrite) {
                does_both(topic, plain, &name).await;
            }
        }
    }
}

fn texel_of(plain: &Plain) -> Texel {
    Texel { bytes: u32::try_from(plain.texel.len()).expect("a few"), ..Texel::default() }
}

async fn writes(topic: &mut Topic, plain: &Plain, name: &str) {
    let texture = topic.device().create_texture(&texture_2d(2, 1, plain.format, USAGE));
    let view = texture.create_view(None);
    let [r, g, b, a] = plain.value;
    let code = format!(
        "@group(0) @binding(0) var t: texture_storage_2d<{name}, write>;
        @compute @workgroup_size(1) fn main() {{ textureStore(t, vec2u(1, 0), {}({r}, {g}, {b}, {a})); }}",
        plain.kind.wgsl()
    );
    let ((), error) =
        topic.catching(|_| topic.compute(&code, vec![GpuBindingResource::GpuTextureView(&view)], 1)).await;
    topic.equal(&format!("a shader may write {name}"), error, None);
    let found = topic.texels(&texture, texel_of(plain)).await;
    let expected = [vec![0; plain.texel.len()], plain.texel.to_vec()].concat();
    topic.equal(&format!("a shader writes a texel of {name} and no other"), found, expected);
}

async fn loads(topic: &mut Topic, plain: &Plain, name: &str) {
    let texture = topic.device().create_texture(&texture_2d(1, 1, plain.format, USAGE));
    let layout = GpuTexelCopyBufferLayout { offset: None, bytes_per_row: None, rows_per_image: None };
    topic.queue().write_texture_with_copy(&first_of(&texture), plain.texel, layout, extent(1, 1, 1));
    let view = texture.create_view(None);
    let code = format!(
        "@group(0) @binding(0) var<storage, read_write> out: array<u32>;
        @group(0) @binding(1) var t: texture_storage_2d<{name}, read>;
        @compute @workgroup_size(1) fn main() {{
            let texel = textureLoad(t, vec2u(0));
            for (var at = 0; at < 4; at++) {{ out[at] = bitcast<u32>(texel[at]); }}
        }}"
    );
    let found = topic.computed(&code, vec![GpuBindingResource::GpuTextureView(&view)], 4).await;
    let right = match plain.kind {
        Kind::Float => {
            let near = |(found, value): (&u32, f32)| (f32::from_bits(*found) - value).abs() < 0.004;
            found.iter().zip(plain.value).all(near)
        }
        Kind::Uint => found == plain.value.map(|value| value as u32),
        Kind::Sint => found == plain.value.map(|value| (value as i32).cast_unsigned()),
    };
    topic.check(&format!("a shader reads a texel of {name}: {found:?}"), right);
}

async fn does_both(topic: &mut Topic, plain: &Plain, name: &str) {
    let texture = topic.device().create_texture(&texture_2d(1, 1, plain.format, USAGE));
    let layout = GpuTexelCopyBufferLayout { offset: None, bytes_per_row: None, rows_per_image: None };
    topic.queue().write_texture_with_copy(&first_of(&texture), plain.texel, layout, extent(1, 1, 1));
    let view = texture.create_view(None);
    let code = format!(
        "@group(0) @binding(0) var<storage, read_write> out: array<u32>;
        @group(0) @binding(1) var t: texture_storage_2d<{name}, read_write>;
        @compute @workgroup_size(1) fn main() {{
            let before = textureLoad(t, vec2u(0));
            textureStore(t, vec2u(0), before + before);
            textureBarrier();
            out[0] = select(0u, 1u, textureLoad(t, vec2u(0)).r == before.r * {});
        }}",
        if plain.kind == Kind::Float { "2.0" } else { "2" }
    );
    let found = topic.computed(&code, vec![GpuBindingResource::GpuTextureView(&view)], 1).await;
    topic.equal(&format!("a shader reads what it wrote to {name}"), found, [1]);
}

async fn dimensions(topic: &mut Topic) {
    let format = GpuTextureFormat::R32uint;
    for (ty, dimension, size, place) in [
        ("texture_storage_1d", GpuTextureDimension::D1, extent(4, 1, 1), "3u"),
        ("texture_storage_2d", GpuTextureDimension::D2, extent(4, 4, 1), "vec2u(3, 0)"),
        ("texture_storage_2d_array", GpuTextureDimension::D2, extent(4, 4, 3), "vec2u(3, 0), 2"),
        ("texture_storage_3d", GpuTextureDimension::D3, extent(4, 4, 3), "vec3u(3, 0, 2)"),
    ] {
        let texture = topic.device().create_texture(&GpuTextureDescriptor {
            size,
            dimension: Some(dimension),
            ..texture_2d(1, 1, format, USAGE)
        });
        let view = texture.create_view(None);
        let code = format!(
            "@group(0) @binding(0) var t: {ty}<r32uint, write>;
            @compute @workgroup_size(1) fn main() {{ textureStore(t, {place}, vec4u(77)); }}"
        );
        topic.compute(&code, vec![GpuBindingResource::GpuTextureView(&view)], 1);
        let layer = size.depth_or_array_layers.unwrap_or(1) - 1;
        let found = topic.texels(&texture, Texel { layer, ..Texel::default() }).await;
        topic.equal(&format!("a shader writes to {ty}"), found[8..16].to_vec(), [0, 0, 0, 0, 77, 0, 0, 0]);
    }
}

async fn levels_and_layers(topic: &mut Topic) {
    let texture = topic.device().create_texture(&GpuTextureDescriptor {
        size: extent(4, 4, 2),
        mip_level_count: Some(3),
        ..texture_2d(4, 4, GpuTextureFormat::R32uint, USAGE)
    });
    let part = texture.create_view(Some(&GpuTextureViewDescriptor {
        dimension: Some(GpuTextureViewDimension::D2),
        base_mip_level: Some(1),
        mip_level_count: Some(1),
        base_array_layer: Some(1),
        ..view()
    }));
    let code = "
        @group(0) @binding(0) var t: texture_storage_2d<r32uint, write>;
        @compute @workgroup_size(1) fn main() { textureStore(t, vec2u(1, 1), vec4u(textureDimensions(t).x)); }";
    topic.compute(code, vec![GpuBindingResource::GpuTextureView(&part)], 1);
    let found = topic.texels(&texture, Texel { mip_level: 1, layer: 1, ..Texel::default() }).await;
    topic.equal("a shader writes to the level and layer of its view", found[12..].to_vec(), [2, 0, 0, 0]);
    let mut others = Vec::new();
    for (mip_level, layer) in [(0, 0), (1, 0), (2, 0), (0, 1), (2, 1)] {
        others.extend(topic.texels(&texture, Texel { mip_level, layer, ..Texel::default() }).await);
    }
    topic.check("a shader writes to no other level or layer", others.iter().all(|byte| *byte == 0));
}

async fn fragments(topic: &mut Topic) {
    let texture = topic.device().create_texture(&texture_2d(4, 1, GpuTextureFormat::R32uint, USAGE));
    let stored = texture.create_view(None);
    let code = format!(
        "{}
        @group(0) @binding(0) var t: texture_storage_2d<r32uint, write>;
        @fragment fn draw(@builtin(position) at: vec4f) -> @location(0) vec4f {{
            textureStore(t, vec2u(at.xy), vec4u(u32(at.x) + 5));
            return vec4f(0);
        }}",
        conformance::drawing::COVER
    );
    let module = topic.shader(&code);
    let pipeline = topic
        .device()
        .create_render_pipeline(conformance::drawing::pipeline(&module, [conformance::drawing::TARGET]));
    let layout = pipeline.get_bind_group_layout(0);
    let group = topic.gpu.bind_group("", &layout, vec![GpuBindingResource::GpuTextureView(&stored)]);
    topic
        .drawn([4, 1], |pass| {
            pass.set_pipeline(&pipeline);
            pass.set_bind_group(0, Some(&group), None, None, None).expect("there are no offsets");
            pass.draw(3, None, None, None);
        })
        .await;
    let found = conformance::drawing::words(&topic.texels(&texture, Texel::default()).await);
    topic.equal("fragments write to a storage texture", found, [5, 6, 7, 8]);
}

fn layout(
    device: &GpuDevice,
    format: GpuTextureFormat,
    access: Option<GpuStorageTextureAccess>,
    dimension: Option<GpuTextureViewDimension>,
    visibility: GpuShaderStage,
) -> GpuBindGroupLayout {
    device.create_bind_group_layout(&GpuBindGroupLayoutDescriptor {
        entries: vec![GpuBindGroupLayoutEntry {
            binding: 0,
            visibility,
            buffer: None,
            sampler: None,
            texture: None,
            storage_texture: Some(GpuStorageTextureBindingLayout {
                access,
                format,
                view_dimension: dimension,
            }),
        }],
        label: None,
    })
}

async fn refused_layouts(topic: &mut Topic) {
    use GpuStorageTextureAccess::{ReadOnly, ReadWrite, WriteOnly};
    use GpuTextureViewDimension::{Cube, CubeArray, D2, D3};
    let (compute, vertex) = (GpuShaderStage::COMPUTE, GpuShaderStage::VERTEX);
    let (r32, rgba8) = (GpuTextureFormat::R32uint, GpuTextureFormat::Rgba8unorm);
    for (what, format, access, dimension, visibility) in [
        ("a cube is no storage", r32, None, Some(Cube), compute),
        ("an array of cubes is no storage", r32, None, Some(CubeArray), compute),
        ("vertices do not write", r32, Some(WriteOnly), Some(D2), vertex),
        ("vertices do not write by default", r32, None, None, vertex),
        ("vertices do not read and write", r32, Some(ReadWrite), None, vertex),
        ("a format is read and written as the table says", rgba8, Some(ReadWrite), None, compute),
        ("depth is no storage", GpuTextureFormat::Depth32float, None, None, compute),
        ("sRGB is no storage", GpuTextureFormat::Rgba8unormSrgb, None, None, compute),
    ] {
        topic.invalid(what, |device| layout(device, format, access, dimension, visibility)).await;
    }
    topic.valid("vertices read", |device| layout(device, r32, Some(ReadOnly), None, vertex)).await;
    topic.valid("a volume is storage", |device| layout(device, rgba8, None, Some(D3), compute)).await;
    let module = topic.shader(
        "@group(0) @binding(0) var t: texture_storage_2d<rgba8unorm, write>;
        @compute @workgroup_size(1) fn main() { textureStore(t, vec2u(0), vec4f(1)); }",
    );
    for (what, format, access, dimension) in [
        ("a shader has the format of its layout", GpuTextureFormat::Rgba16float, WriteOnly, None),
        ("a shader has the access of its layout", rgba8, ReadOnly, None),
        ("a shader has the dimension of its layout", rgba8, WriteOnly, Some(D3)),
    ] {
        let group = layout(topic.device(), format, Some(access), dimension, compute);
        topic
            .invalid(what, |device| {
                let layout = device.create_pipeline_layout(&GpuPipelineLayoutDescriptor {
                    bind_group_layouts: vec![Some(&group)],
                    immediate_size: None,
                    label: None,
                });
                device.create_compute_pipeline(GpuComputePipelineDescriptor {
                    compute: GpuProgrammableStage { module: &module, entry_point: None, constants: None },
                    layout: GpuLayoutMode::Specific(&layout),
                    label: None,
                })
            })
            .await;
    }
}

async fn refused_views(topic: &mut Topic) {
    let format = GpuTextureFormat::R32uint;
    let layout = layout(topic.device(), format, None, None, GpuShaderStage::COMPUTE);
    let make =
        |descriptor: GpuTextureDescriptor| topic.device().create_texture(&descriptor).create_view(None);
    let levels = make(GpuTextureDescriptor { mip_level_count: Some(2), ..texture_2d(4, 4, format, USAGE) });
    let other = make(texture_2d(4, 4, GpuTextureFormat::R32sint, USAGE));
    let unusable = make(texture_2d(4, 4, format, GpuTextureUsage::TEXTURE_BINDING));
    let array = make(GpuTextureDescriptor { size: extent(4, 4, 2), ..texture_2d(4, 4, format, USAGE) });
    let right = make(texture_2d(4, 4, format, USAGE));
    for (what, view, is_right) in [
        ("a storage texture is bound", &right, true),
        ("a storage texture has one level", &levels, false),
        ("a storage texture has the format of its layout", &other, false),
        ("a storage texture has its usage", &unusable, false),
        ("a storage texture has the dimension of its layout", &array, false),
    ] {
        let (_, error) = topic
            .catching(|device| {
                device.create_bind_group(&GpuBindGroupDescriptor {
                    layout: &layout,
                    entries: vec![GpuBindGroupEntry {
                        binding: 0,
                        resource: GpuBindingResource::GpuTextureView(view),
                    }],
                    label: None,
                })
            })
            .await;
        let expected = (!is_right).then_some(GpuErrorFilter::Validation);
        topic.equal(what, error.map(|error| error.kind), expected);
    }
}
