//! Encoders, copies and the queue.

use kit::webgpu::*;

use super::{devices::all, keep, take};
use crate::World;
use crate::values::Values as _;

pub fn create_encoder(world: &mut World) {
    let device = take!(world.devices);
    let descriptor = world.random.maybe(|random| GpuCommandEncoderDescriptor { label: random.label() });
    keep!(world.encoders, device.create_command_encoder(descriptor.as_ref()));
}

pub fn begin_compute_pass(world: &mut World) {
    let encoder = take!(world.encoders);
    let set = world.objects.query_sets.any(&mut world.random).filter(|_| world.random.one_in(3));
    let random = &mut world.random;
    let descriptor = random.maybe(|random| GpuComputePassDescriptor {
        timestamp_writes: set.as_deref().map(|query_set| GpuComputePassTimestampWrites {
            query_set,
            beginning_of_pass_write_index: random.maybe(|random| random.small()),
            end_of_pass_write_index: random.maybe(|random| random.number()),
        }),
        label: random.label(),
    });
    keep!(world.compute_passes, encoder.begin_compute_pass(descriptor.as_ref()));
}

pub fn begin_render_pass(world: &mut World) {
    let encoder = take!(world.encoders);
    let views = world.objects.views.some(&mut world.random, 3);
    let resolved = world.objects.views.any(&mut world.random).filter(|_| world.random.one_in(5));
    let depth = world.objects.views.any(&mut world.random).filter(|_| world.random.one_in(3));
    let occlusion = world.objects.query_sets.any(&mut world.random).filter(|_| world.random.one_in(3));
    let timestamps = world.objects.query_sets.any(&mut world.random).filter(|_| world.random.one_in(5));
    let random = &mut world.random;
    let load = |random: &mut hostile::Random| random.pick(&[GpuLoadOp::Load, GpuLoadOp::Clear]);
    let store = |random: &mut hostile::Random| random.pick(&[GpuStoreOp::Store, GpuStoreOp::Discard]);
    let mut color_attachments: Vec<_> = all(&views)
        .into_iter()
        .map(|view| {
            Some(GpuRenderPassColorAttachment {
                view,
                depth_slice: random.one_in(6).then(|| random.small()),
                resolve_target: resolved.as_deref(),
                clear_value: random.maybe(|random| random.color()),
                load_op: load(random),
                store_op: store(random),
            })
        })
        .collect();
    if random.one_in(6) {
        color_attachments.push(None);
    }
    let descriptor = GpuRenderPassDescriptor {
        color_attachments,
        depth_stencil_attachment: depth.as_deref().map(|view| GpuRenderPassDepthStencilAttachment {
            view,
            depth_clear_value: random.maybe(|random| random.float()),
            depth_load_op: random.maybe(load),
            depth_store_op: random.maybe(store),
            depth_read_only: random.flag(),
            stencil_clear_value: random.maybe(|random| random.number()),
            stencil_load_op: random.maybe(load),
            stencil_store_op: random.maybe(store),
            stencil_read_only: random.flag(),
        }),
        occlusion_query_set: occlusion.as_deref(),
        timestamp_writes: timestamps.as_deref().map(|query_set| GpuRenderPassTimestampWrites {
            query_set,
            beginning_of_pass_write_index: random.maybe(|random| random.small()),
            end_of_pass_write_index: random.maybe(|random| random.number()),
        }),
        max_draw_count: random.one_in(3).then(|| random.size()),
        label: random.label(),
    };
    keep!(world.render_passes, encoder.begin_render_pass(&descriptor));
}

pub fn copy_buffer(world: &mut World) {
    let encoder = take!(world.encoders);
    let (source, destination) = (take!(world.buffers), take!(world.buffers));
    let random = &mut world.random;
    let (from, to) = (random.maybe(|random| random.offset()), random.maybe(|random| random.offset()));
    encoder.copy_buffer_to_buffer(&source, from, &destination, to, random.maybe(|random| random.size()));
}

/// What the copies between buffers and textures need.
macro_rules! copy {
    ($world:ident, $buffer:ident, $texture:ident => $call:expr) => {
        let (buffer, texture) = (take!($world.buffers), take!($world.textures));
        let random = &mut $world.random;
        let $buffer = GpuTexelCopyBufferInfo {
            buffer: &buffer,
            offset: random.maybe(|random| random.offset()),
            bytes_per_row: random.pick(&[
                None,
                Some(256),
                Some(256),
                Some(512),
                Some(0),
                Some(100),
                Some(u32::MAX - 255),
            ]),
            rows_per_image: random.maybe(|random| random.number()),
        };
        let $texture = GpuTexelCopyTextureInfo {
            texture: &texture,
            mip_level: random.one_in(3).then(|| random.small()),
            origin: random.origin(),
            aspect: random.one_in(3).then(|| random.aspect()),
        };
        $call
    };
}

pub fn copy_buffer_to_texture(world: &mut World) {
    let encoder = take!(world.encoders);
    copy!(world, buffer, texture => encoder.copy_buffer_to_texture(&buffer, &texture, world.random.extent()));
}

