//! Where the things under test are.

use std::path::{Path, PathBuf};

fn built(path: &str, target: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let path = root.join(path);
    assert!(path.exists(), "{} is missing: run `make {target}` first", path.display());
    path
}

/// The binary.
pub(crate) fn scenecast() -> PathBuf {
    built("target/release/scenecast", "build")
}

/// A scene of the gallery.
pub(crate) fn scene(name: &str) -> PathBuf {
    built(&format!("target/scenes/{name}.wasm"), "scenes")
}
