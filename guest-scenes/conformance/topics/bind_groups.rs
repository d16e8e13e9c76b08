//! Bind groups: <https://www.w3.org/TR/webgpu/#bind-groups>

use conformance::{Topic, stage, whole, words};
#[expect(clippy::wildcard_imports, reason = "most of what describes bindings is used here")]
use conformance::{bindings::*, webgpu::*};

conformance::export_topic!(run);

async fn run(topic: &mut Topic) {
    every_binding(topic).await;
    wrong_entries(topic).await;
    buffers(topic).await;
    usage_scopes(topic).await;
    destroyed_resources(topic).await;
}

fn texture(device: &GpuDevice, format: GpuTextureFormat, usage: GpuTextureUsage, samples: u32) -> GpuTexture {
    device.create_texture(&GpuTextureDescriptor {
        size: GpuExtent3D { width: 4, height: Some(4), depth_or_array_layers: None },
        mip_level_count: None,
        sample_count: Some(samples),
        dimension: None,
        format,
        usage,
        view_formats: None,
        texture_binding_view_dimension: None,
        label: None,
    })
}

fn sampler(device: &GpuDevice, filter: GpuFilterMode, compare: Option<GpuCompareFunction>) -> GpuSampler {
    device.create_sampler(Some(&GpuSamplerDescriptor {
        address_mode_u: None,
        address_mode_v: None,
        address_mode_w: None,
        mag_filter: Some(filter),
        min_filter: None,
        mipmap_filter: None,
        lod_min_clamp: None,
        lod_max_clamp: None,
        compare,
        max_anisotropy: None,
        label: None,
    }))
}

