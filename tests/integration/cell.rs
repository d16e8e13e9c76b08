//! What confines a worker, tried from inside by one that was taken over, and looked at from outside while a scene runs.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::{fs::PermissionsExt as _, net::UnixDatagram, process::ExitStatusExt as _},
    path::Path,
    process::{Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::{Value, json};

use crate::{
    binary,
    support::{Server, ServerOptions, wait_for},
};

/// What the evil worker tried, line by line.
fn lines(arguments: &[&str]) -> Vec<Value> {
    let output = Command::new(binary::evil_worker())
        .args(arguments)
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(std::os::unix::net::UnixStream::pair().unwrap().0)))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// A folder of the server's, with something in it that is worth to be read or changed, and with the socket of a service that takes
/// datagrams of anybody of this user, as that of the system's log does.
fn cache() -> (tempfile::TempDir, UnixDatagram) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("artifact"), "native code of somebody's scene").unwrap();
    let service = UnixDatagram::bind(folder.path().join("socket")).unwrap();
    service.set_nonblocking(true).unwrap();
    (folder, service)
}

fn refused(line: &Value) -> Option<&str> {
    line["refused"].as_str()
}

#[test]
fn row_33_nothing_that_a_worker_tries_when_it_was_taken_over_succeeds() {
    let (folder, service) = cache();
    let lines = lines(&["attempts", folder.path().to_str().unwrap()]);
    let successes: Vec<_> = lines.iter().filter(|line| refused(line).is_none()).collect();
    assert_eq!(successes, Vec::<&Value>::new());
    let names: BTreeSet<_> = lines.iter().map(|line| line["attempt"].as_str().unwrap()).collect();
    assert!(names.len() >= 140, "{} attempts: {names:?}", names.len());
    // A pair that it may have would not lead there either; but then it would be the kernel that said so, and not the filter.
    let refusal = |attempt: &str| lines.iter().find(|line| line["attempt"] == attempt).and_then(refused);
    for attempt in ["the same from a pair that it may have", "1,025 descriptors in flight"] {
        assert!(refusal(attempt).unwrap().contains("Operation not permitted"), "{attempt}");
    }
    assert_eq!(service.recv(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
    assert_eq!(fs::read(folder.path().join("artifact")).unwrap(), b"native code of somebody's scene");
}

#[test]
fn row_33_a_compiler_that_was_taken_over_puts_files_into_its_folder_and_reads_nothing_of_it() {
    let (folder, _service) = cache();
    let artifact = folder.path().join("artifact");
    fs::set_permissions(&artifact, fs::Permissions::from_mode(0o400)).unwrap();
    let lines = lines(&["attempts-of-a-compiler", folder.path().to_str().unwrap()]);
    let successes: Vec<_> =
        lines.iter().filter(|line| refused(line).is_none()).map(|line| &line["attempt"]).collect();
    assert_eq!(successes, ["put a file"]);
    assert!(lines.len() >= 100, "{} attempts", lines.len());
    assert_eq!(fs::read(artifact).unwrap(), b"native code of somebody's scene");
}

#[test]
fn row_33_what_it_tries_can_be_done_outside_of_a_cell() {
    let (folder, service) = cache();
    let lines = lines(&["attempts-outside-of-a-cell", folder.path().to_str().unwrap()]);
    let refusals: Vec<_> = lines.iter().filter(|line| refused(line).is_some()).collect();
    assert_eq!(refusals, Vec::<&Value>::new());
    assert!(lines.len() >= 20, "{lines:?}");
    let mut datagram = [0; 8];
    let bytes = service.recv(&mut datagram).unwrap();
    assert_eq!(&datagram[..bytes], b"evil");
}

#[cfg(target_arch = "x86_64")]
#[test]
fn row_33_a_system_call_by_the_gate_of_32_bit_programs_ends_the_process() {
    let output = Command::new(binary::evil_worker()).arg("old-system-call").output().unwrap();
    // A kernel that has no such gate sends SIGSEGV.
    assert!(matches!(output.status.signal(), Some(libc::SIGSYS | libc::SIGSEGV)), "{output:?}");
}

#[test]
fn row_34_processes_files_and_memory_have_an_end() {
    let (folder, _service) = cache();
    let lines = lines(&["attempts", folder.path().to_str().unwrap()]);
    let stopped = |attempt: &str| {
        let line = lines.iter().find(|line| line["attempt"] == attempt);
        let line = line.unwrap_or_else(|| panic!("{attempt} was tried"));
        refused(line).unwrap_or_else(|| panic!("{line}")).to_owned()
    };
    assert!(stopped("fork bomb").starts_with("after 0: "));
    assert!(stopped("files in the cache").starts_with("after 0: "));
    assert!(stopped("open files").contains("Too many open files"));
    assert!(stopped("a file beyond the largest size").contains("File too large"));
    assert!(stopped("address space beyond the limit").contains("Cannot allocate memory"));
    assert!(stopped("private memory, in GiB").contains("Cannot allocate memory"));
    for attempt in ["more open files", "more memory", "core dumps"] {
        stopped(attempt);
    }
}

/// Control groups need a kernel and a user that allow them, which a container need not have. They are not part of the cell, and a server
/// that requires the sandbox requires them too.
fn lacks_control_groups(log: &str) -> bool {
    log.contains("control groups of workers lack something")
        || log.contains("workers cannot be put into control groups")
}

fn orbit(flags: &[&str]) -> Server {
    Server::start(&ServerOptions { built_scenes: &["orbit"], flags, ..ServerOptions::default() })
}

/// The process of the one session, when no other one is at work.
fn only_worker(server: &Server) -> Pid {
    wait_for("one worker alone", || <[Pid; 1]>::try_from(server.children()).ok())[0]
}

fn proc(pid: Pid, file: &str) -> String {
    String::from_utf8_lossy(&fs::read(format!("/proc/{}/{file}", pid.as_raw_nonzero())).unwrap()).into_owned()
}

/// The value of a line `Name: value`.
fn value<'a>(text: &'a str, name: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("{name} is in {text}")).trim()
}

