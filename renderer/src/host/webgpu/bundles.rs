//! Render bundles (<https://www.w3.org/TR/webgpu/#bundles>).
//!
//! wgpu panics when it finishes a bundle that is wrong. So commands are kept here first, and are tried in a render pass on
//! attachments of one pixel, whose errors wgpu returns; only what passed becomes a bundle of wgpu's.

use std::ops::Range;
use std::sync::Arc;

use wasmtime::component::Resource;

use super::WebGpuCtxView;
use super::bind_groups::{BindGroup, dynamic_offsets};
use super::bindings::wasi::webgpu::webgpu as wit;
use super::buffers::Buffer;
use super::device::{Device, capture};
use super::errors::{ErrorKind, GpuError};
use super::labels;
use super::pipelines::RenderPipeline;
use super::quota::{Claim, Hold, Kind};
use super::render_passes::{IMMEDIATES_OUT_OF_RANGE, RANGE_OUTSIDE, immediates, span};
use super::textures::SurfaceTextureLife;
use crate::host::OverLimit;

/// Commands of one bundle: at some five for each drawn thing, 50,000 things.
const MAX_COMMANDS: usize = 1 << 18;

/// What the pass in which commands are tried does with its attachment: nothing that would need it to exist before or after.
const TRIED_DEPTH: wgpu::Operations<f32> =
    wgpu::Operations { load: wgpu::LoadOp::Clear(0.0), store: wgpu::StoreOp::Discard };
const TRIED_STENCIL: wgpu::Operations<u32> =
    wgpu::Operations { load: wgpu::LoadOp::Clear(0), store: wgpu::StoreOp::Discard };

/// `gpu-render-bundle-encoder`
pub struct RenderBundleEncoder {
    device: Device,
    layout: Layout,
    label: String,
    /// `None` after `finish`.
    recorded: Option<Recorded>,
}

/// `gpu-render-bundle`
pub struct RenderBundle {
    /// `None` if it is invalid.
    pub(super) wgpu: Option<wgpu::RenderBundle>,
    /// Of the textures of surfaces that its bind groups have.
    pub(super) lives: Vec<SurfaceTextureLife>,
    label: String,
    _counted: Option<Counted>,
}

/// What a bundle needs of the passes that execute it.
#[derive(Clone)]
struct Layout {
    colors: Vec<Option<wgpu::TextureFormat>>,
    depth_stencil: Option<wgpu::RenderBundleDepthStencil>,
    sample_count: u32,
}

/// The bundle itself, and what it may speak of.
struct Counted {
    _claim: Arc<Claim>,
    hold: Hold,
}

struct Recorded {
    counted: Counted,
    commands: Vec<Command>,
    lives: Vec<SurfaceTextureLife>,
    debug_groups: usize,
    /// The first error; it is reported by `finish`.
    error: Option<String>,
}

enum Command {
    SetPipeline(wgpu::RenderPipeline),
    SetBindGroup(u32, Option<wgpu::BindGroup>, Vec<u32>),
    SetImmediates(u32, Vec<u8>),
    SetIndexBuffer(wgpu::Buffer, Range<u64>, wgpu::IndexFormat),
    SetVertexBuffer(u32, Option<(wgpu::Buffer, Range<u64>)>),
    Draw(Range<u32>, Range<u32>),
    DrawIndexed(Range<u32>, i32, Range<u32>),
    DrawIndirect(wgpu::Buffer, u64),
    DrawIndexedIndirect(wgpu::Buffer, u64),
}

