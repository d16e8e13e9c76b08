use std::{fs::File, io::Write as _, path::PathBuf};

use renderer_protocol::{FrameSize, SceneLimits};

use super::*;
use crate::scene::{Inspection, compile, fail_point};

#[test]
fn row_19_a_flood_of_lines_is_cut_to_what_a_second_may_have() {
    let mut rate = LineRate::at(0);
    let admitted = (0..10_000).filter(|_| rate.admits(0)).count();
    assert_eq!(admitted as u64, LINES_PER_SECOND);
    // A second, in steps that are less than a line's time.
    let admitted = (0..1_000).filter(|step| rate.admits(step * 1_000)).count();
    assert!((LINES_PER_SECOND - 2..=LINES_PER_SECOND).contains(&(admitted as u64)), "{admitted}");
    // An hour without a line is no more than a second without one.
    let admitted = (0..10_000).filter(|_| rate.admits(3_600_000_000)).count();
    assert_eq!(admitted as u64, LINES_PER_SECOND);
}

/// A scene that calls every function of the host, in an order that its seed decides.
fn random_calls() -> PathBuf {
    let executable = std::env::current_exe().unwrap();
    let target = executable.ancestors().nth(3).unwrap();
    let scene = target.join("scenes/hostile/random_calls.wasm");
    assert!(scene.exists(), "{} is missing: run `make scenes` first", scene.display());
    scene
}

/// How a scene ends in whose host the call with this number panics.
fn end_with_a_bug_in(artifact: &File, call: u64) -> EndReason {
    let window = Window::new(FrameSize::new(64, 64).unwrap());
    let clock = FrameClock::real();
    let (outputs, _taken) = mpsc::channel(OUTBOX_MESSAGES);
    let config = PipelineConfig {
        clock: clock.clone(),
        frame_rate_hz: 30,
        bitrate_bps: 1_000_000,
        encoder_threads: ENCODER_THREADS,
        timing: Timing::default(),
    };
    let pipeline = Pipeline::spawn(config, outputs).unwrap();
    pipeline.handle.set_watched(false);
    let run = Scene::load(artifact).unwrap().prepare(SceneContext {
        window: window.clone(),
        presenter: Presenter::new(pipeline.frames, true),
        gpu: Gpu::open(Backend::Noop).unwrap(),
        clock: clock.clone(),
        seed: call,
        limits: SceneLimits::default(),
        log: Arc::new(|_| {}),
    });
    let (outbox, _said) = mpsc::channel(OUTBOX_MESSAGES);
    let scene = std::thread::spawn(move || {
        fail_point::panic_at(call);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        run_to_end(run, &runtime, &outbox)
    });
    while !scene.is_finished() {
        window.tick(clock.now_us());
        std::thread::sleep(Duration::from_millis(1));
    }
    scene.join().expect("the panic stays in the scene's run")
}

#[test]
fn row_31_a_panic_in_any_call_of_the_host_ends_the_session_as_ours_and_not_the_process() {
    let component = std::fs::read(random_calls()).unwrap();
    let mut artifact = tempfile::tempfile().unwrap();
    artifact.write_all(&compile(&component, &mut Inspection::default()).unwrap()).unwrap();
    // Each of these is another order of calls, and a place further into it.
    for call in (1..=100).chain([150, 250, 400, 700]) {
        let end = end_with_a_bug_in(&artifact, call);
        let expected = format!("a bug in the host: {}", fail_point::MESSAGE);
        assert_eq!(end, EndReason::Internal(expected), "call {call}");
    }
}
