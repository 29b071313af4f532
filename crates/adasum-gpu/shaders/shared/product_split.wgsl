// The product and its rounding error (Dekker), where `fma` may round twice. Masking bits cuts each factor into two
// halves of twelve bits, so that all four products of halves are exact, fused into the sums or not.
fn upper_half(x: f32) -> f32 {
    return bitcast<f32>(bitcast<u32>(x) & 0xfffff000u);
}

fn two_product(a: f32, b: f32) -> vec2<f32> {
    let product = guard(a * b);
    let a_upper = upper_half(a);
    let b_upper = upper_half(b);
    let a_lower = guard(a - a_upper);
    let b_lower = guard(b - b_upper);
    let first = guard(a_upper * b_upper - product);
    let second = guard(first + a_upper * b_lower);
    let third = guard(second + a_lower * b_upper);
    return vec2<f32>(product, third + a_lower * b_lower);
}
