//! Devices, how they are lost, and that they are apart: <https://www.w3.org/TR/webgpu/#devices>

use conformance::futures::future::{Either, join, select};
use conformance::webgpu::{
    GpuBuffer, GpuBufferDescriptor, GpuBufferMapState, GpuBufferUsage, GpuCommandEncoderDescriptor,
    GpuDevice, GpuDeviceLostReason, GpuErrorFilter, GpuErrorKind, GpuMapMode, GpuShaderModuleDescriptor,
    MapAsyncErrorKind, get_gpu,
};
use conformance::{Topic, catching_on, filter_of, pipeline, whole};
use core::pin::pin;

conformance::export_topic!(run);

async fn run(topic: &mut Topic) {
    handles(topic).await;
    uncaptured_errors(topic).await;
    several_devices(topic).await;
    waits_for_its_own_device(topic).await;
    destruction(topic).await;
    destruction_of_buffers(topic).await;
    work_of_a_destroyed_device(topic).await;
}

async fn device() -> GpuDevice {
    let adapter = get_gpu().request_adapter(None).await.expect("there is an adapter");
    adapter.request_device(None).await.expect("the adapter gives a device")
}

fn buffer(device: &GpuDevice, usage: GpuBufferUsage, mapped: bool) -> GpuBuffer {
    device.create_buffer(&GpuBufferDescriptor {
        size: 16,
        usage,
        mapped_at_creation: Some(mapped),
        label: None,
    })
}

const READABLE: GpuBufferUsage = GpuBufferUsage::MAP_READ.union(GpuBufferUsage::COPY_DST);

fn broken_shader(device: &GpuDevice) {
    device.create_shader_module(&GpuShaderModuleDescriptor {
        code: "this is no shader".into(),
        compilation_hints: None,
        label: None,
    });
}

async fn handles(topic: &mut Topic) {
    let device = device().await;
    topic.equal("a device without a label has the empty one", device.label(), "");
    device.set_label("renamed");
    topic.equal("a device takes a label", device.label(), "renamed");
    let (one, other) = (device.queue(), device.queue());
    one.set_label("the queue");
    topic.equal("a device has one queue", other.label(), "the queue");
    drop(device);
    topic.equal("a queue outlives the handle of its device", one.label(), "the queue");
    one.on_submitted_work_done().await;
    topic.check("a queue works without the handle of its device", true);
}

/// <https://www.w3.org/TR/webgpu/#eventdef-gpudevice-uncapturederror>
async fn uncaptured_errors(topic: &mut Topic) {
    let device = device().await;
    let (mut one, mut other) = (device.on_uncaptured_error(), device.on_uncaptured_error());
    device.push_error_scope(GpuErrorFilter::Validation);
    broken_shader(&device);
    let captured = device.pop_error_scope().await;
    topic.check("an error scope holds the error of its calls", matches!(captured, Ok(Some(_))));
    device.push_error_scope(GpuErrorFilter::OutOfMemory);
    broken_shader(&device);
    let passed = device.pop_error_scope().await;
    topic.check("an error scope lets pass what is not of its filter", matches!(passed, Ok(None)));
    buffer(&device, GpuBufferUsage::MAP_READ | GpuBufferUsage::VERTEX, false);
    let (first, second) = (one.next().await, one.next().await);
    topic.equal(
        "the stream has the errors that no scope held, and no others",
        [&first, &second].map(|error| error.as_ref().map(|error| filter_of(error.kind()))),
        [Some(GpuErrorFilter::Validation), Some(GpuErrorFilter::Validation)],
    );
    let messages = [&first, &second]
        .map(|error| error.as_ref().map_or(String::new(), conformance::webgpu::GpuError::message));
    topic.check(
        "the errors of the stream have messages, in their order",
        messages[0] != messages[1] && messages.iter().all(|message| !message.is_empty()),
    );
    let same = other.next().await;
    topic.equal("each stream has every error", same.map(|error| error.message()), Some(messages[0].clone()));
    let (late, ()) = join(one.next(), async { broken_shader(&device) }).await;
    topic.check(
        "a reader that waits gets an error when it comes",
        matches!(late.map(|error| error.kind()), Some(GpuErrorKind::ValidationError)),
    );
    device.destroy();
    topic.check("the stream ends with its device", one.next().await.is_none());
}

