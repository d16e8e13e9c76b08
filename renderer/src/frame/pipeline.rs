//! The thread that turns presented frames into access units, and its policies.
//!
//! - The latest frame wins; what it replaced is counted and reported.
//! - A frame whose picture equals the one before is not encoded.
//! - When a picture stops changing it is encoded again for up to a second, until there is nothing left to say about it: motion is
//!   encoded coarsely, and what stands still is looked at. At 720p and 2 Mb/s this takes a picture from 32 to 41 dB in half a second.
//! - After that it is encoded about once a second: a keep-alive of a few dozen bytes, by which receivers tell a still scene from a
//!   dead stream.
//! - A keyframe that is asked for comes at once, from the last picture when there is no new one: a viewer who joins a still scene
//!   sees it.
//! - A picture that the rate control leaves out is tried again after a few frames' time, unless a newer one has come: what stands
//!   still at last is always shown.
//! - Pictures are encoded at the frame rate, at most; a scene that presents faster has the latest of them shown.
//! - While nobody watches nothing is encoded.
//!
//! Between frames the thread sleeps. It keeps two pictures and an encoder, all made anew only when the size changes.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::Duration,
};

use renderer_protocol::{AccessUnit, EndReason, FrameSize, SceneFault, StageTimes};

use super::{
    CaptureError, FrameClock, I420,
    convert_cpu::ConvertError,
    cpu_time,
    mailbox::{self, Nudger, Received, mailbox},
    presenter::{FrameSender, Frames, PresentedFrame, Source, Submitting},
};
use crate::encode::{EncodeError, Encoder, EncoderConfig};

/// How long a frame may take to be drawn. A scene that draws for longer is not interactive at all; a GPU that hangs, hangs.
pub const GPU_TIMEOUT_MS: u32 = 5_000;
/// From the last access unit of a picture that does not change to the next.
pub const KEEP_ALIVE_US: u64 = 1_000_000;
/// For how long after it changed a picture is refined, at most.
pub const SETTLE_US: u64 = 1_000_000;
/// A picture is encoded again only after this many frames' time without a new one: a frame that is a little late must not find
/// the encoder at work on the one before.
const STILL_AFTER_FRAMES: u64 = 3;
/// A new picture is encoded when this many quarters of a frame's time have passed since the last one: a tick that comes early
/// after a late one is not held back, and a scene that presents without pause is.
const PACE_QUARTERS: u64 = 3;
/// An access unit below this adds nothing to a picture that anyone sees…
const SETTLED_BYTES: usize = 200;
/// …if so many in a row are: one alone may be the rate control saving up after the motion.
const SETTLED_UNITS: u32 = 3;
/// The thread looks this often, at least, whether the presenter is stuck: a second more or less does not matter to a time-out of
/// five, and one wake a second costs nothing.
const WATCH_US: u64 = 1_000_000;

/// What a pipeline needs.
#[derive(Clone, Debug)]
pub struct PipelineConfig {
    /// The clock of the frames' `pts_us`.
    pub clock: FrameClock,
    /// The rate that frames come at, at most.
    pub frame_rate_hz: u32,
    /// The encoder's first target.
    pub bitrate_bps: u32,
    /// As [`EncoderConfig::threads`].
    pub encoder_threads: u16,
    /// The default, but for tests.
    pub timing: Timing,
}

/// How long a pipeline waits for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// [`KEEP_ALIVE_US`].
    pub keep_alive_us: u64,
    /// [`SETTLE_US`].
    pub settle_us: u64,
    /// [`GPU_TIMEOUT_MS`].
    pub gpu_timeout_ms: u32,
}

impl Default for Timing {
    fn default() -> Self {
        Self { keep_alive_us: KEEP_ALIVE_US, settle_us: SETTLE_US, gpu_timeout_ms: GPU_TIMEOUT_MS }
    }
}

/// What comes out of a pipeline.
#[derive(Debug)]
pub enum Output {
    /// One encoded picture.
    AccessUnit(AccessUnit),
    /// Frames that were presented but replaced before they were encoded, since the last report.
    FramesDropped {
        /// How many.
        count: u32,
    },
    /// The last output.
    Ended(PipelineEnd),
}

/// Where outputs go.
pub trait Sink: Send + 'static {
    /// Hands over an output; blocks while there is no room. The pipeline then takes no frames, and the newest one waits in the
    /// mailbox: a slow receiver costs pictures and not their age.
    fn send(&mut self, output: Output) -> Result<(), SinkClosed>;
}

