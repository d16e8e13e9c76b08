//! The one offscreen window of a session, as the scene's two input interfaces see it.
//!
//! Owns its size, its event topics and what the current tick is. The worker's side reports input, sizes and ticks; the host
//! functions open streams. It knows neither the broker nor how pictures are made.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use renderer_protocol::{FrameSize, InputEvent, PointerEvent};

use super::{
    OverLimit,
    events::{Producer, Streams, Topic},
    keys,
    scene::bindings::scenecast::scene::input as scenecast,
    surface::bindings::wasi_gfx::surface::surface as gfx,
};

/// Input that waits for the next tick. The broker passes at most 1,000 events a second and viewer on, and ticks come many times a
/// second while anybody watches, so no more than this waits unless ticks stop or hundreds of viewers press keys at once.
const WAITING_INPUT_EVENTS: usize = 4096;

/// What a picture belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tick {
    /// When the tick began, in microseconds of the session's frame clock.
    pub started_us: u64,
    /// The highest input sequence that the scene was given in this tick or before.
    pub input_sequence: u64,
}

/// A cheap handle; all clones are the same window.
#[derive(Clone)]
pub struct Window(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Streams that were ended because the scene did not read them.
    overflowed: AtomicU64,
    /// Changes of keys and buttons that found no room to wait in.
    lost_input: AtomicU64,
}

struct State {
    size: FrameSize,
    tick: Tick,
    waiting: Vec<InputEvent>,
    waiting_sequence: u64,
    waiting_size: Option<FrameSize>,
    topics: Topics,
}

pub(crate) struct Topics {
    pub(crate) frames: Topic<gfx::FrameEvent>,
    pub(crate) resizes: Topic<gfx::ResizeEvent>,
    pub(crate) pointer_downs: Topic<gfx::PointerEvent>,
    pub(crate) pointer_ups: Topic<gfx::PointerEvent>,
    pub(crate) pointer_moves: Topic<gfx::PointerEvent>,
    pub(crate) key_downs: Topic<gfx::KeyEvent>,
    pub(crate) key_ups: Topic<gfx::KeyEvent>,
    pub(crate) input: Topic<scenecast::Event>,
}

