//! `scenecast check`.

use std::{fmt::Write as _, path::Path};

use renderer::scene::{Inspection, inspect};
use serde_json::json;

use super::{ENVIRONMENT, SCENE_FAILED, SUCCESS, print, say};

pub(super) fn run(scene: &Path, as_json: bool) -> u8 {
    match inspect(scene) {
        Ok(inspection) => {
            print(&if as_json { to_json(&inspection) } else { to_text(scene, &inspection) });
            if inspection.refusal.is_some() { SCENE_FAILED } else { SUCCESS }
        }
        Err(error) => {
            say(&error);
            ENVIRONMENT
        }
    }
}

fn to_json(inspection: &Inspection) -> String {
    let Inspection { bytes, imports, exports, entry_point, refusal } = inspection;
    let imports: Vec<_> =
        imports.iter().map(|import| json!({"name": import.name, "offered": import.offered})).collect();
    let refusal =
        refusal.as_ref().map(|refusal| json!({"code": refusal.code(), "message": refusal.to_string()}));
    let document = json!({
        "bytes": bytes, "imports": imports, "exports": exports, "entry_point": entry_point, "refusal": refusal,
    });
    format!("{document}\n")
}

fn to_text(scene: &Path, inspection: &Inspection) -> String {
    let Inspection { bytes, imports, exports, entry_point, refusal } = inspection;
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
    let _ = match refusal {
        None => writeln!(text, "\nIt can be run here."),
        Some(refusal) => writeln!(text, "\nIt cannot be run here: {refusal}."),
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
