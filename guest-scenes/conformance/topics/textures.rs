//! Textures and their views: <https://www.w3.org/TR/webgpu/#textures>

use conformance::Topic;
use conformance::drawing::{TARGET, extent, first_of, origin, sampler, texture_2d, view};
use conformance::webgpu::*;

conformance::export_topic!(run);

const SAMPLED: GpuTextureUsage = GpuTextureUsage::TEXTURE_BINDING;

async fn run(topic: &mut Topic) {
    properties(topic).await;
    refused_textures(topic).await;
    view_selection(topic).await;
    view_dimensions(topic).await;
    cubes(topic).await;
    view_formats(topic).await;
    refused_views(topic).await;
    destruction(topic).await;
}

async fn properties(topic: &mut Topic) {
    let least = topic
        .valid("a texture needs a width, a format and a usage", |device| {
            device.create_texture(&GpuTextureDescriptor {
                size: GpuExtent3D { width: 5, height: None, depth_or_array_layers: None },
                ..texture_2d(5, 1, TARGET, SAMPLED)
            })
        })
        .await;
    topic.equal("a texture has its width", least.width(), 5);
    topic.equal("a texture's height is 1 by default", least.height(), 1);
    topic.equal("a texture has one layer by default", least.depth_or_array_layers(), 1);
    topic.equal("a texture has one mip level by default", least.mip_level_count(), 1);
    topic.equal("a texture has one sample by default", least.sample_count(), 1);
    topic.equal("a texture has two dimensions by default", least.dimension(), GpuTextureDimension::D2);
    topic.equal("a texture has its format", least.format(), TARGET);
    topic.equal("a texture has its usage", least.usage(), SAMPLED);
    topic.equal("a texture has no label by default", least.label(), "");

    let usage = SAMPLED | GpuTextureUsage::COPY_SRC | GpuTextureUsage::COPY_DST;
    let most = topic
        .valid("a texture may say all", |device| {
            device.create_texture(&GpuTextureDescriptor {
                size: extent(8, 4, 12),
                mip_level_count: Some(3),
                sample_count: Some(1),
                dimension: Some(GpuTextureDimension::D3),
                format: GpuTextureFormat::Rgba16float,
                usage,
                view_formats: Some(vec![GpuTextureFormat::Rgba16float]),
                texture_binding_view_dimension: Some(GpuTextureViewDimension::D3),
                label: Some("volume".into()),
            })
        })
        .await;
    let size = [most.width(), most.height(), most.depth_or_array_layers()];
    topic.equal("a texture has its size", size, [8, 4, 12]);
    topic.equal("a texture has its mip levels", most.mip_level_count(), 3);
    topic.equal("a texture has its dimension", most.dimension(), GpuTextureDimension::D3);
    topic.equal("a texture has all of its usages", most.usage(), usage);
    topic.equal("a texture keeps its label", most.label(), "volume");
    most.set_label("other");
    topic.equal("a texture takes a new label", most.label(), "other");
    // https://www.w3.org/TR/webgpu/#dom-gputexture-texturebindingviewdimension: only without "core-features-and-limits".
    let is_core = topic.has("core-features-and-limits");
    let dimension = most.texture_binding_view_dimension();
    let expected = (!is_core).then_some(GpuTextureViewDimension::D3);
    topic.equal("a texture of a core device is bound with any dimension", dimension, expected);

    let invalid = topic
        .invalid("a texture has four samples or one", |device| {
            device.create_texture(&GpuTextureDescriptor {
                sample_count: Some(3),
                label: Some("wrong".into()),
                ..texture_2d(7, 9, TARGET, GpuTextureUsage::RENDER_ATTACHMENT)
            })
        })
        .await;
    let said = (invalid.width(), invalid.height(), invalid.sample_count(), invalid.label());
    topic.equal("an invalid texture still has what it was asked for", said, (7, 9, 3, "wrong".to_owned()));
}

