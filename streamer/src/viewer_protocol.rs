//! The JSON messages on a viewer's data channels, as docs/viewer-protocol.md describes them.
//!
//! Only their form: what a message does is decided by [`crate::input`] and the session. Unknown types and members are ignored, so
//! that page and server may be of different age.

use serde::{Deserialize, Serialize};

/// The version in `hello` and `welcome`.
pub const VERSION: u32 = 1;

/// What a viewer says.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ClientMessage {
    /// The first message; answered by [`ServerMessage::Welcome`].
    Hello {
        /// The highest version that the viewer speaks.
        version: u32,
    },
    /// A pointer moved, or changed its buttons while one is down.
    PointerMove(Pointer),
    /// The first button of a pointer went down.
    PointerDown(Pointer),
    /// The last button of a pointer went up.
    PointerUp(Pointer),
    /// The browser took the pointer away.
    PointerCancel(Pointer),
    /// The wheel turned.
    Wheel(Wheel),
    /// A key went down, or repeats.
    KeyDown(Key),
    /// A key went up.
    KeyUp(Key),
    /// The page got or lost the focus.
    Focus {
        /// Rises with each message.
        seq: u64,
        /// True when it has it now.
        focused: bool,
    },
    /// The picture's place on the page changed its size.
    Resize {
        /// Device pixels.
        width: u32,
        /// Device pixels.
        height: u32,
    },
    /// Answered by [`ServerMessage::Pong`].
    Ping {
        /// Comes back.
        t: f64,
    },
    /// Asks for a [`ServerMessage::Frame`] with each picture, or for no more of them.
    Measure {
        /// Which.
        on: bool,
    },
    /// A type that this version does not know.
    #[serde(other)]
    Unknown,
}

/// A pointer's position and state.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Pointer {
    /// Rises with each message.
    pub seq: u64,
    /// `PointerEvent.pointerId`.
    pub id: u32,
    /// What it is; a mouse unless said otherwise.
    #[serde(default)]
    pub kind: PointerKind,
    /// Fraction of the picture's width.
    pub x: f64,
    /// Fraction of the picture's height.
    pub y: f64,
    /// `PointerEvent.buttons`.
    #[serde(default)]
    pub buttons: u32,
    /// `PointerEvent.pressure`.
    #[serde(default)]
    pub pressure: f64,
}

/// `PointerEvent.pointerType`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PointerKind {
    /// A finger.
    Touch,
    /// A stylus.
    Pen,
    /// A mouse, or what a browser names otherwise.
    #[default]
    #[serde(other)]
    Mouse,
}

/// A turn of the wheel.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Wheel {
    /// Rises with each message.
    pub seq: u64,
    /// Fraction of the picture's width.
    pub x: f64,
    /// Fraction of the picture's height.
    pub y: f64,
    /// CSS pixels to the right.
    #[serde(default)]
    pub dx: f64,
    /// CSS pixels downwards.
    #[serde(default)]
    pub dy: f64,
}

/// A key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "the four modifiers and `repeat` of the UI Events standard")]
pub struct Key {
    /// Rises with each message.
    pub seq: u64,
    /// `KeyboardEvent.code`.
    pub code: String,
    /// What the press writes.
    #[serde(default)]
    pub text: Option<String>,
    /// `KeyboardEvent.repeat`.
    #[serde(default)]
    pub repeat: bool,
    /// Alt or Option.
    #[serde(default)]
    pub alt: bool,
    /// Control.
    #[serde(default)]
    pub ctrl: bool,
    /// Command or Windows.
    #[serde(default)]
    pub meta: bool,
    /// Shift.
    #[serde(default)]
    pub shift: bool,
}

/// What the server says, on the events channel.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ServerMessage<'a> {
    /// The answer to `hello`.
    Welcome {
        /// [`VERSION`].
        version: u32,
        /// The viewer's number in the session.
        viewer: u32,
        /// The session's id.
        session: &'a str,
        /// The scene's name.
        scene: &'a str,
        /// Whether the viewer's input counts.
        control: bool,
    },
    /// The answer to `ping`.
    Pong {
        /// As it came.
        t: f64,
        /// The server's clock in microseconds.
        server_us: u64,
    },
    /// The picture changed its size.
    Size {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
    },
    /// About one picture, just after it was sent.
    Frame(Frame),
    /// About once a second.
    Stats {
        /// What was sent to this viewer in the last second.
        bitrate_bps: u64,
        /// What the encoder aims at.
        target_bps: u32,
        /// Pictures of this viewer's stream that were not sent to it, since it joined.
        dropped: u64,
    },
    /// The server is shutting down: the session goes on for at most so long.
    Draining {
        /// At most.
        seconds: u64,
    },
    /// The session is over.
    Ended {
        /// A stable name.
        code: &'a str,
        /// A sentence for people.
        message: &'a str,
    },
}

