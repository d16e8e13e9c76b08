//! The shapes: a torus knot that stands on a round ground.

use core::f32::consts::TAU;

use bytemuck::{Pod, Zeroable};
use glam::{Vec2, Vec3};

use crate::uniforms::{KNOT_CENTRE, SHADOW_RADIUS, SUN};

/// A vertex as the shaders read it; see [`crate::pass::ATTRIBUTE_OFFSETS`].
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Vertex {
    pub position: [f32; 3],
    pub normal: [f32; 3],
    pub uv: [f32; 2],
}

/// Triangles, counter-clockwise seen from outside, indexed.
#[derive(Clone, Debug)]
pub struct Mesh {
    pub vertices: Vec<Vertex>,
    pub indices: Vec<u16>,
}

/// Steps along the knot and around its tube. Fewer show corners on a phone's full screen; more cost a software rasteriser dearly.
const KNOT_STEPS: u16 = 144;
const TUBE_STEPS: u16 = 12;
const TUBE_RADIUS: f32 = 0.27;
const KNOT_SCALE: f32 = 0.43;
/// How often the texture repeats along the knot.
const GLAZE_REPEATS: f32 = 14.0;

/// The knot around its own centre; the uniforms put it in its place.
pub fn knot() -> Mesh {
    let mut mesh = Mesh { vertices: Vec::new(), indices: Vec::new() };
    for step in 0..=KNOT_STEPS {
        let along = f32::from(step) / f32::from(KNOT_STEPS);
        let (centre, tangent, bend) = knot_curve(along * TAU);
        let binormal = tangent.cross(bend).normalize();
        let normal = binormal.cross(tangent);
        for side in 0..=TUBE_STEPS {
            let around = f32::from(side) / f32::from(TUBE_STEPS);
            let (sin, cos) = (around * TAU).sin_cos();
            let outwards = normal * cos + binormal * sin;
            mesh.vertices.push(Vertex {
                position: (centre + outwards * TUBE_RADIUS).into(),
                normal: outwards.into(),
                uv: [along * GLAZE_REPEATS, around],
            });
        }
    }
    weave(&mut mesh.indices, KNOT_STEPS, TUBE_STEPS);
    mesh
}

/// Place, direction and second derivative of the (2, 3) torus knot at the parameter `t`.
fn knot_curve(t: f32) -> (Vec3, Vec3, Vec3) {
    let (sin2, cos2) = (2.0 * t).sin_cos();
    let (sin3, cos3) = (3.0 * t).sin_cos();
    let (radius, radius_d, radius_dd) = (2.0 + cos3, -3.0 * sin3, -9.0 * cos3);
    let place = Vec3::new(radius * cos2, radius * sin2, sin3);
    let tangent =
        Vec3::new(radius_d * cos2 - 2.0 * radius * sin2, radius_d * sin2 + 2.0 * radius * cos2, 3.0 * cos3);
    let bend = Vec3::new(
        radius_dd * cos2 - 4.0 * radius_d * sin2 - 4.0 * radius * cos2,
        radius_dd * sin2 + 4.0 * radius_d * cos2 - 4.0 * radius * sin2,
        -9.0 * sin3,
    );
    (place * KNOT_SCALE, tangent.normalize(), bend)
}

const GROUND_STEPS: u16 = 64;
const GROUND_RINGS: u16 = 10;
const GROUND_RADIUS: f32 = 10.0;

/// The ground in two parts, so that only the part that the shadow can reach pays for reading the shadow map: the disc around the
/// shadow, and the rings around the disc.
pub fn near_and_far_ground() -> [Mesh; 2] {
    let vertex = |at: Vec2| Vertex { position: [at.x, 0.0, at.y], normal: [0.0, 1.0, 0.0], uv: at.into() };
    // The shadow map covers a sphere around the knot; its footprint on the ground is an ellipse, longer along the sun's direction.
    let footprint = KNOT_CENTRE - SUN * (KNOT_CENTRE.y / SUN.y);
    let footprint = Vec2::new(footprint.x, footprint.z);
    let along = Vec2::new(SUN.x, SUN.z).normalize();
    let [mut near, mut far] = [(); 2].map(|()| Mesh { vertices: Vec::new(), indices: Vec::new() });
    for step in 0..=GROUND_STEPS {
        // Seen from above, x to the right and z towards the viewer, growing angles would go clockwise.
        let (sin, cos) = (-f32::from(step) / f32::from(GROUND_STEPS) * TAU).sin_cos();
        let rim = footprint + along * (cos * SHADOW_RADIUS / SUN.y) + along.perp() * (sin * SHADOW_RADIUS);
        near.vertices.extend([vertex(footprint), vertex(rim)]);
        let edge = rim.normalize_or(along) * GROUND_RADIUS;
        for ring in 0..=GROUND_RINGS {
            // Closer together near the knot, where the colour changes faster.
            let outwards = f32::from(ring) / f32::from(GROUND_RINGS);
            far.vertices.push(vertex(rim.lerp(edge, outwards * outwards)));
        }
    }
    weave(&mut near.indices, GROUND_STEPS, 1);
    weave(&mut far.indices, GROUND_STEPS, GROUND_RINGS);
    [near, far]
}

/// The triangles of a strip of `rows` × `columns` quadrilaterals whose vertices lie row by row.
fn weave(indices: &mut Vec<u16>, rows: u16, columns: u16) {
    for row in 0..rows {
        for column in 0..columns {
            let here = row * (columns + 1) + column;
            let next = here + columns + 1;
            indices.extend([here, next + 1, next, here, here + 1, next + 1]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_faces_outwards(mesh: &Mesh) {
        for triangle in mesh.indices.as_chunks::<3>().0 {
            let [a, b, c] = triangle.map(|index| mesh.vertices[usize::from(index)]);
            let [pa, pb, pc] = [a, b, c].map(|vertex| Vec3::from(vertex.position));
            let face = (pb - pa).cross(pc - pa);
            let normal = Vec3::from(a.normal) + Vec3::from(b.normal) + Vec3::from(c.normal);
            assert!(face.dot(normal) >= 0.0, "the triangle {triangle:?} faces inwards");
        }
    }

    #[test]
    fn every_triangle_of_the_knot_faces_outwards() {
        check_faces_outwards(&knot());
    }

    #[test]
    fn every_triangle_of_the_ground_faces_up() {
        for part in near_and_far_ground() {
            check_faces_outwards(&part);
        }
    }

    #[test]
    fn the_knot_stands_above_the_ground_and_inside_what_the_shadow_map_sees() {
        for vertex in knot().vertices {
            let position = Vec3::from(vertex.position);
            assert!(position.y + KNOT_CENTRE.y > 0.0, "{position} is below the ground");
            assert!(position.length() < SHADOW_RADIUS, "{position} casts no shadow");
        }
    }
}