/// One shader reads through a binding of each kind.
async fn every_binding(topic: &mut Topic) {
    let pipeline = topic.compute_pipeline(
        "
        @group(0) @binding(0) var<uniform> uniform_words: vec4u;
        @group(0) @binding(1) var<storage, read> input: array<u32>;
        @group(0) @binding(2) var<storage, read_write> output: array<u32, 8>;
        @group(0) @binding(3) var sampled: texture_2d<f32>;
        @group(0) @binding(4) var nearest: sampler;
        @group(0) @binding(5) var counted: texture_2d<u32>;
        @group(0) @binding(6) var written: texture_storage_2d<r32uint, write>;
        @group(0) @binding(9) var compared: texture_depth_2d;
        @group(0) @binding(8) var comparison: sampler_comparison;
        @group(1) @binding(0) var<uniform> second: vec4u;
        @compute @workgroup_size(1) fn main() {
            output[0] = uniform_words.y;
            output[1] = input[2];
            output[2] = u32(textureSampleLevel(sampled, nearest, vec2f(0.6, 0.1), 0.0).x * 255.0 + 0.5);
            output[3] = textureLoad(counted, vec2u(3, 0), 0).x;
            output[4] = arrayLength(&input);
            output[5] = u32(textureSampleCompareLevel(compared, comparison, vec2f(0.5), 0.5));
            output[6] = second.x;
            textureStore(written, vec2u(1, 2), vec4u(77));
        }",
    );
    let little = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let device = topic.device();
    let uniform = topic.buffer(GpuBufferUsage::UNIFORM, &little(&[10, 11, 12, 13]));
    let input = topic.buffer(GpuBufferUsage::STORAGE, &little(&[20, 21, 22, 23, 24]));
    let output = topic.storage(32);
    let readable = GpuTextureUsage::TEXTURE_BINDING | GpuTextureUsage::COPY_DST;
    let sampled = texture(device, GpuTextureFormat::R8unorm, readable, 1);
    let counted = texture(device, GpuTextureFormat::R32uint, readable, 1);
    let written = texture(
        device,
        GpuTextureFormat::R32uint,
        GpuTextureUsage::STORAGE_BINDING | GpuTextureUsage::COPY_SRC,
        1,
    );
    // Depth begins as zeros.
    let compared = texture(device, GpuTextureFormat::Depth32float, GpuTextureUsage::TEXTURE_BINDING, 1);
    let size = kit::Size { width: 4, height: 4 };
    topic.gpu.write_texture(&sampled, 0, size, 4, &(0..16).collect::<Vec<u8>>());
    topic.gpu.write_texture(
        &counted,
        0,
        size,
        16,
        &little(&(0..16).map(|texel| texel + 100).collect::<Vec<u32>>()),
    );
    let nearest = device.create_sampler(None);
    let comparison = sampler(device, GpuFilterMode::Nearest, Some(GpuCompareFunction::Greater));
    let (counted_view, compared_view) = (counted.create_view(None), compared.create_view(None));
    let second = topic.buffer(
        GpuBufferUsage::UNIFORM,
        &little(&[0; 64]).iter().copied().chain(little(&[31, 0, 0, 0])).collect::<Vec<u8>>(),
    );
    let (first, other) = topic
        .valid("a bind group has a binding of each kind", |device| {
            // In another order than the shader's.
            let entries = vec![
                entry(6, GpuBindingResource::GpuTexture(&written)),
                entry(0, whole(&uniform)),
                entry(
                    2,
                    GpuBindingResource::GpuBufferBinding(GpuBufferBinding {
                        buffer: &output,
                        offset: None,
                        size: None,
                    }),
                ),
                entry(
                    1,
                    GpuBindingResource::GpuBufferBinding(GpuBufferBinding {
                        buffer: &input,
                        offset: Some(0),
                        size: Some(16),
                    }),
                ),
                entry(3, GpuBindingResource::GpuTexture(&sampled)),
                entry(5, GpuBindingResource::GpuTextureView(&counted_view)),
                entry(4, GpuBindingResource::GpuSampler(&nearest)),
                entry(8, GpuBindingResource::GpuSampler(&comparison)),
                entry(9, GpuBindingResource::GpuTextureView(&compared_view)),
            ];
            let part = GpuBindingResource::GpuBufferBinding(GpuBufferBinding {
                buffer: &second,
                offset: Some(256),
                size: None,
            });
            (
                group(device, &pipeline.get_bind_group_layout(0), entries),
                group(device, &pipeline.get_bind_group_layout(1), vec![entry(0, part)]),
            )
        })
        .await;
    let error = topic
        .catching(|device| {
            let encoder = device.create_command_encoder(None);
            let pass = encoder.begin_compute_pass(None);
            pass.set_pipeline(&pipeline);
            pass.set_bind_group(0, Some(&first), None, None, None).expect("no offsets are given");
            pass.set_bind_group(1, Some(&other), None, None, None).expect("no offsets are given");
            pass.dispatch_workgroups(1, None, None);
            pass.end();
            device.queue().submit(&[&encoder.finish(None)]);
        })
        .await
        .1;
    topic.equal("and can be used", error, None);
    topic.equal(
        "and each reaches its resource",
        words(&topic.bytes(&output).await),
        [11, 22, 2, 103, 4, 1, 31, 0],
    );
    let mut expected = vec![0; 16];
    expected[9] = 77;
    topic.equal(
        "and the storage texture is written",
        words(&topic.texels(&written, conformance::Texel::default()).await),
        expected,
    );
}

