//! A worker that was taken over by its scene, as far as a program can play one.
//!
//! `attempts` enters the cell of a worker and then tries what a worker must not be able to do, and `attempts-of-a-compiler` that of a
//! compiler. `worker` speaks to a broker that started it in
//! the place of the real one, and misbehaves. `without` starts a program from which the kernel withholds something.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "this program is a test's: it fails by panicking, and gives the kernel numbers as they are"
)]

mod attempts;
mod calls;
mod excess;
mod garbage;
mod without;

use std::{os::unix::process::CommandExt as _, process::Command};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["attempts", folder] => {
            // The parent is asked for before it may not be any more.
            let targets = attempts::Targets::new(folder);
            let config = renderer_cell::CellConfig::worker(64 << 20);
            let cell = renderer_cell::enter(&config).unwrap();
            assert_eq!(cell.missing().count(), 0, "{cell:?}");
            attempts::report(&attempts::all(&targets));
            attempts::report(&excess::all(&targets));
        }
        ["attempts-of-a-compiler", folder] => {
            let targets = attempts::Targets::new(folder);
            let config = renderer_cell::CellConfig::compiler(folder.as_ref(), 64 << 20, 10);
            let cell = renderer_cell::enter(&config).unwrap();
            assert_eq!(cell.missing().count(), 0, "{cell:?}");
            attempts::report(&attempts::of_a_compiler(&targets));
        }
        ["attempts-outside-of-a-cell", folder] => {
            let targets = attempts::Targets::new(folder);
            let harmless = attempts::all(&targets).into_iter().filter(|attempt| attempt.is_harmless);
            attempts::report(&harmless.collect::<Vec<_>>());
        }
        ["old-system-call"] => {
            renderer_cell::enter(&renderer_cell::CellConfig::worker(0)).unwrap();
            calls::by_the_old_gate();
            println!("survived");
        }
        ["worker", ..] => garbage::misbehave(),
        // The broker asks this program for everything; what is not the worker's is the real one's to do.
        [_, ..] if garbage::is_in_place_of_a_worker() => {
            let error = Command::new(garbage::beside("scenecast-itself")).args(&arguments).exec();
            panic!("{error}");
        }
        ["without-landlock", program, rest @ ..] => without::landlock(program, rest),
        other => panic!("{other:?} is nothing that this program does"),
    }
}
