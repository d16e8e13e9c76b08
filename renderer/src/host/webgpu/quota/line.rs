//! A device's queue and how far it is, which says when what was given up comes back; and the counting of what is made on that device.
//!
//! Knows the counts of the scene, and wgpu's queue only to ask how far it is and to submit what waits.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Claim, Hold, Kind, Leaving, Quota, Recorded, Remains, WAIT, out_of_memory};
use crate::gpu::poll_device;
use crate::host::OverQuota;

/// Written by the queue and not submitted yet, unless one call alone carries more: a texture of 4096 × 4096 in RGBA8. wgpu keeps such
/// bytes until the next submit, so beyond this, or all the memory that a scene may have, one is made.
const UNSUBMITTED_BYTES: u64 = 64 << 20;
/// What wgpu and a driver need for one write, however short.
const WRITE_OVERHEAD_BYTES: u64 = 1 << 10;
/// Submits that the GPU has not done. A scene submits a few times a frame; each costs some kilobytes.
const SUBMITS_IN_FLIGHT: u64 = 1 << 10;

/// How far a device's queue is.
#[derive(Default)]
pub(super) struct Progress {
    pub(super) submitted: AtomicU64,
    pub(super) done: AtomicU64,
    /// Bytes that were written by the queue since the last submit.
    written: AtomicU64,
}

impl Progress {
    /// The submit after which nothing uses what is given up now: writes go with the next.
    pub(super) fn next_done(&self) -> u64 {
        let waits = self.written.load(Ordering::Acquire) > 0;
        self.submitted.load(Ordering::Acquire).saturating_add(u64::from(waits))
    }

    /// Something that is given up needs a submit that was not made yet: a copy is written by it, and Mesa's software rasteriser frees the
    /// code of a pipeline, some hundred kilobytes, only then.
    pub(super) fn needs_submit(&self) {
        self.written.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn is_done(&self, submit: u64) -> bool {
        self.done.load(Ordering::Acquire) >= submit
    }
}

/// A device's queue, and how far it is.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) id: u64,
    pub(super) device: wgpu::Device,
    queue: wgpu::Queue,
    pub(super) progress: Arc<Progress>,
}

impl Line {
    /// Counts a submit that was made.
    fn submitted(&self, quota: &Quota) {
        let written = self.progress.written.swap(0, Ordering::AcqRel);
        let submit = self.progress.submitted.fetch_add(1, Ordering::AcqRel).saturating_add(1);
        let progress = Arc::clone(&self.progress);
        self.queue.on_submitted_work_done(move || {
            progress.done.fetch_max(submit, Ordering::AcqRel);
        });
        {
            let mut state = quota.state();
            if written > 0 {
                state.bytes = state.bytes.saturating_add(written);
                let made = state.tick();
                state.leave(Remains {
                    timeline: self.id,
                    made,
                    given_up: made,
                    bundled_until: 0,
                    kind: None,
                    bytes: written,
                });
            }
            state.settle();
        }
        let done = self.progress.done.load(Ordering::Acquire);
        if submit.saturating_sub(done) > SUBMITS_IN_FLIGHT {
            self.wait(WAIT);
        }
    }

    /// Submits what waits for a submit, if there is something.
    pub(super) fn flush(&self, quota: &Quota) {
        if self.progress.written.load(Ordering::Acquire) > 0 {
            self.queue.submit([]);
            self.submitted(quota);
        }
    }

    pub(super) fn wait(&self, at_most: Duration) {
        // A device that does not end its work in time, or is lost, is noticed by those who wait for its results.
        let wait = wgpu::PollType::Wait { submission_index: None, timeout: Some(at_most) };
        let _ = poll_device(&self.device, wait);
    }
}

/// What a device's objects are counted with.
pub(in crate::host::webgpu) struct Timeline {
    quota: Arc<Quota>,
    pub(super) line: Line,
}

impl Drop for Timeline {
    fn drop(&mut self) {
        let mut state = self.quota.state();
        let leaving = state.leaving.remove(&self.line.id);
        for (_, remains) in leaving.iter().flat_map(|leaving| &leaving.queue) {
            state.give_back(remains);
        }
        // The handles of the device go without the lock.
        drop(state);
    }
}

