use std::fmt;

use serde::{Deserialize, Serialize};

use crate::OutOfRange;

/// A reason is a sentence or an error of the system; what is longer is cut by who writes it.
pub const MAX_REASON_BYTES: usize = 256;

/// What a process gave up before it met a scene. Says what is lacking: a part that is not named holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// Each part at most once.
    pub lacking: Vec<Lacking>,
}

/// A part that does not hold in this process, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lacking {
    /// Which.
    pub part: CellPart,
    /// At most [`MAX_REASON_BYTES`].
    pub reason: String,
}

/// The parts of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CellPart {
    /// It dies with its parent.
    ParentDeath,
    /// It has no file descriptors but the ones that it was given.
    Descriptors,
    /// Networks and shared memory of its own, both empty.
    Namespaces,
    /// Bounds on memory, open files, file sizes and core dumps.
    ResourceLimits,
    /// It has no capabilities, whoever started it.
    Capabilities,
    /// No program that it could start would have more rights.
    NoNewPrivileges,
    /// Landlock: it opens the drivers' files and no others.
    Files,
    /// Seccomp: it makes the system calls of a list and no others.
    SystemCalls,
}

impl CellPart {
    /// All, in the order in which they are made.
    pub const ALL: [Self; 8] = [
        Self::ParentDeath,
        Self::Descriptors,
        Self::Namespaces,
        Self::ResourceLimits,
        Self::Capabilities,
        Self::NoNewPrivileges,
        Self::Files,
        Self::SystemCalls,
    ];

    /// False for a part that only repeats what another one holds: without sockets, a process needs no network of its own.
    pub const fn is_required(self) -> bool {
        !matches!(self, Self::Namespaces)
    }
}

impl fmt::Display for CellPart {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::ParentDeath => "death with the server",
            Self::Descriptors => "closed file descriptors",
            Self::Namespaces => "namespaces of its own",
            Self::ResourceLimits => "resource limits",
            Self::Capabilities => "dropped capabilities",
            Self::NoNewPrivileges => "no new privileges",
            Self::Files => "file access by Landlock",
            Self::SystemCalls => "system calls by seccomp",
        })
    }
}

impl Cell {
    /// Notes that a part does not hold.
    pub fn lacks(&mut self, part: CellPart, reason: impl fmt::Display) {
        let mut reason = reason.to_string();
        reason.truncate(reason.floor_char_boundary(MAX_REASON_BYTES));
        self.lacking.push(Lacking { part, reason });
    }

    /// The required parts that do not hold.
    pub fn missing(&self) -> impl Iterator<Item = &Lacking> {
        self.lacking.iter().filter(|lacking| lacking.part.is_required())
    }

    /// Holds what the fields promise.
    pub fn check(&self) -> Result<(), OutOfRange> {
        let wrong = |field, value: String, allowed: &'static str| {
            Err(OutOfRange { field, value, allowed: allowed.into() })
        };
        for part in CellPart::ALL {
            let named = self.lacking.iter().filter(|lacking| lacking.part == part).count();
            if named > 1 {
                return wrong("cell.lacking", format!("{part} {named} times"), "each part once");
            }
        }
        match self.lacking.iter().map(|lacking| lacking.reason.len()).max() {
            Some(bytes) if bytes > MAX_REASON_BYTES => {
                wrong("cell.reason", format!("{bytes} bytes"), "256 bytes")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_lacking_once_and_with_a_short_reason() {
        let mut cell = Cell::default();
        assert_eq!((cell.check(), cell.missing().count()), (Ok(()), 0));
        cell.lacks(CellPart::Files, "é".repeat(1_000));
        cell.lacks(CellPart::Namespaces, "not allowed");
        assert_eq!((cell.check(), cell.missing().count()), (Ok(()), 1));
        cell.lacks(CellPart::Files, "again");
        assert!(cell.check().is_err());
        let reason = "x".repeat(MAX_REASON_BYTES + 1);
        let long = Cell { lacking: vec![Lacking { part: CellPart::Files, reason }] };
        assert!(long.check().is_err());
    }
}
