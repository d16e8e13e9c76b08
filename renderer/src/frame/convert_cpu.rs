//! RGBA to I420 on the processor, for adapters that are processors themselves: there the pixels are in memory already, and the
//! `yuv` crate's vector code beats a compute shader by a factor of five.

use renderer_protocol::FrameSize;
use yuv::{BufferStoreMut, YuvConversionMode, YuvPlanarImageMut, YuvRange, YuvStandardMatrix};

use super::{I420, i420::WrongLength};

/// The order of the four bytes of a pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteOrder {
    /// Red, green, blue, alpha.
    Rgba,
    /// Blue, green, red, alpha.
    Bgra,
}

/// Converts rows of four-byte pixels, `stride` bytes apart, to BT.709 in limited range. Chroma is the mean of 2 × 2 pixels.
/// Alpha is not looked at: a presented picture is opaque.
///
/// The last row needs its padding too. An error says that `pixels` is too short for the picture; the picture is unchanged then.
pub fn convert_to_i420(
    pixels: &[u8],
    stride: u32,
    order: ByteOrder,
    picture: &mut I420,
) -> Result<(), ConvertError> {
    let size = picture.size();
    let needed = u64::from(stride) * u64::from(size.height());
    if stride < size.width() * 4 || (pixels.len() as u64) < needed {
        return Err(ConvertError::Short { size, stride, found: pixels.len() });
    }
    let (y_stride, uv_stride) = (picture.luma_stride(), picture.chroma_stride());
    let [y, u, v] = picture.planes_mut();
    let mut planes = YuvPlanarImageMut {
        y_plane: BufferStoreMut::Borrowed(y),
        y_stride,
        u_plane: BufferStoreMut::Borrowed(u),
        u_stride: uv_stride,
        v_plane: BufferStoreMut::Borrowed(v),
        v_stride: uv_stride,
        width: size.width(),
        height: size.height(),
    };
    let convert = match order {
        ByteOrder::Rgba => yuv::rgba_to_yuv420,
        ByteOrder::Bgra => yuv::bgra_to_yuv420,
    };
    convert(
        &mut planes,
        pixels,
        stride,
        YuvRange::Limited,
        YuvStandardMatrix::Bt709,
        YuvConversionMode::Balanced,
    )
    .map_err(|error| ConvertError::Refused(error.to_string()))
}

/// Why pixels could not be converted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// There are fewer bytes than the picture has.
    #[error("{found} bytes in rows of {stride} bytes are no picture of {size}")]
    Short {
        /// The picture's size.
        size: FrameSize,
        /// Bytes from row to row.
        stride: u32,
        /// Bytes there are.
        found: usize,
    },
    /// The converted picture on the GPU has another length than it should.
    #[error("{0}")]
    Length(String),
    /// The library refused.
    #[error("the conversion to I420 failed: {0}")]
    Refused(String),
}

impl From<WrongLength> for ConvertError {
    fn from(error: WrongLength) -> Self {
        Self::Length(error.to_string())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// BT.709 limited range by the formulas of ITU-R BT.709-6, sections 3.2 to 3.5, in floating point.
    pub(crate) fn reference(rgb_at: impl Fn(u32, u32) -> [f64; 3], size: FrameSize) -> I420 {
        let mut picture = I420::new(size);
        let (luma_stride, chroma_stride) = (picture.luma_stride(), picture.chroma_stride());
        let luma = |[r, g, b]: [f64; 3]| 0.2126 * r + 0.7152 * g + 0.0722 * b;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let byte = |value: f64| value.round() as u8;
        let [y, u, v] = picture.planes_mut();
        for row in 0..size.height() {
            for column in 0..size.width() {
                y[(row * luma_stride + column) as usize] =
                    byte(16.0 + 219.0 * luma(rgb_at(column, row)) / 255.0);
            }
        }
        for row in 0..size.height() / 2 {
            for column in 0..size.width() / 2 {
                let mut mean = [0.0; 3];
                for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                    let rgb = rgb_at(2 * column + dx, 2 * row + dy);
                    mean = std::array::from_fn(|channel| mean[channel] + rgb[channel] / 4.0);
                }
                let position = (row * chroma_stride + column) as usize;
                u[position] = byte(128.0 + 224.0 * (mean[2] - luma(mean)) / 1.8556 / 255.0);
                v[position] = byte(128.0 + 224.0 * (mean[0] - luma(mean)) / 1.5748 / 255.0);
            }
        }
        picture
    }

