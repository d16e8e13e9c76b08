//! Texture formats, both ways.

use crate::host::webgpu::bindings::wasi::webgpu::webgpu::GpuTextureFormat;

macro_rules! formats {
    ($($ours:ident => $theirs:ident $({ block: $block:ident, channel: $channel:ident })?,)*) => {
        /// Every format of the standard has its counterpart, whether or not a device has it.
        impl From<GpuTextureFormat> for wgpu::TextureFormat {
            fn from(format: GpuTextureFormat) -> Self {
                match format {
                    $(GpuTextureFormat::$ours => Self::$theirs $({
                        block: wgpu::AstcBlock::$block,
                        channel: wgpu::AstcChannel::$channel,
                    })?,)*
                }
            }
        }

        /// The standard's name of a format, if it is one of the standard's.
        pub fn standard_format(format: wgpu::TextureFormat) -> Option<GpuTextureFormat> {
            match format {
                $(wgpu::TextureFormat::$theirs $({
                    block: wgpu::AstcBlock::$block,
                    channel: wgpu::AstcChannel::$channel,
                })? => Some(GpuTextureFormat::$ours),)*
                _ => None,
            }
        }

        #[cfg(test)]
        const ALL: &[GpuTextureFormat] = &[$(GpuTextureFormat::$ours,)*];
    };
}

