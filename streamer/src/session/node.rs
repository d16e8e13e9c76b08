//! Whether this machine can run scenes at all: what its workers say of its GPU.
//!
//! The rule: only a worker that was just started, and has no scene, says whether there is a GPU. What a worker with a scene says may be its
//! scene's doing, which may make a driver reset its GPU, or may have taken the worker over. So a session that ends as if the GPU were gone
//! only casts doubt on it: the server stays ready, and a worker is started at once to find out. `device.destroy()` is no loss at all.
//!
//! A machine that had a GPU and has only a software rasteriser left has lost it, though workers start: a loader of drivers takes what there
//! is, and scenes would run at a fraction of their pace.
//!
//! Written by whoever starts workers and sees their ends; read by health checks.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::watch;

use super::worker::{Ready, StartError};
use crate::text::escape_untrusted;

/// What is known of the GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GpuState {
    /// The first worker has not said anything yet.
    Unknown,
    /// The last worker that was started opened it.
    Open,
    /// The last worker that was started did not, or the GPU was lost since.
    Unavailable,
}

impl GpuState {
    /// A stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Open => "open",
            Self::Unavailable => "unavailable",
        }
    }
}

/// See the module. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Node {
    gpu: watch::Sender<GpuState>,
    /// Changes, in its version alone, at each doubt.
    doubts: watch::Sender<()>,
    /// A worker has opened one that is no software rasteriser.
    had_gpu: Arc<AtomicBool>,
}

impl Default for Node {
    fn default() -> Self {
        Self {
            gpu: watch::Sender::new(GpuState::Unknown),
            doubts: watch::Sender::new(()),
            had_gpu: Arc::default(),
        }
    }
}

impl Node {
    /// What is known now.
    pub fn gpu(&self) -> GpuState {
        *self.gpu.borrow()
    }

    /// Completes a wait at each change.
    pub(super) fn subscribe(&self) -> watch::Receiver<GpuState> {
        self.gpu.subscribe()
    }

    /// A session ended as if the GPU were gone. Whoever keeps workers finds out.
    pub(super) fn doubt(&self) {
        self.doubts.send_replace(());
    }

    /// Completes a wait at each doubt; several in a row may be one.
    pub(super) fn doubts(&self) -> watch::Receiver<()> {
        self.doubts.subscribe()
    }

    /// Learns from a worker that was started, and passes it on if it is of use.
    pub(super) fn learn<W>(&self, started: Result<(W, Ready), StartError>) -> Result<(W, Ready), StartError> {
        let started = started.and_then(|(worker, ready)| {
            if !ready.adapter.is_cpu {
                self.had_gpu.store(true, Ordering::Relaxed);
            } else if self.had_gpu.load(Ordering::Relaxed) {
                let left = format!("the GPU is gone, and what is left is {}", ready.adapter.name);
                return Err(StartError::NoGpu(left));
            }
            Ok((worker, ready))
        });
        match &started {
            Ok(_) => self.opened(),
            Err(error) => self.failed(&escape_untrusted(&error.to_string())),
        }
        started
    }

    /// A worker has opened the GPU.
    pub(super) fn opened(&self) {
        if self.gpu.send_replace(GpuState::Open) == GpuState::Unavailable {
            tracing::info!("the GPU can be opened again");
        }
    }

    /// No worker could be started, or the GPU is gone. The server is not ready until one can.
    pub(super) fn failed(&self, why: &str) {
        if self.gpu.send_replace(GpuState::Unavailable) != GpuState::Unavailable {
            tracing::error!(why, "this server is not ready: no worker can open a GPU");
        }
    }
}

#[cfg(test)]
mod tests {
    use renderer_protocol::{AdapterInfo, Cell};

    use super::*;

    fn ready(is_cpu: bool) -> ((), Ready) {
        let adapter = AdapterInfo { name: "an adapter".to_owned(), driver: "a driver".to_owned(), is_cpu };
        ((), Ready { adapter, cell: Cell::default() })
    }

    #[test]
    fn row_37_a_machine_that_had_a_gpu_is_not_well_with_a_software_rasteriser() {
        let node = Node::default();
        assert!(node.learn(Ok(ready(true))).is_ok(), "a machine that never had one");
        assert!(node.learn(Ok(ready(false))).is_ok());
        assert!(matches!(node.learn(Ok(ready(true))), Err(StartError::NoGpu(_))));
        assert_eq!(node.gpu(), GpuState::Unavailable);
        assert!(node.learn(Ok(ready(false))).is_ok(), "it is back");
        assert_eq!(node.gpu(), GpuState::Open);
    }

    #[test]
    fn the_last_worker_that_was_started_tells() {
        let node = Node::default();
        assert_eq!(node.gpu(), GpuState::Unknown);
        node.clone().failed("no driver");
        assert_eq!(node.gpu(), GpuState::Unavailable);
        node.opened();
        assert_eq!(node.gpu(), GpuState::Open);
    }

    #[test]
    fn row_37_a_doubt_makes_no_server_sick() {
        let node = Node::default();
        node.opened();
        let doubts = node.doubts();
        node.doubt();
        assert!(doubts.has_changed().unwrap());
        assert_eq!(node.gpu(), GpuState::Open);
    }
}
