//! What a benchmark run says: stages, medians, percentiles, as a table for people and as JSON for programs.

use std::fmt::{self, Display, Formatter};

use renderer_protocol::FrameSize;
use serde::Serialize;

/// A stage of a frame's life, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// From the tick to `present`: the scene's own work, and recording it.
    Scene,
    /// From `present` until the pixels are in memory. It contains the drawing itself, which no one waits for earlier.
    Readback,
    /// RGBA to I420.
    Convert,
    /// I420 to an access unit.
    Encode,
    /// From the access unit to the socket.
    Send,
}

impl Stage {
    /// All stages, in order.
    pub const ALL: [Self; 5] = [Self::Scene, Self::Readback, Self::Convert, Self::Encode, Self::Send];

    fn name(self) -> &'static str {
        match self {
            Self::Scene => "scene",
            Self::Readback => "readback",
            Self::Convert => "convert",
            Self::Encode => "encode",
            Self::Send => "send",
        }
    }
}

/// One frame's time in one stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// By the clock.
    pub wall_us: u64,
    /// Of processors.
    pub cpu_us: u64,
}

/// Collects a run's samples.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    stages: [Vec<Spent>; Stage::ALL.len()],
    frames: Vec<Spent>,
}

impl Recorder {
    /// Adds a sample of a stage.
    pub fn stage(&mut self, stage: Stage, spent: Spent) {
        if let Some(samples) = self.stages.get_mut(stage as usize) {
            samples.push(spent);
        }
    }

    /// Adds a whole frame: the wall time that it took, and the time of all the process's threads. On a software rasteriser, which
    /// draws in threads of its own, this is the figure that counts.
    pub fn frame(&mut self, spent: Spent) {
        self.frames.push(spent);
    }

    /// The figures of the run; `access_units` and `bytes` are what came out of it.
    pub fn finish(self, access_units: usize, bytes: usize) -> Run {
        let stages = Stage::ALL.into_iter().zip(self.stages);
        let stages = stages
            .filter_map(|(stage, samples)| Some(StageFigures { stage, figures: Figures::of(&samples)? }));
        let frames = self.frames.len();
        let mean_cpu_us =
            self.frames.iter().map(|frame| frame.cpu_us).sum::<u64>().checked_div(frames as u64).unwrap_or(0);
        Run {
            frames,
            access_units,
            bytes,
            stages: stages.collect(),
            frame: Figures::of(&self.frames),
            mean_cpu_us,
        }
    }
}

/// Median and 95th percentile, by wall and by processor time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// Half of the samples took at most this.
    pub wall_median_us: u64,
    /// 95 of 100 took at most this.
    pub wall_p95_us: u64,
    /// As above, of processors.
    pub cpu_median_us: u64,
    /// As above, of processors.
    pub cpu_p95_us: u64,
}

impl Figures {
    fn of(samples: &[Spent]) -> Option<Self> {
        let sorted = |value: fn(&Spent) -> u64| {
            let mut values: Vec<_> = samples.iter().map(value).collect();
            values.sort_unstable();
            values
        };
        let (wall, cpu) = (sorted(|spent| spent.wall_us), sorted(|spent| spent.cpu_us));
        Some(Self {
            wall_median_us: percentile(&wall, 50)?,
            wall_p95_us: percentile(&wall, 95)?,
            cpu_median_us: percentile(&cpu, 50)?,
            cpu_p95_us: percentile(&cpu, 95)?,
        })
    }
}

/// The smallest value that `percent` of the sorted values do not exceed.
fn percentile(sorted: &[u64], percent: usize) -> Option<u64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// A stage and its figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct StageFigures {
    /// Which.
    pub stage: Stage,
    /// How long.
    #[serde(flatten)]
    pub figures: Figures,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Run {
    /// Frames that were measured.
    pub frames: usize,
    /// What was encoded of them.
    pub access_units: usize,
    /// The access units' bytes.
    pub bytes: usize,
    /// The stages that the run has, in order.
    pub stages: Vec<StageFigures>,
    /// Whole frames; the processor time is that of the process.
    pub frame: Option<Figures>,
    /// Processor time of the process, per frame, over the whole run. A median would hide work that does not fall into every frame.
    pub mean_cpu_us: u64,
}

/// A pipeline against its floor.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PipelineReport {
    /// The scene's name.
    pub scene: String,
    /// The adapter's name and driver.
    pub adapter: String,
    /// Width and height.
    #[serde(serialize_with = "as_text")]
    pub size: FrameSize,
    /// Frames a second that both runs were paced to; `None`: as fast as they went.
    pub pace_hz: Option<u32>,
    /// The scene through sandbox, pipeline and worker protocol.
    pub pipeline: Run,
    /// The same stages, bare.
    pub floor: Run,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
fn as_text<S: serde::Serializer>(size: &FrameSize, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(size)
}

impl PipelineReport {
    /// Processor time of a frame in the pipeline by that of the floor; `None` without a floor.
    #[allow(clippy::cast_precision_loss, reason = "microseconds of a frame")]
    pub fn cpu_ratio(&self) -> Option<f64> {
        (self.floor.mean_cpu_us > 0).then(|| self.pipeline.mean_cpu_us as f64 / self.floor.mean_cpu_us as f64)
    }

