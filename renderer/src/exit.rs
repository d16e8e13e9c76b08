//! The end of a process that has drivers in it.

/// Ends the process at once, with what was written to standard output and error so far.
///
/// A scene's thread and the driver's may be at work, or held for ever. The exit handlers of drivers take away what these use, and a crash
/// would hide the reason of the end.
pub fn end_process(status: u8) -> ! {
    // SAFETY: `_exit` ends the process without running any more of its code.
    unsafe { libc::_exit(status.into()) }
}
