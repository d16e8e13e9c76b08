//! The window as a canvas. There is one, whatever the number of handles, and the surface's contexts are beside it.

use kit::webgpu::*;
use kit::webgpu_objects::canvas_context;

use super::{keep, take};
use crate::World;
use crate::values::Values as _;

pub fn open(world: &mut World) {
    keep!(world.window_canvases, canvas_context());
}

pub fn configure(world: &mut World) {
    let (canvas, device) = (take!(world.window_canvases), take!(world.devices));
    if world.random.one_in(6) {
        canvas.unconfigure();
        return;
    }
    let random = &mut world.random;
    let right = !random.one_in(4);
    canvas.configure(&GpuCanvasConfiguration {
        device: &device,
        format: if right { GpuTextureFormat::Bgra8unorm } else { random.format() },
        usage: random.one_in(3).then(|| random.texture_usage()),
        view_formats: if right { None } else { Some(vec![random.format()]) },
        color_space: random.maybe(|_| PredefinedColorSpace::DisplayP3),
        tone_mapping: random
            .maybe(|_| GpuCanvasToneMapping { mode: Some(GpuCanvasToneMappingMode::Extended) }),
        alpha_mode: random.maybe(|_| GpuCanvasAlphaMode::Premultiplied),
    });
}

pub fn configuration(world: &mut World) {
    let canvas = take!(world.window_canvases);
    if let Some(configuration) = canvas.get_configuration() {
        // Another handle of a device that there is.
        keep!(world.devices, configuration.device);
    }
}

pub fn current_texture(world: &mut World) {
    let canvas = take!(world.window_canvases);
    // A canvas without a configuration throws, which ends the session.
    if canvas.get_configuration().is_some() {
        keep!(world.textures, canvas.get_current_texture());
    }
}
