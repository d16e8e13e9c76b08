//! What an operator relies on: health, metrics, draining.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::json;
use tests::viewer::{Joining, Network, Viewer};

use crate::support::{Server, ServerOptions, wait_for, watch};

fn orbit(flags: &[&str]) -> Server {
    Server::start(&ServerOptions { built_scenes: &["orbit"], flags, ..ServerOptions::default() })
}

#[test]
fn a_server_is_ready_when_a_worker_has_opened_the_gpu() {
    let server = orbit(&["--warm-workers", "1"]);
    server.wait_until_ready();
    assert_eq!(server.get("/api/health").json()["gpu"], "open");
    assert!(server.metric("scenecast_warm_workers") == Some(1.0));
}

#[test]
fn a_server_without_a_gpu_lives_and_is_not_ready_and_says_why() {
    for warm_workers in ["0", "1"] {
        let server = Server::start(&ServerOptions {
            built_scenes: &["orbit"],
            flags: &["--warm-workers", warm_workers],
            environment: &[
                ("VK_DRIVER_FILES", "/nowhere/driver.json"),
                ("VK_ICD_FILENAMES", "/nowhere/driver.json"),
            ],
            ..ServerOptions::default()
        });
        wait_for("the GPU not to be found", || {
            (server.get("/api/health").json()["gpu"] == "unavailable").then_some(())
        });
        let health = server.get("/api/health");
        assert_eq!(health.status, 503);
        assert_eq!((&health.json()["live"], &health.json()["ready"]), (&json!(true), &json!(false)));
        assert!(server.log().contains("no worker can open a GPU"));
        let refused = server.post_json("/api/sessions", &json!({ "scene": "orbit" }));
        refused.assert_problem(503, "no_gpu");
    }
}

/// Copies of the manifests by which the machine's Vulkan drivers are found, and the value of the variable that names them.
fn copied_drivers(folder: &Path) -> String {
    let installed = ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d"]
        .into_iter()
        .filter_map(|folder| fs::read_dir(folder).ok());
    let copies: Vec<String> = installed
        .flatten()
        .map(|manifest| {
            let manifest = manifest.unwrap().path();
            let copy = folder.join(manifest.file_name().unwrap());
            fs::copy(&manifest, &copy).unwrap();
            copy.to_str().unwrap().to_owned()
        })
        .collect();
    copies.join(":")
}

#[tokio::test(flavor = "multi_thread")]
async fn row_37_a_server_whose_gpu_is_gone_is_not_ready_until_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let (there, gone) = (folder.path().join("drivers"), folder.path().join("gone"));
    fs::create_dir(&there).unwrap();
    let drivers = copied_drivers(&there);
    let server = Server::start(&ServerOptions {
        built_scenes: &["triangle", "hostile/hangs_the_gpu"],
        environment: &[("VK_DRIVER_FILES", &drivers), ("VK_ICD_FILENAMES", &drivers)],
        ..ServerOptions::default()
    });
    server.wait_until_ready();
    let id = server.running_session("hangs_the_gpu");
    let mut viewer = watch(&server, &id).await;
    // To its session a GPU that is lost is like one that hangs. Nobody starts another session, which would show the loss by itself.
    fs::rename(&there, &gone).unwrap();
    assert_eq!(viewer.see_end().await.0, "scene_gpu_timeout");
    wait_for("the loss to be noticed", || {
        (server.get("/api/health").json()["gpu"] == "unavailable").then_some(())
    });
    let health = server.get("/api/health");
    assert_eq!((health.status, &health.json()["live"]), (503, &json!(true)));
    let refused = server.post_json("/api/sessions", &json!({ "scene": "triangle" }));
    refused.assert_problem(503, "no_gpu");
    assert_eq!(refused.header("retry-after"), "10");
    fs::rename(&gone, &there).unwrap();
    server.wait_until_ready();
    server.running_session("triangle");
}