#[test]
fn row_33_a_worker_with_a_scene_runs_in_this_cell_with_all_its_threads() {
    let mut server = orbit(&[]);
    let log = server.log();
    assert!(!log.contains("LESS CONFINED"), "{log}");
    if lacks_control_groups(&log) {
        eprintln!(
            "not required of the server, which has no control groups on this machine; the cell is whole all the same"
        );
    } else {
        server = orbit(&["--require-sandbox"]);
    }
    server.running_session("orbit");
    let pid = only_worker(&server);
    let threads: Vec<_> = fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero())).unwrap().collect();
    assert!(threads.len() > 1, "a worker has threads");
    for thread in threads {
        let status = fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        assert_eq!(value(&status, "NoNewPrivs"), "1");
        // 2 is a filter.
        assert_eq!(value(&status, "Seccomp"), "2");
        // Only root can give the last one up, and others have nothing from it.
        let bounding = rustix::process::geteuid().is_root().then_some("CapBnd");
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"].into_iter().chain(bounding) {
            assert_eq!(value(&status, set), "0000000000000000", "{set}");
        }
    }
    let limits = proc(pid, "limits");
    let limit = |name: &str| {
        let line =
            limits.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{limits}"));
        line.split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(limit("Max core file size"), ["0", "0"]);
    assert_eq!(limit("Max open files"), ["1024", "1024"]);
    for name in ["Max data size", "Max address space", "Max file size"] {
        assert_ne!(limit(name), ["unlimited", "unlimited"], "{name}");
    }
}

