//! Render bundles (<https://www.w3.org/TR/webgpu/#bundles>).
//!
//! wgpu panics when it finishes a bundle that is wrong. So commands are kept here first, and are tried in a render pass on
//! attachments of one pixel, whose errors wgpu returns; only what passed becomes a bundle of wgpu's.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

use wasmtime::component::Resource;

use super::bind_groups::BindGroup;
use super::bindings::wasi::webgpu::webgpu as wit;
use super::buffers::Buffer;
use super::commands::{Allowance, BindingCommands, DebugCommands, RenderCommands};
use super::device::{Device, capture};
use super::errors::{ErrorKind, GpuError};
use super::immediates::Immediates;
use super::pipelines::RenderPipeline;
use super::quota::{Claim, Hold, Kind};
use super::textures::Lives;
use super::{WebGpuCtxView, labels};
use crate::host::OverQuota;

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
    /// `None` after `finish`. A cell, so that the encoder and what a command names can be borrowed from the table together.
    recorded: RefCell<Option<Recorded>>,
}

/// `gpu-render-bundle`
pub struct RenderBundle {
    /// `None` if it is invalid.
    pub(super) wgpu: Option<wgpu::RenderBundle>,
    /// What executing it counts as.
    pub(super) commands: u32,
    /// How many of them draw.
    pub(super) draws: u64,
    /// The textures of surfaces that it uses.
    pub(super) lives: Lives,
    pub(super) label: String,
    _counted: Option<Counted>,
}

/// What a bundle needs of the passes that execute it.
#[derive(Clone)]
pub(super) struct Layout {
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
    left: Allowance,
    draws: u64,
    lives: Lives,
    immediates: Immediates,
    /// wgpu's bundles have no groups; that they are balanced is still a rule.
    debug_groups: u32,
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
    /// What a bundle needs for a pass with these attachments, whatever it may do to depth and stencil.
    pub(super) fn of_pass(
        colors: Vec<Option<wgpu::TextureFormat>>,
        depth_stencil: Option<wgpu::TextureFormat>,
        sample_count: u32,
    ) -> Self {
        let depth_stencil = depth_stencil.map(|format| wgpu::RenderBundleDepthStencil {
            format,
            depth_read_only: true,
            stencil_read_only: true,
        });
        Self { colors, depth_stencil, sample_count }
    }

    /// A bundle without commands, if there can be one.
    pub(super) fn bundle_of_nothing(&self, device: &Device) -> Option<wgpu::RenderBundle> {
        // An encoder that is invalid must not be finished, and an empty one that is valid has nothing to be wrong with.
        let (encoder, error) = device.unheard(|device| self.encoder(device, ""));
        error.is_none().then(|| encoder.finish(&wgpu::RenderBundleDescriptor::default()))
    }

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

impl Recorded {
    fn new(device: &Device) -> Result<Self, OverQuota> {
        Ok(Self {
            counted: Counted { _claim: device.claim(Kind::RenderBundle)?, hold: device.hold(None)? },
            commands: Vec::new(),
            left: Allowance::of(device),
            draws: 0,
            lives: Lives::default(),
            immediates: Immediates::new(device.wgpu().limits().max_immediate_size),
            debug_groups: 0,
            error: None,
        })
    }

    /// The encoder is invalid. What it recorded is of no use any more, and neither is what follows.
    fn fail(&mut self, message: impl Into<String>) {
        self.error.get_or_insert_with(|| message.into());
        self.commands = Vec::new();
    }
}

impl RenderBundleEncoder {
    /// Does what a command does to what is recorded, if the encoder is open and valid.
    /// <https://www.w3.org/TR/webgpu/#encoder-state>
    fn edit(&self, bytes: usize, edit: impl FnOnce(&mut Recorded)) {
        match &mut *self.recorded.borrow_mut() {
            Some(Recorded { error: Some(_), .. }) => {}
            Some(recorded) => {
                let Recorded { left, counted, .. } = recorded;
                match left.spend(1, bytes, |blocks| counted.hold.take(blocks)) {
                    Ok(()) => edit(recorded),
                    Err(over) => recorded.fail(over.to_string()),
                }
            }
            None => self.device.invalid(format!(
                "the render bundle encoder {:?} was used after it was finished",
                self.label
            )),
        }
    }

