//! The ring of offscreen textures behind a configured context.
//!
//! A presented texture goes back into the ring at once: its readback stands in the device's queue before anything that the scene draws
//! next, so the ring is as long as a scene holds textures, not as long as readbacks take.

use renderer_protocol::FrameSize;

use super::bindings::wasi_gfx::surface::surface_webgpu::ContextConfiguration;
use crate::{
    frame::Capture,
    host::{
        Tick,
        webgpu::{Device, ErrorKind, Texture, bindings::wasi::webgpu::webgpu},
    },
};

/// Textures kept for the next frames. A scene draws into one at a time.
const RING_TEXTURES: usize = 2;

pub(super) struct Swapchain {
    device: Device,
    format: wgpu::TextureFormat,
    usage: wgpu::TextureUsages,
    view_formats: Vec<wgpu::TextureFormat>,
    /// All of one size; a new size begins a new ring.
    idle: Vec<wgpu::Texture>,
    current: Option<Current>,
}

/// The texture that is drawn into, and what the scene knows of it.
struct Current {
    wgpu: wgpu::Texture,
    scene: Texture,
    /// The tick that it was first asked for in. Another may begin before it is presented, of which the scene has seen nothing.
    tick: Tick,
}

impl Swapchain {
    /// Checks a configuration. A wrong one is a validation error of its device, and leaves the context unconfigured:
    /// <https://www.w3.org/TR/webgpu/#dom-gpucanvascontext-configure>.
    pub(super) fn new(device: &Device, configuration: &ContextConfiguration, is_cpu: bool) -> Option<Self> {
        use webgpu::GpuTextureFormat as Format;
        if !matches!(configuration.format, Format::Bgra8unorm | Format::Rgba8unorm | Format::Rgba16float) {
            device.report(ErrorKind::Validation, format!(
                "a context cannot be configured with the format {:?}: bgra8unorm, rgba8unorm and rgba16float are supported",
                configuration.format
            ));
            return None;
        }
        let format: wgpu::TextureFormat = configuration.format.into();
        let mut view_formats: Vec<wgpu::TextureFormat> =
            configuration.view_formats.iter().flatten().copied().map(Into::into).collect();
        let compatible =
            |view: &wgpu::TextureFormat| view.remove_srgb_suffix() == format.remove_srgb_suffix();
        if let Some(view) = view_formats.iter().find(|view| !compatible(view)) {
            device
                .report(ErrorKind::Validation, format!("{view:?} is no view format of a {format:?} context"));
            return None;
        }
        view_formats.extend(Capture::view_formats(is_cpu, format));
        let usage = configuration.usage.unwrap_or(webgpu::GpuTextureUsage::RENDER_ATTACHMENT);
        let usage = wgpu::TextureUsages::from(usage) | Capture::texture_usages(is_cpu, format);
        Some(Self { device: device.clone(), format, usage, view_formats, idle: Vec::new(), current: None })
    }

    pub(super) fn device(&self) -> &Device {
        &self.device
    }

    /// The texture to draw into, of this size and for this tick unless one is being drawn already. `None` only for a format that the standard does not
    /// know, which the configuration has ruled out.
    pub(super) fn current_texture(&mut self, size: FrameSize, tick: Tick) -> Option<Texture> {
        if let Some(current) = &self.current {
            return Some(current.scene.clone());
        }
        self.idle.retain(|texture| (texture.width(), texture.height()) == size.into());
        let wgpu = self.idle.pop().unwrap_or_else(|| {
            self.device.wgpu().create_texture(&wgpu::TextureDescriptor {
                label: Some("surface"),
                size: wgpu::Extent3d { width: size.width(), height: size.height(), depth_or_array_layers: 1 },
                mip_level_count: 1,
                sample_count: 1,
                dimension: wgpu::TextureDimension::D2,
                format: self.format,
                usage: self.usage,
                view_formats: &self.view_formats,
            })
        });
        let scene = Texture::from_surface(&self.device, wgpu.clone(), "surface")?;
        self.current = Some(Current { wgpu, scene: scene.clone(), tick });
        Some(scene)
    }

    /// Ends the current texture, which belongs to this tick: from here on the scene cannot use it. `None` when there is none, or the scene destroyed it.
    pub(super) fn take_current(&mut self) -> Option<(wgpu::Texture, Tick)> {
        let Current { wgpu, scene, tick } = self.current.take()?;
        let life = scene.surface_life()?;
        let destroyed = life.is_expired();
        life.expire();
        (!destroyed).then_some((wgpu, tick))
    }

    /// Puts a texture back into the ring. A later frame must show nothing of this one: an empty pass that discards its result tells
    /// wgpu so, which then clears the texture only if the scene loads it instead of clearing it itself.
    pub(super) fn recycle(&mut self, texture: wgpu::Texture) {
        if self.idle.len() >= RING_TEXTURES
            || !texture.usage().contains(wgpu::TextureUsages::RENDER_ATTACHMENT)
        {
            return;
        }
        let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
        let mut encoder =
            self.device.wgpu().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                view: &view,
                depth_slice: None,
                resolve_target: None,
                ops: wgpu::Operations { load: wgpu::LoadOp::Load, store: wgpu::StoreOp::Discard },
            })],
            ..Default::default()
        });
        self.device.queue().submit([encoder.finish()]);
        self.idle.push(texture);
    }
}

impl Drop for Swapchain {
    /// A context that is configured again, or no longer, gives up its current texture:
    /// <https://www.w3.org/TR/webgpu/#abstract-opdef-expire-the-current-texture>.
    fn drop(&mut self) {
        self.take_current();
    }
}