/// How one picture came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Frame {
    /// Its RTP timestamp.
    pub rtp: u32,
    /// When it was handed to the network, on the server's clock.
    pub sent_us: u64,
    /// The highest `seq` of this viewer that the scene had been given before it drew; 0 for none.
    pub seq: u64,
    /// Stage times in microseconds, as in `renderer_protocol::StageTimes`.
    pub scene_us: u32,
    /// The same.
    pub readback_us: u32,
    /// The same.
    pub convert_us: u32,
    /// The same.
    pub encode_us: u32,
    /// Its length.
    pub bytes: usize,
    /// Whether it is an IDR.
    pub keyframe: bool,
}

impl ClientMessage {
    /// Reads one text frame.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// Its number, if messages of its type have one.
    pub fn seq(&self) -> Option<u64> {
        match self {
            Self::PointerMove(pointer)
            | Self::PointerDown(pointer)
            | Self::PointerUp(pointer)
            | Self::PointerCancel(pointer) => Some(pointer.seq),
            Self::Wheel(wheel) => Some(wheel.seq),
            Self::KeyDown(key) | Self::KeyUp(key) => Some(key.seq),
            Self::Focus { seq, .. } => Some(*seq),
            Self::Hello { .. }
            | Self::Resize { .. }
            | Self::Ping { .. }
            | Self::Measure { .. }
            | Self::Unknown => None,
        }
    }
}

impl ServerMessage<'_> {
    /// Writes one text frame.
    pub fn to_text(&self) -> String {
        // Strings and numbers serialise always: JSON writes a number that is none as null.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<ClientMessage> {
        ClientMessage::parse(text).ok()
    }

    #[test]
    fn the_documented_messages_are_read() {
        let documentation = include_str!("../../docs/viewer-protocol.md");
        let (_, section) = documentation.split_once("### From the viewer").unwrap();
        let (section, _) = section.split_once("### From the server").unwrap();
        let mut read = 0;
        for line in
            section.lines().map(str::trim).filter(|line| line.starts_with("{\"type\"") && line.contains('}'))
        {
            if line.contains('…') {
                continue;
            }
            let end = line.rfind('}').unwrap();
            let message = parse(&line[..=end]).unwrap_or_else(|| panic!("not read: {line}"));
            assert_ne!(message, ClientMessage::Unknown, "{line}");
            read += 1;
        }
        assert_eq!(read, 8, "every message that is written out in full");
    }

    #[test]
    fn unknown_members_and_types_are_ignored() {
        assert_eq!(
            parse(r#"{"type":"focus","seq":1,"focused":true,"new":[1]}"#),
            Some(ClientMessage::Focus { seq: 1, focused: true })
        );
        assert_eq!(parse(r#"{"type":"gamepad","axes":[0.5],"seq":2}"#), Some(ClientMessage::Unknown));
        let trackpad = parse(r#"{"type":"pointer-move","seq":1,"id":1,"kind":"trackpad","x":0,"y":1}"#);
        assert!(
            matches!(trackpad, Some(ClientMessage::PointerMove(Pointer { kind: PointerKind::Mouse, .. }))),
            "{trackpad:?}"
        );
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for text in [
            "",
            "null",
            "[]",
            "{",
            "{}",
            r#"{"type":7}"#,
            r#"{"type":"wheel","seq":-1,"x":0,"y":0}"#,
            r#"{"type":"pointer-move","seq":1,"id":1,"x":1e999,"y":0}"#,
            r#"{"type":"pointer-move","seq":1,"id":1,"x":null,"y":0}"#,
            r#"{"type":"key-down","seq":1}"#,
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse(&"[".repeat(4096)), None, "nesting does not exhaust the stack");
    }

    #[test]
    fn a_frame_message_has_the_documented_members() {
        let frame = Frame {
            rtp: 1,
            sent_us: 2,
            seq: 3,
            scene_us: 4,
            readback_us: 5,
            convert_us: 6,
            encode_us: 7,
            bytes: 8,
            keyframe: true,
        };
        assert_eq!(
            ServerMessage::Frame(frame).to_text(),
            r#"{"type":"frame","rtp":1,"sent_us":2,"seq":3,"scene_us":4,"readback_us":5,"convert_us":6,"encode_us":7,"bytes":8,"keyframe":true}"#
        );
    }
}
