//! The server that is measured: started, asked, and killed with the program.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) struct Server {
    child: Child,
    pub origin: String,
    agent: ureq::Agent,
    _folder: TempDir,
}

/// A file's name without its extension, which is a scene's.
pub(crate) fn name_of(path: &Path) -> String {
    path.file_stem().expect("a file").to_string_lossy().into_owned()
}

impl Server {
    pub(crate) fn start(
        program: &Path,
        scenes: &Path,
        hostile: &[PathBuf],
        flags: &[String],
        without_cgroups: bool,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mine = [scenes.join("orbit.wasm"), scenes.join("triangle.wasm")];
        for path in mine.iter().chain(hostile) {
            std::fs::copy(path, folder.path().join(format!("{}.wasm", name_of(path)))).expect("a scene");
        }
        let mut command = if without_cgroups {
            let mut command = Command::new("unshare");
            command
                .args(["--mount", "sh", "-c", "umount --recursive --lazy /sys/fs/cgroup; exec \"$0\" \"$@\""])
                .arg(program);
            command
        } else {
            Command::new(program)
        };
        command.args(["serve", "--listen", "127.0.0.1:0", "--webrtc-udp-port", "0", "--frame-rate", "120"]);
        command.args([
            "--max-sessions",
            "64",
            "--sessions-per-minute",
            "1000000",
            "--offers-per-minute",
            "1000000",
        ]);
        command.arg("--scenes").arg(folder.path()).arg("--cache-dir").arg(folder.path().join("cache"));
        command.args(["--log", "warn"]).args(flags);
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the server starts");
        let mut line = String::new();
        let output = child.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut line).expect("a line of the server");
        let origin = line.trim().strip_prefix("Scenecast is ready: open ").expect("a ready server");
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        Self { origin: origin.trim_end_matches('/').to_owned(), child, agent, _folder: folder }
    }

    /// A session's id, or why there is none.
    pub(crate) async fn create(&self, asked: &Value) -> Result<String, String> {
        let (agent, url, asked) =
            (self.agent.clone(), format!("{}/api/sessions", self.origin), asked.to_string());
        let posting = tokio::task::spawn_blocking(move || {
            let mut answer = agent.post(&url).header("content-type", "application/json").send(asked)?;
            answer.body_mut().read_to_string()
        });
        let text = posting.await.expect("asking does not panic").map_err(|error| error.to_string())?;
        let session: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        session["id"].as_str().map(str::to_owned).ok_or(text)
    }

    pub(crate) async fn delete(&self, id: &str) {
        let (agent, url) = (self.agent.clone(), format!("{}/api/sessions/{id}", self.origin));
        let _ = tokio::task::spawn_blocking(move || agent.delete(&url).call().map(drop)).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
