//! What topics that draw share: descriptors with everything left out that may be, passes and dispatches of one call, and what they
//! leave behind.

use kit::webgpu::*;

use crate::{Texel, Topic};

/// A vertex shader whose three vertices cover the whole target, counter-clockwise, at depth 0.5.
pub const COVER: &str = "
    @vertex fn cover(@builtin(vertex_index) i: u32) -> @builtin(position) vec4f {
        return vec4f(f32(i & 1u) * 4.0 - 1.0, f32(i >> 1u) * 4.0 - 1.0, 0.5, 1.0);
    }
";

/// The format of [`Topic::target`].
pub const TARGET: GpuTextureFormat = GpuTextureFormat::Rgba8unorm;

/// Every feature of the standard, and its name there: <https://www.w3.org/TR/webgpu/#enumdef-gpufeaturename>
pub const FEATURES: &[(&str, GpuFeatureName)] = &[
    ("core-features-and-limits", GpuFeatureName::CoreFeaturesAndLimits),
    ("depth-clip-control", GpuFeatureName::DepthClipControl),
    ("depth32float-stencil8", GpuFeatureName::Depth32floatStencil8),
    ("texture-compression-bc", GpuFeatureName::TextureCompressionBc),
    ("texture-compression-bc-sliced-3d", GpuFeatureName::TextureCompressionBcSliced3d),
    ("texture-compression-etc2", GpuFeatureName::TextureCompressionEtc2),
    ("texture-compression-astc", GpuFeatureName::TextureCompressionAstc),
    ("texture-compression-astc-sliced-3d", GpuFeatureName::TextureCompressionAstcSliced3d),
    ("timestamp-query", GpuFeatureName::TimestampQuery),
    ("indirect-first-instance", GpuFeatureName::IndirectFirstInstance),
    ("shader-f16", GpuFeatureName::ShaderF16),
    ("rg11b10ufloat-renderable", GpuFeatureName::Rg11b10ufloatRenderable),
    ("bgra8unorm-storage", GpuFeatureName::Bgra8unormStorage),
    ("float32-filterable", GpuFeatureName::Float32Filterable),
    ("float32-blendable", GpuFeatureName::Float32Blendable),
    ("clip-distances", GpuFeatureName::ClipDistances),
    ("dual-source-blending", GpuFeatureName::DualSourceBlending),
    ("subgroups", GpuFeatureName::Subgroups),
    ("texture-formats-tier1", GpuFeatureName::TextureFormatsTier1),
    ("texture-formats-tier2", GpuFeatureName::TextureFormatsTier2),
    ("primitive-index", GpuFeatureName::PrimitiveIndex),
    ("texture-component-swizzle", GpuFeatureName::TextureComponentSwizzle),
];

pub fn extent(width: u32, height: u32, depth_or_array_layers: u32) -> GpuExtent3D {
    GpuExtent3D { width, height: Some(height), depth_or_array_layers: Some(depth_or_array_layers) }
}

pub fn origin(x: u32, y: u32, z: u32) -> GpuOrigin3D {
    GpuOrigin3D { x: Some(x), y: Some(y), z: Some(z) }
}

/// A texture of two dimensions, one layer, one level and one sample.
pub fn texture_2d(
    width: u32,
    height: u32,
    format: GpuTextureFormat,
    usage: GpuTextureUsage,
) -> GpuTextureDescriptor {
    GpuTextureDescriptor {
        size: extent(width, height, 1),
        mip_level_count: None,
        sample_count: None,
        dimension: None,
        format,
        usage,
        view_formats: None,
        texture_binding_view_dimension: None,
        label: None,
    }
}

/// A view that says nothing.
pub fn view() -> GpuTextureViewDescriptor {
    GpuTextureViewDescriptor {
        format: None,
        dimension: None,
        usage: None,
        aspect: None,
        base_mip_level: None,
        mip_level_count: None,
        base_array_layer: None,
        array_layer_count: None,
        swizzle: None,
        label: None,
    }
}

/// A sampler that says nothing.
pub fn sampler() -> GpuSamplerDescriptor {
    GpuSamplerDescriptor {
        address_mode_u: None,
        address_mode_v: None,
        address_mode_w: None,
        mag_filter: None,
        min_filter: None,
        mipmap_filter: None,
        lod_min_clamp: None,
        lod_max_clamp: None,
        compare: None,
        max_anisotropy: None,
        label: None,
    }
}

/// The first texel of a texture, in a copy.
pub fn first_of(texture: &GpuTexture) -> GpuTexelCopyTextureInfo<'_> {
    GpuTexelCopyTextureInfo { texture, mip_level: None, origin: None, aspect: None }
}

/// The bytes of a buffer from its start, in a copy.
pub fn bytes_of(
    buffer: &GpuBuffer,
    bytes_per_row: Option<u32>,
    rows_per_image: Option<u32>,
) -> GpuTexelCopyBufferInfo<'_> {
    GpuTexelCopyBufferInfo { buffer, offset: None, bytes_per_row, rows_per_image }
}

