//! Multisampling: <https://www.w3.org/TR/webgpu/#multisample-state>

use conformance::Topic;
use conformance::drawing::{
    COVER, TARGET, attachment, extent, multisample, pass, pipeline, texture_2d, view,
};
use conformance::webgpu::*;

conformance::export_topic!(run);

const DRAWN: GpuTextureUsage = GpuTextureUsage::RENDER_ATTACHMENT;

async fn run(topic: &mut Topic) {
    resolves(topic).await;
    masks(topic).await;
    samples_are_read(topic).await;
    sample_numbers(topic).await;
    wrong_resolves(topic).await;
    wrong_counts(topic).await;
}

fn samples(topic: &Topic, width: u32, height: u32) -> GpuTexture {
    topic.device().create_texture(&GpuTextureDescriptor {
        sample_count: Some(4),
        ..texture_2d(width, height, TARGET, DRAWN | GpuTextureUsage::TEXTURE_BINDING)
    })
}

/// A pass on samples that are resolved to a target of 4 by 1, and its pixels.
async fn resolved(topic: &Topic, code: &str, state: GpuMultisampleState) -> Vec<[u8; 4]> {
    let samples = samples(topic, 4, 1).create_view(None);
    let target = topic.target(4, 1);
    let whole = target.create_view(None);
    let pipeline = topic.device().create_render_pipeline(GpuRenderPipelineDescriptor {
        multisample: Some(state),
        ..pipeline(&topic.shader(code), [TARGET])
    });
    let color = GpuRenderPassColorAttachment {
        resolve_target: Some(&whole),
        store_op: GpuStoreOp::Discard,
        ..attachment(&samples)
    };
    topic.render(&pass([color]), |pass| {
        pass.set_pipeline(&pipeline);
        pass.draw(3, None, None, None);
    });
    topic.pixels(&target).await
}

fn white() -> String {
    format!("{COVER} @fragment fn draw() -> @location(0) vec4f {{ return vec4f(1); }}")
}

async fn resolves(topic: &mut Topic) {
    // Covers the left half of pixel 1 and all of pixel 0.
    let half = "
        @vertex fn vertices(@builtin(vertex_index) i: u32) -> @builtin(position) vec4f {
            let x = array(-1.0, -0.25, -0.25)[i];
            let y = array(0.0, -400.0, 400.0)[i];
            return vec4f(select(x, -200.0, i == 0), y, 0, 1);
        }
        @fragment fn draw() -> @location(0) vec4f { return vec4f(1); }";
    let pixels = resolved(topic, half, multisample(4)).await;
    topic.equal("a pixel that is covered is full", pixels[0], [255; 4]);
    topic.check(
        &format!("a pixel that is half covered is mixed: {}", pixels[1][0]),
        pixels[1][0].abs_diff(128) <= 1,
    );
    topic.equal("pixels that are not covered are empty", pixels[2..].to_vec(), [[0; 4]; 2]);
}

