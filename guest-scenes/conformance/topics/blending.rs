//! Blending and write masks: <https://www.w3.org/TR/webgpu/#color-target-state>

use conformance::Topic;
use conformance::drawing::{COVER, TARGET, attachment, pass, pipeline, target};
use conformance::webgpu::*;

conformance::export_topic!(run);

/// What a shader writes, what was there before, and the blend constant.
const SOURCE: [f64; 4] = [0.8, 0.4, 0.2, 0.6];
const BEFORE: [f64; 4] = [0.2, 0.6, 1.0, 0.4];
const CONSTANT: [f64; 4] = [0.6, 0.2, 0.4, 0.8];
const SECOND: [f64; 4] = [0.4, 1.0, 0.6, 0.2];

async fn run(topic: &mut Topic) {
    factors(topic).await;
    operations(topic).await;
    parts(topic).await;
    write_masks(topic).await;
    constants(topic).await;
    refused(topic).await;
    dual_source(topic).await;
}

fn component(
    operation: GpuBlendOperation,
    source: GpuBlendFactor,
    before: GpuBlendFactor,
) -> GpuBlendComponent {
    GpuBlendComponent { operation: Some(operation), src_factor: Some(source), dst_factor: Some(before) }
}

fn color(value: [f64; 4]) -> GpuColor {
    GpuColor { r: value[0], g: value[1], b: value[2], a: value[3] }
}

fn shader(second: bool) -> String {
    let vec = |value: [f64; 4]| format!("vec4f({}, {}, {}, {})", value[0], value[1], value[2], value[3]);
    if second {
        format!(
            "enable dual_source_blending; {COVER}
            struct Out {{ @location(0) @blend_src(0) first: vec4f, @location(0) @blend_src(1) second: vec4f }}
            @fragment fn draw() -> Out {{ return Out({}, {}); }}",
            vec(SOURCE),
            vec(SECOND)
        )
    } else {
        format!("{COVER} @fragment fn draw() -> @location(0) vec4f {{ return {}; }}", vec(SOURCE))
    }
}

/// The pixel after [`SOURCE`] was drawn over [`BEFORE`].
async fn drawn(
    topic: &Topic,
    module: &GpuShaderModule,
    state: GpuColorTargetState,
    constant: Option<[f64; 4]>,
) -> [u8; 4] {
    let mut described = pipeline(module, []);
    described.fragment.as_mut().expect("it has a fragment shader").targets = vec![Some(state)];
    let pipeline = topic.device().create_render_pipeline(described);
    let target = topic.target(1, 1);
    let view = target.create_view(None);
    let before = GpuRenderPassColorAttachment { clear_value: Some(color(BEFORE)), ..attachment(&view) };
    topic.render(&pass([before]), |pass| {
        if let Some(constant) = constant {
            pass.set_blend_constant(color(constant));
        }
        pass.set_pipeline(&pipeline);
        pass.draw(3, None, None, None);
    });
    topic.pixels(&target).await[0]
}

fn as_pixel(value: [f64; 4]) -> [u8; 4] {
    value.map(|value| (value.clamp(0.0, 1.0) * 255.0).round() as u8)
}

fn near(found: [u8; 4], expected: [u8; 4]) -> bool {
    found.iter().zip(expected).all(|(found, expected)| found.abs_diff(expected) <= 1)
}

const FACTORS: [GpuBlendFactor; 13] = [
    GpuBlendFactor::Zero,
    GpuBlendFactor::One,
    GpuBlendFactor::Src,
    GpuBlendFactor::OneMinusSrc,
    GpuBlendFactor::SrcAlpha,
    GpuBlendFactor::OneMinusSrcAlpha,
    GpuBlendFactor::Dst,
    GpuBlendFactor::OneMinusDst,
    GpuBlendFactor::DstAlpha,
    GpuBlendFactor::OneMinusDstAlpha,
    GpuBlendFactor::SrcAlphaSaturated,
    GpuBlendFactor::Constant,
    GpuBlendFactor::OneMinusConstant,
];

