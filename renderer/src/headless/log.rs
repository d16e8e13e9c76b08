//! What a scene wrote while it ran, line by line, with the frame in which it did.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use renderer_protocol::{LogLevel, LogLine, LogSource};

/// Lines that are kept. A line has at most 4 KiB, so this is 40 MB at the very worst; what follows is counted.
const MAX_LINES: usize = 10_000;

/// A line and its frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SceneLine {
    /// The frame that was being drawn.
    pub frame: u32,
    /// What was written.
    pub line: LogLine,
}

impl SceneLine {
    /// A word for where it came from: `stdout`, `stderr`, `webgpu`, or the level that the scene gave it.
    pub const fn label(&self) -> &'static str {
        match self.line.source {
            LogSource::Stdout => "stdout",
            LogSource::Stderr => "stderr",
            LogSource::WebGpu => "webgpu",
            LogSource::Log(LogLevel::Debug) => "debug",
            LogSource::Log(LogLevel::Info) => "info",
            LogSource::Log(LogLevel::Warn) => "warn",
            LogSource::Log(LogLevel::Error) => "error",
        }
    }
}

/// The log of one run.
#[derive(Clone, Debug, Default)]
pub(super) struct LogBook(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    lines: Vec<SceneLine>,
    lost: u64,
}

impl LogBook {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self, line: SceneLine) {
        let mut kept = self.kept();
        if kept.lines.len() < MAX_LINES {
            kept.lines.push(line);
        } else {
            kept.lost = kept.lost.saturating_add(1);
        }
    }

    /// All lines, and how many more there were.
    pub(super) fn take(&self) -> (Vec<SceneLine>, u64) {
        let mut kept = self.kept();
        (std::mem::take(&mut kept.lines), kept.lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_lines_is_cut_and_counted() {
        let book = LogBook::default();
        for _ in 0..MAX_LINES + 7 {
            let line = LogLine { source: LogSource::Stdout, line: String::new() };
            book.write(SceneLine { frame: 0, line });
        }
        let (lines, lost) = book.take();
        assert_eq!((lines.len(), lost), (MAX_LINES, 7));
    }
}