/// Bundles and passes have these methods under the same names, and no trait in common.
macro_rules! replay {
    ($commands:expr, $encoder:expr) => {
        for command in $commands {
            match command {
                Command::SetPipeline(pipeline) => $encoder.set_pipeline(pipeline),
                Command::SetBindGroup(index, group, offsets) => {
                    $encoder.set_bind_group(*index, group.as_ref(), offsets)
                }
                Command::SetImmediates(offset, data) => $encoder.set_immediates(*offset, data),
                Command::SetIndexBuffer(buffer, range, format) => {
                    $encoder.set_index_buffer(buffer.slice(range.clone()), *format);
                }
                Command::SetVertexBuffer(slot, None) => $encoder.set_vertex_buffer(*slot, None),
                Command::SetVertexBuffer(slot, Some((buffer, range))) => {
                    $encoder.set_vertex_buffer(*slot, buffer.slice(range.clone()));
                }
                Command::Draw(vertices, instances) => $encoder.draw(vertices.clone(), instances.clone()),
                Command::DrawIndexed(indices, base_vertex, instances) => {
                    $encoder.draw_indexed(indices.clone(), *base_vertex, instances.clone());
                }
                Command::DrawIndirect(buffer, offset) => $encoder.draw_indirect(buffer, *offset),
                Command::DrawIndexedIndirect(buffer, offset) => {
                    $encoder.draw_indexed_indirect(buffer, *offset)
                }
            }
        }
    };
}

impl Layout {
    fn encoder<'a>(&'a self, device: &wgpu::Device, label: &'a str) -> wgpu::RenderBundleEncoder<'a> {
        device.create_render_bundle_encoder(&wgpu::RenderBundleEncoderDescriptor {
            label: Some(label),
            color_formats: &self.colors,
            depth_stencil: self.depth_stencil,
            sample_count: self.sample_count,
            multiview: None,
        })
    }

    /// The error that the commands would make in a pass of this layout.
    fn try_in_pass(&self, device: &wgpu::Device, label: &str, commands: &[Command]) -> Option<GpuError> {
        capture(device, |device| {
            let attachment = |format: wgpu::TextureFormat| {
                device
                    .create_texture(&wgpu::TextureDescriptor {
                        label: Some(label),
                        size: wgpu::Extent3d::default(),
                        mip_level_count: 1,
                        sample_count: self.sample_count,
                        dimension: wgpu::TextureDimension::D2,
                        format,
                        usage: wgpu::TextureUsages::RENDER_ATTACHMENT,
                        view_formats: &[],
                    })
                    .create_view(&wgpu::TextureViewDescriptor::default())
            };
            let colors: Vec<_> = self.colors.iter().map(|format| format.map(attachment)).collect();
            let colors: Vec<_> = colors
                .iter()
                .map(|view| {
                    view.as_ref().map(|view| wgpu::RenderPassColorAttachment {
                        view,
                        depth_slice: None,
                        resolve_target: None,
                        ops: wgpu::Operations::default(),
                    })
                })
                .collect();
            let depth_stencil = self.depth_stencil.map(|state| (state, attachment(state.format)));
            let mut encoder =
                device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some(label) });
            {
                let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
                    label: Some(label),
                    color_attachments: &colors,
                    depth_stencil_attachment: depth_stencil.as_ref().map(|(state, view)| {
                        wgpu::RenderPassDepthStencilAttachment {
                            view,
                            depth_ops: (state.format.has_depth_aspect() && !state.depth_read_only)
                                .then_some(TRIED_DEPTH),
                            stencil_ops: (state.format.has_stencil_aspect() && !state.stencil_read_only)
                                .then_some(TRIED_STENCIL),
                        }
                    }),
                    timestamp_writes: None,
                    occlusion_query_set: None,
                    multiview_mask: None,
                });
                replay!(commands, pass);
            }
            encoder.finish()
        })
        .1
    }
}

impl RenderBundleEncoder {
    fn recorded(&mut self) -> Option<&mut Recorded> {
        if self.recorded.is_none() {
            self.device.invalid(format!(
                "the render bundle encoder {:?} was used after it was finished",
                self.label
            ));
        }
        self.recorded.as_mut()
    }