formats! {
    R8unorm => R8Unorm,
    R8snorm => R8Snorm,
    R8uint => R8Uint,
    R8sint => R8Sint,
    R16unorm => R16Unorm,
    R16snorm => R16Snorm,
    R16uint => R16Uint,
    R16sint => R16Sint,
    R16float => R16Float,
    Rg8unorm => Rg8Unorm,
    Rg8snorm => Rg8Snorm,
    Rg8uint => Rg8Uint,
    Rg8sint => Rg8Sint,
    R32uint => R32Uint,
    R32sint => R32Sint,
    R32float => R32Float,
    Rg16unorm => Rg16Unorm,
    Rg16snorm => Rg16Snorm,
    Rg16uint => Rg16Uint,
    Rg16sint => Rg16Sint,
    Rg16float => Rg16Float,
    Rgba8unorm => Rgba8Unorm,
    Rgba8unormSrgb => Rgba8UnormSrgb,
    Rgba8snorm => Rgba8Snorm,
    Rgba8uint => Rgba8Uint,
    Rgba8sint => Rgba8Sint,
    Bgra8unorm => Bgra8Unorm,
    Bgra8unormSrgb => Bgra8UnormSrgb,
    Rgb9e5ufloat => Rgb9e5Ufloat,
    Rgb10a2uint => Rgb10a2Uint,
    Rgb10a2unorm => Rgb10a2Unorm,
    Rg11b10ufloat => Rg11b10Ufloat,
    Rg32uint => Rg32Uint,
    Rg32sint => Rg32Sint,
    Rg32float => Rg32Float,
    Rgba16unorm => Rgba16Unorm,
    Rgba16snorm => Rgba16Snorm,
    Rgba16uint => Rgba16Uint,
    Rgba16sint => Rgba16Sint,
    Rgba16float => Rgba16Float,
    Rgba32uint => Rgba32Uint,
    Rgba32sint => Rgba32Sint,
    Rgba32float => Rgba32Float,
    Stencil8 => Stencil8,
    Depth16unorm => Depth16Unorm,
    Depth24plus => Depth24Plus,
    Depth24plusStencil8 => Depth24PlusStencil8,
    Depth32float => Depth32Float,
    Depth32floatStencil8 => Depth32FloatStencil8,
    Bc1RgbaUnorm => Bc1RgbaUnorm,
    Bc1RgbaUnormSrgb => Bc1RgbaUnormSrgb,
    Bc2RgbaUnorm => Bc2RgbaUnorm,
    Bc2RgbaUnormSrgb => Bc2RgbaUnormSrgb,
    Bc3RgbaUnorm => Bc3RgbaUnorm,
    Bc3RgbaUnormSrgb => Bc3RgbaUnormSrgb,
    Bc4RUnorm => Bc4RUnorm,
    Bc4RSnorm => Bc4RSnorm,
    Bc5RgUnorm => Bc5RgUnorm,
    Bc5RgSnorm => Bc5RgSnorm,
    Bc6hRgbUfloat => Bc6hRgbUfloat,
    Bc6hRgbFloat => Bc6hRgbFloat,
    Bc7RgbaUnorm => Bc7RgbaUnorm,
    Bc7RgbaUnormSrgb => Bc7RgbaUnormSrgb,
    Etc2Rgb8unorm => Etc2Rgb8Unorm,
    Etc2Rgb8unormSrgb => Etc2Rgb8UnormSrgb,
    Etc2Rgb8a1unorm => Etc2Rgb8A1Unorm,
    Etc2Rgb8a1unormSrgb => Etc2Rgb8A1UnormSrgb,
    Etc2Rgba8unorm => Etc2Rgba8Unorm,
    Etc2Rgba8unormSrgb => Etc2Rgba8UnormSrgb,
    EacR11unorm => EacR11Unorm,
    EacR11snorm => EacR11Snorm,
    EacRg11unorm => EacRg11Unorm,
    EacRg11snorm => EacRg11Snorm,
    Astc4x4Unorm => Astc { block: B4x4, channel: Unorm },
    Astc4x4UnormSrgb => Astc { block: B4x4, channel: UnormSrgb },
    Astc5x4Unorm => Astc { block: B5x4, channel: Unorm },
    Astc5x4UnormSrgb => Astc { block: B5x4, channel: UnormSrgb },
    Astc5x5Unorm => Astc { block: B5x5, channel: Unorm },
    Astc5x5UnormSrgb => Astc { block: B5x5, channel: UnormSrgb },
    Astc6x5Unorm => Astc { block: B6x5, channel: Unorm },
    Astc6x5UnormSrgb => Astc { block: B6x5, channel: UnormSrgb },
    Astc6x6Unorm => Astc { block: B6x6, channel: Unorm },
    Astc6x6UnormSrgb => Astc { block: B6x6, channel: UnormSrgb },
    Astc8x5Unorm => Astc { block: B8x5, channel: Unorm },
    Astc8x5UnormSrgb => Astc { block: B8x5, channel: UnormSrgb },
    Astc8x6Unorm => Astc { block: B8x6, channel: Unorm },
    Astc8x6UnormSrgb => Astc { block: B8x6, channel: UnormSrgb },
    Astc8x8Unorm => Astc { block: B8x8, channel: Unorm },
    Astc8x8UnormSrgb => Astc { block: B8x8, channel: UnormSrgb },
    Astc10x5Unorm => Astc { block: B10x5, channel: Unorm },
    Astc10x5UnormSrgb => Astc { block: B10x5, channel: UnormSrgb },
    Astc10x6Unorm => Astc { block: B10x6, channel: Unorm },
    Astc10x6UnormSrgb => Astc { block: B10x6, channel: UnormSrgb },
    Astc10x8Unorm => Astc { block: B10x8, channel: Unorm },
    Astc10x8UnormSrgb => Astc { block: B10x8, channel: UnormSrgb },
    Astc10x10Unorm => Astc { block: B10x10, channel: Unorm },
    Astc10x10UnormSrgb => Astc { block: B10x10, channel: UnormSrgb },
    Astc12x10Unorm => Astc { block: B12x10, channel: Unorm },
    Astc12x10UnormSrgb => Astc { block: B12x10, channel: UnormSrgb },
    Astc12x12Unorm => Astc { block: B12x12, channel: Unorm },
    Astc12x12UnormSrgb => Astc { block: B12x12, channel: UnormSrgb },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_of_the_standard_goes_to_wgpu_and_back() {
        assert_eq!(ALL.len(), 101);
        for format in ALL {
            assert_eq!(standard_format((*format).into()), Some(*format), "{format:?}");
        }
    }
}
