//! The tables of <https://www.w3.org/TR/webgpu/#texture-format-caps>, with one texel of each plain format and its value.

use kit::webgpu::GpuTextureFormat::{self as Format, *};

/// What a format may be able to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Able {
    Draw,
    Multisample,
    Resolve,
    Blend,
    Filter,
    WriteOnly,
    ReadOnly,
    ReadWrite,
}

/// What shaders load.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    Float,
    Uint,
    Sint,
}

impl Kind {
    pub fn scalar(self) -> &'static str {
        match self {
            Self::Float => "f32",
            Self::Uint => "u32",
            Self::Sint => "i32",
        }
    }

    pub fn wgsl(self) -> &'static str {
        match self {
            Self::Float => "vec4f",
            Self::Uint => "vec4u",
            Self::Sint => "vec4i",
        }
    }
}

pub struct Plain {
    pub format: Format,
    /// Empty for none.
    pub feature: &'static str,
    pub kind: Kind,
    pub able: &'static [Able],
    pub texel: &'static [u8],
    pub value: [f32; 4],
}

pub struct Depth {
    pub format: Format,
    pub feature: &'static str,
    pub depth: bool,
    pub stencil: bool,
}

use Able::{
    Blend as B, Draw as D, Filter as F, Multisample as M, ReadOnly as RO, ReadWrite as RW, Resolve as R,
    WriteOnly as WO,
};
use Kind::{Float, Sint, Uint};

const fn plain(
    format: Format,
    kind: Kind,
    able: &'static [Able],
    texel: &'static [u8],
    value: [f32; 4],
) -> Plain {
    Plain { format, feature: "", kind, able, texel, value }
}

const fn tier1(format: Format, texel: &'static [u8], value: [f32; 4]) -> Plain {
    Plain {
        format,
        feature: "texture-formats-tier1",
        kind: Float,
        able: &[D, M, R, B, F, WO, RO],
        texel,
        value,
    }
}

const NORMALIZED: &[Able] = &[D, M, R, B, F];
const INTEGER: &[Able] = &[D, M];
const FIFTHS: [f32; 4] = [0.2, 0.4, 0.6, 0.8];
const QUARTERS: [f32; 4] = [0.25, 0.5, 0.75, 1.0];
const COUNTS: [f32; 4] = [10.0, 20.0, 30.0, 3.0];
const SIGNED: [f32; 4] = [-10.0, 20.0, -30.0, 3.0];

const fn first(value: [f32; 4]) -> [f32; 4] {
    [value[0], 0.0, 0.0, 1.0]
}

const fn two(value: [f32; 4]) -> [f32; 4] {
    [value[0], value[1], 0.0, 1.0]
}

const fn three(value: [f32; 4]) -> [f32; 4] {
    [value[0], value[1], value[2], 1.0]
}

/// All, nothing and 0.6 of 1023, and two thirds of 3. Drivers round what lies between two steps as they like.
const RGB10A2UNORM: [u8; 4] = (1023_u32 | (614 << 20) | (2 << 30)).to_le_bytes();
const RGB10A2UINT: [u8; 4] = (10_u32 | (20 << 10) | (30 << 20) | (3 << 30)).to_le_bytes();
/// Exponents 13, 14 and 14, and a mantissa of one half in the last.
const RG11B10UFLOAT: [u8; 4] = ((13_u32 << 6) | ((14 << 6) << 11) | (((14 << 5) | 16) << 22)).to_le_bytes();
/// 128/512, 256/512 and 384/512, with the exponent 15.
const RGB9E5UFLOAT: [u8; 4] = (128_u32 | (256 << 9) | (384 << 18) | (15 << 27)).to_le_bytes();

