//! Compute pipelines: <https://www.w3.org/TR/webgpu/#compute-pipeline>

use conformance::bindings::storage_entry;
use conformance::futures::join;
use conformance::webgpu::{
    CreatePipelineErrorKind, GpuBindGroupDescriptor, GpuBindGroupEntry, GpuBindGroupLayoutDescriptor,
    GpuBufferUsage, GpuComputePipelineDescriptor, GpuLayoutMode, GpuPipelineErrorReason,
    GpuPipelineLayoutDescriptor, GpuShaderModule, RecordGpuPipelineConstantValue,
};
use conformance::{Topic, pipeline, stage, whole, words};

conformance::export_topic!(run);

async fn run(topic: &mut Topic) {
    asynchronous_pipelines(topic).await;
    constant_records(topic);
    constants(topic).await;
    wrong_constants(topic).await;
    layouts(topic).await;
}

const RIGHT: &str = "@group(0) @binding(0) var<storage, read_write> x: u32; @compute @workgroup_size(1) fn main() { x = 7u; }";

/// <https://www.w3.org/TR/webgpu/#dom-gpudevice-createcomputepipelineasync>
async fn asynchronous_pipelines(topic: &mut Topic) {
    let right = topic.shader(RIGHT);
    let made = topic.device().create_compute_pipeline_async(pipeline(&right)).await;
    topic.check("a pipeline is made", made.is_ok());
    if let Ok(made) = made {
        let output = topic.storage(4);
        let group = topic.group_of(&made, 0, vec![whole(&output)]);
        topic.compute_pass(|pass| {
            pass.set_pipeline(&made);
            pass.set_bind_group(0, Some(&group), None, None, None).expect("no offsets are given");
            pass.dispatch_workgroups(1, None, None);
        });
        topic.equal("and works", words(&topic.bytes(&output).await), [7]);
    }
    let (one, two, three) = {
        let device = topic.device();
        join!(
            device.create_compute_pipeline_async(pipeline(&right)),
            device.create_compute_pipeline_async(pipeline(&right)),
            device.create_compute_pipeline_async(pipeline(&right)),
        )
    };
    topic.check("several are made at once", one.is_ok() && two.is_ok() && three.is_ok());

    let many = u64::from(topic.device().limits().max_compute_invocations_per_workgroup()) + 1;
    let much = u64::from(topic.device().limits().max_compute_workgroup_storage_size()) + 4;
    let wrong = [
        "no shader".to_owned(),
        format!("@compute @workgroup_size({many}) fn main() {{}}"),
        format!(
            "var<workgroup> x: array<u32, {}>; @compute @workgroup_size(1) fn main() {{ x[0] = 1u; }}",
            much / 4
        ),
        "@fragment fn main() {}".to_owned(),
        "override n: u32; @compute @workgroup_size(n) fn main() {}".to_owned(),
        "override n: u32 = 0; @compute @workgroup_size(n) fn main() {}".to_owned(),
    ];
    for code in wrong {
        let (module, _) = topic
            .catching(|device| {
                device.create_shader_module(&conformance::webgpu::GpuShaderModuleDescriptor {
                    code: code.clone(),
                    compilation_hints: None,
                    label: None,
                })
            })
            .await;
        topic
            .invalid(&format!("a pipeline of {code:?}"), |device| {
                device.create_compute_pipeline(pipeline(&module))
            })
            .await;
        let call = async { topic.device().create_compute_pipeline_async(pipeline(&module)).await };
        let (answer, error) = topic.catching_async(call).await;
        topic.check(
            &format!("an asynchronous pipeline of {code:?} has the error as its answer"),
            matches!(&answer, Err(error) if matches!(error.kind, CreatePipelineErrorKind::GpuPipelineError(GpuPipelineErrorReason::Validation)) && !error.message.is_empty()),
        );
        topic.equal("and no other", error, None);
    }
}

