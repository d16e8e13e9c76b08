//! Initialisation: the `gpu` object, adapters, what they can do, and asking for a device
//! (<https://www.w3.org/TR/webgpu/#initialization>).

use std::sync::Arc;

use wasmtime::component::{Accessor, Resource};

use super::bindings::wasi::webgpu::webgpu as wit;
use super::device::Device;
use super::records::LimitRecord;
use super::{WebGpu, WebGpuCtxView, labels};
use crate::gpu::Gpu;

/// `gpu`
pub struct GpuObject;

/// `gpu-adapter`
pub struct Adapter {
    gpu: Arc<Gpu>,
    /// An adapter gives one device.
    consumed: bool,
}

/// `gpu-adapter-info`
pub struct AdapterInfo {
    vendor: &'static str,
    description: String,
    subgroup_min_size: u32,
    subgroup_max_size: u32,
    is_fallback: bool,
}

/// The sizes of subgroups that an adapter tells which has none: <https://www.w3.org/TR/webgpu/#dom-gpuadapterinfo-subgroupminsize>
const ANY_SUBGROUPS: (u32, u32) = (4, 128);

impl AdapterInfo {
    pub(super) fn of(gpu: &Gpu) -> Self {
        let info = gpu.wgpu_info();
        // The identifiers of the PCI register, and Mesa's of Khronos.
        let vendor = match info.vendor {
            0x1002 => "amd",
            0x10de => "nvidia",
            0x8086 => "intel",
            0x13b5 => "arm",
            0x5143 => "qualcomm",
            0x1_0005 => "mesa",
            _ => "",
        };
        let has_subgroups = gpu.adapter().features().contains(wgpu::Features::SUBGROUP);
        let (subgroup_min_size, subgroup_max_size) =
            if has_subgroups { (info.subgroup_min_size, info.subgroup_max_size) } else { ANY_SUBGROUPS };
        Self {
            vendor,
            description: info.name.clone(),
            subgroup_min_size,
            subgroup_max_size,
            is_fallback: gpu.is_cpu(),
        }
    }
}

/// `gpu-supported-features`
pub struct SupportedFeatures(pub(super) wgpu::Features);

/// `gpu-supported-limits`
pub struct SupportedLimits(pub(super) Box<wgpu::Limits>);

/// `wgsl-language-features`
pub struct LanguageFeatures(wgpu::WgslLanguageFeatures);

/// The features of WebGPU that wgpu has, by the names of <https://www.w3.org/TR/webgpu/#feature-index>.
const FEATURES: &[(&str, wit::GpuFeatureName, wgpu::Features)] = {
    use wgpu::Features as Theirs;
    use wit::GpuFeatureName as Ours;
    &[
        // Everything here is core WebGPU.
        ("core-features-and-limits", Ours::CoreFeaturesAndLimits, Theirs::empty()),
        ("depth-clip-control", Ours::DepthClipControl, Theirs::DEPTH_CLIP_CONTROL),
        ("depth32float-stencil8", Ours::Depth32floatStencil8, Theirs::DEPTH32FLOAT_STENCIL8),
        ("texture-compression-bc", Ours::TextureCompressionBc, Theirs::TEXTURE_COMPRESSION_BC),
        (
            "texture-compression-bc-sliced-3d",
            Ours::TextureCompressionBcSliced3d,
            Theirs::TEXTURE_COMPRESSION_BC_SLICED_3D,
        ),
        ("texture-compression-etc2", Ours::TextureCompressionEtc2, Theirs::TEXTURE_COMPRESSION_ETC2),
        ("texture-compression-astc", Ours::TextureCompressionAstc, Theirs::TEXTURE_COMPRESSION_ASTC),
        (
            "texture-compression-astc-sliced-3d",
            Ours::TextureCompressionAstcSliced3d,
            Theirs::TEXTURE_COMPRESSION_ASTC_SLICED_3D,
        ),
        ("timestamp-query", Ours::TimestampQuery, Theirs::TIMESTAMP_QUERY),
        ("indirect-first-instance", Ours::IndirectFirstInstance, Theirs::INDIRECT_FIRST_INSTANCE),
        ("shader-f16", Ours::ShaderF16, Theirs::SHADER_F16),
        ("rg11b10ufloat-renderable", Ours::Rg11b10ufloatRenderable, Theirs::RG11B10UFLOAT_RENDERABLE),
        ("bgra8unorm-storage", Ours::Bgra8unormStorage, Theirs::BGRA8UNORM_STORAGE),
        ("float32-filterable", Ours::Float32Filterable, Theirs::FLOAT32_FILTERABLE),
        ("float32-blendable", Ours::Float32Blendable, Theirs::FLOAT32_BLENDABLE),
        ("clip-distances", Ours::ClipDistances, Theirs::CLIP_DISTANCES),
        ("dual-source-blending", Ours::DualSourceBlending, Theirs::DUAL_SOURCE_BLENDING),
        ("subgroups", Ours::Subgroups, Theirs::SUBGROUP),
        ("primitive-index", Ours::PrimitiveIndex, Theirs::PRIMITIVE_INDEX),
    ]
};

