//! f32 in fewer bytes, and back.
//!
//! ```text
//! f16, bf16   [code] * count                    the number, rounded once
//! int8        [scale: f32] [code] * count       code = round(x / scale), ties to even; scale = max |x| / 127
//! ```
//!
//! What is quantised is the input plus the residual, which is what earlier calls have left over; what this one leaves over
//! takes its place. So no part of a number is lost in the long run, only delayed.
//!
//! Finite numbers stay finite: what lies beyond a half format's range becomes the largest number there is, and the residual
//! keeps the rest. A block of int8 in which something is not finite becomes NaN as a whole. Blocks whose scale would be
//! subnormal are zero: a quotient by it would overflow.
//!
//! The loops are over groups of eight, in plain f32 arithmetic, which is the same on every CPU; the compiler makes vectors of
//! them for the features that are switched on around them.

use super::lanes::padded;
use crate::element::Element;
use crate::half::{Bf16, F16};
use crate::simd::{CANONICAL_NAN_F32, Isa, LANES};

/// Numbers that are quantised at once.
type Group = [f32; LANES];

/// A format of codes.
pub trait Code {
    /// A group of codes.
    type Codes: Copy;
    /// What the codes of a block have in common.
    type Scale: Copy;
    /// Bytes of a code.
    const CODE_BYTES: usize;
    /// Bytes of a block's scale, which precedes the codes.
    const SCALE_BYTES: usize;

    /// The scale of numbers whose largest magnitude has these bits.
    fn scale(largest: u32) -> Self::Scale;
    /// A scale as bytes.
    ///
    /// # Safety
    /// `p` must be valid for writing `SCALE_BYTES` bytes.
    unsafe fn write_scale(scale: Self::Scale, p: *mut u8);
    /// # Safety
    /// `p` must be valid for reading `SCALE_BYTES` bytes.
    unsafe fn read_scale(p: *const u8) -> Self::Scale;
    /// The codes of numbers, and what they stand for.
    ///
    /// # Safety
    /// See [`Isa`].
    unsafe fn encode<I: Isa>(numbers: &Group, scale: Self::Scale) -> (Self::Codes, Group);
    /// # Safety
    /// See [`Isa`].
    unsafe fn decode<I: Isa>(codes: &Self::Codes, scale: Self::Scale) -> Group;
}

/// # Safety
/// See [`Coding`](super::table::Coding).
#[inline(always)]
pub unsafe fn quantize<I: Isa, C: Code>(input: *const f32, residual: Option<*mut f32>, count: usize, codes: *mut u8) {
    debug_assert!(input.is_aligned() && residual.is_none_or(|residual| residual.is_aligned()), "f32 are aligned");
    // SAFETY: handed on from the caller.
    unsafe {
        match residual {
            Some(residual) => quantize_block::<I, C, true>(input, residual, count, codes),
            None => quantize_block::<I, C, false>(input, std::ptr::null_mut(), count, codes),
        }
    }
}

/// # Safety
/// See [`Coding`](super::table::Coding); `residual` is touched with FEEDBACK only.
#[inline(always)]
unsafe fn quantize_block<I: Isa, C: Code, const FEEDBACK: bool>(
    input: *const f32,
    residual: *mut f32,
    count: usize,
    codes: *mut u8,
) {
    let whole = count - count % LANES;
    // SAFETY: every group ends where the elements end or before, and the caller vouches for them and their codes.
    unsafe {
        let mut largest = [0_u32; LANES];
        if C::SCALE_BYTES > 0 {
            for at in (0..whole).step_by(LANES) {
                largest = larger(largest, &wanted::<FEEDBACK>(input, residual, at, LANES));
            }
            if whole < count {
                largest = larger(largest, &wanted::<FEEDBACK>(input, residual, whole, count - whole));
            }
        }
        let scale = C::scale(largest.into_iter().fold(0, u32::max));
        C::write_scale(scale, codes);
        let codes = codes.add(C::SCALE_BYTES);
        for at in (0..whole).step_by(LANES) {
            quantize_group::<I, C, FEEDBACK>(input, residual, at, LANES, scale, codes);
        }
        if whole < count {
            quantize_group::<I, C, FEEDBACK>(input, residual, whole, count - whole, scale, codes);
        }
    }
}

