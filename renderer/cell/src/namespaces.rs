//! A network without any interface and shared memory with nobody. The system calls for both are forbidden as well; this holds if one of
//! them is missed.
//!
//! An ordinary user gets them by way of a user namespace, which many systems do not allow. In it, the limit of processes counts this worker's
//! threads alone.

use rustix::{
    process::{getgid, getuid},
    thread::{UnshareFlags, unshare_unsafe},
};

pub(crate) fn unshare() -> Result<(), String> {
    let own = UnshareFlags::NEWNET | UnshareFlags::NEWIPC;
    if unshare_now(own).is_ok() {
        return Ok(());
    }
    let (user, group) = (getuid().as_raw(), getgid().as_raw());
    unshare_now(own | UnshareFlags::NEWUSER).map_err(|error| error.to_string())?;
    // Every identity is its own, so that files belong to whom they did. Without a map they would be nobody's.
    let write = |file: &str, text: String| {
        std::fs::write(format!("/proc/self/{file}"), text).map_err(|error| format!("{file}: {error}"))
    };
    write("setgroups", "deny".to_owned())?;
    write("uid_map", format!("{user} {user} 1"))?;
    write("gid_map", format!("{group} {group} 1"))
}

fn unshare_now(flags: UnshareFlags) -> rustix::io::Result<()> {
    // SAFETY: the flags share less between processes; neither memory nor file descriptors are among them.
    unsafe { unshare_unsafe(flags) }
}
