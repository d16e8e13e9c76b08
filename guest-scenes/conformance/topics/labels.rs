//! Labels of everything that can be made: <https://www.w3.org/TR/webgpu/#gpuobjectbase>

use conformance::webgpu::*;
use conformance::{Topic, stage};

conformance::export_topic!(run);

/// What people and programs write: nothing, spaces, line ends, characters of all widths, and the one that ends strings in C.
const ODD: &[&str] =
    &["", " ", "plain", "two\nlines", "\u{e4}\u{20ac}\u{1f600}", "a\0b", "\u{202e}backwards", "{}%s%n"];

macro_rules! labels {
    ($topic:ident, $first:literal: $($object:expr),* $(,)?) => {$({
        let object = &$object;
        let what = stringify!($object);
        $topic.equal(&format!("{what} has the label that it was made with"), object.label(), $first);
        for label in ODD {
            object.set_label(label);
            $topic.equal(&format!("{what} takes the label {label:?}"), object.label(), *label);
        }
        let long = "long ".repeat(200);
        object.set_label(&long);
        $topic.equal(&format!("{what} takes a long label"), object.label(), long);
        let longer = "\u{1f600}".repeat(1 << 16);
        object.set_label(&longer);
        let kept = object.label();
        $topic.check(&format!("{what} keeps the beginning of a label that is no label"), longer.starts_with(&kept) && kept.len() >= 1000);
        object.set_label("x");
        $topic.equal(&format!("{what} forgets it for a short one"), object.label(), "x");
    })*};
}

