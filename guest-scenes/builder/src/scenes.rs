//! Which scenes there are, and cargo's part in building them.

use std::fmt;
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
    name: String,
    kind: Vec<String>,
    crate_types: Vec<String>,
}

/// What becomes a component: a crate that is one scene, or one of the examples of a crate that holds many.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Scene {
    package: String,
    example: Option<String>,
}

/// Its name, which is its path in the folder of components too.
impl fmt::Display for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.example {
            None => f.write_str(&self.package),
            Some(example) => write!(f, "{}/{example}", self.package),
        }
    }
}

impl Scene {
    /// Where cargo puts its core module.
    pub(crate) fn module_path(&self, target: &Path) -> PathBuf {
        let release = target.join(TARGET).join("release");
        let module = match &self.example {
            None => release.join(self.package.replace('-', "_")),
            Some(example) => release.join("examples").join(example.replace('-', "_")),
        };
        module.with_extension("wasm")
    }
}

/// The scenes of the workspace, by name: the targets that build to a module of their own.
pub(crate) fn list(guest_scenes: &Path) -> Result<Vec<Scene>> {
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
    let mut scenes: Vec<Scene> = metadata.packages.into_iter().flat_map(scenes_of).collect();
    scenes.sort();
    Ok(scenes)
}

fn scenes_of(package: Package) -> Vec<Scene> {
    let is_module = |target: &Target| target.crate_types.iter().any(|kind| kind == "cdylib");
    let scene = |target: Target| {
        let is_example = target.kind.iter().any(|kind| kind == "example");
        Scene { package: package.name.clone(), example: is_example.then_some(target.name) }
    };
    package.targets.into_iter().filter(is_module).map(scene).collect()
}

/// The scenes that were asked for, by name or by crate; all when none were.
pub(crate) fn select(all: &[Scene], wanted: &[String]) -> Result<Vec<Scene>> {
    if wanted.is_empty() {
        return Ok(all.to_vec());
    }
    let mut selected = Vec::new();
    for name in wanted {
        let before = selected.len();
        selected
            .extend(all.iter().filter(|scene| scene.package == *name || scene.to_string() == *name).cloned());
        if selected.len() == before {
            let names: Vec<String> = all.iter().map(ToString::to_string).collect();
            bail!("there is no scene `{name}`; there are: {}", names.join(", "));
        }
    }
    Ok(selected)
}

/// Has cargo compile the scenes; its messages go to standard error as they come.
pub(crate) fn compile(
    guest_scenes: &Path,
    target: &Path,
    toolchain: &Toolchain,
    scenes: &[Scene],
) -> Result<()> {
    let mut command = cargo(guest_scenes);
    command.args(["build", "--release", "--locked", "--target", TARGET, "--lib"]);
    for scene in scenes {
        command.args(["--package", &scene.package]);
        if let Some(example) = &scene.example {
            command.args(["--example", example]);
        }
    }
    command.env("CARGO_TARGET_DIR", target);
    toolchain.apply(&mut command);
    let status = command.status().context("cannot start cargo")?;
    if !status.success() {
        bail!("cargo could not compile the scenes ({status}); its messages are above");
    }
    Ok(())
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

    fn scenes(names: &[&str]) -> Vec<Scene> {
        let scene = |name: &&str| match name.split_once('/') {
            None => Scene { package: (*name).to_owned(), example: None },
            Some((package, example)) => {
                Scene { package: package.to_owned(), example: Some(example.to_owned()) }
            }
        };
        names.iter().map(scene).collect()
    }

    #[test]
    fn all_scenes_are_built_when_none_is_named() {
        let all = scenes(&["orbit", "triangle"]);
        assert_eq!(select(&all, &[]).unwrap(), all);
    }

    #[test]
    fn a_crate_names_all_of_its_scenes() {
        let all = scenes(&["many/one", "many/two", "orbit"]);
        assert_eq!(select(&all, &["many".to_owned()]).unwrap(), scenes(&["many/one", "many/two"]));
        assert_eq!(select(&all, &["many/two".to_owned()]).unwrap(), scenes(&["many/two"]));
    }

    #[test]
    fn a_scene_that_does_not_exist_is_named_beside_those_that_do() {
        let error = select(&scenes(&["orbit", "triangle"]), &["orbti".to_owned()]).unwrap_err();
        assert_eq!(error.to_string(), "there is no scene `orbti`; there are: orbit, triangle");
    }
}
