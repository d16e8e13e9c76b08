//! Names that cannot be guessed: whoever knows one may use what it names.

use std::{fmt, str::FromStr};

macro_rules! random_id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        ///
        /// 128 random bits, written as 32 hexadecimal digits. `Debug` and [`Self::short`] show the first eight: enough to follow
        /// it through the log, not enough to use it.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(u128);

        impl $name {
            /// A new one.
            pub fn random() -> Self {
                Self(rand::random())
            }

            /// The first eight digits, for logs.
            pub fn short(self) -> impl fmt::Display {
                Short(self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({}…)", stringify!($name), self.short())
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                let is_id = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
                if !is_id {
                    return Err(NotAnId);
                }
                u128::from_str_radix(text, 16).map(Self).map_err(|_| NotAnId)
            }
        }
    };
}

random_id! {
    /// A session. It is in the address of its page, which is how a second person gets to see it.
    SessionId
}

random_id! {
    /// One viewer's WHEP resource: only the viewer knows it, so no other can end it.
    ViewerKey
}

random_id! {
    /// Access that was given to a session, by a link; whoever gave it can take it back by this name.
    GrantId
}

/// A text that names nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id of 32 hexadecimal digits")]
pub struct NotAnId;

struct Short(u128);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0 >> 96)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_written_and_read_alike() {
        for id in [SessionId::random(), SessionId(0), SessionId(u128::MAX)] {
            assert_eq!(id.to_string().parse(), Ok(id));
            assert_eq!(id.to_string().len(), 32);
        }
    }

    #[test]
    fn only_the_written_form_is_an_id() {
        let id = "0123456789abcdef0123456789abcdef";
        assert!(id.parse::<SessionId>().is_ok());
        for other in
            ["", "0", "+123456789abcdef0123456789abcdef", &id.to_uppercase(), &format!("{id}0"), "../etc"]
        {
            assert_eq!(other.parse::<SessionId>(), Err(NotAnId), "{other}");
        }
    }

    #[test]
    fn debugging_output_does_not_give_access() {
        let id: SessionId = "0123456789abcdef0123456789abcdef".parse().unwrap();
        assert_eq!(format!("{id:?}"), "SessionId(01234567…)");
    }
}