/// <https://www.w3.org/TR/webgpu/#dom-gpudevice-createbindgroup>
async fn wrong_entries(topic: &mut Topic) {
    use GpuBufferBindingType::{ReadOnlyStorage, Storage, Uniform};
    let device = topic.device();
    let uniform = topic.empty_buffer(GpuBufferUsage::UNIFORM, 256);
    let storage = topic.storage(256);
    let sampled = texture(device, GpuTextureFormat::Rgba8unorm, GpuTextureUsage::TEXTURE_BINDING, 1);
    let attachment = texture(device, GpuTextureFormat::Rgba8unorm, GpuTextureUsage::RENDER_ATTACHMENT, 1);
    let counted = texture(
        device,
        GpuTextureFormat::R32uint,
        GpuTextureUsage::TEXTURE_BINDING | GpuTextureUsage::STORAGE_BINDING,
        1,
    );
    let several = texture(
        device,
        GpuTextureFormat::Rgba8unorm,
        GpuTextureUsage::TEXTURE_BINDING | GpuTextureUsage::RENDER_ATTACHMENT,
        4,
    );
    let real = texture(device, GpuTextureFormat::R32float, GpuTextureUsage::TEXTURE_BINDING, 1);
    let plain = device.create_sampler(None);
    let linear = sampler(device, GpuFilterMode::Linear, None);
    let comparing = sampler(device, GpuFilterMode::Nearest, Some(GpuCompareFunction::Less));
    let texture_of = GpuBindingResource::GpuTexture;
    let sampler_of = GpuBindingResource::GpuSampler;
    let of = |type_| buffer_entry(0, type_, None);
    let non_filtering = sampler_entry(Some(GpuSamplerBindingType::NonFiltering));
    let right = [
        ("a uniform buffer", of(Uniform), whole(&uniform)),
        ("a storage buffer that is read", of(ReadOnlyStorage), whole(&storage)),
        ("a texture", texture_entry(None, None, None), texture_of(&sampled)),
        ("a sampler that does not filter for one that may", sampler_entry(None), sampler_of(&plain)),
        ("a sampler that does not filter", non_filtering, sampler_of(&plain)),
        (
            "a texture that cannot be filtered",
            texture_entry(Some(GpuTextureSampleType::UnfilterableFloat), None, None),
            texture_of(&real),
        ),
        (
            "a texture that could be filtered for one that need not",
            texture_entry(Some(GpuTextureSampleType::UnfilterableFloat), None, None),
            texture_of(&sampled),
        ),
    ];
    for (what, binding, resource) in right {
        topic
            .valid(what, |device| group(device, &layout(device, vec![binding]), vec![entry(0, resource)]))
            .await;
    }
    let wrong = [
        ("a storage buffer as a uniform one", of(Uniform), whole(&storage)),
        ("a uniform buffer as a storage one", of(Storage), whole(&uniform)),
        ("a sampler as a buffer", of(Uniform), sampler_of(&plain)),
        ("a texture as a buffer", of(Uniform), texture_of(&sampled)),
        ("a buffer as a sampler", sampler_entry(None), whole(&uniform)),
        ("a buffer as a texture", texture_entry(None, None, None), whole(&uniform)),
        (
            "a buffer as a storage texture",
            storage_texture_entry(None, GpuTextureFormat::R32uint, None),
            whole(&storage),
        ),
        ("a sampler that filters as one that does not", non_filtering, sampler_of(&linear)),
        ("a sampler that compares as one that does not", sampler_entry(None), sampler_of(&comparing)),
        (
            "a sampler that does not compare as one that does",
            sampler_entry(Some(GpuSamplerBindingType::Comparison)),
            sampler_of(&plain),
        ),
        ("a texture without TEXTURE_BINDING", texture_entry(None, None, None), texture_of(&attachment)),
        (
            "a texture of whole numbers as one of fractions",
            texture_entry(None, None, None),
            texture_of(&counted),
        ),
        (
            "a texture of fractions as one of whole numbers",
            texture_entry(Some(GpuTextureSampleType::Uint), None, None),
            texture_of(&sampled),
        ),
        (
            "a texture that cannot be filtered as one that can",
            texture_entry(None, None, None),
            texture_of(&real),
        ),
        (
            "a texture of several samples as one of one",
            texture_entry(Some(GpuTextureSampleType::UnfilterableFloat), None, None),
            texture_of(&several),
        ),
        (
            "a texture of one sample as one of several",
            texture_entry(Some(GpuTextureSampleType::UnfilterableFloat), None, Some(true)),
            texture_of(&sampled),
        ),
        (
            "a flat texture as an array",
            texture_entry(None, Some(GpuTextureViewDimension::D2Array), None),
            texture_of(&sampled),
        ),
        (
            "a storage texture of another format",
            storage_texture_entry(None, GpuTextureFormat::R32float, None),
            texture_of(&counted),
        ),
        (
            "a storage texture without its usage",
            storage_texture_entry(None, GpuTextureFormat::Rgba8unorm, None),
            texture_of(&sampled),
        ),
    ];
    for (what, binding, resource) in wrong {
        topic
            .invalid(what, |device| group(device, &layout(device, vec![binding]), vec![entry(0, resource)]))
            .await;
    }
    let two = layout(topic.device(), vec![of(Uniform), buffer_entry(1, Uniform, None)]);
    topic.invalid("an entry too few", |device| group(device, &two, vec![entry(0, whole(&uniform))])).await;
    topic.invalid("no entries", |device| group(device, &two, Vec::new())).await;
    topic
        .invalid("an entry twice", |device| {
            group(device, &two, vec![entry(0, whole(&uniform)), entry(0, whole(&uniform))])
        })
        .await;
    topic
        .invalid("an entry of another number", |device| {
            group(device, &two, vec![entry(0, whole(&uniform)), entry(2, whole(&uniform))])
        })
        .await;
    topic
        .invalid("an entry too many", |device| {
            group(device, &two, (0..3).map(|binding| entry(binding, whole(&uniform))).collect())
        })
        .await;
    let empty = layout(topic.device(), Vec::new());
    topic
        .invalid("an entry of an empty layout", |device| {
            group(device, &empty, vec![entry(0, whole(&uniform))])
        })
        .await;
}

