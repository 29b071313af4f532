//! Gram of so few inputs that the registers hold all their sums, from a block's first element to its last: one pass, no
//! tiles, and every row prefetches what it will read next itself. The functions that `gram` shares with it are here,
//! too.

use std::ops::Range;

use super::lanes::{add_lanes, load_rest};
use super::table::Between;
use crate::blocks::BLOCK_ELEMENTS;
use crate::element::Element;
use crate::simd::{Arithmetic, Isa, LANES};

/// Bytes between what rows read and what they prefetch themselves. As measured, a prefetch farther on, beyond the page,
/// keeps the CPU from prefetching on its own.
const NEAR: usize = 512;
/// Most elements of a chunk if another kernel works between the chunks: the fastest as measured.
const SHARED_CHUNK: usize = 512;

/// The P products of R inputs.
///
/// # Safety
/// See [`Kernels`](super::table::Kernels); there must be R inputs and P products.
#[inline(always)]
pub(super) unsafe fn gram_small<I: Isa, E: Element, const R: usize, const P: usize>(
    inputs: &[*const E],
    elements: Range<usize>,
    products: &mut [f64],
    mut between: Between<'_>,
) {
    debug_assert_eq!((inputs.len(), products.len()), (R, P));
    let rows: [_; R] = std::array::from_fn(|r| inputs[r]);
    let most = most_elements(between.is_some());
    let full = elements.end - elements.len() % LANES;
    let mut element = elements.start;
    // SAFETY: the full groups end where the elements end or before; the rest is handed on from the caller.
    unsafe {
        let mut sums = [I::splat(0.0); P];
        for begin in elements.clone().step_by(most) {
            let end = elements.end.min(begin + most);
            if let Some(between) = &mut between {
                between(begin..end);
            }
            while element < end.min(full) {
                rows.iter().for_each(|row| prefetch_near::<I, E>(row.wrapping_add(element)));
                let values = rows.map(|row| E::load::<I>(row.add(element)));
                add_triangle::<I, E, R, P>(values, &mut sums);
                element += LANES;
            }
        }
        if full < elements.end {
            let count = elements.end - full;
            let values = if full > elements.start {
                rows.map(|row| load_last::<I, E>(row.add(elements.end), count))
            } else {
                rows.map(|row| load_rest::<I, E>(row.add(full), count, 0))
            };
            add_triangle::<I, E, R, P>(values, &mut sums);
        }
        for (product, sum) in products.iter_mut().zip(sums) {
            *product = add_lanes(I::to_array(sum));
        }
    }
}

/// Widens the last `count < 8` elements before `end`, then zeros. Quicker than a copy of any length.
///
/// # Safety
/// The eight elements before `end` must be valid for reading; see [`Isa`].
#[inline(always)]
unsafe fn load_last<I: Isa, E: Element>(end: *const E, count: usize) -> I::Lanes {
    debug_assert!(count < LANES, "whole groups are loaded as they are");
    let mut lanes = [0.0; 2 * LANES];
    // SAFETY: `count` is below 8, so that both halves lie in the array; the rest is handed on from the caller.
    unsafe {
        I::store_lanes(E::load::<I>(end.sub(LANES)), lanes.as_mut_ptr());
        I::load_f64(lanes.as_ptr().add(LANES - count))
    }
}

/// Prefetches what comes soon after `p`.
///
/// # Safety
/// See [`Arithmetic`].
#[inline(always)]
pub(super) unsafe fn prefetch_near<A: Arithmetic, E: Element>(p: *const E) {
    // SAFETY: handed on from the caller; the address may be anywhere.
    unsafe { A::prefetch(p.wrapping_add(NEAR / size_of::<E>())) };
}

/// Most elements of any chunk.
#[inline(always)]
pub(super) fn most_elements(is_shared: bool) -> usize {
    if is_shared { SHARED_CHUNK } else { BLOCK_ELEMENTS }
}

/// # Safety
/// See [`Arithmetic`].
#[inline(always)]
pub(super) unsafe fn add_triangle<A: Arithmetic, E: Element, const R: usize, const P: usize>(
    values: [A::Lanes; R],
    sums: &mut [A::Lanes; P],
) {
    let mut pair = 0;
    for i in 0..R {
        for j in i..R {
            // SAFETY: handed on from the caller.
            sums[pair] = unsafe { multiply_add::<A, E>(values[i], values[j], sums[pair]) };
            pair += 1;
        }
    }
}

/// # Safety
/// See [`Arithmetic`].
#[inline(always)]
pub(super) unsafe fn multiply_add<A: Arithmetic, E: Element>(a: A::Lanes, b: A::Lanes, sum: A::Lanes) -> A::Lanes {
    // SAFETY: handed on from the caller.
    unsafe { if E::EXACT_PRODUCTS { A::mul_add_exact(a, b, sum) } else { A::add(A::mul(a, b), sum) } }
}
