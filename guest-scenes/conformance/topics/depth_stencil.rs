//! Depth and stencil: <https://www.w3.org/TR/webgpu/#depth-stencil-state>

use conformance::drawing::{
    COVER, TARGET, attachment, bytes_of, depth_attachment, depth_stencil, extent, first_of, pass, pipeline,
    texture_2d, view,
};
use conformance::webgpu::*;
use conformance::{Texel, Topic};

conformance::export_topic!(run);

const DRAWN: GpuTextureUsage = GpuTextureUsage::RENDER_ATTACHMENT;
const WHITE: [u8; 4] = [255; 4];
const COMPARISONS: [(GpuCompareFunction, [bool; 3]); 8] = [
    // Whether a value that is less, equal and greater passes.
    (GpuCompareFunction::Never, [false, false, false]),
    (GpuCompareFunction::Less, [true, false, false]),
    (GpuCompareFunction::Equal, [false, true, false]),
    (GpuCompareFunction::LessEqual, [true, true, false]),
    (GpuCompareFunction::Greater, [false, false, true]),
    (GpuCompareFunction::NotEqual, [true, false, true]),
    (GpuCompareFunction::GreaterEqual, [false, true, true]),
    (GpuCompareFunction::Always, [true, true, true]),
];

async fn run(topic: &mut Topic) {
    depth_comparisons(topic).await;
    depth_writes(topic).await;
    depth_bias(topic).await;
    viewport_depth(topic).await;
    stencil_comparisons(topic).await;
    stencil_operations(topic).await;
    stencil_masks(topic).await;
    aspects(topic).await;
    read_only(topic).await;
    refused(topic).await;
    topic.take_all_features().await;
    clipping(topic).await;
}

/// Covers the target at a depth.
fn at_depth(depth: f32) -> String {
    format!(
        "@vertex fn cover(@builtin(vertex_index) i: u32) -> @builtin(position) vec4f {{
            return vec4f(f32(i & 1u) * 4.0 - 1.0, f32(i >> 1u) * 4.0 - 1.0, {depth:?}, 1.0);
        }}
        @fragment fn draw() -> @location(0) vec4f {{ return vec4f(1); }}"
    )
}

fn made(topic: &Topic, depth: f32, state: GpuDepthStencilState) -> GpuRenderPipeline {
    let module = topic.shader(&at_depth(depth));
    topic.device().create_render_pipeline(GpuRenderPipelineDescriptor {
        depth_stencil: Some(state),
        ..pipeline(&module, [TARGET])
    })
}

fn depth_state(compare: GpuCompareFunction, write: bool) -> GpuDepthStencilState {
    GpuDepthStencilState {
        depth_write_enabled: Some(write),
        depth_compare: Some(compare),
        ..depth_stencil(GpuTextureFormat::Depth32float)
    }
}

/// A pixel of colour and its depth after these pipelines, on a depth that is cleared to `before`.
async fn drawn(topic: &Topic, before: f32, pipelines: &[GpuRenderPipeline]) -> ([u8; 4], f32) {
    let target = topic.target(1, 1);
    let color = target.create_view(None);
    let usage = DRAWN | GpuTextureUsage::COPY_SRC;
    let depth = topic.device().create_texture(&texture_2d(1, 1, GpuTextureFormat::Depth32float, usage));
    let depth_view = depth.create_view(None);
    let descriptor = GpuRenderPassDescriptor {
        depth_stencil_attachment: Some(depth_attachment(&depth_view, before)),
        ..pass([attachment(&color)])
    };
    topic.render(&descriptor, |pass| {
        for pipeline in pipelines {
            pass.set_pipeline(pipeline);
            pass.draw(3, None, None, None);
        }
    });
    let bytes = topic.texels(&depth, Texel::default()).await;
    let stored = f32::from_le_bytes(bytes.try_into().expect("a depth has four bytes"));
    (topic.pixels(&target).await[0], stored)
}

