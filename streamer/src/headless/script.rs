//! An input script: what a viewer does, and in which frame.
//!
//! One JSON object a line: `{"frame":12,"event":{"type":"key-down","code":"KeyR"}}`. Events are the messages of
//! docs/viewer-protocol.md and go the same way as a viewer's, so that a scene is given the same for them. `seq` is left out.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use renderer::headless::{Event, MAX_FRAME, TimedEvent, VIEWER};
use renderer_protocol::FrameSize;
use serde::Deserialize;
use serde_json::{Map, Value};
use streamer::{
    input::{Applied, Lane, ViewerInput},
    viewer_protocol::ClientMessage,
};

/// A script of ten events a frame for a minute has some 2 MB.
const MAX_SCRIPT_BYTES: u64 = 64 << 20;
/// Events of one frame. A scene's streams hold some thousands; a viewer sends at most a thousand a second.
const MAX_EVENTS_PER_FRAME: usize = 1_000;

/// The types that a script may have, and their members. What a message does not need may be left out, but what is written must be one.
const TYPES: &[(&str, &[&str])] = &[
    ("pointer-move", POINTER),
    ("pointer-down", POINTER),
    ("pointer-up", POINTER),
    ("pointer-cancel", POINTER),
    ("wheel", &["x", "y", "dx", "dy"]),
    ("key-down", KEY),
    ("key-up", KEY),
    ("focus", &["focused"]),
    ("resize", &["width", "height"]),
];
const POINTER: &[&str] = &["id", "kind", "x", "y", "buttons", "pressure"];
const KEY: &[&str] = &["code", "text", "repeat", "alt", "ctrl", "meta", "shift"];

/// What is wrong with a script.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScriptError {
    /// The file.
    #[error("the input script {path} cannot be read: {error}", path = path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A line.
    #[error("line {line} of the input script {path}: {reason}", path = path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong, and what was expected.
        reason: String,
    },
}

/// A line, before its event is looked at.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    frame: u32,
    event: Map<String, Value>,
}

/// Reads a script.
pub(crate) fn read(path: &Path) -> Result<Vec<TimedEvent>, ScriptError> {
    let unreadable = |error| ScriptError::Unreadable { path: path.to_owned(), error };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let length = file.take(MAX_SCRIPT_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
    if length as u64 > MAX_SCRIPT_BYTES {
        let message = format!("it has more than {} MiB", MAX_SCRIPT_BYTES >> 20);
        return Err(unreadable(std::io::Error::new(std::io::ErrorKind::FileTooLarge, message)));
    }
    parse(&text).map_err(|(line, reason)| ScriptError::Line { path: path.to_owned(), line, reason })
}

/// An error has the number of its line, and what is wrong with it.
fn parse(text: &str) -> Result<Vec<TimedEvent>, (usize, String)> {
    let mut script = Script::new();
    for (index, line) in text.lines().enumerate() {
        if !line.trim().is_empty() {
            script.take(line).map_err(|reason| (index + 1, reason))?;
        }
    }
    Ok(script.events)
}

/// A script that is being read: one viewer, who is never too fast.
struct Script {
    events: Vec<TimedEvent>,
    viewer: ViewerInput,
    now: Instant,
    seq: u64,
    frame: u32,
    events_of_frame: usize,
}

impl Script {
    fn new() -> Self {
        let now = Instant::now();
        let viewer = ViewerInput::new(VIEWER, now);
        Self { events: Vec::new(), viewer, now, seq: 0, frame: 0, events_of_frame: 0 }
    }

    fn take(&mut self, text: &str) -> Result<(), String> {
        let Line { frame, mut event } = serde_json::from_str(text).map_err(|error| {
            format!("expected {{\"frame\":N,\"event\":{{\"type\":…}}}}: {}", without_place(&error))
        })?;
        if frame > MAX_FRAME {
            return Err(format!("frame {frame} is too late: the last is {MAX_FRAME}"));
        }
        if frame < self.frame {
            return Err(format!(
                "frame {frame} comes after frame {}: events stand in the order of time",
                self.frame
            ));
        }
        if frame > self.frame {
            (self.frame, self.events_of_frame) = (frame, 0);
        }
        self.events_of_frame += 1;
        if self.events_of_frame > MAX_EVENTS_PER_FRAME {
            return Err(format!("frame {frame} has more than {MAX_EVENTS_PER_FRAME} events"));
        }
        let name = check_members(&event)?;
        let has_buttons = event.contains_key("buttons");
        self.seq += 1;
        event.insert("seq".to_owned(), self.seq.into());
        if name.starts_with("pointer-") {
            event.entry("id").or_insert(1.into());
        }
        let message: ClientMessage = serde_json::from_value(Value::Object(event))
            .map_err(|error| format!("this {name} is not as docs/viewer-protocol.md has it: {error}"))?;
        if let ClientMessage::Resize { width, height } = message {
            let size = FrameSize::new(width, height).map_err(|error| error.to_string())?;
            self.events.push(TimedEvent { frame, event: Event::Resize(size) });
            return Ok(());
        }
        // A move that says nothing of buttons changes none, as on the channel for moves.
        let is_plain_move = name == "pointer-move" && !has_buttons;
        let lane = if is_plain_move { Lane::Motion } else { Lane::Events };
        self.now += Duration::from_secs(1);
        let events = &mut self.events;
        let mut out = |event| events.push(TimedEvent { frame, event: Event::Input(event) });
        match self.viewer.apply(message, lane, self.now, &mut out) {
            Applied::Accepted => Ok(()),
            Applied::Ignored => Err(format!(
                "this {name} changes nothing: what it lets go is not held down, or what it says holds already"
            )),
            Applied::Refused => {
                Err(format!("this {name} is refused: its code names no key, or too many are held down"))
            }
            Applied::TooFast => Err("too many events".to_owned()),
        }
    }
}

/// The name of an event's type, if it and its members are known. To a server unknown ones are of a newer viewer; in a script they are
/// mistakes.
fn check_members(event: &Map<String, Value>) -> Result<&'static str, String> {
    let names = || TYPES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let Some(name) = event.get("type").and_then(Value::as_str) else {
        return Err(format!("the event has no type; expected one of {}", names()));
    };
    let Some((name, members)) = TYPES.iter().find(|(known, _)| *known == name) else {
        return Err(format!("{name:?} is no type of event for a script; expected one of {}", names()));
    };
    match event.keys().find(|key| *key != "type" && *key != "seq" && !members.contains(&key.as_str())) {
        Some(key) => Err(format!("a {name} has no member {key:?}; it has {}", members.join(", "))),
        None => Ok(name),
    }
}

