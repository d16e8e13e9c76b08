//! The scenes of guest-scenes/hostile, and hostile components that no compiler would make, each in a real worker with a real driver.
//!
//! What must happen stands at the head of each scene. The numbers in the tests' names are rows of the project's table of hostile input:
//! 2 copies of memory, 3 calls that never return, 5 memory without end, 6 too many tables and memories, 18 random bytes, 7 and 8 lists too long, 9 and 10 too many handles, 11 use after drop, 13 a call after a trap, 20 and 21
//! shaders too deep and too long, 22 and 23 work that the GPU never ends, 25 memory of others, 27 all memory, 28 objects without end, 29 buffers misused, 30 a device that goes.
//! 11, 12 and 30 are in `property` too.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use renderer_protocol::{EndReason, FromWorker, LogSource, SceneFault, ToWorker};

use crate::{
    binary::{repository, scene},
    conformance::assert_conforms,
    support::Worker,
};

/// All scenes of the folder, so that none is forgotten.
const SCENES: &[&str] = &[
    "abuses_clock_and_random",
    "allocates_until_refused",
    "canary",
    "computes_for_ever",
    "copies_memory",
    "creates_and_drops",
    "deep_shaders",
    "drops_devices",
    "floods_the_log",
    "grows_memory",
    "hangs_the_gpu",
    "long_lists",
    "misuses_buffers",
    "never_drops",
    "random_calls",
    "recurses",
    "traps_in_a_tick",
    "waits_for_ever",
];

/// What a worker may have beyond what it had before, after a scene that tries to make it grow: its code, its device, and what fits into
/// the limits of objects.
const BOUNDED_BYTES: u64 = 512 << 20;

/// A worker in which one of the scenes runs.
async fn worker(name: &str, seed: u64) -> Worker {
    Worker::running_with(&scene(&format!("hostile/{name}")), |start| {
        start.seed = seed;
        start.frame_rate_hz = 120;
    })
    .await
}

/// A worker in which a component runs, given as text.
async fn component(text: &str) -> Worker {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scene.wasm");
    std::fs::write(&path, wat::parse_str(text).unwrap()).unwrap();
    Worker::running(&path).await
}

/// What a session said until its end, and the most memory that its worker had.
struct Ended {
    reason: EndReason,
    said: Vec<String>,
    resident_bytes: u64,
}

async fn ended(worker: &mut Worker) -> Ended {
    let (mut said, mut resident_bytes) = (Vec::new(), 0);
    loop {
        resident_bytes = worker.resident_bytes().max(resident_bytes);
        match worker.next().await {
            FromWorker::Log(line) => said.push(line.line),
            FromWorker::Ended(reason) => {
                assert!(worker.exit().await.success(), "the worker's process ends as it should: {reason}");
                let stderr = worker.stderr();
                assert!(!stderr.contains("panicked"), "{stderr}");
                return Ended { reason, said, resident_bytes };
            }
            _ => {}
        }
    }
}

/// Whether a session ended at a limit, which its reason names.
fn names_a_limit(reason: &EndReason) -> bool {
    matches!(reason, EndReason::Scene(SceneFault::Limit(_)))
}

/// Runs a scene that checks by itself.
async fn conforms(name: &str, seed: u64) {
    let mut worker = worker(name, seed).await;
    let (lines, end) = worker.output().await;
    assert_conforms(&lines, &end);
    assert!(worker.exit().await.success());
    assert!(!worker.stderr().contains("panicked"), "{}", worker.stderr());
}

#[test]
fn every_hostile_scene_is_built_and_has_a_test() {
    let folder = repository().join("guest-scenes/hostile/scenes");
    let written: BTreeSet<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    let tested: BTreeSet<String> = SCENES.iter().map(ToString::to_string).collect();
    assert_eq!(written, tested, "what lies in {} (left) is not what is listed (right)", folder.display());
    let tests =
        [include_str!("deadlines.rs"), include_str!("hostile.rs"), include_str!("property.rs")].concat();
    let rows = std::fs::read_to_string(repository().join("guest-scenes/hostile/README.md")).unwrap();
    for name in SCENES {
        assert!(rows.contains(&format!("`{name}`")), "the scene's README says of no row that it is {name}");
        // Fails with what to do when it is missing.
        scene(&format!("hostile/{name}"));
        let uses = [format!("(\"{name}\""), format!("[\"{name}\"]"), format!("hostile/{name}\"")];
        assert!(uses.iter().any(|used| tests.contains(used)), "no test runs {name}");
    }
}

