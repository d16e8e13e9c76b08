//! Every function of the standard's interfaces is called by a conformance topic.
//!
//! The functions come from the interface text under wit/, the calls from the topics' components: a component imports just the functions
//! that its code still calls after the linker has removed dead code. The same two make the table in docs/wasi-webgpu.md.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::Path,
};

use wit_component::DecodedWasm;
use wit_parser::{InterfaceId, Resolve, WorldItem};

use crate::binary::{repository, scene};

/// The interfaces that must be covered, and how many functions each has: a list that is read wrong would be covered at once.
const INTERFACES: &[(&str, usize)] = &[
    ("wasi:webgpu/webgpu@0.3.0-rc.2", 229),
    ("wasi-gfx:surface/surface@0.2.0", 11),
    ("wasi-gfx:surface/surface-webgpu@0.2.0", 5),
    ("wasi-gfx:surface/surface-frame-buffer@0.2.0", 3),
    ("wasi-gfx:frame-buffer/frame-buffer@0.2.0", 2),
];

/// `interface` → its functions, as the canonical ABI names them.
pub type Functions = BTreeMap<String, BTreeSet<String>>;

fn functions(resolve: &Resolve, interface: InterfaceId) -> BTreeSet<String> {
    resolve.interfaces[interface].functions.keys().cloned().collect()
}

/// The functions that the standards have.
pub fn offered() -> Functions {
    let mut resolve = Resolve::default();
    resolve.push_dir(repository().join("wit")).unwrap();
    let interfaces =
        resolve.interfaces.iter().filter_map(|(id, _)| Some((resolve.id_of(id)?, functions(&resolve, id))));
    interfaces.filter(|(name, _)| INTERFACES.iter().any(|(wanted, _)| wanted == name)).collect()
}

/// The functions that a component calls.
pub fn called(component: &Path) -> Functions {
    let bytes = std::fs::read(component).unwrap();
    let DecodedWasm::Component(resolve, world) = wit_component::decode(&bytes).unwrap() else {
        panic!("{} is no component", component.display())
    };
    let imports = resolve.worlds[world].imports.values().filter_map(|item| match item {
        WorldItem::Interface { id, .. } => Some((resolve.id_of(*id)?, functions(&resolve, *id))),
        _ => None,
    });
    imports.collect()
}

/// `interface function` → the topics that call it.
fn callers() -> BTreeMap<(String, String), BTreeSet<String>> {
    let topics = std::fs::read_dir(repository().join("guest-scenes/conformance/topics")).unwrap();
    let mut callers: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for topic in topics {
        let topic = topic.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned();
        for (interface, functions) in called(&scene(&format!("conformance/{topic}"))) {
            for function in functions {
                callers.entry((interface.clone(), function)).or_default().insert(topic.clone());
            }
        }
    }
    callers
}

#[test]
fn every_function_of_the_interfaces_is_called_by_a_conformance_topic() {
    let (offered, callers) = (offered(), callers());
    for (interface, count) in INTERFACES {
        assert_eq!(offered[*interface].len(), *count, "functions of {interface}");
    }
    let missing: Vec<String> = offered
        .into_iter()
        .flat_map(|(interface, functions)| {
            functions.into_iter().map(move |function| (interface.clone(), function))
        })
        .filter(|function| !callers.contains_key(function))
        .map(|(interface, function)| format!("{interface} {function}"))
        .collect();
    assert!(
        missing.is_empty(),
        "{} functions are called by no topic:\n{}",
        missing.len(),
        missing.join("\n")
    );
}

/// What of a function is not as the standard says, or needs a word. Everything else is implemented whole.
const REMARKS: &[(&str, &str)] = &[
    (
        "[method]gpu-adapter.request-device",
        "whole; a driver that fails is an operation error, and not a device that is lost",
    ),
    (
        "[method]gpu-device.create-bind-group",
        "whole; a buffer or texture that was destroyed is refused here, and not by `submit`",
    ),
    (
        "[method]gpu-device.create-render-pipeline",
        "not refused: a fragment shader that writes `sample_mask` with alpha to coverage, and a blend factor of source alpha for a shader \
         without alpha",
    ),
    ("[method]gpu-device.create-render-pipeline-async", "as `create-render-pipeline`"),
    (
        "[method]gpu-render-pass-encoder.set-vertex-buffer",
        "whole; no bytes count as one, which is enough for one vertex of a single byte",
    ),
    ("[method]gpu-render-bundle-encoder.set-vertex-buffer", "as that of `gpu-render-pass-encoder`"),
    (
        "[method]gpu-canvas-context.configure",
        "`display-p3` is shown as if it were `srgb`; what a browser throws for is a validation error, as the interface has no result",
    ),
    ("[method]context.configure", "as that of `gpu-canvas-context`"),
    (
        "[method]gpu-canvas-context.get-current-texture",
        "traps where the context is not configured, as the interface has no result",
    ),
    (
        "[method]context.get-current-texture",
        "traps where the context is not configured, as the interface has no result",
    ),
    ("[method]surface.request-set-size", "a wish that is not followed: viewers decide the size"),
];

/// The text of docs/wasi-webgpu.md.
fn table() -> String {
    let (offered, callers) = (offered(), callers());
    let mut text = String::from(
        "# The interfaces, function by function\n\n\
         Written by `UPDATE_DOCS=1` and the test `the_table_of_functions_is_current`; do not edit it by hand.\n\n\
         Each function of the interfaces that draw, what it is in the specification, its state, and the topics of\n\
         `guest-scenes/conformance` that call it. A topic is a scene that checks what the host does; `make test` runs all of them.\n",
    );
    for (interface, count) in INTERFACES {
        let functions = &offered[*interface];
        let covered = functions
            .iter()
            .filter(|function| callers.contains_key(&((*interface).to_owned(), (*function).clone())));
        write!(text, "\n## `{interface}`\n\n{} of {count} functions are called.\n", covered.count()).unwrap();
        let mut heading = None;
        for function in functions {
            let (resource, name) = resource_and_name(function);
            if heading != Some(resource) {
                heading = Some(resource);
                write!(
                    text,
                    "\n### {}\n\n| function | state | topics |\n|---|---|---|\n",
                    title(interface, resource)
                )
                .unwrap();
            }
            let topics = callers.get(&((*interface).to_owned(), function.clone()));
            let topics = topics.map_or_else(
                || "none".to_owned(),
                |topics| topics.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
            );
            let remark = REMARKS.iter().find(|(of, _)| of == function).map_or("whole", |(_, remark)| remark);
            writeln!(text, "| `{name}` | {remark} | {topics} |").unwrap();
        }
    }
    text
}

/// `[method]gpu-buffer.map-async` is `map-async` of `gpu-buffer`.
fn resource_and_name(function: &str) -> (&str, &str) {
    match function.split_once(']') {
        None => ("", function),
        Some(("[constructor", resource)) => (resource, "constructor"),
        Some((_, method)) => method.split_once('.').unwrap_or((method, method)),
    }
}

/// A heading: the resource, and where the specification describes it.
fn title(interface: &str, resource: &str) -> String {
    match resource {
        "" => "Functions of the interface".to_owned(),
        _ if interface.starts_with("wasi:webgpu") && resource.starts_with("gpu") => {
            format!("[`{resource}`](https://www.w3.org/TR/webgpu/#{})", resource.replace('-', ""))
        }
        _ => format!("`{resource}`"),
    }
}

#[test]
fn the_table_of_functions_is_current() {
    let path = repository().join("docs/wasi-webgpu.md");
    let expected = table();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == expected, "{} is not current: run the tests with UPDATE_DOCS=1", path.display());
}
