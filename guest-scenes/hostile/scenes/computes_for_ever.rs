//! Tries: to keep its thread for itself by computing without end, once it has drawn some ticks.
//!
//! Must happen: the session ends after a second of processor time; the worker answers until then, and others notice nothing.

use hostile::Ticks;
use kit::log::{Level, log};

struct Start;

impl kit::bindings::Guest for Start {
    async fn start() {
        let mut ticks = Ticks::begin();
        for _ in 0..3 {
            ticks.next().await;
        }
        log(Level::Info, "computes now");
        let mut number = 0_u64;
        loop {
            number = core::hint::black_box(number.wrapping_add(1));
        }
    }
}

kit::bindings::export_start!(Start with_types_in kit::bindings);
