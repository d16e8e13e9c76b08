use std::{
    ffi::OsString,
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tests::viewer::{Joining, Viewer};

use crate::binary;

/// Nothing that is waited for here takes longer on a machine that is merely busy.
const PATIENCE: Duration = Duration::from_mins(1);

/// The binary under test, with an environment in which no setting of the machine has an effect.
pub fn scenecast() -> Command {
    let mut command = Command::new(binary::scenecast());
    let is_setting = |(name, _): &(OsString, OsString)| {
        name == "RUST_LOG" || name.to_str().is_some_and(|name| name.starts_with("SCENECAST_"))
    };
    for (name, _) in std::env::vars_os().filter(is_setting) {
        command.env_remove(name);
    }
    command
}

/// Calls `look` until it returns something, and fails the test when it never does.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited for {what} in vain");
        thread::sleep(Duration::from_millis(20));
    }
}

/// How to start a server.
#[derive(Default)]
pub struct ServerOptions<'a> {
    /// Files to serve as scenes, by name, with their content.
    pub scenes: &'a [(&'a str, &'a [u8])],
    /// Scenes of this project, built by `make scenes`.
    pub built_scenes: &'a [&'a str],
    /// Where uploaded scenes are kept; a folder of the test's own if not said.
    pub data: Option<&'a Path>,
    /// Where compiled scenes are kept; one folder for all tests if not said.
    pub cache: Option<&'a Path>,
    /// Further flags of `serve`.
    pub flags: &'a [&'a str],
    /// Further variables of its environment.
    pub environment: &'a [(&'a str, &'a str)],
}

/// A running `scenecast serve`. Killed, and its log shown if the test failed, when dropped.
pub struct Server {
    child: Child,
    /// `http://127.0.0.1:PORT`.
    pub origin: String,
    log: PathBuf,
    agent: ureq::Agent,
    _folder: TempDir,
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: ureq::http::HeaderMap,
    pub bytes: Vec<u8>,
    pub text: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("headers here are ASCII"))
    }

    /// Fails the test unless this is a problem with that status and code.
    pub fn assert_problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!((&problem["code"], &problem["status"]), (&code.into(), &status.into()), "{self:?}");
        problem
    }
}

impl Server {
    pub fn start(options: &ServerOptions<'_>) -> Self {
        Self::start_as(scenecast(), options)
    }