async fn refused_textures(topic: &mut Topic) {
    let limits = topic.device().limits();
    let (side, depth) = (limits.max_texture_dimension2_d(), limits.max_texture_dimension3_d());
    let line = limits.max_texture_dimension1_d();
    let layers = limits.max_texture_array_layers();
    let sized = |width, height, layers| GpuTextureDescriptor {
        size: extent(width, height, layers),
        ..texture_2d(1, 1, TARGET, SAMPLED)
    };
    let of = |dimension, descriptor| GpuTextureDescriptor { dimension: Some(dimension), ..descriptor };
    let multisampled = |descriptor| GpuTextureDescriptor { sample_count: Some(4), ..descriptor };
    let drawn = |descriptor| GpuTextureDescriptor { usage: GpuTextureUsage::RENDER_ATTACHMENT, ..descriptor };
    let levels = |levels, descriptor| GpuTextureDescriptor { mip_level_count: Some(levels), ..descriptor };
    let with = |usage, descriptor| GpuTextureDescriptor { usage, ..descriptor };
    let in_format = |format, descriptor| GpuTextureDescriptor { format, ..descriptor };
    let transient = GpuTextureUsage::TRANSIENT_ATTACHMENT;
    let depth_format = GpuTextureFormat::Depth32float;
    let (d1, d2, d3) = (GpuTextureDimension::D1, GpuTextureDimension::D2, GpuTextureDimension::D3);
    for (what, descriptor) in [
        ("a texture has a width", sized(0, 1, 1)),
        ("a texture has a height", sized(1, 0, 1)),
        ("a texture has a layer", sized(1, 1, 0)),
        ("a texture has a usage", with(GpuTextureUsage::empty(), sized(1, 1, 1))),
        ("a texture is no wider than the limit", sized(side + 1, 1, 1)),
        ("a texture is no higher than the limit", sized(1, side + 1, 1)),
        ("a texture is no wider than can be", sized(u32::MAX, 1, 1)),
        ("a texture has no more layers than the limit", sized(1, 1, layers + 1)),
        ("a texture has no more layers than can be", sized(1, 1, u32::MAX)),
        ("a 1D texture is no wider than the limit", of(d1, sized(line + 1, 1, 1))),
        ("a 1D texture is one high", of(d1, sized(4, 2, 1))),
        ("a 1D texture has one layer", of(d1, sized(4, 1, 2))),
        ("a 1D texture has one level", of(d1, levels(2, sized(4, 1, 1)))),
        ("a 1D texture has one sample", of(d1, drawn(multisampled(sized(4, 1, 1))))),
        ("a 1D texture is not drawn on", of(d1, drawn(sized(4, 1, 1)))),
        ("a 1D texture has no depth", of(d1, in_format(depth_format, sized(4, 1, 1)))),
        ("a 3D texture is no wider than the limit", of(d3, sized(depth + 1, 1, 1))),
        ("a 3D texture is no deeper than the limit", of(d3, sized(1, 1, depth + 1))),
        ("a 3D texture has one sample", of(d3, drawn(multisampled(sized(4, 4, 1))))),
        ("a 3D texture has no depth format", of(d3, in_format(depth_format, sized(4, 4, 4)))),
        ("a texture has a level", levels(0, sized(4, 4, 1))),
        ("a texture has no more levels than its size has", levels(4, sized(4, 4, 1))),
        ("the layers of a 2D texture add no levels", of(d2, levels(4, sized(4, 4, 64)))),
        ("a texture has no more levels than can be", levels(u32::MAX, sized(4, 4, 1))),
        ("a texture has a sample", GpuTextureDescriptor { sample_count: Some(0), ..drawn(sized(4, 4, 1)) }),
        (
            "a texture has not two samples",
            GpuTextureDescriptor { sample_count: Some(2), ..drawn(sized(4, 4, 1)) },
        ),
        (
            "a texture has not sixteen samples",
            GpuTextureDescriptor { sample_count: Some(16), ..drawn(sized(4, 4, 1)) },
        ),
        ("a multisampled texture has one level", drawn(multisampled(levels(2, sized(4, 4, 1))))),
        ("a multisampled texture has one layer", drawn(multisampled(sized(4, 4, 2)))),
        ("a multisampled texture is drawn on", multisampled(sized(4, 4, 1))),
        (
            "a multisampled texture is no storage",
            with(
                GpuTextureUsage::RENDER_ATTACHMENT | GpuTextureUsage::STORAGE_BINDING,
                multisampled(sized(4, 4, 1)),
            ),
        ),
        (
            "a format that is not multisampled has one sample",
            drawn(multisampled(in_format(GpuTextureFormat::R32uint, sized(4, 4, 1)))),
        ),
        (
            "a view format differs in sRGB alone",
            GpuTextureDescriptor { view_formats: Some(vec![GpuTextureFormat::R32float]), ..sized(4, 4, 1) },
        ),
        (
            "the order of channels is no view format",
            GpuTextureDescriptor { view_formats: Some(vec![GpuTextureFormat::Bgra8unorm]), ..sized(4, 4, 1) },
        ),
        ("a transient texture is drawn on", with(transient, sized(4, 4, 1))),
        (
            "a transient texture is only drawn on",
            with(transient | GpuTextureUsage::RENDER_ATTACHMENT | SAMPLED, sized(4, 4, 1)),
        ),
        (
            "a transient texture has one level",
            with(transient | GpuTextureUsage::RENDER_ATTACHMENT, levels(2, sized(4, 4, 1))),
        ),
        (
            "a transient texture has one layer",
            with(transient | GpuTextureUsage::RENDER_ATTACHMENT, sized(4, 4, 2)),
        ),
    ] {
        topic.invalid(what, |device| device.create_texture(&descriptor)).await;
    }
    for (what, descriptor) in [
        ("a texture may be as wide as the limit", sized(side, 1, 1)),
        ("a texture may have as many layers as the limit", sized(1, 1, layers)),
        ("a texture may have as many levels as its size has", levels(3, sized(4, 2, 1))),
        ("the depth of a 3D texture adds levels", of(d3, levels(4, sized(2, 2, 8)))),
        ("a 3D texture may be drawn on", of(d3, drawn(sized(2, 2, 8)))),
        (
            "a multisampled texture is drawn on and sampled",
            with(GpuTextureUsage::RENDER_ATTACHMENT | SAMPLED, multisampled(sized(4, 4, 1))),
        ),
        (
            "a transient texture may be multisampled",
            with(transient | GpuTextureUsage::RENDER_ATTACHMENT, multisampled(sized(4, 4, 1))),
        ),
        ("a 1D texture may be storage", of(d1, with(GpuTextureUsage::STORAGE_BINDING, sized(4, 1, 1)))),
    ] {
        topic.valid(what, |device| device.create_texture(&descriptor)).await;
    }
}