async fn depth_comparisons(topic: &mut Topic) {
    for (compare, passes) in COMPARISONS {
        for (depth, passes) in [0.25, 0.5, 0.75].into_iter().zip(passes) {
            let (pixel, stored) = drawn(topic, 0.5, &[made(topic, depth, depth_state(compare, true))]).await;
            let what = format!("{depth} against 0.5 with {compare:?}");
            let expected = if passes { (WHITE, depth) } else { ([0; 4], 0.5) };
            topic.equal(&what, (pixel, stored), expected);
        }
    }
}

async fn depth_writes(topic: &mut Topic) {
    let found = drawn(topic, 0.5, &[made(topic, 0.25, depth_state(GpuCompareFunction::Always, false))]).await;
    topic.equal("depth is not written unless asked for", found, (WHITE, 0.5));
    let code = format!(
        "{COVER}
        struct Out {{ @location(0) color: vec4f, @builtin(frag_depth) depth: f32 }}
        @fragment fn draw() -> Out {{ return Out(vec4f(1), 0.125); }}"
    );
    let module = topic.shader(&code);
    let by_shader = topic.device().create_render_pipeline(GpuRenderPipelineDescriptor {
        depth_stencil: Some(depth_state(GpuCompareFunction::Less, true)),
        ..pipeline(&module, [TARGET])
    });
    let found = drawn(topic, 0.25, &[by_shader]).await;
    topic.equal("a fragment's own depth counts", found, (WHITE, 0.125));
}

async fn depth_bias(topic: &mut Topic) {
    let always = depth_state(GpuCompareFunction::Always, true);
    let biased = |bias, clamp| GpuDepthStencilState {
        depth_bias: Some(bias),
        depth_bias_clamp: clamp,
        ..always.clone()
    };
    let (_, none) = drawn(topic, 0.0, &[made(topic, 0.5, biased(0, None))]).await;
    let (_, more) = drawn(topic, 0.0, &[made(topic, 0.5, biased(1 << 16, None))]).await;
    let (_, less) = drawn(topic, 0.0, &[made(topic, 0.5, biased(-(1 << 16), None))]).await;
    topic.equal("no bias leaves depth as it is", none, 0.5);
    topic.check("a bias adds depth", more > 0.5 && more < 0.52);
    topic.check("a negative bias takes depth away", less < 0.5 && less > 0.48);
    let (_, clamped) = drawn(topic, 0.0, &[made(topic, 0.5, biased(1 << 20, Some(0.001)))]).await;
    topic.check("a bias is clamped", (clamped - 0.501).abs() < 1e-5);
    let sloped = GpuDepthStencilState { depth_bias_slope_scale: Some(4.0), ..always };
    let (_, flat) = drawn(topic, 0.0, &[made(topic, 0.5, sloped)]).await;
    topic.equal("what has no slope has no bias by slope", flat, 0.5);
}

async fn viewport_depth(topic: &mut Topic) {
    let target = topic.target(1, 1);
    let color = target.create_view(None);
    let usage = DRAWN | GpuTextureUsage::COPY_SRC;
    let depth = topic.device().create_texture(&texture_2d(1, 1, GpuTextureFormat::Depth32float, usage));
    let depth_view = depth.create_view(None);
    let descriptor = GpuRenderPassDescriptor {
        depth_stencil_attachment: Some(depth_attachment(&depth_view, 0.0)),
        ..pass([attachment(&color)])
    };
    topic.render(&descriptor, |pass| {
        pass.set_viewport(0.0, 0.0, 1.0, 1.0, 0.25, 0.75);
        pass.set_pipeline(&made(topic, 0.5, depth_state(GpuCompareFunction::Always, true)));
        pass.draw(3, None, None, None);
        pass.set_pipeline(&made(topic, 0.25, depth_state(GpuCompareFunction::Always, true)));
        pass.draw(3, None, None, None);
    });
    let found = topic.texels(&depth, Texel::default()).await;
    topic.equal("a viewport scales depth", found, 0.375_f32.to_le_bytes());
}

fn face(compare: GpuCompareFunction) -> GpuStencilFaceState {
    GpuStencilFaceState { compare: Some(compare), fail_op: None, depth_fail_op: None, pass_op: None }
}