/// <https://www.w3.org/TR/webgpu/#dictdef-gpubufferbinding>
async fn buffers(topic: &mut Topic) {
    use GpuBufferBindingType::{Storage, Uniform};
    let uniform = topic.empty_buffer(GpuBufferUsage::UNIFORM, 1024);
    let large = topic.empty_buffer(GpuBufferUsage::UNIFORM | GpuBufferUsage::STORAGE, 65_536 + 256);
    let odd = topic.empty_buffer(GpuBufferUsage::STORAGE, 513);
    let part = |buffer, offset, size| {
        GpuBindingResource::GpuBufferBinding(GpuBufferBinding { buffer, offset, size })
    };
    let right = [
        ("the end of a buffer", buffer_entry(0, Uniform, None), part(&uniform, Some(768), None)),
        ("a part of a buffer", buffer_entry(0, Uniform, None), part(&uniform, Some(256), Some(16))),
        ("as much as is needed", buffer_entry(0, Uniform, Some(512)), part(&uniform, Some(512), None)),
        ("as much as the limit says", buffer_entry(0, Uniform, None), part(&large, Some(256), Some(65_536))),
    ];
    for (what, binding, resource) in right {
        topic
            .valid(what, |device| group(device, &layout(device, vec![binding]), vec![entry(0, resource)]))
            .await;
    }
    let wrong = [
        ("nothing of a buffer", buffer_entry(0, Uniform, None), part(&uniform, None, Some(0))),
        ("nothing at its end", buffer_entry(0, Uniform, None), part(&uniform, Some(1024), None)),
        ("beyond its end", buffer_entry(0, Uniform, None), part(&uniform, Some(1280), None)),
        ("more than it has", buffer_entry(0, Uniform, None), part(&uniform, Some(256), Some(1024))),
        (
            "far beyond its end",
            buffer_entry(0, Uniform, None),
            part(&uniform, Some(u64::MAX - 255), Some(256)),
        ),
        ("more than there can be", buffer_entry(0, Uniform, None), part(&uniform, Some(256), Some(u64::MAX))),
        (
            "a crooked offset of a uniform buffer",
            buffer_entry(0, Uniform, None),
            part(&uniform, Some(16), Some(16)),
        ),
        (
            "a crooked offset of a storage buffer",
            buffer_entry(0, Storage, None),
            part(&large, Some(4), Some(16)),
        ),
        ("a crooked size of a storage buffer", buffer_entry(0, Storage, None), part(&large, None, Some(6))),
        ("a crooked size of a whole storage buffer", buffer_entry(0, Storage, None), whole(&odd)),
        ("less than is needed", buffer_entry(0, Uniform, Some(512)), part(&uniform, None, Some(256))),
        ("more than the limit of uniform bindings", buffer_entry(0, Uniform, None), whole(&large)),
    ];
    for (what, binding, resource) in wrong {
        topic
            .invalid(what, |device| group(device, &layout(device, vec![binding]), vec![entry(0, resource)]))
            .await;
    }

    // Without a smallest size in the layout, the shader's is checked when it runs, and with one when the pipeline is made.
    let module = topic.shader(
        "
        @group(0) @binding(0) var<uniform> x: array<vec4u, 4>;
        @compute @workgroup_size(1) fn main() { _ = x[3]; }",
    );
    let pipeline = |device: &GpuDevice, group_layout: &GpuBindGroupLayout| {
        let layout = device.create_pipeline_layout(&GpuPipelineLayoutDescriptor {
            bind_group_layouts: vec![Some(group_layout)],
            immediate_size: None,
            label: None,
        });
        device.create_compute_pipeline(GpuComputePipelineDescriptor {
            compute: stage(&module),
            layout: GpuLayoutMode::Specific(&layout),
            label: None,
        })
    };
    topic
        .invalid("a smallest size below the shader's", |device| {
            pipeline(device, &layout(device, vec![buffer_entry(0, Uniform, Some(48))]))
        })
        .await;
    topic
        .valid("a smallest size of the shader's", |device| {
            pipeline(device, &layout(device, vec![buffer_entry(0, Uniform, Some(64))]))
        })
        .await;
    let late = layout(topic.device(), vec![buffer_entry(0, Uniform, None)]);
    let made = topic.valid("no smallest size", |device| pipeline(device, &late)).await;
    for (size, is_enough) in [(48, false), (64, true)] {
        let bound = group(topic.device(), &late, vec![entry(0, part(&uniform, None, Some(size)))]);
        let (_, error) = topic
            .catching(|device| {
                let encoder = device.create_command_encoder(None);
                let pass = encoder.begin_compute_pass(None);
                pass.set_pipeline(&made);
                pass.set_bind_group(0, Some(&bound), None, None, None).expect("no offsets are given");
                pass.dispatch_workgroups(1, None, None);
                pass.end();
                encoder.finish(None)
            })
            .await;
        topic.equal(&format!("{size} bytes are enough for the shader"), error.is_none(), is_enough);
    }
}

