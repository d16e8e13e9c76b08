//! The generated side of `wasi-gfx:surface` with its WebGPU part.

wasmtime::component::bindgen!({
    path: "../wit",
    world: "wasi-gfx:surface/webgpu-imports",
    require_store_data_send: true,
    imports: {
        "wasi-gfx:surface/surface.[method]surface.on-resize": store | trappable,
        "wasi-gfx:surface/surface.[method]surface.on-frame": store | trappable,
        "wasi-gfx:surface/surface.[method]surface.on-pointer-up": store | trappable,
        "wasi-gfx:surface/surface.[method]surface.on-pointer-down": store | trappable,
        "wasi-gfx:surface/surface.[method]surface.on-pointer-move": store | trappable,
        "wasi-gfx:surface/surface.[method]surface.on-key-up": store | trappable,
        "wasi-gfx:surface/surface.[method]surface.on-key-down": store | trappable,
        default: trappable,
    },
    with: {
        "wasi:webgpu/webgpu": crate::host::webgpu::bindings::wasi::webgpu::webgpu,
        "wasi-gfx:surface/surface.surface": super::Surface,
        "wasi-gfx:surface/surface-webgpu.context": super::Context,
    },
});
