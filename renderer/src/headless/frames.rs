//! Which frames are wanted.

use std::str::FromStr;

/// The last frame that can be asked for: nine hours at 30 frames a second. Every frame before it is drawn too.
pub const MAX_FRAME: u32 = 1_000_000;

/// Numbers of frames, rising, at least one. Frame N is the picture at N / rate seconds; the first is 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameList(Vec<u32>);

/// A text or a list that is no [`FrameList`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameListError {
    /// Not numbers and ranges.
    #[error(
        "{0:?} is no list of frames: write numbers and ranges with commas between them, for example 0,30,60 or 0..120 or 0..120/10 (the \
         end of a range does not belong to it, /10 takes every tenth)"
    )]
    Form(String),
    /// Nothing is asked for.
    #[error("{0:?} names no frame: the end of a range does not belong to it, and lies after its start")]
    Empty(String),
    /// Not rising.
    #[error("frame {next} comes after frame {before}: frames are asked for once each, in rising order")]
    Order {
        /// The larger one.
        before: u32,
        /// What follows it.
        next: u32,
    },
    /// Beyond [`MAX_FRAME`].
    #[error("frame {0} is too late: the last that can be asked for is {MAX_FRAME}")]
    TooLate(u64),
}

impl FrameList {
    /// Checks the numbers.
    pub fn new(frames: impl IntoIterator<Item = u32>) -> Result<Self, FrameListError> {
        let mut list = Vec::new();
        for frame in frames {
            push(&mut list, frame)?;
        }
        if list.is_empty() { Err(FrameListError::Empty(String::new())) } else { Ok(Self(list)) }
    }

    /// The numbers.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = u32> + '_ {
        self.0.iter().copied()
    }

    /// How many.
    #[allow(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether this frame is wanted.
    pub fn contains(&self, frame: u32) -> bool {
        self.0.binary_search(&frame).is_ok()
    }

    /// The last one.
    pub fn last(&self) -> u32 {
        self.0.last().copied().unwrap_or_default()
    }
}

fn push(list: &mut Vec<u32>, frame: u32) -> Result<(), FrameListError> {
    if frame > MAX_FRAME {
        return Err(FrameListError::TooLate(frame.into()));
    }
    match list.last() {
        Some(&before) if before >= frame => Err(FrameListError::Order { before, next: frame }),
        _ => {
            list.push(frame);
            Ok(())
        }
    }
}

impl FromStr for FrameList {
    type Err = FrameListError;

    fn from_str(text: &str) -> Result<Self, FrameListError> {
        let form = || FrameListError::Form(text.to_owned());
        // A number too large for us is too late, and no reason to speak of its form.
        let number = |text: &str| match text.trim().parse::<u64>().map_err(|_| form())? {
            large if large > u64::from(MAX_FRAME) + 1 => Err(FrameListError::TooLate(large)),
            number => u32::try_from(number).map_err(|_| form()),
        };
        let mut list = Vec::new();
        for item in text.split(',') {
            let Some((start, rest)) = item.split_once("..") else {
                push(&mut list, number(item)?)?;
                continue;
            };
            let (end, step) = rest.split_once('/').unwrap_or((rest, "1"));
            let (start, end, step) = (number(start)?, number(end)?, number(step)?);
            if step == 0 {
                return Err(form());
            }
            if start >= end {
                return Err(FrameListError::Empty(item.trim().to_owned()));
            }
            for frame in (start..end).step_by(step as usize) {
                push(&mut list, frame)?;
            }
        }
        Ok(Self(list))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Vec<u32> {
        text.parse::<FrameList>().unwrap_or_else(|error| panic!("{error}")).iter().collect()
    }

    fn error(text: &str) -> FrameListError {
        text.parse::<FrameList>().unwrap_err()
    }

    #[test]
    fn numbers_and_ranges_are_read_and_the_end_of_a_range_does_not_belong_to_it() {
        assert_eq!(list("0"), [0]);
        assert_eq!(list("0,30, 60"), [0, 30, 60]);
        assert_eq!(list("0..4"), [0, 1, 2, 3]);
        assert_eq!(list("0..25/10"), [0, 10, 20]);
        assert_eq!(list("0,5..7,1000000"), [0, 5, 6, 1_000_000]);
        assert_eq!(list("999999..1000001").len(), 2);
    }

    #[test]
    fn what_is_out_of_order_empty_absurd_or_no_list_is_refused() {
        assert_eq!(error("30,0"), FrameListError::Order { before: 30, next: 0 });
        assert_eq!(error("0..10,9"), FrameListError::Order { before: 9, next: 9 });
        assert_eq!(error("5..5"), FrameListError::Empty("5..5".to_owned()));
        assert_eq!(error("1000001"), FrameListError::TooLate(1_000_001));
        assert_eq!(error("0..99999999999"), FrameListError::TooLate(99_999_999_999));
        for text in ["", ",", "a", "-1", "0..", "..5", "0..5/0", "0..5/", "1.5", "0...5", "0..=5"] {
            assert!(matches!(error(text), FrameListError::Form(_)), "{text}");
        }
    }
}
