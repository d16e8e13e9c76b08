//! Everything that a scene may import, in one linker.

use wasmtime::{Engine, component::Linker};

use super::store::SceneState;
use crate::host;

/// The packages of which interfaces are offered, for messages.
pub(crate) const OFFERED: &[&str] = &[
    "wasi:webgpu@0.3.0-rc.2",
    "wasi-gfx:surface@0.2.0",
    "scenecast:scene@0.1.0",
    "wasi:io, wasi:cli, wasi:clocks, wasi:random and wasi:filesystem of 0.2 and 0.3",
];

/// The interfaces that are offered, without the WASI ones: `interface@version`.
const INTERFACES: &[&str] = &[
    "wasi:webgpu/webgpu@0.3.0-rc.2",
    "wasi-gfx:surface/surface@0.2.0",
    "wasi-gfx:surface/surface-webgpu@0.2.0",
    "scenecast:scene/input@0.1.0",
    "scenecast:scene/log@0.1.0",
];

/// The WASI packages of which every interface is offered.
const WASI_PACKAGES: &[&str] = &["wasi:io/", "wasi:cli/", "wasi:clocks/", "wasi:random/", "wasi:filesystem/"];

/// Whether an import of this name is one of ours; its shape is checked by the linker.
pub(crate) fn is_offered(name: &str) -> bool {
    let wasi = || {
        let (interface, version) = name.split_once('@')?;
        let package = WASI_PACKAGES.iter().any(|package| interface.starts_with(package));
        Some(package && (version.starts_with("0.2.") || version.starts_with("0.3.")))
    };
    INTERFACES.contains(&name) || wasi().unwrap_or(false)
}

/// The linker. Building it needs no GPU, so the compiler process checks imports against the same one that workers use.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<SceneState>> {
    let mut linker = Linker::new(engine);
    host::wasi::add_to_linker(&mut linker)?;
    host::webgpu::add_to_linker(&mut linker)?;
    host::surface::add_to_linker(&mut linker)?;
    host::scene::add_to_linker(&mut linker)?;
    Ok(linker)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_interfaces_link_without_a_clash() {
        let engine = super::super::engine::engine().unwrap();
        linker(&engine).unwrap();
    }

    #[test]
    fn sockets_and_unknown_versions_are_not_offered() {
        for name in [
            "wasi:sockets/tcp@0.2.0",
            "wasi:http/types@0.2.0",
            "wasi:webgpu/webgpu@0.0.1",
            "wasi:io/poll@1.0.0",
            "env",
        ] {
            assert!(!is_offered(name), "{name}");
        }
        assert!(is_offered("wasi:io/poll@0.2.9") && is_offered("wasi:webgpu/webgpu@0.3.0-rc.2"));
    }
}
