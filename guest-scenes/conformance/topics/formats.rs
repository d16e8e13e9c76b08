//! What each texture format can do: <https://www.w3.org/TR/webgpu/#texture-format-caps>
//!
//! A device with all features of its adapter, and one with none, are held against the tables of the standard.

use conformance::drawing::{COVER, attachment, extent, first_of, pass, pipeline, target, texture_2d, view};
use conformance::webgpu::*;
use conformance::{Texel, Topic};

use conformance::formats::{Able, COMPRESSED, DEPTH, Kind, PLAIN, Plain};

conformance::export_topic!(run);

const COPIED: GpuTextureUsage = GpuTextureUsage::COPY_SRC.union(GpuTextureUsage::COPY_DST);
const SAMPLED: GpuTextureUsage = GpuTextureUsage::TEXTURE_BINDING;
const DRAWN: GpuTextureUsage = GpuTextureUsage::RENDER_ATTACHMENT;

async fn run(topic: &mut Topic) {
    every_format(topic).await;
    plain_formats(topic).await;
    depth_formats(topic).await;
    topic.take_all_features().await;
    every_format(topic).await;
    plain_formats(topic).await;
    depth_formats(topic).await;
}

/// True if calls make no error; an error other than one of validation is a failed check.
async fn accepted<R>(topic: &mut Topic, what: &str, calls: impl FnOnce(&GpuDevice) -> R) -> bool {
    let (_, error) = topic.catching(calls).await;
    let kind = error.as_ref().map(|error| error.kind);
    if !matches!(kind, None | Some(GpuErrorFilter::Validation)) {
        topic.equal(&format!("{what} is right or a validation error"), error, None);
    }
    kind.is_none()
}

/// That a format is there exactly if its feature is, wherever a format is named.
async fn every_format(topic: &mut Topic) {
    let plain = PLAIN.iter().map(|plain| (plain.format, plain.feature, [1, 1]));
    let depth = DEPTH.iter().map(|depth| (depth.format, depth.feature, [1, 1]));
    let compressed = COMPRESSED.iter().map(|(format, feature, block)| (*format, *feature, *block));
    for (format, feature, [width, height]) in plain.chain(depth).chain(compressed) {
        let expected = feature.is_empty() || topic.has(feature);
        let usage = SAMPLED | GpuTextureUsage::COPY_DST;
        let made = accepted(topic, "a texture", |device| {
            device.create_texture(&texture_2d(width, height, format, usage))
        })
        .await;
        topic.equal(&format!("there are textures of {format:?}"), made, expected);
        if expected {
            continue;
        }
        let viewed = accepted(topic, "a view format", |device| {
            let descriptor = texture_2d(width, height, GpuTextureFormat::Rgba8unorm, SAMPLED);
            device.create_texture(&GpuTextureDescriptor { view_formats: Some(vec![format]), ..descriptor })
        })
        .await;
        let invalid =
            topic.catching(|device| device.create_texture(&texture_2d(width, height, format, usage))).await.0;
        let viewed_itself = accepted(topic, "a view", |_| invalid.create_view(None)).await;
        let code = format!("{COVER} @fragment fn draw() -> @location(0) vec4f {{ return vec4f(0); }}");
        let module = topic.shader(&code);
        let drawn =
            accepted(topic, "a target", |device| device.create_render_pipeline(pipeline(&module, [format])))
                .await;
        let bundled = accepted(topic, "a bundle", |device| {
            device.create_render_bundle_encoder(&GpuRenderBundleEncoderDescriptor {
                depth_read_only: None,
                stencil_read_only: None,
                color_formats: vec![Some(format)],
                depth_stencil_format: None,
                sample_count: None,
                label: None,
            })
        })
        .await;
        let stored = storage(topic, format, GpuStorageTextureAccess::WriteOnly).await;
        let uses = [viewed, viewed_itself, drawn, bundled, stored];
        topic.equal(&format!("{format:?} is nowhere without {feature}"), uses, [false; 5]);
    }
}

