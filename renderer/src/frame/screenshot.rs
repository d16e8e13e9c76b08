//! The last picture as a PNG file, made on a thread of its own: neither the scene nor the pipeline waits for the compression.

use std::{sync::mpsc, time::Duration};

use image::{
    ExtendedColorType, ImageEncoder as _, RgbImage,
    codecs::png::{CompressionType, FilterType, PngEncoder},
    imageops,
};
use renderer_protocol::from_worker::MAX_SCREENSHOT_BYTES;
use tracing::warn;
use yuv::{YuvPlanarImage, YuvRange, YuvStandardMatrix};

use super::{I420, PipelineHandle};

/// How long the pipeline may be busy with a frame and with a broker that does not read; who asked has given up by then.
const PICTURE_TIMEOUT: Duration = Duration::from_secs(4);

/// Takes screenshots, one after the other.
#[derive(Debug)]
pub struct Screenshots {
    asked: mpsc::SyncSender<()>,
}

impl Screenshots {
    /// Starts the thread, which ends with this value. `deliver` is given each PNG file, or nothing when there is no picture yet; it
    /// may block.
    pub fn spawn(
        pipeline: PipelineHandle,
        mut deliver: impl FnMut(Vec<u8>) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (asked, requests) = mpsc::sync_channel(1);
        std::thread::Builder::new().name("screenshots".to_owned()).spawn(move || {
            for () in requests {
                let picture = pipeline.picture(PICTURE_TIMEOUT);
                deliver(picture.map(|picture| to_png(&picture)).unwrap_or_default());
            }
        })?;
        Ok(Self { asked })
    }

    /// Asks for one. A broker asks for the next when it has been given this one; what it asks beyond one that waits is not answered.
    pub fn take(&self) {
        let _ = self.asked.try_send(());
    }
}

/// At the picture's size, or at half of its sides where that would be too large for a message. Nothing if it cannot be made.
fn to_png(picture: &I420) -> Vec<u8> {
    let Some(image) = to_rgb(picture) else { return Vec::new() };
    let png = encode(&image);
    if png.len() <= MAX_SCREENSHOT_BYTES {
        return png;
    }
    // A quarter of the largest picture's pixels has 6 MB even if nothing of it can be compressed.
    let png = encode(&imageops::thumbnail(&image, image.width() / 2, image.height() / 2));
    if png.len() <= MAX_SCREENSHOT_BYTES { png } else { Vec::new() }
}

fn to_rgb(picture: &I420) -> Option<RgbImage> {
    let (width, height) = picture.size().into();
    let [y_plane, u_plane, v_plane] = picture.planes();
    let planes = YuvPlanarImage {
        y_plane,
        y_stride: picture.luma_stride(),
        u_plane,
        u_stride: picture.chroma_stride(),
        v_plane,
        v_stride: picture.chroma_stride(),
        width,
        height,
    };
    let mut image = RgbImage::new(width, height);
    let converted =
        yuv::yuv420_to_rgb(&planes, &mut image, width * 3, YuvRange::Limited, YuvStandardMatrix::Bt709);
    if let Err(error) = converted {
        warn!(%error, "a screenshot could not be made");
        return None;
    }
    Some(image)
}

fn encode(image: &RgbImage) -> Vec<u8> {
    let mut png = Vec::new();
    let encoder = PngEncoder::new_with_quality(&mut png, CompressionType::Fast, FilterType::Adaptive);
    match encoder.write_image(image, image.width(), image.height(), ExtendedColorType::Rgb8) {
        Ok(()) => png,
        Err(error) => {
            warn!(%error, "a screenshot could not be compressed");
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use renderer_protocol::{FrameSize, FromWorker};

    use super::*;
    use crate::frame::{ByteOrder, convert_to_i420};

    fn picture(size: FrameSize, pixel: impl Fn(u32, u32) -> [u8; 4]) -> I420 {
        let mut pixels = Vec::new();
        for y in 0..size.height() {
            for x in 0..size.width() {
                pixels.extend(pixel(x, y));
            }
        }
        let mut picture = I420::new(size);
        convert_to_i420(&pixels, size.width() * 4, ByteOrder::Rgba, &mut picture).unwrap();
        picture
    }

    #[test]
    fn a_screenshot_shows_the_picture() {
        let size = FrameSize::new(62, 34).unwrap();
        let colours = |x: u32, y: u32| {
            let [r, g, b] = [[200, 30, 40], [20, 180, 60], [250, 250, 250], [0, 0, 0]]
                [usize::from(x >= 32) + 2 * usize::from(y >= 16)];
            [r, g, b, 255]
        };
        let png = to_png(&picture(size, colours));
        assert!(FromWorker::Screenshot { png: png.clone() }.check().is_ok());
        let image = image::load_from_memory(&png).unwrap().to_rgb8();
        assert_eq!(image.dimensions(), (62, 34));
        for (x, y, pixel) in image.enumerate_pixels() {
            let expected = colours(x, y);
            let differs = pixel.0.iter().zip(expected).any(|(found, wanted)| found.abs_diff(wanted) > 3);
            assert!(!differs, "at {x},{y}: {pixel:?} instead of {expected:?}");
        }
    }

    #[test]
    fn a_picture_that_does_not_fit_into_a_message_is_halved() {
        let noise = |x: u32, y: u32| {
            let hash = (x.wrapping_mul(0x9E37_79B1) ^ y.wrapping_mul(0x85EB_CA77)).wrapping_mul(0xC2B2_AE3D);
            (hash ^ (hash >> 15)).wrapping_mul(0x27D4_EB2F).to_le_bytes()
        };
        let png = to_png(&picture(FrameSize::new(3840, 2160).unwrap(), noise));
        assert!(FromWorker::Screenshot { png: png.clone() }.check().is_ok());
        let size = &png[16..24];
        assert_eq!(size, [1920_u32.to_be_bytes(), 1080_u32.to_be_bytes()].concat());
    }
}
