alias ResultStored = vec4<u32>;
const STORED_NAN: u32 = 0x7fc00000u;

fn narrow_one(upper: f32, lower: f32) -> u32 {
    let bits = bitcast<u32>(upper + lower);
    return select(bits, STORED_NAN, (bits & 0x7fffffffu) > 0x7f800000u);
}

// Rounds four pairs.
fn narrow(upper: vec4<f32>, lower: vec4<f32>) -> ResultStored {
    return vec4<u32>(
        narrow_one(upper.x, lower.x),
        narrow_one(upper.y, lower.y),
        narrow_one(upper.z, lower.z),
        narrow_one(upper.w, lower.w),
    );
}
