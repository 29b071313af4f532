// Rounding to two bytes takes two steps. The first rounds to f32 *to odd*: of the two f32 around the number it takes
// the one whose last bit is set. That bit shows on which side of every middle the number lies, so the second rounding
// gives the right result.
alias ResultStored = vec2<u32>;

fn odd_bits(upper: f32, lower: f32) -> u32 {
    let sum = two_sum(upper, lower);
    let bits = bitcast<u32>(sum.x);
    let is_finite = (bits & 0x7f800000u) != 0x7f800000u;
    if (!is_finite || sum.y == 0.0 || (bits & 1u) == 1u) {
        return bits;
    }
    return select(bits - 1u, bits + 1u, (sum.y > 0.0) == (sum.x > 0.0));
}

fn narrow(upper: vec4<f32>, lower: vec4<f32>) -> ResultStored {
    return vec2<u32>(
        half_bits(odd_bits(upper.x, lower.x)) | (half_bits(odd_bits(upper.y, lower.y)) << 16u),
        half_bits(odd_bits(upper.z, lower.z)) | (half_bits(odd_bits(upper.w, lower.w)) << 16u),
    );
}
