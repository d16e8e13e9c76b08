//! The two passes of a frame, as plain constants that both drawers read.
//!
//! 1. The shadow pass draws the knot's depth as the sun sees it. It is needed only when the knot has turned.
//! 2. The main pass draws, in this order, the far ground, the sky, the near ground, and the knot. Only the knot can hide itself, so
//!    only the knot tests and writes depth: the eye is always above the ground, and the knot always before it.
//!
//! Group 0 of the main pass binds, in order: the uniforms, the shadow map, its comparison sampler, the glaze, its sampler. Group 0 of the
//! shadow pass binds the uniforms alone.

use core::mem::offset_of;

use crate::Vertex;

/// Width and height of the shadow map.
pub const SHADOW_SIZE: u32 = 512;
/// Samples per pixel of the main pass.
pub const SAMPLE_COUNT: u32 = 1;
/// The sky is a grid of this many cells in both directions: draw six vertices for each column, as many instances as rows.
pub const SKY_CELLS: u32 = 16;

/// Bytes from one vertex to the next.
pub const VERTEX_STRIDE: u64 = size_of::<Vertex>() as u64;
/// Offsets of the attributes at locations 0 (position, three floats), 1 (normal, three floats) and 2 (texture coordinates, two floats).
pub const ATTRIBUTE_OFFSETS: [u64; 3] =
    [offset_of!(Vertex, position) as u64, offset_of!(Vertex, normal) as u64, offset_of!(Vertex, uv) as u64];

/// Keeps the lit side of the knot from shadowing itself (https://www.w3.org/TR/webgpu/#abstract-opdef-biasing-fragment-depth).
pub const SHADOW_DEPTH_BIAS: i32 = 2;
pub const SHADOW_DEPTH_BIAS_SLOPE_SCALE: f32 = 2.0;