/// <https://www.w3.org/TR/webgpu/#enumdef-gpublendfactor>, for one channel.
fn factor(factor: GpuBlendFactor, channel: usize) -> f64 {
    let second_alpha = SECOND[3];
    match factor {
        GpuBlendFactor::Zero => 0.0,
        GpuBlendFactor::One => 1.0,
        GpuBlendFactor::Src => SOURCE[channel],
        GpuBlendFactor::OneMinusSrc => 1.0 - SOURCE[channel],
        GpuBlendFactor::SrcAlpha => SOURCE[3],
        GpuBlendFactor::OneMinusSrcAlpha => 1.0 - SOURCE[3],
        GpuBlendFactor::Dst => BEFORE[channel],
        GpuBlendFactor::OneMinusDst => 1.0 - BEFORE[channel],
        GpuBlendFactor::DstAlpha => BEFORE[3],
        GpuBlendFactor::OneMinusDstAlpha => 1.0 - BEFORE[3],
        GpuBlendFactor::SrcAlphaSaturated if channel == 3 => 1.0,
        GpuBlendFactor::SrcAlphaSaturated => SOURCE[3].min(1.0 - BEFORE[3]),
        GpuBlendFactor::Constant => CONSTANT[channel],
        GpuBlendFactor::OneMinusConstant => 1.0 - CONSTANT[channel],
        GpuBlendFactor::Src1 => SECOND[channel],
        GpuBlendFactor::OneMinusSrc1 => 1.0 - SECOND[channel],
        GpuBlendFactor::Src1Alpha => second_alpha,
        GpuBlendFactor::OneMinusSrc1Alpha => 1.0 - second_alpha,
    }
}

/// Each factor once for what is drawn and once for what was there, for colour and alpha alike.
async fn each_factor(topic: &mut Topic, module: &GpuShaderModule, factors: &[GpuBlendFactor]) {
    for each in factors {
        for (source, before) in [(*each, GpuBlendFactor::Zero), (GpuBlendFactor::Zero, *each)] {
            let part = component(GpuBlendOperation::Add, source, before);
            let state = GpuColorTargetState {
                blend: Some(GpuBlendState { color: part, alpha: part }),
                ..target(TARGET)
            };
            let found = drawn(topic, module, state, Some(CONSTANT)).await;
            let expected = as_pixel([0, 1, 2, 3].map(|channel| {
                SOURCE[channel] * factor(source, channel) + BEFORE[channel] * factor(before, channel)
            }));
            let what = format!(
                "{source:?} of the source and {before:?} of the target: {found:?}, expected {expected:?}"
            );
            topic.check(&what, near(found, expected));
        }
    }
}

async fn factors(topic: &mut Topic) {
    let module = topic.shader(&shader(false));
    each_factor(topic, &module, &FACTORS).await;
}

async fn operations(topic: &mut Topic) {
    let module = topic.shader(&shader(false));
    for (operation, expected) in [
        (GpuBlendOperation::Add, [0, 1, 2, 3].map(|at| SOURCE[at] + BEFORE[at])),
        (GpuBlendOperation::Subtract, [0, 1, 2, 3].map(|at| SOURCE[at] - BEFORE[at])),
        (GpuBlendOperation::ReverseSubtract, [0, 1, 2, 3].map(|at| BEFORE[at] - SOURCE[at])),
        (GpuBlendOperation::Min, [0, 1, 2, 3].map(|at| BEFORE[at].min(SOURCE[at]))),
        (GpuBlendOperation::Max, [0, 1, 2, 3].map(|at| BEFORE[at].max(SOURCE[at]))),
    ] {
        let part = component(operation, GpuBlendFactor::One, GpuBlendFactor::One);
        let state =
            GpuColorTargetState { blend: Some(GpuBlendState { color: part, alpha: part }), ..target(TARGET) };
        let found = drawn(topic, &module, state, None).await;
        let expected = as_pixel(expected);
        topic.check(&format!("{operation:?}: {found:?}, expected {expected:?}"), near(found, expected));
    }
}

async fn parts(topic: &mut Topic) {
    let module = topic.shader(&shader(false));
    let nothing = GpuBlendComponent { operation: None, src_factor: None, dst_factor: None };
    let of =
        |color, alpha| GpuColorTargetState { blend: Some(GpuBlendState { color, alpha }), ..target(TARGET) };
    let found = drawn(topic, &module, target(TARGET), None).await;
    topic.check("without blending the source replaces the target", near(found, as_pixel(SOURCE)));
    let found = drawn(topic, &module, of(nothing, nothing), None).await;
    topic.check(
        "blending adds the source and nothing of the target by default",
        near(found, as_pixel(SOURCE)),
    );
    let keep = component(GpuBlendOperation::Add, GpuBlendFactor::Zero, GpuBlendFactor::One);
    let found = drawn(topic, &module, of(keep, nothing), None).await;
    let expected = as_pixel([BEFORE[0], BEFORE[1], BEFORE[2], SOURCE[3]]);
    topic.check("colour and alpha are blended apart", near(found, expected));
    let found = drawn(topic, &module, of(nothing, keep), None).await;
    let expected = as_pixel([SOURCE[0], SOURCE[1], SOURCE[2], BEFORE[3]]);
    topic.check("alpha and colour are blended apart", near(found, expected));
}