#[tokio::test]
async fn row_2_a_scene_that_copies_memory_is_ended_and_its_worker_answers_meanwhile() {
    let mut worker = worker("copies_memory", 0).await;
    let mut computes = false;
    let (mut asked, mut nonce, mut slowest) = (Instant::now(), 0, Duration::ZERO);
    let begun = Instant::now();
    let reason = loop {
        match worker.next().await {
            FromWorker::Log(line) if line.line == "copies now" => {
                computes = true;
                asked = Instant::now();
                worker.send(&ToWorker::Ping { nonce }).await;
            }
            FromWorker::Pong { .. } => {
                slowest = slowest.max(asked.elapsed());
                nonce += 1;
                asked = Instant::now();
                worker.send(&ToWorker::Ping { nonce }).await;
            }
            FromWorker::Ended(reason) => break reason,
            _ => {}
        }
    };
    eprintln!("{nonce} answers, the slowest after {slowest:?}; {reason} after {:?}", begun.elapsed());
    let EndReason::Scene(SceneFault::Unresponsive { ran_ms }) = reason else { panic!("{reason}") };
    // The limit, and the copy in which it was reached: the worst that nothing interrupts.
    assert!(computes && (1_000..3_000).contains(&ran_ms), "{ran_ms} ms");
    assert!(nonce > 0, "the worker answers while its scene computes");
}

#[tokio::test]
async fn row_3_calls_that_never_return_hold_only_the_tasks_that_wait_for_them() {
    let mut worker = worker("waits_for_ever", 0).await;
    let mut ticks = 0;
    while ticks < 60 {
        match worker.next().await {
            FromWorker::Log(line) if line.line.starts_with("tick ") => ticks += 1,
            FromWorker::Ended(reason) => panic!("after {ticks} ticks: {reason}"),
            _ => {}
        }
    }
    worker.send(&ToWorker::Ping { nonce: 7 }).await;
    while !matches!(worker.next().await, FromWorker::Pong { nonce: 7 }) {}
    worker.send(&ToWorker::Stop).await;
    assert_eq!(ended(&mut worker).await.reason, EndReason::Stopped);
}

#[tokio::test]
async fn row_4_a_recursion_ends_its_scene_and_not_its_worker() {
    let Ended { reason, .. } = ended(&mut worker("recurses", 0).await).await;
    assert!(matches!(reason, EndReason::Scene(SceneFault::Trap(_))), "{reason}");
}

#[tokio::test]
async fn row_5_a_memory_that_grows_to_4_gib_is_refused_at_the_scenes_limit() {
    let Ended { reason, said, resident_bytes } = ended(&mut worker("grows_memory", 0).await).await;
    assert_eq!(reason, EndReason::Finished, "{said:?}");
    let refused = said.iter().find_map(|line| line.strip_prefix("refused at ")?.strip_suffix(" MiB"));
    let mib: u64 = refused.unwrap_or_else(|| panic!("{said:?}")).parse().unwrap();
    eprintln!("refused at {mib} MiB, the worker had {} MiB", resident_bytes >> 20);
    assert!((240..=256).contains(&mib), "{mib} MiB");
    assert!(resident_bytes < BOUNDED_BYTES, "{} MiB", resident_bytes >> 20);
}

/// A component with so many of something in its modules and itself.
fn crowded(what: &str, count: usize) -> String {
    let (module, instances) = match what {
        "tables" => ("(table 1 funcref) ".repeat(count), 1),
        "memories" => ("(memory 1) ".repeat(count), 1),
        _ => ("(table 10 funcref) (memory 1)".to_owned(), count),
    };
    let made: String = (0..instances).map(|_| "(core instance (instantiate $crowd)) ").collect();
    format!(
        r#"(component
            (core module $crowd {module})
            {made}
            (core module $m (func (export "start")))
            (core instance $i (instantiate $m))
            (func (export "start") (canon lift (core func $i "start"))))"#
    )
}

