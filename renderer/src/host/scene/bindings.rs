//! The generated side of `scenecast:scene`.

wasmtime::component::bindgen!({
    path: "../wit",
    world: "scenecast:scene/imports",
    require_store_data_send: true,
    imports: {
        "scenecast:scene/input.events": store | trappable,
        "scenecast:scene/webgpu-objects.on-uncaptured-error-event": store | trappable,
        default: trappable,
    },
    with: {
        "wasi:webgpu/webgpu": crate::host::webgpu::bindings::wasi::webgpu::webgpu,
        "wasi-gfx:surface/surface": crate::host::surface::bindings::wasi_gfx::surface::surface,
    },
});
