//! Too much of what a worker may have some of. Each prints how much it got, and what then stopped it.

use std::io::{Error, Result};

use crate::{
    attempts::{Attempt, Targets},
    calls::{call, text},
};

/// What is tried so often has no end.
const OFTEN: usize = 100_000;
const GIB: usize = 1 << 30;

pub(crate) fn all(targets: &Targets) -> Vec<Attempt> {
    // SAFETY: no handler is set; a file that grows too large is then an error, where it would be the end.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    let folder = targets.folder.clone();
    vec![
        at_most("fork bomb", 0, || call(libc::SYS_clone, [libc::SIGCHLD as usize, 0, 0, 0, 0])),
        at_most("files in the cache", 0, move || std::fs::File::create(folder.join("full")).map(|_| 0)),
        at_most("open files", renderer_cell::MAX_OPEN_FILES as usize, || call(libc::SYS_dup, [0])),
        {
            // Some are needed for what follows.
            Attempt::new("open files can be closed again", || {
                for file in 3..renderer_cell::MAX_OPEN_FILES as usize {
                    let _ = call(libc::SYS_close, [file]);
                }
                Err(Error::other("as it shall be"))
            })
        },
        Attempt::new("a file beyond the largest size", || {
            let file = call(libc::SYS_memfd_create, [text(c"evil"), 0])?;
            call(libc::SYS_ftruncate, [file, renderer_cell::MAX_FILE_BYTES as usize * 2])
        }),
        Attempt::new("address space beyond the limit", || {
            map(renderer_cell::ADDRESS_SPACE_BYTES as usize * 2, libc::PROT_NONE)
        }),
        at_most("private memory, in GiB", renderer_cell::DRIVER_DATA_BYTES as usize / GIB, || {
            map(GIB, libc::PROT_READ | libc::PROT_WRITE)
        }),
    ]
}

/// Refused when it was stopped by then.
fn at_most(name: &str, most: usize, again: impl Fn() -> Result<usize> + 'static) -> Attempt {
    Attempt::new(name, move || {
        for done in 0..OFTEN {
            match again() {
                Ok(_) => {}
                Err(error) if done <= most => {
                    return Err(Error::other(format!("after {done}: {error}")));
                }
                Err(_) => return Ok(done),
            }
        }
        Ok(OFTEN)
    })
}

/// Memory that is not touched, so that it costs the machine nothing.
fn map(bytes: usize, protection: i32) -> Result<usize> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    call(libc::SYS_mmap, [0, bytes, protection as usize, flags as usize, usize::MAX, 0])
}
