//! Occlusion and timestamp queries: <https://www.w3.org/TR/webgpu/#queries>

use conformance::Topic;
use conformance::drawing::{COVER, TARGET, attachment, pass, pipeline};
use conformance::webgpu::*;

conformance::export_topic!(run);

async fn run(topic: &mut Topic) {
    properties(topic).await;
    occlusion(topic).await;
    wrong_occlusion(topic).await;
    resolves(topic).await;
    wrong_resolves(topic).await;
    topic.take_all_features().await;
    if topic.has("timestamp-query") {
        timestamps(topic).await;
        wrong_timestamps(topic).await;
    }
}

fn set(topic: &Topic, type_: GpuQueryType, count: u32) -> GpuQuerySet {
    let descriptor = GpuQuerySetDescriptor { type_, count, label: None };
    topic.device().create_query_set(&descriptor).expect("the device has these queries")
}

async fn properties(topic: &mut Topic) {
    let descriptor =
        GpuQuerySetDescriptor { type_: GpuQueryType::Occlusion, count: 3, label: Some("first".into()) };
    let made = topic.valid("a query set", |device| device.create_query_set(&descriptor)).await;
    let made = made.expect("every device has occlusion queries");
    topic.equal("a query set has its type", made.type_(), GpuQueryType::Occlusion);
    topic.equal("a query set has its count", made.count(), 3);
    topic.equal("a query set keeps its label", made.label(), "first");
    made.set_label("second");
    topic.equal("a query set takes a new label", made.label(), "second");
    topic
        .valid("a query set may be destroyed twice", |_| {
            made.destroy();
            made.destroy();
        })
        .await;
    topic.equal("a destroyed query set still has its count", made.count(), 3);
    for count in [4097, u32::MAX] {
        let many = GpuQuerySetDescriptor { type_: GpuQueryType::Occlusion, count, label: None };
        let many = topic
            .invalid("a query set has 4096 queries at most", |device| device.create_query_set(&many))
            .await;
        let count_of = many.map(|set| set.count());
        topic.equal("an invalid query set has the count that was asked for", count_of.ok(), Some(count));
    }
    for count in [0, 4096] {
        let descriptor = GpuQuerySetDescriptor { type_: GpuQueryType::Occlusion, count, label: None };
        topic
            .valid(&format!("a query set may have {count} queries"), |device| {
                device.create_query_set(&descriptor).is_ok()
            })
            .await;
    }
    if !topic.has("timestamp-query") {
        let descriptor = GpuQuerySetDescriptor { type_: GpuQueryType::Timestamp, count: 2, label: None };
        let refused = topic
            .valid("a timestamp query is refused at once", |device| device.create_query_set(&descriptor))
            .await;
        let kind = refused.err().map(|error| {
            (matches!(error.kind, CreateQuerySetErrorKind::TypeError), error.message.is_empty())
        });
        topic.equal("timestamp queries need their feature, as a TypeError says", kind, Some((true, false)));
    }
}

fn white(topic: &Topic) -> GpuRenderPipeline {
    let module =
        topic.shader(&format!("{COVER} @fragment fn draw() -> @location(0) vec4f {{ return vec4f(1); }}"));
    topic.device().create_render_pipeline(pipeline(&module, [TARGET]))
}

/// The numbers of a query set.
async fn numbers(topic: &Topic, set: &GpuQuerySet) -> Vec<u64> {
    let count = set.count();
    let buffer =
        topic.empty_buffer(GpuBufferUsage::QUERY_RESOLVE | GpuBufferUsage::COPY_SRC, u64::from(count) * 8);
    topic.submit(|encoder| encoder.resolve_query_set(set, 0, count, &buffer, 0));
    let bytes = topic.bytes(&buffer).await;
    bytes.chunks_exact(8).map(|number| u64::from_le_bytes(number.try_into().expect("eight bytes"))).collect()
}

async fn occlusion(topic: &mut Topic) {
    let queries = set(topic, GpuQueryType::Occlusion, 5);
    let view = topic.target(4, 4).create_view(None);
    let white = white(topic);
    let descriptor =
        GpuRenderPassDescriptor { occlusion_query_set: Some(&queries), ..pass([attachment(&view)]) };
    topic
        .valid_pass("occlusion queries", &descriptor, |pass| {
            pass.set_pipeline(&white);
            pass.begin_occlusion_query(0);
            pass.draw(3, None, None, None);
            pass.end_occlusion_query();
            pass.begin_occlusion_query(3);
            pass.end_occlusion_query();
            pass.begin_occlusion_query(2);
            pass.set_scissor_rect(0, 0, 0, 0);
            pass.draw(3, None, None, None);
            pass.end_occlusion_query();
            pass.set_scissor_rect(0, 0, 1, 1);
            pass.begin_occlusion_query(4);
            pass.draw(3, None, None, None);
            pass.end_occlusion_query();
        })
        .await;
    let found: Vec<bool> = numbers(topic, &queries).await.into_iter().map(|number| number > 0).collect();
    topic.equal(
        "a query says whether something was drawn, and one that was not made is 0",
        found,
        [true, false, false, false, true],
    );

    // Another pass replaces what it asks, and only that.
    topic
        .valid_pass("the same queries again", &descriptor, |pass| {
            pass.set_pipeline(&white);
            pass.begin_occlusion_query(0);
            pass.end_occlusion_query();
        })
        .await;
    let found = numbers(topic, &queries).await;
    topic.equal("a later pass replaces a result", found[0], 0);
}

