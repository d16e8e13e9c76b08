//! What lies out of bounds or was never written: <https://www.w3.org/TR/webgpu/#security-shader>
//!
//! Other bytes of the process must never be seen. So buffers and textures full of [`CANARY`] lie around, alive and freed, and no shader
//! may find it where it was not written.

use conformance::drawing::{
    TARGET, attachment, bytes_of, bytes_of_words, extent, first_of, kept, pass, texture_2d, view, words,
};
use conformance::webgpu::*;
use conformance::{Texel, Topic};

conformance::export_topic!(run);

const CANARY: u8 = 0xc5;
const CANARY_WORD: u32 = 0xc5c5_c5c5;
const STORAGE: GpuBufferUsage = GpuBufferUsage::STORAGE.union(GpuBufferUsage::COPY_SRC);

async fn run(topic: &mut Topic) {
    let alive: Vec<_> = (0..16).map(|_| topic.buffer(STORAGE, &[CANARY; 4096])).collect();
    storage_reads(topic).await;
    storage_writes(topic, &alive).await;
    parts_of_buffers(topic).await;
    uniform_reads(topic).await;
    local_memory(topic).await;
    texture_reads(topic).await;
    texture_writes(topic).await;
    drop(alive);
    new_buffers(topic).await;
    new_textures(topic).await;
    written_in_part(topic).await;
    workgroup_memory(topic).await;
}

/// Indices just beyond eight words, far beyond them, and such that bytes overflow.
const BEYOND: [u32; 8] = [8, 9, 64, 1024, 1 << 20, 1 << 30, 1 << 31, u32::MAX];

fn numbered(topic: &Topic, usage: GpuBufferUsage) -> GpuBuffer {
    topic.buffer(usage, &bytes_of_words(&[1, 2, 3, 4, 5, 6, 7, 8]))
}

async fn storage_reads(topic: &mut Topic) {
    let tested = numbered(topic, STORAGE);
    let indices = topic.buffer(STORAGE, &bytes_of_words(&BEYOND));
    for array in ["array<u32>", "array<u32, 8>"] {
        let code = format!(
            "@group(0) @binding(0) var<storage, read_write> out: array<u32>;
            @group(0) @binding(1) var<storage, read> tested: {array};
            @group(0) @binding(2) var<storage, read> indices: array<u32>;
            @compute @workgroup_size(1) fn main() {{
                for (var at = 0; at < 8; at++) {{ out[at] = tested[indices[at]]; }}
                for (var at = 0; at < 8; at++) {{ out[at + 8] = tested[i32(indices[at])]; }}
            }}"
        );
        let resources = vec![GpuBindingResource::GpuBuffer(&tested), GpuBindingResource::GpuBuffer(&indices)];
        let found = topic.computed(&code, resources, 16).await;
        topic.check(
            &format!("{array}: a read out of bounds is 0 or a value of its buffer: {found:?}"),
            found.iter().all(|value| *value <= 8),
        );
    }
}

async fn storage_writes(topic: &mut Topic, alive: &[GpuBuffer]) {
    let tested = topic.buffer(STORAGE, &[0; 32]);
    let indices = topic.buffer(STORAGE, &bytes_of_words(&BEYOND));
    let code = "
        @group(0) @binding(0) var<storage, read_write> tested: array<atomic<u32>>;
        @group(0) @binding(1) var<storage, read> indices: array<u32>;
        @compute @workgroup_size(1) fn main() {
            for (var at = 0; at < 8; at++) {
                atomicStore(&tested[indices[at]], 77);
                atomicAdd(&tested[indices[at]], 1);
            }
        }";
    topic.compute(
        code,
        vec![GpuBindingResource::GpuBuffer(&tested), GpuBindingResource::GpuBuffer(&indices)],
        1,
    );
    let code = "
        @group(0) @binding(0) var<storage, read_write> tested: array<vec4u>;
        @group(0) @binding(1) var<storage, read> indices: array<u32>;
        @compute @workgroup_size(1) fn main() { for (var at = 0; at < 8; at++) { tested[indices[at]] = vec4u(77); } }";
    topic.compute(
        code,
        vec![GpuBindingResource::GpuBuffer(&tested), GpuBindingResource::GpuBuffer(&indices)],
        1,
    );
    let mut intact = true;
    for buffer in alive {
        intact &= topic.bytes(buffer).await.iter().all(|byte| *byte == CANARY);
    }
    topic.check("a write out of bounds changes no other buffer", intact);
    let found = words(&topic.bytes(&indices).await);
    topic.equal("a write out of bounds changes no buffer that is bound beside", found, BEYOND);
}