async fn several_devices(topic: &mut Topic) {
    let (one, other) = (device().await, device().await);
    one.push_error_scope(GpuErrorFilter::Validation);
    let (_, error) = catching_on(&other, broken_shader).await;
    topic.check("an error belongs to the device of its call", error.is_some());
    let own = one.pop_error_scope().await;
    topic.check("an error does not reach the scopes of another device", matches!(own, Ok(None)));
    one.destroy();
    let (_, error) = catching_on(&other, broken_shader).await;
    topic.check("a device lives on when another one is destroyed", error.is_some());

    let third = device().await;
    let foreign = buffer(&third, GpuBufferUsage::COPY_SRC, false);
    let own = buffer(&other, GpuBufferUsage::COPY_DST, false);
    let (commands, error) = catching_on(&other, |device| {
        let encoder = device.create_command_encoder(None);
        encoder.copy_buffer_to_buffer(&foreign, None, &own, None, None);
        encoder.finish(None)
    })
    .await;
    topic.check("the buffer of another device is a validation error of the encoder", error.is_some());
    let (_, error) = catching_on(&other, |device| device.queue().submit(&[&commands])).await;
    topic.check("invalid commands are refused by their queue", error.is_some());
    let (result, error) =
        catching_on(&other, |device| device.queue().write_buffer_with_copy(&foreign, 0, &[0; 4], None, None))
            .await;
    topic.check(
        "writing to the buffer of another device is a validation error",
        result.is_ok() && error.is_some(),
    );
    let commands = third.create_command_encoder(None).finish(None);
    let (_, error) = catching_on(&other, |device| device.queue().submit(&[&commands])).await;
    topic.check("the commands of another device are refused", error.is_some());
    let module = third.create_shader_module(&GpuShaderModuleDescriptor {
        code: "@compute @workgroup_size(1) fn main() {}".into(),
        compilation_hints: None,
        label: None,
    });
    let (_, error) = catching_on(&other, |device| device.create_compute_pipeline(pipeline(&module))).await;
    topic.check("the shader of another device is refused", error.is_some());
}

/// Some of a second of work on the usual machines, in a shader that no compiler can shorten.
fn keep_busy(device: &GpuDevice, is_cpu: bool) -> GpuBuffer {
    let (steps, groups) = if is_cpu { (4_000, 4_096) } else { (60_000, 65_535) };
    let module = device.create_shader_module(&GpuShaderModuleDescriptor {
        code: format!(
            "@group(0) @binding(0) var<storage, read_write> x: array<u32>;
             @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {{
                 var a = id.x;
                 for (var i = 0u; i < {steps}u; i++) {{ a = a * 1664525u + 1013904223u; }}
                 x[a % 4u] = a;
             }}"
        ),
        compilation_hints: None,
        label: None,
    });
    let output = buffer(device, GpuBufferUsage::STORAGE | GpuBufferUsage::COPY_SRC, false);
    let pipeline = device.create_compute_pipeline(pipeline(&module));
    let group = device.create_bind_group(&conformance::webgpu::GpuBindGroupDescriptor {
        layout: &pipeline.get_bind_group_layout(0),
        entries: vec![conformance::webgpu::GpuBindGroupEntry { binding: 0, resource: whole(&output) }],
        label: None,
    });
    let encoder = device.create_command_encoder(Some(&GpuCommandEncoderDescriptor { label: None }));
    let pass = encoder.begin_compute_pass(None);
    pass.set_pipeline(&pipeline);
    pass.set_bind_group(0, Some(&group), None, None, None).expect("no offsets are given");
    pass.dispatch_workgroups(groups, None, None);
    pass.end();
    let readable = buffer(device, READABLE, false);
    encoder.copy_buffer_to_buffer(&output, None, &readable, None, None);
    device.queue().submit(&[&encoder.finish(None)]);
    readable
}

async fn waits_for_its_own_device(topic: &mut Topic) {
    let (busy, idle) = (device().await, device().await);
    let is_cpu = busy.adapter_info().is_fallback_adapter();
    let late = keep_busy(&busy, is_cpu);
    let early = buffer(&idle, READABLE, false);
    let mut work = pin!(late.map_async(GpuMapMode::READ, None, None));
    let mut nothing = pin!(early.map_async(GpuMapMode::READ, None, None));
    let first = select(work.as_mut(), nothing.as_mut()).await;
    match first {
        Either::Left(_) => topic.check("a mapping waits for its own device alone", false),
        Either::Right((mapped, _)) => {
            topic.check("a mapping waits for its own device alone", mapped.is_ok());
            topic.equal(
                "a mapping is pending while its device works",
                late.map_state(),
                GpuBufferMapState::Pending,
            );
            topic.check("the other mapping comes too", work.await.is_ok());
        }
    }
}

