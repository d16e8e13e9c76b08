//! What is to be sent to a worker, in order, with the moves of a pointer merged.

use std::collections::VecDeque;

use renderer_protocol::{InputEvent, to_worker::MAX_INPUT_BATCH};

/// Beyond this the worker has not taken input for seconds, although all viewers together send at most a few thousand events a
/// second; the session then gives it up rather than lose the release of a key.
pub const MAX_PENDING_EVENTS: usize = 16_384;

/// The queue of one session.
#[derive(Debug, Default)]
pub struct InputQueue {
    events: VecDeque<InputEvent>,
}

impl InputQueue {
    /// Adds an event, or merges it into one that waits. False when the queue is full: the worker is stalled.
    ///
    /// A move replaces a waiting move of the same pointer with the same buttons, as long as only moves wait behind that one: the
    /// order of everything else, and of moves around it, stays.
    #[must_use]
    pub fn push(&mut self, event: InputEvent) -> bool {
        if let InputEvent::PointerMove(new) = &event {
            let moves = self.events.iter_mut().rev().map_while(|waiting| match waiting {
                InputEvent::PointerMove(waiting) => Some(waiting),
                _ => None,
            });
            for waiting in moves {
                if waiting.viewer == new.viewer && waiting.id == new.id {
                    if waiting.buttons == new.buttons {
                        *waiting = *new;
                        return true;
                    }
                    break;
                }
            }
        }
        if self.events.len() >= MAX_PENDING_EVENTS {
            return false;
        }
        self.events.push_back(event);
        true
    }

    /// The next events to send, at most [`MAX_INPUT_BATCH`]; `None` when nothing waits.
    pub fn take_batch(&mut self) -> Option<Vec<InputEvent>> {
        if self.events.is_empty() {
            return None;
        }
        let count = self.events.len().min(MAX_INPUT_BATCH);
        Some(self.events.drain(..count).collect())
    }

    /// How many events wait.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// True when nothing waits.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use renderer_protocol::{Buttons, KeyEvent, Modifiers, PointerEvent, PointerKind, ViewerId};

    use super::*;

    fn pointer(viewer: u32, id: u32, x: f64, buttons: u8) -> PointerEvent {
        let (viewer, buttons) = (ViewerId(viewer), Buttons(buttons));
        PointerEvent { viewer, id, kind: PointerKind::Mouse, x, y: 0.5, buttons, pressure: 0.0 }
    }

    fn moved(id: u32, x: f64, buttons: u8) -> InputEvent {
        InputEvent::PointerMove(pointer(1, id, x, buttons))
    }

    fn key(code: &str) -> InputEvent {
        InputEvent::KeyDown(KeyEvent {
            viewer: ViewerId(1),
            code: code.to_owned(),
            text: None,
            repeat: false,
            modifiers: Modifiers::default(),
        })
    }

    fn queued(events: impl IntoIterator<Item = InputEvent>) -> Vec<InputEvent> {
        let mut queue = InputQueue::default();
        for event in events {
            assert!(queue.push(event));
        }
        queue.take_batch().unwrap_or_default()
    }

    #[test]
    fn moves_of_one_pointer_are_merged_and_the_latest_wins() {
        assert_eq!(queued((0..100).map(|step| moved(1, f64::from(step) / 100.0, 1))), [moved(1, 0.99, 1)]);
    }

    #[test]
    fn moves_of_two_pointers_are_merged_each_for_itself() {
        let events = queued([moved(1, 0.1, 1), moved(2, 0.2, 1), moved(1, 0.3, 1), moved(2, 0.4, 1)]);
        assert_eq!(events, [moved(1, 0.3, 1), moved(2, 0.4, 1)]);
    }

    #[test]
    fn the_same_pointer_id_of_two_viewers_is_two_pointers() {
        let events = [moved(1, 0.1, 0), InputEvent::PointerMove(pointer(2, 1, 0.2, 0))];
        assert_eq!(queued(events.clone()), events);
    }

    #[test]
    fn a_move_is_not_merged_across_a_key_or_a_button() {
        let across_key = [moved(1, 0.1, 0), key("KeyW"), moved(1, 0.2, 0)];
        assert_eq!(queued(across_key.clone()), across_key);
        let across_down =
            [moved(1, 0.1, 0), InputEvent::PointerDown(pointer(1, 1, 0.1, 1)), moved(1, 0.2, 1)];
        assert_eq!(queued(across_down.clone()), across_down);
        let chord = [moved(1, 0.1, 1), moved(1, 0.1, 3), moved(1, 0.1, 1)];
        assert_eq!(queued(chord.clone()), chord);
    }

    #[test]
    fn a_long_queue_leaves_in_batches_that_a_worker_takes_in_order() {
        let mut queue = InputQueue::default();
        let codes: Vec<String> = (0..=(MAX_INPUT_BATCH * 2)).map(|number| format!("Key{number}")).collect();
        assert!(codes.iter().all(|code| queue.push(key(code))));
        let mut sent = Vec::new();
        while let Some(batch) = queue.take_batch() {
            assert!(batch.len() <= MAX_INPUT_BATCH);
            sent.extend(batch);
        }
        assert_eq!(sent, codes.iter().map(|code| key(code)).collect::<Vec<_>>());
        assert!(queue.is_empty());
    }

    #[test]
    fn a_full_queue_says_so_and_still_merges() {
        let mut queue = InputQueue::default();
        for _ in 1..MAX_PENDING_EVENTS {
            assert!(queue.push(key("KeyW")));
        }
        assert!(queue.push(moved(1, 0.1, 0)));
        assert!(!queue.push(key("KeyW")));
        assert!(queue.push(moved(1, 0.2, 0)));
    }
}
