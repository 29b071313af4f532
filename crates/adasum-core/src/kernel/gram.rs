//! All products of k inputs over one block: products[i, j] = sum over e of input_i[e] * input_j[e], j >= i.
//!
//! Element e goes to lane e mod 8, so every pair needs one accumulator of eight lanes, to which elements are added in
//! ascending order. The pairs are taken in tiles: two rows, and up to three columns. A tile's accumulators stay in registers,
//! and every loaded element serves several products.
//!
//! With many inputs an element would be widened once for every tile it is in, which costs as much as the products. Then the
//! block is taken in chunks that stay in the first-level cache. The tiles on the diagonal, of which each input is in one,
//! wait for their own additions; meanwhile they keep what they have widened for the other tiles. Between chunks the
//! accumulators wait in memory: the order of additions is the same.
//!
//! ```text
//! for each chunk of the block:
//!     for each pair of rows (i, i + 1): widen, keep; tile (i,i) (i,i+1) (i+1,i+1)
//!     for each pair of rows (i, i + 1): for the next columns j, j + 1, ..:
//!         tile (i,j) (i,j+1) .. (i+1,j) (i+1,j+1) ..
//! ```

use std::marker::PhantomData;
use std::mem::MaybeUninit;

use super::{add_lanes, load_rest};
use crate::element::Element;
use crate::simd::{Isa, LANES};

/// From this many inputs on, elements are widened ahead of their use.
const LEAST_WIDENED: usize = 3;
/// Up to this many inputs, all accumulators have a place on the stack.
const MOST_WIDENED: usize = 16;
const MOST_PRODUCTS: usize = MOST_WIDENED * (MOST_WIDENED + 1) / 2;
/// Widened elements of all inputs in a chunk: 16 KiB, half of a small first-level cache.
const ROOM: usize = 2048;

/// # Safety
/// See [`Kernels`](super::Kernels).
#[inline(always)]
pub unsafe fn gram<I: Isa, E: Element>(inputs: &[*const E], element_count: usize, products: &mut [f64]) {
    let k = inputs.len();
    debug_assert_eq!(products.len(), k * (k + 1) / 2);
    // SAFETY: handed on from the caller.
    unsafe {
        if !E::EXACT_PRODUCTS {
            let mut tiles = Tiles::<I, _, Separate, _>::new(k, element_count, Inputs(inputs), Products(products));
            tiles.diagonal();
            tiles.rectangles::<2>();
        } else if (LEAST_WIDENED..=MOST_WIDENED).contains(&k) {
            widened::<I, E>(inputs, element_count, products);
        } else {
            let mut tiles = Tiles::<I, _, Fused, _>::new(k, element_count, Inputs(inputs), Products(products));
            tiles.diagonal();
            tiles.rectangles::<2>();
        }
    }
}

/// # Safety
/// See [`gram`]; at most [`MOST_WIDENED`] inputs.
#[inline(always)]
unsafe fn widened<I: Isa, E: Element>(inputs: &[*const E], element_count: usize, products: &mut [f64]) {
    let k = inputs.len();
    let chunk = ROOM / k.next_power_of_two();
    let mut room = [MaybeUninit::<f64>::uninit(); ROOM];
    let (room, mut rows) = (room.as_mut_ptr().cast::<f64>(), [std::ptr::null_mut::<f64>(); MOST_WIDENED]);
    let mut from = [std::ptr::null::<E>(); MOST_WIDENED];
    // SAFETY: row i begins at chunk * i, inside the room, and has room for a chunk. Chunks end at element_count; the diagonal
    // keeps whole groups of lanes, for which a row has room too. The caller vouches for the rest.
    unsafe {
        for (i, row) in rows[..k].iter_mut().enumerate() {
            *row = room.add(i * chunk);
        }
        let mut sums = [I::splat(0.0); MOST_PRODUCTS];
        for begin in (0..element_count).step_by(chunk) {
            let count = chunk.min(element_count - begin);
            for (from, input) in from.iter_mut().zip(inputs) {
                *from = input.add(begin);
            }
            let source = Widening { inputs: &from[..k], rows: &rows[..k] };
            Tiles::<I, _, Fused, _>::new(k, count, source, Kept(&mut sums)).diagonal();
            let count = count.next_multiple_of(LANES);
            Tiles::<I, _, Fused, _>::new(k, count, Rows(&rows[..k]), Kept(&mut sums)).rectangles::<3>();
        }
        for (product, &sum) in products.iter_mut().zip(&sums) {
            *product = add_lanes(I::to_array(sum));
        }
    }
}

