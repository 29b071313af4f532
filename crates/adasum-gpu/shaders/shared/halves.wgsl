// Four elements of two bytes, the first in the lower half of the first word.
alias Stored = vec2<u32>;

fn largest_of(stored: Stored) -> u32 {
    let lower = stored & vec2<u32>(0x7fffu);
    let upper = (stored >> vec2<u32>(16u)) & vec2<u32>(0x7fffu);
    return max(max(lower.x, lower.y), max(upper.x, upper.y));
}

// 22 bits at most: exact.
fn element_product(a: f32, b: f32) -> vec2<f32> {
    return vec2<f32>(guard(a * b), 0.0);
}