#[tokio::test]
async fn row_6_crowds_of_tables_memories_and_instances_are_refused() {
    for what in ["tables", "memories", "instances"] {
        let mut few = component(&crowded(what, 8)).await;
        assert_eq!(ended(&mut few).await.reason, EndReason::Finished, "{what}");
        // More than the limit, by the limit; and far more, by the compiler or the limit.
        let mut many = component(&crowded(what, 90)).await;
        let Ended { reason, resident_bytes, .. } = ended(&mut many).await;
        eprintln!("{what}: {reason}");
        assert!(names_a_limit(&reason), "{what}: {reason}");
        assert!(resident_bytes < BOUNDED_BYTES);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scene.wasm");
        std::fs::write(&path, wat::parse_str(crowded(what, 20_000)).unwrap()).unwrap();
        let mut worker = Worker::start().await;
        let answer = worker.compiler_answer(&path).await;
        if answer.get("ok").is_some() {
            worker.run(&path).await;
            let Ended { reason, resident_bytes, .. } = ended(&mut worker).await;
            assert!(names_a_limit(&reason), "{what}: {reason}");
            assert!(resident_bytes < BOUNDED_BYTES);
        }
        eprintln!("20,000 {what}: {answer}");
    }
    // One table of as many elements as 10^7 tables have.
    let huge = r#"(component
        (core module $m (table 10000000 funcref) (func (export "start")))
        (core instance $i (instantiate $m))
        (func (export "start") (canon lift (core func $i "start"))))"#;
    let Ended { reason, resident_bytes, .. } = ended(&mut component(huge).await).await;
    eprintln!("a table of 10^7 elements: {reason}");
    assert!(matches!(reason, EndReason::Scene(_)), "{reason}");
    assert!(resident_bytes < BOUNDED_BYTES);
}

#[tokio::test]
async fn rows_7_and_8_a_call_that_carries_too_much_ends_the_session_by_its_limit() {
    for (way, what) in ["bytes", "source", "label", "records", "records with lists"].into_iter().enumerate() {
        let mut worker = worker("long_lists", way as u64).await;
        let Ended { reason, said, resident_bytes } = ended(&mut worker).await;
        assert!(names_a_limit(&reason), "{what}: {reason}, {said:?}");
        // The scene's own copies are 100 MiB, and two when it makes a list of lists.
        assert!(resident_bytes < BOUNDED_BYTES, "{what}: {} MiB", resident_bytes >> 20);
    }
}

#[tokio::test]
async fn row_9_every_call_that_makes_a_thing_has_a_cap() {
    let asked = ended(&mut worker("never_drops", u64::from(u32::MAX)).await).await;
    assert_eq!(asked.reason, EndReason::Finished);
    let ways = asked
        .said
        .iter()
        .find_map(|line| line.strip_prefix("there are ")?.strip_suffix(" ways")?.parse::<u64>().ok());
    let ways = ways.unwrap_or_else(|| panic!("{:?}", asked.said));
    for way in 0..ways {
        let begun = Instant::now();
        let mut worker = worker("never_drops", way).await;
        let Ended { reason, said, resident_bytes } = ended(&mut worker).await;
        let last = said.last().cloned().unwrap_or_default();
        eprintln!("way {way}: {} MiB, {:?}, {reason}, {last}", resident_bytes >> 20, begun.elapsed());
        let refused = reason == EndReason::Finished && last.starts_with("refused: ");
        assert!(refused || names_a_limit(&reason), "way {way}: {reason}; it said {last}");
        assert!(resident_bytes < BOUNDED_BYTES, "way {way}: {} MiB", resident_bytes >> 20);
    }
}