impl Timeline {
    pub(in crate::host::webgpu) fn new(
        quota: Arc<Quota>,
        device: wgpu::Device,
        queue: wgpu::Queue,
    ) -> Arc<Self> {
        let line = {
            let mut state = quota.state();
            let line = Line { id: state.tick(), device, queue, progress: Arc::default() };
            state.leaving.insert(line.id, Leaving { line: line.clone(), queue: VecDeque::new() });
            line
        };
        Arc::new(Self { quota, line })
    }

    pub(in crate::host::webgpu) fn quota(&self) -> &Arc<Quota> {
        &self.quota
    }

    /// Counts an object, with the bytes of its memory. What is over the quota only because submitted work still has it is waited for, on
    /// whichever device of the scene.
    pub(in crate::host::webgpu) fn claim(
        self: &Arc<Self>,
        kind: Option<Kind>,
        bytes: u64,
    ) -> Result<Arc<Claim>, OverQuota> {
        let limits = &self.quota.limits;
        let added = {
            let mut state = self.quota.state();
            let added = state.add(limits, kind, bytes);
            if added.is_err() {
                state.settle();
                match state.add(limits, kind, bytes) {
                    Err(over) if state.is_worth_a_wait(limits, kind, bytes) => Err((over, true)),
                    added => added.map_err(|over| (over, false)),
                }
            } else {
                Ok(())
            }
        };
        match added {
            Ok(()) => {}
            Err((over, false)) => return Err(over),
            Err((_, true)) => {
                self.quota.wait();
                self.quota.state().add(limits, kind, bytes)?;
            }
        }
        Ok(self.claimed(kind, bytes))
    }

    /// Counts what the host makes for the scene and does not make dependent on its quota.
    pub(in crate::host::webgpu) fn claim_for_host(self: &Arc<Self>, bytes: u64) -> Arc<Claim> {
        let mut state = self.quota.state();
        state.bytes = state.bytes.saturating_add(bytes);
        drop(state);
        self.claimed(None, bytes)
    }

    fn claimed(self: &Arc<Self>, kind: Option<Kind>, bytes: u64) -> Arc<Claim> {
        let made = self.quota.state().tick();
        Arc::new(Claim { timeline: Arc::clone(self), made, kind, bytes: AtomicU64::new(bytes) })
    }

    /// For something that will hold recorded commands: an encoder, which is of a kind, or a bundle, which is counted by its claim.
    pub(in crate::host::webgpu) fn hold(&self, kind: Option<Kind>) -> Result<Hold, OverQuota> {
        let mut state = self.quota.state();
        state.add(&self.quota.limits, kind, 0)?;
        let begun = state.tick();
        let recorded = Recorded { is_bundle: kind.is_none(), finished: None, kept: Vec::new() };
        state.recorded.insert(begun, recorded);
        Ok(Hold { quota: Arc::clone(&self.quota), begun, kind, commands: 0 })
    }

    /// To be called before the queue writes this many bytes. An error means that the GPU does not take what was written so far.
    pub(in crate::host::webgpu) fn write(&self, bytes: usize) -> Result<(), OverQuota> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_add(WRITE_OVERHEAD_BYTES);
        let most = UNSUBMITTED_BYTES.min(self.quota.limits.max_gpu_memory_bytes);
        let written = &self.line.progress.written;
        if written.load(Ordering::Acquire).saturating_add(bytes) > most {
            self.line.flush(&self.quota);
            if !self.quota.has_room() {
                self.quota.wait();
                if !self.quota.has_room() {
                    return Err(out_of_memory(&self.quota.limits));
                }
            }
        }
        // Only now: they do not go with the submit that makes room for them.
        written.fetch_add(bytes, Ordering::AcqRel);
        Ok(())
    }

    /// To be called after each submit.
    pub(in crate::host::webgpu) fn submitted(&self) {
        self.line.submitted(&self.quota);
    }

    /// Submits what waits for a submit, if there is something.
    pub(in crate::host::webgpu) fn flush(&self) {
        self.line.flush(&self.quota);
    }
}