#[test]
fn metrics_tell_what_the_workers_use_and_what_waits() {
    let server = orbit(&[]);
    let id = server.running_session("orbit");
    let value = |name: &str| server.metric(name).unwrap_or_else(|| panic!("{name} is missing"));
    wait_for("the worker to have drawn", || {
        (server.metric("scenecast_frames_total{stage=\"encoded\"}") > Some(0.0)).then_some(())
    });
    assert!(value("scenecast_resident_bytes{process=\"workers\"}") > 10e6);
    assert!(value("scenecast_resident_bytes{process=\"broker\"}") > 1e6);
    assert!(value("scenecast_cpu_seconds{process=\"children\"}") > 0.0);
    assert!(value("scenecast_broker_open_files") > 3.0);
    assert_eq!(server.metric("scenecast_queued{queue=\"compile\"}"), Some(0.0));
    for queue in ["from_worker", "to_worker", "input", "viewer_frames"] {
        assert!(value(&format!("scenecast_queued{{queue=\"{queue}\"}}")) >= 0.0);
    }
    let used = value("scenecast_cpu_seconds{process=\"children\"}");
    server.send("DELETE", &format!("/api/sessions/{id}"), &[], b"");
    wait_for("the worker to be gone", || server.children().is_empty().then_some(()));
    assert_eq!(server.metric("scenecast_resident_bytes{process=\"workers\"}"), Some(0.0));
    assert!(
        value("scenecast_cpu_seconds{process=\"children\"}") >= used,
        "what a worker used is not forgotten"
    );
    assert_eq!(server.metric("scenecast_worker_exits_total{reason=\"deleted\"}"), Some(1.0));
}

#[test]
fn a_session_that_nobody_watches_does_not_hold_up_a_server_that_drains() {
    let mut server = orbit(&["--drain-seconds", "600"]);
    server.running_session("orbit");
    assert_eq!(server.terminate().code(), Some(0));
}

/// A session of the scene with somebody who sees it.
async fn watched(server: &Server, scene: &str) -> (String, Viewer) {
    let id = server.running_session(scene);
    let joining =
        Joining { origin: server.origin.clone(), whep: format!("/whep/{id}"), ..Joining::default() };
    let mut viewer = Viewer::join(joining).await.unwrap();
    viewer.see_pictures(2).await;
    (id, viewer)
}

fn triangle(flags: &[&str]) -> Server {
    Server::start(&ServerOptions { built_scenes: &["triangle"], flags, ..ServerOptions::default() })
}

