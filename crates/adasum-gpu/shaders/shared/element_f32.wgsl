// Four f32, as their bits.
alias Stored = vec4<u32>;

fn widen(stored: Stored) -> vec4<f32> {
    return bitcast<vec4<f32>>(stored);
}

// The largest magnitude, as bits. Bits of magnitudes have the order of the numbers, with infinity and NaN last.
fn largest_of(stored: Stored) -> u32 {
    let magnitudes = stored & vec4<u32>(0x7fffffffu);
    return max(max(magnitudes.x, magnitudes.y), max(magnitudes.z, magnitudes.w));
}

fn element_product(a: f32, b: f32) -> vec2<f32> {
    return two_product(a, b);
}
