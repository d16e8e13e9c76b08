//! One run from its scene to its frames: starts the threads, watches over them, and collects what they did.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use renderer_protocol::{FrameSize, LogLine, SceneFault, SceneLimits};

use super::{
    Failure, Fault, Frame, FrameList, FrameTimes, OutputError, SceneLine, TimedEvent,
    driver::{self, Plan},
    log::LogBook,
    reader::{self, TickOver},
};
use crate::{
    frame::{FrameClock, Presenter, queue},
    gpu::Gpu,
    host::{Outstanding, Window, wasi::LogSink},
    scene::{Progress, Run, Scene, SceneContext},
};

/// Long enough for a software rasteriser on a busy machine; a scene that needs it for one frame is at fault.
pub const DEFAULT_TIME_LIMIT: Duration = Duration::from_secs(10);
/// A guest that computes for ever, and a frame that is never drawn, are known as what they are after the time limit; whatever else
/// does not go on, this much later.
const GRACE: Duration = Duration::from_secs(1);
/// How long the other threads are waited for when a run is over. Those that are held by a driver never end.
const STOP_PATIENCE: Duration = Duration::from_secs(1);
/// How often a thread that has nothing to do looks whether it should stop.
const LOOK: Duration = Duration::from_millis(100);
/// Frames that wait for a [`Finisher`], beside the one that each is at work on.
const WAITING_FRAMES: usize = 2;
/// Results that wait to be collected.
const WAITING_RESULTS: usize = 16;

/// What to render.
#[derive(Clone, Debug)]
pub struct Job {
    /// The first size of the window.
    pub size: FrameSize,
    /// Frame N is the picture at N / rate seconds.
    pub frame_rate_hz: u32,
    /// Which frames.
    pub frames: FrameList,
    /// What happens meanwhile.
    pub events: Vec<TimedEvent>,
    /// What the scene's random imports are seeded with.
    pub seed: u64,
    /// The time that one frame may take, on a real clock.
    pub time_limit: Duration,
}

/// Takes finished frames; one of several that share the work, or the only one, which then gets them in order.
pub trait Finisher: Send + 'static {
    /// What it makes of a frame.
    type Done: Send + 'static;

    /// Takes the next frame.
    fn take(&mut self, frame: &Frame) -> Result<Self::Done, OutputError>;

    /// There will be no more, because these were all or because the run failed.
    fn finish(self) -> Result<(), OutputError>;
}

/// What became of one frame.
#[derive(Debug)]
pub struct FinishedFrame<D> {
    /// Its number.
    pub number: u32,
    /// As [`Frame::repeated`].
    pub repeated: bool,
    /// As [`Frame::presented`].
    pub presented: u32,
    /// As [`Frame::times`].
    pub times: FrameTimes,
    /// What the [`Finisher`] took, in microseconds.
    pub finish_us: u64,
    /// What it made of the frame.
    pub done: D,
}

/// What became of a run.
#[derive(Debug)]
pub struct Outcome {
    /// Why it ended early, if it did.
    pub failure: Option<Failure>,
    /// What the scene wrote.
    pub log: Vec<SceneLine>,
    /// Lines that it wrote beyond what is kept.
    pub lost_lines: u64,
    /// From its beginning until the last frame was finished, in microseconds.
    pub elapsed_us: u64,
}

/// What the threads of a run share: where it is, and whether it is over.
pub(super) struct Shared {
    frame: AtomicU32,
    /// Rises whenever anything goes on.
    steps: AtomicU64,
    /// Finishers at work. How long a disk takes is no fault of a scene's.
    finishing: AtomicUsize,
    stopped: AtomicBool,
    failure: Mutex<Option<Failure>>,
}

impl Shared {
    fn new() -> Self {
        Self {
            frame: AtomicU32::new(0),
            steps: AtomicU64::new(0),
            finishing: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            failure: Mutex::new(None),
        }
    }

    pub(super) fn frame(&self) -> u32 {
        self.frame.load(Ordering::Relaxed)
    }

    pub(super) fn begin_tick(&self, frame: u32) {
        self.frame.store(frame, Ordering::Relaxed);
        self.step();
    }

    pub(super) fn step(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    /// Ends the run. The first failure is the one that counts: the others follow from it.
    pub(super) fn fail(&self, failure: Failure) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
        self.stopped.store(true, Ordering::Release);
    }

    fn take_failure(&self) -> Option<Failure> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }
}

