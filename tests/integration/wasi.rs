//! Programs that know nothing of scenes but their language's standard library, in a real worker: they start, they find the log, the clock
//! and the random numbers that every scene has, and nothing else.

mod everything;
mod guests;

use std::path::Path;

use renderer_protocol::{EndReason, FromWorker, LogLine, LogSource, SceneFault, ToWorker};

use crate::{
    binary::scene,
    support::{Worker, assert_over_limit},
};

/// What a program of guest-scenes/wasi said.
struct Said(Vec<LogLine>);

impl Said {
    /// Runs a program to its end.
    async fn by(component: &Path, seed: u64) -> Self {
        let mut worker = Worker::running_with(component, |start| start.seed = seed).await;
        let (lines, end) = worker.output().await;
        assert_eq!(end, EndReason::Finished, "{lines:#?}");
        Self(lines)
    }

    fn lines(&self, source: LogSource) -> Vec<&str> {
        self.0.iter().filter(|line| line.source == source).map(|line| line.line.as_str()).collect()
    }

    /// What stands after `name: ` in a line of standard output.
    #[track_caller]
    fn value(&self, name: &str) -> &str {
        let value = self.0.iter().find_map(|line| line.line.strip_prefix(name)?.strip_prefix(": "));
        value.unwrap_or_else(|| panic!("there is no `{name}` in {:#?}", self.0))
    }

    #[track_caller]
    fn number(&self, name: &str) -> u64 {
        self.value(name).parse().unwrap_or_else(|_| panic!("`{name}` is no number in {:#?}", self.0))
    }

    /// What is the same for all languages.
    #[track_caller]
    fn assert_has_a_log_and_a_clock_and_nothing_to_read(&self) {
        assert_eq!(self.lines(LogSource::Stderr), [r"error output: \u{1b}[31mred"]);
        assert_eq!(self.lines(LogSource::Stdout).last(), Some(&"unfinished"));
        assert_eq!(self.number("environment"), 0);
        assert!(self.number("slept") >= 20_000, "{} µs", self.number("slept"));
        // The clock begins with the session.
        assert!(self.number("date") < 3_600, "{} s", self.number("date"));
    }
}

#[tokio::test]
async fn a_rust_program_is_a_scene() {
    let Some(guest) = guests::rust() else { return };
    let said = Said::by(&guest.component(), 1).await;
    said.assert_has_a_log_and_a_clock_and_nothing_to_read();
    assert_eq!(said.number("arguments"), 0);
    assert_eq!(said.value("stdin"), "Ok(0)");
    for path in ["open", "create", "list"] {
        assert_eq!(said.value(path), "NotFound", "{path}");
    }
    for socket in ["tcp connect", "tcp listen", "udp bind"] {
        assert_eq!(said.value(socket), "PermissionDenied", "{socket}");
    }
    assert_eq!(said.value("lookup"), "Uncategorized");

    let again = Said::by(&guest.component(), 1).await;
    let other = Said::by(&guest.component(), 2).await;
    assert_eq!(said.value("random"), again.value("random"), "one seed gives the same numbers");
    assert_ne!(said.value("random"), other.value("random"), "another seed gives others");
}

#[tokio::test]
async fn a_c_program_is_a_scene() {
    let Some(guest) = guests::c() else { return };
    let said = Said::by(&guest.component(), 1).await;
    said.assert_has_a_log_and_a_clock_and_nothing_to_read();
    assert_eq!(said.number("stdin"), 0);
    for path in ["open", "create", "list"] {
        // ENOTCAPABLE, which is what its library says when no folder is open.
        assert_eq!(said.value(path), "Capabilities insufficient", "{path}");
    }

    let again = Said::by(&guest.component(), 1).await;
    let other = Said::by(&guest.component(), 2).await;
    assert_eq!(said.value("random"), again.value("random"), "one seed gives the same numbers");
    assert_ne!(said.value("random"), other.value("random"), "another seed gives others");
}

#[tokio::test]
async fn a_python_program_is_a_scene() {
    let Some(guest) = guests::python() else { return };
    let said = Said::by(&guest.component(), 1).await;
    said.assert_has_a_log_and_a_clock_and_nothing_to_read();
    assert_eq!(said.number("stdin"), 0);
    for path in ["open", "create", "list"] {
        assert_eq!(said.value(path), "FileNotFoundError", "{path}");
    }
    for socket in ["tcp connect", "udp bind"] {
        assert_eq!(said.value(socket), "PermissionError", "{socket}");
    }
    assert_eq!(said.value("lookup"), "gaierror");
}

/// The topic checks what it is answered; what it wrote can only be seen here.
#[tokio::test]
async fn the_output_of_wasi_0_3_is_in_the_log() {
    let said = Said::by(&scene("conformance/wasi_0_3"), 1).await;
    assert_eq!(said.lines(LogSource::Stdout), ["standard output, unfinished"]);
    assert_eq!(said.lines(LogSource::Stderr), [r"standard error in \u{1b}[31mred"]);
}

