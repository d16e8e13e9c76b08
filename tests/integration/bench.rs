//! `scenecast bench hostcalls`, as somebody calls it who wants to know. That it measures, and what; how fast a machine is asserts no test.

use std::process::Output;

use crate::{
    binary::scene,
    support::{compiler, scenecast},
};

fn hostcalls(arguments: &[&str]) -> Output {
    scenecast().args(["bench", "hostcalls"]).args(arguments).output().expect("the binary starts")
}

fn component() -> String {
    scene("bench/hostcalls").to_str().unwrap().to_owned()
}

#[test]
fn host_calls_are_measured_on_both_backends_beside_native_calls_and_the_floor() {
    let output = hostcalls(&[&component(), "--rounds", "1", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let backends = report["backends"].as_array().unwrap();
    let names: Vec<_> = backends.iter().map(|backend| &backend["backend"]).collect();
    assert_eq!(names, ["noop", "vulkan"]);
    for backend in backends {
        assert!(backend["three_options_ns"].as_f64().unwrap() > 0.0, "{backend}");
        let works: Vec<_> = backend["works"].as_array().unwrap().iter().collect();
        let counts: Vec<_> = works
            .iter()
            .map(|work| (work["calls"].as_str().unwrap(), work["call_count"].as_u64().unwrap()))
            .collect();
        assert_eq!(
            counts,
            [
                ("set-bind-group, draw", 20_000),
                ("set-bind-group", 10_000),
                ("draw", 10_000),
                ("dispatch-workgroups", 500),
                ("write-buffer, 256 B", 1_000),
                ("write-buffer, 1 MiB", 100),
            ]
        );
        for work in works {
            for figure in ["host_ns", "native_ns", "floor_ns", "host_frame_ms", "native_frame_ms"] {
                assert!(work[figure].as_f64().unwrap() > 0.0, "{figure} of {work}");
            }
            let carries_bytes = work["calls"].as_str().unwrap().starts_with("write-buffer");
            assert_eq!(work["memcpy_ns"].as_f64().is_some(), carries_bytes, "{work}");
        }
    }
}

#[test]
fn the_functions_of_the_floor_are_offered_to_no_scene() {
    let cache = tempfile::tempdir().unwrap();
    let answer = compiler::answer(&std::fs::read(component()).unwrap(), cache.path()).to_string();
    assert!(answer.contains("refused") && answer.contains("scenecast:bench/floor"), "{answer}");
}

#[test]
fn a_benchmark_of_nothing_says_what_there_is() {
    let output = hostcalls(&[&component(), "--only", "write-texture"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("`write-texture`") && error.contains("`write-buffer, 256 B`"), "{error}");
    let output = hostcalls(&["/nowhere/hostcalls.wasm"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("/nowhere/hostcalls.wasm") && error.contains("make scenes"), "{error}");
}
