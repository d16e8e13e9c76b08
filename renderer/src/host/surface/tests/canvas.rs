//! `gpu-canvas-context`.

use super::*;

/// As a scene configures a canvas that leaves everything to the defaults.
fn configuration(device: Resource<Device>) -> GpuCanvasConfiguration {
    GpuCanvasConfiguration {
        device,
        format: GpuTextureFormat::Bgra8unorm,
        usage: None,
        view_formats: None,
        color_space: None,
        tone_mapping: None,
        alpha_mode: None,
    }
}

impl Scene {
    fn canvas(&mut self) -> Resource<CanvasContext> {
        let context = self.store.data().surface.canvas_context();
        self.store.data_mut().table.push(context).unwrap()
    }

    fn configured_canvas(&mut self) -> Resource<CanvasContext> {
        let canvas = self.canvas();
        let configuration = configuration(self.device());
        HostGpuCanvasContext::configure(&mut self.webgpu(), lend(&canvas), configuration).unwrap();
        canvas
    }

    fn current_texture(&mut self, canvas: &Resource<CanvasContext>) -> Resource<Texture> {
        HostGpuCanvasContext::get_current_texture(&mut self.webgpu(), lend(canvas)).unwrap()
    }

    fn size_of(&mut self, texture: &Resource<Texture>) -> (u32, u32) {
        let mut view = self.webgpu();
        (view.width(lend(texture)).unwrap(), HostGpuTexture::height(&mut view, lend(texture)).unwrap())
    }
}