pub fn copy_texture_to_buffer(world: &mut World) {
    let encoder = take!(world.encoders);
    copy!(world, buffer, texture => encoder.copy_texture_to_buffer(&texture, &buffer, world.random.extent()));
}

pub fn copy_texture(world: &mut World) {
    let encoder = take!(world.encoders);
    let (source, destination) = (take!(world.textures), take!(world.textures));
    let random = &mut world.random;
    let mut info = |texture| GpuTexelCopyTextureInfo {
        texture,
        mip_level: random.one_in(3).then(|| random.small()),
        origin: random.origin(),
        aspect: random.one_in(3).then(|| random.aspect()),
    };
    let (source, destination) = (info(&source), info(&destination));
    encoder.copy_texture_to_texture(&source, &destination, world.random.extent());
}

pub fn clear_buffer(world: &mut World) {
    let (encoder, buffer) = (take!(world.encoders), take!(world.buffers));
    let random = &mut world.random;
    let (offset, size) = (random.maybe(|random| random.offset()), random.maybe(|random| random.size()));
    encoder.clear_buffer(&buffer, offset, size);
}

pub fn resolve_query_set(world: &mut World) {
    let (encoder, set, buffer) = (take!(world.encoders), take!(world.query_sets), take!(world.buffers));
    let random = &mut world.random;
    let (first, count, offset) = (random.small(), random.number(), random.offset());
    encoder.resolve_query_set(&set, first, count, &buffer, offset);
}

pub fn debug_group(world: &mut World) {
    let encoder = take!(world.encoders);
    match world.random.below(3) {
        0 => encoder.push_debug_group(&world.random.text()),
        1 => encoder.pop_debug_group(),
        _ => encoder.insert_debug_marker(&world.random.text()),
    }
}

pub fn finish(world: &mut World) {
    let encoder = take!(world.encoders);
    let descriptor = world.random.maybe(|random| GpuCommandBufferDescriptor { label: random.label() });
    keep!(world.command_buffers, encoder.finish(descriptor.as_ref()));
}

pub fn submit(world: &mut World) {
    let queue = take!(world.queues);
    let buffers = world.objects.command_buffers.some(&mut world.random, 3);
    queue.submit(&all(&buffers));
}

pub fn work_done(world: &mut World) {
    let queue = take!(world.queues);
    world.start(async move {
        queue.on_submitted_work_done().await;
        None
    });
}

pub fn write_buffer(world: &mut World) {
    let (queue, buffer) = (take!(world.queues), take!(world.buffers));
    let random = &mut world.random;
    let (offset, data) = (random.offset(), random.bytes());
    let (start, size) = (random.one_in(3).then(|| random.offset()), random.one_in(3).then(|| random.size()));
    drop(queue.write_buffer_with_copy(&buffer, offset, &data, start, size));
}

pub fn write_texture(world: &mut World) {
    let queue = take!(world.queues);
    copy!(world, buffer, texture => {
        let layout = GpuTexelCopyBufferLayout {
            offset: buffer.offset,
            bytes_per_row: buffer.bytes_per_row,
            rows_per_image: buffer.rows_per_image,
        };
        let data = world.random.bytes();
        queue.write_texture_with_copy(&texture, &data, layout, world.random.extent());
    });
}

/// Commands that are right and that the GPU does.
pub fn right_frame(world: &mut World) {
    let (device, queue) = (take!(world.devices), take!(world.queues));
    let texture = device.create_texture(&GpuTextureDescriptor {
        size: GpuExtent3D { width: 16, height: Some(16), depth_or_array_layers: None },
        mip_level_count: None,
        sample_count: None,
        dimension: None,
        format: GpuTextureFormat::Rgba8unorm,
        usage: GpuTextureUsage::RENDER_ATTACHMENT | GpuTextureUsage::COPY_SRC,
        view_formats: None,
        texture_binding_view_dimension: None,
        label: None,
    });
    let view = texture.create_view(None);
    let encoder = device.create_command_encoder(None);
    let pass = encoder.begin_render_pass(&GpuRenderPassDescriptor {
        color_attachments: vec![Some(GpuRenderPassColorAttachment {
            view: &view,
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
        label: None,
    });
    if let Some(pipeline) = world.objects.render_pipelines.any(&mut world.random) {
        pass.set_pipeline(&pipeline);
        pass.draw(3, None, None, None);
    }
    pass.end();
    if let (Some(pipeline), Some(group)) = (
        world.objects.compute_pipelines.any(&mut world.random),
        world.objects.bind_groups.any(&mut world.random),
    ) {
        let pass = encoder.begin_compute_pass(None);
        pass.set_pipeline(&pipeline);
        drop(pass.set_bind_group(0, Some(&group), None, None, None));
        pass.dispatch_workgroups(2, Some(2), None);
        pass.end();
    }
    queue.submit(&[&encoder.finish(None)]);
    keep!(world.textures, texture);
    keep!(world.views, view);
}
