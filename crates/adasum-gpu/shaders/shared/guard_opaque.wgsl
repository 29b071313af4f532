// For compilers that reorder sums or fuse products into them, which WGSL permits. The compiler cannot know that the
// result of this function equals its argument.
fn guard(x: f32) -> f32 {
    return bitcast<f32>(bitcast<u32>(x) ^ call.zero);
}
