//! The interface of an instruction set's kernels: their signatures, and the tables of pointers to them.
//!
//! Nothing here knows a kernel, an element type's conversions or an instruction set, so that all of them may use it.

use std::ops::Range;

use crate::blocks::BLOCK_ELEMENTS;
use crate::half::{Bf16, F16};

/// Room for one block in f64.
pub type Scratch = [f64; BLOCK_ELEMENTS];

/// An input and its coefficient.
#[derive(Clone, Copy, Debug)]
pub struct Term<E> {
    /// The input's first element.
    pub input: *const E,
    /// What it is multiplied with.
    pub coefficient: f64,
}

/// How a combination uses the cache.
#[derive(Clone, Copy, Debug)]
pub enum Pass {
    /// The combination prefetches for itself.
    Alone,
    /// While it works, it prefetches as many elements from this one on, which another kernel reads next.
    Before(usize),
    /// It writes the result past the cache, where there is no room for it. The result must be none of the inputs.
    Streaming,
}

/// `combine(terms, elements, out, pass)`: out = sum of coefficient * input over these elements, rounded to O. `out` may
/// be an input.
pub type Combine<E, O> = unsafe fn(&[Term<E>], Range<usize>, *mut O, Pass);

/// A function that gram calls before each chunk of a block, with the chunk's elements; None if there is nothing to
/// call.
pub type Between<'a> = Option<&'a mut dyn FnMut(Range<usize>)>;

/// One dtype's kernels on one instruction set.
///
/// All of them require that the CPU has the table's instruction set, and that pointers are aligned for `E` and valid
/// for the elements named.
#[derive(Debug)]
pub struct Kernels<E> {
    /// `gram(inputs, elements, products, between)`: the upper triangle of the inputs' products over one block of at
    /// most [`BLOCK_ELEMENTS`] elements, row by row. If there is a `between`, it is what prefetches the chunk to come.
    pub gram: unsafe fn(&[*const E], Range<usize>, &mut [f64], Between<'_>),
    /// See [`Combine`].
    pub combine: Combine<E, E>,
    /// The same, stored as f32.
    pub combine_f32: Combine<E, f32>,
    /// `refine(terms, inputs, element_count, scratch, products)`: x = sum of the terms in f64, over one block; the
    /// products are x.x and x.input for every input.
    #[expect(clippy::type_complexity, reason = "a function pointer reads best as its signature")]
    pub refine: unsafe fn(&[Term<E>], &[*const E], usize, &mut Scratch, &mut [f64]),
    /// `is_finite(input, element_count)`: no NaN and no infinity.
    pub is_finite: unsafe fn(*const E, usize) -> bool,
}

/// One instruction set's kernels.
#[derive(Debug)]
pub struct Table {
    /// The name by which `ADASUM_ISA` chooses it.
    pub name: &'static str,
    /// True if this CPU can run it.
    pub is_available: fn() -> bool,
    /// Kernels for f32.
    pub f32: Kernels<f32>,
    /// Kernels for f64.
    pub f64: Kernels<f64>,
    /// Kernels for f16.
    pub f16: Kernels<F16>,
    /// Kernels for bf16.
    pub bf16: Kernels<Bf16>,
    /// Folds of all dtypes.
    pub folds: FoldsByDtype,
    /// Codes of all formats.
    pub codings: Codings,
    /// Steps of optimizers on f32.
    pub steps_f32: Steps<f32>,
    /// Steps of optimizers on f64.
    pub steps_f64: Steps<f64>,
}

/// The codes of every format on one instruction set.
#[derive(Debug)]
pub struct Codings {
    pub f16: Coding,
    pub bf16: Coding,
    pub int8: Coding,
}

/// The folds of every dtype on one instruction set.
#[derive(Debug)]
pub struct FoldsByDtype {
    pub f32: Folds<f32>,
    pub f64: Folds<f64>,
    pub f16: Folds<F16>,
    pub bf16: Folds<Bf16>,
    pub u8: Folds<u8>,
    pub i32: Folds<i32>,
    pub u32: Folds<u32>,
    pub i64: Folds<i64>,
    pub u64: Folds<u64>,
}

/// `fold(inputs, elements, out)`: the join of all inputs over these elements. `out` may be an input.
pub type Fold<E> = unsafe fn(&[*const E], Range<usize>, *mut E);

/// One dtype's folds on one instruction set; requirements as for [`Kernels`].
#[derive(Debug)]
pub struct Folds<E> {
    /// The smallest element.
    pub min: Fold<E>,
    /// The largest element.
    pub max: Fold<E>,
    /// The sum modulo 2^bits; integers only have it.
    pub sum: Option<Fold<E>>,
}

/// `quantize(input, residual, element_count, codes)`: one block. The residual, if there is one, is replaced.
pub type Quantize = unsafe fn(*const f32, Option<*mut f32>, usize, *mut u8);
/// `dequantize(codes, element_count, out)`: one block.
pub type Dequantize = unsafe fn(*const u8, usize, *mut f32);

/// One format's kernels on one instruction set. They require that the CPU has the instruction set, and that all
/// pointers are valid for so many elements, or their codes. Pointers to f32 must be aligned, pointers to codes need not
/// be.
#[derive(Debug)]
pub struct Coding {
    pub quantize: Quantize,
    pub dequantize: Dequantize,
}

/// Elements at the same place of all arrays of a step. A rule that keeps less state finds the rest empty.
#[derive(Debug)]
pub struct Elements<'a, E> {
    pub gradient: &'a [E],
    pub weights: &'a mut [E],
    /// The momentum, or Adam's first moment.
    pub first: &'a mut [E],
    /// Adam's second moment.
    pub second: &'a mut [E],
}

