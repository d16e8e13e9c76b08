//! A component that imports every stable interface of a WASI version, made from the interface text that the host's own crate carries.

use std::io::Write as _;

use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{ManglingAndAbi, Resolve};

use crate::{binary::repository, wit::published};

/// The version of a crate that the workspace is built with.
fn locked_version(name: &str) -> String {
    let lock = std::fs::read_to_string(repository().join("Cargo.lock")).unwrap();
    let mut lines = lock.lines().skip_while(|line| *line != format!("name = \"{name}\""));
    let version = lines.nth(1).and_then(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
    version.unwrap_or_else(|| panic!("{name} is not in Cargo.lock")).to_owned()
}

/// A component of the world `wasi:cli/command` as the interface text in a folder of the crate has it; what it exports traps. `None` where
/// the crate's source is not at hand.
pub fn imported_by_command(folder: &str) -> Option<Vec<u8>> {
    let crate_and_version = format!("wasmtime-wasi-{}", locked_version("wasmtime-wasi"));
    let Some(source) = published(&crate_and_version) else {
        // Not by eprintln!, which is shown only when a test fails.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: {folder} was not imported, because the crate {crate_and_version} is not in cargo's registry"
        );
        return None;
    };
    let mut resolve = Resolve::default();
    resolve.push_dir(source.join(folder)).unwrap();
    let (id, _) = resolve.worlds.iter().find(|(_, world)| world.name == "command").unwrap();
    let mut module = dummy_module(&resolve, id, ManglingAndAbi::Standard32);
    embed_component_metadata(&mut module, &resolve, id, StringEncoding::UTF8, false).unwrap();
    Some(ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap())
}
