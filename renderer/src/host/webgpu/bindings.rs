//! The generated side of `wasi:webgpu`: its records and enumerations, and the traits that the chapters implement.
//!
//! Every function may trap. What the standard calls asynchronous is so here; the two that return a future or a stream get the
//! store, to put them there.

// Generated code, whose style is its generator's.
#![allow(unreachable_pub, unused_qualifications, clippy::pedantic)]

use super::{
    adapter, bind_groups, buffers, bundles, canvas, command_encoding, compute_passes, device, errors,
    pipelines, queries, queues, records, render_passes, samplers, shaders, textures,
};

wasmtime::component::bindgen!({
    path: "../wit",
    world: "wasi:webgpu/imports",
    imports: {
        "wasi:webgpu/webgpu.[method]gpu-device.lost": store | trappable,
        "wasi:webgpu/webgpu.[method]gpu-device.on-uncaptured-error": store | trappable,
        default: trappable,
    },
    require_store_data_send: true,
    with: {
        "wasi:webgpu/webgpu.gpu": adapter::GpuObject,
        "wasi:webgpu/webgpu.gpu-adapter": adapter::Adapter,
        "wasi:webgpu/webgpu.gpu-adapter-info": adapter::AdapterInfo,
        "wasi:webgpu/webgpu.gpu-supported-features": adapter::SupportedFeatures,
        "wasi:webgpu/webgpu.gpu-supported-limits": adapter::SupportedLimits,
        "wasi:webgpu/webgpu.wgsl-language-features": adapter::LanguageFeatures,
        "wasi:webgpu/webgpu.gpu-device": device::Device,
        "wasi:webgpu/webgpu.gpu-device-lost-info": device::LostInfo,
        "wasi:webgpu/webgpu.gpu-buffer": buffers::Buffer,
        "wasi:webgpu/webgpu.gpu-texture": textures::Texture,
        "wasi:webgpu/webgpu.gpu-texture-view": textures::TextureView,
        "wasi:webgpu/webgpu.gpu-sampler": samplers::Sampler,
        "wasi:webgpu/webgpu.gpu-bind-group-layout": bind_groups::BindGroupLayout,
        "wasi:webgpu/webgpu.gpu-bind-group": bind_groups::BindGroup,
        "wasi:webgpu/webgpu.gpu-pipeline-layout": bind_groups::PipelineLayout,
        "wasi:webgpu/webgpu.gpu-shader-module": shaders::ShaderModule,
        "wasi:webgpu/webgpu.gpu-compilation-info": shaders::CompilationInfo,
        "wasi:webgpu/webgpu.gpu-compilation-message": shaders::CompilationMessage,
        "wasi:webgpu/webgpu.gpu-compute-pipeline": pipelines::ComputePipeline,
        "wasi:webgpu/webgpu.gpu-render-pipeline": pipelines::RenderPipeline,
        "wasi:webgpu/webgpu.gpu-command-encoder": command_encoding::CommandEncoder,
        "wasi:webgpu/webgpu.gpu-command-buffer": command_encoding::CommandBuffer,
        "wasi:webgpu/webgpu.gpu-compute-pass-encoder": compute_passes::ComputePass,
        "wasi:webgpu/webgpu.gpu-render-pass-encoder": render_passes::RenderPass,
        "wasi:webgpu/webgpu.gpu-render-bundle-encoder": bundles::RenderBundleEncoder,
        "wasi:webgpu/webgpu.gpu-render-bundle": bundles::RenderBundle,
        "wasi:webgpu/webgpu.gpu-queue": queues::Queue,
        "wasi:webgpu/webgpu.gpu-query-set": queries::QuerySet,
        "wasi:webgpu/webgpu.gpu-canvas-context": canvas::CanvasContext,
        "wasi:webgpu/webgpu.gpu-error": errors::GpuError,
        "wasi:webgpu/webgpu.gpu-uncaptured-error-event": errors::UncapturedErrorEvent,
        "wasi:webgpu/webgpu.record-gpu-pipeline-constant-value": records::ConstantRecord,
        "wasi:webgpu/webgpu.record-option-gpu-size64": records::LimitRecord,
    },
});