async fn wrong_occlusion(topic: &mut Topic) {
    let queries = set(topic, GpuQueryType::Occlusion, 2);
    let view = topic.target(4, 4).create_view(None);
    let with = GpuRenderPassDescriptor { occlusion_query_set: Some(&queries), ..pass([attachment(&view)]) };
    let without = pass([attachment(&view)]);
    topic.invalid_pass("a query needs a set", &without, |pass| pass.begin_occlusion_query(0)).await;
    topic
        .invalid_pass("a query lies in its set", &with, |pass| {
            pass.begin_occlusion_query(2);
            pass.end_occlusion_query();
        })
        .await;
    topic
        .invalid_pass("a query that no set can have is refused", &with, |pass| {
            pass.begin_occlusion_query(u32::MAX);
            pass.end_occlusion_query();
        })
        .await;
    topic
        .invalid_pass("queries do not nest", &with, |pass| {
            pass.begin_occlusion_query(0);
            pass.begin_occlusion_query(1);
            pass.end_occlusion_query();
        })
        .await;
    topic
        .invalid_pass("a query is made once in a pass", &with, |pass| {
            for _ in 0..2 {
                pass.begin_occlusion_query(0);
                pass.end_occlusion_query();
            }
        })
        .await;
    topic.invalid_pass("a query is ended in its pass", &with, |pass| pass.begin_occlusion_query(0)).await;
    topic
        .invalid_pass("a query is begun before it is ended", &with, GpuRenderPassEncoder::end_occlusion_query)
        .await;
    let none = set(topic, GpuQueryType::Occlusion, 0);
    let of_none = GpuRenderPassDescriptor { occlusion_query_set: Some(&none), ..pass([attachment(&view)]) };
    topic.valid_pass("a pass may have a set of no queries", &of_none, |_| ()).await;
    topic
        .invalid_pass("a set of no queries has none to begin", &of_none, |pass| {
            pass.begin_occlusion_query(0);
            pass.end_occlusion_query();
        })
        .await;
    let right = topic.empty_buffer(GpuBufferUsage::QUERY_RESOLVE, 256);
    topic
        .invalid_commands("a set of no queries has none to resolve", |encoder| {
            encoder.resolve_query_set(&none, 0, 1, &right, 0);
        })
        .await;
    queries.destroy();
    topic
        .invalid_submit("a set that was destroyed is not written", |encoder| {
            let pass = encoder.begin_render_pass(&with);
            pass.begin_occlusion_query(0);
            pass.end_occlusion_query();
            pass.end();
        })
        .await;
}

async fn resolves(topic: &mut Topic) {
    let queries = set(topic, GpuQueryType::Occlusion, 4);
    let view = topic.target(4, 4).create_view(None);
    let white = white(topic);
    let descriptor =
        GpuRenderPassDescriptor { occlusion_query_set: Some(&queries), ..pass([attachment(&view)]) };
    topic.render(&descriptor, |pass| {
        pass.set_pipeline(&white);
        for at in 1..3 {
            pass.begin_occlusion_query(at);
            pass.draw(3, None, None, None);
            pass.end_occlusion_query();
        }
    });
    let usage = GpuBufferUsage::QUERY_RESOLVE | GpuBufferUsage::COPY_SRC;
    let buffer = topic.buffer(usage, &[0xee; 512]);
    topic.submit(|encoder| encoder.resolve_query_set(&queries, 2, 2, &buffer, 256));
    let bytes = topic.bytes(&buffer).await;
    let is_one = bytes[256..264].iter().any(|byte| *byte != 0);
    let is_none = bytes[264..272] == [0; 8];
    let others = bytes[..256].iter().chain(&bytes[272..]).all(|byte| *byte == 0xee);
    topic.equal(
        "a part of a set is written to an offset, and nothing else",
        (is_one, is_none, others),
        (true, true, true),
    );
    let before = topic.buffer(usage, &[0xee; 512]);
    topic
        .valid("no queries may be resolved", |device| {
            let encoder = device.create_command_encoder(None);
            encoder.resolve_query_set(&queries, 3, 0, &before, 0);
            device.queue().submit(&[&encoder.finish(None)]);
        })
        .await;
    let bytes = topic.bytes(&before).await;
    topic.check("no queries write nothing", bytes.iter().all(|byte| *byte == 0xee));
}

