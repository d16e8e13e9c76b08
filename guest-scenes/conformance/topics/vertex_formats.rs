//! Vertex formats, and how vertices are fetched: <https://www.w3.org/TR/webgpu/#vertex-formats>

use conformance::drawing::{
    TARGET, attachment, bytes_of_words, pass, pipeline, primitive, texture_2d, words,
};
use conformance::webgpu::GpuVertexFormat::*;
use conformance::webgpu::*;
use conformance::{Texel, Topic};

conformance::export_topic!(run);

async fn run(topic: &mut Topic) {
    for (format, bytes, value) in FORMATS {
        every_format(topic, *format, bytes, *value).await;
    }
    steps(topic).await;
    slots(topic).await;
    refused_layouts(topic).await;
    draws_beyond_buffers(topic).await;
}

/// What a shader gets. Components that are absent are 0, 0, 1.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Value {
    Float([f32; 4]),
    Uint([u32; 4]),
    Sint([i32; 4]),
}

use Value::{Float, Sint, Uint};

const F1: &[u8] = &[0, 0, 0x20, 0x40];
const F2: &[u8] = &[0, 0, 0x20, 0x40, 0, 0, 0xc0, 0xbf];
const F3: &[u8] = &[0, 0, 0x20, 0x40, 0, 0, 0xc0, 0xbf, 0, 0, 0, 0x3f];
const F4: &[u8] = &[0, 0, 0x20, 0x40, 0, 0, 0xc0, 0xbf, 0, 0, 0, 0x3f, 0, 0, 0x80, 0x42];
const I4: &[u8] = &[0xfe, 0xff, 0xff, 0xff, 7, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0xff, 0xff, 0x7f];

