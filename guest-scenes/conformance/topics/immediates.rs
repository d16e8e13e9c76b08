//! Immediate data: <https://www.w3.org/TR/webgpu/#dom-gpubindingcommandsmixin-setimmediates>

use conformance::Topic;
use conformance::drawing::{COVER, TARGET, attachment, pass, pipeline};
use conformance::webgpu::*;

conformance::export_topic!(run);

async fn run(topic: &mut Topic) {
    let limit = topic.device().limits().max_immediate_size();
    layouts(topic, limit).await;
    if limit < 16 {
        return;
    }
    render_passes(topic).await;
    bundles(topic).await;
    compute_passes(topic).await;
    before_pipelines(topic).await;
    between_pipelines(topic).await;
    refused(topic, limit).await;
}

fn layout(device: &GpuDevice, immediate_size: u32) -> GpuPipelineLayout {
    device.create_pipeline_layout(&GpuPipelineLayoutDescriptor {
        bind_group_layouts: vec![],
        immediate_size: Some(immediate_size),
        label: None,
    })
}

async fn layouts(topic: &mut Topic, limit: u32) {
    topic.check("a device has 64 bytes of immediate data", limit >= 64);
    for size in [0, 4, limit] {
        topic.valid(&format!("a layout may have {size} bytes"), |device| layout(device, size)).await;
    }
    for size in [2, 7, limit + 4, u32::MAX] {
        topic.invalid(&format!("a layout has not {size} bytes"), |device| layout(device, size)).await;
    }
}

fn shader() -> String {
    format!(
        "struct Data {{ red: f32, green: f32, blue: f32, alpha: f32 }}
        var<immediate> data: Data;
        {COVER}
        @fragment fn draw() -> @location(0) vec4f {{ return vec4f(data.red, data.green, data.blue, data.alpha); }}"
    )
}

fn drawing(topic: &Topic) -> GpuRenderPipeline {
    let module = topic.shader(&shader());
    let layout = layout(topic.device(), 16);
    topic.device().create_render_pipeline(GpuRenderPipelineDescriptor {
        layout: GpuLayoutMode::Specific(&layout),
        ..pipeline(&module, [TARGET])
    })
}

fn floats(values: &[f32]) -> Vec<u8> {
    conformance::drawing::floats(values)
}

async fn render_passes(topic: &mut Topic) {
    let drawing = drawing(topic);
    let target = topic.target(2, 1);
    let view = target.create_view(None);
    topic
        .valid_pass("immediate data is set", &pass([attachment(&view)]), |pass| {
            pass.set_pipeline(&drawing);
            pass.set_immediates(0, &floats(&[1.0, 0.2, 0.4, 1.0]), None, None);
            pass.set_scissor_rect(0, 0, 1, 1);
            pass.draw(3, None, None, None);
            // The second and third of four numbers, from the middle of the data.
            pass.set_immediates(4, &floats(&[9.0, 0.6, 0.8, 9.0]), Some(4), Some(8));
            pass.set_scissor_rect(1, 0, 1, 1);
            pass.draw(3, None, None, None);
        })
        .await;
    let found = topic.pixels(&target).await;
    topic.equal("a part that is set leaves the rest", found, [[255, 51, 102, 255], [255, 153, 204, 255]]);

    let pixels = topic
        .drawn([1, 1], |pass| {
            pass.set_pipeline(&drawing);
            pass.set_immediates(0, &floats(&[9.0, 0.2, 0.4, 0.6, 0.8]), Some(4), None);
            pass.set_immediates(4, &[], None, None);
            pass.draw(3, None, None, None);
        })
        .await;
    topic.equal(
        "data without a size is taken to its end, and no data changes nothing",
        pixels,
        [[51, 102, 153, 204]],
    );
}

async fn bundles(topic: &mut Topic) {
    let drawing = drawing(topic);
    let bundle = topic
        .valid("a bundle with immediate data", |device| {
            let encoder = bundle_encoder(device);
            encoder.set_pipeline(&drawing);
            encoder.set_immediates(0, &floats(&[0.2, 0.4, 9.0, 9.0]), None, None);
            encoder.set_immediates(8, &floats(&[9.0, 0.6, 0.8]), Some(4), Some(8));
            encoder.draw(3, None, None, None);
            encoder.finish(None)
        })
        .await;
    let pixels = topic.drawn([1, 1], |pass| pass.execute_bundles(&[&bundle])).await;
    topic.equal("a bundle has its immediate data", pixels, [[51, 102, 153, 204]]);
}