/// A component of components, `depth` deep, each with two of the one before: 2^depth instances.
fn nested(depth: usize) -> String {
    let mut text = String::from(
        "(component
            (core module $m (func (export \"start\")))
            (component $c0 (core module $n) (core instance (instantiate $n)))",
    );
    for level in 1..=depth {
        let below = level - 1;
        write!(
            text,
            "(component $c{level} (alias outer 1 $c{below} (component $b)) (instance (instantiate $b)) (instance (instantiate $b)))"
        )
        .unwrap();
    }
    write!(
        text,
        "(instance (instantiate $c{depth}))
         (core instance $i (instantiate $m))
         (func (export \"start\") (canon lift (core func $i \"start\"))))"
    )
    .unwrap();
    text
}

#[tokio::test]
async fn row_10_components_that_multiply_in_their_components_meet_the_same_cap() {
    let mut few = component(&nested(3)).await;
    assert_eq!(ended(&mut few).await.reason, EndReason::Finished);
    let mut many = component(&nested(9)).await;
    let Ended { reason, resident_bytes, .. } = ended(&mut many).await;
    let refused = match &reason {
        EndReason::Scene(SceneFault::Limit(_)) => true,
        EndReason::Scene(SceneFault::Unrunnable(why) | SceneFault::Trap(why)) => {
            why.contains("instance count too high")
        }
        _ => false,
    };
    assert!(refused, "{reason}");
    assert!(resident_bytes < BOUNDED_BYTES);
}

/// A component that makes a `gpu` and calls what `body` says with its handle in the local `$gpu`.
fn with_handle(body: &str) -> String {
    format!(
        r#"(component
            (import "wasi:webgpu/webgpu@0.3.0-rc.2" (instance $webgpu
                (export "gpu" (type $gpu (sub resource)))
                (export "wgsl-language-features" (type $features (sub resource)))
                (export "[method]gpu.wgsl-language-features" (func (param "self" (borrow $gpu)) (result (own $features))))
                (export "get-gpu" (func (result (own $gpu))))))
            (alias export $webgpu "gpu" (type $gpu))
            (core func $get (canon lower (func $webgpu "get-gpu")))
            (core func $features (canon lower (func $webgpu "[method]gpu.wgsl-language-features")))
            (core func $drop (canon resource.drop $gpu))
            (core module $m
                (import "" "get" (func $get (result i32)))
                (import "" "features" (func $features (param i32) (result i32)))
                (import "" "drop" (func $drop (param i32)))
                (func (export "start") (local $gpu i32)
                    (local.set $gpu (call $get))
                    {body}))
            (core instance $i (instantiate $m (with "" (instance
                (export "get" (func $get)) (export "features" (func $features)) (export "drop" (func $drop))))))
            (func (export "start") (canon lift (core func $i "start"))))"#
    )
}

#[tokio::test]
async fn row_11_a_handle_is_of_no_use_after_its_drop_and_a_child_outlives_its_parent() {
    let drop = "(call $drop (local.get $gpu))";
    let uses = "(drop (call $features (local.get $gpu)))";
    for (body, is_fault) in [
        (format!("{uses} {drop}"), false),
        (format!("{drop} {drop}"), true),
        (format!("{drop} {uses}"), true),
        (format!("(local.set $gpu (call $features (local.get $gpu))) {drop}"), true),
        ("(call $drop (i32.const 0))".to_owned(), true),
        ("(call $drop (i32.const -1))".to_owned(), true),
    ] {
        let mut worker = component(&with_handle(&body)).await;
        let reason = ended(&mut worker).await.reason;
        let expected = match &reason {
            EndReason::Scene(SceneFault::Trap(_)) => is_fault,
            EndReason::Finished => !is_fault,
            _ => false,
        };
        assert!(expected, "{body}: {reason}");
    }
}

#[tokio::test]
async fn row_13_nothing_of_a_scene_runs_after_its_trap() {
    let mut worker = worker("traps_in_a_tick", 0).await;
    let mut trapped = false;
    let reason = loop {
        match worker.next().await {
            FromWorker::Log(line) if matches!(line.source, LogSource::Log(_)) => {
                assert!(!trapped, "{line:?} came after the trap");
                // The panic's message is the last thing that the scene says.
                trapped = line.line == "traps now";
            }
            FromWorker::Ended(reason) => break reason,
            _ => {}
        }
    };
    assert!(trapped && matches!(reason, EndReason::Scene(SceneFault::Trap(_))), "{reason}");
    assert!(worker.next_or_end().await.is_none(), "nothing comes after the end");
    assert!(worker.exit().await.success());
}

#[tokio::test]
async fn row_18_a_sleep_of_a_thousand_million_seconds_holds_nothing_and_a_gibibyte_of_random_is_refused() {
    let Ended { reason, said, resident_bytes } = ended(&mut worker("abuses_clock_and_random", 1).await).await;
    assert!(said.iter().any(|line| line == "ticks go on"), "{said:?}");
    eprintln!("{reason}");
    assert!(matches!(reason, EndReason::Scene(SceneFault::Trap(_) | SceneFault::Limit(_))), "{reason}");
    assert!(resident_bytes < BOUNDED_BYTES);
}

#[tokio::test]
async fn rows_22_and_23_work_that_the_gpu_never_ends_ends_the_session_within_seconds() {
    // One after the other: each takes all processors of a machine without a GPU.
    for (way, what) in [
        "a compute shader without end",
        "a fragment shader without end",
        "65535 x 65535 x 65535 workgroups",
        "a thousand million instances",
        "ten thousand full pictures",
        "a compute shader without end, for which nobody waits",
    ]
    .into_iter()
    .enumerate()
    {
        let mut worker = worker("hangs_the_gpu", way as u64).await;
        let mut hung = None;
        let reason = loop {
            match worker.next().await {
                FromWorker::Log(line) if line.line == "hangs the GPU now" => hung = Some(Instant::now()),
                FromWorker::Ended(reason) => break reason,
                _ => {}
            }
        };
        let took = hung.map(|since| since.elapsed());
        worker.exit().await;
        eprintln!("{what}: {reason} {took:?} after it was begun");
        assert!(matches!(reason, EndReason::Scene(SceneFault::GpuTimeout { .. })), "{what}: {reason}");
    }
}

#[tokio::test]
async fn rows_20_and_21_shaders_too_deep_or_too_long_are_compiled_or_refused() {
    conforms("deep_shaders", 0).await;
}

#[tokio::test]
async fn row_25_a_session_never_finds_what_another_left() {
    conforms("canary", 0).await;
    // While a third one has its canary still.
    tokio::join!(conforms("canary", 0), conforms("canary", 1));
}

#[tokio::test]
async fn row_27_all_memory_of_the_gpu_is_the_quota_and_a_neighbour_has_its_own() {
    let mut greedy = worker("allocates_until_refused", 0).await;
    loop {
        match greedy.next().await {
            FromWorker::Log(line) if line.line == "the quota is reached" => break,
            FromWorker::Ended(reason) => panic!("{reason}"),
            _ => {}
        }
    }
    conforms("canary", 1).await;
    let (lines, end) = greedy.output().await;
    assert_conforms(&lines, &end);
}

#[tokio::test]
async fn row_28_objects_that_are_given_back_leave_nothing() {
    let seconds =
        std::env::var("SCENECAST_PROPERTY_SECONDS").ok().and_then(|value| value.parse::<u64>().ok());
    // Thousands of rounds, each with a few objects of each kind; a thousand take some hundredths of a second.
    let thousands = seconds.map_or(100, |seconds| seconds.max(100));
    let mut worker = worker("creates_and_drops", thousands).await;
    let begun = Instant::now();
    let mut looks: Vec<(Duration, u64)> = Vec::new();
    loop {
        match worker.next().await {
            FromWorker::Log(line) if line.line.contains(" of ") => {
                looks.push((begun.elapsed(), worker.resident_bytes()));
            }
            FromWorker::Ended(reason) => {
                assert_eq!(reason, EndReason::Finished);
                break;
            }
            _ => {}
        }
    }
    let text: Vec<String> =
        looks.iter().map(|(at, bytes)| format!("{at:.1?}: {} KiB", bytes >> 10)).collect();
    eprintln!("{}", text.join(", "));
    let (Some((_, middle)), Some((_, last))) = (looks.get(looks.len() / 2), looks.last()) else {
        panic!("{looks:?}")
    };
    assert!(*last < middle + (8 << 20), "{}", text.join(", "));
}

#[tokio::test]
async fn row_29_buffers_that_are_misused_are_errors() {
    conforms("misuses_buffers", 0).await;
}

#[tokio::test]
async fn row_30_a_device_goes_while_everything_waits_for_it() {
    conforms("drops_devices", 0).await;
}
