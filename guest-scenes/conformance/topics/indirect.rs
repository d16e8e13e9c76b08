//! Draws whose counts lie in a buffer: <https://www.w3.org/TR/webgpu/#dom-gpurendercommandsmixin-drawindirect>

use conformance::Topic;
use conformance::drawing::{TARGET, attachment, bytes_of_words, pass, pipeline, primitive};
use conformance::webgpu::*;

conformance::export_topic!(run);

async fn run(topic: &mut Topic) {
    draws(topic).await;
    hostile_counts(topic).await;
    refused(topic).await;
    first_instance(topic).await;
    topic.take_all_features().await;
    first_instance(topic).await;
}

/// Points: vertices along x and instances along y of a target of 4 by 4.
const POINTS: &str = "
    @vertex fn vertices(@builtin(vertex_index) v: u32, @builtin(instance_index) i: u32) -> @builtin(position) vec4f {
        return vec4f(f32(v) * 0.5 - 0.75, 0.75 - f32(i) * 0.5, 0, 1);
    }
    @fragment fn draw() -> @location(0) vec4f { return vec4f(1); }";

fn points(topic: &Topic) -> GpuRenderPipeline {
    let module = topic.shader(POINTS);
    topic.device().create_render_pipeline(GpuRenderPipelineDescriptor {
        primitive: Some(primitive(GpuPrimitiveTopology::PointList)),
        ..pipeline(&module, [TARGET])
    })
}

/// The pixels that one draw with these words draws.
async fn drawn(topic: &mut Topic, what: &str, words: &[u32], offset: u64, indexed: bool) -> Vec<usize> {
    let pipeline = points(topic);
    let buffer = topic.buffer(GpuBufferUsage::INDIRECT, &bytes_of_words(words));
    let indices = topic.buffer(GpuBufferUsage::INDEX, &bytes_of_words(&[3, 2, 1, 0]));
    let target = topic.target(4, 4);
    let view = target.create_view(None);
    topic
        .valid_pass(what, &pass([attachment(&view)]), |pass| {
            pass.set_pipeline(&pipeline);
            if indexed {
                pass.set_index_buffer(&indices, GpuIndexFormat::Uint32, None, None);
                pass.draw_indexed_indirect(&buffer, offset);
            } else {
                pass.draw_indirect(&buffer, offset);
            }
        })
        .await;
    let pixels = topic.pixels(&target).await;
    (0..16).filter(|at| pixels[*at] != [0; 4]).collect()
}

async fn draws(topic: &mut Topic) {
    let found = drawn(topic, "a draw", &[2, 2, 1, 0], 0, false).await;
    topic.equal("a draw takes its counts from the buffer", found, [1, 2, 5, 6]);
    let found = drawn(topic, "a draw from an offset", &[9, 9, 9, 1, 1, 0, 0], 12, false).await;
    topic.equal("a draw takes its counts from an offset", found, [0]);
    let found = drawn(topic, "an indexed draw", &[2, 1, 1, 0, 0], 0, true).await;
    topic.equal("an indexed draw takes its counts from the buffer", found, [1, 2]);
    let found = drawn(topic, "an indexed draw with a base", &[7, 2, 3, 2, 1, 0], 4, true).await;
    topic.equal("an indexed draw adds its base vertex", found, [1, 2, 5, 6, 9, 10]);
    let back = 0_u32.wrapping_sub(2);
    let found = drawn(topic, "an indexed draw with a negative base", &[1, 1, 0, back, 0], 0, true).await;
    topic.equal("an indexed draw's base vertex has a sign", found, [1]);

    // Counts that the GPU writes, not the scene.
    let written = topic.empty_buffer(GpuBufferUsage::INDIRECT | GpuBufferUsage::STORAGE, 16);
    let code = "
        @group(0) @binding(0) var<storage, read_write> out: array<u32>;
        @compute @workgroup_size(1) fn main() { out[0] = 1; out[1] = 3; out[2] = 2; out[3] = 0; }";
    topic.compute(code, vec![GpuBindingResource::GpuBuffer(&written)], 1);
    let pipeline = points(topic);
    let pixels = topic
        .drawn([4, 4], |pass| {
            pass.set_pipeline(&pipeline);
            pass.draw_indirect(&written, 0);
        })
        .await;
    let found: Vec<usize> = (0..16).filter(|at| pixels[*at] != [0; 4]).collect();
    topic.equal("a draw takes counts that a shader wrote", found, [2, 6, 10]);
}

