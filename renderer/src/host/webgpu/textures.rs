//! Textures and their views (<https://www.w3.org/TR/webgpu/#textures>).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use wasmtime::component::Resource;

use super::bindings::wasi::webgpu::webgpu as wit;
use super::canvas::distinct;
use super::device::Device;
use super::quota::{Claim, Kind};
use super::{WebGpuCtxView, convert, labels, memory};

/// `gpu-texture`; clones are handles of the same texture.
#[derive(Clone)]
pub struct Texture {
    pub(super) wgpu: wgpu::Texture,
    device: Device,
    label: String,
    format: wit::GpuTextureFormat,
    usage: wit::GpuTextureUsage,
    view_formats: Vec<wgpu::TextureFormat>,
    /// To the scene: wgpu refuses new views of it then, and WebGPU does not.
    destroyed: bool,
    pub(super) life: Option<SurfaceTextureLife>,
    /// `None` for a surface's, which the surface counts, and if there was no memory for it.
    pub(super) claim: Option<Arc<Claim>>,
}

/// How long a scene may use the texture of a surface, and whether it has. Clones speak of the same texture.
///
/// Work that uses the texture fails validation when it is submitted after the end.
#[derive(Clone, Debug, Default)]
pub struct SurfaceTextureLife(Arc<Life>);

#[derive(Debug, Default)]
struct Life {
    expired: AtomicBool,
    submitted: AtomicBool,
}

impl SurfaceTextureLife {
    /// From now on the scene may no longer use the texture.
    pub fn expire(&self) {
        self.0.expired.store(true, Ordering::Release);
    }

    /// True after [`SurfaceTextureLife::expire`], and after the scene destroyed the texture.
    pub fn is_expired(&self) -> bool {
        self.0.expired.load(Ordering::Acquire)
    }

    /// Work that uses the texture is submitted.
    pub(super) fn submit(&self) {
        self.0.submitted.store(true, Ordering::Release);
    }

    /// Whether work that uses the texture was submitted.
    pub fn is_submitted(&self) -> bool {
        self.0.submitted.load(Ordering::Acquire)
    }

    /// Tells textures apart, as long as somebody has their life.
    fn id(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }
}

/// The textures of surfaces that something uses, each once.
#[derive(Clone, Debug, Default)]
pub(super) struct Lives(HashMap<usize, SurfaceTextureLife>);

impl Lives {
    pub(super) fn iter(&self) -> impl Iterator<Item = &SurfaceTextureLife> {
        self.0.values()
    }
}

impl<'a> Extend<&'a SurfaceTextureLife> for Lives {
    fn extend<I: IntoIterator<Item = &'a SurfaceTextureLife>>(&mut self, lives: I) {
        for life in lives {
            self.0.entry(life.id()).or_insert_with(|| life.clone());
        }
    }
}

impl Texture {
    /// A texture of a surface's ring. The scene can use it for these usages, which may be fewer than it has, until it destroys it or
    /// until its [`life`](Texture::surface_life) expires; the ring's texture itself is not destroyed then, because others still read it.
    ///
    /// `None` if the texture's format is not one of the standard's.
    pub fn from_surface(
        device: &Device,
        texture: wgpu::Texture,
        usage: wit::GpuTextureUsage,
    ) -> Option<Self> {
        let format = convert::standard_format(texture.format())?;
        Some(Self {
            wgpu: texture,
            device: device.clone(),
            label: String::new(),
            format,
            usage,
            view_formats: Vec::new(),
            destroyed: false,
            life: Some(SurfaceTextureLife::default()),
            claim: None,
        })
    }

    /// <https://www.w3.org/TR/webgpu/#dom-gputexture-destroy>
    fn destroy(&mut self) {
        if let Some(life) = &self.life {
            life.expire();
        } else {
            self.wgpu.destroy();
            self.destroyed = true;
        }
        if let Some(claim) = &self.claim {
            claim.release_memory();
        }
    }