const FORMATS: &[(GpuVertexFormat, &[u8], Value)] = &[
    (Uint8, &[200], Uint([200, 0, 0, 1])),
    (Uint8x2, &[200, 7], Uint([200, 7, 0, 1])),
    (Uint8x4, &[200, 7, 255, 128], Uint([200, 7, 255, 128])),
    (Sint8, &[0x80], Sint([-128, 0, 0, 1])),
    (Sint8x2, &[0x80, 0x7f], Sint([-128, 127, 0, 1])),
    (Sint8x4, &[0x80, 0x7f, 0xff, 5], Sint([-128, 127, -1, 5])),
    (Unorm8, &[51], Float([0.2, 0.0, 0.0, 1.0])),
    (Unorm8x2, &[51, 255], Float([0.2, 1.0, 0.0, 1.0])),
    (Unorm8x4, &[51, 255, 0, 102], Float([0.2, 1.0, 0.0, 0.4])),
    (Snorm8, &[0x80], Float([-1.0, 0.0, 0.0, 1.0])),
    (Snorm8x2, &[0x81, 0x7f], Float([-1.0, 1.0, 0.0, 1.0])),
    (Snorm8x4, &[0x80, 0x7f, 0, 0x81], Float([-1.0, 1.0, 0.0, -1.0])),
    (Uint16, &[1, 0xff], Uint([65281, 0, 0, 1])),
    (Uint16x2, &[1, 0xff, 2, 0], Uint([65281, 2, 0, 1])),
    (Uint16x4, &[1, 0xff, 2, 0, 3, 1, 0xff, 0xff], Uint([65281, 2, 259, 65535])),
    (Sint16, &[0, 0x80], Sint([-32768, 0, 0, 1])),
    (Sint16x2, &[0, 0x80, 0xff, 0x7f], Sint([-32768, 32767, 0, 1])),
    (Sint16x4, &[0, 0x80, 0xff, 0x7f, 0xff, 0xff, 5, 0], Sint([-32768, 32767, -1, 5])),
    (Unorm16, &[0x33, 0x33], Float([0.2, 0.0, 0.0, 1.0])),
    (Unorm16x2, &[0x33, 0x33, 0xff, 0xff], Float([0.2, 1.0, 0.0, 1.0])),
    (Unorm16x4, &[0x33, 0x33, 0xff, 0xff, 0, 0, 0x66, 0x66], Float([0.2, 1.0, 0.0, 0.4])),
    (Snorm16, &[0, 0x80], Float([-1.0, 0.0, 0.0, 1.0])),
    (Snorm16x2, &[1, 0x80, 0xff, 0x7f], Float([-1.0, 1.0, 0.0, 1.0])),
    (Snorm16x4, &[0, 0x80, 0xff, 0x7f, 0, 0, 1, 0x80], Float([-1.0, 1.0, 0.0, -1.0])),
    (Float16, &[0, 0x41], Float([2.5, 0.0, 0.0, 1.0])),
    (Float16x2, &[0, 0x41, 0, 0xbe], Float([2.5, -1.5, 0.0, 1.0])),
    (Float16x4, &[0, 0x41, 0, 0xbe, 0, 0x38, 0, 0x54], Float([2.5, -1.5, 0.5, 64.0])),
    (Float32, F1, Float([2.5, 0.0, 0.0, 1.0])),
    (Float32x2, F2, Float([2.5, -1.5, 0.0, 1.0])),
    (Float32x3, F3, Float([2.5, -1.5, 0.5, 1.0])),
    (Float32x4, F4, Float([2.5, -1.5, 0.5, 64.0])),
    (Uint32, &[0xfe, 0xff, 0xff, 0xff], Uint([u32::MAX - 1, 0, 0, 1])),
    (Uint32x2, &[0xfe, 0xff, 0xff, 0xff, 7, 0, 0, 0], Uint([u32::MAX - 1, 7, 0, 1])),
    (Uint32x3, &[0xfe, 0xff, 0xff, 0xff, 7, 0, 0, 0, 0, 0, 0, 0x80], Uint([u32::MAX - 1, 7, 1 << 31, 1])),
    (Uint32x4, I4, Uint([u32::MAX - 1, 7, 1 << 31, i32::MAX as u32])),
    (Sint32, &[0xfe, 0xff, 0xff, 0xff], Sint([-2, 0, 0, 1])),
    (Sint32x2, &[0xfe, 0xff, 0xff, 0xff, 7, 0, 0, 0], Sint([-2, 7, 0, 1])),
    (Sint32x3, &[0xfe, 0xff, 0xff, 0xff, 7, 0, 0, 0, 0, 0, 0, 0x80], Sint([-2, 7, i32::MIN, 1])),
    (Sint32x4, I4, Sint([-2, 7, i32::MIN, i32::MAX])),
    // 0, 1023, 341 and 2: the last two bits are alpha.
    (
        Unorm1010102,
        &((1023_u32 << 10) | (341 << 20) | (2 << 30)).to_le_bytes(),
        Float([0.0, 1.0, 1.0 / 3.0, 2.0 / 3.0]),
    ),
    (Unorm8x4Bgra, &[51, 255, 0, 102], Float([0.0, 1.0, 0.2, 0.4])),
];

fn attribute(format: GpuVertexFormat, offset: u64, shader_location: u32) -> GpuVertexAttribute {
    GpuVertexAttribute { format, offset, shader_location }
}

fn layout(array_stride: u64, attributes: Vec<GpuVertexAttribute>) -> GpuVertexBufferLayout {
    GpuVertexBufferLayout { array_stride, step_mode: None, attributes }
}

/// Points, one pixel for each vertex and instance: vertices along x, instances along y of a target of 4 by 4.
fn points<'a>(
    module: &'a GpuShaderModule,
    format: GpuTextureFormat,
    buffers: Vec<Option<GpuVertexBufferLayout>>,
) -> GpuRenderPipelineDescriptor<'a> {
    let mut described = pipeline(module, [format]);
    described.vertex.buffers = Some(buffers);
    described.primitive = Some(primitive(GpuPrimitiveTopology::PointList));
    described
}

