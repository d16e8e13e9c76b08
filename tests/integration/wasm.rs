//! Which WebAssembly a scene may be made of, and what its instances may take, as its author meets it: hand-written components in a real
//! compiler process and a real worker.

use std::path::PathBuf;

use renderer_protocol::{EndReason, SceneFault};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::{
    binary::repository,
    support::{Worker, assert_over_limit},
};

/// What all linear memories of a scene may have together, in pages of 64 KiB.
const MEMORY_PAGES: u32 = 4096;

/// A component whose entry point is the function `start` of a core module with these fields.
fn scene_of(fields: &str) -> String {
    format!(
        r#"(component
            (core module $m {fields})
            (core instance $i (instantiate $m))
            (func (export "start") (canon lift (core func $i "start"))))"#
    )
}

struct Component {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

fn component(wat: &str) -> Component {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scene.wasm");
    std::fs::write(&path, wat::parse_str(wat).unwrap()).unwrap();
    Component { _folder: folder, path }
}

async fn end_of(wat: impl AsRef<str>) -> EndReason {
    Worker::running(&component(wat.as_ref()).path).await.end().await
}

/// The code and the text with which the compiler process refuses a component.
async fn refusal_of(worker: &Worker, wat: &str) -> (String, String) {
    let answer = worker.compiler_answer(&component(wat).path).await;
    let refused = &answer["refused"];
    let field = |name: &str| refused[name].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    (field("code"), field("message"))
}

#[tokio::test]
async fn a_scene_may_use_simd() {
    let end = end_of(scene_of(
        r#"(func (export "start")
            (i32x4.extract_lane 2 (i32x4.add (v128.const i32x4 1 2 3 4) (i32x4.splat (i32.const 39))))
            (if (i32.ne (i32.const 42)) (then unreachable)))"#,
    ));
    assert_eq!(end.await, EndReason::Finished);
}

#[tokio::test]
async fn a_scene_may_use_relaxed_simd_and_gets_the_same_bits_everywhere() {
    // Fused, the product would not be rounded before the sum, and the result would be 2^-46; the deterministic form is fused.
    let end = end_of(scene_of(
        r#"(func (export "start")
            (i32x4.extract_lane 0 (f32x4.relaxed_madd
                (f32x4.splat (f32.const 0x1.000002p0)) (f32x4.splat (f32.const 0x1.000002p0))
                (f32x4.splat (f32.const -0x1.000004p0))))
            (if (i32.ne (i32.reinterpret_f32 (f32.const 0x1p-46))) (then unreachable)))"#,
    ));
    assert_eq!(end.await, EndReason::Finished);
}

#[tokio::test]
async fn a_scene_may_have_several_memories() {
    let end = end_of(scene_of(
        r#"(memory $a 1) (memory $b 1)
        (func (export "start")
            (i32.store $a (i32.const 8) (i32.const 1))
            (i32.store $b (i32.const 8) (i32.const 2))
            (memory.copy $b $a (i32.const 16) (i32.const 8) (i32.const 4))
            (if (i32.ne (i32.load $b (i32.const 16)) (i32.const 1)) (then unreachable))
            (if (i32.ne (i32.load $b (i32.const 8)) (i32.const 2)) (then unreachable)))"#,
    ));
    assert_eq!(end.await, EndReason::Finished);
}

#[tokio::test]
async fn a_scene_may_have_a_memory_with_addresses_of_64_bits() {
    let end = end_of(scene_of(
        r#"(memory i64 1)
        (func (export "start")
            (i64.store (i64.const 65528) (i64.const 7))
            (if (i64.ne (i64.load (i64.const 65528)) (i64.const 7)) (then unreachable))
            (if (i64.ne (memory.grow (i64.const 1)) (i64.const 1)) (then unreachable))
            (i64.store (i64.const 65536) (i64.const 8)))"#,
    ));
    assert_eq!(end.await, EndReason::Finished);
    let end = end_of(scene_of(
        r#"(memory i64 1)
        (func (export "start") (drop (i64.load (i64.const 0x1_0000_0000_0000))))"#,
    ));
    let end = end.await;
    assert!(
        matches!(&end, EndReason::Scene(SceneFault::Trap(trap)) if trap.contains("out of bounds memory access")),
        "{end:?}"
    );
}