#[tokio::test]
async fn a_component_that_imports_all_of_a_wasi_version_runs() {
    for version in ["p2", "p3"] {
        let Some(component) = everything::imported_by_command(&format!("src/{version}/wit")) else { return };
        // It does nothing but trap, and it can only do that after all of its imports were found.
        let end = running(&component).await.end().await;
        assert!(
            matches!(&end, EndReason::Scene(SceneFault::Trap(trap)) if trap.contains("unreachable")),
            "{version}: {end:?}"
        );
    }
}

/// A component that has these imports, and a core module with these fields for its entry point.
fn component(imports: &str, fields: &str) -> Vec<u8> {
    let wat = format!(
        r#"(component
            {imports}
            (core module $m {fields})
            (core instance $i (instantiate $m (with "host" (instance $host))))
            (func (export "start") async (canon lift (core func $i "start"))))"#
    );
    wat::parse_str(wat).unwrap()
}

/// A worker in which the component runs.
async fn running(component: &[u8]) -> Worker {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scene.wasm");
    std::fs::write(&path, component).unwrap();
    Worker::running(&path).await
}

const NO_FUNCTIONS: &str = "(core instance $host)";

#[tokio::test]
async fn every_patch_version_of_wasi_0_2_is_satisfied() {
    const INTERFACES: &[&str] = &[
        "cli/environment",
        "cli/exit",
        "cli/stderr",
        "cli/stdin",
        "cli/stdout",
        "clocks/monotonic-clock",
        "clocks/wall-clock",
        "filesystem/preopens",
        "filesystem/types",
        "io/error",
        "io/poll",
        "io/streams",
        "random/insecure",
        "random/insecure-seed",
        "random/random",
        "sockets/instance-network",
        "sockets/ip-name-lookup",
        "sockets/network",
        "sockets/tcp",
        "sockets/tcp-create-socket",
        "sockets/udp",
        "sockets/udp-create-socket",
    ];
    // To the newest that the host implements, and one that does not exist yet.
    for patch in (0..=12).chain([99]) {
        let import = |interface| format!("(import \"wasi:{interface}@0.2.{patch}\" (instance))\n");
        let imports: String = INTERFACES.iter().map(import).collect();
        let scene = component(&format!("{imports} {NO_FUNCTIONS}"), r#"(func (export "start"))"#);
        assert_eq!(running(&scene).await.end().await, EndReason::Finished, "0.2.{patch}");
    }
}

#[tokio::test]
async fn an_import_that_is_not_offered_is_refused_by_its_name() {
    let worker = Worker::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scene.wasm");
    for name in [
        "wasi:http/outgoing-handler@0.2.0",
        "wasi:http/client@0.3.0",
        "wasi:keyvalue/store@0.2.0-draft",
        "wasi:nn/inference@0.2.0-rc-2024-10-28",
        "wasi:clocks/timezone@0.2.0",
        "wasi:sockets/types@0.3.0-rc-2026-01-06",
        "wasi:webgpu/webgpu@0.0.1",
        "somebody:program/interface",
    ] {
        let imports = format!("(import \"{name}\" (instance)) {NO_FUNCTIONS}");
        std::fs::write(&path, component(&imports, r#"(func (export "start"))"#)).unwrap();
        let answer = worker.compiler_answer(&path).await;
        let refused = &answer["refused"];
        assert_eq!(refused["code"], "scene_import_not_offered", "{name}: {answer}");
        assert!(refused["message"].as_str().unwrap().contains(&format!("`{name}`")), "{answer}");
    }
}

const TIMERS: &str = r#"
    (import "wasi:io/poll@0.2.0" (instance $poll
        (export "pollable" (type $pollable (sub resource)))
        (export "[method]pollable.block" (func (param "self" (borrow $pollable))))))
    (alias export $poll "pollable" (type $pollable))
    (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
        (alias outer 1 $pollable (type $pollable))
        (export "pollable" (type $clock-pollable (eq $pollable)))
        (export "subscribe-duration" (func (param "when" u64) (result (own $clock-pollable))))))
    (core func $subscribe (canon lower (func $clock "subscribe-duration")))
    (core func $block (canon lower (func $poll "[method]pollable.block")))
    (core instance $host (export "subscribe" (func $subscribe)) (export "block" (func $block)))"#;

/// The wait is not cut short, and it is no reason to outlive its session.
#[tokio::test]
async fn a_scene_that_sleeps_for_centuries_is_stopped_like_any_other() {
    let scene = component(
        TIMERS,
        r#"(import "host" "subscribe" (func $subscribe (param i64) (result i32)))
        (import "host" "block" (func $block (param i32)))
        (func (export "start") (call $block (call $subscribe (i64.const -1))))"#,
    );
    let mut worker = running(&scene).await;
    worker.send(&ToWorker::Ping { nonce: 1 }).await;
    while worker.next().await != (FromWorker::Pong { nonce: 1 }) {}
    worker.send(&ToWorker::Stop).await;
    assert_eq!(worker.end().await, EndReason::Stopped);
}

#[tokio::test]
async fn a_scene_that_sets_timers_without_end_comes_to_the_end_of_its_handles() {
    let scene = component(
        TIMERS,
        r#"(import "host" "subscribe" (func $subscribe (param i64) (result i32)))
        (func (export "start") (loop $more (drop (call $subscribe (i64.const -1))) (br $more)))"#,
    );
    assert_over_limit(&running(&scene).await.end().await, "resource table has no free keys");

    let scene = component(
        r#"(import "wasi:clocks/monotonic-clock@0.3.0" (instance $clock
            (export "wait-for" (func async (param "how-long" u64)))))
        (core func $wait (canon lower (func $clock "wait-for") async))
        (core instance $host (export "wait" (func $wait)))"#,
        r#"(import "host" "wait" (func $wait (param i64) (result i32)))
        (func (export "start") (loop $more (drop (call $wait (i64.const -1))) (br $more)))"#,
    );
    assert_over_limit(&running(&scene).await.end().await, "store handle limit exceeded");
}

