//! A session's worker process: started, greeted, watched, ended.
//!
//! The worker may have been taken over by its scene. Whatever it sends is checked before anything else sees it; what it may not
//! send ends it. Knows nothing of viewers.

use std::{fs::File, os::fd::OwnedFd, process::ExitStatus, time::Duration};

use renderer_protocol::{
    AccessUnit, AdapterInfo, Cell, CodecError, EndReason, FromWorker, LogLine, SceneFault, Start, ToWorker,
    codec,
    handover::{self, FileGiver},
};
use tokio::{
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    process::Child,
    sync::mpsc,
    time::{Instant, Interval, MissedTickBehavior, timeout, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use super::{
    cgroup::{Class, Group},
    end::SessionEnd,
    order::MessageOrder,
    process::{Program, describe_exit, log_stderr},
};

/// Opening a GPU takes up to a third of a second; a machine that starts many sessions at once takes longer.
const START_TIMEOUT: Duration = Duration::from_secs(15);
/// How often a worker is asked whether it lives.
const PING_INTERVAL: Duration = Duration::from_millis(500);
/// So many of these in a row without any message from it, and it is dead: two seconds. Its loop only forwards messages, so it answers
/// within milliseconds unless it hangs. Counted in beats of ours and not by the clock: a broker that was itself stopped, or a machine
/// that was suspended, makes one beat of all that time.
const SILENT_BEATS: u32 = 4;
/// How long a process may take to end after its socket closed, after its last message, or after it was asked to.
const EXIT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long messages of a process that is gone are still read.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(200);
/// Messages that were read and wait for the session. Each may be an access unit of megabytes; beyond these, the socket and then
/// the worker wait, and the worker drops frames before it encodes them.
const INCOMING_MESSAGES: usize = 4;
/// Messages that wait for the socket. A worker reads at once; one that lets so many pile up hangs.
const OUTGOING_MESSAGES: usize = 256;
/// Of those, kept free for control messages: input waits in its own queue instead.
const OUTGOING_RESERVED: usize = 64;

/// Why no worker came to life. Ours, never the scene's: it has not been given one yet.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The process could not be created.
    #[error("the worker process could not be started: {0}")]
    Spawn(#[from] std::io::Error),
    /// It did not greet, or spoke nonsense.
    #[error("the worker did not greet as expected: {0}")]
    Greeting(#[from] CodecError),
    /// It ended, and nobody knows why.
    #[error("the worker ended before it was ready: {0}")]
    Ended(String),
    /// It could not open a GPU, and said why.
    #[error("no GPU can be opened: {0}")]
    NoGpu(String),
    /// It said something else than that it is ready.
    #[error("the worker's first message was not that it is ready")]
    NotReady,
    /// The operator asked for more than this system gives.
    #[error("the sandbox is required and a worker has no {0}")]
    Sandbox(String),
    /// It took too long.
    #[error("the worker was not ready after {} s", START_TIMEOUT.as_secs())]
    Timeout,
}

/// What a worker says of itself before it has a scene.
#[derive(Clone, Debug)]
pub struct Ready {
    /// The GPU that it opened.
    pub adapter: AdapterInfo,
    /// What it gave up.
    pub cell: Cell,
}

/// Why a worker that lives was not given its scene.
#[derive(Debug, thiserror::Error)]
pub(super) enum RunError {
    /// The compiled scene could not be handed over.
    #[error("the compiled scene could not be handed to the worker: {0}")]
    Handover(#[from] std::io::Error),
    /// It was given one before.
    #[error("the worker has a scene already")]
    HasScene,
    /// It does not take what it is sent.
    #[error("the worker's queue is full")]
    Stalled,
}

/// What a worker tells its session.
#[derive(Debug)]
pub(super) enum WorkerEvent {
    /// The scene runs.
    Started,
    /// A picture; its pts rises, and its input sequence is one that was sent.
    AccessUnit(AccessUnit),
    /// A line of the scene's output.
    Log(LogLine),
    /// The last picture as a PNG file, as far as its header says; empty when there is none yet.
    Screenshot(Vec<u8>),
    /// So many pictures were replaced before they were encoded.
    FramesDropped(u32),
    /// It is over: nothing follows.
    Gone(SessionEnd),
}

/// A worker that is ready. Dropping it kills the process.
pub(super) struct Worker {
    child: Child,
    /// The way of the compiled scene, until it has been given.
    artifact: Option<FileGiver>,
    incoming: mpsc::Receiver<Result<FromWorker, CodecError>>,
    outgoing: mpsc::Sender<ToWorker>,
    ping_timer: Interval,
    heartbeat: Heartbeat,
    order: MessageOrder,
    /// Set once the process is gone: how, and until when its last messages are waited for.
    exited: Option<(ExitStatus, Instant)>,
    /// Set once its socket is closed: until when the process may live on. Kept here because [`Self::recv`] is cancelled at each
    /// other event of the session.
    closed_until: Option<Instant>,
    group: Group,
    _reader: AbortOnDropHandle<()>,
    _writer: AbortOnDropHandle<()>,
}

/// The worker does not take what it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stalled;

impl Worker {
    /// Starts a process and waits until it has opened its GPU.
    pub(super) async fn start(program: &Program) -> Result<(Self, Ready), StartError> {
        timeout(START_TIMEOUT, Self::start_unbounded(program)).await.unwrap_or(Err(StartError::Timeout))
    }

    async fn start_unbounded(program: &Program) -> Result<(Self, Ready), StartError> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let (artifact, taker) = handover::pair()?;
        // The command keeps their ends until it is dropped; as long as we hold them we would not notice that the worker is gone.
        let mut child = {
            let mut command = program.command("worker");
            command.arg("--memory-bytes").arg(program.sandbox().scene_bytes.to_string());
            command.stdin(OwnedFd::from(theirs)).stdout(OwnedFd::from(taker)).spawn()?
        };
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(log_stderr(stderr, "worker").in_current_span());
        }
        // Before the first message: until then it has done nothing that a limit is for.
        let lacking = |error| StartError::Sandbox(format!("control group of its own: {error}"));
        let group = program.contain(&child).await.map_err(lacking)?;
        let mut stream = UnixStream::from_std(ours)?;
        let opening = async {
            codec::greet(&mut stream).await?;
            codec::read::<FromWorker>(&mut stream).await
        };
        let first = match opening.await {
            Ok(first) => first,
            Err(CodecError::Closed | CodecError::Io(_)) => {
                let how = exit_of(&mut child)
                    .await
                    .map_or_else(|| "it closed its socket".to_owned(), describe_exit);
                return Err(StartError::Ended(how));
            }
            Err(error) => return Err(error.into()),
        };
        first.check().map_err(|error| CodecError::Malformed(error.to_string()))?;
        let ready = match first {
            FromWorker::Ready { adapter, cell } => Ready { adapter, cell },
            FromWorker::Ended(EndReason::Internal(reason)) => return Err(StartError::NoGpu(reason)),
            FromWorker::Ended(reason) => return Err(StartError::Ended(reason.to_string())),
            _ => return Err(StartError::NotReady),
        };
        if let Some(missing) = ready.cell.missing().next().filter(|_| program.sandbox().is_required) {
            return Err(StartError::Sandbox(format!("{}: {}", missing.part, missing.reason)));
        }
        let (reader, writer) = stream.into_split();
        let (incoming_sender, incoming) = mpsc::channel(INCOMING_MESSAGES);
        let (outgoing, outgoing_receiver) = mpsc::channel(OUTGOING_MESSAGES);
        let mut ping_timer = tokio::time::interval(PING_INTERVAL);
        ping_timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let worker = Self {
            child,
            artifact: Some(artifact),
            incoming,
            outgoing,
            ping_timer,
            heartbeat: Heartbeat::default(),
            order: MessageOrder::default(),
            exited: None,
            closed_until: None,
            group,
            _reader: AbortOnDropHandle::new(tokio::spawn(
                read_messages(reader, incoming_sender).in_current_span(),
            )),
            _writer: AbortOnDropHandle::new(tokio::spawn(
                write_messages(writer, outgoing_receiver).in_current_span(),
            )),
        };
        Ok((worker, ready))
    }

    /// The process's id, while it lives.
    pub(super) fn process_id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Gives it what processes of this class may have of the machine.
    pub(super) fn set_class(&self, class: Class) {
        self.group.set_class(class);
    }

    /// Whether it is to run only where nobody else wants to.
    pub(super) fn set_greedy(&self, is_greedy: bool) {
        self.group.set_greedy(is_greedy);
    }

    /// Messages that were read and wait for the session, and messages that wait for the socket.
    pub(super) fn queued(&self) -> (usize, usize) {
        (self.incoming.len(), OUTGOING_MESSAGES.saturating_sub(self.outgoing.capacity()))
    }

    /// Gives it its scene: a compiled one, opened for reading alone.
    pub(super) fn run(&mut self, start: Start, artifact: &File) -> Result<(), RunError> {
        self.artifact.take().ok_or(RunError::HasScene)?.give(artifact)?;
        self.order.runs_at(start.frame_rate_hz);
        self.send(ToWorker::Start(start)).map_err(|Stalled| RunError::Stalled)
    }

    /// Sends a control message.
    pub(super) fn send(&mut self, message: ToWorker) -> Result<(), Stalled> {
        debug_assert!(message.check().is_ok(), "{message:?}");
        if let ToWorker::Input { sequence, .. } = &message {
            self.order.sent_input(*sequence);
        }
        if matches!(message, ToWorker::TakeScreenshot) {
            self.order.asked_for_screenshot();
        }
        match self.outgoing.try_send(message) {
            // Closed: the process is gone, which `recv` is about to tell.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => Err(Stalled),
        }
    }

    /// Whether there is room for a batch of input; otherwise it shall wait where it can be merged.
    pub(super) fn has_room_for_input(&self) -> bool {
        self.outgoing.capacity() > OUTGOING_RESERVED
    }

    /// The next event. Cancel-safe.
    pub(super) async fn recv(&mut self) -> WorkerEvent {
        loop {
            let drain_until = self.exited.map(|(_, until)| until);
            tokio::select! {
                biased;
                message = self.incoming.recv() => match message {
                    Some(Ok(message)) => {
                        self.heartbeat.heard();
                        match self.take(message) {
                            Ok(Some(event)) => return event,
                            Ok(None) => {}
                            Err(what) => return WorkerEvent::Gone(SessionEnd::WorkerProtocol { what }),
                        }
                    }
                    Some(Err(CodecError::Closed | CodecError::Io(_))) | None => return self.died().await,
                    Some(Err(error)) => {
                        return WorkerEvent::Gone(SessionEnd::WorkerProtocol { what: error.to_string() });
                    }
                },
                status = self.child.wait(), if self.exited.is_none() => match status {
                    Ok(status) => self.exited = Some((status, Instant::now() + DRAIN_TIMEOUT)),
                    Err(error) => {
                        tracing::error!(%error, "waiting for the worker failed");
                        return WorkerEvent::Gone(SessionEnd::Internal);
                    }
                },
                () = sleep_until(drain_until), if drain_until.is_some() => return self.died().await,
                _ = self.ping_timer.tick() => match self.heartbeat.beat() {
                    Beat::Ping(nonce) => {
                        if self.send(ToWorker::Ping { nonce }).is_err() {
                            return WorkerEvent::Gone(SessionEnd::WorkerUnresponsive);
                        }
                    }
                    Beat::Wait => {}
                    Beat::Dead => return WorkerEvent::Gone(SessionEnd::WorkerUnresponsive),
                },
            }
        }
    }

    /// Ends the process: in order if it still takes messages, and in any case soon.
    pub(super) async fn stop(mut self) {
        let _ = self.send(ToWorker::Stop);
        // What it still says must be read, or it could not finish saying it.
        let said_all = async { while self.incoming.recv().await.is_some() {} };
        let _ = timeout(EXIT_TIMEOUT, said_all).await;
        if exit_of(&mut self.child).await.is_none() {
            tracing::warn!("the worker did not end when it was asked to, and was killed");
        }
    }

    /// Ends the process at once, and waits until it is gone.
    pub(super) async fn kill(mut self) {
        if let Err(error) = self.child.kill().await {
            tracing::error!(%error, "the worker could not be killed");
        }
    }

    /// Checks the order of a message, and answers what needs no session.
    fn take(&mut self, message: FromWorker) -> Result<Option<WorkerEvent>, String> {
        message.check().map_err(|error| error.to_string())?;
        self.order.check(&message, Instant::now())?;
        Ok(match message {
            FromWorker::Started => Some(WorkerEvent::Started),
            FromWorker::AccessUnit(unit) => Some(WorkerEvent::AccessUnit(unit)),
            FromWorker::Log(line) => Some(WorkerEvent::Log(line)),
            FromWorker::Screenshot { png } => Some(WorkerEvent::Screenshot(png)),
            FromWorker::FramesDropped { count } => Some(WorkerEvent::FramesDropped(count)),
            FromWorker::Pong { nonce } => {
                self.heartbeat.answered(nonce)?;
                None
            }
            FromWorker::Ended(reason) => Some(WorkerEvent::Gone(SessionEnd::Worker(reason))),
            FromWorker::Ready { .. } => return Err("a second message that it is ready".to_owned()),
        })
    }

    async fn died(&mut self) -> WorkerEvent {
        let status = if let Some((status, _)) = self.exited {
            Some(status)
        } else {
            let until = *self.closed_until.get_or_insert_with(|| Instant::now() + EXIT_TIMEOUT);
            timeout_at(until, self.child.wait()).await.ok().and_then(Result::ok)
        };
        if status.is_none()
            && let Err(error) = self.child.start_kill()
        {
            tracing::error!(%error, "a process could not be killed");
        }
        if let Some(limit_bytes) = self.group.ran_out_of_memory() {
            let what = format!(
                "its process needed more than {} MiB of memory, for WebAssembly, GPU objects and the driver together",
                limit_bytes >> 20
            );
            return WorkerEvent::Gone(SessionEnd::Worker(EndReason::Scene(SceneFault::Limit(what))));
        }
        let how = status.map_or_else(|| "it closed its socket and was ended".to_owned(), describe_exit);
        WorkerEvent::Gone(SessionEnd::WorkerDied { how })
    }
}

/// How a process ends within [`EXIT_TIMEOUT`]; `None` when it had to be killed.
async fn exit_of(child: &mut Child) -> Option<ExitStatus> {
    if let Ok(status) = timeout(EXIT_TIMEOUT, child.wait()).await {
        return status.ok();
    }
    if let Err(error) = child.kill().await {
        tracing::error!(%error, "a process could not be killed");
    }
    None
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

async fn read_messages(mut reader: OwnedReadHalf, to: mpsc::Sender<Result<FromWorker, CodecError>>) {
    loop {
        let message = codec::read(&mut reader).await;
        let is_last = message.is_err();
        if to.send(message).await.is_err() || is_last {
            return;
        }
    }
}

async fn write_messages(mut writer: OwnedWriteHalf, mut from: mpsc::Receiver<ToWorker>) {
    while let Some(message) = from.recv().await {
        if let Err(error) = codec::write(&mut writer, &message).await {
            // The reader sees the end of the connection too, and reports it.
            tracing::debug!(%error, "writing to the worker failed");
            return;
        }
    }
}

/// Pings, and what is known about their answers. Any message is a sign of life.
#[derive(Debug, Default)]
struct Heartbeat {
    nonce: u64,
    is_answered: bool,
    /// Beats since the last message.
    silent: u32,
}

enum Beat {
    Ping(u64),
    Wait,
    Dead,
}

impl Heartbeat {
    fn beat(&mut self) -> Beat {
        if self.silent >= SILENT_BEATS {
            return Beat::Dead;
        }
        self.silent += 1;
        if self.nonce > 0 && !self.is_answered {
            return Beat::Wait;
        }
        self.nonce += 1;
        self.is_answered = false;
        Beat::Ping(self.nonce)
    }

    fn heard(&mut self) {
        self.silent = 0;
    }

    fn answered(&mut self, nonce: u64) -> Result<(), String> {
        if self.nonce == 0 || nonce != self.nonce || self.is_answered {
            return Err("an answer to a ping that was not sent".to_owned());
        }
        self.is_answered = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_36_a_worker_that_says_nothing_for_two_seconds_is_dead() {
        let mut heartbeat = Heartbeat::default();
        assert!(matches!(heartbeat.beat(), Beat::Ping(1)));
        heartbeat.heard();
        assert_eq!(heartbeat.answered(1), Ok(()));
        assert!(matches!(heartbeat.beat(), Beat::Ping(2)));
        for _ in 1..SILENT_BEATS {
            assert!(matches!(heartbeat.beat(), Beat::Wait));
        }
        assert!(matches!(heartbeat.beat(), Beat::Dead));
        assert_eq!(PING_INTERVAL * SILENT_BEATS, Duration::from_secs(2));
    }

    #[test]
    fn any_message_is_a_sign_of_life() {
        let mut heartbeat = Heartbeat::default();
        for _ in 0..100 {
            assert!(!matches!(heartbeat.beat(), Beat::Dead));
            heartbeat.heard();
        }
        assert_eq!(heartbeat.answered(1), Ok(()), "however late");
        assert!(matches!(heartbeat.beat(), Beat::Ping(2)));
    }

    #[tokio::test]
    async fn row_59_a_broker_that_was_stopped_makes_one_beat_of_that_time() {
        const INTERVAL: Duration = Duration::from_millis(50);
        let mut timer = tokio::time::interval(INTERVAL);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        timer.tick().await;
        // Nothing else of this runtime runs meanwhile, as when the process is stopped.
        std::thread::sleep(INTERVAL * 10);
        let woken = timer.tick().await;
        let next = timer.tick().await;
        assert!(next.duration_since(woken) >= INTERVAL, "a second beat came at once");
    }

    #[tokio::test]
    async fn a_process_that_outlives_its_socket_is_given_up_however_busy_its_session_is() {
        let child = tokio::process::Command::new("sleep").arg("3600").kill_on_drop(true).spawn().unwrap();
        let mut worker = Worker {
            child,
            artifact: None,
            // Nothing is left to read: the socket is closed.
            incoming: mpsc::channel(1).1,
            outgoing: mpsc::channel(1).0,
            ping_timer: tokio::time::interval(PING_INTERVAL),
            heartbeat: Heartbeat::default(),
            order: MessageOrder::default(),
            exited: None,
            closed_until: None,
            group: Group::default(),
            _reader: AbortOnDropHandle::new(tokio::spawn(async {})),
            _writer: AbortOnDropHandle::new(tokio::spawn(async {})),
        };
        // Each of these is an event of the session that comes before the worker's.
        for _ in 0..100 {
            if let Ok(event) = timeout(EXIT_TIMEOUT / 4, worker.recv()).await {
                assert!(matches!(event, WorkerEvent::Gone(SessionEnd::WorkerDied { .. })), "{event:?}");
                return;
            }
        }
        panic!("the session would never end");
    }

    #[test]
    fn an_answer_to_no_ping_is_a_violation() {
        let mut heartbeat = Heartbeat::default();
        assert!(heartbeat.answered(0).is_err());
        assert!(matches!(heartbeat.beat(), Beat::Ping(1)));
        assert!(heartbeat.answered(7).is_err());
        assert_eq!(heartbeat.answered(1), Ok(()));
        assert!(heartbeat.answered(1).is_err(), "twice");
    }
}