/// Nobody takes outputs any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nobody takes the pipeline's output any more")]
pub struct SinkClosed;

impl Sink for tokio::sync::mpsc::Sender<Output> {
    fn send(&mut self, output: Output) -> Result<(), SinkClosed> {
        self.blocking_send(output).map_err(|_| SinkClosed)
    }
}

/// Why a pipeline ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PipelineEnd {
    /// It was stopped, or its presenter is gone.
    #[error("the pipeline was stopped")]
    Stopped,
    /// The scene's work hangs on the GPU. The device will never answer again; only the end of the process frees it.
    #[error("the GPU had not drawn a frame after {waited_ms} ms")]
    GpuTimeout {
        /// How long it was waited for.
        waited_ms: u32,
    },
    /// A frame could not be read back.
    #[error(transparent)]
    Capture(CaptureError),
    /// A frame could not be converted.
    #[error(transparent)]
    Convert(#[from] ConvertError),
    /// A picture could not be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// Nobody takes the output.
    #[error(transparent)]
    Sink(#[from] SinkClosed),
}

impl From<CaptureError> for PipelineEnd {
    fn from(error: CaptureError) -> Self {
        match error {
            CaptureError::Timeout { waited_ms } => Self::GpuTimeout { waited_ms },
            error => Self::Capture(error),
        }
    }
}

impl From<PipelineEnd> for EndReason {
    fn from(end: PipelineEnd) -> Self {
        match end {
            PipelineEnd::Stopped | PipelineEnd::Sink(SinkClosed) => Self::Stopped,
            PipelineEnd::GpuTimeout { waited_ms } => Self::Scene(SceneFault::GpuTimeout { waited_ms }),
            end @ (PipelineEnd::Capture(_) | PipelineEnd::Convert(_) | PipelineEnd::Encode(_)) => {
                Self::Internal(end.to_string())
            }
        }
    }
}

/// What can be asked of a running pipeline. Later values replace earlier ones that it has not seen yet.
#[derive(Debug)]
struct Controls {
    keyframe: AtomicBool,
    bitrate_bps: AtomicU32,
    watched: AtomicBool,
    /// Who waits for a copy of the picture; a later one takes the place of an earlier one, which then gets none.
    picture: Mutex<Option<PictureSlot>>,
}

/// Where the pipeline puts a copy of its picture for whoever asked.
type PictureSlot = mpsc::SyncSender<Option<I420>>;

/// Controls a pipeline from other threads; none of its calls waits, but for [`Self::picture`].
#[derive(Clone, Debug)]
pub struct PipelineHandle {
    controls: Arc<Controls>,
    nudger: Nudger<PresentedFrame>,
}

impl PipelineHandle {
    /// The next access unit shall be an IDR, and shall come at once if there is a picture. Any number before it are one.
    pub fn request_keyframe(&self) {
        self.controls.keyframe.store(true, Ordering::Release);
        self.nudger.nudge();
    }

    /// The encoder's new target.
    pub fn set_bitrate(&self, bitrate_bps: u32) {
        self.controls.bitrate_bps.store(bitrate_bps, Ordering::Release);
        self.nudger.nudge();
    }

    /// False while nobody watches.
    pub fn set_watched(&self, watched: bool) {
        self.controls.watched.store(watched, Ordering::Release);
        self.nudger.nudge();
    }

    /// A copy of the last picture, as viewers see it; `None` when there is none yet, or the pipeline is busy for longer than `timeout`.
    /// Waits for the frame that it works on.
    pub fn picture(&self, timeout: Duration) -> Option<I420> {
        let (slot, picture) = mpsc::sync_channel(1);
        *self.controls.picture.lock().unwrap_or_else(PoisonError::into_inner) = Some(slot);
        self.nudger.nudge();
        picture.recv_timeout(timeout).ok().flatten()
    }

    /// Ends the pipeline, after the frame that it works on; [`Output::Ended`] says when.
    pub fn stop(&self) {
        self.nudger.close();
    }
}

/// A running pipeline.
#[derive(Debug)]
pub struct Pipeline {
    /// To be given to a [`Presenter`](super::Presenter).
    pub frames: FrameSender,
    /// To control it.
    pub handle: PipelineHandle,
    /// Ends after [`Output::Ended`] is sent, with the same value.
    pub thread: JoinHandle<PipelineEnd>,
}

impl Pipeline {
    /// Starts the thread. An error is the operating system's, which has no thread for us.
    pub fn spawn(config: PipelineConfig, sink: impl Sink) -> std::io::Result<Self> {
        let (sender, receiver) = mailbox();
        let controls = Arc::new(Controls {
            keyframe: AtomicBool::new(false),
            bitrate_bps: AtomicU32::new(config.bitrate_bps),
            watched: AtomicBool::new(true),
            picture: Mutex::new(None),
        });
        let handle = PipelineHandle { controls: Arc::clone(&controls), nudger: receiver.nudger() };
        let submitting = Arc::new(Submitting::default());
        let frames = FrameSender {
            frames: Frames::Latest(sender),
            clock: config.clock.clone(),
            submitting: Arc::clone(&submitting),
        };
        let worker = Worker {
            controls,
            frames: receiver,
            submitting,
            sink,
            encoder: None,
            picture: None,
            spare: None,
            left_out: 0,
            reported_us: None,
            config,
        };
        let thread = std::thread::Builder::new().name("pipeline".to_owned()).spawn(move || worker.run())?;
        Ok(Self { frames, handle, thread })
    }
}

/// The picture that viewers see or are about to see.
#[derive(Debug)]
struct Picture {
    i420: I420,
    /// It differs from what was encoded last.
    dirty: bool,
    /// The rate control left it out.
    refused: bool,
    /// When it came.
    changed_us: u64,
    /// Access units in a row that added nothing to it.
    small_units: u32,
    pts_us: u64,
    input_sequence: u64,
    times: StageTimes,
    cpu_times: StageTimes,
    /// When it was last given to the encoder, and the pts it had then.
    encoded: Option<Encoded>,
}

#[derive(Clone, Copy, Debug)]
struct Encoded {
    at_us: u64,
    pts_us: u64,
}

/// Why something is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Occasion {
    NewPicture,
    Keyframe,
    Settle,
    KeepAlive,
}

