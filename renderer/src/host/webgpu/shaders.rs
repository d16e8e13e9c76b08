//! Shader modules (<https://www.w3.org/TR/webgpu/#shader-modules>). They are compiled on a thread of their own, because of what
//! nesting does to stacks: see [`crate::gpu::ShaderCompiler`].

use std::ops::Range;
use std::sync::Arc;

use futures::FutureExt as _;
use wasmtime::component::{Accessor, Resource};

use super::bindings::wasi::webgpu::webgpu as wit;
use super::device::{Device, capture};
use super::errors::{ErrorKind, MAX_MESSAGE_BYTES};
use super::quota::{Claim, Kind};
use super::{WebGpu, WebGpuCtxView, labels};
use crate::gpu::{check_source, may_use_workgroup_memory};

/// `gpu-shader-module`
pub struct ShaderModule {
    pub(super) wgpu: wgpu::ShaderModule,
    /// The source, if it may take workgroup memory.
    pub(super) workgroup_source: Option<Arc<str>>,
    /// What it takes of immediate data.
    pub(super) immediate_bytes: u32,
    messages: Vec<CompilationMessage>,
    label: String,
    /// A pipeline keeps what was compiled, and so has it, too.
    pub(super) claim: Arc<Claim>,
}

/// `gpu-compilation-info`
pub struct CompilationInfo(Vec<CompilationMessage>);

/// `gpu-compilation-message`; line and column count from 1, offset and length are in UTF-16 units as in the standard, and all
/// are 0 where there is no place to point at.
#[derive(Clone, Debug)]
pub struct CompilationMessage {
    message: String,
    kind: wit::GpuCompilationMessageType,
    line: u64,
    column: u64,
    offset: u64,
    length: u64,
}

impl CompilationMessage {
    /// The text is cut as that of any error: it repeats names of the source, which are as long as a scene makes them.
    fn error(mut message: String) -> Self {
        message.truncate(message.floor_char_boundary(MAX_MESSAGE_BYTES));
        message.shrink_to_fit();
        Self {
            message,
            kind: wit::GpuCompilationMessageType::Error,
            line: 0,
            column: 0,
            offset: 0,
            length: 0,
        }
    }

    /// wgpu counts bytes of UTF-8.
    fn new(message: wgpu::CompilationMessage, source: &str) -> Self {
        let kind = match message.message_type {
            wgpu::CompilationMessageType::Error => wit::GpuCompilationMessageType::Error,
            wgpu::CompilationMessageType::Warning => wit::GpuCompilationMessageType::Warning,
            wgpu::CompilationMessageType::Info => wit::GpuCompilationMessageType::Info,
        };
        let Some(place) = message.location else { return Self { kind, ..Self::error(message.message) } };
        let units = |bytes: Option<&str>| bytes.map_or(0, |text| text.encode_utf16().count() as u64);
        let mut start = place.offset as usize;
        let mut end = start.saturating_add(place.length as usize);
        if start == 0 && end == 0 {
            let Some(place) = first_place(source) else {
                return Self { kind, ..Self::error(message.message) };
            };
            (start, end) = (place.start, place.end);
        }
        let (line, line_start) = line_of(source.get(..start).unwrap_or_default());
        Self {
            kind,
            line,
            column: units(source.get(line_start..start)).saturating_add(1),
            offset: units(source.get(..start)),
            length: units(source.get(start..end)),
            ..Self::error(message.message)
        }
    }
}

/// Where a source is wrong. wgpu takes the first place that its compiler names, even where that is none and a later one is the place.
fn first_place(source: &str) -> Option<Range<usize>> {
    let error = wgpu::naga::front::wgsl::parse_str(source).err()?;
    error.labels().find_map(|(span, _)| span.to_range())
}

/// The number of the line that comes after `before`, from 1, and where it begins. Lines end as WGSL says
/// (<https://www.w3.org/TR/WGSL/#line-break>), of which wgpu knows the line feed alone.
fn line_of(before: &str) -> (u64, usize) {
    let (mut line, mut line_start) = (1_u64, 0);
    let mut after_return = false;
    for (place, character) in before.char_indices() {
        if matches!(character, '\n' | '\u{b}' | '\u{c}' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}') {
            // A carriage return and its line feed are one.
            if !(after_return && character == '\n') {
                line = line.saturating_add(1);
            }
            line_start = place.saturating_add(character.len_utf8());
        }
        after_return = character == '\r';
    }
    (line, line_start)
}

/// No WGSL, so that the module made of it is invalid.
const NO_SHADER: &str = "no shader";

/// The bytes of immediate data that a valid shader takes, which wgpu finds too, and does not tell.
/// <https://www.w3.org/TR/webgpu/#abstract-opdef-default-pipeline-layout>
fn immediate_bytes(source: &str) -> u32 {
    // The address space is named by this word alone.
    if !source.contains("immediate") {
        return 0;
    }
    wgpu::naga::front::wgsl::parse_str(source)
        .map_or(0, |module| wgpu::naga::valid::ImmediateSlots::size_for_module(&module))
}

