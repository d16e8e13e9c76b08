//! Compiling for the command line: in the same kind of process as for a server, with its limits, because the file may be anybody's.

use std::{path::Path, sync::Arc};

use streamer::{
    compiler::{Artifact, CompileError, Compiler, Component},
    config::CompileConfig,
    metrics::Metrics,
    session::Program,
};

/// Compiles a scene, or finds it compiled in this cache folder.
pub(crate) fn compile(scene: &Path, cache: &Path) -> Result<Artifact, CompileError> {
    let internal = |error: std::io::Error| {
        CompileError::Internal(format!("the cache folder {} cannot be used: {error}", cache.display()))
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(internal)?;
    let compiler = Program::this_binary(cache)
        .and_then(|program| Compiler::open(&program, CompileConfig::default(), Arc::new(Metrics::new())))
        .map_err(internal)?;
    runtime.block_on(compiler.compile(&Component::from(scene)))
}
