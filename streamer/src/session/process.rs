//! How this binary starts itself again, for workers and for the compiler: with an environment of its own making.

use std::{
    os::unix::{fs::DirBuilderExt, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use renderer_protocol::SceneLimits;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::Command,
    time::Instant,
};

use super::cgroup::{Cgroups, Class, Group};
use crate::text::escape_untrusted;

/// Where an operator says which Vulkan driver and libraries are used, and what is logged. Nothing else is passed on: no credentials of the
/// server's environment, and none of wgpu's switches, of which some turn a protection off.
const PASSED_ON: &[&str] = &[
    "GALLIUM_DRIVER",
    "LD_LIBRARY_PATH",
    "LIBGL_DRIVERS_PATH",
    "LP_NUM_THREADS",
    "RUST_BACKTRACE",
    "RUST_LOG",
    "VK_ADD_DRIVER_FILES",
    "VK_DRIVER_FILES",
    "VK_ICD_FILENAMES",
    "VK_LOADER_DRIVERS_DISABLE",
    "VK_LOADER_DRIVERS_SELECT",
];
/// A line of a driver or a panic; what is longer is cut.
const MAX_STDERR_LINE_BYTES: usize = 2048;
/// A backtrace fits; a process that prints without end does not fill the log.
const MAX_STDERR_LINES_PER_SECOND: u32 = 100;

/// This binary, how its child processes are confined, and what they may have of the machine.
#[derive(Clone, Debug)]
pub struct Program {
    executable: PathBuf,
    cache_dir: PathBuf,
    sandbox: Sandbox,
    cgroups: Cgroups,
    class: Class,
}

/// What holds for every worker.
#[derive(Clone, Copy, Debug)]
pub struct Sandbox {
    /// The memory that its scene may have, a GPU's included.
    pub scene_bytes: u64,
    /// Whether a process that lacks a part of its cell, or a control group, is refused.
    pub is_required: bool,
}

impl Program {
    /// The running binary. Makes the folder of the cache, and those that drivers take for their user's.
    pub fn this_binary(cache_dir: &Path) -> std::io::Result<Self> {
        let cache_dir = std::path::absolute(cache_dir)?;
        for folder in ["home", "run"] {
            // Compiled scenes are native code that workers execute: nobody else may write here.
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(cache_dir.join(folder))?;
        }
        let executable = std::env::current_exe()?;
        let sandbox =
            Sandbox { scene_bytes: SceneLimits::default().total_memory_bytes(), is_required: false };
        Ok(Self { executable, cache_dir, sandbox, cgroups: Cgroups::default(), class: Class::Session })
    }

    /// The same, with this for its workers.
    pub fn with_sandbox(self, sandbox: Sandbox) -> Self {
        Self { sandbox, ..self }
    }

    /// What holds for every worker.
    pub fn sandbox(&self) -> Sandbox {
        self.sandbox
    }

    /// The same with control groups for its child processes.
    pub fn with_cgroups(self, cgroups: Cgroups) -> Self {
        Self { cgroups, ..self }
    }

    /// The same for processes whose result nobody is waiting for at a screen.
    pub fn in_background(&self) -> Self {
        Self { class: Class::Background, ..self.clone() }
    }

    /// Puts a child process that has just been started into its control group, as long as the result is kept. Where the sandbox is
    /// required, it is an error that this cannot be done.
    pub(crate) async fn contain(&self, child: &tokio::process::Child) -> std::io::Result<Group> {
        match child.id() {
            Some(process) => self.cgroups.contain(process, self.class, self.sandbox.is_required).await,
            // It has ended.
            None => Ok(Group::default()),
        }
    }

    /// Where compiled scenes and copies of uploaded ones are.
    pub fn cache_dir(&self) -> &Path {
        &self.cache_dir
    }

    /// A command with the environment that a child process gets. It is ended when its handle is dropped, and is in a process
    /// group of its own, so that a Ctrl-C at the terminal reaches the broker alone, which then ends its sessions in order.
    pub fn command(&self, subcommand: &str) -> Command {
        let mut command = Command::new(&self.executable);
        command.arg(subcommand).env_clear().kill_on_drop(true).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        // Drivers keep no compiled shaders: a cache that workers share would be a way from one to all others, for what one writes the others
        // run, and one of its own would be empty at each start.
        command
            .env("HOME", self.cache_dir.join("home"))
            .env("MESA_SHADER_CACHE_DISABLE", "true")
            .env("__GL_SHADER_DISK_CACHE", "0")
            .env("XDG_RUNTIME_DIR", self.cache_dir.join("run"));
        for name in PASSED_ON {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
    }
}

/// Writes each line of a child's standard error to the log, in the current span.
pub(crate) async fn log_stderr(stderr: impl AsyncRead + Unpin, process: &'static str) {
    log_stderr_and(stderr, process, |_| {}).await;
}

/// The same, and shows each line to somebody before it is left out, perhaps, of the log.
pub(crate) async fn log_stderr_and(
    stderr: impl AsyncRead + Unpin,
    process: &'static str,
    mut look: impl FnMut(&[u8]),
) {
    let mut reader = BufReader::new(stderr);
    let mut budget = LineBudget::new(MAX_STDERR_LINES_PER_SECOND);
    let mut line = Vec::new();
    while let Ok(true) = read_capped_line(&mut reader, &mut line).await {
        look(&line);
        match budget.take(Instant::now()) {
            Admitted::Yes { suppressed: 0 } => {}
            Admitted::Yes { suppressed } => {
                tracing::warn!(process, suppressed, "lines of standard error left out");
            }
            Admitted::No => continue,
        }
        let text = String::from_utf8_lossy(&line);
        tracing::info!(target: "scenecast::child", process, line = %escape_untrusted(&text), "standard error");
    }
}

/// Reads a line into `line`, of which at most [`MAX_STDERR_LINE_BYTES`] are kept. False at the end.
async fn read_capped_line(
    reader: &mut BufReader<impl AsyncRead + Unpin>,
    line: &mut Vec<u8>,
) -> std::io::Result<bool> {
    line.clear();
    let mut any = false;
    loop {
        let available = reader.fill_buf().await?;
        if available.is_empty() {
            return Ok(any);
        }
        any = true;
        let end = available.iter().position(|byte| *byte == b'\n');
        let piece = &available[..end.unwrap_or(available.len())];
        let room = MAX_STDERR_LINE_BYTES.saturating_sub(line.len());
        line.extend(piece.iter().take(room));
        let used = piece.len() + usize::from(end.is_some());
        reader.consume(used);
        if end.is_some() {
            return Ok(true);
        }
    }
}

/// How many lines of an untrusted source are logged in a second.
#[derive(Debug)]
pub(super) struct LineBudget {
    per_second: u32,
    used: u32,
    suppressed: u64,
    second_began: Option<Instant>,
}

/// Whether a line is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admitted {
    /// Yes.
    Yes {
        /// How many were left out since the last one.
        suppressed: u64,
    },
    /// No: too many in this second.
    No,
}

impl LineBudget {
    /// A full budget.
    pub(super) const fn new(per_second: u32) -> Self {
        Self { per_second, used: 0, suppressed: 0, second_began: None }
    }

    /// Asks for one more line.
    pub(super) fn take(&mut self, now: Instant) -> Admitted {
        if self.second_began.is_none_or(|began| now.duration_since(began) >= Duration::from_secs(1)) {
            self.second_began = Some(now);
            self.used = 0;
        }
        if self.used >= self.per_second {
            self.suppressed += 1;
            return Admitted::No;
        }
        self.used += 1;
        Admitted::Yes { suppressed: std::mem::take(&mut self.suppressed) }
    }
}

/// How a process ended, for people.
pub(crate) fn describe_exit(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => {
            let name = rustix::process::Signal::from_named_raw(signal).map_or("", signal_name);
            if name.is_empty() { format!("signal {signal}") } else { format!("signal {signal} ({name})") }
        }
        (None, Some(code)) => format!("exit status {code}"),
        (None, None) => "an unknown exit status".to_owned(),
    }
}

