//! The one wasmtime configuration, shared by the compiler process and the workers: an artifact fits exactly the engine that made it.

use wasmtime::{Config, Engine, OptLevel, WasmFeatures};

/// A scene's own stack. Deep recursion traps here, far from the end of [`FIBER_STACK_BYTES`].
const WASM_STACK_BYTES: usize = 512 << 10;
/// The stack of a guest task and of the host calls that it makes.
const FIBER_STACK_BYTES: usize = 2 << 20;

/// An engine with everything on that scenes may use, and everything off that they have no use for.
pub(crate) fn engine() -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config
        .cranelift_opt_level(OptLevel::Speed)
        .epoch_interruption(true)
        .max_wasm_stack(WASM_STACK_BYTES)
        .async_stack_size(FIBER_STACK_BYTES)
        .wasm_component_model(true)
        .wasm_component_model_async(true)
        .wasm_simd(true)
        .wasm_relaxed_simd(true)
        // The same bits on every machine, so that a golden image holds on all of them.
        .relaxed_simd_deterministic(true)
        .wasm_multi_memory(true)
        .wasm_memory64(true)
        // Off, whatever the defaults of wasmtime are: a scene is one thread, its errors are values, and it brings its own memory
        // management. What is not compiled cannot be attacked.
        .wasm_features(
            WasmFeatures::THREADS
                | WasmFeatures::SHARED_EVERYTHING_THREADS
                | WasmFeatures::GC
                | WasmFeatures::GC_TYPES
                | WasmFeatures::FUNCTION_REFERENCES
                | WasmFeatures::EXCEPTIONS
                | WasmFeatures::LEGACY_EXCEPTIONS
                | WasmFeatures::STACK_SWITCHING,
            false,
        );
    Engine::new(&config)
}
