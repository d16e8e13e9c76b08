//! The one offscreen window of a session, as the scene's two input interfaces see it.
//!
//! Owns its size, its event topics and what the current tick is. The worker's side reports input, sizes and ticks; the host
//! functions open streams. It knows neither the broker nor how pictures are made.
//!
//! The size changes between the scene's turns and never within one: what a scene computes with, from one wait to the next, fits
//! together.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
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
/// second while anybody watches, so no more than this waits unless ticks stop or hundreds of viewers press keys at once. When it
/// does, all of it is given to the scene at once, without a tick: nothing is lost here.
const WAITING_INPUT_EVENTS: usize = 4096;

/// Sizes that are remembered, the present one included. A scene learns of a size by an event, and may be some events behind.
const RECENT_SIZES: usize = 8;

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
}

struct State {
    size: FrameSize,
    /// The latest [`RECENT_SIZES`], the newest first.
    recent_sizes: VecDeque<FrameSize>,
    tick: Tick,
    waiting: Vec<InputEvent>,
    waiting_sequence: u64,
    /// For the next tick.
    waiting_size: Option<FrameSize>,
    /// Of the last tick, which found the scene at work.
    due_size: Option<FrameSize>,
    in_turn: bool,
    streams: Streams,
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
            recent_sizes: VecDeque::from([size]),
            tick: Tick::default(),
            waiting: Vec::new(),
            waiting_sequence: 0,
            waiting_size: None,
            due_size: None,
            in_turn: false,
            streams,
            topics,
        };
        Self(Arc::new(Shared { state: Mutex::new(state), overflowed: AtomicU64::new(0) }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The size that pictures have now.
    pub fn size(&self) -> FrameSize {
        self.state().size
    }

    /// The sizes that pictures had lately, the newest first; the one of now is the first of them.
    pub fn recent_sizes(&self) -> Vec<FrameSize> {
        self.state().recent_sizes.iter().copied().collect()
    }

    /// The tick that is being drawn.
    pub fn current_tick(&self) -> Tick {
        self.state().tick
    }

    /// Keeps input for the next tick; [`WAITING_INPUT_EVENTS`] tells what becomes of more.
    pub fn push_input(&self, sequence: u64, events: Vec<InputEvent>) {
        let mut state = self.state();
        state.waiting_sequence = state.waiting_sequence.max(sequence);
        let mut overflowed = 0_usize;
        for event in events {
            if state.waiting.len() >= WAITING_INPUT_EVENTS {
                overflowed = overflowed.saturating_add(state.report_waiting());
            }
            state.waiting.push(event);
        }
        self.count_overflowed(overflowed);
    }

    /// Changes the size at the next tick.
    pub fn resize(&self, size: FrameSize) {
        self.state().waiting_size = Some(size);
    }

    /// Begins a tick: the new size, then the input since the last one, then the frame event reach the scene. The size of a tick that
    /// finds the scene at work waits for the [end of its turn](Self::end_turn).
    pub fn tick(&self, now_us: u64) {
        let mut state = self.state();
        let state = &mut *state;
        state.tick = Tick { started_us: now_us, input_sequence: state.waiting_sequence };
        let mut overflowed = 0_usize;
        if let Some(size) = state.waiting_size.take() {
            state.due_size = Some(size);
        }
        if !state.in_turn {
            overflowed = overflowed.saturating_add(state.take_size());
        }
        overflowed = overflowed.saturating_add(state.report_waiting());
        overflowed = overflowed
            .saturating_add(state.topics.frames.send(&gfx::FrameEvent { nothing: true }, |_, _| true));
        self.count_overflowed(overflowed);
    }

    /// The scene runs, from here until it waits for something. Saying so again within a turn changes nothing.
    pub(crate) fn begin_turn(&self) {
        let mut state = self.state();
        if !std::mem::replace(&mut state.in_turn, true) {
            state.streams.begin_turn();
        }
    }

    /// The scene waits for something.
    pub(crate) fn end_turn(&self) {
        let mut state = self.state();
        state.in_turn = false;
        let overflowed = state.take_size();
        state.streams.end_turn();
        self.count_overflowed(overflowed);
    }

    fn count_overflowed(&self, streams: usize) {
        if streams > 0 {
            self.0.overflowed.fetch_add(streams as u64, Ordering::Relaxed);
        }
    }

    /// How many event streams were ended since the last call because the scene let them overflow.
    pub fn take_overflowed_streams(&self) -> u64 {
        self.0.overflowed.swap(0, Ordering::Relaxed)
    }

    pub(crate) fn open<T: Clone + Send + Sync + 'static>(
        &self,
        topic: impl FnOnce(&mut Topics) -> &mut Topic<T>,
    ) -> Result<Producer<T>, OverLimit> {
        topic(&mut self.state().topics).open()
    }
}

