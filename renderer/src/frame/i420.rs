//! A picture in the encoder's form.

use renderer_protocol::FrameSize;

/// Rows of luma begin at multiples of this many bytes, rows of chroma at half of it: the compute shader writes 8 × 2 pixels as
/// whole 32-bit words, so that what it wrote can be taken over in one copy.
const LUMA_ALIGNMENT: u32 = 8;

/// Planar YCbCr, 4:2:0, 8 bit, BT.709, limited range (16 to 235 and 16 to 240).
///
/// One allocation holds the three planes, one after the other: Y, then U (Cb), then V (Cr). It is made once for a size and used
/// for every frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct I420 {
    layout: Layout,
    bytes: Vec<u8>,
}

/// Where the planes of a picture lie within its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    size: FrameSize,
}

impl Layout {
    pub(super) fn new(size: FrameSize) -> Self {
        Self { size }
    }

    pub(super) fn size(self) -> FrameSize {
        self.size
    }

    /// Bytes from one row of luma to the next.
    pub(super) fn luma_stride(self) -> u32 {
        self.size.width().next_multiple_of(LUMA_ALIGNMENT)
    }

    /// Bytes from one row of chroma to the next.
    pub(super) fn chroma_stride(self) -> u32 {
        self.luma_stride() / 2
    }

    /// Bytes of the plane Y. In range: a [`FrameSize`] has at most 8.3 million pixels, and the alignment adds 7 to a row.
    pub(super) fn luma_bytes(self) -> u32 {
        self.luma_stride() * self.size.height()
    }

    /// Bytes of each of the planes U and V.
    pub(super) fn chroma_bytes(self) -> u32 {
        self.luma_bytes() / 4
    }

    /// Bytes of all planes; a multiple of 4.
    pub(super) fn total_bytes(self) -> u32 {
        self.luma_bytes() + 2 * self.chroma_bytes()
    }
}

impl I420 {
    /// A black picture.
    pub fn new(size: FrameSize) -> Self {
        let layout = Layout::new(size);
        let mut bytes = vec![128; layout.total_bytes() as usize];
        if let Some(luma) = bytes.get_mut(..layout.luma_bytes() as usize) {
            luma.fill(16);
        }
        Self { layout, bytes }
    }

    /// Width and height in pixels.
    pub fn size(&self) -> FrameSize {
        self.layout.size
    }

    /// The planes Y, U and V, from the first byte of their first row. Rows are [`luma_stride`](Self::luma_stride) or
    /// [`chroma_stride`](Self::chroma_stride) bytes apart; what lies between the width and the stride means nothing.
    pub fn planes(&self) -> [&[u8]; 3] {
        let (luma, chroma) = self.bytes.split_at(self.layout.luma_bytes() as usize);
        let (u, v) = chroma.split_at(self.layout.chroma_bytes() as usize);
        [luma, u, v]
    }

    /// As [`planes`](Self::planes), to be written.
    pub fn planes_mut(&mut self) -> [&mut [u8]; 3] {
        let (luma, chroma) = self.bytes.split_at_mut(self.layout.luma_bytes() as usize);
        let (u, v) = chroma.split_at_mut(self.layout.chroma_bytes() as usize);
        [luma, u, v]
    }

    /// Bytes from one row of Y to the next.
    pub fn luma_stride(&self) -> u32 {
        self.layout.luma_stride()
    }

    /// Bytes from one row of U or V to the next.
    pub fn chroma_stride(&self) -> u32 {
        self.layout.chroma_stride()
    }

    /// Makes this a picture of `size`, black if that is another than before.
    pub fn resize(&mut self, size: FrameSize) {
        if size != self.size() {
            *self = Self::new(size);
        }
    }

    /// Takes over bytes that lie as this picture's planes do.
    pub(super) fn copy_from_bytes(&mut self, bytes: &[u8]) -> Result<(), WrongLength> {
        if bytes.len() != self.bytes.len() {
            return Err(WrongLength { expected: self.bytes.len(), found: bytes.len() });
        }
        self.bytes.copy_from_slice(bytes);
        Ok(())
    }
}

/// A buffer does not hold the picture that it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a buffer of {found} bytes does not hold the {expected} bytes of the picture")]
pub(super) struct WrongLength {
    pub(super) expected: usize,
    pub(super) found: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_planes_of_every_even_size_are_whole_words_and_cover_the_picture() {
        for width in (16..80).step_by(2) {
            for height in [16, 18, 720] {
                let picture = I420::new(FrameSize::new(width, height).unwrap());
                let [y, u, v] = picture.planes();
                assert_eq!(y.len(), (picture.luma_stride() * height) as usize);
                assert_eq!(u.len(), (picture.chroma_stride() * height / 2) as usize);
                assert_eq!(u.len(), v.len());
                assert!(picture.luma_stride() >= width && picture.luma_stride().is_multiple_of(8));
                assert_eq!((y.len() % 4, u.len() % 4), (0, 0));
            }
        }
    }

    #[test]
    fn a_new_picture_is_black_and_a_new_size_makes_it_black_again() {
        let mut picture = I420::new(FrameSize::new(32, 16).unwrap());
        picture.planes_mut()[0].fill(200);
        picture.resize(FrameSize::new(32, 16).unwrap());
        assert_eq!(picture.planes()[0][0], 200);
        picture.resize(FrameSize::new(16, 32).unwrap());
        assert_eq!(picture, I420::new(FrameSize::new(16, 32).unwrap()));
        assert_eq!((picture.planes()[0][0], picture.planes()[1][0], picture.planes()[2][0]), (16, 128, 128));
    }
}