#[tokio::test]
async fn a_canvas_is_shown_when_the_scene_waits_and_its_texture_expires_then() {
    let mut scene = Scene::new().await;
    let canvas = scene.configured_canvas();
    for (color, luma) in [(RED, RED_LUMA), (BLUE, BLUE_LUMA)] {
        scene.turns.begin();
        let texture = scene.current_texture(&canvas);
        scene.draw(&texture, color);
        scene.assert_nothing_is_shown();
        let late = scene.fill(&texture, RED);
        scene.turns.end();
        scene.assert_shows(size(64, 48), luma);
        scene.refused("presented, replaced or destroyed", |scene| scene.submit(late));
    }
    assert_eq!(scene.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn a_scene_may_wait_between_taking_a_canvas_texture_and_drawing_to_it() {
    let mut scene = Scene::new().await;
    let canvas = scene.configured_canvas();
    scene.turns.begin();
    let texture = scene.current_texture(&canvas);
    let commands = scene.fill(&texture, RED);
    scene.turns.end();
    scene.window.tick(0);
    scene.assert_nothing_is_shown();
    scene.turns.begin();
    scene.submit(commands);
    scene.turns.end();
    scene.assert_shows(size(64, 48), RED_LUMA);
    assert_eq!(scene.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn a_canvas_gets_a_new_texture_when_the_window_has_another_size() {
    let mut scene = Scene::new().await;
    let canvas = scene.configured_canvas();
    let old = scene.current_texture(&canvas);
    let commands = scene.fill(&old, RED);
    scene.window.resize(size(96, 32));
    scene.window.tick(0);
    let new = scene.current_texture(&canvas);
    assert_eq!((scene.size_of(&old), scene.size_of(&new)), ((64, 48), (96, 32)));
    scene.refused("presented, replaced or destroyed", |scene| scene.submit(commands));
    scene.draw(&new, BLUE);
    scene.turns.end();
    scene.assert_shows(size(96, 32), BLUE_LUMA);
}

#[tokio::test]
async fn a_canvas_says_what_it_was_configured_with_and_the_defaults_of_the_rest() {
    let mut scene = Scene::new().await;
    let canvas = scene.canvas();
    let get = |scene: &mut Scene| scene.webgpu().get_configuration(lend(&canvas)).unwrap();
    assert!(get(&mut scene).is_none());

    let canvas_of_all = scene.configured_canvas();
    let defaults = get(&mut scene).expect("there is one canvas, whatever the number of handles");
    assert!(matches!(defaults.format, GpuTextureFormat::Bgra8unorm));
    assert_eq!(defaults.usage, Some(GpuTextureUsage::RENDER_ATTACHMENT));
    assert!(defaults.view_formats.is_some_and(|formats| formats.is_empty()));
    assert!(matches!(defaults.color_space, Some(PredefinedColorSpace::Srgb)));
    let mode = defaults.tone_mapping.and_then(|mapping| mapping.mode);
    assert!(matches!(mode, Some(GpuCanvasToneMappingMode::Standard)));
    assert!(matches!(defaults.alpha_mode, Some(GpuCanvasAlphaMode::Opaque)));

    let given = GpuCanvasConfiguration {
        format: GpuTextureFormat::Rgba16float,
        usage: Some(GpuTextureUsage::RENDER_ATTACHMENT | GpuTextureUsage::COPY_SRC),
        view_formats: Some(vec![GpuTextureFormat::Rgba16float]),
        color_space: Some(PredefinedColorSpace::DisplayP3),
        tone_mapping: Some(GpuCanvasToneMapping { mode: Some(GpuCanvasToneMappingMode::Extended) }),
        alpha_mode: Some(GpuCanvasAlphaMode::Premultiplied),
        ..configuration(scene.device())
    };
    HostGpuCanvasContext::configure(&mut scene.webgpu(), canvas_of_all, given).unwrap();
    let got = get(&mut scene).unwrap();
    assert!(matches!(got.format, GpuTextureFormat::Rgba16float));
    assert_eq!(got.usage, Some(GpuTextureUsage::RENDER_ATTACHMENT | GpuTextureUsage::COPY_SRC));
    assert!(matches!(got.view_formats.as_deref(), Some([GpuTextureFormat::Rgba16float])));
    assert!(matches!(got.color_space, Some(PredefinedColorSpace::DisplayP3)));
    let mode = got.tone_mapping.and_then(|mapping| mapping.mode);
    assert!(matches!(mode, Some(GpuCanvasToneMappingMode::Extended)));
    assert!(matches!(got.alpha_mode, Some(GpuCanvasAlphaMode::Premultiplied)));

    HostGpuCanvasContext::unconfigure(&mut scene.webgpu(), lend(&canvas)).unwrap();
    assert!(get(&mut scene).is_none());
    assert_eq!(scene.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn a_format_that_no_canvas_has_is_an_error_and_changes_nothing() {
    let mut scene = Scene::new().await;
    let canvas = scene.configured_canvas();
    for format in
        [GpuTextureFormat::Rgba8unormSrgb, GpuTextureFormat::Depth32float, GpuTextureFormat::Bc7RgbaUnorm]
    {
        scene.refused("cannot be configured with the format", |scene| {
            let wrong = GpuCanvasConfiguration { format, ..configuration(scene.device()) };
            HostGpuCanvasContext::configure(&mut scene.webgpu(), lend(&canvas), wrong).unwrap();
        });
    }
    let texture = scene.current_texture(&canvas);
    scene.draw(&texture, RED);
    scene.turns.end();
    scene.assert_shows(size(64, 48), RED_LUMA);
}

#[tokio::test]
async fn a_canvas_that_no_texture_fits_is_an_error_when_it_is_configured_and_each_time_that_one_is_asked_for()
{
    let mut scene = Scene::new().await;
    let canvas = scene.canvas();
    let no_usage =
        |device| GpuCanvasConfiguration { usage: Some(GpuTextureUsage::empty()), ..configuration(device) };
    let wrong_view = |device| GpuCanvasConfiguration {
        view_formats: Some(vec![GpuTextureFormat::Rgba8unorm]),
        ..configuration(device)
    };
    let wrong: [&dyn Fn(Resource<Device>) -> GpuCanvasConfiguration; 2] = [&no_usage, &wrong_view];
    for wrong in wrong {
        scene.refused("cannot have textures of its configuration", |scene| {
            let wrong = wrong(scene.device());
            HostGpuCanvasContext::configure(&mut scene.webgpu(), lend(&canvas), wrong).unwrap();
        });
        let texture = scene.refused("", |scene| scene.current_texture(&canvas));
        scene.draw(&texture, RED);
        assert!(!scene.errors().is_empty(), "an invalid texture was drawn to");
        scene.turns.end();
        scene.assert_nothing_is_shown();
        assert_eq!(scene.errors(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_texture_is_good_for_the_usages_of_its_configuration_and_no_other() {
    let mut scene = Scene::new().await;
    let canvas = scene.configured_canvas();
    let texture = scene.current_texture(&canvas);
    assert_eq!(
        HostGpuTexture::usage(&mut scene.webgpu(), lend(&texture)).unwrap(),
        GpuTextureUsage::RENDER_ATTACHMENT
    );
    scene.refused("copy-src", |scene| {
        let device = scene.device();
        let mut view = scene.webgpu();
        let descriptor = GpuBufferDescriptor {
            size: 256 * 48,
            usage: GpuBufferUsage::COPY_DST,
            mapped_at_creation: None,
            label: None,
        };
        let buffer = view.create_buffer(lend(&device), descriptor).unwrap();
        let encoder = view.create_command_encoder(device, None).unwrap();
        let source =
            GpuTexelCopyTextureInfo { texture: lend(&texture), mip_level: None, origin: None, aspect: None };
        let destination =
            GpuTexelCopyBufferInfo { buffer, offset: None, bytes_per_row: Some(256), rows_per_image: None };
        let size = GpuExtent3D { width: 64, height: Some(48), depth_or_array_layers: None };
        view.copy_texture_to_buffer(lend(&encoder), source, destination, size).unwrap();
        HostGpuCommandEncoder::finish(&mut view, encoder, None).unwrap();
    });
    scene.refused("TEXTURE_BINDING", |scene| {
        bind_group(scene, &texture);
    });
}

/// A bind group of one sampled texture.
fn bind_group(scene: &mut Scene, texture: &Resource<Texture>) -> Resource<GpuBindGroup> {
    let device = scene.device();
    let mut view = scene.webgpu();
    let entry = GpuBindGroupLayoutEntry {
        binding: 0,
        visibility: GpuShaderStage::COMPUTE,
        buffer: None,
        sampler: None,
        texture: Some(GpuTextureBindingLayout {
            sample_type: None,
            view_dimension: None,
            multisampled: None,
        }),
        storage_texture: None,
    };
    let layout = GpuBindGroupLayoutDescriptor { entries: vec![entry], label: None };
    let layout = view.create_bind_group_layout(lend(&device), layout).unwrap();
    let resource = GpuBindingResource::GpuTexture(lend(texture));
    let entries = vec![GpuBindGroupEntry { binding: 0, resource }];
    view.create_bind_group(device, GpuBindGroupDescriptor { layout, entries, label: None }).unwrap()
}

#[tokio::test]
async fn an_expired_texture_is_not_read_through_a_bind_group_either() {
    let mut scene = Scene::new().await;
    let canvas = scene.canvas();
    let sampled = GpuCanvasConfiguration {
        usage: Some(GpuTextureUsage::RENDER_ATTACHMENT | GpuTextureUsage::TEXTURE_BINDING),
        ..configuration(scene.device())
    };
    HostGpuCanvasContext::configure(&mut scene.webgpu(), lend(&canvas), sampled).unwrap();
    let texture = scene.current_texture(&canvas);
    let group = bind_group(&mut scene, &texture);
    let commands = |scene: &mut Scene| {
        let device = scene.device();
        let mut view = scene.webgpu();
        let encoder = view.create_command_encoder(device, None).unwrap();
        let pass = view.begin_compute_pass(lend(&encoder), None).unwrap();
        HostGpuComputePassEncoder::set_bind_group(
            &mut view,
            lend(&pass),
            0,
            Some(lend(&group)),
            None,
            None,
            None,
        )
        .unwrap()
        .unwrap();
        HostGpuComputePassEncoder::end(&mut view, pass).unwrap();
        HostGpuCommandEncoder::finish(&mut view, encoder, None).unwrap()
    };
    let (in_time, late) = (commands(&mut scene), commands(&mut scene));
    scene.submit(in_time);
    scene.turns.end();
    scene.refused("presented, replaced or destroyed", |scene| scene.submit(late));
}

#[tokio::test]
async fn a_canvas_that_is_not_configured_has_no_texture_and_says_so() {
    let mut scene = Scene::new().await;
    let canvas = scene.canvas();
    let error = HostGpuCanvasContext::get_current_texture(&mut scene.webgpu(), canvas).unwrap_err();
    assert!(error.to_string().contains("call `configure` first"), "{error}");
}

#[tokio::test]
async fn a_canvas_of_a_lost_device_shows_nothing() {
    let mut scene = Scene::new().await;
    let canvas = scene.configured_canvas();
    let texture = scene.current_texture(&canvas);
    scene.draw(&texture, RED);
    let device = scene.device();
    HostGpuDevice::destroy(&mut scene.webgpu(), device).unwrap();
    scene.turns.end();
    scene.assert_nothing_is_shown();
    assert_eq!(scene.errors(), Vec::<String>::new());
}
