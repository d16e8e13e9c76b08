//! Compute passes: <https://www.w3.org/TR/webgpu/#compute-passes>

use conformance::bindings::storage_entry;
use conformance::webgpu::{
    GpuBindGroupLayoutDescriptor, GpuBindingResource, GpuBufferBinding, GpuBufferUsage,
    GpuComputePassDescriptor, GpuComputePassTimestampWrites, GpuComputePipelineDescriptor,
    GpuDeviceDescriptor, GpuErrorFilter, GpuFeatureName, GpuLayoutMode, GpuPipelineLayoutDescriptor,
    GpuQuerySetDescriptor, GpuQueryType, SetBindGroupErrorKind, get_gpu,
};
use conformance::{Topic, catching_on, stage, whole, words};

conformance::export_topic!(run);

async fn run(topic: &mut Topic) {
    dispatches(topic).await;
    indirect_dispatches(topic).await;
    safety(topic).await;
    dynamic_offsets(topic).await;
    immediates(topic).await;
    wrong_commands(topic).await;
    timestamps(topic).await;
}

/// Each invocation writes its number to its place.
const NUMBERS: &str = "
    @group(0) @binding(0) var<storage, read_write> x: array<u32>;
    @compute @workgroup_size(2) fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) n: vec3u) {
        x[id.x + 2u * n.x * (id.y + n.y * id.z)] = 1u + id.x + 100u * id.y + 10000u * id.z;
    }";

/// <https://www.w3.org/TR/webgpu/#dom-gpucomputepassencoder-dispatchworkgroups>
async fn dispatches(topic: &mut Topic) {
    let pipeline = topic.compute_pipeline(NUMBERS);
    let cases: [(u32, Option<u32>, Option<u32>, &[u32]); 5] = [
        (2, None, None, &[1, 2, 3, 4, 0, 0, 0, 0]),
        (1, Some(2), None, &[1, 2, 101, 102, 0, 0, 0, 0]),
        (1, Some(1), Some(2), &[1, 2, 10_001, 10_002, 0, 0, 0, 0]),
        (1, Some(2), Some(2), &[1, 2, 101, 102, 10_001, 10_002, 10_101, 10_102]),
        (2, Some(0), Some(2), &[0; 8]),
    ];
    for (x, y, z, expected) in cases {
        let output = topic.storage(32);
        let group = topic.group_of(&pipeline, 0, vec![whole(&output)]);
        topic.compute_pass(|pass| {
            pass.set_pipeline(&pipeline);
            pass.set_bind_group(0, Some(&group), None, None, None).expect("no offsets are given");
            pass.dispatch_workgroups(x, y, z);
        });
        topic.equal(
            &format!("{x}, {y:?}, {z:?} workgroups run"),
            words(&topic.bytes(&output).await),
            expected,
        );
    }
    let sum = topic.compute_pipeline(
        "@group(0) @binding(0) var<storage, read_write> x: u32;
         @compute @workgroup_size(1) fn main() { x = x * 2u + 1u; }",
    );
    let output = topic.storage(4);
    let group = topic.group_of(&sum, 0, vec![whole(&output)]);
    topic.compute_pass(|pass| {
        pass.push_debug_group("ten times");
        pass.set_pipeline(&sum);
        pass.set_bind_group(0, Some(&group), None, None, None).expect("no offsets are given");
        for _ in 0..10 {
            pass.insert_debug_marker("once");
            pass.dispatch_workgroups(1, None, None);
        }
        pass.pop_debug_group();
    });
    topic.equal("each dispatch sees what the one before wrote", words(&topic.bytes(&output).await), [1023]);
}

