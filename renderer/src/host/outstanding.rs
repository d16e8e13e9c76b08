//! Counts what the host does for a scene and ends by itself: buffers that are being mapped, pipelines that are being compiled.
//!
//! A scene that waits for nothing else than its events and its clock rests until somebody moves these on. One that waits for an
//! operation counted here does not: it goes on as soon as the operation ends. Headless runs need to know which.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// The operations of one scene. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Outstanding(Arc<AtomicUsize>);

/// An operation, until the scene has been given its result or has given it up.
#[derive(Debug)]
pub(crate) struct Operation(Arc<AtomicUsize>);

impl Outstanding {
    /// How many there are. An operation counts until the scene's own thread has taken its result, so 0 says that none of them will
    /// wake the scene.
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    /// Begins one.
    pub(crate) fn begin(&self) -> Operation {
        self.0.fetch_add(1, Ordering::AcqRel);
        Operation(Arc::clone(&self.0))
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