/// The colour and the stencil of one pixel after one draw with a state, a reference and a stencil before.
async fn stenciled(
    topic: &Topic,
    state: GpuDepthStencilState,
    depth: f32,
    reference: Option<u32>,
    before: u32,
) -> ([u8; 4], u8) {
    let target = topic.target(1, 1);
    let color = target.create_view(None);
    let format = GpuTextureFormat::Depth24plusStencil8;
    let both = topic.device().create_texture(&texture_2d(1, 1, format, DRAWN | GpuTextureUsage::COPY_SRC));
    let both_view = both.create_view(None);
    let descriptor = GpuRenderPassDescriptor {
        depth_stencil_attachment: Some(GpuRenderPassDepthStencilAttachment {
            stencil_clear_value: Some(before),
            stencil_load_op: Some(GpuLoadOp::Clear),
            stencil_store_op: Some(GpuStoreOp::Store),
            ..depth_attachment(&both_view, 0.5)
        }),
        ..pass([attachment(&color)])
    };
    topic.render(&descriptor, |pass| {
        pass.set_pipeline(&made(topic, depth, state));
        if let Some(reference) = reference {
            pass.set_stencil_reference(reference);
        }
        pass.draw(3, None, None, None);
    });
    let texel = Texel { bytes: 1, aspect: GpuTextureAspect::StencilOnly, ..Texel::default() };
    let stencil = topic.texels(&both, texel).await;
    (topic.pixels(&target).await[0], stencil[0])
}

fn stencil_state(front: GpuStencilFaceState) -> GpuDepthStencilState {
    GpuDepthStencilState {
        depth_write_enabled: Some(false),
        depth_compare: Some(GpuCompareFunction::Less),
        stencil_front: Some(front),
        ..depth_stencil(GpuTextureFormat::Depth24plusStencil8)
    }
}

async fn stencil_comparisons(topic: &mut Topic) {
    for (compare, passes) in COMPARISONS {
        for (reference, passes) in [4, 5, 6].into_iter().zip(passes) {
            let (pixel, stencil) =
                stenciled(topic, stencil_state(face(compare)), 0.25, Some(reference), 5).await;
            let expected = (if passes { WHITE } else { [0; 4] }, 5);
            topic.equal(
                &format!("the reference {reference} against 5 with {compare:?}"),
                (pixel, stencil),
                expected,
            );
        }
    }
    let (pixel, _) = stenciled(topic, stencil_state(face(GpuCompareFunction::Equal)), 0.25, None, 0).await;
    topic.equal("the reference of a new pass is 0", pixel, WHITE);
    let (_, stencil) =
        stenciled(topic, stencil_state(face(GpuCompareFunction::Always)), 0.25, None, 0x1ab).await;
    topic.equal("stencil is cleared to the low bits of its value", stencil, 0xab);
}

async fn stencil_operations(topic: &mut Topic) {
    use GpuStencilOperation as Operation;
    for (operation, before, after) in [
        (Operation::Keep, 5, 5),
        (Operation::Zero, 5, 0),
        (Operation::Replace, 5, 9),
        (Operation::Invert, 5, 250),
        (Operation::IncrementClamp, 5, 6),
        (Operation::IncrementClamp, 255, 255),
        (Operation::DecrementClamp, 5, 4),
        (Operation::DecrementClamp, 0, 0),
        (Operation::IncrementWrap, 5, 6),
        (Operation::IncrementWrap, 255, 0),
        (Operation::DecrementWrap, 5, 4),
        (Operation::DecrementWrap, 0, 255),
    ] {
        let always = face(GpuCompareFunction::Always);
        let never = face(GpuCompareFunction::Never);
        let passed = stencil_state(GpuStencilFaceState { pass_op: Some(operation), ..always });
        let (_, found) = stenciled(topic, passed, 0.25, Some(9), before).await;
        topic.equal(&format!("{operation:?} of {before} where all passes"), found, after);
        let failed = stencil_state(GpuStencilFaceState { fail_op: Some(operation), ..never });
        let (_, found) = stenciled(topic, failed, 0.25, Some(9), before).await;
        topic.equal(&format!("{operation:?} of {before} where stencil fails"), found, after);
        let depth_failed = stencil_state(GpuStencilFaceState { depth_fail_op: Some(operation), ..always });
        let (_, found) = stenciled(topic, depth_failed, 0.75, Some(9), before).await;
        topic.equal(&format!("{operation:?} of {before} where depth fails"), found, after);
    }
    let back = GpuDepthStencilState {
        stencil_front: None,
        stencil_back: Some(GpuStencilFaceState {
            pass_op: Some(Operation::Replace),
            ..face(GpuCompareFunction::Always)
        }),
        ..stencil_state(face(GpuCompareFunction::Always))
    };
    let (_, found) = stenciled(topic, back, 0.25, Some(9), 5).await;
    topic.equal("the state of back faces is not that of front faces", found, 5);
}

