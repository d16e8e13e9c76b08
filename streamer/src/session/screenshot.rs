//! Screenshots of a session: asked of the worker one at a time, and not faster than it can be expected to make them.
//!
//! Those who ask while one is made share its answer.

use std::time::Duration;

use bytes::Bytes;
use tokio::{sync::oneshot, time::Instant};

use super::throttle::Throttle;

/// A picture of full HD takes a worker some 30 ms of a core: at this distance that is a few hundredths of it.
const INTERVAL: Duration = Duration::from_millis(500);
/// When a worker has not answered by then, it is asked again.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);
/// Who waits for one picture; each is a request that is open.
const MAX_WAITING: usize = 32;

/// Who is told: a PNG file, or nothing when the scene has drawn nothing yet.
pub(super) type Reply = oneshot::Sender<Option<Bytes>>;

/// See the module.
#[derive(Debug)]
pub(super) struct Screenshots {
    waiting: Vec<Reply>,
    throttle: Throttle,
    /// When the worker was asked, while it has not answered.
    asked: Option<Instant>,
}

impl Screenshots {
    /// Nobody has asked.
    pub(super) fn new() -> Self {
        Self { waiting: Vec::new(), throttle: Throttle::new(INTERVAL), asked: None }
    }

    /// Somebody asks. True when the worker is to be asked now. Whoever is one too many is told so by a closed channel.
    #[must_use]
    pub(super) fn request(&mut self, reply: Reply, now: Instant) -> bool {
        self.waiting.retain(|waiting| !waiting.is_closed());
        if self.waiting.len() >= MAX_WAITING {
            return false;
        }
        self.waiting.push(reply);
        self.asked.is_none() && self.ask(now)
    }

    fn ask(&mut self, now: Instant) -> bool {
        let acts = self.throttle.request(now);
        if acts {
            self.asked = Some(now);
        }
        acts
    }

    /// When [`Self::fire`] has something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        match self.asked {
            Some(asked) => Some(asked + TIMEOUT),
            None => self.throttle.due(),
        }
    }

    /// True when the worker is to be asked now.
    #[must_use]
    pub(super) fn fire(&mut self, now: Instant) -> bool {
        match self.asked {
            Some(asked) if now < asked + TIMEOUT => false,
            Some(_) => {
                self.waiting.retain(|waiting| !waiting.is_closed());
                self.asked = None;
                !self.waiting.is_empty() && self.ask(now)
            }
            None if self.throttle.fire(now) => {
                self.asked = Some(now);
                true
            }
            None => false,
        }
    }

    /// The worker answered.
    pub(super) fn answered(&mut self, png: Vec<u8>) {
        self.asked = None;
        let png = Some(Bytes::from(png)).filter(|png| !png.is_empty());
        for reply in self.waiting.drain(..) {
            // Whoever asked may have gone.
            let _ = reply.send(png.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(screenshots: &mut Screenshots, now: Instant) -> (bool, oneshot::Receiver<Option<Bytes>>) {
        let (reply, answer) = oneshot::channel();
        (screenshots.request(reply, now), answer)
    }

    #[test]
    fn all_who_ask_while_one_is_made_get_the_same() {
        let mut screenshots = Screenshots::new();
        let now = Instant::now();
        let (first, mut one) = ask(&mut screenshots, now);
        let (second, mut other) = ask(&mut screenshots, now);
        assert!(first && !second);
        screenshots.answered(b"png".to_vec());
        assert_eq!(one.try_recv().unwrap().as_deref(), Some(b"png".as_slice()));
        assert_eq!(other.try_recv().unwrap().as_deref(), Some(b"png".as_slice()));
    }

    #[test]
    fn the_next_is_asked_for_when_the_interval_is_over() {
        let mut screenshots = Screenshots::new();
        let now = Instant::now();
        assert!(ask(&mut screenshots, now).0);
        screenshots.answered(Vec::new());
        let (at_once, _answer) = ask(&mut screenshots, now);
        assert!(!at_once);
        assert_eq!(screenshots.due(), Some(now + INTERVAL));
        assert!(screenshots.fire(now + INTERVAL));
    }

    #[test]
    fn a_worker_that_does_not_answer_is_asked_again_for_those_who_still_wait() {
        let mut screenshots = Screenshots::new();
        let now = Instant::now();
        let (_, answer) = ask(&mut screenshots, now);
        let (_, patient) = ask(&mut screenshots, now);
        drop(answer);
        assert!(screenshots.fire(now + TIMEOUT), "one still waits");
        drop(patient);
        assert!(!screenshots.fire(now + 2 * TIMEOUT), "nobody waits");
        assert!(ask(&mut screenshots, now + 2 * TIMEOUT).0);
    }

    #[test]
    fn a_crowd_is_not_kept() {
        let mut screenshots = Screenshots::new();
        let now = Instant::now();
        let answers: Vec<_> = (0..100).map(|_| ask(&mut screenshots, now).1).collect();
        assert_eq!(screenshots.waiting.len(), MAX_WAITING);
        drop(answers);
        let _ = ask(&mut screenshots, now);
        assert_eq!(screenshots.waiting.len(), 1);
    }
}
