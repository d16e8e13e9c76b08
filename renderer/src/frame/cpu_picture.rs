//! A picture that was drawn on the processor. There is no GPU to read it back from: it is converted where it lies.

use renderer_protocol::FrameSize;

use super::{
    I420,
    convert_cpu::{ByteOrder, ConvertError, convert_to_i420},
};

/// Bytes of one pixel: blue, green, red, and one that means nothing.
const PIXEL_BYTES: u32 = 4;

/// Rows of four-byte pixels without padding, from the top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuPicture {
    size: FrameSize,
    pixels: Vec<u8>,
}

impl CpuPicture {
    /// The length of a picture of this size: at most 33 MB, for the largest [`FrameSize`].
    pub fn bytes(size: FrameSize) -> usize {
        (size.width() * size.height() * PIXEL_BYTES) as usize
    }

    /// A picture of zeros.
    pub fn black(size: FrameSize) -> Self {
        Self { size, pixels: vec![0; Self::bytes(size)] }
    }

    /// Takes pixels over. `None`: they are more or fewer than a picture of this size has.
    pub fn new(size: FrameSize, pixels: Vec<u8>) -> Option<Self> {
        (pixels.len() == Self::bytes(size)).then_some(Self { size, pixels })
    }

    /// Its size.
    pub fn size(&self) -> FrameSize {
        self.size
    }

    /// Its bytes.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// Converts; `picture` takes this one's size.
    pub(super) fn write_i420(&self, picture: &mut I420) -> Result<(), ConvertError> {
        picture.resize(self.size);
        convert_to_i420(&self.pixels, self.size.width() * PIXEL_BYTES, ByteOrder::Bgra, picture)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_exactly_the_bytes_of_its_size() {
        let size = FrameSize::new(18, 16).unwrap();
        for bytes in [0, 18 * 16 * 4 - 1, 18 * 16 * 4 + 1] {
            assert_eq!(CpuPicture::new(size, vec![0; bytes]), None);
        }
        assert_eq!(CpuPicture::new(size, vec![0; 18 * 16 * 4]), Some(CpuPicture::black(size)));
    }

    #[test]
    fn its_bytes_are_blue_green_red_and_one_that_means_nothing() {
        let size = FrameSize::new(16, 16).unwrap();
        let red = |last| CpuPicture::new(size, [0, 0, 255, last].repeat(256)).unwrap();
        let (mut picture, mut other) = (I420::new(size), I420::new(FrameSize::new(32, 32).unwrap()));
        red(0).write_i420(&mut picture).unwrap();
        red(200).write_i420(&mut other).unwrap();
        assert_eq!(picture, other);
        // BT.709 in limited range: 16 + 219 × 0.2126 is 63, and the red chroma is at its end.
        let [y, _, v] = picture.planes();
        assert!(
            y.iter().all(|luma| luma.abs_diff(63) <= 1) && v.iter().all(|chroma| chroma.abs_diff(240) <= 1)
        );
    }
}