    fn record(&self, bytes: usize, command: impl FnOnce() -> Command) {
        self.edit(bytes, |recorded| recorded.commands.push(command()));
    }

    fn record_draw(&self, command: impl FnOnce() -> Command) {
        self.edit(0, |recorded| {
            recorded.draws = recorded.draws.saturating_add(1);
            recorded.commands.push(command());
        });
    }

    /// <https://www.w3.org/TR/webgpu/#dom-gpurenderbundleencoder-finish>
    fn finish(&self, label: String) -> RenderBundle {
        let recorded = self.recorded.take();
        let refusal = match &recorded {
            None => Some("the render bundle encoder was finished before".to_owned()),
            Some(Recorded { error: Some(message), .. }) => Some(message.clone()),
            Some(Recorded { debug_groups: 1.., .. }) => {
                Some("a debug group of the render bundle is still open".to_owned())
            }
            // Reported to nobody, as no error of a lost device is. wgpu does not try commands on it, and then panics at wrong ones.
            Some(_) if self.device.is_lost() => Some("the device of the render bundle is lost".to_owned()),
            Some(_) => None,
        };
        let (Some(recorded), None) = (recorded, &refusal) else {
            self.device.invalid(refusal.unwrap_or_default());
            return RenderBundle {
                wgpu: None,
                commands: 0,
                draws: 0,
                lives: Lives::default(),
                label,
                _counted: None,
            };
        };
        let Recorded { counted, commands, left, draws, lives, .. } = recorded;
        counted.hold.finish();
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
        let made = made.unwrap_or_else(|error| Err(GpuError::new(ErrorKind::Internal, error.to_string())));
        let wgpu = match made {
            Ok(bundle) => Some(bundle),
            Err(error) => {
                self.device.report(error.kind, error.message);
                None
            }
        };
        RenderBundle { wgpu, commands: left.spent_commands(), draws, lives, label, _counted: Some(counted) }
    }
}

impl DebugCommands for RenderBundleEncoder {
    fn push_debug_group(&self, _label: &str) {
        self.edit(0, |recorded| recorded.debug_groups = recorded.debug_groups.saturating_add(1));
    }

    fn pop_debug_group(&self) {
        self.edit(0, |recorded| match recorded.debug_groups.checked_sub(1) {
            Some(groups) => recorded.debug_groups = groups,
            None => recorded.fail("no debug group of the render bundle is open"),
        });
    }

    fn insert_debug_marker(&self, _label: &str) {
        self.edit(0, |_| {});
    }
}

impl BindingCommands for RenderBundleEncoder {
    fn set_bind_group(&self, index: u32, group: Option<&BindGroup>, offsets: &[u32]) {
        self.edit(size_of_val(offsets), |recorded| {
            if let Some(group) = group {
                recorded.lives.extend(group.lives.iter());
            }
            let group = group.map(|group| group.wgpu.clone());
            recorded.commands.push(Command::SetBindGroup(index, group, offsets.to_vec()));
        });
    }

    fn set_immediates(&self, range_offset: u32, data: &[u8]) {
        self.edit(data.len(), |recorded| match recorded.immediates.set(range_offset, data) {
            Ok([]) => {}
            Ok(taken) => recorded.commands.push(Command::SetImmediates(range_offset, taken.to_vec())),
            Err(message) => recorded.fail(message),
        });
    }

