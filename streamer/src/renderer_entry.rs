//! The calls into the `renderer` crate, all of them.

use std::{os::unix::net::UnixStream, path::Path, process::ExitCode};

use renderer_protocol::FrameSize;
use streamer::session::compile::CompileReport;

/// Runs a session's scene for the broker at the other end of the socket.
pub(crate) fn worker(_broker: UnixStream) -> ExitCode {
    ExitCode::FAILURE
}

/// Compiles a scene into the cache, or says why it cannot be run here. An error is ours.
pub(crate) fn compile(_scene: &Path, _cache: &Path) -> anyhow::Result<CompileReport> {
    anyhow::bail!("this build has no renderer")
}

/// Measures the pipeline and prints the figures.
pub(crate) fn bench_pipeline(
    _scene: &Path,
    _size: FrameSize,
    _frames: u32,
    _json: bool,
) -> anyhow::Result<()> {
    anyhow::bail!("this build has no renderer")
}
