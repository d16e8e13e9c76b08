//! The way out for every picture: nothing is dropped, and whoever presents waits for room.
//!
//! It carries marks between the pictures, in order, so that its receiver knows which pictures belong together. A live session has
//! the [mailbox](super::mailbox) instead.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    time::Duration,
};

use renderer_protocol::FrameSize;

use super::{
    ByteOrder, Capture, CaptureError, CpuPicture, FrameClock, FrameSender, MappedFrame,
    pixels::{PixelBytes, Pixels},
    presenter::{Frames, PresentedFrame, Source, Submitting},
    readback::FRAMES_IN_FLIGHT,
};

/// Pictures and marks that may wait. The buffers that pictures are read back into are fewer, so marks do not hold the scene up.
const WAITING: usize = 2 * FRAMES_IN_FLIGHT;

/// Makes a queue whose frames are stamped by this clock.
pub fn queue<M>(clock: FrameClock) -> (FrameSender, Marker<M>, Receiver<M>)
where
    M: Send + 'static,
{
    let (items, waiting) = mpsc::sync_channel(WAITING);
    let closed = Arc::new(AtomicBool::new(false));
    let waits = Arc::new(Waits { clock: FrameClock::real(), total_us: AtomicU64::new(0) });
    let frames = items.clone();
    let post = move |frame| frames.send(Item::Frame(frame)).map_err(|_| Closed);
    let sender = Sender { post: Box::new(post), closed: Arc::clone(&closed), waits: Arc::clone(&waits) };
    let sender =
        FrameSender { frames: Frames::Every(sender), clock, submitting: Arc::new(Submitting::default()) };
    (sender, Marker { items, waits }, Receiver { waiting, closed })
}

enum Item<M> {
    Frame(PresentedFrame),
    Mark(M),
}

/// Nobody receives any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nobody receives any more")]
pub struct Closed;

/// The presenter's end.
pub(super) struct Sender {
    post: Box<dyn Fn(PresentedFrame) -> Result<(), Closed> + Send>,
    closed: Arc<AtomicBool>,
    waits: Arc<Waits>,
}

/// How long the sending side has waited for the receiving one, on a real clock.
#[derive(Debug)]
struct Waits {
    clock: FrameClock,
    total_us: AtomicU64,
}

impl Waits {
    fn during<R>(&self, wait: impl FnOnce() -> R) -> R {
        let started_us = self.clock.now_us();
        let result = wait();
        self.total_us.fetch_add(self.clock.now_us().saturating_sub(started_us), Ordering::Relaxed);
        result
    }
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sender").field("closed", &self.closed).finish_non_exhaustive()
    }
}

impl Sender {
    pub(super) fn make_room(&self, capture: &Capture) {
        self.waits.during(|| capture.wait_for_room());
    }

    pub(super) fn post(&self, frame: PresentedFrame) -> Result<(), Closed> {
        self.waits.during(|| (self.post)(frame))
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}

/// Sets marks.
pub struct Marker<M> {
    items: mpsc::SyncSender<Item<M>>,
    waits: Arc<Waits>,
}

impl<M> Marker<M> {
    /// How long the sending side has waited for room since the beginning, in microseconds of a real clock.
    pub fn waited_us(&self) -> u64 {
        self.waits.total_us.load(Ordering::Relaxed)
    }

    /// Puts a mark after all pictures that were presented before this call; waits for room.
    pub fn mark(&self, mark: M) -> Result<(), Closed> {
        self.waits.during(|| self.items.send(Item::Mark(mark))).map_err(|_| Closed)
    }
}

/// What a receiver is given.
pub enum Received<M> {
    /// A picture was presented.
    Frame(Frame),
    /// A mark was set.
    Mark(M),
    /// Nothing came in time.
    Timeout,
    /// Nothing will come any more.
    Closed,
}

/// The end that reads pictures back.
pub struct Receiver<M> {
    waiting: mpsc::Receiver<Item<M>>,
    closed: Arc<AtomicBool>,
}

impl<M> Receiver<M> {
    /// Blocks until something is there.
    pub fn receive(&self, timeout: Duration) -> Received<M> {
        match self.waiting.recv_timeout(timeout) {
            Ok(Item::Frame(frame)) => Received::Frame(Frame(frame)),
            Ok(Item::Mark(mark)) => Received::Mark(mark),
            Err(mpsc::RecvTimeoutError::Timeout) => Received::Timeout,
            Err(mpsc::RecvTimeoutError::Disconnected) => Received::Closed,
        }
    }
}

impl<M> Drop for Receiver<M> {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Release);
    }
}

/// A picture on its way.
pub struct Frame(PresentedFrame);

