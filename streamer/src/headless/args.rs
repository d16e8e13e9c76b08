//! The command line of `scenecast render`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use renderer::headless::{DEFAULT_THRESHOLD, FrameList, Metric, Tolerance, VideoFormat};
use renderer_protocol::FrameSize;

/// How pictures are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A file for each frame, N.png
    Png,
    /// One file, SCENE.y4m: pictures as they are, for other programs
    Y4m,
    /// One file, SCENE.h264: as it is streamed
    H264,
    /// One file, SCENE.mp4, which browsers play
    Mp4,
}

impl Format {
    fn video(self) -> Option<VideoFormat> {
        match self {
            Self::Png => None,
            Self::Y4m => Some(VideoFormat::Y4m),
            Self::H264 => Some(VideoFormat::H264),
            Self::Mp4 => Some(VideoFormat::Mp4),
        }
    }
}

fn threshold(text: &str) -> Result<f32, String> {
    let threshold = text.parse::<f32>().ok().filter(|threshold| (0.0..=1.0).contains(threshold));
    threshold.ok_or_else(|| "an error is a number from 0 to 1".to_owned())
}

impl RenderArgs {
    /// The folder for single pictures.
    pub(super) fn pictures(&self) -> Option<PathBuf> {
        self.out.clone().filter(|_| self.format == Format::Png)
    }

    /// The video file, and its form.
    pub(super) fn video(&self) -> Option<(PathBuf, VideoFormat)> {
        let (folder, format) = (self.out.as_ref()?, self.format.video()?);
        let name = self.scene.file_stem().unwrap_or_default();
        Some((folder.join(name).with_extension(format.extension()), format))
    }

    /// When a picture matches.
    pub(super) fn tolerance(&self) -> Tolerance {
        match self.metric {
            Metric::Exact => Tolerance::Exact,
            Metric::Flip => Tolerance::Flip { threshold: self.threshold },
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct RenderArgs {
    /// The component, for example target/scenes/orbit.wasm
    pub scene: PathBuf,

    /// The picture's size
    #[arg(long, value_name = "WIDTHxHEIGHT", default_value = "1280x720")]
    pub size: FrameSize,

    /// Frames a second of virtual time
    #[arg(long, value_name = "HZ", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=120))]
    pub fps: u32,

    /// Which frames: numbers and ranges, for example 0,30,60 or 0..120 (119 is the last) or 0..120/10 (every tenth)
    #[arg(long, value_name = "LIST", default_value = "0")]
    pub frames: FrameList,

    /// What a viewer does meanwhile: lines such as {"frame":12,"event":{"type":"key-down","code":"KeyR"}}, with the events of
    /// docs/viewer-protocol.md
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,

    /// What the scene's random imports are seeded with
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,

    /// The folder to write to; it is made if it is not there. Without it the pictures are drawn and thrown away
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,

    /// How pictures are written. A video shows the frames one after the other at --fps
    #[arg(long, value_enum, default_value = "png", requires = "out")]
    pub format: Format,

    /// Compare each frame N with the picture N.png in this folder; one that is missing or differs makes the status 1. With --out, the folder
    /// there also gets N.expected.png and N.difference.png for those that differ
    #[arg(long, value_name = "FOLDER")]
    pub compare: Option<PathBuf>,

    /// Write the pictures that are missing or differ to the folder of --compare instead
    #[arg(long, requires = "compare", env = "UPDATE_GOLDEN", value_parser = clap::builder::BoolishValueParser::new())]
    pub update: bool,

    /// How pictures are compared: `flip` by how much they look different, `exact` by every bit
    #[arg(long, value_name = "METRIC", default_value = "flip")]
    pub metric: Metric,

    /// The error that `flip` allows, from 0 to 1: the mean of each square of 32x32 pixels
    #[arg(long, value_name = "ERROR", default_value_t = DEFAULT_THRESHOLD, value_parser = threshold)]
    pub threshold: f32,

    /// Write a page about the run, in one file that needs nothing else: every frame beside what was expected, times, log
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,

    /// The time that one frame may take, on the machine's clock; a scene that needs longer has failed
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub time_limit: u64,

    /// Where compiled scenes are kept [default: scenecast in the folder of the user's caches, such as ~/.cache]
    #[arg(long, value_name = "FOLDER", env = "SCENECAST_CACHE_DIR")]
    pub cache_dir: Option<PathBuf>,

    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
}
