//! How many bytes of GPU memory an object takes, as far as its description says.

/// Drivers place buffers at multiples of this or less.
const BUFFER_ALIGNMENT_BYTES: u64 = 256;
/// Drivers give each texture whole pages.
const TEXTURE_ALIGNMENT_BYTES: u64 = 4096;
/// Mesa's software rasteriser begins each row of texels at a multiple of a cache line. Hardware tiles instead, which costs less.
const ROW_ALIGNMENT_BYTES: u64 = 64;
/// It also has whole blocks of four by four texels of every format.
const TILE_TEXELS: u64 = 4;
/// Drivers want the rows of a copy to a texture at multiples of this or less.
const COPY_ROW_ALIGNMENT_BYTES: u64 = 256;
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

fn block_bytes(format: wgpu::TextureFormat) -> u64 {
    let (width, height) = format.block_dimensions();
    match format {
        // Hardware without 24 bits of depth has 32 instead, and then pads the stencil.
        wgpu::TextureFormat::Depth24PlusStencil8 => 8,
        _ => format.theoretical_memory_footprint(wgpu::Extent3d { width, height, depth_or_array_layers: 1 }),
    }
}

fn aligned(number: u64, alignment: u64) -> u64 {
    number.checked_next_multiple_of(alignment).unwrap_or(u64::MAX)
}

/// What a queue keeps of a write to a texture of this format until it is submitted: its rows, as a copy wants them.
pub(super) fn texture_write_bytes(format: wgpu::TextureFormat, size: wgpu::Extent3d) -> u64 {
    let (block_width, block_height) = format.block_dimensions();
    let row = u64::from(size.width.div_ceil(block_width)).saturating_mul(block_bytes(format));
    let rows =
        u64::from(size.height.div_ceil(block_height)).saturating_mul(size.depth_or_array_layers.into());
    aligned(row, COPY_ROW_ALIGNMENT_BYTES).saturating_mul(rows)
}

/// All mip levels, layers and samples.
pub(super) fn texture_bytes(texture: &wgpu::TextureDescriptor<'_>) -> u64 {
    let (block_width, block_height) = texture.format.block_dimensions();
    let block_bytes = block_bytes(texture.format);
    let tile = if block_width == 1 { TILE_TEXELS } else { 1 };
    let mut bytes = 0_u64;
    for level in 0..texture.mip_level_count.min(MAX_LEVELS) {
        let side = |pixels: u32| pixels.checked_shr(level).unwrap_or(0).max(1);
        let depth = match texture.dimension {
            wgpu::TextureDimension::D3 => side(texture.size.depth_or_array_layers),
            _ => texture.size.depth_or_array_layers,
        };
        let columns = aligned(side(texture.size.width).div_ceil(block_width).into(), tile);
        let rows = match texture.dimension {
            wgpu::TextureDimension::D1 => 1,
            _ => aligned(side(texture.size.height).div_ceil(block_height).into(), tile),
        };
        let row = aligned(columns.saturating_mul(block_bytes), ROW_ALIGNMENT_BYTES);
        bytes = bytes.saturating_add(row.saturating_mul(rows).saturating_mul(depth.into()));
    }
    aligned(bytes.saturating_mul(texture.sample_count.into()).max(1), TEXTURE_ALIGNMENT_BYTES)
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
        // Rows of a byte take a cache line each where a processor draws them.
        assert_eq!(texture_bytes(&texture(R8Unorm, 1, 8192)), 8192 * 64);
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
    fn a_write_of_narrow_rows_is_as_large_as_its_rows_are_in_a_copy() {
        let size = |width, height| wgpu::Extent3d { width, height, depth_or_array_layers: 2 };
        assert_eq!(texture_write_bytes(wgpu::TextureFormat::R8Unorm, size(1, 8192)), 2 * 8192 * 256);
        assert_eq!(texture_write_bytes(wgpu::TextureFormat::Rgba8Unorm, size(64, 64)), 2 * 64 * 64 * 4);
        assert_eq!(texture_write_bytes(wgpu::TextureFormat::Rgba32Float, size(u32::MAX, u32::MAX)), u64::MAX);
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
