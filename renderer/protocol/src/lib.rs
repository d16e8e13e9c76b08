//! The messages that the broker and a worker exchange, and nothing else.
//!
//! A connection is one stream socket pair. Both sides first send [`Hello`] and read the other's; a version that differs ends
//! the connection. After that the broker sends [`ToWorker`], the worker [`FromWorker`], each as one frame of [`codec`]. What is no
//! message, the open file of the compiled scene, has a socket of its own, [`handover`].
//!
//! Both sides treat the other as a possible enemy: decoding never panics, lengths are checked before anything is allocated,
//! and the values that a peer controls are checked by [`FromWorker::check`] and [`ToWorker::check`] before they are used.
//! This crate knows neither wasm, nor GPUs, nor networks.

mod cell;
pub mod codec;
mod end;
pub mod from_worker;
pub mod handover;
pub mod input;
pub mod limits;
mod size;
pub mod to_worker;

pub use cell::{Cell, CellPart, Lacking, MAX_REASON_BYTES};
pub use codec::{CodecError, MAX_MESSAGE_BYTES};
pub use end::{EndReason, SceneFault};
pub use from_worker::{AccessUnit, AdapterInfo, FromWorker, LogLevel, LogLine, LogSource, StageTimes};
pub use input::{Buttons, InputEvent, KeyEvent, Modifiers, PointerEvent, PointerKind, ViewerId, WheelEvent};
pub use limits::SceneLimits;
pub use size::{FrameSize, FrameSizeError, MAX_SIDE_PX, MIN_SIDE_PX, ParseFrameSizeError};
pub use to_worker::{Start, ToWorker};

use serde::{Deserialize, Serialize};

/// Changes whenever a message changes; both sides come from one binary, so any difference is an error.
pub const PROTOCOL_VERSION: u32 = 4;

/// The first message in each direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL_VERSION`] of the sender.
    pub version: u32,
}

impl Hello {
    /// The greeting of this build.
    pub const fn current() -> Self {
        Self { version: PROTOCOL_VERSION }
    }
}

/// A message arrived that its sender may not send: the peer is broken or taken over.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{field} is {value}, which is outside of {allowed}")]
pub struct OutOfRange {
    /// Which value of which message.
    pub field: &'static str,
    /// The value, as text.
    pub value: String,
    /// The range that holds.
    pub allowed: std::borrow::Cow<'static, str>,
}
