//! What a run came to, for people and for programs.

use std::{fmt, path::PathBuf, time::Instant};

use renderer::headless::{FinishedFrame, Outcome, Still, Verdict};
use renderer_protocol::AdapterInfo;
use serde::Serialize;

use super::RenderArgs;

/// A run of fewer frames is over before its stages work side by side, and says nothing of how well they do.
const OVERLAPPED_FRAMES: usize = 30;

#[derive(Debug, Serialize)]
pub(super) struct Summary {
    scene: String,
    adapter: Adapter,
    size: String,
    fps: u32,
    seed: u64,
    elapsed_us: u64,
    /// Threads that the output is shared by.
    pub(super) output_threads: usize,
    failure: Option<FailureSummary>,
    frames: Vec<FrameSummary>,
    log: Vec<Line>,
    lost_lines: u64,
    /// The adapter that drew the goldens, if frames differ and it is another one.
    pub(super) made_by: Option<String>,
    #[serde(skip)]
    begun: Instant,
    /// When the first frame was finished. Until then nothing overlaps, and after it everything does.
    #[serde(skip)]
    first_after_us: u64,
    #[serde(skip)]
    asked: usize,
    #[serde(skip)]
    out: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Adapter {
    name: String,
    driver: String,
    is_cpu: bool,
}

#[derive(Debug, Serialize)]
struct FailureSummary {
    code: &'static str,
    message: String,
}

#[derive(Debug, Serialize)]
struct Line {
    frame: u32,
    source: &'static str,
    text: String,
}

/// What a frame's comparison with its golden came to.
#[derive(Debug, Serialize)]
struct Comparison {
    matches: bool,
    message: String,
    differing_pixels: Option<u64>,
    largest_error: Option<u8>,
    mean_error: Option<f64>,
    flip_error: Option<f32>,
}

impl Comparison {
    fn new(verdict: &Verdict) -> Self {
        let difference = verdict.difference();
        Self {
            matches: verdict.is_match(),
            message: verdict.to_string(),
            differing_pixels: difference.map(|difference| difference.pixels),
            largest_error: difference.map(|difference| difference.largest),
            mean_error: difference.map(|difference| difference.mean),
            flip_error: difference.map(|difference| difference.flip),
        }
    }
}

/// One frame, with what it took in microseconds.
#[derive(Debug, Serialize)]
pub(super) struct FrameSummary {
    frame: u32,
    repeated: bool,
    presented: u32,
    file: Option<PathBuf>,
    comparison: Option<Comparison>,
    scene_us: u64,
    readback_us: u64,
    output_us: u64,
}

impl FrameSummary {
    pub(super) fn new(frame: &FinishedFrame<Still>) -> Self {
        Self {
            frame: frame.number,
            repeated: frame.repeated,
            presented: frame.presented,
            file: frame.done.file.clone(),
            comparison: frame.done.verdict.as_ref().map(Comparison::new),
            scene_us: frame.times.scene_us,
            readback_us: frame.times.readback_us,
            output_us: frame.finish_us,
        }
    }
}

impl Summary {
    pub(super) fn new(args: &RenderArgs, AdapterInfo { name, driver, is_cpu }: AdapterInfo) -> Self {
        Self {
            scene: args.scene.display().to_string(),
            adapter: Adapter { name, driver, is_cpu },
            size: args.size.to_string(),
            fps: args.fps,
            seed: args.seed,
            elapsed_us: 0,
            output_threads: 1,
            failure: None,
            frames: Vec::new(),
            log: Vec::new(),
            lost_lines: 0,
            made_by: None,
            begun: Instant::now(),
            first_after_us: 0,
            asked: args.frames.len(),
            out: args.video().map(|(path, _)| path).or_else(|| args.pictures()),
        }
    }

    /// The next frame.
    pub(super) fn push(&mut self, frame: FrameSummary) {
        if self.frames.is_empty() {
            self.first_after_us = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        }
        self.frames.push(frame);
    }

