//! What the hostile scenes share: which of its ways a scene tries in this run, random numbers, and ticks to wait for.
//!
//! A scene here tries to hurt its host and its neighbours. None but `hangs_the_gpu` hurts the GPU: each bounds its dispatches, draws and
//! textures, so that a driver that does what it is told is done in a moment. The head of each scene says what it tries and what must happen.

use kit::bindings::wasi_gfx::surface::surface::{CreateDesc, FrameEvent, Surface};
use wit_bindgen::StreamReader;

#[allow(unused_qualifications, clippy::pedantic, reason = "generated")]
mod bindings {
    wit_bindgen::generate!({
        inline: "
            package scenecast:hostile;

            world seed {
                import wasi:random/insecure-seed@0.2.0;
                import wasi:random/random@0.2.0;
                import wasi:clocks/monotonic-clock@0.3.0;
            }

            package wasi:random@0.2.0 {
                interface insecure-seed {
                    insecure-seed: func() -> tuple<u64, u64>;
                }
                interface random {
                    get-random-bytes: func(len: u64) -> list<u8>;
                }
            }

            package wasi:clocks@0.3.0 {
                interface monotonic-clock {
                    wait-for: async func(how-long: u64);
                }
            }
        ",
        generate_all,
    });
}

/// The session's seed, which the host's test chooses: a scene that has several ways takes it as the number of one.
pub fn seed() -> u64 {
    bindings::wasi::random::insecure_seed::insecure_seed().0
}

pub use bindings::wasi::clocks::monotonic_clock::wait_for;
pub use bindings::wasi::random::random::get_random_bytes as random_bytes;

/// Ends this turn of the scene, so that it never computes for longer than it may.
pub struct Ticks(StreamReader<FrameEvent>);

impl Ticks {
    pub fn begin() -> Self {
        Self(Surface::new(CreateDesc { width: None, height: None }).on_frame())
    }

    /// Waits for the next tick. False when there is no further one.
    pub async fn next(&mut self) -> bool {
        self.0.next().await.is_some()
    }
}

/// Random numbers that are the same for the same seed, by Steele, Lea and Flood's SplitMix64.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.any() % end as u64).expect("it is below a usize")
    }

    /// True once in so many times.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// Something, or nothing every third time.
    pub fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (!self.one_in(3)).then(|| make(self))
    }
}
