//! Which scenes there are, and cargo's part in building them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::toolchain::{TARGET, Toolchain};

/// The part of `cargo metadata` that tells scenes from libraries.
#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    targets: Vec<Target>,
}

#[derive(Debug, Deserialize)]
struct Target {
    crate_types: Vec<String>,
}

/// The scenes of the workspace, by name: the packages that build to a module of their own.
pub(crate) fn list(guest_scenes: &Path) -> Result<Vec<String>> {
    let output = cargo(guest_scenes)
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        bail!(
            "cargo cannot read {}:\n{}",
            guest_scenes.display(),
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
    }
    let metadata: Metadata =
        serde_json::from_slice(&output.stdout).context("cargo metadata is not as expected")?;
    let is_scene = |package: &Package| {
        package.targets.iter().any(|target| target.crate_types.iter().any(|kind| kind == "cdylib"))
    };
    let mut scenes: Vec<String> =
        metadata.packages.into_iter().filter(is_scene).map(|package| package.name).collect();
    scenes.sort();
    Ok(scenes)
}

/// The scenes that were asked for; all when none were.
pub(crate) fn select(all: &[String], wanted: &[String]) -> Result<Vec<String>> {
    if let Some(unknown) = wanted.iter().find(|name| !all.contains(name)) {
        bail!("there is no scene `{unknown}`; there are: {}", all.join(", "));
    }
    Ok(if wanted.is_empty() { all.to_vec() } else { wanted.to_vec() })
}

/// Has cargo compile the scenes; its messages go to standard error as they come.
pub(crate) fn compile(
    guest_scenes: &Path,
    target: &Path,
    toolchain: &Toolchain,
    scenes: &[String],
) -> Result<()> {
    let mut command = cargo(guest_scenes);
    command.args(["build", "--release", "--locked", "--target", TARGET]);
    for scene in scenes {
        command.args(["--package", scene]);
    }
    command.env("CARGO_TARGET_DIR", target);
    toolchain.apply(&mut command);
    let status = command.status().context("cannot start cargo")?;
    if !status.success() {
        bail!("cargo could not compile the scenes ({status}); its messages are above");
    }
    Ok(())
}

/// Where cargo puts the core module of a scene.
pub(crate) fn module_path(target: &Path, scene: &str) -> PathBuf {
    target.join(TARGET).join("release").join(scene.replace('-', "_")).with_extension("wasm")
}

/// Cargo in the scenes' workspace, without what the surrounding build set for the server's own target.
fn cargo(guest_scenes: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(guest_scenes);
    for host_only in ["CARGO_BUILD_TARGET", "CARGO_ENCODED_RUSTFLAGS", "CARGO_INCREMENTAL", "RUSTFLAGS"] {
        command.env_remove(host_only);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn all_scenes_are_built_when_none_is_named() {
        let all = names(&["orbit", "triangle"]);
        assert_eq!(select(&all, &[]).unwrap(), all);
    }

    #[test]
    fn a_scene_that_does_not_exist_is_named_beside_those_that_do() {
        let error = select(&names(&["orbit", "triangle"]), &names(&["orbti"])).unwrap_err();
        assert_eq!(error.to_string(), "there is no scene `orbti`; there are: orbit, triangle");
    }
}
