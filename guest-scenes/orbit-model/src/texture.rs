//! The glaze on the knot: bands across its tube, drawn here so that no image has to be fetched.

use glam::{Vec2, Vec3};

/// Width and height of the largest level.
pub const TEXTURE_SIZE: u32 = 256;

/// A level of the texture: `size` × `size` pixels of four bytes, red first, the square roots of linear values, without padding.
#[derive(Clone, Debug)]
pub struct MipLevel {
    pub size: u32,
    pub pixels: Vec<u8>,
}

const IVORY: Vec3 = Vec3::new(0.83, 0.72, 0.55);
const TEAL: Vec3 = Vec3::new(0.016, 0.16, 0.19);
const COPPER: Vec3 = Vec3::new(0.72, 0.20, 0.05);

/// All levels, the largest first, down to one pixel.
pub fn glaze() -> Vec<MipLevel> {
    let mut size = TEXTURE_SIZE;
    let mut linear: Vec<Vec3> = (0..size * size).map(|at| glaze_at(texel_centre(at, size))).collect();
    let mut levels = Vec::new();
    loop {
        levels.push(MipLevel { size, pixels: linear.iter().flat_map(|&colour| encode(colour)).collect() });
        if size == 1 {
            return levels;
        }
        size /= 2;
        // The mean of light is a mean of linear values; of encoded ones it would be too dark.
        linear = halve(&linear, size);
    }
}

/// Rows of twice the width and twice the height, averaged four to one.
fn halve(linear: &[Vec3], size: u32) -> Vec<Vec3> {
    let width = size as usize;
    let rows: Vec<&[Vec3]> = linear.chunks_exact(width * 2).collect();
    rows.chunks_exact(2)
        .flat_map(|pair| {
            pair[0]
                .chunks_exact(2)
                .zip(pair[1].chunks_exact(2))
                .map(|(upper, lower)| (upper[0] + upper[1] + lower[0] + lower[1]) / 4.0)
        })
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "a texture's coordinates are far below 2^24")]
fn texel_centre(at: u32, size: u32) -> Vec2 {
    Vec2::new((at % size) as f32 + 0.5, (at / size) as f32 + 0.5) / size as f32
}

/// Wide bands in two colours that wind around the tube, with a thin line of copper on each border. Both coordinates wrap.
fn glaze_at(uv: Vec2) -> Vec3 {
    let across = (uv.x + uv.y).fract();
    let band = smooth_pulse(across, 0.27, 0.23);
    let line = smooth_pulse(across, 0.04, 0.018) + smooth_pulse((across + 0.5).fract(), 0.04, 0.018);
    let grain = ((uv.x * 61.0).sin() * (uv.y * 89.0).cos() * 0.5 + 0.5) * 0.05;
    IVORY.lerp(TEAL, band).lerp(COPPER, line.min(1.0)) * (1.0 - grain)
}

/// One within `inner` of a band's centre, zero beyond `outer`; `inner` may be the larger to swap the two.
fn smooth_pulse(across: f32, outer: f32, inner: f32) -> f32 {
    let from_centre = (across - 0.25).abs();
    let t = ((outer - from_centre) / (outer - inner)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// With a gamma of 2, which a shader undoes by one multiplication.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a byte just before")]
fn encode(linear: Vec3) -> [u8; 4] {
    let [r, g, b] = linear.to_array().map(|value| (value.clamp(0.0, 1.0).sqrt() * 255.0).round() as u8);
    [r, g, b, u8::MAX]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_levels_halve_down_to_one_pixel() {
        let levels = glaze();
        let sizes: Vec<u32> = levels.iter().map(|level| level.size).collect();
        assert_eq!(sizes, [256, 128, 64, 32, 16, 8, 4, 2, 1]);
        for level in levels {
            assert_eq!(level.pixels.len(), (level.size * level.size * 4) as usize);
        }
    }
}
