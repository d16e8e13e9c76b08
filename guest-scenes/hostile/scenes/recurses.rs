//! Tries: to use up the host's stack, by a recursion without end that calls the host at every depth.
//!
//! Must happen: the recursion traps and the session ends with that; the worker's process goes on and ends in order.

use hostile::seed;
use kit::webgpu::get_gpu;

struct Start;

impl kit::bindings::Guest for Start {
    async fn start() {
        let depth = recurse(core::hint::black_box(seed()));
        panic!("came back from depth {depth}");
    }
}

#[inline(never)]
fn recurse(depth: u64) -> u64 {
    // A call with a list in its answer goes through the scene's allocator, and so calls back into the scene.
    let features = get_gpu().wgsl_language_features();
    let below = if depth == u64::MAX { 0 } else { recurse(core::hint::black_box(depth + 1)) };
    drop(core::hint::black_box(features));
    below + 1
}

kit::bindings::export_start!(Start with_types_in kit::bindings);
