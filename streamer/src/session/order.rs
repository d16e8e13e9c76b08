//! What a worker may say next: in which order, of what it was asked, and how often.
//!
//! Knows messages and the time, and nothing of processes and sockets.

use std::time::Duration;

use renderer_protocol::FromWorker;
use tokio::time::Instant;

/// A worker encodes at four thirds of the frame rate at most, and paces itself.
const ACCESS_UNITS_PER_TICK: u32 = 2;
/// Beside those: keyframes that are asked for come at once, and are asked for up to three times a second.
const FURTHER_ACCESS_UNITS_PER_SECOND: u32 = 20;
/// All that is no access unit: a worker passes 200 lines a second on, tells of frames that it dropped once a tick, which is 120 times at
/// most, and answers a few questions.
const OTHER_MESSAGES_PER_SECOND: u32 = 1_000;
/// What may come at once, as time at these rates: a broker that was stopped, or had no processor, finds what was sent meanwhile. An honest
/// worker uses two thirds of its rates at most, so this is 15 s of it at least, if the socket's buffer holds so much; the usual one is full
/// after some hundred messages, and then the worker waits.
const MESSAGE_BURST: Duration = Duration::from_secs(10);

/// What has been said so far, as far as it limits what may be said next.
#[derive(Debug)]
pub(crate) struct MessageOrder {
    started: bool,
    last_pts_us: Option<u64>,
    input_sent: u64,
    screenshots_asked: u64,
    access_units: MessageRate,
    others: MessageRate,
}

impl Default for MessageOrder {
    fn default() -> Self {
        Self {
            started: false,
            last_pts_us: None,
            input_sent: 0,
            screenshots_asked: 0,
            // Until it is given a scene and a rate with it.
            access_units: access_units_rate(0),
            others: MessageRate::new(OTHER_MESSAGES_PER_SECOND),
        }
    }
}

impl MessageOrder {
    /// It was given a scene of so many ticks a second.
    pub(super) fn runs_at(&mut self, frame_rate_hz: u32) {
        self.access_units = access_units_rate(frame_rate_hz);
    }

    /// It was sent input up to this.
    pub(super) fn sent_input(&mut self, sequence: u64) {
        self.input_sent = sequence;
    }

    /// It was asked for one more.
    pub(super) fn asked_for_screenshot(&mut self) {
        self.screenshots_asked += 1;
    }

