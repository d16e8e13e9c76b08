//! Render passes (<https://www.w3.org/TR/webgpu/#render-passes>). A scene calls these thousands of times a frame: they allocate
//! nothing, take no lock, and leave all checks that wgpu makes to wgpu.

use std::cell::RefCell;
use std::ops::Range;

use wasmtime::component::Resource;

use super::bind_groups::{BindGroup, dynamic_offsets};
use super::bindings::wasi::webgpu::webgpu as wit;
use super::buffers::Buffer;
use super::bundles::RenderBundle;
use super::command_encoding::{CommandEncoder, PassState, Recording};
use super::pipelines::RenderPipeline;
use super::{WebGpuCtxView, convert, labels};

/// `gpu-render-pass-encoder`
pub struct RenderPass {
    // A cell, so that the pass and what a command names can be borrowed from the table together.
    pass: RefCell<PassState<wgpu::RenderPass<'static>>>,
    recording: Recording,
    label: String,
}

impl RenderPass {
    fn record(&self, command: impl FnOnce(&mut wgpu::RenderPass<'static>)) {
        self.pass.borrow_mut().record(&self.recording, command);
    }

    /// A draw of `count` from `first` on; wgpu wants ranges, which must not wrap.
    fn draw(
        &self,
        elements: Option<Range<u32>>,
        instances: Option<Range<u32>>,
        draw: impl FnOnce(&mut wgpu::RenderPass<'static>, Range<u32>, Range<u32>),
    ) {
        match (elements, instances) {
            (Some(elements), Some(instances)) => self.record(|pass| draw(pass, elements, instances)),
            _ => self.recording.fail(DRAW_TOO_FAR),
        }
    }
}

/// `count` things from `first` on, where the standard's defaults are one thing and the first.
pub(super) fn span(count: u32, first: Option<u32>) -> Option<Range<u32>> {
    let first = first.unwrap_or(0);
    Some(first..first.checked_add(count)?)
}

/// The parts of a depth-stencil attachment, checked where wgpu cannot say what WebGPU says.
/// <https://www.w3.org/TR/webgpu/#abstract-opdef-gpurenderpassdepthstencilattachment-gpurenderpassdepthstencilattachment-valid-usage>
fn operations<V>(
    aspect: &str,
    present: bool,
    read_only: bool,
    load: Option<wit::GpuLoadOp>,
    store: Option<wit::GpuStoreOp>,
    clear: Option<V>,
) -> Result<Option<wgpu::Operations<V>>, String> {
    match (load, store) {
        (None, None) if present && !read_only => Err(format!(
            "the {aspect} of the attachment needs a load and a store operation, or must be read-only"
        )),
        (None, None) => Ok(None),
        (Some(_), _) | (_, Some(_)) if !present || read_only => Err(format!(
            "the {aspect} of the attachment is read-only or does not exist, and must have no load or store operation"
        )),
        (Some(load), Some(store)) => {
            let load = match (load, clear) {
                (wit::GpuLoadOp::Load, _) => wgpu::LoadOp::Load,
                (wit::GpuLoadOp::Clear, Some(value)) => wgpu::LoadOp::Clear(value),
                (wit::GpuLoadOp::Clear, None) => {
                    return Err(format!(
                        "the {aspect} of the attachment is cleared, and needs a clear value"
                    ));
                }
            };
            Ok(Some(wgpu::Operations { load, store: store.into() }))
        }
        _ => Err(format!("the {aspect} of the attachment needs both a load and a store operation")),
    }
}

impl WebGpuCtxView<'_> {
    /// <https://www.w3.org/TR/webgpu/#dom-gpucommandencoder-beginrenderpass>
    pub(super) fn make_render_pass(
        &mut self,
        encoder: &Resource<CommandEncoder>,
        descriptor: wit::GpuRenderPassDescriptor,
    ) -> wasmtime::Result<Resource<RenderPass>> {
        let recording = self.recording(encoder)?;
        let label = labels::of(descriptor.label);
        let mut colors = Vec::with_capacity(descriptor.color_attachments.len());
        for attachment in &descriptor.color_attachments {
            let Some(attachment) = attachment else {
                colors.push(None);
                continue;
            };
            let view = self.table.get(&attachment.view)?;
            recording.uses(view.life.as_ref());
            let resolve_target = match &attachment.resolve_target {
                Some(target) => {
                    let target = self.table.get(target)?;
                    recording.uses(target.life.as_ref());
                    Some(&target.wgpu)
                }
                None => None,
            };
            colors.push(Some(wgpu::RenderPassColorAttachment {
                view: &view.wgpu,
                depth_slice: attachment.depth_slice,
                resolve_target,
                ops: wgpu::Operations {
                    load: match attachment.load_op {
                        wit::GpuLoadOp::Load => wgpu::LoadOp::Load,
                        wit::GpuLoadOp::Clear => wgpu::LoadOp::Clear(
                            attachment.clear_value.map_or(wgpu::Color::TRANSPARENT, convert::color),
                        ),
                    },
                    store: attachment.store_op.into(),
                },
            }));
        }
        let depth_stencil_attachment = match &descriptor.depth_stencil_attachment {
            Some(attachment) => {
                let view = self.table.get(&attachment.view)?;
                let depth = operations(
                    "depth",
                    view.format.has_depth_aspect(),
                    attachment.depth_read_only.unwrap_or(false),
                    attachment.depth_load_op,
                    attachment.depth_store_op,
                    attachment.depth_clear_value,
                );
                let stencil = operations(
                    "stencil",
                    view.format.has_stencil_aspect(),
                    attachment.stencil_read_only.unwrap_or(false),
                    attachment.stencil_load_op,
                    attachment.stencil_store_op,
                    Some(attachment.stencil_clear_value.unwrap_or(0)),
                );
                let (depth_ops, stencil_ops) = match (depth, stencil) {
                    (Ok(depth), Ok(stencil)) => (depth, stencil),
                    (Err(message), _) | (_, Err(message)) => {
                        recording.fail(message);
                        (None, None)
                    }
                };
                Some(wgpu::RenderPassDepthStencilAttachment { view: &view.wgpu, depth_ops, stencil_ops })
            }
            None => None,
        };
        let timestamp_writes = match &descriptor.timestamp_writes {
            Some(writes) => Some(wgpu::RenderPassTimestampWrites {
                query_set: &self.table.get(&writes.query_set)?.wgpu,
                beginning_of_pass_write_index: writes.beginning_of_pass_write_index,
                end_of_pass_write_index: writes.end_of_pass_write_index,
            }),
            None => None,
        };
        let occlusion_query_set = match &descriptor.occlusion_query_set {
            Some(set) => Some(&self.table.get(set)?.wgpu),
            None => None,
        };
        let descriptor = wgpu::RenderPassDescriptor {
            label: Some(&label),
            color_attachments: &colors,
            depth_stencil_attachment,
            timestamp_writes,
            occlusion_query_set,
            multiview_mask: None,
        };
        // The encoder is locked for as long as the pass lives, which is what the lifetime would say.
        let pass = recording.begin(|encoder| encoder.begin_render_pass(&descriptor).forget_lifetime());
        Ok(self.table.push(RenderPass { pass: RefCell::new(PassState::new(pass)), recording, label })?)
    }
}

impl wit::HostGpuRenderPassEncoder for WebGpuCtxView<'_> {
    fn set_viewport(
        &mut self,
        this: Resource<RenderPass>,
        x: f32,
        y: f32,
        width: f32,
        height: f32,
        min_depth: f32,
        max_depth: f32,
    ) -> wasmtime::Result<()> {
        let render = self.table.get(&this)?;
        render.record(|pass| {
            if [x, y, width, height, min_depth, max_depth].iter().all(|value| value.is_finite()) {
                pass.set_viewport(x, y, width, height, min_depth, max_depth);
            } else {
                // wgpu compares these with its limits, and no comparison with NaN refuses it.
                render.recording.fail("a viewport has a value that is infinite or not a number");
            }
        });
        Ok(())
    }