pub const PLAIN: &[Plain] = &[
    plain(R8unorm, Float, NORMALIZED, &[51], first(FIFTHS)),
    plain(R8snorm, Float, &[F], &[0x81], [-1.0, 0.0, 0.0, 1.0]),
    plain(R8uint, Uint, INTEGER, &[10], first(COUNTS)),
    plain(R8sint, Sint, INTEGER, &[246], first(SIGNED)),
    tier1(R16unorm, &[0x33, 0x33], first(FIFTHS)),
    tier1(R16snorm, &[0x01, 0x80], [-1.0, 0.0, 0.0, 1.0]),
    plain(R16uint, Uint, INTEGER, &[10, 0], first(COUNTS)),
    plain(R16sint, Sint, INTEGER, &[246, 255], first(SIGNED)),
    plain(R16float, Float, NORMALIZED, &[0x00, 0x34], first(QUARTERS)),
    plain(Rg8unorm, Float, NORMALIZED, &[51, 102], two(FIFTHS)),
    plain(Rg8snorm, Float, &[F], &[0x81, 0x7f], [-1.0, 1.0, 0.0, 1.0]),
    plain(Rg8uint, Uint, INTEGER, &[10, 20], two(COUNTS)),
    plain(Rg8sint, Sint, INTEGER, &[246, 20], two(SIGNED)),
    plain(R32uint, Uint, &[D, WO, RO, RW], &[10, 0, 0, 0], first(COUNTS)),
    plain(R32sint, Sint, &[D, WO, RO, RW], &[246, 255, 255, 255], first(SIGNED)),
    plain(R32float, Float, &[D, M, WO, RO, RW], &[0, 0, 0x80, 0x3e], first(QUARTERS)),
    tier1(Rg16unorm, &[0x33, 0x33, 0x66, 0x66], two(FIFTHS)),
    tier1(Rg16snorm, &[0x01, 0x80, 0xff, 0x7f], [-1.0, 1.0, 0.0, 1.0]),
    plain(Rg16uint, Uint, INTEGER, &[10, 0, 20, 0], two(COUNTS)),
    plain(Rg16sint, Sint, INTEGER, &[246, 255, 20, 0], two(SIGNED)),
    plain(Rg16float, Float, NORMALIZED, &[0x00, 0x34, 0x00, 0x38], two(QUARTERS)),
    plain(Rgba8unorm, Float, &[D, M, R, B, F, WO, RO], &[51, 102, 153, 204], FIFTHS),
    // The encoding of sRGB makes more of 0.2, 0.4 and 0.6; alpha is as it is.
    plain(Rgba8unormSrgb, Float, NORMALIZED, &[124, 170, 203, 204], FIFTHS),
    plain(Rgba8snorm, Float, &[F, WO, RO], &[0x81, 0x7f, 0, 0x7f], [-1.0, 1.0, 0.0, 1.0]),
    plain(Rgba8uint, Uint, &[D, M, WO, RO], &[10, 20, 30, 3], COUNTS),
    plain(Rgba8sint, Sint, &[D, M, WO, RO], &[246, 20, 226, 3], SIGNED),
    plain(Bgra8unorm, Float, NORMALIZED, &[153, 102, 51, 204], FIFTHS),
    plain(Bgra8unormSrgb, Float, NORMALIZED, &[203, 170, 124, 204], FIFTHS),
    plain(Rgb9e5ufloat, Float, &[F], &RGB9E5UFLOAT, three(QUARTERS)),
    plain(Rgb10a2uint, Uint, INTEGER, &RGB10A2UINT, COUNTS),
    plain(Rgb10a2unorm, Float, NORMALIZED, &RGB10A2UNORM, [1.0, 0.0, 0.6, 2.0 / 3.0]),
    plain(Rg11b10ufloat, Float, &[F], &RG11B10UFLOAT, three(QUARTERS)),
    plain(Rg32uint, Uint, &[D, WO, RO], &[10, 0, 0, 0, 20, 0, 0, 0], two(COUNTS)),
    plain(Rg32sint, Sint, &[D, WO, RO], &[246, 255, 255, 255, 20, 0, 0, 0], two(SIGNED)),
    plain(Rg32float, Float, &[D, WO, RO], &[0, 0, 0x80, 0x3e, 0, 0, 0, 0x3f], two(QUARTERS)),
    tier1(Rgba16unorm, &[0x33, 0x33, 0x66, 0x66, 0x99, 0x99, 0xcc, 0xcc], FIFTHS),
    tier1(Rgba16snorm, &[0x01, 0x80, 0xff, 0x7f, 0, 0, 0xff, 0x7f], [-1.0, 1.0, 0.0, 1.0]),
    plain(Rgba16uint, Uint, &[D, M, WO, RO], &[10, 0, 20, 0, 30, 0, 3, 0], COUNTS),
    plain(Rgba16sint, Sint, &[D, M, WO, RO], &[246, 255, 20, 0, 226, 255, 3, 0], SIGNED),
    plain(
        Rgba16float,
        Float,
        &[D, M, R, B, F, WO, RO],
        &[0x00, 0x34, 0x00, 0x38, 0x00, 0x3a, 0x00, 0x3c],
        QUARTERS,
    ),
    plain(Rgba32uint, Uint, &[D, WO, RO], &[10, 0, 0, 0, 20, 0, 0, 0, 30, 0, 0, 0, 3, 0, 0, 0], COUNTS),
    plain(
        Rgba32sint,
        Sint,
        &[D, WO, RO],
        &[246, 255, 255, 255, 20, 0, 0, 0, 226, 255, 255, 255, 3, 0, 0, 0],
        SIGNED,
    ),
    plain(
        Rgba32float,
        Float,
        &[D, WO, RO],
        &[0, 0, 0x80, 0x3e, 0, 0, 0, 0x3f, 0, 0, 0x40, 0x3f, 0, 0, 0x80, 0x3f],
        QUARTERS,
    ),
];

