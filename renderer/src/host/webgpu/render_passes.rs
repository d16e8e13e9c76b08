//! Render passes (<https://www.w3.org/TR/webgpu/#render-passes>): what only they record.

use std::cell::{Cell, OnceCell};
use std::ops::Range;

use wasmtime::component::Resource;

use super::bindings::wasi::webgpu::webgpu as wit;
use super::buffers::Buffer;
use super::bundles::{Layout, RenderBundle};
use super::command_encoding::CommandEncoder;
use super::commands::{PASS_COMMANDS, RenderCommands};
use super::passes::Pass;
use super::pipelines::RenderPipeline;
use super::queries::{NO_QUERIES, QuerySet};
use super::{WebGpuCtxView, convert, labels};

/// Draws of a pass whose descriptor says nothing of them.
/// <https://www.w3.org/TR/webgpu/#dom-gpurenderpassdescriptor-maxdrawcount>
const DEFAULT_MAX_DRAW_COUNT: u64 = 50_000_000;

/// `gpu-render-pass-encoder`
pub type RenderPass = Pass<wgpu::RenderPass<'static>, RenderState>;

/// What a render pass has that a compute pass has not.
pub struct RenderState {
    /// Draws that its descriptor still allows.
    draws_left: Cell<u64>,
    /// Its occlusion query set has no queries, where wgpu's has one.
    has_no_queries: bool,
    /// What its attachments are.
    layout: Layout,
    /// A bundle of no commands. wgpu resets a pass only after a bundle.
    nothing: OnceCell<Option<wgpu::RenderBundle>>,
}

impl RenderPass {
    /// Draws are about to be recorded.
    /// <https://www.w3.org/TR/webgpu/#dom-gpurenderpassdescriptor-maxdrawcount>
    #[inline]
    fn count_draws(&self, count: u64) {
        match self.own.draws_left.get().checked_sub(count) {
            Some(left) => self.own.draws_left.set(left),
            None => self.refuse("a render pass has more draws than its descriptor's maximum"),
        }
    }

    /// Forgets the pipeline, the bind groups and the buffers that are set.
    /// <https://www.w3.org/TR/webgpu/#abstract-opdef-reset-the-render-pass-binding-state>
    fn reset(&self) {
        let make = || self.own.layout.bundle_of_nothing(self.device());
        match self.own.nothing.get_or_init(make) {
            Some(nothing) => self.record_many(PASS_COMMANDS, 0, |pass| pass.execute_bundles([nothing])),
            None => self.refuse("bundles were executed in a pass whose attachments are wrong"),
        }
    }

    /// Records a draw.
    #[inline]
    fn record_draw(&self, draw: impl FnOnce(&mut wgpu::RenderPass<'static>)) {
        self.count_draws(1);
        self.record(0, draw);
    }
}

impl RenderCommands for RenderPass {
    fn set_pipeline(&self, pipeline: &RenderPipeline) {
        self.record_pipeline(pipeline.immediate_bytes, |pass| pass.set_pipeline(&pipeline.wgpu));
    }

    fn set_index_buffer(&self, buffer: &wgpu::Buffer, format: wgpu::IndexFormat, range: Range<u64>) {
        self.record(0, |pass| pass.set_index_buffer(buffer.slice(range), format));
    }

    fn set_vertex_buffer(&self, slot: u32, buffer: Option<(&wgpu::Buffer, Range<u64>)>) {
        self.record(0, |pass| {
            pass.set_vertex_buffer(slot, buffer.map(|(buffer, range)| buffer.slice(range)));
        });
    }

    #[inline]
    fn draw(&self, vertices: Range<u32>, instances: Range<u32>) {
        self.record_draw(|pass| pass.draw(vertices, instances));
    }

    #[inline]
    fn draw_indexed(&self, indices: Range<u32>, base_vertex: i32, instances: Range<u32>) {
        self.record_draw(|pass| pass.draw_indexed(indices, base_vertex, instances));
    }

