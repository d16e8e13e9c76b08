//! `scenecast bench`: `pipeline` measures a real worker process from outside, against the bare floor of the same stages;
//! `hostcalls` measures calls of host functions in this process.

use std::{
    fs::File,
    io::Write as _,
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream as StdUnixStream, process::CommandExt as _},
    },
    path::Path,
    process::Stdio,
    time::Duration,
};

use crate::compile::compile;
use anyhow::{Context as _, bail};
use renderer::{
    bench::{
        FloorConfig, HostcallsConfig, OrbitNative, PipelineReport, Recorder, Run, Spent, Stage, run_floor,
        run_hostcalls,
    },
    encode::EncoderConfig,
    gpu::{Backend, Gpu},
};
use renderer_protocol::{
    AccessUnit, AdapterInfo, FrameSize, FromWorker, InputEvent, KeyEvent, Modifiers, SceneLimits, Start,
    ToWorker, ViewerId, codec,
    handover::{self, FileGiver},
};
use tokio::{
    net::UnixStream,
    process::{Child, Command},
    time::timeout,
};

/// What both encoders aim at: a session's default at 720p.
const BITRATE_BPS: u32 = 4_000_000;
/// Frames before the measured ones: pipelines are compiled, caches filled, an IDR encoded.
const WARM_UP_FRAMES: u32 = 30;
/// The worker sends something at least once a second.
const SILENCE_LIMIT: Duration = Duration::from_secs(20);

/// Mesa's loader complains on standard error when this names no folder. It has to be set before the process starts.
const RUNTIME_DIR: &str = "XDG_RUNTIME_DIR";

/// Starts the same command again with the environment that the drivers want, unless it is there.
pub(crate) fn with_driver_environment() -> std::io::Result<()> {
    if std::env::var_os(RUNTIME_DIR).is_some() {
        return Ok(());
    }
    let mut again = std::process::Command::new(std::env::current_exe()?);
    // `exec` returns only when it fails.
    Err(again.args(std::env::args_os().skip(1)).env(RUNTIME_DIR, std::env::temp_dir()).exec())
}

/// How many pictures are measured, and how fast both sides are given their ticks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) frames: u32,
    pub(crate) frame_rate_hz: u32,
}

