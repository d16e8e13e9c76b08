//! Why a run did not give all the frames that were asked for. Three kinds, never mixed: the scene's, the place where the output goes, ours.

use std::path::PathBuf;

use renderer_protocol::SceneFault;

/// What a scene did wrong, or did not do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It ended itself.
    #[error(transparent)]
    Ended(#[from] SceneFault),
    /// A frame was asked for, and there is no picture yet.
    #[error(
        "the scene has presented nothing yet: ask for a later frame, or have it present when it is given a frame event"
    )]
    NothingPresented,
    /// There is no picture, and there will be none.
    #[error("the scene came to its end and never presented a picture")]
    EndedWithoutPicture,
    /// It does not come to wait for its next frame.
    #[error(
        "the scene was still at work after {waited_ms} ms, without waiting for a frame event, input or time"
    )]
    NeverRests {
        /// How long.
        waited_ms: u32,
    },
}

impl Fault {
    /// A stable name for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Ended(fault) => fault.code(),
            Self::NothingPresented => "scene_nothing_presented",
            Self::EndedWithoutPicture => "scene_ended_without_picture",
            Self::NeverRests { .. } => "scene_never_rests",
        }
    }
}

/// A file or folder that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be written: {error}", path = path.display())]
pub struct OutputError {
    /// Which.
    pub path: PathBuf,
    /// Why.
    pub error: std::io::Error,
}

/// Why a run ended before its last frame. The frames before are kept.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The scene's fault.
    #[error("in frame {frame}, {fault}")]
    Scene {
        /// The frame that was being drawn.
        frame: u32,
        /// What happened.
        fault: Fault,
    },
    /// The environment's.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The machine's or ours.
    #[error("rendering failed: {0}")]
    Internal(String),
}

impl Failure {
    /// A stable name for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Scene { fault, .. } => fault.code(),
            Self::Output(_) => "output",
            Self::Internal(_) => "internal",
        }
    }
}
