//! Finds a toolchain that compiles for wasm. What there is gets probed, and [`choose`] decides from that alone.
//!
//! In this order: a compiler that has a standard library for wasm; rustup, asked to add one; a compiler that has the standard
//! library's source, which is then compiled along with the scenes, as with Debian's `rustc-web` and `rust-web-src`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

/// No system beneath: everything that a scene can reach is imported by name.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// Debian's compiler, which is not the first on the path where rustup is installed too.
const SYSTEM_RUSTC: &str = "/usr/bin/rustc";
/// Gives up on a registry that cannot be reached at the first failure.
const RUSTUP_RETRIES: &str = "0";

/// A compiler, as found.
#[derive(Clone, Debug, Default)]
struct Compiler {
    rustc: PathBuf,
    has_wasm_std: bool,
    has_std_source: bool,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Rustup {
    #[default]
    Absent,
    Present,
    /// It was asked, and could not add the target.
    Failed,
}

/// Everything that the choice depends on.
#[derive(Clone, Debug, Default)]
struct Probe {
    /// In order of preference.
    compilers: Vec<Compiler>,
    rustup: Rustup,
    /// A linker for wasm, for a compiler that brings none.
    linker: Option<PathBuf>,
    /// Do not use a compiled standard library.
    build_std: bool,
}

#[derive(Debug, Eq, PartialEq)]
enum Choice {
    Use(Toolchain),
    /// Ask rustup for the target, and look again.
    AddTarget,
    /// There is nothing to build with, and this is missing.
    Missing(Missing),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Missing {
    Compiler,
    Linker,
}

/// How cargo is to be called for the scenes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Toolchain {
    Plain { rustc: PathBuf },
    BuildStd { rustc: PathBuf, linker: PathBuf },
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain { rustc } => write!(f, "by {} with its standard library for wasm", rustc.display()),
            Self::BuildStd { rustc, linker } => {
                write!(
                    f,
                    "by {} with the standard library from source, linked by {}",
                    rustc.display(),
                    linker.display()
                )
            }
        }
    }
}

impl Toolchain {
    /// Adds what this toolchain needs to a `cargo build`.
    pub(crate) fn apply(&self, command: &mut Command) {
        match self {
            Self::Plain { rustc } => {
                command.env("RUSTC", rustc);
            }
            Self::BuildStd { rustc, linker } => {
                command
                    .env("RUSTC", rustc)
                    .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker)
                    // `-Z build-std` is not stable yet; this lets a stable compiler take it.
                    .env("RUSTC_BOOTSTRAP", "1")
                    .arg("-Zbuild-std=std,panic_abort");
            }
        }
    }
}

/// Finds a toolchain, adding the target with rustup if that is what it takes.
pub(crate) fn find(build_std: bool) -> Result<Toolchain> {
    let mut probe = Probe {
        compilers: compilers(),
        rustup: if runs(Command::new("rustup").arg("--version")) { Rustup::Present } else { Rustup::Absent },
        linker: linker(),
        build_std,
    };
    loop {
        match choose(&probe) {
            Choice::Use(toolchain) => return Ok(toolchain),
            Choice::AddTarget => {
                let mut add = Command::new("rustup");
                add.args(["target", "add", TARGET]).env("RUSTUP_MAX_RETRIES", RUSTUP_RETRIES);
                // Whether it worked is seen by looking again; asking twice would not help.
                runs(&mut add);
                probe.compilers = compilers();
                probe.rustup = Rustup::Failed;
            }
            Choice::Missing(missing) => bail!("{}", advice(missing, probe.rustup)),
        }
    }
}

fn choose(probe: &Probe) -> Choice {
    let with_wasm_std = probe.compilers.iter().find(|compiler| compiler.has_wasm_std && !probe.build_std);
    if let Some(compiler) = with_wasm_std {
        return Choice::Use(Toolchain::Plain { rustc: compiler.rustc.clone() });
    }
    if probe.rustup == Rustup::Present && !probe.build_std {
        return Choice::AddTarget;
    }
    let with_source = probe.compilers.iter().find(|compiler| compiler.has_std_source);
    match (with_source, &probe.linker) {
        (Some(compiler), Some(linker)) => {
            Choice::Use(Toolchain::BuildStd { rustc: compiler.rustc.clone(), linker: linker.clone() })
        }
        (Some(_), None) => Choice::Missing(Missing::Linker),
        (None, _) => Choice::Missing(Missing::Compiler),
    }
}

fn advice(missing: Missing, rustup: Rustup) -> String {
    match (missing, rustup) {
        (Missing::Linker, _) => {
            "there is a Rust compiler with the standard library's source, but no linker for wasm; \
             on Debian and Ubuntu install one with `apt-get install lld`"
                .into()
        }
        (Missing::Compiler, Rustup::Absent) => format!(
            "no Rust compiler here can compile for {TARGET}; \
             on Debian and Ubuntu run `apt-get install rustc-web rust-web-src lld`, elsewhere install rustup from https://rustup.rs"
        ),
        (Missing::Compiler, Rustup::Present | Rustup::Failed) => format!(
            "no Rust compiler here can compile for {TARGET}, and rustup could not add it; \
             run `rustup target add {TARGET}` to see why, or on Debian and Ubuntu `apt-get install rustc-web rust-web-src lld`"
        ),
    }
}