/// Measures a scene and prints the figures.
pub(crate) fn pipeline(scene: &Path, size: FrameSize, pace: Pace, json: bool) -> anyhow::Result<()> {
    with_driver_environment()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let cache = tempfile::tempdir().context("no folder for the compiled scene")?;
    let artifact = compile(scene, cache.path())
        .map_err(|error| anyhow::anyhow!("{} cannot be measured: {error}", scene.display()))?;
    let name = scene.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let (adapter, pipeline) = runtime.block_on(measure_worker(artifact.file, size, pace))?;
    let floor = match name.as_str() {
        "orbit" => runtime.block_on(measure_orbit_floor(size, pace))?,
        // Only a scene with a native twin has a floor.
        _ => Recorder::default().finish(0, 0),
    };
    let adapter = format!("{} ({})", adapter.name, adapter.driver);
    let report =
        PipelineReport { scene: name, adapter, size, pace_hz: Some(pace.frame_rate_hz), pipeline, floor };
    let text = if json { report.to_json()? + "\n" } else { report.to_string() };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

/// Measures the calls of a component that is made for it, and prints the figures.
pub(crate) fn hostcalls(guest: &Path, rounds: u32, only: String, json: bool) -> anyhow::Result<()> {
    with_driver_environment()?;
    let component = std::fs::read(guest).with_context(|| {
        format!("the component {} cannot be read; `make scenes` builds it", guest.display())
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(run_hostcalls(&component, &HostcallsConfig { rounds, only }))?;
    let text = if json { report.to_json()? + "\n" } else { report.to_string() };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

async fn measure_orbit_floor(size: FrameSize, Pace { frames, frame_rate_hz }: Pace) -> anyhow::Result<Run> {
    let gpu = Gpu::open(Backend::Vulkan)?;
    let (device, queue) = gpu.adapter().request_device(&wgpu::DeviceDescriptor::default()).await?;
    let mut twin =
        OrbitNative::new(&device, &queue, renderer::bench::TARGET_FORMAT, [size.width(), size.height()]);
    let encoder = EncoderConfig { size, frame_rate_hz, bitrate_bps: BITRATE_BPS, threads: 1 };
    let config = FloorConfig { size, frames, pace_hz: Some(frame_rate_hz), encoder };
    Ok(run_floor((&device, &queue), &mut twin, &config)?)
}

async fn measure_worker(
    artifact: File,
    size: FrameSize,
    Pace { frames, frame_rate_hz }: Pace,
) -> anyhow::Result<(AdapterInfo, Run)> {
    let mut worker = Worker::start().await?;
    let FromWorker::Ready { adapter, .. } = worker.next().await? else {
        bail!("the worker's first message is not `Ready`")
    };
    let start =
        Start { size, frame_rate_hz, bitrate_bps: BITRATE_BPS, seed: 0, limits: SceneLimits::default() };
    worker.give(&artifact)?;
    worker.send(&ToWorker::Start(start)).await?;
    worker.send(&ToWorker::SetWatched(true)).await?;
    // A scene hears what happens after it has asked for its input, which it has before its first picture.
    worker.next_unit().await?;
    // The key that the native twin is drawn with, too: every frame differs from the one before.
    let events = vec![InputEvent::KeyDown(KeyEvent {
        viewer: ViewerId(1),
        code: "ArrowRight".to_owned(),
        text: None,
        repeat: false,
        modifiers: Modifiers::default(),
    })];
    worker.send(&ToWorker::Input { sequence: 1, events }).await?;

    let mut recorder = Recorder::default();
    let mut bytes = 0;
    let mut cpu_before_us = 0;
    worker.first_movement().await?;
    for frame in 0..WARM_UP_FRAMES.saturating_add(frames) {
        let unit = worker.next_unit().await?;
        let cpu_us = worker.cpu_us()?;
        if frame >= WARM_UP_FRAMES {
            record(&mut recorder, &unit, cpu_us.saturating_sub(cpu_before_us));
            bytes += unit.data.len();
        }
        cpu_before_us = cpu_us;
    }
    worker.send(&ToWorker::Stop).await?;
    let run = recorder.finish(frames as usize, bytes);
    Ok((adapter, run))
}

/// `frame_cpu_us` is what all threads of the worker took since the unit before. What is not the pipeline thread's is the scene's:
/// the guest, the host functions, and a software driver's own threads.
fn record(recorder: &mut Recorder, unit: &AccessUnit, frame_cpu_us: u64) {
    let (wall, cpu) = (unit.times, unit.cpu_times);
    let stages = [
        (Stage::Readback, wall.readback_us, cpu.readback_us),
        (Stage::Convert, wall.convert_us, cpu.convert_us),
        (Stage::Encode, wall.encode_us, cpu.encode_us),
        (Stage::Send, wall.send_us, cpu.send_us),
    ];
    let mut rest = Spent { wall_us: wall.scene_us.into(), cpu_us: frame_cpu_us };
    let mut wall_us = rest.wall_us;
    for (stage, stage_wall_us, stage_cpu_us) in stages {
        recorder.stage(stage, Spent { wall_us: stage_wall_us.into(), cpu_us: stage_cpu_us.into() });
        rest.cpu_us = rest.cpu_us.saturating_sub(stage_cpu_us.into());
        wall_us += u64::from(stage_wall_us);
    }
    recorder.stage(Stage::Scene, rest);
    recorder.frame(Spent { wall_us, cpu_us: frame_cpu_us });
}

struct Worker {
    process: Child,
    socket: UnixStream,
    artifact: Option<FileGiver>,
}

impl Worker {
    async fn start() -> anyhow::Result<Self> {
        let (ours, theirs) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let (giver, taker) = handover::pair()?;
        let process = Command::new(std::env::current_exe()?)
            .arg("worker")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(OwnedFd::from(taker)))
            .kill_on_drop(true)
            .spawn()
            .context("the worker process cannot be started")?;
        let mut socket = UnixStream::from_std(ours)?;
        codec::greet(&mut socket).await?;
        Ok(Self { process, socket, artifact: Some(giver) })
    }

    /// Hands the compiled scene over.
    fn give(&mut self, artifact: &File) -> anyhow::Result<()> {
        let giver = self.artifact.take().context("the worker has a scene already")?;
        Ok(giver.give(artifact)?)
    }

    async fn send(&mut self, message: &ToWorker) -> anyhow::Result<()> {
        Ok(codec::write(&mut self.socket, message).await?)
    }

    async fn next(&mut self) -> anyhow::Result<FromWorker> {
        let message = timeout(SILENCE_LIMIT, codec::read(&mut self.socket)).await;
        match message.context("the worker is silent")?? {
            FromWorker::Ended(reason) => bail!("the session ended: {reason}"),
            message => Ok(message),
        }
    }

    /// The next access unit.
    async fn next_unit(&mut self) -> anyhow::Result<AccessUnit> {
        loop {
            if let FromWorker::AccessUnit(unit) = self.next().await? {
                return Ok(unit);
            }
        }
    }

    /// The first picture that shows what the input did.
    async fn first_movement(&mut self) -> anyhow::Result<()> {
        for _ in 0..WARM_UP_FRAMES {
            if self.next_unit().await?.input_sequence > 0 {
                return Ok(());
            }
        }
        bail!("the scene shows no picture after a key was pressed")
    }

    /// Processor time of all its threads, from the scheduler's own count in nanoseconds.
    fn cpu_us(&self) -> anyhow::Result<u64> {
        let pid = self.process.id().context("the worker is gone")?;
        let mut total_ns = 0;
        for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
            // A thread may end between the listing and the look.
            let Ok(text) = std::fs::read_to_string(task?.path().join("schedstat")) else { continue };
            total_ns += text.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(total_ns / 1_000)
    }
}
