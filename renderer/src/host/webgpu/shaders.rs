//! Shader modules (<https://www.w3.org/TR/webgpu/#shader-modules>). They are compiled on a thread of their own, because of what
//! nesting does to stacks: see [`crate::gpu::ShaderCompiler`].

use std::sync::Arc;

use futures::FutureExt as _;
use wasmtime::component::{Accessor, Resource};

use super::bindings::wasi::webgpu::webgpu as wit;
use super::device::{Device, capture};
use super::errors::ErrorKind;
use super::quota::{Claim, Kind};
use super::{WebGpu, WebGpuCtxView, labels};
use crate::gpu::check_source;

/// `gpu-shader-module`
pub struct ShaderModule {
    pub(super) wgpu: wgpu::ShaderModule,
    messages: Vec<CompilationMessage>,
    label: String,
    _claim: Arc<Claim>,
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
    fn error(message: String) -> Self {
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
        let start = place.offset as usize;
        let end = start.saturating_add(place.length as usize);
        let line_start = source
            .get(..start)
            .and_then(|before| before.rfind('\n'))
            .map_or(0, |newline| newline.saturating_add(1));
        Self {
            message: message.message,
            kind,
            line: u64::from(place.line_number),
            column: units(source.get(line_start..start)).saturating_add(1),
            offset: units(source.get(..start)),
            length: units(source.get(start..end)),
        }
    }
}

/// No WGSL, so that the module made of it is invalid.
const NO_SHADER: &str = "no shader";

fn compile(
    device: &wgpu::Device,
    label: &str,
    source: &str,
) -> (wgpu::ShaderModule, Vec<CompilationMessage>) {
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some(label),
        source: wgpu::ShaderSource::Wgsl(source.into()),
    });
    // Known since it was compiled, so the future is ready.
    let messages = module.get_compilation_info().now_or_never().map_or_else(Vec::new, |info| info.messages);
    (module, messages.into_iter().map(|message| CompilationMessage::new(message, source)).collect())
}

impl WebGpuCtxView<'_> {
    /// <https://www.w3.org/TR/webgpu/#dom-gpudevice-createshadermodule>
    pub(super) fn make_shader_module(
        &mut self,
        device: &Resource<Device>,
        descriptor: wit::GpuShaderModuleDescriptor,
    ) -> wasmtime::Result<Resource<ShaderModule>> {
        let device = self.table.get(device)?;
        let claim = device.claim(Kind::ShaderModule)?;
        let label = labels::of(descriptor.label);
        let refuse = |kind: ErrorKind, message: String| {
            // Too short a source to need the compiler's stack.
            let (wgpu, _) = capture(device.wgpu(), |device| compile(device, &label, NO_SHADER).0);
            device.report(kind, message.clone());
            (wgpu, vec![CompilationMessage::error(message)])
        };
        let (wgpu, messages) =
            if let Err(message) = check_source(&descriptor.code, device.scene_limits().max_shader_bytes) {
                refuse(ErrorKind::Validation, message)
            } else {
                let (theirs, name, code) = (device.wgpu().clone(), label.clone(), descriptor.code);
                let compiled = device.gpu().compiler().run(move || compile(&theirs, &name, &code));
                compiled.unwrap_or_else(|error| {
                    refuse(ErrorKind::Internal, format!("{error} at the shader module {label:?}"))
                })
            };
        Ok(self.table.push(ShaderModule { wgpu, messages, label, _claim: claim })?)
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
