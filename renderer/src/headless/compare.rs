//! How far a picture is from the one that is expected.

use std::{fmt, str::FromStr};

use super::Picture;

/// The side of the squares by which errors are pooled.
const TILE_PX: usize = 32;
/// See [`Tolerance::default`].
pub const DEFAULT_THRESHOLD: f32 = 0.04;

/// When two pictures match.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tolerance {
    /// Every bit is the same.
    Exact,
    /// The [FLIP](https://research.nvidia.com/publication/2020-07_FLIP) error, which is 0 for a pixel that looks the same and 1 for one that could
    /// not look more different, is at most this on average in each square of 32 × 32 pixels. In squares, so that an error is not made
    /// small by a large picture around it.
    Flip {
        /// From 0 to 1.
        threshold: f32,
    },
}

impl Default for Tolerance {
    /// FLIP with [`DEFAULT_THRESHOLD`], which lies between what a driver may change and what a person did. Measured with the gallery's scenes:
    /// another vendor's GPU draws them with errors of 0.005 to 0.025; a constant of a colour that is 0.01 off makes 0.09, a shift by a
    /// pixel 0.14 to 0.19.
    fn default() -> Self {
        Self::Flip { threshold: DEFAULT_THRESHOLD }
    }
}

/// A text that is no [`Metric`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no metric: flip and exact are")]
pub struct BadMetric(String);

/// The name of a way to compare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Metric {
    /// [`Tolerance::Flip`].
    #[default]
    Flip,
    /// [`Tolerance::Exact`].
    Exact,
}

impl FromStr for Metric {
    type Err = BadMetric;

    fn from_str(text: &str) -> Result<Self, BadMetric> {
        match text {
            "flip" => Ok(Self::Flip),
            "exact" => Ok(Self::Exact),
            other => Err(BadMetric(other.to_owned())),
        }
    }
}

/// What differs between two pictures of one size.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Pixels that are not the same.
    pub pixels: u64,
    /// The largest difference of a channel, in levels of 255.
    pub largest: u8,
    /// The mean difference over all channels of all pixels, in levels of 255.
    pub mean: f64,
    /// The FLIP error of the worst square.
    pub flip: f32,
    /// Whether that is tolerated.
    pub tolerated: bool,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pixels == 0 {
            return f.write_str("identical");
        }
        let (verb, pixels) = if self.pixels == 1 { ("differs", "pixel") } else { ("differ", "pixels") };
        write!(
            f,
            "{} {pixels} {verb}, by {} of 255 at most and {:.4} on average; FLIP error {:.4}",
            self.pixels, self.largest, self.mean, self.flip
        )
    }
}

/// Compares two pictures of one size. The second result shows where they differ, black for pixels that look the same; pictures that
/// are identical have none. `None`: their sizes differ.
pub fn compare(
    actual: &Picture,
    expected: &Picture,
    tolerance: Tolerance,
) -> Option<(Difference, Option<Picture>)> {
    if actual.size() != expected.size() {
        return None;
    }
    if actual == expected {
        let same = Difference { pixels: 0, largest: 0, mean: 0.0, flip: 0.0, tolerated: true };
        return Some((same, None));
    }
    let (mut pixels, mut largest, mut sum) = (0_u64, 0_u8, 0_u64);
    let (ours, theirs) = (actual.rgba().as_chunks::<4>().0, expected.rgba().as_chunks::<4>().0);
    for (one, other) in ours.iter().zip(theirs) {
        let levels = one.iter().zip(other).map(|(one, other)| one.abs_diff(*other));
        let most = levels.clone().max().unwrap_or(0);
        largest = largest.max(most);
        sum += levels.map(u64::from).sum::<u64>();
        pixels += u64::from(most > 0);
    }
    let (width, height) = actual.size().into();
    let image = |picture: &Picture| nv_flip::FlipImageRgb8::with_data(width, height, &picture.to_rgb());
    let map = nv_flip::flip(image(expected), image(actual), nv_flip::DEFAULT_PIXELS_PER_DEGREE);
    let flip = worst_tile(&map.to_vec(), width as usize);
    let tolerated = match tolerance {
        Tolerance::Exact => false,
        Tolerance::Flip { threshold } => flip <= threshold,
    };
    // At most 3840 × 2160 pixels of 255 levels: far below what a float counts exactly.
    #[allow(clippy::cast_precision_loss)]
    let mean = sum as f64 / (3 * ours.len()) as f64;
    let shown = Picture::from_rgb(actual.size(), &map.apply_color_lut(&nv_flip::magma_lut()).to_vec());
    Some((Difference { pixels, largest, mean, flip, tolerated }, shown))
}

