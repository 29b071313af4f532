// IEEE binary16, widened by its bits: devices may flush its subnormal numbers to zero, and need not keep infinity.
#import halves

fn f32_of_f16(half: u32) -> f32 {
    let magnitude = half & 0x7fffu;
    let bits = (magnitude << 13u) + select(0x38000000u, 0x70000000u, magnitude >= 0x7c00u);
    let normal = bitcast<f32>(bits | ((half & 0x8000u) << 16u));
    let subnormal = f32(magnitude) * 5.9604644775390625e-8; // 2^-24
    return select(normal, select(subnormal, -subnormal, half >= 0x8000u), magnitude < 0x400u);
}

fn widen(stored: Stored) -> vec4<f32> {
    return vec4<f32>(
        f32_of_f16(stored.x & 0xffffu),
        f32_of_f16(stored.x >> 16u),
        f32_of_f16(stored.y & 0xffffu),
        f32_of_f16(stored.y >> 16u),
    );
}
