//! What the path to a viewer carries, in bits a second.
//!
//! Google Congestion Control (draft-ietf-rmcat-gcc-02) does the estimating. This module adds what an interactive picture needs
//! of it: an estimate that stays honest while the source sends less than it may, as the encoder of a still scene does, and one
//! that does not accept a standing queue, which the estimator's view of delay *changes* overlooks. It reads no clock and knows
//! nothing of encoders.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use rtc::interceptor::{BandwidthEstimator, EstimatorStats, Gcc, PacketReport};

use super::feedback::Counters;

/// Below this a 720p picture of a moving scene cannot be made out: a viewer whose path carries less gets pictures dropped, and
/// does not make everybody's unrecognisable.
pub const MIN_TARGET_BPS: u32 = 300_000;
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
/// Window of the sent and the arrived rate.
const RATE_WINDOW: Duration = Duration::from_secs(1);
/// The first report of a connection covers so much time.
const REPORT_INTERVAL: Duration = Duration::from_millis(100);
/// Receivers report every 50–100 ms; a flood of reports merges into the newest entry.
const MAX_RATE_ENTRIES: usize = 64;
/// Delay over the path's own that no packet of a report was free of: a queue that stands. It is as much as two frames.
const MAX_STANDING_DELAY: Duration = Duration::from_millis(70);
/// A decrease is given so long to show in the next reports.
const DECREASE_INTERVAL: Duration = Duration::from_millis(300);
/// Of the rate that arrives while a queue stands, so that the queue drains.
const DECREASE_FACTOR: f64 = 0.85;
/// The path's own delay is the least of the last one to two of these: clocks drift apart, and paths change.
const BASE_DELAY_WINDOW: Duration = Duration::from_secs(10);

/// The estimator of one connection. The target goes to `published`, the packets that arrived into the counters.
pub(super) struct Congestion {
    gcc: Gcc,
    sent: Rate,
    arrived: Rate,
    base_delay: BaseDelay,
    last_decrease: Option<Instant>,
    target_bps: f64,
    published: Arc<AtomicU32>,
    counters: Arc<Counters>,
}

impl Congestion {
    pub(super) fn new(published: Arc<AtomicU32>, counters: Arc<Counters>) -> Self {
        published.store(INITIAL_TARGET_BPS, Ordering::Relaxed);
        let initial = f64::from(INITIAL_TARGET_BPS);
        Self {
            gcc: estimator(initial),
            sent: Rate::default(),
            arrived: Rate::default(),
            base_delay: BaseDelay::default(),
            last_decrease: None,
            target_bps: initial,
            published,
            counters,
        }
    }

    /// Whether every packet of `reports` that arrived waited in a queue, and the last decrease has had its time.
    fn must_drain(&mut self, now: Instant, reports: &[PacketReport]) -> bool {
        let delays = reports.iter().filter_map(|report| self.base_delay.above(now, report));
        let has_had_time =
            self.last_decrease.is_none_or(|at| now.saturating_duration_since(at) >= DECREASE_INTERVAL);
        delays.min().is_some_and(|least| least > MAX_STANDING_DELAY) && has_had_time
    }
}

/// Bits a second over [`RATE_WINDOW`], or over the time since the first report while that is shorter.
#[derive(Default)]
struct Rate {
    entries: VecDeque<(Instant, usize)>,
    started: Option<Instant>,
}

impl Rate {
    fn add(&mut self, now: Instant, bytes: usize) -> f64 {
        let is_full = self.entries.len() >= MAX_RATE_ENTRIES;
        match self.entries.back_mut().filter(|_| is_full) {
            Some((_, newest)) => *newest = newest.saturating_add(bytes),
            None => self.entries.push_back((now, bytes)),
        }
        while self.entries.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) >= RATE_WINDOW) {
            self.entries.pop_front();
        }
        let total: usize = self.entries.iter().map(|(_, bytes)| *bytes).fold(0, usize::saturating_add);
        let started = *self.started.get_or_insert(now);
        let span = (now.saturating_duration_since(started) + REPORT_INTERVAL).min(RATE_WINDOW);
        // Exact up to 2^32 bytes in a second.
        f64::from(u32::try_from(total).unwrap_or(u32::MAX)) * 8.0 / span.as_secs_f64()
    }
}

/// The least one-way delay lately. The two ends' clocks are not aligned, so only differences mean anything: all times are
/// microseconds since the first report.
#[derive(Default)]
struct BaseDelay {
    origin: Option<(Instant, Duration)>,
    window_start: Option<Instant>,
    least_us: Option<i64>,
    least_before_us: Option<i64>,
}

impl BaseDelay {
    /// How much longer than the base this packet took.
    fn above(&mut self, now: Instant, report: &PacketReport) -> Option<Duration> {
        let arrival = report.arrival.filter(|_| report.arrived)?;
        let (departed_at, arrived_at) = *self.origin.get_or_insert((report.departure, arrival));
        let on_the_way_us = signed_us(arrival.checked_sub(arrived_at), arrived_at.checked_sub(arrival))?
            .checked_sub(signed_us(
                report.departure.checked_duration_since(departed_at),
                departed_at.checked_duration_since(report.departure),
            )?)?;
        let started = *self.window_start.get_or_insert(now);
        if now.saturating_duration_since(started) >= BASE_DELAY_WINDOW {
            self.window_start = Some(now);
            self.least_before_us = self.least_us.take();
        }
        let least = self.least_us.map_or(on_the_way_us, |least| least.min(on_the_way_us));
        self.least_us = Some(least);
        let base_us = self.least_before_us.map_or(least, |before| before.min(least));
        Some(Duration::from_micros(u64::try_from(on_the_way_us.checked_sub(base_us)?).unwrap_or_default()))
    }
}