/// The mean of the worst square. A square that the picture's edge cuts counts like a whole one.
fn worst_tile(errors: &[f32], width: usize) -> f32 {
    let columns = width.div_ceil(TILE_PX);
    let mut worst = 0.0_f32;
    for rows in errors.chunks(width.max(1) * TILE_PX) {
        let mut sums = vec![0.0_f32; columns];
        for row in rows.chunks(width.max(1)) {
            for (sum, tile) in sums.iter_mut().zip(row.chunks(TILE_PX)) {
                *sum += tile.iter().sum::<f32>();
            }
        }
        worst = sums.into_iter().fold(worst, f32::max);
    }
    // 1024 is a float.
    #[allow(clippy::cast_precision_loss)]
    let area = (TILE_PX * TILE_PX) as f32;
    worst / area
}

#[cfg(test)]
mod tests {
    use renderer_protocol::FrameSize;

    use super::*;

    fn picture(pixel: impl Fn(u32, u32) -> [u8; 3]) -> Picture {
        let size = FrameSize::new(96, 80).unwrap();
        let places = (0..size.height()).flat_map(|y| (0..size.width()).map(move |x| (x, y)));
        Picture::from_rgb(size, &places.flat_map(|(x, y)| pixel(x, y)).collect::<Vec<_>>()).unwrap()
    }

    /// A dark disc on a light ground.
    fn disc(x: u32, y: u32) -> [u8; 3] {
        let distance = (f64::from(x) - 40.0).hypot(f64::from(y) - 40.0);
        if distance < 20.0 { [40, 60, 120] } else { [200, 190, 180] }
    }

    fn difference(pixel: impl Fn(u32, u32) -> [u8; 3]) -> Difference {
        compare(&picture(pixel), &picture(disc), Tolerance::default()).unwrap().0
    }

    #[test]
    fn a_picture_is_identical_to_itself_and_has_no_picture_of_its_difference() {
        let (difference, shown) = compare(&picture(disc), &picture(disc), Tolerance::Exact).unwrap();
        assert!(difference.tolerated && shown.is_none());
        assert_eq!(difference.to_string(), "identical");
    }

    #[test]
    fn pixels_levels_and_their_mean_are_counted() {
        let difference = difference(|x, y| match (x, y) {
            (1, 1) => [203, 190, 180],
            (2, 1) => [200, 185, 181],
            _ => disc(x, y),
        });
        assert_eq!((difference.pixels, difference.largest), (2, 5));
        assert!((difference.mean - 9.0 / (96.0 * 80.0 * 3.0)).abs() < 1e-12);
    }

    #[test]
    fn one_level_of_one_pixel_is_tolerated_unless_equality_is_asked_for() {
        let changed = |x, y| if (x, y) == (60, 60) { [201, 190, 180] } else { disc(x, y) };
        assert!(difference(changed).tolerated);
        let (exact, shown) = compare(&picture(changed), &picture(disc), Tolerance::Exact).unwrap();
        assert!(!exact.tolerated && shown.is_some());
    }

    #[test]
    fn a_shift_by_a_pixel_a_small_change_of_a_colour_and_a_missing_part_are_not_tolerated() {
        assert!(!difference(|x, y| disc(x + 1, y)).tolerated, "a shift");
        let tinted = |x, y| if disc(x, y)[0] == 40 { [48, 60, 112] } else { disc(x, y) };
        assert!(!difference(tinted).tolerated, "a colour");
        let patch = |x: u32, y: u32| x.abs_diff(40) < 5 && y.abs_diff(40) < 5;
        assert!(
            !difference(|x, y| if patch(x, y) { [200, 190, 180] } else { disc(x, y) }).tolerated,
            "a part"
        );
    }

    #[test]
    fn pictures_of_two_sizes_cannot_be_compared() {
        let small = Picture::new(FrameSize::new(16, 16).unwrap(), vec![0; 16 * 16 * 4]).unwrap();
        assert_eq!(compare(&small, &picture(disc), Tolerance::default()), None);
    }
}
