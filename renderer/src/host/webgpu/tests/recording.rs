//! How much an encoder, a pass and a bundle record.

use super::super::labels::MAX_LABEL_BYTES;
use super::encoding::scene_with_view;
use super::*;

/// Fewer than the default, so that they are soon recorded.
const MAX_COMMANDS: u32 = 20_000;

async fn limited_scene() -> (Scene, Resource<TextureView>) {
    let limits = SceneLimits { max_commands_per_encoder: MAX_COMMANDS.into(), ..SceneLimits::default() };
    let mut scene = Scene::with_limits(limits).await;
    let texture = scene.texture();
    let view = scene.view().create_view(texture, None).unwrap();
    (scene, view)
}

#[tokio::test]
async fn a_pass_has_at_most_the_draws_that_its_descriptor_says() {
    let (mut scene, view) = scene_with_view().await;
    let pipeline = scene.red_pipeline();
    let bundle = scene.bundle(&pipeline, 2);
    let record = |scene: &mut Scene, max, draws| {
        let encoder = scene.encoder();
        let pass = scene.pass_of(&encoder, &view, Some(max), 1);
        HostGpuRenderPassEncoder::set_pipeline(&mut scene.view(), lend(&pass), lend(&pipeline)).unwrap();
        (0..draws).for_each(|_| scene.draw(&pass, 3));
        scene.execute(&pass, &[&bundle]);
        scene.end(&pass);
        scene.finish(&encoder);
    };
    record(&mut scene, 3, 1);
    scene.refused("more draws", |scene| record(scene, 3, 2));
    scene.refused("more draws", |scene| record(scene, 1, 0));
}

#[tokio::test]
async fn an_encoder_that_records_without_end_is_invalid_and_says_so_at_finish() {
    let (mut scene, view) = limited_scene().await;
    let most = format!("at most {MAX_COMMANDS} commands");
    scene.refused(&most, |scene| {
        let encoder = scene.encoder();
        let pass = scene.pass(&encoder, &view);
        for _ in 0..MAX_COMMANDS {
            scene.draw(&pass, 3);
        }
        scene.end(&pass);
        scene.finish(&encoder);
    });
    // Passes of one encoder count together, and each counts itself.
    scene.refused(&most, |scene| {
        let encoder = scene.encoder();
        for _ in 0..MAX_COMMANDS / 10 {
            let pass = scene.compute_pass(&encoder);
            HostGpuComputePassEncoder::end(&mut scene.view(), lend(&pass)).unwrap();
            HostGpuComputePassEncoder::drop(&mut scene.view(), pass).unwrap();
        }
        scene.finish(&encoder);
    });
    scene.refused("bytes of offsets, immediate data and labels", |scene| {
        let encoder = scene.encoder();
        for _ in 0..17_000 {
            let label = "x".repeat(MAX_LABEL_BYTES);
            HostGpuCommandEncoder::insert_debug_marker(&mut scene.view(), lend(&encoder), label).unwrap();
        }
        scene.finish(&encoder);
    });
}

#[tokio::test]
async fn a_bundle_counts_what_it_records_and_where_it_is_executed() {
    let (mut scene, view) = limited_scene().await;
    let most = format!("at most {MAX_COMMANDS} commands");
    scene.refused(&most, |scene| {
        let encoder = scene.bundle_encoder(1);
        for _ in 0..=MAX_COMMANDS {
            HostGpuRenderBundleEncoder::draw(&mut scene.view(), lend(&encoder), 3, None, None, None).unwrap();
        }
        scene.finish_bundle(&encoder);
    });
    let pipeline = scene.red_pipeline();
    let bundle = scene.bundle(&pipeline, 1_000);
    scene.refused(&most, |scene| {
        let encoder = scene.encoder();
        let pass = scene.pass(&encoder, &view);
        scene.execute(&pass, &[&bundle; 1_000]);
        scene.end(&pass);
        scene.finish(&encoder);
    });
}

#[tokio::test]
async fn a_thousand_attachments_are_too_many_and_nothing_else_happens() {
    let (mut scene, view) = scene_with_view().await;
    scene.refused("", |scene| {
        let encoder = scene.encoder();
        let pass = scene.pass_of(&encoder, &view, None, 1_000);
        scene.draw(&pass, 3);
        scene.end(&pass);
        scene.finish(&encoder);
    });
    scene.refused("", |scene| {
        scene.bundle_encoder(1_000);
    });
}

#[tokio::test]
async fn what_all_encoders_and_bundles_record_together_has_a_limit_and_submitting_makes_room() {
    let limits = SceneLimits { max_recorded_commands: 1_024, ..SceneLimits::default() };
    let mut scene = Scene::with_limits(limits).await;
    let texture = scene.texture();
    let view = scene.view().create_view(texture, None).unwrap();
    let pipeline = scene.red_pipeline();
    let record = |scene: &mut Scene| {
        let encoder = scene.encoder();
        let pass = scene.pass(&encoder, &view);
        HostGpuRenderPassEncoder::set_pipeline(&mut scene.view(), lend(&pass), lend(&pipeline)).unwrap();
        for _ in 0..400 {
            scene.draw(&pass, 3);
        }
        scene.end(&pass);
        scene.finish(&encoder)
    };
    let commands = record(&mut scene);
    let bundle = scene.bundle(&pipeline, 200);
    scene.refused("at most 1024 recorded commands", |scene| {
        record(scene);
    });
    scene.refused("`max-recorded-commands`", |scene| {
        scene.bundle(&pipeline, 400);
    });
    HostGpuRenderBundle::drop(&mut scene.view(), bundle).unwrap();
    record(&mut scene);
    scene.refused("`max-recorded-commands`", |scene| {
        record(scene);
    });
    scene.submit(&[&commands]);
    record(&mut scene);
    assert_eq!(scene.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn a_pass_whose_encoder_was_finished_counts_until_it_ends() {
    let limits = SceneLimits { max_command_buffers: 2, ..SceneLimits::default() };
    let mut scene = Scene::with_limits(limits).await;
    let texture = scene.texture();
    let view = scene.view().create_view(texture, None).unwrap();
    let encoder = scene.encoder();
    let pass = scene.pass(&encoder, &view);
    scene.refused("while a pass of it was open", |scene| {
        scene.finish(&encoder);
    });
    let _other = scene.encoder();
    let device = scene.device();
    assert!(scene.view().create_command_encoder(device, None).is_err());
    scene.refused("after its encoder was finished", |scene| scene.end(&pass));
    scene.encoder();
    assert_eq!(scene.errors(), Vec::<String>::new());
}
