//! NEON: four 128-bit registers hold the eight lanes.

use std::arch::aarch64::*;
use std::arch::asm;

use super::twice::Twice;
use super::{Arithmetic, CANONICAL_NAN_F32, CANONICAL_NAN_F64, Isa, registers};

/// Two registers: four lanes.
#[derive(Debug)]
pub struct Pair;

/// Every 64-bit Arm CPU.
pub type Neon = Twice<Pair>;

type Registers = [float64x2_t; 2];

// SAFETY: every operation is the IEEE one, as in the scalar implementation.
unsafe impl Arithmetic for Pair {
    type Lanes = Registers;
    const WIDTH: usize = 4;

    #[inline(always)]
    unsafe fn splat(x: f64) -> Registers {
        // SAFETY: every aarch64 CPU has NEON.
        unsafe { [vdupq_n_f64(x); 2] }
    }

    #[inline(always)]
    unsafe fn add(a: Registers, b: Registers) -> Registers {
        // SAFETY: every aarch64 CPU has NEON.
        std::array::from_fn(|i| unsafe { vaddq_f64(a[i], b[i]) })
    }

    #[inline(always)]
    unsafe fn mul(a: Registers, b: Registers) -> Registers {
        // SAFETY: every aarch64 CPU has NEON.
        std::array::from_fn(|i| unsafe { vmulq_f64(a[i], b[i]) })
    }

    #[inline(always)]
    unsafe fn mul_add_exact(a: Registers, b: Registers, sum: Registers) -> Registers {
        // SAFETY: every aarch64 CPU has NEON.
        std::array::from_fn(|i| unsafe { vfmaq_f64(sum[i], a[i], b[i]) })
    }

    #[inline(always)]
    unsafe fn prefetch<T>(p: *const T) {
        // SAFETY: a prefetch never faults, and changes nothing that a program can see.
        unsafe { asm!("prfm pldl1keep, [{0}]", in(reg) p, options(nostack, preserves_flags, readonly)) };
    }

    #[inline(always)]
    unsafe fn prefetch_far<T>(p: *const T) {
        // SAFETY: a prefetch never faults, and changes nothing that a program can see.
        unsafe { asm!("prfm pldl2keep, [{0}]", in(reg) p, options(nostack, preserves_flags, readonly)) };
    }

    #[inline(always)]
    unsafe fn store_lanes(v: Registers, p: *mut f64) {
        for (i, register) in v.into_iter().enumerate() {
            // SAFETY: the caller vouches for four numbers.
            unsafe { vst1q_f64(p.add(2 * i), register) };
        }
    }

    #[inline(always)]
    unsafe fn load_f32(p: *const f32) -> Registers {
        // SAFETY: the caller vouches for four elements.
        unsafe { widen(vld1q_f32(p)) }
    }

    #[inline(always)]
    unsafe fn load_f64(p: *const f64) -> Registers {
        // SAFETY: the caller vouches for four elements.
        std::array::from_fn(|i| unsafe { vld1q_f64(p.add(2 * i)) })
    }

    #[inline(always)]
    unsafe fn load_f16(p: *const u16) -> Registers {
        // SAFETY: the caller vouches for four elements.
        unsafe { widen(f32_of_f16(vld1_u16(p))) }
    }

    #[inline(always)]
    unsafe fn load_bf16(p: *const u16) -> Registers {
        // SAFETY: the caller vouches for four elements. They are the upper halves of f32.
        unsafe { widen(vreinterpretq_f32_u32(vshll_n_u16::<16>(vld1_u16(p)))) }
    }
}

// SAFETY: all eight lanes; rounding as the scalar implementation does.
unsafe impl Isa for Neon {
    type Tile = Pair;

    #[inline(always)]
    unsafe fn store_f32(v: (Registers, Registers), p: *mut f32) {
        // SAFETY: the caller vouches for eight elements.
        unsafe {
            vst1q_f32(p, canonical(vcvt_high_f32_f64(vcvt_f32_f64(v.0[0]), v.0[1])));
            vst1q_f32(p.add(4), canonical(vcvt_high_f32_f64(vcvt_f32_f64(v.1[0]), v.1[1])));
        }
    }

