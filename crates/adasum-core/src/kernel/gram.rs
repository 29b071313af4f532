//! All products of k inputs over one block: products[i, j] = sum over e of input_i[e] * input_j[e], j >= i.
//!
//! Element e goes to lane e mod 8, so every pair needs one sum of eight lanes. Widening an element to f64 costs as much
//! as a product, and registers are few. So the pairs are taken in tiles that share what they widen, triangles on the
//! diagonal and rectangles beside it:
//!
//! ```text
//! for each chunk of the block that fits into the first-level cache:
//!     for each group of four rows:
//!         triangle: the ten products among the rows
//!         for each two later inputs: rectangle of the four rows and the two
//! ```
//!
//! A tile works on as many lanes at a time as the registers hold its sums for, and passes over the chunk once for each
//! part of the lanes. Between chunks the sums wait in memory.
//!
//! Every pass prefetches its share of the next chunk. A CPU prefetches on its own, but not far enough for many inputs,
//! and if all were prefetched at once, memory would idle for the rest of the chunk. Where another kernel works between
//! the chunks, that one prefetches instead.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::gram_small::{add_triangle, gram_small, most_elements, multiply_add, prefetch_near};
use super::lanes::{add_lanes, load_rest};
use super::table::Between;
use crate::blocks::BLOCK_ELEMENTS;
use crate::element::Element;
use crate::simd::{Arithmetic, Isa, LANES};

const ROWS: usize = 4;
/// Pairs among four rows.
const TRIANGLE: usize = ROWS * (ROWS + 1) / 2;
/// Most rows and most columns whose sums are kept at once. More inputs than this are taken panel by panel.
const PANEL: usize = 16;
/// With fewer rows than this a pass takes all lanes at once, and each row prefetches what it will read next itself:
/// with one or two inputs there is just one pass, and memory is quicker with all streams at once than with one after
/// the other.
const SHARING: usize = 3;
/// Bytes of one chunk of all inputs: half of a first-level cache of 32 KiB.
const CHUNK_BYTES: usize = 16 << 10;

/// The sum of one pair, lane by lane.
type Sum = [f64; LANES];

/// # Safety
/// See [`Kernels`](super::table::Kernels).
#[inline(always)]
pub unsafe fn gram<I: Isa, E: Element>(
    inputs: &[*const E],
    elements: Range<usize>,
    products: &mut [f64],
    mut between: Between<'_>,
) {
    let k = inputs.len();
    debug_assert_eq!(products.len(), k * (k + 1) / 2);
    debug_assert!(elements.len() <= BLOCK_ELEMENTS, "gram takes one block");
    debug_assert!(inputs.iter().all(|input| input.is_aligned()), "elements are aligned");
    if elements.is_empty() {
        return products.fill(0.0);
    }
    // SAFETY: handed on from the caller.
    unsafe {
        match (k, I::Tile::WIDTH) {
            (1, _) => return gram_small::<I, E, 1, 1>(inputs, elements, products, between),
            (2, _) => return gram_small::<I, E, 2, 3>(inputs, elements, products, between),
            (3, LANES) => return gram_small::<I, E, 3, 6>(inputs, elements, products, between),
            (4, LANES) => return gram_small::<I, E, ROWS, TRIANGLE>(inputs, elements, products, between),
            _ => (),
        }
    }
    for row in (0..k).step_by(PANEL) {
        for column in (row..k).step_by(PANEL) {
            let (rows, columns) = (row..k.min(row + PANEL), column..k.min(column + PANEL));
            // SAFETY: handed on from the caller.
            unsafe { panel::<I, E>(inputs, rows, columns, elements.clone(), products, between.take()) };
        }
    }
}

/// Index of the product of inputs i <= j in the upper triangle.
#[inline(always)]
fn pair_index(k: usize, i: usize, j: usize) -> usize {
    i * (2 * k + 1 - i) / 2 + (j - i)
}

