//! Workers that wait for a scene, and what bounds each worker.

use std::{fs, path::PathBuf, time::Duration};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::json;

use crate::support::{Server, ServerOptions, wait_for};

fn with_warm_workers(count: &str) -> Server {
    let flags = &["--warm-workers", count];
    Server::start(&ServerOptions { built_scenes: &["orbit"], flags, ..ServerOptions::default() })
}

fn waiting(server: &Server, count: f64) {
    wait_for("so many workers to wait", || {
        (server.metric("scenecast_warm_workers") == Some(count)).then_some(())
    });
}

#[test]
fn a_session_gets_a_worker_that_was_started_before_it_and_the_next_one_is_started_after_it() {
    let server = with_warm_workers("1");
    waiting(&server, 1.0);
    let [warm] = server.children()[..] else { panic!("one worker waits: {:?}", server.children()) };
    let id = server.running_session("orbit");
    assert!(server.children().contains(&warm));
    assert_eq!(server.metric("scenecast_workers_taken_total{from=\"pool\"}"), Some(1.0));
    waiting(&server, 1.0);
    let workers = server.children();
    assert_eq!(workers.len(), 2, "{workers:?}");
    // It was this one that got the scene: it ends with the session, and nobody else gets it.
    assert_eq!(server.send("DELETE", &format!("/api/sessions/{id}"), &[], b"").status, 204);
    wait_for("the session's worker to be gone", || test_kill_process(warm).is_err().then_some(()));
    let [other] = server.children()[..] else { panic!("one worker waits: {:?}", server.children()) };
    assert_ne!(other, warm);
}

#[test]
fn a_worker_that_dies_while_it_waits_is_replaced() {
    let server = with_warm_workers("2");
    waiting(&server, 2.0);
    let before = server.children();
    kill_process(before[0], Signal::KILL).unwrap();
    wait_for("another worker", || {
        let now = server.children();
        let is_new = now.len() == 2 && !now.contains(&before[0]);
        (is_new && server.metric("scenecast_warm_workers") == Some(2.0)).then_some(())
    });
    assert!(server.children().contains(&before[1]), "the other one was left alone");
    server.running_session("orbit");
}

#[test]
fn workers_that_wait_end_with_the_server() {
    let mut server = with_warm_workers("2");
    waiting(&server, 2.0);
    let workers = server.children();
    assert_eq!(server.terminate().code(), Some(0));
    for worker in workers {
        assert!(test_kill_process(worker).is_err(), "worker {worker:?} outlived the server");
    }
}

#[test]
fn sessions_that_are_created_at_once_get_a_worker_each() {
    let server = with_warm_workers("1");
    waiting(&server, 1.0);
    std::thread::scope(|scope| {
        let creations: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| server.post_json("/api/sessions", &json!({ "scene": "orbit" })).status))
            .collect();
        for creation in creations {
            assert_eq!(creation.join().unwrap(), 201);
        }
    });
    waiting(&server, 1.0);
    assert_eq!(server.children().len(), 4);
}

/// The folders of a process's control groups, by controller, if the server made them.
fn groups_of(process: Pid) -> Vec<(String, PathBuf)> {
    let file = format!("/proc/{}/cgroup", process.as_raw_nonzero());
    let text = fs::read_to_string(file).unwrap_or_default();
    let groups = text.lines().filter_map(|line| {
        let [_, controllers, path] = line.splitn(3, ':').collect::<Vec<_>>()[..] else { return None };
        let path = path.trim_start_matches('/');
        if !path.contains("scenecast-") {
            return None;
        }
        let root = if controllers.is_empty() {
            PathBuf::from("/sys/fs/cgroup")
        } else {
            PathBuf::from("/sys/fs/cgroup").join(controllers)
        };
        Some((controllers.to_owned(), root.join(path)))
    });
    groups.collect()
}

/// Control groups need a kernel and a user that allow them, which a container of a build service need not have.
fn skip_without_groups(server: &Server, what: &str) -> bool {
    let missing = server.log().contains("control groups of workers lack something");
    if missing {
        eprintln!("skipped: {what}, because this machine lets the server make no complete control groups");
    }
    missing
}

#[test]
fn each_worker_is_in_a_group_of_its_own_that_goes_with_it() {
    let server = with_warm_workers("0");
    if skip_without_groups(&server, "a group for each worker") {
        return;
    }
    let first = server.running_session("orbit");
    let [worker] = server.children()[..] else { panic!("{:?}", server.children()) };
    server.running_session("orbit");
    let groups = groups_of(worker);
    assert!(!groups.is_empty());
    for (controllers, folder) in &groups {
        let processes = fs::read_to_string(folder.join("cgroup.procs")).unwrap();
        assert_eq!(processes.trim(), worker.as_raw_nonzero().to_string(), "{controllers}");
    }
    let read = |name: &str| {
        groups
            .iter()
            .find_map(|(_, folder)| fs::read_to_string(folder.join(name)).ok())
            .map(|text| text.trim().to_owned())
    };
    assert_eq!(read("pids.max").as_deref(), Some("512"));
    let memory = read("memory.max").or_else(|| read("memory.limit_in_bytes"));
    assert_eq!(memory, Some(((256_u64 + 512 + 768) << 20).to_string()));
    server.send("DELETE", &format!("/api/sessions/{first}"), &[], b"");
    wait_for("the groups to be gone", || groups.iter().all(|(_, folder)| !folder.exists()).then_some(()));
}

#[test]
fn a_worker_that_takes_more_memory_than_its_group_has_is_reported_as_a_scene_over_its_limit() {
    let server = with_warm_workers("0");
    if skip_without_groups(&server, "a limit of memory") {
        return;
    }
    // No scene gets so far by itself, so the group is made small while the scene's shaders are compiled, which takes some memory. The
    // scene may be faster; then the next one is tried.
    let ended = wait_for("the kernel to end a worker", || {
        let created = server.post_json("/api/sessions", &json!({ "scene": "orbit" }));
        assert_eq!(created.status, 201, "{created:?}");
        let id = created.json()["id"].as_str().unwrap().to_owned();
        for worker in server.children() {
            for (_, folder) in groups_of(worker) {
                let file = ["memory.max", "memory.limit_in_bytes"].map(|name| folder.join(name));
                let Some(file) = file.iter().find(|file| file.exists()) else { continue };
                // The older interface refuses what the process has already.
                let _ = (8..=256_u64).step_by(4).find(|mib| fs::write(file, (mib << 20).to_string()).is_ok());
            }
        }
        let ended = (0..100).find_map(|_| {
            std::thread::sleep(Duration::from_millis(20));
            let session = server.session(&id);
            (session["state"] == "ended").then(|| session["ended"].clone())
        });
        server.send("DELETE", &format!("/api/sessions/{id}"), &[], b"");
        ended
    });
    assert_eq!(ended["code"], "scene_limit", "{ended}");
    assert!(ended["message"].as_str().unwrap().contains("memory"), "{ended}");
}

#[test]
fn what_a_server_that_was_killed_left_behind_is_removed_by_the_next_one() {
    let first = with_warm_workers("1");
    if skip_without_groups(&first, "removing groups") {
        return;
    }
    waiting(&first, 1.0);
    let groups = groups_of(first.children()[0]);
    assert!(!groups.is_empty());
    // Dropping kills it.
    drop(first);
    let _next = with_warm_workers("0");
    wait_for("the groups to be gone", || groups.iter().all(|(_, folder)| !folder.exists()).then_some(()));
}
