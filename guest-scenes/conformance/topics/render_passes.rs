//! Render passes: <https://www.w3.org/TR/webgpu/#render-passes>

use conformance::drawing::{
    COVER, TARGET, attachment, depth_attachment, extent, kept, pass, pipeline, texture_2d, view,
};
use conformance::webgpu::*;
use conformance::{Texel, Topic};

conformance::export_topic!(run);

const RED: [u8; 4] = [255, 0, 0, 255];
const NOTHING: [u8; 4] = [0, 0, 0, 0];

async fn run(topic: &mut Topic) {
    loads_and_stores(topic).await;
    several_attachments(topic).await;
    areas(topic).await;
    depth_slices(topic).await;
    wrong_color_attachments(topic).await;
    wrong_depth_attachments(topic).await;
    wrong_states(topic).await;
    after_the_end(topic).await;
    destroyed(topic).await;
}

fn red(topic: &Topic) -> GpuRenderPipeline {
    let code = format!("{COVER} @fragment fn red() -> @location(0) vec4f {{ return vec4f(1, 0, 0, 1); }}");
    topic.device().create_render_pipeline(pipeline(&topic.shader(&code), [TARGET]))
}

async fn loads_and_stores(topic: &mut Topic) {
    let target = topic.target(2, 1);
    let whole = target.create_view(None);
    let color = GpuColor { r: 0.2, g: 0.4, b: 0.6, a: 0.8 };
    topic.render(
        &pass([GpuRenderPassColorAttachment { clear_value: Some(color), ..attachment(&whole) }]),
        |_| (),
    );
    let pixels = topic.pixels(&target).await;
    topic.equal("a pass clears to its value", pixels, [[51, 102, 153, 204]; 2]);

    topic.render(&pass([kept(&whole)]), |pass| {
        pass.set_pipeline(&red(topic));
        pass.set_scissor_rect(1, 0, 1, 1);
        pass.draw(3, None, None, None);
    });
    let pixels = topic.pixels(&target).await;
    topic.equal("a pass that loads keeps what it does not draw", pixels, [[51, 102, 153, 204], RED]);

    topic.render(&pass([attachment(&whole)]), |_| ());
    let pixels = topic.pixels(&target).await;
    topic.equal("the default clear value is transparent black", pixels, [NOTHING; 2]);

    let red = red(topic);
    let discard = GpuRenderPassColorAttachment { store_op: GpuStoreOp::Discard, ..attachment(&whole) };
    topic.render(&pass([discard]), |pass| {
        pass.set_pipeline(&red);
        pass.draw(3, None, None, None);
    });
    let pixels = topic.pixels(&target).await;
    topic.equal("what a pass discards is zero", pixels, [NOTHING; 2]);

    let out_of_range = GpuColor { r: 2.0, g: -1.0, b: 0.0, a: 1.0 };
    let clear = GpuRenderPassColorAttachment { clear_value: Some(out_of_range), ..attachment(&whole) };
    topic.valid_pass("a clear value beyond a normalised format is clamped", &pass([clear]), |_| ()).await;
    let pixels = topic.pixels(&target).await;
    topic.equal("a clear value is clamped to the format", pixels, [RED; 2]);
}

