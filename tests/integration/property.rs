//! Random sequences of calls, right and wrong, through a guest in a real worker: no panic, no hang, no growth.
//!
//! The scene `hostile/random_calls` makes them until it is told to stop. `make test` gives it some seconds with a few seeds;
//! `SCENECAST_PROPERTY_SECONDS` makes it longer, and `SCENECAST_PROPERTY_SEED` runs one seed as the head of the scene describes it.

use std::time::{Duration, Instant};

use renderer_protocol::{EndReason, FromWorker, InputEvent, SceneFault, ToWorker, ViewerId};

use crate::{
    binary::scene,
    interface_coverage::{called, offered},
    support::Worker,
};

/// Of one seed in `make test`.
const SHORT: Duration = Duration::from_secs(6);
/// Of one seed in a long run: long enough for growth to show, short enough for many seeds.
const LONG: Duration = Duration::from_mins(1);
/// What a worker's memory may grow by from the middle of a run to its end. Drivers and allocators keep what they had at their largest
/// moment, and in a few seconds that moment may be a late one.
const GROWTH_BYTES: u64 = 48 << 20;

/// The part of a seed that has the scene tell every call.
const TRACED: u64 = 1 << 63;

/// What a run came to.
#[derive(Debug)]
struct Report {
    sequences: u64,
    calls: u64,
    seconds: f64,
    /// At the middle of the time and at its end, each the least of several looks.
    resident_bytes: [u64; 2],
    end: EndReason,
}

/// Runs the scene with a seed for a time.
async fn run(seed: u64, time: Duration) -> Report {
    let mut worker = Worker::running_with(&scene("hostile/random_calls"), |start| {
        start.seed = seed;
        start.frame_rate_hz = 60;
    })
    .await;
    let begun = Instant::now();
    let mut last_line = String::new();
    let mut told = String::new();
    let (mut sequences, mut calls) = (0, 0);
    let mut looks = Vec::new();
    let mut stopping = false;
    let end = loop {
        if begun.elapsed() > time && !stopping {
            stopping = true;
            let focus = InputEvent::Focus { viewer: ViewerId(1), focused: true };
            worker.send(&ToWorker::Input { sequence: 1, events: vec![focus] }).await;
        }
        // Fails when nothing comes for long: then a call hangs.
        match worker.next_or_end().await {
            Some(FromWorker::Log(line)) => {
                if seed & TRACED != 0 {
                    eprintln!("{}", line.line);
                }
                if line.line.starts_with("sequence ") {
                    sequences += 1;
                }
                if let Some(rest) = line.line.strip_prefix("made ") {
                    calls = rest.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0);
                }
                if matches!(line.source, renderer_protocol::LogSource::Log(_)) {
                    last_line.clone_from(&line.line);
                    if !line.line.starts_with("sequence ") {
                        told.push_str(&line.line);
                        told.push('\n');
                    }
                }
                looks.push((begun.elapsed(), worker.resident_bytes()));
            }
            Some(FromWorker::Ended(reason)) => break reason,
            Some(_) => {}
            None => panic!("seed {seed}: the worker died after: {last_line}\n{told}"),
        }
    };
    let status = worker.exit().await;
    let seconds = begun.elapsed().as_secs_f64();
    assert!(status.success(), "seed {seed}: {status}, after: {last_line}");
    let stderr = worker.stderr();
    assert!(!stderr.contains("panicked"), "seed {seed}, near: {last_line}\n{stderr}");
    assert!(
        matches!(end, EndReason::Finished | EndReason::Scene(SceneFault::Limit(_))),
        "seed {seed}: {end}, after: {last_line}\n{told}"
    );
    let least = |from: f64, to: f64| {
        let within = looks.iter().filter(|(at, bytes)| {
            *bytes > 0 && at.as_secs_f64() >= from * seconds && at.as_secs_f64() <= to * seconds
        });
        within.map(|(_, bytes)| *bytes).min().unwrap_or(0)
    };
    Report { sequences, calls, seconds, resident_bytes: [least(0.4, 0.6), least(0.8, 1.0)], end }
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

fn assert_flat(report: &Report) {
    let [middle, end] = report.resident_bytes;
    if report.end == EndReason::Finished {
        assert!(end < middle + GROWTH_BYTES, "{report:?}");
    }
}

#[tokio::test]
async fn rows_11_and_30_random_calls_neither_panic_nor_hang_nor_grow() {
    if let Some(seed) = setting("SCENECAST_PROPERTY_SEED") {
        eprintln!("{:?}", run(seed, SHORT).await);
        return;
    }
    let total = setting("SCENECAST_PROPERTY_SECONDS").map(Duration::from_secs);
    let time = total.map_or(SHORT, |total| total.min(LONG));
    let seeds = total.map_or(3, |total| total.as_secs().div_ceil(time.as_secs().max(1)));
    // The seeds of a long run are not those of the short one.
    let first = if total.is_some() { 1_000 } else { 1 };
    for seed in first..first + seeds {
        let report = run(seed, time).await;
        eprintln!(
            "seed {seed}: {} calls in {} sequences in {:.1} s, {} MiB and then {} MiB, {}",
            report.calls,
            report.sequences,
            report.seconds,
            report.resident_bytes[0] >> 20,
            report.resident_bytes[1] >> 20,
            report.end
        );
        assert!(report.sequences > 0, "{report:?}");
        assert_flat(&report);
    }
}

/// The viewer leaves, or the broker dies, while calls are under way.
#[tokio::test]
async fn row_12_a_session_that_is_stopped_at_any_moment_ends_its_worker_cleanly() {
    let times = setting("SCENECAST_PROPERTY_SECONDS").map_or(12, |seconds| 12.max(seconds));
    for number in 0..times {
        let mut worker = Worker::running_with(&scene("hostile/random_calls"), |start| {
            start.seed = 100 + number;
        })
        .await;
        let moment = Duration::from_millis(number * 37 % 400);
        tokio::time::sleep(moment).await;
        if number % 3 == 0 {
            worker.hang_up();
        } else {
            worker.send(&ToWorker::Stop).await;
            assert_eq!(worker.end().await, EndReason::Stopped);
        }
        let status = worker.exit().await;
        assert!(status.success(), "{number}: {status}");
        assert!(!worker.stderr().contains("panicked"), "{number}: {}", worker.stderr());
    }
}

#[test]
fn the_random_calls_are_of_every_function_of_the_interfaces() {
    let called = called(&scene("hostile/random_calls"));
    let missing: Vec<String> = offered()
        .into_iter()
        .flat_map(|(interface, functions)| {
            let called = called.get(&interface).cloned().unwrap_or_default();
            functions
                .into_iter()
                .filter(move |function| !called.contains(function))
                .map(move |function| format!("{interface} {function}"))
        })
        .collect();
    assert!(missing.is_empty(), "never called: {}", missing.join(", "));
}
