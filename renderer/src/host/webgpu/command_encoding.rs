//! Command encoders and command buffers (<https://www.w3.org/TR/webgpu/#command-encoding>): the rule that an encoder is locked while
//! a pass of it is open, what its errors are and when they are told, and how much it records.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wasmtime::component::Resource;

use super::bindings::wasi::webgpu::webgpu as wit;
use super::commands::{Allowance, DebugCommands, PASS_COMMANDS};
use super::device::Device;
use super::passes::PassState;
use super::quota::{Hold, Kind};
use super::textures::{Lives, SurfaceTextureLife};
use super::{WebGpuCtxView, convert, labels};
use crate::host::OverQuota;

/// `gpu-command-encoder`
pub struct CommandEncoder {
    recording: Recording,
    label: String,
}

/// `gpu-command-buffer`
pub struct CommandBuffer {
    /// `None` if it is invalid or was submitted.
    wgpu: Option<wgpu::CommandBuffer>,
    lives: Lives,
    hold: Option<Hold>,
    label: String,
}

impl CommandBuffer {
    /// What was recorded is submitted, or never will be.
    pub(super) fn let_go(&mut self) {
        self.hold = None;
    }

    /// What can be submitted, once.
    pub(super) fn take(&mut self) -> Result<wgpu::CommandBuffer, String> {
        let expired = self.lives.iter().any(SurfaceTextureLife::is_expired);
        match self.wgpu.take() {
            None => Err(format!("the command buffer {:?} is invalid or was submitted before", self.label)),
            Some(_) if expired => Err(format!(
                "the command buffer {:?} uses a texture of a surface that was presented, replaced or destroyed",
                self.label
            )),
            Some(buffer) => Ok(buffer),
        }
    }

    /// It was submitted, and so the surfaces' textures that it uses are drawn to.
    pub(super) fn submitted(&self) {
        self.lives.iter().for_each(SurfaceTextureLife::submit);
    }
}

/// What an encoder and its passes share. The lock is taken where passes begin and end, and by what is recorded in them only if it is wrong
/// or uses the texture of a surface.
#[derive(Clone)]
pub(super) struct Recording {
    device: Device,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    state: State,
    /// The first error; it is reported by `finish`, as the standard says.
    error: Option<String>,
    lives: Lives,
    /// An open pass has it.
    left: Allowance,
    /// `None` after `finish`, which passes it on; but a pass that is still open then keeps what it recorded.
    hold: Option<Hold>,
}

/// <https://www.w3.org/TR/webgpu/#encoder-state>
enum State {
    Open(wgpu::CommandEncoder),
    /// A pass is open.
    Locked(wgpu::CommandEncoder),
    Ended,
}

impl Inner {
    fn fail(&mut self, message: impl Into<String>) {
        self.error.get_or_insert_with(|| message.into());
    }
}

impl Recording {
    fn new(device: Device, encoder: wgpu::CommandEncoder, hold: Hold) -> Self {
        let inner = Inner {
            state: State::Open(encoder),
            error: None,
            lives: Lives::default(),
            left: Allowance::of(&device),
            hold: Some(hold),
        };
        Self { device, inner: Arc::new(Mutex::new(inner)) }
    }

