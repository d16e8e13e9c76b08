//! The one uniform block that all shaders read, and the fixed places of the scene.

use bytemuck::{Pod, Zeroable};
use glam::camera::rh::{proj::directx as projection, view};
use glam::{Mat4, Vec2, Vec3, Vec4};

use crate::Camera;

/// Towards the sun.
pub(crate) const SUN: Vec3 = Vec3::new(0.424_264, 0.8, 0.424_264);
/// The middle of the knot.
pub(crate) const KNOT_CENTRE: Vec3 = Vec3::new(0.0, 1.58, 0.0);
/// The sphere around the knot that the shadow map covers.
pub(crate) const SHADOW_RADIUS: f32 = 1.75;

/// The light of the haze at the horizon, linear.
const HORIZON: Vec3 = Vec3::new(0.72, 0.66, 0.60);

const NEAR: f32 = 0.1;
const FAR: f32 = 40.0;
/// Half the opening angle, as its tangent, of the picture's shorter side.
const HALF_FIELD_OF_VIEW: f32 = 0.33;

/// `Uniforms` of orbit.wgsl. Matrices are column-major; the fourth component of the vectors is unused.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Uniforms {
    pub world_to_clip: Mat4,
    pub world_to_shadow: Mat4,
    pub knot_to_world: Mat4,
    pub ray_centre: Vec4,
    pub ray_right: Vec4,
    pub ray_up: Vec4,
    pub eye: Vec4,
    pub sun: Vec4,
    pub half_way: Vec4,
    pub horizon: Vec4,
}

impl Uniforms {
    /// What `camera` sees in a picture of `size` pixels while the knot is turned by `spin` radians.
    pub fn new(camera: &Camera, spin: f32, size: [u32; 2]) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "pictures are far below 2^24 pixels wide")]
        let [width, height] = size.map(|side| side.max(1) as f32);
        let half = Vec2::new(width, height) / width.min(height) * HALF_FIELD_OF_VIEW;
        let (eye, forward) = (camera.eye(), camera.forward());
        let right = forward.cross(Vec3::Y).normalize();
        let up = right.cross(forward);
        let from_eye = view::look_to_mat4(eye, forward, Vec3::Y);
        Self {
            world_to_clip: projection::perspective(2.0 * half.y.atan(), width / height, NEAR, FAR) * from_eye,
            world_to_shadow: world_to_shadow(),
            knot_to_world: Mat4::from_translation(KNOT_CENTRE) * Mat4::from_rotation_y(spin),
            ray_centre: forward.extend(0.0),
            ray_right: (right * half.x).extend(0.0),
            ray_up: (up * half.y).extend(0.0),
            eye: eye.extend(1.0),
            sun: SUN.extend(0.0),
            half_way: (SUN + (eye - KNOT_CENTRE).normalize()).normalize().extend(0.0),
            horizon: HORIZON.extend(0.0),
        }
    }
}

/// What the picture is cleared to: the haze, developed as the shaders develop light.
pub fn background() -> [f32; 3] {
    let x = (HORIZON - 0.004).max(Vec3::ZERO);
    (x * (6.2 * x + 0.5) / (x * (6.2 * x + 1.7) + 0.06)).into()
}

/// The sun is far away: its rays are parallel.
fn world_to_shadow() -> Mat4 {
    let r = SHADOW_RADIUS;
    let from_sun = view::look_at_mat4(KNOT_CENTRE + SUN * 2.0 * r, KNOT_CENTRE, Vec3::Y);
    // The far plane lies behind the ground, so that the ground is inside the map's depth and not cut from it.
    projection::orthographic(-r, r, -r, r, r, 6.0 * r) * from_sun
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HOME;

    fn check_knot_is_in_the_picture(size: [u32; 2]) {
        let uniforms = Uniforms::new(&HOME, 0.0, size);
        for vertex in crate::knot().vertices {
            let at = uniforms.knot_to_world.transform_point3(Vec3::from(vertex.position));
            let ndc = uniforms.world_to_clip.project_point3(at);
            assert!(
                ndc.x.abs() < 1.0 && ndc.y.abs() < 1.0 && (0.0..=1.0).contains(&ndc.z),
                "{at} is at {ndc}"
            );
        }
    }

    #[test]
    fn the_whole_knot_is_seen_from_home_in_a_wide_picture() {
        check_knot_is_in_the_picture([1280, 720]);
    }

    #[test]
    fn the_whole_knot_is_seen_from_home_in_a_tall_picture() {
        check_knot_is_in_the_picture([390, 844]);
    }

    #[test]
    fn a_ray_through_a_corner_meets_that_corner() {
        let uniforms = Uniforms::new(&HOME, 0.0, [1280, 720]);
        let ray = uniforms.ray_centre + uniforms.ray_right + uniforms.ray_up;
        let ndc = uniforms.world_to_clip.project_point3((uniforms.eye + ray * 10.0).truncate());
        assert!((ndc.x - 1.0).abs() < 1e-3 && (ndc.y - 1.0).abs() < 1e-3, "it meets {ndc}");
    }
}
