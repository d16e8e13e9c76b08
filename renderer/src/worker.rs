//! The worker's loop: one session, one scene, one socket to the broker.
//!
//! Owns the order of things: greet, open the GPU, take `Start`, run the scene on a thread of its own, pass input and control on,
//! pass access units and log lines out, say why it ended. It knows no network and no viewer, and it is a process that may be
//! killed at any moment: nothing outlives it.

mod watch;

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use renderer_protocol::{
    Cell, CodecError, EndReason, FromWorker, LogLevel, LogLine, LogSource, OutOfRange, Start, ToWorker,
    codec, handover::FileTaker,
};
use tokio::{
    net::{UnixStream, unix},
    sync::{mpsc, oneshot},
    time::{MissedTickBehavior, interval, timeout},
};
use tracing::{debug, warn};

use self::watch::Watch;
use crate::{
    frame::{
        FrameClock, Output, Pipeline, PipelineConfig, PipelineHandle, Presenter, Screenshots, Sink, Ticks,
        Timing, cpu_time, pipeline::SinkClosed,
    },
    gpu::{Backend, Gpu},
    host::{Window, wasi::LogSink, webgpu::GpuWork},
    scene::{Progress, Run, Scene, SceneContext},
};

/// Messages to the broker that wait to be written. Pictures are encoded no faster than they are taken, so this holds a burst of
/// log lines; what does not fit is counted and dropped, access units excepted: their thread waits.
const OUTBOX_MESSAGES: usize = 256;
/// Messages from the broker that wait to be handled.
const INBOX_MESSAGES: usize = 64;
/// The last message and what stands before it have this long to be written; then the process ends without.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);
/// One slice: the machine's cores are shared by many sessions, and slices cost bits.
const ENCODER_THREADS: u16 = 1;
/// Lines of output that a scene may write in a second, after as many at once; what is more is counted and left out.
const LINES_PER_SECOND: u64 = 200;

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
    gpu_work: GpuWork,
    watch: Watch,
    epoch: Box<dyn Fn() + Send>,
    lost_lines: Arc<AtomicU64>,
}

