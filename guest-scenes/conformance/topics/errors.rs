//! Error scopes, and how errors spread: <https://www.w3.org/TR/webgpu/#errors-and-debugging>

use conformance::webgpu::{
    GpuBindGroupDescriptor, GpuBindGroupEntry, GpuBindGroupLayoutDescriptor, GpuBindGroupLayoutEntry,
    GpuBufferBindingLayout, GpuBufferDescriptor, GpuBufferMapState, GpuBufferUsage, GpuDevice,
    GpuErrorFilter, GpuExtent3D, GpuLayoutMode, GpuMapMode, GpuPipelineLayoutDescriptor,
    GpuSamplerDescriptor, GpuShaderModuleDescriptor, GpuShaderStage, GpuTextureDescriptor, GpuTextureFormat,
    GpuTextureUsage, MapAsyncErrorKind, PopErrorScopeErrorKind,
};
use conformance::{Topic, filter_of, pipeline, stage, whole};

conformance::export_topic!(run);

async fn run(topic: &mut Topic) {
    scopes(topic).await;
    nesting(topic).await;
    asynchronous_pops(topic).await;
    objects(topic).await;
    commands(topic).await;
    memory(topic).await;
}

const FILTERS: [GpuErrorFilter; 3] =
    [GpuErrorFilter::Validation, GpuErrorFilter::OutOfMemory, GpuErrorFilter::Internal];

/// One validation error whose text has `name` in it.
fn fail(device: &GpuDevice, name: &str) {
    device.create_buffer(&GpuBufferDescriptor {
        size: 16,
        usage: GpuBufferUsage::MAP_READ | GpuBufferUsage::VERTEX,
        mapped_at_creation: None,
        label: Some(name.into()),
    });
}

async fn popped(topic: &Topic) -> Option<(GpuErrorFilter, String)> {
    let error = topic.device().pop_error_scope().await.expect("a scope is open");
    error.map(|error| (filter_of(error.kind()), error.message()))
}

async fn scopes(topic: &mut Topic) {
    for filter in FILTERS {
        topic.device().push_error_scope(filter);
        topic.equal("a scope without a wrong call has no error", popped(topic).await, None);
    }
    topic.device().push_error_scope(GpuErrorFilter::Validation);
    fail(topic.device(), "the first");
    fail(topic.device(), "the second");
    let (kind, message) = popped(topic).await.unwrap_or((GpuErrorFilter::Internal, String::new()));
    topic.equal("a wrong call is a validation error", kind, GpuErrorFilter::Validation);
    topic.check(
        "a scope keeps its first error",
        message.contains("the first") && !message.contains("the second"),
    );
    let nothing = topic.device().pop_error_scope().await;
    topic.check(
        "popping what was not pushed is an operation error",
        matches!(&nothing, Err(error) if matches!(error.kind, PopErrorScopeErrorKind::OperationError) && !error.message.is_empty()),
    );
    topic.device().push_error_scope(GpuErrorFilter::Validation);
    topic.equal("and harms no later scope", popped(topic).await, None);
}

async fn nesting(topic: &mut Topic) {
    for inner in FILTERS {
        topic.device().push_error_scope(GpuErrorFilter::Validation);
        topic.device().push_error_scope(inner);
        fail(topic.device(), "nested");
        let (in_inner, in_outer) = (popped(topic).await.is_some(), popped(topic).await.is_some());
        topic.equal(
            "the innermost scope of the right filter holds the error, and no other",
            (in_inner, in_outer),
            (inner == GpuErrorFilter::Validation, inner != GpuErrorFilter::Validation),
        );
    }
    // An outer scope has what happened before and after the inner one.
    topic.device().push_error_scope(GpuErrorFilter::Validation);
    topic.device().push_error_scope(GpuErrorFilter::Validation);
    fail(topic.device(), "inner");
    let inner = popped(topic).await;
    fail(topic.device(), "outer");
    let outer = popped(topic).await;
    topic.check(
        "an inner scope has its own error",
        inner.is_some_and(|(_, message)| message.contains("inner")),
    );
    topic.check(
        "an outer scope has the error that came after",
        outer.is_some_and(|(_, message)| message.contains("outer")),
    );
    const DEEP: usize = 200;
    for depth in 0..DEEP {
        topic.device().push_error_scope(FILTERS[depth % 3]);
    }
    fail(topic.device(), "deep");
    let mut held = Vec::new();
    for depth in (0..DEEP).rev() {
        if popped(topic).await.is_some() {
            held.push(depth);
        }
    }
    topic.equal("of many scopes one holds the error", held, [198]);
}