/// Renders the frames of a job and gives each to a finisher; `collect` is given the results in order, on the caller's thread.
///
/// When the scene hangs its GPU, its thread stays behind, held by the driver, for as long as the process lives.
pub fn render<F: Finisher>(
    gpu: &Arc<Gpu>,
    scene: Scene,
    job: Job,
    finishers: Vec<F>,
    collect: impl FnMut(FinishedFrame<F::Done>),
) -> Outcome {
    let wall = FrameClock::real();
    let shared = Arc::new(Shared::new());
    let log = LogBook::default();
    let wanted = job.frames.clone();
    let started = start(gpu, scene, job, finishers, &shared, &log);
    let elapsed_us = match started {
        Ok(started) => started.supervise(&wall, &shared, &mut InOrder::new(&wanted, collect)),
        Err(error) => {
            shared.fail(Failure::Internal(format!("a thread could not be started: {error}")));
            wall.now_us()
        }
    };
    let (log, lost_lines) = log.take();
    Outcome { failure: shared.take_failure(), log, lost_lines, elapsed_us }
}

/// The threads of a run.
struct Started<D> {
    progress: Progress,
    outstanding: Outstanding,
    epoch: Box<dyn Fn()>,
    results: mpsc::Receiver<FinishedFrame<D>>,
    /// Closes when the scene's thread has dropped everything.
    scene: mpsc::Receiver<()>,
    time_limit: Duration,
}

fn start<F: Finisher>(
    gpu: &Arc<Gpu>,
    scene: Scene,
    job: Job,
    finishers: Vec<F>,
    shared: &Arc<Shared>,
    log: &LogBook,
) -> std::io::Result<Started<F::Done>> {
    let Job { size, frame_rate_hz, frames: wanted, events, seed, time_limit } = job;
    let clock = FrameClock::virtual_at_zero();
    let window = Window::new(size);
    let (sender, marker, receiver) = queue::queue::<TickOver>(clock.clone());
    let run = scene.prepare(SceneContext {
        gpu: Arc::clone(gpu),
        window: window.clone(),
        // The pixels are wanted as they are, on every adapter.
        presenter: Presenter::new(sender, true),
        clock: clock.clone(),
        seed,
        log: log_sink(log.clone(), Arc::clone(shared)),
        limits: SceneLimits::default(),
    });
    run.set_busy_limit(time_limit);
    let (progress, outstanding, epoch) = (run.progress(), run.outstanding(), run.epoch());
    let plan = Plan { clock, frame_rate_hz, window, last_frame: wanted.last(), events: Plan::events(events) };
    let scene = spawn_scene(run, plan, marker, Arc::clone(shared))?;

    let (frames, waiting) = mpsc::sync_channel(WAITING_FRAMES);
    let theirs = Arc::clone(shared);
    spawn("readback", move || reader::read(&receiver, &wanted, &frames, time_limit, &theirs))?;

    let waiting = Arc::new(Mutex::new(waiting));
    let (done, results) = mpsc::sync_channel(WAITING_RESULTS);
    for finisher in finishers {
        let (waiting, done, shared) = (Arc::clone(&waiting), done.clone(), Arc::clone(shared));
        spawn("finish", move || finish(finisher, &waiting, &done, &shared))?;
    }
    Ok(Started { progress, outstanding, epoch: Box::new(epoch), results, scene, time_limit })
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}

/// Like a worker's: a thread with a runtime of its own.
fn spawn_scene(
    run: Run,
    plan: Plan,
    marker: queue::Marker<TickOver>,
    shared: Arc<Shared>,
) -> std::io::Result<mpsc::Receiver<()>> {
    let (alive, ended) = mpsc::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    spawn("scene", move || {
        runtime.block_on(driver::drive(run, plan, marker, &shared));
        drop(alive);
    })?;
    Ok(ended)
}

/// A finisher's thread: takes frames until there are no more.
fn finish<F: Finisher>(
    mut finisher: F,
    waiting: &Mutex<mpsc::Receiver<Frame>>,
    done: &mpsc::SyncSender<FinishedFrame<F::Done>>,
    shared: &Shared,
) {
    let clock = FrameClock::real();
    let mut failed = false;
    while let Some(frame) = next_frame(waiting, shared) {
        // Frames that have nowhere to go are taken all the same, so that nobody waits.
        if failed {
            continue;
        }
        shared.finishing.fetch_add(1, Ordering::Relaxed);
        let started_us = clock.now_us();
        let taken = finisher.take(&frame);
        let finish_us = clock.now_us().saturating_sub(started_us);
        shared.finishing.fetch_sub(1, Ordering::Relaxed);
        shared.step();
        let Frame { number, repeated, presented, times, .. } = frame;
        match taken {
            Ok(made) => {
                let _ =
                    done.send(FinishedFrame { number, repeated, presented, times, finish_us, done: made });
            }
            Err(error) => {
                shared.fail(error.into());
                failed = true;
            }
        }
    }
    if let Err(error) = finisher.finish() {
        shared.fail(error.into());
    }
}

