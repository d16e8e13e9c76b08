//! What a topic computes with: pipelines whose results are words in a storage buffer.

use kit::webgpu::*;

use crate::Topic;

/// The words of a buffer's bytes.
pub fn words(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect()
}

/// All of a buffer, as what a bind group binds.
pub fn whole(buffer: &GpuBuffer) -> GpuBindingResource<'_> {
    GpuBindingResource::GpuBuffer(buffer)
}

/// A compute stage without an entry point's name and constants.
pub fn stage(module: &GpuShaderModule) -> GpuProgrammableStage<'_> {
    GpuProgrammableStage { module, entry_point: None, constants: None }
}

/// A compute pipeline whose layout comes from its shader.
pub fn pipeline(module: &GpuShaderModule) -> GpuComputePipelineDescriptor<'_> {
    GpuComputePipelineDescriptor { compute: stage(module), layout: GpuLayoutMode::Auto, label: None }
}

impl Topic {
    /// A compute pipeline of WGSL with one entry point, whose layout comes from the shader.
    pub fn compute_pipeline(&self, code: &str) -> GpuComputePipeline {
        self.device().create_compute_pipeline(pipeline(&self.shader(code)))
    }

    /// A bind group for a group of a pipeline's own layout, whose entries are bound to 0, 1, 2, and so on.
    pub fn group_of(
        &self,
        pipeline: &GpuComputePipeline,
        group: u32,
        resources: Vec<GpuBindingResource<'_>>,
    ) -> GpuBindGroup {
        self.gpu.bind_group("", &pipeline.get_bind_group_layout(group), resources)
    }

    /// A buffer of zeros that a shader may write and that can be read back.
    pub fn storage(&self, size: u64) -> GpuBuffer {
        self.empty_buffer(GpuBufferUsage::STORAGE | GpuBufferUsage::COPY_SRC | GpuBufferUsage::COPY_DST, size)
    }

    /// Records a compute pass, and submits it.
    pub fn compute_pass<R>(&self, record: impl FnOnce(&GpuComputePassEncoder) -> R) -> R {
        self.submit(|encoder| {
            let pass = encoder.begin_compute_pass(None);
            let result = record(&pass);
            pass.end();
            result
        })
    }
}
