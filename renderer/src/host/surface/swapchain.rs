//! The ring of offscreen textures behind a configured context.
//!
//! A presented texture goes back into the ring at once: its readback stands in the device's queue before anything that the scene draws
//! next, so the ring is as long as a scene holds textures, not as long as readbacks take.

use renderer_protocol::FrameSize;

use crate::{
    frame::Capture,
    host::{
        Tick,
        webgpu::{CanvasConfiguration, Device, HostClaim, SurfaceTextureLife, Texture},
    },
};

/// Textures kept for the next frames. A scene draws into one at a time.
const RING_TEXTURES: usize = 2;

pub(super) struct Swapchain {
    configuration: CanvasConfiguration,
    is_cpu: bool,
    /// All of one size; a new size begins a new ring.
    idle: Vec<RingTexture>,
    current: Option<Current>,
}

/// A texture of the ring, counted as the scene's memory. It is made whatever the scene has left: a window must not stay empty because it
/// grew.
pub(super) struct RingTexture {
    pub(super) wgpu: wgpu::Texture,
    _claim: HostClaim,
}

/// The texture that is drawn into, and what the scene knows of it.
struct Current {
    ring: RingTexture,
    scene: Texture,
    size: FrameSize,
    /// The tick that it was first asked for in. Another may begin before it is presented, of which the scene has seen nothing.
    tick: Tick,
}

impl Swapchain {
    pub(super) fn new(configuration: CanvasConfiguration, is_cpu: bool) -> Self {
        Self { configuration, is_cpu, idle: Vec::new(), current: None }
    }

    pub(super) fn configuration(&self) -> &CanvasConfiguration {
        &self.configuration
    }

    pub(super) fn device(&self) -> &Device {
        self.configuration.device()
    }

    /// The texture to draw into, of this size and for this tick unless one is being drawn already. `None` only for a format that the
    /// standard does not know, which the configuration has ruled out.
    pub(super) fn current_texture(&mut self, size: FrameSize, tick: Tick) -> Option<Texture> {
        if let Some(current) = &self.current {
            return Some(current.scene.clone());
        }
        self.keep_idle(size);
        let ring = self.idle.pop().unwrap_or_else(|| self.create(size));
        let scene = Texture::from_surface(self.device(), ring.wgpu.clone(), self.configuration.usage())?;
        self.current = Some(Current { ring, scene: scene.clone(), size, tick });
        Some(scene)
    }

    /// A texture that can be captured, beside what the scene does with it. One of a configuration that no texture can have is invalid, and
    /// an error each time: <https://www.w3.org/TR/webgpu/#dom-gpucanvascontext-getcurrenttexture>.
    fn create(&self, size: FrameSize) -> RingTexture {
        let extent = wgpu::Extent3d { width: size.width(), height: size.height(), depth_or_array_layers: 1 };
        let mut view_formats = self.configuration.view_formats();
        let format = self.configuration.descriptor(extent, &[]).format;
        if self.configuration.is_valid() {
            view_formats.extend(Capture::view_formats(self.is_cpu, format));
        }
        let mut descriptor = self.configuration.descriptor(extent, &view_formats);
        if self.configuration.is_valid() {
            descriptor.usage |= Capture::texture_usages(self.is_cpu, format);
        }
        let claim = self.device().claim_for_host(&descriptor);
        RingTexture { wgpu: self.device().wgpu().create_texture(&descriptor), _claim: claim }
    }

    /// Keeps the idle textures of this size. The others are destroyed, because the scene may hold handles of them for ever.
    fn keep_idle(&mut self, size: FrameSize) {
        self.idle.retain(|texture| {
            let fits = (texture.wgpu.width(), texture.wgpu.height()) == size.into();
            if !fits {
                texture.wgpu.destroy();
            }
            fits
        });
    }

    /// Whether work that draws to the current texture was submitted.
    pub(super) fn is_drawn(&self) -> bool {
        let life = self.current.as_ref().and_then(|current| current.scene.surface_life());
        life.is_some_and(SurfaceTextureLife::is_submitted)
    }

    /// The size of the current texture.
    pub(super) fn current_size(&self) -> Option<FrameSize> {
        self.current.as_ref().map(|current| current.size)
    }

    /// Ends the current texture, which belongs to this tick: from here on the scene cannot use it. `None` when there is none, or the
    /// scene destroyed it.
    pub(super) fn take_current(&mut self) -> Option<(RingTexture, Tick)> {
        let Current { ring, scene, tick, .. } = self.current.take()?;
        let life = scene.surface_life()?;
        if life.is_expired() {
            ring.wgpu.destroy();
            return None;
        }
        life.expire();
        Some((ring, tick))
    }

    /// Puts a texture back into the ring. A later frame must show nothing of this one: an empty pass that discards its result tells
    /// wgpu so, which then clears the texture only if the scene loads it instead of clearing it itself.
    pub(super) fn recycle(&mut self, texture: RingTexture) {
        if self.idle.len() >= RING_TEXTURES
            || !self.configuration.is_valid()
            || !texture.wgpu.usage().contains(wgpu::TextureUsages::RENDER_ATTACHMENT)
        {
            // wgpu frees it when the work that was submitted is done with it, of which a readback is counted here.
            self.device().count_submit();
            texture.wgpu.destroy();
            return;
        }
        let view = texture.wgpu.create_view(&wgpu::TextureViewDescriptor::default());
        let mut encoder =
            self.device().wgpu().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                view: &view,
                depth_slice: None,
                resolve_target: None,
                ops: wgpu::Operations { load: wgpu::LoadOp::Load, store: wgpu::StoreOp::Discard },
            })],
            ..Default::default()
        });
        self.device().queue().submit([encoder.finish()]);
        // Counts a readback that was submitted before, too.
        self.device().count_submit();
        self.idle.push(texture);
    }

    /// Gives the current texture up, unseen: <https://www.w3.org/TR/webgpu/#abstract-opdef-expire-the-current-texture>.
    pub(super) fn discard_current(&mut self) {
        if let Some((texture, _)) = self.take_current() {
            texture.wgpu.destroy();
        }
    }
}

impl Drop for Swapchain {
    /// A context that is configured again, or no longer, gives up its textures.
    fn drop(&mut self) {
        self.discard_current();
        self.idle.iter().for_each(|texture| texture.wgpu.destroy());
    }
}
