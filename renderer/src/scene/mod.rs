//! A scene component: check it, compile it, run it.
//!
//! Owns the engine, the linker, the store and its limits. What the imports do is [`crate::host`]'s.

mod artifact;
mod check;
mod compile;
mod engine;
mod inspect;
mod linker;
mod run;
mod store;

pub use check::Refusal;
pub use compile::{CompileError, MAX_SCENE_BYTES, compile, engine_id};
pub(crate) use engine::engine;
pub use inspect::{Import, Inspection};
pub use run::{Run, Scene};
#[cfg(test)]
pub(crate) use store::fail_point;
pub use store::{Progress, SceneContext};
