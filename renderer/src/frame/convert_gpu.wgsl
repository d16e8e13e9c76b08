// RGB to I420, BT.709, limited range. One invocation converts 8 x 2 pixels: four words of Y, one of U, one of V. Offsets and
// strides are in 32-bit words. Pixels beyond the picture's edge repeat the edge; they land in the padding of a row.

struct Layout {
    size: vec2u,
    luma_stride: u32,
    chroma_stride: u32,
    u_offset: u32,
    v_offset: u32,
}

@group(0) @binding(0) var picture: texture_2d<f32>;
@group(0) @binding(1) var<storage, read_write> planes: array<u32>;
@group(0) @binding(2) var<uniform> place: Layout;

// ITU-R BT.709-6, section 3.2; scaled to 8-bit limited range, section 3.4, as fractions of 255.
const LUMA = vec3f(0.2126, 0.7152, 0.0722);

fn pixel(position: vec2u) -> vec3f {
    let inside = min(position, place.size - 1u);
    return clamp(textureLoad(picture, inside, 0).rgb, vec3f(0.0), vec3f(1.0));
}

// Rounds to the nearest level, as the conversion on the processor does.
fn pack(values: vec4f) -> u32 {
    return pack4x8unorm(values);
}

@compute @workgroup_size(8, 8)
fn convert(@builtin(global_invocation_id) id: vec3u) {
    let origin = id.xy * vec2u(8u, 2u);
    if any(origin >= place.size) {
        return;
    }
    var u = vec4f();
    var v = vec4f();
    var upper: array<vec4f, 2>;
    var lower: array<vec4f, 2>;
    for (var pair = 0u; pair < 4u; pair++) {
        let corner = origin + vec2u(2u * pair, 0u);
        let a = pixel(corner);
        let b = pixel(corner + vec2u(1u, 0u));
        let c = pixel(corner + vec2u(0u, 1u));
        let d = pixel(corner + vec2u(1u, 1u));
        let word = pair / 2u;
        let lane = 2u * (pair % 2u);
        upper[word][lane] = dot(a, LUMA);
        upper[word][lane + 1u] = dot(b, LUMA);
        lower[word][lane] = dot(c, LUMA);
        lower[word][lane + 1u] = dot(d, LUMA);
        let mean = (a + b + c + d) * 0.25;
        let luma = dot(mean, LUMA);
        u[pair] = (mean.b - luma) / 1.8556;
        v[pair] = (mean.r - luma) / 1.5748;
    }
    let luma_word = origin.y * place.luma_stride + origin.x / 4u;
    for (var word = 0u; word < 2u; word++) {
        planes[luma_word + word] = pack((16.0 + 219.0 * upper[word]) / 255.0);
        planes[luma_word + place.luma_stride + word] = pack((16.0 + 219.0 * lower[word]) / 255.0);
    }
    let chroma_word = (origin.y / 2u) * place.chroma_stride + origin.x / 8u;
    planes[place.u_offset + chroma_word] = pack((128.0 + 224.0 * u) / 255.0);
    planes[place.v_offset + chroma_word] = pack((128.0 + 224.0 * v) / 255.0);
}
