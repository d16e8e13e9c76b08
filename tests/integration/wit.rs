//! The transcribed interfaces under wit/deps are the standard's: every type, function and world of the published packages, in order.
//!
//! Each package is compared with the crate that publishes it, as cargo keeps it in its registry. Where the crate is not there, there
//! is nothing to compare with, and the test says so.

use std::io::Write;
use std::path::{Path, PathBuf};

use wit_component::WitPrinter;
use wit_parser::Resolve;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository").to_path_buf()
}

/// The folder of a crate in cargo's registry, when somebody has fetched it.
pub(crate) fn published(crate_and_version: &str) -> Option<PathBuf> {
    let cargo_home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))?;
    let registries = std::fs::read_dir(cargo_home.join("registry").join("src")).ok()?;
    registries.flatten().map(|registry| registry.path().join(crate_and_version)).find(|path| path.is_dir())
}

/// A package as resolved from a folder of interface text, printed without comments: one definition a line, in the order of the text.
fn definitions(wit: &Path, package: &str) -> String {
    let mut resolve = Resolve::default();
    resolve.push_dir(wit).unwrap_or_else(|error| panic!("{} does not resolve: {error:#}", wit.display()));
    let (_, &id) = resolve
        .package_names
        .iter()
        .find(|(name, _)| name.to_string() == package)
        .unwrap_or_else(|| panic!("{} has no package {package}", wit.display()));
    let mut printer = WitPrinter::default();
    printer.emit_docs(false).print(&resolve, id, &[]).expect("a resolved package can be printed");
    printer.output.to_string()
}

fn check_is_as_published(package: &str, crate_and_version: &str) {
    let ours = definitions(&root().join("wit"), package);
    let Some(crate_folder) = published(crate_and_version) else {
        // Not by eprintln!, which is shown only when a test fails.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: {package} was not compared, because the crate {crate_and_version} is not in cargo's registry"
        );
        return;
    };
    let theirs = definitions(&crate_folder.join("wit"), package);
    for (number, (ours, theirs)) in ours.lines().zip(theirs.lines()).enumerate() {
        assert_eq!(
            ours,
            theirs,
            "{package} differs from {crate_and_version} in line {} as printed",
            number + 1
        );
    }
    assert_eq!(
        ours.lines().count(),
        theirs.lines().count(),
        "one of {package} and {crate_and_version} goes on"
    );
}

#[test]
fn wasi_webgpu_is_as_published() {
    check_is_as_published("wasi:webgpu@0.3.0-rc.2", "wasi-webgpu-wasmtime-0.5.0");
}

#[test]
fn wasi_gfx_surface_is_as_published() {
    check_is_as_published("wasi-gfx:surface@0.2.0", "surface-wasmtime-0.5.0");
}

#[test]
fn wasi_gfx_frame_buffer_is_as_published() {
    check_is_as_published("wasi-gfx:frame-buffer@0.2.0", "frame-buffer-wasmtime-0.5.0");
}

#[test]
fn our_own_interface_resolves_against_the_standards() {
    let text = definitions(&root().join("wit"), "scenecast:scene@0.1.0");
    assert!(text.contains("events: func() -> stream<event>;"), "{text}");
}