    fn set_scissor_rect(
        &mut self,
        this: Resource<RenderPass>,
        x: u32,
        y: u32,
        width: u32,
        height: u32,
    ) -> wasmtime::Result<()> {
        self.table.get(&this)?.record(|pass| pass.set_scissor_rect(x, y, width, height));
        Ok(())
    }

    fn set_blend_constant(
        &mut self,
        this: Resource<RenderPass>,
        color: wit::GpuColor,
    ) -> wasmtime::Result<()> {
        self.table.get(&this)?.record(|pass| pass.set_blend_constant(convert::color(color)));
        Ok(())
    }

    fn set_stencil_reference(&mut self, this: Resource<RenderPass>, reference: u32) -> wasmtime::Result<()> {
        self.table.get(&this)?.record(|pass| pass.set_stencil_reference(reference));
        Ok(())
    }

    fn begin_occlusion_query(
        &mut self,
        this: Resource<RenderPass>,
        query_index: u32,
    ) -> wasmtime::Result<()> {
        self.table.get(&this)?.record(|pass| pass.begin_occlusion_query(query_index));
        Ok(())
    }

    fn end_occlusion_query(&mut self, this: Resource<RenderPass>) -> wasmtime::Result<()> {
        self.table.get(&this)?.record(wgpu::RenderPass::end_occlusion_query);
        Ok(())
    }

