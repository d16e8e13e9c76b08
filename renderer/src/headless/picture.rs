//! A picture that was read back.

use renderer_protocol::FrameSize;

/// Bytes of a pixel.
const PIXEL_BYTES: u32 = 4;

/// Rows of pixels from the top, without padding; a pixel is red, green, blue and 255, as stored in the surface: encoded as a screen
/// takes it, that is, sRGB. What a scene gives as alpha is not shown, and so not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    size: FrameSize,
    rgba: Vec<u8>,
}

impl Picture {
    /// Takes pixels over. `None`: they are more or fewer than a picture of this size has.
    pub fn new(size: FrameSize, rgba: Vec<u8>) -> Option<Self> {
        (rgba.len() == Self::bytes(size)).then_some(Self { size, rgba })
    }

    /// Takes pixels of three bytes. `None`: they are more or fewer than a picture of this size has.
    pub fn from_rgb(size: FrameSize, rgb: &[u8]) -> Option<Self> {
        let (pixels, rest) = rgb.as_chunks::<3>();
        let rgba = pixels.iter().flat_map(|[r, g, b]| [*r, *g, *b, u8::MAX]).collect();
        Self::new(size, rgba).filter(|_| rest.is_empty())
    }

    /// The length of a picture's pixels: at most 33 MB, for the largest [`FrameSize`].
    pub fn bytes(size: FrameSize) -> usize {
        (size.width() * size.height() * PIXEL_BYTES) as usize
    }

    /// Its size.
    pub fn size(&self) -> FrameSize {
        self.size
    }

    /// Its pixels.
    pub fn rgba(&self) -> &[u8] {
        &self.rgba
    }

    /// Its pixels without the fourth byte.
    pub fn to_rgb(&self) -> Vec<u8> {
        let (pixels, _) = self.rgba.as_chunks::<4>();
        let mut rgb = vec![0; pixels.len() * 3];
        let (to, _) = rgb.as_chunks_mut::<3>();
        for ([r, g, b, _], to) in pixels.iter().zip(to) {
            *to = [*r, *g, *b];
        }
        rgb
    }
}