async fn several_attachments(topic: &mut Topic) {
    let code = format!(
        "{COVER}
        struct Out {{ @location(0) first: vec4f, @location(2) third: vec4u, @location(3) fourth: vec4i }}
        @fragment fn all() -> Out {{ return Out(vec4f(0, 1, 0, 1), vec4u(1, 2, 3, 4000000000), vec4i(-1, 2, -3, -2000000000)); }}"
    );
    let module = topic.shader(&code);
    let formats =
        [Some(TARGET), None, Some(GpuTextureFormat::Rgba32uint), Some(GpuTextureFormat::Rgba32sint)];
    let targets = formats
        .map(|format| format.map(|format| GpuColorTargetState { format, blend: None, write_mask: None }));
    // 4 + 16 + 16 bytes: the attachments of one sample may have 32 bytes by default.
    let described = || {
        let mut described = pipeline(&module, []);
        described.fragment.as_mut().expect("it has a fragment shader").targets = targets.to_vec();
        described
    };
    topic
        .invalid("targets of more bytes than a sample may have are refused", |device| {
            device.create_render_pipeline(described())
        })
        .await;

    let code = format!(
        "{COVER}
        struct Out {{ @location(0) first: vec4f, @location(2) third: vec4u, @location(3) fourth: vec4i }}
        @fragment fn all() -> Out {{ return Out(vec4f(0, 1, 0, 1), vec4u(1, 2, 3, 40000), vec4i(-1, 2, -3, -20000)); }}"
    );
    let module = topic.shader(&code);
    let formats =
        [Some(TARGET), None, Some(GpuTextureFormat::Rgba16uint), Some(GpuTextureFormat::Rgba16sint)];
    let targets = formats
        .map(|format| format.map(|format| GpuColorTargetState { format, blend: None, write_mask: None }));
    let pipeline = topic
        .valid("a pipeline may have no target at a location", |device| {
            let mut described = pipeline(&module, []);
            described.fragment.as_mut().expect("it has a fragment shader").targets = targets.to_vec();
            device.create_render_pipeline(described)
        })
        .await;
    let usage = GpuTextureUsage::RENDER_ATTACHMENT | GpuTextureUsage::COPY_SRC;
    let textures = formats
        .map(|format| format.map(|format| topic.device().create_texture(&texture_2d(1, 1, format, usage))));
    let views = textures.each_ref().map(|texture| texture.as_ref().map(|texture| texture.create_view(None)));
    let mut descriptor = pass([]);
    descriptor.color_attachments = views.iter().map(|view| view.as_ref().map(attachment)).collect();
    topic
        .valid_pass("a pass may have no attachment at a location", &descriptor, |pass| {
            pass.set_pipeline(&pipeline);
            pass.draw(3, None, None, None);
        })
        .await;
    let wide = Texel { bytes: 8, ..Texel::default() };
    let [first, _, third, fourth] = textures.each_ref().map(Option::as_ref);
    let (first, third, fourth) = (first.expect("made"), third.expect("made"), fourth.expect("made"));
    let pixels = topic.pixels(first).await;
    topic.equal("the first attachment gets its output", pixels, [[0, 255, 0, 255]]);
    let texels = topic.texels(third, wide).await;
    let expected: Vec<u8> = [1_u16, 2, 3, 40000].iter().flat_map(|value| value.to_le_bytes()).collect();
    topic.equal("an attachment of unsigned integers gets its output", texels, expected);
    let texels = topic.texels(fourth, wide).await;
    let expected: Vec<u8> = [-1_i16, 2, -3, -20000].iter().flat_map(|value| value.to_le_bytes()).collect();
    topic.equal("an attachment of signed integers gets its output", texels, expected);
}

/// Where in a 4×4 target there is red.
fn reds(pixels: &[[u8; 4]]) -> Vec<usize> {
    (0..pixels.len()).filter(|at| pixels[*at] == RED).collect()
}

