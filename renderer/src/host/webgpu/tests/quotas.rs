//! What a scene may hold of the GPU, and when it comes back. Names with a row hold a promise of the table of hostile inputs.

use super::super::bind_groups::{BindGroup, BindGroupLayout};
use super::super::quota::{Kind, Quota};
use super::super::samplers::Sampler;
use super::*;
use crate::test_process::{is_alone, resident_bytes};

const MIB: u64 = 1 << 20;
const QUOTA: u64 = 16 * MIB;

fn limits() -> SceneLimits {
    SceneLimits { max_gpu_memory_bytes: QUOTA, ..SceneLimits::default() }
}

const STORAGE: GpuBufferUsage = GpuBufferUsage::STORAGE;
const COPIED: GpuBufferUsage = GpuBufferUsage::COPY_DST;

impl Scene {
    fn quota(&mut self) -> Arc<Quota> {
        Arc::clone(&self.view().ctx.quota)
    }

    /// The bytes that are counted once the GPU is idle.
    fn bytes_when_idle(&mut self) -> u64 {
        let device = self.device();
        let device = self.view().table.get(&device).unwrap().clone();
        device.queue().submit([]);
        device.count_submit();
        device.wgpu().poll(wgpu::PollType::wait_indefinitely()).unwrap();
        self.quota().bytes()
    }

    async fn pop_scope(&mut self) -> Option<GpuErrorKind> {
        let device = self.device();
        let error =
            call(&mut self.store, async |host| WebGpu::pop_error_scope(host, device).await.unwrap().unwrap())
                .await?;
        Some(HostGpuError::kind(&mut self.view(), error).unwrap())
    }

    /// Does something, and tells which error it made.
    async fn error_of<R>(&mut self, act: impl FnOnce(&mut Self) -> R) -> (R, Option<GpuErrorKind>) {
        for filter in [GpuErrorFilter::OutOfMemory, GpuErrorFilter::Validation] {
            let device = self.device();
            self.view().push_error_scope(device, filter).unwrap();
        }
        let done = act(self);
        let validation = self.pop_scope().await;
        let memory = self.pop_scope().await;
        assert!(validation.is_none() || memory.is_none(), "one call made two errors");
        (done, validation.or(memory))
    }

    fn square(&mut self, side: u32, samples: u32, usage: GpuTextureUsage) -> Resource<Texture> {
        let device = self.device();
        let descriptor = GpuTextureDescriptor {
            size: GpuExtent3D { width: side, height: Some(side), depth_or_array_layers: None },
            mip_level_count: None,
            sample_count: Some(samples),
            dimension: None,
            format: FORMAT,
            usage,
            view_formats: None,
            texture_binding_view_dimension: None,
            label: None,
        };
        self.view().create_texture(device, descriptor).unwrap()
    }

    fn query_set(&mut self, count: u32) -> Resource<super::super::queries::QuerySet> {
        let device = self.device();
        let descriptor = GpuQuerySetDescriptor { type_: GpuQueryType::Occlusion, count, label: None };
        self.view().create_query_set(device, descriptor).unwrap().unwrap()
    }

    fn storage_layout(&mut self) -> Resource<BindGroupLayout> {
        let device = self.device();
        let buffer = GpuBufferBindingLayout {
            type_: Some(GpuBufferBindingType::Storage),
            has_dynamic_offset: None,
            min_binding_size: None,
        };
        let entry = GpuBindGroupLayoutEntry {
            binding: 0,
            visibility: GpuShaderStage::COMPUTE,
            buffer: Some(buffer),
            sampler: None,
            texture: None,
            storage_texture: None,
        };
        let descriptor = GpuBindGroupLayoutDescriptor { entries: vec![entry], label: None };
        self.view().create_bind_group_layout(device, descriptor).unwrap()
    }

    fn try_bind_group(
        &mut self,
        layout: &Resource<BindGroupLayout>,
        buffer: &Resource<Buffer>,
    ) -> wasmtime::Result<Resource<BindGroup>> {
        let device = self.device();
        let entry = GpuBindGroupEntry { binding: 0, resource: GpuBindingResource::GpuBuffer(lend(buffer)) };
        let descriptor = GpuBindGroupDescriptor { layout: lend(layout), entries: vec![entry], label: None };
        self.view().create_bind_group(device, descriptor)
    }

