//! What the server's processes use of the machine, read from /proc when somebody asks.
//!
//! Knows process ids and nothing of sessions. A process that ends meanwhile is left out.

use procfs::{process::Process, ticks_per_second};

/// What one process uses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Usage {
    /// Of memory, now.
    pub resident_bytes: u64,
    /// Of all its threads, since it began.
    pub cpu_seconds: f64,
}

/// What the broker uses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct BrokerUsage {
    /// Like a worker's.
    pub usage: Usage,
    /// Descriptors.
    pub open_files: usize,
    /// Of all child processes that have ended.
    pub ended_children_cpu_seconds: f64,
}

/// What this process uses; `None` when it is gone.
pub(super) fn of_process(process: u32) -> Option<Usage> {
    let process = Process::new(i32::try_from(process).ok()?).ok()?;
    usage(&process)
}

/// What the calling process uses.
pub(super) fn of_broker() -> Option<BrokerUsage> {
    let process = Process::myself().ok()?;
    let stat = process.stat().ok()?;
    let ended = stat.cutime.saturating_add(stat.cstime);
    Some(BrokerUsage {
        usage: usage(&process)?,
        open_files: process.fd_count().ok()?,
        ended_children_cpu_seconds: seconds(u64::try_from(ended).unwrap_or(0)),
    })
}

fn usage(process: &Process) -> Option<Usage> {
    let stat = process.stat().ok()?;
    let resident_bytes = stat.rss.saturating_mul(procfs::page_size());
    Some(Usage { resident_bytes, cpu_seconds: seconds(stat.utime.saturating_add(stat.stime)) })
}

#[allow(clippy::cast_precision_loss, reason = "a process would have to run for ages before a tick were lost")]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / ticks_per_second().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_there_uses_memory_and_one_that_is_not_is_none() {
        let usage = of_process(std::process::id()).unwrap();
        assert!(usage.resident_bytes > 1 << 20, "{usage:?}");
        assert!(of_broker().unwrap().open_files >= 3);
        assert_eq!(of_process(u32::MAX), None);
    }
}
