// Light is computed linearly, and encoded for the screen at the end of each fragment: an sRGB format would do the same encoding more
// exactly, and at twice the cost of the whole picture on a software rasteriser.

struct Uniforms {
    world_to_clip: mat4x4f,
    world_to_shadow: mat4x4f,
    knot_to_world: mat4x4f,
    // The ray of sight through the point (x, y) of the picture, -1 to 1, is ray_centre + x * ray_right + y * ray_up.
    ray_centre: vec4f,
    ray_right: vec4f,
    ray_up: vec4f,
    eye: vec4f,
    sun: vec4f,
    // Between the directions to the sun and to the eye, seen from the knot.
    half_way: vec4f,
    // The light of the haze, linear.
    horizon: vec4f,
}

@group(0) @binding(0) var<uniform> scene: Uniforms;
@group(0) @binding(1) var shadow_map: texture_depth_2d;
@group(0) @binding(2) var shadow_sampler: sampler_comparison;
@group(0) @binding(3) var glaze: texture_2d<f32>;
@group(0) @binding(4) var glaze_sampler: sampler;

// pass::SKY_CELLS
const SKY_CELLS = 16u;

const SUN_LIGHT = vec3f(1.55, 1.38, 1.12);
const ZENITH = vec3f(0.10, 0.19, 0.36);
const GROUND = vec3f(0.40, 0.36, 0.33);

// Linear light to a picture: a film's response curve, which rolls highlights off softly, with the screen's gamma of 2.2 already in it
// (Hejl and Burgess-Dawson's rational approximation).
fn develop(light: vec3f) -> vec4f {
    let x = max(light - 0.004, vec3f());
    let numerator = x * (6.2 * x + 0.5);
    return vec4f(numerator / (x * (6.2 * x + 1.7) + 0.06), 1.0);
}

// The light that comes from a direction: warm haze at the horizon, blue above.
fn sky(up: f32) -> vec3f {
    let t = 1.0 - saturate(up * 1.6);
    let haze = t * t;
    return mix(ZENITH, scene.horizon.rgb, haze * t);
}

// How much of the sun reaches a point of the shadow map: the mean of the two by two texels around it.
fn sunlight(at: vec3f) -> f32 {
    return textureSampleCompareLevel(shadow_map, shadow_sampler, at.xy, at.z);
}

// The sun's rays are parallel, so the place in the shadow map may be interpolated between vertices as it is.
fn to_shadow_map(world: vec3f) -> vec3f {
    let clip = scene.world_to_shadow * vec4f(world, 1.0);
    return vec3f(clip.xy * vec2f(0.5, -0.5) + 0.5, clip.z);
}

// ---- The shadow pass.

@vertex
fn shadow_vertex(@location(0) position: vec3f) -> @builtin(position) vec4f {
    return scene.world_to_shadow * (scene.knot_to_world * vec4f(position, 1.0));
}

// ---- The knot. Light that changes slowly over its surface is computed at the vertices; the highlight and the glaze need every pixel.

struct KnotPoint {
    @builtin(position) clip: vec4f,
    @location(0) normal: vec3f,
    @location(1) light: vec3f,
    // The sky mirrored in the clear coat, and how much of the sun is seen from here.
    @location(2) mirrored: vec4f,
    @location(3) uv: vec2f,
}

@vertex
fn knot_vertex(@location(0) position: vec3f, @location(1) normal: vec3f, @location(2) uv: vec2f) -> KnotPoint {
    let world = scene.knot_to_world * vec4f(position, 1.0);
    let turned = (scene.knot_to_world * vec4f(normal, 0.0)).xyz;
    let to_eye = normalize(scene.eye.xyz - world.xyz);
    // A step along the normal keeps a lit surface out of its own shadow.
    let sun = sunlight(to_shadow_map(world.xyz + turned * 0.02));

    // Light from the whole sky above, from the lit ground below, and from the sun.
    let ambient = mix(GROUND * 0.55, vec3f(0.36, 0.42, 0.52), turned.y * 0.5 + 0.5);
    let direct = SUN_LIGHT * (sun * saturate(dot(turned, scene.sun.xyz)));

    // The coat mirrors more where the surface turns away (Schlick's approximation).
    let mirrored = reflect(-to_eye, turned);
    let fresnel = 0.04 + 0.96 * pow(1.0 - saturate(dot(turned, to_eye)), 5.0);

    var out: KnotPoint;
    out.clip = scene.world_to_clip * world;
    out.normal = turned;
    out.light = ambient + direct;
    out.mirrored = vec4f(select(GROUND * 0.8, sky(mirrored.y), mirrored.y > 0.0) * fresnel, sun);
    out.uv = uv;
    return out;
}

