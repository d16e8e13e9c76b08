//! The compiler process and the cache of native code: what hostile components cost, what is said of them, and that nothing but what a
//! compiler made for a component is ever run for it.

use std::{
    fs,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    time::Instant,
};

use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::json;

use crate::{
    binary::scene,
    support::{Reply, Server, ServerOptions, bombs, compiler, scenecast, wait_for},
};

/// Codes of a refusal that is about the component.
const REFUSALS: &[&str] = &[
    "scene_not_wasm",
    "scene_core_module",
    "scene_import_not_offered",
    "scene_no_entry_point",
    "scene_uncompilable",
];

/// Asks for a session of a scene, or of a file of the folder of scenes.
fn create(server: &Server, scene: &str) -> Reply {
    server.post_json("/api/sessions", &json!({ "scene": scene.trim_end_matches(".wasm") }))
}

/// Creates a session and ends it.
fn run_once(server: &Server, scene: &str) {
    let created = create(server, scene);
    assert_eq!(created.status, 201, "{created:?}");
    let id = created.json()["id"].as_str().expect("an id").to_owned();
    server.send("DELETE", &format!("/api/sessions/{id}"), &[], b"");
}

/// Waits until no process of the server compiles; one that was killed is there until the server has looked.
fn await_no_compiler(server: &Server) {
    let compiles = |pid: &rustix::process::Pid| {
        let command = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
        command.split(|byte| *byte == 0).nth(1) == Some(b"compile")
    };
    wait_for("the compiler to be gone", || (!server.children().iter().any(compiles)).then_some(()));
}

fn metric(server: &Server, line: &str) -> u64 {
    let text = server.get("/api/metrics").text;
    let value = text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
    value.map_or(0, |value| value.parse().expect("a number"))
}

/// The largest scenes that exist take 640 MiB and, on two slow cores, 23 s; here the limits are tighter, so that the test is short.
#[test]
fn row_14_a_component_that_is_hard_to_compile_is_refused_by_a_limit_or_compiled_within_it() {
    let bombs = bombs::all();
    let files: Vec<String> = bombs.iter().map(|(name, _)| format!("{name}.wasm")).collect();
    let scenes: Vec<(&str, &[u8])> =
        files.iter().zip(&bombs).map(|(file, (_, bytes))| (file.as_str(), &bytes[..])).collect();
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(&ServerOptions {
        scenes: &scenes,
        cache: Some(cache.path()),
        flags: &["--compile-seconds", "4", "--compile-memory-bytes", "536870912"],
        ..ServerOptions::default()
    });
    let mut over = Vec::new();
    for (name, bytes) in &scenes {
        let began = Instant::now();
        let reply = create(&server, name);
        let took = began.elapsed();
        let text = if reply.status == 201 {
            let id = reply.json()["id"].as_str().unwrap().to_owned();
            server.send("DELETE", &format!("/api/sessions/{id}"), &[], b"");
            "compiled".to_owned()
        } else {
            let problem = reply.json();
            assert_eq!(reply.status, 422, "{name}: {reply:?}");
            assert!(REFUSALS.iter().any(|code| problem["code"] == *code), "{name}: {problem}");
            problem["detail"].as_str().unwrap().to_owned()
        };
        println!("{name}: {} bytes, {:.1} s: {:.300}", bytes.len(), took.as_secs_f64(), text);
        if text.contains("--compile-seconds") || text.contains("--compile-memory-bytes") {
            over.push(*name);
        }
    }
    assert!(!over.is_empty(), "none of the components is as hard as it is made to be");
    assert_eq!(server.get("/api/health").status, 200);
    drop(server);
    // The cache that they leave serves a good scene; by the limits that it has as a rule, for this machine may be busy.
    let server = Server::start(&ServerOptions {
        built_scenes: &["triangle"],
        cache: Some(cache.path()),
        ..ServerOptions::default()
    });
    run_once(&server, "triangle");
}

