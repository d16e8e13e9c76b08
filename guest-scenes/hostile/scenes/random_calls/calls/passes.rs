//! Commands in passes and bundles.

use kit::webgpu::*;

use super::{devices::all, keep, take};
use crate::World;
use crate::values::Values as _;

const DEBUG_MARKERS: usize = 3;

/// The calls that every pass and bundle has.
macro_rules! common {
    ($world:ident, $pass:ident, $number:expr) => {
        match $number {
            0 => match $world.random.below(DEBUG_MARKERS) {
                0 => $pass.push_debug_group(&$world.random.text()),
                1 => $pass.pop_debug_group(),
                _ => $pass.insert_debug_marker(&$world.random.text()),
            },
            1 => {
                let (offset, data) = ($world.random.number(), $world.random.bytes());
                let (start, size) = (
                    $world.random.maybe(|random| random.offset()),
                    $world.random.maybe(|random| random.size()),
                );
                $pass.set_immediates(offset, &data, start, size);
            }
            _ => {
                let group =
                    $world.objects.bind_groups.any(&mut $world.random).filter(|_| !$world.random.one_in(4));
                let random = &mut $world.random;
                let offsets: Option<Vec<u32>> =
                    random.one_in(3).then(|| (0..random.below(9)).map(|_| random.number() & !255).collect());
                let start = random.one_in(4).then(|| random.offset());
                let length = random.one_in(4).then(|| random.number());
                let index = if random.one_in(4) { random.number() } else { 0 };
                drop($pass.set_bind_group(index, group.as_deref(), offsets.as_deref(), start, length));
            }
        }
    };
}

/// The calls that render passes and bundles have in common.
macro_rules! drawing {
    ($world:ident, $pass:ident, $number:expr) => {
        match $number {
            0 => {
                let pipeline = take!($world.render_pipelines);
                $pass.set_pipeline(&pipeline);
            }
            1 => {
                let buffer = take!($world.buffers);
                let random = &mut $world.random;
                let format = random.pick(&[GpuIndexFormat::Uint16, GpuIndexFormat::Uint32]);
                let (offset, size) =
                    (random.one_in(3).then(|| random.offset()), random.one_in(3).then(|| random.size()));
                $pass.set_index_buffer(&buffer, format, offset, size);
            }
            2 => {
                let buffer = $world.objects.buffers.any(&mut $world.random);
                let random = &mut $world.random;
                let slot = if random.one_in(4) { random.number() } else { 0 };
                let (offset, size) =
                    (random.one_in(3).then(|| random.offset()), random.one_in(3).then(|| random.size()));
                $pass.set_vertex_buffer(slot, buffer.as_deref(), offset, size);
            }
            3 | 4 => {
                let random = &mut $world.random;
                let (count, instances) = (random.count(), random.maybe(|random| random.count()));
                let (first, first_instance) =
                    (random.one_in(3).then(|| random.number()), random.one_in(3).then(|| random.number()));
                if random.one_in(2) {
                    $pass.draw(count, instances, first, first_instance);
                } else {
                    let base = random.pick(&[None, Some(0), Some(i32::MIN), Some(i32::MAX)]);
                    $pass.draw_indexed(count, instances, first, base, first_instance);
                }
            }
            _ => {
                let buffer = take!($world.buffers);
                let offset = $world.random.offset();
                if $world.random.one_in(2) {
                    $pass.draw_indirect(&buffer, offset);
                } else {
                    $pass.draw_indexed_indirect(&buffer, offset);
                }
            }
        }
    };
}

pub fn compute(world: &mut World) {
    let pass = take!(world.compute_passes);
    match world.random.below(6) {
        0 => {
            let pipeline = take!(world.compute_pipelines);
            pass.set_pipeline(&pipeline);
        }
        1 => {
            let random = &mut world.random;
            let (x, y) = (random.workgroups(), random.maybe(|random| random.workgroups()));
            pass.dispatch_workgroups(x, y, random.maybe(|random| random.workgroups()));
        }
        2 => {
            let buffer = take!(world.buffers);
            pass.dispatch_workgroups_indirect(&buffer, world.random.offset());
        }
        common => common!(world, pass, common - 3),
    }
}

pub fn end_compute(world: &mut World) {
    take!(world.compute_passes).end();
}

pub fn render(world: &mut World) {
    let pass = take!(world.render_passes);
    match world.random.below(15) {
        0 => {
            let random = &mut world.random;
            let (x, y, width, height) = (random.float(), random.float(), random.float(), random.float());
            pass.set_viewport(x, y, width, height, random.float(), random.float());
        }
        1 => {
            let random = &mut world.random;
            let (x, y) = (random.small(), random.number());
            pass.set_scissor_rect(x, y, random.small(), random.number());
        }
        2 => pass.set_blend_constant(world.random.color()),
        3 => pass.set_stencil_reference(world.random.number()),
        4 => pass.begin_occlusion_query(world.random.number()),
        5 => pass.end_occlusion_query(),
        common @ 6..9 => common!(world, pass, common - 6),
        drawing => drawing!(world, pass, drawing - 9),
    }
}

pub fn end_render(world: &mut World) {
    take!(world.render_passes).end();
}

pub fn create_bundle_encoder(world: &mut World) {
    let device = take!(world.devices);
    let random = &mut world.random;
    let encoder = device.create_render_bundle_encoder(&GpuRenderBundleEncoderDescriptor {
        depth_read_only: random.flag(),
        stencil_read_only: random.flag(),
        color_formats: if random.one_in(2) {
            vec![Some(GpuTextureFormat::Rgba8unorm)]
        } else {
            (0..random.below(10)).map(|_| random.maybe(|random| random.format())).collect()
        },
        depth_stencil_format: random.one_in(4).then(|| random.format()),
        sample_count: random.one_in(4).then(|| random.pick(&[0, 1, 2, 4, 8, u32::MAX])),
        label: random.label(),
    });
    keep!(world.bundle_encoders, encoder);
}

pub fn bundle(world: &mut World) {
    let encoder = take!(world.bundle_encoders);
    match world.random.below(9) {
        common @ 0..3 => common!(world, encoder, common),
        drawing => drawing!(world, encoder, drawing - 3),
    }
}

pub fn finish_bundle(world: &mut World) {
    let encoder = take!(world.bundle_encoders);
    let descriptor = world.random.maybe(|random| GpuRenderBundleDescriptor { label: random.label() });
    keep!(world.bundles, encoder.finish(descriptor.as_ref()));
}

pub fn execute_bundles(world: &mut World) {
    let pass = take!(world.render_passes);
    let bundles = world.objects.bundles.some(&mut world.random, 3);
    pass.execute_bundles(&all(&bundles));
}