/// What is bound is a part of a buffer; the rest of the buffer is out of bounds too.
async fn parts_of_buffers(topic: &mut Topic) {
    let mut bytes = vec![CANARY; 1024];
    bytes[256..272].fill(1);
    let tested = topic.buffer(STORAGE | GpuBufferUsage::UNIFORM, &bytes);
    let indices = topic.buffer(STORAGE, &bytes_of_words(&[4, 5, 16, 64, 100, u32::MAX, 1 << 30, 0]));
    let code = "
        @group(0) @binding(0) var<storage, read_write> out: array<u32>;
        @group(0) @binding(1) var<storage, read> tested: array<u32>;
        @group(0) @binding(2) var<storage, read> indices: array<u32>;
        @compute @workgroup_size(1) fn main() {
            for (var at = 0; at < 8; at++) { out[at] = tested[indices[at]]; }
            out[8] = arrayLength(&tested);
        }";
    let part = GpuBufferBinding { buffer: &tested, offset: Some(256), size: Some(16) };
    let resources = vec![GpuBindingResource::GpuBufferBinding(part), GpuBindingResource::GpuBuffer(&indices)];
    let found = topic.computed(code, resources, 9).await;
    topic.equal("an array is as long as what is bound", found[8], 4);
    let inside = found[..8].iter().all(|value| [0, 0x0101_0101].contains(value));
    topic.check(&format!("a read beyond what is bound sees no other part of its buffer: {found:x?}"), inside);
}

async fn uniform_reads(topic: &mut Topic) {
    let tested = topic.buffer(GpuBufferUsage::UNIFORM, &bytes_of_words(&[1, 2, 3, 4, 5, 6, 7, 8]));
    let indices = topic.buffer(STORAGE, &bytes_of_words(&BEYOND));
    let code = "
        @group(0) @binding(0) var<storage, read_write> out: array<u32>;
        @group(0) @binding(1) var<uniform> tested: array<vec4u, 2>;
        @group(0) @binding(2) var<storage, read> indices: array<u32>;
        @compute @workgroup_size(1) fn main() {
            for (var at = 0; at < 8; at++) { out[at] = tested[indices[at]][indices[at]]; }
            for (var at = 0; at < 8; at++) { out[at + 8] = tested[1][indices[at]]; }
        }";
    let resources = vec![GpuBindingResource::GpuBuffer(&tested), GpuBindingResource::GpuBuffer(&indices)];
    let found = topic.computed(code, resources, 16).await;
    topic.check(
        &format!("a uniform out of bounds is 0 or a value of its buffer: {found:?}"),
        found.iter().all(|value| *value <= 8),
    );
}

/// Arrays of a workgroup, of an invocation and of a function, and their vectors.
async fn local_memory(topic: &mut Topic) {
    let indices = topic.buffer(STORAGE, &bytes_of_words(&BEYOND));
    let code = "
        @group(0) @binding(0) var<storage, read_write> out: array<u32>;
        @group(0) @binding(1) var<storage, read> indices: array<u32>;
        var<workgroup> before: array<u32, 64>;
        var<workgroup> shared_words: array<u32, 8>;
        var<workgroup> behind: array<u32, 64>;
        var<private> own: array<u32, 8>;
        @compute @workgroup_size(1) fn main() {
            var local: array<u32, 8>;
            let fixed = array<u32, 8>(1, 2, 3, 4, 5, 6, 7, 8);
            for (var at = 0; at < 64; at++) { before[at] = 0xc5c5c5c5u; behind[at] = 0xc5c5c5c5u; }
            for (var at = 0; at < 8; at++) {
                shared_words[indices[at]] = 77;
                own[indices[at]] = 77;
                local[indices[at]] = 77;
                var value = max(shared_words[indices[at]], max(own[indices[at]], local[indices[at]]));
                value = max(value, fixed[indices[at]]);
                out[at] = value;
            }
            for (var at = 0; at < 64; at++) {
                if before[at] != 0xc5c5c5c5u || behind[at] != 0xc5c5c5c5u { out[8] = 1; }
            }
        }";
    let found = topic.computed(code, vec![GpuBindingResource::GpuBuffer(&indices)], 9).await;
    topic.check(
        &format!("memory of a shader out of bounds is its own: {found:?}"),
        found[..8].iter().all(|value| *value <= 77),
    );
    topic.equal("a write out of bounds changes no other array of the workgroup", found[8], 0);
}

