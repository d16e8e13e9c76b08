//! Canvas contexts, and the events of uncaptured errors: <https://www.w3.org/TR/webgpu/#canvas-rendering> and
//! <https://www.w3.org/TR/webgpu/#telemetry>

use conformance::kit::webgpu_objects::{canvas_context, on_uncaptured_error_event};
use conformance::webgpu::*;
use conformance::{Host, Topic};

conformance::export_topic!(run);

async fn run(topic: &mut Topic) {
    let mut host = Host::listen();
    configuration(topic).await;
    wrong_configurations(topic).await;
    let device = topic.device();
    canvas_context().configure(&defaults(device));
    pictures(topic, &mut host).await;
    uncaptured_errors(topic).await;
}

/// What a scene gives that leaves everything to the defaults.
fn defaults(device: &GpuDevice) -> GpuCanvasConfiguration<'_> {
    GpuCanvasConfiguration {
        device,
        format: get_gpu().get_preferred_canvas_format(),
        usage: None,
        view_formats: None,
        color_space: None,
        tone_mapping: None,
        alpha_mode: None,
    }
}

async fn configuration(topic: &mut Topic) {
    let canvas = canvas_context();
    topic.check("a canvas begins without a configuration", canvas.get_configuration().is_none());
    topic.valid("a canvas is configured", |device| canvas.configure(&defaults(device))).await;
    let Some(got) = canvas_context().get_configuration() else {
        topic.check("there is one canvas, whatever the number of handles", false);
        return;
    };
    topic.equal("the format is kept", got.format, get_gpu().get_preferred_canvas_format());
    topic.equal("the default usage", got.usage, Some(GpuTextureUsage::RENDER_ATTACHMENT));
    topic.equal("the default view formats", got.view_formats, Some(Vec::new()));
    topic.check("the default colour space", matches!(got.color_space, Some(PredefinedColorSpace::Srgb)));
    let tone_mapping = got.tone_mapping.and_then(|tone_mapping| tone_mapping.mode);
    topic.check("the default tone mapping", matches!(tone_mapping, Some(GpuCanvasToneMappingMode::Standard)));
    topic.check("the default alpha mode", matches!(got.alpha_mode, Some(GpuCanvasAlphaMode::Opaque)));
    topic.equal("the device is the one that was given", got.device.label(), topic.device().label());

    let all = |device: &GpuDevice| {
        canvas.configure(&GpuCanvasConfiguration {
            format: GpuTextureFormat::Rgba16float,
            usage: Some(GpuTextureUsage::RENDER_ATTACHMENT | GpuTextureUsage::COPY_SRC),
            view_formats: Some(vec![GpuTextureFormat::Rgba16float]),
            color_space: Some(PredefinedColorSpace::DisplayP3),
            tone_mapping: Some(GpuCanvasToneMapping { mode: Some(GpuCanvasToneMappingMode::Extended) }),
            alpha_mode: Some(GpuCanvasAlphaMode::Premultiplied),
            ..defaults(device)
        });
    };
    topic.valid("a canvas takes every member of a configuration", all).await;
    let got = canvas.get_configuration().expect("it was configured");
    topic.equal("the format is kept", got.format, GpuTextureFormat::Rgba16float);
    topic.check("the colour space is kept", matches!(got.color_space, Some(PredefinedColorSpace::DisplayP3)));
    topic.check("the alpha mode is kept", matches!(got.alpha_mode, Some(GpuCanvasAlphaMode::Premultiplied)));
    let texture = canvas.get_current_texture();
    topic.equal("a texture has the format of its canvas", texture.format(), GpuTextureFormat::Rgba16float);
    let usage = GpuTextureUsage::RENDER_ATTACHMENT | GpuTextureUsage::COPY_SRC;
    topic.equal("a texture has the usage of its canvas", texture.usage(), usage);
    canvas.unconfigure();
    topic.check("a canvas is unconfigured", canvas.get_configuration().is_none());
}

