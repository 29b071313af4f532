//! The half formats, which are storage only: every number is widened to f64 before anything is computed.
//!
//! Rounding goes straight from f64 to the format, to nearest, ties to even. Going through f32 would round twice: 1 +
//! 2^-11 + 2^-40 is just above the middle between two f16 numbers, but its f32 neighbour is the middle itself. The
//! remedy is to round *to odd* first: towards zero, with the last kept bit set if anything was cut off. That bit then
//! says on which side of every middle the number lies, and one ordinary rounding from there is the right one.
//!
//! Thirteen bits of the fraction are kept. f16 needs twelve: its ten, one for the middle and one for the sides. And
//! with no more than fifteen an f32 holds the number exactly wherever the result is not 0 in any case, also where bf16
//! is subnormal: the last bit of a bf16 stands sixteen bits above that of an f32. So all steps after the first are done
//! in f32.

/// IEEE binary16: 5 bits of exponent, 11 of significand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct F16(pub u16);

/// bfloat16: the upper half of an f32, 8 bits of exponent and 8 of significand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Bf16(pub u16);

/// The bits of every NaN that is stored as f16: quiet, positive, no payload.
pub const CANONICAL_NAN_F16: u16 = 0x7e00;
/// The bits of every NaN that is stored as bf16.
pub const CANONICAL_NAN_BF16: u16 = 0x7fc0;

/// The bits of an f64 that rounding to odd cuts off.
pub(crate) const CUT_BITS: u64 = (1 << 39) - 1;

pub(crate) const F32_SIGN: u32 = 0x8000_0000;
pub(crate) const F32_INFINITY: u32 = 0x7f80_0000;
/// 2^-14, the smallest normal f16.
pub(crate) const SMALLEST_NORMAL_F16: u32 = 0x3880_0000;
/// 2^16: from here on everything is infinite in f16.
pub(crate) const BEYOND_F16: u32 = 0x4780_0000;
/// The difference between the exponent biases of f32 and f16, at the position of f32's exponent.
pub(crate) const BIAS_DIFFERENCE: u32 = 0x3800_0000;

impl F16 {
    /// The same number; exact.
    pub fn to_f64(self) -> f64 {
        let (exponent, fraction) = (i32::from(self.0 >> 10 & 0x1f), f64::from(self.0 & 0x3ff));
        let magnitude = match exponent {
            0 => fraction * 2_f64.powi(-24),
            0x1f if fraction == 0.0 => f64::INFINITY,
            0x1f => f64::NAN,
            _ => (1024.0 + fraction) * 2_f64.powi(exponent - 25),
        };
        if self.0 >> 15 == 1 { -magnitude } else { magnitude }
    }

    /// The nearest number, ties to even; NaN becomes the canonical one.
    pub fn from_f64(x: f64) -> Self {
        let bits = odd_f32(x);
        let (sign, magnitude) = ((bits & F32_SIGN) >> 16, bits & !F32_SIGN);
        let rounded = if magnitude > F32_INFINITY {
            return Self(CANONICAL_NAN_F16);
        } else if magnitude >= BEYOND_F16 {
            0x7c00
        } else if magnitude >= SMALLEST_NORMAL_F16 {
            (magnitude - BIAS_DIFFERENCE + 0x0fff + (magnitude >> 13 & 1)) >> 13
        } else {
            // At 1/2 the last bit of an f32 is worth 2^-24, as that of a subnormal f16: the addition rounds.
            (f32::from_bits(magnitude) + 0.5).to_bits() - 0.5_f32.to_bits()
        };
        Self((sign | rounded) as u16)
    }
}

impl Bf16 {
    /// The same number; exact.
    pub fn to_f64(self) -> f64 {
        f64::from(f32::from_bits(u32::from(self.0) << 16))
    }

    /// The nearest number, ties to even; NaN becomes the canonical one.
    pub fn from_f64(x: f64) -> Self {
        let bits = odd_f32(x);
        if bits & !F32_SIGN > F32_INFINITY {
            return Self(CANONICAL_NAN_BF16);
        }
        Self(((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16)
    }
}

/// The bits of `x` rounded to odd, as an f32.
fn odd_f32(x: f64) -> u32 {
    let bits = x.to_bits();
    // The sum reaches the last kept bit if any bit below it is set.
    let odd = (bits | ((bits & CUT_BITS) + CUT_BITS)) & !CUT_BITS;
    (f64::from_bits(odd) as f32).to_bits()
}