struct Worker<S> {
    config: PipelineConfig,
    controls: Arc<Controls>,
    frames: mailbox::Receiver<PresentedFrame>,
    submitting: Arc<Submitting>,
    sink: S,
    encoder: Option<Encoder>,
    picture: Option<Picture>,
    /// The next picture is converted into this one; the two change places when it differs.
    spare: Option<I420>,
    /// Pictures that nobody saw, because newer ones came before they were taken or encoded, and of which the broker was not told yet.
    left_out: u32,
    /// When it was told last.
    reported_us: Option<u64>,
}

impl<S: Sink> Worker<S> {
    fn run(mut self) -> PipelineEnd {
        let end = match self.serve() {
            Ok(()) => PipelineEnd::Stopped,
            Err(end) => end,
        };
        // A sink that is closed knows that this is the end.
        let _ = self.sink.send(Output::Ended(end.clone()));
        end
    }

    /// Until the mailbox is closed.
    fn serve(&mut self) -> Result<(), PipelineEnd> {
        loop {
            match self.frames.receive(Some(self.sleep())) {
                Received::Item(frame) => self.take(frame)?,
                Received::Nudge | Received::Timeout => {}
                Received::Closed => return Ok(()),
            }
            self.check_presenter()?;
            self.hand_out_picture();
            self.encode_if_due()?;
            self.left_out = self.left_out.saturating_add(self.frames.take_replaced());
            self.report_left_out()?;
        }
    }

    /// Once in a frame's time at most: a scene may present thousands of small pictures a second, and each message costs the broker.
    fn report_left_out(&mut self) -> Result<(), PipelineEnd> {
        let now_us = self.config.clock.now_us();
        let frame_us = 1_000_000 / u64::from(self.config.frame_rate_hz.max(1));
        if self.left_out == 0 || self.reported_us.is_some_and(|last| now_us < last.saturating_add(frame_us)) {
            return Ok(());
        }
        self.reported_us = Some(now_us);
        let count = std::mem::take(&mut self.left_out);
        Ok(self.sink.send(Output::FramesDropped { count })?)
    }

    /// To whoever asked: a copy takes a millisecond, and what is made of it is made elsewhere.
    fn hand_out_picture(&self) {
        let asked = self.controls.picture.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(slot) = asked {
            // Whoever asked may have given up.
            let _ = slot.try_send(self.picture.as_ref().map(|picture| picture.i420.clone()));
        }
    }

