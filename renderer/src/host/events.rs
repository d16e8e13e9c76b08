//! Event streams to a scene: bounded queues between whoever reports an event and the guest's reader.
//!
//! Owns the order and the bounds; knows neither what the events mean nor who reports them. All queues of a session stand in one
//! [`Streams`], because two rules span them:
//!
//! - A tick's `frame` event is held back until the guest has been handed the input of that tick, so that a scene that reads both
//!   never draws a picture that is one input behind.
//! - A stream of frames hands one over in each of the guest's turns. A scene that draws more slowly than ticks come would
//!   otherwise find the next frame each time that it asks, and never wait for anything: to whoever watches it, it would compute
//!   without end.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Waker},
};

use wasmtime::{
    StoreContextMut,
    component::{Destination, StreamProducer, StreamResult, VecBuffer},
};

use super::OverLimit;

/// Events that one stream keeps for a scene that does not read. Viewers give at most 1,000 a second, so this is four seconds in which a
/// live scene did not come to its input once; the watchdog ends such a scene after one. Beyond it, events that a later one may
/// replace give way. A scene that opened a stream and forgot it gets the end of that stream instead of a silent gap.
pub(crate) const QUEUE_EVENTS: usize = 4096;

/// Streams that a scene may hold open at a time: a surface offers seven and the input interface one, so this is several of each.
pub(crate) const OPEN_STREAMS: usize = 64;

/// When a queue may hand over what it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Release {
    /// At once: input.
    Immediate,
    /// When no reader waits for input that is there, and once in a turn: frames.
    AfterInput,
}

struct Queue<T> {
    events: VecDeque<T>,
    /// A read of the guest that waits; it stays until the read is answered.
    reader: Option<Waker>,
    /// The guest dropped its end, or the queue overflowed.
    closed: bool,
    /// The turn in which events were last handed over.
    given_in: Option<u64>,
}

/// The sending side that [`Streams`] keeps of every queue, whatever it carries.
trait Pending: Send {
    /// A reader waits and events are there for it.
    fn is_due(&self) -> bool;
}

impl<T: Send> Pending for Queue<T> {
    fn is_due(&self) -> bool {
        !self.closed && self.reader.is_some() && !self.events.is_empty()
    }
}

type Shared<T> = Arc<Mutex<Queue<T>>>;

/// Locks a queue. A panic while it was held ended the worker's session already; the queue itself is consistent at every step.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All event streams of one session.
#[derive(Clone, Default)]
pub(crate) struct Streams(Arc<Mutex<Registry>>);

#[derive(Default)]
struct Registry {
    input: Vec<Weak<Mutex<dyn Pending>>>,
    /// Frame streams that were held back and want to look again.
    waiting: Vec<Waker>,
    open: usize,
    /// The guest's turn, counted from 1. 0 where nobody tells of turns.
    turn: u64,
}

impl Streams {
    fn input_is_due(&self) -> bool {
        lock(&self.0).input.iter().filter_map(Weak::upgrade).any(|queue| lock(&queue).is_due())
    }

    fn hold_back(&self, waker: &Waker) {
        let mut registry = lock(&self.0);
        if !registry.waiting.iter().any(|known| known.will_wake(waker)) {
            registry.waiting.push(waker.clone());
        }
    }

    /// The guest begins a turn: what it does until it waits for something.
    pub(crate) fn begin_turn(&self) {
        let mut registry = lock(&self.0);
        registry.turn = registry.turn.wrapping_add(1).max(1);
    }

    /// The guest waits.
    pub(crate) fn end_turn(&self) {
        self.release_held_back();
    }

    fn turn(&self) -> Option<u64> {
        Some(lock(&self.0).turn).filter(|turn| *turn > 0)
    }

    fn release_held_back(&self) {
        let waiting = std::mem::take(&mut lock(&self.0).waiting);
        waiting.into_iter().for_each(Waker::wake);
    }
}