/// <https://www.w3.org/TR/webgpu/#dom-gpudevice-destroy>, <https://www.w3.org/TR/webgpu/#dom-gpudevice-lost>
async fn destruction(topic: &mut Topic) {
    let device = device().await;
    let (waiting, later) = (device.lost(), device.lost());
    let (lost, ()) = join(waiting.into_future(), async { device.destroy() }).await;
    topic.check(
        "a destroyed device is lost because it was destroyed",
        lost.reason() == GpuDeviceLostReason::Destroyed,
    );
    topic.check("a loss has a message", !lost.message().is_empty());
    topic.equal("each future has the same loss", later.await.message(), lost.message());
    topic.check(
        "a future that comes after the loss is ready too",
        device.lost().await.reason() == GpuDeviceLostReason::Destroyed,
    );
    device.destroy();
    topic.check("a device is destroyed once", device.lost().await.message() == lost.message());

    let empty = device.pop_error_scope().await;
    topic.check("a lost device has no errors to pop, with or without a scope", matches!(empty, Ok(None)));
    device.push_error_scope(GpuErrorFilter::Validation);
    broken_shader(&device);
    let unmade = buffer(&device, GpuBufferUsage::MAP_READ | GpuBufferUsage::VERTEX, false);
    topic.equal("an object of a lost device still says what was asked for", unmade.size(), 16);
    let none = device.pop_error_scope().await;
    topic.check("a lost device has no errors", matches!(none, Ok(None)));
    topic.equal("a lost device still tells its limits", device.limits().max_bind_groups(), 4);
    topic.check("a lost device still tells its features", device.features().has("core-features-and-limits"));
    let module = device.create_shader_module(&GpuShaderModuleDescriptor {
        code: "@compute @workgroup_size(1) fn main() {}".into(),
        compilation_hints: None,
        label: None,
    });
    let made = device.create_compute_pipeline_async(pipeline(&module)).await;
    topic.check("an asynchronous pipeline of a lost device has no error", made.is_ok());
    let broken = device.create_shader_module(&GpuShaderModuleDescriptor {
        code: "not even this".into(),
        compilation_hints: None,
        label: None,
    });
    let made = device.create_compute_pipeline_async(pipeline(&broken)).await;
    topic.check("nor has one that would be wrong", made.is_ok());
    let mapped = buffer(&device, GpuBufferUsage::COPY_SRC, true);
    topic.equal("a buffer can be made mapped after the loss", mapped.map_state(), GpuBufferMapState::Mapped);
    let written = mapped.get_mapped_range_set_with_copy(&[1; 16], None, None);
    topic.check("and what is mapped can be written", written.is_ok());
    mapped.unmap().expect("a mapped buffer can be unmapped");
}

async fn destruction_of_buffers(topic: &mut Topic) {
    let device = device().await;
    let mapped = buffer(&device, GpuBufferUsage::COPY_SRC, true);
    let readable = buffer(&device, READABLE, false);
    readable.map_async(GpuMapMode::READ, None, None).await.expect("a new buffer can be mapped");
    let waiting = keep_busy(&device, device.adapter_info().is_fallback_adapter());
    let (answer, state) = join(waiting.map_async(GpuMapMode::READ, None, None), async {
        let state = waiting.map_state();
        device.destroy();
        (state, waiting.map_state())
    })
    .await;
    topic.equal(
        "a mapping is pending until its device is destroyed",
        state,
        (GpuBufferMapState::Pending, GpuBufferMapState::Unmapped),
    );
    topic.check(
        "a pending mapping is aborted when its device is destroyed",
        matches!(answer, Err(error) if matches!(error.kind, MapAsyncErrorKind::AbortError)),
    );
    for buffer in [&mapped, &readable] {
        topic.equal(
            "the buffers of a destroyed device are unmapped",
            buffer.map_state(),
            GpuBufferMapState::Unmapped,
        );
        topic.check("they cannot be read", buffer.get_mapped_range_get_with_copy(None, None).is_err());
        topic.check("nor written", buffer.get_mapped_range_set_with_copy(&[0; 4], None, None).is_err());
        topic.check("and may be unmapped again", buffer.unmap().is_ok());
    }
    for (offset, size) in [(None, None), (Some(3), None), (Some(100), Some(u64::MAX))] {
        let answer = readable.map_async(GpuMapMode::READ, offset, size).await;
        topic.check(
            "a mapping of a lost device is aborted",
            matches!(answer, Err(error) if matches!(error.kind, MapAsyncErrorKind::AbortError)),
        );
    }
    topic.equal("and its buffer is unmapped", readable.map_state(), GpuBufferMapState::Unmapped);
}

async fn work_of_a_destroyed_device(topic: &mut Topic) {
    let device = device().await;
    let queue = device.queue();
    let encoder = device.create_command_encoder(None);
    let commands = encoder.finish(None);
    keep_busy(&device, device.adapter_info().is_fallback_adapter());
    let ((), ()) = join(queue.on_submitted_work_done(), async { device.destroy() }).await;
    topic.check("whoever waits for work is told when the device is destroyed", true);
    queue.submit(&[&commands, &commands]);
    let destination = buffer(&device, GpuBufferUsage::COPY_DST, false);
    topic.check(
        "a write to a lost device does nothing",
        queue.write_buffer_with_copy(&destination, 4, &[0; 64], None, None).is_ok(),
    );
    topic.check(
        "a write that is no write is an error still",
        queue.write_buffer_with_copy(&destination, 0, &[0; 3], None, None).is_err(),
    );
    queue.on_submitted_work_done().await;
    topic.check("the work of a lost device is done", true);
}
