// Drawn and computed by the guest and by its native twin in renderer/src/bench/hostcalls/native.rs.

struct Quad {
    corner: vec2f,
    side: f32,
}

@group(0) @binding(0) var<uniform> quad: Quad;

@vertex fn vertex(@builtin(vertex_index) i: u32) -> @builtin(position) vec4f {
    let corner = vec2f(f32(i & 1u), f32(i >> 1u));
    return vec4f(quad.corner + quad.side * corner, 0, 1);
}

@fragment fn fragment() -> @location(0) vec4f {
    return vec4f(1, 0.5, 0.25, 1);
}

@group(0) @binding(0) var<storage, read_write> counter: array<u32>;

@compute @workgroup_size(1) fn count() {
    counter[0] += 1u;
}
