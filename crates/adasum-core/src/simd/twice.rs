//! Twice the lanes of a narrower arithmetic: for instruction sets whose registers hold fewer than eight.

use std::marker::PhantomData;

use super::Arithmetic;

/// The first half of the lanes, and the second.
#[derive(Debug)]
pub struct Twice<A>(PhantomData<A>);

// SAFETY: every operation is that of the halves.
unsafe impl<A: Arithmetic> Arithmetic for Twice<A> {
    type Lanes = (A::Lanes, A::Lanes);
    const WIDTH: usize = 2 * A::WIDTH;

    #[inline(always)]
    unsafe fn splat(x: f64) -> Self::Lanes {
        // SAFETY: handed on from the caller.
        unsafe { (A::splat(x), A::splat(x)) }
    }

    #[inline(always)]
    unsafe fn add(a: Self::Lanes, b: Self::Lanes) -> Self::Lanes {
        // SAFETY: handed on from the caller.
        unsafe { (A::add(a.0, b.0), A::add(a.1, b.1)) }
    }

    #[inline(always)]
    unsafe fn mul(a: Self::Lanes, b: Self::Lanes) -> Self::Lanes {
        // SAFETY: handed on from the caller.
        unsafe { (A::mul(a.0, b.0), A::mul(a.1, b.1)) }
    }

    #[inline(always)]
    unsafe fn mul_add_exact(a: Self::Lanes, b: Self::Lanes, sum: Self::Lanes) -> Self::Lanes {
        // SAFETY: handed on from the caller.
        unsafe { (A::mul_add_exact(a.0, b.0, sum.0), A::mul_add_exact(a.1, b.1, sum.1)) }
    }

    #[inline(always)]
    unsafe fn prefetch<T>(p: *const T) {
        // SAFETY: handed on from the caller.
        unsafe { A::prefetch(p) };
    }

    #[inline(always)]
    unsafe fn prefetch_far<T>(p: *const T) {
        // SAFETY: handed on from the caller.
        unsafe { A::prefetch_far(p) };
    }

    #[inline(always)]
    unsafe fn store_lanes(v: Self::Lanes, p: *mut f64) {
        // SAFETY: the caller vouches for both halves.
        unsafe {
            A::store_lanes(v.0, p);
            A::store_lanes(v.1, p.add(A::WIDTH));
        }
    }

    #[inline(always)]
    unsafe fn load_f32(p: *const f32) -> Self::Lanes {
        // SAFETY: the caller vouches for both halves.
        unsafe { (A::load_f32(p), A::load_f32(p.add(A::WIDTH))) }
    }

    #[inline(always)]
    unsafe fn load_f64(p: *const f64) -> Self::Lanes {
        // SAFETY: the caller vouches for both halves.
        unsafe { (A::load_f64(p), A::load_f64(p.add(A::WIDTH))) }
    }

    #[inline(always)]
    unsafe fn load_f16(p: *const u16) -> Self::Lanes {
        // SAFETY: the caller vouches for both halves.
        unsafe { (A::load_f16(p), A::load_f16(p.add(A::WIDTH))) }
    }

    #[inline(always)]
    unsafe fn load_bf16(p: *const u16) -> Self::Lanes {
        // SAFETY: the caller vouches for both halves.
        unsafe { (A::load_bf16(p), A::load_bf16(p.add(A::WIDTH))) }
    }
}
