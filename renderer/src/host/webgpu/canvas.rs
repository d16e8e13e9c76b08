//! Canvas contexts (<https://www.w3.org/TR/webgpu/#canvas-rendering>): what a configuration means, and `gpu-canvas-context`.
//!
//! Whose canvas it is, how large, and when its picture is shown is not known here: its owner implements [`Canvas`].

use std::sync::Arc;

use wasmtime::component::{Resource, ResourceTable};

use super::WebGpuCtxView;
use super::bindings::wasi::webgpu::webgpu as wit;
use super::device::Device;
use super::textures::Texture;

/// A configuration with its defaults (<https://www.w3.org/TR/webgpu/#canvas-configuration>).
///
/// A picture is opaque when it is shown, over black: so both alpha modes show the same. It is shown on a display without a high
/// dynamic range: so both tone mappings show the same, too. Values of `display-p3` are shown as if they were of `srgb`.
#[derive(Clone)]
pub struct CanvasConfiguration {
    device: Device,
    format: wit::GpuTextureFormat,
    usage: wit::GpuTextureUsage,
    view_formats: Vec<wit::GpuTextureFormat>,
    color_space: wit::PredefinedColorSpace,
    tone_mapping: wit::GpuCanvasToneMappingMode,
    alpha_mode: wit::GpuCanvasAlphaMode,
    is_valid: bool,
}

impl CanvasConfiguration {
    /// The first half of <https://www.w3.org/TR/webgpu/#dom-gpucanvascontext-configure>.
    ///
    /// What the IDL throws for has no result in the interface: it is a validation error, and `None`, which changes nothing. Any
    /// other fault is a validation error that makes a configuration of which every texture is invalid.
    pub fn new(
        table: &ResourceTable,
        configuration: wit::GpuCanvasConfiguration,
    ) -> wasmtime::Result<Option<Self>> {
        use wit::GpuTextureFormat as Format;
        let device = table.get(&configuration.device)?.clone();
        // https://www.w3.org/TR/webgpu/#supported-context-formats
        if !matches!(configuration.format, Format::Bgra8unorm | Format::Rgba8unorm | Format::Rgba16float) {
            device.invalid(format!(
                "a context cannot be configured with the format {:?}: bgra8unorm, rgba8unorm and rgba16float are supported",
                configuration.format
            ));
            return Ok(None);
        }
        let mut configuration = Self {
            device,
            format: configuration.format,
            usage: configuration.usage.unwrap_or(wit::GpuTextureUsage::RENDER_ATTACHMENT),
            view_formats: distinct(configuration.view_formats.unwrap_or_default()),
            color_space: configuration.color_space.unwrap_or(wit::PredefinedColorSpace::Srgb),
            tone_mapping: configuration
                .tone_mapping
                .and_then(|mapping| mapping.mode)
                .unwrap_or(wit::GpuCanvasToneMappingMode::Standard),
            alpha_mode: configuration.alpha_mode.unwrap_or(wit::GpuCanvasAlphaMode::Opaque),
            is_valid: true,
        };
        // Tried with one texel: whether a texture of this kind can be made is no question of its size.
        let view_formats = configuration.view_formats();
        let (tried, error) = configuration.device.unheard(|device| {
            device.create_texture(&configuration.descriptor(wgpu::Extent3d::default(), &view_formats))
        });
        tried.destroy();
        if let Some(error) = error {
            configuration.is_valid = false;
            configuration.device.report(
                error.kind,
                format!("a context cannot have textures of its configuration: {}", error.message),
            );
        }
        Ok(Some(configuration))
    }

    /// The device that draws.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Whether a device can make textures of it.
    pub fn is_valid(&self) -> bool {
        self.is_valid
    }

    /// What the scene may do with a texture.
    pub fn usage(&self) -> wit::GpuTextureUsage {
        self.usage
    }

    /// As in [`descriptor`](Self::descriptor).
    pub fn view_formats(&self) -> Vec<wgpu::TextureFormat> {
        self.view_formats.iter().copied().map(Into::into).collect()
    }

