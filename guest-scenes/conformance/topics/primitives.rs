//! Topologies, faces and indices: <https://www.w3.org/TR/webgpu/#primitive-state>

use conformance::Topic;
use conformance::drawing::{TARGET, attachment, bytes_of_words, pass, pipeline, primitive};
use conformance::webgpu::*;

conformance::export_topic!(run);

const WHITE: [u8; 4] = [255; 4];

async fn run(topic: &mut Topic) {
    topologies(topic).await;
    restarts(topic).await;
    faces(topic).await;
    indices(topic).await;
    wrong_strips(topic).await;
}

/// Vertices at the centres of the pixels of a target of 4 by 4, counted row by row.
const PIXELS: &str = "
    @vertex fn vertices(@builtin(vertex_index) i: u32) -> @builtin(position) vec4f {
        return vec4f(f32(i % 4) * 0.5 - 0.75, 0.75 - f32(i / 4) * 0.5, 0, 1);
    }
    @fragment fn draw() -> @location(0) vec4f { return vec4f(1); }";

/// Vertices at the corners of the same pixels, five in a row.
const CORNERS: &str = "
    @vertex fn vertices(@builtin(vertex_index) i: u32) -> @builtin(position) vec4f {
        return vec4f(f32(i % 5) * 0.5 - 1, 1 - f32(i / 5) * 0.5, 0, 1);
    }
    @fragment fn draw(@builtin(front_facing) front: bool) -> @location(0) vec4f {
        return select(vec4f(0, 0, 1, 1), vec4f(1), front);
    }";

fn made(topic: &Topic, code: &str, state: GpuPrimitiveState) -> GpuRenderPipeline {
    let module = topic.shader(code);
    topic.device().create_render_pipeline(GpuRenderPipelineDescriptor {
        primitive: Some(state),
        ..pipeline(&module, [TARGET])
    })
}

/// The pixels that are drawn, by their numbers.
async fn drawn(topic: &Topic, code: &str, state: GpuPrimitiveState, indices: &[u32]) -> Vec<usize> {
    let pipeline = made(topic, code, state);
    let buffer = topic.buffer(GpuBufferUsage::INDEX, &bytes_of_words(indices));
    let count = u32::try_from(indices.len()).expect("a few");
    let pixels = topic
        .drawn([4, 4], |pass| {
            pass.set_pipeline(&pipeline);
            pass.set_index_buffer(&buffer, GpuIndexFormat::Uint32, None, None);
            pass.draw_indexed(count, None, None, None, None);
        })
        .await;
    (0..16).filter(|at| pixels[*at] != [0; 4]).collect()
}

async fn topologies(topic: &mut Topic) {
    let points = drawn(topic, PIXELS, primitive(GpuPrimitiveTopology::PointList), &[0, 5, 15]).await;
    topic.equal("points are pixels", points, [0, 5, 15]);
    // Ends of lines are left open: whether their last pixel is drawn is the driver's.
    let lines = drawn(topic, PIXELS, primitive(GpuPrimitiveTopology::LineList), &[0, 3, 12, 15]).await;
    topic.check(
        "each two vertices are a line",
        lines.starts_with(&[0, 1, 2]) && lines.contains(&13) && !lines.contains(&7),
    );
    let lines = GpuPrimitiveState { topology: Some(GpuPrimitiveTopology::LineStrip), ..strip_of(None) };
    let strip = drawn(topic, PIXELS, lines, &[0, 3, 15]).await;
    topic.check(
        "a strip of lines goes on from its last vertex",
        strip.starts_with(&[0, 1, 2]) && strip.contains(&7) && strip.contains(&11),
    );
    let list = primitive(GpuPrimitiveTopology::TriangleList);
    let triangles = drawn(topic, CORNERS, list, &[0, 10, 2, 12, 22, 14, 0]).await;
    topic.check(
        "each three vertices are a triangle, and a rest is none",
        triangles.contains(&0)
            && triangles.contains(&10)
            && !triangles.contains(&5)
            && !triangles.contains(&15),
    );
    let default = GpuPrimitiveState { topology: None, ..list };
    let found = drawn(topic, CORNERS, default, &[0, 10, 2, 12, 22, 14, 0]).await;
    topic.equal("triangles are the default", found, triangles);
    let strip = drawn(topic, CORNERS, strip_of(None), &[0, 20, 2, 22]).await;
    topic.equal("a strip of triangles shares edges", strip, [0, 1, 4, 5, 8, 9, 12, 13]);
}

fn strip_of(format: Option<GpuIndexFormat>) -> GpuPrimitiveState {
    // Without indices to restart at, none would do; an indexed draw needs the format.
    GpuPrimitiveState {
        strip_index_format: Some(format.unwrap_or(GpuIndexFormat::Uint32)),
        ..primitive(GpuPrimitiveTopology::TriangleStrip)
    }
}

async fn restarts(topic: &mut Topic) {
    let indices = [0, 20, 1, 21, u32::MAX, 3, 23, 4, 24];
    let found = drawn(topic, CORNERS, strip_of(None), &indices).await;
    topic.equal("the largest index of 32 bits starts a strip anew", found, [0, 3, 4, 7, 8, 11, 12, 15]);
    let short: Vec<u8> =
        [0_u16, 20, 1, 21, u16::MAX, 3, 23, 4, 24, 0].iter().flat_map(|index| index.to_le_bytes()).collect();
    let buffer = topic.buffer(GpuBufferUsage::INDEX, &short);
    let pipeline = made(topic, CORNERS, strip_of(Some(GpuIndexFormat::Uint16)));
    let pixels = topic
        .drawn([4, 4], |pass| {
            pass.set_pipeline(&pipeline);
            pass.set_index_buffer(&buffer, GpuIndexFormat::Uint16, None, Some(20));
            pass.draw_indexed(9, None, None, None, None);
        })
        .await;
    let found: Vec<usize> = (0..16).filter(|at| pixels[*at] != [0; 4]).collect();
    topic.equal("the largest index of 16 bits starts a strip anew", found, [0, 3, 4, 7, 8, 11, 12, 15]);
}

