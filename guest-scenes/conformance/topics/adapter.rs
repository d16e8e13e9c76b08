//! Adapters, what they can do, and asking them for devices: <https://www.w3.org/TR/webgpu/#initialization>

use conformance::webgpu::{
    GpuAdapter, GpuDeviceDescriptor, GpuErrorFilter, GpuFeatureName, GpuPowerPreference, GpuQueueDescriptor,
    GpuRequestAdapterOptions, GpuShaderModuleDescriptor, GpuSupportedLimits, GpuTextureFormat,
    RecordOptionGpuSize64, RequestDeviceErrorKind, get_gpu,
};
use conformance::{Topic, catching_on};

conformance::export_topic!(run);

async fn run(topic: &mut Topic) {
    requests(topic).await;
    identity(topic).await;
    adapter_limits(topic).await;
    default_device(topic).await;
    raised_limits(topic).await;
    lowered_limits(topic).await;
    refused_limits(topic).await;
    features(topic).await;
    consumption(topic).await;
    limit_records(topic);
    language_features(topic).await;
}

async fn adapter() -> GpuAdapter {
    get_gpu().request_adapter(None).await.expect("there is an adapter")
}

fn options() -> GpuRequestAdapterOptions {
    GpuRequestAdapterOptions {
        feature_level: None,
        power_preference: None,
        force_fallback_adapter: None,
        xr_compatible: None,
    }
}

/// <https://www.w3.org/TR/webgpu/#dom-gpu-requestadapter>
async fn requests(topic: &mut Topic) {
    let gpu = get_gpu();
    for preference in [GpuPowerPreference::LowPower, GpuPowerPreference::HighPerformance] {
        let request = GpuRequestAdapterOptions { power_preference: Some(preference), ..options() };
        let found = gpu.request_adapter(Some(request)).await;
        topic.check("a power preference is a wish, and every adapter fits it", found.is_some());
    }
    for level in ["core", "compatibility"] {
        let request = GpuRequestAdapterOptions { feature_level: Some(level.into()), ..options() };
        let found = gpu.request_adapter(Some(request)).await;
        topic.check("there is an adapter of a feature level that the standard has", found.is_some());
    }
    for level in ["", "Core", "core ", "supreme"] {
        let request = GpuRequestAdapterOptions { feature_level: Some(level.into()), ..options() };
        let found = gpu.request_adapter(Some(request)).await;
        topic.check("there is no adapter of a feature level that the standard has not", found.is_none());
    }
    let request = GpuRequestAdapterOptions { force_fallback_adapter: Some(true), ..options() };
    let fallback = gpu.request_adapter(Some(request)).await;
    match fallback {
        Some(fallback) => {
            topic.check("a forced fallback adapter is one", fallback.info().is_fallback_adapter());
        }
        None => topic.check(
            "a machine without a fallback adapter has another one",
            !adapter().await.info().is_fallback_adapter(),
        ),
    }
    let format = gpu.get_preferred_canvas_format();
    topic.check(
        "the preferred canvas format is one of the two of the standard",
        matches!(format, GpuTextureFormat::Rgba8unorm | GpuTextureFormat::Bgra8unorm),
    );
}

/// <https://www.w3.org/TR/webgpu/#gpuadapterinfo>
async fn identity(topic: &mut Topic) {
    let adapter = adapter().await;
    let info = adapter.info();
    for name in [info.vendor(), info.architecture(), info.device()] {
        let words = name.split('-').all(|word| {
            !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        });
        topic.check("an identifier is empty, or words of small letters and digits", name.is_empty() || words);
    }
    let (smallest, largest) = (info.subgroup_min_size(), info.subgroup_max_size());
    topic.check(
        "subgroups have sizes that are powers of two",
        smallest.is_power_of_two() && largest.is_power_of_two(),
    );
    topic.check(
        "subgroups have between 4 and 128 invocations",
        4 <= smallest && smallest <= largest && largest <= 128,
    );
    if !adapter.features().has("subgroups") {
        topic.equal("without subgroups their sizes say nothing", (smallest, largest), (4, 128));
    }
    let device = adapter.request_device(None).await.expect("an adapter gives a device");
    let same = device.adapter_info();
    topic.equal("a device tells the description of its adapter", same.description(), info.description());
    topic.equal("a device tells the vendor of its adapter", same.vendor(), info.vendor());
    topic.equal("a device tells the architecture of its adapter", same.architecture(), info.architecture());
    topic.equal("a device tells the device of its adapter", same.device(), info.device());
    topic.equal(
        "a device tells the subgroups of its adapter",
        (same.subgroup_min_size(), same.subgroup_max_size()),
        (smallest, largest),
    );
    topic.equal(
        "a device tells whether its adapter is the fallback",
        same.is_fallback_adapter(),
        info.is_fallback_adapter(),
    );
}