    /// <https://www.w3.org/TR/webgpu/#abstract-opdef-gputexturedescriptor-for-the-canvas-and-configuration>
    pub fn descriptor<'a>(
        &self,
        size: wgpu::Extent3d,
        view_formats: &'a [wgpu::TextureFormat],
    ) -> wgpu::TextureDescriptor<'a> {
        wgpu::TextureDescriptor {
            label: Some("surface"),
            size,
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: self.format.into(),
            usage: self.usage.into(),
            view_formats,
        }
    }
}

/// A list of formats, each once: a scene may say one a million times.
pub(super) fn distinct(formats: Vec<wit::GpuTextureFormat>) -> Vec<wit::GpuTextureFormat> {
    // One place for each format and to spare: a list may be as long as a call may carry, and so is looked at in one go.
    let mut seen = [false; 256];
    let mut distinct = Vec::new();
    for format in formats {
        match seen.get_mut(format as usize) {
            Some(true) => {}
            Some(place) => {
                *place = true;
                distinct.push(format);
            }
            None => distinct.push(format),
        }
    }
    distinct
}

/// A canvas, as its context sees it. There is one context of a canvas, whatever the number of handles.
pub trait Canvas: Send + Sync {
    /// Begins a new drawing buffer, of this configuration or of none; the current texture expires.
    fn configure(&self, configuration: Option<CanvasConfiguration>);

    /// What it was last configured with.
    fn configuration(&self) -> Option<CanvasConfiguration>;

    /// The texture that is shown next, and the same one until then. `None` without a configuration.
    fn current_texture(&self) -> Option<Texture>;
}

/// `gpu-canvas-context`; clones are handles of one context.
#[derive(Clone)]
pub struct CanvasContext(Arc<dyn Canvas>);

impl CanvasContext {
    /// The context of a canvas.
    pub fn new(canvas: Arc<dyn Canvas>) -> Self {
        Self(canvas)
    }
}

/// A texture was asked of a context before it was configured. The IDL throws an `InvalidStateError`; the interface has no result to
/// carry it, and without a configuration there is no device that could make an invalid texture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a texture was asked of a context that is not configured: call `configure` first")]
pub struct NotConfigured;

impl wit::HostGpuCanvasContext for WebGpuCtxView<'_> {
    /// <https://www.w3.org/TR/webgpu/#dom-gpucanvascontext-configure>
    fn configure(
        &mut self,
        this: Resource<CanvasContext>,
        configuration: wit::GpuCanvasConfiguration,
    ) -> wasmtime::Result<()> {
        if let Some(configuration) = CanvasConfiguration::new(self.table, configuration)? {
            self.table.get(&this)?.0.configure(Some(configuration));
        }
        Ok(())
    }

    /// <https://www.w3.org/TR/webgpu/#dom-gpucanvascontext-unconfigure>
    fn unconfigure(&mut self, this: Resource<CanvasContext>) -> wasmtime::Result<()> {
        self.table.get(&this)?.0.configure(None);
        Ok(())
    }

    /// <https://www.w3.org/TR/webgpu/#dom-gpucanvascontext-getconfiguration>
    fn get_configuration(
        &mut self,
        this: Resource<CanvasContext>,
    ) -> wasmtime::Result<Option<wit::GpuCanvasConfigurationOwned>> {
        let Some(configuration) = self.table.get(&this)?.0.configuration() else { return Ok(None) };
        Ok(Some(wit::GpuCanvasConfigurationOwned {
            device: self.table.push(configuration.device)?,
            format: configuration.format,
            usage: Some(configuration.usage),
            view_formats: Some(configuration.view_formats),
            color_space: Some(configuration.color_space),
            tone_mapping: Some(wit::GpuCanvasToneMapping { mode: Some(configuration.tone_mapping) }),
            alpha_mode: Some(configuration.alpha_mode),
        }))
    }

    /// <https://www.w3.org/TR/webgpu/#dom-gpucanvascontext-getcurrenttexture>
    fn get_current_texture(&mut self, this: Resource<CanvasContext>) -> wasmtime::Result<Resource<Texture>> {
        let texture = self.table.get(&this)?.0.current_texture().ok_or(NotConfigured)?;
        Ok(self.table.push(texture)?)
    }

    super::drop_entry!(CanvasContext);
}