async fn storage(topic: &mut Topic, format: GpuTextureFormat, access: GpuStorageTextureAccess) -> bool {
    accepted(topic, "a storage texture", |device| {
        device.create_bind_group_layout(&GpuBindGroupLayoutDescriptor {
            entries: vec![GpuBindGroupLayoutEntry {
                binding: 0,
                visibility: GpuShaderStage::COMPUTE,
                buffer: None,
                sampler: None,
                texture: None,
                storage_texture: Some(GpuStorageTextureBindingLayout {
                    access: Some(access),
                    format,
                    view_dimension: None,
                }),
            }],
            label: None,
        })
    })
    .await
}

async fn plain_formats(topic: &mut Topic) {
    // The tiers change what the table says.
    let tiers = topic.has("texture-formats-tier1") || topic.has("texture-formats-tier2");
    for plain in PLAIN {
        if !plain.feature.is_empty() && !topic.has(plain.feature) {
            continue;
        }
        if !tiers {
            capabilities(topic, plain).await;
        }
        loads(topic, plain).await;
        if able(topic, plain, Able::Draw) {
            clears(topic, plain).await;
            draws(topic, plain).await;
        }
    }
}

/// What the table says of the format, with what this device's features add.
fn able(topic: &Topic, plain: &Plain, what: Able) -> bool {
    use GpuTextureFormat as Format;
    let float32 = matches!(plain.format, Format::R32float | Format::Rg32float | Format::Rgba32float);
    let added = match what {
        Able::Filter => float32 && topic.has("float32-filterable"),
        Able::Blend => {
            (float32 && topic.has("float32-blendable"))
                || (plain.format == Format::Rg11b10ufloat && topic.has("rg11b10ufloat-renderable"))
        }
        Able::Draw | Able::Multisample | Able::Resolve => {
            plain.format == Format::Rg11b10ufloat && topic.has("rg11b10ufloat-renderable")
        }
        Able::WriteOnly => plain.format == Format::Bgra8unorm && topic.has("bgra8unorm-storage"),
        Able::ReadOnly | Able::ReadWrite => false,
    };
    added || plain.able.contains(&what)
}

async fn capabilities(topic: &mut Topic, plain: &Plain) {
    let format = plain.format;
    let can = |what| able(topic, plain, what);
    let expected = [
        Able::Draw,
        Able::Multisample,
        Able::Resolve,
        Able::Blend,
        Able::Filter,
        Able::WriteOnly,
        Able::ReadOnly,
        Able::ReadWrite,
    ]
    .map(|what| (what, can(what)));
    let has_storage = can(Able::WriteOnly);

    let drawn =
        accepted(topic, "an attachment", |device| device.create_texture(&texture_2d(4, 4, format, DRAWN)))
            .await;
    let multisampled =
        |format| GpuTextureDescriptor { sample_count: Some(4), ..texture_2d(4, 4, format, DRAWN) };
    let sampled = accepted(topic, "samples", |device| device.create_texture(&multisampled(format))).await;
    let resolved = sampled
        && accepted(topic, "a resolve", |device| {
            let samples = device.create_texture(&multisampled(format)).create_view(None);
            let one = device.create_texture(&texture_2d(4, 4, format, DRAWN)).create_view(None);
            let encoder = device.create_command_encoder(None);
            let color = GpuRenderPassColorAttachment { resolve_target: Some(&one), ..attachment(&samples) };
            encoder.begin_render_pass(&pass([color])).end();
            encoder.finish(None)
        })
        .await;
    let code = format!(
        "{COVER} @fragment fn draw() -> @location(0) {} {{ return {}(0); }}",
        plain.kind.wgsl(),
        plain.kind.wgsl()
    );
    let module = topic.shader(&code);
    let part = GpuBlendComponent {
        operation: None,
        src_factor: Some(GpuBlendFactor::One),
        dst_factor: Some(GpuBlendFactor::One),
    };
    let blended = drawn
        && accepted(topic, "blending", |device| {
            let mut described = pipeline(&module, []);
            let blend = Some(GpuBlendState { color: part, alpha: part });
            let target = GpuColorTargetState { blend, ..target(format) };
            described.fragment.as_mut().expect("it has a fragment shader").targets = vec![Some(target)];
            device.create_render_pipeline(described)
        })
        .await;
    let filtered = binds(topic, format, GpuTextureSampleType::Float).await;
    let written = storage(topic, format, GpuStorageTextureAccess::WriteOnly).await;
    let read = storage(topic, format, GpuStorageTextureAccess::ReadOnly).await;
    let both = storage(topic, format, GpuStorageTextureAccess::ReadWrite).await;
    let found = [drawn, sampled, resolved, blended, filtered, written, read, both];
    let found: Vec<_> = expected.iter().zip(found).map(|((what, _), found)| (*what, found)).collect();
    topic.equal(&format!("{format:?} can do what the table says"), found, expected);

    let stored = accepted(topic, "a storage texture", |device| {
        device.create_texture(&texture_2d(4, 4, format, GpuTextureUsage::STORAGE_BINDING))
    })
    .await;
    topic.equal(&format!("textures of {format:?} may be storage as the table says"), stored, has_storage);

    let mut sample_types = Vec::new();
    for ty in
        [GpuTextureSampleType::UnfilterableFloat, GpuTextureSampleType::Sint, GpuTextureSampleType::Uint]
    {
        sample_types.push(binds(topic, format, ty).await);
    }
    let expected = [Kind::Float, Kind::Sint, Kind::Uint].map(|kind| plain.kind == kind);
    topic.equal(&format!("{format:?} is sampled as what it is"), sample_types, expected);
}