#[test]
fn row_33_a_worker_has_an_environment_and_files_of_its_own_alone() {
    // A file that whoever started the server left open for its children.
    let mut command = Command::new("sh");
    command.args(["-c", r#"exec "$0" "$@" 9</etc/passwd"#]).arg(binary::scenecast());
    command.env("SCENECAST_TEST_SECRET", "of the server").env("WGPU_VALIDATION_INDIRECT_CALL", "0");
    let options = ServerOptions { built_scenes: &["orbit"], ..ServerOptions::default() };
    let server = Server::start_as(command, &options);
    server.running_session("orbit");
    let allowed = [
        "GALLIUM_DRIVER",
        "HOME",
        "LD_LIBRARY_PATH",
        "LIBGL_DRIVERS_PATH",
        "LP_NUM_THREADS",
        "MESA_SHADER_CACHE_DISABLE",
        "RUST_BACKTRACE",
        "RUST_LOG",
        "VK_ADD_DRIVER_FILES",
        "VK_DRIVER_FILES",
        "VK_ICD_FILENAMES",
        "VK_LOADER_DRIVERS_DISABLE",
        "VK_LOADER_DRIVERS_SELECT",
        "XDG_RUNTIME_DIR",
        "__GL_SHADER_DISK_CACHE",
    ];
    let pid = only_worker(&server);
    for variable in proc(pid, "environ").split_terminator('\0') {
        let name = variable.split('=').next().unwrap();
        assert!(allowed.contains(&name), "{variable}");
    }
    for entry in fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero())).unwrap() {
        let Ok(file) = fs::read_link(entry.unwrap().path()) else { continue };
        let file = file.to_str().unwrap();
        let is_own = ["socket:", "pipe:", "anon_inode:", "/memfd:", "/dev/dri/", "/dev/nvidia"]
            .iter()
            .any(|start| file.starts_with(start));
        // The scene, which it was given, may still be open.
        assert!(
            is_own || Path::new(file).extension().is_some_and(|extension| extension == "cwasm"),
            "{file}"
        );
    }
}

#[test]
fn a_worker_that_cannot_notice_anything_dies_with_a_server_that_is_killed() {
    let mut server = orbit(&[]);
    server.running_session("orbit");
    let workers = server.children();
    assert!(!workers.is_empty());
    for worker in &workers {
        // It will not see that its socket is closed.
        kill_process(*worker, Signal::STOP).unwrap();
    }
    server.kill();
    wait_for("the workers to be gone", || workers.iter().all(|worker| is_gone(*worker)).then_some(()));
}

/// Nobody may be there to take a dead process's status.
fn is_gone(process: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", process.as_raw_nonzero())).unwrap_or_default();
    test_kill_process(process).is_err() || status.lines().any(|line| line.starts_with("State:\tZ"))
}

/// The server, on a kernel without Landlock.
fn without_landlock() -> Command {
    let mut command = Command::new(binary::evil_worker());
    command.arg("without-landlock").arg(binary::scenecast());
    command
}

#[test]
fn row_33_a_server_that_requires_the_sandbox_does_not_start_where_a_part_is_lacking() {
    let folder = tempfile::tempdir().unwrap();
    let output = without_landlock()
        .args(["serve", "--listen", "127.0.0.1:0", "--webrtc-udp-port", "0", "--require-sandbox", "--scenes"])
        .arg(folder.path())
        .arg("--cache-dir")
        .arg(folder.path().join("cache"))
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    // Where there are no control groups it has said so before it looked further.
    let names_it = error.contains("Landlock") || lacks_control_groups(&error);
    assert!(names_it && error.contains("--require-sandbox"), "{error}");
    assert!(output.stdout.is_empty(), "it does not say that it is ready");
}

#[test]
fn row_33_a_compiler_that_requires_the_sandbox_reads_nothing_where_a_part_is_lacking() {
    let folder = tempfile::tempdir().unwrap();
    let compile = |required: &[&str]| {
        let mut command = without_landlock();
        command.args(["compile", "--cache"]).arg(folder.path()).args(required);
        command.stdin(Stdio::null()).output().unwrap()
    };
    let output = compile(&["--require-sandbox"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains("Landlock") && error.contains("--require-sandbox"), "{error}");
    assert!(output.stdout.is_empty());
    // Where it is not required, what is missing is its input.
    let error = String::from_utf8(compile(&[]).stderr).unwrap();
    assert!(error.contains("standard input has no key"), "{error}");
}

/// The soft and the hard limit of open files that a process has.
fn open_files(process: Pid) -> [String; 2] {
    let limits = proc(process, "limits");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let numbers: Vec<_> = line.split_whitespace().take(2).map(str::to_owned).collect();
    numbers.try_into().unwrap()
}

#[test]
fn row_33_a_server_may_open_more_files_than_its_workers_and_says_when_that_is_too_few() {
    let start = |limits: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", &format!(r#"{limits}; exec "$0" "$@""#)]).arg(binary::scenecast());
        Server::start_as(command, &ServerOptions { built_scenes: &["orbit"], ..ServerOptions::default() })
    };
    let warning = "this process may open fewer files";
    let server = start("ulimit -S -n 256");
    let [soft, hard] = open_files(server.process());
    assert_eq!(soft, hard);
    server.running_session("orbit");
    assert_eq!(open_files(only_worker(&server)), ["1024", "1024"]);
    assert!(!server.log().contains(warning), "{}", server.log());
    drop(server);
    let server = start("ulimit -n 600");
    assert_eq!(open_files(server.process()), ["600", "600"]);
    assert!(server.log().contains(warning), "{}", server.log());
    server.running_session("orbit");
}

