//! Keys by the names of the UI Events standard (<https://w3c.github.io/uievents-code/#code-value-tables>).

use super::surface::bindings::wasi_gfx::surface::surface::Key;

/// Lists every key once. The match over the keys does not compile if one is missing, the names are the standard's code values.
macro_rules! keys {
    ($($name:ident)*) => {
        /// The key with this `KeyboardEvent.code`; `None` for a code that the interface has no word for.
        pub(crate) fn from_code(code: &str) -> Option<Key> {
            match code {
                $(stringify!($name) => Some(Key::$name),)*
                _ => None,
            }
        }

        #[cfg(test)]
        fn code(key: Key) -> &'static str {
            match key {
                $(Key::$name => stringify!($name),)*
            }
        }
    };
}

keys! {
    Backquote Backslash BracketLeft BracketRight Comma Digit0 Digit1 Digit2 Digit3 Digit4 Digit5 Digit6
    Digit7 Digit8 Digit9 Equal IntlBackslash IntlRo IntlYen KeyA KeyB KeyC KeyD KeyE KeyF KeyG KeyH KeyI
    KeyJ KeyK KeyL KeyM KeyN KeyO KeyP KeyQ KeyR KeyS KeyT KeyU KeyV KeyW KeyX KeyY KeyZ Minus Period Quote
    Semicolon Slash AltLeft AltRight Backspace CapsLock ContextMenu ControlLeft ControlRight Enter MetaLeft
    MetaRight ShiftLeft ShiftRight Space Tab Convert KanaMode Lang1 Lang2 Lang3 Lang4 Lang5 NonConvert
    Delete End Help Home Insert PageDown PageUp ArrowDown ArrowLeft ArrowRight ArrowUp NumLock Numpad0
    Numpad1 Numpad2 Numpad3 Numpad4 Numpad5 Numpad6 Numpad7 Numpad8 Numpad9 NumpadAdd NumpadBackspace
    NumpadClear NumpadClearEntry NumpadComma NumpadDecimal NumpadDivide NumpadEnter NumpadEqual NumpadHash
    NumpadMemoryAdd NumpadMemoryClear NumpadMemoryRecall NumpadMemoryStore NumpadMemorySubtract
    NumpadMultiply NumpadParenLeft NumpadParenRight NumpadStar NumpadSubtract Escape F1 F2 F3 F4 F5 F6 F7 F8
    F9 F10 F11 F12 Fn FnLock PrintScreen ScrollLock Pause BrowserBack BrowserFavorites BrowserForward
    BrowserHome BrowserRefresh BrowserSearch BrowserStop Eject LaunchApp1 LaunchApp2 LaunchMail
    MediaPlayPause MediaSelect MediaStop MediaTrackNext MediaTrackPrevious Power Sleep AudioVolumeDown
    AudioVolumeMute AudioVolumeUp WakeUp Hyper Super Turbo Abort Resume Suspend Again Copy Cut Find Open
    Paste Props Select Undo Hiragana Katakana
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_names_its_key_and_back() {
        for name in ["KeyW", "Digit0", "ArrowLeft", "NumpadMemoryAdd", "F12", "IntlRo", "LaunchApp1", "Fn"] {
            assert_eq!(from_code(name).map(code), Some(name));
        }
    }

    #[test]
    fn what_the_standard_does_not_name_has_no_key() {
        for name in ["", "Unidentified", "keyw", "KeyÄ", "F13"] {
            assert_eq!(from_code(name), None, "{name:?}");
        }
    }
}
