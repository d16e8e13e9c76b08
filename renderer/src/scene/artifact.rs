//! How a worker reads the native code that it is handed.
//!
//! The file is what the compiler process wrote: the code, and after it the seal by which whoever starts workers has checked it.
//! Workers know nothing of seals.

use std::{fs::File, io, os::unix::fs::FileExt as _};

use wasmtime::{Engine, component::Component};

/// Native code is some five times larger than wasm; beyond this it is none of ours.
const MAX_ARTIFACT_BYTES: u64 = 512 << 20;

/// Loads native code.
pub(super) fn load(engine: &Engine, artifact: &File) -> wasmtime::Result<Component> {
    let bytes = read(artifact)?;
    // SAFETY: the bytes begin with what `Component::serialize` gave in the compiler process: whoever handed over the file has checked its
    // seal, and no process that meets a scene's code can write it. What follows the code is in no section of it, so it is not looked at.
    // wasmtime itself refuses code of another version or configuration.
    unsafe { Component::deserialize(engine, &bytes) }
}

/// By position: the offset of the file is shared with everybody who was handed the same one.
fn read(artifact: &File) -> io::Result<Vec<u8>> {
    let bytes = artifact.metadata()?.len();
    if bytes > MAX_ARTIFACT_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the compiled scene is too large"));
    }
    let bytes = usize::try_from(bytes).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let mut content = vec![0; bytes];
    artifact.read_exact_at(&mut content, 0)?;
    Ok(content)
}
