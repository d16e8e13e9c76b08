//! The generated side of `wasi-gfx:surface` with its WebGPU part; [`frame_buffer`] has its other part.

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

/// The generated side of `wasi-gfx:frame-buffer`, and of the surface for it.
pub(crate) mod frame_buffer {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "wasi-gfx:surface/frame-buffer-imports",
        require_store_data_send: true,
        imports: { default: trappable },
        with: {
            "wasi-gfx:surface/surface": super::wasi_gfx::surface::surface,
            "wasi-gfx:surface/surface-frame-buffer.context": crate::host::surface::FrameBufferContext,
            "wasi-gfx:frame-buffer/frame-buffer.buffer": crate::host::surface::Buffer,
        },
    });
}