    pub(super) fn finish(&mut self, outcome: &Outcome) {
        self.elapsed_us = outcome.elapsed_us;
        self.failure = outcome
            .failure
            .as_ref()
            .map(|failure| FailureSummary { code: failure.code(), message: failure.to_string() });
        let line = |line: &renderer::headless::SceneLine| Line {
            frame: line.frame,
            source: line.label(),
            text: line.line.line.clone(),
        };
        self.log = outcome.log.iter().map(line).collect();
        self.lost_lines = outcome.lost_lines;
    }

    /// Frames that do not match their goldens.
    pub(super) fn mismatches(&self) -> usize {
        let is_wrong =
            |frame: &&FrameSummary| frame.comparison.as_ref().is_some_and(|comparison| !comparison.matches);
        self.frames.iter().filter(is_wrong).count()
    }

    pub(super) fn to_json(&self) -> String {
        // Strings and numbers serialise always.
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }
}

impl Summary {
    /// What each stage took by itself after the first frame, and how well they overlapped.
    #[allow(
        clippy::cast_precision_loss,
        reason = "a run is over before its microseconds exceed what a float counts exactly"
    )]
    fn write_stages(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((_, frames)) = self.frames.split_first().filter(|(_, frames)| !frames.is_empty()) else {
            return Ok(());
        };
        let total = |stage: fn(&FrameSummary) -> u64| frames.iter().map(stage).sum::<u64>() as f64;
        let threads = self.output_threads.max(1);
        let stages = [
            ("scene", total(|frame| frame.scene_us)),
            ("readback", total(|frame| frame.readback_us)),
            ("output", total(|frame| frame.output_us) / threads as f64),
        ];
        let slowest = stages.iter().map(|(_, us)| *us).fold(0.0, f64::max);
        let per_frame = |(name, us): &(&str, f64)| format!("{name} {:.2} ms", us / 1e3 / frames.len() as f64);
        let stages: Vec<String> = stages.iter().map(per_frame).collect();
        let on = if threads > 1 { format!(" (on {threads} threads)") } else { String::new() };
        write!(f, "a frame: {}{on}", stages.join(", "))?;
        if frames.len() >= OVERLAPPED_FRAMES {
            let took = self.elapsed_us.saturating_sub(self.first_after_us).max(1) as f64;
            write!(f, "; {:.0} % of the slowest stage's own rate", (100.0 * slowest / took).min(100.0))?;
        }
        writeln!(f)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A run is over before its microseconds or its frames exceed what a float counts exactly.
        #[allow(clippy::cast_precision_loss)]
        let (seconds, count) = (self.elapsed_us as f64 / 1e6, self.frames.len() as f64);
        let frames = if self.frames.len() == 1 { "frame" } else { "frames" };
        write!(f, "{} ", self.frames.len())?;
        if self.frames.len() < self.asked {
            write!(f, "of {} ", self.asked)?;
        }
        write!(f, "{frames} of {} at {}", self.scene, self.size)?;
        if let Some(out) = &self.out {
            write!(f, " in {}", out.display())?;
        }
        writeln!(f, ": {seconds:.2} s, {:.1} frames a second", count / seconds.max(1e-6))?;
        self.write_stages(f)?;
        let repeated = self.frames.iter().filter(|frame| frame.repeated).count();
        if repeated > 0 {
            writeln!(
                f,
                "{repeated} of them repeat the one before: the scene presented nothing new for them"
            )?;
        }
        let twice = self.frames.iter().filter(|frame| frame.presented > 1).count();
        if twice > 0 {
            writeln!(f, "for {twice} of them the scene presented more than once; the last picture counts")?;
        }
        let compared = self.frames.iter().filter(|frame| frame.comparison.is_some()).count();
        if compared > 0 {
            writeln!(f, "{} of {compared} match their goldens", compared - self.mismatches())?;
        }
        if let Some(made_by) = &self.made_by {
            writeln!(
                f,
                "the goldens were drawn by {made_by}, and these frames by {}, {}",
                self.adapter.name, self.adapter.driver
            )?;
        }
        Ok(())
    }
}
