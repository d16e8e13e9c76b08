//! Times between pictures.

use std::fmt;

/// What matters of many intervals, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Intervals {
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
}

impl Intervals {
    pub(crate) fn of(mut intervals: Vec<f64>) -> Self {
        intervals.sort_by(f64::total_cmp);
        let at = |percent: usize| intervals.get(intervals.len() * percent / 100).copied().unwrap_or(f64::NAN);
        Self { p50: at(50), p99: at(99), max: intervals.last().copied().unwrap_or(f64::NAN) }
    }
}

impl fmt::Display for Intervals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} {:.1} {:.1}", self.p50, self.p99, self.max)
    }
}
