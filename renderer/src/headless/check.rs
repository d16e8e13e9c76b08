//! The check of a scene against goldens, for the tests of a scene's author.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use renderer_protocol::{AdapterInfo, FrameSize, FrameSizeError};

use super::{
    DEFAULT_TIME_LIMIT, Event, Failure, FrameList, FrameListError, Goldens, Job, OutputError, Stills,
    TimedEvent, Tolerance, Verdict, compiled, render,
};
use crate::{
    gpu::{Backend, Gpu, GpuError},
    scene::CompileError,
};

/// Set to 1 to have goldens written instead of compared.
const UPDATE_VARIABLE: &str = "UPDATE_GOLDEN";

/// Begins a check of the component in this file: 1280 × 720 pixels at 30 frames a second, frame 0, unless told otherwise.
///
/// ```no_run
/// use renderer::headless::{check_scene, drag};
///
/// # fn the_knot_turns_when_it_is_dragged() -> Result<(), renderer::headless::CheckError> {
/// check_scene("target/scenes/orbit.wasm")
///     .size(640, 360)
///     .input(drag((0.2, 0.5), (0.8, 0.5), 1..20))
///     .frames([0, 30])
///     .failures_in("target/golden/orbit")
///     .against("tests/golden/orbit")
/// # }
/// ```
///
/// A golden that is missing fails the check. With `UPDATE_GOLDEN=1` in the environment goldens are written: look at them before you
/// keep them.
pub fn check_scene(scene: impl AsRef<Path>) -> SceneCheck {
    SceneCheck {
        scene: scene.as_ref().to_owned(),
        size: (1280, 720),
        frame_rate_hz: 30,
        frames: vec![0],
        events: Vec::new(),
        seed: 0,
        tolerance: Tolerance::default(),
        time_limit: DEFAULT_TIME_LIMIT,
        failures: None,
        cache: None,
    }
}

/// A check that is being described; [`SceneCheck::against`] runs it.
#[derive(Clone, Debug)]
#[must_use = "a check does nothing until it is run `against` a folder"]
pub struct SceneCheck {
    scene: PathBuf,
    size: (u32, u32),
    frame_rate_hz: u32,
    frames: Vec<u32>,
    events: Vec<TimedEvent>,
    seed: u64,
    tolerance: Tolerance,
    time_limit: Duration,
    failures: Option<PathBuf>,
    cache: Option<PathBuf>,
}

impl SceneCheck {
    /// The picture's size in pixels; both sides even.
    pub fn size(self, width: u32, height: u32) -> Self {
        Self { size: (width, height), ..self }
    }

    /// Frames a second of virtual time, 1 or more.
    pub fn frame_rate_hz(self, frame_rate_hz: u32) -> Self {
        Self { frame_rate_hz, ..self }
    }

    /// Which frames are compared, in rising order.
    pub fn frames(self, frames: impl IntoIterator<Item = u32>) -> Self {
        Self { frames: frames.into_iter().collect(), ..self }
    }

    /// What a viewer does meanwhile, beside what was said before; see [`drag`](super::drag) and [`hold_key`](super::hold_key).
    pub fn input(mut self, events: impl IntoIterator<Item = TimedEvent>) -> Self {
        self.events.extend(events);
        self
    }

    /// The window has another size from this frame on.
    pub fn resize(mut self, frame: u32, size: FrameSize) -> Self {
        self.events.push(TimedEvent { frame, event: Event::Resize(size) });
        self
    }

    /// What the scene's random imports are seeded with; 0 otherwise.
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// When a picture matches its golden.
    pub fn tolerance(self, tolerance: Tolerance) -> Self {
        Self { tolerance, ..self }
    }

    /// The time that a frame may take, on a real clock; ten seconds otherwise.
    pub fn time_limit(self, time_limit: Duration) -> Self {
        Self { time_limit, ..self }
    }

    /// A folder for the pictures, and for frames that do not match also for what was expected and for the difference.
    pub fn failures_in(self, folder: impl AsRef<Path>) -> Self {
        Self { failures: Some(folder.as_ref().to_owned()), ..self }
    }

