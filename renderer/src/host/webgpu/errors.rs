//! Errors: error scopes, and what no scope captures (<https://www.w3.org/TR/webgpu/#errors-and-debugging>).

use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::sync::mpsc;
use wasmtime::StoreContextMut;
use wasmtime::component::{Destination, Resource, StreamProducer, StreamResult};

use super::bindings::wasi::webgpu::webgpu as wit;
use super::{Log, WebGpuCtxView};
use crate::host::OverLimit;

/// An error's text is cut here; wgpu repeats labels, which are the scene's and may be long.
pub const MAX_MESSAGE_BYTES: usize = 4096;
/// Uncaptured errors of one device that are logged: a scene that errs in each frame says nothing new after some of them.
pub const MAX_LOGGED: u32 = 64;
/// Scopes that may be open at once; nesting as deep as this is a loop that forgot to pop.
const MAX_SCOPES: usize = 1024;
/// Streams of one device at once.
const MAX_STREAMS: usize = 16;

/// The three kinds, and so the three filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// A call broke a rule of the standard.
    Validation,
    /// Memory for something was refused.
    OutOfMemory,
    /// Everything else: a limit that the standard does not know, a failure of the driver.
    Internal,
}

impl From<wit::GpuErrorFilter> for ErrorKind {
    fn from(filter: wit::GpuErrorFilter) -> Self {
        match filter {
            wit::GpuErrorFilter::Validation => Self::Validation,
            wit::GpuErrorFilter::OutOfMemory => Self::OutOfMemory,
            wit::GpuErrorFilter::Internal => Self::Internal,
        }
    }
}

/// `gpu-error`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuError {
    /// Which of the three.
    pub kind: ErrorKind,
    /// For the scene's author.
    pub message: String,
}

impl From<wgpu::Error> for GpuError {
    fn from(error: wgpu::Error) -> Self {
        match error {
            wgpu::Error::Validation { description, .. } => Self::new(ErrorKind::Validation, description),
            wgpu::Error::Internal { description, .. } => Self::new(ErrorKind::Internal, description),
            wgpu::Error::OutOfMemory { source } => Self::new(ErrorKind::OutOfMemory, source.to_string()),
        }
    }
}

impl GpuError {
    /// Cuts the message to [`MAX_MESSAGE_BYTES`].
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let mut message = message.into();
        message.truncate(message.floor_char_boundary(MAX_MESSAGE_BYTES));
        // A cut string keeps its memory otherwise, and a scene may keep the error.
        message.shrink_to_fit();
        Self { kind, message }
    }
}

/// No error scope is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no error scope is open")]
pub(super) struct NoScope;

struct Scope {
    filter: ErrorKind,
    error: Option<GpuError>,
}

#[derive(Default)]
struct State {
    scopes: Vec<Scope>,
    streams: Vec<mpsc::Sender<GpuError>>,
    logged: u32,
    lost: bool,
}

/// Where all errors of one device arrive.
pub(super) struct ErrorSink {
    state: Mutex<State>,
    log: Log,
    /// Errors that wait in a stream for a scene to read them; later ones are only logged.
    max_queued: usize,
}

