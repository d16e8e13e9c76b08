//! What a session's scene printed: the last lines, for whoever wrote the scene.
//!
//! Kept as long as the session is remembered, so that the lines before an end can be read after it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use renderer_protocol::{LogLevel, LogLine, LogSource};
use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::text::escape_untrusted;

/// A page of lines to read; what came before them is counted only.
const MAX_LINES: usize = 500;
/// Of all lines together. Times the sessions that are remembered: 32 MiB.
const MAX_BYTES: usize = 128 << 10;
/// One line, so that no single one takes the place of all others.
const MAX_LINE_BYTES: usize = 4 << 10;

/// Where a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = LogSource)]
pub enum Source {
    /// The scene's standard output.
    Stdout,
    /// The scene's standard error.
    Stderr,
    /// A WebGPU error that the scene did not catch.
    WebGpu,
    /// `scenecast:scene/log`, for the author alone.
    Debug,
    /// `scenecast:scene/log`, worth knowing.
    Info,
    /// `scenecast:scene/log`, wrong, and the scene goes on.
    Warn,
    /// `scenecast:scene/log`, wrong, and something is missing for it.
    Error,
    /// The server: why the session ended.
    Session,
}

impl Source {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::WebGpu => "webgpu",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Session => "session",
        }
    }
}

impl From<LogSource> for Source {
    fn from(source: LogSource) -> Self {
        match source {
            LogSource::Stdout => Self::Stdout,
            LogSource::Stderr => Self::Stderr,
            LogSource::WebGpu => Self::WebGpu,
            LogSource::Log(LogLevel::Debug) => Self::Debug,
            LogSource::Log(LogLevel::Info) => Self::Info,
            LogSource::Log(LogLevel::Warn) => Self::Warn,
            LogSource::Log(LogLevel::Error) => Self::Error,
        }
    }
}

/// A line of a session's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = LogLine)]
pub struct Line {
    /// Milliseconds since the session began.
    pub at_ms: u64,
    /// Where it came from.
    pub source: Source,
    /// What was printed, control characters escaped.
    pub line: String,
}

/// The log of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = SessionLog)]
pub struct Excerpt {
    /// The last lines, oldest first.
    pub lines: Vec<Line>,
    /// Lines that are not kept any more.
    pub dropped: u64,
}

/// Written by the session's task, read by whoever asks.
#[derive(Clone, Debug)]
pub(super) struct SessionLog {
    began: Instant,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<Line>,
    bytes: usize,
    dropped: u64,
}

impl SessionLog {
    /// An empty one of a session that begins now.
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), kept: Arc::default() }
    }

    /// Adds a line of the scene's.
    pub(super) fn push(&self, line: &LogLine) {
        self.add(line.source.into(), &line.line);
    }

    /// Adds a line of our own.
    pub(super) fn note(&self, line: &str) {
        self.add(Source::Session, line);
    }

    fn add(&self, source: Source, line: &str) {
        let mut line = escape_untrusted(line).into_owned();
        line.truncate(line.floor_char_boundary(MAX_LINE_BYTES));
        line.shrink_to_fit();
        let at_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut kept = self.kept();
        kept.bytes += line.len();
        kept.lines.push_back(Line { at_ms, source, line });
        while kept.lines.len() > MAX_LINES || kept.bytes > MAX_BYTES {
            let Some(oldest) = kept.lines.pop_front() else { break };
            kept.bytes -= oldest.line.len();
            kept.dropped += 1;
        }
    }

    /// All that is kept.
    pub(super) fn excerpt(&self) -> Excerpt {
        let kept = self.kept();
        Excerpt { lines: kept.lines.iter().cloned().collect(), dropped: kept.dropped }
    }

    /// The lines are whole at every moment, so a panic elsewhere does not make them wrong.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> LogLine {
        LogLine { source: LogSource::Stdout, line: text.to_owned() }
    }

    #[test]
    fn the_last_lines_are_kept_and_the_others_counted() {
        let log = SessionLog::new();
        for number in 0..MAX_LINES + 7 {
            log.push(&line(&number.to_string()));
        }
        let excerpt = log.excerpt();
        assert_eq!((excerpt.lines.len(), excerpt.dropped), (MAX_LINES, 7));
        assert_eq!((excerpt.lines[0].line.as_str(), excerpt.lines[0].source), ("7", Source::Stdout));
    }

    #[test]
    fn long_lines_are_cut_and_count_by_their_bytes() {
        let log = SessionLog::new();
        for _ in 0..100 {
            log.push(&line(&"é".repeat(5_000)));
        }
        let excerpt = log.excerpt();
        let bytes: usize = excerpt.lines.iter().map(|line| line.line.len()).sum();
        assert!(bytes <= MAX_BYTES && excerpt.dropped > 0, "{bytes} bytes");
        assert_eq!(excerpt.lines.len() as u64 + excerpt.dropped, 100);
    }

    #[test]
    fn a_line_cannot_move_the_cursor_of_whoever_reads_it() {
        let log = SessionLog::new();
        log.push(&line("\u{1b}[2J"));
        log.note("the scene came to its end");
        let lines = log.excerpt().lines;
        assert_eq!((lines[0].line.as_str(), lines[1].source), ("\\u{1b}[2J", Source::Session));
    }
}
