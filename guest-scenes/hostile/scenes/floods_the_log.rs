//! Tries: to fill the server's log and to steer the terminal of whoever reads it: a million lines with escape sequences, on standard
//! output, standard error and by `scenecast:scene/log`, while it draws nothing.
//!
//! Must happen: what is more than its share is left out and counted, and that is said; escapes arrive as text; the scene's ticks and the
//! worker's answers go on.

use hostile::Ticks;
use kit::log::{Level, log};

const LINES: u32 = 1_000_000;
/// Lines between two ticks.
const AT_ONCE: u32 = 10_000;

struct Start;

impl kit::bindings::Guest for Start {
    async fn start() {
        let mut ticks = Ticks::begin();
        for number in 0..LINES {
            match number % 3 {
                0 => println!("\x1b]0;owned\x07\x1b[2J line {number}\r"),
                1 => eprintln!("\x1b[31m line {number}\u{9b}2J"),
                _ => log(Level::Error, &format!("\x1b[8m line {number}\nand another")),
            }
            if number % AT_ONCE == 0 && !ticks.next().await {
                return;
            }
        }
        // Time for the share of another second.
        for _ in 0..240 {
            ticks.next().await;
        }
        log(Level::Info, "all lines are written");
    }
}

kit::bindings::export_start!(Start with_types_in kit::bindings);
