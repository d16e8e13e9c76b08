//! Component → native artifact in the cache: the work of the compiler process, and how a worker reads its result.
//!
//! Only the compiler process calls [`compile`]; only it writes the cache. An artifact's name is the hash of the component and of
//! the engine that it fits, so an upgrade of wasmtime or of this program finds no old artifact under a new name.

use std::{
    fs,
    hash::{Hash as _, Hasher},
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};
use wasmtime::{Engine, component::Component};

use super::{
    check::{self, Refusal},
    engine::engine,
    linker::linker,
};

/// The largest component that is compiled. Scenes have 0.1 MB, a Python guest 20 MB.
pub const MAX_SCENE_BYTES: u64 = 32 << 20;
/// Native code is some five times larger than wasm; beyond this an artifact is not one of ours.
const MAX_ARTIFACT_BYTES: u64 = 512 << 20;
/// An artifact file begins with the SHA-256 of the rest.
const DIGEST_BYTES: usize = 32;

/// Why there is no artifact.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The scene's fault.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The file cannot be read.
    #[error("the scene {path} cannot be read: {error}", path = path.display())]
    Unreadable {
        /// The scene.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The cache cannot be written.
    #[error("the cache folder {path} cannot be written: {error}", path = path.display())]
    Cache {
        /// The folder.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Ours.
    #[error("the compiler failed: {0}")]
    Internal(#[from] wasmtime::Error),
}

/// Compiles a scene, or finds that it is compiled; returns the artifact's path.
pub fn compile(scene: &Path, cache: &Path) -> Result<PathBuf, CompileError> {
    let bytes = read_scene(scene)?;
    check::check_header(&bytes)?;
    let engine = engine()?;
    let artifact = cache.join(format!("{}.cwasm", artifact_name(&engine, &bytes)));
    if fs::File::open(&artifact).and_then(|file| read_artifact(&file)).is_ok() {
        return Ok(artifact);
    }
    let component = to_native(&engine, &bytes)?;
    examine(&engine, &component)?;
    let native = component.serialize()?;
    write_artifact(cache, &artifact, &native)
        .map_err(|error| CompileError::Cache { path: cache.to_owned(), error })?;
    Ok(artifact)
}

pub(super) fn to_native(engine: &Engine, bytes: &[u8]) -> Result<Component, Refusal> {
    check::check_header(bytes)?;
    Component::new(engine, bytes).map_err(|error| check::uncompilable(&error))
}

/// Whether a component can be run here.
pub(super) fn examine(engine: &Engine, component: &Component) -> Result<(), CompileError> {
    check::check_component(engine, component)?;
    linker(engine)?.instantiate_pre(component).map_err(|error| Refusal::ImportMismatch {
        name: mismatched_import(&format!("{error:#}")),
        reason: format!("{error:#}"),
    })?;
    Ok(())
}

pub(super) fn read_scene(path: &Path) -> Result<Vec<u8>, CompileError> {
    let unreadable = |error| CompileError::Unreadable { path: path.to_owned(), error };
    let file = fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(MAX_SCENE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_SCENE_BYTES {
        let bytes = fs::metadata(path).map_or(bytes.len() as u64, |metadata| metadata.len());
        return Err(Refusal::TooLarge { bytes }.into());
    }
    Ok(bytes)
}

fn artifact_name(engine: &Engine, component: &[u8]) -> String {
    /// Feeds a `Hash` into SHA-256.
    struct Sink(Sha256);
    impl Hasher for Sink {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut sink = Sink(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut sink);
    sink.0.update(component);
    format!("{:x}", sink.0.finalize())
}

/// wasmtime's message names the import in backquotes; the message itself is shown beside it.
fn mismatched_import(message: &str) -> String {
    message.split('`').nth(1).unwrap_or("an import").to_owned()
}

fn write_artifact(cache: &Path, artifact: &Path, native: &[u8]) -> std::io::Result<()> {
    fs::create_dir_all(cache)?;
    let mut file = tempfile::NamedTempFile::new_in(cache)?;
    file.write_all(&Sha256::digest(native))?;
    file.write_all(native)?;
    file.as_file().sync_all()?;
    file.persist(artifact)?;
    Ok(())
}

/// The native code of an artifact, after its digest was found to hold: a file that was cut or damaged is none.
fn read_artifact(file: &fs::File) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MAX_ARTIFACT_BYTES).read_to_end(&mut bytes)?;
    let damaged = || std::io::Error::new(std::io::ErrorKind::InvalidData, "the artifact is damaged");
    let (digest, native) = bytes.split_at_checked(DIGEST_BYTES).ok_or_else(damaged)?;
    if Sha256::digest(native).as_slice() != digest {
        return Err(damaged());
    }
    bytes.drain(..DIGEST_BYTES);
    Ok(bytes)
}

/// Loads an artifact in a worker.
pub(crate) fn load(engine: &Engine, artifact: &fs::File) -> wasmtime::Result<Component> {
    let native = read_artifact(artifact)?;
    // SAFETY: the bytes are what `Component::serialize` gave in `compile`: their digest was just checked, and only the compiler process of
    // the same user writes the cache folder. wasmtime itself refuses artifacts of another version or configuration.
    unsafe { Component::deserialize(engine, &native) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal_of(bytes: &[u8]) -> Refusal {
        let folder = tempfile::tempdir().unwrap();
        let scene = folder.path().join("scene.wasm");
        fs::write(&scene, bytes).unwrap();
        match compile(&scene, &folder.path().join("cache")) {
            Err(CompileError::Refused(refusal)) => refusal,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_no_component_is_refused_by_its_first_bytes() {
        assert_eq!(refusal_of(b""), Refusal::NotWasm);
        assert_eq!(refusal_of(b"GIF89a"), Refusal::NotWasm);
        assert_eq!(refusal_of(b"\0asm\x01\0\0\0"), Refusal::CoreModule);
        assert!(matches!(refusal_of(b"\0asm\x0d\0\x01\0garbage"), Refusal::Uncompilable(_)));
    }

    #[test]
    fn an_empty_component_has_no_entry_point() {
        let refusal = refusal_of(b"\0asm\x0d\0\x01\0");
        assert_eq!(refusal, Refusal::NoEntryPoint { exports: "nothing".into() });
    }

    #[test]
    fn a_damaged_artifact_is_recognised() {
        let folder = tempfile::tempdir().unwrap();
        let artifact = folder.path().join("a.cwasm");
        write_artifact(folder.path(), &artifact, b"native code").unwrap();
        let read = || read_artifact(&fs::File::open(&artifact).unwrap());
        assert_eq!(read().unwrap(), b"native code");
        let mut bytes = fs::read(&artifact).unwrap();
        bytes[40] ^= 1;
        fs::write(&artifact, bytes).unwrap();
        assert!(read().is_err());
        fs::write(&artifact, b"short").unwrap();
        assert!(read().is_err());
    }
}