/// `record<USVString, double>`, whose keys keep the order in which they came.
fn constant_records(topic: &mut Topic) {
    let record = RecordGpuPipelineConstantValue::new();
    topic.check(
        "a new record is empty",
        record.keys().is_empty() && record.values().is_empty() && record.entries().is_empty(),
    );
    for (key, value) in [("z", 1.5), ("10", -0.0), ("9", f64::MAX), ("a", 4.0)] {
        record.add(key, value);
    }
    topic.equal("keys keep their order", record.keys(), ["z", "10", "9", "a"]);
    topic.equal("values have the order of their keys", record.values(), [1.5, -0.0, f64::MAX, 4.0]);
    topic.equal("a value is found by its key", record.get("9"), Some(f64::MAX));
    topic.equal("a key that was not added is not there", record.get("8"), None);
    topic.check("a record knows its keys", record.has("10") && !record.has("1"));
    record.add("10", 2.0);
    record.remove("z");
    record.remove("nobody");
    topic.equal(
        "a new value keeps the place of its key, and a removed key is gone",
        record.entries(),
        [("10".to_owned(), 2.0), ("9".to_owned(), f64::MAX), ("a".to_owned(), 4.0)],
    );
    record.add("z", f64::NAN);
    topic.check(
        "a key that comes back is the last",
        record.keys().last().is_some_and(|key| key == "z") && record.get("z").is_some_and(f64::is_nan),
    );
}

fn with<'a>(module: &'a GpuShaderModule, constants: &[(&str, f64)]) -> GpuComputePipelineDescriptor<'a> {
    let record = RecordGpuPipelineConstantValue::new();
    for (key, value) in constants {
        record.add(key, *value);
    }
    let mut descriptor = pipeline(module);
    descriptor.compute.constants = Some(record);
    descriptor
}

const CONSTANTS: &str = "
    override plain: u32 = 11u;
    @id(7) override numbered: i32 = 22;
    override flag: bool = false;
    override real: f32 = 1.5;
    override derived: u32 = plain * 2u;
    override size: u32 = 1u;
    var<workgroup> shared_words: array<u32, size>;
    @group(0) @binding(0) var<storage, read_write> x: array<u32>;
    @compute @workgroup_size(size) fn main(@builtin(local_invocation_index) i: u32) {
        shared_words[i] = 1u;
        workgroupBarrier();
        if i == 0u {
            x[0] = plain; x[1] = bitcast<u32>(numbered); x[2] = select(0u, 1u, flag); x[3] = bitcast<u32>(real); x[4] = derived;
            var count = 0u;
            for (var j = 0u; j < size; j++) { count += shared_words[j]; }
            x[5] = count;
        }
    }";

/// <https://www.w3.org/TR/webgpu/#dom-gpuprogrammablestage-constants>
async fn constants(topic: &mut Topic) {
    let module = topic.shader(CONSTANTS);
    let cases: [(&[(&str, f64)], [u32; 6]); 5] = [
        (&[], [11, 22, 0, 1.5f32.to_bits(), 22, 1]),
        (&[("plain", 5.0)], [5, 22, 0, 1.5f32.to_bits(), 10, 1]),
        (&[("7", -3.0), ("flag", 1.0)], [11, (-3i32).cast_unsigned(), 1, 1.5f32.to_bits(), 22, 1]),
        (&[("real", -0.25), ("derived", 9.0), ("flag", 0.0)], [11, 22, 0, (-0.25f32).to_bits(), 9, 1]),
        (
            &[
                ("size", 8.0),
                ("plain", 4_294_967_295.0),
                ("derived", 0.0),
                ("7", -2_147_483_648.0),
                ("flag", -7.5),
            ],
            [u32::MAX, 1 << 31, 1, 1.5f32.to_bits(), 0, 8],
        ),
    ];
    for (constants, expected) in cases {
        let made = topic
            .valid(&format!("the constants {constants:?} are right"), |device| {
                device.create_compute_pipeline(with(&module, constants))
            })
            .await;
        let output = topic.storage(24);
        let group = topic.group_of(&made, 0, vec![whole(&output)]);
        topic.compute_pass(|pass| {
            pass.set_pipeline(&made);
            pass.set_bind_group(0, Some(&group), None, None, None).expect("no offsets are given");
            pass.dispatch_workgroups(1, None, None);
        });
        topic.equal(
            &format!("and are what the shader sees: {constants:?}"),
            words(&topic.bytes(&output).await),
            expected,
        );
        let made = topic.device().create_compute_pipeline_async(with(&module, constants)).await;
        topic.check("an asynchronous pipeline takes them too", made.is_ok());
    }
}