    /// How long there is nothing to do if no frame and no nudge comes.
    fn sleep(&self) -> Duration {
        let watch_us = WATCH_US.min(self.gpu_timeout_us());
        let sleep_us = match &self.picture {
            Some(picture) if self.controls.watched.load(Ordering::Acquire) => {
                self.due(picture).0.saturating_sub(self.config.clock.now_us()).min(watch_us)
            }
            _ => watch_us,
        };
        Duration::from_micros(sleep_us)
    }

    fn gpu_timeout_us(&self) -> u64 {
        u64::from(self.config.timing.gpu_timeout_ms) * 1000
    }

    /// A driver may block a submission until the one before is done, and then a scene's work that hangs holds the presenter, and
    /// its frame never gets here.
    fn check_presenter(&self) -> Result<(), PipelineEnd> {
        let waited_us = self.submitting.elapsed_us(self.config.clock.now_us());
        if waited_us < self.gpu_timeout_us() {
            return Ok(());
        }
        Err(PipelineEnd::GpuTimeout { waited_ms: u32::try_from(waited_us / 1000).unwrap_or(u32::MAX) })
    }

    /// When the picture is to be encoded, and why, if nothing newer comes.
    fn due(&self, picture: &Picture) -> (u64, Occasion) {
        let Some(encoded) = picture.encoded else { return (0, Occasion::NewPicture) };
        let frame_us = 1_000_000 / u64::from(self.config.frame_rate_hz.max(1));
        let still_us = STILL_AFTER_FRAMES * frame_us;
        if picture.dirty {
            let wait_us = if picture.refused { still_us } else { frame_us / 4 * PACE_QUARTERS };
            return (encoded.at_us.saturating_add(wait_us), Occasion::NewPicture);
        }
        let Timing { keep_alive_us, settle_us, .. } = self.config.timing;
        let keep_alive_us = encoded.at_us.saturating_add(keep_alive_us);
        let again_us =
            (encoded.at_us.saturating_add(frame_us)).max(picture.changed_us.saturating_add(still_us));
        let settling =
            picture.small_units < SETTLED_UNITS && again_us < picture.changed_us.saturating_add(settle_us);
        if settling && again_us < keep_alive_us {
            (again_us, Occasion::Settle)
        } else {
            (keep_alive_us, Occasion::KeepAlive)
        }
    }

    /// Reads a frame back, converts it, and keeps it if it shows something new.
    fn take(&mut self, frame: PresentedFrame) -> Result<(), PipelineEnd> {
        let clock = &self.config.clock;
        let cpu_start_us = cpu_time::thread_us();
        let size = frame.source.size();
        let mut i420 = self.spare.take().unwrap_or_else(|| I420::new(size));
        let (mapped_us, cpu_mapped_us);
        match frame.source {
            Source::Gpu(in_flight) => {
                let mapped = in_flight.wait(Duration::from_micros(self.gpu_timeout_us()))?;
                (mapped_us, cpu_mapped_us) = (clock.now_us(), cpu_time::thread_us());
                // The slot is free for the next frame from here on, while this one is compared and encoded.
                mapped.write_i420(&mut i420)?;
            }
            Source::Cpu(picture) => {
                (mapped_us, cpu_mapped_us) = (clock.now_us(), cpu_time::thread_us());
                picture.write_i420(&mut i420)?;
            }
        }
        let differs = self.picture.as_ref().is_none_or(|shown| shown.i420 != i420);
        let (converted_us, cpu_converted_us) = (clock.now_us(), cpu_time::thread_us());

        if !differs {
            self.spare = Some(i420);
            if let Some(shown) = &mut self.picture {
                shown.input_sequence = shown.input_sequence.max(frame.info.input_sequence);
            }
            return Ok(());
        }
        let times = StageTimes {
            scene_us: frame.info.scene_us,
            readback_us: elapsed(frame.submitted_us, mapped_us),
            convert_us: elapsed(mapped_us, converted_us),
            ..StageTimes::default()
        };
        let cpu_times = StageTimes {
            scene_us: 0,
            readback_us: elapsed(cpu_start_us, cpu_mapped_us),
            convert_us: elapsed(cpu_mapped_us, cpu_converted_us),
            ..StageTimes::default()
        };
        let before = self.picture.take();
        if before.as_ref().is_some_and(|before| before.dirty) {
            self.left_out = self.left_out.saturating_add(1);
        }
        self.picture = Some(Picture {
            i420,
            dirty: true,
            refused: false,
            changed_us: mapped_us,
            small_units: 0,
            pts_us: frame.info.pts_us,
            input_sequence: before
                .as_ref()
                .map_or(0, |before| before.input_sequence)
                .max(frame.info.input_sequence),
            times,
            cpu_times,
            encoded: before.as_ref().and_then(|before| before.encoded),
        });
        self.spare = before.map(|before| before.i420);
        Ok(())
    }

