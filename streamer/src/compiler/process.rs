//! One run of `scenecast compile`: started with its limits, given its key and its component if it shall compile one, listened to, and killed
//! when it takes too long. Whatever it prints may be its input's doing.

use std::{
    io,
    os::unix::process::ExitStatusExt as _,
    process::{ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, ChildStdin},
    time::timeout,
};
use tracing::Instrument as _;

use super::{
    component::{Component, MAX_READ_BYTES},
    key::ArtifactKey,
    report::{CompileReport, MAX_REPORT_BYTES, read_report},
};
use crate::{
    config::CompileConfig,
    session::process::{Program, describe_exit, log_stderr_and},
};

/// Threads of one compilation: each takes memory, of which there is a limit, and more than these have little to do at once.
const MAX_THREADS: &str = "8";
/// Heaps of the C library, each of which takes 64 MiB of address space before it holds anything; by itself it makes eight for each processor.
const MALLOC_ARENAS: &str = "2";
/// Processors whose whole time a compilation may use. The time on the clock is measured on two; with more it shall be over sooner, not cost more.
const PROCESSORS: u32 = 2;
/// What Rust prints before it ends a process that got no memory.
const OUT_OF_MEMORY: &[u8] = b"memory allocation of ";
/// The exit status of a Rust program that panicked.
const PANICKED: i32 = 101;

/// What a process is started for.
#[derive(Clone, Copy)]
pub(super) enum Task<'a> {
    /// To say for which engine it compiles.
    Identify,
    /// To compile this component, and to seal what it makes with its key.
    Compile(&'a Component, &'a ArtifactKey),
}

/// How a run ended.
#[derive(Debug)]
pub(super) enum Ending {
    /// It said what it came to.
    Report(CompileReport),
    /// It went over a limit.
    OverLimit(Limit),
    /// It died of its input, in other ways.
    Died(String),
    /// It ended without saying why.
    Failed(String),
}

/// What a compilation has only so much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    Time,
    Cpu,
    Memory,
}

impl Limit {
    /// For programs.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Time => "over_time",
            Self::Cpu => "over_cpu_time",
            Self::Memory => "over_memory",
        }
    }

    /// What its author and its operator are told.
    pub(super) fn sentence(self, config: &CompileConfig) -> String {
        let seconds = config.time.as_secs();
        let (memory, cpu) = (config.memory_bytes, cpu_seconds(config));
        match self {
            Self::Time => format!(
                "Compiling it takes longer than {seconds} s, which is all that a scene has here; the server's --compile-seconds sets it."
            ),
            Self::Cpu => format!(
                "Compiling it takes more than {cpu} s of processor time, which is all that a scene has here; it is {PROCESSORS} times \
                 the server's --compile-seconds."
            ),
            Self::Memory => format!(
                "Compiling it takes more than {memory} bytes of memory, which is all that a scene has here; the server's \
                 --compile-memory-bytes sets it."
            ),
        }
    }
}

fn cpu_seconds(config: &CompileConfig) -> u64 {
    config.time.as_secs().saturating_mul(PROCESSORS.into())
}

/// A process and all that it started. They are killed when this is dropped before [`Group::wait`] has returned.
struct Group(Child);

