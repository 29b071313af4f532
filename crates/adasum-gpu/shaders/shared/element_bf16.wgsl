// bfloat16: the upper half of an f32.
#import halves

fn widen(stored: Stored) -> vec4<f32> {
    let lower = stored << vec2<u32>(16u);
    let upper = stored & vec2<u32>(0xffff0000u);
    return bitcast<vec4<f32>>(vec4<u32>(lower.x, upper.x, lower.y, upper.y));
}
