//! f32 in fewer bytes, and back.
//!
//! ```text
//! f16, bf16   [code] * count                    the number, rounded once
//! int8        [scale: f32] [code] * count       code = round(x / scale), ties to even; scale = max |x| / 127
//! ```
//!
//! The input plus the residual is quantised. The residual is the error that earlier calls have left; the error of this
//! call takes its place (error feedback). So no part of a number is lost in the long run, only delayed.
//!
//! Finite numbers stay finite: a number beyond a half format's range becomes the largest one of that format, and the
//! residual keeps the rest. A block of int8 with an element that is not finite becomes NaN as a whole. A block whose
//! scale would be subnormal becomes zero: a quotient by that scale would overflow.
//!
//! The loops take eight elements at a time, in plain f32 arithmetic, which is the same on every CPU; the compiler
//! vectorises them for the CPU features that the caller has enabled.

use super::lanes::padded;
use crate::element::Element;
use crate::half::{Bf16, F16};
use crate::simd::{CANONICAL_NAN_F32, Isa, LANES};

/// Eight f32, which are quantised at once.
type EightF32 = [f32; LANES];

/// A format of codes.
pub trait Code {
    /// The codes of eight numbers.
    type Codes: Copy;
    /// The factor that all codes of a block share; `()` where a format has none.
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
    /// The codes of eight numbers, and the numbers that these codes stand for.
    ///
    /// # Safety
    /// See [`Isa`].
    unsafe fn encode<I: Isa>(numbers: &EightF32, scale: Self::Scale) -> (Self::Codes, EightF32);
    /// # Safety
    /// See [`Isa`].
    unsafe fn decode<I: Isa>(codes: &Self::Codes, scale: Self::Scale) -> EightF32;
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
/// See [`Coding`](super::table::Coding); `residual` is read and written with FEEDBACK only.
#[inline(always)]
unsafe fn quantize_block<I: Isa, C: Code, const FEEDBACK: bool>(
    input: *const f32,
    residual: *mut f32,
    count: usize,
    codes: *mut u8,
) {
    let whole = count - count % LANES;
    // SAFETY: all of the eights end where the elements end or before, and the caller vouches for them and their codes.
    unsafe {
        let mut largest = [0_u32; LANES];
        if C::SCALE_BYTES > 0 {
            for at in (0..whole).step_by(LANES) {
                largest = larger_magnitudes(largest, &inputs_with_residuals::<FEEDBACK>(input, residual, at, LANES));
            }
            if whole < count {
                largest = larger_magnitudes(
                    largest,
                    &inputs_with_residuals::<FEEDBACK>(input, residual, whole, count - whole),
                );
            }
        }
        let scale = C::scale(largest.into_iter().fold(0, u32::max));
        C::write_scale(scale, codes);
        let codes = codes.add(C::SCALE_BYTES);
        for at in (0..whole).step_by(LANES) {
            quantize_eight::<I, C, FEEDBACK>(input, residual, at, LANES, scale, codes);
        }
        if whole < count {
            quantize_eight::<I, C, FEEDBACK>(input, residual, whole, count - whole, scale, codes);
        }
    }
}

/// # Safety
/// See [`quantize_block`]; `count` elements from `at` on must exist, and be no more than eight.
#[inline(always)]
unsafe fn quantize_eight<I: Isa, C: Code, const FEEDBACK: bool>(
    input: *const f32,
    residual: *mut f32,
    at: usize,
    count: usize,
    scale: C::Scale,
    codes: *mut u8,
) {
    debug_assert!(count <= LANES, "eight numbers at most are quantised at once");
    // SAFETY: handed on from the caller.
    unsafe {
        let numbers = inputs_with_residuals::<FEEDBACK>(input, residual, at, count);
        let (encoded, decoded) = C::encode::<I>(&numbers, scale);
        write_first_bytes(encoded, codes.add(at * C::CODE_BYTES), count * C::CODE_BYTES);
        if FEEDBACK {
            write_first_bytes(errors(&numbers, &decoded), residual.add(at).cast(), count * size_of::<f32>());
        }
    }
}

/// The inputs, plus their residuals with FEEDBACK; zeros where there are no elements.
///
/// # Safety
/// See [`quantize_eight`].
#[inline(always)]
unsafe fn inputs_with_residuals<const FEEDBACK: bool>(
    input: *const f32,
    residual: *mut f32,
    at: usize,
    count: usize,
) -> EightF32 {
    // SAFETY: handed on from the caller.
    unsafe {
        let inputs = read_eight(input.add(at), count);
        if FEEDBACK { add_residuals(&inputs, &read_eight(residual.add(at), count)) } else { inputs }
    }
}

#[inline(always)]
fn larger_magnitudes(magnitudes: [u32; LANES], numbers: &EightF32) -> [u32; LANES] {
    std::array::from_fn(|i| magnitudes[i].max(numbers[i].to_bits() & 0x7fff_ffff))
}

/// # Safety
/// See [`Coding`](super::table::Coding).
#[inline(always)]
pub unsafe fn dequantize<I: Isa, C: Code>(codes: *const u8, count: usize, out: *mut f32) {
    debug_assert!(out.is_aligned(), "f32 are aligned");
    let whole = count - count % LANES;
    // SAFETY: all of the eights end where the elements end or before, and the caller vouches for them and their codes.
    unsafe {
        let scale = C::read_scale(codes);
        let codes = codes.add(C::SCALE_BYTES);
        for at in (0..whole).step_by(LANES) {
            dequantize_eight::<I, C>(codes, at, LANES, scale, out);
        }
        if whole < count {
            dequantize_eight::<I, C>(codes, whole, count - whole, scale, out);
        }
    }
}

/// # Safety
/// See [`Coding`](super::table::Coding); `count` elements from `at` on must exist, and be no more than eight.
#[inline(always)]
unsafe fn dequantize_eight<I: Isa, C: Code>(codes: *const u8, at: usize, count: usize, scale: C::Scale, out: *mut f32) {
    debug_assert!(count <= LANES, "eight codes at most are read at once");
    // SAFETY: handed on from the caller.
    unsafe {
        let encoded = read_first_bytes::<C::Codes>(codes.add(at * C::CODE_BYTES), count * C::CODE_BYTES);
        write_first_bytes(C::decode::<I>(&encoded, scale), out.add(at).cast(), count * size_of::<f32>());
    }
}

/// The eight numbers at `p`, or as many as there are and then zeros.
///
/// # Safety
/// `p` must be valid for reading `count` elements, but no more than eight.
#[inline(always)]
unsafe fn read_eight(p: *const f32, count: usize) -> EightF32 {
    // SAFETY: handed on from the caller.
    unsafe { if count == LANES { p.cast::<EightF32>().read() } else { padded(p, count) } }
}

/// Reads a T, or its first bytes and then zeros.
///
/// # Safety
/// `p` must be valid for reading `byte_length` bytes, but no more than T has; zeros must be a T.
#[inline(always)]
unsafe fn read_first_bytes<T: Copy>(p: *const u8, byte_length: usize) -> T {
    debug_assert!(byte_length <= size_of::<T>(), "the bytes fit into the value");
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

/// Writes a T, or its first bytes only.
///
/// # Safety
/// `p` must be valid for writing `byte_length` bytes, but no more than T has.
#[inline(always)]
unsafe fn write_first_bytes<T: Copy>(value: T, p: *mut u8, byte_length: usize) {
    debug_assert!(byte_length <= size_of::<T>(), "the value has the bytes");
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

/// Adds residuals to inputs. A residual that would make a finite number overflow is dropped.
#[inline(always)]
fn add_residuals(inputs: &EightF32, residuals: &EightF32) -> EightF32 {
    std::array::from_fn(|i| {
        let sum = inputs[i] + residuals[i];
        if is_finite(inputs[i]) && !is_finite(sum) { inputs[i] } else { sum }
    })
}

/// The errors that the codes leave; 0 where an error would not be finite.
#[inline(always)]
fn errors(numbers: &EightF32, decoded: &EightF32) -> EightF32 {
    std::array::from_fn(|i| {
        let rest = numbers[i] - decoded[i];
        if is_finite(rest) { rest } else { 0.0 }
    })
}

/// Integers from -127 to 127, times a scale.
#[derive(Debug)]
pub enum Int8 {}

const LARGEST_CODE: f32 = 127.0;
/// Larger magnitudes count as this one when the scale is chosen, so that the largest code times the scale stays finite
/// although both the scale and the product are rounded.
const LARGEST_NUMBER: f32 = 3.4e38;
/// 1.5 * 2^23. Where an f32 has this size its last bit is worth 1: an addition rounds to a whole number, ties to even,
/// and leaves it in the lowest bits, as a two's complement.
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
    unsafe fn encode<I: Isa>(numbers: &EightF32, scale: f32) -> ([u8; LANES], EightF32) {
        let is_scaled = scale > 0.0;
        let inverse = 1.0 / scale;
        let rounded: EightF32 =
            std::array::from_fn(|i| if is_scaled { numbers[i] * inverse } else { 0.0 }).map(|x: f32| x + ROUNDING);
        let codes = rounded.map(|x| x.to_bits() as u8);
        // The whole numbers are taken from the rounded ones, not from the codes: that is quicker, and the same.
        (codes, rounded.map(|x| if scale.is_nan() { CANONICAL_NAN_F32 } else { (x - ROUNDING) * scale }))
    }

    #[inline(always)]
    unsafe fn decode<I: Isa>(codes: &[u8; LANES], scale: f32) -> EightF32 {
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
            unsafe fn encode<I: Isa>(numbers: &EightF32, (): ()) -> (Self::Codes, EightF32) {
                let within: EightF32 = numbers.map(|x| if is_finite(x) { x.clamp(-$largest, $largest) } else { x });
                let mut codes = [Self::ZERO; LANES];
                // SAFETY: both arrays have eight elements; the rest is handed on from the caller.
                unsafe {
                    Self::store::<I>(I::load_f32(within.as_ptr()), codes.as_mut_ptr());
                    (codes, Self::decode::<I>(&codes, ()))
                }
            }

            #[inline(always)]
            unsafe fn decode<I: Isa>(codes: &Self::Codes, (): ()) -> EightF32 {
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