/// Coordinates, levels and layers beyond a view of two of four layers.
async fn texture_reads(topic: &mut Topic) {
    let usage = GpuTextureUsage::TEXTURE_BINDING | GpuTextureUsage::COPY_DST;
    let make = |value: u8, layers| {
        let texture = topic.device().create_texture(&GpuTextureDescriptor {
            size: extent(2, 2, layers),
            mip_level_count: Some(2),
            ..texture_2d(2, 2, GpuTextureFormat::R32uint, usage)
        });
        for (level, side) in [(0, 2), (1, 1)] {
            topic.queue().write_texture_with_copy(
                &GpuTexelCopyTextureInfo { mip_level: Some(level), ..first_of(&texture) },
                &vec![value; (side * side * layers * 4) as usize],
                GpuTexelCopyBufferLayout {
                    offset: None,
                    bytes_per_row: Some(side * 4),
                    rows_per_image: Some(side),
                },
                extent(side, side, layers),
            );
        }
        texture
    };
    let canaries = [make(CANARY, 6), make(CANARY, 6)];
    let tested = make(1, 4);
    let part = tested.create_view(Some(&GpuTextureViewDescriptor { array_layer_count: Some(2), ..view() }));
    let numbers =
        topic.buffer(STORAGE, &bytes_of_words(&[2, 3, 100, 1 << 16, 1 << 30, u32::MAX, 1 << 31, 4]));
    let code = "
        @group(0) @binding(0) var<storage, read_write> out: array<u32>;
        @group(0) @binding(1) var t: texture_2d_array<u32>;
        @group(0) @binding(2) var<storage, read> numbers: array<u32>;
        @compute @workgroup_size(1) fn main() {
            for (var at = 0u; at < 8; at++) {
                let far = numbers[at];
                out[at] = textureLoad(t, vec2u(far, 0), 0, 0).r;
                out[at + 8] = textureLoad(t, vec2u(0, far), 0, 0).r;
                out[at + 16] = textureLoad(t, vec2u(0), far, 0).r;
                out[at + 24] = textureLoad(t, vec2u(0), 0, i32(far)).r;
                out[at + 32] = textureLoad(t, vec2i(i32(0 - far), 0), 1, 1).r;
            }
        }";
    let resources = vec![GpuBindingResource::GpuTextureView(&part), GpuBindingResource::GpuBuffer(&numbers)];
    let found = topic.computed(code, resources, 40).await;
    let inside = found.iter().all(|value| [0, 0x0101_0101].contains(value));
    topic.check(&format!("a texel out of bounds is 0 or a texel of its view: {found:x?}"), inside);
    drop(canaries);
}

async fn texture_writes(topic: &mut Topic) {
    let usage = GpuTextureUsage::STORAGE_BINDING | GpuTextureUsage::COPY_SRC;
    let make = || topic.device().create_texture(&texture_2d(2, 2, GpuTextureFormat::R32uint, usage));
    let textures = [make(), make(), make()];
    let tested = textures[1].create_view(None);
    let numbers = topic.buffer(STORAGE, &bytes_of_words(&[2, 3, 64, 1 << 16, 1 << 30, u32::MAX, 1 << 31, 4]));
    let code = "
        @group(0) @binding(0) var t: texture_storage_2d<r32uint, write>;
        @group(0) @binding(1) var<storage, read> numbers: array<u32>;
        @compute @workgroup_size(1) fn main() {
            for (var at = 0u; at < 8; at++) {
                textureStore(t, vec2u(numbers[at], 0), vec4u(77));
                textureStore(t, vec2u(0, numbers[at]), vec4u(77));
                textureStore(t, vec2i(-1, i32(at) - 4), vec4u(77));
            }
        }";
    topic.compute(
        code,
        vec![GpuBindingResource::GpuTextureView(&tested), GpuBindingResource::GpuBuffer(&numbers)],
        1,
    );
    for texture in &textures {
        let found = topic.texels(texture, Texel::default()).await;
        topic.equal("a texel that is written out of bounds is written nowhere", found, [0; 16]);
    }
}

