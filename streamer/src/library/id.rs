//! What names a scene: its file in the folder, or the hash of what was uploaded.

use std::{fmt, fmt::Write as _, str::FromStr};

use serde::{Serialize, Serializer};

/// A name longer than this is no name, and would not fit into a page.
pub(super) const MAX_NAME_BYTES: usize = 64;
/// SHA-256.
const HASH_BYTES: usize = 32;

/// The name of a scene in the folder: lower-case letters, digits, `.`, `_` and `-`, beginning with a letter or digit. It can be part
/// of a path or an address as it is, and is never the text of a [`SceneHash`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SceneName(String);

/// A text that is no [`SceneName`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a scene's name has 1 to {MAX_NAME_BYTES} lower-case letters, digits, '.', '_' or '-', and begins with a letter or digit"
)]
pub struct BadSceneName;

impl SceneName {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SceneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for SceneName {
    type Err = BadSceneName;

    fn from_str(text: &str) -> Result<Self, BadSceneName> {
        let is_start = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let is_name = text.len() <= MAX_NAME_BYTES
            && text.bytes().next().is_some_and(is_start)
            && text.bytes().all(|byte| is_start(byte) || matches!(byte, b'.' | b'_' | b'-'))
            && text.parse::<SceneHash>().is_err();
        if is_name { Ok(Self(text.to_owned())) } else { Err(BadSceneName) }
    }
}

/// The SHA-256 of a component, written as 64 lower-case hexadecimal digits: the name of an uploaded scene.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SceneHash([u8; HASH_BYTES]);

/// A text that is no [`SceneHash`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not 64 lower-case hexadecimal digits")]
pub struct NotAHash;

impl From<[u8; HASH_BYTES]> for SceneHash {
    fn from(hash: [u8; HASH_BYTES]) -> Self {
        Self(hash)
    }
}

impl fmt::Display for SceneHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SceneHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SceneHash({self})")
    }
}

impl FromStr for SceneHash {
    type Err = NotAHash;

    fn from_str(text: &str) -> Result<Self, NotAHash> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != HASH_BYTES || !rest.is_empty() {
            return Err(NotAHash);
        }
        let mut hash = [0; HASH_BYTES];
        for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
            *byte = digit(*high).zip(digit(*low)).map(|(high, low)| high << 4 | low).ok_or(NotAHash)?;
        }
        Ok(Self(hash))
    }
}

/// A scene that can be run, or could be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SceneId {
    /// A file of the folder.
    Folder(SceneName),
    /// An uploaded one.
    Uploaded(SceneHash),
}

impl fmt::Display for SceneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(name) => name.fmt(f),
            Self::Uploaded(hash) => hash.fmt(f),
        }
    }
}

impl FromStr for SceneId {
    type Err = BadSceneName;

    fn from_str(text: &str) -> Result<Self, BadSceneName> {
        match text.parse() {
            Ok(hash) => Ok(Self::Uploaded(hash)),
            Err(NotAHash) => text.parse().map(Self::Folder),
        }
    }
}

impl Serialize for SceneId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What people call an uploaded scene. It is shown, and never part of a path.
///
/// Whatever is given is made fit: control characters, direction overrides and other invisible characters are left out, blanks at the
/// ends too, several in a row become one, and what is beyond 80 characters is cut. What is then empty is "Untitled".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisplayName(String);

/// A line in the gallery.
const MAX_DISPLAY_CHARS: usize = 80;

impl DisplayName {
    /// Makes a text fit.
    pub fn of(text: &str) -> Self {
        let words = text.split(|character: char| character.is_whitespace() || character.is_control());
        let mut name = String::new();
        for word in words.filter(|word| !word.is_empty()) {
            if !name.is_empty() {
                name.push(' ');
            }
            name.extend(word.chars().filter(|character| is_visible(*character)));
            if name.len() > 4 * MAX_DISPLAY_CHARS {
                break;
            }
        }
        let name: String = name.trim().chars().take(MAX_DISPLAY_CHARS).collect();
        let name = name.trim_end();
        Self(if name.is_empty() { "Untitled".to_owned() } else { name.to_owned() })
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Joiners stay, which scripts and emoji need; what only turns or hides text goes.
fn is_visible(character: char) -> bool {
    !matches!(
        character,
        '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e000}'..='\u{f8ff}'
            | '\u{e0000}'..='\u{e0fff}' | '\u{f0000}'..='\u{10ffff}'
    )
}

/// The first digits of a hash, for logs.
pub(super) fn short(hash: SceneHash) -> String {
    let mut text = String::with_capacity(12);
    for byte in hash.0.iter().take(6) {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_folder() {
        for name in [
            "",
            ".",
            "..",
            ".hidden",
            "../orbit",
            "a/b",
            "a\\b",
            "Orbit",
            "ör",
            "a b",
            "a\0",
            "-a",
            &"a".repeat(65),
            &"a".repeat(64),
        ] {
            assert_eq!(name.parse::<SceneName>(), Err(BadSceneName), "{name:?}");
        }
        for name in ["orbit", "0", "a..b", "my_scene-2.1", &"z".repeat(64)] {
            assert!(name.parse::<SceneName>().is_ok(), "{name:?}");
        }
    }

    #[test]
    fn an_id_is_a_hash_or_a_name_and_never_both() {
        let hash = "0123456789abcdef".repeat(4);
        assert_eq!(hash.parse::<SceneId>().unwrap().to_string(), hash);
        assert!(matches!(hash.parse(), Ok(SceneId::Uploaded(_))));
        assert!(matches!("orbit".parse(), Ok(SceneId::Folder(_))));
        assert!(matches!(hash[1..].parse(), Ok(SceneId::Folder(_))));
        for id in [hash.to_uppercase().as_str(), &format!("{hash}0"), "../orbit", ""] {
            assert!(id.parse::<SceneId>().is_err(), "{id}");
        }
    }

    #[test]
    fn row_57_a_display_name_is_one_short_visible_line() {
        for (given, shown) in [
            ("My scene", "My scene"),
            ("  a \t\n b  ", "a b"),
            ("../../etc/passwd", "../../etc/passwd"),
            ("a\0b\u{1b}[2Jc", "a b [2Jc"),
            ("\u{202e}gnp.exe", "gnp.exe"),
            ("", "Untitled"),
            ("\u{200b}\u{feff}\0", "Untitled"),
            ("日本語の場面", "日本語の場面"),
            ("مشهد", "مشهد"),
            ("👩\u{200d}🚀", "👩\u{200d}🚀"),
        ] {
            assert_eq!(DisplayName::of(given).as_str(), shown, "{given:?}");
        }
        for long in ["x".repeat(10_000), "é ".repeat(10_000), "\0".repeat(10_000)] {
            assert!(DisplayName::of(&long).as_str().chars().count() <= MAX_DISPLAY_CHARS);
        }
    }
}