/// A scope is popped when the call is made, not when its answer is read.
async fn asynchronous_pops(topic: &mut Topic) {
    let device = topic.device();
    device.push_error_scope(GpuErrorFilter::Validation);
    device.push_error_scope(GpuErrorFilter::Validation);
    fail(device, "to be popped");
    let (inner, outer) = conformance::futures::join!(device.pop_error_scope(), device.pop_error_scope());
    let (inner, outer) = (inner.expect("a scope is open"), outer.expect("a scope is open"));
    topic.check("pops are answered in the order of their calls", inner.is_some() && outer.is_none());
}

fn entry(binding: u32) -> GpuBindGroupLayoutEntry {
    GpuBindGroupLayoutEntry {
        binding,
        visibility: GpuShaderStage::COMPUTE,
        buffer: Some(GpuBufferBindingLayout {
            type_: None,
            has_dynamic_offset: None,
            min_binding_size: None,
        }),
        sampler: None,
        texture: None,
        storage_texture: None,
    }
}

/// What is made wrongly is an object like others, and everything that is made of it is wrong too:
/// <https://www.w3.org/TR/webgpu/#invalidity>
async fn objects(topic: &mut Topic) {
    let module = topic
        .invalid("a shader that is none", |device| {
            device.create_shader_module(&GpuShaderModuleDescriptor {
                code: "}".into(),
                compilation_hints: None,
                label: Some("a name".into()),
            })
        })
        .await;
    topic.equal("an invalid object keeps its label", module.label(), "a name");
    let compute = topic
        .invalid("a pipeline of an invalid shader", |device| {
            device.create_compute_pipeline(pipeline(&module))
        })
        .await;
    let group_layout = topic
        .invalid("the bind group layout of an invalid pipeline", |_| compute.get_bind_group_layout(0))
        .await;
    topic
        .invalid("a bind group of an invalid layout", |device| {
            device.create_bind_group(&GpuBindGroupDescriptor {
                layout: &group_layout,
                entries: Vec::new(),
                label: None,
            })
        })
        .await;
    topic
        .invalid("a pipeline layout of an invalid bind group layout", |device| {
            device.create_pipeline_layout(&GpuPipelineLayoutDescriptor {
                bind_group_layouts: vec![Some(&group_layout)],
                immediate_size: None,
                label: None,
            })
        })
        .await;

    let group_layout = topic
        .invalid("a bind group layout with a binding twice", |device| {
            device.create_bind_group_layout(&GpuBindGroupLayoutDescriptor {
                entries: vec![entry(0), entry(0)],
                label: None,
            })
        })
        .await;
    let layout = topic
        .invalid("a pipeline layout of it", |device| {
            device.create_pipeline_layout(&GpuPipelineLayoutDescriptor {
                bind_group_layouts: vec![Some(&group_layout)],
                immediate_size: None,
                label: None,
            })
        })
        .await;
    let right = topic.shader("@compute @workgroup_size(1) fn main() {}");
    let compute = topic
        .invalid("a pipeline of an invalid layout", |device| {
            let mut descriptor = pipeline(&right);
            descriptor.layout = GpuLayoutMode::Specific(&layout);
            device.create_compute_pipeline(descriptor)
        })
        .await;
    topic.equal("an invalid pipeline has a label", compute.label(), "");
    let asynchronous = topic
        .device()
        .create_compute_pipeline_async(conformance::webgpu::GpuComputePipelineDescriptor {
            compute: stage(&right),
            layout: GpuLayoutMode::Specific(&layout),
            label: None,
        })
        .await;
    topic.check("an asynchronous pipeline of an invalid layout fails", asynchronous.is_err());

    let buffer = topic
        .invalid("a buffer whose usages exclude each other", |device| {
            device.create_buffer(&GpuBufferDescriptor {
                size: 16,
                usage: GpuBufferUsage::MAP_READ | GpuBufferUsage::UNIFORM,
                mapped_at_creation: None,
                label: Some("bad".into()),
            })
        })
        .await;
    topic.equal("an invalid buffer says its size", buffer.size(), 16);
    topic.equal(
        "an invalid buffer says its usage",
        buffer.usage(),
        GpuBufferUsage::MAP_READ | GpuBufferUsage::UNIFORM,
    );
    let good = topic
        .device()
        .create_bind_group_layout(&GpuBindGroupLayoutDescriptor { entries: vec![entry(0)], label: None });
    topic
        .invalid("a bind group with an invalid buffer", |device| {
            device.create_bind_group(&GpuBindGroupDescriptor {
                layout: &good,
                entries: vec![GpuBindGroupEntry { binding: 0, resource: whole(&buffer) }],
                label: None,
            })
        })
        .await;
    let written = topic
        .invalid("a write to an invalid buffer", |device| {
            device.queue().write_buffer_with_copy(&buffer, 0, &[0; 4], None, None)
        })
        .await;
    topic.check("a write that is a write has no other answer than the error", written.is_ok());
    let (mapped, error) = topic.catching_async(buffer.map_async(GpuMapMode::READ, None, None)).await;
    topic.check("a mapping of an invalid buffer is a validation error", error.is_some());
    topic.check(
        "and an operation error",
        matches!(mapped, Err(error) if matches!(error.kind, MapAsyncErrorKind::OperationError)),
    );
    topic.equal("and leaves the buffer unmapped", buffer.map_state(), GpuBufferMapState::Unmapped);
    let encoder = topic.device().create_command_encoder(None);
    topic
        .valid("an invalid buffer is no error where it is recorded", |_| {
            encoder.clear_buffer(&buffer, None, None)
        })
        .await;
    let commands = topic
        .invalid("but where the recording is finished", |_| {
            encoder
                .finish(Some(&conformance::webgpu::GpuCommandBufferDescriptor { label: Some("kept".into()) }))
        })
        .await;
    topic.equal("invalid commands keep their label", commands.label(), "kept");
    topic.invalid("and cannot be submitted", |device| device.queue().submit(&[&commands])).await;
    topic.valid("an invalid buffer is unmapped in vain", |_| buffer.unmap().is_ok()).await;

    let texture = topic
        .invalid("a texture without a size", |device| {
            device.create_texture(&GpuTextureDescriptor {
                size: GpuExtent3D { width: 0, height: None, depth_or_array_layers: None },
                mip_level_count: None,
                sample_count: None,
                dimension: None,
                format: GpuTextureFormat::Rgba8unorm,
                usage: GpuTextureUsage::COPY_SRC,
                view_formats: None,
                texture_binding_view_dimension: None,
                label: None,
            })
        })
        .await;
    topic.invalid("a view of an invalid texture", |_| texture.create_view(None)).await;
    texture.destroy();
    buffer.destroy();
    topic
        .invalid("a sampler whose levels run backwards", |device| {
            device.create_sampler(Some(&GpuSamplerDescriptor {
                address_mode_u: None,
                address_mode_v: None,
                address_mode_w: None,
                mag_filter: None,
                min_filter: None,
                mipmap_filter: None,
                lod_min_clamp: Some(2.0),
                lod_max_clamp: Some(1.0),
                compare: None,
                max_anisotropy: None,
                label: None,
            }))
        })
        .await;
}