/// `step(factors, elements)`: one step over these elements, which all have the same factors.
pub type Step<E> = unsafe fn(&[f64], Elements<'_, E>);

/// One dtype's steps on one instruction set, which the CPU must have, and what Muon needs besides.
#[derive(Debug)]
pub struct Steps<E> {
    pub sgd: Step<E>,
    pub momentum: Step<E>,
    pub adam: Step<E>,
    /// `lamb_moments(factors, elements, directions)`: updates the moments, and writes the directions.
    pub lamb_moments: unsafe fn(&[f64], Elements<'_, E>, &mut [E]),
    /// `lamb_weights(factors, rate, elements)`: moves the weights by the rate times the directions.
    pub lamb_weights: unsafe fn(&[f64], f64, Elements<'_, E>),
    pub muon: Step<E>,
    /// `add_terms(left, right, tile, stride)`: adds the terms of a panel of each factor to a tile, whose rows begin so many
    /// elements apart; see [`multiply`](super::multiply).
    pub add_terms: AddTerms<E>,
    /// Columns of a tile.
    pub tile_columns: usize,
}

/// See [`Steps::add_terms`].
pub type AddTerms<E> = unsafe fn(&[E], &[E], &mut [E], usize);

/// Rows of a tile: with two registers of sums a row, they leave room for what is multiplied in the 16 of AVX2.
pub const TILE_ROWS: usize = 6;

/// One factor of a product of matrices. Its lines are rows if it is the left factor, and columns if it is the right one.
#[derive(Clone, Copy, Debug)]
pub struct Factor<'a, E> {
    pub elements: &'a [E],
    /// Whether a line is consecutive elements; otherwise the elements of one term are, one a line.
    pub is_line_by_line: bool,
    /// Elements from one line to the next, or from one term to the next.
    pub stride: usize,
}

/// A product of matrices.
#[derive(Clone, Copy, Debug)]
pub struct Product<'a, E> {
    pub left: Factor<'a, E>,
    pub right: Factor<'a, E>,
    pub columns: usize,
    /// How many products make up an element: columns of the left factor, rows of the right one.
    pub terms: usize,
    /// Whether the product is known to be symmetric.
    pub is_symmetric: bool,
}