impl Session {
    fn start(start: &Start, artifact: FileTaker, outbox: &Outbox, gpu: Arc<Gpu>) -> wasmtime::Result<Self> {
        let scene = Scene::load(&artifact.take()?)?;
        let clock = FrameClock::real();
        let window = Window::new(start.size);
        let (pipeline_end, pipeline_ended) = oneshot::channel();
        let pipeline = Pipeline::spawn(
            PipelineConfig {
                clock: clock.clone(),
                frame_rate_hz: start.frame_rate_hz,
                bitrate_bps: start.bitrate_bps,
                encoder_threads: ENCODER_THREADS,
                timing: timing(gpu.is_cpu()),
            },
            OutboxSink {
                outbox: outbox.sender.clone(),
                sent: Arc::clone(&outbox.sent),
                end: Some(pipeline_end),
            },
        )?;
        pipeline.handle.set_watched(false);
        let watch = Watch::new(gpu.is_cpu());
        let screenshots =
            Screenshots::spawn(pipeline.handle.clone(), screenshot_sink(outbox.sender.clone()))?;
        let lost_lines = Arc::new(AtomicU64::new(0));
        let log = log_sink(outbox.sender.clone(), clock.clone(), Arc::clone(&lost_lines));
        let run = scene.prepare(SceneContext {
            window: window.clone(),
            presenter: Presenter::new(pipeline.frames, gpu.is_cpu()),
            gpu,
            clock: clock.clone(),
            seed: start.seed,
            limits: start.limits,
            log,
        });
        let (progress, epoch, gpu_work) = (run.progress(), Box::new(run.epoch()), run.gpu_work());
        watch::poll_while_unfinished(gpu_work.clone())?;
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
            gpu_work,
            watch,
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
        let mut looks = interval(watch::INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
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
                _ = looks.tick() => {
                    let (now_us, cpu_us) = (self.clock.now_us(), cpu_time::process_us());
                    if let Some(fault) = self.watch.look(now_us, cpu_us, self.progress.turn(), &self.gpu_work) {
                        return Ok(EndReason::Scene(fault));
                    }
                    self.report_losses(outbox);
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

    fn report_losses(&self, outbox: &mpsc::Sender<FromWorker>) {
        let lost = self.lost_lines.swap(0, Ordering::Relaxed);
        if lost > 0 {
            warn!(lost, "lines of the scene's output were dropped: it writes faster than they are taken");
            let line = format!(
                "{lost} lines of output were left out: a scene may write {LINES_PER_SECOND} a second"
            );
            let line = LogLine { source: LogSource::Log(LogLevel::Warn), line };
            // Beside the scene's share of lines. When there is no room even for this, the next one tells.
            if outbox.try_send(FromWorker::Log(line)).is_err() {
                self.lost_lines.fetch_add(lost, Ordering::Relaxed);
            }
        }
        let streams = self.window.take_overflowed_streams();
        if streams > 0 {
            warn!(streams, "event streams of the scene were ended: it opened them and does not read them");
        }
    }
}

/// How long the pipeline waits for a picture. It goes by the clock alone, and so on a software rasteriser for as long as one may take that
/// gets no processor; what hangs there is noticed by [`Watch`].
fn timing(is_software: bool) -> Timing {
    let timing = Timing::default();
    let factor = if is_software { watch::SOFTWARE_WALL_FACTOR } else { 1 };
    Timing { gpu_timeout_ms: timing.gpu_timeout_ms.saturating_mul(factor), ..timing }
}

/// Runs the scene on a thread with a runtime of its own, so that whatever it does, messages are still answered.
fn spawn_scene(run: Run, outbox: mpsc::Sender<FromWorker>) -> std::io::Result<oneshot::Receiver<EndReason>> {
    let (ended, receiver) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    std::thread::Builder::new().name("scene".to_owned()).spawn(move || {
        // The session may have ended first.
        let _ = ended.send(run_to_end(run, &runtime, &outbox));
    })?;
    Ok(receiver)
}

/// Runs the scene on this thread. A bug of ours in a call of the host ends this session and nothing else: what it left half-done goes with
/// the process.
fn run_to_end(run: Run, runtime: &tokio::runtime::Runtime, outbox: &mpsc::Sender<FromWorker>) -> EndReason {
    let run = run.run(|| drop(outbox.try_send(FromWorker::Started)));
    catch_unwind(AssertUnwindSafe(|| runtime.block_on(run)))
        .unwrap_or_else(|panic| EndReason::Internal(format!("a bug in the host: {}", panic_message(&*panic))))
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

fn log_sink(outbox: mpsc::Sender<FromWorker>, clock: FrameClock, lost: Arc<AtomicU64>) -> LogSink {
    let rate = Mutex::new(LineRate::at(clock.now_us()));
    Arc::new(move |line: LogLine| {
        let admitted = rate.lock().unwrap_or_else(PoisonError::into_inner).admits(clock.now_us());
        // Half of the outbox is kept for what is not a line: a scene that writes without end must not stop its own pictures.
        let has_room = admitted && outbox.capacity() > OUTBOX_MESSAGES / 2;
        if !has_room || outbox.try_send(FromWorker::Log(line)).is_err() {
            lost.fetch_add(1, Ordering::Relaxed);
        }
    })
}

/// How many lines may be written now: [`LINES_PER_SECOND`] at once, and as many again each second.
struct LineRate {
    /// In lines times microseconds, so that no part of a line is lost.
    credit: u64,
    seen_us: u64,
}

impl LineRate {
    const LINE: u64 = 1_000_000;

    fn at(now_us: u64) -> Self {
        Self { credit: LINES_PER_SECOND.saturating_mul(Self::LINE), seen_us: now_us }
    }

    fn admits(&mut self, now_us: u64) -> bool {
        let earned = now_us.saturating_sub(self.seen_us).saturating_mul(LINES_PER_SECOND);
        self.seen_us = now_us;
        self.credit = self.credit.saturating_add(earned).min(LINES_PER_SECOND.saturating_mul(Self::LINE));
        let Some(left) = self.credit.checked_sub(Self::LINE) else { return false };
        self.credit = left;
        true
    }
}

/// What a panic said.
fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it gave no reason")
}

#[cfg(test)]
#[path = "worker/tests.rs"]
mod tests;