    /// Fails, with what is wrong, for a message that may not come now.
    pub(crate) fn check(&mut self, message: &FromWorker, now: Instant) -> Result<(), String> {
        let (rate, what) = match message {
            FromWorker::AccessUnit(_) => (&mut self.access_units, "pictures"),
            _ => (&mut self.others, "messages that are no pictures"),
        };
        if !rate.takes(now) {
            return Err(format!("more than {} {what} a second", rate.per_second));
        }
        match message {
            FromWorker::Started if self.started => Err("a second message that the scene started".to_owned()),
            FromWorker::Started => {
                self.started = true;
                Ok(())
            }
            FromWorker::AccessUnit(unit) => {
                let (pts_us, sequence, sent) = (unit.pts_us, unit.input_sequence, self.input_sent);
                if let Some(last) = self.last_pts_us.filter(|last| pts_us <= *last) {
                    return Err(format!("a picture at {pts_us} µs after one at {last} µs"));
                }
                if sequence > sent {
                    return Err(format!("a picture that saw input {sequence}, of which {sent} was sent"));
                }
                self.last_pts_us = Some(pts_us);
                Ok(())
            }
            FromWorker::Screenshot { .. } => {
                let left = self.screenshots_asked.checked_sub(1);
                self.screenshots_asked = left.ok_or("a screenshot that was not asked for")?;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn access_units_rate(frame_rate_hz: u32) -> MessageRate {
    let paced = frame_rate_hz.saturating_mul(ACCESS_UNITS_PER_TICK);
    MessageRate::new(paced.saturating_add(FURTHER_ACCESS_UNITS_PER_SECOND))
}

/// So many messages a second, after [`MESSAGE_BURST`] of them at once. Handling a message costs this process, at its weight, what no limit
/// of the worker counts.
#[derive(Debug)]
struct MessageRate {
    per_second: u32,
    /// When what has come would all have come, had it come evenly at this rate.
    spent_until: Option<Instant>,
}

impl MessageRate {
    const fn new(per_second: u32) -> Self {
        Self { per_second, spent_until: None }
    }

    /// Counts one; says whether it is within the rate.
    fn takes(&mut self, now: Instant) -> bool {
        let interval = Duration::from_secs(1) / self.per_second.max(1);
        let spent_until = self.spent_until.map_or(now, |until| until.max(now)) + interval;
        self.spent_until = Some(spent_until);
        spent_until.duration_since(now) <= MESSAGE_BURST
    }
}

#[cfg(test)]
mod tests {
    use renderer_protocol::{AccessUnit, FrameSize, LogLine, LogSource, StageTimes};

    use super::*;

    fn unit(pts_us: u64, input_sequence: u64) -> FromWorker {
        FromWorker::AccessUnit(AccessUnit {
            pts_us,
            keyframe: false,
            size: FrameSize::new(640, 352).unwrap(),
            input_sequence,
            keep_alive: false,
            times: StageTimes::default(),
            cpu_times: StageTimes::default(),
            data: vec![0, 0, 1],
        })
    }

    #[test]
    fn pictures_come_in_the_order_of_their_time() {
        let now = Instant::now();
        let mut order = MessageOrder::default();
        assert_eq!(order.check(&unit(0, 0), now), Ok(()));
        assert_eq!(order.check(&unit(33_333, 0), now), Ok(()));
        assert!(order.check(&unit(33_333, 0), now).is_err());
        assert!(order.check(&unit(10, 0), now).is_err());
        assert_eq!(order.check(&unit(66_666, 0), now), Ok(()));
    }

    #[test]
    fn a_picture_cannot_have_seen_input_that_was_not_sent() {
        let now = Instant::now();
        let mut order = MessageOrder { input_sent: 3, ..MessageOrder::default() };
        assert_eq!(order.check(&unit(1, 3), now), Ok(()));
        assert!(order.check(&unit(2, 4), now).is_err());
    }

    /// What a worker says that was taken over by a scene that cannot stop writing.
    fn line() -> FromWorker {
        let source = LogSource::Stdout;
        FromWorker::Log(LogLine { source, line: "x".to_owned() })
    }

    /// The order of a worker that was given a scene of so many ticks a second.
    fn order_at(frame_rate_hz: u32) -> MessageOrder {
        MessageOrder { access_units: access_units_rate(frame_rate_hz), ..MessageOrder::default() }
    }

    #[test]
    fn a_worker_that_sends_without_end_is_a_violation() {
        let now = Instant::now();
        let mut order = order_at(30);
        let taken = (1..100_000).take_while(|pts_us| order.check(&unit(*pts_us, 0), now).is_ok()).count();
        assert_eq!(taken, 800, "ten seconds of 80");
        let refused = order.check(&unit(200_000, 0), now).unwrap_err();
        assert!(refused.contains("80 pictures a second"), "{refused}");
        let taken = (1..100_000).take_while(|_| order.check(&line(), now).is_ok()).count();
        assert_eq!(taken, 10_000, "ten seconds of 1,000");
    }

    #[test]
    fn a_worker_that_sends_all_that_it_may_is_not_stopped_for_it() {
        let start = Instant::now();
        for frame_rate_hz in [1, 30, 120] {
            let mut order = order_at(frame_rate_hz);
            let mut pts_us = 0;
            for second in 0..600 {
                let now = start + Duration::from_secs(second);
                for _ in 0..frame_rate_hz * 4 / 3 + 5 {
                    pts_us += 1;
                    assert_eq!(
                        order.check(&unit(pts_us, 0), now),
                        Ok(()),
                        "{frame_rate_hz} Hz, second {second}"
                    );
                }
                for _ in 0..200 + 120 + 20 {
                    assert_eq!(order.check(&line(), now), Ok(()), "second {second}");
                }
            }
        }
    }

    #[test]
    fn what_was_sent_while_the_broker_was_stopped_is_taken() {
        let start = Instant::now();
        let mut order = order_at(30);
        for _ in 0..200 {
            assert_eq!(order.check(&line(), start), Ok(()));
        }
        // A socket with a buffer of any size held all of it.
        let resumed = start + Duration::from_secs(15);
        for pts_us in 1..=15 * 45 {
            assert_eq!(order.check(&unit(pts_us, 0), resumed), Ok(()), "{pts_us}");
        }
        for message in 0..15 * 340 {
            assert_eq!(order.check(&line(), resumed), Ok(()), "{message}");
        }
    }

    #[test]
    fn a_scene_starts_once() {
        let now = Instant::now();
        let mut order = MessageOrder::default();
        assert_eq!(order.check(&FromWorker::Started, now), Ok(()));
        assert!(order.check(&FromWorker::Started, now).is_err());
    }

    #[test]
    fn a_screenshot_that_nobody_asked_for_is_a_violation() {
        let now = Instant::now();
        let screenshot = FromWorker::Screenshot { png: Vec::new() };
        assert!(MessageOrder::default().check(&screenshot, now).is_err());
        let mut order = MessageOrder { screenshots_asked: 1, ..MessageOrder::default() };
        assert_eq!((order.check(&screenshot, now), order.check(&screenshot, now).is_err()), (Ok(()), true));
    }
}
