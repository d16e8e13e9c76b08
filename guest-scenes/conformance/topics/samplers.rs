//! Samplers: <https://www.w3.org/TR/webgpu/#samplers>

use conformance::Topic;
use conformance::drawing::{
    COVER, TARGET, attachment, extent, first_of, pass, pipeline, sampler, texture_2d,
};
use conformance::webgpu::*;

conformance::export_topic!(run);

async fn run(topic: &mut Topic) {
    let ramp = ramp(topic);
    address_modes(topic, &ramp).await;
    filters(topic, &ramp).await;
    levels_of_detail(topic).await;
    comparisons(topic).await;
    anisotropy(topic).await;
    refused(topic).await;
    binding(topic).await;
}

/// A texture of four by one texels, of 0, 80, 160 and 240.
fn ramp(topic: &Topic) -> GpuTexture {
    let usage = GpuTextureUsage::TEXTURE_BINDING | GpuTextureUsage::COPY_DST;
    let texture = topic.device().create_texture(&texture_2d(4, 1, GpuTextureFormat::R8unorm, usage));
    let layout = GpuTexelCopyBufferLayout { offset: None, bytes_per_row: None, rows_per_image: None };
    topic.queue().write_texture_with_copy(&first_of(&texture), &[0, 80, 160, 240], layout, extent(4, 1, 1));
    texture
}

/// What a sampler finds in a texture at level 0, at each of `places`, in steps of 1/255.
async fn sampled(
    topic: &Topic,
    texture: &GpuTexture,
    descriptor: Option<&GpuSamplerDescriptor>,
    places: &[[f32; 2]],
) -> Vec<u32> {
    let sampler = topic.device().create_sampler(descriptor);
    let reads: Vec<String> = places
        .iter()
        .enumerate()
        .map(|(at, [u, v])| {
            format!("out[{at}] = u32(round(textureSampleLevel(t, s, vec2f({u:?}, {v:?}), 0).r * 255.0));")
        })
        .collect();
    let code = format!(
        "@group(0) @binding(0) var<storage, read_write> out: array<u32>;
        @group(0) @binding(1) var t: texture_2d<f32>;
        @group(0) @binding(2) var s: sampler;
        @compute @workgroup_size(1) fn main() {{ {} }}",
        reads.join("\n")
    );
    let view = texture.create_view(None);
    let resources = vec![GpuBindingResource::GpuTextureView(&view), GpuBindingResource::GpuSampler(&sampler)];
    topic.computed(&code, resources, u32::try_from(places.len()).expect("a few")).await
}

/// Beyond the texture on both sides, texel centres -2 to 5.
const AROUND: [[f32; 2]; 8] = [
    [-0.375, 0.5],
    [-0.125, 0.5],
    [0.125, 0.5],
    [0.375, 0.5],
    [0.625, 0.5],
    [0.875, 0.5],
    [1.125, 0.5],
    [1.375, 0.5],
];

