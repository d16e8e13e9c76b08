//! A disk so small that it can be filled: a tmpfs in a mount namespace of this process, which goes with it however it ends.

use std::{
    ffi::{CStr, CString},
    fs::File,
    io::{self, Write as _},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    ptr,
};

use anyhow::{Context as _, Result};

/// Room for some uploaded scenes and their pictures.
const DISK_BYTES: u32 = 16 << 20;
/// What the filling ends with: the last bytes of the disk are taken one by one.
const STEPS_BYTES: [usize; 3] = [1 << 16, 1 << 9, 1];

/// That this process may mount without anybody else seeing it.
pub struct OwnMounts(());

/// Gives this process mounts of its own. To be called before there is a second thread.
pub fn own_mounts() -> Result<OwnMounts> {
    let needed = "making a small disk takes the right to mount";
    // SAFETY: the call takes no pointers; the namespace of this thread, the only one, is replaced by a copy.
    check(unsafe { libc::unshare(libc::CLONE_NEWNS) }).context(needed)?;
    mount(c"none", c"/", None, libc::MS_REC | libc::MS_PRIVATE, c"").context(needed)?;
    Ok(OwnMounts(()))
}

/// A mounted disk of [`DISK_BYTES`].
pub struct SmallDisk {
    filler: PathBuf,
}

impl SmallDisk {
    pub fn mount(_allowed: &OwnMounts, folder: &Path) -> Result<Self> {
        let path = CString::new(folder.as_os_str().as_bytes())?;
        let options = CString::new(format!("size={DISK_BYTES}"))?;
        mount(c"soak", &path, Some(c"tmpfs"), 0, &options)
            .with_context(|| format!("no disk can be mounted at {}", folder.display()))?;
        Ok(Self { filler: folder.join("filler") })
    }

    /// Takes the last byte.
    pub fn fill(&self) -> io::Result<()> {
        let mut file = File::options().append(true).create(true).open(&self.filler)?;
        for step in STEPS_BYTES {
            loop {
                match file.write(&vec![0; step]) {
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::StorageFull => break,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Gives all of it back.
    pub fn free(&self) -> io::Result<()> {
        std::fs::remove_file(&self.filler)
    }
}

fn mount(
    source: &CStr,
    target: &CStr,
    kind: Option<&CStr>,
    flags: libc::c_ulong,
    options: &CStr,
) -> io::Result<()> {
    let kind = kind.map_or(ptr::null(), CStr::as_ptr);
    // SAFETY: all pointers are to strings that outlive the call, or null where the call allows it.
    check(unsafe { libc::mount(source.as_ptr(), target.as_ptr(), kind, flags, options.as_ptr().cast()) })
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
