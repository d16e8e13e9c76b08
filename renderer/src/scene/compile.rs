//! Component → native code: what a component is, whether it can be run here, and its code if so.
//!
//! The work of the compiler process. It knows neither files nor the cache: whoever calls gives bytes and gets bytes.

use std::hash::{Hash as _, Hasher};

use sha2::{Digest as _, Sha256};
use wasmtime::{Engine, component::Component};

use super::{
    check::{self, Refusal},
    engine::engine,
    inspect::Inspection,
    linker::linker,
};

/// The largest component that is compiled. Scenes have 0.1 MB, a Python guest 20 MB.
pub const MAX_SCENE_BYTES: u64 = 32 << 20;

/// Why there is no native code.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The scene's fault.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The process may have no more memory.
    #[error("the compiler has no more memory")]
    OutOfMemory,
    /// Ours.
    #[error("the compiler failed: {0:#}")]
    Internal(#[from] wasmtime::Error),
}

/// Compiles a component; what was seen of it is noted even when it cannot be run.
pub fn compile(component: &[u8], seen: &mut Inspection) -> Result<Vec<u8>, CompileError> {
    seen.bytes = component.len() as u64;
    if seen.bytes > MAX_SCENE_BYTES {
        return Err(Refusal::TooLarge { bytes: seen.bytes }.into());
    }
    check::check_header(component)?;
    let engine = engine()?;
    let component = Component::new(&engine, component).map_err(|error| {
        if is_out_of_memory(&error) { CompileError::OutOfMemory } else { check::uncompilable(&error).into() }
    })?;
    seen.look(&engine, &component);
    examine(&engine, &component)?;
    Ok(component.serialize()?)
}

/// What identifies the engine to which native code fits: its version, its settings, and the processor's features. Code of another one
/// cannot be run.
pub fn engine_id() -> Result<[u8; 32], CompileError> {
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
    engine()?.precompile_compatibility_hash().hash(&mut sink);
    Ok(sink.0.finalize().into())
}

/// Whether a component can be run here.
fn examine(engine: &Engine, component: &Component) -> Result<(), CompileError> {
    check::check_component(engine, component)?;
    linker(engine)?.instantiate_pre(component).map_err(|error| Refusal::ImportMismatch {
        name: mismatched_import(&format!("{error:#}")),
        reason: format!("{error:#}"),
    })?;
    Ok(())
}

/// wasmtime's message names the import in backquotes; the message itself is shown beside it.
fn mismatched_import(message: &str) -> String {
    message.split('`').nth(1).unwrap_or("an import").to_owned()
}

/// Memory for code is mapped, and a refused mapping is an error, while a refused allocation ends the process.
fn is_out_of_memory(error: &wasmtime::Error) -> bool {
    let refused_mapping = |cause: &(dyn std::error::Error + 'static)| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|cause| cause.kind() == std::io::ErrorKind::OutOfMemory)
    };
    error.is::<wasmtime::OutOfMemory>()
        || error.chain().any(refused_mapping)
        || format!("{error:#}").contains("os error 12")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal_of(bytes: &[u8]) -> Refusal {
        match compile(bytes, &mut Inspection::default()) {
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
    fn an_engine_is_always_the_same_one() {
        assert_eq!(engine_id().unwrap(), engine_id().unwrap());
    }
}
