//! What happens to a scene, and in which frame.

use renderer_protocol::{
    Buttons, FrameSize, InputEvent, KeyEvent, Modifiers, PointerEvent, PointerKind, ViewerId,
};

/// Something that happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A viewer did something.
    Input(InputEvent),
    /// The window has another size from this frame on.
    Resize(FrameSize),
}

/// An event and its frame: the scene is given it in the tick of that frame, before the frame event.
#[derive(Clone, Debug, PartialEq)]
pub struct TimedEvent {
    /// Which frame.
    pub frame: u32,
    /// What happens.
    pub event: Event,
}

/// The viewer of the helpers below, and of scripts.
pub const VIEWER: ViewerId = ViewerId(1);

/// The mouse goes down at `from`, moves evenly to `to` over `frames`, the last of which it also goes up in. Places are fractions of the
/// picture: from the left edge, from the top.
pub fn drag(from: (f64, f64), to: (f64, f64), frames: std::ops::Range<u32>) -> Vec<TimedEvent> {
    let steps = frames.len();
    let mut events = Vec::with_capacity(steps + 1);
    let pointer = |(x, y): (f64, f64), buttons| PointerEvent {
        viewer: VIEWER,
        id: 1,
        kind: PointerKind::Mouse,
        x: x.clamp(0.0, 1.0),
        y: y.clamp(0.0, 1.0),
        buttons: Buttons(buttons),
        pressure: if buttons == 0 { 0.0 } else { 0.5 },
    };
    for (step, frame) in frames.enumerate() {
        // A drag has no more frames than can be asked for, far below 2^52.
        #[allow(clippy::cast_precision_loss)]
        let done = if steps > 1 { step as f64 / (steps - 1) as f64 } else { 1.0 };
        let place = (from.0 + (to.0 - from.0) * done, from.1 + (to.1 - from.1) * done);
        let mut push = |event: InputEvent| events.push(TimedEvent { frame, event: Event::Input(event) });
        if step == 0 {
            push(InputEvent::PointerDown(pointer(from, 1)));
        } else {
            push(InputEvent::PointerMove(pointer(place, 1)));
        }
        if step + 1 == steps {
            push(InputEvent::PointerUp(pointer(to, 0)));
        }
    }
    events
}

/// A key is held down from the first of the frames until the first one after them. `code` is `KeyboardEvent.code`.
pub fn hold_key(code: &str, frames: std::ops::Range<u32>) -> Vec<TimedEvent> {
    let key = KeyEvent {
        viewer: VIEWER,
        code: code.to_owned(),
        text: None,
        repeat: false,
        modifiers: Modifiers::default(),
    };
    let at = |frame, event| TimedEvent { frame, event: Event::Input(event) };
    vec![at(frames.start, InputEvent::KeyDown(key.clone())), at(frames.end, InputEvent::KeyUp(key))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drag_begins_and_ends_where_it_is_said_to_and_lets_go() {
        let events = drag((0.2, 0.5), (0.8, 0.5), 3..6);
        let places: Vec<(u32, f64, bool)> = events
            .iter()
            .map(|TimedEvent { frame, event }| match event {
                Event::Input(
                    InputEvent::PointerDown(at) | InputEvent::PointerMove(at) | InputEvent::PointerUp(at),
                ) => (*frame, at.x, at.buttons == Buttons(1)),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(places, [(3, 0.2, true), (4, 0.5, true), (5, 0.8, true), (5, 0.8, false)]);
    }
}