async fn stencil_masks(topic: &mut Topic) {
    let equal = stencil_state(face(GpuCompareFunction::Equal));
    let read = GpuDepthStencilState { stencil_read_mask: Some(0x0f), ..equal };
    let (pixel, _) = stenciled(topic, read, 0.25, Some(0x25), 0x15).await;
    topic.equal("only bits of the read mask are compared", pixel, WHITE);
    let replace = GpuStencilFaceState {
        pass_op: Some(GpuStencilOperation::Replace),
        ..face(GpuCompareFunction::Always)
    };
    let write = GpuDepthStencilState { stencil_write_mask: Some(0x0f), ..stencil_state(replace) };
    let (_, found) = stenciled(topic, write, 0.25, Some(0xff), 0x50).await;
    topic.equal("only bits of the write mask are written", found, 0x5f);
    let (_, found) = stenciled(topic, stencil_state(replace), 0.25, Some(0x1a7), 0).await;
    topic.equal("the low bits of the reference are written", found, 0xa7);
}

/// Each aspect is read as what it is.
async fn aspects(topic: &mut Topic) {
    let format = GpuTextureFormat::Depth24plusStencil8;
    let both =
        topic.device().create_texture(&texture_2d(1, 1, format, DRAWN | GpuTextureUsage::TEXTURE_BINDING));
    let both_view = both.create_view(None);
    let descriptor = GpuRenderPassDescriptor {
        depth_stencil_attachment: Some(GpuRenderPassDepthStencilAttachment {
            stencil_clear_value: Some(77),
            stencil_load_op: Some(GpuLoadOp::Clear),
            stencil_store_op: Some(GpuStoreOp::Store),
            ..depth_attachment(&both_view, 0.5)
        }),
        ..pass([])
    };
    topic.render(&descriptor, |_| ());
    let of = |aspect| both.create_view(Some(&GpuTextureViewDescriptor { aspect: Some(aspect), ..view() }));
    let code = "
        @group(0) @binding(0) var<storage, read_write> out: array<u32>;
        @group(0) @binding(1) var depth: texture_depth_2d;
        @group(0) @binding(2) var stencil: texture_2d<u32>;
        @compute @workgroup_size(1) fn main() {
            out[0] = u32(round(textureLoad(depth, vec2u(0), 0) * 100.0));
            out[1] = textureLoad(stencil, vec2u(0), 0).r;
        }";
    let (depth, stencil) = (of(GpuTextureAspect::DepthOnly), of(GpuTextureAspect::StencilOnly));
    let resources =
        vec![GpuBindingResource::GpuTextureView(&depth), GpuBindingResource::GpuTextureView(&stencil)];
    let found = topic.computed(code, resources, 2).await;
    topic.equal("depth and stencil are sampled each as its own", found, [50, 77]);
    let layout = topic.device().create_bind_group_layout(&GpuBindGroupLayoutDescriptor {
        entries: vec![GpuBindGroupLayoutEntry {
            binding: 0,
            visibility: GpuShaderStage::FRAGMENT,
            buffer: None,
            sampler: None,
            texture: Some(GpuTextureBindingLayout {
                sample_type: Some(GpuTextureSampleType::Depth),
                view_dimension: None,
                multisampled: None,
            }),
            storage_texture: None,
        }],
        label: None,
    });
    topic
        .invalid("both aspects together are not sampled", |device| {
            device.create_bind_group(&GpuBindGroupDescriptor {
                layout: &layout,
                entries: vec![GpuBindGroupEntry {
                    binding: 0,
                    resource: GpuBindingResource::GpuTextureView(&both_view),
                }],
                label: None,
            })
        })
        .await;
    // Stencil to a buffer and back.
    let stencil_texture = topic.device().create_texture(&texture_2d(
        2,
        1,
        GpuTextureFormat::Stencil8,
        GpuTextureUsage::COPY_DST | GpuTextureUsage::COPY_SRC,
    ));
    let layout = GpuTexelCopyBufferLayout { offset: None, bytes_per_row: None, rows_per_image: None };
    topic.queue().write_texture_with_copy(&first_of(&stencil_texture), &[11, 22], layout, extent(2, 1, 1));
    let buffer = topic.empty_buffer(GpuBufferUsage::COPY_DST | GpuBufferUsage::COPY_SRC, 4);
    topic.submit(|encoder| {
        encoder.copy_texture_to_buffer(
            &first_of(&stencil_texture),
            &bytes_of(&buffer, None, None),
            extent(2, 1, 1),
        );
    });
    let found = topic.bytes(&buffer).await;
    topic.equal("stencil is copied byte by byte", found, [11, 22, 0, 0]);
}