    /// The device was destroyed; another device's texture is not concerned.
    pub(super) fn destroy_with(&mut self, device: &Device) {
        if self.device.is(device) {
            self.destroy();
        }
    }

    /// A view, which is right even if the texture is destroyed: the error comes when the view is used.
    fn view(&self, wanted: &wgpu::TextureViewDescriptor<'_>) -> wgpu::TextureView {
        if !self.destroyed {
            return self.wgpu.create_view(wanted);
        }
        // Another one that is destroyed takes its place: as small as one with so many levels and layers can be, used by nothing, and gone after
        // this call.
        let (block_width, block_height) = self.wgpu.format().block_dimensions();
        let whole = self.wgpu.size();
        let side = |block: u32, pixels: u32| {
            let levels = self.wgpu.mip_level_count().saturating_sub(1);
            let least = 1_u32.checked_shl(levels).and_then(|side| side.checked_next_multiple_of(block));
            least.map_or(pixels, |least| least.min(pixels))
        };
        let smallest = wgpu::Extent3d {
            width: side(block_width, whole.width),
            height: side(block_height, whole.height),
            depth_or_array_layers: match self.wgpu.dimension() {
                wgpu::TextureDimension::D3 => side(1, whole.depth_or_array_layers),
                _ => whole.depth_or_array_layers,
            },
        };
        let double = self.device.unheard(|device| {
            device.create_texture(&wgpu::TextureDescriptor {
                label: Some(&self.label),
                size: smallest,
                mip_level_count: self.wgpu.mip_level_count(),
                sample_count: self.wgpu.sample_count(),
                dimension: self.wgpu.dimension(),
                format: self.wgpu.format(),
                usage: self.wgpu.usage(),
                view_formats: &self.view_formats,
            })
        });
        let view = double.0.create_view(wanted);
        double.0.destroy();
        view
    }

    /// The life of a surface's texture; `None` for a texture of the scene's own.
    pub fn surface_life(&self) -> Option<&SurfaceTextureLife> {
        self.life.as_ref()
    }

    /// The view that stands for the texture itself.
    pub(super) fn default_view(&self) -> wgpu::TextureView {
        let usage = self.view_usage();
        self.view(&wgpu::TextureViewDescriptor { usage, ..Default::default() })
    }

    /// The usages of its views, where the scene names none: those that the texture has for it.
    fn view_usage(&self) -> Option<wgpu::TextureUsages> {
        self.life.as_ref().map(|_| self.usage.into())
    }

    /// Whether the scene may copy from it, as far as wgpu does not know: a surface's texture is read by others, too.
    pub(super) fn is_copyable(&self) -> bool {
        self.life.is_none() || self.usage.contains(wit::GpuTextureUsage::COPY_SRC)
    }
}

/// `gpu-texture-view`
pub struct TextureView {
    pub(super) wgpu: wgpu::TextureView,
    label: String,
    /// The format that the view shows, for attachments.
    pub(super) format: wgpu::TextureFormat,
    pub(super) life: Option<SurfaceTextureLife>,
    pub(super) claim: ViewClaim,
}

/// What a view keeps: itself, and the texture.
#[derive(Clone)]
pub(super) struct ViewClaim {
    _view: Arc<Claim>,
    _texture: Option<Arc<Claim>>,
}

