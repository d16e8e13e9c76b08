//! Everything that a scene may import, in one linker.

use wasmtime::{Engine, component::Linker};

use super::store::SceneState;
use crate::host;

/// The packages of which interfaces are offered, for messages.
pub(crate) const OFFERED: &[&str] = &[
    "wasi:webgpu@0.3.0-rc.2",
    "wasi-gfx:surface@0.2.0",
    "wasi-gfx:frame-buffer@0.2.0",
    "scenecast:scene@0.1.0",
    "wasi:io of 0.2",
    "wasi:cli, wasi:clocks, wasi:filesystem, wasi:random and wasi:sockets of 0.2 and 0.3 (released versions)",
];

/// The interfaces that are offered, without the WASI ones: `interface@version`.
const INTERFACES: &[&str] = &[
    "wasi:webgpu/webgpu@0.3.0-rc.2",
    "wasi-gfx:surface/surface@0.2.0",
    "wasi-gfx:surface/surface-webgpu@0.2.0",
    "wasi-gfx:surface/surface-frame-buffer@0.2.0",
    "wasi-gfx:frame-buffer/frame-buffer@0.2.0",
    "scenecast:scene/input@0.1.0",
    "scenecast:scene/log@0.1.0",
    "scenecast:scene/webgpu-objects@0.1.0",
];

/// The interfaces of WASI 0.2 that are offered, in whatever patch version: the stable ones of `wasi:cli/imports`.
const WASI_0_2: &[&str] = &[
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
    "wasi:sockets/instance-network",
    "wasi:sockets/ip-name-lookup",
    "wasi:sockets/network",
    "wasi:sockets/tcp",
    "wasi:sockets/tcp-create-socket",
    "wasi:sockets/udp",
    "wasi:sockets/udp-create-socket",
];

/// The same of WASI 0.3.
const WASI_0_3: &[&str] = &[
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:cli/types",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/system-clock",
    "wasi:clocks/types",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
    "wasi:sockets/ip-name-lookup",
    "wasi:sockets/types",
];

/// Whether an import of this name is one of ours; its shape is checked by the linker.
pub(crate) fn is_offered(name: &str) -> bool {
    // As the linker matches them: patch versions of one minor version are compatible, release candidates with nothing.
    let is_patch_of =
        |version: &str, minor| version.strip_prefix(minor).is_some_and(|patch| patch.parse::<u64>().is_ok());
    INTERFACES.contains(&name)
        || name.split_once('@').is_some_and(|(interface, version)| {
            is_patch_of(version, "0.2.") && WASI_0_2.contains(&interface)
                || is_patch_of(version, "0.3.") && WASI_0_3.contains(&interface)
        })
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
    fn what_is_no_part_of_a_scenes_world_is_not_offered() {
        for name in [
            "wasi:clocks/timezone@0.2.9",
            "wasi:http/types@0.2.0",
            "wasi:http/client@0.3.0",
            "wasi:nn/tensor@0.2.0-rc-2024-10-28",
            "wasi:sockets/tcp@0.3.0",
            "wasi:webgpu/webgpu@0.0.1",
            "wasi:io/poll@0.3.0",
            "wasi:io/poll@1.0.0",
            "env",
        ] {
            assert!(!is_offered(name), "{name}");
        }
    }

    #[test]
    fn every_patch_of_a_wasi_version_is_offered_and_no_candidate_of_one() {
        for name in [
            "wasi:io/poll@0.2.0",
            "wasi:io/poll@0.2.99",
            "wasi:sockets/types@0.3.0",
            "wasi:sockets/types@0.3.1",
        ] {
            assert!(is_offered(name), "{name}");
        }
        for name in ["wasi:io/poll@0.2.0-rc-2023-11-10", "wasi:sockets/types@0.3.0-rc-2026-01-06"] {
            assert!(!is_offered(name), "{name}");
        }
    }
}
