use serde::{Deserialize, Serialize};

use crate::{EndReason, FrameSize, MAX_MESSAGE_BYTES, OutOfRange};

/// A line of a scene's or driver's output is cut here by the worker.
pub const MAX_LOG_LINE_BYTES: usize = 4096;
/// An access unit is far below its raw picture; this bounds what a broken worker can make the broker keep.
pub const MAX_ACCESS_UNIT_BYTES: usize = MAX_MESSAGE_BYTES as usize - 4096;
/// A pts beyond a year of running is not one.
const MAX_PTS_US: u64 = 366 * 24 * 3600 * 1_000_000;

/// What a worker tells the broker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FromWorker {
    /// Adapter and device family are open; `Start` may come.
    Ready(AdapterInfo),
    /// The scene is instantiated and its entry point called.
    Started,
    /// One encoded picture.
    AccessUnit(AccessUnit),
    /// A line of output.
    Log(LogLine),
    /// Pictures that were presented, but replaced by a later one before they were encoded, since the last report.
    FramesDropped {
        /// How many.
        count: u32,
    },
    /// The answer to [`ToWorker::Ping`](crate::ToWorker::Ping).
    Pong {
        /// As it came.
        nonce: u64,
    },
    /// The last message.
    Ended(EndReason),
}

/// The GPU that a worker opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdapterInfo {
    /// The adapter's name.
    pub name: String,
    /// The driver's name and version.
    pub driver: String,
    /// True for a software rasteriser.
    pub is_cpu: bool,
}

/// One encoded picture in Annex B form; a keyframe begins with its parameter sets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessUnit {
    /// When the scene presented it, in microseconds since it started.
    pub pts_us: u64,
    /// An IDR, with SPS and PPS before it.
    pub keyframe: bool,
    /// The picture's size.
    pub size: FrameSize,
    /// The highest input sequence that was delivered to the scene before it drew this picture; 0 for none.
    pub input_sequence: u64,
    /// True when nothing changed and this only tells receivers that the stream lives.
    pub keep_alive: bool,
    /// Where the time went, by the clock.
    pub times: StageTimes,
    /// Processor time of the thread that read back, converted, encoded and sent; the scene's is not known to it, and 0.
    pub cpu_times: StageTimes,
    /// NAL units with start codes, at most [`MAX_ACCESS_UNIT_BYTES`].
    #[serde(with = "serde_bytes")]
    pub data: Vec<u8>,
}

/// Time of each stage for one frame, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageTimes {
    /// From the tick until the scene presented.
    pub scene_us: u32,
    /// From `present` until the pixels were mapped.
    pub readback_us: u32,
    /// RGBA to I420.
    pub convert_us: u32,
    /// I420 to the access unit.
    pub encode_us: u32,
    /// The access unit *before* this one to the socket: of its own sending no message can tell.
    pub send_us: u32,
}

/// Where a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogSource {
    /// The scene's standard output.
    Stdout,
    /// The scene's standard error.
    Stderr,
    /// An uncaptured WebGPU error of the scene.
    WebGpu,
    /// `scenecast:scene/log`.
    Log(LogLevel),
}

/// How much a line of `scenecast:scene/log` matters to the scene's author.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogLevel {
    /// For the author alone.
    Debug,
    /// Worth knowing.
    Info,
    /// Wrong, and the scene goes on.
    Warn,
    /// Wrong, and something is missing for it.
    Error,
}

/// One line of output, without its line end, control characters escaped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Where it came from.
    pub source: LogSource,
    /// At most [`MAX_LOG_LINE_BYTES`].
    pub line: String,
}

impl FromWorker {
    /// Holds what the fields promise; a worker that fails this is ended.
    pub fn check(&self) -> Result<(), OutOfRange> {
        match self {
            Self::AccessUnit(unit) => {
                if unit.pts_us > MAX_PTS_US {
                    let value = unit.pts_us.to_string();
                    return Err(OutOfRange { field: "access_unit.pts_us", value, allowed: "a year".into() });
                }
                if unit.data.is_empty() || unit.data.len() > MAX_ACCESS_UNIT_BYTES {
                    let value = format!("{} bytes", unit.data.len());
                    return Err(OutOfRange {
                        field: "access_unit.data",
                        value,
                        allowed: "1 byte to 8 MiB".into(),
                    });
                }
                Ok(())
            }
            Self::Log(LogLine { line, .. }) => text("log.line", line, MAX_LOG_LINE_BYTES),
            Self::Ready(AdapterInfo { name, driver, .. }) => {
                text("adapter.name", name, MAX_LOG_LINE_BYTES)?;
                text("adapter.driver", driver, MAX_LOG_LINE_BYTES)
            }
            Self::Ended(reason) => text("ended.message", &reason.to_string(), 2 * MAX_LOG_LINE_BYTES),
            Self::Started | Self::FramesDropped { .. } | Self::Pong { .. } => Ok(()),
        }
    }
}

fn text(field: &'static str, text: &str, max: usize) -> Result<(), OutOfRange> {
    if text.len() <= max {
        Ok(())
    } else {
        Err(OutOfRange { field, value: format!("{} bytes", text.len()), allowed: "a few kilobytes".into() })
    }
}
