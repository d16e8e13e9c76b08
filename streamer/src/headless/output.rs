//! Where frames go: to files, to a video, to a comparison.

use renderer::headless::{Event, Finisher, Frame, Goldens, OutputError, Still, Stills, TimedEvent, Video};

use super::{RenderArgs, Stop};

/// Takes frames: one of several, or the only one if there is a video, whose pictures need their order.
pub(super) struct Output {
    stills: Stills,
    video: Option<Video>,
}

impl Output {
    /// As many as are of use.
    pub(super) fn several(
        args: &RenderArgs,
        events: &[TimedEvent],
        goldens: Option<Goldens>,
    ) -> Result<Vec<Self>, Stop> {
        let mut stills = Stills::new(args.pictures(), goldens).map_err(Stop::environment)?;
        if args.report.is_some() {
            stills = stills.keep_pictures();
        }
        let Some((path, format)) = args.video() else {
            let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            return Ok((0..threads).map(|_| Self { stills: stills.clone(), video: None }).collect());
        };
        if let Some(resize) = events.iter().find(|event| matches!(event.event, Event::Resize(_))) {
            return Err(Stop::environment(format!(
                "a video has one size, and the input of frame {} changes it: use --format png",
                resize.frame
            )));
        }
        let video = Video::create(&path, format, args.size, args.fps).map_err(Stop::environment)?;
        Ok(vec![Self { stills, video: Some(video) }])
    }
}

impl Finisher for Output {
    type Done = Still;

    fn take(&mut self, frame: &Frame) -> Result<Still, OutputError> {
        if let Some(video) = &mut self.video {
            video.take(frame)?;
        }
        self.stills.take(frame)
    }

    fn finish(self) -> Result<(), OutputError> {
        self.video.map_or(Ok(()), Video::finish)
    }
}