async fn wrong_configurations(topic: &mut Topic) {
    let canvas = canvas_context();
    let format = |device: &GpuDevice| {
        canvas.configure(&GpuCanvasConfiguration { format: GpuTextureFormat::R8unorm, ..defaults(device) });
    };
    topic.invalid("a canvas has no format but three", format).await;
    topic.check("a format that no canvas has configures nothing", canvas.get_configuration().is_none());
    let usage = |device: &GpuDevice| {
        canvas
            .configure(&GpuCanvasConfiguration { usage: Some(GpuTextureUsage::empty()), ..defaults(device) });
    };
    topic.invalid("a canvas has a usage", usage).await;
    topic.invalid("a canvas without a usage has no textures", |_| canvas.get_current_texture()).await;
    let views = |device: &GpuDevice| {
        let view_formats = Some(vec![GpuTextureFormat::R32float]);
        canvas.configure(&GpuCanvasConfiguration { view_formats, ..defaults(device) });
    };
    topic.invalid("view formats differ in nothing but -srgb", views).await;
    canvas.unconfigure();
}

/// Commands that fill a texture with a colour.
fn fill(device: &GpuDevice, texture: &GpuTexture, color: GpuColor) -> GpuCommandBuffer {
    let encoder = device.create_command_encoder(None);
    let view = texture.create_view(None);
    let pass = encoder.begin_render_pass(&GpuRenderPassDescriptor {
        color_attachments: vec![Some(GpuRenderPassColorAttachment {
            view: &view,
            depth_slice: None,
            resolve_target: None,
            clear_value: Some(color),
            load_op: GpuLoadOp::Clear,
            store_op: GpuStoreOp::Store,
        })],
        depth_stencil_attachment: None,
        occlusion_query_set: None,
        timestamp_writes: None,
        max_draw_count: None,
        label: None,
    });
    pass.end();
    encoder.finish(None)
}

const GREEN: GpuColor = GpuColor { r: 0.0, g: 1.0, b: 0.0, a: 1.0 };
const BLUE: GpuColor = GpuColor { r: 0.0, g: 0.0, b: 1.0, a: 1.0 };

async fn pictures(topic: &mut Topic, host: &mut Host) {
    let canvas = canvas_context();
    let texture = canvas.get_current_texture();
    texture.set_label("current");
    topic.equal(
        "a canvas texture is one picture",
        (texture.sample_count(), texture.mip_level_count()),
        (1, 1),
    );
    let commands = fill(topic.device(), &texture, GREEN);
    host.asked(topic, "wait").await;
    topic
        .valid("a scene may wait between taking a texture and drawing to it", |device| {
            device.queue().submit(&[&commands]);
        })
        .await;
    host.asked(topic, "drawn").await;
    let late = fill(topic.device(), &texture, BLUE);
    topic
        .invalid("a texture expires when the scene waits after it was drawn to", |device| {
            device.queue().submit(&[&late]);
        })
        .await;

    let texture = canvas.get_current_texture();
    let commands = fill(topic.device(), &texture, BLUE);
    texture.destroy();
    topic.invalid("a destroyed texture is not drawn to", |device| device.queue().submit(&[&commands])).await;
    topic.valid("a canvas is configured anew", |device| canvas.configure(&defaults(device))).await;

    let texture = canvas.get_current_texture();
    let commands = fill(topic.device(), &texture, BLUE);
    topic.valid("a canvas is configured anew", |device| canvas.configure(&defaults(device))).await;
    topic
        .invalid("a texture expires when its canvas is configured anew", |device| {
            device.queue().submit(&[&commands]);
        })
        .await;
}

async fn uncaptured_errors(topic: &mut Topic) {
    let mut events = on_uncaptured_error_event(topic.device());
    let wrong = GpuBufferDescriptor {
        size: 4,
        usage: GpuBufferUsage::empty(),
        mapped_at_creation: None,
        label: Some("a buffer without a usage".into()),
    };
    topic.invalid("a scope captures an error", |device| device.create_buffer(&wrong)).await;
    topic.device().create_buffer(&wrong);
    let Some(event) = events.next().await else {
        topic.check("the stream of events goes on", false);
        return;
    };
    let error = event.error();
    topic.check("its error is of its kind", matches!(error.kind(), GpuErrorKind::ValidationError));
    let message = error.message();
    topic.check("its error says what happened", message.contains("a buffer without a usage"));
    topic.equal("an event has one error", event.error().message(), message);
}
