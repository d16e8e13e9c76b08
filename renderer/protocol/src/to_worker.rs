use serde::{Deserialize, Serialize};

use crate::{FrameSize, InputEvent, OutOfRange, SceneLimits};

/// Slower than this no rate control works; faster than this no browser presents.
pub const FRAME_RATE_RANGE_HZ: std::ops::RangeInclusive<u32> = 1..=120;
/// Below 50 kb/s nothing is recognisable; above 50 Mb/s the wire is not the limit.
pub const BITRATE_RANGE_BPS: std::ops::RangeInclusive<u32> = 50_000..=50_000_000;
/// One tick's worth of input: the broker coalesces to at most 1,000 events a second.
pub const MAX_INPUT_BATCH: usize = 256;

/// What the broker tells a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToWorker {
    /// Run the scene that was given by [`handover`](crate::handover). Exactly once, first.
    Start(Start),
    /// What viewers did, in order. `sequence` comes back in the first access unit whose picture could have seen it.
    Input {
        /// Rises by at least one with each batch.
        sequence: u64,
        /// At most [`MAX_INPUT_BATCH`].
        events: Vec<InputEvent>,
    },
    /// Draw at this size from the next tick on.
    Resize(FrameSize),
    /// The next access unit shall be an IDR. Any number before that unit is one.
    RequestKeyframe,
    /// The encoder's new target.
    SetBitrate {
        /// Within [`BITRATE_RANGE_BPS`].
        bitrate_bps: u32,
    },
    /// False while nobody watches: no ticks are given to the scene, and nothing is encoded.
    SetWatched(bool),
    /// Answer with [`FromWorker::Screenshot`](crate::FromWorker::Screenshot). The next is asked for when this one is answered.
    TakeScreenshot,
    /// Answer with [`FromWorker::Pong`](crate::FromWorker::Pong).
    Ping {
        /// Comes back.
        nonce: u64,
    },
    /// End in order: the scene is dropped, the last message is `Ended(Stopped)`, the process exits.
    Stop,
}

/// What a worker needs to run a scene, beside the scene.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// The first size.
    pub size: FrameSize,
    /// Ticks a second, within [`FRAME_RATE_RANGE_HZ`].
    pub frame_rate_hz: u32,
    /// The encoder's first target, within [`BITRATE_RANGE_BPS`].
    pub bitrate_bps: u32,
    /// What the scene's random imports are seeded with.
    pub seed: u64,
    /// What the scene may use.
    pub limits: SceneLimits,
}

impl ToWorker {
    /// Holds what the fields promise.
    pub fn check(&self) -> Result<(), OutOfRange> {
        match self {
            Self::Start(start) => {
                frame_rate(start.frame_rate_hz)?;
                bitrate(start.bitrate_bps)?;
                start.limits.check()
            }
            Self::Input { events, .. } => {
                if events.len() > MAX_INPUT_BATCH {
                    let value = format!("{} events", events.len());
                    return Err(OutOfRange { field: "input.events", value, allowed: "256 events".into() });
                }
                events.iter().try_for_each(InputEvent::check)
            }
            Self::SetBitrate { bitrate_bps } => bitrate(*bitrate_bps),
            Self::Resize(_)
            | Self::RequestKeyframe
            | Self::SetWatched(_)
            | Self::TakeScreenshot
            | Self::Ping { .. }
            | Self::Stop => Ok(()),
        }
    }
}

fn frame_rate(hz: u32) -> Result<(), OutOfRange> {
    if FRAME_RATE_RANGE_HZ.contains(&hz) {
        Ok(())
    } else {
        Err(OutOfRange { field: "frame_rate_hz", value: hz.to_string(), allowed: "1 to 120".into() })
    }
}

fn bitrate(bps: u32) -> Result<(), OutOfRange> {
    if BITRATE_RANGE_BPS.contains(&bps) {
        Ok(())
    } else {
        Err(OutOfRange {
            field: "bitrate_bps",
            value: bps.to_string(),
            allowed: "50,000 to 50,000,000".into(),
        })
    }
}
