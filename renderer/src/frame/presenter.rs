//! The scene's end of the pipeline: takes textures of its surface, and pictures that it drew on the processor.

use renderer_protocol::FrameSize;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::{Capture, CaptureError, CpuPicture, FrameClock, InFlight, mailbox, queue};

/// What the scene's side knows of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PresentInfo {
    /// When it was presented, by the frame clock.
    pub pts_us: u64,
    /// The highest input sequence that the scene had been given before it drew; 0 for none.
    pub input_sequence: u64,
    /// From the tick until the scene presented.
    pub scene_us: u32,
}

/// A frame on its way to the pipeline.
#[derive(Debug)]
pub(super) struct PresentedFrame {
    pub(super) source: Source,
    pub(super) info: PresentInfo,
    /// When the readback was submitted; for pixels, when they were presented.
    pub(super) submitted_us: u64,
}

/// Where a frame's pixels are.
#[derive(Debug)]
pub(super) enum Source {
    /// On their way out of the GPU.
    Gpu(InFlight),
    /// Here.
    Cpu(CpuPicture),
}

impl Source {
    pub(super) fn size(&self) -> FrameSize {
        match self {
            Self::Gpu(in_flight) => in_flight.size(),
            Self::Cpu(picture) => picture.size(),
        }
    }
}

/// What became of a presented frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presented {
    /// It waits for the pipeline; a frame that waited before it is dropped.
    Posted,
    /// It is dropped: the frames before it are still being read back.
    Dropped,
    /// There is no pipeline any more.
    Closed,
}

/// Since when the presenter is submitting a readback, if it is. Drivers may block there until earlier work is done: Mesa's
/// software driver does.
#[derive(Debug)]
pub(super) struct Submitting {
    since_us: AtomicU64,
}

/// A clock never gets there.
const NOT_SUBMITTING: u64 = u64::MAX;

impl Default for Submitting {
    fn default() -> Self {
        Self { since_us: AtomicU64::new(NOT_SUBMITTING) }
    }
}

impl Submitting {
    /// 0 when it is not.
    pub(super) fn elapsed_us(&self, now_us: u64) -> u64 {
        now_us.saturating_sub(self.since_us.load(Ordering::Acquire))
    }

    fn begin(&self, now_us: u64) {
        self.since_us.store(now_us, Ordering::Release);
    }

    fn end(&self) {
        self.since_us.store(NOT_SUBMITTING, Ordering::Release);
    }
}

/// Presents pictures; belongs to the scene's thread. It never waits for a pipeline, and for the GPU only where the driver does
/// so when work is submitted; when that hangs, the pipeline ends with a time-out. For a [`queue`](queue::queue()) it waits.
#[derive(Debug)]
pub struct Presenter {
    sender: FrameSender,
    is_cpu: bool,
    capture: Option<Capture>,
}

/// Where a presenter posts its frames; [`Pipeline::spawn`](super::Pipeline::spawn) or a [`queue`](queue::queue()) makes it, before
/// there needs to be a device.
#[derive(Debug)]
pub struct FrameSender {
    pub(super) frames: Frames,
    pub(super) clock: FrameClock,
    pub(super) submitting: Arc<Submitting>,
}

/// What becomes of a frame when the one before it is still being read back.
#[derive(Debug)]
pub(super) enum Frames {
    /// The latest wins, and nobody waits.
    Latest(mailbox::Sender<PresentedFrame>),
    /// Each is read back, and the scene waits.
    Every(queue::Sender),
}

impl Frames {
    fn is_closed(&self) -> bool {
        match self {
            Self::Latest(mailbox) => mailbox.is_closed(),
            Self::Every(queue) => queue.is_closed(),
        }
    }

    fn make_room(&self, capture: &Capture) {
        match self {
            // An older frame that still waits would be replaced in any case; without it there is always a slot for this one, unless
            // the pipeline holds the other.
            Self::Latest(mailbox) => drop(mailbox.retract()),
            Self::Every(queue) => queue.make_room(capture),
        }
    }

    fn count_lost(&self) {
        match self {
            Self::Latest(mailbox) => mailbox.count_lost(),
            Self::Every(_) => {}
        }
    }

    fn post(&self, frame: PresentedFrame) -> Presented {
        let closed = match self {
            Self::Latest(mailbox) => mailbox.post(frame).is_err(),
            Self::Every(queue) => queue.post(frame).is_err(),
        };
        if closed { Presented::Closed } else { Presented::Posted }
    }
}

impl Presenter {
    /// `is_cpu`: textures come from the devices of a software rasteriser, or are wanted as they are.
    pub fn new(sender: FrameSender, is_cpu: bool) -> Self {
        Self { sender, is_cpu, capture: None }
    }

    /// Whether textures come from the devices of a software rasteriser, or are wanted as they are.
    pub fn is_cpu(&self) -> bool {
        self.is_cpu
    }

    /// Presents a texture with what was submitted to draw it so far. Its contents are taken at this point of the queue, so it may
    /// be drawn to again right after: one texture is enough for a surface, and keeps the caches warm.
    ///
    /// It needs one of the [`SUPPORTED_FORMATS`](super::readback::SUPPORTED_FORMATS), the [`Capture::texture_usages`] and
    /// [`Capture::view_formats`], and a size that is a [`FrameSize`].
    pub fn present(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        texture: &wgpu::Texture,
        info: PresentInfo,
    ) -> Result<Presented, CaptureError> {
        if self.sender.frames.is_closed() {
            return Ok(Presented::Closed);
        }
        let submitted_us = self.sender.clock.now_us();
        let capture = self.capture_for(device, queue, texture)?;
        self.sender.frames.make_room(&capture);
        self.sender.submitting.begin(submitted_us);
        let captured = capture.capture(texture);
        self.sender.submitting.end();
        self.capture = Some(capture);
        let Some(in_flight) = captured? else {
            self.sender.frames.count_lost();
            return Ok(Presented::Dropped);
        };
        Ok(self.sender.frames.post(PresentedFrame { source: Source::Gpu(in_flight), info, submitted_us }))
    }

    /// Presents a picture that was drawn on the processor. In a pipeline it takes the place of a frame that still waits, so besides it at
    /// most one is kept: the one that the pipeline converts.
    pub fn present_picture(&mut self, picture: CpuPicture, info: PresentInfo) -> Presented {
        let submitted_us = self.sender.clock.now_us();
        self.sender.frames.post(PresentedFrame { source: Source::Cpu(picture), info, submitted_us })
    }

    fn capture_for(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        texture: &wgpu::Texture,
    ) -> Result<Capture, CaptureError> {
        let size =
            FrameSize::new(texture.width(), texture.height()).map_err(|error| CaptureError::Unsuitable {
                found: format!("{}x{}", texture.width(), texture.height()),
                expected: error.to_string(),
            })?;
        let fitting = self.capture.take().filter(|capture| {
            capture.device() == device && capture.size() == size && capture.format() == texture.format()
        });
        match fitting {
            Some(capture) => Ok(capture),
            None => Capture::new(device, queue, self.is_cpu, size, texture.format()),
        }
    }
}
