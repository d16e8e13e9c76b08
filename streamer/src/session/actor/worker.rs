//! What a session's worker says, and what it is told.
//!
//! Passes pictures on to the viewers, and bitrate, size, key frames and input to the worker, each no more often than is of use.

use bytes::Bytes;
use renderer_protocol::{AccessUnit, LogLine, ToWorker};
use tokio::time::Instant;

use super::{Actor, micros};
use crate::{
    metrics::{FrameStage, TimedStage},
    rtc::VideoFrame,
    session::{
        Phase,
        end::SessionEnd,
        log::Source,
        process::Admitted,
        viewers::Sent,
        worker::{Stalled, WorkerEvent},
    },
    text::escape_untrusted,
    viewer_protocol::ServerMessage,
};

impl Actor {
    pub(super) fn on_worker(&mut self, event: WorkerEvent) -> Result<(), SessionEnd> {
        match event {
            WorkerEvent::Started => {
                self.status.publish(|status| status.phase = Phase::Running);
                tracing::debug!("the scene runs");
            }
            WorkerEvent::AccessUnit(unit) => self.on_access_unit(unit)?,
            WorkerEvent::Log(line) => self.on_log(&line),
            WorkerEvent::Screenshot(png) => self.screenshots.answered(png),
            WorkerEvent::FramesDropped(count) => {
                self.metrics.frames(FrameStage::Presented, count.into());
                self.metrics.frames(FrameStage::Dropped, count.into());
            }
            WorkerEvent::Gone(end) => return Err(end),
        }
        Ok(())
    }

    fn on_access_unit(&mut self, mut unit: AccessUnit) -> Result<(), SessionEnd> {
        let now = Instant::now();
        let data = Bytes::from(std::mem::take(&mut unit.data));
        let rtp_timestamp = self.rtp_clock.timestamp(unit.pts_us);
        if unit.keyframe {
            self.metrics.keyframes.inc();
            self.keyframes.acted(now);
        }
        if unit.size != self.size {
            self.size = unit.size;
            self.status.publish(|status| status.size = unit.size);
            let (width, height) = unit.size.into();
            for viewer in self.viewers.iter() {
                viewer.tell(&ServerMessage::Size { width, height });
            }
        }
        let frame = VideoFrame { data, keyframe: unit.keyframe, rtp_timestamp };
        let mut sent_bytes = 0;
        for viewer in self.viewers.iter_mut().filter(|viewer| viewer.is_connected()) {
            // Read before, for on a busy machine the picture may be on the screen when this call returns.
            let sent_us = micros(self.clock_origin.elapsed());
            match viewer.send(&frame) {
                Sent::Yes => {
                    self.metrics.frames(FrameStage::Sent, 1);
                    sent_bytes += frame.data.len() as u64;
                    viewer.tell_frame(&unit, frame.data.len(), rtp_timestamp, sent_us);
                }
                Sent::Dropped => self.metrics.frames(FrameStage::Dropped, 1),
                Sent::NotYet => {}
            }
        }
        self.metrics.bytes_sent.inc_by(sent_bytes);
        self.metrics.frames(FrameStage::Encoded, 1);
        if !unit.keep_alive {
            self.metrics.frames(FrameStage::Presented, 1);
            self.metrics.stages(&unit.times);
        }
        self.metrics.stage(TimedStage::Send, now.elapsed());
        self.drew_once = true;
        self.hot = None;
        self.update_watched()
    }

    fn on_log(&mut self, line: &LogLine) {
        self.log.push(line);
        match self.scene_lines.take(Instant::now()) {
            Admitted::No => return,
            Admitted::Yes { suppressed: 0 } => {}
            Admitted::Yes { suppressed } => {
                tracing::warn!(suppressed, "lines of the scene's output left out");
            }
        }
        let source = Source::from(line.source).name();
        tracing::info!(target: "scenecast::scene", source, line = %escape_untrusted(&line.line), "scene output");
    }

    pub(super) fn send(&mut self, message: ToWorker) -> Result<(), SessionEnd> {
        self.worker.send(message).map_err(|Stalled| SessionEnd::WorkerUnresponsive)
    }

    pub(super) fn request_keyframe(&mut self, now: Instant) -> Result<(), SessionEnd> {
        if self.keyframes.request(now) { self.send(ToWorker::RequestKeyframe) } else { Ok(()) }
    }

    pub(super) fn update_bitrate(&mut self) -> Result<(), SessionEnd> {
        let estimates = self.viewers.iter().filter_map(|viewer| viewer.target_bps);
        match self.bitrate.update(estimates) {
            Some(bitrate_bps) => self.send(ToWorker::SetBitrate { bitrate_bps }),
            None => Ok(()),
        }
    }

    /// A scene is watched until it has drawn once, so that its shaders are compiled while the first viewer connects; and then
    /// as long as somebody is there.
    pub(super) fn update_watched(&mut self) -> Result<(), SessionEnd> {
        let watched = !self.drew_once || self.viewers.connected() > 0;
        if watched == self.watched {
            return Ok(());
        }
        self.watched = watched;
        self.send(ToWorker::SetWatched(watched))
    }

    pub(super) fn flush_input(&mut self, now: Instant) -> Result<(), SessionEnd> {
        if !self.queue.is_empty() && self.flush.request(now) { self.send_input(now) } else { Ok(()) }
    }

    pub(super) fn send_input(&mut self, now: Instant) -> Result<(), SessionEnd> {
        while self.worker.has_room_for_input() {
            let Some(events) = self.queue.take_batch() else {
                for viewer in self.viewers.iter_mut() {
                    viewer.sequence.sent(self.input_sequence);
                }
                return Ok(());
            };
            self.input_sequence += 1;
            self.send(ToWorker::Input { sequence: self.input_sequence, events })?;
        }
        // What is left goes with the next batch; until then moves are merged.
        let _ = self.flush.request(now);
        Ok(())
    }
}
