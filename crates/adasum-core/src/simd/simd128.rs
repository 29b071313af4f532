//! WebAssembly's simd128: four 128-bit registers hold the eight lanes.
//!
//! There is no widening of f16 and no rounding to it, so both are done on the bits, as in [`crate::half`], four at a time.
//! Multiply and add are separate everywhere: products that are exact give the same sum as a fused operation. Of the relaxed
//! instructions, whose results differ between machines, none is used.

use std::arch::wasm32::*;

use super::{Arithmetic, CANONICAL_NAN_F32, CANONICAL_NAN_F64, Isa, registers};
use crate::half::{
    BEYOND_F16, BIAS_DIFFERENCE, CANONICAL_NAN_F16, CUT_BITS, F32_INFINITY, F32_SIGN, SMALLEST_NORMAL_F16,
};

/// So many registers of two lanes.
#[derive(Debug)]
pub struct Registers<const COUNT: usize>;

/// Every engine that compiles the instructions at all.
pub type Simd128 = Registers<4>;

// SAFETY: every operation is the IEEE one, as in the scalar implementation.
unsafe impl<const COUNT: usize> Arithmetic for Registers<COUNT> {
    type Lanes = [v128; COUNT];
    const WIDTH: usize = 2 * COUNT;

    #[inline(always)]
    unsafe fn splat(x: f64) -> Self::Lanes {
        [f64x2_splat(x); COUNT]
    }

    #[inline(always)]
    unsafe fn add(a: Self::Lanes, b: Self::Lanes) -> Self::Lanes {
        std::array::from_fn(|i| f64x2_add(a[i], b[i]))
    }

    #[inline(always)]
    unsafe fn mul(a: Self::Lanes, b: Self::Lanes) -> Self::Lanes {
        std::array::from_fn(|i| f64x2_mul(a[i], b[i]))
    }

    #[inline(always)]
    unsafe fn mul_add_exact(a: Self::Lanes, b: Self::Lanes, sum: Self::Lanes) -> Self::Lanes {
        std::array::from_fn(|i| f64x2_add(f64x2_mul(a[i], b[i]), sum[i]))
    }

    #[inline(always)]
    unsafe fn store_lanes(v: Self::Lanes, p: *mut f64) {
        for (i, register) in v.into_iter().enumerate() {
            // SAFETY: the caller vouches for as many numbers as there are lanes.
            unsafe { v128_store(p.add(2 * i).cast(), register) };
        }
    }

    #[inline(always)]
    unsafe fn load_f32(p: *const f32) -> Self::Lanes {
        // SAFETY: the caller vouches for as many elements as there are lanes.
        std::array::from_fn(|i| unsafe { f64x2_promote_low_f32x4(v128_load64_zero(p.add(2 * i).cast())) })
    }

    #[inline(always)]
    unsafe fn load_f64(p: *const f64) -> Self::Lanes {
        // SAFETY: the caller vouches for as many elements as there are lanes.
        std::array::from_fn(|i| unsafe { v128_load(p.add(2 * i).cast()) })
    }

    #[inline(always)]
    unsafe fn load_f16(p: *const u16) -> Self::Lanes {
        // SAFETY: handed on from the caller.
        unsafe { load_halves(p, f32_of_f16) }
    }

    #[inline(always)]
    unsafe fn load_bf16(p: *const u16) -> Self::Lanes {
        // SAFETY: handed on from the caller. They are the upper halves of f32.
        unsafe { load_halves(p, |bits| i32x4_shl(bits, 16)) }
    }
}

// SAFETY: all eight lanes; rounding as the scalar implementation does.
unsafe impl Isa for Simd128 {
    // Engines on x86-64 have sixteen registers: ten sums and four values of one register each fit, of two they do not.
    type Tile = Registers<1>;

    #[inline(always)]
    unsafe fn store_f32(v: [v128; 4], p: *mut f32) {
        for (i, rounded) in f32_of(v).into_iter().enumerate() {
            // SAFETY: the caller vouches for eight elements.
            unsafe { v128_store(p.add(4 * i).cast(), canonical(rounded)) };
        }
    }

    #[inline(always)]
    unsafe fn store_f64(v: [v128; 4], p: *mut f64) {
        for (i, register) in v.into_iter().enumerate() {
            let is_number = f64x2_eq(register, register);
            let stored = v128_bitselect(register, f64x2_splat(CANONICAL_NAN_F64), is_number);
            // SAFETY: the caller vouches for eight elements.
            unsafe { v128_store(p.add(2 * i).cast(), stored) };
        }
    }

    #[inline(always)]
    unsafe fn store_f16(v: [v128; 4], p: *mut u16) {
        let [low, high] = odd_f32(v).map(f16_of_f32);
        // SAFETY: the caller vouches for eight elements. Sixteen bits are below the narrowing's bound.
        unsafe { v128_store(p.cast(), u16x8_narrow_i32x4(low, high)) };
    }