/// An attachment that is cleared to transparent black and stored.
pub fn attachment(view: &GpuTextureView) -> GpuRenderPassColorAttachment<'_> {
    GpuRenderPassColorAttachment {
        view,
        depth_slice: None,
        resolve_target: None,
        clear_value: None,
        load_op: GpuLoadOp::Clear,
        store_op: GpuStoreOp::Store,
    }
}

/// An attachment that keeps what it has.
pub fn kept(view: &GpuTextureView) -> GpuRenderPassColorAttachment<'_> {
    GpuRenderPassColorAttachment { load_op: GpuLoadOp::Load, ..attachment(view) }
}

/// A depth attachment that is cleared to this value, and stored.
pub fn depth_attachment(view: &GpuTextureView, clear: f32) -> GpuRenderPassDepthStencilAttachment<'_> {
    GpuRenderPassDepthStencilAttachment {
        view,
        depth_clear_value: Some(clear),
        depth_load_op: Some(GpuLoadOp::Clear),
        depth_store_op: Some(GpuStoreOp::Store),
        depth_read_only: None,
        stencil_clear_value: None,
        stencil_load_op: None,
        stencil_store_op: None,
        stencil_read_only: None,
    }
}

/// A pass with these attachments and nothing else.
pub fn pass<'a>(
    colors: impl IntoIterator<Item = GpuRenderPassColorAttachment<'a>>,
) -> GpuRenderPassDescriptor<'a> {
    GpuRenderPassDescriptor {
        color_attachments: colors.into_iter().map(Some).collect(),
        depth_stencil_attachment: None,
        occlusion_query_set: None,
        timestamp_writes: None,
        max_draw_count: None,
        label: None,
    }
}

pub fn target(format: GpuTextureFormat) -> GpuColorTargetState {
    GpuColorTargetState { format, blend: None, write_mask: None }
}

pub fn vertex(module: &GpuShaderModule) -> GpuVertexState<'_> {
    GpuVertexState { buffers: None, module, entry_point: None, constants: None }
}

pub fn fragment(
    module: &GpuShaderModule,
    targets: impl IntoIterator<Item = GpuColorTargetState>,
) -> GpuFragmentState<'_> {
    GpuFragmentState {
        targets: targets.into_iter().map(Some).collect(),
        module,
        entry_point: None,
        constants: None,
    }
}

/// A pipeline of a module with one vertex and one fragment shader, for targets of these formats.
pub fn pipeline(
    module: &GpuShaderModule,
    formats: impl IntoIterator<Item = GpuTextureFormat>,
) -> GpuRenderPipelineDescriptor<'_> {
    GpuRenderPipelineDescriptor {
        vertex: vertex(module),
        primitive: None,
        depth_stencil: None,
        multisample: None,
        fragment: Some(fragment(module, formats.into_iter().map(target))),
        layout: GpuLayoutMode::Auto,
        label: None,
    }
}

pub fn primitive(topology: GpuPrimitiveTopology) -> GpuPrimitiveState {
    GpuPrimitiveState {
        topology: Some(topology),
        strip_index_format: None,
        front_face: None,
        cull_mode: None,
        unclipped_depth: None,
    }
}

/// A state of depth and stencil that says nothing but the format.
pub fn depth_stencil(format: GpuTextureFormat) -> GpuDepthStencilState {
    GpuDepthStencilState {
        format,
        depth_write_enabled: None,
        depth_compare: None,
        stencil_front: None,
        stencil_back: None,
        stencil_read_mask: None,
        stencil_write_mask: None,
        depth_bias: None,
        depth_bias_slope_scale: None,
        depth_bias_clamp: None,
    }
}

pub fn multisample(count: u32) -> GpuMultisampleState {
    GpuMultisampleState { count: Some(count), mask: None, alpha_to_coverage_enabled: None }
}

/// Four bytes at a time.
pub fn words(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect()
}

/// What `values` are in memory.
pub fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// What `values` are in memory.
pub fn bytes_of_words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

impl Topic {
    /// Goes on with a device that has all that the adapter has, in place of one with what every adapter has.
    pub async fn take_all_features(&mut self) {
        let adapter = get_gpu().request_adapter(None).await.expect("the host has a GPU adapter");
        let supported = adapter.features();
        let features = FEATURES.iter().filter(|(name, _)| supported.has(name)).map(|(_, feature)| *feature);
        let device = adapter
            .request_device(Some(GpuDeviceDescriptor {
                required_features: Some(features.collect()),
                required_limits: None,
                default_queue: None,
                label: None,
            }))
            .await;
        self.gpu = kit::Gpu::of(device.expect("an adapter gives a device with all of its features"));
    }

    /// True if the device has this feature.
    pub fn has(&self, feature: &str) -> bool {
        self.device().features().has(feature)
    }

    /// A texture to draw on and to read back, of [`TARGET`]'s format.
    pub fn target(&self, width: u32, height: u32) -> GpuTexture {
        let usage = GpuTextureUsage::RENDER_ATTACHMENT
            | GpuTextureUsage::COPY_SRC
            | GpuTextureUsage::COPY_DST
            | GpuTextureUsage::TEXTURE_BINDING;
        self.device().create_texture(&texture_2d(width, height, TARGET, usage))
    }

