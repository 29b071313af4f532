#import narrow_halves

const STORED_NAN: u32 = 0x7e007e00u;

// f16 from an f32 that was rounded to odd: to nearest, ties to even.
fn half_bits(odd: u32) -> u32 {
    let sign = (odd >> 16u) & 0x8000u;
    let magnitude = odd & 0x7fffffffu;
    if (magnitude > 0x7f800000u) {
        return 0x7e00u;
    }
    if (magnitude >= 0x47800000u) { // 2^16
        return sign | 0x7c00u;
    }
    if (magnitude >= 0x38800000u) { // 2^-14, the smallest normal number
        return sign | ((magnitude - 0x38000000u + 0x0fffu + ((magnitude >> 13u) & 1u)) >> 13u);
    }
    let shift = 126u - (magnitude >> 23u);
    if (shift > 24u) {
        return sign;
    }
    let significand = (magnitude & 0x7fffffu) | 0x800000u;
    let half = (1u << (shift - 1u)) - 1u;
    return sign | ((significand + half + ((significand >> shift) & 1u)) >> shift);
}
