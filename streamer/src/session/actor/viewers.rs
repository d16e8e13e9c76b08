//! What a session's viewers say, and how they leave.
//!
//! Knows the messages of the data channels and what each may have as an effect. A viewer is a stranger: what makes no sense is counted, and
//! ends that viewer's connection and never the session.

use std::time::Duration;

use renderer_protocol::{ToWorker, ViewerId};
use tokio::time::Instant;

use super::{Actor, micros};
use crate::{
    input::{Applied, Lane},
    metrics::Counted,
    rtc::{Channel, PeerEvent},
    session::{end::SessionEnd, viewers::Viewer},
    text::escape_untrusted,
    viewer_protocol::{ClientMessage, ServerMessage, VERSION},
};

/// How long closing a connection may take: longer than it waits for its last message to arrive.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// The same for who may not watch any more, and is to be gone within a second.
const REVOKED_CLOSE_TIMEOUT: Duration = Duration::from_millis(750);

impl Actor {
    pub(super) fn on_viewer(&mut self, id: ViewerId, event: PeerEvent) -> Result<(), SessionEnd> {
        let now = Instant::now();
        match event {
            PeerEvent::Connected => {
                let Some(viewer) = self.viewers.get_mut(id) else { return Ok(()) };
                if !viewer.is_connected() {
                    viewer.connected(Counted::new(&self.metrics.viewers));
                    tracing::info!(viewer = id.0, "viewer connected");
                    self.publish_viewers();
                    self.update_watched()?;
                    self.request_keyframe(now)?;
                }
                Ok(())
            }
            PeerEvent::ChannelsOpen => {
                if let Some(viewer) = self.viewers.get_mut(id) {
                    viewer.channels_open();
                    if let Some(deadline) = self.drain_deadline {
                        let seconds = deadline.saturating_duration_since(now).as_secs();
                        viewer.tell(&ServerMessage::Draining { seconds });
                    }
                }
                Ok(())
            }
            PeerEvent::Text(channel, text) => self.on_text(id, channel, &text, now),
            PeerEvent::BadMessage => self.on_bad_message(id, now),
            PeerEvent::KeyframeNeeded => self.request_keyframe(now),
            PeerEvent::TargetBitrate { bps } => {
                if let Some(viewer) = self.viewers.get_mut(id) {
                    viewer.target_bps = Some(bps);
                }
                self.update_bitrate()
            }
            PeerEvent::Closed(why) => {
                tracing::info!(viewer = id.0, why = %escape_untrusted(&why), "viewer's connection closed");
                self.remove_viewer(id, now)
            }
        }
    }

    pub(super) fn on_revoked(&mut self, id: ViewerId) -> Result<(), SessionEnd> {
        tracing::info!(viewer = id.0, "viewer's access was withdrawn");
        if let Some(viewer) = self.viewers.get_mut(id) {
            let message = "your access to it was withdrawn";
            viewer.tell(&ServerMessage::Ended { code: "revoked", message });
        }
        self.remove_viewer_within(REVOKED_CLOSE_TIMEOUT, id, Instant::now())
    }