async fn areas(topic: &mut Topic) {
    let red = red(topic);
    let pixels = topic
        .drawn([4, 4], |pass| {
            pass.set_pipeline(&red);
            pass.set_viewport(1.0, 2.0, 2.0, 1.0, 0.0, 1.0);
            pass.draw(3, None, None, None);
        })
        .await;
    topic.equal("a viewport bounds what is drawn", reds(&pixels), [9, 10]);
    let pixels = topic
        .drawn([4, 4], |pass| {
            pass.set_pipeline(&red);
            pass.set_scissor_rect(3, 1, 1, 3);
            pass.draw(3, None, None, None);
        })
        .await;
    topic.equal("a scissor rectangle bounds what is drawn", reds(&pixels), [7, 11, 15]);
    let pixels = topic
        .drawn([4, 4], |pass| {
            pass.set_pipeline(&red);
            pass.set_scissor_rect(4, 4, 0, 0);
            pass.draw(3, None, None, None);
        })
        .await;
    topic.equal("an empty scissor rectangle lets nothing through", reds(&pixels), []);
    let pixels = topic
        .drawn([4, 4], |pass| {
            pass.set_pipeline(&red);
            pass.set_scissor_rect(0, 0, 1, 1);
            pass.set_viewport(0.0, 0.0, 1.0, 1.0, 0.0, 1.0);
            pass.set_scissor_rect(0, 0, 4, 4);
            pass.set_viewport(0.0, 0.0, 4.0, 4.0, 0.0, 1.0);
            pass.draw(3, None, None, None);
        })
        .await;
    topic.equal("the last viewport and scissor rectangle count", reds(&pixels).len(), 16);

    let code = "
        @vertex fn vertices(@builtin(vertex_index) v: u32, @builtin(instance_index) i: u32) -> @builtin(position) vec4f {
            let x = f32(v) * 0.5 - 0.75;
            let y = 0.75 - f32(i) * 0.5;
            return vec4f(x, y, 0, 1);
        }
        @fragment fn red() -> @location(0) vec4f { return vec4f(1, 0, 0, 1); }";
    let module = topic.shader(code);
    let points = topic.device().create_render_pipeline(GpuRenderPipelineDescriptor {
        primitive: Some(conformance::drawing::primitive(GpuPrimitiveTopology::PointList)),
        ..pipeline(&module, [TARGET])
    });
    let mut drawn = Vec::new();
    for (vertices, instances, first_vertex, first_instance) in [
        (2, None, None, None),
        (2, Some(2), None, None),
        (2, Some(1), Some(1), Some(3)),
        (0, Some(4), None, None),
        (4, Some(0), None, None),
    ] {
        let pixels = topic
            .drawn([4, 4], |pass| {
                pass.set_pipeline(&points);
                pass.draw(vertices, instances, first_vertex, first_instance);
            })
            .await;
        drawn.push(reds(&pixels));
    }
    let expected = [vec![0, 1], vec![0, 1, 4, 5], vec![13, 14], vec![], vec![]];
    topic.equal(
        "a draw has the vertices and instances that it says, by default one instance from 0",
        drawn,
        expected,
    );
}

async fn depth_slices(topic: &mut Topic) {
    let usage = GpuTextureUsage::RENDER_ATTACHMENT | GpuTextureUsage::COPY_SRC;
    let volume = topic.device().create_texture(&GpuTextureDescriptor {
        size: extent(1, 1, 3),
        dimension: Some(GpuTextureDimension::D3),
        ..texture_2d(1, 1, TARGET, usage)
    });
    let slices = volume.create_view(None);
    let red = red(topic);
    let slice = |index| GpuRenderPassColorAttachment { depth_slice: index, ..attachment(&slices) };
    topic
        .valid_pass("a depth slice is an attachment", &pass([slice(Some(1))]), |pass| {
            pass.set_pipeline(&red);
            pass.draw(3, None, None, None);
        })
        .await;
    let mut all = Vec::new();
    for layer in 0..3 {
        all.extend(topic.texels(&volume, Texel { layer, ..Texel::default() }).await);
    }
    topic.equal("one depth slice is drawn", all, [NOTHING, RED, NOTHING].concat());
    topic.invalid_pass("an attachment of a 3D texture needs its slice", &pass([slice(None)]), |_| ()).await;
    topic.invalid_pass("a slice beyond the depth is refused", &pass([slice(Some(3))]), |_| ()).await;
    topic
        .invalid_pass("one slice cannot be two attachments", &pass([slice(Some(0)), slice(Some(0))]), |_| ())
        .await;
    topic
        .valid_pass(
            "two slices of one texture can be two attachments",
            &pass([slice(Some(0)), slice(Some(2))]),
            |_| (),
        )
        .await;
    let flat = topic.target(1, 1).create_view(None);
    let flat = GpuRenderPassColorAttachment { depth_slice: Some(0), ..attachment(&flat) };
    topic.invalid_pass("an attachment of a 2D texture has no slice", &pass([flat]), |_| ()).await;
}

