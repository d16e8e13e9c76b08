//! The gallery's scenes against the pictures in tests/golden, and proof that the comparison can fail.
//!
//! `UPDATE_GOLDEN=1` has the pictures written; docs/testing.md says when that is right. What differs lies in target/golden afterwards.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Output,
};

use image::RgbImage;

use crate::{
    binary::{repository, scene},
    support::scenecast,
};

const MISMATCH: i32 = 1;
const UPDATE_VARIABLE: &str = "UPDATE_GOLDEN";
/// The frames of each scene: its start, during input, and after it.
const FRAMES: &str = "0,8,30,90";

fn golden_folder() -> PathBuf {
    repository().join("tests/golden")
}

fn output_folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("golden")
}

/// Renders a component with the input of a scene of this name, and compares.
fn compare(component: &Path, name: &str, goldens: &Path, out: &Path, more: &[&str]) -> Output {
    scenecast()
        .arg("render")
        .arg(component)
        .args(["--size", "640x360", "--frames", FRAMES, "--input"])
        .arg(golden_folder().join(format!("{name}.jsonl")))
        .arg("--compare")
        .arg(goldens)
        .arg("--out")
        .arg(out)
        .args(more)
        // Whoever updates the goldens does not want those of a scene that is wrong on purpose.
        .env_remove(UPDATE_VARIABLE)
        .output()
        .unwrap()
}

#[track_caller]
fn assert_matches_goldens(name: &str) {
    let update: &[&str] =
        if std::env::var_os(UPDATE_VARIABLE).is_some_and(|value| value == "1") { &["--update"] } else { &[] };
    let output =
        compare(&scene(name), name, &golden_folder().join(name), &output_folder().join(name), update);
    assert!(
        output.status.success(),
        "{}{}look at {}, or see docs/testing.md",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
        output_folder().join(name).display()
    );
}

#[test]
fn orbit_looks_as_it_did() {
    assert_matches_goldens("orbit");
}

#[test]
fn triangle_looks_as_it_did() {
    assert_matches_goldens("triangle");
}

#[test]
fn every_scene_of_the_gallery_has_goldens_and_what_drew_them_is_recorded() {
    let gallery: BTreeSet<String> = std::fs::read_dir(scene("orbit").parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wasm"))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    for name in gallery {
        let folder = golden_folder().join(&name);
        for frame in FRAMES.split(',') {
            let path = folder.join(format!("{frame}.png"));
            assert!(path.exists(), "{} is missing, and {name} needs a test above", path.display());
        }
        let adapter = std::fs::read_to_string(folder.join("adapter.txt")).unwrap();
        assert!(adapter.contains("Mesa"), "{adapter}");
    }
}

/// The triangle with something changed in its file; the text has the same length.
fn altered_triangle(folder: &Path, from: &str, to: &str) -> PathBuf {
    assert_eq!(from.len(), to.len());
    let mut bytes = std::fs::read(scene("triangle")).unwrap();
    let places: Vec<usize> =
        (0..bytes.len() - from.len()).filter(|&at| bytes[at..].starts_with(from.as_bytes())).collect();
    let [place] = places[..] else { panic!("{from:?} stands {} times in the component", places.len()) };
    bytes[place..place + to.len()].copy_from_slice(to.as_bytes());
    let path = folder.join("triangle.wasm");
    std::fs::write(&path, bytes).unwrap();
    path
}

/// The goldens of the triangle, each altered.
fn altered_goldens(folder: &Path, alter: impl Fn(&RgbImage) -> RgbImage) -> PathBuf {
    let goldens = folder.join("goldens");
    std::fs::create_dir(&goldens).unwrap();
    for frame in FRAMES.split(',') {
        let file = format!("{frame}.png");
        let image = image::open(golden_folder().join("triangle").join(&file)).unwrap().to_rgb8();
        alter(&image).save(goldens.join(file)).unwrap();
    }
    goldens
}

#[track_caller]
fn assert_caught(output: &Output) {
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(MISMATCH), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("DIFFERS") && text.contains("0 of 4 match their goldens"), "{text}");
}

#[test]
fn a_shader_constant_that_changed_a_little_is_caught_and_can_be_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let component = altered_triangle(folder.path(), "vec3f(0.30, 0.88, 0.47)", "vec3f(0.30, 0.86, 0.47)");
    let out = folder.path().join("out");
    assert_caught(&compare(&component, "triangle", &golden_folder().join("triangle"), &out, &[]));
    for file in ["0.png", "0.expected.png", "0.difference.png"] {
        assert_eq!(image::image_dimensions(out.join(file)).unwrap(), (640, 360), "{file}");
    }
    // What differed then does not lie beside pictures that match now.
    let output = compare(&scene("triangle"), "triangle", &golden_folder().join("triangle"), &out, &[]);
    assert!(output.status.success() && !out.join("0.expected.png").exists());
}

#[test]
fn a_picture_that_is_shifted_by_one_pixel_is_caught() {
    let folder = tempfile::tempdir().unwrap();
    let goldens = altered_goldens(folder.path(), |image| {
        RgbImage::from_fn(image.width(), image.height(), |x, y| *image.get_pixel(x.saturating_sub(1), y))
    });
    assert_caught(&compare(&scene("triangle"), "triangle", &goldens, &folder.path().join("out"), &[]));
}

#[test]
fn a_single_least_significant_bit_passes_by_default_and_not_when_equality_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let goldens = altered_goldens(folder.path(), |image| {
        let mut image = image.clone();
        image.get_pixel_mut(320, 180).0[1] ^= 1;
        image
    });
    let out = folder.path().join("out");
    let output = compare(&scene("triangle"), "triangle", &goldens, &out, &[]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 pixel differs, by 1 of 255 at most"), "{text}");
    assert_caught(&compare(&scene("triangle"), "triangle", &goldens, &out, &["--metric", "exact"]));
}

#[test]
fn a_missing_golden_and_one_of_another_size_fail_and_updating_mends_both() {
    let folder = tempfile::tempdir().unwrap();
    let goldens = altered_goldens(folder.path(), |_| RgbImage::new(64, 64));
    std::fs::remove_file(goldens.join("8.png")).unwrap();
    let out = folder.path().join("out");
    let run = |more: &[&str]| {
        let output = compare(&scene("triangle"), "triangle", &goldens, &out, more);
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (status, text) = run(&[]);
    assert_eq!(status, MISMATCH, "{text}");
    assert!(text.contains("frame 8: NO GOLDEN") && text.contains("8.png does not exist"), "{text}");
    assert!(
        text.contains("frame 30: DIFFERS: the picture has 640x360 pixels, and the golden 64x64"),
        "{text}"
    );
    assert_eq!(run(&["--update"]).0, 0);
    let (status, text) = run(&[]);
    assert_eq!((status, text.matches("identical").count()), (0, 4), "{text}");
    assert!(goldens.join("adapter.txt").exists());
}
