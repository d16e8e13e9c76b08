//! Whether a file is a scene that can be run here: what it is, what it imports, and where it begins.

use wasmtime::{
    Engine,
    component::{Component, types::ComponentItem},
};

use super::linker;

/// Why a file cannot be run as a scene. The text is for its author.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not WebAssembly at all.
    #[error("it is not WebAssembly: the file does not begin with `\\0asm`")]
    NotWasm,
    /// A core module.
    #[error(
        "it is a core WebAssembly module, and a scene is a component: turn it into one with `wasm-tools component new` or \
         build it with the scene builder"
    )]
    CoreModule,
    /// An import that this host does not have.
    #[error("it imports `{name}`, which is not offered here; offered are {}", linker::OFFERED.join(", "))]
    ImportNotOffered {
        /// The import's name.
        name: String,
    },
    /// An import that this host has, in another shape.
    #[error("it imports `{name}` in a form that is not the one offered here: {reason}")]
    ImportMismatch {
        /// The import's name.
        name: String,
        /// What differs.
        reason: String,
    },
    /// Nothing to call.
    #[error(
        "it has no entry point: a scene exports `start: async func()`, or `wasi:cli/run` of version 0.2 or 0.3; this one exports {exports}"
    )]
    NoEntryPoint {
        /// What it exports instead.
        exports: String,
    },
    /// A proposal to WebAssembly that is off for scenes.
    #[error("it does not compile: it uses {feature}, which scenes may not ({reason})")]
    FeatureOff {
        /// The proposal, in plain words.
        feature: &'static str,
        /// The compiler's message.
        reason: String,
    },
    /// Invalid, or beyond a limit of the compiler.
    #[error("it does not compile: {0}")]
    Uncompilable(String),
    /// Larger than [`MAX_SCENE_BYTES`](super::MAX_SCENE_BYTES).
    #[error("it has {bytes} bytes, and at most {} are allowed", super::MAX_SCENE_BYTES)]
    TooLarge {
        /// Its size.
        bytes: u64,
    },
}

impl Refusal {
    /// A stable name for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotWasm => "scene_not_wasm",
            Self::CoreModule => "scene_core_module",
            Self::ImportNotOffered { .. } | Self::ImportMismatch { .. } => "scene_import_not_offered",
            Self::NoEntryPoint { .. } => "scene_no_entry_point",
            Self::FeatureOff { .. } | Self::Uncompilable(_) => "scene_uncompilable",
            Self::TooLarge { .. } => "scene_too_large",
        }
    }
}

/// Where a scene begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// An exported `start: async func()`.
    Start,
    /// The `run` function of an exported `wasi:cli/run`.
    Run,
}

/// The proposals to WebAssembly that [`super::engine`] switches off, in plain words, and how the compiler's messages name them.
const FEATURES_OFF: &[(&str, &[&str])] = &[
    ("shared-everything threads", &["shared-everything-threads"]),
    ("threads", &["threads support is not enabled", "threads must be enabled"]),
    (
        "garbage collection",
        &[
            "gc support is not enabled",
            "gc proposal",
            "`gc` proposal",
            "the gc feature",
            "gc types are dis",
            "requires gc",
        ],
    ),
    (
        "function references",
        &["function references required", "function references support", "function-references proposal"],
    ),
    (
        "exceptions",
        &["exceptions support is not enabled", "exceptions proposal", "the exception handling feature"],
    ),
    ("stack switching", &["stack switching"]),
];

/// Why a component does not compile, from what the compiler says about it.
pub(crate) fn uncompilable(error: &wasmtime::Error) -> Refusal {
    let reason = format!("{error:#}");
    let is_off = |(_, phrases): &&(&str, &[&str])| phrases.iter().any(|phrase| reason.contains(phrase));
    match FEATURES_OFF.iter().find(is_off) {
        Some(&(feature, _)) => Refusal::FeatureOff { feature, reason },
        None => Refusal::Uncompilable(reason),
    }
}

/// Looks at the first bytes, before any compiler does.
pub(crate) fn check_header(bytes: &[u8]) -> Result<(), Refusal> {
    // https://webassembly.github.io/component-model: the version field of a component has a layer of 1 in its upper half.
    match bytes {
        [0, b'a', b's', b'm', _, _, 0, 0, ..] => Err(Refusal::CoreModule),
        [0, b'a', b's', b'm', ..] => Ok(()),
        _ => Err(Refusal::NotWasm),
    }
}

/// Looks at imports and exports.
pub(crate) fn check_component(engine: &Engine, component: &Component) -> Result<Entry, Refusal> {
    let ty = component.component_type();
    for (name, _) in ty.imports(engine) {
        if !linker::is_offered(name) {
            return Err(Refusal::ImportNotOffered { name: name.to_owned() });
        }
    }
    entry(engine, component)
}

/// Finds the entry point; the first of the accepted forms wins.
pub(crate) fn entry(engine: &Engine, component: &Component) -> Result<Entry, Refusal> {
    let ty = component.component_type();
    let exports: Vec<(&str, ComponentItem)> =
        ty.exports(engine).map(|(name, item)| (name, item.ty)).collect();
    for (name, item) in &exports {
        match item {
            ComponentItem::ComponentFunc(func)
                if *name == "start" && func.params().len() == 0 && func.results().len() == 0 =>
            {
                return Ok(Entry::Start);
            }
            ComponentItem::ComponentInstance(_) if is_cli_run(name) => return Ok(Entry::Run),
            _ => {}
        }
    }
    let names: Vec<String> = exports.iter().map(|(name, _)| format!("`{name}`")).collect();
    let exports = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    Err(Refusal::NoEntryPoint { exports })
}

/// The name of an exported `wasi:cli/run` that can be called.
pub(crate) fn is_cli_run(name: &str) -> bool {
    name.strip_prefix("wasi:cli/run@")
        .is_some_and(|version| version.starts_with("0.2.") || version.starts_with("0.3."))
}
