//! How far the GPU is with what a scene gave it, for whoever watches from another thread: what is not done, and what was lost.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Line, Quota};
use crate::gpu::poll_device;

/// See the module.
#[derive(Clone)]
pub struct GpuWork(Arc<Quota>);

/// A device whose work is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// Which device of the scene.
    pub device: u64,
    /// How many of its submits are done. A device that gets on does not hang, however much waits.
    pub done: u64,
}

impl GpuWork {
    pub(in super::super) fn of(quota: Arc<Quota>) -> Self {
        Self(quota)
    }

    /// The devices whose work is not done, as far as is known.
    pub fn unfinished(&self) -> Vec<Unfinished> {
        let state = self.0.state();
        let lines = state.leaving.values().map(|leaving| &leaving.line);
        let unfinished = lines.filter_map(|line| {
            let done = line.progress.done.load(Ordering::Acquire);
            let submitted = line.progress.submitted.load(Ordering::Acquire);
            (done < submitted).then_some(Unfinished { device: line.id, done })
        });
        unfinished.collect()
    }

    /// Asks the driver how far it is, which blocks for as long as the driver does: wgpu learns that work is done only when it is asked.
    pub fn poll(&self) {
        let lines: Vec<Line> = self.0.state().leaving.values().map(|leaving| leaving.line.clone()).collect();
        for line in lines {
            // A lost device is noticed by its own thread.
            let _ = poll_device(&line.device, wgpu::PollType::Poll);
        }
    }

    /// How many devices of the scene its driver gave up.
    pub fn losses(&self) -> u32 {
        self.0.losses.load(Ordering::Acquire)
    }
}
