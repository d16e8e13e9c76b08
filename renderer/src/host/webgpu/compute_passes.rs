//! Compute passes (<https://www.w3.org/TR/webgpu/#compute-passes>).

use wasmtime::component::Resource;

use super::bindings::wasi::webgpu::webgpu as wit;
use super::buffers::Buffer;
use super::command_encoding::CommandEncoder;
use super::passes::Pass;
use super::pipelines::ComputePipeline;
use super::queries::NO_QUERIES;
use super::{WebGpuCtxView, labels};

/// `gpu-compute-pass-encoder`
pub type ComputePass = Pass<wgpu::ComputePass<'static>>;

impl WebGpuCtxView<'_> {
    /// <https://www.w3.org/TR/webgpu/#dom-gpucommandencoder-begincomputepass>
    pub(super) fn make_compute_pass(
        &mut self,
        encoder: &Resource<CommandEncoder>,
        descriptor: Option<wit::GpuComputePassDescriptor>,
    ) -> wasmtime::Result<Resource<ComputePass>> {
        let recording = self.recording(encoder)?;
        let (label, writes) = match descriptor {
            Some(descriptor) => (labels::of(descriptor.label), descriptor.timestamp_writes),
            None => (String::new(), None),
        };
        let timestamp_writes = match &writes {
            Some(writes) => {
                let set = self.table.get(&writes.query_set)?;
                if set.is_empty() {
                    recording.fail(NO_QUERIES);
                }
                Some(wgpu::ComputePassTimestampWrites {
                    query_set: &set.wgpu,
                    beginning_of_pass_write_index: writes.beginning_of_pass_write_index,
                    end_of_pass_write_index: writes.end_of_pass_write_index,
                })
            }
            None => None,
        };
        let descriptor = wgpu::ComputePassDescriptor { label: Some(&label), timestamp_writes };
        // The encoder is locked for as long as the pass lives, which is what the lifetime would say.
        let pass = recording.begin(|encoder| encoder.begin_compute_pass(&descriptor).forget_lifetime());
        Ok(self.table.push(Pass::new(pass, recording, label, ()))?)
    }
}

impl wit::HostGpuComputePassEncoder for WebGpuCtxView<'_> {
    fn set_pipeline(
        &mut self,
        this: Resource<ComputePass>,
        pipeline: Resource<ComputePipeline>,
    ) -> wasmtime::Result<()> {
        let pipeline = self.table.get(&pipeline)?;
        let pass = self.table.get(&this)?;
        pass.record_pipeline(pipeline.immediate_bytes, |pass| pass.set_pipeline(&pipeline.wgpu));
        Ok(())
    }

    fn dispatch_workgroups(
        &mut self,
        this: Resource<ComputePass>,
        workgroup_count_x: u32,
        workgroup_count_y: Option<u32>,
        workgroup_count_z: Option<u32>,
    ) -> wasmtime::Result<()> {
        let (y, z) = (workgroup_count_y.unwrap_or(1), workgroup_count_z.unwrap_or(1));
        self.table.get(&this)?.record(0, |pass| pass.dispatch_workgroups(workgroup_count_x, y, z));
        Ok(())
    }

    fn dispatch_workgroups_indirect(
        &mut self,
        this: Resource<ComputePass>,
        indirect_buffer: Resource<Buffer>,
        indirect_offset: u64,
    ) -> wasmtime::Result<()> {
        let buffer = &self.table.get(&indirect_buffer)?.wgpu;
        self.table.get(&this)?.record(0, |pass| pass.dispatch_workgroups_indirect(buffer, indirect_offset));
        Ok(())
    }

    fn end(&mut self, this: Resource<ComputePass>) -> wasmtime::Result<()> {
        self.table.get(&this)?.end();
        Ok(())
    }

    super::commands::debug_commands!(ComputePass);
    super::commands::binding_commands!(ComputePass);
    super::object_base!(ComputePass);
}
