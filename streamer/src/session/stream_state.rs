//! What a session computes about its stream: RTP timestamps, the encoder's target, the picture's size. Pure.

use std::time::Duration;

use renderer_protocol::FrameSize;
use tokio::time::Instant;

use super::throttle::Throttle;
use crate::rtc::MIN_TARGET_BPS;

/// Window edges are dragged pixel by pixel; sizes in steps of a macroblock give a new stream for one in sixteen of them.
pub const SIZE_SNAP_PX: u32 = 16;
/// A new size costs an IDR and new textures.
const RESIZE_INTERVAL: Duration = Duration::from_millis(100);
/// Smaller changes of the target are noise of the estimator.
const NOTICEABLE_PERCENT: u64 = 5;

/// From a worker's pts to the 90 kHz clock of RTP (RFC 6184, section 5.1), the same for all viewers of a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct RtpClock {
    offset: u32,
}

impl RtpClock {
    /// RFC 3550, section 5.1, wants a random start.
    pub(super) const fn starting_at(offset: u32) -> Self {
        Self { offset }
    }

    /// Wraps around after 13 hours, as RTP does.
    pub(super) fn timestamp(self, pts_us: u64) -> u32 {
        let ticks = u128::from(pts_us) * 9 / 100;
        // Modulo 2^32 is what an RTP timestamp is.
        #[allow(clippy::cast_possible_truncation)]
        let ticks = ticks as u32;
        self.offset.wrapping_add(ticks)
    }
}

/// The encoder's target: what the slowest path carries, of those that carry the least that is worth looking at. The others' viewers
/// get pictures dropped, so that one bad line does not spoil the session for everybody.
#[derive(Clone, Copy, Debug)]
pub(super) struct BitrateTarget {
    max_bps: u32,
    current_bps: u32,
}

impl BitrateTarget {
    /// Begins with `start_bps`, never goes over `max_bps`.
    pub(super) fn new(start_bps: u32, max_bps: u32) -> Self {
        Self { max_bps, current_bps: start_bps.min(max_bps) }
    }

    /// What the encoder aims at.
    pub(super) const fn current_bps(self) -> u32 {
        self.current_bps
    }

    /// The new target, when the viewers' paths make it differ noticeably. Without an estimate it stays.
    pub(super) fn update(&mut self, path_estimates_bps: impl Iterator<Item = u32>) -> Option<u32> {
        // Of two paths that carry, the slower one; of one that does not and another, the other.
        let slowest = path_estimates_bps.min_by_key(|bps| (*bps < MIN_TARGET_BPS, *bps))?;
        let wanted = slowest.clamp(MIN_TARGET_BPS.min(self.max_bps), self.max_bps);
        let change = u64::from(wanted.abs_diff(self.current_bps)) * 100;
        let at_a_bound = wanted == self.max_bps && wanted != self.current_bps;
        if change < u64::from(self.current_bps) * NOTICEABLE_PERCENT && !at_a_bound {
            return None;
        }
        self.current_bps = wanted;
        Some(wanted)
    }
}

/// The picture's size as viewers want it: snapped, limited, and not changed at every event of a dragged edge.
#[derive(Debug)]
pub(super) struct Resizer {
    max: FrameSize,
    asked: FrameSize,
    told: FrameSize,
    throttle: Throttle,
}

impl Resizer {
    /// A session that draws at `size`.
    pub(super) const fn new(size: FrameSize, max: FrameSize) -> Self {
        Self { max, asked: size, told: size, throttle: Throttle::new(RESIZE_INTERVAL) }
    }

    /// A viewer's window has this size now; of several viewers the last one to ask decides. The size to tell the worker now.
    #[must_use]
    pub(super) fn ask(&mut self, width_px: u32, height_px: u32, now: Instant) -> Option<FrameSize> {
        self.asked = FrameSize::snapped(width_px, height_px, self.max, SIZE_SNAP_PX);
        if self.asked == self.told || !self.throttle.request(now) {
            return None;
        }
        self.told = self.asked;
        Some(self.told)
    }

    /// When [`Self::fire`] may have something.
    pub(super) fn due(&self) -> Option<Instant> {
        self.throttle.due()
    }

