//! Topics that need the host's test to do something while they run.
//!
//! A topic says in a line of its log what it waits for, and the test answers with input: most often it presses Enter, when it has seen what
//! it was to see.

use kit::input::{Event, events};
use kit::surface::Key;
use wit_bindgen::StreamReader;

use crate::Topic;

/// The input that the host's test gives.
pub struct Host {
    events: StreamReader<Event>,
}

impl Host {
    /// From now on its input is heard.
    pub fn listen() -> Self {
        Self { events: events() }
    }

    /// Asks for something, and waits until Enter is pressed.
    pub async fn asked(&mut self, topic: &mut Topic, line: &str) {
        topic.say(line);
        loop {
            match self.events.next().await {
                Some(Event::KeyDown(event)) if event.key == Some(Key::Enter) => return,
                Some(_) => {}
                None => {
                    topic.check("the stream of input does not end", false);
                    return;
                }
            }
        }
    }
}
