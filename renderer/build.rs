//! Stops the build, with the reason, when the H.264 encoder would come out slow.
//!
//! `openh264-sys2` assembles the encoder's kernels with `nasm` when it finds one, and says nothing when it does not: what comes
//! out then is correct and takes 2.1 to 2.6 times the processor time for every frame of every session.
#![allow(clippy::print_stdout, reason = "this is how a build script speaks to cargo")]

use std::process::{Command, Stdio};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=PATH");
    let needs_nasm =
        std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "x86_64" || arch == "x86");
    if needs_nasm && !answers("nasm") {
        // The encoder may have been compiled by now, in C alone, and cargo would keep that.
        println!(
            "cargo::error=`nasm` was not found, and without it the H.264 encoder silently becomes 2 to 3 times slower. Install the \
             package `nasm` (Debian, Ubuntu: `apt install nasm`), run `cargo clean --release -p openh264-sys2`, and build again."
        );
    }
}

fn answers(program: &str) -> bool {
    Command::new(program)
        .arg("-v")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
