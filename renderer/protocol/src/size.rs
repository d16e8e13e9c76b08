use serde::{Deserialize, Serialize};

/// The smallest side of a picture: below it the encoder refuses.
pub const MIN_SIDE_PX: u32 = 16;
/// The largest side: openh264 ends at 3840×2160, and a portrait phone may turn that round.
pub const MAX_SIDE_PX: u32 = 3840;
/// The largest area, 3840×2160.
const MAX_AREA_PX: u32 = 3840 * 2160;

/// Width and height of a picture in pixels: both even (I420 halves them), within the encoder's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "(u32, u32)", into = "(u32, u32)")]
pub struct FrameSize {
    width: u32,
    height: u32,
}

/// Why a pair of numbers is no [`FrameSize`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{width}x{height} is no picture size: each side must be even and from {MIN_SIDE_PX} to {MAX_SIDE_PX} pixels, and the area at most \
     3840x2160"
)]
pub struct FrameSizeError {
    width: u32,
    height: u32,
}

impl FrameSize {
    /// Checks the two sides.
    pub const fn new(width: u32, height: u32) -> Result<Self, FrameSizeError> {
        let in_range =
            width >= MIN_SIDE_PX && width <= MAX_SIDE_PX && height >= MIN_SIDE_PX && height <= MAX_SIDE_PX;
        if in_range && width.is_multiple_of(2) && height.is_multiple_of(2) && width * height <= MAX_AREA_PX {
            Ok(Self { width, height })
        } else {
            Err(FrameSizeError { width, height })
        }
    }

    /// The nearest size for a window of `width` × `height` pixels: scaled down in proportion to fit into `max`, then snapped down
    /// to multiples of `snap_px` so that dragging a window's edge does not start a new stream at every pixel.
    pub fn snapped(width: u32, height: u32, max: Self, snap_px: u32) -> Self {
        let (width, height) = (f64::from(width.max(1)), f64::from(height.max(1)));
        let scale = (f64::from(max.width) / width).min(f64::from(max.height) / height).min(1.0);
        let snap = snap_px.max(2) & !1;
        let side = |length: f64, max: u32| {
            // In range: the scale bounds the product by `max`, and a float-to-int cast saturates.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let scaled = (length * scale).round() as u32;
            let lowest = MIN_SIDE_PX.next_multiple_of(snap);
            (scaled.min(max) / snap * snap).max(lowest.min(max))
        };
        Self { width: side(width, max.width), height: side(height, max.height) }
    }

    /// Pixels in a row.
    pub const fn width(self) -> u32 {
        self.width
    }

    /// Rows.
    pub const fn height(self) -> u32 {
        self.height
    }
}

impl TryFrom<(u32, u32)> for FrameSize {
    type Error = FrameSizeError;

    fn try_from((width, height): (u32, u32)) -> Result<Self, Self::Error> {
        Self::new(width, height)
    }
}

impl From<FrameSize> for (u32, u32) {
    fn from(size: FrameSize) -> Self {
        (size.width, size.height)
    }
}

impl std::fmt::Display for FrameSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// Why a text is no [`FrameSize`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseFrameSizeError {
    /// Not two numbers with an `x` between them.
    #[error("{0:?} is no picture size: write WIDTHxHEIGHT, for example 1280x720")]
    Form(String),
    /// Two numbers, but out of range.
    #[error(transparent)]
    Range(#[from] FrameSizeError),
}

impl std::str::FromStr for FrameSize {
    type Err = ParseFrameSizeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let form = || ParseFrameSizeError::Form(text.to_owned());
        let (width, height) = text.split_once(['x', 'X']).ok_or_else(form)?;
        let (width, height) = (width.parse().map_err(|_| form())?, height.parse().map_err(|_| form())?);
        Ok(Self::new(width, height)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HD: FrameSize = match FrameSize::new(1920, 1080) {
        Ok(size) => size,
        Err(_) => panic!("1920x1080 is a size"),
    };

    #[test]
    fn odd_tiny_and_huge_sizes_are_refused() {
        for (width, height) in
            [(0, 0), (641, 360), (640, 361), (8, 8), (4096, 16), (3840, 3840), (u32::MAX, u32::MAX)]
        {
            assert!(FrameSize::new(width, height).is_err(), "{width}x{height}");
        }
    }

    #[test]
    fn a_window_is_fitted_in_proportion_and_snapped() {
        assert_eq!(FrameSize::snapped(1283, 725, HD, 16).to_string(), "1280x720");
        assert_eq!(FrameSize::snapped(3840, 2160, HD, 16).to_string(), "1920x1072");
        assert_eq!(FrameSize::snapped(1000, 4000, HD, 8).to_string(), "264x1080");
    }

    #[test]
    fn any_window_gives_a_valid_size() {
        for window in [(0, 0), (1, u32::MAX), (u32::MAX, 1), (u32::MAX, u32::MAX), (15, 15)] {
            for snap in [0, 1, 2, 16, 64] {
                let size = FrameSize::snapped(window.0, window.1, HD, snap);
                assert_eq!(FrameSize::new(size.width(), size.height()), Ok(size), "{window:?} by {snap}");
            }
        }
    }

    #[test]
    fn a_size_is_written_and_read_alike() {
        assert_eq!("1920x1080".parse(), Ok(HD));
        assert!("1920".parse::<FrameSize>().is_err());
        assert!("1920x-2".parse::<FrameSize>().is_err());
    }
}
