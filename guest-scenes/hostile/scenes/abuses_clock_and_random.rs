//! Tries: to hold its host by a sleep of 10^9 seconds, and to have a gibibyte of random bytes made in one call.
//!
//! Must happen: the sleep holds only the task that sleeps; what one call gives of random bytes has a limit, and asking for more ends the
//! session.

use futures::future::{Either, select};
use hostile::{Ticks, random_bytes, seed, wait_for};
use kit::log::{Level, log};

struct Start;

impl kit::bindings::Guest for Start {
    async fn start() {
        let sleep = core::pin::pin!(wait_for(1_000_000_000_000_000_000));
        let mut ticks = Ticks::begin();
        let counts = core::pin::pin!(async {
            for _ in 0..30 {
                ticks.next().await;
            }
        });
        assert!(matches!(select(sleep, counts).await, Either::Right(_)), "the sleep ended");
        log(Level::Info, "ticks go on");
        if seed() == 1 {
            let bytes = random_bytes(1 << 30);
            panic!("got {} bytes", bytes.len());
        }
    }
}

kit::bindings::export_start!(Start with_types_in kit::bindings);