    #[inline(always)]
    unsafe fn store_bf16(v: [v128; 4], p: *mut u16) {
        let [low, high] = odd_f32(v).map(bf16_of_f32);
        // SAFETY: as above.
        unsafe { v128_store(p.cast(), u16x8_narrow_i32x4(low, high)) };
    }
}

/// Widens as many halves as there are lanes, by way of f32, which `f32_of` makes of four in 32 bits each.
///
/// # Safety
/// `p` must be valid for reading so many.
#[inline(always)]
unsafe fn load_halves<const COUNT: usize>(p: *const u16, f32_of: impl Fn(v128) -> v128) -> [v128; COUNT] {
    let mut lanes = [f64x2_splat(0.0); COUNT];
    for (i, registers) in lanes.chunks_mut(2).enumerate() {
        // SAFETY: two registers are four lanes, and one two: the caller vouches for them.
        let halves = unsafe {
            let group = p.add(4 * i);
            if registers.len() == 2 { v128_load64_zero(group.cast()) } else { v128_load32_zero(group.cast()) }
        };
        let wide = f32_of(u32x4_extend_low_u16x8(halves));
        registers[0] = f64x2_promote_low_f32x4(wide);
        if let Some(upper) = registers.get_mut(1) {
            *upper = f64x2_promote_low_f32x4(i64x2_shuffle::<1, 1>(wide, wide));
        }
    }
    lanes
}

/// Four f16 in 32 bits each, as f32.
#[inline(always)]
fn f32_of_f16(bits: v128) -> v128 {
    let magnitude = v128_and(bits, u32x4_splat(0x7fff));
    let sign = i32x4_shl(v128_andnot(bits, u32x4_splat(0x7fff)), 16);
    // The exponent's bias is that of f16 still. Subnormal numbers become normal ones here.
    let finite = f32x4_mul(i32x4_shl(magnitude, 13), f32x4_splat(f32::from_bits((127 + 112) << 23)));
    let is_special = i32x4_gt(magnitude, u32x4_splat(0x7bff));
    let special = v128_or(i32x4_shl(magnitude, 13), u32x4_splat(F32_INFINITY));
    v128_or(v128_bitselect(special, finite, is_special), sign)
}

/// Eight lanes rounded to f32.
#[inline(always)]
fn f32_of(v: [v128; 4]) -> [v128; 2] {
    let [a, b, c, d] = v.map(|register| f32x4_demote_f64x2_zero(register));
    [i64x2_shuffle::<0, 2>(a, b), i64x2_shuffle::<0, 2>(c, d)]
}

#[inline(always)]
fn canonical(v: v128) -> v128 {
    v128_bitselect(v, f32x4_splat(CANONICAL_NAN_F32), f32x4_eq(v, v))
}

/// Eight f32 rounded to odd, every NaN canonical; see [`crate::half`].
#[inline(always)]
fn odd_f32(v: [v128; 4]) -> [v128; 2] {
    let cut = u64x2_splat(CUT_BITS);
    let odd = v.map(|exact| {
        let carried = i64x2_add(v128_and(exact, cut), cut);
        v128_andnot(v128_or(exact, carried), cut)
    });
    f32_of(odd).map(canonical)
}

/// Rounds four f32 to f16, to nearest; each is the lower half of its 32 bits.
#[inline(always)]
fn f16_of_f32(bits: v128) -> v128 {
    let sign = u32x4_shr(v128_and(bits, u32x4_splat(F32_SIGN)), 16);
    let magnitude = v128_andnot(bits, u32x4_splat(F32_SIGN));
    let bounded = i32x4_min(magnitude, u32x4_splat(BEYOND_F16));
    let last_bit = v128_and(u32x4_shr(bounded, 13), u32x4_splat(1));
    let normal = u32x4_shr(i32x4_add(i32x4_sub(bounded, u32x4_splat(BIAS_DIFFERENCE - 0x0fff)), last_bit), 13);
    // At 1/2 the last bit of an f32 is worth 2^-24, as that of a subnormal f16: the addition rounds.
    let subnormal = i32x4_sub(f32x4_add(bounded, f32x4_splat(0.5)), f32x4_splat(0.5));
    let finite = v128_bitselect(subnormal, normal, i32x4_lt(magnitude, u32x4_splat(SMALLEST_NORMAL_F16)));
    let is_nan = i32x4_gt(magnitude, u32x4_splat(F32_INFINITY));
    v128_bitselect(u32x4_splat(CANONICAL_NAN_F16.into()), v128_or(finite, sign), is_nan)
}

/// Rounds four f32 to bf16, to nearest; each is the lower half of its 32 bits.
#[inline(always)]
fn bf16_of_f32(bits: v128) -> v128 {
    let last_bit = v128_and(u32x4_shr(bits, 16), u32x4_splat(1));
    u32x4_shr(i32x4_add(i32x4_add(bits, u32x4_splat(0x7fff)), last_bit), 16)
}

registers!(Simd128, f32, v128, 4: f32x4_splat, v128_load, v128_store, f32x4_mul, f32x4_add);
registers!(Simd128, f64, v128, 2: f64x2_splat, v128_load, v128_store, f64x2_mul, f64x2_add);
