//! What a scene of this crate imports beside the kit: WASI's randomness and clock, of which kit scenes have no need.

#[allow(unused_qualifications, clippy::pedantic, reason = "generated")]
mod bindings {
    wit_bindgen::generate!({
        inline: "
            package scenecast:headless;

            world needs {
                import wasi:random/random@0.2.0;
                import wasi:clocks/monotonic-clock@0.3.0;
            }

            package wasi:random@0.2.0 {
                interface random {
                    get-random-u64: func() -> u64;
                }
            }

            package wasi:clocks@0.3.0 {
                interface monotonic-clock {
                    now: func() -> u64;
                    wait-for: async func(how-long: u64);
                }
            }
        ",
        generate_all,
    });
}

pub use bindings::wasi::clocks::monotonic_clock::{now, wait_for};
pub use bindings::wasi::random::random::get_random_u64;