async fn wrong_color_attachments(topic: &mut Topic) {
    topic.invalid_pass("a pass without attachments is refused", &pass([]), |_| ()).await;
    let mut sparse = pass([]);
    sparse.color_attachments = vec![None, None];
    topic.invalid_pass("a pass with empty slots alone is refused", &sparse, |_| ()).await;

    let target = topic.target(4, 4);
    let whole = target.create_view(None);
    let nine = (0..9).map(|_| attachment(&whole));
    topic.invalid_pass("nine attachments are more than there may be", &pass(nine), |_| ()).await;
    let twice = [attachment(&whole), attachment(&whole)];
    topic.invalid_pass("one view cannot be two attachments", &pass(twice), |_| ()).await;

    let smaller = topic.target(2, 4).create_view(None);
    let sizes = [attachment(&whole), attachment(&smaller)];
    topic.invalid_pass("attachments have one size", &pass(sizes), |_| ()).await;

    let usage = GpuTextureUsage::COPY_DST;
    let unusable = topic.device().create_texture(&texture_2d(4, 4, TARGET, usage)).create_view(None);
    topic.invalid_pass("an attachment needs its usage", &pass([attachment(&unusable)]), |_| ()).await;

    let usage = GpuTextureUsage::RENDER_ATTACHMENT;
    let depth = topic.device().create_texture(&texture_2d(4, 4, GpuTextureFormat::Depth32float, usage));
    let depth = depth.create_view(None);
    topic.invalid_pass("depth is no colour attachment", &pass([attachment(&depth)]), |_| ()).await;

    let many = topic.device().create_texture(&GpuTextureDescriptor {
        size: extent(4, 4, 2),
        mip_level_count: Some(2),
        ..texture_2d(4, 4, TARGET, usage)
    });
    let layers = many.create_view(Some(&GpuTextureViewDescriptor { mip_level_count: Some(1), ..view() }));
    topic.invalid_pass("an attachment has one layer", &pass([attachment(&layers)]), |_| ()).await;
    let levels = many.create_view(Some(&GpuTextureViewDescriptor {
        dimension: Some(GpuTextureViewDimension::D2),
        array_layer_count: Some(1),
        ..view()
    }));
    topic.invalid_pass("an attachment has one mip level", &pass([attachment(&levels)]), |_| ()).await;

    for wrong in [f64::NAN, f64::INFINITY] {
        let value = GpuColor { r: wrong, g: 0.0, b: 0.0, a: 0.0 };
        let clear = GpuRenderPassColorAttachment { clear_value: Some(value), ..attachment(&whole) };
        // A browser throws a TypeError, which the interface cannot: https://webidl.spec.whatwg.org/#js-double
        topic.invalid_pass("a clear value is a finite number", &pass([clear]), |_| ()).await;
    }

    let invalid = topic.catching(|device| device.create_texture(&texture_2d(0, 0, TARGET, usage))).await.0;
    let (invalid, _) = topic.catching(|_| invalid.create_view(None)).await;
    topic.invalid_pass("an invalid view is no attachment", &pass([attachment(&invalid)]), |_| ()).await;
}