/// The reporting side of one kind of event; every stream that the scene opens for it gets every event.
pub(crate) struct Topic<T> {
    release: Release,
    streams: Streams,
    queues: Vec<Shared<T>>,
}

impl<T: Clone + Send + Sync + 'static> Topic<T> {
    /// A kind of input.
    pub(crate) fn input(streams: &Streams) -> Self {
        Self { release: Release::Immediate, streams: streams.clone(), queues: Vec::new() }
    }

    /// The event that tells a scene to draw.
    pub(crate) fn frames(streams: &Streams) -> Self {
        Self { release: Release::AfterInput, streams: streams.clone(), queues: Vec::new() }
    }

    /// Opens a stream that begins now.
    pub(crate) fn open(&mut self) -> Result<Producer<T>, OverLimit> {
        self.queues.retain(|queue| !lock(queue).closed);
        let queue = Queue { events: VecDeque::new(), reader: None, closed: false, given_in: None };
        let queue = Arc::new(Mutex::new(queue));
        {
            let mut registry = lock(&self.streams.0);
            if registry.open >= OPEN_STREAMS {
                return Err(OverLimit { what: "open event streams", limit: OPEN_STREAMS });
            }
            registry.open = registry.open.saturating_add(1);
            registry.input.retain(|queue| queue.strong_count() > 0);
            if self.release == Release::Immediate {
                let weak: Weak<Mutex<Queue<T>>> = Arc::downgrade(&queue);
                registry.input.push(weak);
            }
        }
        self.queues.push(Arc::clone(&queue));
        Ok(Producer { queue, release: self.release, streams: self.streams.clone() })
    }

    /// Reports an event. `replaces` tells whether it may take the place of an older one (older, newer): moves, sizes and frames may,
    /// keys and buttons never. It takes the place of the one that waits right before it, and in a full queue those of all that it may.
    /// Returns how many streams were ended because their queue was full all the same.
    pub(crate) fn send(&mut self, event: &T, replaces: impl Fn(&T, &T) -> bool) -> usize {
        let mut overflowed = 0_usize;
        self.queues.retain(|queue| {
            let mut queue = lock(queue);
            if queue.closed {
                return false;
            }
            if let Some(last) = queue.events.back_mut().filter(|last| replaces(last, event)) {
                *last = event.clone();
            } else {
                if queue.events.len() >= QUEUE_EVENTS {
                    drop_replaced(&mut queue.events, event, &replaces);
                }
                if queue.events.len() < QUEUE_EVENTS {
                    queue.events.push_back(event.clone());
                } else {
                    queue.closed = true;
                    overflowed = overflowed.saturating_add(1);
                }
            }
            if let Some(reader) = &queue.reader {
                reader.wake_by_ref();
            }
            !queue.closed
        });
        overflowed
    }
}

/// Drops every event that a later one, `newest` at last, may replace.
fn drop_replaced<T: Clone>(events: &mut VecDeque<T>, newest: &T, replaces: &impl Fn(&T, &T) -> bool) {
    // What may replace others may replace its like, so only these few are compared with.
    let mut latest = vec![newest.clone()];
    let mut kept = VecDeque::new();
    for event in events.drain(..).rev() {
        if replaces(&event, &event) {
            if latest.iter().any(|later| replaces(&event, later)) {
                continue;
            }
            latest.push(event.clone());
        }
        kept.push_front(event);
    }
    *events = kept;
}

/// The producing end of a component-model stream, fed by a [`Topic`].
pub(crate) struct Producer<T> {
    queue: Shared<T>,
    release: Release,
    streams: Streams,
}

impl<T> Drop for Producer<T> {
    fn drop(&mut self) {
        lock(&self.queue).closed = true;
        let mut registry = lock(&self.streams.0);
        registry.open = registry.open.saturating_sub(1);
        drop(registry);
        self.streams.release_held_back();
    }
}

/// What a read of the guest comes to.
#[derive(Debug, PartialEq, Eq)]
enum Step<T> {
    /// These, in order; none for a read that only asked whether there are some.
    Events(Vec<T>),
    /// The stream is at its end.
    Ended,
    /// The guest took its read back.
    Cancelled,
}

