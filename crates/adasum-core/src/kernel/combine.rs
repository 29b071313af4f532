//! out = sum of coefficient * input, in one pass over all inputs.
//!
//! Multiply and add are separate and in input order, starting from the first product, all in f64, and the sum is
//! rounded once: then every instruction set stores the same bits.

use std::ops::Range;

use super::lanes::load_rest;
use super::table::{Pass, Term};
use crate::element::Element;
use crate::simd::stream::{self, CACHE_LINE, STREAMS};
use crate::simd::{Isa, LANES};

/// Groups of eight lanes whose sums are kept at once, so that a term's pointer and coefficient are fetched once for
/// all.
const UNROLL: usize = 4;
/// Bytes between what is combined and what is prefetched. A CPU prefetches on its own, and, as measured, stops that if
/// it is told to prefetch from the next page of memory.
const AHEAD: usize = 512;
/// With more terms than this, prefetching costs more than it saves, as measured.
const MOST_PREFETCHED: usize = 8;

/// # Safety
/// See [`Kernels`](super::table::Kernels); `out` must be valid for writing and may be one of the inputs, unless it is
/// streamed.
#[inline(always)]
pub unsafe fn combine<I: Isa, E: Element, O: Element>(
    terms: &[Term<E>],
    elements: Range<usize>,
    out: *mut O,
    pass: Pass,
) {
    debug_assert!(terms.iter().all(|term| term.input.is_aligned()) && out.is_aligned(), "elements are aligned");
    debug_assert!(elements.start <= elements.end, "a range ends where it begins or later");
    let near = AHEAD / size_of::<E>();
    // SAFETY: handed on from the caller.
    unsafe {
        match pass {
            Pass::Streaming if STREAMS => streamed::<I, E, O>(terms, elements, out, near),
            Pass::Alone | Pass::Streaming => strips::<I, E, O, false>(terms, elements, out, near),
            Pass::Before(next) => {
                strips::<I, E, O, true>(terms, elements.clone(), out, next.wrapping_sub(elements.start))
            }
        }
    }
}

/// Results that fill whole cache lines.
#[repr(align(64))]
struct Strip<O>([O; UNROLL * LANES]);

/// Writes whole cache lines past the cache, and the elements before and after them as always.
///
/// # Safety
/// See [`combine`]; `out` must be none of the inputs.
#[inline(always)]
unsafe fn streamed<I: Isa, E: Element, O: Element>(
    terms: &[Term<E>],
    elements: Range<usize>,
    out: *mut O,
    ahead: usize,
) {
    debug_assert!(terms.iter().all(|term| !std::ptr::eq(term.input.cast(), out)), "what is streamed is no input");
    let skipped = out.wrapping_add(elements.start).align_offset(CACHE_LINE).min(elements.len());
    let mut element = elements.start + skipped;
    // SAFETY: the three ranges make up the elements, for which the caller vouches; strips of the second begin lines.
    unsafe {
        strips::<I, E, O, false>(terms, elements.start..element, out, ahead);
        if let Some((first, others)) = terms.split_first() {
            while element + UNROLL * LANES <= elements.end {
                prefetch::<I, E, UNROLL, false>(terms, element.wrapping_add(ahead));
                let mut strip = Strip([O::ZERO; UNROLL * LANES]);
                store::<I, O, UNROLL>(sums::<I, E, UNROLL>(first, others, element), strip.0.as_mut_ptr());
                let (from, to) = (strip.0.as_ptr().cast::<u8>(), out.add(element).cast::<u8>());
                for at in (0..size_of::<Strip<O>>()).step_by(CACHE_LINE) {
                    stream::line(from.add(at), to.add(at));
                }
                element += UNROLL * LANES;
            }
        }
        strips::<I, E, O, false>(terms, element..elements.end, out, ahead);
    }
    stream::end();
}

/// Combines the elements, and prefetches those that lie `ahead` elements farther. IS_FAR: another kernel will read
/// these.
///
/// # Safety
/// See [`combine`].
#[inline(always)]
unsafe fn strips<I: Isa, E: Element, O: Element, const IS_FAR: bool>(
    terms: &[Term<E>],
    elements: Range<usize>,
    out: *mut O,
    ahead: usize,
) {
    let Some((first, others)) = terms.split_first() else {
        // SAFETY: the caller vouches for the elements; no loop reads them, and all-zero bytes are +0 in every dtype.
        return unsafe { std::ptr::write_bytes(out.add(elements.start), 0, elements.len()) };
    };
    // The last eight elements, before any of them is overwritten: what is left over after whole groups is stored with a
    // part of the last group, which gets the same values a second time.
    let last = elements.end.wrapping_sub(LANES);
    let is_overlapping = elements.len() > LANES && !elements.len().is_multiple_of(LANES);
    let mut element = elements.start;
    // SAFETY: every strip ends where the elements end or before, and the caller vouches for them.
    unsafe {
        let overlapping = if is_overlapping { sums::<I, E, 1>(first, others, last) } else { [I::splat(0.0)] };
        while element + UNROLL * LANES <= elements.end {
            prefetch::<I, E, UNROLL, IS_FAR>(terms, element.wrapping_add(ahead));
            store::<I, O, UNROLL>(sums::<I, E, UNROLL>(first, others, element), out.add(element));
            element += UNROLL * LANES;
        }
        while element + LANES <= elements.end {
            store::<I, O, 1>(sums::<I, E, 1>(first, others, element), out.add(element));
            element += LANES;
        }
        if is_overlapping {
            store::<I, O, 1>(overlapping, out.add(last));
        } else if element < elements.end {
            rest::<I, E, O>(first, others, element..elements.end, out);
        }
    }
}

/// # Safety
/// See [`combine`]; U * 8 elements from `element` on must exist.
#[inline(always)]
unsafe fn sums<I: Isa, E: Element, const U: usize>(
    first: &Term<E>,
    others: &[Term<E>],
    element: usize,
) -> [I::Lanes; U] {
    // SAFETY: the caller vouches for the elements.
    unsafe {
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
        sums
    }
}

/// # Safety
/// See [`combine`]; U * 8 elements from `out` on must exist.
#[inline(always)]
unsafe fn store<I: Isa, O: Element, const U: usize>(sums: [I::Lanes; U], out: *mut O) {
    for (group, sum) in sums.into_iter().enumerate() {
        // SAFETY: the caller vouches for the elements.
        unsafe { O::store::<I>(sum, out.add(group * LANES)) };
    }
}

/// Prefetches the cache lines from `element` on that a later strip will read, or, if IS_FAR, another kernel.
///
/// # Safety
/// See [`Isa`].
#[inline(always)]
unsafe fn prefetch<I: Isa, E: Element, const U: usize, const IS_FAR: bool>(terms: &[Term<E>], element: usize) {
    if !IS_FAR && terms.len() > MOST_PREFETCHED {
        return;
    }
    for term in terms {
        for line in (0..U * LANES).step_by(CACHE_LINE / size_of::<E>()) {
            let address = term.input.wrapping_add(element.wrapping_add(line));
            // SAFETY: handed on from the caller; the address may be anywhere.
            unsafe { if IS_FAR { I::prefetch_far(address) } else { I::prefetch(address) } };
        }
    }
}

/// # Safety
/// See [`combine`]; `range` must hold fewer than eight elements, all of which exist.
#[inline(always)]
unsafe fn rest<I: Isa, E: Element, O: Element>(first: &Term<E>, others: &[Term<E>], range: Range<usize>, out: *mut O) {
    debug_assert!(range.len() < LANES, "the rest is less than a group");
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
