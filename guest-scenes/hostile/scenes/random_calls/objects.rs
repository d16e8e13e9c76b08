//! What the scene holds. Each pool has room for a few, so that objects come and go, children after parents and parents after children.

use std::rc::Rc;

use hostile::Random;
use kit::surface::{Buffer, Surface, surface_frame_buffer};
use kit::webgpu::*;
use wit_bindgen::StreamReader;

use crate::calls::surfaces::{Canvas, SurfaceEvents};

/// Objects of a kind that are held at once. All limits that end a session are higher.
const ROOM: usize = 6;

pub struct Pool<T>(Vec<Rc<T>>);

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Pool<T> {
    /// Takes an object, in place of another when there is no room.
    pub fn add(&mut self, random: &mut Random, object: T) {
        if self.0.len() >= ROOM {
            self.drop_one(random);
        }
        self.0.push(Rc::new(object));
    }

    pub fn any(&self, random: &mut Random) -> Option<Rc<T>> {
        (!self.0.is_empty()).then(|| Rc::clone(&self.0[random.below(self.0.len())]))
    }

    pub fn some(&self, random: &mut Random, most: usize) -> Vec<Rc<T>> {
        let count = random.below(most + 1);
        (0..count).filter_map(|_| self.any(random)).collect()
    }

    fn drop_one(&mut self, random: &mut Random) {
        if !self.0.is_empty() {
            self.0.swap_remove(random.below(self.0.len()));
        }
    }
}

macro_rules! pools {
    ($($pool:ident: $object:ty,)*) => {
        #[derive(Default)]
        pub struct Objects {
            $(pub $pool: Pool<$object>,)*
        }

        impl Objects {
            const POOLS: usize = [$(stringify!($pool)),*].len();

            /// Drops any object of any kind.
            pub fn drop_one(&mut self, random: &mut Random) {
                let chosen = random.below(Self::POOLS);
                let mut number = 0..;
                $(
                    if number.next() == Some(chosen) {
                        self.$pool.drop_one(random);
                    }
                )*
            }

            fn is_empty(&self) -> bool {
                $(self.$pool.0.is_empty())&&*
            }

            pub fn drop_all(&mut self, random: &mut Random) {
                while !self.is_empty() {
                    self.drop_one(random);
                }
            }
        }
    };
}

pools! {
    gpus: Gpu,
    adapters: GpuAdapter,
    adapter_infos: GpuAdapterInfo,
    features: GpuSupportedFeatures,
    limits: GpuSupportedLimits,
    language_features: WgslLanguageFeatures,
    devices: GpuDevice,
    queues: GpuQueue,
    buffers: GpuBuffer,
    textures: GpuTexture,
    views: GpuTextureView,
    samplers: GpuSampler,
    bind_group_layouts: GpuBindGroupLayout,
    pipeline_layouts: GpuPipelineLayout,
    bind_groups: GpuBindGroup,
    modules: GpuShaderModule,
    compilation_infos: GpuCompilationInfo,
    compilation_messages: GpuCompilationMessage,
    compute_pipelines: GpuComputePipeline,
    render_pipelines: GpuRenderPipeline,
    query_sets: GpuQuerySet,
    encoders: GpuCommandEncoder,
    compute_passes: GpuComputePassEncoder,
    render_passes: GpuRenderPassEncoder,
    bundle_encoders: GpuRenderBundleEncoder,
    bundles: GpuRenderBundle,
    command_buffers: GpuCommandBuffer,
    errors: GpuError,
    error_streams: StreamReader<GpuError>,
    lost_infos: GpuDeviceLostInfo,
    constants: RecordGpuPipelineConstantValue,
    wanted_limits: RecordOptionGpuSize64,
    surfaces: Surface,
    surface_events: SurfaceEvents,
    canvases: Canvas,
    window_canvases: GpuCanvasContext,
    error_events: GpuUncapturedErrorEvent,
    error_event_streams: StreamReader<GpuUncapturedErrorEvent>,
    pictures: surface_frame_buffer::Context,
    picture_buffers: Buffer,
}
