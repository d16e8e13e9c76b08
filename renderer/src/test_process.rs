//! A process of its own for a test: to see what memory it takes, or to give it an environment.

use std::process::Command;

/// Set in the process that a test started for itself.
const ALONE: &str = "SCENECAST_TEST_ALONE";

/// True in a process in which nothing but the calling test runs, with these variables set. Elsewhere it starts that process, fails with
/// it, and is false.
pub(crate) fn is_alone(environment: &[(&str, &str)]) -> bool {
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let thread = std::thread::current();
    let test = thread.name().expect("a test's thread has the test's name");
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(ALONE, "1")
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.contains("1 passed"), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    false
}

/// Bytes of memory that this process occupies now.
pub(crate) fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}