/// A texture of unsigned integers, each of whose levels and layers is full of its own number, `10 * layer + level`.
fn numbered(topic: &Topic, dimension: GpuTextureDimension, size: [u32; 3], levels: u32) -> GpuTexture {
    let texture = topic.device().create_texture(&GpuTextureDescriptor {
        size: extent(size[0], size[1], size[2]),
        mip_level_count: Some(levels),
        dimension: Some(dimension),
        ..texture_2d(1, 1, GpuTextureFormat::R32uint, SAMPLED | GpuTextureUsage::COPY_DST)
    });
    for level in 0..levels {
        let (width, height) = ((size[0] >> level).max(1), (size[1] >> level).max(1));
        let layers = if dimension == GpuTextureDimension::D3 { (size[2] >> level).max(1) } else { size[2] };
        for layer in 0..layers {
            let texels: Vec<u8> =
                (0..width * height).flat_map(|_| (10 * layer + level).to_le_bytes()).collect();
            topic.queue().write_texture_with_copy(
                &GpuTexelCopyTextureInfo {
                    mip_level: Some(level),
                    origin: Some(origin(0, 0, layer)),
                    ..first_of(&texture)
                },
                &texels,
                GpuTexelCopyBufferLayout {
                    offset: None,
                    bytes_per_row: Some(width * 4),
                    rows_per_image: Some(height),
                },
                extent(width, height, 1),
            );
        }
    }
    texture
}