/// <https://www.w3.org/TR/webgpu/#dom-gpucomputepassencoder-dispatchworkgroupsindirect>
async fn indirect_dispatches(topic: &mut Topic) {
    let pipeline = topic.compute_pipeline(NUMBERS);
    let limit = topic.device().limits().max_compute_workgroups_per_dimension();
    let cases: [(&str, [u32; 3], &[u32]); 7] = [
        ("two workgroups", [2, 1, 1], &[1, 2, 3, 4]),
        ("two rows", [1, 2, 1], &[1, 2, 101, 102]),
        ("none", [2, 0, 1], &[0; 4]),
        ("more than the limit", [limit + 1, 1, 1], &[0; 4]),
        ("more rows than the limit", [1, limit + 1, 1], &[0; 4]),
        ("more layers than the limit", [1, 1, limit + 1], &[0; 4]),
        ("as many as can be written", [u32::MAX; 3], &[0; 4]),
    ];
    for (what, counts, expected) in cases {
        let output = topic.storage(16);
        let group = topic.group_of(&pipeline, 0, vec![whole(&output)]);
        let mut bytes = vec![0xff; 4];
        bytes.extend(counts.iter().flat_map(|count| count.to_le_bytes()));
        let counts = topic.buffer(GpuBufferUsage::INDIRECT, &bytes);
        topic.compute_pass(|pass| {
            pass.set_pipeline(&pipeline);
            pass.set_bind_group(0, Some(&group), None, None, None).expect("no offsets are given");
            pass.dispatch_workgroups_indirect(&counts, 4);
        });
        topic.equal(&format!("{what} run indirectly"), words(&topic.bytes(&output).await), expected);
    }
    let output = topic.storage(16);
    let group = topic.group_of(&pipeline, 0, vec![whole(&output)]);
    let counts = topic.buffer(GpuBufferUsage::INDIRECT, &[1; 16]);
    let plain = topic.buffer(GpuBufferUsage::STORAGE, &[1; 16]);
    for (what, buffer, offset) in [
        ("an offset within a word", &counts, 2),
        ("an offset without room for three words", &counts, 8),
        ("an offset beyond the end", &counts, 1 << 40),
        ("an offset beyond all", &counts, u64::MAX - 3),
        ("a buffer that is not indirect", &plain, 0),
    ] {
        topic
            .invalid(what, |device| {
                let encoder = device.create_command_encoder(None);
                let pass = encoder.begin_compute_pass(None);
                pass.set_pipeline(&pipeline);
                pass.set_bind_group(0, Some(&group), None, None, None).expect("no offsets are given");
                pass.dispatch_workgroups_indirect(buffer, offset);
                pass.end();
                encoder.finish(None)
            })
            .await;
    }
    let both = topic.buffer(GpuBufferUsage::INDIRECT | GpuBufferUsage::STORAGE, &[0; 16]);
    let group = topic.group_of(&pipeline, 0, vec![whole(&both)]);
    topic
        .invalid("a buffer that is counted from and written in one dispatch", |device| {
            let encoder = device.create_command_encoder(None);
            let pass = encoder.begin_compute_pass(None);
            pass.set_pipeline(&pipeline);
            pass.set_bind_group(0, Some(&group), None, None, None).expect("no offsets are given");
            pass.dispatch_workgroups_indirect(&both, 0);
            pass.end();
            encoder.finish(None)
        })
        .await;
}

