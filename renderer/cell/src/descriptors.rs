//! Whatever the server's own parent left open and did not mark is closed: the process has its standard descriptors alone.

/// Standard input, output and error are below.
const FIRST: libc::c_uint = 3;

pub(crate) fn close() -> Result<(), String> {
    // SAFETY: the process has one thread and has just begun, so that nothing in it owns a descriptor but the standard library, which owns the
    // three standard ones.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, 0) };
    if closed == 0 { Ok(()) } else { Err(std::io::Error::last_os_error().to_string()) }
}
