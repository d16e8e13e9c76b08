//! A real worker process, spoken to as the broker does.

use std::{
    fs::File,
    os::{fd::OwnedFd, unix::net::UnixStream as StdUnixStream},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use renderer_protocol::{
    AccessUnit, EndReason, FrameSize, FromWorker, Lacking, LogLine, SceneFault, SceneLimits, Start, ToWorker,
    codec,
    handover::{self, FileGiver},
};
use tokio::{
    net::UnixStream,
    process::{Child, Command},
    time::timeout,
};

use super::compiler;
use crate::binary::scenecast;

/// Long enough for a busy machine; a worker that needs it is stuck.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The largest guest of the tests, a Python interpreter, takes the compiler 20 s on two cores.
const COMPILER_PATIENCE: Duration = Duration::from_mins(5);

/// The file in a worker's folder that holds what it wrote to standard error.
const STDERR: &str = "stderr";

pub struct Worker {
    process: Child,
    socket: Option<UnixStream>,
    artifact: Option<FileGiver>,
    cache: tempfile::TempDir,
}

impl Worker {
    /// A worker that has greeted and opened its GPU.
    pub async fn start() -> Self {
        Self::start_in(&[]).await
    }

    /// A worker whose environment has these variables too.
    pub async fn start_in(environment: &[(&str, &str)]) -> Self {
        let (ours, theirs) = StdUnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let (artifact, taker) = handover::pair().unwrap();
        let cache = tempfile::tempdir().unwrap();
        let process = Command::new(scenecast())
            .arg("worker")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(OwnedFd::from(taker)))
            .stderr(Stdio::from(File::create(cache.path().join(STDERR)).unwrap()))
            .env("MESA_SHADER_CACHE_DISABLE", "true")
            .envs(environment.iter().copied())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let socket = Some(UnixStream::from_std(ours).unwrap());
        let mut worker = Self { process, socket, artifact: Some(artifact), cache };
        timeout(PATIENCE, codec::greet(worker.socket())).await.unwrap().unwrap();
        let FromWorker::Ready { adapter, cell } = worker.next().await else { panic!("not ready") };
        assert!(!adapter.name.is_empty());
        assert_eq!(
            cell.missing().collect::<Vec<_>>(),
            Vec::<&Lacking>::new(),
            "this machine has all that the sandbox needs"
        );
        worker
    }

    fn socket(&mut self) -> &mut UnixStream {
        self.socket.as_mut().expect("the worker's socket is open")
    }

    /// A worker in which a scene runs at 320x180 and 30 Hz, watched.
    pub async fn running(scene: &Path) -> Self {
        Self::running_with(scene, |_| {}).await
    }

    /// The same, with changes to what it is started with.
    pub async fn running_with(scene: &Path, change: impl FnOnce(&mut Start)) -> Self {
        let mut worker = Self::start().await;
        worker.run_with(scene, change).await;
        worker
    }

    /// Runs a scene at 320x180 and 30 Hz, watched.
    pub async fn run(&mut self, scene: &Path) {
        self.run_with(scene, |_| {}).await;
    }

    async fn run_with(&mut self, scene: &Path, change: impl FnOnce(&mut Start)) {
        let artifact = File::open(self.compile(scene).await).unwrap();
        self.artifact.take().expect("a worker runs one scene").give(&artifact).unwrap();
        let mut start = start();
        change(&mut start);
        self.send(&ToWorker::Start(start)).await;
        self.send(&ToWorker::SetWatched(true)).await;
    }

    /// What it has written to standard error.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.cache.path().join(STDERR)).unwrap()).into_owned()
    }

    /// The memory that it has, in bytes; 0 after its end.
    pub fn resident_bytes(&self) -> u64 {
        let Some(pid) = self.process.id() else { return 0 };
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kib.unwrap_or(0) * 1024
    }

    pub async fn compile(&self, scene: &Path) -> PathBuf {
        let answer = self.compiler_answer(scene).await;
        let entry = answer["ok"]["entry"].as_str().unwrap_or_else(|| panic!("{answer}"));
        self.cache.path().join("artifacts").join(entry)
    }

    /// What the compiler process says to a scene.
    pub async fn compiler_answer(&self, scene: &Path) -> serde_json::Value {
        let (component, cache) = (std::fs::read(scene).unwrap(), self.cache.path().to_owned());
        let answer = tokio::task::spawn_blocking(move || compiler::answer(&component, &cache));
        timeout(COMPILER_PATIENCE, answer).await.unwrap().unwrap()
    }

    pub async fn send(&mut self, message: &ToWorker) {
        codec::write(self.socket(), message).await.unwrap();
    }

    /// The next message; `None` when the worker has closed the connection.
    pub async fn next_or_end(&mut self) -> Option<FromWorker> {
        timeout(PATIENCE, codec::read(self.socket())).await.expect("a message or the end").ok()
    }

    pub async fn next(&mut self) -> FromWorker {
        let message: FromWorker = timeout(PATIENCE, codec::read(self.socket())).await.unwrap().unwrap();
        message.check().unwrap();
        message
    }

    pub async fn next_unit(&mut self) -> AccessUnit {
        loop {
            match self.next().await {
                FromWorker::AccessUnit(unit) => return unit,
                FromWorker::Ended(reason) => panic!("the session ended: {reason}"),
                _ => {}
            }
        }
    }

    pub async fn unit_where(&mut self, wanted: impl Fn(&AccessUnit) -> bool) -> AccessUnit {
        timeout(PATIENCE, async {
            loop {
                let unit = self.next_unit().await;
                if wanted(&unit) {
                    return unit;
                }
            }
        })
        .await
        .expect("an access unit of that kind")
    }

    /// Closes the connection, as a broker that dies does.
    pub fn hang_up(&mut self) {
        self.socket = None;
    }

    /// Waits for the process to end.
    pub async fn exit(&mut self) -> ExitStatus {
        timeout(PATIENCE, self.process.wait()).await.expect("an exit").unwrap()
    }

    /// All lines of the scene's output until its end, and the end.
    pub async fn output(&mut self) -> (Vec<LogLine>, EndReason) {
        let mut lines = Vec::new();
        loop {
            match self.next().await {
                FromWorker::Log(line) => lines.push(line),
                FromWorker::Ended(reason) => return (lines, reason),
                _ => {}
            }
        }
    }

    pub async fn end(&mut self) -> EndReason {
        timeout(PATIENCE, async {
            loop {
                if let FromWorker::Ended(reason) = self.next().await {
                    return reason;
                }
            }
        })
        .await
        .expect("an end")
    }
}

/// The scene ended by a limit, which the end names.
#[track_caller]
pub fn assert_over_limit(end: &EndReason, limit: &str) {
    let EndReason::Scene(SceneFault::Limit(why)) = end else { panic!("{end:?}") };
    assert!(why.contains(limit), "{why}");
}

/// What the tests start scenes with.
fn start() -> Start {
    Start {
        size: size(320, 180),
        frame_rate_hz: 30,
        bitrate_bps: 1_000_000,
        seed: 1,
        limits: SceneLimits::default(),
    }
}

/// A size that is one.
pub fn size(width: u32, height: u32) -> FrameSize {
    FrameSize::new(width, height).unwrap()
}

impl Drop for Worker {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the worker's standard error:\n{}", self.stderr());
        }
    }
}
