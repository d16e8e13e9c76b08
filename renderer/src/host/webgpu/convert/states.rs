//! The fixed-function states of a render pipeline.

use super::cull_mode;
use crate::host::webgpu::bindings::wasi::webgpu::webgpu as wit;

/// <https://www.w3.org/TR/webgpu/#dictdef-gpuprimitivestate>
pub(in super::super) fn primitive(state: Option<wit::GpuPrimitiveState>) -> wgpu::PrimitiveState {
    let Some(state) = state else { return wgpu::PrimitiveState::default() };
    wgpu::PrimitiveState {
        topology: state.topology.map_or(wgpu::PrimitiveTopology::TriangleList, Into::into),
        strip_index_format: state.strip_index_format.map(Into::into),
        front_face: state.front_face.map_or(wgpu::FrontFace::Ccw, Into::into),
        cull_mode: state.cull_mode.and_then(cull_mode),
        unclipped_depth: state.unclipped_depth.unwrap_or(false),
        polygon_mode: wgpu::PolygonMode::Fill,
        conservative: false,
    }
}

/// <https://www.w3.org/TR/webgpu/#dictdef-gpumultisamplestate>
pub(in super::super) fn multisample(state: Option<wit::GpuMultisampleState>) -> wgpu::MultisampleState {
    let Some(state) = state else { return wgpu::MultisampleState::default() };
    wgpu::MultisampleState {
        count: state.count.unwrap_or(1),
        mask: u64::from(state.mask.unwrap_or(u32::MAX)),
        alpha_to_coverage_enabled: state.alpha_to_coverage_enabled.unwrap_or(false),
    }
}

/// <https://www.w3.org/TR/webgpu/#dictdef-gpudepthstencilstate>
pub(in super::super) fn depth_stencil(state: wit::GpuDepthStencilState) -> wgpu::DepthStencilState {
    wgpu::DepthStencilState {
        format: state.format.into(),
        depth_write_enabled: state.depth_write_enabled,
        depth_compare: state.depth_compare.map(Into::into),
        stencil: wgpu::StencilState {
            front: stencil_face(state.stencil_front),
            back: stencil_face(state.stencil_back),
            read_mask: state.stencil_read_mask.unwrap_or(u32::MAX),
            write_mask: state.stencil_write_mask.unwrap_or(u32::MAX),
        },
        bias: wgpu::DepthBiasState {
            constant: state.depth_bias.unwrap_or(0),
            slope_scale: state.depth_bias_slope_scale.unwrap_or(0.0),
            clamp: state.depth_bias_clamp.unwrap_or(0.0),
        },
    }
}

/// <https://www.w3.org/TR/webgpu/#dictdef-gpustencilfacestate>
fn stencil_face(face: Option<wit::GpuStencilFaceState>) -> wgpu::StencilFaceState {
    let Some(face) = face else { return wgpu::StencilFaceState::IGNORE };
    let operation = |operation: Option<wit::GpuStencilOperation>| {
        operation.map_or(wgpu::StencilOperation::Keep, Into::into)
    };
    wgpu::StencilFaceState {
        compare: face.compare.map_or(wgpu::CompareFunction::Always, Into::into),
        fail_op: operation(face.fail_op),
        depth_fail_op: operation(face.depth_fail_op),
        pass_op: operation(face.pass_op),
    }
}

/// <https://www.w3.org/TR/webgpu/#dictdef-gpucolortargetstate>
pub(in super::super) fn color_target(target: wit::GpuColorTargetState) -> wgpu::ColorTargetState {
    wgpu::ColorTargetState {
        format: target.format.into(),
        blend: target.blend.map(|blend| wgpu::BlendState {
            color: blend_component(blend.color),
            alpha: blend_component(blend.alpha),
        }),
        write_mask: target.write_mask.map_or(wgpu::ColorWrites::ALL, Into::into),
    }
}

/// <https://www.w3.org/TR/webgpu/#dictdef-gpublendcomponent>
fn blend_component(component: wit::GpuBlendComponent) -> wgpu::BlendComponent {
    wgpu::BlendComponent {
        operation: component.operation.map_or(wgpu::BlendOperation::Add, Into::into),
        src_factor: component.src_factor.map_or(wgpu::BlendFactor::One, Into::into),
        dst_factor: component.dst_factor.map_or(wgpu::BlendFactor::Zero, Into::into),
    }
}
