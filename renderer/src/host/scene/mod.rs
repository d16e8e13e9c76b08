//! `scenecast:scene`: what `wasi-gfx:surface` and WASI have no words for, one file an interface.

pub(crate) mod bindings;
mod input;
mod log;
mod webgpu_objects;

use wasmtime::component::{HasData, Linker};

use super::{
    surface::{SurfaceCtxView, SurfaceView},
    wasi::LogSink,
    webgpu::WebGpuView,
    window::Window,
};

pub(crate) use input::{event, replaces};

/// Store data that has what the package's interfaces reach.
pub trait SceneView: SurfaceView + WebGpuView {
    /// The session's window.
    fn window(&mut self) -> &mut Window;

    /// Where the scene's lines go.
    fn log(&mut self) -> &LogSink;
}

/// The marker that joins `input` to [`SceneView`].
pub struct SceneInput;

impl HasData for SceneInput {
    type Data<'a> = &'a mut Window;
}

/// The marker that joins `log` to [`SceneView`].
pub struct SceneLog;

impl HasData for SceneLog {
    type Data<'a> = &'a LogSink;
}

/// The marker that joins `webgpu-objects` to [`SceneView`].
pub struct WebGpuObjects;

impl HasData for WebGpuObjects {
    type Data<'a> = SurfaceCtxView<'a>;
}

/// Offers `scenecast:scene`.
pub fn add_to_linker<T: SceneView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    use bindings::scenecast::scene;

    scene::input::add_to_linker::<T, SceneInput>(linker, T::window)?;
    scene::log::add_to_linker::<T, SceneLog>(linker, T::log)?;
    scene::webgpu_objects::add_to_linker::<T, WebGpuObjects>(linker, T::surface)
}
