//! The one clock that frames live by.
//!
//! Everything in this library that needs a time is given a [`FrameClock`]: real in a worker, virtual in a headless run, where a
//! second takes as long as the frames in it take to render. Nothing else reads a clock, so a headless run cannot depend on one.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

const MICROS_PER_SECOND: u64 = 1_000_000;

/// Microseconds since a run started. Clones share one time.
#[derive(Clone, Debug)]
pub struct FrameClock {
    source: Arc<Source>,
}

#[derive(Debug)]
enum Source {
    Real {
        started: Instant,
    },
    Virtual {
        now_us: AtomicU64,
        /// Wakes who waits for a time, whenever the clock moves.
        moved: Notify,
    },
}

impl FrameClock {
    /// The machine's monotonic clock, 0 now.
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place where a real clock enters: workers and benchmarks ask for it by name"
    )]
    pub fn real() -> Self {
        Self { source: Arc::new(Source::Real { started: Instant::now() }) }
    }

    /// A clock that stands at 0 until ticks are taken from it.
    pub fn virtual_at_zero() -> Self {
        Self { source: Arc::new(Source::Virtual { now_us: AtomicU64::new(0), moved: Notify::new() }) }
    }

    /// Microseconds since the start; never falls.
    pub fn now_us(&self) -> u64 {
        match &*self.source {
            Source::Real { started } => u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
            Source::Virtual { now_us, .. } => now_us.load(Ordering::Acquire),
        }
    }

    /// Returns when the clock has reached a time; at once if it has. A virtual clock reaches it by somebody's ticks, never by
    /// being waited for. On a real clock this must run inside a tokio runtime whose timers are enabled.
    pub async fn reached(&self, when_us: u64) {
        match &*self.source {
            Source::Real { started } => {
                if self.now_us() < when_us {
                    sleep_until(*started, when_us).await;
                }
            }
            Source::Virtual { now_us, moved } => loop {
                let mut next_move = pin!(moved.notified());
                // From here on no move is missed, so the time may be looked at.
                next_move.as_mut().enable();
                if now_us.load(Ordering::Acquire) >= when_us {
                    return;
                }
                next_move.await;
            },
        }
    }

    /// Ticks at a rate of 1 Hz or more, aligned to the start of the clock.
    pub fn ticks(&self, frame_rate_hz: u32) -> Ticks {
        Ticks { clock: self.clone(), frame_rate_hz: frame_rate_hz.max(1).into(), next_index: None }
    }
}

/// One tick: time for a scene to draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tick {
    /// The number of the tick since the clock started. It leaves out the ticks that were missed.
    pub index: u64,
    /// When it was due. A scene that animates by this time moves evenly, however late the tick came.
    pub due_us: u64,
}

/// A sequence of ticks; belongs to one taker.
#[derive(Debug)]
pub struct Ticks {
    clock: FrameClock,
    frame_rate_hz: u64,
    /// `None` before the first tick, which is due at once.
    next_index: Option<u64>,
}

impl Ticks {
    /// The next tick. A taker that is late gets the newest tick that is due, at once, and the ones before it never: it is never
    /// given a burst. Deadlines are counted from the start of the clock, so that rounding does not add up to a drift.
    ///
    /// On a real clock this must run inside a tokio runtime whose timers are enabled; it is cancel-safe. On a virtual clock it
    /// returns at once and the clock then stands at the tick.
    pub async fn next_tick(&mut self) -> Tick {
        let newest_due = self.index_at(self.clock.now_us());
        let index = self.next_index.map_or(newest_due, |next| next.max(newest_due));
        let due_us = self.due_us(index);
        match &*self.clock.source {
            Source::Real { started } => {
                if index > newest_due {
                    sleep_until(*started, due_us).await;
                }
            }
            Source::Virtual { now_us, moved } => {
                now_us.fetch_max(due_us, Ordering::AcqRel);
                moved.notify_waiters();
            }
        }
        self.next_index = Some(index.saturating_add(1));
        Tick { index, due_us }
    }