const PLACE: &str = "
    fn place(v: u32, i: u32) -> vec4f { return vec4f(f32(v) * 0.5 - 0.75, 0.75 - f32(i) * 0.5, 0, 1); }";

/// The second of three vertices, in the middle of other bytes.
async fn every_format(topic: &mut Topic, format: GpuVertexFormat, bytes: &[u8], value: Value) {
    const STRIDE: usize = 28;
    let size = bytes.len();
    // As crooked as the format may lie.
    let offset = 4 + size.min(4);
    let mut contents = vec![0xa5; 3 * STRIDE];
    contents[STRIDE + offset..][..size].copy_from_slice(bytes);
    let buffer = topic.buffer(GpuBufferUsage::VERTEX, &contents);
    let (ty, output) = match value {
        Float(_) => ("vec4f", GpuTextureFormat::Rgba32float),
        Uint(_) => ("vec4u", GpuTextureFormat::Rgba32uint),
        Sint(_) => ("vec4i", GpuTextureFormat::Rgba32sint),
    };
    let code = format!(
        "struct Between {{ @builtin(position) place: vec4f, @location(0) @interpolate(flat) value: {ty} }}
        @vertex fn vertices(@location(3) value: {ty}) -> Between {{ return Between(vec4f(0, 0, 0, 1), value); }}
        @fragment fn show(between: Between) -> @location(0) {ty} {{ return between.value; }}"
    );
    let module = topic.shader(&code);
    let what = format!("{format:?}");
    let buffers = vec![Some(layout(STRIDE as u64, vec![attribute(format, offset as u64, 3)]))];
    let pipeline =
        topic.valid(&what, |device| device.create_render_pipeline(points(&module, output, buffers))).await;
    let usage = GpuTextureUsage::RENDER_ATTACHMENT | GpuTextureUsage::COPY_SRC;
    let target = topic.device().create_texture(&texture_2d(1, 1, output, usage));
    let view = target.create_view(None);
    topic
        .valid_pass(&what, &pass([attachment(&view)]), |pass| {
            pass.set_pipeline(&pipeline);
            pass.set_vertex_buffer(0, Some(&buffer), None, None);
            pass.draw(1, None, Some(1), None);
        })
        .await;
    let found = words(&topic.texels(&target, Texel { bytes: 16, ..Texel::default() }).await);
    let found: [u32; 4] = found.try_into().expect("a texel has four words");
    match value {
        Float(value) => {
            let found = found.map(f32::from_bits);
            let near = found.iter().zip(value).all(|(found, value)| (found - value).abs() < 1e-5);
            topic.check(&format!("{format:?} is {value:?}: {found:?}"), near);
        }
        Uint(value) => topic.equal(&format!("{format:?} has its value"), found, value),
        Sint(value) => topic.equal(&format!("{format:?} has its value"), found.map(u32::cast_signed), value),
    }
}

/// A target of 4 by 4 onto which the red channel is the number that a shader was given.
async fn numbers(
    topic: &mut Topic,
    what: &str,
    shader: &str,
    buffers: Vec<Option<GpuVertexBufferLayout>>,
    record: impl FnOnce(&GpuRenderPassEncoder),
) -> Vec<u8> {
    let code = format!(
        "{PLACE}
        struct Between {{ @builtin(position) place: vec4f, @location(0) @interpolate(flat) number: u32 }}
        {shader}
        @fragment fn show(between: Between) -> @location(0) vec4f {{ return vec4f(f32(between.number) / 255.0); }}"
    );
    let module = topic.shader(&code);
    let pipeline =
        topic.valid(what, |device| device.create_render_pipeline(points(&module, TARGET, buffers))).await;
    let target = topic.target(4, 4);
    let view = target.create_view(None);
    topic
        .valid_pass(what, &pass([attachment(&view)]), |pass| {
            pass.set_pipeline(&pipeline);
            record(pass);
        })
        .await;
    topic.pixels(&target).await.into_iter().map(|pixel| pixel[0]).collect()
}

