//! Encoders, passes, bundles and command buffers: their states, when their errors are told, and what they may use.

use super::super::bind_groups::{BindGroup, BindGroupLayout};
use super::super::bundles::{RenderBundle, RenderBundleEncoder};
use super::super::command_encoding::CommandEncoder;
use super::super::compute_passes::ComputePass;
use super::super::render_passes::RenderPass;
use super::*;

/// A scene, and what its passes draw to.
pub(super) async fn scene_with_view() -> (Scene, Resource<TextureView>) {
    let mut scene = Scene::new().await;
    let texture = scene.texture();
    let view = scene.view().create_view(texture, None).unwrap();
    (scene, view)
}

impl Scene {
    pub(super) fn draw(&mut self, pass: &Resource<RenderPass>, vertices: u32) {
        HostGpuRenderPassEncoder::draw(&mut self.view(), lend(pass), vertices, None, None, None).unwrap();
    }

    pub(super) fn end(&mut self, pass: &Resource<RenderPass>) {
        HostGpuRenderPassEncoder::end(&mut self.view(), lend(pass)).unwrap();
    }

    /// A pass that may have so many draws.
    pub(super) fn pass_of(
        &mut self,
        encoder: &Resource<CommandEncoder>,
        view: &Resource<TextureView>,
        max_draw_count: Option<u64>,
        attachments: usize,
    ) -> Resource<RenderPass> {
        let attachment = |index| {
            (index == 0).then(|| GpuRenderPassColorAttachment {
                view: lend(view),
                depth_slice: None,
                resolve_target: None,
                clear_value: None,
                load_op: GpuLoadOp::Clear,
                store_op: GpuStoreOp::Store,
            })
        };
        let descriptor = GpuRenderPassDescriptor {
            color_attachments: (0..attachments).map(attachment).collect(),
            depth_stencil_attachment: None,
            occlusion_query_set: None,
            timestamp_writes: None,
            max_draw_count,
            label: None,
        };
        self.view().begin_render_pass(lend(encoder), descriptor).unwrap()
    }

    pub(super) fn compute_pass(&mut self, encoder: &Resource<CommandEncoder>) -> Resource<ComputePass> {
        self.view().begin_compute_pass(lend(encoder), None).unwrap()
    }

    pub(super) fn bundle_encoder(&mut self, attachments: usize) -> Resource<RenderBundleEncoder> {
        let descriptor = GpuRenderBundleEncoderDescriptor {
            depth_read_only: None,
            stencil_read_only: None,
            color_formats: (0..attachments).map(|index| (index == 0).then_some(FORMAT)).collect(),
            depth_stencil_format: None,
            sample_count: None,
            label: None,
        };
        let device = self.device();
        self.view().create_render_bundle_encoder(device, descriptor).unwrap()
    }

    pub(super) fn finish_bundle(
        &mut self,
        encoder: &Resource<RenderBundleEncoder>,
    ) -> Resource<RenderBundle> {
        HostGpuRenderBundleEncoder::finish(&mut self.view(), lend(encoder), None).unwrap()
    }

    /// A bundle with so many draws.
    pub(super) fn bundle(
        &mut self,
        pipeline: &Resource<RenderPipeline>,
        draws: u32,
    ) -> Resource<RenderBundle> {
        let encoder = self.bundle_encoder(1);
        HostGpuRenderBundleEncoder::set_pipeline(&mut self.view(), lend(&encoder), lend(pipeline)).unwrap();
        for _ in 0..draws {
            HostGpuRenderBundleEncoder::draw(&mut self.view(), lend(&encoder), 3, None, None, None).unwrap();
        }
        self.finish_bundle(&encoder)
    }

    pub(super) fn execute(&mut self, pass: &Resource<RenderPass>, bundles: &[&Resource<RenderBundle>]) {
        let bundles = bundles.iter().map(|bundle| lend(bundle)).collect();
        self.view().execute_bundles(lend(pass), bundles).unwrap();
    }