struct Limit {
    name: &'static str,
    of: fn(&GpuSupportedLimits) -> u64,
    /// What every device has at least, or as an alignment at most.
    default: u64,
    is_alignment: bool,
}

macro_rules! limits {
    ($($name:literal $of:ident $default:literal $($alignment:ident)?;)*) => {
        /// The table of <https://www.w3.org/TR/webgpu/#limits>.
        const LIMITS: &[Limit] = &[$(Limit {
            name: $name,
            of: |limits| u64::from(limits.$of()),
            default: $default,
            is_alignment: limits!(@ $($alignment)?),
        },)*];
    };
    (@) => { false };
    (@ alignment) => { true };
}

limits! {
    "maxTextureDimension1D" max_texture_dimension1_d 8192;
    "maxTextureDimension2D" max_texture_dimension2_d 8192;
    "maxTextureDimension3D" max_texture_dimension3_d 2048;
    "maxTextureArrayLayers" max_texture_array_layers 256;
    "maxBindGroups" max_bind_groups 4;
    "maxBindGroupsPlusVertexBuffers" max_bind_groups_plus_vertex_buffers 24;
    "maxImmediateSize" max_immediate_size 64;
    "maxBindingsPerBindGroup" max_bindings_per_bind_group 1000;
    "maxDynamicUniformBuffersPerPipelineLayout" max_dynamic_uniform_buffers_per_pipeline_layout 8;
    "maxDynamicStorageBuffersPerPipelineLayout" max_dynamic_storage_buffers_per_pipeline_layout 4;
    "maxSampledTexturesPerShaderStage" max_sampled_textures_per_shader_stage 16;
    "maxSamplersPerShaderStage" max_samplers_per_shader_stage 16;
    "maxStorageBuffersPerShaderStage" max_storage_buffers_per_shader_stage 8;
    "maxStorageBuffersInVertexStage" max_storage_buffers_in_vertex_stage 8;
    "maxStorageBuffersInFragmentStage" max_storage_buffers_in_fragment_stage 8;
    "maxStorageTexturesPerShaderStage" max_storage_textures_per_shader_stage 4;
    "maxStorageTexturesInVertexStage" max_storage_textures_in_vertex_stage 4;
    "maxStorageTexturesInFragmentStage" max_storage_textures_in_fragment_stage 4;
    "maxUniformBuffersPerShaderStage" max_uniform_buffers_per_shader_stage 12;
    "maxUniformBufferBindingSize" max_uniform_buffer_binding_size 65_536;
    "maxStorageBufferBindingSize" max_storage_buffer_binding_size 134_217_728;
    "minUniformBufferOffsetAlignment" min_uniform_buffer_offset_alignment 256 alignment;
    "minStorageBufferOffsetAlignment" min_storage_buffer_offset_alignment 256 alignment;
    "maxVertexBuffers" max_vertex_buffers 8;
    "maxBufferSize" max_buffer_size 268_435_456;
    "maxVertexAttributes" max_vertex_attributes 16;
    "maxVertexBufferArrayStride" max_vertex_buffer_array_stride 2048;
    "maxInterStageShaderVariables" max_inter_stage_shader_variables 16;
    "maxColorAttachments" max_color_attachments 8;
    "maxColorAttachmentBytesPerSample" max_color_attachment_bytes_per_sample 32;
    "maxComputeWorkgroupStorageSize" max_compute_workgroup_storage_size 16_384;
    "maxComputeInvocationsPerWorkgroup" max_compute_invocations_per_workgroup 256;
    "maxComputeWorkgroupSizeX" max_compute_workgroup_size_x 256;
    "maxComputeWorkgroupSizeY" max_compute_workgroup_size_y 256;
    "maxComputeWorkgroupSizeZ" max_compute_workgroup_size_z 64;
    "maxComputeWorkgroupsPerDimension" max_compute_workgroups_per_dimension 65_535;
}