async fn steps(topic: &mut Topic) {
    let shader = "
        @vertex fn vertices(@builtin(vertex_index) v: u32, @builtin(instance_index) i: u32,
                            @location(0) a: u32, @location(1) b: u32) -> Between {
            return Between(place(v, i), a * 10 + b);
        }";
    let vertices = topic.buffer(GpuBufferUsage::VERTEX, &bytes_of_words(&[1, 2, 3, 4]));
    let instances = topic.buffer(GpuBufferUsage::VERTEX, &bytes_of_words(&[5, 0, 6, 0, 7, 0, 8]));
    let buffers = vec![
        Some(layout(4, vec![attribute(Uint32, 0, 0)])),
        Some(GpuVertexBufferLayout {
            step_mode: Some(GpuVertexStepMode::Instance),
            ..layout(8, vec![attribute(Uint32, 0, 1)])
        }),
    ];
    let found = numbers(topic, "a buffer steps by vertex, another by instance", shader, buffers, |pass| {
        pass.set_vertex_buffer(0, Some(&vertices), None, None);
        pass.set_vertex_buffer(1, Some(&instances), None, None);
        // The last instance has no bytes behind its attribute: that is enough.
        pass.draw(3, Some(3), Some(1), Some(1));
    })
    .await;
    let expected = [0, 0, 0, 0, 0, 26, 36, 46, 0, 27, 37, 47, 0, 28, 38, 48];
    topic.equal("vertices and instances start where the draw says", found, expected);

    let buffers =
        vec![Some(layout(0, vec![attribute(Uint32, 4, 0)])), Some(layout(4, vec![attribute(Uint32, 0, 1)]))];
    let found = numbers(topic, "a stride of 0", shader, buffers, |pass| {
        pass.set_vertex_buffer(0, Some(&vertices), Some(4), Some(8));
        pass.set_vertex_buffer(1, Some(&vertices), None, None);
        pass.draw(4, None, None, None);
    })
    .await;
    topic.equal("a stride of 0 gives each vertex the same", found[..4].to_vec(), [31, 32, 33, 34]);
}

async fn slots(topic: &mut Topic) {
    let shader = "
        @vertex fn vertices(@builtin(vertex_index) v: u32, @location(5) a: u32, @location(2) b: u32) -> Between {
            return Between(place(v, 0), a * 10 + b);
        }";
    let buffer = topic.buffer(GpuBufferUsage::VERTEX, &bytes_of_words(&[1, 2, 3, 4, 5, 6, 7, 8]));
    let buffers = vec![
        None,
        Some(layout(4, vec![attribute(Uint32, 0, 2)])),
        None,
        Some(layout(4, vec![])),
        Some(layout(8, vec![attribute(Uint8, 4, 5)])),
        None,
    ];
    let found = numbers(topic, "slots may be empty", shader, buffers, |pass| {
        pass.set_vertex_buffer(1, Some(&buffer), Some(16), None);
        pass.set_vertex_buffer(3, Some(&buffer), None, None);
        pass.set_vertex_buffer(4, Some(&buffer), None, None);
        pass.draw(4, None, None, None);
    })
    .await;
    topic.equal("slots keep their numbers", found[..4].to_vec(), [25, 46, 67, 88]);
}

