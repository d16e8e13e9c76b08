//! Where the eye is.

use glam::Vec3;

/// The point that the camera turns around.
const TARGET: Vec3 = Vec3::new(0.0, 1.5, 0.0);

/// A camera on a sphere around the knot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Camera {
    /// Around the vertical axis, in radians, from the z axis towards x.
    pub yaw: f32,
    /// Above the horizon, in radians.
    pub pitch: f32,
    pub distance: f32,
}

/// Where an untouched scene looks from.
pub const HOME: Camera = Camera { yaw: -0.42, pitch: 0.26, distance: 6.6 };

impl Camera {
    pub(crate) const PITCHES: core::ops::RangeInclusive<f32> = -0.1..=1.45;
    pub(crate) const DISTANCES: core::ops::RangeInclusive<f32> = 2.6..=11.0;

    pub fn eye(&self) -> Vec3 {
        TARGET - self.forward() * self.distance
    }

    /// The direction of sight, of length one.
    pub fn forward(&self) -> Vec3 {
        let (sin_yaw, cos_yaw) = self.yaw.sin_cos();
        let (sin_pitch, cos_pitch) = self.pitch.sin_cos();
        -Vec3::new(cos_pitch * sin_yaw, sin_pitch, cos_pitch * cos_yaw)
    }
}