impl<T> Producer<T> {
    /// Answers a read of at most `room` events, or remembers who waits for it.
    fn read(&self, reader: &Waker, room: usize, finish: bool) -> Poll<Step<T>> {
        let after_input = self.release == Release::AfterInput;
        let input_is_due = after_input && self.streams.input_is_due();
        let turn = self.streams.turn();
        let mut queue = lock(&self.queue);
        let held_back = input_is_due || (after_input && turn.is_some() && queue.given_in == turn);
        if !queue.events.is_empty() && !held_back {
            queue.reader = None;
            let count = room.min(queue.events.len());
            if count > 0 {
                queue.given_in = turn;
            }
            let events = queue.events.drain(..count).collect();
            drop(queue);
            if self.release == Release::Immediate {
                self.streams.release_held_back();
            }
            return Poll::Ready(Step::Events(events));
        }
        if queue.closed {
            return Poll::Ready(Step::Ended);
        }
        if finish {
            queue.reader = None;
            return Poll::Ready(Step::Cancelled);
        }
        queue.reader = Some(reader.clone());
        drop(queue);
        if held_back {
            self.streams.hold_back(reader);
        }
        Poll::Pending
    }
}

impl<T: Clone + Send + Sync + 'static, D: 'static> StreamProducer<D> for Producer<T> {
    type Item = T;
    type Buffer = VecBuffer<T>;

    fn poll_produce<'a>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, Self::Item, Self::Buffer>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let room = destination.remaining(&mut store).unwrap_or(QUEUE_EVENTS);
        self.read(cx.waker(), room, finish).map(|step| {
            Ok(match step {
                Step::Events(events) => {
                    if !events.is_empty() {
                        destination.set_buffer(events.into());
                    }
                    StreamResult::Completed
                }
                Step::Ended => StreamResult::Dropped,
                Step::Cancelled => StreamResult::Cancelled,
            })
        })
    }
}

