//! `scenecast render` and `scenecast check`, as a scene's author meets them.
//!
//! The scene `headless/ways` draws one grey in each tick, from 1 on, and does what the keys say that go down in it.

use std::{
    path::Path,
    process::{Command, Output},
};

use crate::{binary::scene, support::scenecast};

const ENVIRONMENT: i32 = 3;
const SCENE_FAILED: i32 = 2;

fn render(scene: &Path, arguments: &[&str]) -> Output {
    scenecast()
        .arg("render")
        .arg(scene)
        .args(["--size", "64x32"])
        .args(arguments)
        .output()
        .expect("the binary starts")
}

/// The scene `ways` with these keys going down in these frames.
fn ways(frames: &str, keys: &[(u32, &str)], arguments: &[&str]) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("input.jsonl");
    let line = |(frame, key): &(u32, &str)| {
        format!("{{\"frame\":{frame},\"event\":{{\"type\":\"key-down\",\"code\":\"{key}\"}}}}\n")
    };
    std::fs::write(&script, keys.iter().map(line).collect::<String>()).unwrap();
    let out = folder.path().join("out");
    let paths = ["--input", script.to_str().unwrap(), "--out", out.to_str().unwrap(), "--json"];
    let all = [&["--frames", frames], paths.as_slice(), arguments].concat();
    let output = render(&scene("headless/ways"), &all);
    let summary =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    Run { folder, status: output.status.code().unwrap(), summary }
}

struct Run {
    folder: tempfile::TempDir,
    status: i32,
    summary: serde_json::Value,
}

impl Run {
    /// The grey of each file, by its frame.
    fn greys(&self) -> Vec<(u32, u8)> {
        let mut greys: Vec<(u32, u8)> = std::fs::read_dir(self.folder.path().join("out"))
            .unwrap()
            .map(|entry| {
                let path = entry.unwrap().path();
                let image = image::open(&path)
                    .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
                    .to_rgb8();
                let first = image.get_pixel(0, 0).0;
                assert_eq!(image.dimensions(), (64, 32));
                assert!(image.pixels().all(|pixel| pixel.0 == first), "one colour: {}", path.display());
                (path.file_stem().unwrap().to_str().unwrap().parse().unwrap(), first[0])
            })
            .collect();
        greys.sort_unstable();
        greys
    }

    /// Fails the test unless the run ended so, with all of this in its message.
    #[track_caller]
    fn assert_fault(&self, code: &str, words: &[&str]) {
        let failure = &self.summary["failure"];
        assert_eq!((self.status, failure["code"].as_str()), (SCENE_FAILED, Some(code)), "{failure}");
        let message = failure["message"].as_str().unwrap();
        assert!(words.iter().all(|word| message.contains(word)), "{words:?}: {message}");
    }

    #[track_caller]
    fn assert_greys(&self, greys: &[(u32, u8)]) {
        assert_eq!(self.status, 0, "{}", self.summary);
        assert_eq!(self.greys(), greys);
    }
}

#[test]
fn frame_n_is_the_picture_of_the_nth_tick_whether_the_others_are_asked_for_or_not() {
    ways("0..4", &[], &[]).assert_greys(&[(0, 1), (1, 2), (2, 3), (3, 4)]);
    ways("3,40,41", &[], &[]).assert_greys(&[(3, 4), (40, 41), (41, 42)]);
}

#[test]
fn of_two_pictures_in_a_tick_the_last_counts_and_a_tick_without_one_repeats_the_picture() {
    let run = ways("0..5", &[(1, "KeyD"), (2, "KeyN"), (3, "KeyN")], &[]);
    run.assert_greys(&[(0, 1), (1, 202), (2, 202), (3, 202), (4, 5)]);
    let marks: Vec<_> = run.summary["frames"]
        .as_array()
        .unwrap()
        .iter()
        .map(|frame| (frame["presented"].as_u64().unwrap(), frame["repeated"].as_bool().unwrap()))
        .collect();
    assert_eq!(marks, [(1, false), (2, false), (0, true), (0, true), (1, false)]);
}

