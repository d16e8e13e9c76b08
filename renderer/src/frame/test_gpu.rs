//! A device on the software driver for the tests of this module.

use renderer_protocol::FrameSize;

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// A device and its queue.
pub(crate) fn open() -> (wgpu::Device, wgpu::Queue) {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: wgpu::Backends::VULKAN,
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let adapter = block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default()))
        .expect("a Vulkan adapter; install mesa-vulkan-drivers and libvulkan1");
    block_on(adapter.request_device(&wgpu::DeviceDescriptor::default())).expect("a device")
}

/// A texture with the given bytes a pixel, that any capture can read.
pub(crate) fn texture(
    (device, queue): (&wgpu::Device, &wgpu::Queue),
    size: FrameSize,
    format: wgpu::TextureFormat,
    pixel: impl Fn(u32, u32) -> Vec<u8>,
) -> wgpu::Texture {
    let extent = wgpu::Extent3d { width: size.width(), height: size.height(), depth_or_array_layers: 1 };
    let texture = device.create_texture(&wgpu::TextureDescriptor {
        label: None,
        size: extent,
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format,
        usage: wgpu::TextureUsages::COPY_DST
            | wgpu::TextureUsages::RENDER_ATTACHMENT
            | super::Capture::texture_usages(true, format)
            | super::Capture::texture_usages(false, format),
        view_formats: &super::Capture::view_formats(false, format),
    });
    write(queue, &texture, pixel);
    texture
}

/// Gives a texture new contents.
pub(crate) fn write(queue: &wgpu::Queue, texture: &wgpu::Texture, pixel: impl Fn(u32, u32) -> Vec<u8>) {
    let bytes: Vec<u8> = (0..texture.height())
        .flat_map(|y| (0..texture.width()).map(move |x| (x, y)))
        .flat_map(|(x, y)| pixel(x, y))
        .collect();
    let bytes_per_row = u32::try_from(bytes.len()).unwrap() / texture.height();
    queue.write_texture(
        texture.as_image_copy(),
        &bytes,
        wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(bytes_per_row), rows_per_image: None },
        texture.size(),
    );
}

/// Submits work that a software driver needs about a second for.
pub(crate) fn keep_busy(device: &wgpu::Device, queue: &wgpu::Queue) {
    keep_busy_for(device, queue, 1000);
}

/// Submits work that a software driver needs about this many milliseconds for.
pub(crate) fn keep_busy_for(device: &wgpu::Device, queue: &wgpu::Queue, duration_ms: u32) {
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: None,
        source: wgpu::ShaderSource::Wgsl(
            "@group(0) @binding(0) var<storage, read_write> sum: atomic<u32>;
            @compute @workgroup_size(1) fn main() { for (var i = 0u; i < 60000u; i++) { atomicAdd(&sum, i); } }"
                .into(),
        ),
    });
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: None,
        layout: None,
        module: &module,
        entry_point: None,
        compilation_options: wgpu::PipelineCompilationOptions::default(),
        cache: None,
    });
    let sum = device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: 4,
        usage: wgpu::BufferUsages::STORAGE,
        mapped_at_creation: false,
    });
    let bind_group = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout: &pipeline.get_bind_group_layout(0),
        entries: &[wgpu::BindGroupEntry { binding: 0, resource: sum.as_entire_binding() }],
    });
    let mut commands = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    {
        let mut pass = commands.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &bind_group, &[]);
        pass.dispatch_workgroups(duration_ms * 4, 1, 1);
    }
    queue.submit([commands.finish()]);
}
