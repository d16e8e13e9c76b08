//! How many bytes of GPU memory an object takes, as far as its description says.

/// Drivers place buffers at multiples of this or less.
const BUFFER_ALIGNMENT_BYTES: u64 = 256;
/// Drivers give each texture whole pages.
const TEXTURE_ALIGNMENT_BYTES: u64 = 4096;
/// The result of a query: a number of samples or of nanoseconds.
const QUERY_BYTES: u64 = 8;
/// More mip levels than any texture has; more are refused by wgpu.
const MAX_LEVELS: u32 = 32;

pub(super) fn buffer_bytes(size: u64) -> u64 {
    size.max(1).checked_next_multiple_of(BUFFER_ALIGNMENT_BYTES).unwrap_or(u64::MAX)
}

pub(super) fn query_set_bytes(count: u32) -> u64 {
    buffer_bytes(u64::from(count).saturating_mul(QUERY_BYTES))
}

/// All mip levels, layers and samples.
pub(super) fn texture_bytes(texture: &wgpu::TextureDescriptor<'_>) -> u64 {
    let (block_width, block_height) = texture.format.block_dimensions();
    let block = wgpu::Extent3d { width: block_width, height: block_height, depth_or_array_layers: 1 };
    let block_bytes = match texture.format {
        // Hardware without 24 bits of depth has 32 instead, and then pads the stencil.
        wgpu::TextureFormat::Depth24PlusStencil8 => 8,
        format => format.theoretical_memory_footprint(block),
    };
    let mut blocks = 0_u64;
    for level in 0..texture.mip_level_count.min(MAX_LEVELS) {
        let side = |pixels: u32| pixels.checked_shr(level).unwrap_or(0).max(1);
        let depth = match texture.dimension {
            wgpu::TextureDimension::D3 => side(texture.size.depth_or_array_layers),
            _ => texture.size.depth_or_array_layers,
        };
        let columns = u64::from(side(texture.size.width).div_ceil(block_width));
        let rows = u64::from(side(texture.size.height).div_ceil(block_height));
        blocks = blocks.saturating_add(columns.saturating_mul(rows).saturating_mul(u64::from(depth)));
    }
    let bytes = blocks.saturating_mul(block_bytes).saturating_mul(u64::from(texture.sample_count));
    bytes.max(1).checked_next_multiple_of(TEXTURE_ALIGNMENT_BYTES).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn texture(format: wgpu::TextureFormat, width: u32, height: u32) -> wgpu::TextureDescriptor<'static> {
        wgpu::TextureDescriptor {
            label: None,
            size: wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format,
            usage: wgpu::TextureUsages::TEXTURE_BINDING,
            view_formats: &[],
        }
    }

    #[test]
    fn a_texture_is_as_large_as_its_levels_layers_and_samples() {
        use wgpu::TextureFormat::{Bc1RgbaUnorm, Depth32FloatStencil8, R8Unorm, Rgba8Unorm, Rgba16Float};
        let plain = texture(Rgba8Unorm, 1024, 1024);
        assert_eq!(texture_bytes(&plain), 4 * MIB);
        assert_eq!(texture_bytes(&wgpu::TextureDescriptor { sample_count: 4, ..plain.clone() }), 16 * MIB);
        let size = wgpu::Extent3d { depth_or_array_layers: 6, ..plain.size };
        assert_eq!(texture_bytes(&wgpu::TextureDescriptor { size, ..plain.clone() }), 24 * MIB);
        // The sum of a geometric series, 4/3, less what is below a pixel.
        let mips = texture_bytes(&wgpu::TextureDescriptor { mip_level_count: 11, ..plain.clone() });
        assert_eq!(mips, ((4 * MIB * 4 - 4) / 3).next_multiple_of(4096));
        assert_eq!(texture_bytes(&texture(Rgba16Float, 1024, 1024)), 8 * MIB);
        assert_eq!(texture_bytes(&texture(Depth32FloatStencil8, 1024, 1024)), 8 * MIB);
        // Half a byte a pixel, in blocks of four by four.
        assert_eq!(texture_bytes(&texture(Bc1RgbaUnorm, 1024, 1024)), MIB / 2);
        assert_eq!(texture_bytes(&texture(R8Unorm, 1, 1)), 4096, "a page at least");
    }

    #[test]
    fn the_levels_of_a_volume_shrink_in_depth_too() {
        let size = wgpu::Extent3d { width: 64, height: 64, depth_or_array_layers: 64 };
        let volume = wgpu::TextureDescriptor {
            size,
            mip_level_count: 2,
            dimension: wgpu::TextureDimension::D3,
            ..texture(wgpu::TextureFormat::Rgba8Unorm, 0, 0)
        };
        assert_eq!(texture_bytes(&volume), MIB + MIB / 8);
    }

    #[test]
    fn no_description_is_too_large_to_be_counted() {
        let size = wgpu::Extent3d { width: u32::MAX, height: u32::MAX, depth_or_array_layers: u32::MAX };
        let hostile = wgpu::TextureDescriptor {
            size,
            mip_level_count: u32::MAX,
            sample_count: u32::MAX,
            ..texture(wgpu::TextureFormat::Rgba32Float, 0, 0)
        };
        assert_eq!(texture_bytes(&hostile), u64::MAX);
        assert_eq!(buffer_bytes(u64::MAX), u64::MAX);
        assert_eq!(buffer_bytes(0), 256);
        assert_eq!(query_set_bytes(u32::MAX), u64::from(u32::MAX) * 8 + 8);
    }
}