impl Frame {
    /// Blocks until the picture is drawn and can be read; see [`InFlight::wait`](super::InFlight::wait).
    pub fn wait(self, timeout: Duration) -> Result<Drawn, CaptureError> {
        match self.0.source {
            Source::Gpu(in_flight) => in_flight.wait(timeout).map(Drawn::Gpu),
            Source::Cpu(picture) => Ok(Drawn::Cpu(picture)),
        }
    }
}

/// A picture that can be read.
#[derive(Debug)]
pub enum Drawn {
    /// In one of the buffers that pictures are read back into, until it is dropped.
    Gpu(MappedFrame),
    /// Drawn on the processor.
    Cpu(CpuPicture),
}

impl Drawn {
    /// Its size.
    pub fn size(&self) -> FrameSize {
        match self {
            Self::Gpu(mapped) => mapped.size(),
            Self::Cpu(picture) => picture.size(),
        }
    }

    /// As [`MappedFrame::write_rgba`].
    pub fn write_rgba(&self, rgba: &mut Vec<u8>) -> bool {
        match self {
            Self::Gpu(mapped) => mapped.write_rgba(rgba),
            Self::Cpu(picture) => {
                let (size, bytes) = (picture.size(), PixelBytes::Eight(ByteOrder::Bgra));
                Pixels { stride: size.width() * 4, bytes }.write_rgba(picture.pixels(), size, rgba);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{PresentInfo, Presented, Presenter, test_gpu};

    const LONG: Duration = Duration::from_mins(1);

    #[test]
    fn every_picture_arrives_and_marks_stand_between_them_however_slow_the_receiver_is() {
        let (device, gpu_queue) = test_gpu::open();
        let size = FrameSize::new(32, 32).unwrap();
        let (sender, marker, receiver) = queue(FrameClock::virtual_at_zero());
        let pictures: u8 = 20;
        let scene = std::thread::spawn(move || {
            let mut presenter = Presenter::new(sender, true);
            for level in 0..pictures {
                let format = wgpu::TextureFormat::Rgba8Unorm;
                let texture = test_gpu::texture((&device, &gpu_queue), size, format, |_, _| vec![level; 4]);
                let result = presenter.present(&device, &gpu_queue, &texture, PresentInfo::default());
                assert_eq!(result, Ok(Presented::Posted));
                marker.mark(level).unwrap();
            }
        });
        let mut levels = Vec::new();
        let mut last = None;
        loop {
            match receiver.receive(LONG) {
                Received::Frame(frame) => {
                    let mut rgba = Vec::new();
                    assert!(frame.wait(LONG).unwrap().write_rgba(&mut rgba));
                    last = Some(rgba[0]);
                    std::thread::sleep(Duration::from_millis(2));
                }
                Received::Mark(mark) => {
                    assert_eq!(last, Some(mark));
                    levels.push(mark);
                }
                Received::Closed => break,
                Received::Timeout => panic!("nothing came"),
            }
        }
        scene.join().unwrap();
        assert_eq!(levels, (0..pictures).collect::<Vec<_>>());
    }

    #[test]
    fn a_picture_of_the_processor_has_its_colours_and_is_opaque() {
        let size = FrameSize::new(16, 16).unwrap();
        let (sender, _marker, receiver) = queue::<()>(FrameClock::virtual_at_zero());
        let picture = CpuPicture::new(size, [10, 20, 30, 0].repeat(256)).unwrap();
        let presented = Presenter::new(sender, true).present_picture(picture, PresentInfo::default());
        assert_eq!(presented, Presented::Posted);
        let Received::Frame(frame) = receiver.receive(LONG) else { panic!("a frame was posted") };
        let mut rgba = Vec::new();
        assert!(frame.wait(LONG).unwrap().write_rgba(&mut rgba));
        assert_eq!(rgba, [30, 20, 10, 255].repeat(256));
    }

    #[test]
    fn a_presenter_without_a_receiver_is_told_so() {
        let (device, gpu_queue) = test_gpu::open();
        let size = FrameSize::new(32, 32).unwrap();
        let (sender, marker, receiver) = queue::<()>(FrameClock::virtual_at_zero());
        drop(receiver);
        let format = wgpu::TextureFormat::Rgba8Unorm;
        let texture = test_gpu::texture((&device, &gpu_queue), size, format, |_, _| vec![0; 4]);
        let mut presenter = Presenter::new(sender, true);
        let result = presenter.present(&device, &gpu_queue, &texture, PresentInfo::default());
        assert_eq!(result, Ok(Presented::Closed));
        assert_eq!(marker.mark(()), Err(Closed));
    }
}