/// What a shader cannot see or reach: <https://www.w3.org/TR/webgpu/#security-shader>
async fn safety(topic: &mut Topic) {
    let zeroed = "
        var<workgroup> w: array<u32, 256>;
        @group(0) @binding(0) var<storage, read_write> x: array<u32>;
        @compute @workgroup_size(64) fn main(@builtin(local_invocation_index) i: u32) {
            var private_words: array<u32, 8>;
            x[i] = w[i] + w[i + 64u] + w[i + 128u] + w[i + 192u] + private_words[i % 8u];
            workgroupBarrier();
            w[i] = 0xdeadbeefu; w[i + 64u] = 0xdeadbeefu; w[i + 128u] = 0xdeadbeefu; w[i + 192u] = 0xdeadbeefu;
        }";
    for _ in 0..3 {
        topic.equal(
            "workgroup memory begins as zeros, whatever ran before",
            topic.computed(zeroed, vec![], 64).await,
            [0; 64],
        );
    }
    let pipeline = topic.compute_pipeline(
        "
        @group(0) @binding(0) var<storage, read_write> x: array<u32>;
        @group(0) @binding(1) var<storage, read_write> result: array<u32, 4>;
        @group(0) @binding(2) var<storage, read> index: array<u32, 4>;
        @compute @workgroup_size(1) fn main() {
            result[0] = x[index[0]];
            result[1] = x[index[1]];
            result[2] = result[index[2]];
            result[3] = arrayLength(&x);
            x[index[0]] = 0x11111111u;
            x[index[3]] = 0x22222222u;
        }",
    );
    let memory = topic.buffer(GpuBufferUsage::STORAGE | GpuBufferUsage::COPY_SRC, &[0x77; 1024]);
    let result = topic.storage(16);
    let far: Vec<u8> =
        [64u32, 1 << 20, u32::MAX, 0x3fff_ffff].iter().flat_map(|index| index.to_le_bytes()).collect();
    let index = topic.buffer(GpuBufferUsage::STORAGE, &far);
    // 256 of the 1024 bytes are bound: what lies beside them is another's.
    let part = GpuBindingResource::GpuBufferBinding(GpuBufferBinding {
        buffer: &memory,
        offset: Some(256),
        size: Some(256),
    });
    let group = topic.group_of(&pipeline, 0, vec![part, whole(&result), whole(&index)]);
    topic.compute_pass(|pass| {
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, Some(&group), None, None, None).expect("no offsets are given");
        pass.dispatch_workgroups(1, None, None);
    });
    let bytes = topic.bytes(&memory).await;
    topic.check(
        "nothing is written outside of what is bound",
        bytes[..256].iter().chain(&bytes[512..]).all(|byte| *byte == 0x77),
    );
    let result = words(&topic.bytes(&result).await);
    topic.equal("an array is as long as what is bound of it", result.get(3).copied(), Some(64));
    topic.check(
        "what is read outside of it is from within, or zero",
        result[..2].iter().all(|word| [0, 0x7777_7777].contains(word)),
    );
}

/// <https://www.w3.org/TR/webgpu/#gpubindingcommandsmixin-setbindgroup>
async fn dynamic_offsets(topic: &mut Topic) {
    let module = topic.shader(
        "
        @group(0) @binding(0) var<storage, read_write> a: u32;
        @group(0) @binding(1) var<storage, read_write> b: u32;
        @compute @workgroup_size(1) fn main() { a = a + 1u; b = b + 2u; }",
    );
    let group_layout = topic.device().create_bind_group_layout(&GpuBindGroupLayoutDescriptor {
        entries: vec![storage_entry(1, true), storage_entry(0, true)],
        label: None,
    });
    let layout = topic.device().create_pipeline_layout(&GpuPipelineLayoutDescriptor {
        bind_group_layouts: vec![Some(&group_layout)],
        immediate_size: None,
        label: None,
    });
    let pipeline = topic.device().create_compute_pipeline(GpuComputePipelineDescriptor {
        compute: stage(&module),
        layout: GpuLayoutMode::Specific(&layout),
        label: None,
    });
    let memory = topic.storage(1024);
    let other = topic.storage(1024);
    let part = |buffer| {
        GpuBindingResource::GpuBufferBinding(GpuBufferBinding { buffer, offset: None, size: Some(4) })
    };
    let group = topic.gpu.bind_group("", &group_layout, vec![part(&memory), part(&other)]);
    // In the order of the bindings' numbers, not of the layout's entries.
    let cases: [(&[u32], Option<u64>, Option<u32>, [usize; 2]); 5] = [
        (&[256, 512], None, None, [64, 128]),
        (&[9, 9, 512, 0, 9], Some(2), Some(2), [128, 0]),
        (&[0, 768], Some(0), Some(2), [0, 192]),
        (&[7, 768, 256], Some(1), None, [192, 64]),
        (&[0, 256, 7], None, Some(2), [0, 64]),
    ];
    for (offsets, start, length, [a, b]) in cases {
        topic.submit(|encoder| {
            encoder.clear_buffer(&memory, None, None);
            encoder.clear_buffer(&other, None, None);
        });
        topic.compute_pass(|pass| {
            pass.set_pipeline(&pipeline);
            pass.set_bind_group(0, Some(&group), Some(offsets), start, length)
                .expect("the offsets are there");
            pass.dispatch_workgroups(1, None, None);
        });
        let (in_memory, in_other) = (words(&topic.bytes(&memory).await), words(&topic.bytes(&other).await));
        let places = |words: &[u32]| {
            words
                .iter()
                .enumerate()
                .filter(|(_, word)| **word != 0)
                .map(|(place, word)| (place, *word))
                .collect::<Vec<_>>()
        };
        topic.equal(
            &format!("the offsets {offsets:?} {start:?} {length:?} reach their bindings"),
            (places(&in_memory), places(&in_other)),
            (vec![(a, 1)], vec![(b, 2)]),
        );
    }
    let refused: [(Option<&[u32]>, Option<u64>, Option<u32>); 6] = [
        (Some(&[0, 256]), Some(1), Some(2)),
        (Some(&[0, 256]), Some(3), Some(0)),
        (Some(&[0, 256]), Some(u64::MAX), Some(1)),
        (Some(&[0, 256]), None, Some(3)),
        (Some(&[0, 256]), Some(2), Some(u32::MAX)),
        (None, Some(1), Some(1)),
    ];
    for (offsets, start, length) in refused {
        let answer = topic
            .valid("a part of the offsets that there is not is no error of the device", |device| {
                let encoder = device.create_command_encoder(None);
                let pass = encoder.begin_compute_pass(None);
                let answer = pass.set_bind_group(0, Some(&group), offsets, start, length);
                pass.end();
                encoder.finish(None);
                answer
            })
            .await;
        topic.check(&format!("{offsets:?} {start:?} {length:?} is a range error"), matches!(&answer, Err(error) if matches!(error.kind, SetBindGroupErrorKind::RangeError) && !error.message.is_empty()));
    }
    let wrong: [(&str, Option<&[u32]>); 6] = [
        ("no offsets", None),
        ("too few offsets", Some(&[0])),
        ("too many offsets", Some(&[0, 0, 0])),
        ("an offset that is not aligned", Some(&[0, 4])),
        ("an offset beyond the end", Some(&[1024, 0])),
        ("an offset beyond all", Some(&[0xffff_ff00, 0])),
    ];
    for (what, offsets) in wrong {
        topic
            .invalid(what, |device| {
                let encoder = device.create_command_encoder(None);
                let pass = encoder.begin_compute_pass(None);
                let answer = pass.set_bind_group(0, Some(&group), offsets, None, None);
                pass.end();
                encoder.finish(None);
                answer
            })
            .await
            .expect("which the encoder says, and not the call");
    }
}

