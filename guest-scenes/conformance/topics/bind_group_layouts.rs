//! Bind group layouts and pipeline layouts: <https://www.w3.org/TR/webgpu/#bind-group-layouts>

use conformance::{Topic, stage, whole, words};
#[expect(clippy::wildcard_imports, reason = "most of what describes bindings is used here")]
use conformance::{bindings::*, webgpu::*};

conformance::export_topic!(run);

async fn run(topic: &mut Topic) {
    layouts(topic).await;
    wrong_layouts(topic).await;
    pipeline_layouts(topic).await;
}

/// <https://www.w3.org/TR/webgpu/#dom-gpudevice-createbindgrouplayout>
async fn layouts(topic: &mut Topic) {
    use GpuBufferBindingType::{ReadOnlyStorage, Storage, Uniform};
    use GpuTextureSampleType as Sample;
    use GpuTextureViewDimension as Dimension;
    let mut right = vec![
        buffer_entry(0, Uniform, None),
        buffer_entry(0, Storage, Some(0)),
        buffer_entry(0, ReadOnlyStorage, Some(16)),
        sampler_entry(None),
        sampler_entry(Some(GpuSamplerBindingType::Filtering)),
        sampler_entry(Some(GpuSamplerBindingType::NonFiltering)),
        sampler_entry(Some(GpuSamplerBindingType::Comparison)),
        texture_entry(None, None, None),
        texture_entry(Some(Sample::UnfilterableFloat), Some(Dimension::D2), Some(true)),
        texture_entry(Some(Sample::Depth), None, Some(true)),
        texture_entry(Some(Sample::Sint), None, Some(true)),
        storage_texture_entry(None, GpuTextureFormat::Rgba8unorm, None),
        storage_texture_entry(Some(GpuStorageTextureAccess::ReadOnly), GpuTextureFormat::Rgba32float, None),
        storage_texture_entry(Some(GpuStorageTextureAccess::ReadWrite), GpuTextureFormat::R32uint, None),
        storage_texture_entry(None, GpuTextureFormat::R32float, Some(Dimension::D1)),
        storage_texture_entry(None, GpuTextureFormat::R32float, Some(Dimension::D2Array)),
        storage_texture_entry(None, GpuTextureFormat::R32float, Some(Dimension::D3)),
        GpuBindGroupLayoutEntry { visibility: GpuShaderStage::empty(), ..sampler_entry(None) },
        GpuBindGroupLayoutEntry { visibility: GpuShaderStage::all(), ..sampler_entry(None) },
        GpuBindGroupLayoutEntry {
            visibility: GpuShaderStage::all(),
            ..buffer_entry(0, ReadOnlyStorage, None)
        },
        GpuBindGroupLayoutEntry { binding: 999, ..sampler_entry(None) },
        GpuBindGroupLayoutEntry {
            buffer: Some(GpuBufferBindingLayout {
                type_: None,
                has_dynamic_offset: Some(true),
                min_binding_size: None,
            }),
            ..ENTRY
        },
    ];
    for sample in [Sample::Float, Sample::UnfilterableFloat, Sample::Depth, Sample::Sint, Sample::Uint] {
        for dimension in [Dimension::D2, Dimension::D2Array, Dimension::Cube, Dimension::CubeArray] {
            right.push(texture_entry(Some(sample), Some(dimension), Some(false)));
        }
    }
    for dimension in [Dimension::D1, Dimension::D3] {
        right.push(texture_entry(None, Some(dimension), None));
    }
    for entry in right {
        topic.valid(&format!("the entry {entry:?} is right"), |device| layout(device, vec![entry])).await;
    }
    topic.valid("a layout may be empty", |device| layout(device, Vec::new())).await;
}