/// <https://www.w3.org/TR/webgpu/#adapter-capability-guarantees>
async fn adapter_limits(topic: &mut Topic) {
    let limits = adapter().await.limits();
    for limit in LIMITS {
        let value = (limit.of)(&limits);
        if limit.is_alignment {
            let what =
                format!("{} of the adapter, {value}, is a power of two from 32 to the default", limit.name);
            topic.check(&what, value.is_power_of_two() && (32..=limit.default).contains(&value));
        } else {
            let what = format!("{} of the adapter, {value}, is at least the default", limit.name);
            topic.check(&what, value >= limit.default);
        }
    }
    let per_stage = limits
        .max_sampled_textures_per_shader_stage()
        .saturating_add(limits.max_samplers_per_shader_stage())
        .saturating_add(limits.max_storage_buffers_per_shader_stage())
        .saturating_add(limits.max_storage_textures_per_shader_stage())
        .saturating_add(limits.max_uniform_buffers_per_shader_stage());
    topic.check(
        &format!(
            "a bind group may have what two stages may: {} bindings, and {per_stage} in each",
            limits.max_bindings_per_bind_group()
        ),
        limits.max_bindings_per_bind_group() >= per_stage.saturating_mul(2),
    );
    let slots = limits.max_bind_groups_plus_vertex_buffers();
    topic.check(
        "bind groups and vertex buffers are at most their sum",
        limits.max_bind_groups() <= slots && limits.max_vertex_buffers() <= slots,
    );
    topic.check(
        "no binding is larger than a buffer",
        limits.max_uniform_buffer_binding_size() <= limits.max_buffer_size()
            && limits.max_storage_buffer_binding_size() <= limits.max_buffer_size(),
    );
    topic.check(
        "storage bindings are whole words",
        limits.max_storage_buffer_binding_size().is_multiple_of(4),
    );
    topic.check("vertex strides are whole words", limits.max_vertex_buffer_array_stride().is_multiple_of(4));
    let (x, y, z) = (
        limits.max_compute_workgroup_size_x(),
        limits.max_compute_workgroup_size_y(),
        limits.max_compute_workgroup_size_z(),
    );
    let invocations = limits.max_compute_invocations_per_workgroup();
    topic.check(
        &format!("{invocations} invocations fit into {x} * {y} * {z}, and each of these into them"),
        x.max(y).max(z) <= invocations
            && u64::from(invocations) <= u64::from(x).saturating_mul(y.into()).saturating_mul(z.into()),
    );
    for (part, whole) in [
        (limits.max_storage_buffers_in_vertex_stage(), limits.max_storage_buffers_per_shader_stage()),
        (limits.max_storage_buffers_in_fragment_stage(), limits.max_storage_buffers_per_shader_stage()),
        (limits.max_storage_textures_in_vertex_stage(), limits.max_storage_textures_per_shader_stage()),
        (limits.max_storage_textures_in_fragment_stage(), limits.max_storage_textures_per_shader_stage()),
    ] {
        topic.check("the limit of one stage is at most that of any", part <= whole);
    }
}

/// <https://www.w3.org/TR/webgpu/#limit-default>
async fn default_device(topic: &mut Topic) {
    let limits = topic.device().limits();
    for limit in LIMITS {
        let what = format!("{} of a device that asks for nothing is the default", limit.name);
        topic.equal(&what, (limit.of)(&limits), limit.default);
    }
    for name in FEATURES {
        if *name != "core-features-and-limits" {
            let what = format!("a device that asks for nothing has no {name}");
            topic.check(&what, !topic.device().features().has(name));
        }
    }
    let nothing = GpuDeviceDescriptor {
        required_features: None,
        required_limits: None,
        default_queue: None,
        label: None,
    };
    let device = adapter().await.request_device(Some(nothing)).await;
    topic.equal("a descriptor may be empty", device.map(|device| device.label()).ok(), Some(String::new()));
    let named = GpuDeviceDescriptor {
        required_features: Some(Vec::new()),
        required_limits: Some(RecordOptionGpuSize64::new()),
        default_queue: Some(GpuQueueDescriptor { label: Some("its queue".into()) }),
        label: Some("a device".into()),
    };
    let device = adapter().await.request_device(Some(named)).await.expect("nothing was asked for");
    topic.equal("a device keeps its label", device.label(), "a device");
    topic.equal("a queue keeps the label of the device's descriptor", device.queue().label(), "its queue");
}