    /// A layout and a group with one texture to sample.
    fn texture_group(
        &mut self,
        view: &Resource<TextureView>,
    ) -> (Resource<BindGroupLayout>, Resource<BindGroup>) {
        let entry = GpuBindGroupLayoutEntry {
            binding: 0,
            visibility: GpuShaderStage::FRAGMENT | GpuShaderStage::COMPUTE,
            buffer: None,
            sampler: None,
            texture: Some(GpuTextureBindingLayout {
                sample_type: None,
                view_dimension: None,
                multisampled: None,
            }),
            storage_texture: None,
        };
        let descriptor = GpuBindGroupLayoutDescriptor { entries: vec![entry], label: None };
        let device = self.device();
        let layout = self.view().create_bind_group_layout(device, descriptor).unwrap();
        let descriptor = GpuBindGroupDescriptor {
            layout: lend(&layout),
            entries: vec![GpuBindGroupEntry {
                binding: 0,
                resource: GpuBindingResource::GpuTextureView(lend(view)),
            }],
            label: None,
        };
        let device = self.device();
        let group = self.view().create_bind_group(device, descriptor).unwrap();
        (layout, group)
    }

    /// Opens another device, which is the scene's from now on. The first one is returned.
    async fn second_device(&mut self) -> Resource<Device> {
        let second = call(&mut self.store, async |host| {
            let gpu: Resource<GpuObject> = host.with(|mut access| access.get().get_gpu()).unwrap();
            let adapter = WebGpu::request_adapter(host, gpu, None).await.unwrap().unwrap();
            WebGpu::request_device(host, adapter, None).await.unwrap().unwrap()
        })
        .await;
        std::mem::replace(&mut self.device, second)
    }
}

#[tokio::test]
async fn what_is_wrong_in_an_encoder_is_said_when_it_is_finished_and_once() {
    let (mut scene, view) = scene_with_view().await;
    let small = scene.buffer(16, GpuBufferUsage::COPY_SRC | GpuBufferUsage::COPY_DST, false);
    let encoder = scene.encoder();
    scene.view().clear_buffer(lend(&encoder), lend(&small), Some(16), Some(16)).unwrap();
    HostGpuCommandEncoder::pop_debug_group(&mut scene.view(), lend(&encoder)).unwrap();
    scene.refused("", |scene| {
        scene.finish(&encoder);
    });

    let encoder = scene.encoder();
    let pass = scene.pass(&encoder, &view);
    // Beyond the picture, and without a pipeline.
    scene.view().set_scissor_rect(lend(&pass), 0, 0, SIDE + 1, SIDE).unwrap();
    scene.draw(&pass, 3);
    scene.end(&pass);
    scene.refused("", |scene| {
        scene.finish(&encoder);
    });
}