/// A shader that writes what `expressions` of the texture at binding 1, `t`, are.
fn reading(ty: &str, expressions: &[&str]) -> String {
    let writes: Vec<String> =
        expressions.iter().enumerate().map(|(at, expression)| format!("out[{at}] = {expression};")).collect();
    format!(
        "@group(0) @binding(0) var<storage, read_write> out: array<u32>;
        @group(0) @binding(1) var t: {ty};
        @compute @workgroup_size(1) fn main() {{ {} }}",
        writes.join("\n")
    )
}

async fn read(topic: &Topic, ty: &str, expressions: &[&str], view: &GpuTextureView) -> Vec<u32> {
    let count = u32::try_from(expressions.len()).expect("a few");
    topic.computed(&reading(ty, expressions), vec![GpuBindingResource::GpuTextureView(view)], count).await
}

async fn view_selection(topic: &mut Topic) {
    let array = numbered(topic, GpuTextureDimension::D2, [4, 4, 6], 3);
    let shape = [
        "textureDimensions(t).x",
        "textureNumLevels(t)",
        "textureNumLayers(t)",
        "textureLoad(t, vec2u(0), 0, 0).r",
        "textureLoad(t, vec2u(0), 2, 1).r",
    ];
    let all = array.create_view(None);
    let found = read(topic, "texture_2d_array<u32>", &shape, &all).await;
    topic.equal("a view has all levels and layers by default", found, [4, 3, 6, 0, 21]);

    let part = array.create_view(Some(&GpuTextureViewDescriptor {
        base_mip_level: Some(1),
        base_array_layer: Some(2),
        label: Some("part".into()),
        ..view()
    }));
    topic.equal("a view keeps its label", part.label(), "part");
    part.set_label("rest");
    topic.equal("a view takes a new label", part.label(), "rest");
    let found = read(topic, "texture_2d_array<u32>", &shape, &part).await;
    topic.equal("a view has by default what follows its base", found, [2, 2, 4, 21, 42]);

    let one = array.create_view(Some(&GpuTextureViewDescriptor {
        dimension: Some(GpuTextureViewDimension::D2),
        base_mip_level: Some(2),
        mip_level_count: Some(1),
        base_array_layer: Some(5),
        ..view()
    }));
    let shape = ["textureDimensions(t).x", "textureNumLevels(t)", "textureLoad(t, vec2u(0), 0).r"];
    let found = read(topic, "texture_2d<u32>", &shape, &one).await;
    topic.equal("a 2D view of an array has one layer by default", found, [1, 1, 52]);

    let group_of_texture = topic
        .computed(
            &reading("texture_2d_array<u32>", &["textureNumLayers(t)"]),
            vec![GpuBindingResource::GpuTexture(&array)],
            1,
        )
        .await;
    topic.equal("a texture is bound by its default view", group_of_texture, [6]);
}