async fn refused_layouts(topic: &mut Topic) {
    let shader = |inputs: &str| {
        format!(
            "@vertex fn vertices({inputs}) -> @builtin(position) vec4f {{ return vec4f(0); }}
            @fragment fn show() -> @location(0) vec4f {{ return vec4f(0); }}"
        )
    };
    let module = topic.shader(&shader("@location(0) a: vec4f"));
    let limits = topic.device().limits();
    let stride = u64::from(limits.max_vertex_buffer_array_stride());
    let slots = limits.max_vertex_buffers() as usize;
    let locations = limits.max_vertex_attributes();
    let one = |array_stride, attribute| vec![Some(layout(array_stride, vec![attribute]))];
    for (what, buffers) in [
        ("a stride is a multiple of four", one(18, attribute(Float32x4, 0, 0))),
        ("a stride is within its limit", one(stride + 4, attribute(Float32x4, 0, 0))),
        ("a stride does not overflow", one(u64::MAX - 3, attribute(Float32x4, 0, 0))),
        ("an attribute lies within its stride", one(16, attribute(Float32x4, 4, 0))),
        ("an attribute's offset does not overflow", one(16, attribute(Float32x4, u64::MAX - 3, 0))),
        ("an attribute without a stride lies within the limit", one(0, attribute(Float32x4, stride, 0))),
        ("an attribute's offset is a multiple of four", one(32, attribute(Float32x4, 2, 0))),
        ("an attribute of two bytes lies at a multiple of two", one(32, attribute(Float16, 1, 0))),
        ("an attribute's location is below its limit", one(16, attribute(Float32x4, 0, locations))),
        ("an attribute that a shader has is given", one(16, attribute(Float32x4, 0, 1))),
        ("an attribute has the type that a shader has", one(16, attribute(Uint32x4, 0, 0))),
        (
            "a location is given once",
            vec![Some(layout(16, vec![attribute(Float32, 0, 0), attribute(Float32, 4, 0)]))],
        ),
        (
            "a location is given once in all buffers",
            vec![
                Some(layout(16, vec![attribute(Float32, 0, 0)])),
                Some(layout(16, vec![attribute(Float32, 4, 0)])),
            ],
        ),
        ("there are as many buffers as the device says", {
            let mut buffers = one(16, attribute(Float32x4, 0, 0));
            buffers.resize(slots + 1, Some(layout(4, vec![])));
            buffers
        }),
        ("there are as many empty slots as the device says", {
            let mut buffers = one(16, attribute(Float32x4, 0, 0));
            buffers.resize(slots + 1, None);
            buffers
        }),
        ("there are as many attributes as the device says", {
            let attributes = (0..=locations).map(|location| attribute(Float32, 0, location % locations));
            vec![Some(layout(16, attributes.collect()))]
        }),
    ] {
        topic.invalid(what, |device| device.create_render_pipeline(points(&module, TARGET, buffers))).await;
    }
    for (what, buffers) in [
        ("a shader may take fewer components", one(16, attribute(Float32x4, 0, 0))),
        ("a shader may take more components", one(16, attribute(Float32, 0, 0))),
        (
            "an attribute may go unused",
            vec![Some(layout(16, vec![attribute(Float32, 0, 0), attribute(Uint8, 7, 9)]))],
        ),
        ("a stride may be as large as its limit", one(stride, attribute(Float32, stride - 4, 0))),
        (
            "the last location may be used",
            vec![Some(layout(16, vec![attribute(Float32, 0, 0), attribute(Uint8, 7, locations - 1)]))],
        ),
    ] {
        topic.valid(what, |device| device.create_render_pipeline(points(&module, TARGET, buffers))).await;
    }
}