    /// The largest difference of two pictures of one size, padding left out.
    pub(crate) fn largest_difference(a: &I420, b: &I420) -> u8 {
        assert_eq!(a.size(), b.size());
        let (width, height) = (a.size().width() as usize, a.size().height() as usize);
        let strides = [a.luma_stride() as usize, a.chroma_stride() as usize, a.chroma_stride() as usize];
        let mut largest = 0;
        for (plane, stride) in strides.into_iter().enumerate() {
            let (width, height) = if plane == 0 { (width, height) } else { (width / 2, height / 2) };
            for row in 0..height {
                let row = row * stride..row * stride + width;
                for (a, b) in a.planes()[plane][row.clone()].iter().zip(&b.planes()[plane][row]) {
                    largest = largest.max(a.abs_diff(*b));
                }
            }
        }
        largest
    }

    /// Colours that reach every corner of the cube, hard edges, and something like noise.
    #[allow(
        clippy::many_single_char_names,
        clippy::cast_possible_truncation,
        reason = "coordinates and channels, wrapped on purpose"
    )]
    pub(crate) fn test_pixel(x: u32, y: u32) -> [u8; 4] {
        let hash = (x.wrapping_mul(0x9E37_79B1) ^ y.wrapping_mul(0x85EB_CA77))
            .rotate_left(13)
            .wrapping_mul(0xC2B2_AE3D);
        let [r, g, b, a] = hash.to_le_bytes();
        match (x / 8 + y / 4) % 4 {
            0 => [r, g, b, a],
            1 => [
                if r > 127 { 255 } else { 0 },
                if g > 127 { 255 } else { 0 },
                if b > 127 { 255 } else { 0 },
                255,
            ],
            2 => [(x * 7) as u8, (y * 5) as u8, 128, 255],
            _ => [g, g, g, 0],
        }
    }

    pub(crate) const SIZES: [(u32, u32); 7] =
        [(16, 16), (18, 16), (30, 22), (34, 50), (100, 38), (254, 130), (640, 362)];

    #[test]
    fn both_byte_orders_are_bt709_to_one_level_at_every_size_and_stride() {
        for (width, height) in SIZES {
            let size = FrameSize::new(width, height).unwrap();
            let expected = reference(
                |x, y| {
                    test_pixel(x, y)[..3]
                        .iter()
                        .map(|c| f64::from(*c))
                        .collect::<Vec<_>>()
                        .try_into()
                        .unwrap()
                },
                size,
            );
            for (order, swap) in [(ByteOrder::Rgba, false), (ByteOrder::Bgra, true)] {
                for stride in [width * 4, (width * 4).next_multiple_of(256)] {
                    let mut pixels = vec![0; (stride * height) as usize];
                    for y in 0..height {
                        for x in 0..width {
                            let mut pixel = test_pixel(x, y);
                            if swap {
                                pixel.swap(0, 2);
                            }
                            let position = (y * stride + x * 4) as usize;
                            pixels[position..position + 4].copy_from_slice(&pixel);
                        }
                    }
                    let mut picture = I420::new(size);
                    convert_to_i420(&pixels, stride, order, &mut picture).unwrap();
                    let difference = largest_difference(&picture, &expected);
                    assert!(difference <= 1, "{size} {order:?} by {stride}: {difference} levels");
                }
            }
        }
    }

    #[test]
    fn too_few_bytes_are_an_error() {
        let mut picture = I420::new(FrameSize::new(32, 32).unwrap());
        for (bytes, stride) in
            [(0, 128), (128 * 32 - 1, 128), (128 * 32, 127), (128 * 32, 0), (128 * 32, u32::MAX)]
        {
            let pixels = vec![0; bytes];
            assert!(
                convert_to_i420(&pixels, stride, ByteOrder::Rgba, &mut picture).is_err(),
                "{bytes} by {stride}"
            );
        }
    }
}