#[tokio::test]
async fn threads_and_garbage_collection_and_exceptions_are_refused_by_their_names() {
    let cases = [
        ("threads", r#"(memory 1 1 shared) (func (export "start"))"#),
        ("threads", r#"(memory 1) (func (export "start") (drop (i32.atomic.load (i32.const 0))))"#),
        ("garbage collection", r#"(type (struct (field i32))) (func (export "start"))"#),
        ("garbage collection", r#"(type (array i8)) (func (export "start"))"#),
        ("garbage collection", r#"(func (export "start") (drop (ref.i31 (i32.const 1))))"#),
        ("garbage collection", r#"(func (export "start") (local anyref))"#),
        (
            "function references",
            r#"(type $f (func)) (func (export "start") (param (ref $f)) (call_ref $f (local.get 0)))"#,
        ),
        ("exceptions", r#"(tag) (func (export "start"))"#),
        ("exceptions", r#"(func (export "start") (block (try_table (catch_all 0))))"#),
        ("exceptions", r#"(func (export "start") (param exnref) (throw_ref (local.get 0)))"#),
    ];
    let worker = Worker::start().await;
    let mut wrong = Vec::new();
    for (feature, fields) in cases {
        let (code, message) = refusal_of(&worker, &scene_of(fields)).await;
        let expected = format!("it uses {feature}, which scenes may not");
        if code != "scene_uncompilable" || !message.contains(&expected) {
            wrong.push(format!("{feature}: {fields}: {code}: {message}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn the_memory_of_a_scene_is_counted_over_all_of_its_memories_of_both_kinds() {
    // Grows both by turns until neither grows, and then says whether the sum is what it may have.
    let end = end_of(scene_of(&format!(
        r#"(memory $a 1) (memory $b i64 1)
        (func (export "start") (local $grew i32)
            (loop $more
                (local.set $grew (i32.or
                    (i32.ne (memory.grow $a (i32.const 64)) (i32.const -1))
                    (i64.ne (memory.grow $b (i64.const 64)) (i64.const -1))))
                (br_if $more (local.get $grew)))
            (drop (memory.grow $a (i32.const 62)))
            (if (i64.ne
                    (i64.add (i64.extend_i32_u (memory.size $a)) (memory.size $b))
                    (i64.const {MEMORY_PAGES}))
                (then unreachable)))"#
    )));
    assert_eq!(end.await, EndReason::Finished);
}

#[tokio::test]
async fn a_memory_that_would_be_too_large_does_not_grow() {
    for (kind, pages) in [("i32", "65535"), ("i64", "65535"), ("i64", "0x0000_ffff_ffff_fffe"), ("i64", "-1")]
    {
        let end = end_of(scene_of(&format!(
            r#"(memory {kind} 1)
            (func (export "start")
                (if ({kind}.ne (memory.grow ({kind}.const {pages})) ({kind}.const -1)) (then unreachable))
                (if ({kind}.ne (memory.size) ({kind}.const 1)) (then unreachable)))"#
        )));
        assert_eq!(end.await, EndReason::Finished, "{kind} {pages}");
    }
}

#[tokio::test]
async fn a_scene_that_begins_with_too_much_memory_does_not_begin() {
    for memories in ["(memory 65536)", "(memory i64 65536)", "(memory 2049) (memory 2049)"] {
        let end = end_of(scene_of(&format!(r#"{memories} (func (export "start"))"#))).await;
        assert!(
            matches!(&end, EndReason::Scene(SceneFault::Limit(why)) if why.contains("max-memory-bytes")),
            "{memories}: {end:?}"
        );
    }
}

#[tokio::test]
async fn a_scene_of_too_many_instances_tables_or_memories_does_not_begin() {
    let modules = |fields: &str, count: usize| {
        let instances = "(core instance (instantiate $m))\n".repeat(count);
        format!(
            r#"(component
                (core module $m {fields})
                {instances}
                (core module $s (func (export "start")))
                (core instance $i (instantiate $s))
                (func (export "start") (canon lift (core func $i "start"))))"#
        )
    };
    for (what, wat) in [
        ("instance", modules("", 65)),
        ("table", modules("(table 1 funcref) (table 1 funcref)", 40)),
        ("memory", modules("(memory 0) (memory 0)", 40)),
    ] {
        let end = end_of(wat).await;
        assert_over_limit(&end, &format!("resource limit exceeded: {what} count"));
    }
    // What is far beyond every limit does not even compile.
    let (code, message) = refusal_of(&Worker::start().await, &modules("", 100_000)).await;
    assert_eq!(code, "scene_uncompilable", "{message}");
}

/// Components in components: each level instantiates the one below ten times.
#[tokio::test]
async fn nested_components_are_counted_together() {
    let mut component =
        "(component $c0 (core module $m (memory 0)) (core instance (instantiate $m)))".to_owned();
    for level in 1..=4 {
        let instances = format!("(instance (instantiate $c{}))\n", level - 1).repeat(10);
        component = format!("(component $c{level} {component} {instances})");
    }
    let end = end_of(format!(
        r#"(component
            {component}
            (instance (instantiate $c4))
            (core module $s (func (export "start")))
            (core instance $i (instantiate $s))
            (func (export "start") (canon lift (core func $i "start"))))"#
    ))
    .await;
    assert_over_limit(&end, "resource limit exceeded: instance count");
}

#[tokio::test]
async fn a_table_that_would_be_too_large_does_not_grow() {
    let end = end_of(scene_of(
        r#"(table 1 funcref)
        (func (export "start")
            (if (i32.ne (table.grow (ref.null func) (i32.const 10_000_000)) (i32.const -1)) (then unreachable))
            (if (i32.eq (table.grow (ref.null func) (i32.const 1_000)) (i32.const -1)) (then unreachable)))"#,
    ));
    assert_eq!(end.await, EndReason::Finished);
}

/// A component that calls an import of one string with so many bytes of its memory.
fn calling_with_string(bytes: u64, pages: u32) -> String {
    format!(
        r#"(component
            (import "scenecast:scene/log@0.1.0" (instance $log
                (type $level (enum "debug" "info" "warn" "error"))
                (export "level" (type $exported (eq $level)))
                (export "log" (func (param "level" $exported) (param "message" string)))))
            (core module $memory (memory (export "memory") {pages}))
            (core instance $memory (instantiate $memory))
            (core func $log (canon lower (func $log "log") (memory (core memory $memory "memory"))))
            (core module $m
                (import "host" "log" (func $log (param i32 i32 i32)))
                (func (export "start") (call $log (i32.const 1) (i32.const 0) (i32.const {bytes}))))
            (core instance $i (instantiate $m (with "host" (instance (export "log" (func $log))))))
            (func (export "start") (canon lift (core func $i "start"))))"#
    )
}

#[tokio::test]
async fn a_call_that_carries_too_long_a_string_ends_the_scene_by_that_limit() {
    let end = end_of(calling_with_string(100 << 20, 2_000)).await;
    assert_over_limit(&end, "hostcalls has been exhausted");
}

#[tokio::test]
async fn a_string_that_lies_outside_of_the_scenes_memory_is_a_trap() {
    for bytes in [(1 << 30) + 1, 0xffff_ffff] {
        let end = end_of(calling_with_string(bytes, 1)).await;
        assert!(
            matches!(&end, EndReason::Scene(SceneFault::Trap(trap)) if trap.contains("out of bounds")),
            "{bytes}: {end:?}"
        );
    }
}

/// 10,000 names of 10,000 bytes each, which in the scene's memory are one and the same.
#[tokio::test]
async fn a_call_that_carries_too_much_in_nested_lists_ends_the_scene_by_that_limit() {
    let none = |count: usize| "(i32.const 0) ".repeat(count);
    let parameters = |count: usize| "i32 ".repeat(count);
    let module = format!(
        r#"(module
            (import "wasi:webgpu/webgpu@0.3.0-rc.2" "get-gpu" (func $gpu (result i32)))
            (import "wasi:webgpu/webgpu@0.3.0-rc.2" "[method]gpu.request-adapter"
                (func $adapter (param {})))
            (import "wasi:webgpu/webgpu@0.3.0-rc.2" "[method]gpu-adapter.request-device"
                (func $device (param {})))
            (import "wasi:webgpu/webgpu@0.3.0-rc.2" "[method]gpu-device.create-shader-module"
                (func $shader (param {}) (result i32)))
            (memory (export "memory") 10)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
            (func (export "start") (local $hint i32)
                (call $adapter (call $gpu) {} (i32.const 32))
                (call $device (i32.load (i32.const 36)) {} (i32.const 32))
                (local.set $hint (i32.const 65536))
                (loop $hints
                    (i32.store offset=4 (local.get $hint) (i32.const 10000))
                    (local.set $hint (i32.add (local.get $hint) (i32.const 20)))
                    (br_if $hints (i32.lt_u (local.get $hint) (i32.const 265536))))
                (drop (call $shader (i32.load (i32.const 36))
                    (i32.const 0) (i32.const 0)
                    (i32.const 1) (i32.const 65536) (i32.const 10000)
                    {}))))"#,
        parameters(1 + 10 + 1),
        parameters(1 + 13 + 1),
        parameters(1 + 2 + 3 + 3),
        none(10),
        none(13),
        none(3),
    );
    let mut resolve = Resolve::default();
    resolve.push_dir(repository().join("wit")).unwrap();
    let world = "package scenecast:test; world scene { import wasi:webgpu/webgpu@0.3.0-rc.2; export start: async func(); }";
    let package = resolve.push_str("test.wit", world).unwrap();
    let world = resolve.select_world(&[package], None).unwrap();
    let mut module = wat::parse_str(module).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false).unwrap();
    let component = ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scene.wasm");
    std::fs::write(&path, component).unwrap();
    assert_over_limit(&Worker::running(&path).await.end().await, "hostcalls has been exhausted");
}
