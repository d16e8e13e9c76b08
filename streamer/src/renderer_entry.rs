//! The calls into the `renderer` crate, all of them.

use std::{io::Read as _, os::unix::net::UnixStream, path::Path, process::ExitCode};

use anyhow::Context as _;
use renderer::scene::{CompileError, Inspection, MAX_SCENE_BYTES};
use renderer_protocol::{Cell, handover::FileTaker};
use streamer::compiler::{
    ArtifactKey, Cache, CompileReport, ComponentId, EngineId, EntryName, Import, MAX_CODE_BYTES, SceneReport,
};

pub(crate) use crate::bench::{Pace, hostcalls as bench_hostcalls, pipeline as bench_pipeline};

/// Runs a session's scene for the broker at the other end of the socket. The scene comes by the other one.
pub(crate) fn worker(broker: UnixStream, artifact: FileTaker, cell: Cell) -> ExitCode {
    renderer::worker::run(broker, artifact, cell)
}

/// Says for which engine scenes are compiled.
pub(crate) fn identify() -> anyhow::Result<CompileReport> {
    Ok(CompileReport::Engine { id: EngineId(renderer::scene::engine_id()?).to_string() })
}

/// Compiles the component that comes on standard input, behind its key, into the cache, or says why it cannot be run here. An error is
/// ours.
pub(crate) fn compile(cache: &Path) -> anyhow::Result<CompileReport> {
    let mut input = std::io::stdin().lock();
    let key = ArtifactKey::read_from(&mut input).context("standard input has no key")?;
    let mut component = Vec::new();
    // One byte more than there may be says that there are too many.
    input.take(MAX_SCENE_BYTES + 1).read_to_end(&mut component)?;
    let engine = EngineId(renderer::scene::engine_id()?);
    let name = EntryName { component: ComponentId::of(&component), engine };
    let cache = match Cache::open(cache) {
        Ok(cache) => cache,
        Err(error) => return Ok(unwritable(&error)),
    };
    let mut seen = Inspection::default();
    let compiled = renderer::scene::compile(&component, &mut seen);
    let scene = scene_report(seen);
    let code = match compiled {
        Ok(code) => code,
        Err(CompileError::Refused(refusal)) => {
            let (code, message) = (refusal.code().to_owned(), refusal.to_string());
            return Ok(CompileReport::Refused { code, message, scene });
        }
        Err(CompileError::OutOfMemory) => return Ok(CompileReport::OutOfMemory),
        Err(error) => return Err(error.into()),
    };
    if code.len() as u64 > MAX_CODE_BYTES {
        let message =
            format!("its native code has {} bytes, and at most {MAX_CODE_BYTES} are allowed", code.len());
        return Ok(CompileReport::Refused { code: "scene_uncompilable".to_owned(), message, scene });
    }
    Ok(match cache.store(&name, &key, &code, &scene) {
        Ok(()) => CompileReport::Ok { entry: name.to_string() },
        Err(error) => unwritable(&error),
    })
}

fn unwritable(error: &std::io::Error) -> CompileReport {
    use std::io::ErrorKind;
    let disk_full = matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
    CompileReport::Unwritable { disk_full, message: error.to_string() }
}

fn scene_report(seen: Inspection) -> SceneReport {
    let Inspection { bytes, imports, exports, entry_point, warnings } = seen;
    let imports =
        imports.into_iter().map(|import| Import { name: import.name, offered: import.offered }).collect();
    SceneReport { bytes, imports, exports, entry_point, warnings }.bounded()
}
