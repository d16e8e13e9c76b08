//! The window: `surface` and `surface-webgpu` of `wasi-gfx:surface`, and what viewers do.

use std::hint::black_box;

use conformance::kit::surface::{
    CreateDesc, Key, KeyEvent, Surface,
    surface_webgpu::{Context, ContextConfiguration},
};
use conformance::webgpu::*;
use conformance::{Host, Topic};

conformance::export_topic!(run);

/// Presses that come without a pause, each with its number as text.
const PRESSES: usize = 1_000;

async fn run(topic: &mut Topic) {
    let mut host = Host::listen();
    let surface = Surface::new(CreateDesc { width: Some(100), height: Some(50) });
    let size = (surface.width(), surface.height());
    topic.equal("the viewers choose the size, not the scene", size, (320, 180));
    surface.request_set_size(Some(64), Some(64));
    host.asked(topic, "wait").await;
    topic.equal("a wish changes nothing", (surface.width(), surface.height()), size);

    pointers(topic, &mut host, &surface).await;
    keys(topic, &mut host, &surface).await;
    sizes(topic, &mut host, &surface).await;
    frames(topic, &surface).await;
    pictures(topic, &mut host, &surface).await;
}

/// The test moves a pointer 50 times to the right, presses it, moves it once more and lets it go.
async fn pointers(topic: &mut Topic, host: &mut Host, surface: &Surface) {
    let (mut moves, mut downs, mut ups) =
        (surface.on_pointer_move(), surface.on_pointer_down(), surface.on_pointer_up());
    host.asked(topic, "pointer").await;
    let down = downs.next().await.expect("the pointer went down");
    topic.equal("a pointer goes down where it is, in pixels", (down.x, down.y), (160.0, 45.0));
    let up = ups.next().await.expect("the pointer went up");
    topic.equal("a pointer goes up where it is, in pixels", (up.x, up.y), (320.0, 180.0));
    let mut last = (0.0, 0.0);
    while last != (240.0, 45.0) {
        let next = moves.next().await.expect("the pointer moved");
        topic.check("moves are merged and keep their order", next.x > last.0);
        last = (next.x, next.y);
    }
}

/// The test presses A with text and modifiers, lets it go, presses a key that the interface does not know, and then presses B
/// [`PRESSES`] times.
async fn keys(topic: &mut Topic, host: &mut Host, surface: &Surface) {
    let (mut downs, mut also_downs, mut ups) =
        (surface.on_key_down(), surface.on_key_down(), surface.on_key_up());
    host.asked(topic, "keys").await;
    let mut next = async || downs.next().await.expect("a key went down");
    let a = next().await;
    topic.equal("a key is known by its place", a.key, Some(Key::KeyA));
    topic.equal("a key has its text", a.text.as_deref(), Some("Ä"));
    let modifiers = |event: &KeyEvent| (event.alt_key, event.ctrl_key, event.meta_key, event.shift_key);
    topic.equal("a key has its modifiers", modifiers(&a), (true, false, false, true));
    let unknown = next().await;
    topic.equal("a key without a name has none", (unknown.key, unknown.text), (None, None));
    for number in 0..PRESSES {
        let press = next().await;
        let text = number.to_string();
        topic.equal("no press is lost", (press.key, press.text), (Some(Key::KeyB), Some(text)));
    }
    let up = ups.next().await.expect("a key went up");
    topic.equal("a key goes up", up.key, Some(Key::KeyA));
    let also = also_downs.next().await.expect("a key went down");
    topic.equal("every stream has every event", also.text.as_deref(), Some("Ä"));
}

/// The test changes the size to 400x200.
async fn sizes(topic: &mut Topic, host: &mut Host, surface: &Surface) {
    let mut resizes = surface.on_resize();
    host.asked(topic, "resize").await;
    let size = resizes.next().await.expect("a size");
    topic.equal("a size is told", (size.width, size.height), (400, 200));
    topic.equal("it is the surface's", (surface.width(), surface.height()), (400, 200));
}

/// A scene that computes for longer than from one tick to the next, and waits for nothing but its next frame.
async fn frames(topic: &mut Topic, surface: &Surface) {
    const SLOW_FRAMES: usize = 40;
    const STEPS: u64 = 40_000_000;
    let mut frames = surface.on_frame();
    let mut drawn = 0;
    while drawn < SLOW_FRAMES && frames.next().await.is_some() {
        black_box(
            (0..STEPS).fold(1_u64, |sum, step| black_box(sum).wrapping_mul(6_364_136_223_846_793_005) ^ step),
        );
        drawn += 1;
    }
    topic.equal("a slow scene goes on", drawn, SLOW_FRAMES);
}

fn configuration(device: &GpuDevice) -> ContextConfiguration<'_> {
    ContextConfiguration {
        device,
        format: GpuTextureFormat::Bgra8unorm,
        usage: Some(GpuTextureUsage::RENDER_ATTACHMENT | GpuTextureUsage::COPY_SRC),
        view_formats: Some(vec![GpuTextureFormat::Bgra8unormSrgb]),
        color_space: None,
        tone_mapping: None,
        alpha_mode: None,
    }
}

async fn pictures(topic: &mut Topic, host: &mut Host, surface: &Surface) {
    let context = Context::new(surface);
    // Nothing is to be shown by this.
    context.present();
    topic.valid("a context is configured", |device| context.configure(&configuration(device))).await;
    let texture = context.get_current_texture();
    topic.equal("a texture is as large as the surface", (texture.width(), texture.height()), (400, 200));
    topic.equal("a texture has the format of its context", texture.format(), GpuTextureFormat::Bgra8unorm);
    let device = topic.device();
    let encoder = device.create_command_encoder(None);
    let view = texture.create_view(None);
    let pass = encoder.begin_render_pass(&GpuRenderPassDescriptor {
        color_attachments: vec![Some(GpuRenderPassColorAttachment {
            view: &view,
            depth_slice: None,
            resolve_target: None,
            clear_value: Some(GpuColor { r: 1.0, g: 0.2, b: 0.0, a: 1.0 }),
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
    device.queue().submit(&[&encoder.finish(None)]);
    let texels = topic.texels(&texture, conformance::Texel::default()).await;
    topic.equal("a texture that may be copied from has its pixels", &texels[..4], &[0, 51, 255, 255]);
    context.present();
    let write = |device: &GpuDevice| {
        device.queue().write_texture_with_copy(
            &GpuTexelCopyTextureInfo { texture: &texture, mip_level: None, origin: None, aspect: None },
            &[0; 4],
            GpuTexelCopyBufferLayout { offset: None, bytes_per_row: None, rows_per_image: None },
            GpuExtent3D { width: 1, height: None, depth_or_array_layers: None },
        );
    };
    topic.invalid("a presented texture has expired", write).await;
    host.asked(topic, "presented").await;
    context.unconfigure();
}