    fn on_text(
        &mut self,
        id: ViewerId,
        channel: Channel,
        text: &str,
        now: Instant,
    ) -> Result<(), SessionEnd> {
        let lane = match channel {
            Channel::Motion => Lane::Motion,
            Channel::Events => Lane::Events,
        };
        let message = ClientMessage::parse(text).ok().filter(|message| {
            // On the unordered channel anything else could overtake its own release.
            lane == Lane::Events || matches!(message, ClientMessage::PointerMove(_) | ClientMessage::Unknown)
        });
        let Some(message) = message else { return self.on_bad_message(id, now) };
        let Some(viewer) = self.viewers.get_mut(id) else { return Ok(()) };
        let is_within_rate = |viewer: &mut Viewer| viewer.input.admit(now.into_std());
        match message {
            ClientMessage::Hello { .. } => {
                if is_within_rate(viewer) {
                    let session = self.info.id.to_string();
                    let scene = self.info.scene.to_string();
                    viewer.tell(&ServerMessage::Welcome {
                        version: VERSION,
                        viewer: id.0,
                        session: &session,
                        scene: &scene,
                        control: viewer.pass.may_control,
                    });
                }
                Ok(())
            }
            ClientMessage::Ping { t } => {
                if is_within_rate(viewer) {
                    let server_us = micros(self.clock_origin.elapsed());
                    viewer.tell(&ServerMessage::Pong { t, server_us });
                }
                Ok(())
            }
            ClientMessage::Measure { on } => {
                viewer.measures = on;
                Ok(())
            }
            ClientMessage::Unknown => Ok(()),
            // Whoever may only watch cannot be told from one that says nothing: its input has no effect, and is no misbehaviour.
            _ if !viewer.pass.may_control => {
                self.metrics.input(Applied::Ignored, 1);
                Ok(())
            }
            ClientMessage::Resize { width, height } => match self.resizer.ask(width, height, now) {
                Some(size) => self.send(ToWorker::Resize(size)),
                None => Ok(()),
            },
            input => self.on_input(id, input, lane, now),
        }
    }

    fn on_input(
        &mut self,
        id: ViewerId,
        message: ClientMessage,
        lane: Lane,
        now: Instant,
    ) -> Result<(), SessionEnd> {
        let Some(viewer) = self.viewers.get_mut(id) else { return Ok(()) };
        let seq = message.seq();
        let (mut fits, mut count) = (true, 0);
        let applied = viewer.input.apply(message, lane, now.into_std(), &mut |event| {
            fits &= self.queue.push(event);
            count += 1;
        });
        self.metrics.input(applied, count);
        if !fits {
            return Err(SessionEnd::WorkerUnresponsive);
        }
        match applied {
            Applied::Accepted => {
                if let Some(seq) = seq {
                    viewer.sequence.queued(seq);
                }
                self.flush_input(now)
            }
            Applied::Refused => self.on_bad_message(id, now),
            Applied::Ignored | Applied::TooFast => Ok(()),
        }
    }

    fn on_bad_message(&mut self, id: ViewerId, now: Instant) -> Result<(), SessionEnd> {
        self.metrics.bad_messages.inc();
        let Some(viewer) = self.viewers.get_mut(id) else { return Ok(()) };
        if viewer.has_talked_nonsense() {
            tracing::warn!(viewer = id.0, "viewer is disconnected: too many messages without sense");
            return self.remove_viewer(id, now);
        }
        Ok(())
    }

    pub(super) fn remove_viewer(&mut self, id: ViewerId, now: Instant) -> Result<(), SessionEnd> {
        self.remove_viewer_within(CLOSE_TIMEOUT, id, now)
    }

    /// Takes a viewer out at once; its connection closes when the last message to it has arrived, and after this time in any case.
    fn remove_viewer_within(&mut self, time: Duration, id: ViewerId, now: Instant) -> Result<(), SessionEnd> {
        let Some(mut viewer) = self.viewers.remove(id) else { return Ok(()) };
        self.metrics.network(viewer.take_network_use());
        tracing::info!(viewer = id.0, "viewer left");
        let mut fits = true;
        viewer.input.release_all(&mut |event| fits &= self.queue.push(event));
        tokio::spawn(close(viewer, time));
        if self.viewers.len() == 0 {
            self.idle_deadline = Some(now + self.limits.grace);
        }
        self.publish_viewers();
        if !fits {
            return Err(SessionEnd::WorkerUnresponsive);
        }
        self.check_drained()?;
        self.flush_input(now)?;
        self.update_bitrate()?;
        self.update_watched()
    }

    fn publish_viewers(&mut self) {
        let connected = self.viewers.connected();
        self.status.publish(|status| status.viewers = connected);
    }
}

/// Takes the viewer as a whole: a connection whose events nobody takes any more closes at once, as this one does when its time is over.
pub(super) async fn close(viewer: Viewer, time: Duration) {
    if tokio::time::timeout(time, viewer.peer.close()).await.is_err() {
        tracing::debug!("a viewer did not acknowledge the last message to it in time");
    }
}