async fn address_modes(topic: &mut Topic, ramp: &GpuTexture) {
    let clamped = [0, 0, 0, 80, 160, 240, 240, 240];
    let found = sampled(topic, ramp, None, &AROUND).await;
    topic.equal("no descriptor clamps to the edge", found, clamped);
    for (mode, expected) in [
        (None, clamped),
        (Some(GpuAddressMode::ClampToEdge), clamped),
        (Some(GpuAddressMode::Repeat), [160, 240, 0, 80, 160, 240, 0, 80]),
        (Some(GpuAddressMode::MirrorRepeat), [80, 0, 0, 80, 160, 240, 240, 160]),
    ] {
        let u = GpuSamplerDescriptor { address_mode_u: mode, ..sampler() };
        let found = sampled(topic, ramp, Some(&u), &AROUND).await;
        topic.equal(&format!("coordinates beyond the texture: {mode:?} along u"), found, expected);
    }
    // The same texels, upright: only v is outside.
    let usage = GpuTextureUsage::TEXTURE_BINDING | GpuTextureUsage::COPY_DST;
    let upright = topic.device().create_texture(&texture_2d(1, 4, GpuTextureFormat::R8unorm, usage));
    let layout = GpuTexelCopyBufferLayout { offset: None, bytes_per_row: Some(1), rows_per_image: None };
    topic.queue().write_texture_with_copy(&first_of(&upright), &[0, 80, 160, 240], layout, extent(1, 4, 1));
    let v = GpuSamplerDescriptor { address_mode_v: Some(GpuAddressMode::Repeat), ..sampler() };
    let found = sampled(topic, &upright, Some(&v), &AROUND.map(|[u, v]| [v, u])).await;
    topic.equal("v has its own mode", found, [160, 240, 0, 80, 160, 240, 0, 80]);

    let volume = topic.device().create_texture(&GpuTextureDescriptor {
        size: extent(1, 1, 4),
        dimension: Some(GpuTextureDimension::D3),
        ..texture_2d(1, 1, GpuTextureFormat::R8unorm, usage)
    });
    let layout = GpuTexelCopyBufferLayout { offset: None, bytes_per_row: Some(1), rows_per_image: Some(1) };
    topic.queue().write_texture_with_copy(&first_of(&volume), &[0, 80, 160, 240], layout, extent(1, 1, 4));
    let w = topic.device().create_sampler(Some(&GpuSamplerDescriptor {
        address_mode_w: Some(GpuAddressMode::MirrorRepeat),
        ..sampler()
    }));
    let code = "
        @group(0) @binding(0) var<storage, read_write> out: array<u32>;
        @group(0) @binding(1) var t: texture_3d<f32>;
        @group(0) @binding(2) var s: sampler;
        @compute @workgroup_size(1) fn main() {
            for (var at = 0; at < 8; at++) {
                out[at] = u32(round(textureSampleLevel(t, s, vec3f(0.5, 0.5, f32(at) * 0.25 - 0.375), 0).r * 255.0));
            }
        }";
    let view = volume.create_view(None);
    let resources = vec![GpuBindingResource::GpuTextureView(&view), GpuBindingResource::GpuSampler(&w)];
    let found = topic.computed(code, resources, 8).await;
    topic.equal("w has its own mode", found, [80, 0, 0, 80, 160, 240, 240, 160]);
}

async fn filters(topic: &mut Topic, ramp: &GpuTexture) {
    let between = [[0.25, 0.5], [0.5, 0.5], [0.4375, 0.5]];
    let found = sampled(topic, ramp, None, &between[2..]).await;
    topic.equal("no descriptor takes the nearest texel", found, [80]);
    let linear = GpuSamplerDescriptor {
        mag_filter: Some(GpuFilterMode::Linear),
        min_filter: Some(GpuFilterMode::Linear),
        ..sampler()
    };
    let found = sampled(topic, ramp, Some(&linear), &between).await;
    topic.equal("a linear filter mixes two texels", found, [40, 120, 100]);
    let edge = GpuSamplerDescriptor { address_mode_u: Some(GpuAddressMode::Repeat), ..linear };
    let found = sampled(topic, ramp, Some(&edge), &[[0.0, 0.5]]).await;
    topic.equal("a linear filter mixes across a repeated edge", found, [120]);
}

/// What a pass draws that magnifies (or minifies) a texture whose levels are 0, 100 and 200, and each level a pair of texels apart.
async fn detail(topic: &Topic, descriptor: &GpuSamplerDescriptor, texels_per_pixel: f32) -> [u8; 4] {
    let usage = GpuTextureUsage::TEXTURE_BINDING | GpuTextureUsage::COPY_DST;
    let texture = topic.device().create_texture(&GpuTextureDescriptor {
        mip_level_count: Some(3),
        ..texture_2d(4, 4, GpuTextureFormat::R8unorm, usage)
    });
    for (level, value) in [(0, 0), (1, 100), (2, 200)] {
        let side = 4 >> level;
        topic.queue().write_texture_with_copy(
            &GpuTexelCopyTextureInfo { mip_level: Some(level), ..first_of(&texture) },
            &vec![value; (side * side) as usize],
            GpuTexelCopyBufferLayout { offset: None, bytes_per_row: Some(side), rows_per_image: None },
            extent(side, side, 1),
        );
    }
    let code = format!(
        "{COVER}
        @group(0) @binding(0) var t: texture_2d<f32>;
        @group(0) @binding(1) var s: sampler;
        @fragment fn sample(@builtin(position) at: vec4f) -> @location(0) vec4f {{
            return vec4f(textureSample(t, s, at.xy * {texels_per_pixel:?} / 4.0).r);
        }}"
    );
    let pipeline = topic.device().create_render_pipeline(pipeline(&topic.shader(&code), [TARGET]));
    let sampler = topic.device().create_sampler(Some(descriptor));
    let view = texture.create_view(None);
    let resources = vec![GpuBindingResource::GpuTextureView(&view), GpuBindingResource::GpuSampler(&sampler)];
    let group = topic.gpu.bind_group("", &pipeline.get_bind_group_layout(0), resources);
    let target = topic.target(4, 4);
    let view = target.create_view(None);
    topic.render(&pass([attachment(&view)]), |pass| {
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, Some(&group), None, None, None).expect("there are no offsets");
        pass.draw(3, None, None, None);
    });
    topic.pixels(&target).await[5]
}

