//! `frame-buffer` and `surface-frame-buffer`.

use super::{
    super::frame_buffer::{Buffer, Context},
    bindings::frame_buffer::wasi_gfx::{
        frame_buffer::frame_buffer::HostBuffer, surface::surface_frame_buffer::HostContext,
    },
    *,
};

/// Pixels of one colour, for a picture of this size.
fn pixels(size: FrameSize, bgrx: [u8; 4]) -> Vec<u8> {
    bgrx.repeat((size.width() * size.height()) as usize)
}

const RED_PIXEL: [u8; 4] = [0, 0, 255, 0];
const BLUE_PIXEL: [u8; 4] = [255, 0, 0, 0];

impl Scene {
    /// A context of a surface that the scene wished to be 32x18.
    fn frame_buffers(&mut self) -> Resource<Context> {
        let surface = self.new_surface(32, 18);
        HostContext::new(&mut self.surface(), surface).unwrap()
    }

    fn buffer(&mut self, context: &Resource<Context>) -> Resource<Buffer> {
        HostContext::get_current_buffer(&mut self.surface(), lend(context)).unwrap()
    }

    fn get(&mut self, buffer: &Resource<Buffer>) -> Vec<u8> {
        self.surface().get_with_copy(lend(buffer)).unwrap()
    }

    fn set(&mut self, buffer: &Resource<Buffer>, pixels: Vec<u8>) -> wasmtime::Result<()> {
        self.surface().set_with_copy(lend(buffer), pixels)
    }

    fn show_buffer(&mut self, context: &Resource<Context>) {
        HostContext::present(&mut self.surface(), lend(context)).unwrap();
    }

    fn resize(&self, size: FrameSize) {
        self.window.resize(size);
        self.window.tick(0);
    }
}

#[tokio::test]
async fn a_buffer_begins_with_zeros_keeps_what_is_set_and_is_another_one_after_it_was_presented() {
    let mut scene = Scene::new().await;
    let context = scene.frame_buffers();
    let zeros = vec![0; 64 * 48 * 4];
    for (pixel, luma) in [(RED_PIXEL, RED_LUMA), (BLUE_PIXEL, BLUE_LUMA)] {
        let buffer = scene.buffer(&context);
        assert!(scene.get(&buffer) == zeros, "a new buffer has bytes of another picture");
        let picture = pixels(size(64, 48), pixel);
        scene.set(&buffer, picture.clone()).unwrap();
        assert!(scene.get(&buffer) == picture, "a buffer has not what it was set to");
        let again = scene.buffer(&context);
        assert!(scene.get(&again) == picture, "the current buffer is the same until it is presented");
        scene.assert_nothing_is_shown();
        scene.show_buffer(&context);
        scene.assert_shows(size(64, 48), luma);
        assert!(scene.get(&buffer) == zeros, "a presented picture is not the scene's any more");
    }
}

#[tokio::test]
async fn a_buffer_that_was_never_set_is_presented_black_and_no_buffer_not_at_all() {
    let mut scene = Scene::new().await;
    let context = scene.frame_buffers();
    scene.show_buffer(&context);
    scene.assert_nothing_is_shown();
    scene.buffer(&context);
    scene.show_buffer(&context);
    scene.assert_shows(size(64, 48), BLACK_LUMA);
    scene.show_buffer(&context);
    scene.assert_nothing_is_shown();
}

#[tokio::test]
async fn a_scene_that_keeps_its_first_buffer_for_ever_is_shown() {
    let mut scene = Scene::new().await;
    let context = scene.frame_buffers();
    let buffer = scene.buffer(&context);
    for (pixel, luma) in [(RED_PIXEL, RED_LUMA), (BLUE_PIXEL, BLUE_LUMA), (RED_PIXEL, RED_LUMA)] {
        scene.set(&buffer, pixels(size(64, 48), pixel)).unwrap();
        scene.show_buffer(&context);
        scene.assert_shows(size(64, 48), luma);
    }
}

