//! A real worker process with a real driver, as the broker sees it.

use std::{os::fd::OwnedFd, os::unix::net::UnixStream as StdUnixStream, process::Stdio, time::Duration};

use renderer_protocol::{
    Buttons, EndReason, FromWorker, InputEvent, PointerEvent, PointerKind, SceneFault, ToWorker, ViewerId,
    codec,
};
use tokio::{net::UnixStream, process::Command, time::timeout};

use crate::{
    binary::{scene, scenecast},
    support::{PATIENCE, Worker, size},
};

/// The types of the NAL units of an access unit in Annex B form (ITU-T H.264, table 7-1).
fn nal_types(annex_b: &[u8]) -> Vec<u8> {
    let starts = annex_b.windows(4).filter(|window| window[..3] == [0, 0, 1]);
    starts.map(|window| window[3] & 0x1f).collect()
}

const SPS: u8 = 7;
const PPS: u8 = 8;
const IDR: u8 = 5;

fn pointer(x: f64) -> PointerEvent {
    PointerEvent {
        viewer: ViewerId(1),
        id: 1,
        kind: PointerKind::Mouse,
        x,
        y: 0.5,
        buttons: Buttons(1),
        pressure: 0.5,
    }
}

#[tokio::test]
async fn the_first_access_unit_is_an_idr_with_its_parameter_sets_and_the_next_is_none() {
    let mut worker = Worker::running(&scene("triangle")).await;
    let first = worker.next_unit().await;
    assert!(first.keyframe && first.size == size(320, 180));
    assert_eq!(nal_types(&first.data)[..3], [SPS, PPS, IDR]);
    for _ in 0..10 {
        let unit = worker.next_unit().await;
        assert!(!unit.keyframe && !nal_types(&unit.data).contains(&IDR));
    }
}

#[tokio::test]
async fn pts_rise_with_every_access_unit() {
    let mut worker = Worker::running(&scene("triangle")).await;
    let mut last = None;
    for _ in 0..20 {
        let pts = worker.next_unit().await.pts_us;
        assert!(last < Some(pts), "{last:?} then {pts}");
        last = Some(pts);
    }
}

#[tokio::test]
async fn a_requested_keyframe_comes_once_even_when_nothing_moves() {
    let mut worker = Worker::running(&scene("orbit")).await;
    worker.unit_where(|unit| unit.keyframe).await;
    // The scene rests now: what comes is kept alive, and no picture is encoded for it.
    worker.unit_where(|unit| unit.keep_alive).await;
    worker.send(&ToWorker::RequestKeyframe).await;
    worker.unit_where(|unit| unit.keyframe).await;
    let unit = worker.next_unit().await;
    assert!(unit.keep_alive && !unit.keyframe);
}

#[tokio::test]
async fn a_new_size_begins_with_an_idr_of_that_size() {
    let mut worker = Worker::running(&scene("orbit")).await;
    worker.next_unit().await;
    worker.send(&ToWorker::Resize(size(256, 256))).await;
    let unit = worker.unit_where(|unit| unit.size != size(320, 180)).await;
    assert!(unit.keyframe && unit.size == size(256, 256));
    assert_eq!(nal_types(&unit.data)[..3], [SPS, PPS, IDR]);
}

#[tokio::test]
async fn input_moves_the_picture_and_its_sequence_comes_back_with_it() {
    let mut worker = Worker::running(&scene("orbit")).await;
    worker.unit_where(|unit| unit.keep_alive).await;
    worker.send(&ToWorker::Input { sequence: 41, events: vec![InputEvent::PointerDown(pointer(0.4))] }).await;
    worker.send(&ToWorker::Input { sequence: 42, events: vec![InputEvent::PointerMove(pointer(0.7))] }).await;
    let moved = worker.unit_where(|unit| !unit.keep_alive).await;
    assert_eq!(moved.input_sequence, 42);
}

#[tokio::test]
async fn nothing_is_encoded_while_nobody_watches() {
    let mut worker = Worker::running(&scene("triangle")).await;
    worker.next_unit().await;
    worker.send(&ToWorker::SetWatched(false)).await;
    worker.send(&ToWorker::Ping { nonce: 1 }).await;
    while !matches!(worker.next().await, FromWorker::Pong { nonce: 1 }) {}
    // A picture that was under way may still come; after another round trip of half a second nothing does.
    tokio::time::sleep(Duration::from_millis(500)).await;
    worker.send(&ToWorker::Ping { nonce: 2 }).await;
    while !matches!(worker.next().await, FromWorker::Pong { nonce: 2 }) {}
    tokio::time::sleep(Duration::from_millis(500)).await;
    worker.send(&ToWorker::Ping { nonce: 3 }).await;
    assert_eq!(worker.next().await, FromWorker::Pong { nonce: 3 });
    worker.send(&ToWorker::SetWatched(true)).await;
    worker.next_unit().await;
}

