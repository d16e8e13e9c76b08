//! The server's log, read while it is written: which process is which session's, and what should not be there.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Result;
use serde_json::Value;
use tokio::{
    fs::File,
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::ChildStderr,
    task::JoinHandle,
};

/// More are counted and not kept.
const MAX_COMPLAINTS: usize = 100;

/// Lines that a server writes only when something is wrong with itself.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Complaints {
    pub count: usize,
    /// The first of them.
    pub lines: Vec<String>,
}

#[derive(Default)]
struct Noted {
    /// By the beginning of the session's id, which is all that the log tells of it.
    workers: HashMap<String, i32>,
    /// Of these, the sessions that run.
    running: HashSet<String>,
    udp_address: Option<String>,
    complaints: Complaints,
}

pub struct Log {
    path: PathBuf,
    noted: Arc<Mutex<Noted>>,
    reader: JoinHandle<std::io::Result<()>>,
}

impl Log {
    /// Reads a server's standard error to its end, and keeps it in a file.
    pub async fn follow(stderr: ChildStderr, path: PathBuf) -> Result<Self> {
        let mut copy = File::create(&path).await?;
        let noted = Arc::<Mutex<Noted>>::default();
        let pad = Arc::clone(&noted);
        let reader = tokio::spawn(async move {
            let mut lines = BufReader::new(stderr).split(b'\n');
            while let Some(line) = lines.next_segment().await? {
                copy.write_all(&line).await?;
                copy.write_all(b"\n").await?;
                lock(&pad).take(&String::from_utf8_lossy(&line));
            }
            copy.flush().await
        });
        Ok(Self { path, noted, reader })
    }

    /// Waits until the server has written its last line.
    pub async fn end(&mut self) -> Result<()> {
        (&mut self.reader).await??;
        Ok(())
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The process that renders a session.
    pub fn worker_of(&self, session: &str) -> Option<i32> {
        lock(&self.noted).workers.get(session.get(..8)?).copied()
    }

    /// Where all video comes from.
    pub fn udp_address(&self) -> Option<String> {
        lock(&self.noted).udp_address.clone()
    }

    /// Whether a process has a session.
    pub fn is_of_session(&self, worker: i32) -> bool {
        let noted = lock(&self.noted);
        noted.running.iter().any(|session| noted.workers.get(session) == Some(&worker))
    }

    pub fn complaints(&self) -> Complaints {
        lock(&self.noted).complaints.clone()
    }
}

impl Noted {
    fn take(&mut self, line: &str) {
        let Ok(event) = serde_json::from_str::<Value>(line) else {
            // The server writes nothing but JSON: a panic's message, or a library's.
            return self.complain(line);
        };
        let (fields, span) = (&event["fields"], &event["span"]);
        if fields["message"] == "session begins"
            && let (Some(session), Some(pid)) = (span["id"].as_str(), fields["worker_pid"].as_i64())
            && let Ok(pid) = i32::try_from(pid)
        {
            self.workers.insert(session.to_owned(), pid);
            self.running.insert(session.to_owned());
        }
        // The number of a process that is gone is another's some time.
        if fields["message"] == "session ends"
            && let Some(session) = span["id"].as_str()
        {
            self.running.remove(session);
        }
        if fields["message"] == "serving" {
            self.udp_address = fields["udp"].as_str().map(str::to_owned);
        }
        let is_panic_of_child = event["target"] == "scenecast::child"
            && fields["line"].as_str().is_some_and(|line| line.contains("panicked at"));
        if event["level"] == "ERROR" || is_panic_of_child {
            self.complain(line);
        }
    }

    fn complain(&mut self, line: &str) {
        self.complaints.count += 1;
        if self.complaints.lines.len() < MAX_COMPLAINTS {
            self.complaints.lines.push(line.to_owned());
        }
    }
}

/// Notes are whole at every moment, whatever panicked elsewhere.
fn lock(noted: &Mutex<Noted>) -> MutexGuard<'_, Noted> {
    noted.lock().unwrap_or_else(PoisonError::into_inner)
}