@fragment
fn knot_fragment(in: KnotPoint) -> @location(0) vec4f {
    let encoded = textureSample(glaze, glaze_sampler, in.uv).rgb;
    let aligned = saturate(dot(in.normal, scene.half_way.xyz) * inverseSqrt(dot(in.normal, in.normal)));
    let aligned4 = aligned * aligned * aligned * aligned;
    let aligned16 = aligned4 * aligned4 * aligned4 * aligned4;
    let highlight = SUN_LIGHT * (in.mirrored.w * aligned16 * (aligned16 * aligned16 * aligned16 * 0.9 + 0.05));
    return develop(encoded * encoded * in.light + in.mirrored.rgb + highlight);
}

// ---- The ground: near the knot with its shadow, further out so smooth that its colour is computed at the vertices only.

fn ground(place: vec2f, sun: f32) -> vec4f {
    let r2 = dot(place, place);
    // The knot hides a part of the sky from the ground below it, and far away everything fades into the haze.
    let open = 1.0 - 0.55 / (1.0 + r2 * 1.4);
    let fade = saturate(r2 * (1.0 / 100.0));
    let lit = GROUND * (vec3f(0.30, 0.35, 0.44) * open + SUN_LIGHT * 0.8 * sun);
    return develop(mix(lit, scene.horizon.rgb, fade));
}

struct NearGroundPoint {
    @builtin(position) clip: vec4f,
    @location(0) place: vec2f,
    @location(1) shadow: vec3f,
}

@vertex
fn near_ground_vertex(@location(0) position: vec3f) -> NearGroundPoint {
    var out: NearGroundPoint;
    out.clip = scene.world_to_clip * vec4f(position, 1.0);
    out.place = position.xz;
    out.shadow = to_shadow_map(position);
    return out;
}

@fragment
fn near_ground_fragment(in: NearGroundPoint) -> @location(0) vec4f {
    return ground(in.place, sunlight(in.shadow));
}

struct BackdropPoint {
    @builtin(position) clip: vec4f,
    @location(0) colour: vec4f,
}

@vertex
fn far_ground_vertex(@location(0) position: vec3f) -> BackdropPoint {
    return BackdropPoint(scene.world_to_clip * vec4f(position, 1.0), ground(position.xz, 1.0));
}

// ---- The sky: a grid between the horizon and the picture's upper edge. Below the horizon, haze is what the picture is cleared to.

@vertex
fn sky_vertex(@builtin(vertex_index) index: u32, @builtin(instance_index) row: u32) -> BackdropPoint {
    // Each instance is a row of the grid: two triangles for each of its columns.
    let corner = index % 6u;
    let column = index / 6u + u32(corner == 1u || corner == 2u || corner == 4u);
    let line = row + u32(corner == 2u || corner == 4u || corner == 5u);
    let place = vec2f(f32(column), f32(line)) / f32(SKY_CELLS);
    // The camera does not roll, so the horizon is level.
    let horizon = clamp(-scene.ray_centre.y / scene.ray_up.y, -1.0, 1.0);
    let at = vec2f(place.x * 2.0 - 1.0, mix(horizon, 1.0, place.y));
    let ray = scene.ray_centre.xyz + at.x * scene.ray_right.xyz + at.y * scene.ray_up.xyz;
    return BackdropPoint(vec4f(at, 0.0, 1.0), develop(sky(normalize(ray).y)));
}

@fragment
fn backdrop_fragment(in: BackdropPoint) -> @location(0) vec4f {
    return in.colour;
}