fn asking(limits: &[(&str, Option<u64>)]) -> Option<GpuDeviceDescriptor> {
    let record = RecordOptionGpuSize64::new();
    for (name, value) in limits {
        record.add(name, *value);
    }
    Some(GpuDeviceDescriptor {
        required_features: None,
        required_limits: Some(record),
        default_queue: None,
        label: None,
    })
}

/// <https://www.w3.org/TR/webgpu/#dom-gpudevicedescriptor-requiredlimits>
async fn raised_limits(topic: &mut Topic) {
    let adapter = adapter().await;
    let supported = adapter.limits();
    let best: Vec<_> = LIMITS.iter().map(|limit| (limit.name, Some((limit.of)(&supported)))).collect();
    match adapter.request_device(asking(&best)).await {
        Ok(device) => {
            let limits = device.limits();
            for limit in LIMITS {
                let what = format!("a device has the {} that it asked for", limit.name);
                topic.equal(&what, (limit.of)(&limits), (limit.of)(&supported));
            }
        }
        Err(error) => {
            topic.check(&format!("a device has all limits of its adapter: {}", error.message), false)
        }
    }
    // Each alone, so that one that is mistaken for another is seen.
    for limit in LIMITS.iter().filter(|limit| (limit.of)(&supported) != limit.default).take(4) {
        let wanted = (limit.of)(&supported);
        let device = self::adapter().await.request_device(asking(&[(limit.name, Some(wanted))])).await;
        let limits = device.map(|device| device.limits());
        topic.equal(
            &format!("a device has the {} that it asked for alone", limit.name),
            limits.as_ref().ok().map(|limits| (limit.of)(limits)),
            Some(wanted),
        );
        for other in LIMITS {
            let is_its_own = other.name == limit.name;
            let is_of_the_same = other.name.starts_with("maxStorage") && limit.name.starts_with("maxStorage");
            if let Ok(limits) = &limits
                && !is_its_own
                && !is_of_the_same
            {
                topic.equal(
                    &format!("{} is the default where {} was raised", other.name, limit.name),
                    (other.of)(limits),
                    other.default,
                );
            }
        }
    }
}

/// A value that is worse than the default asks for the default.
async fn lowered_limits(topic: &mut Topic) {
    let worse = [
        ("maxBindGroups", Some(1)),
        ("maxBufferSize", Some(0)),
        ("maxVertexAttributes", None),
        ("minUniformBufferOffsetAlignment", Some(1 << 20)),
        ("maxWishes", None),
    ];
    match adapter().await.request_device(asking(&worse)).await {
        Ok(device) => {
            let limits = device.limits();
            for limit in LIMITS {
                topic.equal(
                    &format!("{} is the default where less was asked for", limit.name),
                    (limit.of)(&limits),
                    limit.default,
                );
            }
        }
        Err(error) => {
            topic.check(&format!("less than the default can be asked for: {}", error.message), false)
        }
    }
}

async fn refused_limits(topic: &mut Topic) {
    let supported = adapter().await.limits();
    let mut wrong: Vec<(&str, u64)> = vec![
        ("maxWishes", 3),
        ("", 0),
        ("max_bind_groups", 4),
        ("minUniformBufferOffsetAlignment", 0),
        ("minUniformBufferOffsetAlignment", 192),
        ("minStorageBufferOffsetAlignment", 1 << 32),
        ("minStorageBufferOffsetAlignment", 16),
        ("maxBindGroups", u64::MAX),
    ];
    wrong.extend(
        LIMITS
            .iter()
            .filter(|limit| !limit.is_alignment && (limit.of)(&supported) < u64::MAX)
            .map(|limit| (limit.name, (limit.of)(&supported) + 1)),
    );
    let adapter = adapter().await;
    for (name, value) in wrong {
        let refusal = adapter.request_device(asking(&[(name, Some(value))])).await;
        topic.check(
            &format!("{name} of {value} is refused with an operation error"),
            matches!(&refusal, Err(error) if matches!(error.kind, RequestDeviceErrorKind::OperationError)),
        );
    }
    topic
        .check("an adapter that refused can still give a device", adapter.request_device(None).await.is_ok());
}

