use super::*;
use crate::viewer_protocol::{Key, Pointer, Wheel};

const VIEWER: ViewerId = ViewerId(3);

/// A viewer with a clock that stands still unless told otherwise.
struct Hand {
    input: ViewerInput,
    now: Instant,
    seq: u64,
}

impl Hand {
    fn new() -> Self {
        let now = Instant::now();
        Self { input: ViewerInput::new(VIEWER, now), now, seq: 0 }
    }

    fn does(&mut self, message: ClientMessage) -> (Applied, Vec<InputEvent>) {
        self.does_on(message, Lane::Events)
    }

    fn does_on(&mut self, message: ClientMessage, lane: Lane) -> (Applied, Vec<InputEvent>) {
        let mut events = Vec::new();
        let applied = self.input.apply(message, lane, self.now, &mut |event| events.push(event));
        for event in &events {
            event.check().unwrap_or_else(|error| panic!("{event:?} would end the worker: {error}"));
        }
        (applied, events)
    }

    fn waits(&mut self, duration: Duration) {
        self.now += duration;
    }

    fn leaves(&mut self) -> Vec<InputEvent> {
        let mut events = Vec::new();
        self.input.release_all(&mut |event| events.push(event));
        events
    }

    fn pointer(&mut self, id: u32, buttons: u32) -> Pointer {
        self.seq += 1;
        Pointer {
            seq: self.seq,
            id,
            kind: wire::PointerKind::Mouse,
            x: 0.25,
            y: 0.75,
            buttons,
            pressure: 0.5,
        }
    }

    fn key(&mut self, code: &str) -> Key {
        self.seq += 1;
        let code = code.to_owned();
        Key {
            seq: self.seq,
            code,
            text: None,
            repeat: false,
            alt: false,
            ctrl: false,
            meta: false,
            shift: false,
        }
    }
}

fn buttons(event: &InputEvent) -> u8 {
    match event {
        InputEvent::PointerMove(event)
        | InputEvent::PointerDown(event)
        | InputEvent::PointerUp(event)
        | InputEvent::PointerCancel(event) => event.buttons.0,
        other => panic!("{other:?} has no buttons"),
    }
}

#[test]
fn positions_outside_of_the_picture_and_numbers_that_are_none_are_clamped() {
    let mut hand = Hand::new();
    for (given, expected) in [
        (-0.1, 0.0),
        (1.1, 1.0),
        (f64::INFINITY, 1.0),
        (f64::NEG_INFINITY, 0.0),
        (f64::NAN, 0.0),
        (1e300, 1.0),
    ] {
        let pointer = Pointer { x: given, y: given, pressure: given, ..hand.pointer(1, 0) };
        let (_, events) = hand.does(ClientMessage::PointerMove(pointer));
        let [InputEvent::PointerMove(event)] = events[..] else { panic!("{events:?}") };
        assert_eq!((event.x, event.y), (expected, expected), "{given}");
    }
    for (given, expected) in [(1e300, MAX_WHEEL_PX), (-1e300, -MAX_WHEEL_PX), (f64::NAN, 0.0), (120.0, 120.0)]
    {
        let (_, events) =
            hand.does(ClientMessage::Wheel(Wheel { seq: 100, x: 0.5, y: 0.5, dx: given, dy: given }));
        let [InputEvent::Wheel(event)] = events[..] else { panic!("{events:?}") };
        assert_eq!((event.delta_x_px, event.delta_y_px), (expected, expected), "{given}");
    }
}

#[test]
fn buttons_that_no_mouse_has_are_masked() {
    let mut hand = Hand::new();
    let pointer = hand.pointer(1, u32::MAX);
    assert_eq!(buttons(&hand.does(ClientMessage::PointerDown(pointer)).1[0]), 0b1_1111);
}

