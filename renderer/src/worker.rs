//! The worker's loop: one session, one scene, one socket to the broker.
//!
//! Owns the order of things: greet, open the GPU, take `Start`, run the scene on a thread of its own, pass input and control on,
//! pass access units and log lines out, say why it ended. It knows no network and no viewer, and it is a process that may be
//! killed at any moment: nothing outlives it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use renderer_protocol::{
    Cell, CodecError, EndReason, FromWorker, LogLine, OutOfRange, SceneFault, Start, ToWorker, codec,
    handover::FileTaker,
};
use tokio::{
    net::{UnixStream, unix},
    sync::{mpsc, oneshot},
    time::{MissedTickBehavior, interval, timeout},
};
use tracing::{debug, warn};

use crate::{
    frame::{
        FrameClock, Output, Pipeline, PipelineConfig, PipelineHandle, Presenter, Screenshots, Sink, Ticks,
        Timing, cpu_time, pipeline::SinkClosed,
    },
    gpu::{Backend, Gpu},
    host::{Window, wasi::LogSink},
    scene::{Progress, Run, Scene, SceneContext},
};

/// Messages to the broker that wait to be written. Pictures are encoded no faster than they are taken, so this holds a burst of
/// log lines; what does not fit is counted and dropped, access units excepted: their thread waits.
const OUTBOX_MESSAGES: usize = 256;
/// Messages from the broker that wait to be handled.
const INBOX_MESSAGES: usize = 64;
/// The last message and what stands before it have this long to be written; then the process ends without.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);
/// A call into a driver that has not returned after this time never will.
const STUCK_LIMIT_MS: u32 = 5_000;
/// One slice: the machine's cores are shared by many sessions, and slices cost bits.
const ENCODER_THREADS: u16 = 1;
/// How often the scene's thread is looked at.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);