#[test]
fn a_picture_that_waits_for_the_gpu_in_another_task_belongs_to_the_tick_that_asked_for_it() {
    ways("0..3", &[(1, "KeyA")], &[]).assert_greys(&[(0, 1), (1, 203), (2, 3)]);
}

#[test]
fn the_clock_stands_at_the_frame_s_number_by_the_rate() {
    let keys = [(0, "KeyC"), (10, "KeyC"), (75, "KeyC")];
    ways("0,10,75", &keys, &["--fps", "50"]).assert_greys(&[(0, 0), (10, 20), (75, 150)]);
}

#[test]
fn a_scene_that_sleeps_goes_on_in_the_first_tick_after_its_time() {
    // From 0.1 s for 0.15 s.
    let run = ways("0..5", &[(1, "KeyZ"), (3, "KeyN")], &["--fps", "10"]);
    run.assert_greys(&[(0, 1), (1, 1), (2, 3), (3, 204), (4, 5)]);
}

#[test]
fn randomness_is_the_seed_s() {
    let random = |seed| {
        ways("0..8", &[0, 1, 2, 3, 4, 5, 6, 7].map(|frame| (frame, "KeyR")), &["--seed", seed]).greys()
    };
    assert_eq!(random("7"), random("7"));
    assert_ne!(random("7"), random("8"));
}

#[test]
fn a_scene_that_returns_keeps_its_last_picture() {
    ways("0..5", &[(2, "KeyE")], &[]).assert_greys(&[(0, 1), (1, 2), (2, 2), (3, 2), (4, 2)]);
}

#[test]
fn what_a_scene_writes_is_told_with_its_frame() {
    let run = ways("0..4", &[(3, "KeyL")], &[]);
    let line = serde_json::json!({"frame": 3, "source": "warn", "text": "the scene was asked to write this"});
    assert_eq!(run.summary["log"], serde_json::json!([line]));
}

/// What the topics wait for: Enter in every frame, and for `surface` pointers, keys and another size.
fn attendance() -> String {
    let line = |frame: u32, event: serde_json::Value| {
        serde_json::json!({"frame": frame, "event": event}).to_string() + "\n"
    };
    let pointer = |event: &str, x: f64, y: f64, buttons: u32| {
        let shared = serde_json::json!({"type": event, "id": 1, "kind": "mouse", "x": x, "y": y});
        let mut event = shared.as_object().unwrap().clone();
        event.extend([("buttons".to_owned(), buttons.into()), ("pressure".to_owned(), 0.5.into())]);
        event.into()
    };
    let key = |event: &str, code: &str, text: Option<String>| match text {
        Some(text) => serde_json::json!({"type": event, "code": code, "text": text}),
        None => serde_json::json!({"type": event, "code": code}),
    };
    let mut script = String::new();
    for frame in 0..100 {
        match frame {
            3 => {
                for step in 1..=50 {
                    script += &line(frame, pointer("pointer-move", f64::from(step) / 100.0, 0.25, 0));
                }
                script += &line(frame, pointer("pointer-down", 0.5, 0.25, 1));
                script += &line(frame, pointer("pointer-move", 0.75, 0.25, 1));
                script += &line(frame, pointer("pointer-up", 1.0, 1.0, 0));
            }
            5 => {
                let a = serde_json::json!(
                    {"type": "key-down", "code": "KeyA", "text": "Ä", "alt": true, "shift": true}
                );
                script += &line(frame, a);
                script += &line(frame, key("key-up", "KeyA", None));
                script += &line(frame, key("key-down", "NoSuchKey", None));
            }
            7 => script += &line(frame, serde_json::json!({"type": "resize", "width": 400, "height": 200})),
            _ => {}
        }
        if let 5 | 6 = frame {
            for number in (frame - 5) * 500..(frame - 4) * 500 {
                script += &line(frame, key("key-down", "KeyB", Some(number.to_string())));
            }
        }
        // The keys of frame 5 go on in the next.
        if frame % 2 == 1 && frame != 5 || frame == 6 || frame > 8 {
            script += &line(frame, key("key-down", "Enter", None));
        }
    }
    script
}

