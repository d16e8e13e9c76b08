//! What viewers do, as a scene sees it. The broker has validated and clamped all of it before it is sent.

use serde::{Deserialize, Serialize};

use crate::OutOfRange;

/// The longest `code` of the UI Events standard has 19 characters; 32 leaves room for new ones.
pub const MAX_KEY_CODE_BYTES: usize = 32;
/// One key press gives a few characters, a composed or pasted text more; longer ones are cut by the broker.
pub const MAX_TEXT_BYTES: usize = 1024;

/// A viewer of a session, numbered by the broker from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ViewerId(pub u32);

/// One thing that a viewer did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum InputEvent {
    /// A pointer moved. Moves of one pointer may be merged, the latest wins.
    PointerMove(PointerEvent),
    /// The first button of a pointer went down, or a finger touched.
    PointerDown(PointerEvent),
    /// The last button of a pointer went up, or a finger left.
    PointerUp(PointerEvent),
    /// The pointer's contact ended without meaning: the browser took it over, or the viewer left.
    PointerCancel(PointerEvent),
    /// The wheel turned.
    Wheel(WheelEvent),
    /// A key went down, or repeats.
    KeyDown(KeyEvent),
    /// A key went up.
    KeyUp(KeyEvent),
    /// The page got or lost the keyboard focus.
    Focus {
        /// Whose page.
        viewer: ViewerId,
        /// True when it has the focus now.
        focused: bool,
    },
}

/// The kinds of pointer of the Pointer Events standard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PointerKind {
    /// A mouse, or anything that acts as one.
    Mouse,
    /// A finger.
    Touch,
    /// A stylus.
    Pen,
}

/// The buttons that are down, as the bits of `PointerEvent.buttons`: 1 primary, 2 secondary, 4 auxiliary, 8 back, 16 forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Buttons(pub u8);

/// Position and state of one pointer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PointerEvent {
    /// Whose pointer.
    pub viewer: ViewerId,
    /// The browser's number of this pointer; unique within the viewer while it lasts.
    pub id: u32,
    /// What it is.
    pub kind: PointerKind,
    /// From the left edge of the picture, 0.0, to the right edge, 1.0.
    pub x: f64,
    /// From the upper edge of the picture, 0.0, to the lower edge, 1.0.
    pub y: f64,
    /// The buttons that are down after the event.
    pub buttons: Buttons,
    /// From 0.0 to 1.0; 0.5 for hardware without pressure while a button is down.
    pub pressure: f32,
}

/// A turn of the wheel, in CSS pixels whatever unit the browser reported.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct WheelEvent {
    /// Whose wheel.
    pub viewer: ViewerId,
    /// As in [`PointerEvent::x`].
    pub x: f64,
    /// As in [`PointerEvent::y`].
    pub y: f64,
    /// To the right, in CSS pixels.
    pub delta_x_px: f64,
    /// Downwards, in CSS pixels.
    pub delta_y_px: f64,
}

/// Modifier keys that were down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "the four modifiers of the UI Events standard")]
pub struct Modifiers {
    /// Alt or Option.
    pub alt: bool,
    /// Control.
    pub ctrl: bool,
    /// Command or Windows.
    pub meta: bool,
    /// Shift.
    pub shift: bool,
}

/// A key, by its place on the keyboard and by the text that it gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyEvent {
    /// Whose keyboard.
    pub viewer: ViewerId,
    /// `KeyboardEvent.code`, for example `KeyW` or `ArrowLeft`; at most [`MAX_KEY_CODE_BYTES`].
    pub code: String,
    /// The text that the press produces, if any; at most [`MAX_TEXT_BYTES`].
    pub text: Option<String>,
    /// True for presses that the keyboard repeats.
    pub repeat: bool,
    /// The modifiers.
    pub modifiers: Modifiers,
}

/// Wheels report at most a few thousand pixels an event; this is a page a hundred times.
pub const MAX_WHEEL_PX: f64 = 100_000.0;

impl InputEvent {
    /// Holds what the fields promise.
    pub fn check(&self) -> Result<(), OutOfRange> {
        match self {
            Self::PointerMove(event)
            | Self::PointerDown(event)
            | Self::PointerUp(event)
            | Self::PointerCancel(event) => {
                unit("pointer.x", event.x)?;
                unit("pointer.y", event.y)?;
                unit("pointer.pressure", f64::from(event.pressure))
            }
            Self::Wheel(event) => {
                unit("wheel.x", event.x)?;
                unit("wheel.y", event.y)?;
                for (field, value) in
                    [("wheel.delta_x_px", event.delta_x_px), ("wheel.delta_y_px", event.delta_y_px)]
                {
                    within(field, value, -MAX_WHEEL_PX..=MAX_WHEEL_PX, "±100000 pixels")?;
                }
                Ok(())
            }
            Self::KeyDown(event) | Self::KeyUp(event) => {
                length("key.code", event.code.len(), MAX_KEY_CODE_BYTES, "32 bytes")?;
                length("key.text", event.text.as_ref().map_or(0, String::len), MAX_TEXT_BYTES, "1024 bytes")
            }
            Self::Focus { .. } => Ok(()),
        }
    }
}

fn unit(field: &'static str, value: f64) -> Result<(), OutOfRange> {
    within(field, value, 0.0..=1.0, "0 to 1")
}

fn within(
    field: &'static str,
    value: f64,
    range: std::ops::RangeInclusive<f64>,
    allowed: &'static str,
) -> Result<(), OutOfRange> {
    // NaN is contained in no range.
    if range.contains(&value) {
        Ok(())
    } else {
        Err(OutOfRange { field, value: value.to_string(), allowed: allowed.into() })
    }
}

fn length(field: &'static str, bytes: usize, max: usize, allowed: &'static str) -> Result<(), OutOfRange> {
    if bytes <= max {
        Ok(())
    } else {
        Err(OutOfRange { field, value: format!("{bytes} bytes"), allowed: allowed.into() })
    }
}
