//! WASI for scenes, deny by default: clocks and random that the host controls, output to the scene's log, and nothing else.
//!
//! Files, environment and arguments are offered as interfaces, because the standard libraries of most languages import them, but
//! there is nothing behind them: no directory is open, the environment is empty. Sockets are not offered at all.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use rand::{SeedableRng as _, rngs::StdRng};
use renderer_protocol::{LogLine, LogSource, from_worker::MAX_LOG_LINE_BYTES};
use wasmtime::component::Linker;
use wasmtime_wasi::{
    WasiCtx, WasiView,
    cli::{IsTerminal, StdoutStream, WasiCli, WasiCliView as _},
    clocks::{HostMonotonicClock, HostWallClock, WasiClocks, WasiClocksView as _},
    filesystem::{WasiFilesystem, WasiFilesystemView as _},
    p2, p3,
    random::WasiRandom,
};
use wasmtime_wasi_io::IoView;

use crate::frame::FrameClock;

/// One call may ask for this much randomness; a scene that wants more asks again.
const MAX_RANDOM_BYTES: u64 = 64 << 10;

/// Takes a line of the scene's output. Must not block: it is called from within the scene.
pub type LogSink = Arc<dyn Fn(LogLine) + Send + Sync>;

/// A context with nothing in it but time, randomness and a log.
pub fn context(clock: &FrameClock, seed: u64, log: &LogSink) -> WasiCtx {
    WasiCtx::builder()
        .monotonic_clock(Clock(clock.clone()))
        .wall_clock(Clock(clock.clone()))
        .secure_random(StdRng::seed_from_u64(seed))
        .insecure_random(StdRng::seed_from_u64(seed.wrapping_add(1)))
        .insecure_random_seed(u128::from(seed))
        .max_random_size(MAX_RANDOM_BYTES)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .stdout(Output::new(LogSource::Stdout, log))
        .stderr(Output::new(LogSource::Stderr, log))
        .build()
}

/// Where uncaptured WebGPU errors go: the same log.
pub(crate) fn webgpu_log(log: &LogSink) -> impl Fn(&str) + Send + Sync + 'static {
    let log = Arc::clone(log);
    move |message: &str| write_lines(&log, LogSource::WebGpu, message)
}

/// Writes a message to the log, with its control characters escaped and its lines cut as those of any output.
pub(crate) fn write_lines(log: &LogSink, source: LogSource, message: &str) {
    // Its end ends the last line.
    Output::new(source, log).push(message.as_bytes());
}

/// Offers `wasi:io`, `wasi:cli`, `wasi:clocks`, `wasi:random` and `wasi:filesystem`, of 0.2 and of 0.3.
pub fn add_to_linker<T: WasiView + IoView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    use p2::bindings::{cli, clocks, filesystem, random};

    wasmtime_wasi_io::add_to_linker_async(linker)?;
    clocks::wall_clock::add_to_linker::<T, WasiClocks>(linker, T::clocks)?;
    clocks::monotonic_clock::add_to_linker::<T, WasiClocks>(linker, T::clocks)?;
    filesystem::types::add_to_linker::<T, WasiFilesystem>(linker, T::filesystem)?;
    filesystem::preopens::add_to_linker::<T, WasiFilesystem>(linker, T::filesystem)?;
    random::random::add_to_linker::<T, WasiRandom>(linker, |state| state.ctx().ctx.random())?;
    random::insecure::add_to_linker::<T, WasiRandom>(linker, |state| state.ctx().ctx.random())?;
    random::insecure_seed::add_to_linker::<T, WasiRandom>(linker, |state| state.ctx().ctx.random())?;
    cli::exit::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::environment::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::stdin::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::stdout::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::stderr::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::terminal_input::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::terminal_output::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::terminal_stdin::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::terminal_stdout::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::terminal_stderr::add_to_linker::<T, WasiCli>(linker, T::cli)?;

    p3::cli::add_to_linker(linker)?;
    p3::clocks::add_to_linker(linker)?;
    p3::filesystem::add_to_linker(linker)?;
    p3::random::add_to_linker(linker)
}

/// The session's frame clock, as both of WASI's clocks. The wall clock counts from 1970 too: a scene has no use for the date, and
/// pictures that depend on it could not be rendered again.
struct Clock(FrameClock);

impl HostMonotonicClock for Clock {
    fn resolution(&self) -> u64 {
        1_000
    }

    fn now(&self) -> u64 {
        self.0.now_us().saturating_mul(1_000)
    }
}

impl HostWallClock for Clock {
    fn resolution(&self) -> Duration {
        Duration::from_micros(1)
    }

    fn now(&self) -> Duration {
        Duration::from_micros(self.0.now_us())
    }
}

/// Standard output or error, cut into lines for the log. All streams of one output share the unfinished line.
#[derive(Clone)]
struct Output {
    line: Arc<Line>,
}

/// The unfinished line. It is written when it ends, or when nobody is left who could end it.
struct Line {
    source: LogSource,
    sink: LogSink,
    bytes: Mutex<Vec<u8>>,
}

impl Output {
    fn new(source: LogSource, sink: &LogSink) -> Self {
        Self { line: Arc::new(Line { source, sink: Arc::clone(sink), bytes: Mutex::default() }) }
    }

    fn push(&self, bytes: &[u8]) {
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