async fn compute_passes(topic: &mut Topic) {
    let code = "
        var<immediate> number: vec4u;
        @group(0) @binding(0) var<storage, read_write> out: array<u32>;
        @compute @workgroup_size(1) fn main() { for (var at = 0; at < 4; at++) { out[at] += number[at]; } }";
    let module = topic.shader(code);
    let pipeline = topic
        .valid("a compute pipeline of its shader's layout has its immediate data", |device| {
            device.create_compute_pipeline(GpuComputePipelineDescriptor {
                compute: GpuProgrammableStage { module: &module, entry_point: None, constants: None },
                layout: GpuLayoutMode::Auto,
                label: None,
            })
        })
        .await;
    let out = topic.empty_buffer(GpuBufferUsage::STORAGE | GpuBufferUsage::COPY_SRC, 16);
    let group = topic.gpu.bind_group(
        "",
        &pipeline.get_bind_group_layout(0),
        vec![GpuBindingResource::GpuBuffer(&out)],
    );
    topic.submit(|encoder| {
        let pass = encoder.begin_compute_pass(None);
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, Some(&group), None, None, None).expect("there are no offsets");
        pass.set_immediates(0, &conformance::drawing::bytes_of_words(&[1, 2, 3, 4]), None, None);
        pass.dispatch_workgroups(1, None, None);
        pass.set_immediates(12, &conformance::drawing::bytes_of_words(&[10]), None, None);
        pass.dispatch_workgroups(1, None, None);
        pass.end();
    });
    let found = conformance::drawing::words(&topic.bytes(&out).await);
    topic.equal("each dispatch has the immediate data that was set before it", found, [2, 4, 6, 14]);
}

/// Immediate data belongs to the pass or the bundle, and not to its pipeline.
async fn before_pipelines(topic: &mut Topic) {
    let drawing = drawing(topic);
    let data = floats(&[0.2, 0.4, 0.6, 0.8]);
    let target = topic.target(1, 1);
    let view = target.create_view(None);
    topic
        .valid_pass("immediate data is set before a pipeline", &pass([attachment(&view)]), |pass| {
            pass.set_immediates(0, &data[..8], None, None);
            pass.set_immediates(8, &data, Some(8), None);
            pass.set_pipeline(&drawing);
            pass.draw(3, None, None, None);
        })
        .await;
    let pixels = topic.pixels(&target).await;
    topic.equal("a draw has what was set before its pipeline", pixels, [[51, 102, 153, 204]]);
    let bundle = topic
        .valid("a bundle sets immediate data before its pipeline", |device| {
            let encoder = bundle_encoder(device);
            encoder.set_immediates(0, &data, None, None);
            encoder.set_pipeline(&drawing);
            encoder.draw(3, None, None, None);
            encoder.finish(None)
        })
        .await;
    let pixels = topic.drawn([1, 1], |pass| pass.execute_bundles(&[&bundle])).await;
    topic.equal("a bundle's draw has what was set before its pipeline", pixels, [[51, 102, 153, 204]]);
    let leaves = |pass: &GpuRenderPassEncoder| {
        pass.set_immediates(0, &data, None, None);
        pass.execute_bundles(&[&bundle]);
        pass.set_pipeline(&drawing);
        pass.draw(3, None, None, None);
    };
    topic.invalid_pass("bundles leave no immediate data", &pass([attachment(&view)]), leaves).await;

    let out = topic.empty_buffer(GpuBufferUsage::STORAGE | GpuBufferUsage::COPY_SRC, 16);
    let pipeline = summing(topic, "vec4u");
    let group = topic.gpu.bind_group(
        "",
        &pipeline.get_bind_group_layout(0),
        vec![GpuBindingResource::GpuBuffer(&out)],
    );
    topic.submit(|encoder| {
        let pass = encoder.begin_compute_pass(None);
        // More than the pipeline takes, which has its size from its shader.
        pass.set_immediates(0, &conformance::drawing::bytes_of_words(&[1, 2, 3, 4, 5]), None, None);
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, Some(&group), None, None, None).expect("there are no offsets");
        pass.dispatch_workgroups(1, None, None);
        pass.end();
    });
    let found = conformance::drawing::words(&topic.bytes(&out).await);
    topic.equal("a dispatch has what was set before its pipeline", found, [1, 2, 3, 4]);
}