async fn wrong_constants(topic: &mut Topic) {
    let module = topic.shader(CONSTANTS);
    let required = topic.shader("override n: u32; @compute @workgroup_size(1) fn main() { _ = n; }");
    let wrong: [(&GpuShaderModule, &[(&str, f64)]); 13] = [
        (&module, &[("missing", 1.0)]),
        // A constant that has a number is known by that alone.
        (&module, &[("numbered", 1.0)]),
        (&module, &[("8", 1.0)]),
        (&module, &[("", 1.0)]),
        (&module, &[("plain", f64::NAN)]),
        (&module, &[("real", f64::INFINITY)]),
        (&module, &[("real", 1e300)]),
        (&module, &[("plain", -1.0)]),
        (&module, &[("plain", 4_294_967_296.0)]),
        (&module, &[("7", 2_147_483_648.0)]),
        (&module, &[("size", 0.0)]),
        (&module, &[("size", 100_000.0)]),
        (&required, &[]),
    ];
    for (module, constants) in wrong {
        topic
            .invalid(&format!("the constants {constants:?}"), |device| {
                device.create_compute_pipeline(with(module, constants))
            })
            .await;
        let answer = topic.device().create_compute_pipeline_async(with(module, constants)).await;
        topic.check(&format!("the constants {constants:?} are a validation error of an asynchronous pipeline"), matches!(&answer, Err(error) if matches!(error.kind, CreatePipelineErrorKind::GpuPipelineError(GpuPipelineErrorReason::Validation))));
    }
}

