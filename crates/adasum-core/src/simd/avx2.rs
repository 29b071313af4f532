//! AVX2, FMA and F16C: two 256-bit registers hold the eight lanes.

use std::arch::x86_64::*;

use super::twice::Twice;
use super::{Arithmetic, CANONICAL_NAN_F32, CANONICAL_NAN_F64, Isa, registers};
use crate::half::CUT_BITS;

/// One register: four lanes.
#[derive(Debug)]
pub struct Ymm;

/// x86-64 with AVX2, FMA and F16C (Haswell, Zen and later).
pub type Avx2 = Twice<Ymm>;

/// Lanes 0..4 and 4..8.
type Registers = (__m256d, __m256d);

// SAFETY: every operation is the IEEE one, as in the scalar implementation.
unsafe impl Arithmetic for Ymm {
    type Lanes = __m256d;
    const WIDTH: usize = 4;

    #[inline(always)]
    unsafe fn splat(x: f64) -> __m256d {
        // SAFETY: the caller enabled AVX2.
        unsafe { _mm256_set1_pd(x) }
    }

    #[inline(always)]
    unsafe fn add(a: __m256d, b: __m256d) -> __m256d {
        // SAFETY: the caller enabled AVX2.
        unsafe { _mm256_add_pd(a, b) }
    }

    #[inline(always)]
    unsafe fn mul(a: __m256d, b: __m256d) -> __m256d {
        // SAFETY: the caller enabled AVX2.
        unsafe { _mm256_mul_pd(a, b) }
    }

    #[inline(always)]
    unsafe fn mul_add_exact(a: __m256d, b: __m256d, sum: __m256d) -> __m256d {
        // SAFETY: the caller enabled FMA.
        unsafe { _mm256_fmadd_pd(a, b, sum) }
    }

    #[inline(always)]
    unsafe fn prefetch<T>(p: *const T) {
        // SAFETY: a prefetch never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) };
    }

    #[inline(always)]
    unsafe fn prefetch_far<T>(p: *const T) {
        // SAFETY: a prefetch never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(p.cast()) };
    }

    #[inline(always)]
    unsafe fn store_lanes(v: __m256d, p: *mut f64) {
        // SAFETY: the caller vouches for four numbers and enabled AVX2.
        unsafe { _mm256_storeu_pd(p, v) };
    }

    #[inline(always)]
    unsafe fn load_f32(p: *const f32) -> __m256d {
        // SAFETY: the caller vouches for four elements and enabled AVX2.
        unsafe { _mm256_cvtps_pd(_mm_loadu_ps(p)) }
    }

    #[inline(always)]
    unsafe fn load_f64(p: *const f64) -> __m256d {
        // SAFETY: the caller vouches for four elements and enabled AVX2.
        unsafe { _mm256_loadu_pd(p) }
    }

    #[inline(always)]
    unsafe fn load_f16(p: *const u16) -> __m256d {
        // SAFETY: the caller vouches for four elements and enabled F16C.
        unsafe { _mm256_cvtps_pd(_mm_cvtph_ps(_mm_loadl_epi64(p.cast()))) }
    }

    #[inline(always)]
    unsafe fn load_bf16(p: *const u16) -> __m256d {
        // SAFETY: the caller vouches for four elements and enabled AVX2.
        unsafe {
            // They are the upper halves of f32.
            let bits = _mm_unpacklo_epi16(_mm_setzero_si128(), _mm_loadl_epi64(p.cast()));
            _mm256_cvtps_pd(_mm_castsi128_ps(bits))
        }
    }
}

// SAFETY: all eight lanes; rounding as the scalar implementation does.
unsafe impl Isa for Avx2 {
    type Tile = Ymm;

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

    #[inline(always)]
    unsafe fn store_f16(v: Registers, p: *mut u16) {
        // SAFETY: the caller vouches for eight elements and enabled AVX2 and F16C.
        unsafe {
            let rounded = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(_mm256_castsi256_ps(odd_f32(v)));
            _mm_storeu_si128(p.cast(), rounded);
        }
    }

    #[inline(always)]
    unsafe fn store_bf16(v: Registers, p: *mut u16) {
        // SAFETY: the caller vouches for eight elements and enabled AVX2.
        unsafe {
            let upper_halves = bf16_of_f32(odd_f32(v));
            let packed = _mm256_packus_epi32(upper_halves, upper_halves);
            let ordered = _mm256_permute4x64_epi64::<0b00_00_10_00>(packed);
            _mm_storeu_si128(p.cast(), _mm256_castsi256_si128(ordered));
        }
    }
}

/// Rounds eight f32 to bf16, to nearest; each is the lower half of its 32 bits.
///
/// # Safety
/// The caller must have enabled AVX2.
#[inline(always)]
pub(super) unsafe fn bf16_of_f32(bits: __m256i) -> __m256i {
    // SAFETY: handed on from the caller.
    unsafe {
        let last_bit = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
        let carried = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), last_bit);
        _mm256_srli_epi32::<16>(carried)
    }
}

/// Eight f64 rounded to odd, as f32, every NaN canonical; see [`crate::half`].
///
/// # Safety
/// The caller must have enabled AVX2.
#[inline(always)]
unsafe fn odd_f32(v: Registers) -> __m256i {
    // SAFETY: handed on from the caller.
    unsafe {
        let cut = _mm256_set1_epi64x(CUT_BITS as i64);
        let odd = |exact: __m256d| {
            let bits = _mm256_castpd_si256(exact);
            let carried = _mm256_add_epi64(_mm256_and_si256(bits, cut), cut);
            _mm256_cvtpd_ps(_mm256_castsi256_pd(_mm256_andnot_si256(cut, _mm256_or_si256(bits, carried))))
        };
        let all = _mm256_set_m128(odd(v.1), odd(v.0));
        let nan = _mm256_cmp_ps::<_CMP_UNORD_Q>(all, all);
        _mm256_castps_si256(_mm256_blendv_ps(all, _mm256_set1_ps(CANONICAL_NAN_F32), nan))
    }
}

registers!(Avx2, f32, __m256, 8: _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_mul_ps, _mm256_add_ps);
registers!(Avx2, f64, __m256d, 4: _mm256_set1_pd, _mm256_loadu_pd, _mm256_storeu_pd, _mm256_mul_pd, _mm256_add_pd);