    /// A server that is started by this command.
    pub fn start_as(mut command: Command, options: &ServerOptions<'_>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let scenes = folder.path().join("scenes");
        std::fs::create_dir(&scenes).expect("a folder for scenes");
        for (name, content) in options.scenes {
            std::fs::write(scenes.join(name), content).expect("a scene");
        }
        for name in options.built_scenes {
            let file = name.rsplit('/').next().unwrap_or(name);
            std::fs::copy(binary::scene(name), scenes.join(format!("{file}.wasm")))
                .expect("a copy of the scene");
        }
        let log = folder.path().join("log");
        // One cache for all tests: each scene is compiled once.
        let common_cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scenecast-cache");
        let cache = options.cache.unwrap_or(&common_cache);
        let own_data = folder.path().join("data");
        let data = options.data.unwrap_or(&own_data);
        command.args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--webrtc-udp-port",
            "0",
            "--log",
            "debug,rtc=warn",
        ]);
        command.arg("--scenes").arg(&scenes).arg("--cache-dir").arg(cache);
        command.arg("--data").arg(data).args(options.flags);
        command.envs(options.environment.iter().copied());
        // Most tests look at the processes that they have caused themselves.
        if !options.flags.contains(&"--warm-workers") {
            command.args(["--warm-workers", "0"]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(&log).expect("a log file"));
        let mut child = command.spawn().expect("the server starts");
        let address = first_line(&mut child);
        let ready = address.as_deref().and_then(|line| line.strip_prefix("Scenecast is ready: open "));
        let Some(origin) = ready.map(|address| address.trim_end_matches('/').to_owned()) else {
            let _ = child.kill();
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            panic!("the server did not become ready: it printed {address:?} and logged\n{log}");
        };
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .max_redirects(0)
            .allow_non_standard_methods(true)
            .build();
        Self { child, origin, log, agent: config.into(), _folder: folder }
    }

    pub fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], b"")
    }

    pub fn post_json(&self, path: &str, body: &Value) -> Reply {
        self.send("POST", path, &[("content-type", "application/json")], body.to_string().as_bytes())
    }

    pub fn post_sdp(&self, path: &str, sdp: &[u8]) -> Reply {
        self.send("POST", path, &[("content-type", "application/sdp")], sdp)
    }

    /// Uploads a scene; the name is as it stands in an address.
    pub fn upload(&self, name: &str, component: &[u8]) -> Reply {
        self.send(
            "POST",
            &format!("/api/scenes?name={name}"),
            &[("content-type", "application/wasm")],
            component,
        )
    }

    pub fn delete(&self, path: &str) -> Reply {
        self.send("DELETE", path, &[], b"")
    }

    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.origin));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = if body.is_empty() {
            self.agent.run(request.body(()).expect("a request"))
        } else {
            self.agent.run(request.body(body).expect("a request"))
        };
        let mut answer = answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        let bytes = answer.body_mut().read_to_vec().expect("a body");
        Reply {
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            text: String::from_utf8_lossy(&bytes).into_owned(),
            bytes,
        }
    }

    /// Waits until the server has found out whether it has a GPU: what it starts for that is gone then.
    pub fn wait_until_ready(&self) {
        wait_for("the server to be ready", || (self.get("/api/health").status == 200).then_some(()));
    }

    /// The value of a metric.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let text = self.get("/api/metrics").text;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        value.parse().ok()
    }

    /// Creates a session of a scene and waits until it runs.
    pub fn running_session(&self, scene: &str) -> String {
        self.wait_until_ready();
        let created = self.post_json("/api/sessions", &serde_json::json!({ "scene": scene }));
        assert_eq!(created.status, 201, "{created:?}");
        let id = created.json()["id"].as_str().expect("an id").to_owned();
        wait_for("the session to run", || (self.session(&id)["state"] == "running").then_some(()));
        id
    }

    pub fn session(&self, id: &str) -> Value {
        let reply = self.get(&format!("/api/sessions/{id}"));
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()
    }

    /// Memory of the server's process in bytes, and its open descriptors.
    pub fn resources(&self) -> (u64, usize) {
        let process = procfs::process::Process::new(self.process().as_raw_nonzero().get())
            .expect("the server is there");
        let memory = process.status().expect("its status").vmrss.expect("it has memory") * 1024;
        (memory, process.fd_count().expect("its descriptors"))
    }

    /// The processes that the server has started and that are there now.
    pub fn children(&self) -> Vec<Pid> {
        let pid = self.child.id();
        let mut children = Vec::new();
        // A thread's file lists what that thread started.
        for task in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let list = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            children.extend(list.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)));
        }
        children
    }

    /// Ends it in the way in which nothing can be tidied up.
    pub fn kill(&mut self) {
        self.child.kill().expect("the server is there");
        self.child.wait().expect("it is our child");
    }

    /// The server's own process.
    pub fn process(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// The memory that the server's own process has, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0) * 1024
    }

    /// How many descriptors the server's own process has open.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).map_or(0, Iterator::count)
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Sends a signal to the server itself.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.process(), signal).expect("the server is there");
    }

    /// Sends SIGTERM and waits for the end.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Waits for the end.
    pub fn wait(&mut self) -> ExitStatus {
        wait_for("the server to end", || self.child.try_wait().expect("it is our child"))
    }
}

/// A viewer that has joined a session.
pub async fn watch(server: &Server, session: &str) -> Viewer {
    let joining =
        Joining { origin: server.origin.clone(), whep: format!("/whep/{session}"), ..Joining::default() };
    Viewer::join(joining).await.unwrap_or_else(|error| panic!("the viewer does not join: {error:?}"))
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            eprintln!("the server's log:\n{log}");
        }
    }
}

/// The first line of a child's output; `None` when it ends without one, or says nothing for long.
fn first_line(child: &mut Child) -> Option<String> {
    let output = BufReader::new(child.stdout.take()?);
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            // Further lines are read so that the server never writes to a closed pipe.
            let _ = sender.send(line);
        }
    });
    receiver.recv_timeout(PATIENCE).ok()
}