/// <https://www.w3.org/TR/webgpu/#feature-index>
const FEATURES: &[&str] = &[
    "core-features-and-limits",
    "depth-clip-control",
    "depth32float-stencil8",
    "texture-compression-bc",
    "texture-compression-bc-sliced-3d",
    "texture-compression-etc2",
    "texture-compression-astc",
    "texture-compression-astc-sliced-3d",
    "timestamp-query",
    "indirect-first-instance",
    "shader-f16",
    "rg11b10ufloat-renderable",
    "bgra8unorm-storage",
    "float32-filterable",
    "float32-blendable",
    "clip-distances",
    "dual-source-blending",
    "subgroups",
    "texture-formats-tier1",
    "texture-formats-tier2",
    "primitive-index",
    "texture-component-swizzle",
];

/// In the order of [`FEATURES`].
const NAMES: &[GpuFeatureName] = &[
    GpuFeatureName::CoreFeaturesAndLimits,
    GpuFeatureName::DepthClipControl,
    GpuFeatureName::Depth32floatStencil8,
    GpuFeatureName::TextureCompressionBc,
    GpuFeatureName::TextureCompressionBcSliced3d,
    GpuFeatureName::TextureCompressionEtc2,
    GpuFeatureName::TextureCompressionAstc,
    GpuFeatureName::TextureCompressionAstcSliced3d,
    GpuFeatureName::TimestampQuery,
    GpuFeatureName::IndirectFirstInstance,
    GpuFeatureName::ShaderF16,
    GpuFeatureName::Rg11b10ufloatRenderable,
    GpuFeatureName::Bgra8unormStorage,
    GpuFeatureName::Float32Filterable,
    GpuFeatureName::Float32Blendable,
    GpuFeatureName::ClipDistances,
    GpuFeatureName::DualSourceBlending,
    GpuFeatureName::Subgroups,
    GpuFeatureName::TextureFormatsTier1,
    GpuFeatureName::TextureFormatsTier2,
    GpuFeatureName::PrimitiveIndex,
    GpuFeatureName::TextureComponentSwizzle,
];

fn with(features: Vec<GpuFeatureName>) -> Option<GpuDeviceDescriptor> {
    Some(GpuDeviceDescriptor {
        required_features: Some(features),
        required_limits: None,
        default_queue: None,
        label: None,
    })
}

async fn features(topic: &mut Topic) {
    let supported = adapter().await.features();
    topic.check("an adapter has the core of WebGPU", supported.has("core-features-and-limits"));
    for name in ["", "Shader-F16", "shader-f16 ", "immediates", "push-constants", "subgroups-f16"] {
        topic.check("an adapter has no feature that the standard has not", !supported.has(name));
    }
    topic.check(
        "an adapter has BC, or ETC2 and ASTC",
        supported.has("texture-compression-bc")
            || supported.has("texture-compression-etc2") && supported.has("texture-compression-astc"),
    );
    for (part, whole) in [
        ("texture-compression-bc-sliced-3d", "texture-compression-bc"),
        ("texture-compression-astc-sliced-3d", "texture-compression-astc"),
        ("texture-formats-tier1", "rg11b10ufloat-renderable"),
        ("texture-formats-tier2", "texture-formats-tier1"),
    ] {
        topic.check(
            &format!("an adapter with {part} has {whole}"),
            !supported.has(part) || supported.has(whole),
        );
    }
    let lacking = adapter().await;
    let mut had = Vec::new();
    for (text, name) in FEATURES.iter().zip(NAMES) {
        if supported.has(text) {
            had.push(*name);
        } else {
            let refusal = lacking.request_device(with(vec![*name])).await;
            topic.check(
                &format!("{text}, which the adapter lacks, is refused with a type error"),
                matches!(&refusal, Err(error) if matches!(error.kind, RequestDeviceErrorKind::TypeError)),
            );
        }
    }
    had.extend(had.clone());
    match lacking.request_device(with(had)).await {
        Ok(device) => {
            for text in FEATURES {
                topic.equal(
                    &format!("a device with all features has {text} if its adapter has"),
                    device.features().has(text),
                    supported.has(text),
                );
            }
        }
        Err(error) => {
            topic.check(&format!("a device has all features of its adapter: {}", error.message), false)
        }
    }
    topic.check(
        "every device has the core of WebGPU",
        topic.device().features().has("core-features-and-limits"),
    );
}