/// # Safety
/// See [`quantize_block`]; `count` elements from `at` on must exist, and be no more than eight.
#[inline(always)]
unsafe fn quantize_group<I: Isa, C: Code, const FEEDBACK: bool>(
    input: *const f32,
    residual: *mut f32,
    at: usize,
    count: usize,
    scale: C::Scale,
    codes: *mut u8,
) {
    debug_assert!(count <= LANES, "a group has eight numbers at most");
    // SAFETY: handed on from the caller.
    unsafe {
        let numbers = wanted::<FEEDBACK>(input, residual, at, count);
        let (encoded, decoded) = C::encode::<I>(&numbers, scale);
        put(encoded, codes.add(at * C::CODE_BYTES), count * C::CODE_BYTES);
        if FEEDBACK {
            put(left_over(&numbers, &decoded), residual.add(at).cast(), count * size_of::<f32>());
        }
    }
}

/// What is to be quantised, and zeros where there are no elements.
///
/// # Safety
/// See [`quantize_group`].
#[inline(always)]
unsafe fn wanted<const FEEDBACK: bool>(input: *const f32, residual: *mut f32, at: usize, count: usize) -> Group {
    // SAFETY: handed on from the caller.
    unsafe {
        let inputs = group(input.add(at), count);
        if FEEDBACK { joined(&inputs, &group(residual.add(at), count)) } else { inputs }
    }
}

#[inline(always)]
fn larger(magnitudes: [u32; LANES], numbers: &Group) -> [u32; LANES] {
    std::array::from_fn(|i| magnitudes[i].max(numbers[i].to_bits() & 0x7fff_ffff))
}

/// # Safety
/// See [`Coding`](super::table::Coding).
#[inline(always)]
pub unsafe fn dequantize<I: Isa, C: Code>(codes: *const u8, count: usize, out: *mut f32) {
    debug_assert!(out.is_aligned(), "f32 are aligned");
    let whole = count - count % LANES;
    // SAFETY: every group ends where the elements end or before, and the caller vouches for them and their codes.
    unsafe {
        let scale = C::read_scale(codes);
        let codes = codes.add(C::SCALE_BYTES);
        for at in (0..whole).step_by(LANES) {
            dequantize_group::<I, C>(codes, at, LANES, scale, out);
        }
        if whole < count {
            dequantize_group::<I, C>(codes, whole, count - whole, scale, out);
        }
    }
}

/// # Safety
/// See [`Coding`](super::table::Coding); `count` elements from `at` on must exist, and be no more than eight.
#[inline(always)]
unsafe fn dequantize_group<I: Isa, C: Code>(codes: *const u8, at: usize, count: usize, scale: C::Scale, out: *mut f32) {
    debug_assert!(count <= LANES, "a group has eight codes at most");
    // SAFETY: handed on from the caller.
    unsafe {
        let encoded = get::<C::Codes>(codes.add(at * C::CODE_BYTES), count * C::CODE_BYTES);
        put(C::decode::<I>(&encoded, scale), out.add(at).cast(), count * size_of::<f32>());
    }
}

/// The eight numbers at `p`, or as many as there are and then zeros.
///
/// # Safety
/// `p` must be valid for reading `count` elements, but no more than eight.
#[inline(always)]
unsafe fn group(p: *const f32, count: usize) -> Group {
    // SAFETY: handed on from the caller.
    unsafe { if count == LANES { p.cast::<Group>().read() } else { padded(p, count) } }
}

/// Reads a T, or its first bytes and then zeros.
///
/// # Safety
/// `p` must be valid for reading `byte_length` bytes, but no more than T has; zeros must be a T.
#[inline(always)]
unsafe fn get<T: Copy>(p: *const u8, byte_length: usize) -> T {
    debug_assert!(byte_length <= size_of::<T>(), "no more is read than there is room for");
    // SAFETY: the caller vouches for the bytes.
    unsafe {
        if byte_length == size_of::<T>() {
            return p.cast::<T>().read_unaligned();
        }
        let mut value = std::mem::zeroed::<T>();
        std::ptr::copy_nonoverlapping(p, (&raw mut value).cast(), byte_length);
        value
    }
}

/// Writes a T, or as many of its first bytes.
///
/// # Safety
/// `p` must be valid for writing `byte_length` bytes, but no more than T has.
#[inline(always)]
unsafe fn put<T: Copy>(value: T, p: *mut u8, byte_length: usize) {
    debug_assert!(byte_length <= size_of::<T>(), "no more is written than there is");
    // SAFETY: the caller vouches for the bytes.
    unsafe {
        if byte_length == size_of::<T>() {
            return p.cast::<T>().write_unaligned(value);
        }
        std::ptr::copy_nonoverlapping((&raw const value).cast(), p, byte_length);
    }
}

fn is_finite(x: f32) -> bool {
    x.abs() <= f32::MAX
}

/// Inputs and residuals added. A residual that a finite number has no room for is given up.
#[inline(always)]
fn joined(inputs: &Group, residuals: &Group) -> Group {
    std::array::from_fn(|i| {
        let sum = inputs[i] + residuals[i];
        if is_finite(inputs[i]) && !is_finite(sum) { inputs[i] } else { sum }
    })
}

