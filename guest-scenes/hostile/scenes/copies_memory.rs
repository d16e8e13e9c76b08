//! Tries: to compute where no deadline is looked at, by instructions that copy a hundred megabytes each.
//!
//! Must happen: the session ends after a second of processor time and one such copy.

use hostile::Ticks;
use kit::log::{Level, log};

/// Two of these are below the memory of a scene.
const BYTES: usize = 112 << 20;

struct Start;

impl kit::bindings::Guest for Start {
    async fn start() {
        let mut ticks = Ticks::begin();
        ticks.next().await;
        let from = vec![1_u8; BYTES];
        let mut to = vec![0_u8; BYTES];
        log(Level::Info, "copies now");
        loop {
            to.copy_from_slice(core::hint::black_box(&from));
            core::hint::black_box(&mut to);
        }
    }
}

kit::bindings::export_start!(Start with_types_in kit::bindings);
