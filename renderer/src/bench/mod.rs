//! What the benchmarks measure with, and the floor that they measure against.

pub mod orbit_native;

/// A scene drawn by bare wgpu: the floor of what a scene component that draws the same can cost.
pub trait NativeScene {
    /// Submits the drawing of frame number `frame` onto `target`.
    fn draw(&mut self, device: &wgpu::Device, queue: &wgpu::Queue, target: &wgpu::TextureView, frame: u32);
}