impl Group {
    async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.0.wait().await
    }

    fn kill(&self) {
        // As long as it was not waited for, its number is its own.
        let group = self.0.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        if let Some(group) = group {
            // It may have just ended.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs the process to its end, or to its limit.
pub(super) async fn run(program: &Program, config: &CompileConfig, task: Task<'_>) -> io::Result<Ending> {
    let mut command = program.command("compile");
    command.arg("--cache").arg(program.cache_dir());
    command.args(["--memory-bytes", &config.memory_bytes.to_string()]);
    command.args(["--cpu-seconds", &cpu_seconds(config).to_string()]);
    if program.sandbox().is_required {
        command.arg("--require-sandbox");
    }
    if let Task::Identify = task {
        command.arg("--identify");
    }
    command.env("RAYON_NUM_THREADS", MAX_THREADS).env("MALLOC_ARENA_MAX", MALLOC_ARENAS);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = Group(command.spawn()?);
    // Before it is given anything to compile.
    let lacking = |error| {
        io::Error::other(format!("the sandbox is required and the compiler has no control group: {error}"))
    };
    let control_group = program.contain(&process.0).await.map_err(lacking)?;
    let out_of_memory = Arc::new(AtomicBool::new(false));
    let mut stderr_read = None;
    if let Some(stderr) = process.0.stderr.take() {
        let seen = Arc::clone(&out_of_memory);
        let look = move |line: &[u8]| {
            if line.starts_with(OUT_OF_MEMORY) {
                seen.store(true, Ordering::Relaxed);
            }
        };
        stderr_read = Some(tokio::spawn(log_stderr_and(stderr, "compile", look).in_current_span()));
    }
    let (stdin, stdout) = (process.0.stdin.take(), process.0.stdout.take());
    let conversation = async {
        let give = async {
            match (stdin, task) {
                (Some(stdin), Task::Compile(component, key)) => give(stdin, key, component).await,
                _ => Ok(()),
            }
        };
        let mut output = Vec::new();
        let listen = async {
            match stdout {
                // Whatever follows is not read: the process then ends at a closed pipe.
                Some(stdout) => stdout.take(MAX_REPORT_BYTES).read_to_end(&mut output).await,
                None => Ok(0),
            }
        };
        let (given, heard) = tokio::join!(give, listen);
        given?;
        heard?;
        Ok::<_, io::Error>((output, process.wait().await?))
    };
    let Ok(done) = timeout(config.time, conversation).await else {
        process.kill();
        process.wait().await?;
        return Ok(Ending::OverLimit(Limit::Time));
    };
    let (output, status) = done?;
    // Its last words are there already; a process that handed its standard error on has no longer than this.
    if let Some(stderr_read) = stderr_read {
        let _ = timeout(Duration::from_millis(200), stderr_read).await;
    }
    let is_out_of_memory =
        out_of_memory.load(Ordering::Relaxed) || control_group.ran_out_of_memory().is_some();
    Ok(judge(&output, status, is_out_of_memory))
}

/// A process that ends early does not take everything; how it ended says why.
async fn give(mut stdin: ChildStdin, key: &ArtifactKey, component: &Component) -> io::Result<()> {
    let given = async {
        stdin.write_all(key.as_bytes()).await?;
        match component {
            Component::Bytes(bytes) => stdin.write_all(bytes).await,
            Component::File(path) => {
                let mut file = tokio::fs::File::open(path).await?.take(MAX_READ_BYTES);
                tokio::io::copy(&mut file, &mut stdin).await.map(drop)
            }
        }
    };
    match given.await {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

fn judge(output: &[u8], status: ExitStatus, is_out_of_memory: bool) -> Ending {
    match read_report(output) {
        Some(CompileReport::OutOfMemory) => return Ending::OverLimit(Limit::Memory),
        Some(report) if status.success() => return Ending::Report(report),
        _ => {}
    }
    let how = describe_exit(status);
    match (status.signal(), status.code()) {
        (Some(signal), _) if signal == Signal::XCPU.as_raw() => Ending::OverLimit(Limit::Cpu),
        (Some(_), _) | (_, Some(PANICKED)) if is_out_of_memory => Ending::OverLimit(Limit::Memory),
        // Sent by the machine that has no memory left, or by somebody on it: the scene is no worse for it.
        (Some(signal), _) if [Signal::KILL, Signal::TERM].map(Signal::as_raw).contains(&signal) => {
            Ending::Failed(how)
        }
        (Some(_), _) => Ending::Died(how),
        (_, Some(PANICKED)) => Ending::Died("it panicked".to_owned()),
        _ => Ending::Failed(how),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: &[u8] = br#"{"ok":{"entry":"x"}}"#;

    #[test]
    fn an_end_by_a_limit_says_which() {
        let killed_by = |signal: Signal| ExitStatus::from_raw(signal.as_raw());
        assert!(matches!(judge(b"", killed_by(Signal::XCPU), false), Ending::OverLimit(Limit::Cpu)));
        assert!(matches!(judge(b"", killed_by(Signal::ABORT), true), Ending::OverLimit(Limit::Memory)));
        let exited = ExitStatus::from_raw(0);
        assert!(matches!(judge(b"\"out_of_memory\"", exited, false), Ending::OverLimit(Limit::Memory)));
        let config = CompileConfig { time: Duration::from_secs(30), memory_bytes: 1 << 30 };
        assert!(Limit::Time.sentence(&config).contains("longer than 30 s"));
        assert!(Limit::Cpu.sentence(&config).contains("more than 60 s of processor time"));
        assert!(Limit::Memory.sentence(&config).contains("more than 1073741824 bytes"));
    }

    #[test]
    fn a_process_that_dies_of_its_input_is_told_from_one_that_fails() {
        let status = ExitStatus::from_raw;
        assert!(matches!(judge(b"", status(Signal::SEGV.as_raw()), false), Ending::Died(_)));
        assert!(matches!(judge(b"", status(PANICKED << 8), false), Ending::Died(_)));
        assert!(matches!(judge(b"", status(1 << 8), false), Ending::Failed(_)));
        assert!(matches!(judge(b"", status(0), false), Ending::Failed(_)));
        assert!(matches!(judge(OK, status(0), false), Ending::Report(CompileReport::Ok { .. })));
        // What it said before it died is not believed.
        assert!(matches!(judge(OK, status(Signal::SEGV.as_raw()), false), Ending::Died(_)));
    }

    #[test]
    fn a_process_that_somebody_kills_does_not_make_its_scene_uncompilable() {
        let killed_by = |signal: Signal| ExitStatus::from_raw(signal.as_raw());
        for signal in [Signal::KILL, Signal::TERM] {
            assert!(matches!(judge(b"", killed_by(signal), false), Ending::Failed(_)));
            assert!(matches!(judge(OK, killed_by(signal), false), Ending::Failed(_)));
        }
        // Unless the kernel killed it because it was over the memory that it may have.
        assert!(matches!(judge(b"", killed_by(Signal::KILL), true), Ending::OverLimit(Limit::Memory)));
    }
}