/// <https://www.w3.org/TR/webgpu/#dom-gpubindingcommandsmixin-setimmediates>
async fn immediates(topic: &mut Topic) {
    let size = topic.device().limits().max_immediate_size();
    let module = topic.shader(
        "
        struct Immediates { a: vec4u, b: u32, c: u32 }
        var<immediate> i: Immediates;
        @group(0) @binding(0) var<storage, read_write> x: array<u32, 6>;
        @compute @workgroup_size(1) fn main() { x = array(i.a.x, i.a.y, i.a.z, i.a.w, i.b, i.c); }",
    );
    let own = topic.device().create_bind_group_layout(&GpuBindGroupLayoutDescriptor {
        entries: vec![storage_entry(0, false)],
        label: None,
    });
    let layout = topic
        .valid("a layout may have all immediates", |device| {
            device.create_pipeline_layout(&GpuPipelineLayoutDescriptor {
                bind_group_layouts: vec![Some(&own)],
                immediate_size: Some(size),
                label: None,
            })
        })
        .await;
    for size in [size + 4, u32::MAX, 6] {
        topic
            .invalid(&format!("a layout with {size} bytes of immediates"), |device| {
                device.create_pipeline_layout(&GpuPipelineLayoutDescriptor {
                    bind_group_layouts: Vec::new(),
                    immediate_size: Some(size),
                    label: None,
                })
            })
            .await;
    }
    let made = topic
        .valid("a shader has immediates", |device| {
            device.create_compute_pipeline(GpuComputePipelineDescriptor {
                compute: stage(&module),
                layout: GpuLayoutMode::Specific(&layout),
                label: None,
            })
        })
        .await;
    let output = topic.storage(24);
    let group = topic.gpu.bind_group("", &own, vec![whole(&output)]);
    let data: Vec<u8> = (1..=8u32).flat_map(u32::to_le_bytes).collect();
    topic.compute_pass(|pass| {
        pass.set_pipeline(&made);
        pass.set_bind_group(0, Some(&group), None, None, None).expect("no offsets are given");
        pass.set_immediates(0, &data, None, Some(24));
        pass.set_immediates(8, &data, Some(24), None);
        pass.set_immediates(20, &data, Some(4), Some(4));
        pass.set_immediates(64, &[], None, None);
        pass.dispatch_workgroups(1, None, None);
    });
    topic.equal("immediates reach the shader", words(&topic.bytes(&output).await), [1, 2, 7, 8, 5, 2]);
    for (what, offset, data_offset, data_size) in [
        ("an offset within a word", 2, None, Some(4)),
        ("more than there is", size - 4, None, Some(8)),
        ("an offset beyond all", u32::MAX - 3, None, Some(4)),
        ("a part of a word", 0, None, Some(3)),
        ("more than the data", 0, Some(30), Some(4)),
        ("an offset beyond the data", 0, Some(33), None),
        ("a size beyond all", 0, Some(4), Some(u64::MAX)),
    ] {
        topic
            .invalid(what, |device| {
                let encoder = device.create_command_encoder(None);
                let pass = encoder.begin_compute_pass(None);
                pass.set_pipeline(&made);
                pass.set_immediates(offset, &data, data_offset, data_size);
                pass.end();
                encoder.finish(None)
            })
            .await;
    }
}

