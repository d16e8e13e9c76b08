//! What a session does when time passes: it ends when nobody is there, sends what was put off, and looks at what it uses.

use renderer_protocol::ToWorker;
use tokio::time::Instant;

use super::{Actor, STATS_INTERVAL};
use crate::session::{
    end::SessionEnd,
    share,
    usage::{self, Usage},
};

impl Actor {
    pub(super) fn next_deadline(&self) -> Instant {
        let connecting = self.viewers.connect_deadline().map(|(_, deadline)| deadline);
        let timers = [self.keyframes.due(), self.resizer.due(), self.flush.due(), self.screenshots.due()];
        timers
            .into_iter()
            .chain([self.idle_deadline, self.drain_deadline, connecting])
            .flatten()
            .fold(self.stats_due.min(self.share_due), Instant::min)
    }

    pub(super) fn on_time(&mut self, now: Instant) -> Result<(), SessionEnd> {
        if self.idle_deadline.is_some_and(|deadline| deadline <= now) {
            return Err(SessionEnd::NobodyWatching);
        }
        if self.drain_deadline.is_some_and(|deadline| deadline <= now) {
            return Err(SessionEnd::Draining);
        }
        if let Some((id, deadline)) = self.viewers.connect_deadline()
            && deadline <= now
        {
            tracing::info!(viewer = id.0, "viewer did not connect in time");
            self.remove_viewer(id, now)?;
        }
        if self.keyframes.fire(now) {
            self.send(ToWorker::RequestKeyframe)?;
        }
        if let Some(size) = self.resizer.fire(now) {
            self.send(ToWorker::Resize(size))?;
        }
        if self.flush.fire(now) {
            self.send_input(now)?;
        }
        if self.screenshots.fire(now) {
            self.send(ToWorker::TakeScreenshot)?;
        }
        if self.share_due <= now {
            self.share_due = now + share::LOOK_INTERVAL;
            self.look_at_share(now);
        }
        if self.stats_due <= now {
            let elapsed = now.duration_since(self.stats_due) + STATS_INTERVAL;
            self.stats_due = now + STATS_INTERVAL;
            let target_bps = self.bitrate.current_bps();
            let (from_worker, to_worker) = self.worker.queued();
            self.depths.from_worker.set(from_worker);
            self.depths.to_worker.set(to_worker);
            self.depths.input.set(self.queue.len());
            self.depths
                .viewer_frames
                .set(self.viewers.iter().map(|viewer| viewer.peer.queued_frames()).sum());
            for viewer in self.viewers.iter_mut() {
                viewer.tell_stats(target_bps, elapsed);
                self.metrics.network(viewer.take_network_use());
            }
        }
        Ok(())
    }

    fn look_at_share(&mut self, now: Instant) {
        let used = self.worker.process_id().and_then(usage::of_process);
        let Some(Usage { cpu_seconds, .. }) = used else { return };
        let fair = share::fair_processors(self.metrics.sessions.get());
        if let Some(is_greedy) = self.share.look(now, cpu_seconds, fair) {
            self.worker.set_greedy(is_greedy);
            tracing::debug!(is_greedy, "the session's share of the processors changes");
        }
    }
}