async fn wrong_depth_attachments(topic: &mut Topic) {
    let usage = GpuTextureUsage::RENDER_ATTACHMENT;
    let make = |format| topic.device().create_texture(&texture_2d(4, 4, format, usage)).create_view(None);
    let depth = make(GpuTextureFormat::Depth32float);
    let stencil = make(GpuTextureFormat::Stencil8);
    let both = make(GpuTextureFormat::Depth24plusStencil8);
    let color = make(TARGET);
    let only =
        |attachment| GpuRenderPassDescriptor { depth_stencil_attachment: Some(attachment), ..pass([]) };
    let none = |view| GpuRenderPassDepthStencilAttachment {
        depth_clear_value: None,
        depth_load_op: None,
        depth_store_op: None,
        ..depth_attachment(view, 0.0)
    };

    topic.valid_pass("depth alone is enough for a pass", &only(depth_attachment(&depth, 1.0)), |_| ()).await;
    topic.invalid_pass("colour is no depth attachment", &only(depth_attachment(&color, 1.0)), |_| ()).await;
    for value in [-0.1, 1.1, f32::NAN] {
        topic
            .invalid_pass("depth is cleared to 0 to 1", &only(depth_attachment(&depth, value)), |_| ())
            .await;
    }
    let cleared_to_nothing =
        GpuRenderPassDepthStencilAttachment { depth_clear_value: None, ..depth_attachment(&depth, 0.0) };
    topic.invalid_pass("to clear depth needs a value", &only(cleared_to_nothing), |_| ()).await;
    topic.invalid_pass("depth needs operations", &only(none(&depth)), |_| ()).await;
    let load_alone =
        GpuRenderPassDepthStencilAttachment { depth_store_op: None, ..depth_attachment(&depth, 0.0) };
    topic.invalid_pass("depth needs a store operation", &only(load_alone), |_| ()).await;
    let read_only =
        GpuRenderPassDepthStencilAttachment { depth_read_only: Some(true), ..depth_attachment(&depth, 0.0) };
    topic.invalid_pass("read-only depth has no operations", &only(read_only), |_| ()).await;
    let read_only = GpuRenderPassDepthStencilAttachment { depth_read_only: Some(true), ..none(&depth) };
    topic.valid_pass("depth may be read-only", &only(read_only), |_| ()).await;
    topic.invalid_pass("stencil needs operations", &only(depth_attachment(&both, 0.0)), |_| ()).await;
    let stencil_operations = |view| GpuRenderPassDepthStencilAttachment {
        stencil_load_op: Some(GpuLoadOp::Clear),
        stencil_store_op: Some(GpuStoreOp::Store),
        ..none(view)
    };
    topic.valid_pass("stencil is cleared to 0 by default", &only(stencil_operations(&stencil)), |_| ()).await;
    topic
        .invalid_pass(
            "an aspect that is not there has no operations",
            &only(stencil_operations(&depth)),
            |_| (),
        )
        .await;
    topic
        .invalid_pass("depth of depth and stencil needs operations", &only(stencil_operations(&both)), |_| ())
        .await;

    let target = topic.target(4, 4);
    let whole = target.create_view(None);
    let small = topic.device().create_texture(&texture_2d(2, 2, GpuTextureFormat::Depth32float, usage));
    let small = small.create_view(None);
    let sizes = GpuRenderPassDescriptor {
        depth_stencil_attachment: Some(depth_attachment(&small, 0.0)),
        ..pass([attachment(&whole)])
    };
    topic.invalid_pass("depth has the size of colour", &sizes, |_| ()).await;
}

