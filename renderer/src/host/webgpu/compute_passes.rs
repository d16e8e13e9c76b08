//! Compute passes (<https://www.w3.org/TR/webgpu/#compute-passes>).

use std::cell::RefCell;

use wasmtime::component::Resource;

use super::WebGpuCtxView;
use super::bind_groups::{BindGroup, dynamic_offsets};
use super::bindings::wasi::webgpu::webgpu as wit;
use super::buffers::Buffer;
use super::command_encoding::{CommandEncoder, PassState, Recording};
use super::labels;
use super::pipelines::ComputePipeline;
use super::render_passes::{IMMEDIATES_OUT_OF_RANGE, immediates};

/// `gpu-compute-pass-encoder`
pub struct ComputePass {
    // A cell, so that the pass and what a command names can be borrowed from the table together.
    pass: RefCell<PassState<wgpu::ComputePass<'static>>>,
    recording: Recording,
    label: String,
}

impl ComputePass {
    fn record(&self, command: impl FnOnce(&mut wgpu::ComputePass<'static>)) {
        self.pass.borrow_mut().record(&self.recording, command);
    }
}

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
            Some(writes) => Some(wgpu::ComputePassTimestampWrites {
                query_set: &self.table.get(&writes.query_set)?.wgpu,
                beginning_of_pass_write_index: writes.beginning_of_pass_write_index,
                end_of_pass_write_index: writes.end_of_pass_write_index,
            }),
            None => None,
        };
        let descriptor = wgpu::ComputePassDescriptor { label: Some(&label), timestamp_writes };
        // The encoder is locked for as long as the pass lives, which is what the lifetime would say.
        let pass = recording.begin(|encoder| encoder.begin_compute_pass(&descriptor).forget_lifetime());
        Ok(self.table.push(ComputePass { pass: RefCell::new(PassState::new(pass)), recording, label })?)
    }
}

impl wit::HostGpuComputePassEncoder for WebGpuCtxView<'_> {
    fn set_pipeline(
        &mut self,
        this: Resource<ComputePass>,
        pipeline: Resource<ComputePipeline>,
    ) -> wasmtime::Result<()> {
        let pipeline = &self.table.get(&pipeline)?.wgpu;
        self.table.get(&this)?.record(|pass| pass.set_pipeline(pipeline));
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
        self.table.get(&this)?.record(|pass| pass.dispatch_workgroups(workgroup_count_x, y, z));
        Ok(())
    }

    fn dispatch_workgroups_indirect(
        &mut self,
        this: Resource<ComputePass>,
        indirect_buffer: Resource<Buffer>,
        indirect_offset: u64,
    ) -> wasmtime::Result<()> {
        let buffer = &self.table.get(&indirect_buffer)?.wgpu;
        self.table.get(&this)?.record(|pass| pass.dispatch_workgroups_indirect(buffer, indirect_offset));
        Ok(())
    }

    fn end(&mut self, this: Resource<ComputePass>) -> wasmtime::Result<()> {
        let pass = self.table.get(&this)?;
        pass.pass.borrow_mut().end(&pass.recording);
        Ok(())
    }

    fn push_debug_group(&mut self, this: Resource<ComputePass>, group_label: String) -> wasmtime::Result<()> {
        self.table.get(&this)?.record(|pass| pass.push_debug_group(&labels::bounded(group_label)));
        Ok(())
    }

    fn pop_debug_group(&mut self, this: Resource<ComputePass>) -> wasmtime::Result<()> {
        self.table.get(&this)?.record(wgpu::ComputePass::pop_debug_group);
        Ok(())
    }

    fn insert_debug_marker(
        &mut self,
        this: Resource<ComputePass>,
        marker_label: String,
    ) -> wasmtime::Result<()> {
        self.table.get(&this)?.record(|pass| pass.insert_debug_marker(&labels::bounded(marker_label)));
        Ok(())
    }

    fn set_bind_group(
        &mut self,
        this: Resource<ComputePass>,
        index: u32,
        bind_group: Option<Resource<BindGroup>>,
        dynamic_offsets_data: Option<Vec<u32>>,
        dynamic_offsets_data_start: Option<u64>,
        dynamic_offsets_data_length: Option<u32>,
    ) -> wasmtime::Result<Result<(), wit::SetBindGroupError>> {
        let offsets = match dynamic_offsets(
            dynamic_offsets_data.as_deref(),
            dynamic_offsets_data_start,
            dynamic_offsets_data_length,
        ) {
            Ok(offsets) => offsets,
            Err(error) => return Ok(Err(error)),
        };
        let pass = self.table.get(&this)?;
        let group = match &bind_group {
            Some(group) => {
                let group = self.table.get(group)?;
                pass.recording.uses(&group.lives);
                Some(&group.wgpu)
            }
            None => None,
        };
        pass.record(|pass| pass.set_bind_group(index, group, offsets));
        Ok(Ok(()))
    }

    fn set_immediates(
        &mut self,
        this: Resource<ComputePass>,
        range_offset: u32,
        data: Vec<u8>,
        data_offset: Option<u64>,
        data_size: Option<u64>,
    ) -> wasmtime::Result<()> {
        let pass = self.table.get(&this)?;
        match immediates(&data, data_offset, data_size) {
            Some(data) => pass.record(|pass| pass.set_immediates(range_offset, data)),
            None => pass.recording.fail(IMMEDIATES_OUT_OF_RANGE),
        }
        Ok(())
    }

    super::object_base!(ComputePass);
}
