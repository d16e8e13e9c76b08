//! Whether this machine can run scenes at all: what its workers say of its GPU.
//!
//! Written by whoever starts workers and sees their ends; read by health checks.

use tokio::sync::watch;

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
pub struct Node(watch::Sender<GpuState>);

impl Default for Node {
    fn default() -> Self {
        Self(watch::Sender::new(GpuState::Unknown))
    }
}

impl Node {
    /// What is known now.
    pub fn gpu(&self) -> GpuState {
        *self.0.borrow()
    }

    /// Completes a wait at each change.
    pub(super) fn subscribe(&self) -> watch::Receiver<GpuState> {
        self.0.subscribe()
    }

    /// A worker has opened the GPU.
    pub fn opened(&self) {
        if self.0.send_replace(GpuState::Open) == GpuState::Unavailable {
            tracing::info!("the GPU can be opened again");
        }
    }

    /// No worker could be started, or the GPU is gone. The server is not ready until one can.
    pub fn failed(&self, why: &str) {
        if self.0.send_replace(GpuState::Unavailable) != GpuState::Unavailable {
            tracing::error!(why, "this server is not ready: no worker can open a GPU");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_worker_that_was_started_tells() {
        let node = Node::default();
        assert_eq!(node.gpu(), GpuState::Unknown);
        node.clone().failed("no driver");
        assert_eq!(node.gpu(), GpuState::Unavailable);
        node.opened();
        assert_eq!(node.gpu(), GpuState::Open);
    }
}