async fn levels_of_detail(topic: &mut Topic) {
    let near = |value: u8, expected: u8| value.abs_diff(expected) <= 3;
    let linear = GpuSamplerDescriptor { mipmap_filter: Some(GpuMipmapFilterMode::Linear), ..sampler() };
    let clamp = |min, max| GpuSamplerDescriptor { lod_min_clamp: min, lod_max_clamp: max, ..sampler() };
    for (what, descriptor, scale, expected) in [
        ("one texel a pixel takes the first level", sampler(), 1.0, 0),
        ("two texels a pixel take the second level", sampler(), 2.0, 100),
        ("four texels a pixel take the third level", sampler(), 4.0, 200),
        ("beyond the last level there is the last", sampler(), 64.0, 200),
        ("the nearest level is the default", sampler(), 2.5, 100),
        ("a linear filter mixes two levels", linear.clone(), core::f32::consts::SQRT_2, 50),
        ("detail is no finer than its minimum", clamp(Some(1.0), None), 1.0, 100),
        ("detail is no coarser than its maximum", clamp(None, Some(1.0)), 4.0, 100),
        ("a maximum of 0 takes the first level alone", clamp(Some(0.0), Some(0.0)), 64.0, 0),
    ] {
        let [found, ..] = detail(topic, &descriptor, scale).await;
        topic.check(&format!("{what}: {found}"), near(found, expected));
    }
}

async fn comparisons(topic: &mut Topic) {
    let usage = GpuTextureUsage::TEXTURE_BINDING | GpuTextureUsage::COPY_DST;
    let texture = topic.device().create_texture(&texture_2d(3, 1, GpuTextureFormat::Depth16unorm, usage));
    let depths: Vec<u8> = [0_u16, 32768, 65535].iter().flat_map(|depth| depth.to_le_bytes()).collect();
    let layout = GpuTexelCopyBufferLayout { offset: None, bytes_per_row: None, rows_per_image: None };
    topic.queue().write_texture_with_copy(&first_of(&texture), &depths, layout, extent(3, 1, 1));
    let view = texture.create_view(None);
    let code = "
        @group(0) @binding(0) var<storage, read_write> out: array<u32>;
        @group(0) @binding(1) var t: texture_depth_2d;
        @group(0) @binding(2) var s: sampler_comparison;
        @compute @workgroup_size(1) fn main() {
            // The depth in the middle is 32768 / 65535, which this reference equals.
            let reference = 32768.0 / 65535.0;
            for (var at = 0; at < 3; at++) {
                out[at] = u32(textureSampleCompareLevel(t, s, vec2f((f32(at) + 0.5) / 3.0, 0.5), reference));
            }
        }";
    for (compare, expected) in [
        (GpuCompareFunction::Never, [0, 0, 0]),
        (GpuCompareFunction::Less, [0, 0, 1]),
        (GpuCompareFunction::Equal, [0, 1, 0]),
        (GpuCompareFunction::LessEqual, [0, 1, 1]),
        (GpuCompareFunction::Greater, [1, 0, 0]),
        (GpuCompareFunction::NotEqual, [1, 0, 1]),
        (GpuCompareFunction::GreaterEqual, [1, 1, 0]),
        (GpuCompareFunction::Always, [1, 1, 1]),
    ] {
        let comparing = GpuSamplerDescriptor { compare: Some(compare), ..sampler() };
        let sampler = topic.device().create_sampler(Some(&comparing));
        let resources =
            vec![GpuBindingResource::GpuTextureView(&view), GpuBindingResource::GpuSampler(&sampler)];
        let found = topic.computed(code, resources, 3).await;
        topic.equal(&format!("the reference is compared with the texel: {compare:?}"), found, expected);
    }
}