async fn draws_beyond_buffers(topic: &mut Topic) {
    let module = topic.shader(
        "@vertex fn vertices(@location(0) a: f32, @location(1) b: f32) -> @builtin(position) vec4f { return vec4f(a, b, 0, 1); }
        @fragment fn show() -> @location(0) vec4f { return vec4f(1); }",
    );
    let buffers = vec![
        Some(layout(8, vec![attribute(Float32, 0, 0)])),
        Some(GpuVertexBufferLayout {
            step_mode: Some(GpuVertexStepMode::Instance),
            ..layout(8, vec![attribute(Float32, 4, 1)])
        }),
    ];
    let pipeline = topic.device().create_render_pipeline(points(&module, TARGET, buffers));
    // Three vertices, the last without its padding; two instances.
    let vertices = topic.empty_buffer(GpuBufferUsage::VERTEX, 20);
    let instances = topic.empty_buffer(GpuBufferUsage::VERTEX, 16);
    let indices = topic.buffer(GpuBufferUsage::INDEX, &bytes_of_words(&[0, 1, 2, 1000]));
    let target = topic.target(1, 1);
    let view = target.create_view(None);
    let descriptor = pass([attachment(&view)]);
    let set = |pass: &GpuRenderPassEncoder| {
        pass.set_pipeline(&pipeline);
        pass.set_vertex_buffer(0, Some(&vertices), None, None);
        pass.set_vertex_buffer(1, Some(&instances), None, None);
        pass.set_index_buffer(&indices, GpuIndexFormat::Uint32, None, None);
    };
    for (vertex_count, instance_count, first_vertex, first_instance, right) in [
        (3, 2, 0, 0, true),
        (1, 1, 2, 1, true),
        (0, 2, 3, 0, true),
        (4, 1, 0, 0, false),
        (3, 1, 1, 0, false),
        (3, 3, 0, 0, false),
        (3, 1, 0, 2, false),
        (u32::MAX, 1, 1, 0, false),
        (1, 1, u32::MAX, 0, false),
        (1, u32::MAX, 0, 1, false),
        (1, 1, 0, u32::MAX, false),
        (1, 0, 0, 3, false),
    ] {
        let what =
            format!("a draw of {vertex_count} from {first_vertex}, {instance_count} from {first_instance}");
        let draw = |pass: &GpuRenderPassEncoder| {
            set(pass);
            pass.draw(vertex_count, Some(instance_count), Some(first_vertex), Some(first_instance));
        };
        if right {
            topic.valid_pass(&what, &descriptor, draw).await;
        } else {
            topic.invalid_pass(&what, &descriptor, draw).await;
        }
    }
    for (index_count, instance_count, first_index, base_vertex, first_instance, right) in [
        (4, 2, 0, 0, 0, true),
        (1, 1, 3, i32::MAX, 0, true),
        (1, 1, 3, i32::MIN, 0, true),
        (5, 1, 0, 0, 0, false),
        (1, 1, 4, 0, 0, false),
        (2, 1, u32::MAX, 0, 0, false),
        (1, 3, 0, 0, 0, false),
        (1, 1, 0, 0, 2, false),
    ] {
        let what = format!(
            "an indexed draw of {index_count} from {first_index}, {instance_count} from {first_instance}"
        );
        let draw = |pass: &GpuRenderPassEncoder| {
            set(pass);
            pass.draw_indexed(
                index_count,
                Some(instance_count),
                Some(first_index),
                Some(base_vertex),
                Some(first_instance),
            );
        };
        if right {
            topic.valid_pass(&what, &descriptor, draw).await;
        } else {
            topic.invalid_pass(&what, &descriptor, draw).await;
        }
    }
    topic
        .invalid_pass("a draw needs each buffer of its pipeline", &descriptor, |pass| {
            set(pass);
            pass.set_vertex_buffer(1, None, None, None);
            pass.draw(1, None, None, None);
        })
        .await;
    topic
        .invalid_pass("an indexed draw needs indices", &descriptor, |pass| {
            pass.set_pipeline(&pipeline);
            pass.set_vertex_buffer(0, Some(&vertices), None, None);
            pass.set_vertex_buffer(1, Some(&instances), None, None);
            pass.draw_indexed(1, None, None, None, None);
        })
        .await;
    vertices.destroy();
    topic
        .invalid_submit("vertices that were destroyed are not drawn", |encoder| {
            let pass = encoder.begin_render_pass(&descriptor);
            set(&pass);
            pass.draw(1, None, None, None);
            pass.end();
        })
        .await;
}
