//! `scenecast check`.

use std::{fmt::Write as _, path::Path};

use serde_json::json;
use streamer::{
    compiler::{CompileError, SceneReport},
    error::Problem,
};

use super::{ENVIRONMENT, SCENE_FAILED, SUCCESS, print, say};
use crate::compile::compile;

pub(super) fn run(scene: &Path, as_json: bool) -> u8 {
    // What is checked now is not what will be run: its native code is not kept.
    let compiled = match tempfile::tempdir() {
        Ok(cache) => compile(scene, cache.path()),
        Err(error) => Err(CompileError::Internal(format!("there is no folder for temporary files: {error}"))),
    };
    let (report, refusal) = match compiled {
        Ok(artifact) => (artifact.report, None),
        Err(error) => match error {
            CompileError::Refused { ref problem, ref report } if error.is_the_scenes() => {
                ((**report).clone(), Some(problem.clone()))
            }
            error => {
                say(&format!("{} cannot be checked: {error}", scene.display()));
                return ENVIRONMENT;
            }
        },
    };
    print(&if as_json {
        to_json(&report, refusal.as_ref())
    } else {
        to_text(scene, &report, refusal.as_ref())
    });
    if refusal.is_some() { SCENE_FAILED } else { SUCCESS }
}

fn to_json(report: &SceneReport, refusal: Option<&Problem>) -> String {
    let SceneReport { bytes, imports, exports, entry_point, warnings } = report;
    let refusal = refusal.map(|refusal| json!({"code": refusal.code.name(), "message": refusal.detail}));
    let document = json!({
        "bytes": bytes, "imports": imports, "exports": exports, "entry_point": entry_point, "warnings": warnings,
        "refusal": refusal,
    });
    format!("{document}\n")
}

fn to_text(scene: &Path, report: &SceneReport, refusal: Option<&Problem>) -> String {
    let SceneReport { bytes, imports, exports, entry_point, warnings } = report;
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(text, "{}: {bytes} bytes", scene.display());
    if !imports.is_empty() {
        let width = imports.iter().map(|import| import.name.len()).max().unwrap_or(0);
        text.push_str("\nimports\n");
        for import in imports {
            let offered = if import.offered { "offered" } else { "NOT OFFERED" };
            let _ = writeln!(text, "  {:width$}  {offered}", import.name);
        }
        let wasi: Vec<&str> =
            imports.iter().map(|import| import.name.as_str()).filter(|name| needs_wasi(name)).collect();
        let needs = if wasi.is_empty() { "nothing".to_owned() } else { wasi_packages(&wasi) };
        let _ = writeln!(text, "\nneeds of WASI: {needs}");
    }
    if !exports.is_empty() {
        text.push_str("\nexports\n");
        for export in exports {
            let entry = if entry_point.as_ref() == Some(export) { "  (entry point)" } else { "" };
            let _ = writeln!(text, "  {export}{entry}");
        }
    }
    for warning in warnings {
        let _ = writeln!(text, "\nNote: {warning}.");
    }
    let _ = match refusal {
        None => writeln!(text, "\nIt can be run here."),
        // The compiler's sentences have an end or not.
        Some(refusal) => writeln!(text, "\nIt cannot be run here: {}.", refusal.detail.trim_end_matches('.')),
    };
    text
}

/// WASI proper, without its GPU.
fn needs_wasi(import: &str) -> bool {
    import.starts_with("wasi:") && !import.starts_with("wasi:webgpu/")
}

/// `wasi:clocks/wall-clock@0.2.0` and its like, as their packages.
fn wasi_packages(imports: &[&str]) -> String {
    let mut packages: Vec<&str> =
        imports.iter().filter_map(|name| name.strip_prefix("wasi:")?.split('/').next()).collect();
    packages.sort_unstable();
    packages.dedup();
    packages.join(", ")
}
