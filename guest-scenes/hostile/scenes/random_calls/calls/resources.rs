//! Buffers, textures, samplers and query sets.

use kit::webgpu::*;

use super::{keep, take};
use crate::World;
use crate::values::Values as _;

pub fn create_buffer(world: &mut World) {
    let device = take!(world.devices);
    let random = &mut world.random;
    let usage = random.buffer_usage();
    let buffer = device.create_buffer(&GpuBufferDescriptor {
        size: random.size(),
        usage,
        mapped_at_creation: random.flag(),
        label: random.label(),
    });
    keep!(world.buffers, buffer);
}

pub fn buffer_properties(world: &mut World) {
    let buffer = take!(world.buffers);
    buffer.size();
    buffer.usage();
    buffer.map_state();
}

pub fn map(world: &mut World) {
    let buffer = take!(world.buffers);
    let random = &mut world.random;
    let mode = match random.below(8) {
        0 => GpuMapMode::from_bits_truncate(random.any() as u8),
        1..4 => GpuMapMode::WRITE,
        _ => GpuMapMode::READ,
    };
    let (offset, size) = (random.one_in(3).then(|| random.offset()), random.one_in(3).then(|| random.size()));
    world.start(async move {
        let _ = buffer.map_async(mode, offset, size).await;
        None
    });
}

pub fn get_mapped_range(world: &mut World) {
    let buffer = take!(world.buffers);
    let random = &mut world.random;
    let (offset, size) = (random.one_in(3).then(|| random.offset()), random.one_in(3).then(|| random.size()));
    drop(buffer.get_mapped_range_get_with_copy(offset, size));
}

pub fn set_mapped_range(world: &mut World) {
    let buffer = take!(world.buffers);
    let random = &mut world.random;
    let data = random.counts();
    let (offset, size) = (random.one_in(3).then(|| random.offset()), random.one_in(3).then(|| random.size()));
    drop(buffer.get_mapped_range_set_with_copy(&data, offset, size));
}

pub fn unmap(world: &mut World) {
    let buffer = take!(world.buffers);
    drop(buffer.unmap());
}

pub fn destroy_buffer(world: &mut World) {
    let buffer = take!(world.buffers);
    if world.random.one_in(2) {
        buffer.destroy();
    }
}

pub fn create_texture(world: &mut World) {
    let device = take!(world.devices);
    let random = &mut world.random;
    let texture = device.create_texture(&GpuTextureDescriptor {
        size: random.extent(),
        mip_level_count: random.one_in(4).then(|| random.small()),
        sample_count: random.one_in(4).then(|| random.pick(&[0, 1, 2, 4, 4, 8, u32::MAX])),
        dimension: random.one_in(3).then(|| {
            random.pick(&[GpuTextureDimension::D1, GpuTextureDimension::D2, GpuTextureDimension::D3])
        }),
        format: random.format(),
        usage: random.texture_usage(),
        view_formats: random.one_in(4).then(|| (0..random.below(4)).map(|_| random.format()).collect()),
        texture_binding_view_dimension: random.one_in(4).then(|| random.view_dimension()),
        label: random.label(),
    });
    keep!(world.textures, texture);
}

pub fn texture_properties(world: &mut World) {
    let texture = take!(world.textures);
    texture.width();
    texture.height();
    texture.depth_or_array_layers();
    texture.mip_level_count();
    texture.sample_count();
    texture.dimension();
    texture.format();
    texture.usage();
    texture.texture_binding_view_dimension();
}

pub fn create_view(world: &mut World) {
    let texture = take!(world.textures);
    let descriptor = world.random.one_in(2).then(|| {
        let random = &mut world.random;
        GpuTextureViewDescriptor {
            format: random.one_in(3).then(|| random.format()),
            dimension: random.one_in(2).then(|| random.view_dimension()),
            usage: random.one_in(3).then(|| random.texture_usage()),
            aspect: random.one_in(3).then(|| random.aspect()),
            base_mip_level: random.one_in(3).then(|| random.small()),
            mip_level_count: random.one_in(3).then(|| random.number()),
            base_array_layer: random.one_in(3).then(|| random.number()),
            array_layer_count: random.one_in(3).then(|| random.small()),
            swizzle: random.one_in(6).then(|| random.pick(&["rgba", "rrrr", "", "rgbargba"]).into()),
            label: random.label(),
        }
    });
    keep!(world.views, texture.create_view(descriptor.as_ref()));
}

pub fn destroy_texture(world: &mut World) {
    let texture = take!(world.textures);
    if world.random.one_in(2) {
        texture.destroy();
    }
}

pub fn create_sampler(world: &mut World) {
    use GpuAddressMode::{ClampToEdge, MirrorRepeat, Repeat};
    use GpuFilterMode::{Linear, Nearest};
    let device = take!(world.devices);
    let descriptor = world.random.maybe(|random| {
        let mut address = || random.pick(&[None, Some(ClampToEdge), Some(Repeat), Some(MirrorRepeat)]);
        let (address_mode_u, address_mode_v, address_mode_w) = (address(), address(), address());
        GpuSamplerDescriptor {
            address_mode_u,
            address_mode_v,
            address_mode_w,
            mag_filter: random.pick(&[None, Some(Nearest), Some(Linear)]),
            min_filter: random.pick(&[None, Some(Nearest), Some(Linear)]),
            mipmap_filter: random.pick(&[None, Some(GpuMipmapFilterMode::Linear)]),
            lod_min_clamp: random.maybe(|random| random.float()),
            lod_max_clamp: random.maybe(|random| random.float()),
            compare: random.one_in(3).then(|| random.compare()),
            max_anisotropy: random.pick(&[None, Some(0), Some(1), Some(16), Some(u16::MAX)]),
            label: random.label(),
        }
    });
    keep!(world.samplers, device.create_sampler(descriptor.as_ref()));
}

pub fn create_query_set(world: &mut World) {
    let device = take!(world.devices);
    let random = &mut world.random;
    let set = device.create_query_set(&GpuQuerySetDescriptor {
        type_: random.pick(&[GpuQueryType::Occlusion, GpuQueryType::Occlusion, GpuQueryType::Timestamp]),
        count: random.pick(&[0, 1, 2, 8, 4096, 4097, u32::MAX]),
        label: random.label(),
    });
    if let Ok(set) = set {
        keep!(world.query_sets, set);
    }
}

pub fn query_set_properties(world: &mut World) {
    let set = take!(world.query_sets);
    set.count();
    set.type_();
    if world.random.one_in(4) {
        set.destroy();
    }
}
