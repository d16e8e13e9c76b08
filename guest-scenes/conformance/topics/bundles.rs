//! Render bundles: <https://www.w3.org/TR/webgpu/#bundles>

use conformance::Topic;
use conformance::drawing::{
    TARGET, attachment, bytes_of_words, depth_attachment, depth_stencil, floats, kept, multisample, pass,
    pipeline, primitive, texture_2d,
};
use conformance::webgpu::*;

conformance::export_topic!(run);

async fn run(topic: &mut Topic) {
    let drawing = Drawing::new(topic);
    properties(topic).await;
    draws(topic, &drawing).await;
    state_is_reset(topic, &drawing).await;
    several(topic, &drawing).await;
    lifetimes(topic, &drawing).await;
    wrong_encoders(topic).await;
    wrong_commands(topic, &drawing).await;
    wrong_passes(topic, &drawing).await;
}

fn encoder_of(format: GpuTextureFormat) -> GpuRenderBundleEncoderDescriptor {
    GpuRenderBundleEncoderDescriptor {
        depth_read_only: None,
        stencil_read_only: None,
        color_formats: vec![Some(format)],
        depth_stencil_format: None,
        sample_count: None,
        label: None,
    }
}

/// A pipeline that needs all that can be set: points at numbers from a buffer, in a colour that is bound at a dynamic offset.
struct Drawing {
    pipeline: GpuRenderPipeline,
    numbers: GpuBuffer,
    indices: GpuBuffer,
    counts: GpuBuffer,
    colors: GpuBindGroup,
}

impl Drawing {
    fn new(topic: &Topic) -> Self {
        let module = topic.shader(
            "@group(0) @binding(0) var<uniform> color: vec4f;
            @vertex fn vertices(@location(0) at: u32, @builtin(instance_index) i: u32) -> @builtin(position) vec4f {
                return vec4f(f32(at) * 0.5 - 0.75, 0.75 - f32(i) * 0.5, 0, 1);
            }
            @fragment fn draw() -> @location(0) vec4f { return color; }",
        );
        let layout = topic.device().create_bind_group_layout(&GpuBindGroupLayoutDescriptor {
            entries: vec![GpuBindGroupLayoutEntry {
                binding: 0,
                visibility: GpuShaderStage::FRAGMENT,
                buffer: Some(GpuBufferBindingLayout {
                    type_: None,
                    has_dynamic_offset: Some(true),
                    min_binding_size: None,
                }),
                sampler: None,
                texture: None,
                storage_texture: None,
            }],
            label: None,
        });
        let groups = topic.device().create_pipeline_layout(&GpuPipelineLayoutDescriptor {
            bind_group_layouts: vec![Some(&layout)],
            immediate_size: None,
            label: None,
        });
        let mut described = pipeline(&module, [TARGET]);
        described.layout = GpuLayoutMode::Specific(&groups);
        described.primitive = Some(primitive(GpuPrimitiveTopology::PointList));
        described.vertex.buffers = Some(vec![Some(GpuVertexBufferLayout {
            array_stride: 4,
            step_mode: None,
            attributes: vec![GpuVertexAttribute {
                format: GpuVertexFormat::Uint32,
                offset: 0,
                shader_location: 0,
            }],
        })]);
        let pipeline = topic.device().create_render_pipeline(described);
        let mut colors = floats(&[1.0, 0.0, 0.0, 1.0]);
        colors.resize(256, 0);
        colors.extend(floats(&[0.0, 1.0, 0.0, 1.0]));
        let colors = topic.buffer(GpuBufferUsage::UNIFORM, &colors);
        let binding = GpuBufferBinding { buffer: &colors, offset: None, size: Some(16) };
        Self {
            pipeline,
            numbers: topic.buffer(GpuBufferUsage::VERTEX, &bytes_of_words(&[0, 1, 2, 3])),
            indices: topic.buffer(GpuBufferUsage::INDEX, &bytes_of_words(&[3, 2, 1, 0])),
            counts: topic.buffer(GpuBufferUsage::INDIRECT, &bytes_of_words(&[1, 1, 2, 0, 0, 1, 1, 0, 0, 0])),
            colors: topic.gpu.bind_group("", &layout, vec![GpuBindingResource::GpuBufferBinding(binding)]),
        }
    }