#[tokio::test]
async fn a_pass_that_has_ended_records_nothing_and_leaves_its_encoder_valid() {
    let (mut scene, view) = scene_with_view().await;
    let encoder = scene.encoder();
    let pass = scene.pass(&encoder, &view);
    scene.end(&pass);
    scene.refused("after its end", |scene| scene.draw(&pass, 3));
    scene.refused("after its end", |scene| {
        HostGpuRenderPassEncoder::draw(&mut scene.view(), lend(&pass), u32::MAX, None, Some(1), None)
            .unwrap();
    });
    scene.refused("after its end", |scene| {
        HostGpuRenderPassEncoder::push_debug_group(&mut scene.view(), lend(&pass), "late".to_owned())
            .unwrap();
    });
    scene.refused("ended twice", |scene| scene.end(&pass));
    let compute = scene.compute_pass(&encoder);
    HostGpuComputePassEncoder::end(&mut scene.view(), lend(&compute)).unwrap();
    scene.refused("after its end", |scene| {
        scene.view().dispatch_workgroups(lend(&compute), 1, None, None).unwrap();
    });
    let commands = scene.finish(&encoder);
    scene.submit(&[&commands]);
    assert_eq!(scene.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn a_pass_that_begins_within_another_invalidates_the_encoder() {
    let (mut scene, view) = scene_with_view().await;
    let encoder = scene.encoder();
    let outer = scene.pass(&encoder, &view);
    let inner = scene.compute_pass(&encoder);
    scene.view().dispatch_workgroups(lend(&inner), 1, None, None).unwrap();
    scene.refused("could not begin", |scene| {
        HostGpuComputePassEncoder::end(&mut scene.view(), lend(&inner)).unwrap();
    });
    scene.end(&outer);
    scene.refused("while a pass of it was open", |scene| {
        scene.finish(&encoder);
    });
}

#[tokio::test]
async fn a_pass_of_a_finished_encoder_is_an_error_at_its_begin_and_at_its_end() {
    let (mut scene, view) = scene_with_view().await;
    let encoder = scene.encoder();
    let open = scene.pass(&encoder, &view);
    scene.refused("while a pass of it was open", |scene| {
        scene.finish(&encoder);
    });
    scene.draw(&open, 3);
    scene.refused("after its encoder was finished", |scene| scene.end(&open));

    let mut late = None;
    scene.refused("after it was finished", |scene| late = Some(scene.pass(&encoder, &view)));
    let late = late.unwrap();
    scene.draw(&late, 3);
    scene.refused("could not begin", |scene| scene.end(&late));
}

#[tokio::test]
async fn debug_groups_are_balanced_in_each_encoder_pass_and_bundle() {
    let (mut scene, view) = scene_with_view().await;
    let name = || "group".to_owned();
    let encoder = scene.encoder();
    HostGpuCommandEncoder::push_debug_group(&mut scene.view(), lend(&encoder), name()).unwrap();
    let pass = scene.pass(&encoder, &view);
    HostGpuRenderPassEncoder::push_debug_group(&mut scene.view(), lend(&pass), name()).unwrap();
    HostGpuRenderPassEncoder::insert_debug_marker(&mut scene.view(), lend(&pass), name()).unwrap();
    HostGpuRenderPassEncoder::pop_debug_group(&mut scene.view(), lend(&pass)).unwrap();
    scene.end(&pass);
    HostGpuCommandEncoder::pop_debug_group(&mut scene.view(), lend(&encoder)).unwrap();
    let commands = scene.finish(&encoder);
    scene.submit(&[&commands]);
    assert_eq!(scene.errors(), Vec::<String>::new());

    scene.refused("debug group", |scene| {
        let encoder = scene.encoder();
        HostGpuCommandEncoder::push_debug_group(&mut scene.view(), lend(&encoder), name()).unwrap();
        scene.finish(&encoder);
    });
    scene.refused("debug group", |scene| {
        let encoder = scene.encoder();
        let pass = scene.pass(&encoder, &view);
        HostGpuRenderPassEncoder::push_debug_group(&mut scene.view(), lend(&pass), name()).unwrap();
        scene.end(&pass);
        scene.finish(&encoder);
    });
    scene.refused("debug group", |scene| {
        let encoder = scene.encoder();
        HostGpuCommandEncoder::push_debug_group(&mut scene.view(), lend(&encoder), name()).unwrap();
        let pass = scene.compute_pass(&encoder);
        // The group is the encoder's, not the pass's.
        HostGpuComputePassEncoder::pop_debug_group(&mut scene.view(), lend(&pass)).unwrap();
        HostGpuComputePassEncoder::end(&mut scene.view(), pass).unwrap();
        HostGpuCommandEncoder::pop_debug_group(&mut scene.view(), lend(&encoder)).unwrap();
        scene.finish(&encoder);
    });
    scene.refused("debug group", |scene| {
        let encoder = scene.bundle_encoder(1);
        HostGpuRenderBundleEncoder::push_debug_group(&mut scene.view(), lend(&encoder), name()).unwrap();
        scene.finish_bundle(&encoder);
    });
    scene.refused("debug group", |scene| {
        let encoder = scene.bundle_encoder(1);
        HostGpuRenderBundleEncoder::pop_debug_group(&mut scene.view(), lend(&encoder)).unwrap();
        scene.finish_bundle(&encoder);
    });
}

#[tokio::test]
async fn a_bundle_encoder_is_finished_once_and_an_invalid_bundle_is_executed_never() {
    let (mut scene, view) = scene_with_view().await;
    let encoder = scene.bundle_encoder(1);
    scene.finish_bundle(&encoder);
    scene.refused("after it was finished", |scene| {
        HostGpuRenderBundleEncoder::draw(&mut scene.view(), lend(&encoder), 3, None, None, None).unwrap();
    });
    let mut invalid = None;
    scene.refused("finished before", |scene| invalid = Some(scene.finish_bundle(&encoder)));
    scene.refused("invalid render bundle", |scene| {
        let encoder = scene.encoder();
        let pass = scene.pass(&encoder, &view);
        scene.execute(&pass, &[&invalid.unwrap()]);
        scene.end(&pass);
        scene.finish(&encoder);
    });
}

/// Records something in a pass.
type Record<'a> = &'a dyn Fn(&mut Scene, &Resource<RenderPass>);

#[tokio::test]
async fn objects_of_another_device_invalidate_what_uses_them() {
    let (mut scene, theirs) = scene_with_view().await;
    let their_buffer = scene.buffer(16, GpuBufferUsage::VERTEX | GpuBufferUsage::COPY_DST, false);
    let their_pipeline = scene.red_pipeline();
    let their_bundle = scene.bundle(&their_pipeline, 1);
    let (_, their_group) = {
        let texture = scene.texture_for(GpuTextureUsage::TEXTURE_BINDING);
        let view = scene.view().create_view(texture, None).unwrap();
        scene.texture_group(&view)
    };
    let encoder = scene.encoder();
    let their_commands = scene.finish(&encoder);
    let _first = scene.second_device().await;
    let texture = scene.texture();
    let ours = scene.view().create_view(texture, None).unwrap();

    let records: [Record<'_>; 4] = [
        &|scene, pass| {
            let buffer = Some(lend(&their_buffer));
            HostGpuRenderPassEncoder::set_vertex_buffer(&mut scene.view(), lend(pass), 0, buffer, None, None)
                .unwrap();
        },
        &|scene, pass| {
            HostGpuRenderPassEncoder::set_pipeline(&mut scene.view(), lend(pass), lend(&their_pipeline))
                .unwrap();
        },
        &|scene, pass| {
            let group = Some(lend(&their_group));
            HostGpuRenderPassEncoder::set_bind_group(
                &mut scene.view(),
                lend(pass),
                0,
                group,
                None,
                None,
                None,
            )
            .unwrap()
            .unwrap();
        },
        &|scene, pass| scene.execute(pass, &[&their_bundle]),
    ];
    for record in records {
        scene.refused("", |scene| {
            let encoder = scene.encoder();
            let pass = scene.pass(&encoder, &ours);
            record(scene, &pass);
            scene.end(&pass);
            assert_eq!(scene.errors(), Vec::<String>::new(), "an error came before the end of the encoder");
            scene.finish(&encoder);
        });
    }
    scene.refused("", |scene| {
        let encoder = scene.encoder();
        let pass = scene.pass(&encoder, &theirs);
        scene.end(&pass);
        scene.finish(&encoder);
    });
    scene.refused("", |scene| {
        let encoder = scene.encoder();
        scene.view().clear_buffer(lend(&encoder), lend(&their_buffer), None, None).unwrap();
        scene.finish(&encoder);
    });
    scene.refused("", |scene| {
        let encoder = scene.bundle_encoder(1);
        let buffer = Some(lend(&their_buffer));
        HostGpuRenderBundleEncoder::set_vertex_buffer(
            &mut scene.view(),
            lend(&encoder),
            0,
            buffer,
            None,
            None,
        )
        .unwrap();
        scene.finish_bundle(&encoder);
    });
    scene.refused("", |scene| scene.submit(&[&their_commands]));
}

impl Scene {
    fn texture_for(&mut self, usage: GpuTextureUsage) -> Resource<Texture> {
        let descriptor = GpuTextureDescriptor {
            size: GpuExtent3D { width: SIDE, height: Some(SIDE), depth_or_array_layers: None },
            mip_level_count: None,
            sample_count: None,
            dimension: None,
            format: FORMAT,
            usage,
            view_formats: None,
            texture_binding_view_dimension: None,
            label: None,
        };
        let device = self.device();
        self.view().create_texture(device, descriptor).unwrap()
    }
}

/// Records something that is to be submitted.
type Recording<'a> = &'a dyn Fn(&mut Scene) -> Resource<CommandBuffer>;

#[tokio::test]
async fn a_texture_of_a_surface_that_is_bound_can_be_used_until_it_expires() {
    let (mut scene, view) = scene_with_view().await;
    let device = scene.device();
    let device = scene.view().table.get(&device).unwrap().clone();
    let usage = GpuTextureUsage::TEXTURE_BINDING | GpuTextureUsage::RENDER_ATTACHMENT;
    let ring = scene.texture_for(usage);
    let ring = scene.view().table.get(&ring).unwrap().wgpu.clone();
    let lent = Texture::from_surface(&device, ring, usage).unwrap();
    let life: SurfaceTextureLife = lent.surface_life().unwrap().clone();
    let lent = scene.view().table.push(lent).unwrap();
    let lent = scene.view().create_view(lent, None).unwrap();
    let (_, group) = scene.texture_group(&lent);

    let in_render_pass = |scene: &mut Scene| {
        let encoder = scene.encoder();
        let pass = scene.pass(&encoder, &view);
        let group = Some(lend(&group));
        HostGpuRenderPassEncoder::set_bind_group(&mut scene.view(), lend(&pass), 0, group, None, None, None)
            .unwrap()
            .unwrap();
        scene.end(&pass);
        scene.finish(&encoder)
    };
    let in_compute_pass = |scene: &mut Scene| {
        let encoder = scene.encoder();
        let pass = scene.compute_pass(&encoder);
        let group = Some(lend(&group));
        HostGpuComputePassEncoder::set_bind_group(&mut scene.view(), lend(&pass), 0, group, None, None, None)
            .unwrap()
            .unwrap();
        HostGpuComputePassEncoder::end(&mut scene.view(), pass).unwrap();
        scene.finish(&encoder)
    };
    let bundle = scene.bundle_encoder(1);
    let bound = Some(lend(&group));
    HostGpuRenderBundleEncoder::set_bind_group(&mut scene.view(), lend(&bundle), 0, bound, None, None, None)
        .unwrap()
        .unwrap();
    let bundle = scene.finish_bundle(&bundle);
    let in_bundle = |scene: &mut Scene| {
        let encoder = scene.encoder();
        let pass = scene.pass(&encoder, &view);
        scene.execute(&pass, &[&bundle]);
        scene.end(&pass);
        scene.finish(&encoder)
    };
    let uses: [Recording<'_>; 3] = [&in_render_pass, &in_compute_pass, &in_bundle];
    for record in uses {
        let in_time = record(&mut scene);
        scene.submit(&[&in_time]);
    }
    assert_eq!(scene.errors(), Vec::<String>::new());
    let late = uses.map(|record| record(&mut scene));
    life.expire();
    for late in late {
        scene.refused("presented, replaced or destroyed", |scene| scene.submit(&[&late]));
    }
}

#[tokio::test]
async fn a_command_buffer_is_submitted_once_and_a_wrong_one_spoils_those_beside_it() {
    let mut scene = Scene::new().await;
    let [first, beside] = [(); 2].map(|()| {
        let encoder = scene.encoder();
        scene.finish(&encoder)
    });
    scene.submit(&[&first]);
    assert_eq!(scene.errors(), Vec::<String>::new());
    scene.refused("submitted before", |scene| scene.submit(&[&beside, &first]));
    scene.refused("submitted before", |scene| scene.submit(&[&beside]));
}

#[tokio::test]
async fn copies_and_clears_that_leave_their_size_out_reach_to_the_end() {
    let mut scene = Scene::new().await;
    let usage = GpuBufferUsage::COPY_SRC | GpuBufferUsage::COPY_DST;
    let source = scene.buffer(16, usage, false);
    let readable = scene.buffer(16, GpuBufferUsage::MAP_READ | GpuBufferUsage::COPY_DST, false);
    let device = scene.device();
    let queue = scene.view().queue(device).unwrap();
    scene.view().write_buffer_with_copy(queue, lend(&source), 0, vec![7; 16], None, None).unwrap().unwrap();
    let encoder = scene.encoder();
    scene.view().clear_buffer(lend(&encoder), lend(&source), Some(8), None).unwrap();
    scene
        .view()
        .copy_buffer_to_buffer(lend(&encoder), lend(&source), Some(4), lend(&readable), None, None)
        .unwrap();
    let commands = scene.finish(&encoder);
    scene.submit(&[&commands]);
    assert_eq!(scene.read(&readable).await, [7, 7, 7, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(scene.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn a_dispatch_is_one_workgroup_in_each_direction_that_it_leaves_out() {
    let mut scene = Scene::new().await;
    let readable = scene.buffer(16, GpuBufferUsage::MAP_READ | GpuBufferUsage::COPY_DST, false);
    let module = scene.shader(
        "@group(0) @binding(0) var<storage, read_write> sum: atomic<u32>;
        @compute @workgroup_size(1) fn count() { atomicAdd(&sum, 1u); }",
    );
    let device = scene.device();
    let descriptor = GpuComputePipelineDescriptor {
        compute: GpuProgrammableStage { module, entry_point: None, constants: None },
        layout: GpuLayoutMode::Auto,
        label: None,
    };
    let pipeline = scene.view().create_compute_pipeline(device, descriptor).unwrap();
    let layout =
        HostGpuComputePipeline::get_bind_group_layout(&mut scene.view(), lend(&pipeline), 0).unwrap();
    let sum = scene.buffer(4, GpuBufferUsage::STORAGE | GpuBufferUsage::COPY_SRC, false);
    let descriptor = GpuBindGroupDescriptor {
        layout,
        entries: vec![GpuBindGroupEntry { binding: 0, resource: GpuBindingResource::GpuBuffer(lend(&sum)) }],
        label: None,
    };
    let device = scene.device();
    let group = scene.view().create_bind_group(device, descriptor).unwrap();
    let encoder = scene.encoder();
    let pass = scene.compute_pass(&encoder);
    HostGpuComputePassEncoder::set_pipeline(&mut scene.view(), lend(&pass), pipeline).unwrap();
    HostGpuComputePassEncoder::set_bind_group(
        &mut scene.view(),
        lend(&pass),
        0,
        Some(group),
        None,
        None,
        None,
    )
    .unwrap()
    .unwrap();
    scene.view().dispatch_workgroups(lend(&pass), 3, None, None).unwrap();
    HostGpuComputePassEncoder::end(&mut scene.view(), pass).unwrap();
    scene.view().copy_buffer_to_buffer(lend(&encoder), sum, None, lend(&readable), None, None).unwrap();
    let commands = scene.finish(&encoder);
    scene.submit(&[&commands]);
    assert_eq!(scene.read(&readable).await.first_chunk(), Some(&[3, 0, 0, 0]));
    assert_eq!(scene.errors(), Vec::<String>::new());
}

impl Scene {
    async fn read(&mut self, buffer: &Resource<Buffer>) -> Vec<u8> {
        let mapped = lend(buffer);
        call(&mut self.store, async |host| {
            WebGpu::map_async(host, mapped, GpuMapMode::READ, None, None).await.unwrap().unwrap();
        })
        .await;
        let bytes = self.view().get_mapped_range_get_with_copy(lend(buffer), None, None).unwrap().unwrap();
        HostGpuBuffer::unmap(&mut self.view(), lend(buffer)).unwrap().unwrap();
        bytes
    }
}

#[tokio::test]
async fn dynamic_offsets_are_the_named_part_of_their_list_or_a_range_error() {
    let (mut scene, view) = scene_with_view().await;
    let encoder = scene.encoder();
    let pass = scene.pass(&encoder, &view);
    let bind = |scene: &mut Scene, start, length| {
        let pass = lend(&pass);
        HostGpuRenderPassEncoder::set_bind_group(
            &mut scene.view(),
            pass,
            0,
            None,
            Some(vec![256; 3]),
            start,
            length,
        )
        .unwrap()
    };
    for (start, length) in
        [(Some(4), None), (Some(2), Some(2)), (None, Some(4)), (Some(u64::MAX), Some(u32::MAX))]
    {
        let error = bind(&mut scene, start, length).unwrap_err();
        assert!(error.message.contains("3 dynamic offsets"), "{}", error.message);
    }
    assert!(bind(&mut scene, Some(3), Some(0)).is_ok(), "no offsets for no group");
    scene.end(&pass);
    scene.finish(&encoder);
    assert_eq!(scene.errors(), Vec::<String>::new());
}
