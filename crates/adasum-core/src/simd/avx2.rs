//! AVX2 and FMA: two 256-bit registers hold the eight lanes.

use std::arch::x86_64::*;

use super::{CANONICAL_NAN_F32, CANONICAL_NAN_F64, Isa, LANES};

/// x86-64 with AVX2 and FMA (Haswell, Zen and later).
#[derive(Debug)]
pub struct Avx2;

/// Lanes 0..4 and 4..8.
#[derive(Clone, Copy, Debug)]
pub struct Registers(__m256d, __m256d);

// SAFETY: every operation is the IEEE one, as in the scalar implementation.
unsafe impl Isa for Avx2 {
    type Lanes = Registers;

    #[inline(always)]
    unsafe fn splat(x: f64) -> Registers {
        // SAFETY: the caller enabled AVX2.
        unsafe { Registers(_mm256_set1_pd(x), _mm256_set1_pd(x)) }
    }

    #[inline(always)]
    unsafe fn add(a: Registers, b: Registers) -> Registers {
        // SAFETY: the caller enabled AVX2.
        unsafe { Registers(_mm256_add_pd(a.0, b.0), _mm256_add_pd(a.1, b.1)) }
    }

    #[inline(always)]
    unsafe fn mul(a: Registers, b: Registers) -> Registers {
        // SAFETY: the caller enabled AVX2.
        unsafe { Registers(_mm256_mul_pd(a.0, b.0), _mm256_mul_pd(a.1, b.1)) }
    }

    #[inline(always)]
    unsafe fn mul_add_exact(a: Registers, b: Registers, sum: Registers) -> Registers {
        // SAFETY: the caller enabled FMA.
        unsafe { Registers(_mm256_fmadd_pd(a.0, b.0, sum.0), _mm256_fmadd_pd(a.1, b.1, sum.1)) }
    }

    #[inline(always)]
    unsafe fn to_array(v: Registers) -> [f64; LANES] {
        let mut lanes = [0.0; LANES];
        // SAFETY: the array has room for both registers, and the caller enabled AVX2.
        unsafe {
            _mm256_storeu_pd(lanes.as_mut_ptr(), v.0);
            _mm256_storeu_pd(lanes.as_mut_ptr().add(4), v.1);
        }
        lanes
    }

    #[inline(always)]
    unsafe fn load_f32(p: *const f32) -> Registers {
        // SAFETY: the caller vouches for eight elements and enabled AVX2.
        unsafe { Registers(_mm256_cvtps_pd(_mm_loadu_ps(p)), _mm256_cvtps_pd(_mm_loadu_ps(p.add(4)))) }
    }

    #[inline(always)]
    unsafe fn load_f64(p: *const f64) -> Registers {
        // SAFETY: the caller vouches for eight elements and enabled AVX2.
        unsafe { Registers(_mm256_loadu_pd(p), _mm256_loadu_pd(p.add(4))) }
    }

    #[inline(always)]
    unsafe fn store_f32(v: Registers, p: *mut f32) {
        // SAFETY: the caller vouches for eight elements and enabled AVX2.
        unsafe {
            let rounded = _mm256_set_m128(_mm256_cvtpd_ps(v.1), _mm256_cvtpd_ps(v.0));
            let nan = _mm256_cmp_ps::<_CMP_UNORD_Q>(rounded, rounded);
            _mm256_storeu_ps(p, _mm256_blendv_ps(rounded, _mm256_set1_ps(CANONICAL_NAN_F32), nan));
        }
    }

    #[inline(always)]
    unsafe fn store_f64(v: Registers, p: *mut f64) {
        // SAFETY: the caller vouches for eight elements and enabled AVX2.
        unsafe {
            let canonical = _mm256_set1_pd(CANONICAL_NAN_F64);
            let (nan_0, nan_1) = (_mm256_cmp_pd::<_CMP_UNORD_Q>(v.0, v.0), _mm256_cmp_pd::<_CMP_UNORD_Q>(v.1, v.1));
            _mm256_storeu_pd(p, _mm256_blendv_pd(v.0, canonical, nan_0));
            _mm256_storeu_pd(p.add(4), _mm256_blendv_pd(v.1, canonical, nan_1));
        }
    }
}
