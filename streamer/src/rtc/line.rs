//! Whether the path to a viewer carries anything of use: a circuit breaker after RFC 8083, which tries again instead of hanging up.
//!
//! The estimate of [`super::congestion`] moves with the receiver's reports, and a path that carries next to nothing carries next
//! to no reports. So this one counts: packets that were sent against packets that are known to have arrived. When a third does
//! not arrive any more, pictures stop, and from time to time one keyframe finds out whether the path is better. Reads no clock.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Packets are counted in windows of this time. A report that comes later than one window after its packets counts as none.
const WINDOW: Duration = Duration::from_secs(1);
/// Ends of windows that are looked at: what was sent in the first two, and what arrived in all three.
const SAMPLES: usize = 4;
/// Fewer packets in two windows are the keep-alives of a still scene: they prove nothing, and burden no path.
const MIN_PACKETS: u64 = 20;
/// The first pause is short, for a viewer's machine that was only busy.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Each pause is twice the one before, up to this: everybody in the session pays for the keyframe that tries the path.
const MAX_PAUSE: Duration = Duration::from_secs(8);
/// A keyframe is asked for, encoded, sent and reported in this time.
const TRIAL_TIME: Duration = Duration::from_secs(2);

/// Packets since the connection began, retransmissions too.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    pub(super) sent: u64,
    /// Of those, the ones that the receiver has reported.
    pub(super) arrived: u64,
}

/// What the peer is to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Send no pictures.
    Stop,
    /// Send one keyframe, to try the path.
    Try,
    /// Send pictures again, from a keyframe on.
    Resume,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Line {
    state: State,
}

#[derive(Debug)]
enum State {
    Carries { samples: VecDeque<Totals>, sample_at: Instant },
    Stopped { pause: Duration, until: Instant },
    Trying { pause: Duration, until: Instant, before: Totals },
}

impl Line {
    /// A line that carries until the contrary is seen.
    pub(super) fn new(now: Instant) -> Self {
        Self { state: State::Carries { samples: VecDeque::new(), sample_at: now } }
    }

    pub(super) fn carries(&self) -> bool {
        matches!(self.state, State::Carries { .. })
    }

    /// When [`Self::look`] has something to do, if no report comes.
    pub(super) fn due(&self) -> Instant {
        match self.state {
            State::Carries { sample_at: at, .. }
            | State::Stopped { until: at, .. }
            | State::Trying { until: at, .. } => at,
        }
    }

    /// Looks at the totals as they are now. `is_all_out` is false while packets of a picture wait to be sent.
    pub(super) fn look(&mut self, now: Instant, totals: Totals, is_all_out: bool) -> Option<Change> {
        let (state, change) = match &mut self.state {
            State::Carries { samples, sample_at } => {
                if now < *sample_at {
                    return None;
                }
                *sample_at = now + WINDOW;
                samples.push_back(totals);
                if samples.len() > SAMPLES {
                    samples.pop_front();
                }
                if !is_lost(samples) {
                    return None;
                }
                (State::Stopped { pause: FIRST_PAUSE, until: now + FIRST_PAUSE }, Change::Stop)
            }
            State::Stopped { pause, until } => {
                if now < *until {
                    return None;
                }
                (State::Trying { pause: *pause, until: now + TRIAL_TIME, before: totals }, Change::Try)
            }
            State::Trying { pause, until, before } => {
                let sent = totals.sent.saturating_sub(before.sent);
                let arrived = totals.arrived.saturating_sub(before.arrived);
                if is_all_out && sent > 0 && arrived.saturating_mul(2) >= sent {
                    (State::Carries { samples: VecDeque::new(), sample_at: now }, Change::Resume)
                } else if now >= *until {
                    let pause = pause.saturating_mul(2).min(MAX_PAUSE);
                    (State::Stopped { pause, until: now + pause }, Change::Stop)
                } else {
                    return None;
                }
            }
        };
        self.state = state;
        Some(change)
    }
}

/// Whether less than a third arrives of a steady stream: half of two windows, counted in three.
fn is_lost(samples: &VecDeque<Totals>) -> bool {
    let [Some(first), Some(_), Some(third), Some(last)] = [0, 1, 2, 3].map(|index| samples.get(index)) else {
        return false;
    };
    let sent = third.sent.saturating_sub(first.sent);
    let arrived = last.arrived.saturating_sub(first.arrived);
    // A viewer without transport-wide feedback reports nothing, ever.
    last.arrived > 0 && sent >= MIN_PACKETS && arrived.saturating_mul(2) < sent
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream of 70 packets a second for so long, of which so many in a hundred arrive; returns what changed, and when.
    struct Played {
        line: Line,
        now: Instant,
        start: Instant,
        totals: Totals,
    }

    impl Played {
        fn new() -> Self {
            let now = Instant::now();
            Self { line: Line::new(now), now, start: now, totals: Totals::default() }
        }

        fn play(&mut self, seconds: u64, arriving_percent: u64) -> Vec<(u64, Change)> {
            let mut changes = Vec::new();
            let mut keyframes = 0_u64;
            let arrived_before = self.totals.arrived;
            let mut sent_here = 0;
            for _ in 0..seconds * 10 {
                self.now += Duration::from_millis(100);
                let packets = if self.line.carries() { 7 } else { std::mem::take(&mut keyframes) };
                self.totals.sent += packets;
                sent_here += packets;
                self.totals.arrived = arrived_before + sent_here * arriving_percent / 100;
                if let Some(change) = self.line.look(self.now, self.totals, true) {
                    if change == Change::Try {
                        keyframes = 10;
                    }
                    changes.push((self.now.duration_since(self.start).as_secs(), change));
                }
            }
            changes
        }
    }

    #[test]
    fn a_line_that_carries_or_loses_a_half_is_left_to_the_estimate() {
        let mut played = Played::new();
        assert_eq!(played.play(20, 100), []);
        assert_eq!(played.play(20, 70), []);
        assert_eq!(played.play(20, 50), []);
    }

    #[test]
    fn a_dead_line_is_sent_nothing_but_a_keyframe_now_and_then() {
        let mut played = Played::new();
        played.play(10, 100);
        let changes = played.play(60, 1);
        assert_eq!(changes[0].1, Change::Stop);
        assert!(changes[0].0 <= 10 + 4, "{changes:?}");
        let tries = changes.iter().filter(|(_, change)| *change == Change::Try).count();
        assert!((4..=8).contains(&tries), "{changes:?}");
        assert!(changes.iter().all(|(_, change)| *change != Change::Resume), "{changes:?}");
    }

    #[test]
    fn a_line_that_is_good_again_is_found_out_at_the_next_trial() {
        let mut played = Played::new();
        played.play(5, 100);
        played.play(30, 0);
        let changes = played.play(12, 100);
        assert!(changes.iter().any(|(_, change)| *change == Change::Resume), "{changes:?}");
        assert!(played.line.carries());
        assert_eq!(played.play(20, 100), []);
    }

    #[test]
    fn a_scene_that_comes_to_rest_is_no_dead_line() {
        let mut played = Played::new();
        played.play(10, 100);
        for _ in 0..30 {
            played.now += WINDOW;
            played.totals.sent += 1;
            assert_eq!(played.line.look(played.now, played.totals, true), None);
        }
    }

    #[test]
    fn a_viewer_that_never_reports_is_not_judged() {
        let mut played = Played::new();
        assert_eq!(played.play(30, 0), []);
    }
}