/// <https://www.w3.org/TR/webgpu/#dom-gpuadapter-requestdevice>
async fn consumption(topic: &mut Topic) {
    let adapter = adapter().await;
    topic.check("an adapter gives a device", adapter.request_device(None).await.is_ok());
    let second = adapter.request_device(None).await;
    topic.check(
        "an adapter gives no second device",
        matches!(&second, Err(error) if matches!(error.kind, RequestDeviceErrorKind::OperationError)),
    );
    topic.check("a consumed adapter still tells its limits", adapter.limits().max_bind_groups() >= 4);
}

/// `record<DOMString, GPUSize64?>`, whose keys keep the order in which they came: <https://webidl.spec.whatwg.org/#idl-record>
fn limit_records(topic: &mut Topic) {
    let record = RecordOptionGpuSize64::new();
    topic.check("a new record is empty", record.keys().is_empty() && record.entries().is_empty());
    for (key, value) in [("zebra", Some(1)), ("ant", None), ("moth", Some(u64::MAX)), ("\u{e4}", Some(0))] {
        record.add(key, value);
    }
    topic.equal("keys keep their order", record.keys(), ["zebra", "ant", "moth", "\u{e4}"]);
    topic.equal(
        "values have the order of their keys",
        record.values(),
        [Some(1), None, Some(u64::MAX), Some(0)],
    );
    topic.equal("a value is found by its key", record.get("moth"), Some(Some(u64::MAX)));
    topic.equal("a key may have no value", record.get("ant"), Some(None));
    topic.equal("a key that was not added is not there", record.get("bee"), None);
    topic.check("a record knows its keys", record.has("ant") && !record.has("bee") && !record.has(""));
    record.add("zebra", None);
    topic.equal(
        "a new value keeps the place of its key",
        record.entries().first().cloned(),
        Some(("zebra".to_owned(), None)),
    );
    record.remove("ant");
    record.remove("bee");
    topic.equal("a removed key is gone", record.keys(), ["zebra", "moth", "\u{e4}"]);
    record.add("ant", Some(7));
    topic.equal(
        "a key that comes back is the last",
        record.entries(),
        [
            ("zebra".to_owned(), None),
            ("moth".to_owned(), Some(u64::MAX)),
            ("\u{e4}".to_owned(), Some(0)),
            ("ant".to_owned(), Some(7)),
        ],
    );
}

/// <https://www.w3.org/TR/webgpu/#gpuwgsllanguagefeatures>
async fn language_features(topic: &mut Topic) {
    let features = get_gpu().wgsl_language_features();
    for name in [
        "readonly_and_readwrite_storage_textures",
        "packed_4x8_integer_dot_product",
        "unrestricted_pointer_parameters",
        "pointer_composite_access",
        "uniform_buffer_standard_layout",
        "subgroup_id",
        "subgroup_uniformity",
        "texture_and_sampler_let",
        "texture_formats_tier1",
        "linear_indexing",
        "immediate_address_space",
        "no_such_feature",
    ] {
        let code = format!("requires {name};\n@compute @workgroup_size(1) fn main() {{}}");
        let (_, error) = catching_on(topic.device(), |device| {
            device.create_shader_module(&GpuShaderModuleDescriptor {
                code,
                compilation_hints: None,
                label: None,
            })
        })
        .await;
        let expected = if features.has(name) { None } else { Some(GpuErrorFilter::Validation) };
        topic.equal(
            &format!("a shader may require {name} if it is there, and only then"),
            error.map(|error| error.kind),
            expected,
        );
    }
    topic.check(
        "a language feature has no other spelling",
        !features.has("Pointer_Composite_Access") && !features.has(""),
    );
}