const RIGHT: &str = "@group(0) @binding(0) var<storage, read_write> x: u32; @compute @workgroup_size(1) fn main() { x = 7u; }";

async fn wrong_commands(topic: &mut Topic) {
    let limit = topic.device().limits().max_compute_workgroups_per_dimension();
    let groups = topic.device().limits().max_bind_groups();
    let pipeline = topic.compute_pipeline(RIGHT);
    let output = topic.storage(4);
    let group = topic.group_of(&pipeline, 0, vec![whole(&output)]);
    let record = |device: &conformance::webgpu::GpuDevice,
                  record: &dyn Fn(&conformance::webgpu::GpuComputePassEncoder)| {
        let encoder = device.create_command_encoder(None);
        let pass = encoder.begin_compute_pass(None);
        record(&pass);
        pass.end();
        encoder.finish(None)
    };
    let bind = |pass: &conformance::webgpu::GpuComputePassEncoder, index, group| {
        pass.set_bind_group(index, group, None, None, None).expect("no offsets are given");
    };
    topic
        .invalid("a dispatch without a pipeline", |device| {
            record(device, &|pass| pass.dispatch_workgroups(1, None, None))
        })
        .await;
    topic
        .invalid("a dispatch without its bind group", |device| {
            record(device, &|pass| {
                pass.set_pipeline(&pipeline);
                pass.dispatch_workgroups(1, None, None);
            })
        })
        .await;
    topic
        .invalid("a dispatch whose bind group was taken away", |device| {
            record(device, &|pass| {
                pass.set_pipeline(&pipeline);
                bind(pass, 0, Some(&group));
                bind(pass, 0, None);
                pass.dispatch_workgroups(1, None, None);
            })
        })
        .await;
    topic
        .valid("a bind group that nobody needs", |device| {
            record(device, &|pass| {
                pass.set_pipeline(&pipeline);
                bind(pass, 0, Some(&group));
                bind(pass, 1, Some(&group));
                bind(pass, 2, None);
                pass.dispatch_workgroups(1, None, None);
            })
        })
        .await;
    for index in [groups, u32::MAX] {
        topic
            .invalid("a bind group beyond the limit", |device| {
                record(device, &|pass| bind(pass, index, Some(&group)))
            })
            .await;
        topic
            .invalid("no bind group beyond the limit", |device| {
                record(device, &|pass| bind(pass, index, None))
            })
            .await;
    }
    for counts in [[limit + 1, 1, 1], [1, limit + 1, 1], [1, 1, u32::MAX]] {
        topic
            .invalid(&format!("{counts:?} workgroups"), |device| {
                record(device, &|pass| {
                    pass.set_pipeline(&pipeline);
                    bind(pass, 0, Some(&group));
                    pass.dispatch_workgroups(counts[0], Some(counts[1]), Some(counts[2]));
                })
            })
            .await;
    }
    topic
        .invalid("a debug group that is not closed", |device| {
            record(device, &|pass| pass.push_debug_group("open"))
        })
        .await;
    topic
        .invalid("a debug group that was not opened", |device| record(device, &|pass| pass.pop_debug_group()))
        .await;
    topic
        .invalid("a timestamp without a place", |device| {
            let set = device
                .create_query_set(&GpuQuerySetDescriptor {
                    type_: GpuQueryType::Occlusion,
                    count: 2,
                    label: None,
                })
                .expect("occlusion queries need no feature");
            let encoder = device.create_command_encoder(None);
            let writes = GpuComputePassTimestampWrites {
                query_set: &set,
                beginning_of_pass_write_index: None,
                end_of_pass_write_index: None,
            };
            let pass = encoder.begin_compute_pass(Some(&GpuComputePassDescriptor {
                timestamp_writes: Some(writes),
                label: None,
            }));
            pass.end();
            encoder.finish(None)
        })
        .await;
}

