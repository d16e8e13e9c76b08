//! The limits of a scene, in real workers. Names with a row hold a promise of the table of hostile inputs.

use std::fmt::Write as _;

use renderer_protocol::{EndReason, SceneFault, SceneLimits, limits::LIMITS};

use crate::{binary::repository, support::Worker};

async fn end_of(wat: &str, limits: SceneLimits) -> EndReason {
    let folder = tempfile::tempdir().unwrap();
    let scene = folder.path().join("scene.wasm");
    std::fs::write(&scene, wat::parse_str(wat).unwrap()).unwrap();
    Worker::running_with(&scene, |start| start.limits = limits).await.end().await
}

/// The scene ended for this limit, and its author is told which setting it is.
#[track_caller]
fn assert_over(reason: &EndReason, setting: &str) {
    assert!(
        matches!(reason, EndReason::Scene(SceneFault::Limit(limit)) if limit.contains(setting)),
        "{setting}: {reason:?}"
    );
}

/// A component of `children` components, each with a type of resources of its own, and one that makes 9,000 of each.
fn resource_makers(children: u32) -> String {
    let (mut imports, mut lowered, mut core_imports) = (String::new(), String::new(), String::new());
    let (mut calls, mut exports) = (String::new(), String::new());
    let (mut instances, mut arguments) = (String::new(), String::new());
    for child in 0..children {
        writeln!(imports, r#"(import "fill{child}" (func $fill{child} (param "count" u32)))"#).unwrap();
        writeln!(lowered, "(core func $lowered{child} (canon lower (func $fill{child})))").unwrap();
        writeln!(core_imports, r#"(import "host" "fill{child}" (func $fill{child} (param i32)))"#).unwrap();
        writeln!(calls, "(call $fill{child} (i32.const 9000))").unwrap();
        writeln!(exports, r#"(export "fill{child}" (func $lowered{child}))"#).unwrap();
        writeln!(instances, "(instance $child{child} (instantiate $child))").unwrap();
        writeln!(arguments, r#"(with "fill{child}" (func $child{child} "fill"))"#).unwrap();
    }
    format!(
        r#"(component
            (component $child
                (type $thing (resource (rep i32)))
                (core func $new (canon resource.new $thing))
                (core module $m
                    (import "host" "new" (func $new (param i32) (result i32)))
                    (func (export "fill") (param $count i32)
                        (loop $again
                            (drop (call $new (i32.const 7)))
                            (local.set $count (i32.sub (local.get $count) (i32.const 1)))
                            (br_if $again (local.get $count)))))
                (core instance $i (instantiate $m (with "host" (instance (export "new" (func $new))))))
                (func (export "fill") (param "count" u32) (canon lift (core func $i "fill"))))
            (component $main
                {imports}
                {lowered}
                (core module $m {core_imports} (func (export "start") {calls}))
                (core instance $i (instantiate $m (with "host" (instance {exports}))))
                (func (export "start") (canon lift (core func $i "start"))))
            {instances}
            (instance $run (instantiate $main {arguments}))
            (export "start" (func $run "start")))"#
    )
}

#[tokio::test]
async fn row_10_handles_are_counted_over_all_instances_of_a_component() {
    assert_eq!(end_of(&resource_makers(8), SceneLimits::default()).await, EndReason::Finished);
    assert_over(&end_of(&resource_makers(12), SceneLimits::default()).await, "max-handles");
    let fewer = SceneLimits { max_handles: 1000, ..SceneLimits::default() };
    assert_over(&end_of(&resource_makers(1), fewer).await, "max-handles");
}

#[tokio::test]
async fn row_10_a_component_of_many_instances_is_not_instantiated() {
    assert_over(&end_of(&resource_makers(70), SceneLimits::default()).await, "max-instances");
}

#[tokio::test]
async fn row_5_linear_memory_is_counted_over_all_memories_and_growing_beyond_it_fails() {
    // Each memory asks for 16 MiB more until it gets no more; `start` traps unless they got together what the limit says.
    let wat = |pages: u32| {
        format!(
            r#"(component
                (core module $m
                    (memory $a 1) (memory $b 1)
                    (func $fill (param $got i32) (result i32)
                        (loop $again
                            (if (i32.ne (memory.grow $a (i32.const 256)) (i32.const -1))
                                (then (local.set $got (i32.add (local.get $got) (i32.const 256))) (br $again))))
                        (loop $again
                            (if (i32.ne (memory.grow $b (i32.const 256)) (i32.const -1))
                                (then (local.set $got (i32.add (local.get $got) (i32.const 256))) (br $again))))
                        (local.get $got))
                    (func (export "start")
                        (if (i32.ne (call $fill (i32.const 0)) (i32.const {pages})) (then unreachable))))
                (core instance $i (instantiate $m))
                (func (export "start") (canon lift (core func $i "start"))))"#
        )
    };
    // 256 MiB are 4096 pages, of which two are there from the beginning.
    assert_eq!(end_of(&wat(3840), SceneLimits::default()).await, EndReason::Finished);
    let half = SceneLimits { max_memory_bytes: 128 << 20, ..SceneLimits::default() };
    assert_eq!(end_of(&wat(1792), half).await, EndReason::Finished);
}

#[test]
fn the_documentation_lists_every_limit_with_its_default_and_its_range() {
    let page = std::fs::read_to_string(repository().join("docs/limits.md")).unwrap();
    let mut rows = page.lines().filter(|line| line.starts_with("| `max-"));
    for limit in LIMITS {
        let row = rows.next().unwrap_or_else(|| panic!("{} is missing", limit.name));
        let expected = format!("| `{}` | {} | {}–{} |", limit.name, limit.default, limit.min, limit.max);
        assert!(row.starts_with(&expected), "expected {expected}\nfound    {row}");
    }
    assert_eq!(rows.next(), None, "no limit of the renderer");
}