    /// All but a draw; in red or in green.
    fn set(&self, encoder: &GpuRenderBundleEncoder, offset: u32) {
        encoder.set_pipeline(&self.pipeline);
        let set = encoder.set_bind_group(0, Some(&self.colors), Some(&[7, offset, 7]), Some(1), Some(1));
        set.expect("the offset is in the list");
        encoder.set_vertex_buffer(0, Some(&self.numbers), None, None);
        encoder.set_index_buffer(&self.indices, GpuIndexFormat::Uint32, None, None);
    }
}

/// The pixels of a target of 4 by 4 by their first letters, `.` for nothing.
fn letters(pixels: &[[u8; 4]]) -> String {
    let letter = |pixel: &[u8; 4]| match pixel {
        [255, 0, 0, 255] => 'r',
        [0, 255, 0, 255] => 'g',
        [0, 0, 0, 0] => '.',
        _ => '?',
    };
    pixels.iter().map(letter).collect()
}

async fn bundle(
    topic: &mut Topic,
    what: &str,
    record: impl FnOnce(&GpuRenderBundleEncoder),
) -> GpuRenderBundle {
    topic
        .valid(what, |device| {
            let encoder = device.create_render_bundle_encoder(&encoder_of(TARGET));
            record(&encoder);
            encoder.finish(None)
        })
        .await
}

async fn properties(topic: &mut Topic) {
    let described = GpuRenderBundleEncoderDescriptor { label: Some("encoder".into()), ..encoder_of(TARGET) };
    let encoder = topic.device().create_render_bundle_encoder(&described);
    topic.equal("a bundle encoder keeps its label", encoder.label(), "encoder");
    encoder.set_label("other");
    topic.equal("a bundle encoder takes a new label", encoder.label(), "other");
    let bundle = encoder.finish(Some(&GpuRenderBundleDescriptor { label: Some("bundle".into()) }));
    topic.equal("a bundle keeps its label", bundle.label(), "bundle");
    bundle.set_label("other");
    topic.equal("a bundle takes a new label", bundle.label(), "other");
}

async fn draws(topic: &mut Topic, drawing: &Drawing) {
    let drawn = bundle(topic, "a draw in a bundle", |encoder| {
        drawing.set(encoder, 0);
        encoder.draw(2, Some(2), Some(1), None);
    })
    .await;
    let pixels = topic.drawn([4, 4], |pass| pass.execute_bundles(&[&drawn])).await;
    topic.equal("a bundle draws", letters(&pixels), ".rr..rr.........");
    let indexed = bundle(topic, "an indexed draw in a bundle", |encoder| {
        drawing.set(encoder, 256);
        encoder.draw_indexed(1, Some(1), Some(2), Some(2), Some(3));
    })
    .await;
    let pixels = topic.drawn([4, 4], |pass| pass.execute_bundles(&[&indexed])).await;
    topic.equal("a bundle draws indices", letters(&pixels), "...............g");
    let indirect = bundle(topic, "indirect draws in a bundle", |encoder| {
        encoder.push_debug_group("group");
        drawing.set(encoder, 0);
        encoder.draw_indirect(&drawing.counts, 0);
        encoder.insert_debug_marker("marker");
        let set = encoder.set_bind_group(0, Some(&drawing.colors), Some(&[256]), None, None);
        set.expect("the offset is in the list");
        encoder.draw_indexed_indirect(&drawing.counts, 20);
        encoder.pop_debug_group();
    })
    .await;
    let pixels = topic.drawn([4, 4], |pass| pass.execute_bundles(&[&indirect])).await;
    topic.equal("a bundle draws what a buffer counts", letters(&pixels), "..rg............");
    let part = bundle(topic, "a part of a buffer in a bundle", |encoder| {
        drawing.set(encoder, 0);
        encoder.set_vertex_buffer(0, Some(&drawing.numbers), Some(8), Some(8));
        encoder.set_index_buffer(&drawing.indices, GpuIndexFormat::Uint32, Some(8), Some(8));
        encoder.draw_indexed(1, None, Some(1), None, None);
        encoder.set_vertex_buffer(3, None, None, None);
    })
    .await;
    let pixels = topic.drawn([4, 4], |pass| pass.execute_bundles(&[&part])).await;
    topic.equal("a bundle binds parts of buffers", letters(&pixels), "..r.............");
}

