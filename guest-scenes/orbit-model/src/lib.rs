//! What the scene `orbit` shows: shapes, a texture, matrices, shaders, and the camera that a viewer moves.
//!
//! It knows nothing of who draws: the scene draws it through `wasi:webgpu`, and the renderer's benchmark draws the same natively, as
//! the floor that the scene is measured against. So everything that decides what is seen, and in which order, stands here, and the
//! two drawers are a translation of [`PASSES`](crate::pass) into their own bindings.

mod camera;
mod control;
mod geometry;
pub mod pass;
mod texture;
mod uniforms;

pub use camera::{Camera, HOME};
pub use control::{Control, Key, Moved, PointerId};
pub use geometry::{Mesh, Vertex, knot, near_and_far_ground};
pub use texture::{MipLevel, TEXTURE_SIZE, glaze};
pub use uniforms::{Uniforms, background};

/// All shaders of the scene, WGSL.
pub const SHADER: &str = include_str!("orbit.wgsl");
