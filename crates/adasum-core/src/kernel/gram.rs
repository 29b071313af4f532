//! All products of k inputs over one block: products[i, j] = sum over e of input_i[e] * input_j[e], j >= i.
//!
//! Element e goes to lane e mod 8, so every pair needs one accumulator of eight lanes. The pairs are taken in tiles of
//! two inputs by two: the tile's accumulators stay in registers, and every loaded element serves two products.
//!
//! While the tiles on the diagonal multiply, of which every input is in one, they ask for the same elements of the next
//! block: with many inputs a block takes longer than a CPU looks ahead.
//!
//! ```text
//! for each pair of inputs (i, i + 1):
//!     tile (i,i) (i,i+1) (i+1,i+1)
//!     for each later pair (j, j + 1): tile (i,j) (i,j+1) (i+1,j) (i+1,j+1)
//! ```

use super::{add_lanes, load_rest};
use crate::blocks::BLOCK_ELEMENTS;
use crate::element::Element;
use crate::simd::{Isa, LANES};

/// # Safety
/// See [`Kernels`](super::Kernels).
#[inline(always)]
pub unsafe fn gram<I: Isa, E: Element>(inputs: &[*const E], element_count: usize, products: &mut [f64]) {
    let k = inputs.len();
    debug_assert_eq!(products.len(), k * (k + 1) / 2);
    for i in (0..k).step_by(2) {
        // SAFETY: handed on from the caller.
        unsafe { diagonal::<I, E>(inputs, i, element_count, products) };
        for j in (i + 2..k).step_by(2) {
            // SAFETY: handed on from the caller.
            unsafe { rectangle::<I, E>(inputs, (i, j), element_count, products) };
        }
    }
}

/// Where the upper triangle holds the product of inputs i <= j.
#[inline(always)]
fn place(k: usize, i: usize, j: usize) -> usize {
    i * (2 * k + 1 - i) / 2 + (j - i)
}

/// # Safety
/// See [`gram`].
#[inline(always)]
unsafe fn diagonal<I: Isa, E: Element>(inputs: &[*const E], i: usize, element_count: usize, products: &mut [f64]) {
    let k = inputs.len();
    if i + 1 == k {
        // SAFETY: handed on from the caller.
        [products[place(k, i, i)]] = unsafe { tile::<I, E, 1, 1, true>([inputs[i]], [(0, 0)], element_count) };
        return;
    }
    let vectors = [inputs[i], inputs[i + 1]];
    // SAFETY: handed on from the caller.
    let sums = unsafe { tile::<I, E, 2, 3, true>(vectors, [(0, 0), (0, 1), (1, 1)], element_count) };
    [products[place(k, i, i)], products[place(k, i, i + 1)], products[place(k, i + 1, i + 1)]] = sums;
}

/// # Safety
/// See [`gram`].
#[inline(always)]
unsafe fn rectangle<I: Isa, E: Element>(
    inputs: &[*const E],
    (i, j): (usize, usize),
    element_count: usize,
    products: &mut [f64],
) {
    let k = inputs.len();
    if j + 1 == k {
        let vectors = [inputs[i], inputs[i + 1], inputs[j]];
        // SAFETY: handed on from the caller.
        let sums = unsafe { tile::<I, E, 3, 2, false>(vectors, [(0, 2), (1, 2)], element_count) };
        [products[place(k, i, j)], products[place(k, i + 1, j)]] = sums;
        return;
    }
    let vectors = [inputs[i], inputs[i + 1], inputs[j], inputs[j + 1]];
    // SAFETY: handed on from the caller.
    let sums = unsafe { tile::<I, E, 4, 4, false>(vectors, [(0, 2), (0, 3), (1, 2), (1, 3)], element_count) };
    let (upper, lower) = (place(k, i, j), place(k, i + 1, j));
    [products[upper], products[upper + 1], products[lower], products[lower + 1]] = sums;
}

/// The products of P pairs among V vectors; `AHEAD` also asks for the next block.
///
/// # Safety
/// See [`gram`].
#[inline(always)]
unsafe fn tile<I: Isa, E: Element, const V: usize, const P: usize, const AHEAD: bool>(
    vectors: [*const E; V],
    pairs: [(usize, usize); P],
    element_count: usize,
) -> [f64; P] {
    let full = element_count - element_count % LANES;
    // SAFETY: the caller enabled the instruction set; both loads stay below element_count.
    unsafe {
        let mut sums = [I::splat(0.0); P];
        let mut element = 0;
        while element < full {
            if AHEAD {
                vectors.iter().for_each(|vector| I::prefetch(vector.wrapping_add(element + BLOCK_ELEMENTS)));
            }
            let values = vectors.map(|vector| E::load::<I>(vector.add(element)));
            accumulate::<I, E, V, P>(&mut sums, values, pairs);
            element += LANES;
        }
        if full < element_count {
            let values = vectors.map(|vector| load_rest::<I, E>(vector.add(full), element_count - full));
            accumulate::<I, E, V, P>(&mut sums, values, pairs);
        }
        sums.map(|sum| add_lanes(I::to_array(sum)))
    }
}

/// # Safety
/// See [`Isa`].
#[inline(always)]
unsafe fn accumulate<I: Isa, E: Element, const V: usize, const P: usize>(
    sums: &mut [I::Lanes; P],
    values: [I::Lanes; V],
    pairs: [(usize, usize); P],
) {
    for (sum, (i, j)) in sums.iter_mut().zip(pairs) {
        // SAFETY: handed on from the caller.
        *sum = unsafe {
            if E::EXACT_PRODUCTS {
                I::mul_add_exact(values[i], values[j], *sum)
            } else {
                I::add(I::mul(values[i], values[j]), *sum)
            }
        };
    }
}
