//! Whether a session takes more than its share of the processors while there are others.
//!
//! Weights share processors out over time, but a scene with threads that never rest is in the way of every wake-up of the others. So a
//! session that takes more than its share is let run only where nobody else wants to, until it has become modest. It then still gets
//! all that the others leave. Reads no clock and no file.

use std::time::Duration;

use tokio::time::Instant;

/// How often a session is looked at: often enough that a scene which begins to hog is in nobody's way for long, and seldom enough that
/// the kernel's ticks of 10 ms are a measure.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// Below this part of its share a session is modest again. One that gets nothing any more becomes so, too, and then competes again:
/// in this way nobody is starved.
const MODEST: f64 = 0.5;

/// What is remembered of one session.
#[derive(Debug, Default)]
pub(super) struct Share {
    last: Option<(Instant, f64)>,
    is_greedy: bool,
}

impl Share {
    /// Takes the processor time that the session has used so far. Whether it is greedy, if that has changed.
    pub(super) fn look(&mut self, now: Instant, cpu_seconds: f64, fair_processors: f64) -> Option<bool> {
        let (since, before) = self.last.replace((now, cpu_seconds))?;
        let elapsed = now.duration_since(since).as_secs_f64();
        if elapsed <= 0.0 {
            return None;
        }
        let processors = (cpu_seconds - before) / elapsed;
        let is_greedy = processors > if self.is_greedy { fair_processors * MODEST } else { fair_processors };
        let has_changed = is_greedy != self.is_greedy;
        self.is_greedy = is_greedy;
        has_changed.then_some(is_greedy)
    }
}

/// What each session may take when all want everything.
pub(super) fn fair_processors(sessions: i64) -> f64 {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let (processors, sessions) =
        (u32::try_from(processors).unwrap_or(u32::MAX), u32::try_from(sessions).unwrap_or(1));
    f64::from(processors) / f64::from(sessions.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_takes_more_than_its_share_is_greedy_until_it_takes_much_less() {
        let mut share = Share::default();
        let start = Instant::now();
        let at = |looks: u32| start + LOOK_INTERVAL * looks;
        assert_eq!(share.look(at(0), 0.0, 0.4), None);
        assert_eq!(share.look(at(1), 0.06, 0.4), None, "0.3 of a processor is modest");
        assert_eq!(share.look(at(2), 0.26, 0.4), Some(true), "a whole one is not");
        assert_eq!(share.look(at(3), 0.32, 0.4), None, "0.3 are more than half of the share");
        assert_eq!(share.look(at(4), 0.33, 0.4), Some(false));
        assert_eq!(share.look(at(4), 0.33, 0.4), None, "at the same moment nothing is known");
    }

    #[test]
    fn a_session_alone_may_take_everything() {
        let all = fair_processors(1);
        assert!(all >= 1.0);
        assert!((fair_processors(4) - all / 4.0).abs() < 1e-9);
        assert!(fair_processors(0) >= 1.0);
    }
}