/// A component that asks for random bytes once, and whose allocator does this.
fn asking_for_random_bytes(count: u64, allocator: &str) -> Vec<u8> {
    component(
        &format!(
            r#"(import "wasi:random/random@0.2.0" (instance $random
                (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))
            (core module $memory
                (memory (export "memory") 1)
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) {allocator}))
            (core instance $memory (instantiate $memory))
            (core func $bytes (canon lower (func $random "get-random-bytes")
                (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
            (core instance $host (export "bytes" (func $bytes)))"#
        ),
        &format!(
            r#"(import "host" "bytes" (func $bytes (param i64 i32)))
            (func (export "start") (call $bytes (i64.const {count}) (i32.const 8)))"#
        ),
    )
}

#[tokio::test]
async fn a_scene_that_asks_for_a_gigabyte_of_random_bytes_in_one_call_is_ended() {
    let scene = asking_for_random_bytes(1 << 30, "unreachable");
    let end = running(&scene).await.end().await;
    assert!(
        matches!(&end, EndReason::Scene(SceneFault::Trap(why)) if why.contains("exceeds limit 1048576")),
        "{end}"
    );
}

/// The host calls the scene's allocator from within a call that the scene makes.
#[tokio::test]
async fn a_scene_that_traps_or_lies_while_the_host_calls_it_back_is_ended() {
    for allocator in ["unreachable", "(i32.const 65535)", "(i32.const -1)"] {
        let end = running(&asking_for_random_bytes(16, allocator)).await.end().await;
        assert!(matches!(&end, EndReason::Scene(SceneFault::Trap(_))), "{allocator}: {end:?}");
    }
    let end = running(&asking_for_random_bytes(16, "(i32.const 65520)")).await.end().await;
    assert_eq!(end, EndReason::Finished);
}

/// A million lines in a thousand writes, each of which would clear a terminal.
#[tokio::test]
async fn a_scene_that_floods_its_log_is_heard_in_part_and_disturbs_nothing() {
    let module = wat::parse_str(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (func (export "_start") (local $at i32) (local $writes i32)
                (loop $fill
                    (i32.store offset=1024 (local.get $at) (i32.const 0x0a63_1b61))
                    (local.set $at (i32.add (local.get $at) (i32.const 4)))
                    (br_if $fill (i32.lt_u (local.get $at) (i32.const 4000))))
                (i32.store (i32.const 0) (i32.const 1024))
                (i32.store (i32.const 4) (i32.const 4000))
                (loop $flood
                    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
                    (local.set $writes (i32.add (local.get $writes) (i32.const 1)))
                    (br_if $flood (i32.lt_u (local.get $writes) (i32.const 1000))))))"#,
    );
    let mut worker = running(&guests::adapted(&module.unwrap())).await;
    worker.send(&ToWorker::Ping { nonce: 1 }).await;
    let (mut lines, mut answered) = (0, false);
    loop {
        match worker.next().await {
            FromWorker::Log(line) => {
                assert_eq!(line.line, r"a\u{1b}c");
                lines += 1;
            }
            FromWorker::Pong { nonce: 1 } => answered = true,
            FromWorker::Ended(end) => {
                assert_eq!(end, EndReason::Finished);
                break;
            }
            _ => {}
        }
    }
    assert!(answered, "a ping was answered while the scene wrote");
    assert!((1..=1_000_000).contains(&lines), "{lines} lines");
}
