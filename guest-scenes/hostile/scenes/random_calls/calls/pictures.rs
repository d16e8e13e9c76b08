//! Pictures that are drawn on the processor, on the same surfaces as the GPU's.

use kit::surface::surface_frame_buffer::Context;

use super::{keep, take};
use crate::World;

pub fn open(world: &mut World) {
    let surface = take!(world.surfaces);
    keep!(world.pictures, Context::new(&surface));
}

pub fn current_buffer(world: &mut World) {
    let context = take!(world.pictures);
    keep!(world.picture_buffers, context.get_current_buffer());
}

/// A picture of another length than any that was asked for is an error that ends the session, so it is as long as what is there.
pub fn set(world: &mut World) {
    let buffer = take!(world.picture_buffers);
    let mut picture = buffer.get_with_copy();
    picture.fill(world.random.any().to_le_bytes()[0]);
    buffer.set_with_copy(&picture);
}

pub fn get(world: &mut World) {
    drop(take!(world.picture_buffers).get_with_copy());
}

pub fn present(world: &mut World) {
    take!(world.pictures).present();
}
