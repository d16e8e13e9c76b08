//! `scenecast render` and `scenecast check`: what the command line asks of [`renderer::headless`], and what people are told.

mod args;
mod check;
mod console;
mod output;
mod script;
mod summary;

use std::{io::Write as _, path::Path, time::Duration};

use renderer::{
    gpu::{Backend, Gpu},
    headless::{Failure, FinishedFrame, Goldens, Job, Outcome, Report, ReportHead, Still, adapter_text},
    scene::Scene,
};

use crate::compile::compile;
pub(crate) use args::RenderArgs;
use console::Console;
use output::Output;
use summary::{FrameSummary, Summary};

/// All frames were rendered; the scene can be run.
const SUCCESS: u8 = 0;
/// Frames differ from what was expected.
const MISMATCH: u8 = 1;
/// The scene's fault.
const SCENE_FAILED: u8 = 2;
/// The command line's or the machine's.
pub(crate) const ENVIRONMENT: u8 = 3;

/// `scenecast check`.
pub(crate) fn check(scene: &Path, json: bool) -> ! {
    renderer::end_process(check::run(scene, json))
}

/// `scenecast render`.
pub(crate) fn render(args: &RenderArgs) -> ! {
    crate::logging::for_child();
    let status = run(args).unwrap_or_else(|stop| {
        say(&stop.message);
        stop.status
    });
    // A scene may have left threads behind that no longer answer.
    renderer::end_process(status)
}

/// Why there was nothing to render.
struct Stop {
    status: u8,
    message: String,
}

impl Stop {
    /// Something that the person at the command line can mend.
    fn environment(error: impl std::fmt::Display) -> Self {
        Self { status: ENVIRONMENT, message: error.to_string() }
    }
}

fn run(args: &RenderArgs) -> Result<u8, Stop> {
    crate::bench::with_driver_environment().map_err(Stop::environment)?;
    let events = match &args.input {
        Some(path) => script::read(path).map_err(Stop::environment)?,
        None => Vec::new(),
    };
    if let Some(last) = events.last().filter(|event| event.frame > args.frames.last()) {
        say(&format!(
            "the input of frame {} and later has no effect: the last frame is {}",
            last.frame,
            args.frames.last()
        ));
    }
    let scene = load(args)?;
    let gpu = Gpu::open(Backend::Vulkan).map_err(Stop::environment)?;
    let adapter = adapter_text(&gpu.info());
    let goldens = match &args.compare {
        Some(folder) if args.update => Some(
            Goldens::update(folder.clone(), args.tolerance(), adapter.clone()).map_err(Stop::environment)?,
        ),
        Some(folder) => Some(Goldens::compare(folder.clone(), args.tolerance())),
        None => None,
    };
    let outputs = Output::several(args, &events, goldens.clone())?;
    let job = Job {
        size: args.size,
        frame_rate_hz: args.fps,
        frames: args.frames.clone(),
        events,
        seed: args.seed,
        time_limit: Duration::from_secs(args.time_limit),
    };
    let mut report = args.report.as_deref().map(Report::create).transpose().map_err(Stop::environment)?;
    let mut report_failure = None;
    let mut console = Console::new(args.json, args.frames.len());
    let mut summary = Summary::new(args, gpu.info());
    summary.output_threads = outputs.len();
    let collect = |frame: FinishedFrame<Still>| {
        if let Some(verdict) = frame.done.verdict.as_ref().filter(|_| !args.json) {
            console.print(&format!("frame {}: {verdict}", frame.number));
        }
        console.step();
        if let Some(report) = report.as_mut().filter(|_| report_failure.is_none()) {
            report_failure = report.frame(&frame).err();
        }
        summary.push(FrameSummary::new(&frame));
    };
    let outcome = renderer::headless::render(&gpu, scene, job, outputs, collect);
    console.clear();
    summary.finish(&outcome);
    let made_by = goldens.and_then(|goldens| goldens.adapter());
    if summary.mismatches() > 0 {
        summary.made_by = made_by.clone().filter(|made_by| *made_by != adapter);
    }
    tell(args, &summary, &outcome);
    if let Some(report) = report {
        let scene = args.scene.display().to_string();
        let (size, frame_rate_hz, seed) = (args.size, args.fps, args.seed);
        let head = ReportHead { scene, size, frame_rate_hz, seed, adapter, made_by };
        let written = report_failure.map_or_else(|| report.finish(&head, &outcome), Err);
        written.map_err(Stop::environment)?;
    }
    Ok(match &outcome.failure {
        None if summary.mismatches() > 0 => MISMATCH,
        None => SUCCESS,
        Some(Failure::Scene { .. }) => SCENE_FAILED,
        Some(Failure::Output(_) | Failure::Internal(_)) => ENVIRONMENT,
    })
}

/// Compiles the scene, or finds it compiled.
fn load(args: &RenderArgs) -> Result<Scene, Stop> {
    let cache = match &args.cache_dir {
        Some(folder) => folder.clone(),
        None => streamer::config::default_cache_dir().map_err(Stop::environment)?,
    };
    let scene = args.scene.display();
    let artifact = compile(&args.scene, &cache).map_err(|error| {
        if error.is_the_scenes() {
            let message = format!("{scene} is no scene that can be run here: {error}");
            return Stop { status: SCENE_FAILED, message };
        }
        Stop::environment(format!("{scene} cannot be compiled: {error}"))
    })?;
    Scene::load(&artifact.file).map_err(|error| Stop::environment(format!("{error:#}")))
}

fn tell(args: &RenderArgs, summary: &Summary, outcome: &Outcome) {
    let scene = args.scene.display();
    if args.json {
        print(&summary.to_json());
        return;
    }
    for line in &outcome.log {
        say(&format!("frame {}, {}: {}", line.frame, line.label(), line.line.line));
    }
    if outcome.lost_lines > 0 {
        say(&format!("{} more lines of the scene's output are not shown", outcome.lost_lines));
    }
    match &outcome.failure {
        Some(failure @ Failure::Scene { .. }) => say(&format!("{scene}: {failure}")),
        Some(failure) => say(failure),
        None => {}
    }
    print(&summary.to_string());
}

/// To standard output. Whoever closed it does not want it.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// A line on standard error.
fn say(sentence: &impl std::fmt::Display) {
    crate::say(&sentence.to_string());
}