/// The compiler that the environment names, or the first on the path, and the system's own.
fn compilers() -> Vec<Compiler> {
    let first = std::env::var_os("RUSTC").map_or_else(|| PathBuf::from("rustc"), PathBuf::from);
    let mut found: Vec<Compiler> = Vec::new();
    for rustc in [first, PathBuf::from(SYSTEM_RUSTC)] {
        let Some(libraries) = answer(&rustc, &["--print", "target-libdir", "--target", TARGET]) else {
            continue;
        };
        let Some(sysroot) = answer(&rustc, &["--print", "sysroot"]) else { continue };
        found.push(Compiler {
            rustc,
            has_wasm_std: has_std(Path::new(&libraries)),
            has_std_source: Path::new(&sysroot).join("lib/rustlib/src/rust/library/Cargo.lock").is_file(),
        });
    }
    found
}

/// Whether a folder of libraries holds a compiled standard library; rustup leaves the folder behind when it removes a target.
fn has_std(libraries: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(libraries) else { return false };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("libstd-") && name.ends_with(".rlib")
    })
}

/// The linker that rustup's toolchains bring, or LLVM's.
fn linker() -> Option<PathBuf> {
    let rustc = std::env::var_os("RUSTC").map_or_else(|| PathBuf::from("rustc"), PathBuf::from);
    let brought =
        [rustc, PathBuf::from("rustc"), PathBuf::from(SYSTEM_RUSTC)].into_iter().find_map(|rustc| {
            let libraries = answer(&rustc, &["--print", "target-libdir"])?;
            let linker = Path::new(&libraries).parent()?.join("bin/rust-lld");
            linker.is_file().then_some(linker)
        });
    brought.or_else(|| runs(Command::new("wasm-ld").arg("--version")).then(|| PathBuf::from("wasm-ld")))
}

/// The first line that a compiler prints, when it can be run and succeeds.
fn answer(rustc: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new(rustc).args(arguments).stderr(Stdio::null()).output().ok()?;
    if !output.status.success() {
        return None;
    }
    Some(String::from_utf8(output.stdout).ok()?.lines().next()?.to_string())
}

/// Whether a program can be run and succeeds. Its output is not for the user: there is another way when it fails.
fn runs(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiler(rustc: &str, has_wasm_std: bool, has_std_source: bool) -> Compiler {
        Compiler { rustc: rustc.into(), has_wasm_std, has_std_source }
    }

    fn plain(rustc: &str) -> Choice {
        Choice::Use(Toolchain::Plain { rustc: rustc.into() })
    }

    fn build_std(rustc: &str, linker: &str) -> Choice {
        Choice::Use(Toolchain::BuildStd { rustc: rustc.into(), linker: linker.into() })
    }

    #[test]
    fn a_compiler_with_a_standard_library_for_wasm_is_used_as_it_is() {
        let probe = Probe {
            compilers: vec![compiler("rustc", true, false), compiler("/usr/bin/rustc", false, true)],
            rustup: Rustup::Present,
            linker: Some("rust-lld".into()),
            build_std: false,
        };
        assert_eq!(choose(&probe), plain("rustc"));
    }

    #[test]
    fn the_systems_compiler_is_used_when_only_that_one_knows_wasm() {
        let probe = Probe {
            compilers: vec![compiler("rustc", false, false), compiler("/usr/bin/rustc", true, false)],
            rustup: Rustup::Present,
            ..Probe::default()
        };
        assert_eq!(choose(&probe), plain("/usr/bin/rustc"));
    }

    #[test]
    fn rustup_is_asked_before_the_standard_library_is_compiled() {
        let probe = Probe {
            compilers: vec![compiler("rustc", false, false), compiler("/usr/bin/rustc", false, true)],
            rustup: Rustup::Present,
            linker: Some("rust-lld".into()),
            build_std: false,
        };
        assert_eq!(choose(&probe), Choice::AddTarget);
    }

    #[test]
    fn the_standard_library_is_compiled_when_rustup_cannot_add_the_target() {
        let probe = Probe {
            compilers: vec![compiler("rustc", false, false), compiler("/usr/bin/rustc", false, true)],
            rustup: Rustup::Failed,
            linker: Some("rust-lld".into()),
            build_std: false,
        };
        assert_eq!(choose(&probe), build_std("/usr/bin/rustc", "rust-lld"));
    }

    #[test]
    fn the_standard_library_is_compiled_when_that_is_asked_for() {
        let probe = Probe {
            compilers: vec![compiler("rustc", true, true)],
            rustup: Rustup::Present,
            linker: Some("rust-lld".into()),
            build_std: true,
        };
        assert_eq!(choose(&probe), build_std("rustc", "rust-lld"));
    }

    #[test]
    fn without_a_linker_the_advice_names_the_linkers_package() {
        let probe = Probe { compilers: vec![compiler("/usr/bin/rustc", false, true)], ..Probe::default() };
        assert_eq!(choose(&probe), Choice::Missing(Missing::Linker));
        assert!(advice(Missing::Linker, Rustup::Absent).contains("apt-get install lld"));
    }

    #[test]
    fn without_anything_the_advice_names_the_compilers_packages_and_rustup() {
        assert_eq!(choose(&Probe::default()), Choice::Missing(Missing::Compiler));
        let advice = advice(Missing::Compiler, Rustup::Absent);
        assert!(advice.contains("rustc-web rust-web-src"), "{advice}");
        assert!(advice.contains("https://rustup.rs"), "{advice}");
    }

    #[test]
    fn a_folder_of_libraries_without_a_standard_library_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!has_std(folder.path()));
        std::fs::write(folder.path().join("libstd-0123.rlib"), []).unwrap();
        assert!(has_std(folder.path()));
    }
}