/// True if a texture of the format can be bound as this type.
async fn binds(topic: &mut Topic, format: GpuTextureFormat, ty: GpuTextureSampleType) -> bool {
    accepted(topic, "a binding", |device| {
        let layout = device.create_bind_group_layout(&GpuBindGroupLayoutDescriptor {
            entries: vec![GpuBindGroupLayoutEntry {
                binding: 0,
                visibility: GpuShaderStage::COMPUTE,
                buffer: None,
                sampler: None,
                texture: Some(GpuTextureBindingLayout {
                    sample_type: Some(ty),
                    view_dimension: None,
                    multisampled: None,
                }),
                storage_texture: None,
            }],
            label: None,
        });
        let view = device.create_texture(&texture_2d(4, 4, format, SAMPLED)).create_view(None);
        device.create_bind_group(&GpuBindGroupDescriptor {
            layout: &layout,
            entries: vec![GpuBindGroupEntry {
                binding: 0,
                resource: GpuBindingResource::GpuTextureView(&view),
            }],
            label: None,
        })
    })
    .await
}

/// That the bytes of a texel are the value that a shader loads.
async fn loads(topic: &mut Topic, plain: &Plain) {
    let texture = topic.device().create_texture(&texture_2d(1, 1, plain.format, SAMPLED | COPIED));
    let layout = GpuTexelCopyBufferLayout { offset: None, bytes_per_row: None, rows_per_image: None };
    topic.queue().write_texture_with_copy(&first_of(&texture), plain.texel, layout, extent(1, 1, 1));
    let texel = Texel { bytes: u32::try_from(plain.texel.len()).expect("a few"), ..Texel::default() };
    let found = topic.texels(&texture, texel).await;
    topic.equal(&format!("a texel of {:?} is copied as it is", plain.format), found, plain.texel);

    let code = format!(
        "@group(0) @binding(0) var<storage, read_write> out: array<u32>;
        @group(0) @binding(1) var t: texture_2d<{}>;
        @compute @workgroup_size(1) fn main() {{
            let texel = textureLoad(t, vec2u(0), 0);
            for (var at = 0; at < 4; at++) {{ out[at] = bitcast<u32>(texel[at]); }}
        }}",
        plain.kind.scalar()
    );
    let view = texture.create_view(None);
    let found = topic.computed(&code, vec![GpuBindingResource::GpuTextureView(&view)], 4).await;
    let what =
        format!("a texel of {:?} is loaded as its value, and absent channels as 0, 0, 0, 1", plain.format);
    match plain.kind {
        Kind::Float => {
            let found: Vec<f32> = found.into_iter().map(f32::from_bits).collect();
            let near = found.iter().zip(plain.value).all(|(found, value)| (found - value).abs() < 0.004);
            topic.check(&format!("{what}: {found:?}"), near);
        }
        Kind::Uint => topic.equal(&what, found, plain.value.map(|value| value as u32)),
        Kind::Sint => topic.equal(&what, found, plain.value.map(|value| (value as i32).cast_unsigned())),
    }
}