    /// A folder to keep the compiled scene in, so that the next check of the same file begins at once. Whoever can write to it can
    /// have this process run any code.
    pub fn cache(self, folder: impl AsRef<Path>) -> Self {
        Self { cache: Some(folder.as_ref().to_owned()), ..self }
    }

    /// Renders the frames and compares each with the file `N.png` of the folder.
    pub fn against(self, goldens: impl AsRef<Path>) -> Result<(), CheckError> {
        let job = Job {
            size: FrameSize::new(self.size.0, self.size.1)?,
            frame_rate_hz: self.frame_rate_hz,
            frames: FrameList::new(self.frames)?,
            events: self.events,
            seed: self.seed,
            time_limit: self.time_limit,
        };
        let temporary =
            tempfile::tempdir().map_err(|error| OutputError { path: std::env::temp_dir(), error })?;
        let cache = self.cache.unwrap_or_else(|| temporary.path().to_owned());
        let scene = compiled::load(&self.scene, &cache)?;
        let gpu = Gpu::open(Backend::Vulkan)?;
        let adapter = adapter_text(&gpu.info());
        let folder = goldens.as_ref().to_owned();
        let goldens = if std::env::var_os(UPDATE_VARIABLE).is_some_and(|value| value == "1") {
            Goldens::update(folder, self.tolerance, adapter.clone())?
        } else {
            Goldens::compare(folder, self.tolerance)
        };
        let stills = Stills::new(self.failures.clone(), Some(goldens.clone()))?;
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let mut wrong = Vec::new();
        let outcome = render(&gpu, scene, job, vec![stills; threads], |frame| {
            wrong.extend(
                frame
                    .done
                    .verdict
                    .filter(|verdict| !verdict.is_match())
                    .map(|verdict| (frame.number, verdict)),
            );
        });
        if let Some(failure) = outcome.failure {
            return Err(failure.into());
        }
        if wrong.is_empty() {
            return Ok(());
        }
        let made_by =
            goldens.adapter().filter(|made_by| *made_by != adapter).map(|made_by| (made_by, adapter));
        Err(Mismatch { frames: wrong, pictures: self.failures, adapters: made_by }.into())
    }
}

/// How an adapter and its driver are recorded.
pub fn adapter_text(AdapterInfo { name, driver, .. }: &AdapterInfo) -> String {
    format!("{name}, {driver}")
}

/// Why a check did not pass.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// A size that cannot be.
    #[error(transparent)]
    Size(#[from] FrameSizeError),
    /// Frames that cannot be.
    #[error(transparent)]
    Frames(#[from] FrameListError),
    /// The file cannot be read.
    #[error("the scene {} cannot be read: {error}", path.display())]
    Unreadable {
        /// The scene.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file is no scene that can be run.
    #[error(transparent)]
    Scene(#[from] CompileError),
    /// There is nothing to draw with.
    #[error(transparent)]
    Gpu(#[from] GpuError),
    /// A folder cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The scene failed, or something else did, before the last frame.
    #[error(transparent)]
    Run(#[from] Failure),
    /// Frames do not match.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
}

/// Frames that do not match their goldens.
#[derive(Debug)]
pub struct Mismatch {
    /// Which, and how.
    pub frames: Vec<(u32, Verdict)>,
    /// Where their pictures are.
    pub pictures: Option<PathBuf>,
    /// The adapter that drew the goldens and the one that drew these frames, if they are not the same.
    pub adapters: Option<(String, String)>,
}

impl std::error::Error for Mismatch {}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "frames that do not match their goldens:")?;
        for (frame, verdict) in &self.frames {
            write!(f, "\n  frame {frame}: {verdict}")?;
        }
        if let Some(folder) = &self.pictures {
            write!(f, "\n  the pictures are in {}", folder.display())?;
        }
        if let Some((made_by, adapter)) = &self.adapters {
            write!(f, "\n  the goldens were drawn by {made_by}, and these frames by {adapter}")?;
        }
        Ok(())
    }
}
