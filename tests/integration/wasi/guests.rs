//! Builds the programs of guest-scenes/wasi into components, with the compilers of their languages.
//!
//! A machine that lacks a compiler says so on standard error, and their tests pass without having run: `tools/install-deps test` installs
//! all of them.

use std::{
    ffi::OsStr,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER,
};
use wit_component::ComponentEncoder;

use crate::binary::repository;

/// A built component, in a folder that goes with it.
pub struct Guest {
    folder: tempfile::TempDir,
}

impl Guest {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn component(&self) -> PathBuf {
        self.folder.path().join("guest.wasm")
    }
}

fn source(path: &str) -> PathBuf {
    repository().join("guest-scenes/wasi").join(path)
}

fn skipped(what: &str, reason: &str) {
    // Not by eprintln!, which is shown only when a test fails.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {what} was not run as a scene, because {reason}");
}

/// Runs a compiler; its messages are the test's when it fails.
#[track_caller]
fn compile(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed ({}):\n{messages}", output.status);
}

/// Rust's standard library, by the rustc that builds the tests.
pub fn rust() -> Option<Guest> {
    const TARGET: &str = "wasm32-wasip2";
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let libraries =
        Command::new(&rustc).args(["--print", "target-libdir", "--target", TARGET]).output().unwrap();
    let libraries = String::from_utf8_lossy(&libraries.stdout);
    if !Path::new(libraries.trim()).is_dir() {
        skipped("a Rust program", "rustc has no standard library for it: `rustup target add wasm32-wasip2`");
        return None;
    }
    let guest = Guest::new();
    compile(
        Command::new(rustc)
            .args(["--edition", "2024", "--target", TARGET, "-C", "opt-level=s", "-o"])
            .args([guest.component(), source("rust/main.rs")]),
    );
    Some(guest)
}

/// The C library of WASI 0.1, by clang, with the adapter that makes 0.1 of 0.2.
pub fn c() -> Option<Guest> {
    let clang = |arguments: &[&OsStr]| {
        let mut clang = Command::new("clang");
        clang.args(["--target=wasm32-wasi", "-O2", "-Wall", "-Wextra", "-Werror"]).args(arguments);
        clang
    };
    let guest = Guest::new();
    let module = guest.folder.path().join("module.wasm");
    let probe = guest.folder.path().join("probe.c");
    std::fs::write(&probe, "#include <stdio.h>\nint main(void) { return puts(\"\"); }\n").unwrap();
    let probed = clang(&["-o".as_ref(), module.as_ref(), probe.as_ref()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !probed.is_ok_and(|status| status.success()) {
        skipped("a C program", "clang, its linker for wasm, wasi-libc or compiler-rt for wasm32 is missing");
        return None;
    }
    compile(&mut clang(&["-o".as_ref(), module.as_ref(), source("c/main.c").as_ref()]));
    std::fs::write(guest.component(), adapted(&std::fs::read(module).unwrap())).unwrap();
    Some(guest)
}

/// A program of WASI 0.1 as a component of 0.2.
pub fn adapted(module: &[u8]) -> Vec<u8> {
    ComponentEncoder::default()
        .module(module)
        .and_then(|encoder| {
            encoder.adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER)
        })
        .and_then(|encoder| encoder.validate(true).encode())
        .unwrap()
}

/// Python with its standard library, by componentize-py.
pub fn python() -> Option<Guest> {
    let componentize =
        Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("python/bin/componentize-py");
    if !componentize.exists() {
        skipped("a Python program", &format!("{} is missing", componentize.display()));
        return None;
    }
    let guest = Guest::new();
    // Python leaves what it compiled beside the source.
    std::fs::copy(source("python/guest.py"), guest.folder.path().join("guest.py")).unwrap();
    compile(
        Command::new(componentize)
            .current_dir(guest.folder.path())
            .arg("--wit-path")
            .arg(source("python/guest.wit"))
            .args(["--world", "scene", "componentize", "guest", "--output", "guest.wasm"]),
    );
    Some(guest)
}
