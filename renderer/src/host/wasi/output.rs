//! A scene's standard output and error become lines of its log.
//!
//! Owns the unfinished line, the cut at its longest, and the escaping of what could steer a terminal.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use renderer_protocol::{LogLine, LogSource, from_worker::MAX_LOG_LINE_BYTES};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi_io::{
    async_trait,
    poll::Pollable,
    streams::{OutputStream, StreamError, StreamResult},
};

use super::LogSink;

/// What a stream of WASI 0.2 takes in one write. The host copies it, and may be made to fill it with zeros.
const WRITE_BYTES: usize = 64 << 10;

/// Standard output or error, cut into lines for the log. All streams of one output share the unfinished line.
#[derive(Clone)]
pub(super) struct Output {
    line: Arc<Line>,
}

/// The unfinished line. It is written when it ends, or when nobody is left who could end it.
struct Line {
    source: LogSource,
    sink: LogSink,
    bytes: Mutex<Vec<u8>>,
}

impl Output {
    pub(super) fn new(source: LogSource, sink: &LogSink) -> Self {
        Self { line: Arc::new(Line { source, sink: Arc::clone(sink), bytes: Mutex::default() }) }
    }

    pub(super) fn push(&self, bytes: &[u8]) {
        let mut line = self.line.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        for &byte in bytes {
            if byte != b'\n' {
                line.push(byte);
            }
            // Escaping makes a control character up to six bytes long; a line stays below its limit all the same.
            if byte == b'\n' || line.len() >= MAX_LOG_LINE_BYTES / 6 {
                self.line.write(&line);
                line.clear();
            }
        }
    }
}

impl Line {
    fn write(&self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let line = text.trim_end_matches('\r').chars().flat_map(visible).collect();
        (self.sink)(LogLine { source: self.source, line });
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let bytes = std::mem::take(self.bytes.get_mut().unwrap_or_else(PoisonError::into_inner));
        if !bytes.is_empty() {
            self.write(&bytes);
        }
    }
}

/// Escapes what could steer a terminal; leaves everything else.
fn visible(character: char) -> impl Iterator<Item = char> {
    let escaped = character.is_control() && character != '\t';
    let escape = escaped.then(|| character.escape_default());
    escape.into_iter().flatten().chain((!escaped).then_some(character))
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    /// Written as it comes: the default would hand it to a task, and what a scene wrote last would be lost when it ends.
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl tokio::io::AsyncWrite for Output {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.push(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[async_trait]
impl Pollable for Output {
    /// There is always room, but a scene that writes without end lets the host's tasks run in between.
    async fn ready(&mut self) {
        tokio::task::yield_now().await;
    }
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.len() > WRITE_BYTES {
            return Err(StreamError::trap(
                "more bytes were written to an output stream than `check-write` allowed",
            ));
        }
        self.push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(writes: &[&[u8]]) -> Vec<String> {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let taken = Arc::clone(&lines);
        let sink: LogSink = Arc::new(move |line: LogLine| taken.lock().unwrap().push(line.line));
        let output = Output::new(LogSource::Stdout, &sink);
        for bytes in writes {
            output.clone().push(bytes);
        }
        drop((output, sink));
        Arc::into_inner(lines).unwrap().into_inner().unwrap()
    }

    #[test]
    fn output_is_cut_into_lines_wherever_it_was_written_and_its_end_ends_the_last() {
        assert_eq!(lines_of(&[b"one\ntw", b"o\r\n", b"unfinished"]), ["one", "two", "unfinished"]);
    }

    #[test]
    fn terminal_escapes_arrive_as_text() {
        assert_eq!(lines_of(&[b"\x1b[31mred\n"]), ["\\u{1b}[31mred"]);
    }

    #[test]
    fn a_line_without_end_is_cut_within_the_protocols_limit() {
        let lines = lines_of(&[&[0x1b; 10_000]]);
        assert!(!lines.is_empty() && lines.iter().all(|line| line.len() <= MAX_LOG_LINE_BYTES));
    }
}