/// A texture if there is memory for it, and its place in the quota.
fn create(device: &Device, wanted: &wgpu::TextureDescriptor<'_>) -> (wgpu::Texture, Option<Arc<Claim>>) {
    let limits = device.wgpu().limits();
    let size = wanted.size;
    let (largest_side, most_layers) = match wanted.dimension {
        wgpu::TextureDimension::D1 => (limits.max_texture_dimension_1d, 1),
        wgpu::TextureDimension::D2 => (limits.max_texture_dimension_2d, limits.max_texture_array_layers),
        wgpu::TextureDimension::D3 => (limits.max_texture_dimension_3d, limits.max_texture_dimension_3d),
    };
    let (block_width, block_height) = wanted.format.block_dimensions();
    let accepted = (1..=largest_side).contains(&size.width)
        && (1..=largest_side).contains(&size.height)
        && (1..=most_layers).contains(&size.depth_or_array_layers)
        && (1..=size.max_mips(wanted.dimension)).contains(&wanted.mip_level_count)
        && size.width.is_multiple_of(block_width)
        && size.height.is_multiple_of(block_height);
    if !accepted {
        return (device.wgpu().create_texture(wanted), None);
    }
    let small = wgpu::Extent3d { width: block_width, height: block_height, depth_or_array_layers: 1 };
    device.make_counted(
        (Kind::Texture, memory::texture_bytes(wanted)),
        || format!("the texture {:?} of {:?}", wanted.label.unwrap_or_default(), wanted.size),
        |device| device.create_texture(wanted),
        // No texture has no usage.
        |device| {
            let usage = wgpu::TextureUsages::empty();
            device.create_texture(&wgpu::TextureDescriptor { usage, ..wanted.clone() })
        },
        |device| {
            let size = if wanted.dimension == wgpu::TextureDimension::D1 {
                wgpu::Extent3d { width: 1, height: 1, depth_or_array_layers: 1 }
            } else {
                small
            };
            let levels = if wanted.sample_count > 1 { wanted.mip_level_count } else { 1 };
            drop(device.create_texture(&wgpu::TextureDescriptor {
                size,
                mip_level_count: levels,
                ..wanted.clone()
            }));
        },
    )
}

impl WebGpuCtxView<'_> {
    /// <https://www.w3.org/TR/webgpu/#dom-gpudevice-createtexture>
    pub(super) fn make_texture(
        &mut self,
        device: &Resource<Device>,
        descriptor: wit::GpuTextureDescriptor,
    ) -> wasmtime::Result<Resource<Texture>> {
        let device = self.table.get(device)?.clone();
        let label = labels::of(descriptor.label);
        // They are kept as long as the texture.
        let view_formats = distinct(descriptor.view_formats.unwrap_or_default());
        let view_formats: Vec<wgpu::TextureFormat> = view_formats.into_iter().map(Into::into).collect();
        let (wgpu, claim) = create(
            &device,
            &wgpu::TextureDescriptor {
                label: Some(&label),
                size: convert::extent(descriptor.size),
                mip_level_count: descriptor.mip_level_count.unwrap_or(1),
                sample_count: descriptor.sample_count.unwrap_or(1),
                dimension: descriptor.dimension.map_or(wgpu::TextureDimension::D2, Into::into),
                format: descriptor.format.into(),
                usage: descriptor.usage.into(),
                view_formats: &view_formats,
            },
        );
        Ok(self.table.push(Texture {
            wgpu,
            device,
            label,
            format: descriptor.format,
            usage: descriptor.usage,
            view_formats,
            destroyed: false,
            life: None,
            claim,
        })?)
    }
}

