//! Products of a vector that exists only as a combination of the inputs: x = sum of coefficient * input.
//!
//! Where the terms cancel, c^T K c has lost the digits that x itself still has. So x is formed in f64, block by block,
//! and multiplied directly. The factors are not short enough for exact products: multiply, then add.

use super::combine::combine;
use super::lanes::{add_lanes, load_rest};
use super::table::{Pass, Scratch, Term};
use crate::blocks::BLOCK_ELEMENTS;
use crate::element::Element;
use crate::simd::{Isa, LANES};

/// # Safety
/// See [`Kernels`](super::table::Kernels); `products` must have one number more than there are inputs.
#[inline(always)]
pub unsafe fn refine<I: Isa, E: Element>(
    terms: &[Term<E>],
    inputs: &[*const E],
    element_count: usize,
    scratch: &mut Scratch,
    products: &mut [f64],
) {
    debug_assert_eq!(products.len(), inputs.len() + 1);
    debug_assert!(inputs.iter().all(|input| input.is_aligned()), "elements are aligned");
    assert!(element_count <= BLOCK_ELEMENTS, "refine takes one block");
    let x = scratch.as_mut_ptr();
    // SAFETY: the scratch holds a block; everything else is handed on from the caller.
    unsafe {
        combine::<I, E, f64>(terms, 0..element_count, x, Pass::Alone);
        products[0] = dot::<I, f64>(x, x, element_count);
        for (product, &input) in products[1..].iter_mut().zip(inputs) {
            *product = dot::<I, E>(x, input, element_count);
        }
    }
}

/// # Safety
/// Both pointers must be valid for reading `element_count` elements; see [`Isa`].
#[inline(always)]
unsafe fn dot<I: Isa, E: Element>(x: *const f64, input: *const E, element_count: usize) -> f64 {
    let full = element_count - element_count % LANES;
    // SAFETY: both loads stay below element_count.
    unsafe {
        let mut sum = I::splat(0.0);
        let mut element = 0;
        while element < full {
            sum = I::add(I::mul(f64::load::<I>(x.add(element)), E::load::<I>(input.add(element))), sum);
            element += LANES;
        }
        if full < element_count {
            let (a, b) = (
                load_rest::<I, f64>(x.add(full), element_count - full, 0),
                load_rest::<I, E>(input.add(full), element_count - full, 0),
            );
            sum = I::add(I::mul(a, b), sum);
        }
        add_lanes(I::to_array(sum))
    }
}