/// <https://www.w3.org/TR/webgpu/#programming-model-resource-usages>
async fn usage_scopes(topic: &mut Topic) {
    let pipeline = topic.compute_pipeline(
        "
        @group(0) @binding(0) var<storage, read> x: u32;
        @group(0) @binding(1) var<storage, read_write> y: u32;
        @compute @workgroup_size(1) fn main() { y = x; }",
    );
    let (one, other) = (topic.storage(4), topic.storage(4));
    let dispatch = |device: &GpuDevice, x: &GpuBuffer, y: &GpuBuffer| {
        let bound =
            group(device, &pipeline.get_bind_group_layout(0), vec![entry(0, whole(x)), entry(1, whole(y))]);
        let encoder = device.create_command_encoder(None);
        let pass = encoder.begin_compute_pass(None);
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, Some(&bound), None, None, None).expect("no offsets are given");
        pass.dispatch_workgroups(1, None, None);
        pass.end();
        encoder.finish(None)
    };
    topic.valid("one buffer is read and another one written", |device| dispatch(device, &one, &other)).await;
    topic
        .invalid("one buffer is not read and written in one dispatch", |device| dispatch(device, &one, &one))
        .await;
}

async fn destroyed_resources(topic: &mut Topic) {
    let pipeline = topic.compute_pipeline(
        "
        @group(0) @binding(0) var<storage, read_write> x: u32;
        @compute @workgroup_size(1) fn main() { x = 1u; }",
    );
    let buffer = topic.storage(4);
    let bound = topic.group_of(&pipeline, 0, vec![whole(&buffer)]);
    topic.valid("what is bound may be destroyed", |_| buffer.destroy()).await;
    let commands = topic
        .valid("and be recorded", |device| {
            let encoder = device.create_command_encoder(None);
            let pass = encoder.begin_compute_pass(None);
            pass.set_pipeline(&pipeline);
            pass.set_bind_group(0, Some(&bound), None, None, None).expect("no offsets are given");
            pass.dispatch_workgroups(1, None, None);
            pass.end();
            encoder.finish(None)
        })
        .await;
    topic.invalid("but not submitted", |device| device.queue().submit(&[&commands])).await;
    let kept = topic.storage(4);
    let bound = topic.group_of(&pipeline, 0, vec![whole(&kept)]);
    let layout = pipeline.get_bind_group_layout(0);
    drop(layout);
    topic.compute_pass(|pass| {
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, Some(&bound), None, None, None).expect("no offsets are given");
        pass.dispatch_workgroups(1, None, None);
    });
    topic.equal("what was bound works when its layout is dropped", words(&topic.bytes(&kept).await), [1]);
}
