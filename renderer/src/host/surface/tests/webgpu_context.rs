//! `surface-webgpu`.

use super::{
    super::webgpu_context::{Context, MAX_CONTEXTS},
    bindings::wasi_gfx::surface::surface_webgpu::{ContextConfiguration, HostContext},
    *,
};
use crate::host::OverLimit;

impl Scene {
    fn webgpu_context(&mut self) -> wasmtime::Result<Resource<Context>> {
        let surface = self.new_surface(64, 48);
        HostContext::new(&mut self.surface(), surface)
    }

    fn configure(&mut self, context: &Resource<Context>) {
        let configuration = ContextConfiguration {
            device: self.device(),
            format: GpuTextureFormat::Rgba8unorm,
            usage: None,
            view_formats: Some(vec![GpuTextureFormat::Rgba8unormSrgb]),
            color_space: None,
            tone_mapping: None,
            alpha_mode: None,
        };
        HostContext::configure(&mut self.surface(), lend(context), configuration).unwrap();
    }

    fn texture_of(&mut self, context: &Resource<Context>) -> wasmtime::Result<Resource<Texture>> {
        HostContext::get_current_texture(&mut self.surface(), lend(context))
    }

    fn present(&mut self, context: &Resource<Context>) {
        HostContext::present(&mut self.surface(), lend(context)).unwrap();
    }
}

#[tokio::test]
async fn a_surface_is_shown_when_it_is_presented_and_not_when_the_scene_waits() {
    let mut scene = Scene::new().await;
    let context = scene.webgpu_context().unwrap();
    scene.configure(&context);
    for (color, luma) in [(RED, RED_LUMA), (BLUE, BLUE_LUMA)] {
        let texture = scene.texture_of(&context).unwrap();
        scene.draw(&texture, color);
        scene.turns.end();
        scene.assert_nothing_is_shown();
        let late = scene.fill(&texture, RED);
        scene.present(&context);
        scene.assert_shows(size(64, 48), luma);
        scene.refused("presented, replaced or destroyed", |scene| scene.submit(late));
    }
}

#[tokio::test]
async fn a_texture_that_nothing_was_drawn_to_is_presented_black() {
    let mut scene = Scene::new().await;
    let context = scene.webgpu_context().unwrap();
    scene.configure(&context);
    for _ in 0..3 {
        let texture = scene.texture_of(&context).unwrap();
        scene.draw(&texture, RED);
        scene.present(&context);
        scene.assert_shows(size(64, 48), RED_LUMA);
        scene.texture_of(&context).unwrap();
        scene.present(&context);
        scene.assert_shows(size(64, 48), BLACK_LUMA);
    }
}

#[tokio::test]
async fn presenting_without_a_texture_shows_nothing_and_is_no_error() {
    let mut scene = Scene::new().await;
    let context = scene.webgpu_context().unwrap();
    scene.present(&context);
    scene.configure(&context);
    scene.present(&context);
    let texture = scene.texture_of(&context).unwrap();
    HostGpuTexture::destroy(&mut scene.webgpu(), texture).unwrap();
    scene.present(&context);
    scene.texture_of(&context).unwrap();
    HostContext::unconfigure(&mut scene.surface(), lend(&context)).unwrap();
    scene.present(&context);
    scene.assert_nothing_is_shown();
    assert_eq!(scene.errors(), Vec::<String>::new());
    let error = scene.texture_of(&context).unwrap_err();
    assert!(error.to_string().contains("call `configure` first"), "{error}");
}

#[tokio::test]
async fn a_scene_has_a_bounded_number_of_contexts_and_one_that_is_dropped_makes_room() {
    let mut scene = Scene::new().await;
    let mut contexts: Vec<_> = (0..MAX_CONTEXTS).map(|_| scene.webgpu_context().unwrap()).collect();
    let refused = scene.webgpu_context().expect_err("too many");
    assert!(refused.downcast_ref::<OverLimit>().is_some(), "{refused}");
    let last = contexts.pop().unwrap();
    HostContext::drop(&mut scene.surface(), last).unwrap();
    scene.webgpu_context().unwrap();
}
