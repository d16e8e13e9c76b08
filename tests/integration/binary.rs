//! Where the things under test are.

use std::path::{Path, PathBuf};

fn built(path: &str, target: &str) -> PathBuf {
    // Cargo makes its folder for temporary files in the target folder, wherever that was set to be.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let path = folder.join(path);
    assert!(path.exists(), "{} is missing: run `make {target}` first", path.display());
    path
}

/// The binary.
pub(crate) fn scenecast() -> PathBuf {
    built("release/scenecast", "build")
}

/// A worker that was taken over.
pub(crate) fn evil_worker() -> PathBuf {
    built("release/evil-worker", "build")
}

/// A scene of the gallery.
pub(crate) fn scene(name: &str) -> PathBuf {
    built(&format!("scenes/{name}.wasm"), "scenes")
}

/// The folder of the repository.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}