    /// The first level and layer of a texture of [`TARGET`]'s format.
    pub async fn pixels(&self, texture: &GpuTexture) -> Vec<[u8; 4]> {
        let bytes = self.texels(texture, Texel::default()).await;
        bytes.chunks_exact(4).map(|pixel| [pixel[0], pixel[1], pixel[2], pixel[3]]).collect()
    }

    /// Records and submits one render pass.
    pub fn render(
        &self,
        descriptor: &GpuRenderPassDescriptor<'_>,
        record: impl FnOnce(&GpuRenderPassEncoder),
    ) {
        self.submit(|encoder| {
            let pass = encoder.begin_render_pass(descriptor);
            record(&pass);
            pass.end();
        });
    }

    /// The pixels of a target of this size after one pass on it.
    pub async fn drawn(
        &self,
        [width, height]: [u32; 2],
        record: impl FnOnce(&GpuRenderPassEncoder),
    ) -> Vec<[u8; 4]> {
        let target = self.target(width, height);
        let view = target.create_view(None);
        self.render(&pass([attachment(&view)]), record);
        self.pixels(&target).await
    }

    /// Runs the one compute shader of `code` with these resources bound to group 0.
    pub fn compute(&self, code: &str, resources: Vec<GpuBindingResource<'_>>, workgroups: u32) {
        let module = self.shader(code);
        let pipeline = self.device().create_compute_pipeline(GpuComputePipelineDescriptor {
            compute: GpuProgrammableStage { module: &module, entry_point: None, constants: None },
            layout: GpuLayoutMode::Auto,
            label: None,
        });
        let group = self.gpu.bind_group("", &pipeline.get_bind_group_layout(0), resources);
        self.submit(|encoder| {
            let pass = encoder.begin_compute_pass(None);
            pass.set_pipeline(&pipeline);
            pass.set_bind_group(0, Some(&group), None, None, None).expect("there are no offsets");
            pass.dispatch_workgroups(workgroups, None, None);
            pass.end();
        });
    }

    /// What one workgroup of the compute shader of `code` writes to its binding 0, an array of `count` words; `resources` are bound
    /// after it.
    pub async fn computed(
        &self,
        code: &str,
        mut resources: Vec<GpuBindingResource<'_>>,
        count: u32,
    ) -> Vec<u32> {
        let usage = GpuBufferUsage::STORAGE | GpuBufferUsage::COPY_SRC;
        let out = self.empty_buffer(usage, u64::from(count) * 4);
        resources.insert(0, GpuBindingResource::GpuBuffer(&out));
        self.compute(code, resources, 1);
        words(&self.bytes(&out).await)
    }

    /// Records commands that break a rule of the standard. Their error comes when they are finished, and not before.
    pub async fn invalid_commands(&mut self, what: &str, record: impl FnOnce(&GpuCommandEncoder)) {
        let encoder = self.device().create_command_encoder(None);
        let ((), early) = self.catching(|_| record(&encoder)).await;
        let (_, late) = self.catching(|_| encoder.finish(None)).await;
        let kinds = (early.map(|error| error.kind), late.map(|error| error.kind));
        self.equal(what, kinds, (None, Some(GpuErrorFilter::Validation)));
    }

    /// Records a render pass that breaks a rule of the standard. The error comes when its encoder is finished.
    pub async fn invalid_pass(
        &mut self,
        what: &str,
        descriptor: &GpuRenderPassDescriptor<'_>,
        record: impl FnOnce(&GpuRenderPassEncoder),
    ) {
        let commands = |encoder: &GpuCommandEncoder| {
            let pass = encoder.begin_render_pass(descriptor);
            record(&pass);
            pass.end();
        };
        self.invalid_commands(what, commands).await;
    }

    /// Records a render pass that is right, finishes and submits it.
    pub async fn valid_pass(
        &mut self,
        what: &str,
        descriptor: &GpuRenderPassDescriptor<'_>,
        record: impl FnOnce(&GpuRenderPassEncoder),
    ) {
        let ((), error) = self
            .catching(|device| {
                let encoder = device.create_command_encoder(None);
                let pass = encoder.begin_render_pass(descriptor);
                record(&pass);
                pass.end();
                device.queue().submit(&[&encoder.finish(None)]);
            })
            .await;
        self.equal(what, error, None);
    }

    /// Records and finishes commands that are right, whose submission is not.
    pub async fn invalid_submit(&mut self, what: &str, record: impl FnOnce(&GpuCommandEncoder)) {
        let (commands, early) = self
            .catching(|device| {
                let encoder = device.create_command_encoder(None);
                record(&encoder);
                encoder.finish(None)
            })
            .await;
        let ((), late) = self.catching(|device| device.queue().submit(&[&commands])).await;
        let kinds = (early, late.map(|error| error.kind));
        self.equal(what, kinds, (None, Some(GpuErrorFilter::Validation)));
    }
}