/// Where a tile's elements come from.
trait Source<I: Isa> {
    /// One row's.
    type Row: Copy;
    fn row(&self, index: usize) -> Self::Row;
    /// `count` elements of a row from `element` on, at most eight; missing ones are zero.
    ///
    /// # Safety
    /// The row must have them; see [`Isa`].
    unsafe fn load(row: Self::Row, element: usize, count: usize) -> I::Lanes;
}

/// The inputs as they are.
struct Inputs<'a, E>(&'a [*const E]);
/// The inputs, and what they are when widened is kept in rows.
struct Widening<'a, E> {
    inputs: &'a [*const E],
    rows: &'a [*mut f64],
}
/// What has been kept.
struct Rows<'a>(&'a [*mut f64]);

impl<I: Isa, E: Element> Source<I> for Inputs<'_, E> {
    type Row = *const E;

    #[inline(always)]
    fn row(&self, index: usize) -> *const E {
        self.0[index]
    }

    #[inline(always)]
    unsafe fn load(row: *const E, element: usize, count: usize) -> I::Lanes {
        // SAFETY: handed on from the caller.
        unsafe {
            let first = row.add(element);
            if count == LANES { E::load::<I>(first) } else { load_rest::<I, E>(first, count) }
        }
    }
}

impl<I: Isa, E: Element> Source<I> for Widening<'_, E> {
    type Row = (*const E, *mut f64);

    #[inline(always)]
    fn row(&self, index: usize) -> Self::Row {
        (self.inputs[index], self.rows[index])
    }

    #[inline(always)]
    unsafe fn load((input, row): Self::Row, element: usize, count: usize) -> I::Lanes {
        // SAFETY: handed on from the caller; a row has room for whole groups of lanes.
        unsafe {
            let lanes = <Inputs<'_, E> as Source<I>>::load(input, element, count);
            I::keep(lanes, row.add(element));
            lanes
        }
    }
}

impl<I: Isa> Source<I> for Rows<'_> {
    type Row = *mut f64;

    #[inline(always)]
    fn row(&self, index: usize) -> *mut f64 {
        self.0[index]
    }

    #[inline(always)]
    unsafe fn load(row: *mut f64, element: usize, _: usize) -> I::Lanes {
        // SAFETY: handed on from the caller; rows hold whole groups of lanes.
        unsafe { I::load_f64(row.add(element)) }
    }
}

/// How a product is added.
trait Multiply {
    /// # Safety
    /// See [`Isa`].
    unsafe fn add<I: Isa>(a: I::Lanes, b: I::Lanes, sum: I::Lanes) -> I::Lanes;
}

/// For products that are exact in f64.
struct Fused;
/// For f64, whose products round.
struct Separate;

impl Multiply for Fused {
    #[inline(always)]
    unsafe fn add<I: Isa>(a: I::Lanes, b: I::Lanes, sum: I::Lanes) -> I::Lanes {
        // SAFETY: handed on from the caller.
        unsafe { I::mul_add_exact(a, b, sum) }
    }
}

impl Multiply for Separate {
    #[inline(always)]
    unsafe fn add<I: Isa>(a: I::Lanes, b: I::Lanes, sum: I::Lanes) -> I::Lanes {
        // SAFETY: handed on from the caller.
        unsafe { I::add(I::mul(a, b), sum) }
    }
}

/// Where a tile's accumulators come from and go to.
trait Accumulators<I: Isa> {
    /// # Safety
    /// See [`Isa`].
    unsafe fn take(&self, place: usize) -> I::Lanes;
    /// # Safety
    /// See [`Isa`].
    unsafe fn put(&mut self, place: usize, sum: I::Lanes);
}

/// They go on with the next chunk.
struct Kept<'a, I: Isa>(&'a mut [I::Lanes; MOST_PRODUCTS]);
/// A tile sees all of the block.
struct Products<'a>(&'a mut [f64]);

impl<I: Isa> Accumulators<I> for Kept<'_, I> {
    #[inline(always)]
    unsafe fn take(&self, place: usize) -> I::Lanes {
        self.0[place]
    }

    #[inline(always)]
    unsafe fn put(&mut self, place: usize, sum: I::Lanes) {
        self.0[place] = sum;
    }
}