#[test]
fn row_14_each_limit_ends_the_compiler_and_is_named() {
    let bomb = bombs::huge_function(1_000_000);
    let cache = tempfile::tempdir().unwrap();
    // What the kernel does, without the server: a second of processor time, and little more memory than the compiler itself needs.
    let plenty = (8_u64 << 30).to_string();
    let output = compiler::compile(&bomb, cache.path(), &["--cpu-seconds", "1", "--memory-bytes", &plenty]);
    assert_eq!(output.status.signal(), Some(rustix::process::Signal::XCPU.as_raw()), "{output:?}");
    let output = compiler::compile(&bomb, cache.path(), &["--memory-bytes", "268435456"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("memory allocation of "), "{output:?}");
    // What the server makes of it.
    let scenes: &[(&str, &[u8])] = &[("bomb.wasm", &bomb)];
    for (flags, sentence) in [
        (&["--compile-seconds", "1"][..], "--compile-seconds"),
        (&["--compile-memory-bytes", "268435456"][..], "more than 268435456 bytes of memory"),
    ] {
        let server = Server::start(&ServerOptions {
            scenes,
            cache: Some(cache.path()),
            flags,
            ..ServerOptions::default()
        });
        let problem = create(&server, "bomb").assert_problem(422, "scene_uncompilable");
        assert!(problem["detail"].as_str().unwrap().contains(sentence), "{problem}");
        await_no_compiler(&server);
        let outcomes = ["over_time", "over_cpu_time", "over_memory"];
        let line = |outcome| format!("scenecast_compilations_total{{outcome=\"{outcome}\"}}");
        assert_eq!(outcomes.map(|outcome| metric(&server, &line(outcome))).iter().sum::<u64>(), 1);
    }
}

/// A scene that ends at once, in the form of a component, of some hundred bytes: what a mutation hits is seldom padding.
fn small_scene() -> Vec<u8> {
    bombs::harmless()
}

/// Overwrites, inserts, deletes or repeats a few bytes.
fn mutated(random: &mut StdRng, original: &[u8]) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for _ in 0..random.random_range(1..4) {
        let at = random.random_range(0..bytes.len());
        let end = (at + random.random_range(1..32)).min(bytes.len());
        match random.random_range(0..5) {
            0 => bytes[at] = random.random(),
            1 => bytes[at] ^= 1 << random.random_range(0..8),
            2 => drop(bytes.drain(at..end.min(at + bytes.len() - 1))),
            3 => {
                let piece = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, piece));
            }
            _ => bytes.truncate(at.max(1)),
        }
    }
    bytes
}

/// The compiler process says that it is no scene, and why, or that it is one. It does not die.
fn assert_judged(component: &[u8], cache: &Path, what: &str) {
    let output = compiler::compile(component, cache, &["--cpu-seconds", "60"]);
    assert!(output.status.success(), "{what}: {output:?}");
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    if answer["ok"].is_null() {
        let refused = &answer["refused"];
        assert!(REFUSALS.iter().any(|code| refused["code"] == *code), "{what}: {answer}");
        assert!(refused["message"].as_str().unwrap().len() > 10, "{what}: {answer}");
    }
}

#[test]
fn row_15_mutations_of_real_scenes_are_refused_with_a_reason_or_compiled() {
    let cache = tempfile::tempdir().unwrap();
    let originals = [(small_scene(), 150), (fs::read(scene("triangle")).unwrap(), 30)];
    for (original, count) in originals {
        for seed in 0..count {
            let mut random = StdRng::seed_from_u64(seed);
            let what = format!("seed {seed} of {} bytes", original.len());
            assert_judged(&mutated(&mut random, &original), cache.path(), &what);
        }
    }
}

