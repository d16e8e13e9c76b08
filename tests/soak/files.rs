//! Files below a folder.

use std::path::{Path, PathBuf};

/// All files below a folder, at any depth. What goes away meanwhile is left out.
pub fn below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files.extend(below(&path)),
            Ok(_) => files.push(path),
            Err(_) => {}
        }
    }
    files.sort();
    files
}

/// Whether a file is named as one that is renamed when it is whole: by the crates `tempfile` and `object_store`, and by people.
pub fn is_temporary(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    name.starts_with(".tmp") || name.contains('#') || name.ends_with(".tmp") || name.ends_with(".partial")
}
