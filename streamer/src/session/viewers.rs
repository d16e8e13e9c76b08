//! The viewers of one session: their peers, what they said, what they are owed.
//!
//! Decides nothing: it keeps books and passes messages; [`super::actor`] acts.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use renderer_protocol::{AccessUnit, ViewerId};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::Instant,
};

use tokio_util::sync::WaitForCancellationFutureOwned;

use super::id::ViewerKey;
use crate::{
    auth::Pass,
    input::{SequenceMap, ViewerInput},
    metrics::{Counted, NetworkUse},
    rtc::{Peer, PeerEvent, PeerStats, SendOutcome, VideoFrame},
    viewer_protocol::{Frame, ServerMessage},
};

/// ICE and DTLS take a few round trips; who needs longer has no path to us, and keeps others from connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// So many messages without sense are no accident.
pub(super) const MAX_BAD_MESSAGES: u32 = 100;

/// A peer whose offer has been answered, not yet in a session.
pub struct NewViewer {
    /// Its connection.
    pub peer: Peer,
    /// What the connection reports.
    pub events: mpsc::Receiver<PeerEvent>,
    /// Its place among those that are connecting; given back when it is connected or gone.
    pub pending: OwnedSemaphorePermit,
    /// By what it came.
    pub pass: Pass,
}

/// What happens to a viewer.
pub(super) enum ViewerEvent {
    /// Its connection reports something.
    Peer(PeerEvent),
    /// That by which it came is no longer valid.
    Revoked,
}

/// A viewer of a session.
pub(super) struct Viewer {
    /// Its number.
    pub id: ViewerId,
    /// The name of its WHEP resource.
    pub key: ViewerKey,
    /// Its connection, shared with requests in progress.
    pub peer: Arc<Peer>,
    events: mpsc::Receiver<PeerEvent>,
    connection: Connection,
    /// What it may do.
    pub pass: Pass,
    revoked: Pin<Box<WaitForCancellationFutureOwned>>,
    /// What it holds down.
    pub input: ViewerInput,
    /// Which of its messages a picture could have seen.
    pub sequence: SequenceMap,
    /// It wants to be told about each picture.
    pub measures: bool,
    /// What its path carries, once that is known.
    pub target_bps: Option<u32>,
    has_channels: bool,
    /// It has been sent its first keyframe.
    has_begun: bool,
    bad_messages: u32,
    dropped_frames: u64,
    bytes_since_stats: u64,
    /// What the peer had counted at the last call of [`Self::take_network_use`].
    peer_stats: PeerStats,
}

/// What became of a picture for one viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// It is on its way.
    Yes,
    /// The viewer misses it.
    Dropped,
    /// The viewer's stream has not begun: it waits for its first keyframe.
    NotYet,
}

enum Connection {
    Pending { deadline: Instant, _permit: OwnedSemaphorePermit },
    Connected { _counted: Counted },
}

impl Viewer {
    /// Whether pictures reach it.
    pub(super) fn is_connected(&self) -> bool {
        matches!(self.connection, Connection::Connected { .. })
    }

    /// ICE and DTLS are done. It is counted as long as it is here.
    pub(super) fn connected(&mut self, counted: Counted) {
        self.connection = Connection::Connected { _counted: counted };
    }

    /// Its data channels are open.
    pub(super) fn channels_open(&mut self) {
        self.has_channels = true;
    }

    /// Sends a message if it has channels.
    pub(super) fn tell(&self, message: &ServerMessage<'_>) {
        // A message that does not fit is one about a moment that has passed.
        if self.has_channels && !self.peer.send_text(message.to_text()) {
            tracing::trace!(viewer = self.id.0, "a message to the viewer was dropped");
        }
    }

    /// One more message without sense. True when there were too many.
    pub(super) fn has_talked_nonsense(&mut self) -> bool {
        self.bad_messages += 1;
        self.bad_messages >= MAX_BAD_MESSAGES
    }

    /// Sends a picture.
    pub(super) fn send(&mut self, frame: &VideoFrame) -> Sent {
        match self.peer.send_frame(frame) {
            SendOutcome::Sent => {
                self.has_begun = true;
                self.bytes_since_stats += frame.data.len() as u64;
                Sent::Yes
            }
            SendOutcome::DroppedUntilKeyframe if self.has_begun => {
                self.dropped_frames += 1;
                Sent::Dropped
            }
            SendOutcome::DroppedUntilKeyframe | SendOutcome::NotConnected => Sent::NotYet,
        }
    }

    /// Tells it how a picture came about, if it wants to know.
    pub(super) fn tell_frame(&mut self, unit: &AccessUnit, bytes: usize, rtp_timestamp: u32, sent_us: u64) {
        let seq = self.sequence.seen(unit.input_sequence);
        if self.measures {
            self.tell(&ServerMessage::Frame(Frame {
                rtp: rtp_timestamp,
                sent_us,
                seq,
                scene_us: unit.times.scene_us,
                readback_us: unit.times.readback_us,
                convert_us: unit.times.convert_us,
                encode_us: unit.times.encode_us,
                bytes,
                keyframe: unit.keyframe,
            }));
        }
    }

    /// Tells it what it was sent since the last call, `elapsed` ago.
    pub(super) fn tell_stats(&mut self, target_bps: u32, elapsed: Duration) {
        let bits = u128::from(std::mem::take(&mut self.bytes_since_stats)) * 8 * 1_000_000;
        let bitrate_bps = u64::try_from(bits / elapsed.as_micros().max(1)).unwrap_or(u64::MAX);
        self.tell(&ServerMessage::Stats { bitrate_bps, target_bps, dropped: self.dropped_frames });
    }