async fn read_only(topic: &mut Topic) {
    let format = GpuTextureFormat::Depth32float;
    let usage = DRAWN | GpuTextureUsage::TEXTURE_BINDING;
    let depth = topic.device().create_texture(&texture_2d(1, 1, format, usage));
    let depth_view = depth.create_view(None);
    topic.render(
        &GpuRenderPassDescriptor {
            depth_stencil_attachment: Some(depth_attachment(&depth_view, 0.5)),
            ..pass([])
        },
        |_| (),
    );
    let code = format!(
        "@group(0) @binding(0) var depth: texture_depth_2d;
        {COVER}
        @fragment fn draw(@builtin(position) at: vec4f) -> @location(0) vec4f {{
            return vec4f(textureLoad(depth, vec2u(at.xy), 0));
        }}"
    );
    let module = topic.shader(&code);
    let with = |write| GpuRenderPipelineDescriptor {
        depth_stencil: Some(depth_state(GpuCompareFunction::LessEqual, write)),
        ..pipeline(&module, [TARGET])
    };
    let reading = topic.device().create_render_pipeline(with(false));
    let group = topic.gpu.bind_group(
        "",
        &reading.get_bind_group_layout(0),
        vec![GpuBindingResource::GpuTextureView(&depth_view)],
    );
    let target = topic.target(1, 1);
    let color = target.create_view(None);
    let tested = |read_only: bool| GpuRenderPassDescriptor {
        depth_stencil_attachment: Some(GpuRenderPassDepthStencilAttachment {
            depth_clear_value: None,
            depth_load_op: (!read_only).then_some(GpuLoadOp::Load),
            depth_store_op: (!read_only).then_some(GpuStoreOp::Store),
            depth_read_only: Some(read_only),
            ..depth_attachment(&depth_view, 0.0)
        }),
        ..pass([attachment(&color)])
    };
    let record = |pass: &GpuRenderPassEncoder| {
        pass.set_pipeline(&reading);
        pass.set_bind_group(0, Some(&group), None, None, None).expect("there are no offsets");
        pass.draw(3, None, None, None);
    };
    topic.valid_pass("depth that is read-only is tested and sampled at once", &tested(true), record).await;
    let found = topic.pixels(&target).await;
    topic.check(&format!("depth that is read-only is sampled: {found:?}"), [127, 128].contains(&found[0][0]));
    topic.invalid_pass("depth that is written is not sampled", &tested(false), record).await;
    let writing = made(topic, 0.25, depth_state(GpuCompareFunction::Always, true));
    topic
        .invalid_pass("read-only depth is not written", &tested(true), |pass| {
            pass.set_pipeline(&writing);
            pass.draw(3, None, None, None);
        })
        .await;
}

