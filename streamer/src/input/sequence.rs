//! Which of a viewer's messages a picture could have seen.

use std::collections::VecDeque;

/// Batches that were sent and not yet seen in a picture: a few seconds of input. The oldest entry goes first; the ones after it
/// stand for it.
const MAX_UNSEEN_BATCHES: usize = 1024;

/// Maps one viewer's message numbers to the session's batch numbers and back.
#[derive(Debug, Default)]
pub struct SequenceMap {
    /// The highest number whose event is not yet in a batch.
    unsent: Option<u64>,
    /// (number of the batch, the highest of the viewer's numbers up to it), both rising.
    sent: VecDeque<(u64, u64)>,
    seen: u64,
}

impl SequenceMap {
    /// A message with this number has been queued.
    pub fn queued(&mut self, seq: u64) {
        self.unsent = self.unsent.max(Some(seq));
    }

    /// All that was queued has been sent, the last of it in this batch.
    pub fn sent(&mut self, batch: u64) {
        let Some(seq) = self.unsent.take() else { return };
        if self.sent.len() >= MAX_UNSEEN_BATCHES {
            self.sent.pop_front();
        }
        self.sent.push_back((batch, seq));
    }

    /// A picture arrived whose scene had been given everything up to this batch. The highest number that it could have seen.
    pub fn seen(&mut self, batch: u64) -> u64 {
        while let Some((sent, seq)) = self.sent.front()
            && *sent <= batch
        {
            self.seen = self.seen.max(*seq);
            self.sent.pop_front();
        }
        self.seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_reports_the_highest_message_that_it_could_have_seen() {
        let mut map = SequenceMap::default();
        assert_eq!(map.seen(0), 0);
        map.queued(4);
        map.queued(7);
        map.queued(6);
        map.sent(10);
        map.queued(9);
        map.sent(12);
        assert_eq!(map.seen(9), 0, "before the first batch");
        assert_eq!(map.seen(10), 7);
        assert_eq!(map.seen(11), 7);
        assert_eq!(map.seen(50), 9);
        assert_eq!(map.seen(51), 9, "it stays until something newer is seen");
    }

    #[test]
    fn batches_of_other_viewers_change_nothing() {
        let mut map = SequenceMap::default();
        map.sent(1);
        map.queued(3);
        assert_eq!(map.seen(5), 0, "not sent yet");
        map.sent(6);
        assert_eq!(map.seen(6), 3);
    }

    #[test]
    fn it_stays_bounded_when_no_picture_comes() {
        let mut map = SequenceMap::default();
        for number in 0..100_000 {
            map.queued(number);
            map.sent(number);
        }
        assert_eq!(map.sent.len(), MAX_UNSEEN_BATCHES);
        assert_eq!(map.seen(u64::MAX), 99_999);
    }
}