#[test]
fn the_conformance_topics_that_draw_to_the_window_can_be_rendered() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("input.jsonl");
    std::fs::write(&script, attendance()).unwrap();
    for topic in ["canvas", "frame_buffer", "surface"] {
        let out = folder.path().join(topic);
        let output = scenecast()
            .arg("render")
            .arg(scene(&format!("conformance/{topic}")))
            .args(["--size", "320x180", "--frames", "99", "--input"])
            .arg(&script)
            .arg("--out")
            .arg(&out)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let picture = image::open(out.join("99.png")).unwrap().to_rgb8();
        assert!(picture.pixels().any(|pixel| pixel.0 != [0; 3]), "{topic} draws something");
    }
}

#[test]
fn a_scene_that_traps_is_named_with_its_frame_and_the_frames_before_are_kept() {
    let run = ways("0..30", &[(17, "KeyT")], &[]);
    run.assert_fault("scene_trap", &["frame 17", "trap"]);
    assert_eq!(
        run.greys(),
        (0..17).map(|frame| (frame, u8::try_from(frame + 1).unwrap())).collect::<Vec<_>>()
    );
    assert!(run.summary["log"].to_string().contains("asked to trap"), "{}", run.summary["log"]);
}

#[test]
fn a_scene_that_spins_is_ended_by_its_time_limit() {
    let run = ways("0..4", &[(2, "KeyS")], &["--time-limit", "4"]);
    run.assert_fault("scene_unresponsive", &["frame 2", "without yielding"]);
    assert_eq!(run.greys(), [(0, 1), (1, 2)]);
}

#[test]
fn a_scene_that_never_rests_is_ended_by_its_time_limit() {
    let run = ways("0..4", &[(2, "KeyY")], &["--time-limit", "4"]);
    run.assert_fault("scene_never_rests", &["frame 2", "still at work"]);
    assert_eq!(run.greys(), [(0, 1), (1, 2)]);
}

#[test]
fn a_scene_that_hangs_its_gpu_is_ended_by_its_time_limit() {
    let run = ways("0..6", &[(3, "KeyG")], &["--time-limit", "4"]);
    run.assert_fault("scene_gpu_timeout", &["frame 3", "GPU"]);
    // Two pictures may be on their way when the driver stops answering.
    let greys = run.greys();
    assert!(!greys.is_empty() && [(0, 1), (1, 2), (2, 3)].starts_with(&greys), "{greys:?}");
}

#[test]
fn a_frame_that_nothing_was_presented_for_yet_is_the_scene_s_fault() {
    ways("0", &[(0, "KeyN")], &[]).assert_fault("scene_nothing_presented", &["frame 0", "later frame"]);
    ways("1", &[(0, "KeyE")], &[]).assert_fault("scene_ended_without_picture", &["frame 1"]);
}

#[test]
fn a_new_size_is_the_picture_s_from_its_frame_on() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("input.jsonl");
    std::fs::write(&script, r#"{"frame":1,"event":{"type":"resize","width":48,"height":96}}"#).unwrap();
    let out = folder.path().join("out");
    let paths = ["--input", script.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let output = render(&scene("headless/ways"), &[&["--frames", "0,1"], paths.as_slice()].concat());
    assert!(output.status.success(), "{output:?}");
    let size = |file| image::image_dimensions(out.join(file)).unwrap();
    assert_eq!((size("0.png"), size("1.png")), ((64, 32), (48, 96)));
}

#[test]
fn the_same_command_twice_gives_identical_files_in_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let render_to = |name: &str, processors: &str| {
        let out = folder.path().join(name);
        let output = Command::new("taskset")
            .args(["--cpu-list", processors])
            .arg(crate::binary::scenecast())
            .arg("render")
            .arg(scene("orbit"))
            .args(["--size", "320x180", "--frames", "0,7,20", "--out"])
            .arg(&out)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        ["0.png", "7.png", "20.png"].map(|file| std::fs::read(out.join(file)).unwrap())
    };
    assert!(render_to("one", "0") == render_to("other", "0-63"), "two runs differ");
}

