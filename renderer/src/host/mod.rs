//! What a scene may import: one folder for each package of interfaces.
//!
//! A call that is wrong by its standard's rules is answered as the standard says. Where there is no such answer, it traps with one
//! of the errors below, and the session ends with the [`SceneFault`](renderer_protocol::SceneFault) of the same name.

pub mod webgpu;

/// The trap of a call to something that this host does not offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not offered by this host")]
pub struct NotOffered(pub &'static str);

/// The trap of a call that would keep more than a scene may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a scene may have at most {limit} {what}")]
pub struct OverLimit {
    /// Of what, in the plural.
    pub what: &'static str,
    /// How many.
    pub limit: usize,
}