async fn masks(topic: &mut Topic) {
    for (mask, expected) in [
        (None, 255),
        (Some(0), 0),
        (Some(1), 64),
        (Some(0b1010), 128),
        (Some(0xffff_fff7), 191),
        (Some(0xffff_fff0), 0),
    ] {
        let state = GpuMultisampleState { mask, ..multisample(4) };
        let [pixel, ..] = resolved(topic, &white(), state).await[..] else {
            unreachable!("there are pixels")
        };
        topic.check(
            &format!("the mask {mask:?} lets its samples through: {pixel:?}"),
            pixel.iter().all(|channel| channel.abs_diff(expected) <= 1),
        );
    }
    for (mask, expected) in [(0b0110_u32, 128), (0b0001, 64)] {
        let code = format!(
            "{COVER}
            struct Out {{ @location(0) color: vec4f, @builtin(sample_mask) mask: u32 }}
            @fragment fn draw() -> Out {{ return Out(vec4f(1), {mask}u); }}"
        );
        let pixels = resolved(topic, &code, multisample(4)).await;
        topic.check("a shader's mask lets its samples through", pixels[0][0].abs_diff(expected) <= 1);
        let both = GpuMultisampleState { mask: Some(0b0100), ..multisample(4) };
        let pixels = resolved(topic, &code, both).await;
        let expected = if mask & 0b0100 == 0 { 0 } else { 64 };
        topic.check("both masks count", pixels[0][0].abs_diff(expected) <= 1);
    }
    let state = GpuMultisampleState { alpha_to_coverage_enabled: Some(true), ..multisample(4) };
    for (alpha, low, high) in [(0.0, 0, 0), (0.5, 1, 254), (1.0, 255, 255)] {
        let code = format!(
            "{COVER} @fragment fn draw() -> @location(0) vec4f {{ return vec4f(1, 1, 1, {alpha:?}); }}"
        );
        let pixels = resolved(topic, &code, state).await;
        let red = pixels[0][0];
        topic.check(&format!("alpha {alpha} is how much is covered: {red}"), (low..=high).contains(&red));
    }
}

async fn samples_are_read(topic: &mut Topic) {
    let texture = samples(topic, 1, 1);
    let whole = texture.create_view(None);
    let code = white();
    let module = topic.shader(&code);
    let state = GpuMultisampleState { mask: Some(0b0101), ..multisample(4) };
    let pipeline = topic.device().create_render_pipeline(GpuRenderPipelineDescriptor {
        multisample: Some(state),
        ..pipeline(&module, [TARGET])
    });
    topic.render(&pass([attachment(&whole)]), |pass| {
        pass.set_pipeline(&pipeline);
        pass.draw(3, None, None, None);
    });
    let code = "
        @group(0) @binding(0) var<storage, read_write> out: array<u32>;
        @group(0) @binding(1) var t: texture_multisampled_2d<f32>;
        @compute @workgroup_size(1) fn main() {
            for (var at = 0; at < 4; at++) { out[at] = u32(textureLoad(t, vec2u(0), at).r); }
            out[4] = textureNumSamples(t);
        }";
    let found = topic.computed(code, vec![GpuBindingResource::GpuTextureView(&whole)], 5).await;
    topic.equal("each sample is stored and read", found, [1, 0, 1, 0, 4]);
}

async fn sample_numbers(topic: &mut Topic) {
    let code = format!(
        "{COVER} @fragment fn draw(@builtin(sample_index) number: u32) -> @location(0) vec4f {{
            return vec4f(select(0.0, 1.0, number == 3), 1, 1, 1);
        }}"
    );
    let pixels = resolved(topic, &code, multisample(4)).await;
    topic.check("a shader may run for each sample", pixels[0][0].abs_diff(64) <= 1 && pixels[0][1] == 255);
}

