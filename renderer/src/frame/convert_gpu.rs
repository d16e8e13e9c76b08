//! RGBA to I420 in a compute shader, for adapters that are GPUs: what crosses the bus is then 1.5 bytes a pixel instead of 4 (or
//! 8), and the processor is left with one copy. Also for half-float pictures on any adapter.

use renderer_protocol::FrameSize;

use super::i420::Layout;

/// One invocation converts this many pixels…
const PIXELS_PER_INVOCATION: (u32, u32) = (8, 2);
/// …and a workgroup is this many invocations a side. Both are written in the shader, too.
const WORKGROUP_SIDE: u32 = 8;

/// The compiled shader; independent of the picture's size.
#[derive(Clone, Debug)]
pub(super) struct Converter {
    pipeline: wgpu::ComputePipeline,
}

/// What the shader needs for pictures of one size.
#[derive(Debug)]
pub(super) struct ConverterBuffers {
    layout: Layout,
    planes: wgpu::Buffer,
    uniform: wgpu::Buffer,
}

impl Converter {
    pub(super) fn new(device: &wgpu::Device) -> Self {
        let module = device.create_shader_module(wgpu::include_wgsl!("convert_gpu.wgsl"));
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some("RGBA to I420"),
            layout: None,
            module: &module,
            entry_point: None,
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: None,
        });
        Self { pipeline }
    }

    /// Appends the conversion of `texture` and the copy of the result into `destination`, which has the picture's
    /// [`Layout::total_bytes`].
    pub(super) fn encode(
        &self,
        device: &wgpu::Device,
        commands: &mut wgpu::CommandEncoder,
        texture: &wgpu::Texture,
        buffers: &ConverterBuffers,
        destination: &wgpu::Buffer,
    ) {
        // The stored bytes are what is shown, so the view must not linearise them.
        let view = texture.create_view(&wgpu::TextureViewDescriptor {
            format: Some(texture.format().remove_srgb_suffix()),
            usage: Some(wgpu::TextureUsages::TEXTURE_BINDING),
            ..Default::default()
        });
        let bind_group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("RGBA to I420"),
            layout: &self.pipeline.get_bind_group_layout(0),
            entries: &[
                wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::TextureView(&view) },
                wgpu::BindGroupEntry { binding: 1, resource: buffers.planes.as_entire_binding() },
                wgpu::BindGroupEntry { binding: 2, resource: buffers.uniform.as_entire_binding() },
            ],
        });
        let size = buffers.layout.size();
        {
            let mut pass = commands.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            pass.set_pipeline(&self.pipeline);
            pass.set_bind_group(0, &bind_group, &[]);
            pass.dispatch_workgroups(
                size.width().div_ceil(PIXELS_PER_INVOCATION.0 * WORKGROUP_SIDE),
                size.height().div_ceil(PIXELS_PER_INVOCATION.1 * WORKGROUP_SIDE),
                1,
            );
        }
        commands.copy_buffer_to_buffer(
            &buffers.planes,
            0,
            destination,
            0,
            u64::from(buffers.layout.total_bytes()),
        );
    }
}

impl ConverterBuffers {
    pub(super) fn new(device: &wgpu::Device, queue: &wgpu::Queue, size: FrameSize) -> Self {
        let layout = Layout::new(size);
        let planes = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("I420 planes"),
            size: layout.total_bytes().into(),
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        let u_offset = layout.luma_bytes() / 4;
        // The fields of `Layout` in the shader, then padding to the multiple of 8 that a uniform with a vec2 has anyway.
        let fields: [u32; 6] = [
            size.width(),
            size.height(),
            layout.luma_stride() / 4,
            layout.chroma_stride() / 4,
            u_offset,
            u_offset + layout.chroma_bytes() / 4,
        ];
        let uniform = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("I420 layout"),
            size: size_of_val(&fields) as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        queue.write_buffer(&uniform, 0, bytemuck::cast_slice(&fields));
        Self { layout, planes, uniform }
    }
}
