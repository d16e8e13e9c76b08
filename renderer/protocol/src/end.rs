use serde::{Deserialize, Serialize};

/// Why a worker ended its session, in its own words. A worker that dies says nothing; the broker then has reasons of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum EndReason {
    /// The broker asked for it.
    #[error("the session was ended")]
    Stopped,
    /// The scene's entry point returned: it had no more to show.
    #[error("the scene came to its end")]
    Finished,
    /// The scene did something wrong.
    #[error("{0}")]
    Scene(SceneFault),
    /// We, or the machine, did.
    #[error("the worker failed: {0}")]
    Internal(String),
}

/// What a scene did wrong. Shown to viewers and to the scene's author; never a server error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum SceneFault {
    /// The component cannot be run here: the text says which import or export is at fault.
    #[error("the scene cannot be run: {0}")]
    Unrunnable(String),
    /// WebAssembly trapped; the text has the trap and the innermost frames.
    #[error("the scene trapped: {0}")]
    Trap(String),
    /// The entry point returned an error.
    #[error("the scene's entry point returned an error; what it was, the scene's log may tell")]
    ReturnedError,
    /// It ran for too long without yielding.
    #[error(
        "the scene computed for {ran_ms} ms without yielding; wait for the next tick at least once in a second of processor time, and \
         spread long work over several ticks"
    )]
    Unresponsive {
        /// How long.
        ran_ms: u32,
    },
    /// Work that it gave to the GPU, or to the GPU's driver (which compiles shaders, too), did not end in time.
    #[error(
        "what the scene gave to the GPU or its driver was not done after {waited_ms} ms; look for shaders that loop without end, and for \
         draws, dispatches and shaders that are too large for one go"
    )]
    GpuTimeout {
        /// How long it was waited for.
        waited_ms: u32,
    },
    /// The GPU's driver gave its devices up, again and again.
    #[error(
        "the GPU's driver gave up the scene's device {losses} times within a minute; look for draws and dispatches that take the GPU \
         seconds, and for memory that grows"
    )]
    DeviceLost {
        /// How often.
        losses: u32,
    },
    /// It reached a limit of memory or objects.
    #[error("the scene went over its limit: {0}")]
    Limit(String),
}

impl EndReason {
    /// A stable name for metrics and for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Finished => "finished",
            Self::Scene(fault) => fault.code(),
            Self::Internal(_) => "worker_internal",
        }
    }
}

impl SceneFault {
    /// A stable name for metrics and for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unrunnable(_) => "scene_unrunnable",
            Self::Trap(_) => "scene_trap",
            Self::ReturnedError => "scene_error",
            Self::Unresponsive { .. } => "scene_unresponsive",
            Self::GpuTimeout { .. } => "scene_gpu_timeout",
            Self::DeviceLost { .. } => "scene_device_lost",
            Self::Limit(_) => "scene_limit",
        }
    }
}
