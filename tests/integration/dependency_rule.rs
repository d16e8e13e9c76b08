//! The broker does not touch scenes, shaders or GPUs: its library does not know the crate that does.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The modules of the binary in which the two crates meet; they are not part of the library.
const MEETING_POINTS: [&str; 3] = ["bench", "headless", "renderer_entry"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The folder or file of `streamer/src` that a source belongs to, without its ending.
fn module(source: &Path) -> &str {
    let inside = source.strip_prefix(root().join("streamer/src")).unwrap();
    Path::new(inside.iter().next().unwrap()).file_stem().unwrap().to_str().unwrap()
}

/// The modules that the root of a crate declares.
fn modules(crate_root: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(crate_root)).unwrap();
    let names = text.lines().filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod "));
    names.filter_map(|name| name.strip_suffix(';')).map(str::to_owned).collect()
}

fn assert_names_no_crate(source: &Path, name: &str) {
    let text = fs::read_to_string(source).unwrap();
    let name = name.replace('-', "_");
    for way in [format!("{name}::"), format!("use {name};"), format!("extern crate {name}")] {
        assert!(!text.contains(&way), "{} names a crate that it must not know: {way}", source.display());
    }
}

/// The names that a manifest depends on only with a feature.
fn optional_dependencies(manifest: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(manifest)).unwrap();
    let optional = text.lines().filter(|line| line.contains("optional = true"));
    optional.map(|line| line.split_once(" = ").unwrap().0.to_owned()).collect()
}

/// The names that a manifest depends on.
fn dependencies(manifest: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(manifest)).unwrap();
    let names = text
        .lines()
        .filter_map(|line| line.split_once(['.', ' ', '=']).map(|(name, _)| name.trim().to_owned()));
    names.collect()
}

#[test]
fn the_library_of_the_streamer_does_not_name_the_renderer() {
    let sources = sources(&root().join("streamer/src"));
    assert!(
        sources.iter().any(|path| path.ends_with("session/worker.rs")),
        "the sources are where they were: {sources:?}"
    );
    let library = fs::read_to_string(root().join("streamer/src/lib.rs")).unwrap();
    for module in MEETING_POINTS {
        assert!(!library.contains(&format!("mod {module};")), "{module}");
    }
    for path in sources.iter().filter(|path| !MEETING_POINTS.contains(&module(path))) {
        assert_names_no_crate(path, "renderer");
    }
}

#[test]
fn the_library_of_the_streamer_is_built_without_what_only_the_binary_needs() {
    let optional = optional_dependencies("streamer/Cargo.toml");
    for name in ["renderer", "renderer-cell", "wgpu"] {
        assert!(optional.iter().any(|optional| optional == name), "{name} is not optional: {optional:?}");
    }
    let modules = modules("streamer/src/lib.rs");
    let sources = sources(&root().join("streamer/src"));
    let library: Vec<_> =
        sources.iter().filter(|path| modules.iter().any(|name| name == module(path))).collect();
    assert!(library.iter().any(|path| path.ends_with("rtc/offer.rs")), "{modules:?}");
    for path in library {
        for name in &optional {
            assert_names_no_crate(path, name);
        }
    }
}

#[test]
fn the_protocol_depends_on_neither_side_and_the_renderer_not_on_the_streamer() {
    let protocol = dependencies("renderer/protocol/Cargo.toml");
    assert!(protocol.contains(&"postcard".to_owned()), "{protocol:?}");
    assert!(!protocol.iter().any(|name| name == "renderer" || name == "streamer"), "{protocol:?}");
    let renderer = dependencies("renderer/Cargo.toml");
    assert!(renderer.contains(&"renderer-protocol".to_owned()) && !renderer.contains(&"streamer".to_owned()));
}
