// A pair is a number of about 48 bits: the unevaluated sum of two f32, of which the second is the rounding error of the
// first.
#import guard
#import product

// The sum and its rounding error (Knuth).
fn two_sum(a: f32, b: f32) -> vec2<f32> {
    let sum = guard(a + b);
    let b_part = guard(sum - a);
    let a_part = guard(sum - b_part);
    return vec2<f32>(sum, guard(a - a_part) + guard(b - b_part));
}

fn add_pair(a: vec2<f32>, b: vec2<f32>) -> vec2<f32> {
    let sum = two_sum(a.x, b.x);
    return vec2<f32>(sum.x, sum.y + (a.y + b.y));
}

// sum + (factor.x + factor.y) * x
fn add_scaled(sum: vec2<f32>, factor: vec2<f32>, x: f32) -> vec2<f32> {
    let product = two_product(factor.x, x);
    let total = two_sum(sum.x, product.x);
    return vec2<f32>(total.x, sum.y + (total.y + (product.y + factor.y * x)));
}

// sum + a * b
fn add_product(sum: vec2<f32>, a: f32, b: f32) -> vec2<f32> {
    let product = element_product(a, b);
    let total = two_sum(sum.x, product.x);
    return vec2<f32>(total.x, sum.y + (total.y + product.y));
}
