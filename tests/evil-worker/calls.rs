//! System calls by number, with nothing in between that could be polite.

use std::io::{Error, Result};

/// What a call returned that was not refused.
pub(crate) fn call<const N: usize>(number: i64, arguments: [usize; N]) -> Result<usize> {
    let mut six = [0; 6];
    six[..N].copy_from_slice(&arguments);
    // SAFETY: the pointers among the arguments are to memory that outlives the call and is as large as the call is told; those calls that would
    // do harm are made where they are refused.
    let returned = unsafe { libc::syscall(number, six[0], six[1], six[2], six[3], six[4], six[5]) };
    usize::try_from(returned).map_err(|_| Error::last_os_error())
}

/// A pointer to text that ends with a NUL.
pub(crate) fn text(text: &'static std::ffi::CStr) -> usize {
    text.as_ptr() as usize
}

/// A call by the interrupt of 32-bit programs, to which a filter of 64-bit calls could be blind.
pub(crate) fn by_the_old_gate() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: `getpid`, which is 20 there, takes nothing and changes nothing but its result.
    unsafe {
        std::arch::asm!("int 0x80", inout("eax") 20 => _);
    }
}
