//! The handle of a viewer's connection, and what it shares with the task that drives it.
//!
//! A handle never waits for the network: it puts things into bounded queues, and the driver takes them out.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::{
    MAX_TEXT_BYTES, OfferError, PeerStats, SendOutcome, VideoFrame, feedback::Counters, offer::check_fragment,
};

/// Frames that may wait for the driver, which takes each as soon as the one before has gone out: this many mean that it has not
/// run for a quarter of a second at 30 Hz, and what waits is of no use any more.
const MAX_QUEUED_FRAMES: usize = 8;
/// What a worker may send is larger than anything an encoder makes of one frame; this is not.
const MAX_QUEUED_BYTES: usize = 8 * 1024 * 1024;
/// Texts that may wait for the data channel: two seconds of the `frame` messages of a viewer that measures.
pub(super) const MAX_QUEUED_TEXTS: usize = 64;

/// What a handle and its driver share.
#[derive(Default)]
pub(super) struct Shared {
    frames: Mutex<FrameQueue>,
    /// Wakes the driver for a frame.
    pub(super) wake: Notify,
    pub(super) is_connected: AtomicBool,
    pub(super) are_channels_open: AtomicBool,
    /// The queue dropped to the next keyframe; taken by the driver, which reports it.
    pub(super) has_overflowed: AtomicBool,
    pub(super) counters: Arc<Counters>,
    pub(super) target_bps: Arc<AtomicU32>,
}

impl Shared {
    pub(super) fn next_frame(&self) -> Option<VideoFrame> {
        self.frames().pop()
    }

    /// From now on only these frames are taken, and what waits is dropped.
    pub(super) fn set_gate(&self, gate: Gate) {
        self.frames().set_gate(gate);
    }

    fn frames(&self) -> MutexGuard<'_, FrameQueue> {
        // The queue is whole after each statement, whatever panicked.
        self.frames.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Frames that wait to be sent, decodable in their order: after a gap comes a keyframe or nothing.
struct FrameQueue {
    frames: VecDeque<VideoFrame>,
    bytes: usize,
    needs_keyframe: bool,
    gate: Gate,
}

/// Which frames a [`FrameQueue`] takes at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// All, from the next keyframe on.
    Open,
    /// The next keyframe, and then none.
    OneKeyframe,
    /// None.
    Closed,
}

impl Default for FrameQueue {
    fn default() -> Self {
        Self { frames: VecDeque::new(), bytes: 0, needs_keyframe: true, gate: Gate::Open }
    }
}

/// What a [`FrameQueue`] did with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pushed {
    Queued,
    Dropped,
    /// Dropped, and with it everything that waited.
    Overflowed,
}

impl FrameQueue {
    fn push(&mut self, frame: VideoFrame) -> Pushed {
        match self.gate {
            Gate::Open => {}
            Gate::OneKeyframe if frame.keyframe => self.gate = Gate::Closed,
            Gate::OneKeyframe | Gate::Closed => return Pushed::Dropped,
        }
        let bytes = frame.data.len();
        let fits =
            self.frames.len() < MAX_QUEUED_FRAMES && self.bytes.saturating_add(bytes) <= MAX_QUEUED_BYTES;
        if frame.keyframe && bytes <= MAX_QUEUED_BYTES {
            // A keyframe replaces whatever it would have to wait for.
            if !fits {
                self.clear();
            }
            self.needs_keyframe = false;
        } else if self.needs_keyframe {
            return Pushed::Dropped;
        } else if !fits {
            self.clear();
            self.needs_keyframe = true;
            return Pushed::Overflowed;
        }
        self.bytes = self.bytes.saturating_add(bytes);
        self.frames.push_back(frame);
        Pushed::Queued
    }

    fn pop(&mut self) -> Option<VideoFrame> {
        let frame = self.frames.pop_front()?;
        self.bytes = self.bytes.saturating_sub(frame.data.len());
        Some(frame)
    }

    /// What waits was meant for a path that is not there, or follows a gap.
    fn set_gate(&mut self, gate: Gate) {
        self.clear();
        self.needs_keyframe = true;
        self.gate = gate;
    }

    fn clear(&mut self) {
        self.frames.clear();
        self.bytes = 0;
    }
}

/// A viewer's connection. Dropping it closes it.
pub struct Peer {
    shared: Arc<Shared>,
    texts: mpsc::Sender<String>,
    stop: CancellationToken,
    finished: CancellationToken,
}

impl Peer {
    pub(super) fn new(
        shared: Arc<Shared>,
        texts: mpsc::Sender<String>,
        stop: CancellationToken,
        finished: CancellationToken,
    ) -> Self {
        Self { shared, texts, stop, finished }
    }

    /// Frames that wait for the driver.
    pub fn queued_frames(&self) -> usize {
        self.shared.frames().frames.len()
    }

    /// Never blocks. A full queue drops everything up to the next keyframe and reports
    /// [`KeyframeNeeded`](super::PeerEvent::KeyframeNeeded) once.
    pub fn send_frame(&self, frame: &VideoFrame) -> SendOutcome {
        if !self.shared.is_connected.load(Ordering::Relaxed) {
            return SendOutcome::NotConnected;
        }
        let pushed = self.shared.frames().push(frame.clone());
        match pushed {
            Pushed::Queued => {
                self.shared.wake.notify_one();
                SendOutcome::Sent
            }
            Pushed::Dropped => SendOutcome::DroppedUntilKeyframe,
            Pushed::Overflowed => {
                self.shared.has_overflowed.store(true, Ordering::Relaxed);
                self.shared.wake.notify_one();
                SendOutcome::DroppedUntilKeyframe
            }
        }
    }