    fn fail(&mut self, message: impl Into<String>) {
        if let Some(recorded) = self.recorded() {
            recorded.error.get_or_insert_with(|| message.into());
        }
    }

    fn record(&mut self, command: Command) -> wasmtime::Result<()> {
        if let Some(recorded) = self.recorded() {
            if recorded.commands.len() >= MAX_COMMANDS {
                return Err(OverLimit { what: "commands in a render bundle", limit: MAX_COMMANDS }.into());
            }
            recorded.commands.push(command);
        }
        Ok(())
    }

    fn record_bind_group(
        &mut self,
        index: u32,
        group: Option<wgpu::BindGroup>,
        offsets: Vec<u32>,
        lives: Vec<SurfaceTextureLife>,
    ) -> wasmtime::Result<()> {
        self.record(Command::SetBindGroup(index, group, offsets))?;
        if let Some(recorded) = &mut self.recorded {
            for life in lives {
                if !recorded.lives.iter().any(|known| known.is_same(&life)) {
                    recorded.lives.push(life);
                }
            }
        }
        Ok(())
    }

    fn record_or_fail(&mut self, command: Option<Command>, message: &str) -> wasmtime::Result<()> {
        if let Some(command) = command {
            self.record(command)
        } else {
            self.fail(message);
            Ok(())
        }
    }

    /// <https://www.w3.org/TR/webgpu/#dom-gpurenderbundleencoder-finish>
    fn finish(&mut self, label: String) -> RenderBundle {
        let invalid = |error: GpuError| {
            self.device.report(error.kind, error.message);
            None
        };
        let mut recorded = self.recorded.take();
        let lives = recorded.as_mut().map(|recorded| std::mem::take(&mut recorded.lives)).unwrap_or_default();
        let mut counted = None;
        let wgpu = match recorded {
            None => {
                invalid(GpuError::new(ErrorKind::Validation, "the render bundle encoder was finished before"))
            }
            Some(Recorded { error: Some(message), .. }) => {
                invalid(GpuError::new(ErrorKind::Validation, message))
            }
            Some(Recorded { debug_groups: 1.., .. }) => invalid(GpuError::new(
                ErrorKind::Validation,
                "a debug group of the render bundle is still open",
            )),
            Some(Recorded { commands, counted: now, .. }) => {
                now.hold.finish();
                counted = Some(now);
                let (device, layout, name) = (self.device.wgpu().clone(), self.layout.clone(), label.clone());
                // On the compiler's thread a panic of wgpu's would be one bundle's failure.
                let made = self.device.gpu().compiler().run(move || {
                    if let Some(error) = layout.try_in_pass(&device, &name, &commands) {
                        return Err(error);
                    }
                    let mut encoder = layout.encoder(&device, &name);
                    replay!(&commands, encoder);
                    Ok(encoder.finish(&wgpu::RenderBundleDescriptor { label: Some(&name) }))
                });
                match made {
                    Ok(Ok(bundle)) => Some(bundle),
                    Ok(Err(error)) => invalid(error),
                    Err(error) => invalid(GpuError::new(ErrorKind::Internal, error.to_string())),
                }
            }
        };
        RenderBundle { wgpu, lives, label, _counted: counted }
    }
}

