//! One viewer's pointers and keys: what is down, how fast it talks, what its messages mean.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use renderer_protocol::{
    Buttons, InputEvent, KeyEvent, Modifiers, PointerEvent, PointerKind, ViewerId, WheelEvent,
    input::{MAX_KEY_CODE_BYTES, MAX_TEXT_BYTES, MAX_WHEEL_PX},
};

use crate::viewer_protocol::{self as wire, ClientMessage};

/// A page that coalesces per picture sends below 300; no hand makes more than this.
pub const MAX_EVENTS_PER_SECOND: u32 = 1_000;
/// What may come at once after a pause, for example when a network delivers late.
const BURST_EVENTS: u32 = 250;
/// Ten fingers, a mouse, a pen, and a few more.
pub const MAX_POINTERS_DOWN: usize = 16;
/// More keys than hands can hold; keyboards report fewer.
pub const MAX_KEYS_DOWN: usize = 32;
/// The five buttons that the Pointer Events standard numbers.
const KNOWN_BUTTONS: u32 = 0b1_1111;

/// The channel a message came on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Unordered: a late move is stale, and no state changes here.
    Motion,
    /// Ordered and reliable.
    Events,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// Its events were given out.
    Accepted,
    /// Harmless and without effect: stale, or the release of what is not down.
    Ignored,
    /// Over the rate; presses that are refused here never have an effect, so nothing stays down.
    TooFast,
    /// No hand does that: more keys or pointers than allowed, or a key code that is none.
    Refused,
}

/// What one viewer holds down.
#[derive(Debug)]
pub struct ViewerInput {
    viewer: ViewerId,
    pointers: BTreeMap<u32, PointerEvent>,
    keys: BTreeSet<String>,
    focused: bool,
    /// The highest number among pointer messages: a move with a lower one comes too late.
    latest_pointer_seq: Option<u64>,
    tokens: f64,
    refilled: Instant,
}

impl ViewerInput {
    /// A viewer that holds nothing down.
    pub fn new(viewer: ViewerId, now: Instant) -> Self {
        Self {
            viewer,
            pointers: BTreeMap::new(),
            keys: BTreeSet::new(),
            focused: false,
            latest_pointer_seq: None,
            tokens: f64::from(BURST_EVENTS),
            refilled: now,
        }
    }