    fn execute_bundles(
        &mut self,
        this: Resource<RenderPass>,
        bundles: Vec<Resource<RenderBundle>>,
    ) -> wasmtime::Result<()> {
        let pass = self.table.get(&this)?;
        let mut executed = Vec::with_capacity(bundles.len());
        for bundle in &bundles {
            let bundle = self.table.get(bundle)?;
            pass.recording.uses(&bundle.lives);
            match &bundle.wgpu {
                Some(bundle) => executed.push(bundle),
                None => pass.recording.fail("an invalid render bundle was executed"),
            }
        }
        pass.record(|pass| pass.execute_bundles(executed));
        Ok(())
    }

    fn end(&mut self, this: Resource<RenderPass>) -> wasmtime::Result<()> {
        let pass = self.table.get(&this)?;
        pass.pass.borrow_mut().end(&pass.recording);
        Ok(())
    }

    fn push_debug_group(&mut self, this: Resource<RenderPass>, group_label: String) -> wasmtime::Result<()> {
        self.table.get(&this)?.record(|pass| pass.push_debug_group(&labels::bounded(group_label)));
        Ok(())
    }

    fn pop_debug_group(&mut self, this: Resource<RenderPass>) -> wasmtime::Result<()> {
        self.table.get(&this)?.record(wgpu::RenderPass::pop_debug_group);
        Ok(())
    }

    fn insert_debug_marker(
        &mut self,
        this: Resource<RenderPass>,
        marker_label: String,
    ) -> wasmtime::Result<()> {
        self.table.get(&this)?.record(|pass| pass.insert_debug_marker(&labels::bounded(marker_label)));
        Ok(())
    }