/// Waits for a frame. After a failure, whoever makes them may be held by a driver and never say that there are no more.
fn next_frame(waiting: &Mutex<mpsc::Receiver<Frame>>, shared: &Shared) -> Option<Frame> {
    let mut idle = Duration::ZERO;
    while idle < STOP_PATIENCE {
        match waiting.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(LOOK) {
            Ok(frame) => return Some(frame),
            Err(mpsc::RecvTimeoutError::Timeout) if shared.is_stopped() => idle += LOOK,
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => return None,
        }
    }
    None
}

impl<D> Started<D> {
    /// Collects results and lets time pass for the guest, until all finishers have ended, which is the time that it returns; then waits a
    /// little for the scene's thread.
    fn supervise(
        self,
        wall: &FrameClock,
        shared: &Shared,
        collected: &mut InOrder<D, impl FnMut(FinishedFrame<D>)>,
    ) -> u64 {
        let epoch_length = Duration::from_millis(Run::EPOCH_MS.into());
        let mut last_epoch_us = wall.now_us();
        let mut stall = Stall::new(wall.now_us());
        loop {
            match self.results.recv_timeout(epoch_length) {
                Ok(finished) => collected.push(finished),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
            let now_us = wall.now_us();
            if now_us.saturating_sub(last_epoch_us) >= micros(epoch_length) {
                last_epoch_us = now_us;
                // Only a guest that computes can miss its epoch.
                if self.progress.turn().is_some() {
                    (self.epoch)();
                }
                let waited = stall.look(now_us, shared, self.progress.turn());
                if waited >= self.time_limit + GRACE && !shared.is_stopped() {
                    let fault = stall.fault(waited, self.outstanding.count() > 0);
                    shared.fail(Failure::Scene { frame: shared.frame(), fault });
                }
            }
        }
        collected.flush();
        let elapsed_us = wall.now_us();
        // A guest that is at work is interrupted once more, and finds that it is over.
        (self.epoch)();
        let _ = self.scene.recv_timeout(STOP_PATIENCE);
        elapsed_us
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Since when nothing goes on.
struct Stall {
    steps: u64,
    since_us: u64,
    /// The scene's turn when it began, and whether it is still the same one.
    turn: Option<u64>,
    same_turn: bool,
}

impl Stall {
    fn new(now_us: u64) -> Self {
        Self { steps: 0, since_us: now_us, turn: None, same_turn: false }
    }

    /// How long nothing has gone on.
    fn look(&mut self, now_us: u64, shared: &Shared, turn: Option<u64>) -> Duration {
        let steps = shared.steps.load(Ordering::Relaxed);
        if steps != self.steps || shared.finishing.load(Ordering::Relaxed) > 0 {
            *self = Self { steps, since_us: now_us, turn, same_turn: true };
        }
        self.same_turn &= turn.is_some() && turn == self.turn;
        Duration::from_micros(now_us.saturating_sub(self.since_us))
    }

    /// A thread that is in one and the same turn is held by a driver: a guest that computes gets new turns by its epochs.
    fn fault(&self, waited: Duration, waits_for_gpu: bool) -> Fault {
        let waited_ms = u32::try_from(waited.as_millis()).unwrap_or(u32::MAX);
        if self.same_turn || waits_for_gpu {
            SceneFault::GpuTimeout { waited_ms }.into()
        } else {
            Fault::NeverRests { waited_ms }
        }
    }
}

/// Brings results into the order of their frames. Finishers are as many as processors, so few wait here.
struct InOrder<D, C> {
    expected: std::vec::IntoIter<u32>,
    next: Option<u32>,
    early: BTreeMap<u32, FinishedFrame<D>>,
    collect: C,
}

impl<D, C: FnMut(FinishedFrame<D>)> InOrder<D, C> {
    fn new(wanted: &FrameList, collect: C) -> Self {
        let mut expected = wanted.iter().collect::<Vec<_>>().into_iter();
        let next = expected.next();
        Self { expected, next, early: BTreeMap::new(), collect }
    }

    fn push(&mut self, finished: FinishedFrame<D>) {
        self.early.insert(finished.number, finished);
        while let Some(finished) = self.next.and_then(|next| self.early.remove(&next)) {
            self.next = self.expected.next();
            (self.collect)(finished);
        }
    }

    /// After a failure there are gaps.
    fn flush(&mut self) {
        for (_, finished) in std::mem::take(&mut self.early) {
            (self.collect)(finished);
        }
    }
}

fn log_sink(log: LogBook, shared: Arc<Shared>) -> LogSink {
    Arc::new(move |line: LogLine| log.write(SceneLine { frame: shared.frame(), line }))
}
