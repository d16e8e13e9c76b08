//! What the path to a viewer carries, in bits a second.
//!
//! Google Congestion Control (draft-ietf-rmcat-gcc-02) does the estimating; this module keeps its result honest for a source
//! that sends less than it may: an encoder of a still scene. It reads no clock and knows nothing of encoders.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use rtc::interceptor::{BandwidthEstimator, EstimatorStats, Gcc, PacketReport};

/// Below this a 720p picture of a moving scene cannot be made out.
pub(super) const MIN_TARGET_BPS: u32 = 300_000;
/// More than the encoder makes of any scene at the largest size.
pub(super) const MAX_TARGET_BPS: u32 = 20_000_000;
/// Where a connection starts, and what a still scene may always jump to when it begins to move: without this a scene that was
/// still for a minute would start to move at the rate of its keep-alives.
pub(super) const INITIAL_TARGET_BPS: u32 = 4_000_000;
/// The estimate proves nothing about rates far above what was sent.
const MAX_OF_SENT: f64 = 1.5;
/// Traffic this small congests nothing: a delay seen while sending it has another cause, mostly a busy machine.
const TOO_LITTLE_TO_CONGEST_BPS: f64 = 500_000.0;
/// The estimator climbs only linearly towards the rate of its last decrease; a path is not held to that for longer.
const CEILING_MEMORY: Duration = Duration::from_secs(5);
/// Window of the sent rate.
const SENT_WINDOW: Duration = Duration::from_secs(1);
/// Receivers report every 50–100 ms; a flood of reports merges into the newest entry.
const MAX_SENT_ENTRIES: usize = 64;

/// The estimator of one connection. The target goes to `published`.
pub(super) struct Congestion {
    gcc: Gcc,
    sent: VecDeque<(Instant, usize)>,
    last_decrease: Option<Instant>,
    target_bps: f64,
    published: Arc<AtomicU32>,
}

impl Congestion {
    pub(super) fn new(published: Arc<AtomicU32>) -> Self {
        published.store(INITIAL_TARGET_BPS, Ordering::Relaxed);
        let initial = f64::from(INITIAL_TARGET_BPS);
        Self {
            gcc: estimator(initial),
            sent: VecDeque::new(),
            last_decrease: None,
            target_bps: initial,
            published,
        }
    }

    fn sent_bps(&mut self, now: Instant, bytes: usize) -> f64 {
        let is_full = self.sent.len() >= MAX_SENT_ENTRIES;
        match self.sent.back_mut().filter(|_| is_full) {
            Some((_, newest)) => *newest = newest.saturating_add(bytes),
            None => self.sent.push_back((now, bytes)),
        }
        while self.sent.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) > SENT_WINDOW) {
            self.sent.pop_front();
        }
        let total: usize = self.sent.iter().map(|(_, bytes)| *bytes).fold(0, usize::saturating_add);
        // Exact up to 2^32 bytes in a second.
        f64::from(u32::try_from(total).unwrap_or(u32::MAX)) * 8.0 / SENT_WINDOW.as_secs_f64()
    }
}

fn estimator(initial_bps: f64) -> Gcc {
    Gcc::new(initial_bps, f64::from(MIN_TARGET_BPS), f64::from(MAX_TARGET_BPS))
}

impl BandwidthEstimator for Congestion {
    fn on_reports(&mut self, now: Instant, reports: &[PacketReport]) {
        let bytes = reports.iter().map(|report| report.size).fold(0, usize::saturating_add);
        let sent_bps = self.sent_bps(now, bytes);
        let before = self.gcc.target_bitrate();
        self.gcc.on_reports(now, reports);
        let after = self.gcc.target_bitrate();
        if after < before {
            if sent_bps < TOO_LITTLE_TO_CONGEST_BPS && reports.iter().all(|report| report.arrived) {
                self.gcc = estimator(before);
            } else {
                self.last_decrease = Some(now);
            }
        } else if self.last_decrease.is_some_and(|at| now.saturating_duration_since(at) > CEILING_MEMORY) {
            self.gcc = estimator(after);
            self.last_decrease = None;
        }
        let ceiling_bps = sent_bps * MAX_OF_SENT + f64::from(INITIAL_TARGET_BPS);
        self.target_bps = self
            .gcc
            .target_bitrate()
            .min(ceiling_bps)
            .clamp(f64::from(MIN_TARGET_BPS), f64::from(MAX_TARGET_BPS));
        // Between the two limits, so it fits.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        self.published.store(self.target_bps as u32, Ordering::Relaxed);
    }