    pub(super) fn device(&self) -> &Device {
        &self.device
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // The encoder's own state survives what panics while it records: it is then finished with an error.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An error of something recorded: the encoder is invalid, and `finish` says why.
    pub(super) fn fail(&self, message: impl Into<String>) {
        self.inner().fail(message);
    }

    /// Records a command that brings so many bytes along, if the encoder is open, and else makes the error that the standard asks for.
    fn record(&self, bytes: usize, command: impl FnOnce(&mut wgpu::CommandEncoder)) {
        self.record_using([], bytes, command);
    }

    /// [`Recording::record`] of a command that uses textures, which may be of a surface.
    fn record_using<const N: usize>(
        &self,
        lives: [Option<&SurfaceTextureLife>; N],
        bytes: usize,
        command: impl FnOnce(&mut wgpu::CommandEncoder),
    ) {
        let mut inner = self.inner();
        let Inner { state, error, lives: used, left, hold, .. } = &mut *inner;
        match state {
            State::Open(encoder) => match left.spend(1, bytes, |blocks| take(hold, blocks)) {
                Ok(()) => {
                    used.extend(lives.into_iter().flatten());
                    command(encoder);
                }
                Err(over) => {
                    error.get_or_insert_with(|| over.to_string());
                }
            },
            State::Locked(_) => inner.fail(USED_WHILE_LOCKED),
            State::Ended => {
                drop(inner);
                self.device.invalid(USED_AFTER_FINISH);
            }
        }
    }

    /// Begins a pass, which locks the encoder.
    pub(super) fn begin<P>(&self, pass: impl FnOnce(&mut wgpu::CommandEncoder) -> P) -> PassState<P> {
        let mut inner = self.inner();
        match std::mem::replace(&mut inner.state, State::Ended) {
            State::Open(mut encoder) => {
                let Inner { left, hold, .. } = &mut *inner;
                let begun = match left.spend(PASS_COMMANDS, 0, |blocks| take(hold, blocks)) {
                    Ok(()) => PassState::Recording { pass: pass(&mut encoder), left: inner.left },
                    Err(over) => {
                        inner.fail(over.to_string());
                        PassState::Inert
                    }
                };
                inner.state = State::Locked(encoder);
                begun
            }
            State::Locked(encoder) => {
                inner.state = State::Locked(encoder);
                inner.fail(USED_WHILE_LOCKED);
                PassState::Misplaced
            }
            State::Ended => {
                drop(inner);
                self.device.invalid(USED_AFTER_FINISH);
                PassState::Misplaced
            }
        }
    }

    /// The open pass has ended, and leaves this to record. False if the encoder was finished meanwhile.
    pub(super) fn unlock(&self, left: Option<Allowance>) -> bool {
        let mut inner = self.inner();
        match std::mem::replace(&mut inner.state, State::Ended) {
            State::Locked(encoder) => {
                inner.state = State::Open(encoder);
                inner.left = left.unwrap_or(inner.left);
                true
            }
            State::Open(encoder) => {
                inner.state = State::Open(encoder);
                true
            }
            State::Ended => {
                inner.hold = None;
                false
            }
        }
    }

    /// Takes blocks of commands from the scene's allowance, for the open pass.
    #[cold]
    pub(super) fn take(&self, blocks: u32) -> Result<(), OverQuota> {
        take(&mut self.inner().hold, blocks)
    }

    /// What is recorded uses textures of surfaces.
    pub(super) fn uses<'a>(&self, lives: impl IntoIterator<Item = &'a SurfaceTextureLife>) {
        let mut lives = lives.into_iter().peekable();
        // Nearly nothing does, and then the lock is not taken.
        if lives.peek().is_some() {
            self.inner().lives.extend(lives);
        }
    }

    /// <https://www.w3.org/TR/webgpu/#dom-gpucommandencoder-finish>
    fn finish(&self, label: String) -> CommandBuffer {
        let (state, error, lives, hold) = {
            let mut inner = self.inner();
            let state = std::mem::replace(&mut inner.state, State::Ended);
            // A pass that is still open keeps all that it uses, and so the hold stays until the pass is gone too.
            let hold = if matches!(state, State::Open(_)) { inner.hold.take() } else { None };
            (state, inner.error.take(), std::mem::take(&mut inner.lives), hold)
        };
        let invalid = |message: String| {
            self.device.invalid(message);
            None
        };
        let wgpu = match (state, error) {
            (State::Ended, _) => invalid("the encoder was finished before".to_owned()),
            (_, Some(message)) => invalid(message),
            (State::Locked(_), None) => {
                invalid("the encoder was finished while a pass of it was open".to_owned())
            }
            (State::Open(encoder), None) => Some(encoder.finish()),
        };
        if let Some(hold) = &hold {
            hold.finish();
        }
        CommandBuffer { hold: hold.filter(|_| wgpu.is_some()), wgpu, lives, label }
    }
}

fn take(hold: &mut Option<Hold>, blocks: u32) -> Result<(), OverQuota> {
    // Without a hold nothing is recorded any more.
    hold.as_mut().map_or(Ok(()), |hold| hold.take(blocks))
}

const USED_WHILE_LOCKED: &str = "the encoder was used while a pass of it was open";
const USED_AFTER_FINISH: &str = "the encoder was used after it was finished";

impl DebugCommands for CommandEncoder {
    fn push_debug_group(&self, label: &str) {
        self.recording.record(label.len(), |encoder| encoder.push_debug_group(label));
    }

    fn pop_debug_group(&self) {
        self.recording.record(0, wgpu::CommandEncoder::pop_debug_group);
    }