/// <https://www.w3.org/TR/webgpu/#dom-gpurenderpassencoder-executebundles>
async fn state_is_reset(topic: &mut Topic, drawing: &Drawing) {
    let drawn = bundle(topic, "a draw in a bundle", |encoder| {
        drawing.set(encoder, 0);
        encoder.draw(1, None, None, None);
    })
    .await;
    let target = topic.target(4, 4).create_view(None);
    let descriptor = pass([attachment(&target)]);
    let set = |pass: &GpuRenderPassEncoder| {
        pass.set_pipeline(&drawing.pipeline);
        pass.set_bind_group(0, Some(&drawing.colors), Some(&[256]), None, None)
            .expect("the offset is in the list");
        pass.set_vertex_buffer(0, Some(&drawing.numbers), None, None);
    };
    topic
        .invalid_pass("a bundle leaves no pipeline behind", &descriptor, |pass| {
            pass.execute_bundles(&[&drawn]);
            pass.draw(1, None, None, None);
        })
        .await;
    topic
        .invalid_pass("a bundle clears what the pass had set", &descriptor, |pass| {
            set(pass);
            pass.execute_bundles(&[&drawn]);
            pass.draw(1, None, None, None);
        })
        .await;
    topic
        .invalid_pass("no bundles clear what the pass had set", &descriptor, |pass| {
            set(pass);
            pass.execute_bundles(&[]);
            pass.draw(1, None, None, None);
        })
        .await;
    topic
        .invalid_pass("no bundles clear the bind groups of a pass", &descriptor, |pass| {
            set(pass);
            pass.execute_bundles(&[]);
            pass.set_pipeline(&drawing.pipeline);
            pass.set_vertex_buffer(0, Some(&drawing.numbers), None, None);
            pass.draw(1, None, None, None);
        })
        .await;
    topic
        .invalid_pass("no bundles clear the vertices of a pass", &descriptor, |pass| {
            set(pass);
            pass.execute_bundles(&[]);
            pass.set_pipeline(&drawing.pipeline);
            pass.set_bind_group(0, Some(&drawing.colors), Some(&[256]), None, None)
                .expect("the offset is in the list");
            pass.draw(1, None, None, None);
        })
        .await;
    topic
        .valid_pass("after no bundles all can be set again", &descriptor, |pass| {
            for _ in 0..3 {
                set(pass);
                pass.execute_bundles(&[]);
            }
            set(pass);
            pass.draw(1, None, None, None);
        })
        .await;
    let inherits = |device: &GpuDevice| {
        let encoder = device.create_render_bundle_encoder(&encoder_of(TARGET));
        encoder.draw(1, None, None, None);
        encoder.finish(None)
    };
    topic.invalid("a bundle takes nothing from a pass", inherits).await;
    let pixels = topic
        .drawn([4, 4], |pass| {
            pass.set_scissor_rect(1, 0, 3, 4);
            pass.execute_bundles(&[&drawn]);
            set(pass);
            pass.draw(4, None, None, Some(1));
        })
        .await;
    topic.equal("a scissor rectangle outlives bundles", letters(&pixels), ".....ggg........");
}

async fn several(topic: &mut Topic, drawing: &Drawing) {
    let red = bundle(topic, "red", |encoder| {
        drawing.set(encoder, 0);
        encoder.draw(3, None, None, None);
    })
    .await;
    let green = bundle(topic, "green", |encoder| {
        drawing.set(encoder, 256);
        encoder.draw(2, None, Some(2), None);
    })
    .await;
    let pixels = topic.drawn([4, 4], |pass| pass.execute_bundles(&[&red, &green])).await;
    topic.equal("bundles are executed in their order", letters(&pixels), "rrgg............");
    let pixels = topic.drawn([4, 4], |pass| pass.execute_bundles(&[&green, &red, &green, &red])).await;
    topic.equal("a bundle may be executed again", letters(&pixels), "rrrg............");
    let empty = bundle(topic, "an empty bundle", |_| ()).await;
    let pixels = topic.drawn([4, 4], |pass| pass.execute_bundles(&[&empty])).await;
    topic.equal("an empty bundle draws nothing", letters(&pixels), "................");
    let target = topic.target(4, 4);
    let view = target.create_view(None);
    topic.render(&pass([attachment(&view)]), |pass| pass.execute_bundles(&[&red]));
    topic.render(&pass([kept(&view)]), |pass| pass.execute_bundles(&[&green]));
    let pixels = topic.pixels(&target).await;
    topic.equal("bundles serve several passes", letters(&pixels), "rrgg............");
}

