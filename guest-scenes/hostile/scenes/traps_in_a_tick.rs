//! Tries: to be called again after a trap, while tasks of it wait for ticks and for the GPU.
//!
//! Must happen: the session ends with the trap; nothing of the scene runs afterwards.

use futures::future::join3;
use hostile::Ticks;
use kit::log::{Level, log};

struct Start;

impl kit::bindings::Guest for Start {
    async fn start() {
        let mut ticks = [Ticks::begin(), Ticks::begin(), Ticks::begin()];
        let [one, two, three] = &mut ticks;
        let traps = async {
            for _ in 0..3 {
                one.next().await;
            }
            log(Level::Info, "traps now");
            panic!("a trap in a tick");
        };
        let goes_on = async {
            while two.next().await {
                log(Level::Info, "a tick");
            }
        };
        let waits = async {
            let gpu = kit::Gpu::request().await;
            while three.next().await {
                gpu.queue().on_submitted_work_done().await;
            }
        };
        join3(traps, goes_on, waits).await;
    }
}

kit::bindings::export_start!(Start with_types_in kit::bindings);
