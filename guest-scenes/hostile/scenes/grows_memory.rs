//! Tries: to have all memory of the machine, by growing its own to 4 GiB, and writes to all that it gets.
//!
//! Must happen: growing beyond the scene's limit fails, and the scene goes on with what it has.

use hostile::Ticks;
use kit::log::{Level, log};

/// Pages of 64 KiB that are asked for at once: 16 MiB.
const PAGES: usize = 256;
const PAGE_BYTES: usize = 64 << 10;

struct Start;

impl kit::bindings::Guest for Start {
    async fn start() {
        let mut ticks = Ticks::begin();
        let all = core::arch::wasm32::memory_grow::<0>(65_536 - core::arch::wasm32::memory_size::<0>());
        assert_eq!(all, usize::MAX, "4 GiB at once are refused");
        let mut pages = core::arch::wasm32::memory_size::<0>();
        loop {
            let first = core::arch::wasm32::memory_grow::<0>(PAGES);
            if first == usize::MAX {
                break;
            }
            for page in first..first + PAGES {
                // SAFETY: the page was just given to this scene, and nobody else knows of it.
                unsafe { core::ptr::write_volatile((page * PAGE_BYTES) as *mut u8, 1) };
            }
            pages += PAGES;
            ticks.next().await;
        }
        log(Level::Info, &format!("refused at {} MiB", pages * PAGE_BYTES >> 20));
        for _ in 0..3 {
            ticks.next().await;
        }
    }
}

kit::bindings::export_start!(Start with_types_in kit::bindings);
