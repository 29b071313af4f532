// The product and its rounding error, where `fma` rounds once.
fn two_product(a: f32, b: f32) -> vec2<f32> {
    let product = guard(a * b);
    return vec2<f32>(product, fma(a, b, -product));
}