    /// Sends on the events channel. False when it is not open, its bounded queue is full, or the text is longer than
    /// [`MAX_TEXT_BYTES`].
    pub fn send_text(&self, text: String) -> bool {
        self.shared.are_channels_open.load(Ordering::Relaxed)
            && text.len() <= MAX_TEXT_BYTES
            && self.texts.try_send(text).is_ok()
    }

    /// Takes the candidates of a trickle-ice-sdpfrag (RFC 8840). The server learns a viewer's addresses from its checks, so
    /// only the form of the fragment matters.
    #[expect(clippy::unused_async, reason = "the callers' signature, which a full agent would need")]
    pub async fn add_candidates(&self, sdp_fragment: &str) -> Result<(), OfferError> {
        check_fragment(sdp_fragment)
    }

    /// What was sent, and what came back.
    pub fn stats(&self) -> PeerStats {
        let counters = &self.shared.counters;
        PeerStats {
            packets_sent: counters.packets_sent.load(Ordering::Relaxed),
            nacks: counters.nacked_packets.load(Ordering::Relaxed),
            retransmitted_bytes: counters.retransmitted_bytes.load(Ordering::Relaxed),
            plis: counters.keyframe_requests.load(Ordering::Relaxed),
            rtt_ms: counters.rtt_ms.load(Ordering::Relaxed),
        }
    }

    /// Closes the connection as soon as what was said last has arrived, a second and a half from now at the latest, and waits until it is
    /// freed. At once, if the receiver of its events is gone.
    pub async fn close(&self) {
        self.stop.cancel();
        self.finished.cancelled().await;
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(keyframe: bool, number: u32) -> VideoFrame {
        VideoFrame { data: vec![0; 100].into(), keyframe, rtp_timestamp: number }
    }

    fn drain(queue: &mut FrameQueue) -> Vec<u32> {
        std::iter::from_fn(|| queue.pop()).map(|frame| frame.rtp_timestamp).collect()
    }

    #[test]
    fn nothing_goes_out_before_the_first_keyframe() {
        let mut queue = FrameQueue::default();
        assert_eq!(queue.push(frame(false, 0)), Pushed::Dropped);
        assert_eq!(queue.push(frame(true, 1)), Pushed::Queued);
        assert_eq!(queue.push(frame(false, 2)), Pushed::Queued);
        assert_eq!(drain(&mut queue), [1, 2]);
    }

    #[test]
    fn a_full_queue_drops_to_the_next_keyframe_and_says_so_once() {
        let mut queue = FrameQueue::default();
        queue.push(frame(true, 0));
        let outcomes: Vec<Pushed> = (1..20).map(|number| queue.push(frame(false, number))).collect();
        assert_eq!(
            outcomes.iter().filter(|outcome| **outcome == Pushed::Queued).count(),
            MAX_QUEUED_FRAMES - 1
        );
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == Pushed::Overflowed).count(), 1);
        assert!(drain(&mut queue).is_empty(), "what waited is stale");
        assert_eq!(queue.push(frame(true, 20)), Pushed::Queued);
        assert_eq!(queue.push(frame(false, 21)), Pushed::Queued);
        assert_eq!(drain(&mut queue), [20, 21]);
    }

    #[test]
    fn behind_a_closed_gate_nothing_waits_and_one_keyframe_may_try() {
        let mut queue = FrameQueue::default();
        queue.push(frame(true, 0));
        queue.set_gate(Gate::Closed);
        assert!(drain(&mut queue).is_empty(), "what waited is stale");
        assert_eq!(queue.push(frame(true, 1)), Pushed::Dropped);
        queue.set_gate(Gate::OneKeyframe);
        let outcomes =
            [false, true, false, true].map(|keyframe| queue.push(frame(keyframe, 2)) == Pushed::Queued);
        assert_eq!(outcomes, [false, true, false, false]);
        queue.set_gate(Gate::Open);
        assert_eq!(queue.push(frame(false, 3)), Pushed::Dropped, "it would follow a gap");
        assert_eq!(queue.push(frame(true, 4)), Pushed::Queued);
        assert_eq!(queue.push(frame(false, 5)), Pushed::Queued);
    }

    #[test]
    fn a_keyframe_waits_behind_nothing_stale() {
        let mut queue = FrameQueue::default();
        queue.push(frame(true, 0));
        for number in 1..8 {
            queue.push(frame(false, number));
        }
        assert_eq!(queue.push(frame(true, 8)), Pushed::Queued);
        assert_eq!(drain(&mut queue), [8]);
    }

    #[test]
    fn a_frame_larger_than_the_queue_is_never_taken() {
        let mut queue = FrameQueue::default();
        let huge =
            VideoFrame { data: vec![0; MAX_QUEUED_BYTES + 1].into(), keyframe: true, rtp_timestamp: 0 };
        assert_eq!(queue.push(huge.clone()), Pushed::Dropped);
        queue.push(frame(true, 1));
        assert_eq!(queue.push(huge), Pushed::Overflowed);
        assert_eq!(queue.bytes, 0);
    }
}