    fn fail(&self, message: &'static str) {
        self.edit(0, |recorded| recorded.fail(message));
    }
}

impl RenderCommands for RenderBundleEncoder {
    fn set_pipeline(&self, pipeline: &RenderPipeline) {
        self.edit(0, |recorded| {
            recorded.commands.push(Command::SetPipeline(pipeline.wgpu.clone()));
            if !recorded.immediates.set_pipeline(pipeline.immediate_bytes) {
                return;
            }
            let mut over = None;
            let Recorded { immediates, left, counted, commands, .. } = &mut *recorded;
            for (offset, data) in immediates.parts() {
                match left.spend(1, data.len(), |blocks| counted.hold.take(blocks)) {
                    Ok(()) => commands.push(Command::SetImmediates(offset, data.to_vec())),
                    Err(error) => over = Some(error),
                }
            }
            if let Some(over) = over {
                recorded.fail(over.to_string());
            }
        });
    }

    fn set_index_buffer(&self, buffer: &wgpu::Buffer, format: wgpu::IndexFormat, range: Range<u64>) {
        self.record(0, || Command::SetIndexBuffer(buffer.clone(), range, format));
    }

    fn set_vertex_buffer(&self, slot: u32, buffer: Option<(&wgpu::Buffer, Range<u64>)>) {
        self.record(0, || {
            Command::SetVertexBuffer(slot, buffer.map(|(buffer, range)| (buffer.clone(), range)))
        });
    }

    fn draw(&self, vertices: Range<u32>, instances: Range<u32>) {
        self.record_draw(|| Command::Draw(vertices, instances));
    }

    fn draw_indexed(&self, indices: Range<u32>, base_vertex: i32, instances: Range<u32>) {
        self.record_draw(|| Command::DrawIndexed(indices, base_vertex, instances));
    }

    fn draw_indirect(&self, arguments: &Buffer, offset: u64) {
        self.record_draw(|| Command::DrawIndirect(arguments.wgpu.clone(), offset));
    }

    fn draw_indexed_indirect(&self, arguments: &Buffer, offset: u64) {
        self.record_draw(|| Command::DrawIndexedIndirect(arguments.wgpu.clone(), offset));
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
        let mut layout = Layout {
            colors: descriptor.color_formats.into_iter().map(|format| format.map(Into::into)).collect(),
            depth_stencil: descriptor.depth_stencil_format.map(|format| wgpu::RenderBundleDepthStencil {
                format: format.into(),
                depth_read_only: descriptor.depth_read_only.unwrap_or(false),
                stencil_read_only: descriptor.stencil_read_only.unwrap_or(false),
            }),
            sample_count: descriptor.sample_count.unwrap_or(1),
        };
        let mut recorded = Recorded::new(&device)?;
        // Only to hear what wgpu says of the layout.
        let ((), error) = device.unheard(|device| drop(layout.encoder(device, &label)));
        if let Some(error) = error {
            device.report(error.kind, error.message);
            recorded.fail(format!("the render bundle encoder {label:?} is invalid"));
            // What was refused may be as long as a call may carry.
            layout.colors = Vec::new();
        }
        Ok(self.table.push(RenderBundleEncoder {
            device,
            layout,
            label,
            recorded: RefCell::new(Some(recorded)),
        })?)
    }
}

impl wit::HostGpuRenderBundleEncoder for WebGpuCtxView<'_> {
    fn finish(
        &mut self,
        this: Resource<RenderBundleEncoder>,
        descriptor: Option<wit::GpuRenderBundleDescriptor>,
    ) -> wasmtime::Result<Resource<RenderBundle>> {
        let label = labels::of(descriptor.and_then(|descriptor| descriptor.label));
        let bundle = self.table.get(&this)?.finish(label);
        Ok(self.table.push(bundle)?)
    }

    super::commands::debug_commands!(RenderBundleEncoder);
    super::commands::binding_commands!(RenderBundleEncoder);
    super::commands::render_commands!(RenderBundleEncoder);
    super::object_base!(RenderBundleEncoder);
}

impl wit::HostGpuRenderBundle for WebGpuCtxView<'_> {
    super::object_base!(RenderBundle);
}