#[test]
fn a_drag_goes_down_moves_and_goes_up() {
    let mut hand = Hand::new();
    let down = hand.pointer(1, 1);
    assert!(matches!(hand.does(ClientMessage::PointerDown(down)).1[..], [InputEvent::PointerDown(_)]));
    let moved = hand.pointer(1, 1);
    let (_, events) = hand.does_on(ClientMessage::PointerMove(moved), Lane::Motion);
    assert_eq!(buttons(&events[0]), 1);
    let up = hand.pointer(1, 0);
    assert!(matches!(hand.does(ClientMessage::PointerUp(up)).1[..], [InputEvent::PointerUp(_)]));
    assert!(hand.leaves().is_empty(), "nothing is down any more");
}

#[test]
fn a_late_move_is_dropped_and_a_late_button_is_not() {
    let mut hand = Hand::new();
    let (first, second, third) = (hand.pointer(1, 0), hand.pointer(1, 0), hand.pointer(1, 1));
    hand.does_on(ClientMessage::PointerMove(third), Lane::Motion);
    assert_eq!(hand.does_on(ClientMessage::PointerMove(first), Lane::Motion).0, Applied::Ignored);
    assert_eq!(hand.does(ClientMessage::PointerDown(second)).0, Applied::Accepted);
}

#[test]
fn a_move_alone_presses_no_button() {
    let mut hand = Hand::new();
    let pointer = hand.pointer(1, 1);
    let (_, events) = hand.does_on(ClientMessage::PointerMove(pointer), Lane::Motion);
    assert_eq!(buttons(&events[0]), 0, "its pointer-down is still to come");
    assert!(hand.leaves().is_empty());
}

#[test]
fn a_second_button_is_a_move_with_both_and_the_last_release_is_an_up() {
    let mut hand = Hand::new();
    let down = hand.pointer(1, 1);
    hand.does(ClientMessage::PointerDown(down));
    let both = hand.pointer(1, 3);
    let (_, events) = hand.does(ClientMessage::PointerMove(both));
    assert!(matches!(events[..], [InputEvent::PointerMove(event)] if event.buttons.0 == 3), "{events:?}");
    let none = hand.pointer(1, 0);
    assert!(matches!(hand.does(ClientMessage::PointerMove(none)).1[..], [InputEvent::PointerUp(_)]));
}

#[test]
fn losing_the_focus_releases_everything() {
    let mut hand = Hand::new();
    hand.does(ClientMessage::Focus { seq: 1, focused: true });
    let (mouse, finger) = (hand.pointer(1, 1), hand.pointer(2, 1));
    hand.does(ClientMessage::PointerDown(mouse));
    hand.does(ClientMessage::PointerDown(finger));
    let key = hand.key("KeyW");
    hand.does(ClientMessage::KeyDown(key));
    let (_, events) = hand.does(ClientMessage::Focus { seq: 9, focused: false });
    assert!(
        matches!(
            &events[..],
            [
                InputEvent::PointerCancel(PointerEvent { id: 1, buttons: Buttons(0), .. }),
                InputEvent::PointerCancel(PointerEvent { id: 2, .. }),
                InputEvent::KeyUp(KeyEvent { code, .. }),
                InputEvent::Focus { focused: false, .. },
            ] if code == "KeyW"
        ),
        "{events:?}"
    );
    assert!(hand.leaves().is_empty(), "once");
}

#[test]
fn releases_of_what_is_not_down_have_no_effect() {
    let mut hand = Hand::new();
    let key = hand.key("KeyW");
    assert_eq!(hand.does(ClientMessage::KeyUp(key)), (Applied::Ignored, vec![]));
    let pointer = hand.pointer(1, 0);
    assert_eq!(hand.does(ClientMessage::PointerUp(pointer)), (Applied::Ignored, vec![]));
}

#[test]
fn a_key_that_is_down_repeats() {
    let mut hand = Hand::new();
    for expected in [false, true] {
        let key = hand.key("KeyW");
        let (_, events) = hand.does(ClientMessage::KeyDown(key));
        assert!(
            matches!(&events[..], [InputEvent::KeyDown(event)] if event.repeat == expected),
            "{events:?}"
        );
    }
    assert_eq!(hand.leaves().len(), 1);
}