async fn new_buffers(topic: &mut Topic) {
    const SIZE: u64 = 1 << 16;
    for round in 0..4 {
        let canaries: Vec<_> = (0..8).map(|_| topic.buffer(STORAGE, &vec![CANARY; SIZE as usize])).collect();
        topic.queue().on_submitted_work_done().await;
        for canary in &canaries {
            if round % 2 == 0 {
                canary.destroy();
            }
        }
        drop(canaries);
        topic.queue().on_submitted_work_done().await;
        let mut zeros = true;
        for _ in 0..8 {
            let fresh = topic.empty_buffer(STORAGE, SIZE);
            zeros &= topic.bytes(&fresh).await.iter().all(|byte| *byte == 0);
        }
        topic.check("a new buffer is full of zeros when it is copied", zeros);
        let code = "
            @group(0) @binding(0) var<storage, read_write> out: array<u32>;
            @group(0) @binding(1) var<storage, read_write> fresh: array<u32>;
            @compute @workgroup_size(1) fn main() {
                var found = 0u;
                for (var at = 0u; at < 16384u; at++) { found |= fresh[at]; }
                out[0] = found;
            }";
        let fresh = topic.empty_buffer(STORAGE, SIZE);
        let found = topic.computed(code, vec![GpuBindingResource::GpuBuffer(&fresh)], 1).await;
        topic.equal("a new buffer is full of zeros when a shader reads it", found, [0]);
        let mapped = topic.device().create_buffer(&GpuBufferDescriptor {
            size: SIZE,
            usage: GpuBufferUsage::MAP_WRITE | GpuBufferUsage::COPY_SRC,
            mapped_at_creation: Some(true),
            label: None,
        });
        let bytes = mapped.get_mapped_range_get_with_copy(None, None).expect("the buffer is mapped");
        topic.check("a new buffer is full of zeros when it is mapped", bytes.iter().all(|byte| *byte == 0));
    }
}

async fn new_textures(topic: &mut Topic) {
    const SIDE: u32 = 64;
    let usage = GpuTextureUsage::TEXTURE_BINDING
        | GpuTextureUsage::COPY_DST
        | GpuTextureUsage::COPY_SRC
        | GpuTextureUsage::RENDER_ATTACHMENT;
    let described = GpuTextureDescriptor {
        size: extent(SIDE, SIDE, 2),
        mip_level_count: Some(2),
        ..texture_2d(SIDE, SIDE, TARGET, usage)
    };
    for round in 0..3 {
        for _ in 0..4 {
            let canary = topic.device().create_texture(&described);
            for (level, side) in [(0, SIDE), (1, SIDE / 2)] {
                topic.queue().write_texture_with_copy(
                    &GpuTexelCopyTextureInfo { mip_level: Some(level), ..first_of(&canary) },
                    &vec![CANARY; (side * side * 2 * 4) as usize],
                    GpuTexelCopyBufferLayout {
                        offset: None,
                        bytes_per_row: Some(side * 4),
                        rows_per_image: Some(side),
                    },
                    extent(side, side, 2),
                );
            }
            topic.queue().on_submitted_work_done().await;
            canary.destroy();
        }
        let fresh = topic.device().create_texture(&described);
        let mut zeros = true;
        for (mip_level, layer) in [(1, 1), (0, 0), (0, 1), (1, 0)] {
            let texel = Texel { mip_level, layer, ..Texel::default() };
            zeros &= topic.texels(&fresh, texel).await.iter().all(|byte| *byte == 0);
        }
        topic.check("a new texture is full of zeros when it is copied", zeros);
        let fresh = topic.device().create_texture(&described);
        let whole = fresh.create_view(None);
        let code = "
            @group(0) @binding(0) var<storage, read_write> out: array<u32>;
            @group(0) @binding(1) var t: texture_2d_array<f32>;
            @compute @workgroup_size(1) fn main() {
                var found = 0.0;
                for (var at = 0u; at < 64u * 64u; at++) {
                    let texel = textureLoad(t, vec2u(at % 64, at / 64), 1, 0) + textureLoad(t, vec2u(at % 32, at / 128), 0, 1);
                    found += dot(texel, vec4f(1));
                }
                out[0] = u32(found * 255.0);
            }";
        let found = topic.computed(code, vec![GpuBindingResource::GpuTextureView(&whole)], 1).await;
        topic.equal("a new texture is full of zeros when a shader reads it", found, [0]);
        let fresh = topic.device().create_texture(&GpuTextureDescriptor {
            size: extent(SIDE, SIDE, 1),
            mip_level_count: None,
            ..described.clone()
        });
        let view = fresh.create_view(None);
        topic.render(&pass([kept(&view)]), |_| ());
        let found = topic.pixels(&fresh).await;
        topic.check(
            &format!("a new texture that is loaded is transparent black, round {round}"),
            found.iter().all(|pixel| *pixel == [0; 4]),
        );
    }
    // A new depth is 0, which nothing is less than.
    let usage = GpuTextureUsage::RENDER_ATTACHMENT | GpuTextureUsage::COPY_SRC;
    let depth = topic.device().create_texture(&texture_2d(4, 4, GpuTextureFormat::Depth32float, usage));
    let found = topic.texels(&depth, Texel::default()).await;
    topic.check("a new depth is 0", found.iter().all(|byte| *byte == 0));
}