fn assert_refused(output: &Output, status: i32, words: &[&str]) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{error}");
    assert!(words.iter().all(|word| error.contains(word)), "{words:?}: {error}");
}

#[test]
fn a_mistake_on_the_command_line_or_in_the_environment_has_a_status_of_its_own() {
    let orbit = scene("orbit");
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("input.jsonl");
    std::fs::write(&script, "{\"frame\":0,\"event\":{\"type\":\"tap\"}}\n").unwrap();
    let script = script.to_str().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let inside = file.join("out");
    for (arguments, words) in [
        (&["--frames", "30,0"][..], &["frame 0 comes after frame 30"][..]),
        (&["--frames", "0..99999999"], &["too late"]),
        (&["--frames", "nine"], &["0..120/10"]),
        (&["--size", "0x0"], &["0x0", "even"]),
        (&["--size", "8000x8000"], &["8000x8000"]),
        (&["--fps", "0"], &["--fps"]),
        (&["--input", script], &[script, "line 1", "\"tap\"", "key-down"]),
        (&["--input", "/nowhere.jsonl"], &["/nowhere.jsonl"]),
        (&["--out", inside.to_str().unwrap()], &[inside.to_str().unwrap()]),
        (&["--frame", "1"], &["--frames"]),
    ] {
        let output = scenecast().arg("render").arg(&orbit).args(arguments).output();
        assert_refused(&output.unwrap(), ENVIRONMENT, words);
    }
    assert_refused(&render(Path::new("/nowhere.wasm"), &[]), ENVIRONMENT, &["/nowhere.wasm"]);
}

#[test]
fn what_is_no_scene_is_the_scene_s_fault() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scene.wasm");
    for (text, words) in
        [("GIF89a", &["not WebAssembly"][..]), ("\0asm\x01\0\0\0", &["core WebAssembly module", "component"])]
    {
        std::fs::write(&path, text).unwrap();
        assert_refused(&render(&path, &[]), SCENE_FAILED, words);
    }
}

#[test]
fn a_full_disk_leaves_no_half_file_under_its_final_name() {
    // A limit on the size of files stands for the disk: with both, a write fails half-way. It is larger than what is written besides.
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let command = format!(
        "trap '' XFSZ; ulimit -f 4096; exec {} render {} --size 1280x720 --frames 0..20 --out {} --format y4m",
        crate::binary::scenecast().display(),
        scene("orbit").display(),
        out.display()
    );
    let output = Command::new("bash").arg("-c").arg(command).output().unwrap();
    assert_refused(&output, ENVIRONMENT, &["orbit.y4m", "cannot be written"]);
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 0, "nothing is left");
}

#[test]
fn a_check_lists_imports_and_exports_and_gives_the_verdict() {
    let check = |path: &Path| scenecast().arg("check").arg(path).output().unwrap();
    let output = check(&scene("orbit"));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    for words in ["wasi:webgpu/webgpu@0.3.0-rc.2  ", "offered", "start  (entry point)", "It can be run here."]
    {
        assert!(text.contains(words), "{words:?}: {text}");
    }

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("foreign.wasm");
    std::fs::write(&path, wat::parse_str(include_str!("../fixtures/foreign_import.wat")).unwrap()).unwrap();
    let output = check(&path);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(SCENE_FAILED));
    assert!(text.contains("NOT OFFERED") && text.contains("It cannot be run here: it imports"), "{text}");

    let output = scenecast().args(["check", "--json"]).arg(&path).output().unwrap();
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["refusal"]["code"], "scene_import_not_offered");
    assert_refused(&check(Path::new("/nowhere.wasm")), ENVIRONMENT, &["/nowhere.wasm"]);
}
