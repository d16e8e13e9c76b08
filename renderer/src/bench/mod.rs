//! What benchmarks measure with, and the floor that they measure against: the same drawing, readback, conversion and encoding,
//! bare, in one thread, without a sandbox, a pipeline or a second process; and what a call of a host function costs.

mod floor;
mod hostcalls;
mod orbit_native;
mod report;

pub use floor::{FloorConfig, FloorError, NativeScene, TARGET_FORMAT, WARM_UP_FRAMES, run_floor};
pub use hostcalls::{
    BackendFigures, HostcallsConfig, HostcallsError, HostcallsReport, WorkFigures, run_hostcalls,
};
pub use orbit_native::OrbitNative;
pub use report::{Figures, PipelineReport, Recorder, Run, Spent, Stage, StageFigures};
