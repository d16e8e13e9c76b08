//! The device of a scene, and helpers for the calls that WebGPU makes long. Nothing here is needed to draw: it only shortens.

#[expect(
    clippy::wildcard_imports,
    reason = "most of what WebGPU has to describe things is shortened here"
)]
use crate::webgpu::*;
use crate::{
    Size, Target,
    surface::{
        CreateDesc, Surface,
        surface_webgpu::{Context, ContextConfiguration},
    },
};

/// A device and its queue, with the format of the surface.
#[derive(Debug)]
pub struct Gpu {
    device: GpuDevice,
    queue: GpuQueue,
    format: GpuTextureFormat,
}

impl Gpu {
    /// Asks for a device with what every device has. [`crate::Scene::new`] is given one.
    pub async fn request() -> Self {
        let gpu = get_gpu();
        let adapter = gpu.request_adapter(None).await.expect("the host has a GPU adapter");
        let device = adapter.request_device(None).await.expect("the adapter gives a device");
        let queue = device.queue();
        let format = gpu.get_preferred_canvas_format();
        Self { device, queue, format }
    }

    /// A device that was asked for with more than [`Gpu::request`] asks for, and its queue.
    pub fn of(device: GpuDevice) -> Self {
        let queue = device.queue();
        Self { device, queue, format: get_gpu().get_preferred_canvas_format() }
    }

    /// Opens the window, as large as its viewers want it, for pictures that this device draws. [`crate::export_scene!`] does it by itself.
    pub fn open_window(&self) -> (Surface, Context) {
        let surface = Surface::new(CreateDesc { width: None, height: None });
        let context = Context::new(&surface);
        context.configure(&ContextConfiguration {
            device: &self.device,
            format: self.format,
            usage: None,
            view_formats: None,
            color_space: None,
            tone_mapping: None,
            alpha_mode: None,
        });
        (surface, context)
    }

    pub fn device(&self) -> &GpuDevice {
        &self.device
    }

    pub fn queue(&self) -> &GpuQueue {
        &self.queue
    }

    /// The format of [`Target::view`]: the one that the host prefers for its surface. Colours are written as a screen takes them,
    /// that is, encoded as sRGB.
    pub fn format(&self) -> GpuTextureFormat {
        self.format
    }

    /// Compiles WGSL.
    pub fn shader(&self, label: &str, code: &str) -> GpuShaderModule {
        self.device.create_shader_module(&GpuShaderModuleDescriptor {
            code: code.into(),
            compilation_hints: None,
            label: Some(label.into()),
        })
    }

    /// A buffer that holds `contents`, whose length is a multiple of four.
    pub fn buffer(&self, label: &str, usage: GpuBufferUsage, contents: &[u8]) -> GpuBuffer {
        let buffer = self.device.create_buffer(&GpuBufferDescriptor {
            size: contents.len() as u64,
            usage: usage | GpuBufferUsage::COPY_DST,
            mapped_at_creation: None,
            label: Some(label.into()),
        });
        self.write(&buffer, contents);
        buffer
    }

    /// Replaces the beginning of a buffer. Comes before everything that is submitted later.
    pub fn write(&self, buffer: &GpuBuffer, contents: &[u8]) {
        self.queue
            .write_buffer_with_copy(buffer, 0, contents, None, None)
            .expect("the contents are a multiple of four bytes long");
    }

    /// A texture of two dimensions.
    pub fn texture(&self, texture: &Texture) -> GpuTexture {
        self.device.create_texture(&GpuTextureDescriptor {
            size: extent(texture.size),
            mip_level_count: Some(texture.mip_level_count),
            sample_count: Some(texture.sample_count),
            dimension: None,
            format: texture.format,
            usage: texture.usage,
            view_formats: None,
            texture_binding_view_dimension: None,
            label: Some(texture.label.into()),
        })
    }

    /// Fills one level of a texture with rows of `bytes_per_row` bytes.
    pub fn write_texture(
        &self,
        texture: &GpuTexture,
        mip_level: u32,
        size: Size,
        bytes_per_row: u32,
        pixels: &[u8],
    ) {
        self.queue.write_texture_with_copy(
            &GpuTexelCopyTextureInfo { texture, mip_level: Some(mip_level), origin: None, aspect: None },
            pixels,
            GpuTexelCopyBufferLayout {
                offset: None,
                bytes_per_row: Some(bytes_per_row),
                rows_per_image: None,
            },
            extent(size),
        );
    }

    /// A bind group whose entries are bound to 0, 1, 2, and so on.
    pub fn bind_group(
        &self,
        label: &str,
        layout: &GpuBindGroupLayout,
        resources: Vec<GpuBindingResource<'_>>,
    ) -> GpuBindGroup {
        let entries = (0..).zip(resources).map(|(binding, resource)| GpuBindGroupEntry { binding, resource });
        self.device.create_bind_group(&GpuBindGroupDescriptor {
            layout,
            entries: entries.collect(),
            label: Some(label.into()),
        })
    }

