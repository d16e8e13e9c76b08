//! From the records of the interface to wgpu's, with the defaults that the WebGPU specification gives to what is left out.
//!
//! Nothing here looks into the resource table, validates or fails: a value that WebGPU refuses is handed on, for wgpu to refuse.

mod enums;
mod flags;
mod formats;
mod states;

use self::enums::cull_mode;
pub use self::formats::standard_format;
pub(super) use self::states::{color_target, depth_stencil, multisample, primitive};

use crate::host::webgpu::bindings::wasi::webgpu::webgpu as wit;

/// <https://www.w3.org/TR/webgpu/#dictdef-gpuextent3ddict>
pub(super) fn extent(size: wit::GpuExtent3D) -> wgpu::Extent3d {
    wgpu::Extent3d {
        width: size.width,
        height: size.height.unwrap_or(1),
        depth_or_array_layers: size.depth_or_array_layers.unwrap_or(1),
    }
}

/// <https://www.w3.org/TR/webgpu/#dictdef-gpuorigin3ddict>
pub(super) fn origin(origin: Option<wit::GpuOrigin3D>) -> wgpu::Origin3d {
    origin.map_or(wgpu::Origin3d::ZERO, |origin| wgpu::Origin3d {
        x: origin.x.unwrap_or(0),
        y: origin.y.unwrap_or(0),
        z: origin.z.unwrap_or(0),
    })
}

/// <https://www.w3.org/TR/webgpu/#dictdef-gputexelcopybufferlayout>
pub(super) fn texel_layout(
    offset: Option<u64>,
    bytes_per_row: Option<u32>,
    rows_per_image: Option<u32>,
) -> wgpu::TexelCopyBufferLayout {
    wgpu::TexelCopyBufferLayout { offset: offset.unwrap_or(0), bytes_per_row, rows_per_image }
}

/// What Web IDL demands of a `double`; wgpu takes any.
pub(super) fn is_finite(color: wit::GpuColor) -> bool {
    [color.r, color.g, color.b, color.a].iter().all(|value| value.is_finite())
}

/// <https://www.w3.org/TR/webgpu/#dictdef-gpucolordict>
pub(super) fn color(color: wit::GpuColor) -> wgpu::Color {
    wgpu::Color { r: color.r, g: color.g, b: color.b, a: color.a }
}