impl Window {
    /// A window of this size that nobody looks at yet.
    pub fn new(size: FrameSize) -> Self {
        let streams = Streams::default();
        let topics = Topics {
            frames: Topic::frames(&streams),
            resizes: Topic::input(&streams),
            pointer_downs: Topic::input(&streams),
            pointer_ups: Topic::input(&streams),
            pointer_moves: Topic::input(&streams),
            key_downs: Topic::input(&streams),
            key_ups: Topic::input(&streams),
            input: Topic::input(&streams),
        };
        let state = State {
            size,
            tick: Tick::default(),
            waiting: Vec::new(),
            waiting_sequence: 0,
            waiting_size: None,
            topics,
        };
        Self(Arc::new(Shared {
            state: Mutex::new(state),
            overflowed: AtomicU64::new(0),
            lost_input: AtomicU64::new(0),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The size that pictures have from the current tick on.
    pub fn size(&self) -> FrameSize {
        self.state().size
    }

    /// The tick that is being drawn.
    pub fn current_tick(&self) -> Tick {
        self.state().tick
    }

    /// Keeps input for the next tick. Beyond [`WAITING_INPUT_EVENTS`] moves give way; where none is left, the new event is lost and
    /// [counted](Self::take_lost_input).
    pub fn push_input(&self, sequence: u64, events: Vec<InputEvent>) {
        let mut state = self.state();
        state.waiting_sequence = state.waiting_sequence.max(sequence);
        for event in events {
            if state.waiting.len() >= WAITING_INPUT_EVENTS {
                let is_move = |waiting: &InputEvent| matches!(waiting, InputEvent::PointerMove(_));
                let Some(oldest_move) = state.waiting.iter().position(is_move) else {
                    self.0.lost_input.fetch_add(1, Ordering::Relaxed);
                    continue;
                };
                state.waiting.remove(oldest_move);
            }
            state.waiting.push(event);
        }
    }

    /// Changes the size at the next tick.
    pub fn resize(&self, size: FrameSize) {
        self.state().waiting_size = Some(size);
    }

    /// Begins a tick: the new size, then the input since the last one, then the frame event reach the scene.
    pub fn tick(&self, now_us: u64) {
        let mut state = self.state();
        let state = &mut *state;
        state.tick = Tick { started_us: now_us, input_sequence: state.waiting_sequence };
        let mut overflowed = 0;
        if let Some(size) = state.waiting_size.take().filter(|size| *size != state.size) {
            state.size = size;
            let event = gfx::ResizeEvent { width: size.width(), height: size.height() };
            overflowed += state.topics.resizes.send(&event, |_, _| true);
        }
        for event in state.waiting.drain(..) {
            overflowed += state.topics.report(&event, state.size);
        }
        overflowed += state.topics.frames.send(&gfx::FrameEvent { nothing: true }, |_, _| true);
        if overflowed > 0 {
            self.0.overflowed.fetch_add(overflowed as u64, Ordering::Relaxed);
        }
    }

    /// How many event streams were ended since the last call because the scene let them overflow.
    pub fn take_overflowed_streams(&self) -> u64 {
        self.0.overflowed.swap(0, Ordering::Relaxed)
    }

    /// How many events were lost since the last call because too many waited for a tick.
    pub fn take_lost_input(&self) -> u64 {
        self.0.lost_input.swap(0, Ordering::Relaxed)
    }

    pub(crate) fn open<T: Clone + Send + Sync + 'static>(
        &self,
        topic: impl FnOnce(&mut Topics) -> &mut Topic<T>,
    ) -> Result<Producer<T>, OverLimit> {
        topic(&mut self.state().topics).open()
    }
}

impl Topics {
    /// Reports one event on every interface that has a word for it; returns the number of overflowed streams.
    fn report(&mut self, event: &InputEvent, size: FrameSize) -> usize {
        let never = |_: &gfx::PointerEvent, _: &gfx::PointerEvent| false;
        let (width, height) = (f64::from(size.width()), f64::from(size.height()));
        let at = |pointer: &PointerEvent| gfx::PointerEvent { x: pointer.x * width, y: pointer.y * height };
        let surface = match event {
            InputEvent::PointerMove(pointer) => self.pointer_moves.send(&at(pointer), |_, _| true),
            InputEvent::PointerDown(pointer) => self.pointer_downs.send(&at(pointer), never),
            InputEvent::PointerUp(pointer) | InputEvent::PointerCancel(pointer) => {
                self.pointer_ups.send(&at(pointer), never)
            }
            InputEvent::KeyDown(key) => self.key_downs.send(&surface_key(key), |_, _| false),
            InputEvent::KeyUp(key) => self.key_ups.send(&surface_key(key), |_, _| false),
            InputEvent::Wheel(_) | InputEvent::Focus { .. } => 0,
        };
        surface + self.input.send(&super::scene::event(event, size), super::scene::replaces)
    }
}

/// `wasi-gfx:surface` has no sign for a repeated press; it reports each as a press, as browsers do.
fn surface_key(key: &renderer_protocol::KeyEvent) -> gfx::KeyEvent {
    gfx::KeyEvent {
        key: keys::from_code(&key.code),
        text: key.text.clone(),
        alt_key: key.modifiers.alt,
        ctrl_key: key.modifiers.ctrl,
        meta_key: key.modifiers.meta,
        shift_key: key.modifiers.shift,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_that_finds_no_room_to_wait_in_is_counted() {
        let window = Window::new(FrameSize::new(64, 64).unwrap());
        let focus = InputEvent::Focus { viewer: renderer_protocol::ViewerId(1), focused: true };
        window.push_input(1, vec![focus.clone(); WAITING_INPUT_EVENTS]);
        assert_eq!(window.take_lost_input(), 0);
        window.push_input(2, vec![focus.clone(); 3]);
        assert_eq!(window.take_lost_input(), 3);
        window.tick(0);
        window.push_input(3, vec![focus]);
        assert_eq!(window.take_lost_input(), 0);
    }
}
