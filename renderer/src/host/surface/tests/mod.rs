//! The ways to draw to the window, called as a scene calls them, on the machine's Vulkan adapter; what comes out is decoded.

mod canvas;
mod frame_buffer;
mod webgpu_context;

use std::{
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use renderer_protocol::{AccessUnit, FrameSize, SceneLimits};
use wasmtime::{
    Config, Engine, Store,
    component::{Resource, ResourceTable},
};

use super::{bindings::wasi_gfx::surface::surface::HostSurface, *};
use crate::{
    encode::test_bitstream::Decoder,
    frame::{FrameClock, I420, Output, Pipeline, PipelineConfig, PipelineHandle, Timing},
    gpu::{Backend, Gpu},
    host::webgpu::{
        Device, Texture, WebGpu, WebGpuCtx, WebGpuCtxView, WebGpuView, bindings::wasi::webgpu::webgpu::*,
    },
};

/// Longer than anything takes; ends a test that would hang.
const PATIENCE: Duration = Duration::from_mins(1);
/// Pictures that are not presented are waited for so long in vain.
const A_WHILE: Duration = Duration::from_millis(200);

struct State {
    webgpu: WebGpuCtx,
    surface: SurfaceCtx,
    table: ResourceTable,
}

impl WebGpuView for State {
    fn webgpu(&mut self) -> WebGpuCtxView<'_> {
        WebGpuCtxView { ctx: &mut self.webgpu, table: &mut self.table }
    }
}

impl SurfaceView for State {
    fn surface(&mut self) -> SurfaceCtxView<'_> {
        SurfaceCtxView { ctx: &mut self.surface, table: &mut self.table }
    }
}

/// A store with a device and a window of 64x48, and what it shows.
struct Scene {
    store: Store<State>,
    device: Resource<Device>,
    window: Window,
    turns: Turns,
    errors: Arc<Mutex<Vec<String>>>,
    decoder: Decoder,
    _pipeline: PipelineHandle,
    pictures: mpsc::Receiver<Output>,
}

/// The same object again, as a guest lends it for a call.
fn lend<T: 'static>(object: &Resource<T>) -> Resource<T> {
    Resource::new_borrow(object.rep())
}

fn size(width: u32, height: u32) -> FrameSize {
    FrameSize::new(width, height).unwrap()
}

const RED: GpuColor = GpuColor { r: 1.0, g: 0.0, b: 0.0, a: 1.0 };
const BLUE: GpuColor = GpuColor { r: 0.0, g: 0.0, b: 1.0, a: 1.0 };
/// Luma of colours by ITU-R BT.709-6 in limited range.
const RED_LUMA: u8 = 63;
const BLUE_LUMA: u8 = 32;
const BLACK_LUMA: u8 = 16;

impl Scene {
    async fn new() -> Self {
        let mut config = Config::new();
        config.wasm_component_model_async(true);
        let engine = Engine::new(&config).unwrap();
        let errors = Arc::new(Mutex::new(Vec::new()));
        let theirs = Arc::clone(&errors);
        let gpu = Gpu::open(Backend::Vulkan).unwrap();
        let is_cpu = gpu.is_cpu();
        let webgpu = WebGpuCtx::new(gpu, SceneLimits::default(), move |line| {
            theirs.lock().unwrap().push(line.to_owned());
        });
        let window = Window::new(size(64, 48));
        let clock = FrameClock::real();
        let (sink, pictures) = mpsc::sync_channel(64);
        let config = PipelineConfig {
            clock: clock.clone(),
            frame_rate_hz: 30,
            bitrate_bps: 2_000_000,
            encoder_threads: 1,
            // Only what is presented comes out.
            timing: Timing { keep_alive_us: 3_600_000_000, settle_us: 0, ..Timing::default() },
        };
        let Pipeline { frames, handle, .. } = Pipeline::spawn(config, sink).unwrap();
        let surface = SurfaceCtx::new(window.clone(), Presenter::new(frames, is_cpu), clock);
        let turns = surface.turns();
        let mut store = Store::new(&engine, State { webgpu, surface, table: ResourceTable::new() });
        let device = store
            .run_concurrent(async |accessor| {
                let host = &accessor.with_getter::<WebGpu>(State::webgpu);
                let gpu = host.with(|mut access| access.get().get_gpu()).unwrap();
                let adapter = WebGpu::request_adapter(host, gpu, None).await.unwrap().unwrap();
                WebGpu::request_device(host, adapter, None).await.unwrap().unwrap()
            })
            .await
            .unwrap();
        Self { store, device, window, turns, errors, decoder: Decoder::new(), _pipeline: handle, pictures }
    }