async fn refused(topic: &mut Topic) {
    let module = topic.shader(&at_depth(0.5));
    let keep = face(GpuCompareFunction::Always);
    let writes = GpuStencilFaceState { pass_op: Some(GpuStencilOperation::Zero), ..keep };
    let depth = depth_state(GpuCompareFunction::Always, true);
    let stencil =
        GpuDepthStencilState { stencil_front: Some(writes), ..depth_stencil(GpuTextureFormat::Stencil8) };
    for (what, state) in [
        ("a colour is no depth", GpuDepthStencilState { format: TARGET, ..depth.clone() }),
        ("depth needs a comparison", GpuDepthStencilState { depth_compare: None, ..depth.clone() }),
        (
            "depth says whether it is written",
            GpuDepthStencilState { depth_write_enabled: None, ..depth.clone() },
        ),
        (
            "stencil alone has no depth to write",
            GpuDepthStencilState { depth_write_enabled: Some(true), ..stencil.clone() },
        ),
        (
            "stencil alone has no depth to compare",
            GpuDepthStencilState { depth_compare: Some(GpuCompareFunction::Less), ..stencil.clone() },
        ),
        ("depth alone has no stencil", GpuDepthStencilState { stencil_front: Some(writes), ..depth.clone() }),
    ] {
        topic
            .invalid(what, |device| {
                device.create_render_pipeline(GpuRenderPipelineDescriptor {
                    depth_stencil: Some(state),
                    ..pipeline(&module, [TARGET])
                })
            })
            .await;
    }
    let lines = GpuPrimitiveState {
        topology: Some(GpuPrimitiveTopology::LineList),
        strip_index_format: None,
        front_face: None,
        cull_mode: None,
        unclipped_depth: None,
    };
    for biased in [
        GpuDepthStencilState { depth_bias: Some(1), ..depth.clone() },
        GpuDepthStencilState { depth_bias_slope_scale: Some(1.0), ..depth.clone() },
        GpuDepthStencilState { depth_bias_clamp: Some(1.0), ..depth.clone() },
    ] {
        topic
            .invalid("lines have no depth bias", |device| {
                device.create_render_pipeline(GpuRenderPipelineDescriptor {
                    depth_stencil: Some(biased),
                    primitive: Some(lines),
                    ..pipeline(&module, [TARGET])
                })
            })
            .await;
    }
    topic
        .valid("stencil alone needs nothing of depth", |device| {
            device.create_render_pipeline(GpuRenderPipelineDescriptor {
                depth_stencil: Some(stencil),
                ..pipeline(&module, [TARGET])
            })
        })
        .await;
    if !topic.has("depth-clip-control") {
        let unclipped = GpuPrimitiveState { topology: None, unclipped_depth: Some(true), ..lines };
        topic
            .invalid("depth that is not clipped needs its feature", |device| {
                device.create_render_pipeline(GpuRenderPipelineDescriptor {
                    depth_stencil: Some(depth),
                    primitive: Some(unclipped),
                    ..pipeline(&module, [TARGET])
                })
            })
            .await;
    }
}

async fn clipping(topic: &mut Topic) {
    let always = depth_state(GpuCompareFunction::Always, true);
    for depth in [-0.5, 1.5] {
        let found = drawn(topic, 0.5, &[made(topic, depth, always.clone())]).await;
        topic.equal(&format!("what lies at {depth} is clipped"), found, ([0; 4], 0.5));
    }
    if !topic.has("depth-clip-control") {
        return;
    }
    for (depth, stored) in [(-0.5, 0.0), (1.5, 1.0)] {
        let module = topic.shader(&at_depth(depth));
        let unclipped = topic.device().create_render_pipeline(GpuRenderPipelineDescriptor {
            depth_stencil: Some(always.clone()),
            primitive: Some(GpuPrimitiveState {
                topology: None,
                strip_index_format: None,
                front_face: None,
                cull_mode: None,
                unclipped_depth: Some(true),
            }),
            ..pipeline(&module, [TARGET])
        });
        let found = drawn(topic, 0.5, &[unclipped]).await;
        topic.equal(
            &format!("what lies at {depth} is drawn unclipped, with its depth clamped"),
            found,
            (WHITE, stored),
        );
    }
}
