//! The compiler process alone, spoken to as the broker does.

use std::{
    io::Write as _,
    path::Path,
    process::{Output, Stdio},
};

use super::scenecast;

/// What the broker would derive for a component; here one for all.
pub const KEY: [u8; 32] = [7; 32];

/// Compiles a component into the cache of a folder, within limits.
pub fn compile(component: &[u8], cache: &Path, flags: &[&str]) -> Output {
    let mut command = scenecast();
    command.arg("compile").arg("--cache").arg(cache).args(flags);
    // As the broker does: each thread takes memory, of which there is a limit.
    command.env("RAYON_NUM_THREADS", "8").env("MALLOC_ARENA_MAX", "2");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().expect("the compiler starts");
    let mut stdin = process.stdin.take().expect("its standard input");
    // It may refuse before it has read everything.
    let _ = stdin.write_all(&[&KEY, component].concat());
    drop(stdin);
    process.wait_with_output().expect("the compiler ends")
}

/// What it says.
pub fn answer(component: &[u8], cache: &Path) -> serde_json::Value {
    let output = compile(component, cache, &[]);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}