fn signal_name(signal: rustix::process::Signal) -> &'static str {
    use rustix::process::Signal;
    [
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::ILL, "SIGILL"),
        (Signal::INT, "SIGINT"),
        (Signal::KILL, "SIGKILL"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::SYS, "SIGSYS"),
        (Signal::TERM, "SIGTERM"),
        (Signal::XCPU, "SIGXCPU"),
    ]
    .into_iter()
    .find_map(|(known, name)| (known == signal).then_some(name))
    .unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_is_described_by_signal_or_status() {
        assert_eq!(describe_exit(ExitStatus::from_raw(9)), "signal 9 (SIGKILL)");
        assert_eq!(describe_exit(ExitStatus::from_raw(40)), "signal 40");
        assert_eq!(describe_exit(ExitStatus::from_raw(3 << 8)), "exit status 3");
    }

    #[tokio::test]
    async fn long_lines_are_cut_and_the_next_line_is_whole() {
        let text = [vec![b'x'; 100_000], b"\nshort\nlast".to_vec()].concat();
        let mut reader = BufReader::new(text.as_slice());
        let mut line = Vec::new();
        let mut lines = Vec::new();
        while read_capped_line(&mut reader, &mut line).await.unwrap() {
            lines.push(line.clone());
        }
        assert_eq!(lines, [vec![b'x'; MAX_STDERR_LINE_BYTES], b"short".to_vec(), b"last".to_vec()]);
    }

    #[test]
    fn a_source_that_prints_without_end_is_cut_and_the_cut_is_told() {
        let mut budget = LineBudget::new(10);
        let now = Instant::now();
        let admitted = (0..1_000).filter(|_| budget.take(now) != Admitted::No).count();
        assert_eq!(admitted, 10);
        assert_eq!(budget.take(now + Duration::from_secs(1)), Admitted::Yes { suppressed: 990 });
    }
}
