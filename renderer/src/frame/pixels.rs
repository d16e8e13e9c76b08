//! Pixels as a texture has them, in rows with padding, and as pictures have them: red, green, blue, alpha, without.

use std::sync::LazyLock;

use half::f16;
use renderer_protocol::FrameSize;

use super::convert_cpu::ByteOrder;

/// How the pixels of a texture lie in a mapped buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pixels {
    /// Bytes from one row to the next.
    pub(super) stride: u32,
    pub(super) bytes: PixelBytes,
}

/// How one pixel lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PixelBytes {
    /// A byte for each channel.
    Eight(ByteOrder),
    /// A half float for red, green, blue and alpha each.
    HalfFloats,
}

impl Pixels {
    /// Rows of so many pixels, aligned as copies out of textures must be. `None` for formats that surfaces do not have.
    pub(super) fn row_of(format: wgpu::TextureFormat, width: u32) -> Option<Self> {
        let bytes = match format {
            wgpu::TextureFormat::Rgba8Unorm | wgpu::TextureFormat::Rgba8UnormSrgb => {
                PixelBytes::Eight(ByteOrder::Rgba)
            }
            wgpu::TextureFormat::Bgra8Unorm | wgpu::TextureFormat::Bgra8UnormSrgb => {
                PixelBytes::Eight(ByteOrder::Bgra)
            }
            wgpu::TextureFormat::Rgba16Float => PixelBytes::HalfFloats,
            _ => return None,
        };
        let pixel_bytes = match bytes {
            PixelBytes::Eight(_) => 4,
            PixelBytes::HalfFloats => 8,
        };
        let stride = width.checked_mul(pixel_bytes)?;
        Some(Self { stride: stride.checked_next_multiple_of(wgpu::COPY_BYTES_PER_ROW_ALIGNMENT)?, bytes })
    }

    /// Writes a mapped picture as red, green, blue and an opaque alpha, which is how it is shown. `rgba` takes its length; rows
    /// that the mapping lacks stay as they were.
    pub(super) fn write_rgba(self, mapped: &[u8], size: FrameSize, rgba: &mut Vec<u8>) {
        // Both in range: a picture has at most 3840 × 2160 pixels.
        let row_bytes = (size.width() * 4) as usize;
        rgba.resize(row_bytes * size.height() as usize, 0);
        let rows = mapped.chunks(self.stride as usize).zip(rgba.chunks_exact_mut(row_bytes));
        match self.bytes {
            PixelBytes::Eight(ByteOrder::Rgba) => rows.for_each(|(from, to)| {
                pixels(from, to, |from: &[u8; 4]| [from[0], from[1], from[2], u8::MAX]);
            }),
            PixelBytes::Eight(ByteOrder::Bgra) => rows.for_each(|(from, to)| {
                pixels(from, to, |from: &[u8; 4]| [from[2], from[1], from[0], u8::MAX]);
            }),
            PixelBytes::HalfFloats => {
                let levels = &*LEVELS_OF_HALVES;
                let level =
                    |bytes| levels.get(usize::from(u16::from_le_bytes(bytes))).copied().unwrap_or_default();
                rows.for_each(|(from, to)| {
                    pixels(from, to, |from: &[u8; 8]| {
                        let [r0, r1, g0, g1, b0, b1, _, _] = *from;
                        [level([r0, r1]), level([g0, g1]), level([b0, b1]), u8::MAX]
                    });
                });
            }
        }
    }
}

fn pixels<const BYTES: usize>(from: &[u8], to: &mut [u8], convert: impl Fn(&[u8; BYTES]) -> [u8; 4]) {
    let (from, _) = from.as_chunks::<BYTES>();
    let (to, _) = to.as_chunks_mut::<4>();
    for (from, to) in from.iter().zip(to) {
        *to = convert(from);
    }
}

/// The level from 0 to 255 of each half float, by its bits. Outside of the range of colours its ends are shown, and black for what is
/// no number.
static LEVELS_OF_HALVES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let level = |bits: u16| {
        // A float becomes the nearest integer in range, and 0 if it is none.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let level = (f16::from_bits(bits).to_f32().clamp(0.0, 1.0) * 255.0).round() as u8;
        level
    };
    (0..=u16::MAX).map(level).collect()
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_outside_of_the_range_of_colours_are_its_ends_and_what_is_no_number_is_black() {
        let size = FrameSize::new(16, 16).unwrap();
        let pixels = Pixels::row_of(wgpu::TextureFormat::Rgba16Float, 16).unwrap();
        let pixel = [f16::INFINITY, f16::NAN, f16::from_f32(-3.0), f16::ZERO];
        let bytes: Vec<u8> = pixel.iter().flat_map(|half| half.to_le_bytes()).collect();
        let mut mapped = vec![0; (pixels.stride * 16) as usize];
        mapped[..8].copy_from_slice(&bytes);
        let mut rgba = Vec::new();
        pixels.write_rgba(&mapped, size, &mut rgba);
        assert_eq!(rgba[..8], [255, 0, 0, 255, 0, 0, 0, 255]);
        assert_eq!(rgba.len(), 16 * 16 * 4);
    }

    #[test]
    fn every_level_of_eight_bits_survives_as_a_half() {
        for level in 0..=u8::MAX {
            let bits = f16::from_f32(f32::from(level) / 255.0).to_bits();
            assert_eq!(LEVELS_OF_HALVES[usize::from(bits)], level);
        }
    }
}