async fn lifetimes(topic: &mut Topic, drawing: &Drawing) {
    let kept = {
        let own = Drawing::new(topic);
        bundle(topic, "a bundle of what is dropped", |encoder| {
            own.set(encoder, 0);
            encoder.draw(4, None, None, None);
        })
        .await
    };
    let pixels = topic.drawn([4, 4], |pass| pass.execute_bundles(&[&kept])).await;
    topic.equal("a bundle keeps what it uses", letters(&pixels), "rrrr............");
    let numbers = topic.buffer(GpuBufferUsage::VERTEX, &bytes_of_words(&[0, 1, 2, 3]));
    let uses = bundle(topic, "a bundle of what is destroyed", |encoder| {
        drawing.set(encoder, 0);
        encoder.set_vertex_buffer(0, Some(&numbers), None, None);
        encoder.draw(1, None, None, None);
    })
    .await;
    numbers.destroy();
    let view = topic.target(4, 4).create_view(None);
    topic
        .invalid_submit("a bundle does not revive what was destroyed", |encoder| {
            let pass = encoder.begin_render_pass(&pass([attachment(&view)]));
            pass.execute_bundles(&[&uses]);
            pass.end();
        })
        .await;
}

async fn wrong_encoders(topic: &mut Topic) {
    let depth = GpuTextureFormat::Depth24plusStencil8;
    let none = GpuRenderBundleEncoderDescriptor { color_formats: vec![], ..encoder_of(TARGET) };
    for (what, descriptor) in [
        ("a bundle has an attachment", none.clone()),
        (
            "a bundle has more than empty slots",
            GpuRenderBundleEncoderDescriptor { color_formats: vec![None; 3], ..none.clone() },
        ),
        (
            "a bundle has as many attachments as a pass",
            GpuRenderBundleEncoderDescriptor {
                color_formats: vec![Some(GpuTextureFormat::R8unorm); 9],
                ..none.clone()
            },
        ),
        (
            "the attachments of a bundle have the bytes that a sample may have",
            GpuRenderBundleEncoderDescriptor {
                color_formats: vec![Some(GpuTextureFormat::Rgba32float); 3],
                ..none.clone()
            },
        ),
        ("depth is no colour", encoder_of(depth)),
        (
            "a colour is no depth",
            GpuRenderBundleEncoderDescriptor { depth_stencil_format: Some(TARGET), ..none.clone() },
        ),
        ("a format that is not drawn on is no attachment", encoder_of(GpuTextureFormat::Rgb9e5ufloat)),
    ] {
        let encoder = topic.invalid(what, |device| device.create_render_bundle_encoder(&descriptor)).await;
        topic.invalid("an invalid encoder gives no valid bundle", |_| encoder.finish(None)).await;
    }
    for (what, descriptor) in [
        (
            "depth alone is enough",
            GpuRenderBundleEncoderDescriptor { depth_stencil_format: Some(depth), ..none.clone() },
        ),
        (
            "depth and stencil may be read-only",
            GpuRenderBundleEncoderDescriptor {
                depth_stencil_format: Some(depth),
                depth_read_only: Some(true),
                stencil_read_only: Some(true),
                ..none
            },
        ),
        (
            "slots may be empty",
            GpuRenderBundleEncoderDescriptor {
                color_formats: vec![None, Some(TARGET), None],
                ..encoder_of(TARGET)
            },
        ),
    ] {
        topic.valid(what, |device| device.create_render_bundle_encoder(&descriptor).finish(None)).await;
    }
}

