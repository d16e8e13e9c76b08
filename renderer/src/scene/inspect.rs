//! What a file is, for its author: the same look that decides whether it is run, and everything that it sees.

use std::path::Path;

use super::{
    CompileError, Refusal, check,
    compile::{examine, read_scene, to_native},
    engine::engine,
    linker,
};

/// An import of a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// Its name: package, interface and version.
    pub name: String,
    /// Whether there is one of this name here. Its form is checked for the verdict.
    pub offered: bool,
}

/// What a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Its length.
    pub bytes: usize,
    /// In the component's order; none for what is no component.
    pub imports: Vec<Import>,
    /// In the component's order; none for what is no component.
    pub exports: Vec<String>,
    /// The export that would be called.
    pub entry_point: Option<String>,
    /// Why it would not be run, if so.
    pub refusal: Option<Refusal>,
}

/// Looks at a file as [`compile`](super::compile()) does. An error says that it cannot be read, or is ours.
pub fn inspect(scene: &Path) -> Result<Inspection, CompileError> {
    let mut inspection =
        Inspection { bytes: 0, imports: Vec::new(), exports: Vec::new(), entry_point: None, refusal: None };
    inspection.refusal = match look(scene, &mut inspection) {
        Ok(()) => None,
        Err(CompileError::Refused(refusal)) => Some(refusal),
        Err(error) => return Err(error),
    };
    if let Some(Refusal::TooLarge { bytes }) = inspection.refusal {
        inspection.bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    }
    Ok(inspection)
}

fn look(scene: &Path, inspection: &mut Inspection) -> Result<(), CompileError> {
    let bytes = read_scene(scene)?;
    inspection.bytes = bytes.len();
    let engine = engine()?;
    let component = to_native(&engine, &bytes)?;
    let ty = component.component_type();
    let import = |name: &str| Import { name: name.to_owned(), offered: linker::is_offered(name) };
    inspection.imports = ty.imports(&engine).map(|(name, _)| import(name)).collect();
    inspection.exports = ty.exports(&engine).map(|(name, _)| name.to_owned()).collect();
    inspection.entry_point = check::entry(&engine, &component).ok().and_then(|entry| match entry {
        check::Entry::Start => Some("start".to_owned()),
        check::Entry::Run => inspection.exports.iter().find(|name| check::is_cli_run(name)).cloned(),
    });
    examine(&engine, &component)
}