/// <https://www.w3.org/TR/webgpu/#dom-gpupipelinebase-getbindgrouplayout>
async fn layouts(topic: &mut Topic) {
    let limit = topic.device().limits().max_bind_groups();
    let gaps = topic.compute_pipeline(
        "@group(2) @binding(3) var<storage, read_write> x: u32;
         @group(0) @binding(1) var<uniform> y: vec4u;
         @compute @workgroup_size(1) fn main() { x = y.x; }",
    );
    let empty = topic.compute_pipeline("@compute @workgroup_size(1) fn main() {}");
    for pipeline in [&gaps, &empty] {
        for index in 0..limit {
            topic
                .valid(&format!("a pipeline has the bind group layout {index}"), |_| {
                    pipeline.get_bind_group_layout(index)
                })
                .await;
        }
        for index in [limit, limit + 1, u32::MAX] {
            topic
                .invalid(&format!("a pipeline has no bind group layout {index}"), |_| {
                    pipeline.get_bind_group_layout(index)
                })
                .await;
        }
    }
    topic
        .valid("the layout of a group that the shader has not is empty", |device| {
            let layout = gaps.get_bind_group_layout(1);
            device.create_bind_group(&GpuBindGroupDescriptor {
                layout: &layout,
                entries: Vec::new(),
                label: None,
            })
        })
        .await;
    let (output, input) = (topic.storage(4), topic.buffer(GpuBufferUsage::UNIFORM, &[9; 16]));
    let bound = |topic: &Topic, group, binding, buffer| {
        topic.device().create_bind_group(&GpuBindGroupDescriptor {
            layout: &gaps.get_bind_group_layout(group),
            entries: vec![GpuBindGroupEntry { binding, resource: whole(buffer) }],
            label: None,
        })
    };
    let (first, third) = (bound(topic, 0, 1, &input), bound(topic, 2, 3, &output));
    topic
        .valid("groups with gaps between them are bound", |device| {
            let encoder = device.create_command_encoder(None);
            let pass = encoder.begin_compute_pass(None);
            pass.set_pipeline(&gaps);
            pass.set_bind_group(0, Some(&first), None, None, None).expect("no offsets are given");
            pass.set_bind_group(2, Some(&third), None, None, None).expect("no offsets are given");
            pass.dispatch_workgroups(1, None, None);
            pass.end();
            device.queue().submit(&[&encoder.finish(None)]);
        })
        .await;
    topic.equal("and reach the shader", words(&topic.bytes(&output).await), [0x0909_0909]);

    // A layout that was made for one pipeline is no other pipeline's.
    let (one, other) = (topic.compute_pipeline(RIGHT), topic.compute_pipeline(RIGHT));
    let group = topic.group_of(&one, 0, vec![whole(&output)]);
    topic
        .invalid("a bind group of the layout of another pipeline", |device| {
            let encoder = device.create_command_encoder(None);
            let pass = encoder.begin_compute_pass(None);
            pass.set_pipeline(&other);
            pass.set_bind_group(0, Some(&group), None, None, None).expect("no offsets are given");
            pass.dispatch_workgroups(1, None, None);
            pass.end();
            encoder.finish(None)
        })
        .await;
    let layout = one.get_bind_group_layout(0);
    topic
        .invalid("a pipeline layout of such a layout", |device| {
            device.create_pipeline_layout(&GpuPipelineLayoutDescriptor {
                bind_group_layouts: vec![Some(&layout)],
                immediate_size: None,
                label: None,
            })
        })
        .await;

    // Of one's own.
    let own = topic.device().create_bind_group_layout(&GpuBindGroupLayoutDescriptor {
        entries: vec![storage_entry(0, false)],
        label: None,
    });
    let layout = topic.device().create_pipeline_layout(&GpuPipelineLayoutDescriptor {
        bind_group_layouts: vec![Some(&own)],
        immediate_size: None,
        label: None,
    });
    let module = topic.shader(RIGHT);
    let of_layout = |layout| GpuComputePipelineDescriptor {
        compute: stage(&module),
        layout: GpuLayoutMode::Specific(layout),
        label: None,
    };
    let made = topic
        .valid("a pipeline takes a layout of one's own", |device| {
            device.create_compute_pipeline(of_layout(&layout))
        })
        .await;
    let own_back = topic.valid("and gives it back", |_| made.get_bind_group_layout(0)).await;
    topic
        .valid("as one that serves as well", |device| {
            let group = device.create_bind_group(&GpuBindGroupDescriptor {
                layout: &own_back,
                entries: vec![GpuBindGroupEntry { binding: 0, resource: whole(&output) }],
                label: None,
            });
            let encoder = device.create_command_encoder(None);
            let pass = encoder.begin_compute_pass(None);
            pass.set_pipeline(&made);
            pass.set_bind_group(0, Some(&group), None, None, None).expect("no offsets are given");
            pass.dispatch_workgroups(1, None, None);
            pass.end();
            device.queue().submit(&[&encoder.finish(None)]);
        })
        .await;
    topic.valid("a group that the layout has not is empty", |_| made.get_bind_group_layout(limit - 1)).await;
    topic.invalid("beyond the limit there is none", |_| made.get_bind_group_layout(limit)).await;
    let nothing = topic.device().create_pipeline_layout(&GpuPipelineLayoutDescriptor {
        bind_group_layouts: vec![None],
        immediate_size: None,
        label: None,
    });
    topic
        .invalid("a layout that lacks what the shader has", |device| {
            device.create_compute_pipeline(of_layout(&nothing))
        })
        .await;
}