/// The products of some rows with some columns, both at most [`PANEL`]: the same inputs, or other ones.
///
/// # Safety
/// See [`gram`].
#[inline(always)]
unsafe fn panel<I: Isa, E: Element>(
    inputs: &[*const E],
    rows: Range<usize>,
    columns: Range<usize>,
    elements: Range<usize>,
    products: &mut [f64],
    mut between: Between<'_>,
) {
    let is_diagonal = rows.start == columns.start;
    let mut sums = Sums::new(rows.start, columns.start);
    let input_count = if is_diagonal { rows.len() } else { rows.len() + columns.len() };
    let most = chunk_elements(input_count * size_of::<E>(), between.is_some());
    let is_prefetching = is_diagonal && between.is_none();
    let ahead = Ahead::new::<I>(if is_prefetching { rows.len() } else { 0 }, rows.start, size_of::<E>());
    for begin in elements.clone().step_by(most) {
        let (is_first, count) = (begin == elements.start, most.min(elements.end - begin));
        if let Some(between) = &mut between {
            between(begin..begin + count);
        }
        let mut chunk = Chunk { inputs, begin, is_first, count, sums: &mut sums, ahead };
        for row in rows.clone().step_by(ROWS) {
            // SAFETY: the chunk lies in the block; only the last group of all rows is short, and no column comes after
            // it.
            unsafe {
                if is_diagonal {
                    match rows.end - row {
                        1 => chunk.triangle::<I, 1, 1>(row),
                        2 => chunk.triangle::<I, 2, 3>(row),
                        3 => chunk.triangle::<I::Tile, 3, 6>(row),
                        _ => chunk.triangle::<I::Tile, ROWS, TRIANGLE>(row),
                    }
                }
                let first = if is_diagonal { row + ROWS } else { columns.start };
                let mut column = first;
                while column < columns.end {
                    column += match I::TILE_COLUMNS.min(columns.end - column) {
                        1 => chunk.rectangle::<I::Tile, 1>(row, column),
                        2 | 3 => chunk.rectangle::<I::Tile, 2>(row, column),
                        _ => chunk.rectangle::<I::Tile, 4>(row, column),
                    };
                }
            }
        }
    }
    for i in rows {
        for j in columns.start.max(i)..columns.end {
            // SAFETY: the tiles of a chunk cover all pairs, and there was a chunk.
            products[pair_index(inputs.len(), i, j)] = add_lanes(unsafe { sums.pointer_to(i, j).read() });
        }
    }
}

/// Elements of a chunk, when one element of all inputs has so many bytes: whole groups of lanes.
#[inline(always)]
fn chunk_elements(byte_length: usize, is_shared: bool) -> usize {
    (CHUNK_BYTES / byte_length).clamp(LANES, most_elements(is_shared)) / LANES * LANES
}

/// The sums of a panel, initialised by its first chunk.
struct Sums {
    sums: MaybeUninit<[[Sum; PANEL]; PANEL]>,
    row: usize,
    column: usize,
}

impl Sums {
    #[inline(always)]
    fn new(row: usize, column: usize) -> Self {
        Self { sums: MaybeUninit::uninit(), row, column }
    }

    /// The sum of inputs i and j, which must be a row and a column of the panel.
    #[inline(always)]
    fn pointer_to(&mut self, i: usize, j: usize) -> *mut Sum {
        let index = (i - self.row) * PANEL + (j - self.column);
        debug_assert!(index < PANEL * PANEL);
        self.sums.as_mut_ptr().cast::<Sum>().wrapping_add(index)
    }
}

/// How far the passes over a chunk have prefetched the next one, input after input.
#[derive(Clone, Copy)]
struct Ahead {
    /// Bytes that a pass prefetches with each of its elements.
    rate: usize,
    input: usize,
    offset: usize,
}

impl Ahead {
    /// Equal shares for all passes that share the work, over `input_count` inputs from `first` on.
    #[inline(always)]
    fn new<I: Isa>(input_count: usize, first: usize, byte_length: usize) -> Self {
        let parts = LANES / I::Tile::WIDTH;
        let alone = if input_count % ROWS < SHARING { input_count % ROWS } else { 0 };
        let mut passes = 0;
        for row in (0..input_count - alone).step_by(ROWS) {
            passes += parts * (1 + input_count.saturating_sub(row + ROWS).div_ceil(I::TILE_COLUMNS));
        }
        let rate = if passes == 0 { 0 } else { ((input_count - alone) * byte_length).div_ceil(passes) };
        Self { rate, input: first, offset: 0 }
    }
}

/// Some elements of all inputs.
struct Chunk<'a, E> {
    inputs: &'a [*const E],
    begin: usize,
    is_first: bool,
    count: usize,
    sums: &'a mut Sums,
    ahead: Ahead,
}

