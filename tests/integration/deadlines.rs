//! Who is slow is not waited for: scenes that compute, sleep, flood or hang the GPU, and a viewer behind a bad line. All through a real
//! server, with real viewers. What must happen to each hostile scene stands at its head; numbers are rows of the table of hostile input.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::viewer::{Network, Picture, Viewer};

use crate::support::{Server, ServerOptions, wait_for, watch};

/// A server with a good scene and hostile ones.
fn server(hostile: &[&str]) -> Server {
    let names: Vec<String> = hostile.iter().map(|name| format!("hostile/{name}")).collect();
    let mut scenes = vec!["triangle"];
    scenes.extend(names.iter().map(String::as_str));
    Server::start(&ServerOptions { built_scenes: &scenes, ..ServerOptions::default() })
}

/// A server with a good scene and components that are given as text.
fn server_of(components: &[(&str, &str)]) -> Server {
    let bytes: Vec<(String, Vec<u8>)> = components
        .iter()
        .map(|(name, text)| (format!("{name}.wasm"), wat::parse_str(text).expect("a component")))
        .collect();
    let scenes: Vec<(&str, &[u8])> =
        bytes.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    Server::start(&ServerOptions { scenes: &scenes, built_scenes: &["triangle"], ..ServerOptions::default() })
}

/// Creates a session without waiting for anything.
fn create(server: &Server, scene: &str) -> String {
    let created = server.post_json("/api/sessions", &json!({ "scene": scene, "width": 320, "height": 176 }));
    assert_eq!(created.status, 201, "{created:?}");
    created.json()["id"].as_str().expect("an id").to_owned()
}

/// How a session ended.
fn end_of(server: &Server, id: &str) -> Value {
    wait_for("the session to end", || {
        let session = server.session(id);
        (session["state"] == "ended").then(|| session["ended"].clone())
    })
}

/// A session of the good scene whose pictures nobody else's faults may hold up, and its viewer.
async fn neighbour(server: &Server) -> (String, Viewer) {
    let id = create(server, "triangle");
    let mut viewer = watch(server, &id).await;
    viewer.see_pictures(5).await;
    (id, viewer)
}

/// Nothing of a fault reached the neighbour since then: it runs, and its pictures come.
async fn assert_undisturbed(server: &Server, (id, viewer): &mut (String, Viewer), since: Instant) {
    assert_eq!(server.session(id)["state"], "running");
    let seen = viewer.see_pictures(5).await;
    eprintln!("the neighbour's longest gap: {:?}", seen.longest_gap_since(since));
    assert_eq!(seen.ended, None);
}

/// Runs scenes that end by their own fault, each beside a neighbour: code, words of the message, and how long it took.
async fn all_end(server: &Server, scenes: &[(&str, &str, &str)]) {
    let mut neighbour = neighbour(server).await;
    for (scene, code, word) in scenes {
        let since = Instant::now();
        let id = create(server, scene);
        let mut viewer = watch(server, &id).await;
        let (told, message) = viewer.see_end().await;
        eprintln!(
            "{scene}: {told} after {:?}: {}",
            since.elapsed(),
            message.lines().next().unwrap_or_default()
        );
        assert_eq!(told, *code, "{scene}: {message}");
        assert!(message.contains(word), "{scene}: {message}");
        assert_eq!(end_of(server, &id)["code"], *code);
        assert_undisturbed(server, &mut neighbour, since).await;
    }
    wait_for("the workers to be gone", || (server.children().len() == 1).then_some(()));
}