impl wit::HostGpuTexture for WebGpuCtxView<'_> {
    /// <https://www.w3.org/TR/webgpu/#dom-gputexture-createview>
    fn create_view(
        &mut self,
        this: Resource<Texture>,
        descriptor: Option<wit::GpuTextureViewDescriptor>,
    ) -> wasmtime::Result<Resource<TextureView>> {
        let texture = self.table.get(&this)?;
        let claim =
            ViewClaim { _view: texture.device.claim(Kind::TextureView)?, _texture: texture.claim.clone() };
        let view = match descriptor {
            None => TextureView {
                wgpu: texture.default_view(),
                label: String::new(),
                format: texture.wgpu.format(),
                life: texture.life.clone(),
                claim,
            },
            Some(descriptor) => {
                let label = labels::of(descriptor.label);
                let aspect = descriptor.aspect.map_or(wgpu::TextureAspect::All, Into::into);
                let format = descriptor.format.map(wgpu::TextureFormat::from);
                let wanted = wgpu::TextureViewDescriptor {
                    label: Some(&label),
                    format,
                    dimension: descriptor.dimension.map(Into::into),
                    // No usage at all means those of the texture.
                    usage: descriptor
                        .usage
                        .filter(|usage| *usage != wit::GpuTextureUsage::empty())
                        .map_or_else(|| texture.view_usage(), |usage| Some(usage.into())),
                    aspect,
                    base_mip_level: descriptor.base_mip_level.unwrap_or(0),
                    mip_level_count: descriptor.mip_level_count,
                    base_array_layer: descriptor.base_array_layer.unwrap_or(0),
                    array_layer_count: descriptor.array_layer_count,
                };
                let wgpu = if descriptor.swizzle.is_none_or(|swizzle| swizzle == "rgba") {
                    texture.view(&wanted)
                } else {
                    let refused = wgpu::TextureViewDescriptor { mip_level_count: Some(0), ..wanted };
                    let message = "texture-component-swizzle is not enabled on this device";
                    texture.device.make_invalid(message, |_| texture.wgpu.create_view(&refused))
                };
                let of_aspect = || texture.wgpu.format().aspect_specific_format(aspect);
                let format = format.or_else(of_aspect).unwrap_or_else(|| texture.wgpu.format());
                TextureView { wgpu, label, format, life: texture.life.clone(), claim }
            }
        };
        Ok(self.table.push(view)?)
    }

    fn destroy(&mut self, this: Resource<Texture>) -> wasmtime::Result<()> {
        self.table.get_mut(&this)?.destroy();
        Ok(())
    }

    fn width(&mut self, this: Resource<Texture>) -> wasmtime::Result<u32> {
        Ok(self.table.get(&this)?.wgpu.width())
    }

    fn height(&mut self, this: Resource<Texture>) -> wasmtime::Result<u32> {
        Ok(self.table.get(&this)?.wgpu.height())
    }

    fn depth_or_array_layers(&mut self, this: Resource<Texture>) -> wasmtime::Result<u32> {
        Ok(self.table.get(&this)?.wgpu.depth_or_array_layers())
    }

    fn mip_level_count(&mut self, this: Resource<Texture>) -> wasmtime::Result<u32> {
        Ok(self.table.get(&this)?.wgpu.mip_level_count())
    }

    fn sample_count(&mut self, this: Resource<Texture>) -> wasmtime::Result<u32> {
        Ok(self.table.get(&this)?.wgpu.sample_count())
    }

    fn dimension(&mut self, this: Resource<Texture>) -> wasmtime::Result<wit::GpuTextureDimension> {
        Ok(match self.table.get(&this)?.wgpu.dimension() {
            wgpu::TextureDimension::D1 => wit::GpuTextureDimension::D1,
            wgpu::TextureDimension::D2 => wit::GpuTextureDimension::D2,
            wgpu::TextureDimension::D3 => wit::GpuTextureDimension::D3,
        })
    }

    fn format(&mut self, this: Resource<Texture>) -> wasmtime::Result<wit::GpuTextureFormat> {
        Ok(self.table.get(&this)?.format)
    }

    fn usage(&mut self, this: Resource<Texture>) -> wasmtime::Result<wit::GpuTextureUsage> {
        Ok(self.table.get(&this)?.usage)
    }

    /// Only a device without `core-features-and-limits` has one, and binds the texture with no other; ours all have that feature.
    fn texture_binding_view_dimension(
        &mut self,
        _this: Resource<Texture>,
    ) -> wasmtime::Result<Option<wit::GpuTextureViewDimension>> {
        Ok(None)
    }

    super::object_base!(Texture);
}

impl wit::HostGpuTextureView for WebGpuCtxView<'_> {
    super::object_base!(TextureView);
}