    #[inline(always)]
    unsafe fn store_f64(v: (Registers, Registers), p: *mut f64) {
        for (i, register) in v.0.into_iter().chain(v.1).enumerate() {
            // SAFETY: the caller vouches for eight elements.
            unsafe {
                let is_number = vceqq_f64(register, register);
                vst1q_f64(p.add(2 * i), vbslq_f64(is_number, register, vdupq_n_f64(CANONICAL_NAN_F64)));
            }
        }
    }

    #[inline(always)]
    unsafe fn store_f16(v: (Registers, Registers), p: *mut u16) {
        let [low, high] = odd_f32(v);
        // SAFETY: the caller vouches for eight elements.
        unsafe {
            vst1_u16(p, f16_of_f32(low));
            vst1_u16(p.add(4), f16_of_f32(high));
        }
    }

    #[inline(always)]
    unsafe fn store_bf16(v: (Registers, Registers), p: *mut u16) {
        for (i, odd) in odd_f32(v).into_iter().enumerate() {
            // SAFETY: the caller vouches for eight elements.
            unsafe {
                let bits = vreinterpretq_u32_f32(odd);
                let last_bit = vandq_u32(vshrq_n_u32::<16>(bits), vdupq_n_u32(1));
                let carried = vaddq_u32(vaddq_u32(bits, vdupq_n_u32(0x7fff)), last_bit);
                vst1_u16(p.add(4 * i), vshrn_n_u32::<16>(carried));
            }
        }
    }
}

#[inline(always)]
fn widen(v: float32x4_t) -> Registers {
    // SAFETY: every aarch64 CPU has NEON.
    unsafe { [vcvt_f64_f32(vget_low_f32(v)), vcvt_high_f64_f32(v)] }
}

#[inline(always)]
fn canonical(v: float32x4_t) -> float32x4_t {
    // SAFETY: every aarch64 CPU has NEON.
    unsafe { vbslq_f32(vceqq_f32(v, v), v, vdupq_n_f32(CANONICAL_NAN_F32)) }
}

/// Eight f32 rounded to odd, every NaN canonical; see [`crate::half`]. Arm has an instruction for it.
#[inline(always)]
fn odd_f32(v: (Registers, Registers)) -> [float32x4_t; 2] {
    // SAFETY: every aarch64 CPU has NEON.
    unsafe {
        [
            canonical(vcvtx_high_f32_f64(vcvtx_f32_f64(v.0[0]), v.0[1])),
            canonical(vcvtx_high_f32_f64(vcvtx_f32_f64(v.1[0]), v.1[1])),
        ]
    }
}

/// The conversions of f16 exist as instructions only: their intrinsics need a type that is not stable.
#[inline(always)]
fn f32_of_f16(v: uint16x4_t) -> float32x4_t {
    let wide: float32x4_t;
    // SAFETY: every aarch64 CPU has the instruction; it touches nothing but its operands.
    unsafe {
        asm!("fcvtl {0:v}.4s, {1:v}.4h", out(vreg) wide, in(vreg) v, options(pure, nomem, nostack, preserves_flags));
    }
    wide
}

/// See [`f32_of_f16`]; rounds to nearest.
#[inline(always)]
fn f16_of_f32(v: float32x4_t) -> uint16x4_t {
    let narrow: uint16x4_t;
    // SAFETY: every aarch64 CPU has the instruction; it touches nothing but its operands.
    unsafe {
        asm!("fcvtn {0:v}.4h, {1:v}.4s", out(vreg) narrow, in(vreg) v, options(pure, nomem, nostack, preserves_flags));
    }
    narrow
}

registers!(Neon, f32, float32x4_t, 4: vdupq_n_f32, vld1q_f32, vst1q_f32, vmulq_f32, vaddq_f32);
registers!(Neon, f64, float64x2_t, 2: vdupq_n_f64, vld1q_f64, vst1q_f64, vmulq_f64, vaddq_f64);
