//! Enumerations that wgpu has under the same names.

use crate::host::webgpu::bindings::wasi::webgpu::webgpu as wit;

macro_rules! same_names {
    ($($wit:ident => $wgpu:ident { $($variant:ident),* $(,)? })*) => {
        $(
            impl From<wit::$wit> for wgpu::$wgpu {
                fn from(value: wit::$wit) -> Self {
                    match value {
                        $(wit::$wit::$variant => Self::$variant,)*
                    }
                }
            }
        )*
    };
}

same_names! {
    GpuBlendFactor => BlendFactor {
        Zero, One, Src, OneMinusSrc, SrcAlpha, OneMinusSrcAlpha, Dst, OneMinusDst, DstAlpha, OneMinusDstAlpha, SrcAlphaSaturated, Constant, OneMinusConstant, Src1, OneMinusSrc1, Src1Alpha, OneMinusSrc1Alpha,
    }
    GpuBlendOperation => BlendOperation {
        Add, Subtract, ReverseSubtract, Min, Max,
    }
    GpuCompareFunction => CompareFunction {
        Never, Less, Equal, LessEqual, Greater, NotEqual, GreaterEqual, Always,
    }
    GpuAddressMode => AddressMode {
        ClampToEdge, Repeat, MirrorRepeat,
    }
    GpuStencilOperation => StencilOperation {
        Keep, Zero, Replace, Invert, IncrementClamp, DecrementClamp, IncrementWrap, DecrementWrap,
    }
    GpuPrimitiveTopology => PrimitiveTopology {
        PointList, LineList, LineStrip, TriangleList, TriangleStrip,
    }
    GpuFilterMode => FilterMode {
        Nearest, Linear,
    }
    GpuMipmapFilterMode => MipmapFilterMode {
        Nearest, Linear,
    }
    GpuFrontFace => FrontFace {
        Ccw, Cw,
    }
    GpuIndexFormat => IndexFormat {
        Uint16, Uint32,
    }
    GpuTextureAspect => TextureAspect {
        All, StencilOnly, DepthOnly,
    }
    GpuTextureDimension => TextureDimension {
        D1, D2, D3,
    }
    GpuTextureViewDimension => TextureViewDimension {
        D1, D2, D2Array, Cube, CubeArray, D3,
    }
    GpuStorageTextureAccess => StorageTextureAccess {
        WriteOnly, ReadOnly, ReadWrite,
    }
    GpuPowerPreference => PowerPreference {
        LowPower, HighPerformance,
    }
    GpuStoreOp => StoreOp {
        Store, Discard,
    }
    GpuVertexStepMode => VertexStepMode {
        Vertex, Instance,
    }
}

impl From<wit::GpuVertexFormat> for wgpu::VertexFormat {
    fn from(format: wit::GpuVertexFormat) -> Self {
        use wit::GpuVertexFormat as Wit;
        match format {
            Wit::Uint8 => Self::Uint8,
            Wit::Uint8x2 => Self::Uint8x2,
            Wit::Uint8x4 => Self::Uint8x4,
            Wit::Sint8 => Self::Sint8,
            Wit::Sint8x2 => Self::Sint8x2,
            Wit::Sint8x4 => Self::Sint8x4,
            Wit::Unorm8 => Self::Unorm8,
            Wit::Unorm8x2 => Self::Unorm8x2,
            Wit::Unorm8x4 => Self::Unorm8x4,
            Wit::Snorm8 => Self::Snorm8,
            Wit::Snorm8x2 => Self::Snorm8x2,
            Wit::Snorm8x4 => Self::Snorm8x4,
            Wit::Uint16 => Self::Uint16,
            Wit::Uint16x2 => Self::Uint16x2,
            Wit::Uint16x4 => Self::Uint16x4,
            Wit::Sint16 => Self::Sint16,
            Wit::Sint16x2 => Self::Sint16x2,
            Wit::Sint16x4 => Self::Sint16x4,
            Wit::Unorm16 => Self::Unorm16,
            Wit::Unorm16x2 => Self::Unorm16x2,
            Wit::Unorm16x4 => Self::Unorm16x4,
            Wit::Snorm16 => Self::Snorm16,
            Wit::Snorm16x2 => Self::Snorm16x2,
            Wit::Snorm16x4 => Self::Snorm16x4,
            Wit::Float16 => Self::Float16,
            Wit::Float16x2 => Self::Float16x2,
            Wit::Float16x4 => Self::Float16x4,
            Wit::Float32 => Self::Float32,
            Wit::Float32x2 => Self::Float32x2,
            Wit::Float32x3 => Self::Float32x3,
            Wit::Float32x4 => Self::Float32x4,
            Wit::Uint32 => Self::Uint32,
            Wit::Uint32x2 => Self::Uint32x2,
            Wit::Uint32x3 => Self::Uint32x3,
            Wit::Uint32x4 => Self::Uint32x4,
            Wit::Sint32 => Self::Sint32,
            Wit::Sint32x2 => Self::Sint32x2,
            Wit::Sint32x3 => Self::Sint32x3,
            Wit::Sint32x4 => Self::Sint32x4,
            Wit::Unorm1010102 => Self::Unorm10_10_10_2,
            Wit::Unorm8x4Bgra => Self::Unorm8x4Bgra,
        }
    }
}

/// `none` is an absent face.
pub(super) fn cull_mode(mode: wit::GpuCullMode) -> Option<wgpu::Face> {
    match mode {
        wit::GpuCullMode::None => None,
        wit::GpuCullMode::Front => Some(wgpu::Face::Front),
        wit::GpuCullMode::Back => Some(wgpu::Face::Back),
    }
}