async fn wrong_layouts(topic: &mut Topic) {
    use GpuTextureSampleType as Sample;
    use GpuTextureViewDimension as Dimension;
    let bindings = topic.device().limits().max_bindings_per_bind_group();
    let wrong = [
        ENTRY,
        GpuBindGroupLayoutEntry {
            sampler: Some(GpuSamplerBindingLayout { type_: None }),
            ..buffer_entry(0, GpuBufferBindingType::Uniform, None)
        },
        GpuBindGroupLayoutEntry { binding: bindings, ..sampler_entry(None) },
        GpuBindGroupLayoutEntry { binding: u32::MAX, ..sampler_entry(None) },
        GpuBindGroupLayoutEntry {
            visibility: GpuShaderStage::VERTEX,
            ..buffer_entry(0, GpuBufferBindingType::Storage, None)
        },
        GpuBindGroupLayoutEntry {
            visibility: GpuShaderStage::VERTEX,
            ..storage_texture_entry(None, GpuTextureFormat::Rgba8unorm, None)
        },
        texture_entry(Some(Sample::Float), None, Some(true)),
        texture_entry(Some(Sample::UnfilterableFloat), Some(Dimension::D2Array), Some(true)),
        texture_entry(Some(Sample::UnfilterableFloat), Some(Dimension::Cube), Some(true)),
        storage_texture_entry(None, GpuTextureFormat::Rgba8unorm, Some(Dimension::Cube)),
        storage_texture_entry(None, GpuTextureFormat::Rgba8unorm, Some(Dimension::CubeArray)),
        storage_texture_entry(None, GpuTextureFormat::Rgba8unormSrgb, None),
        storage_texture_entry(None, GpuTextureFormat::Depth32float, None),
        storage_texture_entry(None, GpuTextureFormat::Bc1RgbaUnorm, None),
        storage_texture_entry(Some(GpuStorageTextureAccess::ReadWrite), GpuTextureFormat::Rgba8unorm, None),
    ];
    for entry in wrong {
        topic.invalid(&format!("the entry {entry:?}"), |device| layout(device, vec![entry])).await;
    }
    topic
        .invalid("a binding twice", |device| {
            layout(device, vec![sampler_entry(None), buffer_entry(0, GpuBufferBindingType::Uniform, None)])
        })
        .await;
    let limits = topic.device().limits();
    let many = |count: u32, entry: GpuBindGroupLayoutEntry| {
        (0..count).map(|binding| GpuBindGroupLayoutEntry { binding, ..entry }).collect::<Vec<_>>()
    };
    for (what, limit, entry) in [
        ("samplers", limits.max_samplers_per_shader_stage(), sampler_entry(None)),
        ("textures", limits.max_sampled_textures_per_shader_stage(), texture_entry(None, None, None)),
        (
            "storage buffers",
            limits.max_storage_buffers_per_shader_stage(),
            buffer_entry(0, GpuBufferBindingType::Storage, None),
        ),
        (
            "uniform buffers",
            limits.max_uniform_buffers_per_shader_stage(),
            buffer_entry(0, GpuBufferBindingType::Uniform, None),
        ),
        (
            "storage textures",
            limits.max_storage_textures_per_shader_stage(),
            storage_texture_entry(None, GpuTextureFormat::Rgba8unorm, None),
        ),
    ] {
        topic
            .valid(&format!("as many {what} as the limit says"), |device| layout(device, many(limit, entry)))
            .await;
        topic
            .invalid(&format!("more {what} than the limit says"), |device| {
                layout(device, many(limit + 1, entry))
            })
            .await;
    }
    let dynamic = |type_| GpuBindGroupLayoutEntry {
        buffer: Some(GpuBufferBindingLayout {
            type_: Some(type_),
            has_dynamic_offset: Some(true),
            min_binding_size: None,
        }),
        ..ENTRY
    };
    for (what, limit, type_) in [
        (
            "dynamic uniform buffers",
            limits.max_dynamic_uniform_buffers_per_pipeline_layout(),
            GpuBufferBindingType::Uniform,
        ),
        (
            "dynamic storage buffers",
            limits.max_dynamic_storage_buffers_per_pipeline_layout(),
            GpuBufferBindingType::Storage,
        ),
    ] {
        topic
            .valid(&format!("as many {what} as the limit says"), |device| {
                layout(device, many(limit, dynamic(type_)))
            })
            .await;
        topic
            .invalid(&format!("more {what} than the limit says"), |device| {
                layout(device, many(limit + 1, dynamic(type_)))
            })
            .await;
    }
}

