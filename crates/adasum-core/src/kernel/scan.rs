//! Whether every element is finite: x * 0 is 0 for finite x and NaN otherwise, and a sum with a NaN in it is NaN.

use super::lanes::load_rest;
use crate::element::Element;
use crate::simd::{Isa, LANES};

/// Independent sums, so that an addition does not wait for the one before it.
const UNROLL: usize = 4;

/// # Safety
/// See [`Kernels`](super::table::Kernels).
#[inline(always)]
pub unsafe fn is_finite<I: Isa, E: Element>(input: *const E, element_count: usize) -> bool {
    debug_assert!(input.is_aligned(), "elements are aligned");
    // SAFETY: all loads stay below element_count; the caller vouches for the rest.
    unsafe {
        let zero = I::splat(0.0);
        let mut sums = [zero; UNROLL];
        let mut element = 0;
        while element + UNROLL * LANES <= element_count {
            for (group, sum) in sums.iter_mut().enumerate() {
                *sum = I::mul_add_exact(E::load::<I>(input.add(element + group * LANES)), zero, *sum);
            }
            element += UNROLL * LANES;
        }
        while element < element_count {
            let count = LANES.min(element_count - element);
            let values = if count == LANES {
                E::load::<I>(input.add(element))
            } else {
                load_rest::<I, E>(input.add(element), count, 0)
            };
            sums[0] = I::mul_add_exact(values, zero, sums[0]);
            element += count;
        }
        sums.into_iter().all(|sum| I::to_array(sum).iter().all(|lane| !lane.is_nan()))
    }
}