async fn view_dimensions(topic: &mut Topic) {
    let line = numbered(topic, GpuTextureDimension::D1, [8, 1, 1], 1).create_view(None);
    let found =
        read(topic, "texture_1d<u32>", &["textureDimensions(t)", "textureLoad(t, 7u, 0).r"], &line).await;
    topic.equal("a 1D texture has a 1D view", found, [8, 0]);

    let volume = numbered(topic, GpuTextureDimension::D3, [4, 4, 8], 2).create_view(None);
    let shape = [
        "textureDimensions(t).z",
        "textureLoad(t, vec3u(3, 3, 7), 0).r",
        "textureLoad(t, vec3u(1, 1, 3), 1).r",
    ];
    let found = read(topic, "texture_3d<u32>", &shape, &volume).await;
    topic.equal("a 3D texture has a 3D view", found, [8, 70, 31]);

    let flat = numbered(topic, GpuTextureDimension::D2, [4, 4, 1], 1);
    let one = flat.create_view(None);
    let found = read(topic, "texture_2d<u32>", &["textureDimensions(t).y"], &one).await;
    topic.equal("a 2D texture of one layer has a 2D view", found, [4]);
    let array = flat.create_view(Some(&GpuTextureViewDescriptor {
        dimension: Some(GpuTextureViewDimension::D2Array),
        ..view()
    }));
    let found = read(topic, "texture_2d_array<u32>", &["textureNumLayers(t)"], &array).await;
    topic.equal("a 2D texture of one layer may have an array view", found, [1]);

    let layout = topic.device().create_bind_group_layout(&GpuBindGroupLayoutDescriptor {
        entries: vec![GpuBindGroupLayoutEntry {
            binding: 0,
            visibility: GpuShaderStage::COMPUTE,
            buffer: None,
            sampler: None,
            texture: Some(GpuTextureBindingLayout {
                sample_type: Some(GpuTextureSampleType::Uint),
                view_dimension: None,
                multisampled: None,
            }),
            storage_texture: None,
        }],
        label: None,
    });
    for (what, wrong) in [("an array view", &array), ("a 3D view", &volume), ("a 1D view", &line)] {
        let bind = |_: &GpuDevice| {
            topic.gpu.bind_group("", &layout, vec![GpuBindingResource::GpuTextureView(wrong)])
        };
        let (_, error) = topic.catching(bind).await;
        let kind = error.map(|error| error.kind);
        topic.equal(
            &format!("{what} is not bound as the default 2D"),
            kind,
            Some(GpuErrorFilter::Validation),
        );
    }
}

async fn cubes(topic: &mut Topic) {
    let layers = 12;
    let texture = topic.device().create_texture(&GpuTextureDescriptor {
        size: extent(2, 2, layers),
        ..texture_2d(1, 1, GpuTextureFormat::R8unorm, SAMPLED | GpuTextureUsage::COPY_DST)
    });
    let texels: Vec<u8> = (0..12).flat_map(|layer: u8| [layer * 10; 4]).collect();
    let layout = GpuTexelCopyBufferLayout { offset: None, bytes_per_row: Some(2), rows_per_image: Some(2) };
    topic.queue().write_texture_with_copy(&first_of(&texture), &texels, layout, extent(2, 2, layers));

    let sampler = topic.device().create_sampler(Some(&sampler()));
    let faces = ["1,0,0", "-1,0,0", "0,1,0", "0,-1,0", "0,0,1", "0,0,-1"];
    for (ty, dimension, base, array) in [
        ("texture_cube<f32>", GpuTextureViewDimension::Cube, 3, ""),
        ("texture_cube_array<f32>", GpuTextureViewDimension::CubeArray, 0, "1, "),
    ] {
        let cube = texture.create_view(Some(&GpuTextureViewDescriptor {
            dimension: Some(dimension),
            base_array_layer: Some(base),
            ..view()
        }));
        let expressions = faces
            .map(|face| format!("u32(round(textureSampleLevel(t, s, vec3f({face}), {array}0).r * 255.0))"));
        let expressions: Vec<&str> = expressions.iter().map(String::as_str).collect();
        let code = format!("@group(0) @binding(2) var s: sampler; {}", reading(ty, &expressions));
        let resources =
            vec![GpuBindingResource::GpuTextureView(&cube), GpuBindingResource::GpuSampler(&sampler)];
        let found = topic.computed(&code, resources, 6).await;
        let first = if array.is_empty() { base } else { 6 };
        let expected: Vec<u32> = (first..first + 6).map(|layer| layer * 10).collect();
        topic.equal(&format!("the faces of {ty} are its layers in order"), found, expected);
    }
}

