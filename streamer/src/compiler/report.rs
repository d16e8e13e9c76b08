//! What the compiler process says about a component. It may have been taken over by its input, so all of it is checked.

use serde::{Deserialize, Serialize};

use crate::text::escape_untrusted;

/// Imports, and exports, that are told. A scene that uses everything that is offered has some 60.
const MAX_NAMES: usize = 512;
/// A name has a package, an interface and a version; what is longer is cut.
const MAX_NAME_BYTES: usize = 256;
/// Sentences of advice.
const MAX_WARNINGS: usize = 16;
/// A sentence that names an import, or lists exports; what is longer is cut.
pub(super) const MAX_MESSAGE_BYTES: usize = 2048;
/// Two lists of names, each name in quotes and perhaps with escapes.
pub(super) const MAX_REPORT_BYTES: u64 = 1 << 20;

/// What a component is, for its author.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SceneReport {
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

/// An import of a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// Its name: package, interface and version.
    pub name: String,
    /// Whether there is one of this name here.
    pub offered: bool,
}

impl SceneReport {
    /// The same, with everything cut and escaped that is not as it should be. Names come from the component.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let fit = |text: &mut String, limit| *text = bounded_text(text, limit);
        self.imports.truncate(MAX_NAMES);
        self.exports.truncate(MAX_NAMES);
        self.warnings.truncate(MAX_WARNINGS);
        self.imports.iter_mut().for_each(|import| fit(&mut import.name, MAX_NAME_BYTES));
        self.exports.iter_mut().for_each(|name| fit(name, MAX_NAME_BYTES));
        self.entry_point.iter_mut().for_each(|name| fit(name, MAX_NAME_BYTES));
        self.warnings.iter_mut().for_each(|text| fit(text, MAX_MESSAGE_BYTES));
        self
    }
}

/// The one line of JSON that `scenecast compile` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CompileReport {
    /// What scenes are compiled for, as 64 hexadecimal digits.
    Engine {
        /// The engine.
        id: String,
    },
    /// It can be run.
    Ok {
        /// The name of its entry in the cache.
        entry: String,
    },
    /// It cannot be run here, and that is the scene's fault.
    Refused {
        /// One of the `scene_…` codes of docs/viewer-protocol.md.
        code: String,
        /// What is wrong, and with what.
        message: String,
        /// What was seen of it.
        scene: SceneReport,
    },
    /// The process may have no more memory.
    OutOfMemory,
    /// The cache cannot be written.
    Unwritable {
        /// Whether that is because the disk is full.
        disk_full: bool,
        /// Why.
        message: String,
    },
}

pub(super) fn read_report(output: &[u8]) -> Option<CompileReport> {
    let line = output.split(|byte| *byte == b'\n').next()?;
    serde_json::from_slice(line).ok()
}

pub(super) fn bounded_text(text: &str, limit: usize) -> String {
    let text = escape_untrusted(text);
    text[..text.floor_char_boundary(limit)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_has_the_documented_form() {
        let engine = CompileReport::Engine { id: "00ff".into() };
        assert_eq!(serde_json::to_string(&engine).unwrap(), r#"{"engine":{"id":"00ff"}}"#);
        let ok = CompileReport::Ok { entry: "x.cwasm".into() };
        assert_eq!(serde_json::to_string(&ok).unwrap(), r#"{"ok":{"entry":"x.cwasm"}}"#);
        assert_eq!(read_report(b"{\"ok\":{\"entry\":\"x.cwasm\"}}\nmore"), Some(ok));
        assert_eq!(read_report(b"\"out_of_memory\"\n"), Some(CompileReport::OutOfMemory));
    }

    #[test]
    fn what_is_no_report_is_none() {
        for output in ["", "\n", "{", "{}", "[]", r#"{"ok":{}}"#, "warning\n{\"ok\":{\"entry\":\"x\"}}"] {
            assert_eq!(read_report(output.as_bytes()), None, "{output:?}");
        }
    }

    #[test]
    fn a_report_is_cut_and_escaped_and_then_fits() {
        let import = Import { name: "\u{1b}é\"".repeat(5_000), offered: true };
        let report = SceneReport {
            bytes: u64::MAX,
            imports: vec![import; 5_000],
            exports: vec!["\"".repeat(5_000); 5_000],
            entry_point: Some("\n".repeat(5_000)),
            warnings: vec!["x".repeat(5_000); 5_000],
        }
        .bounded();
        assert!(serde_json::to_vec(&report).unwrap().len() as u64 <= MAX_REPORT_BYTES);
        assert!(!report.imports[0].name.contains('\u{1b}'));
        assert_eq!(report.clone().bounded(), report);
    }
}
