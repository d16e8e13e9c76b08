//! Picks a toolchain that can build for [`TARGET`].
//!
//! What is there is [probed](probe), the choice is [made](choose) from what was found: nothing in it runs a program.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// What scenes are compiled for, before they are made into components: the WebAssembly that promises nothing of its host.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// A Rust compiler of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Compiler {
    /// The program, by name or path.
    pub(crate) rustc: PathBuf,
    /// Its folder of libraries and tools.
    pub(crate) sysroot: PathBuf,
    /// The target's standard library is there.
    pub(crate) has_std: bool,
    /// The standard library's source is there, so that it can be built.
    pub(crate) has_source: bool,
    /// Its own `rust-lld`, if it has one.
    pub(crate) lld: Option<PathBuf>,
}

/// How to build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// As any crate.
    Plain {
        /// With this compiler.
        rustc: PathBuf,
    },
    /// With the standard library from its source.
    BuildStd {
        /// With this compiler, whose source it is.
        rustc: PathBuf,
        /// Linked with this.
        lld: PathBuf,
    },
}

/// No toolchain of this machine can build scenes.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no Rust toolchain here can build for {TARGET}. Install one of:\n  \
     with rustup:          rustup target add {TARGET}\n  \
     on Debian:            apt-get install rustc-web rust-web-src   (and a rustup toolchain, for its rust-lld)"
)]
pub(crate) struct NoToolchain;

/// The best of these compilers: one that has the library, else one that can build it with a linker of any of them.
pub(crate) fn choose(compilers: &[Compiler]) -> Result<Toolchain, NoToolchain> {
    if let Some(compiler) = compilers.iter().find(|compiler| compiler.has_std) {
        return Ok(Toolchain::Plain { rustc: compiler.rustc.clone() });
    }
    let lld = compilers.iter().find_map(|compiler| compiler.lld.clone()).ok_or(NoToolchain)?;
    let compiler = compilers.iter().find(|compiler| compiler.has_source).ok_or(NoToolchain)?;
    Ok(Toolchain::BuildStd { rustc: compiler.rustc.clone(), lld })
}

/// The compilers of this machine: the one that built us first, then the distribution's.
pub(crate) fn probe() -> Vec<Compiler> {
    let own = std::env::var_os("RUSTC").map_or_else(|| PathBuf::from("rustc"), PathBuf::from);
    let distribution = PathBuf::from("/usr/bin/rustc");
    [own, distribution].iter().filter_map(|rustc| inspect(rustc)).collect()
}

/// On a machine with rustup the target is a download of a few seconds; without a network this fails, and another way is found.
pub(crate) fn add_target_with_rustup() -> bool {
    // Given half a minute: rustup itself waits much longer for a network that does not answer.
    let added = Command::new("timeout")
        .args(["30", "rustup", "target", "add", TARGET])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    added.is_ok_and(|status| status.success())
}

fn inspect(rustc: &Path) -> Option<Compiler> {
    let print = |arguments: &[&str]| {
        let output = Command::new(rustc).args(arguments).stdin(Stdio::null()).output().ok()?;
        let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
        Some(PathBuf::from(text.trim()))
    };
    let sysroot = print(&["--print", "sysroot"])?;
    let libraries = print(&["--print", "target-libdir", "--target", TARGET]);
    let host = print(&["--print", "target-libdir"])?;
    let lld = host.parent()?.join("bin/rust-lld");
    Some(Compiler {
        rustc: rustc.to_owned(),
        has_std: libraries.is_some_and(|folder| has_std(&folder)),
        has_source: sysroot.join("lib/rustlib/src/rust/library/Cargo.lock").exists(),
        lld: lld.exists().then_some(lld),
        sysroot,
    })
}

fn has_std(libraries: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(libraries) else { return false };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiler(name: &str, has_std: bool, has_source: bool, has_lld: bool) -> Compiler {
        Compiler {
            rustc: name.into(),
            sysroot: "/".into(),
            has_std,
            has_source,
            lld: has_lld.then(|| PathBuf::from(format!("{name}-lld"))),
        }
    }

    #[test]
    fn a_compiler_with_the_library_is_taken_before_one_that_must_build_it() {
        let found = [compiler("source", false, true, true), compiler("ready", true, false, false)];
        assert_eq!(choose(&found), Ok(Toolchain::Plain { rustc: "ready".into() }));
    }

    #[test]
    fn the_source_of_one_and_the_linker_of_another_are_enough() {
        let found = [compiler("rustup", false, false, true), compiler("debian", false, true, false)];
        assert_eq!(
            choose(&found),
            Ok(Toolchain::BuildStd { rustc: "debian".into(), lld: "rustup-lld".into() })
        );
    }

    #[test]
    fn without_library_source_or_linker_the_message_says_what_to_install() {
        for found in [
            vec![],
            vec![compiler("bare", false, false, true)],
            vec![compiler("unlinked", false, true, false)],
        ] {
            assert_eq!(choose(&found), Err(NoToolchain));
        }
        let message = NoToolchain.to_string();
        assert!(message.contains("rustup target add") && message.contains("rust-web-src"), "{message}");
    }
}
