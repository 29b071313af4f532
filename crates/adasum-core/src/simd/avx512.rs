//! AVX-512 (F, BW, VL): one 512-bit register holds the eight lanes.

use std::arch::x86_64::*;

use super::avx2::bf16_of_f32;
use super::{Arithmetic, CANONICAL_NAN_F32, CANONICAL_NAN_F64, Isa, LANES, registers};
use crate::half::CUT_BITS;

/// x86-64 with AVX-512 F, BW and VL (Skylake-SP, Zen 4 and later).
#[derive(Debug)]
pub struct Avx512;

// SAFETY: every operation is the IEEE one, as in the scalar implementation.
unsafe impl Arithmetic for Avx512 {
    type Lanes = __m512d;
    const WIDTH: usize = LANES;

    #[inline(always)]
    unsafe fn splat(x: f64) -> __m512d {
        // SAFETY: the caller enabled AVX-512.
        unsafe { _mm512_set1_pd(x) }
    }

    #[inline(always)]
    unsafe fn add(a: __m512d, b: __m512d) -> __m512d {
        // SAFETY: the caller enabled AVX-512.
        unsafe { _mm512_add_pd(a, b) }
    }

    #[inline(always)]
    unsafe fn mul(a: __m512d, b: __m512d) -> __m512d {
        // SAFETY: the caller enabled AVX-512.
        unsafe { _mm512_mul_pd(a, b) }
    }

    #[inline(always)]
    unsafe fn mul_add_exact(a: __m512d, b: __m512d, sum: __m512d) -> __m512d {
        // SAFETY: the caller enabled AVX-512.
        unsafe { _mm512_fmadd_pd(a, b, sum) }
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
    unsafe fn store_lanes(v: __m512d, p: *mut f64) {
        // SAFETY: the caller vouches for eight numbers and enabled AVX-512.
        unsafe { _mm512_storeu_pd(p, v) };
    }

    #[inline(always)]
    unsafe fn load_f32(p: *const f32) -> __m512d {
        // SAFETY: the caller vouches for eight elements and enabled AVX-512.
        unsafe { _mm512_cvtps_pd(_mm256_loadu_ps(p)) }
    }

    #[inline(always)]
    unsafe fn load_f64(p: *const f64) -> __m512d {
        // SAFETY: the caller vouches for eight elements and enabled AVX-512.
        unsafe { _mm512_loadu_pd(p) }
    }

    #[inline(always)]
    unsafe fn load_f16(p: *const u16) -> __m512d {
        // SAFETY: the caller vouches for eight elements and enabled F16C.
        unsafe { _mm512_cvtps_pd(_mm256_cvtph_ps(_mm_loadu_si128(p.cast()))) }
    }

    #[inline(always)]
    unsafe fn load_bf16(p: *const u16) -> __m512d {
        // SAFETY: the caller vouches for eight elements and enabled AVX-512.
        unsafe {
            // They are the upper halves of f32.
            let bits = _mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(_mm_loadu_si128(p.cast())));
            _mm512_cvtps_pd(_mm256_castsi256_ps(bits))
        }
    }
}

// SAFETY: all eight lanes; rounding as the scalar implementation does.
unsafe impl Isa for Avx512 {
    type Tile = Avx512;
    const TILE_COLUMNS: usize = 4;

    #[inline(always)]
    unsafe fn store_f32(v: __m512d, p: *mut f32) {
        // SAFETY: the caller vouches for eight elements and enabled AVX-512.
        unsafe {
            let rounded = _mm512_cvtpd_ps(v);
            let nan = _mm256_cmp_ps_mask::<_CMP_UNORD_Q>(rounded, rounded);
            _mm256_storeu_ps(p, _mm256_mask_blend_ps(nan, rounded, _mm256_set1_ps(CANONICAL_NAN_F32)));
        }
    }

    #[inline(always)]
    unsafe fn store_f64(v: __m512d, p: *mut f64) {
        // SAFETY: the caller vouches for eight elements and enabled AVX-512.
        unsafe {
            let nan = _mm512_cmp_pd_mask::<_CMP_UNORD_Q>(v, v);
            _mm512_storeu_pd(p, _mm512_mask_blend_pd(nan, v, _mm512_set1_pd(CANONICAL_NAN_F64)));
        }
    }

    #[inline(always)]
    unsafe fn store_f16(v: __m512d, p: *mut u16) {
        // SAFETY: the caller vouches for eight elements and enabled AVX-512 and F16C.
        unsafe {
            let rounded = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(_mm256_castsi256_ps(odd_f32(v)));
            _mm_storeu_si128(p.cast(), rounded);
        }
    }

    #[inline(always)]
    unsafe fn store_bf16(v: __m512d, p: *mut u16) {
        // SAFETY: the caller vouches for eight elements and enabled AVX-512.
        unsafe { _mm_storeu_si128(p.cast(), _mm256_cvtepi32_epi16(bf16_of_f32(odd_f32(v)))) };
    }
}

/// Eight f64 rounded to odd, as f32, every NaN canonical; see [`crate::half`].
///
/// # Safety
/// The caller must have enabled AVX-512.
#[inline(always)]
unsafe fn odd_f32(v: __m512d) -> __m256i {
    // SAFETY: handed on from the caller.
    unsafe {
        let (bits, cut) = (_mm512_castpd_si512(v), _mm512_set1_epi64(CUT_BITS as i64));
        let carried = _mm512_add_epi64(_mm512_and_si512(bits, cut), cut);
        let odd = _mm512_andnot_si512(cut, _mm512_or_si512(bits, carried));
        let all = _mm512_cvtpd_ps(_mm512_castsi512_pd(odd));
        let nan = _mm256_cmp_ps_mask::<_CMP_UNORD_Q>(all, all);
        _mm256_castps_si256(_mm256_mask_blend_ps(nan, all, _mm256_set1_ps(CANONICAL_NAN_F32)))
    }
}

registers!(Avx512, f32, __m512, 16: _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_mul_ps, _mm512_add_ps);
registers!(Avx512, f64, __m512d, 8: _mm512_set1_pd, _mm512_loadu_pd, _mm512_storeu_pd, _mm512_mul_pd, _mm512_add_pd);