async fn view_formats(topic: &mut Topic) {
    let texture = topic
        .valid("a texture may be viewed as sRGB", |device| {
            device.create_texture(&GpuTextureDescriptor {
                view_formats: Some(vec![GpuTextureFormat::Rgba8unormSrgb]),
                ..texture_2d(1, 1, TARGET, SAMPLED | GpuTextureUsage::COPY_DST)
            })
        })
        .await;
    let layout = GpuTexelCopyBufferLayout { offset: None, bytes_per_row: None, rows_per_image: None };
    topic.queue().write_texture_with_copy(&first_of(&texture), &[128, 0, 255, 128], layout, extent(1, 1, 1));
    let srgb = GpuTextureViewDescriptor { format: Some(GpuTextureFormat::Rgba8unormSrgb), ..view() };
    let (linear, encoded) = (texture.create_view(None), texture.create_view(Some(&srgb)));
    let code = [
        "u32(round(textureLoad(t, vec2u(0), 0).r * 1000.0))",
        "u32(round(textureLoad(t, vec2u(0), 0).a * 1000.0))",
    ];
    let found = read(topic, "texture_2d<f32>", &code, &linear).await;
    topic.equal("a view has the format of its texture by default", found, [502, 502]);
    let found = read(topic, "texture_2d<f32>", &code, &encoded).await;
    topic.check("a view of another format decodes colour", found[0].abs_diff(216) <= 1);
    topic.equal("a view of another format leaves alpha", found[1], 502);

    let plain = topic.device().create_texture(&texture_2d(1, 1, TARGET, SAMPLED));
    topic.invalid("a view's format is one that the texture named", |_| plain.create_view(Some(&srgb))).await;
}