#[cfg(test)]
impl<T> Producer<T> {
    /// The events that a reader with much room would be given now.
    pub(crate) fn take_now(&self) -> Option<Vec<T>> {
        match self.read(Waker::noop(), usize::MAX, false) {
            Poll::Ready(Step::Events(events)) => Some(events),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T>(producer: &Producer<T>) -> Poll<Step<T>> {
        producer.read(Waker::noop(), 16, false)
    }

    fn events<T>(events: impl IntoIterator<Item = T>) -> Poll<Step<T>> {
        Poll::Ready(Step::Events(events.into_iter().collect()))
    }

    #[test]
    fn every_stream_of_a_topic_gets_every_event_in_order() {
        let mut keys = Topic::input(&Streams::default());
        let (one, other) = (keys.open().unwrap(), keys.open().unwrap());
        for key in 1..=3 {
            assert_eq!(keys.send(&key, |_, _| false), 0);
        }
        assert_eq!(read(&one), events([1, 2, 3]));
        assert_eq!(read(&other), events([1, 2, 3]));
        assert_eq!(read(&one), Poll::Pending);
    }

    #[test]
    fn moves_are_merged_and_what_stands_between_them_is_kept() {
        let mut pointer = Topic::input(&Streams::default());
        let stream = pointer.open().unwrap();
        let both_moves = |older: &(&str, u32), newer: &(&str, u32)| older.0 == "move" && newer.0 == "move";
        for event in [("move", 1), ("move", 2), ("down", 3), ("move", 4), ("move", 5)] {
            pointer.send(&event, both_moves);
        }
        assert_eq!(read(&stream), events([("move", 2), ("down", 3), ("move", 5)]));
    }

    #[test]
    fn a_frame_waits_until_the_scene_was_handed_the_input_before_it() {
        let streams = Streams::default();
        let (mut keys, mut frames) = (Topic::input(&streams), Topic::frames(&streams));
        let (key_stream, frame_stream) = (keys.open().unwrap(), frames.open().unwrap());
        assert_eq!(read(&key_stream), Poll::Pending);
        assert_eq!(read(&frame_stream), Poll::Pending);
        keys.send(&"a", |_, _| false);
        frames.send(&0, |_, _| true);
        assert_eq!(read(&frame_stream), Poll::Pending);
        assert_eq!(read(&key_stream), events(["a"]));
        assert_eq!(read(&frame_stream), events([0]));
    }

    #[test]
    fn input_that_nobody_waits_for_holds_no_frame_back() {
        let streams = Streams::default();
        let (mut keys, mut frames) = (Topic::input(&streams), Topic::frames(&streams));
        let (_key_stream, frame_stream) = (keys.open().unwrap(), frames.open().unwrap());
        keys.send(&"a", |_, _| false);
        frames.send(&0, |_, _| true);
        assert_eq!(read(&frame_stream), events([0]));
    }

    #[test]
    fn a_stream_that_is_not_read_ends_after_what_it_holds_instead_of_losing_a_key() {
        let mut keys = Topic::input(&Streams::default());
        let stream = keys.open().unwrap();
        let ended: usize = (0..=QUEUE_EVENTS).map(|key| keys.send(&key, |_, _| false)).sum();
        assert_eq!(ended, 1);
        assert_eq!(stream.read(Waker::noop(), usize::MAX, false), events(0..QUEUE_EVENTS));
        assert_eq!(read(&stream), Poll::Ready(Step::Ended));
    }

    #[test]
    fn in_a_full_stream_moves_give_way_to_later_ones_and_keys_never() {
        let mut input = Topic::input(&Streams::default());
        let stream = input.open().unwrap();
        let both_moves =
            |older: &(&str, usize), newer: &(&str, usize)| older.0 == "move" && newer.0 == "move";
        let half = QUEUE_EVENTS / 2;
        for number in 0..half {
            input.send(&("key", number), both_moves);
            input.send(&("move", number), both_moves);
        }
        assert_eq!(input.send(&("key", half), both_moves), 0);
        let kept = match stream.read(Waker::noop(), usize::MAX, false) {
            Poll::Ready(Step::Events(kept)) => kept,
            other => panic!("{other:?}"),
        };
        let keys = kept.iter().filter(|(kind, _)| *kind == "key").map(|(_, number)| *number);
        assert!(keys.eq(0..=half), "a key is lost or out of order");
        let moves: Vec<_> = kept.iter().filter(|(kind, _)| *kind == "move").collect();
        assert_eq!(moves, [&("move", half - 1)]);
    }

    #[test]
    fn a_scene_that_is_slower_than_its_ticks_waits_between_two_frames() {
        let streams = Streams::default();
        let mut frames = Topic::frames(&streams);
        let stream = frames.open().unwrap();
        streams.begin_turn();
        frames.send(&1, |_, _| true);
        assert_eq!(read(&stream), events([1]));
        frames.send(&2, |_, _| true);
        assert_eq!(read(&stream), Poll::Pending, "a second frame in one turn");
        streams.end_turn();
        streams.begin_turn();
        assert_eq!(read(&stream), events([2]));
    }

    #[test]
    fn streams_are_bounded_in_number_and_dropping_one_makes_room() {
        let mut keys: Topic<u32> = Topic::input(&Streams::default());
        let mut streams: Vec<_> = (0..OPEN_STREAMS).map(|_| keys.open().unwrap()).collect();
        assert!(keys.open().is_err());
        streams.pop();
        assert!(keys.open().is_ok());
    }

    #[test]
    fn a_read_that_is_taken_back_keeps_the_events() {
        let mut keys = Topic::input(&Streams::default());
        let stream = keys.open().unwrap();
        assert_eq!(read(&stream), Poll::Pending);
        assert_eq!(stream.read(Waker::noop(), 16, true), Poll::Ready(Step::Cancelled));
        keys.send(&1, |_, _| false);
        assert_eq!(stream.read(Waker::noop(), 0, false), events([]));
        assert_eq!(read(&stream), events([1]));
    }
}