    /// The size to tell the worker, if one waits and its time has come.
    #[must_use]
    pub(super) fn fire(&mut self, now: Instant) -> Option<FrameSize> {
        if !self.throttle.fire(now) || self.asked == self.told {
            return None;
        }
        self.told = self.asked;
        Some(self.told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(text: &str) -> FrameSize {
        text.parse().unwrap()
    }

    #[test]
    fn rtp_time_is_90_khz_and_wraps() {
        let clock = RtpClock::starting_at(u32::MAX - 2_999);
        assert_eq!(clock.timestamp(0), u32::MAX - 2_999);
        assert_eq!(clock.timestamp(33_333), u32::MAX - 2_999 + 2_999);
        assert_eq!(clock.timestamp(33_345), 1);
        assert_eq!(clock.timestamp(1_000_000), 87_000);
        let clock = RtpClock::starting_at(0);
        let year_in_ticks = 366_u64 * 24 * 3600 * 90_000 % (1 << 32);
        assert_eq!(u64::from(clock.timestamp(366 * 24 * 3600 * 1_000_000)), year_in_ticks);
    }

    #[test]
    fn rtp_time_does_not_drift_from_pts() {
        let clock = RtpClock::starting_at(0);
        let (first, later) = (clock.timestamp(1_000), clock.timestamp(1_000 + 3_600_000_000));
        assert_eq!(later.wrapping_sub(first), 3_600 * 90_000);
    }

    #[test]
    fn the_slowest_path_decides_within_the_limits() {
        let mut target = BitrateTarget::new(4_000_000, 8_000_000);
        assert_eq!(target.update([6_000_000, 2_000_000].into_iter()), Some(2_000_000));
        assert_eq!(target.update([50_000_000].into_iter()), Some(8_000_000));
        assert_eq!(target.update([1].into_iter()), Some(MIN_TARGET_BPS));
        assert_eq!(target.current_bps(), MIN_TARGET_BPS);
        assert_eq!(target.update(std::iter::empty()), None);
    }

    #[test]
    fn a_path_that_carries_nothing_does_not_decide_for_the_others() {
        let mut target = BitrateTarget::new(4_000_000, 8_000_000);
        assert_eq!(target.update([0, 3_000_000, 5_000_000].into_iter()), Some(3_000_000));
        assert_eq!(target.update([0, 0].into_iter()), Some(MIN_TARGET_BPS), "there is no other");
    }

    #[test]
    fn noise_of_the_estimator_is_not_passed_on() {
        let mut target = BitrateTarget::new(4_000_000, 8_000_000);
        assert_eq!(target.update([4_100_000].into_iter()), None);
        assert_eq!(target.update([3_900_000].into_iter()), None);
        assert_eq!(target.update([4_300_000].into_iter()), Some(4_300_000));
        let mut nearly_there = BitrateTarget::new(7_900_000, 8_000_000);
        assert_eq!(nearly_there.update([9_000_000].into_iter()), Some(8_000_000), "the limit is reached");
        assert_eq!(nearly_there.update([9_000_000].into_iter()), None);
    }

    #[test]
    fn a_start_above_the_maximum_is_the_maximum() {
        assert_eq!(BitrateTarget::new(9_000_000, 1_000_000).current_bps(), 1_000_000);
    }

    #[test]
    fn a_dragged_edge_changes_the_size_ten_times_a_second_and_ends_where_it_was_let_go() {
        let start = Instant::now();
        let mut resizer = Resizer::new(size("1280x720"), size("1920x1080"));
        let mut told = Vec::new();
        for step in 0..500_u32 {
            let now = start + Duration::from_millis(step.into());
            told.extend(resizer.fire(now));
            told.extend(resizer.ask(1280 - step, 720, now));
        }
        told.extend(resizer.fire(start + Duration::from_secs(1)));
        assert!((4..=7).contains(&told.len()), "{told:?}");
        assert_eq!(told.last(), Some(&size("768x720")), "1280 - 499, snapped down");
    }

    #[test]
    fn the_same_size_again_is_not_told_again() {
        let start = Instant::now();
        let mut resizer = Resizer::new(size("1280x720"), size("1920x1080"));
        assert_eq!(resizer.ask(1283, 725, start), None, "it snaps to what it is");
        assert_eq!(resizer.ask(640, 360, start), Some(size("640x352")));
        assert_eq!(resizer.ask(1280, 720, start + Duration::from_millis(10)), None);
        assert_eq!(resizer.ask(640, 360, start + Duration::from_millis(20)), None);
        assert_eq!(resizer.fire(start + Duration::from_millis(100)), None, "it came back to what was told");
    }

    #[test]
    fn any_window_gives_a_size_within_the_maximum() {
        let mut resizer = Resizer::new(size("1280x720"), size("1920x1080"));
        let mut now = Instant::now();
        for (width, height) in [(0, 0), (u32::MAX, u32::MAX), (1, u32::MAX), (15, 15)] {
            now += RESIZE_INTERVAL;
            let told = resizer.ask(width, height, now).unwrap();
            assert!(told.width() <= 1920 && told.height() <= 1080, "{told}");
        }
    }
}
