//! At most one action per interval, however many ask, and none forgotten: the first request acts at once, those that come too
//! early act together when the interval is over.

use std::time::Duration;

use tokio::time::Instant;

/// See the module.
#[derive(Debug)]
pub(super) struct Throttle {
    interval: Duration,
    last: Option<Instant>,
    pending: bool,
}

impl Throttle {
    /// One that acts at once when first asked.
    pub(super) const fn new(interval: Duration) -> Self {
        Self { interval, last: None, pending: false }
    }

    /// Asks. True when the action is to be done now.
    #[must_use]
    pub(super) fn request(&mut self, now: Instant) -> bool {
        self.pending = true;
        self.fire(now)
    }

    /// When the action that waits is to be done.
    pub(super) fn due(&self) -> Option<Instant> {
        let last = self.last.filter(|_| self.pending)?;
        Some(last + self.interval)
    }

    /// True when an action waits and its time has come; it counts as done then.
    #[must_use]
    pub(super) fn fire(&mut self, now: Instant) -> bool {
        let ready = self.pending && self.last.is_none_or(|last| now >= last + self.interval);
        if ready {
            self.acted(now);
        }
        ready
    }

    /// The action was done for another reason: what waits is served, and the interval begins anew.
    pub(super) fn acted(&mut self, now: Instant) {
        self.last = Some(now);
        self.pending = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(300);

    /// Asks at each of the given milliseconds and runs the timer in between; returns when the action was done.
    fn acts(requests_ms: &[u64]) -> Vec<u64> {
        let start = Instant::now();
        let mut throttle = Throttle::new(INTERVAL);
        let mut acted = Vec::new();
        for now_ms in 0..2_000 {
            let now = start + Duration::from_millis(now_ms);
            let mut fired = throttle.due().is_some_and(|due| due <= now) && throttle.fire(now);
            for _ in requests_ms.iter().filter(|request| **request == now_ms) {
                fired |= throttle.request(now);
            }
            if fired {
                acted.push(now_ms);
            }
        }
        acted
    }

    #[test]
    fn a_single_request_acts_at_once() {
        assert_eq!(acts(&[100]), [100]);
    }

    #[test]
    fn many_at_once_act_once_and_again_for_those_that_came_after() {
        assert_eq!(acts(&[100, 100, 100]), [100, 400]);
        assert_eq!(acts(&[100, 101, 150, 399]), [100, 400]);
    }

    #[test]
    fn requests_without_end_act_once_per_interval() {
        let requests: Vec<u64> = (0..1_000).collect();
        assert_eq!(acts(&requests), [0, 300, 600, 900, 1_200]);
    }

    #[test]
    fn a_request_after_the_interval_acts_at_once() {
        assert_eq!(acts(&[0, 500]), [0, 500]);
    }

    #[test]
    fn what_happened_anyway_serves_those_that_wait_and_holds_off_the_next() {
        let start = Instant::now();
        let mut throttle = Throttle::new(INTERVAL);
        assert!(throttle.request(start));
        assert!(!throttle.request(start + Duration::from_millis(50)));
        throttle.acted(start + Duration::from_millis(60));
        assert_eq!(throttle.due(), None);
        assert!(!throttle.request(start + Duration::from_millis(310)));
        assert_eq!(throttle.due(), Some(start + Duration::from_millis(360)));
    }
}