/// An error in recording makes its encoder invalid, and one in a pass makes the pass and its encoder so. The first is told where the encoder
/// is finished: <https://www.w3.org/TR/webgpu/#encoder-state>
async fn commands(topic: &mut Topic) {
    let source = topic.buffer(GpuBufferUsage::COPY_SRC, &[1; 16]);
    let destination = topic.storage(16);
    let encoder = topic.device().create_command_encoder(None);
    topic
        .valid("wrong commands are no errors where they are recorded", |_| {
            encoder.copy_buffer_to_buffer(&destination, None, &source, Some(100), None);
            encoder.clear_buffer(&source, Some(1), None);
            encoder.copy_buffer_to_buffer(&source, None, &destination, None, None);
        })
        .await;
    let commands = topic.invalid("they are one error at the end", |_| encoder.finish(None)).await;
    topic.invalid("and the commands are invalid", |device| device.queue().submit(&[&commands])).await;
    topic.equal("of invalid commands none is done", topic.bytes(&destination).await, vec![0; 16]);
    let good = topic.device().create_command_encoder(None);
    good.copy_buffer_to_buffer(&source, None, &destination, None, None);
    let good = good.finish(None);
    topic
        .invalid("one that is invalid spoils all that are submitted together", |device| {
            device.queue().submit(&[&good, &commands])
        })
        .await;
    topic.equal("and none of them is done", topic.bytes(&destination).await, vec![0; 16]);

    let encoder = topic.device().create_command_encoder(None);
    topic
        .valid("wrong commands in a pass are no errors where they are recorded", |_| {
            let pass = encoder.begin_compute_pass(None);
            pass.dispatch_workgroups(1, None, None);
            pass.dispatch_workgroups_indirect(&source, 3);
            pass.pop_debug_group();
            pass.end();
        })
        .await;
    topic.invalid("they are one error of the encoder", |_| encoder.finish(None)).await;
}

/// More than a device has, and more than any buffer may have.
async fn memory(topic: &mut Topic) {
    let limit = topic.device().limits().max_buffer_size();
    for size in [limit + 4, 1 << 62, u64::MAX] {
        for mapped in [None, Some(true)] {
            topic
                .invalid("a buffer above the limit", |device| {
                    device.create_buffer(&GpuBufferDescriptor {
                        size,
                        usage: GpuBufferUsage::COPY_DST,
                        mapped_at_creation: mapped,
                        label: None,
                    })
                })
                .await;
        }
    }
}
