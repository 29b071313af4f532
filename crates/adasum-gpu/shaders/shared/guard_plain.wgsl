// For compilers that leave sums and products as they stand.
fn guard(x: f32) -> f32 {
    return x;
}