/// One of the two is the difference, the other there when it is negative.
fn signed_us(positive: Option<Duration>, negative: Option<Duration>) -> Option<i64> {
    match (positive, negative) {
        (Some(difference), _) => i64::try_from(difference.as_micros()).ok(),
        (None, Some(difference)) => i64::try_from(difference.as_micros()).ok()?.checked_neg(),
        (None, None) => None,
    }
}

fn estimator(initial_bps: f64) -> Gcc {
    Gcc::new(initial_bps, f64::from(MIN_TARGET_BPS), f64::from(MAX_TARGET_BPS))
}

impl BandwidthEstimator for Congestion {
    fn on_reports(&mut self, now: Instant, reports: &[PacketReport]) {
        let size = |reports: &mut dyn Iterator<Item = &PacketReport>| {
            reports.map(|report| report.size).fold(0, usize::saturating_add)
        };
        let arrived_packets = reports.iter().filter(|report| report.arrived).count();
        self.counters.arrived_packets.fetch_add(arrived_packets as u64, Ordering::Relaxed);
        let sent_bps = self.sent.add(now, size(&mut reports.iter()));
        let arrived_bps = self.arrived.add(now, size(&mut reports.iter().filter(|report| report.arrived)));
        let before = self.gcc.target_bitrate();
        self.gcc.on_reports(now, reports);
        let after = self.gcc.target_bitrate();
        let must_drain = self.must_drain(now, reports);
        let congests = sent_bps >= TOO_LITTLE_TO_CONGEST_BPS || reports.iter().any(|report| !report.arrived);
        if after < before && !congests {
            self.gcc = estimator(before);
        } else if after < before {
            self.last_decrease = Some(now);
        } else if must_drain && congests {
            self.gcc = estimator(after.min(arrived_bps * DECREASE_FACTOR));
            self.last_decrease = Some(now);
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

    /// Plays `seconds` of feedback every 100 ms for a source of `bps` over a path whose delay grows by `growth_permille` of the
    /// time, and returns the target at the end.
    fn after(
        congestion: &mut Congestion,
        start: Instant,
        seconds: u64,
        bps: u64,
        growth_permille: u32,
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
                        arrival: Some(offset + Duration::from_millis(20) + offset * growth_permille / 1000),
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
        let mut congestion = Congestion::new(Arc::default(), Arc::default());
        let target = after(&mut congestion, Instant::now(), 120, 1_000_000, 0);
        assert!(target >= INITIAL_TARGET_BPS, "a quiet path must not cost rate: {target}");
        assert!(target <= INITIAL_TARGET_BPS + 1_600_000, "a source of 1 Mb/s proves no more: {target}");
    }

    #[test]
    fn a_growing_delay_brings_the_target_below_the_source() {
        let mut congestion = Congestion::new(Arc::default(), Arc::default());
        let target = after(&mut congestion, Instant::now(), 10, 4_000_000, 300);
        assert!(target < 4_000_000, "the path carries less than 80 % of the source: {target}");
        assert!(target >= MIN_TARGET_BPS);
    }

    #[test]
    fn a_delay_that_is_the_path_s_own_costs_nothing() {
        let mut congestion = Congestion::new(Arc::default(), Arc::default());
        let start = Instant::now();
        let far = |id: u64| PacketReport {
            ssrc: 1,
            id,
            rtp_sequence_number: 0,
            is_twcc: true,
            twcc_sequence_number: 0,
            size: 1200,
            arrived: true,
            departure: start + Duration::from_millis(id * 3),
            // The receiver's clock is anywhere, and packets jitter by less than a frame.
            arrival: Some(Duration::from_secs(7) + Duration::from_millis(id * 3 + id % 15)),
            ecn: Ecn::default(),
        };
        for step in 0..200 {
            let reports: Vec<PacketReport> = (step * 33..(step + 1) * 33).map(far).collect();
            congestion.on_reports(start + Duration::from_millis((step + 1) * 100), &reports);
        }
        assert!(congestion.published.load(Ordering::Relaxed) >= INITIAL_TARGET_BPS);
    }

    #[test]
    fn the_first_decrease_is_measured_over_the_time_there_was() {
        let mut rate = Rate::default();
        let start = Instant::now();
        let rates: Vec<f64> =
            (0..20).map(|step| rate.add(start + Duration::from_millis(step * 100), 25_000)).collect();
        assert!(rates.iter().all(|rate| (rate - 2_000_000.0).abs() < 1.0), "{rates:?}");
    }

    #[test]
    fn keep_alives_of_a_still_scene_do_not_lower_the_target() {
        let mut congestion = Congestion::new(Arc::default(), Arc::default());
        let target = after(&mut congestion, Instant::now(), 30, 40_000, 300);
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