impl WebGpuCtxView<'_> {
    /// <https://www.w3.org/TR/webgpu/#dom-gpudevice-createrenderbundleencoder>
    pub(super) fn make_render_bundle_encoder(
        &mut self,
        device: &Resource<Device>,
        descriptor: wit::GpuRenderBundleEncoderDescriptor,
    ) -> wasmtime::Result<Resource<RenderBundleEncoder>> {
        let device = self.table.get(device)?.clone();
        let label = labels::of(descriptor.label);
        let layout = Layout {
            colors: descriptor.color_formats.into_iter().map(|format| format.map(Into::into)).collect(),
            depth_stencil: descriptor.depth_stencil_format.map(|format| wgpu::RenderBundleDepthStencil {
                format: format.into(),
                depth_read_only: descriptor.depth_read_only.unwrap_or(false),
                stencil_read_only: descriptor.stencil_read_only.unwrap_or(false),
            }),
            sample_count: descriptor.sample_count.unwrap_or(1),
        };
        let counted = Counted { _claim: device.claim(Kind::RenderBundle)?, hold: device.hold(None)? };
        let mut recorded = Recorded { counted, commands: Vec::new(), debug_groups: 0, error: None };
        // Only to hear what wgpu says of the layout.
        let ((), error) = device.unheard(|device| drop(layout.encoder(device, &label)));
        if let Some(error) = error {
            device.report(error.kind, error.message);
            recorded.error = Some(format!("the render bundle encoder {label:?} is invalid"));
        }
        Ok(self.table.push(RenderBundleEncoder { device, layout, label, recorded: Some(recorded) })?)
    }
}

