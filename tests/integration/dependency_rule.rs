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
    let is_meeting_point = |path: &Path| {
        let module = path.strip_prefix(root().join("streamer/src")).unwrap().iter().next().unwrap();
        MEETING_POINTS.iter().any(|name| Path::new(module).file_stem() == Some(name.as_ref()))
    };
    for path in sources.iter().filter(|path| !is_meeting_point(path)) {
        let text = fs::read_to_string(path).unwrap();
        for name in ["renderer::", "use renderer;", "extern crate renderer"] {
            assert!(!text.contains(name), "{} names the renderer: {name}", path.display());
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
