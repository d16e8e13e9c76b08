struct Uniforms {
    angle: f32,
    aspect: f32,
}

@group(0) @binding(0) var<uniform> uniforms: Uniforms;

struct Corner {
    @builtin(position) position: vec4f,
    @location(0) colour: vec3f,
}

@vertex
fn vertex(@builtin(vertex_index) index: u32) -> Corner {
    // A third of a turn from corner to corner, the first one at the top.
    let angle = uniforms.angle + f32(index) * 2.0943951 + 1.5707963;
    let at = vec2f(cos(angle), sin(angle)) * 0.8;
    var colours = array(vec3f(1.0, 0.33, 0.30), vec3f(0.30, 0.88, 0.47), vec3f(0.28, 0.50, 1.0));

    var corner: Corner;
    // The picture's shorter side is the measure, so that the triangle fits whatever the window's shape is.
    let shape = vec2f(max(uniforms.aspect, 1.0), max(1.0 / uniforms.aspect, 1.0));
    corner.position = vec4f(at / shape, 0.0, 1.0);
    corner.colour = colours[index];
    return corner;
}

@fragment
fn fragment(corner: Corner) -> @location(0) vec4f {
    // As the screen takes it, that is, encoded as sRGB: a scene that computes with light has to encode it here.
    return vec4f(corner.colour, 1.0);
}