async fn between_pipelines(topic: &mut Topic) {
    let out = topic.empty_buffer(GpuBufferUsage::STORAGE | GpuBufferUsage::COPY_SRC, 16);
    let (two, four) = (summing(topic, "vec2u"), summing(topic, "vec4u"));
    let group_of = |pipeline: &GpuComputePipeline| {
        let layout = pipeline.get_bind_group_layout(0);
        topic.gpu.bind_group("", &layout, vec![GpuBindingResource::GpuBuffer(&out)])
    };
    let (of_two, of_four) = (group_of(&two), group_of(&four));
    topic.submit(|encoder| {
        let pass = encoder.begin_compute_pass(None);
        pass.set_pipeline(&two);
        pass.set_bind_group(0, Some(&of_two), None, None, None).expect("there are no offsets");
        pass.set_immediates(0, &conformance::drawing::bytes_of_words(&[1, 2, 3, 4]), None, None);
        pass.dispatch_workgroups(1, None, None);
        pass.set_pipeline(&four);
        pass.set_bind_group(0, Some(&of_four), None, None, None).expect("there are no offsets");
        pass.dispatch_workgroups(1, None, None);
        pass.end();
    });
    let found = conformance::drawing::words(&topic.bytes(&out).await);
    topic.equal("immediate data outlives a change of pipelines", found, [2, 4, 3, 4]);
}

/// A pipeline that adds its immediate data to its buffer; what it takes of it comes from its shader.
fn summing(topic: &Topic, ty: &str) -> GpuComputePipeline {
    let count = &ty[3..4];
    let module = topic.shader(&format!(
        "var<immediate> number: {ty};
        @group(0) @binding(0) var<storage, read_write> out: array<u32>;
        @compute @workgroup_size(1) fn main() {{ for (var at = 0; at < {count}; at++) {{ out[at] += number[at]; }} }}"
    ));
    topic.device().create_compute_pipeline(GpuComputePipelineDescriptor {
        compute: GpuProgrammableStage { module: &module, entry_point: None, constants: None },
        layout: GpuLayoutMode::Auto,
        label: None,
    })
}

fn bundle_encoder(device: &GpuDevice) -> GpuRenderBundleEncoder {
    device.create_render_bundle_encoder(&GpuRenderBundleEncoderDescriptor {
        depth_read_only: None,
        stencil_read_only: None,
        color_formats: vec![Some(TARGET)],
        depth_stencil_format: None,
        sample_count: None,
        label: None,
    })
}

async fn refused(topic: &mut Topic, limit: u32) {
    let drawing = drawing(topic);
    let view = topic.target(1, 1).create_view(None);
    let descriptor = pass([attachment(&view)]);
    let data = vec![0; limit as usize + 64];
    for (what, offset, bytes, data_offset, data_size) in [
        ("immediate data lies at a multiple of four", 2, 4, None, None),
        ("immediate data is a multiple of four bytes", 0, 6, None, None),
        ("immediate data lies below the limit", limit, 4, None, None),
        ("immediate data ends below the limit", limit - 4, 8, None, None),
        ("immediate data lies at no offset that overflows", u32::MAX - 3, 8, None, None),
        ("immediate data is within its list", 0, 8, Some(4), Some(8)),
        ("immediate data begins within its list", 0, 8, Some(12), None),
        ("immediate data begins at no offset that overflows", 0, 8, Some(u64::MAX), Some(8)),
        ("immediate data has no size that overflows", 0, 8, Some(4), Some(u64::MAX - 3)),
    ] {
        topic
            .invalid_pass(what, &descriptor, |pass| {
                pass.set_pipeline(&drawing);
                pass.set_immediates(offset, &data[..bytes], data_offset, data_size);
            })
            .await;
    }
    topic
        .invalid_pass("a draw needs its immediate data set", &descriptor, |pass| {
            pass.set_pipeline(&drawing);
            pass.set_immediates(0, &data[..12], None, None);
            pass.draw(3, None, None, None);
        })
        .await;
}