async fn wrong_states(topic: &mut Topic) {
    let target = topic.target(4, 4);
    let whole = target.create_view(None);
    let descriptor = pass([attachment(&whole)]);
    let viewports: [(&str, [f32; 6]); 6] = [
        ("a viewport has no negative width", [0.0, 0.0, -1.0, 4.0, 0.0, 1.0]),
        ("a viewport is below the size that it may have", [0.0, 0.0, 1e9, 4.0, 0.0, 1.0]),
        ("a viewport is a number", [f32::NAN, 0.0, 4.0, 4.0, 0.0, 1.0]),
        ("a viewport's depth is 0 or more", [0.0, 0.0, 4.0, 4.0, -0.5, 1.0]),
        ("a viewport's depth is 1 or less", [0.0, 0.0, 4.0, 4.0, 0.0, 1.5]),
        ("a viewport's depths are ordered", [0.0, 0.0, 4.0, 4.0, 0.9, 0.1]),
    ];
    for (what, [x, y, width, height, min, max]) in viewports {
        topic.invalid_pass(what, &descriptor, |pass| pass.set_viewport(x, y, width, height, min, max)).await;
    }
    topic
        .valid_pass("a viewport may reach beyond the target", &descriptor, |pass| {
            pass.set_viewport(-2.0, -2.0, 8.0, 8.0, 0.0, 0.0);
        })
        .await;
    for [x, y, width, height] in [[0, 0, 5, 1], [4, 0, 1, 1], [0, 1, 1, 4], [u32::MAX, 0, 2, 1]] {
        let what = "a scissor rectangle lies within the target";
        topic.invalid_pass(what, &descriptor, |pass| pass.set_scissor_rect(x, y, width, height)).await;
    }
    topic.invalid_pass("a draw needs a pipeline", &descriptor, |pass| pass.draw(3, None, None, None)).await;
    topic
        .invalid_pass("a draw of nothing needs a pipeline", &descriptor, |pass| {
            pass.draw(0, None, None, None)
        })
        .await;
    let red = red(topic);
    topic
        .invalid_pass("an indexed draw needs indices", &descriptor, |pass| {
            pass.set_pipeline(&red);
            pass.draw_indexed(3, None, None, None, None);
        })
        .await;
    let usage = GpuTextureUsage::RENDER_ATTACHMENT;
    let other = topic.device().create_texture(&texture_2d(4, 4, GpuTextureFormat::R8unorm, usage));
    let other = other.create_view(None);
    topic
        .invalid_pass("a pipeline has the formats of its pass", &pass([attachment(&other)]), |pass| {
            pass.set_pipeline(&red);
            pass.draw(3, None, None, None);
        })
        .await;
    let limited = GpuRenderPassDescriptor { max_draw_count: Some(2), ..pass([attachment(&whole)]) };
    topic
        .valid_pass("as many draws as a pass may have are right", &limited, |pass| {
            pass.set_pipeline(&red);
            pass.draw(3, None, None, None);
            pass.draw(3, None, None, None);
        })
        .await;
    topic
        .invalid_pass("a pass has no more draws than it may have", &limited, |pass| {
            pass.set_pipeline(&red);
            for _ in 0..3 {
                pass.draw(3, None, None, None);
            }
        })
        .await;
    topic
        .invalid_pass("a debug group is closed in its pass", &descriptor, |pass| {
            pass.push_debug_group("open")
        })
        .await;
    topic
        .invalid_pass(
            "a debug group is opened before it is closed",
            &descriptor,
            GpuRenderPassEncoder::pop_debug_group,
        )
        .await;
    topic
        .valid_pass("debug groups and markers draw nothing", &descriptor, |pass| {
            pass.push_debug_group("outer");
            pass.insert_debug_marker("marker");
            pass.pop_debug_group();
            pass.set_label("renamed");
        })
        .await;
    let usage = GpuBufferUsage::COPY_DST;
    let plain = topic.empty_buffer(usage, 64);
    topic
        .invalid_pass("vertices need a buffer with VERTEX", &descriptor, |pass| {
            pass.set_vertex_buffer(0, Some(&plain), None, None);
        })
        .await;
    topic
        .invalid_pass("indices need a buffer with INDEX", &descriptor, |pass| {
            pass.set_index_buffer(&plain, GpuIndexFormat::Uint16, None, None);
        })
        .await;
    let right = topic.empty_buffer(GpuBufferUsage::VERTEX | GpuBufferUsage::INDEX, 64);
    for (offset, size) in
        [(Some(2), None), (Some(68), None), (Some(4), Some(64)), (Some(u64::MAX - 3), Some(8))]
    {
        topic
            .invalid_pass(
                "bound vertices lie within their buffer, at a multiple of four",
                &descriptor,
                |pass| {
                    pass.set_vertex_buffer(0, Some(&right), offset, size);
                },
            )
            .await;
    }
    for (format, offset, size) in [
        (GpuIndexFormat::Uint16, Some(1), None),
        (GpuIndexFormat::Uint32, Some(2), None),
        (GpuIndexFormat::Uint16, Some(2), Some(64)),
        (GpuIndexFormat::Uint16, Some(66), None),
    ] {
        topic
            .invalid_pass(
                "bound indices lie within their buffer, at a multiple of their size",
                &descriptor,
                |pass| {
                    pass.set_index_buffer(&right, format, offset, size);
                },
            )
            .await;
    }
    topic
        .valid_pass("no vertices may be bound", &descriptor, |pass| {
            pass.set_vertex_buffer(0, Some(&right), Some(64), None);
            pass.set_vertex_buffer(7, None, None, None);
        })
        .await;
    let nothing = topic.empty_buffer(GpuBufferUsage::VERTEX | GpuBufferUsage::INDEX, 0);
    for (what, buffer, offset) in [
        ("no bytes of a buffer may be bound", &right, 64),
        ("no bytes within a buffer may be bound", &right, 4),
        ("a buffer of no bytes may be bound", &nothing, 0),
    ] {
        let bind = |pass: &GpuRenderPassEncoder| {
            pass.set_pipeline(&red);
            pass.set_vertex_buffer(0, Some(buffer), Some(offset), Some(0));
            pass.set_index_buffer(buffer, GpuIndexFormat::Uint16, Some(offset), Some(0));
        };
        topic
            .valid_pass(&format!("{what}, for draws of no indices"), &descriptor, |pass| {
                bind(pass);
                pass.draw_indexed(0, None, None, None, None);
            })
            .await;
        topic
            .invalid_pass(&format!("{what}, and not for draws of indices"), &descriptor, |pass| {
                bind(pass);
                pass.draw_indexed(1, None, None, None, None);
            })
            .await;
    }
    for (what, buffer, offset) in [
        ("no indices lie at a multiple of their size", &right, 2),
        ("no indices lie within their buffer", &right, 68),
        ("no indices need a buffer with INDEX", &plain, 0),
        ("no indices of nothing need a buffer with INDEX", &topic.empty_buffer(usage, 0), 0),
    ] {
        topic
            .invalid_pass(what, &descriptor, |pass| {
                pass.set_index_buffer(buffer, GpuIndexFormat::Uint32, Some(offset), Some(0));
            })
            .await;
    }
    let vertices = vertices(topic);
    topic
        .valid_pass("a draw of no vertices reads no bytes", &descriptor, |pass| {
            pass.set_pipeline(&vertices);
            pass.set_vertex_buffer(0, Some(&right), Some(64), None);
            pass.draw(0, None, None, None);
        })
        .await;
    topic
        .invalid_pass("a draw of a vertex reads its bytes", &descriptor, |pass| {
            pass.set_pipeline(&vertices);
            pass.set_vertex_buffer(0, Some(&right), Some(64), None);
            pass.draw(1, None, None, None);
        })
        .await;
    let slots = topic.device().limits().max_vertex_buffers();
    topic
        .invalid_pass("there are as many slots as the device says", &descriptor, |pass| {
            pass.set_vertex_buffer(slots, Some(&right), None, None);
        })
        .await;
    topic
        .invalid_pass("there are as many empty slots as the device says", &descriptor, |pass| {
            pass.set_vertex_buffer(slots, None, None, None);
        })
        .await;
}

