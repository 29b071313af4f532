//! AVX2, FMA and F16C: two 256-bit registers hold the eight lanes.

use std::arch::x86_64::*;

use super::{CANONICAL_NAN_F32, CANONICAL_NAN_F64, Isa};

/// x86-64 with AVX2, FMA and F16C (Haswell, Zen and later).
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
    unsafe fn prefetch<T>(p: *const T) {
        // SAFETY: a prefetch never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) };
    }

    #[inline(always)]
    unsafe fn keep(v: Registers, p: *mut f64) {
        // SAFETY: the caller vouches for eight numbers and enabled AVX2.
        unsafe {
            _mm256_storeu_pd(p, v.0);
            _mm256_storeu_pd(p.add(4), v.1);
        }
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
    unsafe fn load_f16(p: *const u16) -> Registers {
        // SAFETY: the caller vouches for eight elements and enabled F16C.
        unsafe { widen(_mm256_cvtph_ps(_mm_loadu_si128(p.cast()))) }
    }

    #[inline(always)]
    unsafe fn load_bf16(p: *const u16) -> Registers {
        // SAFETY: the caller vouches for eight elements and enabled AVX2.
        unsafe { widen(f32_of_bf16(p)) }
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

/// Eight bf16 as f32: they are the upper halves.
///
/// # Safety
/// `p` must be valid for reading eight elements, and the caller must have enabled AVX2.
#[inline(always)]
pub(super) unsafe fn f32_of_bf16(p: *const u16) -> __m256 {
    // SAFETY: handed on from the caller.
    unsafe { _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(_mm_loadu_si128(p.cast())))) }
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

/// # Safety
/// The caller must have enabled AVX2.
#[inline(always)]
unsafe fn widen(v: __m256) -> Registers {
    // SAFETY: handed on from the caller.
    unsafe { Registers(_mm256_cvtps_pd(_mm256_castps256_ps128(v)), _mm256_cvtps_pd(_mm256_extractf128_ps::<1>(v))) }
}

/// Eight f32 rounded to odd, every NaN canonical; see [`crate::half`].
///
/// # Safety
/// The caller must have enabled AVX2.
#[inline(always)]
unsafe fn odd_f32(v: Registers) -> __m256i {
    // SAFETY: handed on from the caller.
    unsafe {
        let nearest = _mm256_set_m128(_mm256_cvtpd_ps(v.1), _mm256_cvtpd_ps(v.0));
        let back = widen(nearest);
        let magnitude = _mm256_castsi256_pd(_mm256_set1_epi64x(i64::MAX));
        let beyond =
            |back, exact| _mm256_cmp_pd::<_CMP_GT_OQ>(_mm256_and_pd(back, magnitude), _mm256_and_pd(exact, magnitude));
        let inexact = narrow(_mm256_cmp_pd::<_CMP_NEQ_OQ>(back.0, v.0), _mm256_cmp_pd::<_CMP_NEQ_OQ>(back.1, v.1));
        // A mask is -1 where it is true: adding it takes one step towards zero.
        let toward_zero =
            _mm256_add_epi32(_mm256_castps_si256(nearest), narrow(beyond(back.0, v.0), beyond(back.1, v.1)));
        let odd = _mm256_or_si256(toward_zero, _mm256_and_si256(inexact, _mm256_set1_epi32(1)));
        let nan = _mm256_cmp_ps::<_CMP_UNORD_Q>(nearest, nearest);
        _mm256_castps_si256(_mm256_blendv_ps(_mm256_castsi256_ps(odd), _mm256_set1_ps(CANONICAL_NAN_F32), nan))
    }
}

/// Eight masks of 64 bits as masks of 32.
///
/// # Safety
/// The caller must have enabled AVX2.
#[inline(always)]
unsafe fn narrow(low: __m256d, high: __m256d) -> __m256i {
    // SAFETY: handed on from the caller.
    unsafe {
        let halves = _mm256_shuffle_ps::<0b10_00_10_00>(_mm256_castpd_ps(low), _mm256_castpd_ps(high));
        _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_castps_si256(halves))
    }
}