    fn try_sampler(&mut self) -> wasmtime::Result<Resource<Sampler>> {
        let device = self.device();
        self.view().create_sampler(device, None)
    }

    fn drop_buffer(&mut self, buffer: Resource<Buffer>) {
        HostGpuBuffer::drop(&mut self.view(), buffer).unwrap();
    }

    /// Commands that clear a buffer.
    fn clearing(&mut self, buffer: &Resource<Buffer>) -> Resource<CommandBuffer> {
        let encoder = self.encoder();
        self.view().clear_buffer(lend(&encoder), lend(buffer), None, None).unwrap();
        let commands = self.finish(&encoder);
        HostGpuCommandEncoder::drop(&mut self.view(), encoder).unwrap();
        commands
    }
}

#[track_caller]
fn assert_out_of_memory(kind: Option<GpuErrorKind>) {
    assert!(matches!(kind, Some(GpuErrorKind::OutOfMemoryError)), "{kind:?}");
}

#[tokio::test]
async fn row_27_memory_beyond_the_quota_is_an_out_of_memory_error_and_its_destruction_makes_room() {
    let mut scene = Scene::with_limits(limits()).await;
    let (first, error) = scene.error_of(|scene| scene.buffer(10 * MIB, STORAGE, false)).await;
    assert!(error.is_none());
    let (second, error) = scene.error_of(|scene| scene.buffer(10 * MIB, STORAGE, false)).await;
    assert_out_of_memory(error);
    let (_, error) = scene.error_of(|scene| scene.square(2048, 1, GpuTextureUsage::TEXTURE_BINDING)).await;
    assert_out_of_memory(error);
    let (_, error) = scene.error_of(|scene| scene.square(1024, 4, GpuTextureUsage::RENDER_ATTACHMENT)).await;
    assert_out_of_memory(error);
    // The invalid ones have their descriptions, and nothing else.
    assert_eq!(HostGpuBuffer::size(&mut scene.view(), lend(&second)).unwrap(), 10 * MIB);
    assert_eq!(scene.quota().bytes(), 10 * MIB);
    HostGpuBuffer::destroy(&mut scene.view(), lend(&first)).unwrap();
    assert_eq!(scene.quota().bytes(), 0);
    let (_, error) = scene.error_of(|scene| scene.square(1024, 1, GpuTextureUsage::TEXTURE_BINDING)).await;
    assert!(error.is_none());
    // What was destroyed is not given back twice.
    scene.drop_buffer(first);
    assert_eq!(scene.quota().bytes(), 4 * MIB);
    assert_eq!(scene.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn row_27_a_scene_that_asks_for_all_there_is_leaves_its_neighbours_theirs() {
    let mut greedy = Scene::with_limits(limits()).await;
    let mut neighbour = Scene::with_limits(limits()).await;
    let mut refused = 0;
    for _ in 0..1000 {
        let (_, error) =
            greedy.error_of(|scene| scene.square(8192, 1, GpuTextureUsage::TEXTURE_BINDING)).await;
        refused += usize::from(error.is_some());
    }
    assert_eq!(refused, 1000, "a texture of 8192 x 8192 does not fit into {QUOTA} bytes");
    while greedy.error_of(|scene| scene.buffer(MIB, STORAGE, false)).await.1.is_none() {}
    assert_eq!(greedy.quota().bytes(), QUOTA);
    let (_, error) = neighbour.error_of(|scene| scene.buffer(QUOTA, STORAGE, false)).await;
    assert!(error.is_none());
}

#[tokio::test]
async fn a_description_that_no_device_accepts_is_a_validation_error_however_large_it_is() {
    let mut scene = Scene::with_limits(limits()).await;
    let large_and_wrong: [fn(&mut Scene); 5] = [
        |scene| {
            scene.buffer(u64::MAX, STORAGE, false);
        },
        |scene| {
            scene.buffer(2 * QUOTA, GpuBufferUsage::empty(), false);
        },
        |scene| {
            scene.buffer(2 * QUOTA, GpuBufferUsage::MAP_READ | STORAGE, false);
        },
        |scene| {
            scene.square(u32::MAX, 1, GpuTextureUsage::TEXTURE_BINDING);
        },
        |scene| {
            scene.square(8192, 3, GpuTextureUsage::RENDER_ATTACHMENT);
        },
    ];
    for (index, make) in large_and_wrong.into_iter().enumerate() {
        let ((), error) = scene.error_of(make).await;
        assert!(matches!(error, Some(GpuErrorKind::ValidationError)), "{index}: {error:?}");
    }
    assert_eq!(scene.quota().bytes(), 0, "nothing of it is counted");
    let (_, error) = scene.error_of(|scene| scene.buffer(16, GpuBufferUsage::empty(), false)).await;
    assert!(matches!(error, Some(GpuErrorKind::ValidationError)));
    assert_eq!(scene.quota().bytes(), 0, "an invalid buffer has no memory");
}

#[tokio::test]
async fn a_buffer_mapped_at_creation_needs_memory_for_its_copy_until_the_gpu_has_it() {
    let mut scene = Scene::with_limits(limits()).await;
    let (refused, error) = scene.error_of(|scene| scene.buffer(QUOTA, STORAGE, true)).await;
    assert_out_of_memory(error);
    let range = scene.view().get_mapped_range_get_with_copy(lend(&refused), None, None).unwrap();
    assert!(range.is_err(), "there is nothing to write to");
    HostGpuBuffer::unmap(&mut scene.view(), refused).unwrap().unwrap();

    // Neither the copy of an invalid buffer, nor that of one without memory, waits for what is recorded.
    let recording = scene.encoder();
    let (_invalid, error) = scene.error_of(|scene| scene.buffer(MIB, GpuBufferUsage::empty(), true)).await;
    assert!(matches!(error, Some(GpuErrorKind::ValidationError)));
    let (_refused, error) = scene.error_of(|scene| scene.buffer(10 * MIB, STORAGE, true)).await;
    assert_out_of_memory(error);
    assert_eq!(scene.quota().bytes(), 0);
    HostGpuCommandEncoder::drop(&mut scene.view(), recording).unwrap();

    let (buffer, error) = scene.error_of(|scene| scene.buffer(4 * MIB, STORAGE, true)).await;
    assert!(error.is_none());
    assert_eq!(scene.quota().bytes(), 8 * MIB);
    HostGpuBuffer::unmap(&mut scene.view(), lend(&buffer)).unwrap().unwrap();
    assert_eq!(scene.quota().bytes(), 8 * MIB, "the copy waits for a submit");
    assert_eq!(scene.bytes_when_idle(), 4 * MIB);

    let writable = GpuBufferUsage::MAP_WRITE | GpuBufferUsage::COPY_SRC;
    let (_, error) = scene.error_of(|scene| scene.buffer(12 * MIB, writable, true)).await;
    assert!(error.is_none(), "a buffer that can be mapped to write is mapped itself");
    assert_eq!(scene.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn memory_is_counted_while_a_view_or_a_bind_group_keeps_it() {
    let mut scene = Scene::with_limits(limits()).await;
    let layout = scene.storage_layout();
    let buffer = scene.buffer(MIB, STORAGE, false);
    let group = scene.try_bind_group(&layout, &buffer).unwrap();
    let texture = scene.square(1024, 1, GpuTextureUsage::TEXTURE_BINDING);
    let view = scene.view().create_view(lend(&texture), None).unwrap();
    scene.drop_buffer(buffer);
    HostGpuTexture::drop(&mut scene.view(), texture).unwrap();
    assert_eq!(scene.quota().bytes(), 5 * MIB);
    HostGpuTextureView::drop(&mut scene.view(), view).unwrap();
    assert_eq!(scene.quota().bytes(), MIB);
    HostGpuBindGroup::drop(&mut scene.view(), group).unwrap();
    assert_eq!(scene.quota().bytes(), 0);
    assert_eq!(scene.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn memory_is_counted_while_recorded_commands_may_use_it() {
    let mut scene = Scene::with_limits(limits()).await;
    let buffer = scene.buffer(MIB, COPIED, false);
    let commands = scene.clearing(&buffer);
    let later = scene.buffer(2 * MIB, COPIED, false);
    scene.drop_buffer(buffer);
    assert_eq!(scene.quota().bytes(), 3 * MIB, "the commands have it");
    scene.drop_buffer(later);
    assert_eq!(scene.quota().bytes(), MIB, "what came after the commands is not in them");
    scene.submit(&[&commands]);
    assert_eq!(scene.bytes_when_idle(), 0, "submitted and done");

    let buffer = scene.buffer(MIB, COPIED, false);
    let never_submitted = scene.clearing(&buffer);
    let open = scene.encoder();
    scene.drop_buffer(buffer);
    HostGpuCommandBuffer::drop(&mut scene.view(), never_submitted).unwrap();
    assert_eq!(scene.quota().bytes(), MIB, "the open encoder was there, too");
    HostGpuCommandEncoder::drop(&mut scene.view(), open).unwrap();
    assert_eq!(scene.quota().bytes(), 0);
    assert_eq!(scene.quota().count(Kind::CommandBuffer), 0);
    assert_eq!(scene.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn encoders_that_overlap_without_end_do_not_hand_on_what_was_given_up_before_they_began() {
    let mut scene = Scene::with_limits(limits()).await;
    let mut before = None;
    for _ in 0..40 {
        let buffer = scene.buffer(MIB, COPIED, false);
        let commands = scene.clearing(&buffer);
        scene.drop_buffer(buffer);
        // The next encoder begins before these commands are submitted.
        let next = scene.encoder();
        scene.submit(&[&commands]);
        HostGpuCommandBuffer::drop(&mut scene.view(), commands).unwrap();
        if let Some(before) = before.replace(next) {
            HostGpuCommandEncoder::drop(&mut scene.view(), before).unwrap();
        }
        assert!(scene.bytes_when_idle() <= 2 * MIB);
    }
    assert_eq!(scene.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn what_a_bundle_uses_is_counted_while_an_encoder_that_began_later_may_execute_it() {
    let mut scene = Scene::with_limits(limits()).await;
    let bundle_encoder = scene.bundle_encoder(1);
    let buffer = scene.buffer(MIB, GpuBufferUsage::VERTEX, false);
    HostGpuRenderBundleEncoder::set_vertex_buffer(
        &mut scene.view(),
        lend(&bundle_encoder),
        0,
        Some(lend(&buffer)),
        None,
        None,
    )
    .unwrap();
    let bundle = scene.finish_bundle(&bundle_encoder);
    HostGpuRenderBundleEncoder::drop(&mut scene.view(), bundle_encoder).unwrap();
    scene.drop_buffer(buffer);
    let encoder = scene.encoder();
    HostGpuRenderBundle::drop(&mut scene.view(), bundle).unwrap();
    assert_eq!(scene.quota().bytes(), MIB, "the encoder may have executed the bundle");
    let later = scene.encoder();
    HostGpuCommandEncoder::drop(&mut scene.view(), encoder).unwrap();
    assert_eq!(scene.quota().bytes(), 0, "the one that began after the bundle's end cannot have");
    HostGpuCommandEncoder::drop(&mut scene.view(), later).unwrap();
    assert_eq!(scene.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn memory_that_the_gpu_still_uses_is_counted_and_waited_for() {
    let mut scene = Scene::with_limits(limits()).await;
    let device = scene.device();
    let device = scene.view().table.get(&device).unwrap().clone();
    for _ in 0..4 {
        let (buffer, error) = scene.error_of(|scene| scene.buffer(10 * MIB, COPIED, false)).await;
        assert!(error.is_none(), "the one before is done by now");
        test_gpu::keep_busy_for(device.wgpu(), device.queue(), 100);
        let commands = scene.clearing(&buffer);
        scene.submit(&[&commands]);
        HostGpuBuffer::destroy(&mut scene.view(), buffer).unwrap();
    }
    assert_eq!(scene.bytes_when_idle(), 0);
}

#[tokio::test]
async fn writes_count_until_the_gpu_has_them_and_are_submitted_before_they_are_too_many() {
    if !is_alone(&[]) {
        return;
    }
    let mut scene = Scene::with_limits(SceneLimits { max_gpu_memory_bytes: 100 * MIB, ..limits() }).await;
    let buffer = scene.buffer(MIB, COPIED, false);
    let device = scene.device();
    let queue = scene.view().queue(device).unwrap();
    let data = vec![7; usize::try_from(MIB).unwrap()];
    let before = resident_bytes();
    for _ in 0..1000 {
        scene
            .view()
            .write_buffer_with_copy(lend(&queue), lend(&buffer), 0, data.clone(), None, None)
            .unwrap()
            .unwrap();
    }
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 500 * MIB, "1000 MiB were written and never submitted; {} MiB were kept", grown / MIB);
    assert_eq!(scene.bytes_when_idle(), MIB);
    assert_eq!(scene.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn a_write_counts_until_its_own_submit_is_done_and_not_the_one_before() {
    let mut scene = Scene::with_limits(SceneLimits { max_gpu_memory_bytes: 200 * MIB, ..limits() }).await;
    let buffer = scene.buffer(40 * MIB, COPIED, false);
    let device = scene.device();
    let queue = scene.view().queue(device).unwrap();
    for _ in 0..2 {
        let data = vec![7; usize::try_from(40 * MIB).unwrap()];
        let mut view = scene.view();
        view.write_buffer_with_copy(lend(&queue), lend(&buffer), 0, data, None, None).unwrap().unwrap();
    }
    let device = scene.device();
    let device = scene.view().table.get(&device).unwrap().clone();
    device.wgpu().poll(wgpu::PollType::wait_indefinitely()).unwrap();
    assert_eq!(scene.quota().bytes(), 40 * MIB, "the first write is done, the second waits for a submit");
    device.queue().submit([]);
    device.count_submit();
    assert!(scene.quota().bytes() > 80 * MIB, "the second write is on its way");
    device.wgpu().poll(wgpu::PollType::wait_indefinitely()).unwrap();
    assert_eq!(scene.quota().bytes(), 40 * MIB);
    assert_eq!(scene.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn what_another_device_is_about_to_leave_is_waited_for() {
    let mut scene = Scene::with_limits(limits()).await;
    let second = call(&mut scene.store, async |host| {
        let gpu: Resource<GpuObject> = host.with(|mut access| access.get().get_gpu()).unwrap();
        let adapter = WebGpu::request_adapter(host, gpu, None).await.unwrap().unwrap();
        WebGpu::request_device(host, adapter, None).await.unwrap().unwrap()
    })
    .await;
    let first = std::mem::replace(&mut scene.device, second);
    // Its copy of 5 MiB waits for a submit of a device that the scene uses no more.
    let mapped = scene.buffer(5 * MIB, STORAGE, true);
    HostGpuBuffer::unmap(&mut scene.view(), lend(&mapped)).unwrap().unwrap();
    scene.device = first;
    let (_, error) = scene.error_of(|scene| scene.buffer(10 * MIB, STORAGE, false)).await;
    assert!(error.is_none());
    assert_eq!(scene.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn nothing_is_waited_for_that_would_make_too_little_room() {
    let mut scene = Scene::with_limits(limits()).await;
    let _kept = scene.buffer(10 * MIB, STORAGE, false);
    let device = scene.device();
    let device = scene.view().table.get(&device).unwrap().clone();
    let leaving = scene.buffer(MIB, COPIED, false);
    test_gpu::keep_busy_for(device.wgpu(), device.queue(), 100);
    let commands = scene.clearing(&leaving);
    scene.submit(&[&commands]);
    HostGpuBuffer::destroy(&mut scene.view(), leaving).unwrap();
    let (_, error) = scene.error_of(|scene| scene.buffer(8 * MIB, STORAGE, false)).await;
    assert_out_of_memory(error);
    assert_eq!(scene.quota().bytes(), 11 * MIB, "nobody asked the GPU whether it is done");
    assert_eq!(scene.bytes_when_idle(), 10 * MIB);
}

#[tokio::test]
async fn a_destroyed_device_gives_its_memory_back_and_unmaps_its_buffers() {
    let mut scene = Scene::with_limits(limits()).await;
    let buffer = scene.buffer(MIB, COPIED, true);
    let texture = scene.square(512, 1, GpuTextureUsage::TEXTURE_BINDING);
    let _view = scene.view().create_view(lend(&texture), None).unwrap();
    let _set = scene.query_set(100);
    let device = scene.device();
    HostGpuDevice::destroy(&mut scene.view(), device).unwrap();
    assert_eq!(scene.bytes_when_idle(), 0);
    let state = HostGpuBuffer::map_state(&mut scene.view(), lend(&buffer)).unwrap();
    assert!(matches!(state, GpuBufferMapState::Unmapped));
    assert_eq!(scene.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn row_9_each_kind_of_object_has_a_limit_that_names_its_setting() {
    let few = SceneLimits {
        max_buffers: 3,
        max_textures: 3,
        max_texture_views: 3,
        max_samplers: 3,
        max_bind_groups: 3,
        max_layouts: 3,
        max_shader_modules: 3,
        max_pipelines: 3,
        max_command_buffers: 3,
        max_render_bundles: 3,
        max_query_sets: 3,
        ..SceneLimits::default()
    };
    let mut scene = Scene::with_limits(few).await;
    // With an error of WebGPU's for it.
    let with_memory: [fn(&mut Scene); 3] = [
        |scene| {
            scene.buffer(16, STORAGE, false);
        },
        |scene| {
            scene.texture();
        },
        |scene| {
            scene.query_set(1);
        },
    ];
    for make in with_memory {
        for _ in 0..3 {
            assert!(scene.error_of(make).await.1.is_none());
        }
        for _ in 0..3 {
            assert_out_of_memory(scene.error_of(make).await.1);
        }
    }
    // Without one.
    let mut scene = Scene::with_limits(few).await;
    let texture = scene.texture();
    let module = scene.shader(RED);
    let layout = scene.storage_layout();
    let buffer = scene.buffer(16, STORAGE, false);
    let mut trap =
        |setting: &str, already: usize, make: &mut dyn FnMut(&mut Scene) -> wasmtime::Result<()>| {
            for made in already..3 {
                make(&mut scene).unwrap_or_else(|error| panic!("{setting}, number {made}: {error}"));
            }
            for _ in 0..3 {
                let over = make(&mut scene).unwrap_err().downcast::<OverQuota>().unwrap();
                assert_eq!((over.setting, over.limit), (setting, 3));
            }
        };
    trap("max-texture-views", 0, &mut |scene| scene.view().create_view(lend(&texture), None).map(drop));
    trap("max-samplers", 0, &mut |scene| scene.try_sampler().map(drop));
    trap("max-bind-groups", 0, &mut |scene| scene.try_bind_group(&layout, &buffer).map(drop));
    trap("max-layouts", 1, &mut |scene| {
        let device = scene.device();
        let descriptor = GpuBindGroupLayoutDescriptor { entries: Vec::new(), label: None };
        scene.view().create_bind_group_layout(device, descriptor).map(drop)
    });
    trap("max-pipelines", 0, &mut |scene| {
        let device = scene.device();
        scene.view().create_render_pipeline(device, Scene::pipeline_descriptor(&module)).map(drop)
    });
    trap("max-shader-modules", 1, &mut |scene| {
        let device = scene.device();
        let descriptor =
            GpuShaderModuleDescriptor { code: RED.to_owned(), compilation_hints: None, label: None };
        scene.view().create_shader_module(device, descriptor).map(drop)
    });
    trap("max-command-buffers", 0, &mut |scene| {
        let device = scene.device();
        scene.view().create_command_encoder(device, None).map(drop)
    });
    trap("max-render-bundles", 0, &mut |scene| {
        let device = scene.device();
        let descriptor = GpuRenderBundleEncoderDescriptor {
            depth_read_only: None,
            stencil_read_only: None,
            color_formats: vec![Some(FORMAT)],
            depth_stencil_format: None,
            sample_count: None,
            label: None,
        };
        scene.view().create_render_bundle_encoder(device, descriptor).map(drop)
    });
    assert_eq!(scene.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn row_9_objects_that_are_never_dropped_stop_growing_at_their_cap() {
    if !is_alone(&[]) {
        return;
    }
    let mut scene = Scene::with_limits(SceneLimits { max_buffers: 1000, ..SceneLimits::default() }).await;
    let mut handles = Vec::new();
    let make = |scene: &mut Scene, handles: &mut Vec<_>| {
        for _ in 0..10_000 {
            handles.push(scene.buffer(16, STORAGE, false));
        }
    };
    make(&mut scene, &mut handles);
    let before = resident_bytes();
    make(&mut scene, &mut handles);
    // A handle of an invalid buffer is some hundred bytes; their number has a limit of its own.
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 40 * MIB, "10,000 refused buffers took {grown} bytes");
    assert_eq!(scene.quota().count(Kind::Buffer), 1000);
}

#[tokio::test]
async fn row_28_objects_that_are_made_and_dropped_without_end_leave_nothing() {
    if !is_alone(&[]) {
        return;
    }
    // Few, because the driver keeps as many pipelines that were dropped.
    let mut scene = Scene::with_limits(SceneLimits { max_pipelines: 32, ..limits() }).await;
    let layout = scene.storage_layout();
    let module = scene.shader(RED);
    let churn = |scene: &mut Scene, groups: usize, pipelines: usize| {
        for _ in 0..groups {
            let buffer = scene.buffer(256, STORAGE, false);
            let group = scene.try_bind_group(&layout, &buffer).unwrap();
            scene.drop_buffer(buffer);
            HostGpuBindGroup::drop(&mut scene.view(), group).unwrap();
        }
        for _ in 0..pipelines {
            let device = scene.device();
            let descriptor = Scene::pipeline_descriptor(&module);
            let pipeline = scene.view().create_render_pipeline(device, descriptor).unwrap();
            HostGpuRenderPipeline::drop(&mut scene.view(), pipeline).unwrap();
        }
    };
    churn(&mut scene, 10_000, 500);
    let before = resident_bytes();
    churn(&mut scene, 10_000, 500);
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 16 * MIB, "the second half took {grown} bytes");
    assert_eq!(scene.bytes_when_idle(), 0);
    let quota = scene.quota();
    assert_eq!((quota.count(Kind::BindGroup), quota.count(Kind::Pipeline)), (0, 0));
    assert_eq!(scene.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn what_a_pass_keeps_is_counted_even_if_its_encoder_was_finished_before_it() {
    let mut scene = Scene::with_limits(limits()).await;
    let texture = scene.square(1024, 1, GpuTextureUsage::RENDER_ATTACHMENT);
    let view = scene.view().create_view(lend(&texture), None).unwrap();
    let encoder = scene.encoder();
    let pass = scene.pass(&encoder, &view);
    scene.refused("while a pass of it was open", |scene| {
        scene.finish(&encoder);
    });
    HostGpuTextureView::drop(&mut scene.view(), view).unwrap();
    HostGpuTexture::drop(&mut scene.view(), texture).unwrap();
    HostGpuCommandEncoder::drop(&mut scene.view(), encoder).unwrap();
    assert_eq!(scene.bytes_when_idle(), 4 * MIB, "the pass has the texture");
    HostGpuRenderPassEncoder::drop(&mut scene.view(), pass).unwrap();
    assert_eq!(scene.bytes_when_idle(), 0);
}

#[tokio::test]
async fn sources_of_shaders_have_a_limit_together_and_a_pipeline_keeps_them() {
    let limits = SceneLimits { max_total_shader_bytes: 256 << 10, ..SceneLimits::default() };
    let mut scene = Scene::with_limits(limits).await;
    let source = format!("{RED}//{}", "x".repeat(150 << 10));
    let make = |scene: &mut Scene| {
        let device = scene.device();
        let descriptor =
            GpuShaderModuleDescriptor { code: source.clone(), compilation_hints: None, label: None };
        scene.view().create_shader_module(device, descriptor)
    };
    let module = make(&mut scene).unwrap();
    let over = make(&mut scene).unwrap_err().downcast::<OverQuota>().unwrap();
    assert_eq!(over.setting, "max-total-shader-bytes");
    let device = scene.device();
    let descriptor = Scene::pipeline_descriptor(&module);
    let pipeline = scene.view().create_render_pipeline(device, descriptor).unwrap();
    HostGpuShaderModule::drop(&mut scene.view(), module).unwrap();
    assert!(make(&mut scene).is_err(), "the pipeline has it");
    HostGpuRenderPipeline::drop(&mut scene.view(), pipeline).unwrap();
    make(&mut scene).unwrap();
    assert_eq!(scene.quota().bytes(), 0, "no memory of the GPU");
    assert_eq!(scene.errors(), Vec::<String>::new());
}
