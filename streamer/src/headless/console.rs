//! A progress bar, where somebody looks.

use std::{io::IsTerminal as _, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Shorter runs are over before a bar can be read.
const SHOWN_AFTER: Duration = Duration::from_millis(300);
/// How often it is drawn at most.
const DRAWS_PER_SECOND: u8 = 10;

pub(super) struct Console {
    bar: ProgressBar,
    started: std::time::Instant,
    shown: bool,
}

impl Console {
    /// A bar for so many frames, on standard error if that is a terminal and the output is for people.
    pub(super) fn new(json: bool, frames: usize) -> Self {
        let bar = ProgressBar::with_draw_target(Some(frames as u64), ProgressDrawTarget::hidden());
        if let Ok(style) =
            ProgressStyle::with_template("{wide_bar} {pos}/{len} frames, {per_sec}, {eta} left")
        {
            bar.set_style(style);
        }
        let shown = json || !std::io::stderr().is_terminal();
        Self { bar, started: std::time::Instant::now(), shown }
    }

    /// One frame more.
    pub(super) fn step(&mut self) {
        if !self.shown && self.started.elapsed() > SHOWN_AFTER {
            self.shown = true;
            self.bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND));
        }
        self.bar.inc(1);
    }

    /// A line on standard output, above the bar.
    pub(super) fn print(&self, line: &str) {
        self.bar.suspend(|| super::print(&format!("{line}\n")));
    }

    /// Leaves nothing behind.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