async fn refused_views(topic: &mut Topic) {
    let texture = numbered(topic, GpuTextureDimension::D2, [4, 4, 8], 3);
    let dimension = |dimension, count| GpuTextureViewDescriptor {
        dimension: Some(dimension),
        array_layer_count: count,
        ..view()
    };
    for (what, descriptor) in [
        ("a view has a level", GpuTextureViewDescriptor { mip_level_count: Some(0), ..view() }),
        ("a view has a layer", GpuTextureViewDescriptor { array_layer_count: Some(0), ..view() }),
        (
            "a view's levels are its texture's",
            GpuTextureViewDescriptor { mip_level_count: Some(4), ..view() },
        ),
        (
            "a view begins at a level of its texture",
            GpuTextureViewDescriptor { base_mip_level: Some(3), ..view() },
        ),
        (
            "a view's levels do not overflow",
            GpuTextureViewDescriptor { base_mip_level: Some(1), mip_level_count: Some(u32::MAX), ..view() },
        ),
        (
            "a view's layers are its texture's",
            GpuTextureViewDescriptor { array_layer_count: Some(9), ..view() },
        ),
        (
            "a view begins at a layer of its texture",
            GpuTextureViewDescriptor { base_array_layer: Some(8), ..view() },
        ),
        (
            "a view's layers do not overflow",
            GpuTextureViewDescriptor {
                base_array_layer: Some(1),
                array_layer_count: Some(u32::MAX),
                ..view()
            },
        ),
        (
            "a view begins at no layer beyond all",
            GpuTextureViewDescriptor { base_array_layer: Some(u32::MAX), ..view() },
        ),
        ("a 2D view has one layer", dimension(GpuTextureViewDimension::D2, Some(2))),
        ("a cube has six layers", dimension(GpuTextureViewDimension::Cube, Some(5))),
        ("an array of cubes has six layers each", dimension(GpuTextureViewDimension::CubeArray, Some(8))),
        ("a 2D texture has no 3D view", dimension(GpuTextureViewDimension::D3, None)),
        ("a 2D texture has no 1D view", dimension(GpuTextureViewDimension::D1, None)),
        (
            "colour has no depth",
            GpuTextureViewDescriptor { aspect: Some(GpuTextureAspect::DepthOnly), ..view() },
        ),
        (
            "colour has no stencil",
            GpuTextureViewDescriptor { aspect: Some(GpuTextureAspect::StencilOnly), ..view() },
        ),
        (
            "a view's usage is one of its texture's",
            GpuTextureViewDescriptor { usage: Some(GpuTextureUsage::RENDER_ATTACHMENT), ..view() },
        ),
    ] {
        topic.invalid(what, |_| texture.create_view(Some(&descriptor))).await;
    }
    let oblong = topic
        .device()
        .create_texture(&GpuTextureDescriptor { size: extent(4, 2, 6), ..texture_2d(1, 1, TARGET, SAMPLED) });
    let cube = dimension(GpuTextureViewDimension::Cube, None);
    topic.invalid("a cube is square", |_| oblong.create_view(Some(&cube))).await;
    let volume = topic.device().create_texture(&GpuTextureDescriptor {
        size: extent(4, 4, 6),
        dimension: Some(GpuTextureDimension::D3),
        ..texture_2d(1, 1, TARGET, SAMPLED)
    });
    for wrong in
        [GpuTextureViewDimension::D2, GpuTextureViewDimension::D2Array, GpuTextureViewDimension::Cube]
    {
        topic
            .invalid("a 3D texture has a 3D view alone", |_| {
                volume.create_view(Some(&dimension(wrong, Some(1))))
            })
            .await;
    }
    let samples = topic.device().create_texture(&GpuTextureDescriptor {
        sample_count: Some(4),
        ..texture_2d(4, 4, TARGET, GpuTextureUsage::RENDER_ATTACHMENT | SAMPLED)
    });
    let array = dimension(GpuTextureViewDimension::D2Array, None);
    topic.invalid("a multisampled texture has a 2D view alone", |_| samples.create_view(Some(&array))).await;
    topic
        .valid("a view may say each default", |_| {
            texture.create_view(Some(&GpuTextureViewDescriptor {
                format: Some(GpuTextureFormat::R32uint),
                dimension: Some(GpuTextureViewDimension::D2Array),
                usage: Some(GpuTextureUsage::empty()),
                aspect: Some(GpuTextureAspect::All),
                base_mip_level: Some(0),
                mip_level_count: Some(3),
                base_array_layer: Some(0),
                array_layer_count: Some(8),
                swizzle: Some("rgba".into()),
                label: None,
            }))
        })
        .await;
    if !topic.has("texture-component-swizzle") {
        let swizzled = GpuTextureViewDescriptor { swizzle: Some("bgra".into()), ..view() };
        topic.invalid("a swizzle needs its feature", |_| texture.create_view(Some(&swizzled))).await;
    }
    let (invalid, _) =
        topic.catching(|device| device.create_texture(&texture_2d(0, 1, TARGET, SAMPLED))).await;
    topic.invalid("an invalid texture has no valid view", |_| invalid.create_view(None)).await;
}

async fn destruction(topic: &mut Topic) {
    let texture = topic.target(4, 4);
    texture.destroy();
    topic.valid("a texture may be destroyed twice", |_| texture.destroy()).await;
    topic.equal("a destroyed texture still has its size", (texture.width(), texture.height()), (4, 4));
    topic.valid("a destroyed texture still has views", |_| texture.create_view(None)).await;
    let buffer = topic.empty_buffer(GpuBufferUsage::COPY_DST, 1024);
    topic
        .invalid_submit("a destroyed texture cannot be copied", |encoder| {
            encoder.copy_texture_to_buffer(
                &first_of(&texture),
                &conformance::drawing::bytes_of(&buffer, Some(256), None),
                extent(4, 4, 1),
            );
        })
        .await;
    let layout = GpuTexelCopyBufferLayout { offset: None, bytes_per_row: None, rows_per_image: None };
    topic
        .invalid("a destroyed texture cannot be written", |device| {
            device.queue().write_texture_with_copy(&first_of(&texture), &[0; 4], layout, extent(1, 1, 1));
        })
        .await;
    let sampled = topic.target(4, 4);
    let view = sampled.create_view(None);
    drop(sampled);
    let found = read(topic, "texture_2d<f32>", &["textureDimensions(t).x"], &view).await;
    topic.equal("a view outlives the handle of its texture", found, [4]);
}