#[test]
fn row_15_what_is_no_component_is_refused_by_the_server_with_a_reason() {
    let triangle = fs::read(scene("triangle")).unwrap();
    let mut random = vec![0; 100_000];
    StdRng::seed_from_u64(15).fill_bytes(&mut random);
    let noise_in_a_component = [&triangle[..8], &random].concat();
    let mut later = triangle.clone();
    later[triangle.len() / 2..].fill(0xff);
    let scenes: &[(&str, &[u8])] = &[
        ("empty.wasm", b""),
        ("a-picture.wasm", b"\x89PNG\r\n\x1a\n"),
        ("random.wasm", &random),
        ("header-cut.wasm", &triangle[..7]),
        ("header-alone.wasm", &triangle[..8]),
        ("cut-in-a-section.wasm", &triangle[..100]),
        ("cut-by-a-byte.wasm", &triangle[..triangle.len() - 1]),
        ("noise.wasm", &noise_in_a_component),
        ("half.wasm", &later),
        ("unknown-version.wasm", b"\0asm\xff\0\x01\0"),
        ("core-module.wasm", b"\0asm\x01\0\0\0"),
    ];
    let server = Server::start(&ServerOptions { scenes, ..ServerOptions::default() });
    for (name, _) in scenes {
        let reply = create(&server, name);
        let problem = reply.json();
        assert_eq!(reply.status, 422, "{name}: {problem}");
        assert!(REFUSALS.iter().any(|code| problem["code"] == *code), "{name}: {problem}");
        assert!(problem["detail"].as_str().unwrap().len() > 10, "{name}: {problem}");
    }
    await_no_compiler(&server);
}

/// Interfaces that scenes of other hosts import, and what is close to one that is here.
const NOT_OFFERED: &[&str] = &[
    "wasi:http/types@0.2.0",
    "wasi:http/outgoing-handler@0.2.0",
    "wasi:http/client@0.3.0",
    "wasi:filesystem/types@0.3.0-rc-2026-01-06",
    "wasi:filesystem/types@0.4.0",
    "wasi:sockets/tcp@0.3.0",
    "wasi:sockets/network@0.1.0",
    "wasi:clocks/timezone@0.2.0",
    "wasi:config/store@0.2.0-rc.1",
    "wasi:keyvalue/store@0.2.0-draft",
    "wasi:blobstore/blobstore@0.2.0-draft",
    "wasi:messaging/producer@0.2.0-draft",
    "wasi:logging/logging@0.1.0-draft",
    "wasi:nn/inference@0.2.0-rc-2024-10-28",
    "wasi:tls/client@0.2.0-draft",
    "wasi:threads/threads@0.1.0",
    "wasi:webgpu/webgpu@0.0.1",
    "wasi-gfx:surface/surface@0.0.1",
    "scenecast:bench/floor",
    "somebody:program/interface",
];

#[test]
fn row_16_an_import_that_is_not_offered_is_refused_by_its_name() {
    let components: Vec<(String, Vec<u8>)> = NOT_OFFERED
        .iter()
        .enumerate()
        .map(|(index, import)| {
            let text = format!("(component (import \"{import}\" (instance)))");
            (format!("import{index}.wasm"), wat::parse_str(text).unwrap())
        })
        .collect();
    let scenes: Vec<_> = components.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])).collect();
    let server = Server::start(&ServerOptions { scenes: &scenes, ..ServerOptions::default() });
    for ((name, _), import) in scenes.iter().zip(NOT_OFFERED) {
        let problem = create(&server, name).assert_problem(422, "scene_import_not_offered");
        assert!(problem["detail"].as_str().unwrap().contains(&format!("`{import}`")), "{problem}");
    }
}

/// Sockets can be imported, because standard libraries do; the scene's author is told that they are of no use.
#[test]
fn row_16_a_scene_that_imports_sockets_is_told_that_there_is_no_network() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scene.wasm");
    let text = r#"(component
        (import "wasi:sockets/instance-network@0.2.0" (instance))
        (core module $m (func (export "start")))
        (core instance $i (instantiate $m))
        (func (export "start") (canon lift (core func $i "start"))))"#;
    fs::write(&path, wat::parse_str(text).unwrap()).unwrap();
    let output = scenecast().arg("check").arg(&path).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(said.contains("`wasi:sockets/instance-network@0.2.0`") && said.contains("no network"), "{said}");
}

/// The entries of a cache, in the order of their names.
fn entries(cache: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> =
        fs::read_dir(cache.join("artifacts")).unwrap().map(|file| file.unwrap().path()).collect();
    entries.sort();
    entries
}

/// Makes the file another one; a mapped or open one stays as it is.
fn replace(path: &Path, content: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, content).unwrap();
}