/// Why a worker could not do its work. The broker sees the connection close and reads this from the log.
#[derive(Debug, thiserror::Error)]
enum WorkerError {
    /// The broker is gone, or what it sends is not the protocol.
    #[error(transparent)]
    Connection(#[from] CodecError),
    /// The broker sent a value that it may not send.
    #[error("the broker sent a wrong message: {0}")]
    Message(#[from] OutOfRange),
    /// The operating system refused a thread or a socket.
    #[error("the worker cannot be set up: {0}")]
    System(#[from] std::io::Error),
}

/// Runs a session over this socket, with the scene that comes by the other one, and ends the process. `cell` is for the broker to know.
pub fn run(broker: std::os::unix::net::UnixStream, artifact: FileTaker, cell: Cell) -> ! {
    let served = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(WorkerError::from)
        .and_then(|runtime| runtime.block_on(serve(broker, artifact, cell)));
    let status = match served {
        Ok(()) => 0,
        Err(WorkerError::Connection(CodecError::Closed)) => {
            debug!("the broker closed the connection");
            0
        }
        Err(error) => {
            warn!("{error}");
            1
        }
    };
    crate::end_process(status)
}

async fn serve(
    broker: std::os::unix::net::UnixStream,
    artifact: FileTaker,
    cell: Cell,
) -> Result<(), WorkerError> {
    broker.set_nonblocking(true)?;
    let mut broker = UnixStream::from_std(broker)?;
    codec::greet(&mut broker).await?;
    let (reader, writer) = broker.into_split();
    let (sender, outgoing) = mpsc::channel(OUTBOX_MESSAGES);
    let outbox = Outbox { sender, sent: Arc::default() };
    let writing = tokio::spawn(write(writer, outgoing, Arc::clone(&outbox.sent)));
    let reason = match Gpu::open(Backend::Vulkan) {
        Ok(gpu) => {
            let _ = outbox.sender.send(FromWorker::Ready { adapter: gpu.info(), cell }).await;
            session(reader, artifact, &outbox, gpu).await?
        }
        Err(error) => EndReason::Internal(error.to_string()),
    };
    debug!(code = reason.code(), "the session ends: {reason}");
    let _ = timeout(FLUSH_TIMEOUT, async {
        let _ = outbox.sender.send(FromWorker::Ended(reason)).await;
        // The writer ends after `Ended`, whoever still holds a sender.
        let _ = writing.await;
    })
    .await;
    Ok(())
}

/// The way to the broker.
struct Outbox {
    sender: mpsc::Sender<FromWorker>,
    sent: Arc<Sent>,
}

async fn write(mut writer: unix::OwnedWriteHalf, mut outgoing: mpsc::Receiver<FromWorker>, sent: Arc<Sent>) {
    let clock = FrameClock::real();
    while let Some(message) = outgoing.recv().await {
        let (wall_start_us, cpu_start_us) = (clock.now_us(), cpu_time::thread_us());
        if let Err(error) = codec::write(&mut writer, &message).await {
            debug!("the broker does not read any more: {error}");
            return;
        }
        match message {
            // Whatever else ran on this thread while the socket was full is counted too; a broker that reads leaves no room for it.
            FromWorker::AccessUnit(_) => {
                sent.set(clock.now_us() - wall_start_us, cpu_time::thread_us() - cpu_start_us);
            }
            FromWorker::Ended(_) => return,
            _ => {}
        }
    }
}

/// Reads on a task of its own, because reading a message must not be cancelled half-way.
async fn read(mut reader: unix::OwnedReadHalf, incoming: mpsc::Sender<Result<ToWorker, WorkerError>>) {
    loop {
        let message = codec::read::<ToWorker>(&mut reader).await.map_err(WorkerError::from);
        let message = message.and_then(|message| {
            message.check()?;
            Ok(message)
        });
        let failed = message.is_err();
        if incoming.send(message).await.is_err() || failed {
            return;
        }
    }
}

async fn session(
    reader: unix::OwnedReadHalf,
    artifact: FileTaker,
    outbox: &Outbox,
    gpu: Arc<Gpu>,
) -> Result<EndReason, WorkerError> {
    let (incoming, mut inbox) = mpsc::channel(INBOX_MESSAGES);
    tokio::spawn(read(reader, incoming));
    let start = loop {
        match inbox.recv().await.ok_or(CodecError::Closed)?? {
            ToWorker::Start(start) => break start,
            ToWorker::Ping { nonce } => drop(outbox.sender.send(FromWorker::Pong { nonce }).await),
            ToWorker::Stop => return Ok(EndReason::Stopped),
            other => debug!(?other, "ignored before `Start`"),
        }
    };
    match Session::start(&start, artifact, outbox, gpu) {
        Ok(session) => session.run(inbox, &outbox.sender).await,
        Err(error) => Ok(EndReason::Internal(format!("{error:#}"))),
    }
}

/// A scene that runs, and the handles to everything around it.
struct Session {
    ticks: Ticks,
    clock: FrameClock,
    window: Window,
    pipeline: PipelineHandle,
    pipeline_ended: oneshot::Receiver<EndReason>,
    screenshots: Screenshots,
    scene_ended: oneshot::Receiver<EndReason>,
    progress: Progress,
    epoch: Box<dyn Fn() + Send>,
    lost_lines: Arc<AtomicU64>,
}

impl Session {
    fn start(start: &Start, artifact: FileTaker, outbox: &Outbox, gpu: Arc<Gpu>) -> wasmtime::Result<Self> {
        let scene = Scene::load(artifact.take()?)?;
        let clock = FrameClock::real();
        let window = Window::new(start.size);
        let (pipeline_end, pipeline_ended) = oneshot::channel();
        let pipeline = Pipeline::spawn(
            PipelineConfig {
                clock: clock.clone(),
                frame_rate_hz: start.frame_rate_hz,
                bitrate_bps: start.bitrate_bps,
                encoder_threads: ENCODER_THREADS,
                timing: Timing::default(),
            },
            OutboxSink {
                outbox: outbox.sender.clone(),
                sent: Arc::clone(&outbox.sent),
                end: Some(pipeline_end),
            },
        )?;
        pipeline.handle.set_watched(false);
        let screenshots =
            Screenshots::spawn(pipeline.handle.clone(), screenshot_sink(outbox.sender.clone()))?;
        let lost_lines = Arc::new(AtomicU64::new(0));
        let run = scene.prepare(SceneContext {
            window: window.clone(),
            presenter: Presenter::new(pipeline.frames, gpu.is_cpu()),
            gpu,
            clock: clock.clone(),
            seed: start.seed,
            limits: start.limits,
            log: log_sink(outbox.sender.clone(), Arc::clone(&lost_lines)),
        });
        let (progress, epoch) = (run.progress(), Box::new(run.epoch()));
        let scene_ended = spawn_scene(run, outbox.sender.clone())?;
        let ticks = clock.ticks(start.frame_rate_hz);
        Ok(Self {
            ticks,
            clock,
            window,
            pipeline: pipeline.handle,
            pipeline_ended,
            screenshots,
            scene_ended,
            progress,
            epoch,
            lost_lines,
        })
    }

    /// Passes messages, ticks and epochs on until something ends the session.
    async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Result<ToWorker, WorkerError>>,
        outbox: &mpsc::Sender<FromWorker>,
    ) -> Result<EndReason, WorkerError> {
        let mut watched = false;
        let mut pipeline_stopped = false;
        let mut epochs = interval(Duration::from_millis(Run::EPOCH_MS.into()));
        epochs.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut watch = interval(WATCH_INTERVAL);
        watch.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stuck = StuckTurn::default();
        loop {
            tokio::select! {
                biased;
                message = inbox.recv() => match message.ok_or(CodecError::Closed)?? {
                    ToWorker::Stop => return Ok(EndReason::Stopped),
                    ToWorker::SetWatched(now) => {
                        watched = now;
                        self.pipeline.set_watched(now);
                    }
                    message => self.handle(message, outbox),
                },
                reason = &mut self.scene_ended => {
                    return Ok(reason.unwrap_or_else(|_| EndReason::Internal("the scene's thread panicked".to_owned())));
                }
                reason = &mut self.pipeline_ended, if !pipeline_stopped => match reason {
                    // The scene dropped its end, so it is ending; the reason is its to give.
                    Ok(EndReason::Stopped) => pipeline_stopped = true,
                    Ok(reason) => return Ok(reason),
                    Err(_) => return Ok(EndReason::Internal("the pipeline's thread panicked".to_owned())),
                },
                _ = self.ticks.next_tick(), if watched => self.window.tick(self.clock.now_us()),
                // Only a guest that computes can miss its epoch.
                _ = epochs.tick(), if self.progress.turn().is_some() => (self.epoch)(),
                _ = watch.tick() => {
                    if let Some(fault) = stuck.look(self.progress.turn(), self.clock.now_us()) {
                        return Ok(EndReason::Scene(fault));
                    }
                    self.report_losses();
                }
            }
        }
    }

    fn handle(&self, message: ToWorker, outbox: &mpsc::Sender<FromWorker>) {
        match message {
            ToWorker::Input { sequence, events } => self.window.push_input(sequence, events),
            ToWorker::Resize(size) => self.window.resize(size),
            ToWorker::RequestKeyframe => self.pipeline.request_keyframe(),
            ToWorker::TakeScreenshot => self.screenshots.take(),
            ToWorker::SetBitrate { bitrate_bps } => self.pipeline.set_bitrate(bitrate_bps),
            ToWorker::Ping { nonce } => {
                if outbox.try_send(FromWorker::Pong { nonce }).is_err() {
                    debug!("the broker does not read; its ping is not answered");
                }
            }
            ToWorker::Start(_) => warn!("a second `Start` is ignored"),
            ToWorker::Stop | ToWorker::SetWatched(_) => {}
        }
    }

    fn report_losses(&self) {
        let lost = self.lost_lines.swap(0, Ordering::Relaxed);
        if lost > 0 {
            warn!(lost, "lines of the scene's output were dropped: it writes faster than they are taken");
        }
        let streams = self.window.take_overflowed_streams();
        if streams > 0 {
            warn!(streams, "event streams of the scene were ended: it opened them and does not read them");
        }
    }
}

/// Notices a scene's thread that is held by a driver. The GPU work of a pipeline has its own time-out; this is for calls that never
/// return to us.
#[derive(Default)]
struct StuckTurn {
    /// The turn that was looked at, and when it was first seen.
    seen: Option<(u64, u64)>,
}

impl StuckTurn {
    fn look(&mut self, turn: Option<u64>, now_us: u64) -> Option<SceneFault> {
        let Some(turn) = turn else {
            self.seen = None;
            return None;
        };
        match self.seen {
            Some((seen, since_us)) if seen == turn => {
                let waited_ms = now_us.saturating_sub(since_us) / 1_000;
                let waited_ms = u32::try_from(waited_ms).unwrap_or(u32::MAX);
                (waited_ms >= STUCK_LIMIT_MS).then_some(SceneFault::GpuTimeout { waited_ms })
            }
            _ => {
                self.seen = Some((turn, now_us));
                None
            }
        }
    }
}

/// Runs the scene on a thread with a runtime of its own, so that whatever it does, messages are still answered.
fn spawn_scene(run: Run, outbox: mpsc::Sender<FromWorker>) -> std::io::Result<oneshot::Receiver<EndReason>> {
    let (ended, receiver) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    std::thread::Builder::new().name("scene".to_owned()).spawn(move || {
        let reason = runtime.block_on(run.run(|| drop(outbox.try_send(FromWorker::Started))));
        // The session may have ended first.
        let _ = ended.send(reason);
    })?;
    Ok(receiver)
}

/// Puts the pipeline's output into the outbox. While the broker does not read, the pipeline waits here and frames are dropped
/// before they are encoded.
struct OutboxSink {
    outbox: mpsc::Sender<FromWorker>,
    sent: Arc<Sent>,
    end: Option<oneshot::Sender<EndReason>>,
}

/// What sending the last access unit took; written by the writer, reported with the next unit.
#[derive(Debug, Default)]
struct Sent {
    wall_us: AtomicU32,
    cpu_us: AtomicU32,
}

impl Sent {
    fn set(&self, wall_us: u64, cpu_us: u64) {
        self.wall_us.store(u32::try_from(wall_us).unwrap_or(u32::MAX), Ordering::Relaxed);
        self.cpu_us.store(u32::try_from(cpu_us).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    fn take(&self) -> (u32, u32) {
        (self.wall_us.swap(0, Ordering::Relaxed), self.cpu_us.swap(0, Ordering::Relaxed))
    }
}

impl Sink for OutboxSink {
    fn send(&mut self, output: Output) -> Result<(), SinkClosed> {
        let message = match output {
            Output::AccessUnit(mut unit) => {
                (unit.times.send_us, unit.cpu_times.send_us) = self.sent.take();
                FromWorker::AccessUnit(unit)
            }
            Output::FramesDropped { count } => FromWorker::FramesDropped { count },
            Output::Ended(end) => {
                if let Some(sender) = self.end.take() {
                    let _ = sender.send(end.into());
                }
                return Ok(());
            }
        };
        self.outbox.blocking_send(message).map_err(|_| SinkClosed)
    }
}

/// Waits where the broker does not read, as pictures do.
fn screenshot_sink(outbox: mpsc::Sender<FromWorker>) -> impl FnMut(Vec<u8>) + Send + 'static {
    move |png| {
        if outbox.blocking_send(FromWorker::Screenshot { png }).is_err() {
            debug!("the broker is gone; its screenshot is for nobody");
        }
    }
}

fn log_sink(outbox: mpsc::Sender<FromWorker>, lost: Arc<AtomicU64>) -> LogSink {
    Arc::new(move |line: LogLine| {
        // Half of the outbox is kept for what is not a line: a scene that writes without end must not stop its own pictures.
        if outbox.capacity() <= OUTBOX_MESSAGES / 2 || outbox.try_send(FromWorker::Log(line)).is_err() {
            lost.fetch_add(1, Ordering::Relaxed);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_that_does_not_end_is_a_fault_and_one_that_does_is_none() {
        let mut stuck = StuckTurn::default();
        assert_eq!(stuck.look(Some(1), 0), None);
        assert_eq!(stuck.look(Some(1), 4_999_000), None);
        assert_eq!(stuck.look(Some(2), 6_000_000), None);
        assert_eq!(stuck.look(None, 20_000_000), None);
        assert_eq!(stuck.look(Some(3), 30_000_000), None);
        assert_eq!(stuck.look(Some(3), 35_000_000), Some(SceneFault::GpuTimeout { waited_ms: 5_000 }));
    }
}