impl ErrorSink {
    pub(super) fn new(log: Log, max_queued: usize) -> Self {
        Self { state: Mutex::default(), log, max_queued }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code of others runs under the lock; a panic there would be one of allocation, and the state is whole between steps.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To the innermost scope with the error's filter, which keeps its first; without one, to the streams and the log.
    /// A lost device reports nothing any more.
    pub(super) fn report(&self, error: GpuError) {
        let line = {
            let mut state = self.state();
            if state.lost {
                return;
            }
            if let Some(scope) = state.scopes.iter_mut().rev().find(|scope| scope.filter == error.kind) {
                scope.error.get_or_insert(error);
                return;
            }
            state.logged = state.logged.saturating_add(1);
            let line = match state.logged {
                0..=MAX_LOGGED => Some(error.message.clone()),
                // The one after the last says why there are no more.
                n if n == MAX_LOGGED.saturating_add(1) => {
                    Some("further uncaptured errors of this device are not logged".to_owned())
                }
                _ => None,
            };
            state.streams.retain(|stream| !stream.is_closed());
            for stream in &state.streams {
                // A full stream loses the error, which the scene was too slow to read; the log may still have it.
                let _ = stream.try_send(error.clone());
            }
            line
        };
        if let Some(line) = line {
            (self.log)(&line);
        }
    }

    pub(super) fn push_scope(&self, filter: ErrorKind) -> Result<(), OverLimit> {
        let mut state = self.state();
        if state.scopes.len() >= MAX_SCOPES {
            return Err(OverLimit { what: "error scopes open at once", limit: MAX_SCOPES });
        }
        state.scopes.push(Scope { filter, error: None });
        Ok(())
    }

    pub(super) fn pop_scope(&self) -> Result<Option<GpuError>, NoScope> {
        self.state().scopes.pop().map(|scope| scope.error).ok_or(NoScope)
    }

    pub(super) fn stream(&self) -> Result<mpsc::Receiver<GpuError>, OverLimit> {
        let mut state = self.state();
        state.streams.retain(|stream| !stream.is_closed());
        if state.streams.len() >= MAX_STREAMS {
            return Err(OverLimit { what: "streams of uncaptured errors for a device", limit: MAX_STREAMS });
        }
        let (sender, receiver) = mpsc::channel(self.max_queued);
        state.streams.push(sender);
        Ok(receiver)
    }

    /// From now on errors are dropped, and the streams end.
    pub(super) fn lose(&self) {
        let mut state = self.state();
        state.lost = true;
        state.streams.clear();
    }
}

/// The host's end of a stream of uncaptured errors; `R` is the resource that carries one.
pub struct UncapturedErrors<T: 'static, R> {
    receiver: mpsc::Receiver<GpuError>,
    // An error that a read of no items found.
    peeked: Option<GpuError>,
    view: fn(&mut T) -> WebGpuCtxView<'_>,
    carrier: PhantomData<fn() -> R>,
}

impl<T, R> UncapturedErrors<T, R> {
    pub(super) fn new(receiver: mpsc::Receiver<GpuError>, view: fn(&mut T) -> WebGpuCtxView<'_>) -> Self {
        Self { receiver, peeked: None, view, carrier: PhantomData }
    }
}

impl<T: 'static, R: From<GpuError> + Send + 'static> StreamProducer<T> for UncapturedErrors<T, R> {
    type Item = Resource<R>;
    type Buffer = Option<Resource<R>>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, T>,
        mut destination: Destination<'a, Self::Item, Self::Buffer>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        if self.peeked.is_none() {
            self.peeked = match self.receiver.poll_recv(cx) {
                Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
                polled => match ready!(polled) {
                    Some(error) => Some(error),
                    None => return Poll::Ready(Ok(StreamResult::Dropped)),
                },
            };
        }
        if destination.remaining(&mut store) != Some(0)
            && let Some(error) = self.peeked.take()
        {
            let carrier = (self.view)(store.data_mut()).table.push(R::from(error))?;
            destination.set_buffer(Some(carrier));
        }
        Poll::Ready(Ok(StreamResult::Completed))
    }
}

impl wit::HostGpuError for WebGpuCtxView<'_> {
    fn message(&mut self, this: Resource<GpuError>) -> wasmtime::Result<String> {
        Ok(self.table.get(&this)?.message.clone())
    }

    fn kind(&mut self, this: Resource<GpuError>) -> wasmtime::Result<wit::GpuErrorKind> {
        Ok(match self.table.get(&this)?.kind {
            ErrorKind::Validation => wit::GpuErrorKind::ValidationError,
            ErrorKind::OutOfMemory => wit::GpuErrorKind::OutOfMemoryError,
            ErrorKind::Internal => wit::GpuErrorKind::InternalError,
        })
    }

    super::drop_entry!(GpuError);
}

