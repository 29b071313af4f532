// For compilers that reorder sums or fuse products into them, which WGSL permits: whatever passes through here is, for all that
// the compiler knows, another number.
fn guard(x: f32) -> f32 {
    return bitcast<f32>(bitcast<u32>(x) ^ call.zero);
}