/// <https://www.w3.org/TR/webgpu/#dom-gpudevice-createpipelinelayout>
async fn pipeline_layouts(topic: &mut Topic) {
    let limits = topic.device().limits();
    let empty = layout(topic.device(), Vec::new());
    let of = |device: &GpuDevice, layouts: Vec<Option<&GpuBindGroupLayout>>| {
        device.create_pipeline_layout(&GpuPipelineLayoutDescriptor {
            bind_group_layouts: layouts,
            immediate_size: None,
            label: None,
        })
    };
    let groups = limits.max_bind_groups() as usize;
    topic.valid("no layouts", |device| of(device, Vec::new())).await;
    topic.valid("as many as the limit says", |device| of(device, vec![Some(&empty); groups])).await;
    topic.valid("gaps", |device| of(device, vec![None, Some(&empty), None, None])).await;
    topic.invalid("one more than the limit says", |device| of(device, vec![Some(&empty); groups + 1])).await;
    topic.invalid("one more gap than the limit says", |device| of(device, vec![None; groups + 1])).await;
    topic.invalid("a thousand gaps", |device| of(device, vec![None; 1000])).await;
    let samplers = |device: &GpuDevice, count| {
        layout(
            device,
            (0..count).map(|binding| GpuBindGroupLayoutEntry { binding, ..sampler_entry(None) }).collect(),
        )
    };
    let most = limits.max_samplers_per_shader_stage();
    let (all, one) = (samplers(topic.device(), most), samplers(topic.device(), 1));
    topic.valid("the samplers that the limit allows", |device| of(device, vec![Some(&all)])).await;
    topic.invalid("one more, in another group", |device| of(device, vec![Some(&all), Some(&one)])).await;

    let module = topic.shader(
        "
        @group(1) @binding(0) var<storage, read_write> x: u32;
        @compute @workgroup_size(1) fn main() { x = 5u; }",
    );
    let group_layout = layout(topic.device(), vec![buffer_entry(0, GpuBufferBindingType::Storage, None)]);
    let with_gap = of(topic.device(), vec![None, Some(&group_layout)]);
    let made = topic
        .valid("a layout with a gap fits a shader with one", |device| {
            device.create_compute_pipeline(GpuComputePipelineDescriptor {
                compute: stage(&module),
                layout: GpuLayoutMode::Specific(&with_gap),
                label: None,
            })
        })
        .await;
    let output = topic.storage(4);
    let bound = group(topic.device(), &group_layout, vec![entry(0, whole(&output))]);
    topic.compute_pass(|pass| {
        pass.set_pipeline(&made);
        pass.set_bind_group(1, Some(&bound), None, None, None).expect("no offsets are given");
        pass.dispatch_workgroups(1, None, None);
    });
    topic.equal("and needs nothing in it", words(&topic.bytes(&output).await), [5]);
    for (what, type_) in [
        ("a buffer that is only read", GpuBufferBindingType::ReadOnlyStorage),
        ("a uniform buffer", GpuBufferBindingType::Uniform),
    ] {
        topic
            .invalid(&format!("{what} for one that the shader writes"), |device| {
                let layout =
                    of(device, vec![None, Some(&layout(device, vec![buffer_entry(0, type_, None)]))]);
                device.create_compute_pipeline(GpuComputePipelineDescriptor {
                    compute: stage(&module),
                    layout: GpuLayoutMode::Specific(&layout),
                    label: None,
                })
            })
            .await;
    }
    topic
        .invalid("a binding that the stage does not see", |device| {
            let hidden = GpuBindGroupLayoutEntry {
                visibility: GpuShaderStage::FRAGMENT,
                ..buffer_entry(0, GpuBufferBindingType::Storage, None)
            };
            let layout = of(device, vec![None, Some(&layout(device, vec![hidden]))]);
            device.create_compute_pipeline(GpuComputePipelineDescriptor {
                compute: stage(&module),
                layout: GpuLayoutMode::Specific(&layout),
                label: None,
            })
        })
        .await;
    // Layouts are alike by what they have: https://www.w3.org/TR/webgpu/#group-equivalent
    let alike = layout(topic.device(), vec![buffer_entry(0, GpuBufferBindingType::Storage, None)]);
    let bound = group(topic.device(), &alike, vec![entry(0, whole(&output))]);
    topic
        .valid("a bind group of a layout that is alike serves as well", |device| {
            let encoder = device.create_command_encoder(None);
            let pass = encoder.begin_compute_pass(None);
            pass.set_pipeline(&made);
            pass.set_bind_group(1, Some(&bound), None, None, None).expect("no offsets are given");
            pass.dispatch_workgroups(1, None, None);
            pass.end();
            encoder.finish(None)
        })
        .await;
}