async fn wrong_commands(topic: &mut Topic, drawing: &Drawing) {
    let plain = topic.empty_buffer(GpuBufferUsage::COPY_DST, 64);
    type Record<'a> = Box<dyn Fn(&GpuRenderBundleEncoder) + 'a>;
    let commands: Vec<(&str, Record<'_>)> = vec![
        (
            "vertices have their usage",
            Box::new(|encoder| encoder.set_vertex_buffer(0, Some(&plain), None, None)),
        ),
        (
            "vertices lie within their buffer",
            Box::new(|encoder| encoder.set_vertex_buffer(0, Some(&drawing.numbers), Some(20), None)),
        ),
        (
            "indices have their usage",
            Box::new(|encoder| encoder.set_index_buffer(&plain, GpuIndexFormat::Uint16, None, None)),
        ),
        (
            "indices lie at a multiple of their size",
            Box::new(|encoder| {
                encoder.set_index_buffer(&drawing.indices, GpuIndexFormat::Uint32, Some(2), None)
            }),
        ),
        (
            "counts have their usage",
            Box::new(|encoder| {
                drawing.set(encoder, 0);
                encoder.draw_indirect(&plain, 0);
            }),
        ),
        (
            "counts lie within their buffer",
            Box::new(|encoder| {
                drawing.set(encoder, 0);
                encoder.draw_indirect(&drawing.counts, 36);
            }),
        ),
        (
            "vertices are enough for a draw",
            Box::new(|encoder| {
                drawing.set(encoder, 0);
                encoder.draw(5, None, None, None);
            }),
        ),
        (
            "indices are enough for a draw",
            Box::new(|encoder| {
                drawing.set(encoder, 0);
                encoder.draw_indexed(5, None, None, None, None);
            }),
        ),
        (
            "a draw's counts do not overflow",
            Box::new(|encoder| {
                drawing.set(encoder, 0);
                encoder.draw(u32::MAX, None, Some(1), None);
            }),
        ),
        (
            "a draw needs its bind groups",
            Box::new(|encoder| {
                encoder.set_pipeline(&drawing.pipeline);
                encoder.set_vertex_buffer(0, Some(&drawing.numbers), None, None);
                encoder.draw(1, None, None, None);
            }),
        ),
        (
            "a bind group needs its offsets",
            Box::new(|encoder| {
                encoder
                    .set_bind_group(0, Some(&drawing.colors), None, None, None)
                    .expect("there are no offsets");
            }),
        ),
        (
            "an offset is aligned",
            Box::new(|encoder| {
                encoder
                    .set_bind_group(0, Some(&drawing.colors), Some(&[4]), None, None)
                    .expect("it is in the list");
            }),
        ),
        (
            "a bind group has a number below the limit",
            Box::new(|encoder| {
                encoder.set_bind_group(4, None, None, None, None).expect("there are no offsets");
            }),
        ),
        ("a debug group is closed", Box::new(|encoder| encoder.push_debug_group("open"))),
        ("a debug group is opened", Box::new(|encoder| encoder.pop_debug_group())),
    ];
    for (what, record) in &commands {
        let encoder = topic.device().create_render_bundle_encoder(&encoder_of(TARGET));
        let ((), early) = topic.catching(|_| record(&encoder)).await;
        let (wrong, late) = topic.catching(|_| encoder.finish(None)).await;
        let kinds = (early, late.map(|error| error.kind));
        topic.equal(
            &format!("{what}: the error comes from finish"),
            kinds,
            (None, Some(GpuErrorFilter::Validation)),
        );
        let view = topic.target(4, 4).create_view(None);
        let execute = |pass: &GpuRenderPassEncoder| pass.execute_bundles(&[&wrong]);
        topic.invalid_pass("an invalid bundle is not executed", &pass([attachment(&view)]), execute).await;
    }
    let range = topic.device().create_render_bundle_encoder(&encoder_of(TARGET));
    let error = range.set_bind_group(0, Some(&drawing.colors), Some(&[0]), Some(1), Some(1));
    let is_range = error.is_err_and(|error| matches!(error.kind, SetBindGroupErrorKind::RangeError));
    topic.check("offsets beyond their list are a RangeError", is_range);
    let finished = topic.device().create_render_bundle_encoder(&encoder_of(TARGET));
    finished.finish(None);
    topic.invalid("a bundle is finished once", |_| finished.finish(None)).await;
    topic.invalid("a finished encoder takes no commands", |_| finished.draw(1, None, None, None)).await;
}