/// The smallest `maxImmediateSize` of the standard, in bytes.
const DEFAULT_IMMEDIATE_BYTES: u32 = 64;

/// What a device has whether or not its scene asks: immediate data is a limit in WebGPU, and a feature in wgpu.
fn implied_features(adapter: &wgpu::Adapter) -> wgpu::Features {
    adapter.features() & wgpu::Features::IMMEDIATES
}

/// <https://www.w3.org/TR/webgpu/#limits>, with what the adapter has of immediate data.
fn default_limits(adapter: &wgpu::Adapter) -> wgpu::Limits {
    let mut limits = wgpu::Limits::defaults();
    if adapter.features().contains(wgpu::Features::IMMEDIATES) {
        limits.max_immediate_size = adapter.limits().max_immediate_size.min(DEFAULT_IMMEDIATE_BYTES);
    }
    limits
}

/// How a limit is asked for.
#[derive(Clone, Copy)]
enum LimitClass {
    /// Larger is better.
    Maximum,
    /// Smaller is better, and only powers of two are alignments.
    Alignment,
}

/// One accessor and one way of asking for each limit.
macro_rules! limits {
    ($($method:ident $name:literal $field:ident $ty:ident $class:ident,)*) => {
        /// Asks for a limit by its name in the standard.
        fn require(
            limits: &mut wgpu::Limits,
            supported: &wgpu::Limits,
            name: &str,
            value: u64,
        ) -> Result<(), String> {
            match name {
                $($name => {
                    let better = better(LimitClass::$class, name, value, supported.$field.into(), limits.$field.into())?;
                    limits.$field = $ty::try_from(better).unwrap_or($ty::MAX);
                })*
                _ => return Err(format!("WebGPU has no limit {name}")),
            }
            Ok(())
        }

        impl wit::HostGpuSupportedLimits for WebGpuCtxView<'_> {
            $(fn $method(&mut self, this: Resource<SupportedLimits>) -> wasmtime::Result<$ty> {
                Ok(self.table.get(&this)?.0.$field)
            })*

            super::drop_entry!(SupportedLimits);
        }
    };
}