/// What no check at recording can see. A draw must then do nothing, or stay within its buffers.
async fn hostile_counts(topic: &mut Topic) {
    const MANY: u32 = 1 << 20;
    let found = drawn(topic, "indices beyond their buffer", &[MANY, 1, 0, 0, 0], 0, true).await;
    topic.check("an indexed draw beyond its indices draws nothing else", found.iter().all(|at| *at < 4));
    let found = drawn(topic, "a first index beyond the buffer", &[1, 1, u32::MAX, 0, 0], 0, true).await;
    topic.check(
        "an index beyond the buffer is 0 or draws nothing",
        found.is_empty() || found == [0] || found == [3],
    );
    for words in [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, u32::MAX, 0]] {
        let found = drawn(topic, "a draw of nothing", &words, 0, false).await;
        topic.equal("a draw of nothing draws nothing", found, []);
    }

    // The one vertex that there is says where it is drawn; whatever lies behind it must not.
    let module = topic.shader(
        "@vertex fn vertices(@location(0) at: vec2f) -> @builtin(position) vec4f { return vec4f(at, 0, 1); }
        @fragment fn draw() -> @location(0) vec4f { return vec4f(1); }",
    );
    let mut described = pipeline(&module, [TARGET]);
    described.primitive = Some(primitive(GpuPrimitiveTopology::PointList));
    described.vertex.buffers = Some(vec![Some(GpuVertexBufferLayout {
        array_stride: 8,
        step_mode: None,
        attributes: vec![GpuVertexAttribute {
            format: GpuVertexFormat::Float32x2,
            offset: 0,
            shader_location: 0,
        }],
    })]);
    let pipeline = topic.device().create_render_pipeline(described);
    let vertices = topic.buffer(GpuBufferUsage::VERTEX, &conformance::drawing::floats(&[-0.75, 0.75]));
    // Buffers that are likely to lie behind it, and that would be drawn elsewhere.
    let elsewhere = conformance::drawing::floats(&[0.75; 512]);
    let canaries: Vec<_> = (0..8).map(|_| topic.buffer(GpuBufferUsage::VERTEX, &elsewhere)).collect();
    for words in [[64, 1, 0, 0], [1, 1, 40, 0], [1, 1, u32::MAX, 0], [MANY, 1, 1, 0]] {
        let counts = topic.buffer(GpuBufferUsage::INDIRECT, &bytes_of_words(&words));
        let pixels = topic
            .drawn([4, 4], |pass| {
                pass.set_pipeline(&pipeline);
                pass.set_vertex_buffer(0, Some(&vertices), None, None);
                pass.draw_indirect(&counts, 0);
            })
            .await;
        // A vertex that is out of bounds is the one of the buffer, or zeros, where four pixels meet; another buffer's is pixel 3.
        let wrong: Vec<usize> =
            (0..16).filter(|at| pixels[*at] != [0; 4] && ![0, 5, 6, 9, 10].contains(at)).collect();
        topic.equal(&format!("a draw of {words:?} reads no other buffer"), wrong, []);
    }
    drop(canaries);
}

async fn refused(topic: &mut Topic) {
    let target = topic.target(4, 4).create_view(None);
    let descriptor = pass([attachment(&target)]);
    let pipeline = points(topic);
    let right = topic.empty_buffer(GpuBufferUsage::INDIRECT, 20);
    let unusable = topic.empty_buffer(GpuBufferUsage::STORAGE, 20);
    let indices = topic.empty_buffer(GpuBufferUsage::INDEX, 64);
    for (what, buffer, offset) in [
        ("counts have their usage", &unusable, 0),
        ("counts lie at a multiple of four", &right, 2),
        ("counts lie within their buffer", &right, 8),
        ("counts lie before the end of their buffer", &right, 20),
        ("counts do not overflow", &right, u64::MAX - 3),
    ] {
        topic
            .invalid_pass(what, &descriptor, |pass| {
                pass.set_pipeline(&pipeline);
                pass.draw_indirect(buffer, offset);
            })
            .await;
        topic
            .invalid_pass(&format!("{what}, indexed"), &descriptor, |pass| {
                pass.set_pipeline(&pipeline);
                pass.set_index_buffer(&indices, GpuIndexFormat::Uint32, None, None);
                pass.draw_indexed_indirect(buffer, offset);
            })
            .await;
    }
    topic
        .invalid_pass("counts of an indexed draw are five words", &descriptor, |pass| {
            pass.set_pipeline(&pipeline);
            pass.set_index_buffer(&indices, GpuIndexFormat::Uint32, None, None);
            pass.draw_indexed_indirect(&right, 4);
        })
        .await;
    topic
        .invalid_pass("an indexed draw needs indices", &descriptor, |pass| {
            pass.set_pipeline(&pipeline);
            pass.draw_indexed_indirect(&right, 0);
        })
        .await;
    topic.invalid_pass("a draw needs a pipeline", &descriptor, |pass| pass.draw_indirect(&right, 0)).await;
    right.destroy();
    topic
        .invalid_submit("counts that were destroyed are not read", |encoder| {
            let pass = encoder.begin_render_pass(&descriptor);
            pass.set_pipeline(&pipeline);
            pass.draw_indirect(&right, 0);
            pass.end();
        })
        .await;
}

async fn first_instance(topic: &mut Topic) {
    let is_there = topic.has("indirect-first-instance");
    let expected = |drawn: &[usize]| if is_there { drawn.to_vec() } else { Vec::new() };
    let what = format!("a first instance is taken with its feature alone: {is_there}");
    let found = drawn(topic, "a draw with a first instance", &[1, 1, 0, 2], 0, false).await;
    topic.equal(&what, found, expected(&[8]));
    let found = drawn(topic, "an indexed draw with a first instance", &[1, 1, 0, 0, 3], 0, true).await;
    topic.equal(&what, found, expected(&[15]));
}