async fn faces(topic: &mut Topic) {
    // As seen on the screen, counter-clockwise and clockwise.
    let (ccw, cw) = ([0, 20, 4], [0, 4, 20]);
    for (front, cull, indices, seen) in [
        (None, None, ccw, Some(true)),
        (None, None, cw, Some(false)),
        (Some(GpuFrontFace::Ccw), Some(GpuCullMode::None), ccw, Some(true)),
        (Some(GpuFrontFace::Cw), None, ccw, Some(false)),
        (Some(GpuFrontFace::Cw), None, cw, Some(true)),
        (None, Some(GpuCullMode::Back), ccw, Some(true)),
        (None, Some(GpuCullMode::Back), cw, None),
        (None, Some(GpuCullMode::Front), ccw, None),
        (None, Some(GpuCullMode::Front), cw, Some(false)),
        (Some(GpuFrontFace::Cw), Some(GpuCullMode::Back), ccw, None),
    ] {
        let state = GpuPrimitiveState {
            front_face: front,
            cull_mode: cull,
            ..primitive(GpuPrimitiveTopology::TriangleList)
        };
        let pipeline = made(topic, CORNERS, state);
        let buffer = topic.buffer(GpuBufferUsage::INDEX, &bytes_of_words(&indices));
        let pixels = topic
            .drawn([4, 4], |pass| {
                pass.set_pipeline(&pipeline);
                pass.set_index_buffer(&buffer, GpuIndexFormat::Uint32, None, None);
                pass.draw_indexed(3, None, None, None, None);
            })
            .await;
        let found = match pixels[0] {
            WHITE => Some(true),
            [0, 0, 255, 255] => Some(false),
            _ => None,
        };
        topic.equal(
            &format!("{indices:?} with front {front:?} and cull {cull:?} shows its front"),
            found,
            seen,
        );
    }
}

async fn indices(topic: &mut Topic) {
    let pipeline = made(topic, PIXELS, primitive(GpuPrimitiveTopology::PointList));
    let long = topic.buffer(GpuBufferUsage::INDEX, &bytes_of_words(&[1, 2, 3, 4, 5, 6]));
    let short = topic.buffer(GpuBufferUsage::INDEX, &[1, 0, 2, 0, 3, 0, 4, 0]);
    let mut all = Vec::new();
    for (buffer, format, offset, count, first, base) in [
        (&long, GpuIndexFormat::Uint32, None, 2, None, None),
        (&long, GpuIndexFormat::Uint32, Some(8), 2, Some(1), None),
        (&long, GpuIndexFormat::Uint32, None, 1, None, Some(10)),
        (&long, GpuIndexFormat::Uint32, None, 2, Some(3), Some(-4)),
        (&short, GpuIndexFormat::Uint16, Some(2), 2, Some(1), None),
    ] {
        let pixels = topic
            .drawn([4, 4], |pass| {
                pass.set_pipeline(&pipeline);
                pass.set_index_buffer(buffer, format, offset, None);
                pass.draw_indexed(count, None, first, base, None);
            })
            .await;
        all.push((0..16).filter(|at| pixels[*at] == WHITE).collect::<Vec<usize>>());
    }
    let expected = [vec![1, 2], vec![4, 5], vec![11], vec![0, 1], vec![3, 4]];
    topic.equal("indices start where they are bound and add the base vertex", all, expected);
}

async fn wrong_strips(topic: &mut Topic) {
    let module = topic.shader(PIXELS);
    for topology in
        [GpuPrimitiveTopology::PointList, GpuPrimitiveTopology::LineList, GpuPrimitiveTopology::TriangleList]
    {
        let state =
            GpuPrimitiveState { strip_index_format: Some(GpuIndexFormat::Uint16), ..primitive(topology) };
        topic
            .invalid(&format!("{topology:?} is no strip"), |device| {
                device.create_render_pipeline(GpuRenderPipelineDescriptor {
                    primitive: Some(state),
                    ..pipeline(&module, [TARGET])
                })
            })
            .await;
    }
    let buffer = topic.empty_buffer(GpuBufferUsage::INDEX, 64);
    let target = topic.target(4, 4).create_view(None);
    let descriptor = pass([attachment(&target)]);
    for (what, format) in [
        ("an indexed strip needs the format of its indices", None),
        ("an indexed strip needs the format that is bound", Some(GpuIndexFormat::Uint16)),
    ] {
        let state =
            GpuPrimitiveState { strip_index_format: format, ..primitive(GpuPrimitiveTopology::LineStrip) };
        let pipeline = made(topic, PIXELS, state);
        topic
            .invalid_pass(what, &descriptor, |pass| {
                pass.set_pipeline(&pipeline);
                pass.set_index_buffer(&buffer, GpuIndexFormat::Uint32, None, None);
                pass.draw_indexed(3, None, None, None, None);
            })
            .await;
        topic
            .valid_pass("a strip without indices needs no format", &descriptor, |pass| {
                pass.set_pipeline(&pipeline);
                pass.draw(3, None, None, None);
            })
            .await;
    }
}
