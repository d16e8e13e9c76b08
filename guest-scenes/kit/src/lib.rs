//! What a scene needs to start drawing: the bindings of everything that it may import, an event loop, and helpers for what
//! WebGPU makes long. The scene `triangle` shows all of it at work.
//!
//! The kit hides nothing: [`webgpu`] is `wasi:webgpu` as it is, and a scene may call any of it.

mod gpu;
mod run;

/// Generated from the interface text under wit/.
#[doc(hidden)]
#[allow(unused_qualifications, clippy::pedantic, reason = "generated")]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package scenecast:kit;
            world scene {
                import wasi:webgpu/webgpu@0.3.0-rc.2;
                import wasi-gfx:surface/surface@0.2.0;
                import wasi-gfx:surface/surface-webgpu@0.2.0;
                import wasi-gfx:surface/surface-frame-buffer@0.2.0;
                import wasi-gfx:frame-buffer/frame-buffer@0.2.0;
                import scenecast:scene/input@0.1.0;
                import scenecast:scene/log@0.1.0;
                import scenecast:scene/webgpu-objects@0.1.0;
                export start: async func();
            }
        ",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_start",
        default_bindings_module: "kit::bindings",
    });
}

/// `wasi:webgpu`: <https://www.w3.org/TR/webgpu/> in Rust's spelling of names.
pub use bindings::wasi::webgpu::webgpu;

/// What of `wasi:webgpu` has no function to get: the window as a canvas, and uncaptured errors as events.
pub use bindings::scenecast::scene::webgpu_objects;

/// The window, for scenes that do not leave it to [`export_scene!`]; pictures are drawn by WebGPU or by the scene itself.
pub mod surface {
    pub use crate::bindings::wasi_gfx::frame_buffer::frame_buffer::Buffer;
    pub use crate::bindings::wasi_gfx::surface::{surface::*, surface_frame_buffer, surface_webgpu};
}

/// What viewers do.
pub mod input {
    pub use crate::bindings::scenecast::scene::input::{
        Buttons, Event, FocusEvent, KeyEvent, Modifiers, PointerEvent, PointerKind, WheelEvent, events,
    };
    pub use crate::bindings::wasi_gfx::surface::surface::Key;
}

/// Lines for the session's log. [`export_scene!`] has panics written there too.
pub mod log {
    pub use crate::bindings::scenecast::scene::log::{Level, log};

    /// Writes where and why a scene panics, before it traps.
    pub fn panics() {
        std::panic::set_hook(Box::new(|panic| log(Level::Error, &panic.to_string())));
    }
}

pub use gpu::{Gpu, RenderPipeline, Texture, depth_state};
#[doc(hidden)]
pub use run::run;

/// Width and height of the picture in pixels.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Size {
    pub width: u32,
    pub height: u32,
}

/// Where a frame is drawn: a view of the surface's texture in the format [`Gpu::format`].
#[derive(Debug)]
pub struct Target {
    pub view: webgpu::GpuTextureView,
    pub size: Size,
}

/// A scene. Export it with [`export_scene!`].
///
/// Frames are counted, not timed: a scene has no clock, so that the same input gives the same pictures.
#[expect(async_fn_in_trait, reason = "a scene is one thread")]
pub trait Scene: Sized + 'static {
    /// Everything that is created once.
    async fn new(gpu: &Gpu) -> Self;

    /// Something that a viewer did. All input of a tick comes before its [`update`](Self::update).
    fn input(&mut self, _event: &input::Event, _size: Size) {}

    /// One tick of the frame clock. Returns whether the picture changes: a scene at rest returns false, and costs next to nothing.
    fn update(&mut self) -> bool {
        true
    }

    /// The picture has another size than the one before; the first has too. Comes just before [`draw`](Self::draw).
    fn resize(&mut self, _gpu: &Gpu, _size: Size) {}

    /// Draws and submits a frame. Comes after an update that returned true, and when the size has changed.
    fn draw(&mut self, gpu: &Gpu, target: &Target);
}

/// Makes a [`Scene`] the component's entry point.
#[macro_export]
macro_rules! export_scene {
    ($scene:ty) => {
        struct Start;
        impl $crate::bindings::Guest for Start {
            async fn start() {
                $crate::log::panics();
                $crate::run::<$scene>().await;
            }
        }
        $crate::bindings::export_start!(Start);
    };
}
