//! The process dies when the thread that started it ends, which is never before its process does.

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use crate::EnterError;

/// A parent that ended before this process could ask for the signal is noticed at once when that was just now, and by the closed socket in any
/// case.
pub(crate) fn die_with_parent() -> Result<Result<(), String>, EnterError> {
    let parent = getppid();
    let made = set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| error.to_string());
    if getppid() == parent { Ok(made) } else { Err(EnterError::Orphan) }
}
