//! Workers that die, hang and are held up, at random moments. What holds for each: the viewer is told why, no other session misses a
//! picture, and processes, descriptors and places come back.

use std::time::{Duration, Instant};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::support::{Server, ServerOptions, wait_for, watch};

/// How often workers are killed; more by the environment, for a long run by hand.
const KILLS: u64 = 24;
/// How often they are stopped: each takes two seconds and some more.
const STOPS: u64 = 3;

fn times(default: u64) -> u64 {
    std::env::var("SCENECAST_FAULTS").ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

fn server() -> Server {
    let options = ServerOptions {
        built_scenes: &["triangle"],
        flags: &["--max-sessions", "2"],
        ..ServerOptions::default()
    };
    Server::start(&options)
}

fn create(server: &Server) -> String {
    let asked = json!({ "scene": "triangle", "width": 160, "height": 96 });
    // A place is free as soon as the worker before is gone.
    wait_for("a place", || {
        let created = server.post_json("/api/sessions", &asked);
        (created.status == 201).then(|| created.json()["id"].as_str().expect("an id").to_owned())
    })
}

fn part(sorted: &[Duration], percent: usize) -> Duration {
    sorted.get((sorted.len() * percent / 100).min(sorted.len() - 1)).copied().unwrap_or_default()
}

/// Does something to the worker of a watched session, again and again, beside a session that must not notice.
async fn fault(name: &str, count: u64, code: &str, signal: Signal, settle_ms: u64) {
    let server = server();
    let neighbour = create(&server);
    let mut other = watch(&server, &neighbour).await;
    other.see_pictures(5).await;
    let neighbours = wait_for("the session to have the only process", || match server.children()[..] {
        [only] => Some(only),
        _ => None,
    });
    let (descriptors, since) = (server.descriptors(), Instant::now());
    let mut random = StdRng::seed_from_u64(35);
    let (mut told, mut freed) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let id = create(&server);
        let mut viewer = watch(&server, &id).await;
        let others: Vec<Pid> = server.children().into_iter().filter(|pid| *pid != neighbours).collect();
        let [worker] = others[..] else { panic!("{others:?}") };
        tokio::time::sleep(Duration::from_millis(random.random_range(0..settle_ms))).await;
        let struck = Instant::now();
        kill_process(worker, signal).expect("the worker is there");
        let (said, message) = viewer.see_end().await;
        told.push(viewer.seen().ended_at.unwrap_or_else(Instant::now).duration_since(struck));
        assert_eq!(said, code, "{message}");
        assert!(message.contains("start a new session"), "{message}");
        wait_for("the process to be gone", || (server.children() == [neighbours]).then_some(()));
        freed.push(struck.elapsed());
        // The neighbour goes on, each time.
        other.see_pictures(5).await;
        let metric = format!("scenecast_worker_exits_total{{reason=\"{code}\"}}");
        assert_eq!(server.metric(&metric), Some(f64::from(u32::try_from(told.len()).unwrap())));
    }
    told.sort();
    freed.sort();
    let gap = other.seen().longest_gap_since(since);
    eprintln!(
        "{name} x{count}: told p50 {:?} p99 {:?}, process gone p50 {:?} p99 {:?}, neighbour's longest gap {gap:?}",
        part(&told, 50),
        part(&told, 99),
        part(&freed, 50),
        part(&freed, 99)
    );
    assert_eq!(server.session(&neighbour)["state"], "running");
    assert_eq!(other.seen().ended, None);
    // Sockets of viewers that have left close a moment later.
    wait_for("the descriptors to be given back", || (server.descriptors() <= descriptors + 2).then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn row_35_a_worker_that_is_killed_is_told_its_viewer_and_its_place_is_free() {
    fault("SIGKILL", times(KILLS), "worker_died", Signal::KILL, 300).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_36_a_worker_that_is_stopped_is_killed_after_two_seconds_and_its_viewer_is_told() {
    fault("SIGSTOP", times(STOPS), "worker_unresponsive", Signal::STOP, 300).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_59_a_server_that_is_stopped_for_longer_than_a_worker_may_be_kills_none() {
    let server = server();
    let id = create(&server);
    let mut viewer = watch(&server, &id).await;
    viewer.see_pictures(5).await;
    for _ in 0..2 {
        kill_process(server.process(), Signal::STOP).expect("the server is there");
        tokio::time::sleep(Duration::from_secs(4)).await;
        kill_process(server.process(), Signal::CONT).expect("the server is there");
        // Longer than a worker may be silent.
        let since = Instant::now();
        viewer.see("pictures", |seen| seen.pictures_since(since) > 60 || seen.ended.is_some()).await;
    }
    assert_eq!(server.session(&id)["state"], "running");
}
