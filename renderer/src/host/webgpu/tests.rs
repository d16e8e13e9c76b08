//! The host functions, called as a scene calls them, on the machine's Vulkan adapter.

mod devices;
mod encoding;
mod quotas;
mod recording;
mod shaders;

use std::sync::{Arc, Mutex};

use renderer_protocol::{SceneLimits, limits};
use wasmtime::component::{Accessor, Resource, ResourceTable};
use wasmtime::{Config, Engine, Store};

use super::adapter::GpuObject;
use super::bindings::wasi::webgpu::webgpu::*;
use super::buffers::Buffer;
use super::command_encoding::{CommandBuffer, CommandEncoder};
use super::pipelines::RenderPipeline;
use super::shaders::ShaderModule;
use super::textures::{Texture, TextureView};
use super::{Device, OverQuota, SurfaceTextureLife, WebGpu, WebGpuCtx, WebGpuCtxView, WebGpuView};
use crate::frame::test_gpu;
use crate::gpu::{Backend, Gpu, MAX_FUNCTION_BYTES, MAX_SHADER_NESTING};

/// A side of the pictures that the tests draw: 64 pixels of 4 bytes fill a row of a copy without padding.
const SIDE: u32 = 64;
const FORMAT: GpuTextureFormat = GpuTextureFormat::Rgba8unorm;

struct State {
    ctx: WebGpuCtx,
    table: ResourceTable,
}

impl WebGpuView for State {
    fn webgpu(&mut self) -> WebGpuCtxView<'_> {
        WebGpuCtxView { ctx: &mut self.ctx, table: &mut self.table }
    }
}

/// A store with a device, and the uncaptured errors so far.
pub(super) struct Scene {
    store: Store<State>,
    device: Resource<Device>,
    errors: Arc<Mutex<Vec<String>>>,
}

/// The same object again, as a guest lends it for a call.
fn lend<T: 'static>(object: &Resource<T>) -> Resource<T> {
    Resource::new_borrow(object.rep())
}

impl Scene {
    pub(super) async fn new() -> Self {
        Self::with_limits(SceneLimits::default()).await
    }

    async fn with_limits(limits: SceneLimits) -> Self {
        let mut config = Config::new();
        config.wasm_component_model_async(true);
        let engine = Engine::new(&config).unwrap();
        let errors = Arc::new(Mutex::new(Vec::new()));
        let theirs = Arc::clone(&errors);
        let gpu = Gpu::open(Backend::Vulkan).unwrap();
        let ctx = WebGpuCtx::new(gpu, limits, move |line| theirs.lock().unwrap().push(line.to_owned()));
        let mut store = Store::new(&engine, State { ctx, table: ResourceTable::new() });
        let device = call(&mut store, async |host| {
            let gpu: Resource<GpuObject> = host.with(|mut access| access.get().get_gpu()).unwrap();
            let adapter = WebGpu::request_adapter(host, gpu, None).await.unwrap().unwrap();
            WebGpu::request_device(host, adapter, None).await.unwrap().unwrap()
        })
        .await;
        Self { store, device, errors }
    }