pub const DEPTH: &[Depth] = &[
    Depth { format: Stencil8, feature: "", depth: false, stencil: true },
    Depth { format: Depth16unorm, feature: "", depth: true, stencil: false },
    Depth { format: Depth24plus, feature: "", depth: true, stencil: false },
    Depth { format: Depth24plusStencil8, feature: "", depth: true, stencil: true },
    Depth { format: Depth32float, feature: "", depth: true, stencil: false },
    Depth { format: Depth32floatStencil8, feature: "depth32float-stencil8", depth: true, stencil: true },
];

const BC: &str = "texture-compression-bc";
const ETC2: &str = "texture-compression-etc2";
const ASTC: &str = "texture-compression-astc";

/// Formats, their features, and the size of a block.
pub const COMPRESSED: &[(Format, &str, [u32; 2])] = &[
    (Bc1RgbaUnorm, BC, [4, 4]),
    (Bc1RgbaUnormSrgb, BC, [4, 4]),
    (Bc2RgbaUnorm, BC, [4, 4]),
    (Bc2RgbaUnormSrgb, BC, [4, 4]),
    (Bc3RgbaUnorm, BC, [4, 4]),
    (Bc3RgbaUnormSrgb, BC, [4, 4]),
    (Bc4RUnorm, BC, [4, 4]),
    (Bc4RSnorm, BC, [4, 4]),
    (Bc5RgUnorm, BC, [4, 4]),
    (Bc5RgSnorm, BC, [4, 4]),
    (Bc6hRgbUfloat, BC, [4, 4]),
    (Bc6hRgbFloat, BC, [4, 4]),
    (Bc7RgbaUnorm, BC, [4, 4]),
    (Bc7RgbaUnormSrgb, BC, [4, 4]),
    (Etc2Rgb8unorm, ETC2, [4, 4]),
    (Etc2Rgb8unormSrgb, ETC2, [4, 4]),
    (Etc2Rgb8a1unorm, ETC2, [4, 4]),
    (Etc2Rgb8a1unormSrgb, ETC2, [4, 4]),
    (Etc2Rgba8unorm, ETC2, [4, 4]),
    (Etc2Rgba8unormSrgb, ETC2, [4, 4]),
    (EacR11unorm, ETC2, [4, 4]),
    (EacR11snorm, ETC2, [4, 4]),
    (EacRg11unorm, ETC2, [4, 4]),
    (EacRg11snorm, ETC2, [4, 4]),
    (Astc4x4Unorm, ASTC, [4, 4]),
    (Astc4x4UnormSrgb, ASTC, [4, 4]),
    (Astc5x4Unorm, ASTC, [5, 4]),
    (Astc5x4UnormSrgb, ASTC, [5, 4]),
    (Astc5x5Unorm, ASTC, [5, 5]),
    (Astc5x5UnormSrgb, ASTC, [5, 5]),
    (Astc6x5Unorm, ASTC, [6, 5]),
    (Astc6x5UnormSrgb, ASTC, [6, 5]),
    (Astc6x6Unorm, ASTC, [6, 6]),
    (Astc6x6UnormSrgb, ASTC, [6, 6]),
    (Astc8x5Unorm, ASTC, [8, 5]),
    (Astc8x5UnormSrgb, ASTC, [8, 5]),
    (Astc8x6Unorm, ASTC, [8, 6]),
    (Astc8x6UnormSrgb, ASTC, [8, 6]),
    (Astc8x8Unorm, ASTC, [8, 8]),
    (Astc8x8UnormSrgb, ASTC, [8, 8]),
    (Astc10x5Unorm, ASTC, [10, 5]),
    (Astc10x5UnormSrgb, ASTC, [10, 5]),
    (Astc10x6Unorm, ASTC, [10, 6]),
    (Astc10x6UnormSrgb, ASTC, [10, 6]),
    (Astc10x8Unorm, ASTC, [10, 8]),
    (Astc10x8UnormSrgb, ASTC, [10, 8]),
    (Astc10x10Unorm, ASTC, [10, 10]),
    (Astc10x10UnormSrgb, ASTC, [10, 10]),
    (Astc12x10Unorm, ASTC, [12, 10]),
    (Astc12x10UnormSrgb, ASTC, [12, 10]),
    (Astc12x12Unorm, ASTC, [12, 12]),
    (Astc12x12UnormSrgb, ASTC, [12, 12]),
];