    /// As JSON, on several lines.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        let mut value = serde_json::to_value(self)?;
        let cpu_ratio = serde_json::to_value(self.cpu_ratio())?;
        if let Some(fields) = value.as_object_mut() {
            fields.insert("cpu_ratio".to_owned(), cpu_ratio);
        }
        serde_json::to_string_pretty(&value)
    }
}

impl Display for PipelineReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let pace = self.pace_hz.map_or("unpaced".to_owned(), |hz| format!("{hz} frames/s"));
        writeln!(f, "{} at {}, {pace}, on {}", self.scene, self.size, self.adapter)?;
        writeln!(f)?;
        writeln!(f, "milliseconds     {:^35}   {:^35}", "pipeline", "floor")?;
        writeln!(f, "                 {0:^17} {1:^17}   {0:^17} {1:^17}", "wall", "processor")?;
        writeln!(
            f,
            "{0:16} {1:>8} {2:>8} {1:>8} {2:>8}    {1:>8} {2:>8} {1:>8} {2:>8}",
            "", "median", "p95"
        )?;
        for stage in Stage::ALL {
            let of = |run: &Run| {
                run.stages.iter().find(|figures| figures.stage == stage).map(|stage| stage.figures)
            };
            row(f, stage.name(), of(&self.pipeline), of(&self.floor))?;
        }
        row(f, "frame", self.pipeline.frame, self.floor.frame)?;
        writeln!(f)?;
        for (name, run) in [("pipeline", &self.pipeline), ("floor", &self.floor)] {
            writeln!(
                f,
                "{name:16} {} frames, {} access units, {} bytes, {} ms of processor time a frame",
                run.frames,
                run.access_units,
                run.bytes,
                ms(run.mean_cpu_us)
            )?;
        }
        match self.cpu_ratio() {
            Some(ratio) => writeln!(f, "processor time, pipeline by floor: {ratio:.2}"),
            None => Ok(()),
        }
    }
}

fn row(f: &mut Formatter<'_>, name: &str, pipeline: Option<Figures>, floor: Option<Figures>) -> fmt::Result {
    if pipeline.is_none() && floor.is_none() {
        return Ok(());
    }
    write!(f, "{name:16}")?;
    for (index, figures) in [pipeline, floor].into_iter().enumerate() {
        if index > 0 {
            write!(f, "   ")?;
        }
        let Some(figures) = figures else {
            write!(f, " {0:>8} {0:>8} {0:>8} {0:>8}", "-")?;
            continue;
        };
        for value in [figures.wall_median_us, figures.wall_p95_us, figures.cpu_median_us, figures.cpu_p95_us]
        {
            write!(f, " {:>8}", ms(value))?;
        }
    }
    writeln!(f)
}

/// Milliseconds with two places.
fn ms(us: u64) -> String {
    let hundredths = (us + 5) / 10;
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(frame_cpu_us: u64) -> Run {
        let mut recorder = Recorder::default();
        for index in 1..=100 {
            recorder.stage(Stage::Encode, Spent { wall_us: index * 20, cpu_us: index * 10 });
            recorder.frame(Spent { wall_us: 33_333, cpu_us: frame_cpu_us });
        }
        recorder.finish(99, 12_345)
    }

    fn report() -> PipelineReport {
        PipelineReport {
            scene: "orbit".to_owned(),
            adapter: "llvmpipe".to_owned(),
            size: FrameSize::new(1280, 720).unwrap(),
            pace_hz: Some(30),
            pipeline: run(5_000),
            floor: run(4_000),
        }
    }

    #[test]
    fn medians_and_percentiles_are_values_that_occurred() {
        let figures = run(1).stages[0].figures;
        assert_eq!((figures.wall_median_us, figures.wall_p95_us), (1000, 1900));
        assert_eq!((figures.cpu_median_us, figures.cpu_p95_us), (500, 950));
        assert_eq!(percentile(&[7], 95), Some(7));
        assert_eq!(percentile(&[], 50), None);
    }

    #[test]
    fn the_ratio_is_of_processor_time_per_frame() {
        assert!((report().cpu_ratio().unwrap() - 1.25).abs() < 1e-9);
        assert_eq!(PipelineReport { floor: Recorder::default().finish(0, 0), ..report() }.cpu_ratio(), None);
    }

    #[test]
    fn the_table_has_a_row_for_each_stage_that_ran_and_no_other() {
        let text = report().to_string();
        assert!(text.starts_with("orbit at 1280x720, 30 frames/s, on llvmpipe\n"), "{text}");
        let row = text.lines().find(|line| line.starts_with("encode")).unwrap();
        assert_eq!(row.split_whitespace().collect::<Vec<_>>()[1..5], ["1.00", "1.90", "0.50", "0.95"]);
        assert!(text.contains("pipeline by floor: 1.25"), "{text}");
        assert!(!text.lines().any(|line| line.starts_with("send")), "{text}");
    }

    #[test]
    fn json_names_units_and_stages() {
        let value: serde_json::Value = serde_json::from_str(&report().to_json().unwrap()).unwrap();
        assert_eq!(value["size"], "1280x720");
        assert_eq!(value["pipeline"]["stages"][0]["stage"], "encode");
        assert_eq!(value["floor"]["stages"][0]["wall_median_us"], 1000);
        assert_eq!(value["cpu_ratio"], 1.25);
    }
}
