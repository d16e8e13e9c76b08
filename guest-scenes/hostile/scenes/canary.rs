//! Tries: to find what others left. With seed 0 it fills memory of the GPU with a canary and leaves it behind; with seed 1 it reads what
//! it gets, in buffers, textures and workgroups.
//!
//! Must happen: what was never written is zero, also where this scene itself wrote before.

use conformance::webgpu::*;
use conformance::{Texel, Topic};
use hostile::seed;

conformance::export_topic!(run);

const CANARY: u8 = 0xc3;
const SIZES: &[u64] = &[4, 256, 4096, 65536, 1 << 20, 4 << 20];
const SIDE: u32 = 256;
const READER: &str = "
var<workgroup> words: array<u32, 1024>;
@group(0) @binding(0) var<storage, read_write> found: array<u32, 1024>;
@compute @workgroup_size(64) fn main(@builtin(local_invocation_index) index: u32) {
    for (var i = 0u; i < 16u; i++) { found[index * 16u + i] = words[index * 16u + i]; }
}";
const WRITER: &str = "
var<workgroup> words: array<u32, 1024>;
@group(0) @binding(0) var<storage, read_write> found: array<u32, 1024>;
@compute @workgroup_size(64) fn main(@builtin(local_invocation_index) index: u32) {
    for (var i = 0u; i < 16u; i++) { words[index * 16u + i] = 0xc3c3c3c3u; }
    workgroupBarrier();
    for (var i = 0u; i < 16u; i++) { found[index * 16u + i] = words[1023u - index * 16u - i]; }
}";

async fn run(topic: &mut Topic) {
    fill(topic).await;
    if seed() == 0 {
        return;
    }
    for round in 0..2 {
        for &size in SIZES {
            let buffer = topic.empty_buffer(GpuBufferUsage::COPY_SRC | GpuBufferUsage::STORAGE, size);
            let bytes = topic.bytes(&buffer).await;
            topic
                .check(&format!("a new buffer of {size} bytes is zero"), bytes.iter().all(|byte| *byte == 0));
        }
        let texels = topic.texels(&texture(topic), Texel::default()).await;
        topic.check("a new texture is zero", texels.iter().all(|byte| *byte == 0));
        let bytes = workgroup(topic, READER).await;
        topic.check("the memory of a workgroup begins as zeros", bytes.iter().all(|byte| *byte == 0));
        if round == 0 {
            fill(topic).await;
        }
    }
}

fn texture(topic: &Topic) -> GpuTexture {
    topic.device().create_texture(&GpuTextureDescriptor {
        size: GpuExtent3D { width: SIDE, height: Some(SIDE), depth_or_array_layers: None },
        mip_level_count: None,
        sample_count: None,
        dimension: None,
        format: GpuTextureFormat::Rgba8unorm,
        usage: GpuTextureUsage::COPY_SRC | GpuTextureUsage::COPY_DST,
        view_formats: None,
        texture_binding_view_dimension: None,
        label: None,
    })
}

/// Writes the canary everywhere, and drops or destroys what it wrote to.
async fn fill(topic: &mut Topic) {
    for &size in SIZES {
        let bytes = vec![CANARY; usize::try_from(size).expect("it fits")];
        let buffer = topic.buffer(GpuBufferUsage::COPY_SRC | GpuBufferUsage::STORAGE, &bytes);
        topic.check("the canary was written", topic.bytes(&buffer).await == bytes);
        if size % 3 == 0 {
            buffer.destroy();
        }
    }
    let texture = texture(topic);
    topic.queue().write_texture_with_copy(
        &GpuTexelCopyTextureInfo { texture: &texture, mip_level: None, origin: None, aspect: None },
        &vec![CANARY; (SIDE * SIDE * 4) as usize],
        GpuTexelCopyBufferLayout { offset: None, bytes_per_row: Some(SIDE * 4), rows_per_image: None },
        GpuExtent3D { width: SIDE, height: Some(SIDE), depth_or_array_layers: None },
    );
    let texels = topic.texels(&texture, Texel::default()).await;
    topic.check("the canary was drawn", texels.iter().all(|byte| *byte == CANARY));
    let bytes = workgroup(topic, WRITER).await;
    topic.check("the canary was in a workgroup", bytes.iter().all(|byte| *byte == CANARY));
}

/// What a shader finds.
async fn workgroup(topic: &Topic, code: &str) -> Vec<u8> {
    let module = topic.shader(code);
    let pipeline = topic.device().create_compute_pipeline(GpuComputePipelineDescriptor {
        compute: GpuProgrammableStage { module: &module, entry_point: None, constants: None },
        layout: GpuLayoutMode::Auto,
        label: None,
    });
    let found = topic.empty_buffer(GpuBufferUsage::COPY_SRC | GpuBufferUsage::STORAGE, 4096);
    let group = topic.gpu.bind_group(
        "",
        &pipeline.get_bind_group_layout(0),
        vec![GpuBindingResource::GpuBuffer(&found)],
    );
    topic.submit(|encoder| {
        let pass = encoder.begin_compute_pass(None);
        pass.set_pipeline(&pipeline);
        drop(pass.set_bind_group(0, Some(&group), None, None, None));
        pass.dispatch_workgroups(1, None, None);
        pass.end();
    });
    topic.bytes(&found).await
}