#[tokio::test]
async fn a_picture_of_the_size_before_a_resize_is_shown_at_that_size() {
    let mut scene = Scene::new().await;
    let context = scene.frame_buffers();
    // The buffer is taken before the resize, and set after it.
    let buffer = scene.buffer(&context);
    scene.resize(size(96, 48));
    scene.set(&buffer, pixels(size(64, 48), RED_PIXEL)).unwrap();
    scene.show_buffer(&context);
    scene.assert_shows(size(64, 48), RED_LUMA);
    // The buffer is taken after the resize, by a scene that has not seen that event yet.
    let buffer = scene.buffer(&context);
    scene.set(&buffer, pixels(size(64, 48), BLUE_PIXEL)).unwrap();
    scene.show_buffer(&context);
    scene.assert_shows(size(64, 48), BLUE_LUMA);
    let buffer = scene.buffer(&context);
    assert_eq!(scene.get(&buffer).len(), 96 * 48 * 4);
    scene.set(&buffer, pixels(size(96, 48), RED_PIXEL)).unwrap();
    scene.show_buffer(&context);
    scene.assert_shows(size(96, 48), RED_LUMA);
}

#[tokio::test]
async fn a_resize_makes_a_new_buffer_of_zeros() {
    let mut scene = Scene::new().await;
    let context = scene.frame_buffers();
    let old = scene.buffer(&context);
    scene.set(&old, pixels(size(64, 48), RED_PIXEL)).unwrap();
    scene.resize(size(96, 48));
    let new = scene.buffer(&context);
    assert!(scene.get(&new) == vec![0; 96 * 48 * 4]);
    assert!(scene.get(&old) == vec![0; 64 * 48 * 4]);
    scene.show_buffer(&context);
    scene.assert_shows(size(96, 48), BLACK_LUMA);
}

#[tokio::test]
async fn a_picture_of_the_size_that_the_scene_asked_for_is_shown_at_that_size() {
    let mut scene = Scene::new().await;
    let context = scene.frame_buffers();
    let buffer = scene.buffer(&context);
    scene.set(&buffer, pixels(size(32, 18), RED_PIXEL)).unwrap();
    scene.show_buffer(&context);
    scene.assert_shows(size(32, 18), RED_LUMA);
}

#[tokio::test]
async fn bytes_that_are_no_picture_end_the_scene_with_both_lengths() {
    let mut scene = Scene::new().await;
    let context = scene.frame_buffers();
    let buffer = scene.buffer(&context);
    for found in [0, 1, 64 * 48 * 4 - 4, 64 * 48 * 4 + 4, 64 * 48 * 3] {
        let error = scene.set(&buffer, vec![0; found]).unwrap_err();
        let wrong = error.downcast_ref::<WrongLength>().expect("a typed error");
        assert_eq!((wrong.found, wrong.size, wrong.expected), (found, size(64, 48), 64 * 48 * 4));
        let text = error.to_string();
        assert!(text.contains("64x48") && text.contains("12288"), "{text}");
    }
}

#[tokio::test]
async fn what_the_host_keeps_does_not_grow_with_contexts_and_buffers() {
    let mut scene = Scene::new().await;
    let contexts: Vec<_> = (0..20).map(|_| scene.frame_buffers()).collect();
    let buffers: Vec<_> = contexts.iter().map(|context| scene.buffer(context)).collect();
    scene.set(&buffers[3], pixels(size(64, 48), RED_PIXEL)).unwrap();
    scene.set(&buffers[17], pixels(size(64, 48), BLUE_PIXEL)).unwrap();
    // All are the one picture of the one window.
    let last = pixels(size(64, 48), BLUE_PIXEL);
    assert!(buffers.iter().all(|buffer| scene.get(buffer) == last));
    scene.show_buffer(&contexts[5]);
    scene.assert_shows(size(64, 48), BLUE_LUMA);
    scene.show_buffer(&contexts[6]);
    scene.assert_nothing_is_shown();
}