/// `gpu-uncaptured-error-event` (<https://www.w3.org/TR/webgpu/#gpuuncapturederrorevent>). The interface names it and gives no way to
/// get one; whoever offers that opens a stream of them by [`Device::uncaptured_error_events`](super::Device::uncaptured_error_events).
pub struct UncapturedErrorEvent(GpuError);

impl From<GpuError> for UncapturedErrorEvent {
    fn from(error: GpuError) -> Self {
        Self(error)
    }
}

impl wit::HostGpuUncapturedErrorEvent for WebGpuCtxView<'_> {
    fn error(&mut self, this: Resource<UncapturedErrorEvent>) -> wasmtime::Result<Resource<GpuError>> {
        let error = self.table.get(&this)?.0.clone();
        Ok(self.table.push(error)?)
    }

    super::drop_entry!(UncapturedErrorEvent);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const MAX_QUEUED: usize = 8;

    fn sink() -> (ErrorSink, Arc<Mutex<Vec<String>>>) {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let theirs = Arc::clone(&lines);
        let log: Log = Arc::new(move |line: &str| theirs.lock().unwrap().push(line.to_owned()));
        (ErrorSink::new(log, MAX_QUEUED), lines)
    }

    fn error(kind: ErrorKind, message: &str) -> GpuError {
        GpuError::new(kind, message)
    }

    #[test]
    fn the_innermost_scope_of_the_right_filter_keeps_the_first_error() {
        let (sink, lines) = sink();
        sink.push_scope(ErrorKind::Validation).unwrap();
        sink.push_scope(ErrorKind::Validation).unwrap();
        sink.push_scope(ErrorKind::OutOfMemory).unwrap();
        sink.report(error(ErrorKind::Validation, "first"));
        sink.report(error(ErrorKind::Validation, "second"));
        sink.report(error(ErrorKind::Internal, "of another kind"));
        assert_eq!(sink.pop_scope(), Ok(None));
        assert_eq!(sink.pop_scope(), Ok(Some(error(ErrorKind::Validation, "first"))));
        assert_eq!(sink.pop_scope(), Ok(None));
        assert_eq!(sink.pop_scope(), Err(NoScope));
        assert_eq!(*lines.lock().unwrap(), ["of another kind"]);
    }

    #[test]
    fn what_no_scope_captures_is_logged_a_bounded_number_of_times() {
        let (sink, lines) = sink();
        for _ in 0..1000 {
            sink.report(error(ErrorKind::Validation, "again"));
        }
        let lines = lines.lock().unwrap();
        assert_eq!(lines.iter().filter(|line| *line == "again").count(), MAX_LOGGED as usize);
        assert_eq!(lines.len(), MAX_LOGGED as usize + 1);
    }

    #[test]
    fn a_stream_gets_uncaptured_errors_and_ends_with_the_device() {
        let (sink, _) = sink();
        let mut stream = sink.stream().unwrap();
        sink.push_scope(ErrorKind::Validation).unwrap();
        sink.report(error(ErrorKind::Validation, "captured"));
        sink.report(error(ErrorKind::Internal, "uncaptured"));
        sink.lose();
        sink.report(error(ErrorKind::Internal, "too late"));
        assert_eq!(stream.blocking_recv(), Some(error(ErrorKind::Internal, "uncaptured")));
        assert_eq!(stream.blocking_recv(), None);
    }

    #[test]
    fn scopes_and_messages_have_a_limit() {
        let (sink, _) = sink();
        let pushed = (0..=MAX_SCOPES).filter(|_| sink.push_scope(ErrorKind::Internal).is_ok()).count();
        assert_eq!(pushed, MAX_SCOPES);
        assert_eq!(error(ErrorKind::Internal, &"ä".repeat(5000)).message.len(), MAX_MESSAGE_BYTES);
    }
}
