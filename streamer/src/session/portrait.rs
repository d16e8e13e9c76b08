//! A picture of a scene that nobody watches: a worker runs it for a moment and is asked for a screenshot.
//!
//! The worker is one like a session's, in the same cell and with the same limits, so that a hostile scene costs what it costs there;
//! and it is ended after [`TIMEOUT`] whatever it does.

use std::{sync::Arc, time::Duration};

use axum::http::StatusCode;
use bytes::Bytes;
use renderer_protocol::{FrameSize, SceneLimits, Start, ToWorker};
use tokio::time::{Instant, timeout, timeout_at};

use super::{
    SessionEnd,
    process::Program,
    worker::{RunError, Stalled, StartError, Worker, WorkerEvent},
};
use crate::{
    compiler::{CompileError, Compiler, Component, SceneReport},
    error::Problem,
};

/// Wide enough for a card of the gallery on a dense screen.
const SIZE_PX: (u32, u32) = (480, 272);
const FRAME_RATE_HZ: u32 = 30;
/// Of pictures that are thrown away; the least that is encoded.
const BITRATE_BPS: u32 = 100_000;
/// A scene may begin with an empty picture; by then it shows what it is.
const RUNS_FOR: Duration = Duration::from_secs(1);
/// From a worker that is ready to its picture. On a software rasteriser the first picture of a heavy scene takes a second.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum PortraitError {
    /// The scene cannot be run, or we could not find out.
    #[error("it was not compiled: {}", _0.detail)]
    Compile(Problem),
    /// No worker came to life.
    #[error("{0}")]
    Start(String),
    /// The scene's, or its worker's.
    #[error("its worker ended: {0}")]
    Ended(String),
    /// It drew nothing in time.
    #[error("it had drawn nothing after {} s", TIMEOUT.as_secs())]
    NoPicture,
}

impl PortraitError {
    /// Whether it is the scene's, so that another try would end alike.
    pub fn is_scenes(&self) -> bool {
        match self {
            Self::Compile(problem) => problem.code.status() == StatusCode::UNPROCESSABLE_ENTITY,
            Self::Start(_) => false,
            Self::Ended(_) | Self::NoPicture => true,
        }
    }
}

impl From<StartError> for PortraitError {
    fn from(error: StartError) -> Self {
        Self::Start(error.to_string())
    }
}

impl From<CompileError> for PortraitError {
    fn from(error: CompileError) -> Self {
        Self::Compile(error.into())
    }
}

impl From<RunError> for PortraitError {
    fn from(error: RunError) -> Self {
        Self::Start(error.to_string())
    }
}

impl From<Stalled> for PortraitError {
    fn from(Stalled: Stalled) -> Self {
        Self::Ended(SessionEnd::WorkerUnresponsive.message())
    }
}

/// Makes pictures of scenes.
#[derive(Clone)]
pub struct Painter {
    program: Program,
    compiler: Arc<Compiler>,
    limits: SceneLimits,
}

impl Painter {
    /// One that runs scenes within these limits.
    pub fn new(program: &Program, compiler: Arc<Compiler>, limits: SceneLimits) -> Self {
        Self { program: program.in_background(), compiler, limits }
    }

    /// What a scene is.
    pub async fn inspect(&self, component: &Component) -> Result<SceneReport, PortraitError> {
        Ok(self.compiler.inspect(component).await?)
    }

    /// A picture of a scene as a PNG file, as far as its header says. Dropping the future ends the worker.
    pub async fn paint(&self, component: &Component) -> Result<Bytes, PortraitError> {
        let artifact = self.compiler.compile(component).await?;
        let (mut worker, _) = Worker::start(&self.program).await?;
        let size = FrameSize::new(SIZE_PX.0, SIZE_PX.1).map_err(|_| PortraitError::NoPicture)?;
        let start = Start {
            size,
            frame_rate_hz: FRAME_RATE_HZ,
            bitrate_bps: BITRATE_BPS,
            // The same picture of the same scene each time, as far as that is up to us.
            seed: 0,
            limits: self.limits,
        };
        worker.run(start, &artifact.file)?;
        worker.send(ToWorker::SetWatched(true))?;
        let painted = timeout(TIMEOUT, sit(&mut worker)).await.unwrap_or(Err(PortraitError::NoPicture));
        worker.kill().await;
        painted
    }
}

/// Waits for the first picture, then for a while, and takes what is shown then.
async fn sit(worker: &mut Worker) -> Result<Bytes, PortraitError> {
    let mut until: Option<Instant> = None;
    loop {
        let event = match until {
            None => worker.recv().await,
            Some(until) => match timeout_at(until, worker.recv()).await {
                Ok(event) => event,
                Err(_) => break,
            },
        };
        match event {
            WorkerEvent::AccessUnit(_) => {
                until.get_or_insert_with(|| Instant::now() + RUNS_FOR);
            }
            WorkerEvent::Gone(end) => return Err(PortraitError::Ended(end.message())),
            _ => {}
        }
    }
    worker.send(ToWorker::TakeScreenshot)?;
    loop {
        match worker.recv().await {
            WorkerEvent::Screenshot(png) if png.is_empty() => return Err(PortraitError::NoPicture),
            WorkerEvent::Screenshot(png) => return Ok(Bytes::from(png)),
            WorkerEvent::Gone(end) => return Err(PortraitError::Ended(end.message())),
            _ => {}
        }
    }
}
