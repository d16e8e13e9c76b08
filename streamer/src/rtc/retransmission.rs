//! What may be sent again, and how often: a viewer asks, and must not be able to multiply what the server sends.
//!
//! Knows sequence numbers, sizes and times; reads no clock.

use std::time::{Duration, Instant};

/// Of what is sent, a tenth may be sent again. A path that loses more is congested, and repeating makes it worse.
const BUDGET_DIVISOR: u32 = 10;
/// A connection begins with as much as ten packets, so that a loss in the first keyframe can be repaired.
const FIRST_BUDGET_BYTES: u32 = 12_000;
/// What is saved while nothing is lost: a burst of loss of some 50 packets.
const MAX_BUDGET_BYTES: u32 = 64 * 1024;
/// Packets that are remembered: as many as are kept for retransmission.
const REMEMBERED_PACKETS: u16 = super::engine::RETRANSMISSION_PACKETS;
/// A picture that is older is not shown any more; its viewer needs a keyframe.
const MAX_AGE: Duration = Duration::from_secs(1);
/// A request is answered once in a round trip, for the answer cannot be there earlier; as long as none was measured, in this time.
const UNKNOWN_ROUND_TRIP: Duration = Duration::from_millis(100);
/// Receivers measure in steps of their own; below this a round trip is that of a machine to itself.
const MIN_INTERVAL: Duration = Duration::from_millis(20);

/// See the module.
pub(super) struct Retransmission {
    /// By sequence number, modulo its length.
    packets: Vec<Option<SentPacket>>,
    budget_bytes: u32,
}

#[derive(Clone, Copy)]
struct SentPacket {
    number: u16,
    at: Instant,
    answered_at: Option<Instant>,
}

impl Retransmission {
    pub(super) fn new() -> Self {
        Self { packets: vec![None; usize::from(REMEMBERED_PACKETS)], budget_bytes: FIRST_BUDGET_BYTES }
    }

    /// A packet goes out for the first time.
    pub(super) fn sent(&mut self, now: Instant, number: u16, bytes: usize) {
        let earned = u32::try_from(bytes).unwrap_or(u32::MAX) / BUDGET_DIVISOR;
        self.budget_bytes = self.budget_bytes.saturating_add(earned).min(MAX_BUDGET_BYTES);
        if let Some(place) = self.packets.get_mut(usize::from(number % REMEMBERED_PACKETS)) {
            *place = Some(SentPacket { number, at: now, answered_at: None });
        }
    }

    /// Whether to answer a request for this packet now. It counts as answered then. `round_trip` is zero when it is not known.
    pub(super) fn answers(&mut self, now: Instant, number: u16, round_trip: Duration) -> bool {
        let place = self.packets.get_mut(usize::from(number % REMEMBERED_PACKETS));
        let Some(packet) = place.and_then(Option::as_mut).filter(|packet| packet.number == number) else {
            return false;
        };
        let interval =
            if round_trip.is_zero() { UNKNOWN_ROUND_TRIP } else { round_trip.clamp(MIN_INTERVAL, MAX_AGE) };
        let is_fresh = now.saturating_duration_since(packet.at) <= MAX_AGE;
        let is_due = packet.answered_at.is_none_or(|at| now.saturating_duration_since(at) >= interval);
        if is_fresh && is_due {
            packet.answered_at = Some(now);
        }
        is_fresh && is_due
    }

    /// Whether so many bytes may be sent again. They are paid then.
    pub(super) fn pays(&mut self, bytes: usize) -> bool {
        match u32::try_from(bytes).ok().and_then(|bytes| self.budget_bytes.checked_sub(bytes)) {
            Some(rest) => {
                self.budget_bytes = rest;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND_TRIP: Duration = Duration::from_millis(50);

    #[test]
    fn row_48_a_viewer_that_asks_for_everything_again_gets_a_tenth_of_what_was_sent() {
        let now = Instant::now();
        let mut retransmission = Retransmission::new();
        let (mut sent, mut repeated) = (0, 0);
        for number in 0..10_000_u16 {
            retransmission.sent(now, number, 1_000);
            sent += 1_000;
            for _ in 0..10 {
                repeated += if retransmission.pays(1_000) { 1_000 } else { 0 };
            }
        }
        assert!(repeated <= sent / 10 + FIRST_BUDGET_BYTES, "{repeated} of {sent}");
        assert!(repeated >= sent / 10, "{repeated} of {sent}");
    }

    #[test]
    fn what_is_saved_is_bounded() {
        let mut retransmission = Retransmission::new();
        for number in 0..60_000 {
            retransmission.sent(Instant::now(), number, 1_000);
        }
        let repeated = (0..1_000).filter(|_| retransmission.pays(1_000)).count();
        assert_eq!(repeated, 65, "64 KiB");
    }

    #[test]
    fn a_packet_is_sent_again_once_in_a_round_trip() {
        let start = Instant::now();
        let mut retransmission = Retransmission::new();
        retransmission.sent(start, 7, 1_000);
        let at = |ms| start + Duration::from_millis(ms);
        let answered: Vec<u64> =
            (0..200).filter(|ms| retransmission.answers(at(*ms), 7, ROUND_TRIP)).collect();
        assert_eq!(answered, [0, 50, 100, 150]);
        assert!(!retransmission.answers(at(240), 8, ROUND_TRIP), "never sent");
        assert!(!retransmission.answers(at(240), 7 + REMEMBERED_PACKETS, ROUND_TRIP), "not this one");
    }

    #[test]
    fn a_packet_of_a_picture_that_nobody_shows_any_more_is_not_sent_again() {
        let start = Instant::now();
        let mut retransmission = Retransmission::new();
        retransmission.sent(start, 7, 1_000);
        assert!(!retransmission.answers(start + Duration::from_millis(1_001), 7, ROUND_TRIP));
    }
}