limits! {
    max_texture_dimension1_d "maxTextureDimension1D" max_texture_dimension_1d u32 Maximum,
    max_texture_dimension2_d "maxTextureDimension2D" max_texture_dimension_2d u32 Maximum,
    max_texture_dimension3_d "maxTextureDimension3D" max_texture_dimension_3d u32 Maximum,
    max_texture_array_layers "maxTextureArrayLayers" max_texture_array_layers u32 Maximum,
    max_bind_groups "maxBindGroups" max_bind_groups u32 Maximum,
    max_bind_groups_plus_vertex_buffers "maxBindGroupsPlusVertexBuffers" max_bind_groups_plus_vertex_buffers u32 Maximum,
    max_immediate_size "maxImmediateSize" max_immediate_size u32 Maximum,
    max_bindings_per_bind_group "maxBindingsPerBindGroup" max_bindings_per_bind_group u32 Maximum,
    max_dynamic_uniform_buffers_per_pipeline_layout "maxDynamicUniformBuffersPerPipelineLayout"
        max_dynamic_uniform_buffers_per_pipeline_layout u32 Maximum,
    max_dynamic_storage_buffers_per_pipeline_layout "maxDynamicStorageBuffersPerPipelineLayout"
        max_dynamic_storage_buffers_per_pipeline_layout u32 Maximum,
    max_sampled_textures_per_shader_stage "maxSampledTexturesPerShaderStage"
        max_sampled_textures_per_shader_stage u32 Maximum,
    max_samplers_per_shader_stage "maxSamplersPerShaderStage" max_samplers_per_shader_stage u32 Maximum,
    max_storage_buffers_per_shader_stage "maxStorageBuffersPerShaderStage"
        max_storage_buffers_per_shader_stage u32 Maximum,
    // In core WebGPU the limits of the two stages are those of any stage.
    max_storage_buffers_in_vertex_stage "maxStorageBuffersInVertexStage"
        max_storage_buffers_per_shader_stage u32 Maximum,
    max_storage_buffers_in_fragment_stage "maxStorageBuffersInFragmentStage"
        max_storage_buffers_per_shader_stage u32 Maximum,
    max_storage_textures_per_shader_stage "maxStorageTexturesPerShaderStage"
        max_storage_textures_per_shader_stage u32 Maximum,
    max_storage_textures_in_vertex_stage "maxStorageTexturesInVertexStage"
        max_storage_textures_per_shader_stage u32 Maximum,
    max_storage_textures_in_fragment_stage "maxStorageTexturesInFragmentStage"
        max_storage_textures_per_shader_stage u32 Maximum,
    max_uniform_buffers_per_shader_stage "maxUniformBuffersPerShaderStage"
        max_uniform_buffers_per_shader_stage u32 Maximum,
    max_uniform_buffer_binding_size "maxUniformBufferBindingSize" max_uniform_buffer_binding_size u64 Maximum,
    max_storage_buffer_binding_size "maxStorageBufferBindingSize" max_storage_buffer_binding_size u64 Maximum,
    min_uniform_buffer_offset_alignment "minUniformBufferOffsetAlignment"
        min_uniform_buffer_offset_alignment u32 Alignment,
    min_storage_buffer_offset_alignment "minStorageBufferOffsetAlignment"
        min_storage_buffer_offset_alignment u32 Alignment,
    max_vertex_buffers "maxVertexBuffers" max_vertex_buffers u32 Maximum,
    max_buffer_size "maxBufferSize" max_buffer_size u64 Maximum,
    max_vertex_attributes "maxVertexAttributes" max_vertex_attributes u32 Maximum,
    max_vertex_buffer_array_stride "maxVertexBufferArrayStride" max_vertex_buffer_array_stride u32 Maximum,
    max_inter_stage_shader_variables "maxInterStageShaderVariables" max_inter_stage_shader_variables u32 Maximum,
    max_color_attachments "maxColorAttachments" max_color_attachments u32 Maximum,
    max_color_attachment_bytes_per_sample "maxColorAttachmentBytesPerSample"
        max_color_attachment_bytes_per_sample u32 Maximum,
    max_compute_workgroup_storage_size "maxComputeWorkgroupStorageSize" max_compute_workgroup_storage_size u32 Maximum,
    max_compute_invocations_per_workgroup "maxComputeInvocationsPerWorkgroup"
        max_compute_invocations_per_workgroup u32 Maximum,
    max_compute_workgroup_size_x "maxComputeWorkgroupSizeX" max_compute_workgroup_size_x u32 Maximum,
    max_compute_workgroup_size_y "maxComputeWorkgroupSizeY" max_compute_workgroup_size_y u32 Maximum,
    max_compute_workgroup_size_z "maxComputeWorkgroupSizeZ" max_compute_workgroup_size_z u32 Maximum,
    max_compute_workgroups_per_dimension "maxComputeWorkgroupsPerDimension"
        max_compute_workgroups_per_dimension u32 Maximum,
}