    fn target_bitrate(&self) -> f64 {
        self.target_bps
    }

    fn stats(&self) -> EstimatorStats {
        self.gcc.stats()
    }
}

/// Whether `now_bps` differs from what was last reported by enough to tell the session.
pub(super) fn is_worth_reporting(last_bps: u32, now_bps: u32) -> bool {
    now_bps.abs_diff(last_bps) > last_bps / 20
}

#[cfg(test)]
mod tests {
    use rtc::rtcp::transport_feedbacks::cc_feedback_report::Ecn;

    use super::*;

    /// Plays `seconds` of feedback every 100 ms for a source of `bps` over a path that adds `extra_delay_ms` to each later
    /// report, and returns the target at the end.
    fn after(
        congestion: &mut Congestion,
        start: Instant,
        seconds: u64,
        bps: u64,
        extra_delay_ms: u64,
    ) -> u32 {
        let mut id = 0;
        for step in 0..seconds * 10 {
            let packets = (bps / 8 / 10).div_ceil(1200);
            let reports: Vec<PacketReport> = (0..packets)
                .map(|packet| {
                    id += 1;
                    let offset = Duration::from_millis(step * 100 + packet * 100 / packets);
                    PacketReport {
                        ssrc: 1,
                        id,
                        rtp_sequence_number: 0,
                        is_twcc: true,
                        twcc_sequence_number: 0,
                        size: usize::try_from(bps / 80 / packets).unwrap(),
                        arrived: true,
                        departure: start + offset,
                        arrival: Some(offset + Duration::from_millis(20 + extra_delay_ms * (step + 1))),
                        ecn: Ecn::default(),
                    }
                })
                .collect();
            congestion.on_reports(start + Duration::from_millis((step + 1) * 100), &reports);
        }
        congestion.published.load(Ordering::Relaxed)
    }

    #[test]
    fn the_target_never_leaves_what_the_sent_rate_proves_however_long_the_path_is_quiet() {
        let mut congestion = Congestion::new(Arc::default());
        let target = after(&mut congestion, Instant::now(), 120, 1_000_000, 0);
        assert!(target >= INITIAL_TARGET_BPS, "a quiet path must not cost rate: {target}");
        assert!(target <= INITIAL_TARGET_BPS + 1_600_000, "a source of 1 Mb/s proves no more: {target}");
    }

    #[test]
    fn a_growing_delay_brings_the_target_below_the_source() {
        let mut congestion = Congestion::new(Arc::default());
        let target = after(&mut congestion, Instant::now(), 10, 4_000_000, 15);
        assert!(target < 4_000_000, "the queue grows by 15 ms each report: {target}");
        assert!(target >= MIN_TARGET_BPS);
    }

    #[test]
    fn keep_alives_of_a_still_scene_do_not_lower_the_target() {
        let mut congestion = Congestion::new(Arc::default());
        let target = after(&mut congestion, Instant::now(), 30, 40_000, 15);
        assert!(target >= INITIAL_TARGET_BPS, "{target}");
    }

    #[test]
    fn changes_of_a_twentieth_are_not_reported() {
        assert!(!is_worth_reporting(1_000_000, 1_050_000));
        assert!(is_worth_reporting(1_000_000, 1_050_001));
        assert!(is_worth_reporting(1_000_000, 900_000));
        assert!(is_worth_reporting(0, 300_000));
    }
}