    pub(super) fn view(&mut self) -> WebGpuCtxView<'_> {
        self.store.data_mut().webgpu()
    }

    pub(super) fn device(&self) -> Resource<Device> {
        lend(&self.device)
    }

    /// The uncaptured errors since the last call.
    pub(super) fn errors(&self) -> Vec<String> {
        std::mem::take(&mut self.errors.lock().unwrap())
    }

    /// Does what is wrong and has no other answer than one validation error that says `expected`.
    #[track_caller]
    fn refused(&mut self, expected: &str, wrong: impl FnOnce(&mut Self)) {
        assert_eq!(self.errors(), Vec::<String>::new(), "an error came early");
        wrong(self);
        let errors = self.errors();
        assert!(
            matches!(errors.as_slice(), [error] if error.contains(expected)),
            "expected one error with {expected:?}: {errors:#?}"
        );
    }

    fn buffer(&mut self, size: u64, usage: GpuBufferUsage, mapped: bool) -> Resource<Buffer> {
        let device = self.device();
        let descriptor = GpuBufferDescriptor { size, usage, mapped_at_creation: Some(mapped), label: None };
        self.view().create_buffer(device, descriptor).unwrap()
    }

    fn texture(&mut self) -> Resource<Texture> {
        let device = self.device();
        let descriptor = GpuTextureDescriptor {
            size: GpuExtent3D { width: SIDE, height: Some(SIDE), depth_or_array_layers: None },
            mip_level_count: None,
            sample_count: None,
            dimension: None,
            format: FORMAT,
            usage: GpuTextureUsage::RENDER_ATTACHMENT | GpuTextureUsage::COPY_SRC,
            view_formats: None,
            texture_binding_view_dimension: None,
            label: None,
        };
        self.view().create_texture(device, descriptor).unwrap()
    }

    fn encoder(&mut self) -> Resource<CommandEncoder> {
        let device = self.device();
        self.view().create_command_encoder(device, None).unwrap()
    }

    fn pass(
        &mut self,
        encoder: &Resource<CommandEncoder>,
        view: &Resource<TextureView>,
    ) -> Resource<super::render_passes::RenderPass> {
        let attachment = GpuRenderPassColorAttachment {
            view: lend(view),
            depth_slice: None,
            resolve_target: None,
            clear_value: Some(GpuColor { r: 0.0, g: 0.0, b: 1.0, a: 1.0 }),
            load_op: GpuLoadOp::Clear,
            store_op: GpuStoreOp::Store,
        };
        let descriptor = GpuRenderPassDescriptor {
            color_attachments: vec![Some(attachment)],
            depth_stencil_attachment: None,
            occlusion_query_set: None,
            timestamp_writes: None,
            max_draw_count: None,
            label: None,
        };
        self.view().begin_render_pass(lend(encoder), descriptor).unwrap()
    }

    fn finish(&mut self, encoder: &Resource<CommandEncoder>) -> Resource<CommandBuffer> {
        HostGpuCommandEncoder::finish(&mut self.view(), lend(encoder), None).unwrap()
    }

    fn submit(&mut self, buffers: &[&Resource<CommandBuffer>]) {
        let device = self.device();
        let mut view = self.view();
        let queue = view.queue(device).unwrap();
        view.submit(queue, buffers.iter().map(|buffer| lend(buffer)).collect()).unwrap();
    }

    fn shader(&mut self, code: impl Into<String>) -> Resource<ShaderModule> {
        let device = self.device();
        let descriptor =
            GpuShaderModuleDescriptor { code: code.into(), compilation_hints: None, label: None };
        self.view().create_shader_module(device, descriptor).unwrap()
    }

    fn pipeline_descriptor(module: &Resource<ShaderModule>) -> GpuRenderPipelineDescriptor {
        GpuRenderPipelineDescriptor {
            vertex: GpuVertexState {
                buffers: None,
                module: lend(module),
                entry_point: None,
                constants: None,
            },
            primitive: None,
            depth_stencil: None,
            multisample: None,
            fragment: Some(GpuFragmentState {
                targets: vec![Some(GpuColorTargetState { format: FORMAT, blend: None, write_mask: None })],
                module: lend(module),
                entry_point: None,
                constants: None,
            }),
            layout: GpuLayoutMode::Auto,
            label: None,
        }
    }

    fn red_pipeline(&mut self) -> Resource<RenderPipeline> {
        let module = self.shader(RED);
        let device = self.device();
        self.view().create_render_pipeline(device, Self::pipeline_descriptor(&module)).unwrap()
    }

    /// The pixels of a texture that the tests drew.
    async fn pixels(&mut self, texture: &Resource<Texture>) -> Vec<u8> {
        let bytes = u64::from(SIDE) * u64::from(SIDE) * 4;
        let buffer = self.buffer(bytes, GpuBufferUsage::MAP_READ | GpuBufferUsage::COPY_DST, false);
        let encoder = self.encoder();
        let source =
            GpuTexelCopyTextureInfo { texture: lend(texture), mip_level: None, origin: None, aspect: None };
        let destination = GpuTexelCopyBufferInfo {
            buffer: lend(&buffer),
            offset: None,
            bytes_per_row: Some(SIDE * 4),
            rows_per_image: None,
        };
        let size = GpuExtent3D { width: SIDE, height: Some(SIDE), depth_or_array_layers: None };
        self.view().copy_texture_to_buffer(lend(&encoder), source, destination, size).unwrap();
        let commands = self.finish(&encoder);
        self.submit(&[&commands]);
        let mapped = lend(&buffer);
        call(&mut self.store, async |host| {
            WebGpu::map_async(host, mapped, GpuMapMode::READ, None, None).await.unwrap().unwrap();
        })
        .await;
        self.view().get_mapped_range_get_with_copy(lend(&buffer), None, None).unwrap().unwrap()
    }
}