/// What the codes do not say; nothing where they stand for no number.
#[inline(always)]
fn left_over(numbers: &Group, decoded: &Group) -> Group {
    std::array::from_fn(|i| {
        let rest = numbers[i] - decoded[i];
        if is_finite(rest) { rest } else { 0.0 }
    })
}

/// Whole numbers from -127 to 127, times a scale.
#[derive(Debug)]
pub enum Int8 {}

const LARGEST_CODE: f32 = 127.0;
/// So that the largest code times the scale stays finite, although both the scale and the product are rounded.
const LARGEST_NUMBER: f32 = 3.4e38;
/// 1.5 * 2^23. Where an f32 has this size its last bit is worth 1: an addition rounds to a whole number, ties to even, and
/// leaves it in the lowest bits, as a two's complement.
const ROUNDING: f32 = 12_582_912.0;
const INFINITE: u32 = f32::INFINITY.to_bits();

impl Code for Int8 {
    type Codes = [u8; LANES];
    type Scale = f32;
    const CODE_BYTES: usize = 1;
    const SCALE_BYTES: usize = size_of::<f32>();

    #[inline(always)]
    fn scale(largest: u32) -> f32 {
        if largest >= INFINITE {
            return CANONICAL_NAN_F32;
        }
        let scale = f32::from_bits(largest).min(LARGEST_NUMBER) / LARGEST_CODE;
        if scale < f32::MIN_POSITIVE { 0.0 } else { scale }
    }

    #[inline(always)]
    unsafe fn write_scale(scale: f32, p: *mut u8) {
        // SAFETY: the caller vouches for the bytes.
        unsafe { p.cast::<f32>().write_unaligned(scale) };
    }

    #[inline(always)]
    unsafe fn read_scale(p: *const u8) -> f32 {
        // SAFETY: the caller vouches for the bytes.
        unsafe { p.cast::<f32>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn encode<I: Isa>(numbers: &Group, scale: f32) -> ([u8; LANES], Group) {
        let is_scaled = scale > 0.0;
        let inverse = 1.0 / scale;
        let rounded: Group =
            std::array::from_fn(|i| if is_scaled { numbers[i] * inverse } else { 0.0 }).map(|x: f32| x + ROUNDING);
        let codes = rounded.map(|x| x.to_bits() as u8);
        // The whole numbers are taken from the rounded ones, not from the codes: that is quicker, and the same.
        (codes, rounded.map(|x| if scale.is_nan() { CANONICAL_NAN_F32 } else { (x - ROUNDING) * scale }))
    }

    #[inline(always)]
    unsafe fn decode<I: Isa>(codes: &[u8; LANES], scale: f32) -> Group {
        std::array::from_fn(|i| if scale.is_nan() { CANONICAL_NAN_F32 } else { f32::from(codes[i] as i8) * scale })
    }
}

/// A half format, by its largest finite number.
macro_rules! half_code {
    ($type:ty, $largest:expr) => {
        impl Code for $type {
            type Codes = [$type; LANES];
            type Scale = ();
            const CODE_BYTES: usize = size_of::<$type>();
            const SCALE_BYTES: usize = 0;

            #[inline(always)]
            fn scale(_largest: u32) {}

            #[inline(always)]
            unsafe fn write_scale((): (), _p: *mut u8) {}

            #[inline(always)]
            unsafe fn read_scale(_p: *const u8) {}

            #[inline(always)]
            unsafe fn encode<I: Isa>(numbers: &Group, (): ()) -> (Self::Codes, Group) {
                let within: Group = numbers.map(|x| if is_finite(x) { x.clamp(-$largest, $largest) } else { x });
                let mut codes = [Self::ZERO; LANES];
                // SAFETY: both arrays have eight elements; the rest is handed on from the caller.
                unsafe {
                    Self::store::<I>(I::load_f32(within.as_ptr()), codes.as_mut_ptr());
                    (codes, Self::decode::<I>(&codes, ()))
                }
            }

            #[inline(always)]
            unsafe fn decode<I: Isa>(codes: &Self::Codes, (): ()) -> Group {
                let mut numbers = [0.0; LANES];
                // SAFETY: both arrays have eight elements; the rest is handed on from the caller.
                unsafe { I::store_f32(Self::load::<I>(codes.as_ptr()), numbers.as_mut_ptr()) };
                numbers
            }
        }
    };
}
half_code!(F16, 65_504.0);
// All bits of the upper half of the largest f32, but the last of its exponent.
half_code!(Bf16, f32::from_bits(0x7f7f_0000));
