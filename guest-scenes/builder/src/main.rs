//! Builds the scenes of `guest-scenes/` from source into components.
//!
//! Owns the choice of a wasm toolchain and the step from a core module to a component. What a scene is, its crate says: a `cdylib` in
//! a folder of its own here.

mod toolchain;

use std::{
    ffi::OsString,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, bail, ensure};
use clap::Parser;
use toolchain::{TARGET, Toolchain};
use wit_component::ComponentEncoder;

/// Builds scenes from source into components.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Where the components go, as NAME.wasm
    #[arg(long, value_name = "FOLDER", default_value = "target/scenes")]
    out: PathBuf,

    /// The folder of the scenes
    #[arg(long, value_name = "FOLDER", default_value = "guest-scenes")]
    scenes: PathBuf,

    /// Which scenes; all of them when none is named
    names: Vec<String>,
}

fn main() -> ExitCode {
    match build(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // There is nobody to tell when this fails.
            let _ = writeln!(io::stderr(), "scene-builder: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn build(arguments: &Arguments) -> anyhow::Result<()> {
    let known = scenes_of(&arguments.scenes)?;
    if let Some(unknown) = arguments.names.iter().find(|name| !known.contains(name)) {
        bail!(
            "there is no scene `{unknown}` in {}; there are: {}",
            arguments.scenes.display(),
            known.join(", ")
        );
    }
    let names = if arguments.names.is_empty() { &known } else { &arguments.names };
    let toolchain = pick_toolchain()?;
    let modules = compile(&toolchain, &arguments.scenes, names)?;
    fs::create_dir_all(&arguments.out)
        .with_context(|| format!("{} cannot be made", arguments.out.display()))?;
    for name in names {
        let module = modules.join(format!("{}.wasm", name.replace('-', "_")));
        let component = arguments.out.join(format!("{name}.wasm"));
        let bytes = componentize(&module).with_context(|| format!("the scene `{name}` is no component"))?;
        write_if_changed(&component, &bytes)
            .with_context(|| format!("{} cannot be written", component.display()))?;
        writeln!(io::stdout(), "{} ({} KB)", component.display(), bytes.len() / 1000)?;
    }
    Ok(())
}

/// The names of the scenes: the folders whose crate is a `cdylib`.
fn scenes_of(folder: &Path) -> anyhow::Result<Vec<String>> {
    let entries = fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        let manifest = fs::read_to_string(entry.path().join("Cargo.toml")).unwrap_or_default();
        if manifest.contains("\"cdylib\"") {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    ensure!(!names.is_empty(), "there is no scene in {}", folder.display());
    names.sort();
    Ok(names)
}

fn pick_toolchain() -> anyhow::Result<Toolchain> {
    let found = toolchain::probe();
    let toolchain = toolchain::choose(&found);
    if !matches!(toolchain, Ok(Toolchain::Plain { .. })) && toolchain::add_target_with_rustup() {
        return Ok(toolchain::choose(&toolchain::probe())?);
    }
    Ok(toolchain?)
}

/// Runs cargo; returns the folder of the core modules.
fn compile(toolchain: &Toolchain, folder: &Path, names: &[String]) -> anyhow::Result<PathBuf> {
    // A folder of its own, so that it neither waits for a build of the server nor makes one wait.
    let target = folder.join("target");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    // What the environment says about compilers and flags is meant for this machine, not for wasm.
    for variable in
        ["CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS", "RUSTC_WRAPPER", "CARGO_BUILD_TARGET", "RUSTUP_TOOLCHAIN"]
    {
        cargo.env_remove(variable);
    }
    cargo
        .args(["build", "--release", "--locked", "--target", TARGET])
        .arg("--manifest-path")
        .arg(folder.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target);
    for name in names {
        cargo.args(["--package", name]);
    }
    match toolchain {
        Toolchain::Plain { rustc } => {
            cargo.env("RUSTC", rustc);
        }
        Toolchain::BuildStd { rustc, lld } => {
            cargo
                .arg("-Zbuild-std=std,panic_abort")
                .env("RUSTC", rustc)
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", lld);
        }
    }
    let status = cargo.status().context("cargo cannot be started")?;
    ensure!(status.success(), "the scenes do not compile: see above");
    Ok(target.join(TARGET).join("release"))
}

/// A core module with its bindings' type section → a component, validated.
fn componentize(module: &Path) -> anyhow::Result<Vec<u8>> {
    let module = fs::read(module).with_context(|| format!("{} is missing", module.display()))?;
    ComponentEncoder::default().validate(true).module(&module)?.encode()
}

/// Leaves a file alone that is as it should be, so that its time still says when the scene changed.
fn write_if_changed(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|present| present == bytes) {
        return Ok(());
    }
    // Whole or not at all: a server may be reading the folder.
    let partial = path.with_extension("wasm.partial");
    fs::write(&partial, bytes)?;
    fs::rename(&partial, path)
}
