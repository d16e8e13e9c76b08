//! What the kernel says about the server's processes.

use std::{collections::BTreeSet, path::PathBuf};

use anyhow::{Context as _, Result};
use procfs::process::{Process, all_processes};
use rustix::process::{Pid, Signal};

/// From now on, a process whose parent ends without waiting for it becomes our child instead of disappearing among all others.
pub fn adopt_orphans() -> Result<()> {
    let ourselves = rustix::process::getpid();
    rustix::process::set_child_subreaper(Some(ourselves)).context("orphans cannot be adopted")
}

pub fn kill(pid: i32, signal: Signal) -> Result<()> {
    let process = Pid::from_raw(pid).context("no process has this id")?;
    rustix::process::kill_process(process, signal)
        .with_context(|| format!("process {pid} cannot be signalled"))
}

/// Whether a process is there and has not ended: one that nobody has waited for yet is not.
pub fn lives(pid: i32) -> bool {
    Process::new(pid).and_then(|process| process.stat()).is_ok_and(|stat| stat.state != 'Z')
}

/// Processes that live and were started by this one.
pub fn children(parent: i32) -> Vec<i32> {
    let processes = all_processes().into_iter().flatten().flatten();
    let stats = processes.filter_map(|process| process.stat().ok());
    stats.filter(|stat| stat.ppid == parent && stat.state != 'Z').map(|stat| stat.pid).collect()
}

/// Processes that the server left behind, each with its command line. The server itself is none.
pub fn orphans(server: i32) -> Vec<String> {
    let ourselves = rustix::process::getpid().as_raw_pid();
    let of_us = children(ourselves).into_iter().filter(|pid| *pid != server);
    of_us.map(|pid| format!("{pid}: {}", command_line(pid))).collect()
}

pub fn command_line(pid: i32) -> String {
    Process::new(pid).and_then(|process| process.cmdline()).unwrap_or_default().join(" ")
}

/// Memory of a process, in bytes.
pub fn resident_bytes(pid: i32) -> Result<u64> {
    Ok(Process::new(pid)?.stat()?.rss * procfs::page_size())
}

/// What a process has open, each as the kernel names it.
pub fn descriptors(pid: i32) -> Result<Vec<String>> {
    let descriptors = Process::new(pid)?.fd()?.flatten();
    Ok(descriptors.map(|descriptor| format!("{:?}", descriptor.target)).collect())
}

/// The cgroups that a process is in, as folders.
pub fn cgroups(pid: i32) -> BTreeSet<PathBuf> {
    let groups = Process::new(pid).and_then(|process| process.cgroups()).into_iter().flatten();
    groups
        .map(|group| {
            // Version 2 is the tree without a number, which may stand beside those of version 1.
            let mut tree = PathBuf::from("/sys/fs/cgroup");
            if group.hierarchy > 0 {
                tree.push(group.controllers.join(",").trim_start_matches("name="));
            } else if tree.join("unified").exists() {
                tree.push("unified");
            }
            tree.join(group.pathname.trim_start_matches('/'))
        })
        .collect()
}