async fn wrong_resolves(topic: &mut Topic) {
    let queries = set(topic, GpuQueryType::Occlusion, 4);
    let right = topic.empty_buffer(GpuBufferUsage::QUERY_RESOLVE, 512);
    let unusable = topic.empty_buffer(GpuBufferUsage::COPY_DST, 512);
    for (what, first, count, buffer, offset) in [
        ("resolved queries lie in their set", 2, 3, &right, 0),
        ("the first resolved query lies in its set", 5, 0, &right, 0),
        ("the number of queries does not overflow", u32::MAX, 2, &right, 0),
        ("queries are resolved to a multiple of 256 bytes", 0, 1, &right, 8),
        ("results lie within their buffer", 0, 1, &right, 512),
        ("an offset does not overflow", 0, 1, &right, u64::MAX - 255),
        ("results have their usage", 0, 1, &unusable, 0),
    ] {
        topic
            .invalid_commands(what, |encoder| {
                encoder.resolve_query_set(&queries, first, count, buffer, offset)
            })
            .await;
    }
    let destroyed = set(topic, GpuQueryType::Occlusion, 4);
    destroyed.destroy();
    topic
        .invalid_submit("a set that was destroyed is not resolved", |encoder| {
            encoder.resolve_query_set(&destroyed, 0, 1, &right, 0);
        })
        .await;
    right.destroy();
    topic
        .invalid_submit("queries are not resolved to a buffer that was destroyed", |encoder| {
            encoder.resolve_query_set(&queries, 0, 1, &right, 0);
        })
        .await;
}

async fn timestamps(topic: &mut Topic) {
    let queries = set(topic, GpuQueryType::Timestamp, 6);
    topic.equal("a set of timestamps has its type", queries.type_(), GpuQueryType::Timestamp);
    let view = topic.target(4, 4).create_view(None);
    let writes = |begin, end| GpuRenderPassTimestampWrites {
        query_set: &queries,
        beginning_of_pass_write_index: begin,
        end_of_pass_write_index: end,
    };
    let with =
        |writes| GpuRenderPassDescriptor { timestamp_writes: Some(writes), ..pass([attachment(&view)]) };
    let white = white(topic);
    topic
        .valid_pass("a render pass writes when it begins and ends", &with(writes(Some(0), Some(1))), |pass| {
            pass.set_pipeline(&white);
            pass.draw(3, None, None, None);
        })
        .await;
    topic.valid_pass("a pass may write its end alone", &with(writes(None, Some(2))), |_| ()).await;
    topic
        .valid("a compute pass writes when it begins and ends", |device| {
            let encoder = device.create_command_encoder(None);
            let pass = encoder.begin_compute_pass(Some(&GpuComputePassDescriptor {
                timestamp_writes: Some(GpuComputePassTimestampWrites {
                    query_set: &queries,
                    beginning_of_pass_write_index: Some(3),
                    end_of_pass_write_index: Some(4),
                }),
                label: None,
            }));
            pass.end();
            device.queue().submit(&[&encoder.finish(None)]);
        })
        .await;
    let found = numbers(topic, &queries).await;
    topic.check(
        &format!("time does not run backwards in a queue: {found:?}"),
        found[0] > 0 && found[..5].is_sorted(),
    );
    topic.equal("a timestamp that was not written is 0", found[5], 0);
}

async fn wrong_timestamps(topic: &mut Topic) {
    let queries = set(topic, GpuQueryType::Timestamp, 2);
    let occlusion = set(topic, GpuQueryType::Occlusion, 2);
    let view = topic.target(4, 4).create_view(None);
    let with = |query_set, begin, end| GpuRenderPassDescriptor {
        timestamp_writes: Some(GpuRenderPassTimestampWrites {
            query_set,
            beginning_of_pass_write_index: begin,
            end_of_pass_write_index: end,
        }),
        ..pass([attachment(&view)])
    };
    for (what, query_set, begin, end) in [
        ("timestamps are written to timestamps", &occlusion, Some(0), Some(1)),
        ("a first timestamp lies in its set", &queries, Some(2), Some(1)),
        ("a last timestamp lies in its set", &queries, Some(0), Some(u32::MAX)),
        ("two timestamps have two places", &queries, Some(1), Some(1)),
        ("a pass writes at least one timestamp", &queries, None, None),
    ] {
        topic.invalid_pass(what, &with(query_set, begin, end), |_| ()).await;
        let compute = |encoder: &GpuCommandEncoder| {
            let writes = GpuComputePassTimestampWrites {
                query_set,
                beginning_of_pass_write_index: begin,
                end_of_pass_write_index: end,
            };
            let descriptor = GpuComputePassDescriptor { timestamp_writes: Some(writes), label: None };
            encoder.begin_compute_pass(Some(&descriptor)).end();
        };
        topic.invalid_commands(&format!("{what}, in a compute pass"), compute).await;
    }
    let wrong = GpuRenderPassDescriptor { occlusion_query_set: Some(&queries), ..pass([attachment(&view)]) };
    topic.invalid_pass("occlusion is not written to timestamps", &wrong, |_| ()).await;
    queries.destroy();
    topic
        .invalid_submit("timestamps that were destroyed are not written", |encoder| {
            encoder.begin_render_pass(&with(&queries, Some(0), Some(1))).end();
        })
        .await;
}
