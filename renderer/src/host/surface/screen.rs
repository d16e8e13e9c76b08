//! Where the window's pictures go, whoever drew them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::swapchain::Swapchain;
use crate::{
    frame::{CpuPicture, FrameClock, PresentInfo, Presenter},
    host::{Tick, webgpu::ErrorKind},
};

/// The presenter, shared by the contexts of a scene and by what is done when its turn ends. All of this is on the scene's thread.
#[derive(Clone)]
pub(super) struct Screen {
    presenter: Arc<Mutex<Presenter>>,
    clock: FrameClock,
}

impl Screen {
    pub(super) fn new(presenter: Presenter, clock: FrameClock) -> Self {
        Self { presenter: Arc::new(Mutex::new(presenter)), clock }
    }

    fn presenter(&self) -> MutexGuard<'_, Presenter> {
        self.presenter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether textures come from the devices of a software rasteriser.
    pub(super) fn is_cpu(&self) -> bool {
        self.presenter().is_cpu()
    }

    /// Shows the current texture, if there is one, and ends it.
    pub(super) fn show(&self, swapchain: &mut Swapchain) {
        let Some((texture, tick)) = swapchain.take_current() else { return };
        let device = swapchain.device();
        // An invalid texture shows nothing, and its errors were told when it was made.
        if !device.is_lost() && swapchain.configuration().is_valid() {
            let info = self.info(tick);
            let presented = self.presenter().present(device.wgpu(), device.queue(), &texture.wgpu, info);
            if let Err(error) = presented {
                device.report(
                    ErrorKind::Validation,
                    format!("the surface's texture could not be presented: {error}"),
                );
            }
        }
        swapchain.recycle(texture);
    }

    /// Shows a picture that was begun in this tick.
    pub(super) fn show_picture(&self, picture: CpuPicture, tick: Tick) {
        let info = self.info(tick);
        self.presenter().present_picture(picture, info);
    }

    fn info(&self, tick: Tick) -> PresentInfo {
        let pts_us = self.clock.now_us();
        PresentInfo {
            pts_us,
            input_sequence: tick.input_sequence,
            scene_us: u32::try_from(pts_us.saturating_sub(tick.started_us)).unwrap_or(u32::MAX),
        }
    }
}
