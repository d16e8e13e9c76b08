//! What a component is, for its author: everything that decides whether it is run.

use wasmtime::{Engine, component::Component};

use super::{check, linker};

/// An import of a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// Its name: package, interface and version.
    pub name: String,
    /// Whether there is one of this name here. Its form is checked for the verdict.
    pub offered: bool,
}

/// What was seen of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Its length.
    pub bytes: u64,
    /// In the component's order; none for what is no component.
    pub imports: Vec<Import>,
    /// In the component's order; none for what is no component.
    pub exports: Vec<String>,
    /// The export that would be called.
    pub entry_point: Option<String>,
    /// What it can be run with, but hardly as its author thinks.
    pub warnings: Vec<String>,
}

impl Inspection {
    pub(super) fn look(&mut self, engine: &Engine, component: &Component) {
        let ty = component.component_type();
        let import = |name: &str| Import { name: name.to_owned(), offered: linker::is_offered(name) };
        self.imports = ty.imports(engine).map(|(name, _)| import(name)).collect();
        self.exports = ty.exports(engine).map(|(name, _)| name.to_owned()).collect();
        self.entry_point = check::entry(engine, component).ok().and_then(|entry| match entry {
            check::Entry::Start => Some("start".to_owned()),
            check::Entry::Run => self.exports.iter().find(|name| check::is_cli_run(name)).cloned(),
        });
        // Standard libraries import files and streams whether a program uses them or not; sockets only when it does.
        let socket =
            self.imports.iter().find(|import| import.offered && import.name.starts_with("wasi:sockets/"));
        self.warnings.extend(socket.map(|import| {
            format!(
                "it imports `{}`, which is here so that programs start; a scene has no network, so every call is refused",
                import.name
            )
        }));
    }
}