/// The parser's message without the place: it is given a line at a time, so its line is always 1.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&place) {
        Some(message) => format!("{message} (column {})", error.column()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use renderer_protocol::{Buttons, InputEvent};

    use super::*;

    fn error(text: &str) -> String {
        let (line, reason) = parse(text).unwrap_err();
        format!("{line}: {reason}")
    }

    #[test]
    fn a_drag_and_a_key_are_what_a_viewer_s_would_be() {
        let script = r#"
            {"frame":0,"event":{"type":"pointer-down","x":0.25,"y":0.5}}
            {"frame":1,"event":{"type":"pointer-move","x":2,"y":0.5}}

            {"frame":1,"event":{"type":"pointer-up","x":0.5,"y":0.5}}
            {"frame":30,"event":{"type":"key-down","code":"KeyR","text":"r"}}
            {"frame":31,"event":{"type":"resize","width":320,"height":180}}"#;
        let events = parse(script).unwrap();
        let frames: Vec<u32> = events.iter().map(|event| event.frame).collect();
        assert_eq!(frames, [0, 1, 1, 30, 31]);
        let Event::Input(InputEvent::PointerMove(moved)) = &events[1].event else { panic!("{events:?}") };
        assert_eq!((moved.x, moved.buttons, moved.viewer), (1.0, Buttons(1), VIEWER));
        assert!(matches!(&events[3].event, Event::Input(InputEvent::KeyDown(key)) if key.code == "KeyR"));
        assert!(matches!(events[4].event, Event::Resize(_)));
    }

    #[test]
    fn a_bad_line_is_named_with_what_was_expected() {
        let good = "{\"frame\":5,\"event\":{\"type\":\"focus\",\"focused\":true}}\n";
        for (line, words) in [
            ("nonsense", "expected {\"frame\""),
            ("{\"event\":{}}", "missing field `frame`"),
            ("{\"frame\":-1,\"event\":{}}", "-1"),
            ("{\"frame\":5,\"events\":{}}", "`events`"),
            ("{\"frame\":4,\"event\":{\"type\":\"focus\",\"focused\":true}}", "frame 4 comes after frame 5"),
            ("{\"frame\":5,\"event\":{}}", "expected one of pointer-move"),
            ("{\"frame\":5,\"event\":{\"type\":\"hello\",\"version\":1}}", "\"hello\""),
            ("{\"frame\":5,\"event\":{\"type\":\"wheel\",\"x\":0,\"y\":0,\"delta\":1}}", "\"delta\""),
            ("{\"frame\":5,\"event\":{\"type\":\"wheel\",\"x\":0}}", "missing field `y`"),
            ("{\"frame\":5,\"event\":{\"type\":\"key-up\",\"code\":\"KeyA\"}}", "not held down"),
            ("{\"frame\":5,\"event\":{\"type\":\"key-down\",\"code\":\"no key\"}}", "code"),
            ("{\"frame\":5,\"event\":{\"type\":\"resize\",\"width\":0,\"height\":0}}", "0x0"),
            ("{\"frame\":4000000,\"event\":{}}", "too late"),
        ] {
            let error = error(&format!("{good}\n{line}"));
            assert!(error.starts_with("3: ") && error.contains(words), "{line}: {error}");
        }
    }

    #[test]
    fn every_type_of_the_viewer_s_messages_is_one_of_a_script_or_is_no_input() {
        let documentation = include_str!("../../../docs/viewer-protocol.md");
        let (_, section) = documentation.split_once("### From the viewer").unwrap();
        let (section, _) = section.split_once("### From the server").unwrap();
        let mut seen = 0;
        for line in section.lines().filter_map(|line| line.trim().strip_prefix("{\"type\":\"")) {
            let name = line.split('"').next().unwrap();
            let known = TYPES.iter().any(|(known, _)| *known == name);
            assert_ne!(known, ["hello", "ping", "measure"].contains(&name), "{name}");
            seen += usize::from(known);
        }
        assert_eq!(seen, TYPES.len());
    }
}
