//! The floor: what the stages of a frame cost when nothing is around them.
//!
//! Native wgpu draws, a buffer is mapped, the `yuv` crate converts, OpenH264 encodes; all in the calling thread, frame after
//! frame. It shares the encoder's settings with the pipeline, and no code of the pipeline, its captures or its policies.

use std::time::Duration;

use renderer_protocol::FrameSize;
use yuv::{BufferStoreMut, YuvConversionMode, YuvPlanarImageMut, YuvRange, YuvStandardMatrix};

use super::{Recorder, Run, Spent, Stage};
use crate::{
    encode::{EncodeError, Encoder, EncoderConfig},
    frame::{FrameClock, I420, cpu_time},
};

/// A frame that takes longer than this to draw has no place in a benchmark.
const DRAW_TIMEOUT: Duration = Duration::from_mins(1);
/// Frames before the measured ones: the first ones compile pipelines, fault pages in and are encoded as an IDR.
pub const WARM_UP_FRAMES: u32 = 10;
/// What the floor draws to: the format that this host prefers for surfaces.
pub const TARGET_FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba8Unorm;

/// What a scene draws, without the sandbox.
pub trait NativeScene {
    /// Draws frame number `frame` and submits it. The target is a [`TARGET_FORMAT`] picture, the same for every frame.
    fn draw(&mut self, device: &wgpu::Device, queue: &wgpu::Queue, target: &wgpu::TextureView, frame: u32);
}

/// What the floor runs with.
#[derive(Clone, Debug)]
pub struct FloorConfig {
    /// The picture.
    pub size: FrameSize,
    /// Frames that are measured, after [`WARM_UP_FRAMES`].
    pub frames: u32,
    /// Sleep between frames to keep to this rate; `None`: go on at once. Paced frames cost more each: caches and clocks cool down.
    pub pace_hz: Option<u32>,
    /// As the pipeline's, so that both encode alike.
    pub encoder: EncoderConfig,
}

/// Why a floor could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum FloorError {
    /// The GPU did not do its part.
    #[error("the floor could not read a frame back: {0}")]
    Gpu(String),
    /// The library refused.
    #[error("the floor could not convert a frame: {0}")]
    Convert(String),
    /// OpenH264 did not do its part.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// Draws, reads back, converts and encodes, and says what that cost. Nothing else should run in this process meanwhile: the
/// processor time of a stage is that of all threads.
pub fn run_floor(
    (device, queue): (&wgpu::Device, &wgpu::Queue),
    scene: &mut dyn NativeScene,
    config: &FloorConfig,
) -> Result<Run, FloorError> {
    let bare = Bare::new(device, queue, config.size);
    let mut encoder = Encoder::new(EncoderConfig { size: config.size, ..config.encoder })?;
    let mut picture = I420::new(config.size);
    let clock = FrameClock::real();
    let mut recorder = Recorder::default();
    let (mut access_units, mut bytes) = (0, 0);
    let period_us = config.pace_hz.map(|hz| 1_000_000 / u64::from(hz.max(1)));
    for frame in 0..WARM_UP_FRAMES.saturating_add(config.frames) {
        if let Some(period_us) = period_us {
            let due_us = period_us * u64::from(frame);
            std::thread::sleep(Duration::from_micros(due_us.saturating_sub(clock.now_us())));
        }
        let start = Moment::now(&clock);
        scene.draw(device, queue, &bare.target_view, frame);
        let drawn = Moment::now(&clock);
        let mapped = bare.read_back()?;
        let read_back = Moment::now(&clock);
        bare.convert(&mapped, &mut picture)?;
        drop(mapped);
        bare.readback.unmap();
        let converted = Moment::now(&clock);
        let unit = encoder.encode(&picture, clock.now_us(), false)?;
        let end = Moment::now(&clock);
        if frame < WARM_UP_FRAMES {
            continue;
        }
        if let Some(unit) = unit {
            access_units += 1;
            bytes += unit.data.len();
        }
        recorder.stage(Stage::Scene, start.until(drawn));
        recorder.stage(Stage::Readback, drawn.until(read_back));
        recorder.stage(Stage::Convert, read_back.until(converted));
        recorder.stage(Stage::Encode, converted.until(end));
        recorder.frame(start.until(end));
    }
    Ok(recorder.finish(access_units, bytes))
}

/// A point in wall and processor time.
#[derive(Clone, Copy)]
struct Moment {
    wall_us: u64,
    cpu_us: u64,
}

impl Moment {
    fn now(clock: &FrameClock) -> Self {
        Self { wall_us: clock.now_us(), cpu_us: cpu_time::process_us() }
    }

    fn until(self, end: Self) -> Spent {
        Spent {
            wall_us: end.wall_us.saturating_sub(self.wall_us),
            cpu_us: end.cpu_us.saturating_sub(self.cpu_us),
        }
    }
}

/// A texture, a buffer, and the way from one to the other.
struct Bare<'a> {
    device: &'a wgpu::Device,
    queue: &'a wgpu::Queue,
    size: FrameSize,
    target: wgpu::Texture,
    target_view: wgpu::TextureView,
    readback: wgpu::Buffer,
    stride: u32,
}