    fn draw_indirect(&self, arguments: &Buffer, offset: u64) {
        self.record_draw(|pass| pass.draw_indirect(&arguments.wgpu, offset));
    }

    fn draw_indexed_indirect(&self, arguments: &Buffer, offset: u64) {
        self.record_draw(|pass| pass.draw_indexed_indirect(&arguments.wgpu, offset));
    }
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

type DepthStencilOperations = (Option<wgpu::Operations<f32>>, Option<wgpu::Operations<u32>>);

/// The operations on both aspects of an attachment whose view has this format.
fn depth_stencil_operations(
    format: wgpu::TextureFormat,
    attachment: &wit::GpuRenderPassDepthStencilAttachment,
) -> Result<DepthStencilOperations, String> {
    let depth = operations(
        "depth",
        format.has_depth_aspect(),
        attachment.depth_read_only.unwrap_or(false),
        attachment.depth_load_op,
        attachment.depth_store_op,
        attachment.depth_clear_value,
    )?;
    let stencil = operations(
        "stencil",
        format.has_stencil_aspect(),
        attachment.stencil_read_only.unwrap_or(false),
        attachment.stencil_load_op,
        attachment.stencil_store_op,
        Some(attachment.stencil_clear_value.unwrap_or(0)),
    )?;
    Ok((depth, stencil))
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
        let mut lives = Vec::new();
        let mut wrong = None;
        let mut colors = Vec::with_capacity(descriptor.color_attachments.len());
        let mut formats = Vec::with_capacity(descriptor.color_attachments.len());
        let mut sample_count = 1;
        for attachment in &descriptor.color_attachments {
            let Some(attachment) = attachment else {
                colors.push(None);
                formats.push(None);
                continue;
            };
            let view = self.table.get(&attachment.view)?;
            formats.push(Some(view.format));
            sample_count = view.wgpu.texture().sample_count();
            lives.extend(&view.life);
            if !attachment.clear_value.is_none_or(convert::is_finite) {
                wrong = Some("a clear value is infinite or not a number".to_owned());
            }
            let resolve_target = match &attachment.resolve_target {
                Some(target) => {
                    let target = self.table.get(target)?;
                    lives.extend(&target.life);
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
        let mut depth_stencil_format = None;
        let depth_stencil_attachment = match &descriptor.depth_stencil_attachment {
            Some(attachment) => {
                let view = self.table.get(&attachment.view)?;
                depth_stencil_format = Some(view.format);
                sample_count = view.wgpu.texture().sample_count();
                let (depth_ops, stencil_ops) = depth_stencil_operations(view.format, attachment)
                    .unwrap_or_else(|message| {
                        wrong = Some(message);
                        (None, None)
                    });
                Some(wgpu::RenderPassDepthStencilAttachment { view: &view.wgpu, depth_ops, stencil_ops })
            }
            None => None,
        };
        let timestamp_writes = match &descriptor.timestamp_writes {
            Some(writes) => {
                let set = self.table.get(&writes.query_set)?;
                if set.is_empty() {
                    wrong = Some(NO_QUERIES.to_owned());
                }
                Some(wgpu::RenderPassTimestampWrites {
                    query_set: &set.wgpu,
                    beginning_of_pass_write_index: writes.beginning_of_pass_write_index,
                    end_of_pass_write_index: writes.end_of_pass_write_index,
                })
            }
            None => None,
        };
        let occlusion_query_set = match &descriptor.occlusion_query_set {
            Some(set) => Some(self.table.get(set)?),
            None => None,
        };
        let own = RenderState {
            draws_left: Cell::new(descriptor.max_draw_count.unwrap_or(DEFAULT_MAX_DRAW_COUNT)),
            has_no_queries: occlusion_query_set.is_some_and(QuerySet::is_empty),
            layout: Layout::of_pass(formats, depth_stencil_format, sample_count),
            nothing: OnceCell::new(),
        };
        let descriptor = wgpu::RenderPassDescriptor {
            label: Some(&label),
            color_attachments: &colors,
            depth_stencil_attachment,
            timestamp_writes,
            occlusion_query_set: occlusion_query_set.map(|set| &set.wgpu),
            multiview_mask: None,
        };
        // The encoder is locked for as long as the pass lives, which is what the lifetime would say.
        let pass = recording.begin(|encoder| encoder.begin_render_pass(&descriptor).forget_lifetime());
        let pass = Pass::new(pass, recording, label, own);
        pass.uses(lives);
        if let Some(message) = wrong {
            pass.refuse(message);
        }
        Ok(self.table.push(pass)?)
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
        let pass = self.table.get(&this)?;
        if [x, y, width, height, min_depth, max_depth].iter().all(|value| value.is_finite()) {
            pass.record(0, |pass| pass.set_viewport(x, y, width, height, min_depth, max_depth));
        } else {
            // wgpu compares these with its limits, and no comparison with NaN refuses it.
            pass.refuse("a viewport has a value that is infinite or not a number");
        }
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
        self.table.get(&this)?.record(0, |pass| pass.set_scissor_rect(x, y, width, height));
        Ok(())
    }

    fn set_blend_constant(
        &mut self,
        this: Resource<RenderPass>,
        color: wit::GpuColor,
    ) -> wasmtime::Result<()> {
        let pass = self.table.get(&this)?;
        if convert::is_finite(color) {
            pass.record(0, |pass| pass.set_blend_constant(convert::color(color)));
        } else {
            pass.refuse("a blend constant is infinite or not a number");
        }
        Ok(())
    }

    fn set_stencil_reference(&mut self, this: Resource<RenderPass>, reference: u32) -> wasmtime::Result<()> {
        self.table.get(&this)?.record(0, |pass| pass.set_stencil_reference(reference));
        Ok(())
    }

    fn begin_occlusion_query(
        &mut self,
        this: Resource<RenderPass>,
        query_index: u32,
    ) -> wasmtime::Result<()> {
        let pass = self.table.get(&this)?;
        if pass.own.has_no_queries {
            pass.refuse(NO_QUERIES);
        } else {
            pass.record(0, |pass| pass.begin_occlusion_query(query_index));
        }
        Ok(())
    }

    fn end_occlusion_query(&mut self, this: Resource<RenderPass>) -> wasmtime::Result<()> {
        self.table.get(&this)?.record(0, wgpu::RenderPass::end_occlusion_query);
        Ok(())
    }

    fn execute_bundles(
        &mut self,
        this: Resource<RenderPass>,
        bundles: Vec<Resource<RenderBundle>>,
    ) -> wasmtime::Result<()> {
        let pass = self.table.get(&this)?;
        pass.reset_immediates();
        if bundles.is_empty() {
            pass.reset();
            return Ok(());
        }
        let mut executed = Vec::with_capacity(bundles.len());
        let (mut commands, mut draws) = (1_u32, 0_u64);
        for bundle in &bundles {
            let bundle = self.table.get(bundle)?;
            let Some(wgpu) = &bundle.wgpu else {
                pass.refuse(format!("the invalid render bundle {:?} was executed", bundle.label));
                return Ok(());
            };
            executed.push(wgpu);
            commands = commands.saturating_add(1).saturating_add(bundle.commands);
            draws = draws.saturating_add(bundle.draws);
            pass.uses(bundle.lives.iter());
        }
        pass.count_draws(draws);
        pass.record_many(commands, 0, |pass| pass.execute_bundles(executed));
        Ok(())
    }

    fn end(&mut self, this: Resource<RenderPass>) -> wasmtime::Result<()> {
        self.table.get(&this)?.end();
        Ok(())
    }

    super::commands::debug_commands!(RenderPass);
    super::commands::binding_commands!(RenderPass);
    super::commands::render_commands!(RenderPass);
    super::object_base!(RenderPass);
}
