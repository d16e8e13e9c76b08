//! The machine's GPU: opening it, keeping it polled, and compiling shaders where their nesting cannot hurt.
//!
//! Nothing here knows scenes or wasm. What a scene may do with the GPU is decided in [`host::webgpu`](crate::host::webgpu).

mod poll;
mod shader_compiler;
mod workgroup_memory;

use std::sync::Arc;

use futures::FutureExt as _;
use renderer_protocol::AdapterInfo;

pub use self::poll::{PollFailure, Poller, poll_device};
pub use self::shader_compiler::{
    CompileError, MAX_FUNCTION_BYTES, MAX_SHADER_NESTING, MAX_WAITING_BYTES, QueueFull, ShaderCompiler,
    check_source,
};
pub use self::workgroup_memory::{may_use_workgroup_memory, workgroup_bytes};

/// What to draw with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// The best Vulkan adapter of the machine; a software rasteriser if there is no other.
    Vulkan,
    /// An adapter that draws nothing, to measure everything else.
    Noop,
}

/// Why no GPU could be opened.
#[derive(Debug, thiserror::Error)]
pub enum GpuError {
    /// There is no driver.
    #[error(
        "no Vulkan adapter was found: install a Vulkan driver (the software one is in Debian's and Ubuntu's package mesa-vulkan-drivers)"
    )]
    NoAdapter,
    /// A thread could not be started.
    #[error("the thread {name} could not be started: {source}")]
    Thread {
        /// Its name.
        name: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// Waits for the end of a thread, unless it is the one that asks: the last handle may be dropped by a callback on the thread itself.
fn join(thread: Option<std::thread::JoinHandle<()>>) {
    if let Some(thread) = thread.filter(|thread| thread.thread().id() != std::thread::current().id()) {
        // A panic was reported where it happened.
        let _ = thread.join();
    }
}

/// An opened adapter, from which any number of devices can be asked.
pub struct Gpu {
    instance: wgpu::Instance,
    adapter: wgpu::Adapter,
    info: wgpu::AdapterInfo,
    compiler: ShaderCompiler,
}

impl Gpu {
    /// Opens the best adapter of `backend`: hardware before software, discrete before integrated.
    ///
    /// The environment has no say: wgpu's `WGPU_*` variables can switch protections off, and so they are not read.
    pub fn open(backend: Backend) -> Result<Arc<Self>, GpuError> {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
        descriptor.backends = match backend {
            Backend::Vulkan => wgpu::Backends::VULKAN,
            Backend::Noop => wgpu::Backends::NOOP,
        };
        // Indirect arguments are a scene's, so they are checked; the feature set is WebGPU's, so that a scene that runs here runs
        // elsewhere; and timestamps are nanoseconds, as WebGPU says.
        descriptor.flags = wgpu::InstanceFlags::VALIDATION_INDIRECT_CALL
            | wgpu::InstanceFlags::STRICT_WEBGPU_COMPLIANCE
            | wgpu::InstanceFlags::AUTOMATIC_TIMESTAMP_NORMALIZATION;
        descriptor.backend_options.noop.enable = backend == Backend::Noop;
        let backends = descriptor.backends;
        let instance = wgpu::Instance::new(descriptor);
        // Without a browser in between, wgpu's futures are ready when they are made.
        let adapters = instance.enumerate_adapters(backends).now_or_never().unwrap_or_default();
        let adapter = adapters
            .into_iter()
            .min_by_key(|adapter| rank(adapter.get_info().device_type))
            .ok_or(GpuError::NoAdapter)?;
        let info = adapter.get_info();
        Ok(Arc::new(Self { instance, adapter, info, compiler: ShaderCompiler::start()? }))
    }

    /// What was opened, for people.
    pub fn info(&self) -> AdapterInfo {
        let driver = match (self.info.driver.as_str(), self.info.driver_info.as_str()) {
            (driver, "") => driver.to_owned(),
            ("", info) => info.to_owned(),
            (driver, info) => format!("{driver} {info}"),
        };
        AdapterInfo { name: self.info.name.clone(), driver, is_cpu: self.is_cpu() }
    }

    /// True for a software rasteriser: what costs a GPU little then costs the same cores that the scene and the encoder need.
    pub fn is_cpu(&self) -> bool {
        self.info.device_type == wgpu::DeviceType::Cpu
    }

    /// The instance that the adapter is of.
    pub fn instance(&self) -> &wgpu::Instance {
        &self.instance
    }

    /// The adapter, to ask for devices.
    pub fn adapter(&self) -> &wgpu::Adapter {
        &self.adapter
    }

    /// All that the driver says about itself.
    pub fn wgpu_info(&self) -> &wgpu::AdapterInfo {
        &self.info
    }

    /// Where shaders and pipelines are compiled.
    pub fn compiler(&self) -> &ShaderCompiler {
        &self.compiler
    }
}

fn rank(kind: wgpu::DeviceType) -> u8 {
    match kind {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_process::is_alone;

    #[test]
    fn the_machine_has_a_vulkan_adapter_and_it_has_a_name() {
        let gpu = Gpu::open(Backend::Vulkan).unwrap();
        assert!(!gpu.info().name.is_empty());
        assert!(!gpu.info().driver.is_empty());
    }

    /// How often a compute shader runs that is dispatched indirectly with one workgroup more than a device allows.
    fn runs_of_a_dispatch_beyond_the_limit(adapter: &wgpu::Adapter) -> u32 {
        let (device, queue) =
            adapter.request_device(&wgpu::DeviceDescriptor::default()).now_or_never().unwrap().unwrap();
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: None,
            source: wgpu::ShaderSource::Wgsl(
                "@group(0) @binding(0) var<storage, read_write> runs: atomic<u32>;
                @compute @workgroup_size(1) fn main() { atomicAdd(&runs, 1u); }"
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
        let buffer = |size, usage| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size,
                usage,
                mapped_at_creation: false,
            })
        };
        let runs = buffer(4, wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC);
        let counts = buffer(12, wgpu::BufferUsages::INDIRECT | wgpu::BufferUsages::COPY_DST);
        let read = buffer(4, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
        let beyond = device.limits().max_compute_workgroups_per_dimension + 1;
        queue.write_buffer(&counts, 0, bytemuck::cast_slice(&[beyond, 1, 1]));
        let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &pipeline.get_bind_group_layout(0),
            entries: &[wgpu::BindGroupEntry { binding: 0, resource: runs.as_entire_binding() }],
        });
        let mut commands = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = commands.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            pass.set_pipeline(&pipeline);
            pass.set_bind_group(0, &group, &[]);
            pass.dispatch_workgroups_indirect(&counts, 0);
        }
        commands.copy_buffer_to_buffer(&runs, 0, &read, 0, 4);
        queue.submit([commands.finish()]);
        read.slice(..).map_async(wgpu::MapMode::Read, Result::unwrap);
        device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
        let bytes = read.slice(..).get_mapped_range().unwrap().to_vec();
        u32::from_ne_bytes(bytes.try_into().unwrap())
    }

    #[test]
    fn row_26_the_environment_switches_no_protection_off() {
        let hostile = [
            ("WGPU_VALIDATION_INDIRECT_CALL", "0"),
            ("WGPU_VALIDATION", "0"),
            ("WGPU_STRICT_WEBGPU_COMPLIANCE", "0"),
            ("WGPU_BACKEND", "noop"),
        ];
        if !is_alone(&hostile) {
            return;
        }
        let gpu = Gpu::open(Backend::Vulkan).unwrap();
        assert_eq!(gpu.wgpu_info().backend, wgpu::Backend::Vulkan);
        assert_eq!(runs_of_a_dispatch_beyond_the_limit(gpu.adapter()), 0);
        // The variable does what it says to an instance that reads it.
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
        descriptor.backends = wgpu::Backends::VULKAN;
        let careless = wgpu::Instance::new(descriptor);
        let adapters = careless.enumerate_adapters(wgpu::Backends::VULKAN).now_or_never().unwrap();
        assert_ne!(runs_of_a_dispatch_beyond_the_limit(adapters.first().unwrap()), 0);
    }

    #[test]
    fn hardware_is_preferred_to_software() {
        assert!(rank(wgpu::DeviceType::DiscreteGpu) < rank(wgpu::DeviceType::IntegratedGpu));
        assert!(rank(wgpu::DeviceType::Other) < rank(wgpu::DeviceType::Cpu));
    }
}
