//! out = sum of coefficient * input, in one pass over all inputs.
//!
//! Multiply and add are separate and in input order, starting from the first product, all in f64, and the sum is rounded
//! once: then every instruction set stores the same bits.

use super::{Term, load_rest};
use crate::element::Element;
use crate::simd::{Isa, LANES};

/// Groups of eight lanes whose sums are kept at once, so that a term's pointer and coefficient are fetched once for all.
const UNROLL: usize = 4;
const CACHE_LINE: usize = 64;
/// Elements between what is combined and what is asked for.
const AHEAD: usize = 1024;
/// With more terms than this, asking costs more than it saves: measured.
const MOST_ASKED: usize = 4;

/// # Safety
/// See [`Kernels`](super::Kernels); `out` must be valid for writing and may be one of the inputs.
#[inline(always)]
pub unsafe fn combine<I: Isa, E: Element, O: Element>(terms: &[Term<E>], element_count: usize, out: *mut O) {
    let Some((first, others)) = terms.split_first() else {
        // SAFETY: the caller vouches for so many elements; no loop reads them, and all-zero bytes are +0 in every dtype.
        return unsafe { std::ptr::write_bytes(out, 0, element_count) };
    };
    let mut element = 0;
    // SAFETY: every strip ends at element_count or before, and the caller vouches for so many elements.
    unsafe {
        while element + UNROLL * LANES <= element_count {
            strip::<I, E, O, UNROLL>(first, others, element, out);
            element += UNROLL * LANES;
        }
        while element + LANES <= element_count {
            strip::<I, E, O, 1>(first, others, element, out);
            element += LANES;
        }
        if element < element_count {
            rest::<I, E, O>(first, others, element..element_count, out);
        }
    }
}

/// # Safety
/// See [`combine`]; U * 8 elements from `element` on must exist.
#[inline(always)]
unsafe fn strip<I: Isa, E: Element, O: Element, const U: usize>(
    first: &Term<E>,
    others: &[Term<E>],
    element: usize,
    out: *mut O,
) {
    // SAFETY: the caller vouches for the elements. All reads come before the first write: `out` may be an input.
    unsafe {
        if others.len() < MOST_ASKED {
            ask_ahead::<I, E, U>(first, element);
            others.iter().for_each(|term| ask_ahead::<I, E, U>(term, element));
        }
        let coefficient = I::splat(first.coefficient);
        let mut sums = [coefficient; U];
        for (group, sum) in sums.iter_mut().enumerate() {
            *sum = I::mul(coefficient, E::load::<I>(first.input.add(element + group * LANES)));
        }
        for term in others {
            let coefficient = I::splat(term.coefficient);
            for (group, sum) in sums.iter_mut().enumerate() {
                let product = I::mul(coefficient, E::load::<I>(term.input.add(element + group * LANES)));
                *sum = I::add(*sum, product);
            }
        }
        for (group, sum) in sums.into_iter().enumerate() {
            O::store::<I>(sum, out.add(element + group * LANES));
        }
    }
}

/// Asks for the cache lines that a later strip will need: with a store among them, streams are not foreseen well.
///
/// # Safety
/// See [`Isa`].
#[inline(always)]
unsafe fn ask_ahead<I: Isa, E: Element, const U: usize>(term: &Term<E>, element: usize) {
    for line in (0..U * LANES).step_by(CACHE_LINE / size_of::<E>()) {
        // SAFETY: handed on from the caller; the address may be anywhere.
        unsafe { I::prefetch(term.input.wrapping_add(element + AHEAD + line)) };
    }
}

/// # Safety
/// See [`combine`]; `range` must hold fewer than eight elements, all of which exist.
#[inline(always)]
unsafe fn rest<I: Isa, E: Element, O: Element>(
    first: &Term<E>,
    others: &[Term<E>],
    range: std::ops::Range<usize>,
    out: *mut O,
) {
    // SAFETY: the caller vouches for the elements. All reads come before the write: `out` may be an input.
    unsafe {
        let mut sum =
            I::mul(I::splat(first.coefficient), load_rest::<I, E>(first.input.add(range.start), range.len(), 0));
        for term in others {
            let values = load_rest::<I, E>(term.input.add(range.start), range.len(), 0);
            sum = I::add(sum, I::mul(I::splat(term.coefficient), values));
        }
        let mut rounded = [O::ZERO; LANES];
        O::store::<I>(sum, rounded.as_mut_ptr());
        std::ptr::copy_nonoverlapping(rounded.as_ptr(), out.add(range.start), range.len());
    }
}
