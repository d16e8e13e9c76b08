use serde::{Deserialize, Serialize};

use crate::{Cell, EndReason, FrameSize, MAX_MESSAGE_BYTES, MAX_SIDE_PX, OutOfRange};

/// A line of a scene's or driver's output is cut here by the worker.
pub const MAX_LOG_LINE_BYTES: usize = 4096;
/// An access unit is far below its raw picture; this bounds what a broken worker can make the broker keep.
pub const MAX_ACCESS_UNIT_BYTES: usize = MAX_MESSAGE_BYTES as usize - 4096;
/// The same for a screenshot. A picture whose PNG is larger is given at half of its width and height, and is below this then.
pub const MAX_SCREENSHOT_BYTES: usize = MAX_ACCESS_UNIT_BYTES;
/// What a PNG file begins with: its signature, and the length and name of the first chunk, whose first eight bytes are the sides.
const PNG_START: &[u8; 16] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR";
/// A pts beyond a year of running is not one.
const MAX_PTS_US: u64 = 366 * 24 * 3600 * 1_000_000;

/// What a worker tells the broker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FromWorker {
    /// Adapter and device family are open; `Start` may come.
    Ready {
        /// The GPU.
        adapter: AdapterInfo,
        /// What the process gave up before it opened it.
        cell: Cell,
    },
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
    /// The answer to [`ToWorker::TakeScreenshot`](crate::ToWorker::TakeScreenshot).
    Screenshot {
        /// The last picture as a PNG file, at most [`MAX_SCREENSHOT_BYTES`]; empty when there is none yet.
        #[serde(with = "serde_bytes")]
        png: Vec<u8>,
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
            Self::Screenshot { png } => screenshot(png),
            Self::Log(LogLine { line, .. }) => text("log.line", line, MAX_LOG_LINE_BYTES),
            Self::Ready { adapter: AdapterInfo { name, driver, .. }, cell } => {
                cell.check()?;
                text("adapter.name", name, MAX_LOG_LINE_BYTES)?;
                text("adapter.driver", driver, MAX_LOG_LINE_BYTES)
            }
            Self::Ended(reason) => text("ended.message", &reason.to_string(), 2 * MAX_LOG_LINE_BYTES),
            Self::Started | Self::FramesDropped { .. } | Self::Pong { .. } => Ok(()),
        }
    }
}

/// Whether it is a PNG file as far as its header says: nobody in the broker decodes it.
fn screenshot(png: &[u8]) -> Result<(), OutOfRange> {
    let refused = |value: String, allowed: &'static str| {
        Err(OutOfRange { field: "screenshot.png", value, allowed: allowed.into() })
    };
    if png.is_empty() {
        return Ok(());
    }
    if png.len() > MAX_SCREENSHOT_BYTES {
        return refused(format!("{} bytes", png.len()), "0 bytes to 8 MiB");
    }
    let side = |from: usize| {
        png.strip_prefix(PNG_START)?.get(from..)?.first_chunk::<4>().copied().map(u32::from_be_bytes)
    };
    let Some(sides) = side(0).zip(side(4)) else {
        return refused(format!("{} bytes of something else", png.len()), "PNG files");
    };
    let is_side = |side| (1..=MAX_SIDE_PX).contains(&side);
    if !is_side(sides.0) || !is_side(sides.1) {
        return refused(format!("{}x{}", sides.0, sides.1), "sides from 1 to 3840");
    }
    Ok(())
}

fn text(field: &'static str, text: &str, max: usize) -> Result<(), OutOfRange> {
    if text.len() <= max {
        Ok(())
    } else {
        Err(OutOfRange { field, value: format!("{} bytes", text.len()), allowed: "a few kilobytes".into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(png: &[u8]) -> bool {
        FromWorker::Screenshot { png: png.to_vec() }.check().is_ok()
    }

    #[test]
    fn a_screenshot_is_a_png_file_of_a_possible_size_or_nothing() {
        let png = |width: u32, height: u32| {
            [PNG_START.as_slice(), &width.to_be_bytes(), &height.to_be_bytes(), b"the rest"].concat()
        };
        assert!(check(b"") && check(&png(640, 360)) && check(&png(3840, 1)));
        assert!(!check(&png(0, 360)) && !check(&png(640, 3841)) && !check(&png(u32::MAX, u32::MAX)));
        assert!(!check(b"<html>") && !check(&png(640, 360)[..20]));
        let mut huge = png(640, 360);
        huge.resize(MAX_SCREENSHOT_BYTES + 1, 0);
        assert!(!check(&huge));
    }
}