/// <https://www.w3.org/TR/webgpu/#timestamp>
async fn timestamps(topic: &mut Topic) {
    let without = topic.device().create_query_set(&GpuQuerySetDescriptor {
        type_: GpuQueryType::Timestamp,
        count: 2,
        label: None,
    });
    topic.check("timestamps need their feature", without.is_err());
    let adapter = get_gpu().request_adapter(None).await.expect("there is an adapter");
    if !adapter.features().has("timestamp-query") {
        return;
    }
    let device = adapter
        .request_device(Some(GpuDeviceDescriptor {
            required_features: Some(vec![GpuFeatureName::TimestampQuery]),
            required_limits: None,
            default_queue: None,
            label: None,
        }))
        .await
        .expect("the adapter has timestamps");
    let set = device
        .create_query_set(&GpuQuerySetDescriptor { type_: GpuQueryType::Timestamp, count: 4, label: None })
        .expect("the device has timestamps");
    topic.equal("a query set has its count", set.count(), 4);
    let buffer = |usage| {
        device.create_buffer(&conformance::webgpu::GpuBufferDescriptor {
            size: 32,
            usage,
            mapped_at_creation: None,
            label: None,
        })
    };
    let resolved = buffer(GpuBufferUsage::QUERY_RESOLVE | GpuBufferUsage::COPY_SRC);
    let readable = buffer(GpuBufferUsage::COPY_DST | GpuBufferUsage::MAP_READ);
    let (_, error) = catching_on(&device, |device| {
        let encoder = device.create_command_encoder(None);
        for (begin, end) in [(Some(0), Some(1)), (None, Some(2)), (Some(3), None)] {
            let writes = GpuComputePassTimestampWrites {
                query_set: &set,
                beginning_of_pass_write_index: begin,
                end_of_pass_write_index: end,
            };
            encoder
                .begin_compute_pass(Some(&GpuComputePassDescriptor {
                    timestamp_writes: Some(writes),
                    label: None,
                }))
                .end();
        }
        encoder.resolve_query_set(&set, 0, 4, &resolved, 0);
        encoder.copy_buffer_to_buffer(&resolved, None, &readable, None, None);
        device.queue().submit(&[&encoder.finish(None)]);
    })
    .await;
    topic.equal("passes write timestamps", error, None);
    readable
        .map_async(conformance::webgpu::GpuMapMode::READ, None, None)
        .await
        .expect("a new buffer can be mapped");
    let bytes = readable.get_mapped_range_get_with_copy(None, None).expect("the buffer is mapped");
    let times: Vec<u64> = bytes.as_chunks::<8>().0.iter().map(|time| u64::from_le_bytes(*time)).collect();
    topic.check(&format!("times run forwards: {times:?}"), times.is_sorted() && times[0] > 0);
    for (what, begin, end) in [
        ("a query twice", Some(1), Some(1)),
        ("a query that there is not", Some(4), None),
        ("no query", None, None),
    ] {
        let (_, error) = catching_on(&device, |device| {
            let encoder = device.create_command_encoder(None);
            let writes = GpuComputePassTimestampWrites {
                query_set: &set,
                beginning_of_pass_write_index: begin,
                end_of_pass_write_index: end,
            };
            encoder
                .begin_compute_pass(Some(&GpuComputePassDescriptor {
                    timestamp_writes: Some(writes),
                    label: None,
                }))
                .end();
            encoder.finish(None)
        })
        .await;
        topic.equal(what, error.map(|error| error.kind), Some(GpuErrorFilter::Validation));
    }
}