    fn due_us(&self, index: u64) -> u64 {
        // Rounded up, so that a tick's own time lies within the tick.
        index.saturating_mul(MICROS_PER_SECOND).div_ceil(self.frame_rate_hz)
    }

    fn index_at(&self, now_us: u64) -> u64 {
        now_us.saturating_mul(self.frame_rate_hz) / MICROS_PER_SECOND
    }
}

async fn sleep_until(started: Instant, when_us: u64) {
    // A deadline beyond what the clock can represent does not come in the life of the machine.
    match started.checked_add(Duration::from_micros(when_us)) {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    async fn take(ticks: &mut Ticks, count: usize) -> Vec<u64> {
        let mut taken = Vec::new();
        for _ in 0..count {
            taken.push(ticks.next_tick().await.due_us);
        }
        taken
    }

    #[tokio::test]
    async fn a_virtual_second_at_30_hz_has_30_ticks_and_no_drift() {
        let clock = FrameClock::virtual_at_zero();
        let mut ticks = clock.ticks(30);
        assert_eq!(take(&mut ticks, 4).await, [0, 33_334, 66_667, 100_000]);
        assert_eq!(take(&mut ticks, 30 * 3600).await.last(), Some(&(3600 * MICROS_PER_SECOND + 100_000)));
        assert_eq!(clock.now_us(), 3600 * MICROS_PER_SECOND + 100_000);
    }

    #[tokio::test]
    async fn every_rate_gives_each_index_once_and_in_order() {
        for frame_rate_hz in 1..=120 {
            let mut ticks = FrameClock::virtual_at_zero().ticks(frame_rate_hz);
            for index in 0..500 {
                assert_eq!(ticks.next_tick().await.index, index, "at {frame_rate_hz} Hz");
            }
        }
    }

    #[tokio::test]
    async fn a_taker_that_was_late_gets_one_tick_for_all_that_it_missed() {
        let clock = FrameClock::virtual_at_zero();
        let mut ticks = clock.ticks(10);
        assert_eq!(take(&mut ticks, 2).await, [0, 100_000]);
        // Another taker of the same clock moves it on by 0.75 s.
        while clock.now_us() < 850_000 {
            clock.ticks(20).next_tick().await;
            if let Source::Virtual { now_us, .. } = &*clock.source {
                now_us.fetch_add(50_000, Ordering::AcqRel);
            }
        }
        assert_eq!(take(&mut ticks, 3).await, [800_000, 900_000, 1_000_000]);
    }

    #[tokio::test]
    async fn a_real_tick_is_never_early_and_follows_the_one_before() {
        let clock = FrameClock::real();
        let mut ticks = clock.ticks(100);
        let mut previous = ticks.next_tick().await;
        for _ in 0..5 {
            let tick = ticks.next_tick().await;
            assert!(clock.now_us() >= tick.due_us);
            assert!(tick.index > previous.index);
            previous = tick;
        }
    }

    #[tokio::test]
    async fn a_cancelled_wait_loses_no_tick() {
        let clock = FrameClock::real();
        let mut ticks = clock.ticks(1);
        let first = ticks.next_tick().await;
        assert!(tokio::time::timeout(Duration::from_millis(1), ticks.next_tick()).await.is_err());
        assert_eq!(ticks.next_index, Some(first.index + 1));
    }

    #[tokio::test]
    async fn a_virtual_time_is_reached_by_ticks_and_by_nothing_else() {
        let clock = FrameClock::virtual_at_zero();
        let mut ticks = clock.ticks(10);
        take(&mut ticks, 1).await;
        clock.reached(0).await;
        let mut reached = pin!(clock.reached(150_000));
        assert!(reached.as_mut().now_or_never().is_none());
        take(&mut ticks, 1).await;
        assert!(reached.as_mut().now_or_never().is_none());
        take(&mut ticks, 1).await;
        assert!(reached.as_mut().now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_real_time_is_never_reached_early_and_the_end_of_all_time_never() {
        let clock = FrameClock::real();
        clock.reached(3_000).await;
        assert!(clock.now_us() >= 3_000);
        assert!(tokio::time::timeout(Duration::from_millis(1), clock.reached(u64::MAX)).await.is_err());
    }
}
