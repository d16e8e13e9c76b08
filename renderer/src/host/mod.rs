//! What a scene may import, one folder per WIT package.
//!
//! Each package follows one pattern: a context in the store's data, a view trait that borrows it together with the resource table, and
//! `add_to_linker`. Everything that is not offered here does not exist for a scene.

mod events;
mod keys;
mod outstanding;
pub mod scene;
pub mod surface;
pub mod wasi;
pub mod webgpu;
mod window;

pub use outstanding::Outstanding;
pub use window::{Tick, Window};

/// The trap of a call that would keep more than a scene may. It becomes the session's end as
/// [`SceneFault::Limit`](renderer_protocol::SceneFault::Limit).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a scene may have at most {limit} {what}")]
pub struct OverLimit {
    /// Of what, in the plural.
    pub what: &'static str,
    /// How many.
    pub limit: usize,
}

/// A scene asked for more than the server's operator lets it have. Where WebGPU has an error for it, it is that error; elsewhere it is
/// a trap, and the session's end like [`OverLimit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a scene may have at most {limit} {what} (the server's setting `{setting}`)")]
pub struct OverQuota {
    /// Of what, in the plural.
    pub what: &'static str,
    /// How many.
    pub limit: u64,
    /// Which of the [`LIMITS`](renderer_protocol::limits::LIMITS) says so.
    pub setting: &'static str,
}