    /// Whether one more message of any kind is within the rate; it is counted if so.
    pub fn admit(&mut self, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.refilled).min(Duration::from_secs(1));
        self.refilled = self.refilled.max(now);
        let refill = elapsed.as_secs_f64() * f64::from(MAX_EVENTS_PER_SECOND);
        self.tokens = (self.tokens + refill).min(f64::from(BURST_EVENTS));
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }

    /// Gives out the events of an input message; messages that are not input are ignored. A release is never over the rate: it
    /// needs a press, and presses are counted.
    pub fn apply(
        &mut self,
        message: ClientMessage,
        lane: Lane,
        now: Instant,
        out: &mut impl FnMut(InputEvent),
    ) -> Applied {
        match message {
            ClientMessage::PointerMove(pointer) => self.pointer_move(&pointer, lane, now, out),
            ClientMessage::PointerDown(pointer) => self.pointer_down(&pointer, now, out),
            ClientMessage::PointerUp(pointer) => self.pointer_gone(&pointer, InputEvent::PointerUp, out),
            ClientMessage::PointerCancel(pointer) => {
                self.pointer_gone(&pointer, InputEvent::PointerCancel, out)
            }
            ClientMessage::Wheel(wheel) => {
                if !self.admit(now) {
                    return Applied::TooFast;
                }
                out(InputEvent::Wheel(WheelEvent {
                    viewer: self.viewer,
                    x: fraction(wheel.x),
                    y: fraction(wheel.y),
                    delta_x_px: clamped(wheel.dx, -MAX_WHEEL_PX, MAX_WHEEL_PX),
                    delta_y_px: clamped(wheel.dy, -MAX_WHEEL_PX, MAX_WHEEL_PX),
                }));
                Applied::Accepted
            }
            ClientMessage::KeyDown(key) => self.key_down(key, now, out),
            ClientMessage::KeyUp(key) => {
                if !self.keys.remove(&key.code) {
                    return Applied::Ignored;
                }
                out(InputEvent::KeyUp(self.key(key)));
                Applied::Accepted
            }
            ClientMessage::Focus { focused: true, .. } => {
                if self.focused {
                    return Applied::Ignored;
                }
                if !self.admit(now) {
                    return Applied::TooFast;
                }
                self.focused = true;
                out(InputEvent::Focus { viewer: self.viewer, focused: true });
                Applied::Accepted
            }
            ClientMessage::Focus { focused: false, .. } => {
                self.release_all(out);
                Applied::Accepted
            }
            ClientMessage::Hello { .. }
            | ClientMessage::Resize { .. }
            | ClientMessage::Ping { .. }
            | ClientMessage::Measure { .. }
            | ClientMessage::Unknown => Applied::Ignored,
        }
    }

    /// Everything that is down goes up, and the focus with it: the viewer left, or looks elsewhere.
    pub fn release_all(&mut self, out: &mut impl FnMut(InputEvent)) {
        for (_, pointer) in std::mem::take(&mut self.pointers) {
            out(InputEvent::PointerCancel(PointerEvent { buttons: Buttons(0), pressure: 0.0, ..pointer }));
        }
        let viewer = self.viewer;
        for code in std::mem::take(&mut self.keys) {
            out(InputEvent::KeyUp(KeyEvent {
                viewer,
                code,
                text: None,
                repeat: false,
                modifiers: Modifiers::default(),
            }));
        }
        if std::mem::take(&mut self.focused) {
            out(InputEvent::Focus { viewer, focused: false });
        }
    }

    fn pointer_move(
        &mut self,
        pointer: &wire::Pointer,
        lane: Lane,
        now: Instant,
        out: &mut impl FnMut(InputEvent),
    ) -> Applied {
        if lane == Lane::Motion && self.latest_pointer_seq.is_some_and(|latest| pointer.seq <= latest) {
            return Applied::Ignored;
        }
        let mut event = self.event(pointer);
        let mut is_release = false;
        match self.pointers.get(&pointer.id) {
            // A button goes down by a pointer-down only, so that whatever is down is known here and will be released.
            None => event.buttons = Buttons(0),
            Some(down) if lane == Lane::Motion => event.buttons = down.buttons,
            Some(_) if event.buttons == Buttons(0) => {
                return self.pointer_gone(pointer, InputEvent::PointerUp, out);
            }
            // One of several buttons goes up. Each went down by a message that was counted, so these are no more than those.
            Some(down) => {
                let (held, holds) = (down.buttons.0, event.buttons.0);
                is_release = holds != held && holds & !held == 0;
            }
        }
        if !is_release && !self.admit(now) {
            return Applied::TooFast;
        }
        self.note_pointer_seq(pointer.seq);
        if let Some(down) = self.pointers.get_mut(&pointer.id) {
            *down = event;
        }
        out(InputEvent::PointerMove(event));
        Applied::Accepted
    }

    fn pointer_down(
        &mut self,
        pointer: &wire::Pointer,
        now: Instant,
        out: &mut impl FnMut(InputEvent),
    ) -> Applied {
        if !self.admit(now) {
            return Applied::TooFast;
        }
        let mut event = self.event(pointer);
        if event.buttons == Buttons(0) {
            event.buttons = Buttons(1);
        }
        let is_down = self.pointers.contains_key(&pointer.id);
        if !is_down && self.pointers.len() >= MAX_POINTERS_DOWN {
            return Applied::Refused;
        }
        self.note_pointer_seq(pointer.seq);
        self.pointers.insert(pointer.id, event);
        // A second button of a pointer is a change of its buttons, whatever the page calls it.
        out(if is_down { InputEvent::PointerMove(event) } else { InputEvent::PointerDown(event) });
        Applied::Accepted
    }

    fn pointer_gone(
        &mut self,
        pointer: &wire::Pointer,
        make: fn(PointerEvent) -> InputEvent,
        out: &mut impl FnMut(InputEvent),
    ) -> Applied {
        if self.pointers.remove(&pointer.id).is_none() {
            return Applied::Ignored;
        }
        self.note_pointer_seq(pointer.seq);
        out(make(PointerEvent { buttons: Buttons(0), ..self.event(pointer) }));
        Applied::Accepted
    }

    fn key_down(&mut self, key: wire::Key, now: Instant, out: &mut impl FnMut(InputEvent)) -> Applied {
        if !self.admit(now) {
            return Applied::TooFast;
        }
        if key.code.len() > MAX_KEY_CODE_BYTES || !key.code.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Applied::Refused;
        }
        let is_down = self.keys.contains(&key.code);
        if !is_down {
            if self.keys.len() >= MAX_KEYS_DOWN {
                return Applied::Refused;
            }
            self.keys.insert(key.code.clone());
        }
        let mut event = self.key(key);
        event.repeat |= is_down;
        out(InputEvent::KeyDown(event));
        Applied::Accepted
    }

    fn note_pointer_seq(&mut self, seq: u64) {
        self.latest_pointer_seq = self.latest_pointer_seq.max(Some(seq));
    }

    fn event(&self, pointer: &wire::Pointer) -> PointerEvent {
        let buttons = Buttons(u8::try_from(pointer.buttons & KNOWN_BUTTONS).unwrap_or_default());
        // From 0 to 1, where an f32 loses nothing that a pen can measure.
        #[allow(clippy::cast_possible_truncation)]
        let pressure = fraction(pointer.pressure) as f32;
        PointerEvent {
            viewer: self.viewer,
            id: pointer.id,
            kind: match pointer.kind {
                wire::PointerKind::Mouse => PointerKind::Mouse,
                wire::PointerKind::Touch => PointerKind::Touch,
                wire::PointerKind::Pen => PointerKind::Pen,
            },
            x: fraction(pointer.x),
            y: fraction(pointer.y),
            buttons,
            pressure,
        }
    }

    fn key(&self, key: wire::Key) -> KeyEvent {
        let text = key.text.filter(|text| !text.is_empty()).map(|mut text| {
            text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
            text
        });
        KeyEvent {
            viewer: self.viewer,
            code: key.code,
            text,
            repeat: key.repeat,
            modifiers: Modifiers { alt: key.alt, ctrl: key.ctrl, meta: key.meta, shift: key.shift },
        }
    }
}

fn fraction(value: f64) -> f64 {
    clamped(value, 0.0, 1.0)
}

/// NaN becomes the lower bound, or 0 where that is within.
fn clamped(value: f64, low: f64, high: f64) -> f64 {
    if value.is_nan() { low.max(0.0) } else { value.clamp(low, high) }
}

#[cfg(test)]
#[path = "viewer_tests.rs"]
mod tests;
