//! Pictures to encode.

use renderer_protocol::FrameSize;

use crate::frame::I420;

/// A picture whose every sample comes from a function of plane, column and row.
pub(crate) fn picture(size: FrameSize, sample: impl Fn(usize, u32, u32) -> u8) -> I420 {
    let mut picture = I420::new(size);
    let strides = [picture.luma_stride(), picture.chroma_stride(), picture.chroma_stride()];
    for (plane, (samples, stride)) in picture.planes_mut().into_iter().zip(strides).enumerate() {
        let halved = if plane == 0 { 1 } else { 2 };
        for y in 0..size.height() / halved {
            for x in 0..size.width() / halved {
                samples[(y * stride + x) as usize] = sample(plane, x, y);
            }
        }
    }
    picture
}

/// Blocks of colour that move four pixels a frame before a slope of light: what a drawn scene is like.
pub(crate) fn moving(size: FrameSize, frame: u32) -> I420 {
    picture(size, |plane, x, y| {
        let scale = if plane == 0 { 1 } else { 2 };
        let (x, y) = (x * scale + 4 * frame, y * scale);
        let block = (x / 64 + 3 * (y / 64)) % 5;
        let level = match plane {
            0 => 40 + 30 * block + (y * 40 / size.height()),
            1 => 90 + 15 * block,
            _ => 170 - 15 * block,
        };
        u8::try_from(level).unwrap()
    })
}

/// What no encoder can predict.
pub(crate) fn noise(size: FrameSize, frame: u32) -> I420 {
    picture(size, |plane, x, y| {
        let seed =
            x.wrapping_mul(0x9E37_79B1) ^ y.wrapping_mul(0x85EB_CA77) ^ frame.wrapping_mul(0x27D4_EB2F);
        let hash = seed.rotate_left(13).wrapping_mul(0xC2B2_AE3D);
        if plane == 0 { 16 + hash.to_le_bytes()[3] % 219 } else { 128 }
    })
}