/// The better of what is asked for and what a device has anyway; an error for what the adapter has not.
fn better(class: LimitClass, name: &str, value: u64, supported: u64, current: u64) -> Result<u64, String> {
    match class {
        LimitClass::Maximum if value <= supported => Ok(value.max(current)),
        LimitClass::Maximum => Err(format!("{name}: {value} was asked for, and the adapter has {supported}")),
        LimitClass::Alignment if !value.is_power_of_two() || u32::try_from(value).is_err() => {
            Err(format!("{name}: {value} is no power of two below 2^32"))
        }
        LimitClass::Alignment if value >= supported => Ok(value.min(current)),
        LimitClass::Alignment => {
            Err(format!("{name}: {value} was asked for, and the adapter needs {supported}"))
        }
    }
}

/// What `request-device` hands to [`Device::open`].
struct Wanted {
    features: wgpu::Features,
    limits: wgpu::Limits,
    labels: (String, String),
}

impl WebGpuCtxView<'_> {
    /// The checks of <https://www.w3.org/TR/webgpu/#dom-gpuadapter-requestdevice>.
    fn wanted(
        &mut self,
        adapter: &Resource<Adapter>,
        descriptor: Option<wit::GpuDeviceDescriptor>,
    ) -> wasmtime::Result<Result<Wanted, wit::RequestDeviceError>> {
        let gpu = Arc::clone(&self.table.get(adapter)?.gpu);
        let refuse = |kind, message| Ok(Err(wit::RequestDeviceError { kind, message }));
        let mut features = implied_features(gpu.adapter());
        let mut limits = default_limits(gpu.adapter());
        let mut labels = (String::new(), String::new());
        if let Some(descriptor) = descriptor {
            labels.0 = labels::of(descriptor.label);
            labels.1 = labels::of(descriptor.default_queue.and_then(|queue| queue.label));
            let record = match descriptor.required_limits {
                Some(record) => Some(self.table.delete::<LimitRecord>(record)?),
                None => None,
            };
            for wanted in descriptor.required_features.unwrap_or_default() {
                let known = FEATURES.iter().find(|(_, name, _)| *name == wanted);
                match known {
                    Some((_, _, feature)) if gpu.adapter().features().contains(*feature) => {
                        features |= *feature;
                    }
                    _ => {
                        let message = format!("the adapter has no feature {wanted:?}");
                        return refuse(wit::RequestDeviceErrorKind::TypeError, message);
                    }
                }
            }
            let supported = gpu.adapter().limits();
            for (name, value) in record.into_iter().flatten() {
                if let Some(value) = value
                    && let Err(message) = require(&mut limits, &supported, &name, value)
                {
                    return refuse(wit::RequestDeviceErrorKind::OperationError, message);
                }
            }
        }
        let adapter = self.table.get_mut(adapter)?;
        if std::mem::replace(&mut adapter.consumed, true) {
            let message = "the adapter already gave a device; request another adapter".to_owned();
            return refuse(wit::RequestDeviceErrorKind::OperationError, message);
        }
        Ok(Ok(Wanted { features, limits, labels }))
    }
}