/// A pipeline that reads vertices of two bytes.
fn vertices(topic: &Topic) -> GpuRenderPipeline {
    let module = topic.shader(
        "@vertex fn vertices(@location(0) at: vec2f) -> @builtin(position) vec4f { return vec4f(at, 0, 1); }
        @fragment fn draw() -> @location(0) vec4f { return vec4f(1); }",
    );
    let mut described = pipeline(&module, [TARGET]);
    described.vertex.buffers = Some(vec![Some(GpuVertexBufferLayout {
        array_stride: 4,
        step_mode: None,
        attributes: vec![GpuVertexAttribute {
            format: GpuVertexFormat::Unorm8x2,
            offset: 0,
            shader_location: 0,
        }],
    })]);
    topic.device().create_render_pipeline(described)
}

async fn after_the_end(topic: &mut Topic) {
    let target = topic.target(1, 1);
    let whole = target.create_view(None);
    let red = red(topic);
    let encoder = topic.device().create_command_encoder(None);
    let ended = encoder.begin_render_pass(&pass([attachment(&whole)]));
    ended.end();
    topic
        .invalid("a draw after the end is an error of the device", |_| {
            ended.set_pipeline(&red);
        })
        .await;
    topic.invalid("a pass ends once", |_| ended.end()).await;
    topic.valid("what comes after the end leaves the commands as they are", |_| encoder.finish(None)).await;

    let open = |encoder: &GpuCommandEncoder| {
        let open = encoder.begin_render_pass(&pass([attachment(&whole)]));
        encoder.push_debug_group("locked");
        open.end();
    };
    topic.invalid_commands("an encoder is locked while its pass is open", open).await;
    let mut left_open = None;
    let leave_open = |encoder: &GpuCommandEncoder| {
        left_open = Some(encoder.begin_render_pass(&pass([attachment(&whole)])));
    };
    topic.invalid_commands("a pass that is open cannot be finished", leave_open).await;
    let dropped = |encoder: &GpuCommandEncoder| drop(encoder.begin_render_pass(&pass([attachment(&whole)])));
    topic.invalid_commands("a pass that was dropped open was not ended", dropped).await;
}

async fn destroyed(topic: &mut Topic) {
    let target = topic.target(1, 1);
    let whole = target.create_view(None);
    target.destroy();
    topic
        .invalid_submit("a texture that was destroyed cannot be drawn on", |encoder| {
            encoder.begin_render_pass(&pass([attachment(&whole)])).end();
        })
        .await;
}
