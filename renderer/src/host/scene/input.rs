//! `scenecast:scene/input`: translates the worker protocol's input to the interface's events. The queues are [`crate::host::window`]'s.

use renderer_protocol::{Buttons, FrameSize, InputEvent, Modifiers, PointerEvent, PointerKind};
use wasmtime::component::{Access, StreamReader};

use super::{SceneInput, bindings::scenecast::scene::input};
use crate::host::{keys, window::Window};

impl input::Host for &mut Window {}

impl<T: 'static> input::HostWithStore<T> for SceneInput {
    fn events(mut host: Access<'_, T, Self>) -> wasmtime::Result<StreamReader<input::Event>> {
        let producer = host.get().open(|topics| &mut topics.input)?;
        StreamReader::new(host, producer)
    }
}

/// Translates an event for a surface of this size.
pub(crate) fn event(event: &InputEvent, size: FrameSize) -> input::Event {
    let (width, height) = (f64::from(size.width()), f64::from(size.height()));
    let pointer = |pointer: &PointerEvent| input::PointerEvent {
        viewer: pointer.viewer.0,
        id: pointer.id,
        kind: match pointer.kind {
            PointerKind::Mouse => input::PointerKind::Mouse,
            PointerKind::Touch => input::PointerKind::Touch,
            PointerKind::Pen => input::PointerKind::Pen,
        },
        x: pointer.x * width,
        y: pointer.y * height,
        buttons: buttons(pointer.buttons),
        pressure: pointer.pressure,
    };
    let key = |key: &renderer_protocol::KeyEvent| input::KeyEvent {
        viewer: key.viewer.0,
        key: keys::from_code(&key.code),
        text: key.text.clone(),
        repeat: key.repeat,
        modifiers: modifiers(key.modifiers),
    };
    match event {
        InputEvent::PointerMove(event) => input::Event::PointerMove(pointer(event)),
        InputEvent::PointerDown(event) => input::Event::PointerDown(pointer(event)),
        InputEvent::PointerUp(event) => input::Event::PointerUp(pointer(event)),
        InputEvent::PointerCancel(event) => input::Event::PointerCancel(pointer(event)),
        InputEvent::Wheel(event) => input::Event::Wheel(input::WheelEvent {
            viewer: event.viewer.0,
            x: event.x * width,
            y: event.y * height,
            delta_x: event.delta_x_px,
            delta_y: event.delta_y_px,
        }),
        InputEvent::KeyDown(event) => input::Event::KeyDown(key(event)),
        InputEvent::KeyUp(event) => input::Event::KeyUp(key(event)),
        InputEvent::Focus { viewer, focused } => {
            input::Event::Focus(input::FocusEvent { viewer: viewer.0, focused: *focused })
        }
    }
}

/// A move replaces a move of the same pointer with the same buttons; nothing else replaces anything.
pub(crate) fn replaces(older: &input::Event, newer: &input::Event) -> bool {
    match (older, newer) {
        (input::Event::PointerMove(older), input::Event::PointerMove(newer)) => {
            (older.viewer, older.id, older.buttons) == (newer.viewer, newer.id, newer.buttons)
        }
        _ => false,
    }
}

fn modifiers(down: Modifiers) -> input::Modifiers {
    let flags = [
        (down.alt, input::Modifiers::ALT),
        (down.ctrl, input::Modifiers::CTRL),
        (down.meta, input::Modifiers::META),
        (down.shift, input::Modifiers::SHIFT),
    ];
    flags.into_iter().filter(|(down, _)| *down).fold(input::Modifiers::default(), |all, (_, flag)| all | flag)
}

fn buttons(pressed: Buttons) -> input::Buttons {
    let flags = [
        (1, input::Buttons::PRIMARY),
        (2, input::Buttons::SECONDARY),
        (4, input::Buttons::AUXILIARY),
        (8, input::Buttons::BACK),
        (16, input::Buttons::FORWARD),
    ];
    let pressed = flags.into_iter().filter(|(bit, _)| pressed.0 & bit != 0);
    pressed.fold(input::Buttons::default(), |all, (_, flag)| all | flag)
}
