//! From a picture that a scene presented to an access unit: the frame clock, the readback, the conversion to I420, and the
//! thread that runs them.
//!
//! A frame is [presented](Presenter) on the scene's thread, waits in a [mailbox] of one place, and is read back, converted and
//! encoded on the [pipeline's](pipeline) thread. Whatever arrives while that thread is busy replaces what waits: frames are
//! dropped before they are encoded, never after. A headless run takes every frame from a [queue] instead, for which the scene waits.
//!
//! This module knows wgpu and [`crate::encode`]. It knows neither wasm, nor what a scene is, nor the broker.

pub mod clock;
mod convert_cpu;
mod convert_gpu;
mod cpu_picture;
pub mod cpu_time;
mod i420;
pub mod mailbox;
pub mod pipeline;
mod pixels;
mod presenter;
pub mod queue;
pub mod readback;
mod screenshot;
#[cfg(test)]
pub(crate) mod test_gpu;

pub use clock::{FrameClock, Tick, Ticks};
pub use convert_cpu::{ByteOrder, convert_to_i420};
pub use cpu_picture::CpuPicture;
pub use i420::I420;
pub use pipeline::{Output, Pipeline, PipelineConfig, PipelineEnd, PipelineHandle, Sink, Timing};
pub use presenter::{FrameSender, PresentInfo, Presented, Presenter};
pub use readback::{Capture, CaptureError, InFlight, MappedFrame};
pub use screenshot::Screenshots;
