//! The server under test, with folders of its own.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
};

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::{
    Options,
    api::Api,
    disk::{OwnMounts, SmallDisk},
    log::Log,
    patience::PATIENCE,
    processes,
};

/// The scenes that are to go on, whatever happens to others.
pub const GOOD_SCENES: &[&str] = &["orbit", MOVING_SCENE];
/// That of them which has something new in every picture. One that stands still is sent again once a second.
pub const MOVING_SCENE: &str = "triangle";
/// Before the name of a scene of the folder `hostile`.
const HOSTILE: &str = "hostile-";
/// Sessions beside those that are kept: one that a fault starts, one that proves that it is over, and one that is ending.
const FURTHER_SESSIONS: u16 = 4;
/// All requests here come from one address, and are more than any person makes.
const NO_RATE_LIMIT: &str = "1000000";

/// Where the server keeps what, all of it in one temporary folder.
pub struct Folders {
    root: TempDir,
}

impl Folders {
    fn new() -> Result<Self> {
        let folders = Self { root: TempDir::with_prefix("soak-")? };
        for folder in [folders.scenes(), folders.cache(), folders.disk(), folders.temporary()] {
            std::fs::create_dir(folder)?;
        }
        Ok(folders)
    }

    pub fn scenes(&self) -> PathBuf {
        self.root.path().join("scenes")
    }

    pub fn cache(&self) -> PathBuf {
        self.root.path().join("cache")
    }

    /// Where the small disk is mounted, if there is one.
    fn disk(&self) -> PathBuf {
        self.root.path().join("disk")
    }

    pub fn data(&self) -> PathBuf {
        self.disk().join("data")
    }

    /// What programs take for files that nobody is to see.
    pub fn temporary(&self) -> PathBuf {
        self.root.path().join("temporary")
    }
}

pub struct Server {
    child: Child,
    pub pid: i32,
    pub api: Api,
    pub log: Log,
    pub folders: Folders,
    /// What uploads are written to, or why it is no disk that can be filled.
    pub disk: Result<SmallDisk>,
    /// The hostile scenes that it serves.
    pub hostile_scenes: Vec<String>,
}

impl Server {
    /// Starts it, and waits until it is ready.
    pub async fn start(options: &Options, mounts: Result<OwnMounts>) -> Result<Self> {
        let folders = Folders::new()?;
        let disk = mounts.and_then(|mounts| SmallDisk::mount(&mounts, &folders.disk()));
        let hostile_scenes = copy_scenes(&options.scenes, &folders.scenes())?;
        let mut command = Command::new(&options.scenecast);
        let is_setting = |name: &OsString| {
            name == "RUST_LOG" || name.to_str().is_some_and(|name| name.starts_with("SCENECAST_"))
        };
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_setting(name)) {
            command.env_remove(name);
        }
        command.args(["serve", "--listen", "127.0.0.1:0", "--webrtc-udp-port", "0", "--log-format", "json"]);
        for limit in ["--offers-per-minute", "--uploads-per-minute", "--sessions-per-minute"] {
            command.args([limit, NO_RATE_LIMIT]);
        }
        command.arg("--max-sessions").arg((options.sessions + FURTHER_SESSIONS).to_string());
        command.arg("--scenes").arg(folders.scenes()).arg("--cache-dir").arg(folders.cache());
        command.arg("--data").arg(folders.data()).env("TMPDIR", folders.temporary());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| {
            format!("{} cannot be started; `make build` builds it", options.scenecast.display())
        })?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).context("the server has no process")?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            bail!("the server has no output");
        };
        let log = Log::follow(stderr, folders.root.path().join("log")).await?;
        let mut lines = BufReader::new(stdout).lines();
        let first = timeout(PATIENCE, lines.next_line()).await.context("the server does not get ready")??;
        // Further lines are read, so that the server never writes to a closed pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let origin = first.as_deref().and_then(|line| line.strip_prefix("Scenecast is ready: open "));
        let Some(origin) = origin else {
            let log = std::fs::read_to_string(log.path()).unwrap_or_default();
            bail!("the server did not become ready: it printed {first:?} and logged\n{log}");
        };
        Ok(Self { child, pid, api: Api::new(origin), log, folders, disk, hostile_scenes })
    }

    /// Whether it is gone without having been asked to.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks it to end, and waits for that. `None` when it does not.
    pub async fn end(&mut self) -> Option<ExitStatus> {
        if processes::kill(self.pid, Signal::TERM).is_err() {
            return self.child.try_wait().ok().flatten();
        }
        timeout(PATIENCE, self.child.wait()).await.ok()?.ok()
    }

    /// The processes that it has started and that live.
    pub fn children(&self) -> Vec<i32> {
        processes::children(self.pid)
    }

    /// Workers that have no session yet: those that were started before anybody asks.
    pub fn waiting_workers(&self) -> Vec<i32> {
        let is_worker = |pid: &i32| processes::command_line(*pid).contains(" worker ");
        self.children().into_iter().filter(|pid| is_worker(pid) && !self.log.is_of_session(*pid)).collect()
    }
}

/// Copies the good scenes and the hostile ones, and returns the names of the latter.
fn copy_scenes(from: &Path, to: &Path) -> Result<Vec<String>> {
    let missing = || format!("there are no built scenes in {}; `make scenes` builds them", from.display());
    for name in GOOD_SCENES {
        let file = format!("{name}.wasm");
        std::fs::copy(from.join(&file), to.join(&file)).with_context(missing)?;
    }
    let mut hostile = Vec::new();
    for entry in std::fs::read_dir(from.join("hostile")).with_context(missing)? {
        let path = entry?.path();
        let Some(name) = path.file_stem().and_then(|name| name.to_str()) else { continue };
        let name = format!("{HOSTILE}{name}");
        std::fs::copy(&path, to.join(format!("{name}.wasm")))?;
        hostile.push(name);
    }
    hostile.sort();
    Ok(hostile)
}