#[test]
fn row_17_a_compiled_scene_that_was_changed_is_never_run_and_is_made_anew() {
    // Two scenes that end at once, of which one shows nothing else than that it ran.
    let one = small_scene();
    let two = bombs::huge_function(10);
    let cache = tempfile::tempdir().unwrap();
    let scenes: &[(&str, &[u8])] = &[("one.wasm", &one), ("two.wasm", &two)];
    let start =
        |cache| Server::start(&ServerOptions { scenes, cache: Some(cache), ..ServerOptions::default() });
    let server = start(cache.path());
    run_once(&server, "one");
    let [entry] = entries(cache.path()).try_into().unwrap();
    let good = fs::read(&entry).unwrap();
    run_once(&server, "two");
    let other = entries(cache.path()).into_iter().find(|path| *path != entry).unwrap();
    let others = fs::read(&other).unwrap();

    // Another machine's: the same component, the same engine, another key.
    let elsewhere = tempfile::tempdir().unwrap();
    compiler::answer(&one, elsewhere.path());
    let foreign = fs::read(elsewhere.path().join("artifacts").join(entry.file_name().unwrap())).unwrap();

    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    let seal = good.len() - 128;
    let cases = [
        ("code, first byte", flipped(0)),
        ("code, middle", flipped(good.len() / 2)),
        ("report", flipped(seal - 2)),
        ("magic", flipped(seal)),
        ("version", flipped(seal + 15)),
        ("component", flipped(seal + 16)),
        ("engine", flipped(seal + 48)),
        ("code's length", flipped(seal + 80)),
        ("report's length", flipped(seal + 88)),
        ("MAC, first byte", flipped(seal + 96)),
        ("MAC, last byte", flipped(good.len() - 1)),
        ("cut by a byte", good[..good.len() - 1].to_vec()),
        ("cut to half", good[..good.len() / 2].to_vec()),
        ("empty", Vec::new()),
        ("one byte more", [&good[..], b"x"].concat()),
        ("twice", good.repeat(2)),
        ("another scene's", others),
        ("another key's", foreign),
        ("code alone", good[..seal].to_vec()),
        ("noise", vec![0xa5; good.len()]),
    ];
    let bad = |server: &Server| -> u64 {
        let flaws = ["damaged", "foreign", "misplaced", "unreadable"];
        flaws
            .iter()
            .map(|flaw| metric(server, &format!("scenecast_bad_artifacts_total{{reason=\"{flaw}\"}}")))
            .sum()
    };
    for (index, (what, content)) in cases.iter().enumerate() {
        replace(&entry, content);
        run_once(&server, "one");
        assert_eq!(bad(&server), index as u64 + 1, "{what}");
        let now = fs::read(&entry).unwrap();
        assert!(now != *content && now.len() > 128, "{what}: it was not made anew");
        run_once(&server, "one");
        assert_eq!(bad(&server), index as u64 + 1, "{what}: what was made anew is good");
    }
    drop(server);

    // A server that starts later knows its own entries again, and nothing that came meanwhile.
    let server = start(cache.path());
    let made = fs::read(&entry).unwrap();
    run_once(&server, "one");
    assert_eq!(fs::read(&entry).unwrap(), made);
    drop(server);
    replace(&entry, &flipped(100));
    let server = start(cache.path());
    run_once(&server, "one");
    assert_ne!(fs::read(&entry).unwrap(), flipped(100));
    drop(server);

    // Without its key, all of them are foreign.
    fs::remove_file(cache.path().join("artifact.key")).unwrap();
    let made = fs::read(&entry).unwrap();
    let server = start(cache.path());
    run_once(&server, "one");
    assert_ne!(fs::read(&entry).unwrap(), made);
}

#[test]
fn a_scene_that_many_ask_for_at_once_is_compiled_once() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(&ServerOptions {
        built_scenes: &["triangle"],
        cache: Some(cache.path()),
        ..ServerOptions::default()
    });
    std::thread::scope(|scope| {
        let sessions: Vec<_> = (0..6).map(|_| scope.spawn(|| create(&server, "triangle").status)).collect();
        for session in sessions {
            assert_eq!(session.join().unwrap(), 201);
        }
    });
    assert_eq!(metric(&server, "scenecast_compilations_total{outcome=\"ok\"}"), 1);
    assert_eq!(entries(cache.path()).len(), 1);
}
