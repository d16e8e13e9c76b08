//! The window as a canvas of WebGPU: what `gpu-canvas-context` draws to.
//!
//! A canvas has no `present`. In a browser its picture is shown when the task that drew it is over
//! (<https://www.w3.org/TR/webgpu/#abstract-opdef-updating-the-rendering-of-a-webgpu-canvas>); the like of a task is a turn of the scene,
//! which lasts until it waits for something. So a picture is shown, and its texture expires, at the end of the turn in which work
//! that uses the texture was submitted. A scene may wait between taking a texture and submitting: until then the texture stays the
//! current one, unless the window changes its size, which gives a canvas a new drawing buffer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{screen::Screen, swapchain::Swapchain};
use crate::host::{
    Window,
    webgpu::{Canvas, CanvasConfiguration, Texture},
};

/// The one canvas of a session.
pub(super) struct WindowCanvas {
    window: Window,
    screen: Screen,
    swapchain: Mutex<Option<Swapchain>>,
}

impl WindowCanvas {
    pub(super) fn new(window: Window, screen: Screen) -> Arc<Self> {
        Arc::new(Self { window, screen, swapchain: Mutex::default() })
    }

    fn swapchain(&self) -> MutexGuard<'_, Option<Swapchain>> {
        self.swapchain.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows what was drawn.
    fn update_rendering(&self) {
        if let Some(swapchain) = self.swapchain().as_mut().filter(|swapchain| swapchain.is_drawn()) {
            self.screen.show(swapchain);
        }
    }
}

impl Canvas for WindowCanvas {
    fn configure(&self, configuration: Option<CanvasConfiguration>) {
        let is_cpu = self.screen.is_cpu();
        *self.swapchain() = configuration.map(|configuration| Swapchain::new(configuration, is_cpu));
    }

    fn configuration(&self) -> Option<CanvasConfiguration> {
        self.swapchain().as_ref().map(|swapchain| swapchain.configuration().clone())
    }

    fn current_texture(&self) -> Option<Texture> {
        // In this order: a tick that begins in between makes the picture acknowledge too little, and never too much.
        let tick = self.window.current_tick();
        let size = self.window.size();
        let mut swapchain = self.swapchain();
        let swapchain = swapchain.as_mut()?;
        if swapchain.current_size().is_some_and(|current| current != size) {
            swapchain.discard_current();
        }
        swapchain.current_texture(size, tick)
    }
}

/// What happens around the scene's turns: the window keeps its size within one, and the canvas is shown at its end.
#[derive(Clone)]
pub struct Turns {
    window: Window,
    canvas: Arc<WindowCanvas>,
}

impl Turns {
    pub(super) fn new(window: Window, canvas: Arc<WindowCanvas>) -> Self {
        Self { window, canvas }
    }

    /// The scene runs, or goes on after it was interrupted.
    pub fn begin(&self) {
        self.window.begin_turn();
    }

    /// The scene waits for something.
    pub fn end(&self) {
        self.canvas.update_rendering();
        self.window.end_turn();
    }
}