impl State {
    /// Gives the scene the input that waits; returns the number of overflowed streams.
    fn report_waiting(&mut self) -> usize {
        let Self { waiting, topics, size, .. } = self;
        waiting.drain(..).map(|event| topics.report(&event, *size)).sum()
    }

    /// Takes the size that is due; returns the number of overflowed streams.
    fn take_size(&mut self) -> usize {
        let Some(size) = self.due_size.take().filter(|size| *size != self.size) else { return 0 };
        self.size = size;
        self.recent_sizes.push_front(size);
        self.recent_sizes.truncate(RECENT_SIZES);
        let event = gfx::ResizeEvent { width: size.width(), height: size.height() };
        self.topics.resizes.send(&event, |_, _| true)
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
        surface.saturating_add(self.input.send(&super::scene::event(event, size), super::scene::replaces))
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
    use renderer_protocol::{KeyEvent, Modifiers, ViewerId};

    use super::*;

    fn size(width: u32, height: u32) -> FrameSize {
        FrameSize::new(width, height).unwrap()
    }

    fn press(number: usize) -> InputEvent {
        InputEvent::KeyDown(KeyEvent {
            viewer: ViewerId(1),
            code: "KeyA".to_owned(),
            text: Some(number.to_string()),
            repeat: false,
            modifiers: Modifiers::default(),
        })
    }

    fn texts(presses: Vec<gfx::KeyEvent>) -> Vec<String> {
        presses.into_iter().filter_map(|press| press.text).collect()
    }

    #[test]
    fn keys_that_find_no_room_to_wait_for_a_tick_in_reach_the_scene_before_it() {
        let window = Window::new(size(64, 64));
        let keys = window.open(|topics| &mut topics.key_downs).unwrap();
        for first in (0..WAITING_INPUT_EVENTS).step_by(256) {
            window.push_input(1, (first..first + 256).map(press).collect());
        }
        assert!(keys.take_now().is_none(), "before the tick");
        window.push_input(2, vec![press(WAITING_INPUT_EVENTS)]);
        let mut pressed = texts(keys.take_now().unwrap());
        window.tick(0);
        pressed.extend(texts(keys.take_now().unwrap()));
        assert_eq!(pressed, (0..=WAITING_INPUT_EVENTS).map(|number| number.to_string()).collect::<Vec<_>>());
        assert_eq!(window.take_overflowed_streams(), 0);
    }

    #[test]
    fn a_size_waits_until_the_scene_has_done_its_turn() {
        let window = Window::new(size(64, 64));
        let resizes = window.open(|topics| &mut topics.resizes).unwrap();
        window.begin_turn();
        window.resize(size(128, 96));
        window.tick(0);
        assert_eq!(window.size(), size(64, 64), "within a turn");
        assert!(resizes.take_now().is_none(), "within a turn");
        window.end_turn();
        assert_eq!(window.size(), size(128, 96));
        let events = resizes.take_now().unwrap();
        assert!(matches!(events.as_slice(), [gfx::ResizeEvent { width: 128, height: 96 }]), "{events:?}");
        window.resize(size(32, 32));
        assert_eq!(window.size(), size(128, 96), "before the tick");
        window.tick(0);
        assert_eq!(window.size(), size(32, 32), "while the scene waits");
        assert_eq!(window.recent_sizes(), [size(32, 32), size(128, 96), size(64, 64)]);
    }

    #[test]
    fn the_size_that_the_window_has_is_no_event() {
        let window = Window::new(size(64, 64));
        let resizes = window.open(|topics| &mut topics.resizes).unwrap();
        window.resize(size(64, 64));
        window.tick(0);
        assert!(resizes.take_now().is_none());
    }

    #[test]
    fn the_sizes_that_are_remembered_are_bounded() {
        let window = Window::new(size(64, 64));
        for width in 0..100 {
            window.resize(size(16 + 2 * width, 16));
            window.tick(0);
        }
        assert_eq!(window.recent_sizes().len(), RECENT_SIZES);
    }
}