async fn wrong_passes(topic: &mut Topic, drawing: &Drawing) {
    let usage = GpuTextureUsage::RENDER_ATTACHMENT;
    let texture = |format| topic.device().create_texture(&texture_2d(4, 4, format, usage)).create_view(None);
    let (color, other) = (texture(TARGET), texture(GpuTextureFormat::Bgra8unorm));
    let depth = texture(GpuTextureFormat::Depth32float);
    let samples = topic
        .device()
        .create_texture(&GpuTextureDescriptor { sample_count: Some(4), ..texture_2d(4, 4, TARGET, usage) })
        .create_view(None);
    let right = bundle(topic, "a bundle", |_| ()).await;
    let execute = |pass: &GpuRenderPassEncoder| pass.execute_bundles(&[&right]);
    topic.invalid_pass("a bundle has the format of its pass", &pass([attachment(&other)]), execute).await;
    topic.invalid_pass("a bundle has the samples of its pass", &pass([attachment(&samples)]), execute).await;
    let more = pass([attachment(&color), attachment(&other)]);
    topic.invalid_pass("a bundle has the attachments of its pass", &more, execute).await;
    let with_depth = GpuRenderPassDescriptor {
        depth_stencil_attachment: Some(depth_attachment(&depth, 0.0)),
        ..pass([attachment(&color)])
    };
    topic.invalid_pass("a bundle has the depth of its pass", &with_depth, execute).await;

    let described = GpuRenderBundleEncoderDescriptor {
        depth_stencil_format: Some(GpuTextureFormat::Depth32float),
        depth_read_only: Some(false),
        ..encoder_of(TARGET)
    };
    let writes = topic
        .valid("a bundle with depth", |device| device.create_render_bundle_encoder(&described).finish(None))
        .await;
    let read_only = GpuRenderPassDescriptor {
        depth_stencil_attachment: Some(GpuRenderPassDepthStencilAttachment {
            depth_clear_value: None,
            depth_load_op: None,
            depth_store_op: None,
            depth_read_only: Some(true),
            ..depth_attachment(&depth, 0.0)
        }),
        ..pass([attachment(&color)])
    };
    topic
        .invalid_pass(
            "a bundle that may write depth is not executed where it is read-only",
            &read_only,
            |pass| {
                pass.execute_bundles(&[&writes]);
            },
        )
        .await;
    topic
        .valid_pass("a bundle that may write depth is executed", &with_depth, |pass| {
            pass.execute_bundles(&[&writes])
        })
        .await;
    let module = topic.shader(
        "@vertex fn vertices() -> @builtin(position) vec4f { return vec4f(0); }
        @fragment fn draw() -> @location(0) vec4f { return vec4f(0); }",
    );
    let deep = topic.device().create_render_pipeline(GpuRenderPipelineDescriptor {
        depth_stencil: Some(GpuDepthStencilState {
            depth_write_enabled: Some(true),
            depth_compare: Some(GpuCompareFunction::Always),
            ..depth_stencil(GpuTextureFormat::Depth32float)
        }),
        ..pipeline(&module, [TARGET])
    });
    let sampled = topic.device().create_render_pipeline(GpuRenderPipelineDescriptor {
        multisample: Some(multisample(4)),
        ..pipeline(&module, [TARGET])
    });
    let read_only_bundle = GpuRenderBundleEncoderDescriptor { depth_read_only: Some(true), ..described };
    for (what, described, pipeline) in [
        ("a pipeline has the depth of its bundle", encoder_of(TARGET), &deep),
        ("a pipeline has the samples of its bundle", encoder_of(TARGET), &sampled),
        (
            "a pipeline has the formats of its bundle",
            encoder_of(GpuTextureFormat::R8unorm),
            &drawing.pipeline,
        ),
        ("a pipeline writes no depth that is read-only", read_only_bundle, &deep),
    ] {
        topic
            .invalid(what, |device| {
                let encoder = device.create_render_bundle_encoder(&described);
                encoder.set_pipeline(pipeline);
                encoder.finish(None)
            })
            .await;
    }
}
