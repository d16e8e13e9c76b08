//! The calls into the `renderer` crate, all of them.

use std::{os::unix::net::UnixStream, path::Path, process::ExitCode};

use renderer::scene::CompileError;
use renderer_protocol::handover::FileTaker;
use streamer::session::compile::CompileReport;

pub(crate) use crate::bench::{Pace, hostcalls as bench_hostcalls, pipeline as bench_pipeline};

/// Runs a session's scene for the broker at the other end of the socket. The scene comes by the other one.
pub(crate) fn worker(broker: UnixStream, artifact: FileTaker) -> ExitCode {
    renderer::worker::run(broker, artifact)
}

/// Compiles a scene into the cache, or says why it cannot be run here. An error is ours.
pub(crate) fn compile(scene: &Path, cache: &Path) -> anyhow::Result<CompileReport> {
    match renderer::scene::compile(scene, cache) {
        Ok(artifact) => Ok(CompileReport::Ok { artifact }),
        Err(CompileError::Refused(refusal)) => {
            Ok(CompileReport::Refused { code: refusal.code().to_owned(), message: refusal.to_string() })
        }
        Err(error) => Err(error.into()),
    }
}