    /// Compiles a pipeline.
    pub fn render_pipeline(&self, pipeline: RenderPipeline<'_>) -> GpuRenderPipeline {
        let layout = pipeline.bind_group_layout.map(|layout| {
            self.device.create_pipeline_layout(&GpuPipelineLayoutDescriptor {
                bind_group_layouts: vec![Some(layout)],
                immediate_size: None,
                label: Some(pipeline.label.into()),
            })
        });
        let fragment = pipeline.fragment_entry_point.map(|entry_point| GpuFragmentState {
            targets: vec![Some(GpuColorTargetState { format: self.format, blend: None, write_mask: None })],
            module: pipeline.shader,
            entry_point: Some(entry_point.into()),
            constants: None,
        });
        self.device.create_render_pipeline(GpuRenderPipelineDescriptor {
            vertex: GpuVertexState {
                buffers: Some(pipeline.vertex_buffers.into_iter().map(Some).collect()),
                module: pipeline.shader,
                entry_point: Some(pipeline.vertex_entry_point.into()),
                constants: None,
            },
            primitive: Some(GpuPrimitiveState {
                topology: None,
                strip_index_format: None,
                front_face: None,
                cull_mode: pipeline.cull_mode,
                unclipped_depth: None,
            }),
            depth_stencil: pipeline.depth,
            multisample: Some(GpuMultisampleState {
                count: Some(pipeline.sample_count),
                mask: None,
                alpha_to_coverage_enabled: None,
            }),
            fragment,
            layout: layout.as_ref().map_or(GpuLayoutMode::Auto, GpuLayoutMode::Specific),
            label: Some(pipeline.label.into()),
        })
    }

    /// Sends recorded commands to the GPU.
    #[expect(clippy::needless_pass_by_value, reason = "an encoder is of no use once it is finished")]
    pub fn submit(&self, encoder: GpuCommandEncoder) {
        let commands = encoder.finish(None);
        self.queue.submit(&[&commands]);
    }
}

/// What [`Gpu::texture`] creates.
#[derive(Clone, Copy, Debug)]
pub struct Texture<'a> {
    pub label: &'a str,
    pub size: Size,
    pub format: GpuTextureFormat,
    pub usage: GpuTextureUsage,
    pub mip_level_count: u32,
    pub sample_count: u32,
}

/// What [`Gpu::render_pipeline`] creates: triangles, drawn opaquely onto the surface's format.
#[derive(Debug)]
pub struct RenderPipeline<'a> {
    pub label: &'a str,
    pub shader: &'a GpuShaderModule,
    pub vertex_entry_point: &'a str,
    /// `None` draws depth alone.
    pub fragment_entry_point: Option<&'a str>,
    pub vertex_buffers: Vec<GpuVertexBufferLayout>,
    /// Group 0. `None` takes the layout from the shader.
    pub bind_group_layout: Option<&'a GpuBindGroupLayout>,
    pub cull_mode: Option<GpuCullMode>,
    pub depth: Option<GpuDepthStencilState>,
    pub sample_count: u32,
}

/// A depth test without stencil and bias.
pub fn depth_state(
    format: GpuTextureFormat,
    write: bool,
    compare: GpuCompareFunction,
) -> GpuDepthStencilState {
    GpuDepthStencilState {
        format,
        depth_write_enabled: Some(write),
        depth_compare: Some(compare),
        stencil_front: None,
        stencil_back: None,
        stencil_read_mask: None,
        stencil_write_mask: None,
        depth_bias: None,
        depth_bias_slope_scale: None,
        depth_bias_clamp: None,
    }
}

impl Target {
    /// Begins a pass that fills the target with an opaque colour and draws on it, without depth.
    pub fn begin_pass(&self, encoder: &GpuCommandEncoder, [r, g, b]: [f64; 3]) -> GpuRenderPassEncoder {
        encoder.begin_render_pass(&GpuRenderPassDescriptor {
            color_attachments: vec![Some(GpuRenderPassColorAttachment {
                view: &self.view,
                depth_slice: None,
                resolve_target: None,
                clear_value: Some(GpuColor { r, g, b, a: 1.0 }),
                load_op: GpuLoadOp::Clear,
                store_op: GpuStoreOp::Store,
            })],
            depth_stencil_attachment: None,
            occlusion_query_set: None,
            timestamp_writes: None,
            max_draw_count: None,
            label: None,
        })
    }
}

fn extent(size: Size) -> GpuExtent3D {
    GpuExtent3D { width: size.width, height: Some(size.height), depth_or_array_layers: None }
}
