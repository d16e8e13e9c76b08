//! The surface and its context.

use core::cell::Cell;

use kit::bindings::wasi_gfx::surface::surface::{
    CreateDesc, FrameEvent, KeyEvent, PointerEvent, ResizeEvent, Surface,
};
use kit::bindings::wasi_gfx::surface::surface_webgpu::{Context, ContextConfiguration};
use kit::webgpu::*;
use wit_bindgen::StreamReader;

use super::{keep, take};
use crate::World;
use crate::values::Values as _;

/// Streams that stay open without being read.
#[expect(dead_code, reason = "they are held, and dropped")]
pub enum SurfaceEvents {
    Resize(StreamReader<ResizeEvent>),
    Frame(StreamReader<FrameEvent>),
    Pointer(StreamReader<PointerEvent>),
    Key(StreamReader<KeyEvent>),
}

/// A context. Using one before it is configured is an error that ends the session, as an exception would.
pub struct Canvas {
    context: Context,
    configured: Cell<bool>,
}

pub fn create(world: &mut World) {
    if world.random.one_in(2) {
        let random = &mut world.random;
        let wish = CreateDesc {
            height: random.maybe(|random| random.number()),
            width: random.maybe(|random| random.number()),
        };
        keep!(world.surfaces, Surface::new(wish));
    }
    let surface = take!(world.surfaces);
    keep!(world.canvases, Canvas { context: Context::new(&surface), configured: Cell::new(false) });
}

pub fn properties(world: &mut World) {
    let surface = take!(world.surfaces);
    surface.width();
    surface.height();
    let random = &mut world.random;
    let height = random.maybe(|random| random.number());
    surface.request_set_size(height, random.maybe(|random| random.number()));
}

pub fn open_events(world: &mut World) {
    let surface = take!(world.surfaces);
    let events = match world.random.below(7) {
        0 => SurfaceEvents::Resize(surface.on_resize()),
        1 => SurfaceEvents::Frame(surface.on_frame()),
        2 => SurfaceEvents::Pointer(surface.on_pointer_up()),
        3 => SurfaceEvents::Pointer(surface.on_pointer_down()),
        4 => SurfaceEvents::Pointer(surface.on_pointer_move()),
        5 => SurfaceEvents::Key(surface.on_key_up()),
        _ => SurfaceEvents::Key(surface.on_key_down()),
    };
    keep!(world.surface_events, events);
}

pub fn configure(world: &mut World) {
    let (canvas, device) = (take!(world.canvases), take!(world.devices));
    if world.random.one_in(6) {
        canvas.configured.set(false);
        canvas.context.unconfigure();
        return;
    }
    let random = &mut world.random;
    let right = !random.one_in(4);
    canvas.context.configure(&ContextConfiguration {
        device: &device,
        format: if right { GpuTextureFormat::Rgba8unorm } else { random.format() },
        usage: random.one_in(3).then(|| random.texture_usage()),
        view_formats: if right { None } else { Some(vec![random.format()]) },
        color_space: random.pick(&[
            None,
            Some(PredefinedColorSpace::Srgb),
            Some(PredefinedColorSpace::DisplayP3),
        ]),
        tone_mapping: random
            .maybe(|_| GpuCanvasToneMapping { mode: Some(GpuCanvasToneMappingMode::Extended) }),
        alpha_mode: random.pick(&[
            None,
            Some(GpuCanvasAlphaMode::Opaque),
            Some(GpuCanvasAlphaMode::Premultiplied),
        ]),
    });
    canvas.configured.set(right);
}

pub fn current_texture(world: &mut World) {
    let canvas = take!(world.canvases);
    if canvas.configured.get() {
        keep!(world.textures, canvas.context.get_current_texture());
    }
}

pub fn present(world: &mut World) {
    let canvas = take!(world.canvases);
    if canvas.configured.get() {
        canvas.context.present();
    }
}