/// What was written in part has zeros in the rest.
async fn written_in_part(topic: &mut Topic) {
    let canary = topic.target(8, 8);
    let view = canary.create_view(None);
    let color = f64::from(CANARY) / 255.0;
    let clear = GpuColor { r: color, g: color, b: color, a: color };
    topic.render(
        &pass([GpuRenderPassColorAttachment { clear_value: Some(clear), ..attachment(&view) }]),
        |_| (),
    );
    topic.queue().on_submitted_work_done().await;
    drop(view);
    canary.destroy();
    let fresh = topic.target(8, 8);
    let layout = GpuTexelCopyBufferLayout { offset: None, bytes_per_row: Some(8), rows_per_image: None };
    topic.queue().write_texture_with_copy(&first_of(&fresh), &[9; 16], layout, extent(2, 2, 1));
    let found = topic.pixels(&fresh).await;
    let rest = (0..64).filter(|at| at % 8 > 1 || at / 8 > 1);
    topic.equal("what was written of a new texture is there", found[0], [9; 4]);
    topic.check(
        "what was not written of a new texture is zero",
        rest.into_iter().all(|at| found[at] == [0; 4]),
    );

    // The rows of a copy lie 256 bytes apart: what lies between is not written.
    let buffer = topic.empty_buffer(GpuBufferUsage::COPY_DST | GpuBufferUsage::COPY_SRC, 1024);
    topic.submit(|encoder| {
        encoder.copy_texture_to_buffer(
            &first_of(&fresh),
            &bytes_of(&buffer, Some(256), None),
            extent(2, 4, 1),
        );
    });
    let found = topic.bytes(&buffer).await;
    let expected: Vec<u8> = (0..1024).map(|at| if at % 256 < 8 && at < 512 { 9 } else { 0 }).collect();
    topic.check("what a copy leaves out of a new buffer is zero", found == expected);
}

async fn workgroup_memory(topic: &mut Topic) {
    let write = "
        var<workgroup> words: array<u32, 2048>;
        @group(0) @binding(0) var<storage, read_write> out: array<u32>;
        @compute @workgroup_size(64) fn main(@builtin(local_invocation_index) i: u32) {
            for (var at = i; at < 2048; at += 64) { words[at] = 0xc5c5c5c5u; }
            workgroupBarrier();
            out[0] = words[(i * 97) % 2048];
        }";
    let read = "
        var<workgroup> words: array<u32, 2048>;
        @group(0) @binding(0) var<storage, read_write> out: array<u32>;
        @compute @workgroup_size(1) fn main() {
            var own: array<u32, 64>;
            var found = 0u;
            for (var at = 0; at < 2048; at++) { found |= words[at]; }
            for (var at = 0; at < 64; at++) { found |= own[at]; }
            out[0] = found;
        }";
    for _ in 0..4 {
        let found = topic.computed(write, vec![], 1).await;
        topic.equal("workgroup memory is written", found, [CANARY_WORD]);
        let found = topic.computed(read, vec![], 1).await;
        topic.equal("memory of a workgroup and of an invocation begins as zeros", found, [0]);
    }
}