#[test]
fn long_texts_are_cut_between_characters_and_bad_codes_refused() {
    let mut hand = Hand::new();
    let key = Key { text: Some("é".repeat(2_000)), ..hand.key("KeyE") };
    let (_, events) = hand.does(ClientMessage::KeyDown(key));
    let [InputEvent::KeyDown(KeyEvent { text: Some(text), .. })] = &events[..] else { panic!("{events:?}") };
    assert!(text.len() <= MAX_TEXT_BYTES && text.chars().all(|character| character == 'é'));
    for code in ["K".repeat(33), "Key W".to_owned(), "Ключ".to_owned(), "\0".to_owned()] {
        let key = hand.key(&code);
        assert_eq!(hand.does(ClientMessage::KeyDown(key)), (Applied::Refused, vec![]), "{code:?}");
    }
}

#[test]
fn what_can_be_held_down_is_bounded() {
    let mut hand = Hand::new();
    for number in 0..200 {
        let (key, pointer) = (hand.key(&format!("Key{number}")), hand.pointer(number, 1));
        hand.does(ClientMessage::KeyDown(key));
        hand.does(ClientMessage::PointerDown(pointer));
        hand.waits(Duration::from_millis(10));
    }
    assert_eq!(hand.leaves().len(), MAX_KEYS_DOWN + MAX_POINTERS_DOWN);
}

#[test]
fn a_flood_is_cut_to_a_thousand_events_a_second() {
    let mut hand = Hand::new();
    let mut accepted = 0;
    for _ in 0..20_000 {
        let wheel = Wheel { seq: 1, x: 0.0, y: 0.0, dx: 0.0, dy: 1.0 };
        accepted += u32::from(hand.does(ClientMessage::Wheel(wheel)).0 == Applied::Accepted);
        hand.waits(Duration::from_micros(100));
    }
    let expected = 2 * MAX_EVENTS_PER_SECOND + BURST_EVENTS;
    assert!(accepted.abs_diff(expected) <= 2, "{accepted} in two seconds");
}

#[test]
fn the_release_of_one_of_two_buttons_gets_through_a_flood() {
    let mut hand = Hand::new();
    let down = hand.pointer(1, 0b11);
    hand.does(ClientMessage::PointerDown(down));
    while hand.input.admit(hand.now) {}
    let released = hand.pointer(1, 0b10);
    let (applied, events) = hand.does(ClientMessage::PointerMove(released));
    assert_eq!((applied, buttons(&events[0])), (Applied::Accepted, 0b10));
    let again = Pointer { seq: released.seq + 1, ..released };
    assert_eq!(hand.does(ClientMessage::PointerMove(again)).0, Applied::TooFast, "it releases nothing");
    let pressed = hand.pointer(1, 0b11);
    assert_eq!(hand.does(ClientMessage::PointerMove(pressed)).0, Applied::TooFast);
}

#[test]
fn a_release_gets_through_a_flood() {
    let mut hand = Hand::new();
    let (key, pointer) = (hand.key("KeyW"), hand.pointer(1, 1));
    hand.does(ClientMessage::KeyDown(key));
    hand.does(ClientMessage::PointerDown(pointer));
    while hand.input.admit(hand.now) {}
    let (key, pointer) = (hand.key("KeyW"), hand.pointer(1, 0));
    assert_eq!(hand.does(ClientMessage::KeyUp(key)).0, Applied::Accepted);
    assert_eq!(hand.does(ClientMessage::PointerUp(pointer)).0, Applied::Accepted);
    let refused = hand.key("KeyA");
    assert_eq!(hand.does(ClientMessage::KeyDown(refused)).0, Applied::TooFast);
    assert!(hand.leaves().is_empty(), "a press that was refused is not down");
}