fn compile(
    device: &wgpu::Device,
    label: &str,
    source: &str,
) -> (wgpu::ShaderModule, Vec<CompilationMessage>, u32) {
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some(label),
        source: wgpu::ShaderSource::Wgsl(source.into()),
    });
    // Known since it was compiled, so the future is ready.
    let messages = module.get_compilation_info().now_or_never().map_or_else(Vec::new, |info| info.messages);
    let messages: Vec<_> =
        messages.into_iter().map(|message| CompilationMessage::new(message, source)).collect();
    let is_valid = !messages.iter().any(|message| message.kind == wit::GpuCompilationMessageType::Error);
    let immediate_bytes = if is_valid { immediate_bytes(source) } else { 0 };
    (module, messages, immediate_bytes)
}

/// A module that is invalid, without an error that tells so.
pub(super) fn invalid_module(device: &wgpu::Device, label: &str) -> wgpu::ShaderModule {
    // Too short a source to need the compiler's stack.
    capture(device, |device| compile(device, label, NO_SHADER).0).0
}

impl WebGpuCtxView<'_> {
    /// <https://www.w3.org/TR/webgpu/#dom-gpudevice-createshadermodule>
    pub(super) fn make_shader_module(
        &mut self,
        device: &Resource<Device>,
        descriptor: wit::GpuShaderModuleDescriptor,
    ) -> wasmtime::Result<Resource<ShaderModule>> {
        let device = self.table.get(device)?;
        let refusal = check_source(&descriptor.code, device.scene_limits().max_shader_bytes).err();
        // Nothing is kept of a source that is refused.
        let kept = if refusal.is_none() { descriptor.code.len() } else { 0 };
        let bytes = u64::try_from(kept).unwrap_or(u64::MAX);
        let claim = device.claim_memory(Some(Kind::ShaderModule), bytes)?;
        let label = labels::of(descriptor.label);
        let refuse = |kind: ErrorKind, message: String| {
            let wgpu = invalid_module(device.wgpu(), &label);
            device.report(kind, message.clone());
            (wgpu, vec![CompilationMessage::error(message)], 0)
        };
        let mut workgroup_source = None;
        let (wgpu, messages, immediate_bytes) = if let Some(message) = refusal {
            refuse(ErrorKind::Validation, message)
        } else {
            workgroup_source =
                may_use_workgroup_memory(&descriptor.code).then(|| descriptor.code.as_str().into());
            let (theirs, name, code) = (device.wgpu().clone(), label.clone(), descriptor.code);
            let compiled = device.gpu().compiler().run(move || compile(&theirs, &name, &code));
            compiled.unwrap_or_else(|error| {
                refuse(ErrorKind::Internal, format!("{error} at the shader module {label:?}"))
            })
        };
        let module = ShaderModule { wgpu, workgroup_source, immediate_bytes, messages, label, claim };
        Ok(self.table.push(module)?)
    }
}

impl<T: 'static> wit::HostGpuShaderModuleWithStore<T> for WebGpu {
    async fn get_compilation_info(
        accessor: &Accessor<T, Self>,
        this: Resource<ShaderModule>,
    ) -> wasmtime::Result<Resource<CompilationInfo>> {
        accessor.with(|mut access| {
            let view = access.get();
            let info = CompilationInfo(view.table.get(&this)?.messages.clone());
            Ok(view.table.push(info)?)
        })
    }
}

impl wit::HostGpuShaderModule for WebGpuCtxView<'_> {
    super::object_base!(ShaderModule);
}

impl wit::HostGpuCompilationInfo for WebGpuCtxView<'_> {
    fn messages(
        &mut self,
        this: Resource<CompilationInfo>,
    ) -> wasmtime::Result<Vec<Resource<CompilationMessage>>> {
        let messages = self.table.get(&this)?.0.clone();
        let mut resources = Vec::with_capacity(messages.len());
        for message in messages {
            resources.push(self.table.push(message)?);
        }
        Ok(resources)
    }

    super::drop_entry!(CompilationInfo);
}

impl wit::HostGpuCompilationMessage for WebGpuCtxView<'_> {
    fn message(&mut self, this: Resource<CompilationMessage>) -> wasmtime::Result<String> {
        Ok(self.table.get(&this)?.message.clone())
    }

    fn type_(
        &mut self,
        this: Resource<CompilationMessage>,
    ) -> wasmtime::Result<wit::GpuCompilationMessageType> {
        Ok(self.table.get(&this)?.kind)
    }

    fn line_num(&mut self, this: Resource<CompilationMessage>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&this)?.line)
    }

    fn line_pos(&mut self, this: Resource<CompilationMessage>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&this)?.column)
    }

    fn offset(&mut self, this: Resource<CompilationMessage>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&this)?.offset)
    }

    fn length(&mut self, this: Resource<CompilationMessage>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&this)?.length)
    }

    super::drop_entry!(CompilationMessage);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_cut_however_long_the_names_are_that_it_repeats() {
        let message = CompilationMessage::error("\u{e4}".repeat(1 << 20)).message;
        assert_eq!(message.len(), MAX_MESSAGE_BYTES);
        assert!(message.capacity() < 2 * MAX_MESSAGE_BYTES);
    }
}