async fn anisotropy(topic: &mut Topic) {
    let linear = GpuSamplerDescriptor {
        mag_filter: Some(GpuFilterMode::Linear),
        min_filter: Some(GpuFilterMode::Linear),
        mipmap_filter: Some(GpuMipmapFilterMode::Linear),
        ..sampler()
    };
    for value in [1, 2, 16, 17, 1000, u16::MAX] {
        let descriptor = GpuSamplerDescriptor { max_anisotropy: Some(value), ..linear.clone() };
        topic
            .valid(&format!("an anisotropy of {value} is taken, as far as there is one"), |device| {
                device.create_sampler(Some(&descriptor))
            })
            .await;
    }
    let none = GpuSamplerDescriptor { max_anisotropy: Some(0), ..linear.clone() };
    topic.invalid("an anisotropy of 0 is refused", |device| device.create_sampler(Some(&none))).await;
    for descriptor in [
        GpuSamplerDescriptor { mag_filter: None, ..linear.clone() },
        GpuSamplerDescriptor { min_filter: Some(GpuFilterMode::Nearest), ..linear.clone() },
        GpuSamplerDescriptor { mipmap_filter: None, ..linear.clone() },
    ] {
        let descriptor = GpuSamplerDescriptor { max_anisotropy: Some(2), ..descriptor };
        topic
            .invalid("anisotropy needs linear filters", |device| device.create_sampler(Some(&descriptor)))
            .await;
    }
}

async fn refused(topic: &mut Topic) {
    let clamp =
        |min, max| GpuSamplerDescriptor { lod_min_clamp: Some(min), lod_max_clamp: Some(max), ..sampler() };
    for (what, descriptor) in [
        ("a level of detail is not negative", clamp(-1.0, 1.0)),
        ("levels of detail are ordered", clamp(2.0, 1.0)),
        // In a browser these throw a TypeError, which the interface cannot.
        ("a smallest level of detail is a number", clamp(f32::NAN, 1.0)),
        ("a largest level of detail is a number", clamp(0.0, f32::NAN)),
        ("a largest level of detail is finite", clamp(0.0, f32::INFINITY)),
    ] {
        topic.invalid(what, |device| device.create_sampler(Some(&descriptor))).await;
    }
    topic
        .valid("a level of detail may be beyond all", |device| device.create_sampler(Some(&clamp(0.0, 1e9))))
        .await;
    let labelled = topic
        .device()
        .create_sampler(Some(&GpuSamplerDescriptor { label: Some("first".into()), ..sampler() }));
    topic.equal("a sampler keeps its label", labelled.label(), "first");
    labelled.set_label("second");
    topic.equal("a sampler takes a new label", labelled.label(), "second");
    topic.equal("a sampler has no label by default", topic.device().create_sampler(None).label(), "");
}

/// <https://www.w3.org/TR/webgpu/#dom-gpudevice-createbindgroup>: which samplers a layout takes.
async fn binding(topic: &mut Topic) {
    let nearest = topic.device().create_sampler(None);
    let linear = topic.device().create_sampler(Some(&GpuSamplerDescriptor {
        mipmap_filter: Some(GpuMipmapFilterMode::Linear),
        ..sampler()
    }));
    let comparing = topic
        .device()
        .create_sampler(Some(&GpuSamplerDescriptor { compare: Some(GpuCompareFunction::Less), ..sampler() }));
    for (ty, taken) in [
        (None, [true, true, false]),
        (Some(GpuSamplerBindingType::Filtering), [true, true, false]),
        (Some(GpuSamplerBindingType::NonFiltering), [true, false, false]),
        (Some(GpuSamplerBindingType::Comparison), [false, false, true]),
    ] {
        let layout = topic.device().create_bind_group_layout(&GpuBindGroupLayoutDescriptor {
            entries: vec![GpuBindGroupLayoutEntry {
                binding: 0,
                visibility: GpuShaderStage::FRAGMENT,
                buffer: None,
                sampler: Some(GpuSamplerBindingLayout { type_: ty }),
                texture: None,
                storage_texture: None,
            }],
            label: None,
        });
        let mut found = Vec::new();
        for sampler in [&nearest, &linear, &comparing] {
            let bind = |_: &GpuDevice| {
                topic.gpu.bind_group("", &layout, vec![GpuBindingResource::GpuSampler(sampler)])
            };
            found.push(topic.catching(bind).await.1.is_none());
        }
        topic.equal(&format!("a binding {ty:?} takes nearest, linear and comparing samplers"), found, taken);
    }
}