    fn set_bind_group(
        &mut self,
        this: Resource<RenderPass>,
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
        this: Resource<RenderPass>,
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

    fn set_pipeline(
        &mut self,
        this: Resource<RenderPass>,
        pipeline: Resource<RenderPipeline>,
    ) -> wasmtime::Result<()> {
        let pipeline = &self.table.get(&pipeline)?.wgpu;
        self.table.get(&this)?.record(|pass| pass.set_pipeline(pipeline));
        Ok(())
    }

    fn set_index_buffer(
        &mut self,
        this: Resource<RenderPass>,
        buffer: Resource<Buffer>,
        index_format: wit::GpuIndexFormat,
        offset: Option<u64>,
        size: Option<u64>,
    ) -> wasmtime::Result<()> {
        let buffer = self.table.get(&buffer)?;
        let pass = self.table.get(&this)?;
        match buffer.range(offset, size) {
            Some(range) if !range.is_empty() => {
                pass.record(|pass| pass.set_index_buffer(buffer.wgpu.slice(range), index_format.into()));
            }
            // wgpu cannot bind no bytes; nothing could be drawn with them either.
            _ => pass.recording.fail(RANGE_OUTSIDE),
        }
        Ok(())
    }

    fn set_vertex_buffer(
        &mut self,
        this: Resource<RenderPass>,
        slot: u32,
        buffer: Option<Resource<Buffer>>,
        offset: Option<u64>,
        size: Option<u64>,
    ) -> wasmtime::Result<()> {
        let pass = self.table.get(&this)?;
        let Some(buffer) = &buffer else {
            pass.record(|pass| pass.set_vertex_buffer(slot, None));
            return Ok(());
        };
        let buffer = self.table.get(buffer)?;
        match buffer.range(offset, size) {
            // wgpu cannot bind no bytes, and binding nothing serves the same draws: those that read nothing.
            Some(range) if range.is_empty() => pass.record(|pass| pass.set_vertex_buffer(slot, None)),
            Some(range) => pass.record(|pass| pass.set_vertex_buffer(slot, buffer.wgpu.slice(range))),
            None => pass.recording.fail(RANGE_OUTSIDE),
        }
        Ok(())
    }

    fn draw(
        &mut self,
        this: Resource<RenderPass>,
        vertex_count: u32,
        instance_count: Option<u32>,
        first_vertex: Option<u32>,
        first_instance: Option<u32>,
    ) -> wasmtime::Result<()> {
        let vertices = span(vertex_count, first_vertex);
        let instances = span(instance_count.unwrap_or(1), first_instance);
        self.table.get(&this)?.draw(vertices, instances, wgpu::RenderPass::draw);
        Ok(())
    }

    fn draw_indexed(
        &mut self,
        this: Resource<RenderPass>,
        index_count: u32,
        instance_count: Option<u32>,
        first_index: Option<u32>,
        base_vertex: Option<i32>,
        first_instance: Option<u32>,
    ) -> wasmtime::Result<()> {
        let indices = span(index_count, first_index);
        let instances = span(instance_count.unwrap_or(1), first_instance);
        self.table.get(&this)?.draw(indices, instances, |pass, indices, instances| {
            pass.draw_indexed(indices, base_vertex.unwrap_or(0), instances);
        });
        Ok(())
    }

    fn draw_indirect(
        &mut self,
        this: Resource<RenderPass>,
        indirect_buffer: Resource<Buffer>,
        indirect_offset: u64,
    ) -> wasmtime::Result<()> {
        let buffer = &self.table.get(&indirect_buffer)?.wgpu;
        self.table.get(&this)?.record(|pass| pass.draw_indirect(buffer, indirect_offset));
        Ok(())
    }

    fn draw_indexed_indirect(
        &mut self,
        this: Resource<RenderPass>,
        indirect_buffer: Resource<Buffer>,
        indirect_offset: u64,
    ) -> wasmtime::Result<()> {
        let buffer = &self.table.get(&indirect_buffer)?.wgpu;
        self.table.get(&this)?.record(|pass| pass.draw_indexed_indirect(buffer, indirect_offset));
        Ok(())
    }

    super::object_base!(RenderPass);
}

pub(super) const DRAW_TOO_FAR: &str = "a draw reaches beyond the 2^32nd vertex, index or instance";
pub(super) const RANGE_OUTSIDE: &str =
    "the range that was to be bound has no bytes or is not within its buffer";
pub(super) const IMMEDIATES_OUT_OF_RANGE: &str =
    "the part of the immediate data that was to be set is not within the data";

/// The part of the data that `set-immediates` means.
/// <https://www.w3.org/TR/webgpu/#dom-gpubindingcommandsmixin-setimmediates>
pub(super) fn immediates(data: &[u8], offset: Option<u64>, size: Option<u64>) -> Option<&[u8]> {
    let rest = data.get(usize::try_from(offset.unwrap_or(0)).ok()?..)?;
    match size {
        Some(size) => rest.get(..usize::try_from(size).ok()?),
        None => Some(rest),
    }
}