impl<'a> Bare<'a> {
    fn new(device: &'a wgpu::Device, queue: &'a wgpu::Queue, size: FrameSize) -> Self {
        let target = device.create_texture(&wgpu::TextureDescriptor {
            label: Some("floor target"),
            size: wgpu::Extent3d { width: size.width(), height: size.height(), depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: TARGET_FORMAT,
            usage: wgpu::TextureUsages::RENDER_ATTACHMENT | wgpu::TextureUsages::COPY_SRC,
            view_formats: &[],
        });
        let stride = (size.width() * 4).next_multiple_of(wgpu::COPY_BYTES_PER_ROW_ALIGNMENT);
        let readback = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("floor readback"),
            size: u64::from(stride) * u64::from(size.height()),
            usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
            mapped_at_creation: false,
        });
        let target_view = target.create_view(&wgpu::TextureViewDescriptor::default());
        Self { device, queue, size, target, target_view, readback, stride }
    }

    fn read_back(&self) -> Result<wgpu::BufferView, FloorError> {
        let mut commands = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let layout =
            wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(self.stride), rows_per_image: None };
        commands.copy_texture_to_buffer(
            self.target.as_image_copy(),
            wgpu::TexelCopyBufferInfo { buffer: &self.readback, layout },
            self.target.size(),
        );
        let submission = self.queue.submit([commands.finish()]);
        self.readback.map_async(wgpu::MapMode::Read, .., |_| {});
        let wait = wgpu::PollType::Wait { submission_index: Some(submission), timeout: Some(DRAW_TIMEOUT) };
        self.device.poll(wait).map_err(|error| FloorError::Gpu(error.to_string()))?;
        self.readback.get_mapped_range(..).map_err(|error| FloorError::Gpu(error.to_string()))
    }

    fn convert(&self, pixels: &[u8], picture: &mut I420) -> Result<(), FloorError> {
        let (y_stride, uv_stride) = (picture.luma_stride(), picture.chroma_stride());
        let [y, u, v] = picture.planes_mut();
        let mut planes = YuvPlanarImageMut {
            y_plane: BufferStoreMut::Borrowed(y),
            y_stride,
            u_plane: BufferStoreMut::Borrowed(u),
            u_stride: uv_stride,
            v_plane: BufferStoreMut::Borrowed(v),
            v_stride: uv_stride,
            width: self.size.width(),
            height: self.size.height(),
        };
        let (range, matrix) = (YuvRange::Limited, YuvStandardMatrix::Bt709);
        yuv::rgba_to_yuv420(&mut planes, pixels, self.stride, range, matrix, YuvConversionMode::Balanced)
            .map_err(|error| FloorError::Convert(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::test_gpu;

    /// A triangle that turns.
    struct Triangle {
        pipeline: wgpu::RenderPipeline,
        frames: Vec<u32>,
    }

    impl Triangle {
        fn new(device: &wgpu::Device) -> Self {
            let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
                label: None,
                source: wgpu::ShaderSource::Wgsl(
                    "@vertex fn vertex(@builtin(vertex_index) i: u32, @builtin(instance_index) frame: u32) -> @builtin(position) vec4f {
                        let angle = f32(i) * 2.0944 + f32(frame) * 0.05;
                        return vec4f(0.8 * cos(angle), 0.8 * sin(angle), 0.0, 1.0);
                    }
                    @fragment fn fragment() -> @location(0) vec4f { return vec4f(0.9, 0.5, 0.1, 1.0); }"
                        .into(),
                ),
            });
            let pipeline = device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
                label: None,
                layout: None,
                vertex: wgpu::VertexState {
                    module: &module,
                    entry_point: None,
                    compilation_options: wgpu::PipelineCompilationOptions::default(),
                    buffers: &[],
                },
                primitive: wgpu::PrimitiveState::default(),
                depth_stencil: None,
                multisample: wgpu::MultisampleState::default(),
                fragment: Some(wgpu::FragmentState {
                    module: &module,
                    entry_point: None,
                    compilation_options: wgpu::PipelineCompilationOptions::default(),
                    targets: &[Some(TARGET_FORMAT.into())],
                }),
                multiview_mask: None,
                cache: None,
            });
            Self { pipeline, frames: Vec::new() }
        }
    }

    impl NativeScene for Triangle {
        fn draw(
            &mut self,
            device: &wgpu::Device,
            queue: &wgpu::Queue,
            target: &wgpu::TextureView,
            frame: u32,
        ) {
            self.frames.push(frame);
            let mut commands = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            {
                let mut pass = commands.begin_render_pass(&wgpu::RenderPassDescriptor {
                    color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                        view: target,
                        depth_slice: None,
                        resolve_target: None,
                        ops: wgpu::Operations::default(),
                    })],
                    ..Default::default()
                });
                pass.set_pipeline(&self.pipeline);
                pass.draw(0..3, frame..frame + 1);
            }
            queue.submit([commands.finish()]);
        }
    }

    #[test]
    fn the_floor_measures_every_stage_of_every_frame_after_the_warm_up() {
        let (device, queue) = test_gpu::open();
        let size = FrameSize::new(320, 180).unwrap();
        let encoder = EncoderConfig { size, frame_rate_hz: 30, bitrate_bps: 2_000_000, threads: 1 };
        let config = FloorConfig { size, frames: 20, pace_hz: None, encoder };
        let mut scene = Triangle::new(&device);
        let run = run_floor((&device, &queue), &mut scene, &config).unwrap();
        assert_eq!(scene.frames, (0..WARM_UP_FRAMES + 20).collect::<Vec<_>>());
        assert_eq!((run.frames, run.access_units), (20, 20));
        let stages: Vec<_> = run.stages.iter().map(|figures| figures.stage).collect();
        assert_eq!(stages, [Stage::Scene, Stage::Readback, Stage::Convert, Stage::Encode]);
        let frame = run.frame.unwrap();
        assert!(run.mean_cpu_us > 0 && frame.wall_median_us > 0);
        assert!(run.stages.iter().all(|stage| stage.figures.wall_median_us <= frame.wall_p95_us));
        assert!(run.bytes > 20 * 100, "a turning triangle takes more than {} bytes", run.bytes);
    }
}