impl<T: 'static> wit::HostGpuWithStore<T> for WebGpu {
    /// <https://www.w3.org/TR/webgpu/#dom-gpu-requestadapter>
    async fn request_adapter(
        accessor: &Accessor<T, Self>,
        _this: Resource<GpuObject>,
        options: Option<wit::GpuRequestAdapterOptions>,
    ) -> wasmtime::Result<Option<Resource<Adapter>>> {
        accessor.with(|mut access| {
            let view = access.get();
            let options = options.as_ref();
            let level = options.and_then(|options| options.feature_level.as_deref());
            // A worker has one adapter, so power preferences choose nothing.
            let fallback_only = options.and_then(|options| options.force_fallback_adapter).unwrap_or(false);
            let xr = options.and_then(|options| options.xr_compatible).unwrap_or(false);
            let offered = matches!(level, None | Some("core" | "compatibility"))
                && (view.ctx.gpu.is_cpu() || !fallback_only)
                && !xr;
            if !offered {
                return Ok(None);
            }
            let adapter = Adapter { gpu: Arc::clone(&view.ctx.gpu), consumed: false };
            Ok(Some(view.table.push(adapter)?))
        })
    }
}

impl wit::HostGpu for WebGpuCtxView<'_> {
    fn get_preferred_canvas_format(
        &mut self,
        _this: Resource<GpuObject>,
    ) -> wasmtime::Result<wit::GpuTextureFormat> {
        // The order of bytes in which pictures are converted for the encoder.
        Ok(wit::GpuTextureFormat::Rgba8unorm)
    }

    fn wgsl_language_features(
        &mut self,
        _this: Resource<GpuObject>,
    ) -> wasmtime::Result<Resource<LanguageFeatures>> {
        let features = LanguageFeatures(self.ctx.gpu.instance().wgsl_language_features());
        Ok(self.table.push(features)?)
    }

    super::drop_entry!(GpuObject);
}

impl<T: 'static> wit::HostGpuAdapterWithStore<T> for WebGpu {
    async fn request_device(
        accessor: &Accessor<T, Self>,
        this: Resource<Adapter>,
        descriptor: Option<wit::GpuDeviceDescriptor>,
    ) -> wasmtime::Result<Result<Resource<Device>, wit::RequestDeviceError>> {
        let _operation = accessor.with(|mut access| access.get().ctx.outstanding().begin());
        let (gpu, log, slot, wanted) = accessor.with(|mut access| -> wasmtime::Result<_> {
            let mut view = access.get();
            let slot = view.ctx.device_slot()?;
            let wanted = view.wanted(&this, descriptor)?;
            Ok((Arc::clone(&view.ctx.gpu), Arc::clone(&view.ctx.log), slot, wanted))
        })?;
        let Wanted { features, limits, labels } = match wanted {
            Ok(wanted) => wanted,
            Err(error) => return Ok(Err(error)),
        };
        // The driver's time is not the store's.
        let opened =
            tokio::task::spawn_blocking(move || Device::open(gpu, features, limits, labels, log, slot))
                .await?;
        match opened {
            Ok(device) => accessor.with(|mut access| Ok(Ok(access.get().table.push(device)?))),
            Err(message) => Ok(Err(wit::RequestDeviceError {
                kind: wit::RequestDeviceErrorKind::OperationError,
                message,
            })),
        }
    }
}

impl wit::HostGpuAdapter for WebGpuCtxView<'_> {
    fn features(&mut self, this: Resource<Adapter>) -> wasmtime::Result<Resource<SupportedFeatures>> {
        let features = SupportedFeatures(self.table.get(&this)?.gpu.adapter().features());
        Ok(self.table.push(features)?)
    }

    fn limits(&mut self, this: Resource<Adapter>) -> wasmtime::Result<Resource<SupportedLimits>> {
        let limits = SupportedLimits(Box::new(self.table.get(&this)?.gpu.adapter().limits()));
        Ok(self.table.push(limits)?)
    }

    fn info(&mut self, this: Resource<Adapter>) -> wasmtime::Result<Resource<AdapterInfo>> {
        let info = AdapterInfo::of(&self.table.get(&this)?.gpu);
        Ok(self.table.push(info)?)
    }

    super::drop_entry!(Adapter);
}