/// A component whose entry point is this code.
fn computing(memory: &str, body: &str) -> String {
    format!(
        r#"(component
            (core module $m {memory} (func (export "start") {body}))
            (core instance $i (instantiate $m))
            (func (export "start") (canon lift (core func $i "start"))))"#
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn row_1_a_scene_that_computes_for_ever_is_ended_after_a_second_and_its_neighbour_draws() {
    let spin = computing("", "(loop $forever (br $forever))");
    let server = server_of(&[("spin", &spin)]);
    all_end(&server, &[("spin", "scene_unresponsive", "tick")]).await;
    let server = self::server(&["computes_for_ever"]);
    all_end(&server, &[("computes_for_ever", "scene_unresponsive", "tick")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_2_copies_of_a_hundred_megabytes_end_like_any_other_computing() {
    let server = server(&["copies_memory"]);
    all_end(&server, &[("copies_memory", "scene_unresponsive", "tick")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_4_a_recursion_with_a_call_of_the_host_at_every_depth_traps() {
    let recursing = r#"(component
        (import "wasi:random/insecure-seed@0.2.0" (instance $seed
            (export "insecure-seed" (func (result (tuple u64 u64))))))
        (core module $memory (memory (export "memory") 1))
        (core instance $memory (instantiate $memory))
        (core func $call (canon lower (func $seed "insecure-seed") (memory (core memory $memory "memory"))))
        (core module $m
            (import "" "call" (func $call (param i32)))
            (func $recurse (call $call (i32.const 0)) (call $recurse) (call $call (i32.const 0)))
            (func (export "start") (call $recurse)))
        (core instance $i (instantiate $m (with "" (instance (export "call" (func $call))))))
        (func (export "start") (canon lift (core func $i "start"))))"#;
    let server = server_of(&[("recursing", recursing)]);
    let mut neighbour = neighbour(&server).await;
    let since = Instant::now();
    // It is over before a viewer could be there.
    let ended = end_of(&server, &create(&server, "recursing"));
    assert_eq!(ended["code"], "scene_trap", "{ended}");
    assert!(
        ended["message"].as_str().is_some_and(|message| message.contains("call stack exhausted")),
        "{ended}"
    );
    assert_undisturbed(&server, &mut neighbour, since).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_18_a_long_sleep_holds_only_itself_and_random_bytes_have_a_limit() {
    let server = server(&["abuses_clock_and_random"]);
    let id = create(&server, "abuses_clock_and_random");
    let mut viewer = watch(&server, &id).await;
    // It goes on by its ticks while the sleep goes on. It asks for bytes by its seed, and those of the server's sessions are random.
    assert_eq!(viewer.see_end().await.0, "finished");

    let gibibyte = r#"(component
        (import "wasi:random/random@0.2.0" (instance $random
            (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))
        (core module $memory (memory (export "memory") 1)
            (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0)))
        (core instance $memory (instantiate $memory))
        (core func $bytes (canon lower (func $random "get-random-bytes")
            (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
        (core module $m
            (import "" "bytes" (func $bytes (param i64 i32)))
            (func (export "start") (call $bytes (i64.const 0x40000000) (i32.const 0))))
        (core instance $i (instantiate $m (with "" (instance (export "bytes" (func $bytes))))))
        (func (export "start") (canon lift (core func $i "start"))))"#;
    // As many as are given, to show that it is the number that is refused.
    let mebibyte = gibibyte.replace("0x40000000", "0x100000").replace("\"memory\") 1", "\"memory\") 32");
    let server = server_of(&[("gibibyte", gibibyte), ("mebibyte", &mebibyte)]);
    assert_eq!(end_of(&server, &create(&server, "mebibyte"))["code"], "finished");
    let ended = end_of(&server, &create(&server, "gibibyte"));
    eprintln!("{ended}");
    assert_eq!(ended["code"], "scene_trap", "{ended}");
    assert!(ended["message"].as_str().is_some_and(|message| message.contains("exceeds limit")), "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_19_a_million_lines_leave_the_session_and_the_server_as_they_were() {
    let server = server(&["floods_the_log"]);
    let mut neighbour = neighbour(&server).await;
    let before = server.resident_bytes();
    let since = Instant::now();
    let id = create(&server, "floods_the_log");
    let mut viewer = watch(&server, &id).await;
    viewer.send(&json!({ "type": "ping", "t": 1 })).await;
    let (code, message) = viewer.see_end().await;
    assert_eq!(code, "finished", "{message}");
    assert_undisturbed(&server, &mut neighbour, since).await;
    let grown = server.resident_bytes().saturating_sub(before);
    eprintln!("the flood took {:?}, the server grew by {} KiB", since.elapsed(), grown >> 10);
    assert!(grown < 32 << 20, "the server grew by {} MiB", grown >> 20);
    let log = server.log();
    assert!(!log.contains('\u{1b}') && !log.contains('\u{9b}'), "an escape sequence reached the log");
    assert!(log.contains("left out"), "what was left out is told");
    let lines = log.lines().filter(|line| line.contains("scene output")).count();
    assert!(lines < 10_000, "{lines} lines of the scene's in the server's log");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_22_and_23_work_that_the_gpu_never_ends_is_killed_and_said_to_be() {
    let server = server(&["hangs_the_gpu"]);
    let neighbour = neighbour(&server).await;
    let since = Instant::now();
    // The server's seeds are random: it is the overdraw of ten thousand pictures. The other ways are tried in a worker alone.
    let id = create(&server, "hangs_the_gpu");
    let mut viewer = watch(&server, &id).await;
    let (code, message) = viewer.see_end().await;
    eprintln!("{code} after {:?}: {message}", since.elapsed());
    assert_eq!(code, "scene_gpu_timeout", "{message}");
    assert!(message.contains("shaders"), "{message}");
    assert_eq!(server.session(&neighbour.0)["state"], "running");
    wait_for("the hung worker to be gone", || (server.children().len() == 1).then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scene_that_draws_once_is_shown_as_long_as_it_is_watched() {
    let server = Server::start(&ServerOptions { built_scenes: &["orbit"], ..ServerOptions::default() });
    // It rests as long as nobody touches it.
    let id = create(&server, "orbit");
    let mut viewer = watch(&server, &id).await;
    viewer.see_pictures(1).await;
    let since = Instant::now();
    // At least one comes each second, and each wait lasts a minute.
    for _ in 0..4 {
        viewer.see_pictures(10).await;
    }
    eprintln!("the longest time without a picture: {:?}", viewer.seen().longest_gap_since(since));
    let mut late = watch(&server, &id).await;
    let seen = late.see("a picture to begin with", |seen| seen.keyframes > 0).await;
    assert!(seen.last_pictures.front().is_some_and(|first| first.keyframe));
}

/// The number of a metric, which is not there as long as nothing was counted.
fn counted(server: &Server, metric: &str) -> f64 {
    server.metric(metric).unwrap_or_default()
}

/// What a line of 5 kbit/s still holds when it gets better: half a second of queue, and a datagram of 1200 bytes under way.
const LEFT_ON_THE_LINE: Duration = Duration::from_millis(2_500);
/// How old a picture behind a line that was bad may be: a second, and as much for a machine with seven tests at once.
const OLDEST_PICTURE: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn row_51_a_viewer_behind_a_bad_line_misses_pictures_and_its_neighbours_do_not() {
    let server = server(&[]);
    let mut neighbour = neighbour(&server).await;
    let id = server.running_session("triangle");
    let companion = watch(&server, &id).await;
    let mut slow = watch(&server, &id).await;
    slow.see_pictures(30).await;

    let since = Instant::now();
    slow.set_network(Network { seed: 51, loss: 0.3, rate_bps: Some(5_000), ..Network::default() });
    tokio::time::sleep(Duration::from_secs(10)).await;
    let before = (slow.offered_bytes(), companion.offered_bytes());
    tokio::time::sleep(Duration::from_secs(10)).await;
    let offered = slow.offered_bytes() - before.0;
    let to_companion = companion.offered_bytes() - before.1;
    let (bad, good, other) = (slow.seen(), companion.seen(), neighbour.1.seen());
    let dropped = counted(&server, "scenecast_frames_total{stage=\"dropped\"}");
    let sent_bytes = counted(&server, "scenecast_sent_bytes_total");
    let repeated_bytes = counted(&server, "scenecast_rtp_retransmitted_bytes_total");
    let waiting = counted(&server, "scenecast_queued{queue=\"viewer_frames\"}");
    eprintln!(
        "behind the bad line {} pictures, beside it {}, in the other session {}; in the last 10 s {offered} bytes went into the \
         bad line, {to_companion} beside it; {dropped} dropped, {repeated_bytes} of {sent_bytes} bytes repeated, {waiting} \
         waiting, {} asked for; beside it {} keyframes, {:?}",
        bad.pictures_since(since),
        good.pictures_since(since),
        other.pictures_since(since),
        counted(&server, "scenecast_rtp_nacks_total"),
        good.keyframes,
        good.stats,
    );

    // For the viewer: less is sent, and what does not fit is left out, not kept.
    assert!(bad.pictures_since(since) * 2 < good.pictures_since(since));
    assert!(dropped > 0.0, "nothing was dropped");
    assert!(offered * 4 < to_companion, "{offered} bytes were sent into a line that carries 6250");
    // A repetition is paid with what was sent; a connection begins with enough for ten packets.
    let allowed = sent_bytes / 10.0 + 3.0 * 12_000.0;
    assert!(repeated_bytes <= allowed, "{repeated_bytes} of {sent_bytes} bytes were sent again");
    assert!(waiting <= 8.0, "{waiting} pictures wait");

    // For the others: as if it were not there.
    assert_undisturbed(&server, &mut neighbour, since).await;
    assert!(good.pictures_since(since) > 100, "{} pictures in 20 s beside it", good.pictures_since(since));
    let keyframes =
        good.last_pictures.iter().filter(|picture| picture.at > since && picture.keyframe).count();
    assert!(keyframes <= 12, "{keyframes} keyframes in 20 s, asked for by a viewer that gets none of them");
    let target_bps = good.stats.as_ref().and_then(|stats| stats["target_bps"].as_u64());
    assert!(target_bps > Some(300_000), "the line decides for everybody: {target_bps:?}");
    assert_eq!(server.session(&id)["state"], "running");

    // What waited for it was not kept: with a good line it sees the present.
    slow.set_network(Network::default());
    let better = Instant::now();
    slow.see("pictures again, or the end of a connection that was given up", |seen| {
        seen.pictures_since(better + LEFT_ON_THE_LINE) > 30 || seen.disconnected
    })
    .await;
    let (seen, present) = (slow.seen(), companion.seen());
    let ages = seen.last_pictures.iter().filter(|picture| picture.at > better + LEFT_ON_THE_LINE).filter_map(
        |picture| {
            let same = |other: &&Picture| other.rtp_timestamp == picture.rtp_timestamp;
            Some(picture.at.saturating_duration_since(present.last_pictures.iter().find(same)?.at))
        },
    );
    let oldest = ages.max().unwrap_or_default();
    eprintln!(
        "disconnected: {}; after the line is good {} pictures, the oldest {oldest:?} behind",
        seen.disconnected,
        seen.pictures_since(better)
    );
    assert!(oldest < OLDEST_PICTURE, "a picture of {oldest:?} ago");
}
