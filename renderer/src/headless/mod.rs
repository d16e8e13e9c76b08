//! Scenes without viewers: exactly the frames that are asked for, as fast as the machine gives them.
//!
//! Nothing of the machine is in the pictures but its GPU and driver: time is virtual, randomness is seeded, and the numbers of
//! threads and the load change nothing.
//!
//! # A tick
//!
//! Before the first tick the scene is started, at time 0, and runs until it rests. Then, for each frame from 0 to the last one that is
//! asked for, whether it is asked for or not:
//!
//! 1. The clock is set to frame / rate. What waited for a time until then goes on.
//! 2. The window takes the frame's new size, if there is one; the frame's events reach the scene, and then the frame event.
//! 3. The scene runs **until it rests**: until it waits for nothing but frame events, input and time. A scene that waits for its
//!    GPU, for example for a buffer to be mapped or a pipeline to be compiled, does not rest: it is waited for, and its time stands.
//! 4. The last picture that it had presented until then is the picture of that frame.
//!
//! So a scene may draw whenever and from whatever task it likes. A scene that presents twice in a tick shows the second picture. One
//! that presents nothing keeps the picture that it has, and the frame is [marked](Frame::repeated) as repeated. One that returns
//! keeps its last picture for all frames after. A frame that is asked for before anything was presented is the scene's
//! [fault](Fault::NothingPresented), and so is a tick that is not over within a [time limit](Job::time_limit), which is the only
//! thing here that is measured on a real clock.
//!
//! # Threads
//!
//! The scene has a thread, a second one reads pictures back, and one or more take the pictures ([`Finisher`]): frame 3 is drawn while
//! frame 2 is read back and frame 1 is compressed. Between them are bounded queues in which each waits for the next, so nothing
//! is dropped and memory does not grow. The caller's thread watches over them.
//!
//! # Goldens
//!
//! [`check_scene`] compares frames with pictures that somebody has looked at; docs/testing.md explains how to live with them.

mod check;
mod compare;
mod compiled;
mod driver;
mod failure;
mod files;
mod frames;
mod input;
mod log;
mod mp4;
mod picture;
mod png;
mod reader;
mod report;
mod run;
mod stills;
mod video;

pub use check::{CheckError, Mismatch, SceneCheck, adapter_text, check_scene};
pub use compare::{BadMetric, DEFAULT_THRESHOLD, Difference, Metric, Tolerance, compare};
pub use failure::{Failure, Fault, OutputError};
pub use frames::{FrameList, FrameListError, MAX_FRAME};
pub use input::{Event, TimedEvent, VIEWER, drag, hold_key};
pub use log::SceneLine;
pub use picture::Picture;
pub use png::{ReadPngError, read_png, write_png};
pub use reader::{Frame, FrameTimes};
pub use report::{Report, ReportHead};
pub use run::{DEFAULT_TIME_LIMIT, FinishedFrame, Finisher, Job, Outcome, render};
pub use stills::{Goldens, Pictures, Still, Stills, Verdict};
pub use video::{Video, VideoFormat};