impl wit::HostGpuAdapterInfo for WebGpuCtxView<'_> {
    fn vendor(&mut self, this: Resource<AdapterInfo>) -> wasmtime::Result<String> {
        Ok(self.table.get(&this)?.vendor.to_owned())
    }

    /// Unknown: drivers do not tell wgpu.
    fn architecture(&mut self, _this: Resource<AdapterInfo>) -> wasmtime::Result<String> {
        Ok(String::new())
    }

    /// Unknown, as with `architecture`; the name is the description.
    fn device(&mut self, _this: Resource<AdapterInfo>) -> wasmtime::Result<String> {
        Ok(String::new())
    }

    fn description(&mut self, this: Resource<AdapterInfo>) -> wasmtime::Result<String> {
        Ok(self.table.get(&this)?.description.clone())
    }

    fn subgroup_min_size(&mut self, this: Resource<AdapterInfo>) -> wasmtime::Result<u32> {
        Ok(self.table.get(&this)?.subgroup_min_size)
    }

    fn subgroup_max_size(&mut self, this: Resource<AdapterInfo>) -> wasmtime::Result<u32> {
        Ok(self.table.get(&this)?.subgroup_max_size)
    }

    fn is_fallback_adapter(&mut self, this: Resource<AdapterInfo>) -> wasmtime::Result<bool> {
        Ok(self.table.get(&this)?.is_fallback)
    }

    super::drop_entry!(AdapterInfo);
}

impl wit::HostGpuSupportedFeatures for WebGpuCtxView<'_> {
    fn has(&mut self, this: Resource<SupportedFeatures>, value: String) -> wasmtime::Result<bool> {
        let supported = self.table.get(&this)?.0;
        Ok(FEATURES.iter().any(|(name, _, feature)| *name == value && supported.contains(*feature)))
    }

    super::drop_entry!(SupportedFeatures);
}

impl wit::HostWgslLanguageFeatures for WebGpuCtxView<'_> {
    /// <https://www.w3.org/TR/WGSL/#language-extensions-sec>
    fn has(&mut self, this: Resource<LanguageFeatures>, value: String) -> wasmtime::Result<bool> {
        use wgpu::WgslLanguageFeatures as Features;
        let feature = match value.as_str() {
            "readonly_and_readwrite_storage_textures" => Features::ReadOnlyAndReadWriteStorageTextures,
            "packed_4x8_integer_dot_product" => Features::Packed4x8IntegerDotProduct,
            "unrestricted_pointer_parameters" => Features::UnrestrictedPointerParameters,
            "pointer_composite_access" => Features::PointerCompositeAccess,
            _ => return Ok(false),
        };
        Ok(self.table.get(&this)?.0.contains(feature))
    }

    super::drop_entry!(LanguageFeatures);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_beyond_the_adapter_is_refused_and_one_below_the_default_changes_nothing() {
        let supported = wgpu::Limits { max_bind_groups: 8, ..wgpu::Limits::defaults() };
        let mut limits = wgpu::Limits::defaults();
        assert!(require(&mut limits, &supported, "maxBindGroups", 9).is_err());
        require(&mut limits, &supported, "maxBindGroups", 1).unwrap();
        assert_eq!(limits.max_bind_groups, 4);
        require(&mut limits, &supported, "maxBindGroups", 8).unwrap();
        assert_eq!(limits.max_bind_groups, 8);
        assert!(require(&mut limits, &supported, "maxWishes", 3).is_err());
    }

    #[test]
    fn an_alignment_must_be_a_power_of_two_that_the_adapter_can_keep() {
        let supported = wgpu::Limits { min_uniform_buffer_offset_alignment: 64, ..wgpu::Limits::defaults() };
        let mut limits = wgpu::Limits::defaults();
        for wrong in [0, 32, 96, 1 << 32] {
            assert!(
                require(&mut limits, &supported, "minUniformBufferOffsetAlignment", wrong).is_err(),
                "{wrong}"
            );
        }
        require(&mut limits, &supported, "minUniformBufferOffsetAlignment", 64).unwrap();
        assert_eq!(limits.min_uniform_buffer_offset_alignment, 64);
    }
}