async fn wrong_resolves(topic: &mut Topic) {
    let four = samples(topic, 4, 1).create_view(None);
    let one = topic.target(4, 1).create_view(None);
    let resolve =
        |from, to| pass([GpuRenderPassColorAttachment { resolve_target: Some(to), ..attachment(from) }]);
    let other_four = samples(topic, 4, 1).create_view(None);
    let small = topic.target(2, 1).create_view(None);
    let srgb = topic.device().create_texture(&texture_2d(4, 1, GpuTextureFormat::Rgba8unormSrgb, DRAWN));
    let srgb = srgb.create_view(None);
    let unusable = topic.device().create_texture(&texture_2d(4, 1, TARGET, GpuTextureUsage::TEXTURE_BINDING));
    let unusable = unusable.create_view(None);
    let levels = topic.device().create_texture(&GpuTextureDescriptor {
        mip_level_count: Some(2),
        ..texture_2d(4, 1, TARGET, DRAWN)
    });
    let levels = levels.create_view(None);
    let layers = topic
        .device()
        .create_texture(&GpuTextureDescriptor { size: extent(4, 1, 2), ..texture_2d(4, 1, TARGET, DRAWN) });
    let both = layers.create_view(None);
    let second = layers.create_view(Some(&GpuTextureViewDescriptor {
        dimension: Some(GpuTextureViewDimension::D2),
        base_array_layer: Some(1),
        ..view()
    }));
    topic.valid_pass("samples are resolved to one", &resolve(&four, &one), |_| ()).await;
    topic.valid_pass("samples are resolved to a layer", &resolve(&four, &second), |_| ()).await;
    for (what, from, to) in [
        ("one sample is not resolved", &one, &small),
        ("samples are not resolved to samples", &four, &other_four),
        ("a resolve keeps the size", &four, &small),
        ("a resolve keeps the format", &four, &srgb),
        ("a resolve target has its usage", &four, &unusable),
        ("a resolve target has one level", &four, &levels),
        ("a resolve target has one layer", &four, &both),
    ] {
        topic.invalid_pass(what, &resolve(from, to), |_| ()).await;
    }
    let integer = |count| {
        topic
            .device()
            .create_texture(&GpuTextureDescriptor {
                sample_count: Some(count),
                ..texture_2d(4, 1, GpuTextureFormat::Rgba8uint, DRAWN)
            })
            .create_view(None)
    };
    let (from, to) = (integer(4), integer(1));
    topic.invalid_pass("integers are not resolved", &resolve(&from, &to), |_| ()).await;
}

async fn wrong_counts(topic: &mut Topic) {
    let code = white();
    let module = topic.shader(&code);
    let with =
        |state| GpuRenderPipelineDescriptor { multisample: Some(state), ..pipeline(&module, [TARGET]) };
    for count in [0, 2, 3, 8, u32::MAX] {
        topic
            .invalid(&format!("a pipeline has not {count} samples"), |device| {
                device.create_render_pipeline(with(multisample(count)))
            })
            .await;
    }
    let coverage =
        |count| GpuMultisampleState { alpha_to_coverage_enabled: Some(true), ..multisample(count) };
    topic
        .invalid("alpha to coverage needs samples", |device| device.create_render_pipeline(with(coverage(1))))
        .await;
    let without_alpha =
        topic.shader(&format!("{COVER} @fragment fn draw() -> @location(0) f32 {{ return 1.0; }}"));
    topic
        .invalid("alpha to coverage needs alpha", |device| {
            device.create_render_pipeline(GpuRenderPipelineDescriptor {
                multisample: Some(coverage(4)),
                ..pipeline(&without_alpha, [GpuTextureFormat::R8unorm])
            })
        })
        .await;
    let four = topic.device().create_render_pipeline(with(multisample(4)));
    let one = topic.device().create_render_pipeline(pipeline(&module, [TARGET]));
    let (samples, target) = (samples(topic, 1, 1).create_view(None), topic.target(1, 1).create_view(None));
    for (what, view, pipeline) in [
        ("a pass of one sample takes no other pipeline", &target, &four),
        ("a pass of samples takes no other pipeline", &samples, &one),
    ] {
        topic
            .invalid_pass(what, &pass([attachment(view)]), |pass| {
                pass.set_pipeline(pipeline);
                pass.draw(3, None, None, None);
            })
            .await;
    }
    let depth = topic.device().create_texture(&texture_2d(1, 1, GpuTextureFormat::Depth32float, DRAWN));
    let depth = depth.create_view(None);
    let mixed = GpuRenderPassDescriptor {
        depth_stencil_attachment: Some(conformance::drawing::depth_attachment(&depth, 0.0)),
        ..pass([attachment(&samples)])
    };
    topic.invalid_pass("depth has as many samples as colour", &mixed, |_| ()).await;
    let mixed = pass([attachment(&samples), attachment(&target)]);
    topic.invalid_pass("all attachments have as many samples", &mixed, |_| ()).await;
}