impl<E: Element> Chunk<'_, E> {
    /// Adds the P products among the R inputs from `row` on.
    ///
    /// # Safety
    /// See [`gram`].
    #[inline(always)]
    unsafe fn triangle<A: Arithmetic, const R: usize, const P: usize>(&mut self, row: usize) {
        let rows: [_; R] = std::array::from_fn(|r| self.input(row + r));
        let mut targets = [std::ptr::null_mut(); P];
        for (target, (i, j)) in targets.iter_mut().zip((0..R).flat_map(|i| (i..R).map(move |j| (i, j)))) {
            *target = self.sums.pointer_to(row + i, row + j);
        }
        let full = self.count - self.count % LANES;
        for part in (0..LANES).step_by(A::WIDTH) {
            let is_near = R < SHARING || self.ahead.rate == 0;
            let ahead = if is_near { std::ptr::null() } else { self.next_share() };
            // SAFETY: handed on from the caller.
            unsafe {
                let mut sums = self.load::<A, P>(targets, part);
                let mut element = 0;
                while element < full {
                    if is_near {
                        rows.iter().for_each(|row| prefetch_near::<A, E>(row.wrapping_add(element)));
                    } else {
                        A::prefetch(ahead.wrapping_add(element * self.ahead.rate));
                    }
                    let values = rows.map(|row| E::load::<A>(row.add(element + part)));
                    add_triangle::<A, E, R, P>(values, &mut sums);
                    element += LANES;
                }
                if full < self.count {
                    let values = rows.map(|row| load_rest::<A, E>(row.add(full), self.count - full, part));
                    add_triangle::<A, E, R, P>(values, &mut sums);
                }
                store_sums::<A, P>(sums, targets, part);
            }
        }
    }

    /// Adds the products of the four inputs from `row` on with the C inputs from `column` on; returns C.
    ///
    /// # Safety
    /// See [`gram`].
    #[inline(always)]
    unsafe fn rectangle<A: Arithmetic, const C: usize>(&mut self, row: usize, column: usize) -> usize {
        let rows: [_; ROWS] = std::array::from_fn(|r| self.input(row + r));
        let columns: [_; C] = std::array::from_fn(|c| self.input(column + c));
        let targets: [[_; ROWS]; C] =
            std::array::from_fn(|c| std::array::from_fn(|r| self.sums.pointer_to(row + r, column + c)));
        let full = self.count - self.count % LANES;
        for part in (0..LANES).step_by(A::WIDTH) {
            let ahead = self.next_share();
            // SAFETY: handed on from the caller.
            unsafe {
                let mut sums = targets.map(|targets| self.load::<A, ROWS>(targets, part));
                let mut element = 0;
                while element < full {
                    A::prefetch(ahead.wrapping_add(element * self.ahead.rate));
                    let rows = rows.map(|row| E::load::<A>(row.add(element + part)));
                    let columns = columns.map(|column| E::load::<A>(column.add(element + part)));
                    add_rectangle::<A, E, C>(rows, columns, &mut sums);
                    element += LANES;
                }
                if full < self.count {
                    let rest = self.count - full;
                    let rows = rows.map(|row| load_rest::<A, E>(row.add(full), rest, part));
                    let columns = columns.map(|column| load_rest::<A, E>(column.add(full), rest, part));
                    add_rectangle::<A, E, C>(rows, columns, &mut sums);
                }
                for (sums, targets) in sums.into_iter().zip(targets) {
                    store_sums::<A, ROWS>(sums, targets, part);
                }
            }
        }
        C
    }

    /// The address from which one more pass prefetches.
    #[inline(always)]
    fn next_share(&mut self) -> *const u8 {
        let byte_length = self.count * size_of::<E>();
        let next = self.inputs[self.ahead.input.min(self.inputs.len() - 1)].wrapping_add(self.begin + self.count);
        let begin = next.cast::<u8>().wrapping_add(self.ahead.offset);
        self.ahead.offset += self.count * self.ahead.rate;
        while self.ahead.offset >= byte_length {
            self.ahead.offset -= byte_length;
            self.ahead.input += 1;
        }
        begin
    }

    #[inline(always)]
    fn input(&self, i: usize) -> *const E {
        self.inputs[i].wrapping_add(self.begin)
    }

    /// # Safety
    /// The targets must hold sums unless this is the first chunk; see [`Arithmetic`].
    #[inline(always)]
    unsafe fn load<A: Arithmetic, const P: usize>(&self, targets: [*mut Sum; P], part: usize) -> [A::Lanes; P] {
        debug_assert!(part + A::WIDTH <= LANES, "the part lies in the sum");
        // SAFETY: handed on from the caller; a sum has eight lanes.
        unsafe {
            if self.is_first {
                return [A::splat(0.0); P];
            }
            targets.map(|target| A::load_f64(target.cast::<f64>().add(part)))
        }
    }
}

/// # Safety
/// The targets must be valid for writing; see [`Arithmetic`].
#[inline(always)]
unsafe fn store_sums<A: Arithmetic, const P: usize>(sums: [A::Lanes; P], targets: [*mut Sum; P], part: usize) {
    debug_assert!(part + A::WIDTH <= LANES, "the part lies in the sum");
    for (sum, target) in sums.into_iter().zip(targets) {
        // SAFETY: handed on from the caller; a sum has eight lanes.
        unsafe { A::store_lanes(sum, target.cast::<f64>().add(part)) };
    }
}

/// # Safety
/// See [`Arithmetic`].
#[inline(always)]
unsafe fn add_rectangle<A: Arithmetic, E: Element, const C: usize>(
    rows: [A::Lanes; ROWS],
    columns: [A::Lanes; C],
    sums: &mut [[A::Lanes; ROWS]; C],
) {
    for (row, value) in rows.into_iter().enumerate() {
        for (column, sums) in columns.into_iter().zip(&mut *sums) {
            // SAFETY: handed on from the caller.
            sums[row] = unsafe { multiply_add::<A, E>(value, column, sums[row]) };
        }
    }
}
