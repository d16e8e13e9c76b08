//! Pixels from the GPU into memory.
//!
//! On a CPU adapter a capture copies the texture as it is, and the conversion to I420 follows on the processor; on a GPU it
//! converts in a compute shader and copies the result. The difference ends here: a [`MappedFrame`] becomes an [`I420`] either way.
//! Whoever wants the pixels themselves, as headless runs do, has every adapter treated as a CPU.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError, mpsc},
    time::Duration,
};

use futures::FutureExt as _;
use renderer_protocol::FrameSize;

use super::{
    I420,
    convert_cpu::{ByteOrder, ConvertError, convert_to_i420},
    convert_gpu::{Converter, ConverterBuffers},
    i420::Layout,
    pixels::{PixelBytes, Pixels},
};
use crate::gpu::{PollFailure, poll_device};

/// Frames that may be between their presentation and the end of their conversion: one that the pipeline works on, one that waits.
/// More would only make the waiting one older: measured on a CPU and on a GPU, a third adds latency and no throughput.
pub const FRAMES_IN_FLIGHT: usize = 2;

/// What [`Capture`] reads, and so what a scene's surface may have. `-srgb` formats are shown as their stored bytes are.
pub const SUPPORTED_FORMATS: [wgpu::TextureFormat; 5] = [
    wgpu::TextureFormat::Bgra8Unorm,
    wgpu::TextureFormat::Bgra8UnormSrgb,
    wgpu::TextureFormat::Rgba8Unorm,
    wgpu::TextureFormat::Rgba8UnormSrgb,
    wgpu::TextureFormat::Rgba16Float,
];

/// Why a frame could not be read back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaptureError {
    /// A texture that is not what the capture was made for. A bug of the caller.
    #[error("a frame cannot be read back from a texture of {found}; it must be {expected}")]
    Unsuitable {
        /// What the texture is.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// wgpu refused the copy, for example because the texture was destroyed.
    #[error("the GPU refused to read a frame back: {0}")]
    Refused(String),
    /// The work that draws the frame was not done in time; the device is not usable any more.
    #[error("the GPU had not drawn a frame after {waited_ms} ms")]
    Timeout {
        /// How long it was waited for.
        waited_ms: u32,
    },
    /// The device was lost.
    #[error("the GPU device failed while a frame was read back: {0}")]
    Device(String),
}

/// Reads frames of one size and format back.
#[derive(Debug)]
pub struct Capture {
    device: wgpu::Device,
    queue: wgpu::Queue,
    size: FrameSize,
    format: wgpu::TextureFormat,
    method: Method,
    pool: Arc<Pool>,
}

#[derive(Debug)]
enum Method {
    /// Rows as they are, [`Pixels::stride`] bytes apart.
    Copy(Pixels),
    /// The planes of an [`I420`].
    Convert(Converter, ConverterBuffers),
}

impl Capture {
    /// What a texture needs to be captured, beside what it is drawn with.
    pub fn texture_usages(is_cpu: bool, format: wgpu::TextureFormat) -> wgpu::TextureUsages {
        match Pixels::row_of(format, 1) {
            Some(_) if is_cpu => wgpu::TextureUsages::COPY_SRC,
            _ => wgpu::TextureUsages::TEXTURE_BINDING,
        }
    }

    /// The view formats that a texture needs to be captured: the compute shader reads the stored bytes of an `-srgb` format.
    pub fn view_formats(is_cpu: bool, format: wgpu::TextureFormat) -> Vec<wgpu::TextureFormat> {
        if !is_cpu && format.is_srgb() { vec![format.remove_srgb_suffix()] } else { Vec::new() }
    }