#[tokio::test(flavor = "multi_thread")]
async fn row_64_a_server_that_drains_tells_viewers_takes_nobody_and_ends_when_they_have_left() {
    let mut server = triangle(&["--drain-seconds", "600"]);
    let (id, mut viewer) = watched(&server, "triangle").await;
    server.signal(Signal::TERM);
    let seen = viewer
        .see("a word about the end", |seen| seen.messages.iter().any(|message| message["type"] == "draining"))
        .await;
    let message = seen.messages.iter().find(|message| message["type"] == "draining").unwrap();
    assert!(message["seconds"].as_u64().is_some_and(|seconds| seconds <= 600), "{message}");
    let health = server.get("/api/health");
    assert_eq!((health.status, &health.json()["status"]), (503, &json!("draining")));
    assert_eq!((&health.json()["live"], &health.json()["draining"]), (&json!(true), &json!(true)));
    server.post_json("/api/sessions", &json!({ "scene": "triangle" })).assert_problem(503, "draining");
    server.post_sdp(&format!("/whep/{id}"), b"v=0\r\n").assert_problem(503, "draining");
    // The session goes on meanwhile.
    viewer.see_pictures(5).await;
    viewer.leave().await;
    assert_eq!(server.wait().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn row_64_a_server_that_drains_ends_after_its_limit_whoever_watches() {
    let mut server = triangle(&["--drain-seconds", "1"]);
    let (_, mut viewer) = watched(&server, "triangle").await;
    server.signal(Signal::TERM);
    assert_eq!(viewer.see_end().await.0, "draining");
    assert_eq!(server.wait().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_sessions_that_are_watched_at_once() {
    let mut server = triangle(&["--drain-seconds", "600"]);
    let (_, mut viewer) = watched(&server, "triangle").await;
    server.signal(Signal::INT);
    assert_eq!(viewer.see_end().await.0, "draining");
    assert_eq!(server.wait().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_the_server_at_once() {
    let mut server = triangle(&["--drain-seconds", "600"]);
    let (_, mut viewer) = watched(&server, "triangle").await;
    // A program that ends a group of processes may signal one of them twice: that is one signal.
    server.signal(Signal::TERM);
    server.signal(Signal::TERM);
    viewer
        .see("a word about the end", |seen| seen.messages.iter().any(|message| message["type"] == "draining"))
        .await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(server.get("/api/health").json()["status"], "draining");
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(130));
}

#[tokio::test(flavor = "multi_thread")]
async fn row_52_a_viewer_that_vanishes_is_gone_soon_and_its_session_with_it() {
    let server = triangle(&["--session-grace-seconds", "0"]);
    let (id, viewer) = watched(&server, "triangle").await;
    assert_eq!(server.metric("scenecast_viewers"), Some(1.0));
    viewer.vanish();
    let vanished = Instant::now();
    wait_for("the viewer to be given up", || (server.metric("scenecast_viewers") == Some(0.0)).then_some(()));
    // The promise is 15 s; only a hang reaches the minute of the wait.
    eprintln!("a viewer that vanished was given up after {:.1} s", vanished.elapsed().as_secs_f64());
    wait_for("its session to end", || {
        (server.session(&id)["ended"]["code"] == "nobody_watching").then_some(())
    });
    wait_for("the worker to be gone", || server.children().is_empty().then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_1_22_51_while_one_session_does_its_worst_the_others_go_on() {
    let hog = wat::parse_str(include_str!("../fixtures/computes_for_ever.wat")).unwrap();
    let server = Server::start(&ServerOptions {
        built_scenes: &["triangle", "hostile/hangs_the_gpu"],
        scenes: &[("hog.wasm", &hog)],
        ..ServerOptions::default()
    });
    let (_, mut one) = watched(&server, "triangle").await;
    let (slow_session, mut other) = watched(&server, "triangle").await;
    // A viewer behind a bad line, of the same session as `other`.
    let joining = Joining {
        origin: server.origin.clone(),
        whep: format!("/whep/{slow_session}"),
        ..Joining::default()
    };
    let slow = Viewer::join(joining).await.unwrap();
    slow.set_network(Network { seed: 1, loss: 0.3, rate_bps: Some(5_000), ..Network::default() });
    for _ in 0..3 {
        let created = server.post_json("/api/sessions", &json!({ "scene": "hog" }));
        assert_eq!(created.status, 201, "{created:?}");
        let id = created.json()["id"].as_str().unwrap().to_owned();
        let ended = wait_for("the scene to be ended", || {
            let session = server.session(&id);
            (session["state"] == "ended").then(|| session["ended"]["code"].clone())
        });
        assert_eq!(ended, "scene_unresponsive");
        one.see_pictures(5).await;
        other.see_pictures(5).await;
    }
    for _ in 0..2 {
        let id = server.running_session("hangs_the_gpu");
        // Somebody is there: on a busy machine it may go on for longer than a session may that nobody joins.
        let mut its_viewer = watch(&server, &id).await;
        let ends = its_viewer.see_end();
        tokio::pin!(ends);
        let mut rounds = 0;
        let (code, message) = loop {
            let both_draw = async {
                one.see_pictures(5).await;
                other.see_pictures(5).await;
            };
            tokio::select! {
                end = &mut ends => break end,
                () = both_draw => rounds += 1,
            }
        };
        assert_eq!(code, "scene_gpu_timeout", "{message}");
        assert!(rounds > 0, "the others drew nothing while the GPU hung");
        one.see_pictures(5).await;
        other.see_pictures(5).await;
    }
}