/// Calls asynchronous host functions as the store's tasks do.
async fn call<R>(store: &mut Store<State>, function: impl AsyncFnOnce(&Accessor<State, WebGpu>) -> R) -> R {
    store
        .run_concurrent(async |accessor| function(&accessor.with_getter::<WebGpu>(State::webgpu)).await)
        .await
        .unwrap()
}

/// One triangle that covers the left upper half of the picture.
const RED: &str = "
    @vertex fn vertex(@builtin(vertex_index) i: u32) -> @builtin(position) vec4f {
        var corners = array(vec2f(-1, 1), vec2f(-1, -1), vec2f(1, 1));
        return vec4f(corners[i], 0, 1);
    }
    @fragment fn fragment() -> @location(0) vec4f { return vec4f(1, 0, 0, 1); }
";

const RED_PIXEL: [u8; 4] = [255, 0, 0, 255];
const BLUE_PIXEL: [u8; 4] = [0, 0, 255, 255];

#[track_caller]
fn assert_red_on_blue(pixels: &[u8]) {
    assert_eq!(pixels.first_chunk(), Some(&RED_PIXEL), "the left upper corner");
    assert_eq!(pixels.last_chunk(), Some(&BLUE_PIXEL), "the right lower corner");
}

#[tokio::test]
async fn a_scene_draws_a_triangle_and_reads_it_back() {
    let mut scene = Scene::new().await;
    let texture = scene.texture();
    let view = scene.view().create_view(lend(&texture), None).unwrap();
    let pipeline = scene.red_pipeline();
    let encoder = scene.encoder();
    let pass = scene.pass(&encoder, &view);
    HostGpuRenderPassEncoder::set_pipeline(&mut scene.view(), lend(&pass), pipeline).unwrap();
    HostGpuRenderPassEncoder::draw(&mut scene.view(), lend(&pass), 3, None, None, None).unwrap();
    HostGpuRenderPassEncoder::end(&mut scene.view(), pass).unwrap();
    let commands = scene.finish(&encoder);
    scene.submit(&[&commands]);
    assert_red_on_blue(&scene.pixels(&texture).await);
    assert_eq!(scene.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn a_render_bundle_draws_what_it_recorded_and_a_wrong_one_is_an_error() {
    let mut scene = Scene::new().await;
    let pipeline = scene.red_pipeline();
    let bundle_encoder = |scene: &mut Scene| {
        let descriptor = GpuRenderBundleEncoderDescriptor {
            depth_read_only: None,
            stencil_read_only: None,
            color_formats: vec![Some(FORMAT)],
            depth_stencil_format: None,
            sample_count: None,
            label: None,
        };
        let device = scene.device();
        scene.view().create_render_bundle_encoder(device, descriptor).unwrap()
    };
    let encoder = bundle_encoder(&mut scene);
    HostGpuRenderBundleEncoder::set_pipeline(&mut scene.view(), lend(&encoder), pipeline).unwrap();
    HostGpuRenderBundleEncoder::draw(&mut scene.view(), lend(&encoder), 3, None, None, None).unwrap();
    let bundle = HostGpuRenderBundleEncoder::finish(&mut scene.view(), encoder, None).unwrap();

    let texture = scene.texture();
    let view = scene.view().create_view(lend(&texture), None).unwrap();
    let encoder = scene.encoder();
    let pass = scene.pass(&encoder, &view);
    scene.view().execute_bundles(lend(&pass), vec![lend(&bundle)]).unwrap();
    HostGpuRenderPassEncoder::end(&mut scene.view(), pass).unwrap();
    let commands = scene.finish(&encoder);
    scene.submit(&[&commands]);
    assert_red_on_blue(&scene.pixels(&texture).await);

    scene.refused("pipeline", |scene| {
        let encoder = bundle_encoder(scene);
        HostGpuRenderBundleEncoder::draw(&mut scene.view(), lend(&encoder), 3, None, None, None).unwrap();
        HostGpuRenderBundleEncoder::finish(&mut scene.view(), encoder, None).unwrap();
    });
}

#[tokio::test]
async fn misused_encoders_and_passes_are_validation_errors() {
    let mut scene = Scene::new().await;
    let texture = scene.texture();
    let view = scene.view().create_view(lend(&texture), None).unwrap();
    let vertices = scene.buffer(16, GpuBufferUsage::VERTEX | GpuBufferUsage::INDEX, false);

    scene.refused("while a pass of it was open", |scene| {
        let encoder = scene.encoder();
        let _open = scene.pass(&encoder, &view);
        scene.finish(&encoder);
    });
    scene.refused("while a pass of it was open", |scene| {
        let encoder = scene.encoder();
        let pass = scene.pass(&encoder, &view);
        scene.view().clear_buffer(lend(&encoder), lend(&vertices), None, None).unwrap();
        HostGpuRenderPassEncoder::end(&mut scene.view(), pass).unwrap();
        scene.finish(&encoder);
    });
    scene.refused("finished before", |scene| {
        let encoder = scene.encoder();
        scene.finish(&encoder);
        scene.finish(&encoder);
    });
    scene.refused("ended twice", |scene| {
        let encoder = scene.encoder();
        let pass = scene.pass(&encoder, &view);
        HostGpuRenderPassEncoder::end(&mut scene.view(), lend(&pass)).unwrap();
        HostGpuRenderPassEncoder::end(&mut scene.view(), pass).unwrap();
    });
    scene.refused("submitted before", |scene| {
        let encoder = scene.encoder();
        let commands = scene.finish(&encoder);
        scene.submit(&[&commands, &commands]);
    });
    scene.refused("2^32", |scene| {
        let encoder = scene.encoder();
        let pass = scene.pass(&encoder, &view);
        HostGpuRenderPassEncoder::draw(&mut scene.view(), lend(&pass), u32::MAX, None, Some(2), None)
            .unwrap();
        HostGpuRenderPassEncoder::end(&mut scene.view(), pass).unwrap();
        scene.finish(&encoder);
    });
    let bind = |scene: &mut Scene, offset, size| {
        let encoder = scene.encoder();
        let pass = scene.pass(&encoder, &view);
        let format = GpuIndexFormat::Uint16;
        HostGpuRenderPassEncoder::set_index_buffer(
            &mut scene.view(),
            lend(&pass),
            lend(&vertices),
            format,
            offset,
            size,
        )
        .unwrap();
        HostGpuRenderPassEncoder::end(&mut scene.view(), pass).unwrap();
        scene.finish(&encoder);
    };
    for (offset, size) in [(Some(17), None), (Some(u64::MAX), Some(u64::MAX))] {
        scene.refused("what was to be bound does not lie within its buffer", |scene| {
            bind(scene, offset, size);
        });
    }
    bind(&mut scene, None, Some(0));
    assert_eq!(scene.errors(), Vec::<String>::new(), "no bytes may be bound");
}

#[tokio::test]
async fn descriptors_that_no_device_can_have_are_validation_errors() {
    let mut scene = Scene::new().await;
    scene.refused("exactly one of", |scene| {
        let entry = GpuBindGroupLayoutEntry {
            binding: 0,
            visibility: GpuShaderStage::VERTEX,
            buffer: None,
            sampler: None,
            texture: None,
            storage_texture: None,
        };
        let descriptor = GpuBindGroupLayoutDescriptor { entries: vec![entry], label: None };
        let device = scene.device();
        scene.view().create_bind_group_layout(device, descriptor).unwrap();
    });
    scene.refused("1000 bind group layouts", |scene| {
        let descriptor = GpuPipelineLayoutDescriptor {
            bind_group_layouts: (0..1000).map(|_| None).collect(),
            immediate_size: None,
            label: None,
        };
        let device = scene.device();
        scene.view().create_pipeline_layout(device, descriptor).unwrap();
    });
    scene.refused("Buffer", |scene| {
        scene.buffer(u64::MAX, GpuBufferUsage::VERTEX, true);
    });
    scene.refused("swizzle", |scene| {
        let texture = scene.texture();
        let descriptor = GpuTextureViewDescriptor {
            format: None,
            dimension: None,
            usage: None,
            aspect: None,
            base_mip_level: None,
            mip_level_count: None,
            base_array_layer: None,
            array_layer_count: None,
            swizzle: Some("bgra".to_owned()),
            label: None,
        };
        scene.view().create_view(texture, Some(descriptor)).unwrap();
    });
}

#[tokio::test]
async fn a_buffer_is_written_while_it_is_mapped_and_at_no_other_time() {
    let mut scene = Scene::new().await;
    let buffer = scene.buffer(16, GpuBufferUsage::COPY_SRC, true);
    let set = |scene: &mut Scene, data: &[u8], offset| {
        scene.view().get_mapped_range_set_with_copy(lend(&buffer), data.to_vec(), offset, None).unwrap()
    };
    assert!(set(&mut scene, &[1, 2, 3, 4], Some(8)).is_ok());
    assert!(set(&mut scene, &[0; 17], None).is_err(), "more bytes than the range has");
    assert!(set(&mut scene, &[1], Some(4)).is_err(), "an offset that is not aligned");
    assert!(set(&mut scene, &[1], Some(u64::MAX)).is_err(), "an offset beyond the end");
    let bytes =
        scene.view().get_mapped_range_get_with_copy(lend(&buffer), Some(8), Some(8)).unwrap().unwrap();
    assert_eq!(bytes, [1, 2, 3, 4, 0, 0, 0, 0]);
    for _ in 0..2 {
        HostGpuBuffer::unmap(&mut scene.view(), lend(&buffer)).unwrap().unwrap();
    }
    assert!(set(&mut scene, &[1], None).is_err(), "not mapped any more");
    assert_eq!(scene.errors(), Vec::<String>::new());

    let device = scene.device();
    let device = scene.view().table.get(&device).unwrap().clone();
    // On a busy machine the GPU may be done before the buffer is destroyed; then the mapping was too fast for what is tested.
    let aborted = 'tries: {
        for _ in 0..10 {
            if let Err(error) = map_and_destroy(&mut scene, &device).await {
                break 'tries error;
            }
        }
        panic!("no mapping was aborted in ten tries");
    };
    assert!(matches!(aborted.kind, MapAsyncErrorKind::AbortError));
}

/// Asks for a mapping that has to wait, because the GPU has work to do with the buffer, and destroys the buffer meanwhile.
async fn map_and_destroy(scene: &mut Scene, device: &Device) -> Result<(), MapAsyncError> {
    let readable = scene.buffer(16, GpuBufferUsage::MAP_READ | GpuBufferUsage::COPY_DST, false);
    test_gpu::keep_busy(device.wgpu(), device.queue());
    let busy = scene.view().table.get(&readable).unwrap().wgpu.clone();
    device.queue().write_buffer(&busy, 0, &[0; 16]);
    device.queue().submit([]);
    let (waiting, refused) = call(&mut scene.store, async |host| {
        let (waiting, ()) =
            futures::join!(WebGpu::map_async(host, lend(&readable), GpuMapMode::READ, None, None), async {
                host.with(|mut access| HostGpuBuffer::destroy(&mut access.get(), lend(&readable))).unwrap();
            });
        let again = WebGpu::map_async(host, lend(&readable), GpuMapMode::WRITE, None, None).await;
        (waiting.unwrap(), again.unwrap())
    })
    .await;
    assert!(matches!(refused.unwrap_err().kind, MapAsyncErrorKind::OperationError));
    waiting
}

#[tokio::test]
async fn a_scope_captures_what_wgpu_refuses() {
    let mut scene = Scene::new().await;
    let device = scene.device();
    scene.view().push_error_scope(lend(&device), GpuErrorFilter::Validation).unwrap();
    scene.shader("this is no shader");
    let (captured, empty) = call(&mut scene.store, async |host| {
        (
            WebGpu::pop_error_scope(host, lend(&device)).await.unwrap(),
            WebGpu::pop_error_scope(host, lend(&device)).await.unwrap(),
        )
    })
    .await;
    let error = captured.unwrap().unwrap();
    assert!(matches!(
        HostGpuError::kind(&mut scene.view(), lend(&error)).unwrap(),
        GpuErrorKind::ValidationError
    ));
    assert!(empty.is_err(), "no scope is open");
    assert_eq!(scene.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn a_surface_texture_can_be_drawn_to_until_it_expires() {
    let mut scene = Scene::new().await;
    let own = scene.texture();
    let device = scene.device();
    let device = scene.view().table.get(&device).unwrap().clone();
    let ring = scene.view().table.get(&own).unwrap().wgpu.clone();
    let lent = Texture::from_surface(&device, ring, GpuTextureUsage::RENDER_ATTACHMENT).unwrap();
    let life: SurfaceTextureLife = lent.surface_life().unwrap().clone();
    let lent = scene.view().table.push(lent).unwrap();
    let view = scene.view().create_view(lend(&lent), None).unwrap();
    let draw = |scene: &mut Scene| {
        let encoder = scene.encoder();
        let pass = scene.pass(&encoder, &view);
        HostGpuRenderPassEncoder::end(&mut scene.view(), pass).unwrap();
        scene.finish(&encoder)
    };
    let in_time = draw(&mut scene);
    scene.submit(&[&in_time]);
    let late = draw(&mut scene);
    HostGpuTexture::destroy(&mut scene.view(), lent).unwrap();
    assert!(life.is_expired());
    scene.refused("presented, replaced or destroyed", |scene| scene.submit(&[&late]));
    assert_eq!(scene.pixels(&own).await.first_chunk(), Some(&BLUE_PIXEL), "the ring's own texture lives on");
}

#[tokio::test]
async fn a_viewport_that_is_not_finite_makes_its_encoder_invalid() {
    let mut scene = Scene::new().await;
    let texture = scene.texture();
    let view = scene.view().create_view(texture, None).unwrap();
    for (x, width) in [(f32::NAN, 1.0), (0.0, f32::INFINITY)] {
        scene.refused("infinite or not a number", |scene| {
            let encoder = scene.encoder();
            let pass = scene.pass(&encoder, &view);
            HostGpuRenderPassEncoder::set_viewport(
                &mut scene.view(),
                lend(&pass),
                x,
                0.0,
                width,
                1.0,
                0.0,
                1.0,
            )
            .unwrap();
            HostGpuRenderPassEncoder::end(&mut scene.view(), pass).unwrap();
            scene.finish(&encoder);
        });
    }
}