    /// For textures of `size` and one of the [`SUPPORTED_FORMATS`]. With `is_cpu`, pixels are converted on the processor, and can
    /// be had [as they are](MappedFrame::write_rgba).
    pub fn new(
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        is_cpu: bool,
        size: FrameSize,
        format: wgpu::TextureFormat,
    ) -> Result<Self, CaptureError> {
        if !SUPPORTED_FORMATS.contains(&format) {
            return Err(CaptureError::Unsuitable {
                found: format!("{format:?}"),
                expected: format!("one of {SUPPORTED_FORMATS:?}"),
            });
        }
        let scope = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let (method, slot_bytes) =
            if let Some(pixels) = Pixels::row_of(format, size.width()).filter(|_| is_cpu) {
                // In range: at most 3840 pixels of 8 bytes a row, and 3840 rows of those, below 2^27.
                (Method::Copy(pixels), pixels.stride * size.height())
            } else {
                let buffers = ConverterBuffers::new(device, queue, size);
                (Method::Convert(Converter::new(device), buffers), Layout::new(size).total_bytes())
            };
        let slots = std::iter::repeat_with(|| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("readback"),
                size: slot_bytes.into(),
                usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
                mapped_at_creation: false,
            })
        });
        let free = Mutex::new(slots.take(FRAMES_IN_FLIGHT).collect());
        let pool = Arc::new(Pool { free, returned: Condvar::new() });
        if let Some(Some(error)) = scope.pop().now_or_never() {
            return Err(CaptureError::Refused(error.to_string()));
        }
        Ok(Self { device: device.clone(), queue: queue.clone(), size, format, method, pool })
    }

    /// The device whose textures this captures.
    pub fn device(&self) -> &wgpu::Device {
        &self.device
    }

    /// The size that this captures.
    pub fn size(&self) -> FrameSize {
        self.size
    }

    /// The format that this captures.
    pub fn format(&self) -> wgpu::TextureFormat {
        self.format
    }

    /// Submits the readback of a texture after everything that has been submitted so far; the texture may be drawn to again at
    /// once. `None`: [`FRAMES_IN_FLIGHT`] are under way, and this one is dropped.
    pub fn capture(&self, texture: &wgpu::Texture) -> Result<Option<InFlight>, CaptureError> {
        self.check(texture)?;
        let Some(slot) = Slot::take(&self.pool) else { return Ok(None) };
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let mut commands =
            self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("readback") });
        match &self.method {
            Method::Copy(pixels) => commands.copy_texture_to_buffer(
                texture.as_image_copy(),
                wgpu::TexelCopyBufferInfo {
                    buffer: &slot.buffer,
                    layout: wgpu::TexelCopyBufferLayout {
                        offset: 0,
                        bytes_per_row: Some(pixels.stride),
                        rows_per_image: None,
                    },
                },
                texture.size(),
            ),
            Method::Convert(converter, buffers) => {
                converter.encode(&self.device, &mut commands, texture, buffers, &slot.buffer);
            }
        }
        let submission = self.queue.submit([commands.finish()]);
        let (mapped_tx, mapped) = mpsc::sync_channel(1);
        slot.buffer.map_async(wgpu::MapMode::Read, .., move |result| {
            // The frame may have been dropped meanwhile; then nobody waits.
            let _ = mapped_tx.try_send(result);
        });
        if let Some(Some(error)) = scope.pop().now_or_never() {
            return Err(CaptureError::Refused(error.to_string()));
        }
        let pixels = match &self.method {
            Method::Copy(pixels) => Some(*pixels),
            Method::Convert(..) => None,
        };
        Ok(Some(InFlight { device: self.device.clone(), submission, mapped, slot, size: self.size, pixels }))
    }

    /// Blocks until a frame that is under way is done with, if as many are as may be. Whoever holds those must not wait for this.
    pub(super) fn wait_for_room(&self) {
        let free = self.pool.free.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |free: &mut Vec<wgpu::Buffer>| free.is_empty();
        drop(self.pool.returned.wait_while(free, full).unwrap_or_else(PoisonError::into_inner));
    }

    fn check(&self, texture: &wgpu::Texture) -> Result<(), CaptureError> {
        let expected =
            wgpu::Extent3d { width: self.size.width(), height: self.size.height(), depth_or_array_layers: 1 };
        let fits = texture.size() == expected
            && texture.format() == self.format
            && texture.sample_count() == 1
            && texture.mip_level_count() == 1
            && texture.dimension() == wgpu::TextureDimension::D2;
        if fits {
            return Ok(());
        }
        Err(CaptureError::Unsuitable {
            found: format!(
                "{:?} in {:?}, {} samples",
                texture.size(),
                texture.format(),
                texture.sample_count()
            ),
            expected: format!("{} in {:?}", self.size, self.format),
        })
    }
}