    fn encode_if_due(&mut self) -> Result<(), PipelineEnd> {
        let Some(picture) = &self.picture else { return Ok(()) };
        if !self.controls.watched.load(Ordering::Acquire) {
            return Ok(());
        }
        let now_us = self.config.clock.now_us();
        let (due_us, due) = self.due(picture);
        let occasion = if self.controls.keyframe.load(Ordering::Acquire) {
            if picture.dirty { Occasion::NewPicture } else { Occasion::Keyframe }
        } else if now_us >= due_us {
            due
        } else {
            return Ok(());
        };
        self.encode(occasion, now_us)
    }

    fn encode(&mut self, occasion: Occasion, now_us: u64) -> Result<(), PipelineEnd> {
        let Some(picture) = &mut self.picture else { return Ok(()) };
        let size = picture.i420.size();
        let bitrate_bps = self.controls.bitrate_bps.load(Ordering::Acquire);
        let encoder = encoder_for(&mut self.encoder, &self.config, size, bitrate_bps)?;

        // A picture that is shown again is shown now. Receivers want times that rise.
        let pts_us = if occasion == Occasion::NewPicture { picture.pts_us } else { now_us };
        let pts_us = picture.encoded.map_or(pts_us, |last| pts_us.max(last.pts_us + 1));
        let cpu_start_us = cpu_time::thread_us();
        // Taken before, so that a request that comes while this picture is encoded is for the next one.
        let keyframe = self.controls.keyframe.swap(false, Ordering::AcqRel);
        let frame = encoder.encode(&picture.i420, pts_us, keyframe)?;
        let cpu_encode_us = elapsed(cpu_start_us, cpu_time::thread_us());
        picture.encoded = Some(Encoded { at_us: now_us, pts_us });
        if keyframe && !frame.as_ref().is_some_and(|frame| frame.keyframe) {
            self.controls.keyframe.store(true, Ordering::Release);
        }
        picture.refused = frame.is_none();
        let Some(frame) = frame else { return Ok(()) };
        picture.dirty = false;
        let small = occasion != Occasion::NewPicture && frame.data.len() < SETTLED_BYTES;
        picture.small_units = if small { picture.small_units.saturating_add(1) } else { 0 };
        let encode_us = elapsed(now_us, self.config.clock.now_us());
        let (times, cpu_times) = match occasion {
            Occasion::NewPicture => (picture.times, picture.cpu_times),
            Occasion::Keyframe | Occasion::Settle | Occasion::KeepAlive => {
                (StageTimes::default(), StageTimes::default())
            }
        };
        let unit = AccessUnit {
            pts_us,
            keyframe: frame.keyframe,
            size,
            input_sequence: picture.input_sequence,
            keep_alive: occasion == Occasion::KeepAlive,
            times: StageTimes { encode_us, ..times },
            cpu_times: StageTimes { encode_us: cpu_encode_us, ..cpu_times },
            data: frame.data,
        };
        Ok(self.sink.send(Output::AccessUnit(unit))?)
    }
}

/// The encoder, made or brought up to date.
fn encoder_for<'a>(
    encoder: &'a mut Option<Encoder>,
    config: &PipelineConfig,
    size: FrameSize,
    bitrate_bps: u32,
) -> Result<&'a mut Encoder, EncodeError> {
    let mut current = match encoder.take() {
        Some(encoder) => encoder,
        None => Encoder::new(EncoderConfig {
            size,
            frame_rate_hz: config.frame_rate_hz,
            bitrate_bps,
            threads: config.encoder_threads,
        })?,
    };
    if current.config().bitrate_bps != bitrate_bps {
        current.set_bitrate(bitrate_bps)?;
    }
    current.resize(size)?;
    Ok(encoder.insert(current))
}

/// Microseconds from one reading of a clock to the next.
fn elapsed(from_us: u64, to_us: u64) -> u32 {
    u32::try_from(to_us.saturating_sub(from_us)).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[path = "pipeline_tests.rs"]
mod tests;