    fn insert_debug_marker(&self, label: &str) {
        self.recording.record(label.len(), |encoder| encoder.insert_debug_marker(label));
    }
}

/// <https://www.w3.org/TR/webgpu/#dictdef-gputexelcopytextureinfo>
pub(super) fn texture_copy<'a>(
    texture: &'a wgpu::Texture,
    info: &wit::GpuTexelCopyTextureInfo,
) -> wgpu::TexelCopyTextureInfo<'a> {
    wgpu::TexelCopyTextureInfo {
        texture,
        mip_level: info.mip_level.unwrap_or(0),
        origin: convert::origin(info.origin),
        aspect: info.aspect.map_or(wgpu::TextureAspect::All, Into::into),
    }
}

impl WebGpuCtxView<'_> {
    /// <https://www.w3.org/TR/webgpu/#dom-gpudevice-createcommandencoder>
    pub(super) fn make_command_encoder(
        &mut self,
        device: &Resource<Device>,
        descriptor: Option<wit::GpuCommandEncoderDescriptor>,
    ) -> wasmtime::Result<Resource<CommandEncoder>> {
        let device = self.table.get(device)?.clone();
        let label = labels::of(descriptor.and_then(|descriptor| descriptor.label));
        let hold = device.hold(Some(Kind::CommandBuffer))?;
        let encoder =
            device.wgpu().create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some(&label) });
        Ok(self.table.push(CommandEncoder { recording: Recording::new(device, encoder, hold), label })?)
    }

    pub(super) fn recording(&self, encoder: &Resource<CommandEncoder>) -> wasmtime::Result<Recording> {
        Ok(self.table.get(encoder)?.recording.clone())
    }

    /// The texture of a copy, and how long it may be used.
    fn texture_copy(
        &self,
        info: &wit::GpuTexelCopyTextureInfo,
    ) -> wasmtime::Result<(wgpu::TexelCopyTextureInfo<'_>, Option<&SurfaceTextureLife>)> {
        let texture = self.table.get(&info.texture)?;
        Ok((texture_copy(&texture.wgpu, info), texture.life.as_ref()))
    }

    /// The copy out of a texture that the scene may not copy from, though others may.
    fn refuse_copy(
        &self,
        source: &wit::GpuTexelCopyTextureInfo,
        recording: &Recording,
    ) -> wasmtime::Result<()> {
        if !self.table.get(&source.texture)?.is_copyable() {
            recording.fail(
                "the texture of a surface that was not configured with the usage copy-src is no source of a copy",
            );
        }
        Ok(())
    }

    /// <https://www.w3.org/TR/webgpu/#dictdef-gputexelcopybufferinfo>
    fn buffer_copy(
        &self,
        info: &wit::GpuTexelCopyBufferInfo,
    ) -> wasmtime::Result<wgpu::TexelCopyBufferInfo<'_>> {
        Ok(wgpu::TexelCopyBufferInfo {
            buffer: &self.table.get(&info.buffer)?.wgpu,
            layout: convert::texel_layout(info.offset, info.bytes_per_row, info.rows_per_image),
        })
    }
}