async fn run(topic: &mut Topic) {
    let label = || Some("it".to_owned());
    let device = get_gpu()
        .request_adapter(None)
        .await
        .expect("there is an adapter")
        .request_device(Some(GpuDeviceDescriptor {
            required_features: None,
            required_limits: None,
            default_queue: Some(GpuQueueDescriptor { label: label() }),
            label: label(),
        }))
        .await
        .expect("the adapter gives a device");
    let queue = device.queue();
    let buffer = device.create_buffer(&GpuBufferDescriptor {
        size: 4,
        usage: GpuBufferUsage::COPY_DST,
        mapped_at_creation: None,
        label: label(),
    });
    let texture = device.create_texture(&GpuTextureDescriptor {
        size: GpuExtent3D { width: 4, height: None, depth_or_array_layers: None },
        mip_level_count: None,
        sample_count: None,
        dimension: None,
        format: GpuTextureFormat::Rgba8unorm,
        usage: GpuTextureUsage::RENDER_ATTACHMENT,
        view_formats: None,
        texture_binding_view_dimension: None,
        label: label(),
    });
    let texture_view = texture.create_view(Some(&GpuTextureViewDescriptor {
        format: None,
        dimension: None,
        usage: None,
        aspect: None,
        base_mip_level: None,
        mip_level_count: None,
        base_array_layer: None,
        array_layer_count: None,
        swizzle: None,
        label: label(),
    }));
    let sampler = device.create_sampler(Some(&GpuSamplerDescriptor {
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
        label: label(),
    }));
    let bind_group_layout = device
        .create_bind_group_layout(&GpuBindGroupLayoutDescriptor { entries: Vec::new(), label: label() });
    let pipeline_layout = device.create_pipeline_layout(&GpuPipelineLayoutDescriptor {
        bind_group_layouts: Vec::new(),
        immediate_size: None,
        label: label(),
    });
    let bind_group = device.create_bind_group(&GpuBindGroupDescriptor {
        layout: &bind_group_layout,
        entries: Vec::new(),
        label: label(),
    });
    let module = device.create_shader_module(&GpuShaderModuleDescriptor {
        code: "@compute @workgroup_size(1) fn compute() {}
               @vertex fn vertex() -> @builtin(position) vec4f { return vec4f(); }
               @fragment fn fragment() -> @location(0) vec4f { return vec4f(); }"
            .into(),
        compilation_hints: None,
        label: label(),
    });
    let compute = || GpuComputePipelineDescriptor {
        compute: stage(&module),
        layout: GpuLayoutMode::Auto,
        label: label(),
    };
    let compute_pipeline = device.create_compute_pipeline(compute());
    let asynchronous_compute_pipeline =
        device.create_compute_pipeline_async(compute()).await.expect("the pipeline is right");
    let render = || GpuRenderPipelineDescriptor {
        vertex: GpuVertexState { buffers: None, module: &module, entry_point: None, constants: None },
        primitive: None,
        depth_stencil: None,
        multisample: None,
        fragment: Some(GpuFragmentState {
            targets: vec![Some(GpuColorTargetState {
                format: GpuTextureFormat::Rgba8unorm,
                blend: None,
                write_mask: None,
            })],
            module: &module,
            entry_point: None,
            constants: None,
        }),
        layout: GpuLayoutMode::Auto,
        label: label(),
    };
    let render_pipeline = device.create_render_pipeline(render());
    let asynchronous_render_pipeline =
        device.create_render_pipeline_async(render()).await.expect("the pipeline is right");
    let query_set = device
        .create_query_set(&GpuQuerySetDescriptor { type_: GpuQueryType::Occlusion, count: 1, label: label() })
        .expect("occlusion queries need no feature");
    let bundle_encoder = device.create_render_bundle_encoder(&GpuRenderBundleEncoderDescriptor {
        depth_read_only: None,
        stencil_read_only: None,
        color_formats: vec![Some(GpuTextureFormat::Rgba8unorm)],
        depth_stencil_format: None,
        sample_count: None,
        label: label(),
    });
    let encoder = device.create_command_encoder(Some(&GpuCommandEncoderDescriptor { label: label() }));
    let compute_pass = encoder
        .begin_compute_pass(Some(&GpuComputePassDescriptor { timestamp_writes: None, label: label() }));
    labels!(topic, "it": compute_pass);
    compute_pass.end();
    let render_pass = encoder.begin_render_pass(&GpuRenderPassDescriptor {
        color_attachments: vec![Some(GpuRenderPassColorAttachment {
            view: &texture_view,
            depth_slice: None,
            resolve_target: None,
            clear_value: None,
            load_op: GpuLoadOp::Clear,
            store_op: GpuStoreOp::Store,
        })],
        depth_stencil_attachment: None,
        occlusion_query_set: None,
        timestamp_writes: None,
        max_draw_count: None,
        label: label(),
    });
    labels!(topic, "it": render_pass);
    render_pass.end();
    labels!(topic, "it":
        device, queue, buffer, texture, texture_view, sampler, bind_group_layout, pipeline_layout, bind_group, module, compute_pipeline,
        asynchronous_compute_pipeline, render_pipeline, asynchronous_render_pipeline, query_set, bundle_encoder, encoder,
    );
    let render_bundle = bundle_encoder.finish(Some(&GpuRenderBundleDescriptor { label: label() }));
    let command_buffer = encoder.finish(Some(&GpuCommandBufferDescriptor { label: label() }));
    labels!(topic, "it": render_bundle, command_buffer);
    labels!(topic, "": compute_pipeline.get_bind_group_layout(0));
    queue.submit(&[&command_buffer]);
    labels!(topic, "x": command_buffer, encoder, compute_pass, render_pass, bundle_encoder);

    // Objects that were made without one.
    let device = topic.device();
    let unnamed = [
        device.create_sampler(None).label(),
        device.create_command_encoder(None).label(),
        device.create_command_encoder(None).begin_compute_pass(None).label(),
        device.create_command_encoder(None).finish(None).label(),
        texture.create_view(None).label(),
    ];
    topic.equal("what was made without a label has the empty one", unnamed.concat(), "");
    let odd: Vec<_> = ODD
        .iter()
        .map(|label| {
            topic
                .device()
                .create_buffer(&GpuBufferDescriptor {
                    size: 4,
                    usage: GpuBufferUsage::COPY_DST,
                    mapped_at_creation: None,
                    label: Some((*label).into()),
                })
                .label()
        })
        .collect();
    topic.equal("odd labels are labels from the start too", odd, ODD);
}