    fn webgpu(&mut self) -> WebGpuCtxView<'_> {
        self.store.data_mut().webgpu()
    }

    fn surface(&mut self) -> SurfaceCtxView<'_> {
        self.store.data_mut().surface()
    }

    fn device(&self) -> Resource<Device> {
        lend(&self.device)
    }

    /// A surface that the scene wishes to have this size.
    fn new_surface(&mut self, width: u32, height: u32) -> Resource<Surface> {
        let wish = surface::CreateDesc { width: Some(width), height: Some(height) };
        HostSurface::new(&mut self.surface(), wish).unwrap()
    }

    /// The uncaptured errors since the last call.
    fn errors(&self) -> Vec<String> {
        std::mem::take(&mut self.errors.lock().unwrap())
    }

    /// Does what is wrong and has no other answer than one validation error that says `expected`.
    #[track_caller]
    fn refused<R>(&mut self, expected: &str, wrong: impl FnOnce(&mut Self) -> R) -> R {
        assert_eq!(self.errors(), Vec::<String>::new(), "an error came early");
        let result = wrong(self);
        let errors = self.errors();
        assert!(
            matches!(errors.as_slice(), [error] if error.contains(expected)),
            "expected one error with {expected:?}: {errors:#?}"
        );
        result
    }

    /// Commands that fill a texture with a colour.
    fn fill(&mut self, texture: &Resource<Texture>, color: GpuColor) -> Resource<GpuCommandBuffer> {
        let device = self.device();
        let mut view = self.webgpu();
        let target = view.create_view(lend(texture), None).unwrap();
        let encoder = view.create_command_encoder(device, None).unwrap();
        let attachment = GpuRenderPassColorAttachment {
            view: lend(&target),
            depth_slice: None,
            resolve_target: None,
            clear_value: Some(color),
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
        let pass = view.begin_render_pass(lend(&encoder), descriptor).unwrap();
        HostGpuRenderPassEncoder::end(&mut view, pass).unwrap();
        HostGpuCommandEncoder::finish(&mut view, encoder, None).unwrap()
    }

    fn submit(&mut self, commands: Resource<GpuCommandBuffer>) {
        let device = self.device();
        let mut view = self.webgpu();
        let queue = view.queue(device).unwrap();
        view.submit(queue, vec![commands]).unwrap();
    }

    /// Fills a texture with a colour, and submits that.
    fn draw(&mut self, texture: &Resource<Texture>, color: GpuColor) {
        let commands = self.fill(texture, color);
        self.submit(commands);
    }

    /// The next picture that is shown.
    fn shown(&self) -> AccessUnit {
        loop {
            match self.pictures.recv_timeout(PATIENCE).expect("a picture") {
                Output::AccessUnit(unit) => return unit,
                Output::FramesDropped { .. } => {}
                Output::Ended(end) => panic!("{end}"),
            }
        }
    }

    /// Nothing is shown for a while.
    #[track_caller]
    fn assert_nothing_is_shown(&self) {
        assert!(self.pictures.recv_timeout(A_WHILE).is_err(), "a picture was shown");
    }

    /// The next picture that is shown has this size, and this luma all over.
    #[track_caller]
    fn assert_shows(&mut self, size: FrameSize, luma: u8) {
        let unit = self.shown();
        assert_eq!(unit.size, size);
        let picture = self.decoder.decode(&unit.data, &I420::new(size));
        let rows = picture.planes()[0].chunks(picture.luma_stride() as usize);
        let furthest = rows
            .flat_map(|row| &row[..size.width() as usize])
            .map(|pixel| pixel.abs_diff(luma))
            .max()
            .unwrap();
        assert!(furthest <= 4, "a luma is {furthest} from {luma}");
    }
}