async fn clears(topic: &mut Topic, plain: &Plain) {
    let texture = topic.device().create_texture(&texture_2d(1, 1, plain.format, DRAWN | COPIED));
    let view = texture.create_view(None);
    let [r, g, b, a] = plain.value.map(f64::from);
    let clear =
        GpuRenderPassColorAttachment { clear_value: Some(GpuColor { r, g, b, a }), ..attachment(&view) };
    topic.render(&pass([clear]), |_| ());
    let texel = Texel { bytes: u32::try_from(plain.texel.len()).expect("a few"), ..Texel::default() };
    let found = topic.texels(&texture, texel).await;
    topic.equal(&format!("{:?} is cleared to its value", plain.format), found, plain.texel);
}

async fn draws(topic: &mut Topic, plain: &Plain) {
    let texture = topic.device().create_texture(&texture_2d(1, 1, plain.format, DRAWN | COPIED));
    let whole = texture.create_view(Some(&GpuTextureViewDescriptor { format: Some(plain.format), ..view() }));
    let [r, g, b, a] = plain.value;
    let ty = plain.kind.wgsl();
    let code =
        format!("{COVER} @fragment fn draw() -> @location(0) {ty} {{ return {ty}({r}, {g}, {b}, {a}); }}");
    let pipeline = topic.device().create_render_pipeline(pipeline(&topic.shader(&code), [plain.format]));
    topic.render(&pass([attachment(&whole)]), |pass| {
        pass.set_pipeline(&pipeline);
        pass.draw(3, None, None, None);
    });
    let texel = Texel { bytes: u32::try_from(plain.texel.len()).expect("a few"), ..Texel::default() };
    let found = topic.texels(&texture, texel).await;
    topic.equal(&format!("{:?} is drawn with its value", plain.format), found, plain.texel);
}

/// <https://www.w3.org/TR/webgpu/#depth-formats>
async fn depth_formats(topic: &mut Topic) {
    for depth in DEPTH {
        let format = depth.format;
        if !depth.feature.is_empty() && !topic.has(depth.feature) {
            continue;
        }
        let drawn = accepted(topic, "an attachment", |device| {
            device.create_texture(&texture_2d(4, 4, format, DRAWN))
        })
        .await;
        let samples = accepted(topic, "samples", |device| {
            device.create_texture(&GpuTextureDescriptor {
                sample_count: Some(4),
                ..texture_2d(4, 4, format, DRAWN)
            })
        })
        .await;
        let stored = accepted(topic, "storage", |device| {
            device.create_texture(&texture_2d(4, 4, format, GpuTextureUsage::STORAGE_BINDING))
        })
        .await;
        let texture = topic.device().create_texture(&texture_2d(4, 4, format, SAMPLED));
        let mut aspects = Vec::new();
        for aspect in [GpuTextureAspect::DepthOnly, GpuTextureAspect::StencilOnly] {
            let descriptor = GpuTextureViewDescriptor { aspect: Some(aspect), ..view() };
            aspects.push(accepted(topic, "an aspect", |_| texture.create_view(Some(&descriptor))).await);
        }
        let found = (drawn, samples, stored, aspects);
        let expected = (true, true, false, vec![depth.depth, depth.stencil]);
        topic.equal(&format!("{format:?} can do what the table says"), found, expected);
        let code = format!("{COVER} @fragment fn draw() -> @location(0) vec4f {{ return vec4f(0); }}");
        let module = topic.shader(&code);
        topic
            .invalid(&format!("{format:?} is no colour target"), |device| {
                device.create_render_pipeline(pipeline(&module, [format]))
            })
            .await;
    }
}