#[test]
fn a_server_that_does_not_require_the_sandbox_says_what_is_lacking_and_serves() {
    let options = ServerOptions { built_scenes: &["orbit"], ..ServerOptions::default() };
    let server = Server::start_as(without_landlock(), &options);
    let log = server.log();
    assert_eq!(log.matches("LESS CONFINED").count(), 1, "{log}");
    assert!(log.contains("file access by Landlock"), "{log}");
    server.running_session("orbit");
}

/// Puts a file where another one is, at once.
fn replace(folder: &Path, name: &str, with: &Path) {
    let new = folder.join("new");
    fs::copy(with, &new).unwrap();
    fs::rename(new, folder.join(name)).unwrap();
}

#[test]
fn row_32_a_worker_that_breaks_the_protocol_is_ended_and_nobody_else_notices() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let program = folder.path().join("scenecast");
    fs::hard_link(binary::scenecast(), &program).unwrap();
    let flags = ["--max-sessions", "2", "--warm-workers", "0"];
    let options = ServerOptions { built_scenes: &["orbit"], flags: &flags, ..ServerOptions::default() };
    let server = Server::start_as(Command::new(&program), &options);
    let neighbour = server.running_session("orbit");
    let neighbours_worker = [only_worker(&server)];
    if server.log().contains("is_cpu=true") {
        fs::write(folder.path().join("without-a-gpu"), "").unwrap();
    }
    // From now on the server starts the evil worker where it means to start its own.
    fs::hard_link(binary::scenecast(), folder.path().join("scenecast-itself")).unwrap();
    replace(folder.path(), "scenecast", &binary::evil_worker());

    let before_it_has_a_scene = [
        "a foreign greeting",
        "noise for a greeting",
        "a scene that runs before it is given",
        "a huge length for a start",
        "a long name",
    ];
    let create = || server.post_json("/api/sessions", &json!({ "scene": "orbit" }));
    for garbage in before_it_has_a_scene {
        fs::write(folder.path().join("garbage"), garbage).unwrap();
        create().assert_problem(500, "worker_start_failed");
    }
    for garbage in [
        "noise",
        "a huge length",
        "a message that is none",
        "bytes after a message",
        "ready a second time",
        "two starts",
        "an answer to no question",
        "an empty picture",
        "a picture of a later year",
        "a picture that goes back in time",
        "input that nobody made",
        "a long line",
    ] {
        fs::write(folder.path().join("garbage"), garbage).unwrap();
        // The place of the one before becomes free when its process is gone.
        let created = wait_for("a free place", || Some(create()).filter(|created| created.status != 503));
        assert_eq!(created.status, 201, "{garbage}: {created:?}");
        let id = created.json()["id"].as_str().unwrap().to_owned();
        let ended =
            wait_for(garbage, || Some(server.session(&id)).filter(|session| session["state"] == "ended"));
        assert_eq!(ended["ended"]["code"], "worker_protocol", "{garbage}: {ended}");
    }
    wait_for("the evil workers to be gone", || {
        server.children().iter().all(|child| neighbours_worker.contains(child)).then_some(())
    });
    // Nobody watches it, so it may have come to an end of its own.
    let neighbour = server.session(&neighbour);
    assert!(
        neighbour["state"] == "running" || neighbour["ended"]["code"] == "nobody_watching",
        "{neighbour}"
    );
}
