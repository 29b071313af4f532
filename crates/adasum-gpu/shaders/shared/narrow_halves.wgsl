// Rounding to two bytes goes by way of f32, rounded *to odd*: of the two f32 around the number the one whose last bit is set.
// It tells on which side of every middle the number lies, so that the second rounding is the only one that counts.
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