impl wit::HostGpuCommandEncoder for WebGpuCtxView<'_> {
    fn begin_render_pass(
        &mut self,
        this: Resource<CommandEncoder>,
        descriptor: wit::GpuRenderPassDescriptor,
    ) -> wasmtime::Result<Resource<super::render_passes::RenderPass>> {
        self.make_render_pass(&this, descriptor)
    }

    fn begin_compute_pass(
        &mut self,
        this: Resource<CommandEncoder>,
        descriptor: Option<wit::GpuComputePassDescriptor>,
    ) -> wasmtime::Result<Resource<super::compute_passes::ComputePass>> {
        self.make_compute_pass(&this, descriptor)
    }

    fn copy_buffer_to_buffer(
        &mut self,
        this: Resource<CommandEncoder>,
        source: Resource<super::buffers::Buffer>,
        source_offset: Option<u64>,
        destination: Resource<super::buffers::Buffer>,
        destination_offset: Option<u64>,
        size: Option<u64>,
    ) -> wasmtime::Result<()> {
        let source = &self.table.get(&source)?.wgpu;
        let destination = &self.table.get(&destination)?.wgpu;
        self.table.get(&this)?.recording.record(0, |encoder| {
            encoder.copy_buffer_to_buffer(
                source,
                source_offset.unwrap_or(0),
                destination,
                destination_offset.unwrap_or(0),
                size,
            );
        });
        Ok(())
    }

    fn copy_buffer_to_texture(
        &mut self,
        this: Resource<CommandEncoder>,
        source: wit::GpuTexelCopyBufferInfo,
        destination: wit::GpuTexelCopyTextureInfo,
        copy_size: wit::GpuExtent3D,
    ) -> wasmtime::Result<()> {
        let source = self.buffer_copy(&source)?;
        let (destination, life) = self.texture_copy(&destination)?;
        let recording = &self.table.get(&this)?.recording;
        recording.record_using([life], 0, |encoder| {
            encoder.copy_buffer_to_texture(source, destination, convert::extent(copy_size));
        });
        Ok(())
    }

    fn copy_texture_to_buffer(
        &mut self,
        this: Resource<CommandEncoder>,
        source: wit::GpuTexelCopyTextureInfo,
        destination: wit::GpuTexelCopyBufferInfo,
        copy_size: wit::GpuExtent3D,
    ) -> wasmtime::Result<()> {
        let recording = &self.table.get(&this)?.recording;
        self.refuse_copy(&source, recording)?;
        let (source, life) = self.texture_copy(&source)?;
        let destination = self.buffer_copy(&destination)?;
        recording.record_using([life], 0, |encoder| {
            encoder.copy_texture_to_buffer(source, destination, convert::extent(copy_size));
        });
        Ok(())
    }

    fn copy_texture_to_texture(
        &mut self,
        this: Resource<CommandEncoder>,
        source: wit::GpuTexelCopyTextureInfo,
        destination: wit::GpuTexelCopyTextureInfo,
        copy_size: wit::GpuExtent3D,
    ) -> wasmtime::Result<()> {
        let recording = &self.table.get(&this)?.recording;
        self.refuse_copy(&source, recording)?;
        let (source, source_life) = self.texture_copy(&source)?;
        let (destination, destination_life) = self.texture_copy(&destination)?;
        recording.record_using([source_life, destination_life], 0, |encoder| {
            encoder.copy_texture_to_texture(source, destination, convert::extent(copy_size));
        });
        Ok(())
    }

    fn clear_buffer(
        &mut self,
        this: Resource<CommandEncoder>,
        buffer: Resource<super::buffers::Buffer>,
        offset: Option<u64>,
        size: Option<u64>,
    ) -> wasmtime::Result<()> {
        let buffer = &self.table.get(&buffer)?.wgpu;
        self.table
            .get(&this)?
            .recording
            .record(0, |encoder| encoder.clear_buffer(buffer, offset.unwrap_or(0), size));
        Ok(())
    }

    fn resolve_query_set(
        &mut self,
        this: Resource<CommandEncoder>,
        query_set: Resource<super::queries::QuerySet>,
        first_query: u32,
        query_count: u32,
        destination: Resource<super::buffers::Buffer>,
        destination_offset: u64,
    ) -> wasmtime::Result<()> {
        let recording = &self.table.get(&this)?.recording;
        let Some(end) = first_query.checked_add(query_count) else {
            recording.fail(format!("queries {first_query} and {query_count} more are beyond any query set"));
            return Ok(());
        };
        let query_set = self.table.get(&query_set)?;
        if query_set.is_empty() && end > 0 {
            recording.fail(super::queries::NO_QUERIES);
            return Ok(());
        }
        let query_set = &query_set.wgpu;
        let destination = &self.table.get(&destination)?.wgpu;
        recording.record(0, |encoder| {
            encoder.resolve_query_set(query_set, first_query..end, destination, destination_offset);
        });
        Ok(())
    }

    fn finish(
        &mut self,
        this: Resource<CommandEncoder>,
        descriptor: Option<wit::GpuCommandBufferDescriptor>,
    ) -> wasmtime::Result<Resource<CommandBuffer>> {
        let label = labels::of(descriptor.and_then(|descriptor| descriptor.label));
        let buffer = self.table.get(&this)?.recording.finish(label);
        Ok(self.table.push(buffer)?)
    }

    super::commands::debug_commands!(CommandEncoder);
    super::object_base!(CommandEncoder);
}

impl wit::HostGpuCommandBuffer for WebGpuCtxView<'_> {
    super::object_base!(CommandBuffer);
}
