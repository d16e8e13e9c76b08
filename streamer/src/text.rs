//! Text from scenes, workers and viewers, made fit for a log.

use std::{borrow::Cow, fmt::Write};

/// Control characters, direction overrides and line ends are written as escapes, so that an untrusted text stays one line and
/// cannot move the cursor of whoever reads it.
pub fn escape_untrusted(text: &str) -> Cow<'_, str> {
    if !text.chars().any(needs_escape) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if needs_escape(character) {
            // Writing to a String does not fail.
            let _ = write!(escaped, "\\u{{{:x}}}", u32::from(character));
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

fn needs_escape(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_cursors_or_ends_lines_is_escaped() {
        assert_eq!(escape_untrusted("naïve – text ✓"), "naïve – text ✓");
        assert_eq!(escape_untrusted("a\u{1b}[2Jb\nc\u{202e}d"), "a\\u{1b}[2Jb\\u{a}c\\u{202e}d");
    }
}