impl wit::HostGpuRenderBundleEncoder for WebGpuCtxView<'_> {
    fn finish(
        &mut self,
        this: Resource<RenderBundleEncoder>,
        descriptor: Option<wit::GpuRenderBundleDescriptor>,
    ) -> wasmtime::Result<Resource<RenderBundle>> {
        let label = labels::of(descriptor.and_then(|descriptor| descriptor.label));
        let bundle = self.table.get_mut(&this)?.finish(label);
        Ok(self.table.push(bundle)?)
    }

    /// wgpu's bundles have no groups; that they are balanced is still a rule.
    fn push_debug_group(
        &mut self,
        this: Resource<RenderBundleEncoder>,
        _group_label: String,
    ) -> wasmtime::Result<()> {
        if let Some(recorded) = self.table.get_mut(&this)?.recorded() {
            recorded.debug_groups = recorded.debug_groups.saturating_add(1);
        }
        Ok(())
    }

    fn pop_debug_group(&mut self, this: Resource<RenderBundleEncoder>) -> wasmtime::Result<()> {
        let encoder = self.table.get_mut(&this)?;
        match encoder.recorded() {
            Some(Recorded { debug_groups: 0, .. }) => {
                encoder.fail("no debug group of the render bundle is open");
            }
            Some(recorded) => recorded.debug_groups = recorded.debug_groups.saturating_sub(1),
            None => {}
        }
        Ok(())
    }

    fn insert_debug_marker(
        &mut self,
        this: Resource<RenderBundleEncoder>,
        _label: String,
    ) -> wasmtime::Result<()> {
        self.table.get_mut(&this)?.recorded();
        Ok(())
    }

    fn set_bind_group(
        &mut self,
        this: Resource<RenderBundleEncoder>,
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
            Ok(offsets) => offsets.to_vec(),
            Err(error) => return Ok(Err(error)),
        };
        let (group, lives) = match &bind_group {
            Some(group) => {
                let group = self.table.get(group)?;
                (Some(group.wgpu.clone()), group.lives.clone())
            }
            None => (None, Vec::new()),
        };
        self.table.get_mut(&this)?.record_bind_group(index, group, offsets, lives)?;
        Ok(Ok(()))
    }

    fn set_immediates(
        &mut self,
        this: Resource<RenderBundleEncoder>,
        range_offset: u32,
        data: Vec<u8>,
        data_offset: Option<u64>,
        data_size: Option<u64>,
    ) -> wasmtime::Result<()> {
        let command = immediates(&data, data_offset, data_size)
            .map(|data| Command::SetImmediates(range_offset, data.to_vec()));
        self.table.get_mut(&this)?.record_or_fail(command, IMMEDIATES_OUT_OF_RANGE)
    }

    fn set_pipeline(
        &mut self,
        this: Resource<RenderBundleEncoder>,
        pipeline: Resource<RenderPipeline>,
    ) -> wasmtime::Result<()> {
        let pipeline = self.table.get(&pipeline)?.wgpu.clone();
        self.table.get_mut(&this)?.record(Command::SetPipeline(pipeline))
    }

    fn set_index_buffer(
        &mut self,
        this: Resource<RenderBundleEncoder>,
        buffer: Resource<Buffer>,
        index_format: wit::GpuIndexFormat,
        offset: Option<u64>,
        size: Option<u64>,
    ) -> wasmtime::Result<()> {
        let buffer = self.table.get(&buffer)?;
        let command = buffer
            .range(offset, size)
            .filter(|range| !range.is_empty())
            .map(|range| Command::SetIndexBuffer(buffer.wgpu.clone(), range, index_format.into()));
        self.table.get_mut(&this)?.record_or_fail(command, RANGE_OUTSIDE)
    }

    fn set_vertex_buffer(
        &mut self,
        this: Resource<RenderBundleEncoder>,
        slot: u32,
        buffer: Option<Resource<Buffer>>,
        offset: Option<u64>,
        size: Option<u64>,
    ) -> wasmtime::Result<()> {
        let command = match &buffer {
            None => Some(Command::SetVertexBuffer(slot, None)),
            Some(buffer) => {
                let buffer = self.table.get(buffer)?;
                buffer.range(offset, size).map(|range| {
                    let bytes = (!range.is_empty()).then(|| (buffer.wgpu.clone(), range));
                    Command::SetVertexBuffer(slot, bytes)
                })
            }
        };
        self.table.get_mut(&this)?.record_or_fail(command, RANGE_OUTSIDE)
    }

    fn draw(
        &mut self,
        this: Resource<RenderBundleEncoder>,
        vertex_count: u32,
        instance_count: Option<u32>,
        first_vertex: Option<u32>,
        first_instance: Option<u32>,
    ) -> wasmtime::Result<()> {
        let vertices = span(vertex_count, first_vertex);
        let instances = span(instance_count.unwrap_or(1), first_instance);
        let command = vertices.zip(instances).map(|(vertices, instances)| Command::Draw(vertices, instances));
        self.table.get_mut(&this)?.record_or_fail(command, super::render_passes::DRAW_TOO_FAR)
    }

    fn draw_indexed(
        &mut self,
        this: Resource<RenderBundleEncoder>,
        index_count: u32,
        instance_count: Option<u32>,
        first_index: Option<u32>,
        base_vertex: Option<i32>,
        first_instance: Option<u32>,
    ) -> wasmtime::Result<()> {
        let indices = span(index_count, first_index);
        let instances = span(instance_count.unwrap_or(1), first_instance);
        let command = indices
            .zip(instances)
            .map(|(indices, instances)| Command::DrawIndexed(indices, base_vertex.unwrap_or(0), instances));
        self.table.get_mut(&this)?.record_or_fail(command, super::render_passes::DRAW_TOO_FAR)
    }

    fn draw_indirect(
        &mut self,
        this: Resource<RenderBundleEncoder>,
        indirect_buffer: Resource<Buffer>,
        indirect_offset: u64,
    ) -> wasmtime::Result<()> {
        let buffer = self.table.get(&indirect_buffer)?.wgpu.clone();
        self.table.get_mut(&this)?.record(Command::DrawIndirect(buffer, indirect_offset))
    }

    fn draw_indexed_indirect(
        &mut self,
        this: Resource<RenderBundleEncoder>,
        indirect_buffer: Resource<Buffer>,
        indirect_offset: u64,
    ) -> wasmtime::Result<()> {
        let buffer = self.table.get(&indirect_buffer)?.wgpu.clone();
        self.table.get_mut(&this)?.record(Command::DrawIndexedIndirect(buffer, indirect_offset))
    }

    super::object_base!(RenderBundleEncoder);
}

impl wit::HostGpuRenderBundle for WebGpuCtxView<'_> {
    super::object_base!(RenderBundle);
}