/// The buffers that are not under way.
#[derive(Debug)]
struct Pool {
    free: Mutex<Vec<wgpu::Buffer>>,
    returned: Condvar,
}

/// A buffer that is under way; goes back to its pool, unmapped, when it is dropped.
#[derive(Debug)]
struct Slot {
    buffer: wgpu::Buffer,
    pool: Arc<Pool>,
}

impl Slot {
    fn take(pool: &Arc<Pool>) -> Option<Self> {
        let buffer = pool.free.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
        Some(Self { buffer, pool: Arc::clone(pool) })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // Ends a mapping that is still pending, too. A copy into the buffer may be under way: the next one is queued behind it.
        self.buffer.unmap();
        self.pool.free.lock().unwrap_or_else(PoisonError::into_inner).push(self.buffer.clone());
        self.pool.returned.notify_one();
    }
}

/// A frame on its way. Dropping it gives its slot back.
#[derive(Debug)]
pub struct InFlight {
    device: wgpu::Device,
    submission: wgpu::SubmissionIndex,
    mapped: mpsc::Receiver<Result<(), wgpu::BufferAsyncError>>,
    slot: Slot,
    size: FrameSize,
    pixels: Option<Pixels>,
}

impl InFlight {
    /// Blocks the calling thread, without using it, until the frame is drawn and can be read.
    ///
    /// [`CaptureError::Timeout`] after `timeout`: a GPU that hangs. Nothing on this device will ever end then.
    pub fn wait(self, timeout: Duration) -> Result<MappedFrame, CaptureError> {
        let timed_out =
            || CaptureError::Timeout { waited_ms: u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX) };
        let wait = wgpu::PollType::Wait { submission_index: Some(self.submission), timeout: Some(timeout) };
        match poll_device(&self.device, wait) {
            Ok(()) => {}
            Err(PollFailure::Timeout) => return Err(timed_out()),
            Err(PollFailure::Lost(reason)) => return Err(CaptureError::Device(reason)),
        }
        // Another thread's poll may have taken the callback and not have called it yet, hence a wait and no look.
        match self.mapped.recv_timeout(timeout) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(CaptureError::Device(error.to_string())),
            Err(mpsc::RecvTimeoutError::Timeout) => return Err(timed_out()),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                return Err(CaptureError::Device("the mapping was given up".to_owned()));
            }
        }
        let view =
            self.slot.buffer.get_mapped_range(..).map_err(|error| CaptureError::Device(error.to_string()))?;
        Ok(MappedFrame { view, _slot: self.slot, size: self.size, pixels: self.pixels })
    }

    /// The frame's size.
    pub fn size(&self) -> FrameSize {
        self.size
    }
}

/// A frame in memory. Dropping it gives its slot back.
#[derive(Debug)]
pub struct MappedFrame {
    // Before the slot: a view must end before its buffer is unmapped, and fields are dropped in this order.
    view: wgpu::BufferView,
    _slot: Slot,
    size: FrameSize,
    pixels: Option<Pixels>,
}

impl MappedFrame {
    /// The frame's size.
    pub fn size(&self) -> FrameSize {
        self.size
    }

    /// Writes the pixels as red, green, blue and an opaque alpha, without padding; `rgba` takes their length. False when the GPU has
    /// converted them, and they are not there.
    pub fn write_rgba(&self, rgba: &mut Vec<u8>) -> bool {
        if let Some(pixels) = &self.pixels {
            pixels.write_rgba(&self.view, self.size, rgba);
        }
        self.pixels.is_some()
    }

