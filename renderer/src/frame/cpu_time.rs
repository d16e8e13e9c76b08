//! Processor time, of a thread and of the process.
//!
//! Wall time says how long a viewer waits; processor time says how many sessions a machine carries. They differ where a stage
//! waits for another thread: a software rasteriser draws in threads of its own.

use rustix::time::{ClockId, clock_gettime};

/// Microseconds of processor time that the calling thread has used.
pub fn thread_us() -> u64 {
    thread_ns() / 1000
}

/// Microseconds of processor time that all threads of this process have used.
pub fn process_us() -> u64 {
    process_ns() / 1000
}

/// [`thread_us`] in nanoseconds, for what takes few of them.
pub fn thread_ns() -> u64 {
    read_ns(ClockId::ThreadCPUTime)
}

/// [`process_us`] in nanoseconds.
pub fn process_ns() -> u64 {
    read_ns(ClockId::ProcessCPUTime)
}

fn read_ns(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    // Neither part of a processor time is negative.
    let part = |value: i64| u64::try_from(value).unwrap_or(0);
    part(time.tv_sec).saturating_mul(1_000_000_000).saturating_add(part(time.tv_nsec))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_uses_processor_time_and_waiting_does_not() {
        let (thread, process) = (thread_us(), process_us());
        std::thread::sleep(std::time::Duration::from_millis(30));
        let slept = thread_us() - thread;
        let mut sum = 0_u64;
        while thread_us() - thread < 30_000 + slept {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(7));
        }
        assert!(slept < 30_000, "a sleep of 30 ms used {slept} µs");
        assert!(process_us() - process >= 30_000);
    }
}
