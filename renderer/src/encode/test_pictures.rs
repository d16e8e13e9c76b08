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

/// A large soft shape that turns slowly: light changes by little from frame to frame, and everywhere.
pub(crate) fn turning(size: FrameSize, frame: u32) -> I420 {
    let (width, height) = (f64::from(size.width()), f64::from(size.height()));
    let (sin, cos) = (f64::from(frame) * 0.02).sin_cos();
    picture(size, |plane, x, y| {
        let scale = if plane == 0 { 1.0 } else { 2.0 };
        let (x, y) =
            (f64::from(x) * scale / height - width / height / 2.0, f64::from(y) * scale / height - 0.5);
        let (u, v) = (x * cos - y * sin, x * sin + y * cos);
        let inside = v > -0.3 && v + 1.7 * u.abs() < 0.4;
        let level = match (plane, inside) {
            (0, true) => 130.0 + 120.0 * u,
            (0, false) => 40.0,
            (1, true) => 128.0 + 110.0 * v,
            (2, true) => 128.0 + 110.0 * u,
            _ => 128.0,
        };
        // In range by the coefficients above: 8 to 250.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let level = level.clamp(16.0, 235.0) as u8;
        level
    })
}
