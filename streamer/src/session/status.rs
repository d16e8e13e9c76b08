//! How far a session is, as everybody can read it.

use renderer_protocol::FrameSize;
use tokio::sync::watch;

use super::end::SessionEnd;

/// What changes about a session.
#[derive(Clone, Debug)]
pub struct Status {
    /// How far it is.
    pub phase: Phase,
    /// The size of its last picture.
    pub size: FrameSize,
    /// Viewers that get pictures.
    pub viewers: usize,
}

/// How far a session is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The worker has its scene and has not said that it runs.
    Starting,
    /// The scene runs.
    Running,
    /// It is over.
    Ended(SessionEnd),
}

/// Says that the session has ended even if its task is dropped or panics.
pub(super) struct StatusPublisher(watch::Sender<Status>);

impl StatusPublisher {
    /// For a session that begins.
    pub(super) const fn new(sender: watch::Sender<Status>) -> Self {
        Self(sender)
    }

    /// Changes what others see.
    pub(super) fn publish(&self, change: impl FnOnce(&mut Status)) {
        self.0.send_modify(change);
    }
}

impl Drop for StatusPublisher {
    fn drop(&mut self) {
        self.0.send_if_modified(|status| {
            let lives = !matches!(status.phase, Phase::Ended(_));
            if lives {
                status.phase = Phase::Ended(SessionEnd::Internal);
            }
            status.viewers = 0;
            lives
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_whose_task_vanishes_has_ended() {
        let size = FrameSize::new(640, 352).unwrap();
        let (sender, receiver) = watch::channel(Status { phase: Phase::Running, size, viewers: 3 });
        drop(StatusPublisher::new(sender));
        let status = receiver.borrow();
        assert_eq!((&status.phase, status.viewers), (&Phase::Ended(SessionEnd::Internal), 0));
    }

    #[test]
    fn the_reason_that_was_given_stays() {
        let size = FrameSize::new(640, 352).unwrap();
        let (sender, receiver) = watch::channel(Status { phase: Phase::Running, size, viewers: 0 });
        let publisher = StatusPublisher::new(sender);
        publisher.publish(|status| status.phase = Phase::Ended(SessionEnd::Deleted));
        drop(publisher);
        assert_eq!(receiver.borrow().phase, Phase::Ended(SessionEnd::Deleted));
    }
}
