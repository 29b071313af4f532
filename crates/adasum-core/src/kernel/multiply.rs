//! Products of matrices in the elements' own type.
//!
//! An element of a product is the sum of its terms in their order, beginning with zero; each term is rounded, and so is
//! each addition. A loop over rows, columns and terms gives the same bits. So tiles, blocks and instruction sets may be
//! any, and the product of a matrix with its own transpose is symmetric to the bit: half of it is computed.
//!
//! The sums of one tile stay in registers while up to [`TERMS`] terms are added to them. Both factors are copied into
//! panels first, in the order in which tiles read them.

use std::ops::Range;

use super::table::{Factor, Product, Steps, TILE_ROWS};
use crate::element::Real;
use crate::simd::Registers;

/// Terms that are added to a tile at once, so that a panel lies in the first-level cache, or nearly.
const TERMS: usize = 256;
/// Rows whose panels are multiplied with one panel of columns after the other: they lie in the second-level cache.
const BLOCK_ROWS: usize = 32 * TILE_ROWS;

/// Columns of the widest tile: 128 bytes.
const MOST_COLUMNS: usize = 32;

/// Columns of a tile.
pub const fn tile_columns<I: Registers<E>, E>() -> usize {
    2 * I::WIDTH
}

/// These rows of a product. Of a symmetric one only what lies on the diagonal or to the right of it is meaningful.
///
/// # Safety
/// The CPU must have the instruction set of `steps`.
pub unsafe fn multiply<E: Real>(steps: &Steps<E>, product: &Product<'_, E>, rows: Range<usize>, out: &mut [E]) {
    let columns = product.columns;
    debug_assert_eq!(out.len(), rows.len() * columns, "the rows have room");
    out.fill(E::ZERO);
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for terms in cut(0..product.terms, TERMS) {
        pack(&product.right, 0..columns, &terms, steps.tile_columns, &mut right);
        for block in cut(rows.clone(), BLOCK_ROWS) {
            pack(&product.left, block.clone(), &terms, TILE_ROWS, &mut left);
            let out = &mut out[(block.start - rows.start) * columns..(block.end - rows.start) * columns];
            // SAFETY: handed on from the caller.
            unsafe { multiply_panels(steps, product, (&left, &right, terms.len()), block, out) };
        }
    }
}

/// Adds so many terms to these rows, tile by tile.
///
/// # Safety
/// See [`multiply`].
unsafe fn multiply_panels<E: Real>(
    steps: &Steps<E>,
    product: &Product<'_, E>,
    (left, right, terms): (&[E], &[E], usize),
    rows: Range<usize>,
    out: &mut [E],
) {
    let (columns, width) = (product.columns, steps.tile_columns);
    for (tile_columns, right) in cut(0..columns, width).zip(right.chunks_exact(width * terms)) {
        for (tile_rows, left) in cut(rows.clone(), TILE_ROWS).zip(left.chunks_exact(TILE_ROWS * terms)) {
            if product.is_symmetric && tile_columns.end <= tile_rows.start {
                continue;
            }
            let at = (tile_rows.start - rows.start) * columns + tile_columns.start;
            // SAFETY: handed on from the caller.
            unsafe {
                add_to_tile(steps, (left, right), [tile_rows.len(), tile_columns.len()], &mut out[at..], columns)
            };
        }
    }
}

/// Adds the terms of two panels to a tile, which may be smaller than a whole one.
///
/// # Safety
/// See [`multiply`].
unsafe fn add_to_tile<E: Real>(
    steps: &Steps<E>,
    (left, right): (&[E], &[E]),
    [rows, columns]: [usize; 2],
    out: &mut [E],
    stride: usize,
) {
    if rows == TILE_ROWS && columns == steps.tile_columns {
        // SAFETY: handed on from the caller.
        return unsafe { (steps.add_terms)(left, right, out, stride) };
    }
    // What is not there is added to zero, and goes nowhere.
    let mut room = [E::ZERO; TILE_ROWS * MOST_COLUMNS];
    for row in 0..rows {
        room[row * MOST_COLUMNS..][..columns].copy_from_slice(&out[row * stride..][..columns]);
    }
    // SAFETY: handed on from the caller.
    unsafe { (steps.add_terms)(left, right, &mut room, MOST_COLUMNS) };
    for row in 0..rows {
        out[row * stride..][..columns].copy_from_slice(&room[row * MOST_COLUMNS..][..columns]);
    }
}

/// Consecutive ranges of at most `length`.
fn cut(range: Range<usize>, length: usize) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range.step_by(length).map(move |begin| begin..end.min(begin + length))
}

/// Copies these terms of lines (rows of the left factor, columns of the right one) into panels: a panel has `width`
/// lines, term by term, with zeros for lines that are not there.
fn pack<E: Real>(factor: &Factor<'_, E>, lines: Range<usize>, terms: &Range<usize>, width: usize, panels: &mut Vec<E>) {
    panels.clear();
    panels.resize(lines.len().div_ceil(width) * width * terms.len(), E::ZERO);
    for (lines, panel) in cut(lines, width).zip(panels.chunks_exact_mut(width * terms.len())) {
        if factor.is_line_by_line {
            for (place, line) in lines.enumerate() {
                let line = &factor.elements[line * factor.stride..][terms.clone()];
                panel[place..].iter_mut().step_by(width).zip(line).for_each(|(term, &element)| *term = element);
            }
        } else {
            for (term, number) in panel.chunks_exact_mut(width).zip(terms.clone()) {
                let elements = &factor.elements[number * factor.stride..][lines.clone()];
                term[..elements.len()].copy_from_slice(elements);
            }
        }
    }
}

/// Adds the terms of two panels to a whole tile, whose rows begin `stride` elements apart.
///
/// # Safety
/// The CPU must have the instruction set.
#[inline(always)]
pub unsafe fn add_terms<I: Registers<E>, E: Real>(left: &[E], right: &[E], tile: &mut [E], stride: usize) {
    let width = tile_columns::<I, E>();
    assert!(width <= stride && tile.len() >= (TILE_ROWS - 1) * stride + width, "the tile is whole");
    let first = tile.as_mut_ptr();
    let row = |row: usize| first.wrapping_add(row * stride);
    // SAFETY: all rows lie in the tile, by the lines above, and a panel has whole terms; the rest is handed on from the
    // caller.
    unsafe {
        let mut sums: [_; TILE_ROWS] = std::array::from_fn(|i| [I::read(row(i)), I::read(row(i).add(I::WIDTH))]);
        for (left, right) in left.chunks_exact(TILE_ROWS).zip(right.chunks_exact(width)) {
            let right = [I::read(right.as_ptr()), I::read(right.as_ptr().add(I::WIDTH))];
            for (sums, &x) in sums.iter_mut().zip(left) {
                let x = I::all(x);
                *sums = [I::add_product(sums[0], x, right[0]), I::add_product(sums[1], x, right[1])];
            }
        }
        for (i, sums) in sums.into_iter().enumerate() {
            I::write(sums[0], row(i));
            I::write(sums[1], row(i).add(I::WIDTH));
        }
    }
}

/// out = p x + q out
pub fn blend<E: Real>(p: E, x: &[E], q: E, out: &mut [E]) {
    for (out, &x) in out.iter_mut().zip(x) {
        *out = p * x + q * *out;
    }
}
