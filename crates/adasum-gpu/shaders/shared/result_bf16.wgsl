#import narrow_halves

const STORED_NAN: u32 = 0x7fc07fc0u;

// bf16 from an f32 that was rounded to odd: to nearest, ties to even.
fn half_bits(odd: u32) -> u32 {
    if ((odd & 0x7fffffffu) > 0x7f800000u) {
        return 0x7fc0u;
    }
    return (odd + 0x7fffu + ((odd >> 16u) & 1u)) >> 16u;
}
