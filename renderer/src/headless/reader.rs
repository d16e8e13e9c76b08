//! The thread that reads pictures back, and decides which one is a frame's.

use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

use renderer_protocol::SceneFault;

use super::{Failure, Fault, FrameList, Picture, run::Shared};
use crate::frame::{
    CaptureError, FrameClock,
    queue::{Drawn, Received, Receiver},
};

/// How often a thread that has nothing to do looks whether it should stop.
const LOOK: Duration = Duration::from_millis(100);

/// The mark after a tick's pictures.
pub(super) struct TickOver {
    pub(super) frame: u32,
    pub(super) scene_us: u64,
    /// The scene has come to its end.
    pub(super) finished: bool,
}

/// What a frame took, in microseconds of a real clock. The stages overlap, so they do not add up to the time between frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameTimes {
    /// The scene's tick: its own code, what the host and the driver did for it, and waiting for its GPU where it asked for that. The
    /// first one has its start, too. The ticks between this frame and the one before that was asked for are part of it.
    pub scene_us: u64,
    /// Waiting until the pictures of the same ticks were drawn, and copying this one.
    pub readback_us: u64,
}

/// A frame that was asked for.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Its number.
    pub number: u32,
    /// What it shows.
    pub picture: Arc<Picture>,
    /// The scene presented nothing in its tick: the picture is the one before.
    pub repeated: bool,
    /// How often the scene presented in its tick; the last picture counts.
    pub presented: u32,
    /// What it took.
    pub times: FrameTimes,
}

/// The picture that the scene shows.
enum Shown {
    Nothing,
    /// If it is in a buffer, that is needed for one of the next pictures.
    Drawn(Drawn),
    Taken(Arc<Picture>),
}

/// Reads until there is nothing more to come, the run is stopped, or something fails.
pub(super) fn read(
    receiver: &Receiver<TickOver>,
    wanted: &FrameList,
    frames: &mpsc::SyncSender<Frame>,
    time_limit: Duration,
    shared: &Shared,
) {
    let clock = FrameClock::real();
    let mut shown = Shown::Nothing;
    let mut presented: u32 = 0;
    // The frame that pictures belong to until the next mark. The scene may be at a later one already.
    let mut drawn = 0;
    let mut times = FrameTimes::default();
    loop {
        match receiver.receive(LOOK) {
            Received::Frame(frame) => {
                // Its buffer goes back first, for whoever waits for one.
                drop(std::mem::replace(&mut shown, Shown::Nothing));
                let started_us = clock.now_us();
                match frame.wait(time_limit) {
                    Ok(drawn) => shown = Shown::Drawn(drawn),
                    Err(error) => return shared.fail(failure(error, drawn)),
                }
                times.readback_us += clock.now_us().saturating_sub(started_us);
                presented = presented.saturating_add(1);
            }
            Received::Mark(TickOver { frame, scene_us, finished }) => {
                times.scene_us += scene_us;
                if wanted.contains(frame) {
                    let started_us = clock.now_us();
                    let Some(picture) = take(&mut shown) else {
                        let fault =
                            if finished { Fault::EndedWithoutPicture } else { Fault::NothingPresented };
                        return shared.fail(Failure::Scene { frame, fault });
                    };
                    times.readback_us += clock.now_us().saturating_sub(started_us);
                    let times = std::mem::take(&mut times);
                    let frame = Frame { number: frame, picture, repeated: presented == 0, presented, times };
                    if frames.send(frame).is_err() {
                        return;
                    }
                }
                presented = 0;
                drawn += 1;
            }
            Received::Timeout if shared.is_stopped() => return,
            // Nothing goes on here.
            Received::Timeout => continue,
            Received::Closed => return,
        }
        shared.step();
    }
}

/// Copies the picture, once, so that its buffer can go back.
fn take(shown: &mut Shown) -> Option<Arc<Picture>> {
    let picture = match std::mem::replace(shown, Shown::Nothing) {
        Shown::Nothing => return None,
        Shown::Taken(picture) => picture,
        Shown::Drawn(drawn) => {
            let size = drawn.size();
            let mut rgba = Vec::with_capacity(Picture::bytes(size));
            drawn.write_rgba(&mut rgba);
            Arc::new(Picture::new(size, rgba)?)
        }
    };
    *shown = Shown::Taken(Arc::clone(&picture));
    Some(picture)
}

fn failure(error: CaptureError, frame: u32) -> Failure {
    match error {
        CaptureError::Timeout { waited_ms } => {
            Failure::Scene { frame, fault: SceneFault::GpuTimeout { waited_ms }.into() }
        }
        error => Failure::Internal(error.to_string()),
    }
}
