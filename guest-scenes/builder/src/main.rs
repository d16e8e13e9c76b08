//! Builds the scenes of guest-scenes/ from source into components: `cargo run --release -p scene-builder -- [SCENE…]`.
//!
//! It finds a toolchain that can compile for wasm by itself ([`toolchain`]), has cargo compile the scenes to core modules, and wraps
//! each into a component ([`component`]). It must not know what a scene contains.

mod component;
mod scenes;
mod toolchain;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

/// Builds the scenes of guest-scenes/ into components.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where the components go; target/scenes of the repository by default
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Compile the standard library too, even where a compiled one is installed
    #[arg(long)]
    build_std: bool,
    /// Only find out whether a toolchain for wasm is there, and say which, or what to install
    #[arg(long)]
    check: bool,
    /// The scenes to build, or crates of which to build all; everything by default
    scenes: Vec<String>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when standard error is closed.
            let _ = writeln!(std::io::stderr(), "scene-builder: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let root = repository();
    let toolchain = toolchain::find(arguments.build_std)?;
    if arguments.check {
        return say(&format!("scenes are compiled {toolchain}"));
    }
    let guest_scenes = root.join("guest-scenes");
    // A folder of its own, so that building scenes does not wait for a build of the server, nor the other way round.
    let target = root.join("target").join("guest");
    let out = arguments.out.clone().unwrap_or_else(|| root.join("target").join("scenes"));

    let all = scenes::list(&guest_scenes)?;
    let wanted = scenes::select(&all, &arguments.scenes)?;
    scenes::compile(&guest_scenes, &target, &toolchain, &wanted)?;

    for scene in wanted {
        let component = out.join(format!("{scene}.wasm"));
        let folder = component.parent().unwrap_or(&out);
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let written = component::write(&scene.module_path(&target), &component)
            .with_context(|| format!("the scene `{scene}` does not make a component"))?;
        say(&format!("{scene}: {written}"))?;
    }
    say(&format!("components are in {}", out.display()))
}

/// The folder of the repository: cargo names the builder's own when it starts it.
fn repository() -> PathBuf {
    let builder = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    builder.ancestors().nth(2).map_or_else(|| builder.clone(), Path::to_path_buf)
}

fn say(line: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{line}").context("cannot write to standard output")
}
