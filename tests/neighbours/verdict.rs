//! Whether the others were left alone.

use std::fmt;

use crate::intervals::Intervals;

/// The others' p99 may grow by this part, and by a tick of the scheduler.
const TOLERATED_GROWTH: f64 = 0.1;

/// What was measured of all scenes that did their worst.
pub(crate) struct Verdict {
    tick_ms: f64,
    scenes: usize,
    /// Those beside which it grew by more, and their figures.
    beyond: Vec<String>,
}

impl Verdict {
    pub(crate) fn new(tick_ms: f64) -> Self {
        Self { tick_ms, scenes: 0, beyond: Vec::new() }
    }

    pub(crate) fn add(&mut self, name: &str, before: &Intervals, during: &Intervals) {
        self.scenes += 1;
        let bound = before.p99 * (1.0 + TOLERATED_GROWTH) + self.tick_ms;
        // Without pictures there is no p99, and the others were not left alone.
        let stayed = during.p99 <= bound;
        if !stayed {
            self.beyond.push(format!("{name} ({:.1} ms, before {:.1})", during.p99, before.p99));
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tick_ms, scenes, beyond } = self;
        let within = scenes - beyond.len();
        write!(
            f,
            "the others' p99 stayed within {:.0} % + {tick_ms} ms of before beside {within} of {scenes} scenes",
            TOLERATED_GROWTH * 100.0
        )?;
        if !beyond.is_empty() {
            write!(f, "; not beside {}", beyond.join(", "))?;
        }
        Ok(())
    }
}