    /// Converts, or takes over what was converted already; `picture` takes the frame's size.
    pub fn write_i420(&self, picture: &mut I420) -> Result<(), ConvertError> {
        picture.resize(self.size);
        match self.pixels {
            Some(pixels) => match pixels.bytes {
                PixelBytes::Eight(order) => convert_to_i420(&self.view, pixels.stride, order, picture),
                PixelBytes::HalfFloats => {
                    let mut rgba = Vec::new();
                    pixels.write_rgba(&self.view, self.size, &mut rgba);
                    convert_to_i420(&rgba, self.size.width() * 4, ByteOrder::Rgba, picture)
                }
            },
            None => Ok(picture.copy_from_bytes(&self.view)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{
        convert_cpu::tests::{SIZES, largest_difference, reference, test_pixel},
        test_gpu,
    };

    const LONG: Duration = Duration::from_mins(1);

    fn encoded(format: wgpu::TextureFormat, [r, g, b, a]: [u8; 4]) -> Vec<u8> {
        match format {
            wgpu::TextureFormat::Bgra8Unorm | wgpu::TextureFormat::Bgra8UnormSrgb => vec![b, g, r, a],
            wgpu::TextureFormat::Rgba16Float => [r, g, b, a]
                .into_iter()
                .flat_map(|value| half(f32::from(value) / 255.0).to_le_bytes())
                .collect(),
            _ => vec![r, g, b, a],
        }
    }

    /// The nearest half float, for values from 2^-14 to 2^15 of either sign, and 0.
    fn half(value: f32) -> u16 {
        if value == 0.0 {
            return 0;
        }
        let bits = (value.abs().to_bits() + 0x0FFF) >> 13;
        u16::try_from(bits - (112 << 10)).unwrap() | if value < 0.0 { 0x8000 } else { 0 }
    }

    fn reference_of(size: FrameSize) -> I420 {
        reference(|x, y| std::array::from_fn(|channel| f64::from(test_pixel(x, y)[channel])), size)
    }

    #[test]
    fn every_format_is_read_back_to_one_level_on_both_kinds_of_adapter_and_at_every_size() {
        let (device, queue) = test_gpu::open();
        for (width, height) in SIZES {
            let size = FrameSize::new(width, height).unwrap();
            let expected = reference_of(size);
            for format in SUPPORTED_FORMATS {
                let texture = test_gpu::texture((&device, &queue), size, format, |x, y| {
                    encoded(format, test_pixel(x, y))
                });
                for is_cpu in [true, false] {
                    let capture = Capture::new(&device, &queue, is_cpu, size, format).unwrap();
                    let frame = capture.capture(&texture).unwrap().unwrap().wait(LONG).unwrap();
                    let mut picture = I420::new(FrameSize::new(16, 16).unwrap());
                    frame.write_i420(&mut picture).unwrap();
                    let difference = largest_difference(&picture, &expected);
                    assert!(difference <= 1, "{size} {format:?}, is_cpu {is_cpu}: {difference} levels");
                }
            }
        }
    }

    #[test]
    fn half_floats_outside_of_the_range_are_shown_as_its_ends() {
        let (device, queue) = test_gpu::open();
        let size = FrameSize::new(16, 16).unwrap();
        let format = wgpu::TextureFormat::Rgba16Float;
        let texture = test_gpu::texture((&device, &queue), size, format, |_, _| {
            [7.5, -3.0, 0.0, -1.0].into_iter().flat_map(|value| half(value).to_le_bytes()).collect()
        });
        let capture = Capture::new(&device, &queue, true, size, format).unwrap();
        let mut picture = I420::new(size);
        capture.capture(&texture).unwrap().unwrap().wait(LONG).unwrap().write_i420(&mut picture).unwrap();
        assert!(largest_difference(&picture, &reference(|_, _| [255.0, 0.0, 0.0], size)) <= 1);
    }

    #[test]
    fn pixels_are_the_texture_s_opaque_and_without_padding() {
        let (device, queue) = test_gpu::open();
        let size = FrameSize::new(34, 18).unwrap();
        for format in SUPPORTED_FORMATS {
            let texture =
                test_gpu::texture((&device, &queue), size, format, |x, y| encoded(format, test_pixel(x, y)));
            let capture = Capture::new(&device, &queue, true, size, format).unwrap();
            let frame = capture.capture(&texture).unwrap().unwrap().wait(LONG).unwrap();
            let mut rgba = Vec::new();
            assert!(frame.write_rgba(&mut rgba));
            assert_eq!(rgba.len(), 34 * 18 * 4);
            for (x, y) in [(0, 0), (33, 0), (0, 17), (33, 17), (10, 11)] {
                let position = ((y * 34 + x) * 4) as usize;
                let [r, g, b, _] = test_pixel(x, y);
                assert_eq!(rgba[position..position + 4], [r, g, b, 255], "{format:?}");
            }
        }
    }

    #[test]
    fn a_third_frame_in_flight_is_dropped_and_a_dropped_one_makes_room_again() {
        let (device, queue) = test_gpu::open();
        let size = FrameSize::new(64, 64).unwrap();
        let format = wgpu::TextureFormat::Bgra8Unorm;
        let texture = test_gpu::texture((&device, &queue), size, format, |x, y| test_pixel(x, y).to_vec());
        for is_cpu in [true, false] {
            let capture = Capture::new(&device, &queue, is_cpu, size, format).unwrap();
            let first = capture.capture(&texture).unwrap().unwrap();
            let second = capture.capture(&texture).unwrap().unwrap();
            assert!(capture.capture(&texture).unwrap().is_none());
            drop(first);
            let third = capture.capture(&texture).unwrap().unwrap();
            let mapped = [second.wait(LONG).unwrap(), third.wait(LONG).unwrap()];
            assert!(capture.capture(&texture).unwrap().is_none());
            drop(mapped);
            assert!(capture.capture(&texture).unwrap().is_some());
        }
    }

    #[test]
    fn a_frame_has_the_contents_of_the_moment_when_it_was_captured() {
        let (device, queue) = test_gpu::open();
        let size = FrameSize::new(16, 16).unwrap();
        let format = wgpu::TextureFormat::Rgba8Unorm;
        let texture = test_gpu::texture((&device, &queue), size, format, |_, _| vec![10, 20, 30, 255]);
        let capture = Capture::new(&device, &queue, true, size, format).unwrap();
        let before = capture.capture(&texture).unwrap().unwrap();
        test_gpu::write(&queue, &texture, |_, _| vec![200, 210, 220, 255]);
        let after = capture.capture(&texture).unwrap().unwrap();
        for (captured, pixel) in [(before, [10, 20, 30, 255]), (after, [200, 210, 220, 255])] {
            let mut rgba = Vec::new();
            assert!(captured.wait(LONG).unwrap().write_rgba(&mut rgba));
            assert_eq!(rgba[..4], pixel);
        }
    }

    #[test]
    fn a_texture_that_does_not_fit_or_was_destroyed_is_an_error_and_takes_no_slot() {
        let (device, queue) = test_gpu::open();
        let size = FrameSize::new(64, 64).unwrap();
        let format = wgpu::TextureFormat::Bgra8Unorm;
        let make = |width, height, format| {
            let size = FrameSize::new(width, height).unwrap();
            test_gpu::texture((&device, &queue), size, format, |_, _| vec![0; 4])
        };
        for is_cpu in [true, false] {
            let capture = Capture::new(&device, &queue, is_cpu, size, format).unwrap();
            for texture in [make(64, 32, format), make(64, 64, wgpu::TextureFormat::Rgba8Unorm)] {
                assert!(matches!(capture.capture(&texture), Err(CaptureError::Unsuitable { .. })));
            }
            for _ in 0..=FRAMES_IN_FLIGHT {
                let destroyed = make(64, 64, format);
                destroyed.destroy();
                assert!(matches!(capture.capture(&destroyed), Err(CaptureError::Refused(_))));
            }
            assert!(capture.capture(&make(64, 64, format)).unwrap().is_some());
        }
        let depth = wgpu::TextureFormat::Depth32Float;
        assert!(matches!(
            Capture::new(&device, &queue, true, size, depth),
            Err(CaptureError::Unsuitable { .. })
        ));
    }

    #[test]
    fn a_frame_that_is_not_drawn_in_time_is_a_timeout_and_gives_its_slot_back() {
        let (device, queue) = test_gpu::open();
        let size = FrameSize::new(3840, 2160).unwrap();
        let format = wgpu::TextureFormat::Rgba8Unorm;
        let texture = test_gpu::texture((&device, &queue), size, format, |_, _| vec![0; 4]);
        // The shader needs tens of milliseconds for this picture on a software driver.
        let capture = Capture::new(&device, &queue, false, size, format).unwrap();
        for _ in 0..=FRAMES_IN_FLIGHT {
            let frame = capture.capture(&texture).unwrap().unwrap();
            assert_eq!(frame.wait(Duration::ZERO).unwrap_err(), CaptureError::Timeout { waited_ms: 0 });
        }
        capture.capture(&texture).unwrap().unwrap().wait(LONG).unwrap();
    }
}