impl<I: Isa> Accumulators<I> for Products<'_> {
    #[inline(always)]
    unsafe fn take(&self, _: usize) -> I::Lanes {
        // SAFETY: handed on from the caller.
        unsafe { I::splat(0.0) }
    }

    #[inline(always)]
    unsafe fn put(&mut self, place: usize, sum: I::Lanes) {
        // SAFETY: handed on from the caller.
        self.0[place] = add_lanes(unsafe { I::to_array(sum) });
    }
}

/// The upper triangle of k rows, tile by tile.
struct Tiles<I, S, M, A> {
    k: usize,
    element_count: usize,
    source: S,
    accumulators: A,
    kinds: PhantomData<(I, M)>,
}

impl<I: Isa, S: Source<I>, M: Multiply, A: Accumulators<I>> Tiles<I, S, M, A> {
    #[inline(always)]
    fn new(k: usize, element_count: usize, source: S, accumulators: A) -> Self {
        Self { k, element_count, source, accumulators, kinds: PhantomData }
    }

    /// # Safety
    /// See [`gram`].
    #[inline(always)]
    unsafe fn diagonal(&mut self) {
        // SAFETY: handed on from the caller.
        unsafe {
            for i in (0..self.k - self.k % 2).step_by(2) {
                self.tile([i, i + 1], [(0, 0), (0, 1), (1, 1)]);
            }
            if self.k % 2 == 1 {
                self.tile([self.k - 1], [(0, 0)]);
            }
        }
    }

    /// Everything right of the diagonal tiles.
    ///
    /// # Safety
    /// See [`gram`].
    #[inline(always)]
    unsafe fn rectangles<const COLUMNS: usize>(&mut self) {
        // SAFETY: handed on from the caller.
        unsafe {
            for i in (0..self.k - self.k % 2).step_by(2) {
                let mut j = i + 2;
                while j < self.k {
                    // Two columns keep the adders busy, one does not: four are better taken as two and two.
                    let columns = if self.k - j == 4 { 2 } else { COLUMNS.min(self.k - j) };
                    match columns {
                        1 => self.tile([i, i + 1, j], [(0, 2), (1, 2)]),
                        2 => self.tile([i, i + 1, j, j + 1], [(0, 2), (0, 3), (1, 2), (1, 3)]),
                        _ => self.tile([i, i + 1, j, j + 1, j + 2], [(0, 2), (0, 3), (0, 4), (1, 2), (1, 3), (1, 4)]),
                    }
                    j += columns;
                }
            }
        }
    }

    /// The products of P pairs among V rows.
    ///
    /// # Safety
    /// See [`gram`].
    #[inline(always)]
    unsafe fn tile<const V: usize, const P: usize>(&mut self, rows: [usize; V], pairs: [(usize, usize); P]) {
        let places = pairs.map(|(a, b)| self.place(rows[a], rows[b]));
        let rows = rows.map(|row| self.source.row(row));
        let full = self.element_count - self.element_count % LANES;
        // SAFETY: the caller enabled the instruction set; all loads stay below element_count.
        unsafe {
            let mut sums = [I::splat(0.0); P];
            for (sum, &place) in sums.iter_mut().zip(&places) {
                *sum = self.accumulators.take(place);
            }
            let mut element = 0;
            while element < full {
                Self::add(rows, pairs, element, LANES, &mut sums);
                element += LANES;
            }
            if full < self.element_count {
                Self::add(rows, pairs, full, self.element_count - full, &mut sums);
            }
            for (sum, place) in sums.into_iter().zip(places) {
                self.accumulators.put(place, sum);
            }
        }
    }

    /// # Safety
    /// See [`gram`]; `count` elements from `element` on must exist.
    #[inline(always)]
    unsafe fn add<const V: usize, const P: usize>(
        rows: [S::Row; V],
        pairs: [(usize, usize); P],
        element: usize,
        count: usize,
        sums: &mut [I::Lanes; P],
    ) {
        // SAFETY: handed on from the caller.
        unsafe {
            let mut values = [I::splat(0.0); V];
            for (value, row) in values.iter_mut().zip(rows) {
                *value = S::load(row, element, count);
            }
            for (sum, (a, b)) in sums.iter_mut().zip(pairs) {
                *sum = M::add::<I>(values[a], values[b], *sum);
            }
        }
    }

    /// Where the upper triangle holds the product of rows i <= j.
    #[inline(always)]
    fn place(&self, i: usize, j: usize) -> usize {
        i * (2 * self.k + 1 - i) / 2 + (j - i)
    }
}
