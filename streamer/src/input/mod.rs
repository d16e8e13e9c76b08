//! From what viewers say to what a scene is given: validated, clamped, coalesced, and released when a viewer is gone.
//!
//! [`ViewerInput`] knows what one viewer holds down; [`InputQueue`] holds what a session has not yet sent to its worker;
//! [`SequenceMap`] traces pictures back to messages. All of it is pure: time is a parameter, and nothing here knows sockets,
//! sessions or workers.

mod queue;
mod sequence;
mod viewer;

pub use queue::{InputQueue, MAX_PENDING_EVENTS};
pub use sequence::SequenceMap;
pub use viewer::{Applied, Lane, MAX_EVENTS_PER_SECOND, MAX_KEYS_DOWN, MAX_POINTERS_DOWN, ViewerInput};