async fn write_masks(topic: &mut Topic) {
    let module = topic.shader(&shader(false));
    for (mask, written) in [
        (GpuColorWrite::empty(), [false; 4]),
        (GpuColorWrite::RED, [true, false, false, false]),
        (GpuColorWrite::GREEN, [false, true, false, false]),
        (GpuColorWrite::BLUE, [false, false, true, false]),
        (GpuColorWrite::ALPHA, [false, false, false, true]),
        (GpuColorWrite::RED | GpuColorWrite::ALPHA, [true, false, false, true]),
        (GpuColorWrite::ALL, [true; 4]),
    ] {
        let state = GpuColorTargetState { write_mask: Some(mask), ..target(TARGET) };
        let found = drawn(topic, &module, state, None).await;
        let expected = as_pixel([0, 1, 2, 3].map(|at| if written[at] { SOURCE[at] } else { BEFORE[at] }));
        topic.check(&format!("{mask:?} writes its channels alone: {found:?}"), near(found, expected));
    }
}

async fn constants(topic: &mut Topic) {
    let module = topic.shader(&shader(false));
    let part = component(GpuBlendOperation::Add, GpuBlendFactor::Constant, GpuBlendFactor::Zero);
    let state =
        GpuColorTargetState { blend: Some(GpuBlendState { color: part, alpha: part }), ..target(TARGET) };
    let found = drawn(topic, &module, state, None).await;
    topic.equal("the blend constant of a new pass is 0", found, [0; 4]);
    let view = topic.target(1, 1).create_view(None);
    topic
        .invalid_pass("a blend constant is a number", &pass([attachment(&view)]), |pass| {
            // A browser throws a TypeError, which the interface cannot.
            pass.set_blend_constant(color([f64::NAN, 0.0, 0.0, 0.0]));
        })
        .await;
}

async fn refused(topic: &mut Topic) {
    let module = topic.shader(&shader(false));
    let add = component(GpuBlendOperation::Add, GpuBlendFactor::One, GpuBlendFactor::One);
    for operation in [GpuBlendOperation::Min, GpuBlendOperation::Max] {
        let wrong = component(operation, GpuBlendFactor::One, GpuBlendFactor::SrcAlpha);
        for blend in [GpuBlendState { color: wrong, alpha: add }, GpuBlendState { color: add, alpha: wrong }]
        {
            let mut described = pipeline(&module, []);
            let state = GpuColorTargetState { blend: Some(blend), ..target(TARGET) };
            described.fragment.as_mut().expect("it has a fragment shader").targets = vec![Some(state)];
            topic
                .invalid(&format!("{operation:?} takes both whole"), |device| {
                    device.create_render_pipeline(described)
                })
                .await;
        }
    }
}

async fn dual_source(topic: &mut Topic) {
    const BOTH: [GpuBlendFactor; 4] = [
        GpuBlendFactor::Src1,
        GpuBlendFactor::OneMinusSrc1,
        GpuBlendFactor::Src1Alpha,
        GpuBlendFactor::OneMinusSrc1Alpha,
    ];
    let module = topic.shader(&shader(false));
    for factor in BOTH {
        let part = component(GpuBlendOperation::Add, factor, GpuBlendFactor::Zero);
        let mut described = pipeline(&module, []);
        let state =
            GpuColorTargetState { blend: Some(GpuBlendState { color: part, alpha: part }), ..target(TARGET) };
        described.fragment.as_mut().expect("it has a fragment shader").targets = vec![Some(state)];
        topic
            .invalid(&format!("{factor:?} needs its feature"), |device| {
                device.create_render_pipeline(described)
            })
            .await;
    }
    let code = shader(true);
    topic
        .invalid("a second source needs its feature", |device| {
            device.create_shader_module(&GpuShaderModuleDescriptor {
                code: code.clone(),
                compilation_hints: None,
                label: None,
            })
        })
        .await;
    topic.take_all_features().await;
    if topic.has("dual-source-blending") {
        let module = topic.shader(&shader(true));
        each_factor(topic, &module, &BOTH).await;
    }
}
