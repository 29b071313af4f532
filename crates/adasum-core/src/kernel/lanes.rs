//! What the kernels have in common: the addition of the eight lanes, and loads of fewer than eight elements.

use crate::element::Element;
use crate::simd::{Arithmetic, LANES};

/// Adds the lanes in the canonical order.
#[inline(always)]
pub fn add_lanes(v: [f64; LANES]) -> f64 {
    ((v[0] + v[1]) + (v[2] + v[3])) + ((v[4] + v[5]) + (v[6] + v[7]))
}

/// The `count < 8` elements at `p`, then zeros, which leave every sum as it is.
///
/// # Safety
/// `p` must be valid for reading `count` elements.
#[inline(always)]
pub unsafe fn padded<E: Element>(p: *const E, count: usize) -> [E; LANES] {
    debug_assert!(count < LANES, "only fewer than eight elements are padded");
    let mut elements = [E::ZERO; LANES];
    // SAFETY: `count` is below 8, and the caller vouches for so many elements.
    unsafe { std::ptr::copy_nonoverlapping(p, elements.as_mut_ptr(), count) };
    elements
}

/// Widens the lanes from `part` on of eight elements, of which the `count < 8` at `p` are there; the others are zero.
///
/// # Safety
/// `p` must be valid for reading `count` elements; see [`Arithmetic`].
#[inline(always)]
pub unsafe fn load_rest<A: Arithmetic, E: Element>(p: *const E, count: usize, part: usize) -> A::Lanes {
    debug_assert!(part + A::WIDTH <= LANES, "the part lies in the eight lanes");
    // SAFETY: the array has eight elements; the rest is handed on from the caller.
    unsafe { E::load::<A>(padded(p, count).as_ptr().add(part)) }
}
