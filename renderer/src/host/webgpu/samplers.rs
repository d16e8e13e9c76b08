//! Samplers (<https://www.w3.org/TR/webgpu/#samplers>).

use std::sync::Arc;

use wasmtime::component::Resource;

use super::WebGpuCtxView;
use super::bindings::wasi::webgpu::webgpu as wit;
use super::device::Device;
use super::labels;
use super::quota::{Claim, Kind};

/// `gpu-sampler`
pub struct Sampler {
    pub(super) wgpu: wgpu::Sampler,
    label: String,
    pub(super) claim: Arc<Claim>,
}

impl WebGpuCtxView<'_> {
    /// <https://www.w3.org/TR/webgpu/#dom-gpudevice-createsampler>
    pub(super) fn make_sampler(
        &mut self,
        device: &Resource<Device>,
        descriptor: Option<wit::GpuSamplerDescriptor>,
    ) -> wasmtime::Result<Resource<Sampler>> {
        let device = self.table.get(device)?;
        let claim = device.claim(Kind::Sampler)?;
        let sampler = match descriptor {
            None => Sampler {
                wgpu: device.wgpu().create_sampler(&wgpu::SamplerDescriptor::default()),
                label: String::new(),
                claim,
            },
            Some(descriptor) => {
                let label = labels::of(descriptor.label);
                let address = |mode: Option<wit::GpuAddressMode>| {
                    mode.map_or(wgpu::AddressMode::ClampToEdge, Into::into)
                };
                let filter =
                    |mode: Option<wit::GpuFilterMode>| mode.map_or(wgpu::FilterMode::Nearest, Into::into);
                let (lod_min, lod_max) =
                    (descriptor.lod_min_clamp.unwrap_or(0.0), descriptor.lod_max_clamp.unwrap_or(32.0));
                let wanted = wgpu::SamplerDescriptor {
                    label: Some(&label),
                    address_mode_u: address(descriptor.address_mode_u),
                    address_mode_v: address(descriptor.address_mode_v),
                    address_mode_w: address(descriptor.address_mode_w),
                    mag_filter: filter(descriptor.mag_filter),
                    min_filter: filter(descriptor.min_filter),
                    mipmap_filter: descriptor
                        .mipmap_filter
                        .map_or(wgpu::MipmapFilterMode::Nearest, Into::into),
                    lod_min_clamp: lod_min,
                    lod_max_clamp: lod_max,
                    compare: descriptor.compare.map(Into::into),
                    anisotropy_clamp: descriptor.max_anisotropy.unwrap_or(1),
                    border_color: None,
                };
                let wgpu = if lod_min.is_finite() && lod_max.is_finite() {
                    device.wgpu().create_sampler(&wanted)
                } else {
                    // No comparison of wgpu's with NaN refuses it.
                    let message = "a level of detail of the sampler is infinite or not a number";
                    let refused = wgpu::SamplerDescriptor { lod_min_clamp: -1.0, ..wanted };
                    device.make_invalid(message, |device| device.create_sampler(&refused))
                };
                Sampler { wgpu, label, claim }
            }
        };
        Ok(self.table.push(sampler)?)
    }
}

impl wit::HostGpuSampler for WebGpuCtxView<'_> {
    super::object_base!(Sampler);
}