    /// What its path did since the last call.
    pub(super) fn take_network_use(&mut self) -> NetworkUse {
        let now = self.peer.stats();
        let before = std::mem::replace(&mut self.peer_stats, now);
        NetworkUse {
            packets: now.packets_sent.saturating_sub(before.packets_sent),
            nacks: now.nacks.saturating_sub(before.nacks),
            retransmitted_bytes: now.retransmitted_bytes.saturating_sub(before.retransmitted_bytes),
            keyframe_requests: now.plis.saturating_sub(before.plis),
            round_trip: (now.rtt_ms > 0).then(|| Duration::from_millis(now.rtt_ms.into())),
        }
    }
}

/// All viewers of a session, at most as many as the session allows.
#[derive(Default)]
pub(super) struct Viewers {
    list: Vec<Viewer>,
    last_number: u32,
    /// Where the search for an event begins, so that no viewer can keep the others from being heard.
    first_polled: usize,
}

impl Viewers {
    /// Adds one that is connecting. Numbers are not used again.
    pub(super) fn add(&mut self, new: NewViewer, now: Instant) -> ViewerKey {
        self.last_number = self.last_number.saturating_add(1);
        let (id, key) = (ViewerId(self.last_number), ViewerKey::random());
        self.list.push(Viewer {
            id,
            key,
            peer: Arc::new(new.peer),
            events: new.events,
            revoked: Box::pin(new.pass.revoked()),
            pass: new.pass,
            connection: Connection::Pending { deadline: now + CONNECT_TIMEOUT, _permit: new.pending },
            input: ViewerInput::new(id, now.into_std()),
            sequence: SequenceMap::default(),
            measures: false,
            target_bps: None,
            has_channels: false,
            has_begun: false,
            bad_messages: 0,
            dropped_frames: 0,
            bytes_since_stats: 0,
            peer_stats: PeerStats::default(),
        });
        key
    }

    /// Takes one out.
    pub(super) fn remove(&mut self, id: ViewerId) -> Option<Viewer> {
        let position = self.list.iter().position(|viewer| viewer.id == id)?;
        Some(self.list.remove(position))
    }

    /// Takes all out.
    pub(super) fn take(&mut self) -> Vec<Viewer> {
        std::mem::take(&mut self.list)
    }

    /// By number.
    pub(super) fn get_mut(&mut self, id: ViewerId) -> Option<&mut Viewer> {
        self.list.iter_mut().find(|viewer| viewer.id == id)
    }

    /// By the name of its WHEP resource.
    pub(super) fn by_key(&self, key: ViewerKey) -> Option<&Viewer> {
        self.list.iter().find(|viewer| viewer.key == key)
    }

    /// All, connected or not.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Viewer> {
        self.list.iter_mut()
    }

    /// All, connected or not.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Viewer> {
        self.list.iter()
    }

    /// How many there are, connected or not.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// How many get pictures.
    pub(super) fn connected(&self) -> usize {
        self.list.iter().filter(|viewer| viewer.is_connected()).count()
    }

    /// When the first of those that are connecting has had its time.
    pub(super) fn connect_deadline(&self) -> Option<(ViewerId, Instant)> {
        let deadlines = self.list.iter().filter_map(|viewer| match viewer.connection {
            Connection::Pending { deadline, .. } => Some((viewer.id, deadline)),
            Connection::Connected { .. } => None,
        });
        deadlines.min_by_key(|(_, deadline)| *deadline)
    }

    /// The next thing that happens to any viewer; [`PeerEvent::Closed`] also when a peer is gone without a word. Waits for ever
    /// when there is no viewer. Cancel-safe.
    pub(super) async fn next_event(&mut self) -> (ViewerId, ViewerEvent) {
        std::future::poll_fn(|context| self.poll_event(context)).await
    }

    /// Tells those whose data channels open only now, as long as it is polled.
    pub(super) async fn tell_those_who_come(&mut self, message: &ServerMessage<'_>) {
        loop {
            self.tell_the_next(message).await;
        }
    }

    /// The same, until nobody is on the way any more.
    pub(super) async fn tell_those_who_connect(&mut self, message: &ServerMessage<'_>) {
        while self.list.iter().any(|viewer| !viewer.is_connected() && !viewer.has_channels) {
            self.tell_the_next(message).await;
        }
    }

    async fn tell_the_next(&mut self, message: &ServerMessage<'_>) {
        match self.next_event().await {
            (id, ViewerEvent::Peer(PeerEvent::ChannelsOpen)) => {
                if let Some(viewer) = self.get_mut(id) {
                    viewer.channels_open();
                    viewer.tell(message);
                }
            }
            (id, ViewerEvent::Revoked | ViewerEvent::Peer(PeerEvent::Closed(_))) => drop(self.remove(id)),
            _ => {}
        }
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<(ViewerId, ViewerEvent)> {
        let count = self.list.len();
        for step in 0..count {
            let position = (self.first_polled + step) % count;
            let Some(viewer) = self.list.get_mut(position) else { continue };
            // First, so that a viewer that talks without end cannot outlive its pass.
            if viewer.revoked.as_mut().poll(context).is_ready() {
                return Poll::Ready((viewer.id, ViewerEvent::Revoked));
            }
            if let Poll::Ready(event) = viewer.events.poll_recv(context) {
                self.first_polled = (position + 1) % count;
                let event = event.unwrap_or_else(|| PeerEvent::Closed("its connection is gone".to_owned()));
                return Poll::Ready((viewer.id, ViewerEvent::Peer(event)));
            }
        }
        Poll::Pending
    }
}
