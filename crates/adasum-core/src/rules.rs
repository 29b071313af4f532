//! The rules by which elements are folded.
//!
//! Floats are compared by their bits, taken as a signed integer. If all bits but the sign are flipped in negative
//! numbers, these integers have the order of the numbers, -0 before +0, and NaNs lie beyond the infinities, on the side
//! of their sign. Minimum adds a constant, with wraparound, that makes +infinity the largest integer, so that all NaNs
//! become smaller than every number. Maximum adds one that makes -infinity the smallest. So if an input is NaN, NaN is
//! the result, which is stored as the canonical one. This is IEEE 754-2019's minimum and maximum.

use crate::half::{Bf16, CANONICAL_NAN_BF16, CANONICAL_NAN_F16, F16};
use crate::simd::{CANONICAL_NAN_F32, CANONICAL_NAN_F64};

/// How elements of type `E` are joined. Each becomes a key: an integer on which the rule is a plain minimum, maximum or
/// sum.
pub trait Rule<E> {
    /// The type of a key.
    type Key: Copy + Default;

    /// An element's key.
    fn to_key(element: E) -> Self::Key;
    /// The key of two elements that are joined.
    fn join(a: Self::Key, b: Self::Key) -> Self::Key;
    /// The element that a key stands for.
    fn from_key(key: Self::Key) -> E;
}

/// The smallest element; NaN if there is one.
#[derive(Debug)]
pub enum Min {}
/// The largest element; NaN if there is one.
#[derive(Debug)]
pub enum Max {}
/// The sum modulo 2^bits.
#[derive(Debug)]
pub enum Sum {}

macro_rules! plain_rule {
    ($rule:ident, $type:ty, $join:expr) => {
        impl Rule<$type> for $rule {
            type Key = $type;

            #[inline(always)]
            fn to_key(element: $type) -> $type {
                element
            }

            #[inline(always)]
            fn join(a: $type, b: $type) -> $type {
                $join(a, b)
            }

            #[inline(always)]
            fn from_key(key: $type) -> $type {
                key
            }
        }
    };
}

macro_rules! integer_rules {
    ($($type:ty),*) => {$(
        plain_rule!(Min, $type, Ord::min);
        plain_rule!(Max, $type, Ord::max);
        plain_rule!(Sum, $type, <$type>::wrapping_add);
    )*};
}
integer_rules!(u8, i32, u32, i64, u64);

macro_rules! float_rule {
    ($rule:ident, $join:expr, $type:ty, $bits:ident, $to_bits:expr, $from_bits:expr, $nan:expr,
     turned_by: $turn:expr, is_nan: $is_nan:expr) => {
        impl Rule<$type> for $rule {
            type Key = $bits;

            #[inline(always)]
            fn to_key(element: $type) -> $bits {
                ordered($to_bits(element)).wrapping_add($turn)
            }

            #[inline(always)]
            fn join(a: $bits, b: $bits) -> $bits {
                $join(a, b)
            }

            #[inline(always)]
            fn from_key(key: $bits) -> $type {
                if $is_nan(key) { $nan } else { $from_bits(ordered(key.wrapping_sub($turn))) }
            }
        }
    };
}

/// The rules of a float whose bits, as a signed integer, are `bits`; `infinity` has the bits of +infinity.
macro_rules! float_rules {
    ($type:ty, $bits:ident, $to_bits:expr, $from_bits:expr, infinity: $infinity:expr, nan: $nan:expr) => {
        const _: () = {
            const INFINITY: $bits = $infinity as $bits;
            const MINUS_INFINITY: $bits = !INFINITY;
            const TO_THE_TOP: $bits = $bits::MAX - INFINITY;
            const TO_THE_BOTTOM: $bits = $bits::MIN.wrapping_sub(MINUS_INFINITY);

            /// From bits to integers in the order of the numbers, and back: the function is its own inverse.
            #[inline(always)]
            fn ordered(bits: $bits) -> $bits {
                bits ^ ((bits >> ($bits::BITS - 1)) & $bits::MAX)
            }

    float_rule!(Min, Ord::min, $type, $bits, $to_bits, $from_bits, $nan,
                turned_by: TO_THE_TOP, is_nan: |key| key < MINUS_INFINITY + TO_THE_TOP);
    float_rule!(Max, Ord::max, $type, $bits, $to_bits, $from_bits, $nan,
                turned_by: TO_THE_BOTTOM, is_nan: |key| key > INFINITY + TO_THE_BOTTOM);
        };
    };
}
float_rules!(f32, i32, |x: f32| x.to_bits() as i32, |bits| f32::from_bits(bits as u32),
    infinity: 0x7f80_0000, nan: CANONICAL_NAN_F32);
float_rules!(f64, i64, |x: f64| x.to_bits() as i64, |bits| f64::from_bits(bits as u64),
    infinity: 0x7ff0_0000_0000_0000_u64, nan: CANONICAL_NAN_F64);
float_rules!(F16, i16, |x: F16| x.0 as i16, |bits| F16(bits as u16),
    infinity: 0x7c00, nan: F16(CANONICAL_NAN_F16));
float_rules!(Bf16, i16, |x: Bf16| x.0 as i16, |bits| Bf16(bits as u16),
    infinity: 0x7f80, nan: Bf16(CANONICAL_NAN_BF16));