#[tokio::test]
async fn a_worker_that_is_stopped_says_so_and_exits() {
    let mut worker = Worker::running(&scene("triangle")).await;
    worker.next_unit().await;
    worker.send(&ToWorker::Stop).await;
    assert_eq!(worker.end().await, EndReason::Stopped);
    assert!(worker.exit().await.success());
}

#[tokio::test]
async fn a_worker_exits_when_its_broker_is_gone() {
    let mut worker = Worker::running(&scene("triangle")).await;
    worker.next_unit().await;
    worker.hang_up();
    assert!(worker.exit().await.success());
}

#[tokio::test]
async fn a_scene_that_traps_ends_its_session_with_the_trap() {
    let folder = tempfile::tempdir().unwrap();
    let trapping = folder.path().join("trap.wasm");
    let wat = r#"(component
        (core module $m (func (export "start") unreachable))
        (core instance $i (instantiate $m))
        (func (export "start") (canon lift (core func $i "start"))))"#;
    std::fs::write(&trapping, wat::parse_str(wat).unwrap()).unwrap();
    let mut worker = Worker::running(&trapping).await;
    let reason = worker.end().await;
    assert!(
        matches!(&reason, EndReason::Scene(SceneFault::Trap(trap)) if trap.contains("unreachable")),
        "{reason:?}"
    );
}

#[tokio::test]
async fn row_1_a_scene_that_spins_is_ended_as_unresponsive() {
    let folder = tempfile::tempdir().unwrap();
    let spinning = folder.path().join("spin.wasm");
    let wat = r#"(component
        (core module $m (func (export "start") (loop $forever (br $forever))))
        (core instance $i (instantiate $m))
        (func (export "start") (canon lift (core func $i "start"))))"#;
    std::fs::write(&spinning, wat::parse_str(wat).unwrap()).unwrap();
    let mut worker = Worker::running(&spinning).await;
    let reason = worker.end().await;
    assert!(matches!(reason, EndReason::Scene(SceneFault::Unresponsive { ran_ms: 1000.. })), "{reason:?}");
}

#[tokio::test]
async fn row_1_a_scene_that_spins_before_its_entry_point_is_ended_as_unresponsive() {
    let folder = tempfile::tempdir().unwrap();
    let spinning = folder.path().join("spin.wasm");
    let wat = r#"(component
        (core module $m
            (func $spin (loop $forever (br $forever)))
            (func (export "start"))
            (start $spin))
        (core instance $i (instantiate $m))
        (func (export "start") (canon lift (core func $i "start"))))"#;
    std::fs::write(&spinning, wat::parse_str(wat).unwrap()).unwrap();
    let mut worker = Worker::running(&spinning).await;
    let reason = worker.end().await;
    assert!(matches!(reason, EndReason::Scene(SceneFault::Unresponsive { ran_ms: 1000.. })), "{reason:?}");
}

#[tokio::test]
async fn a_scene_that_exits_has_finished_or_failed_as_its_status_says() {
    for (status, expected) in [(0, EndReason::Finished), (1, EndReason::Scene(SceneFault::ReturnedError))] {
        let folder = tempfile::tempdir().unwrap();
        let exiting = folder.path().join("exit.wasm");
        let wat = format!(
            r#"(component
                (import "wasi:cli/exit@0.2.0" (instance $cli
                    (export "exit" (func (param "status" (result))))))
                (core func $exit (canon lower (func $cli "exit")))
                (core module $m
                    (import "cli" "exit" (func $exit (param i32)))
                    (func (export "start") (call $exit (i32.const {status}))))
                (core instance $i (instantiate $m (with "cli" (instance (export "exit" (func $exit))))))
                (func (export "start") (canon lift (core func $i "start"))))"#
        );
        std::fs::write(&exiting, wat::parse_str(wat).unwrap()).unwrap();
        let mut worker = Worker::running(&exiting).await;
        assert_eq!(worker.end().await, expected);
    }
}

#[tokio::test]
async fn a_broker_of_another_version_is_refused() {
    let (ours, theirs) = StdUnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let (_giver, taker) = renderer_protocol::handover::pair().unwrap();
    let mut process = Command::new(scenecast())
        .arg("worker")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::from(OwnedFd::from(taker)))
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut socket = UnixStream::from_std(ours).unwrap();
    codec::write(&mut socket, &renderer_protocol::Hello { version: 999 }).await.unwrap();
    let status = timeout(PATIENCE, process.wait()).await.unwrap().unwrap();
    assert!(!status.success());
}
