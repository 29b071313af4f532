//! The kernels over whole pieces, on arguments that have been checked.

use std::ops::Range;

use super::layout::Piece;
use super::threads::{Shared, part_count, ranges, run_jobs};
use super::view::View;
use crate::blocks::{Accumulator, BLOCK_ELEMENTS};
use crate::element::{Element, Output, Stored};
use crate::engine::Engine;
use crate::error::{Result, argument_error};
use crate::kernel::table::{Between, Pass, Term};

/// Most inputs of one call; their Gram matrix then has 64 MiB.
pub const MAX_INPUTS: usize = 4096;

/// Products of k vectors with each other: the upper triangle.
pub(super) fn product_count(k: usize) -> usize {
    k * (k + 1) / 2
}

/// The inputs' first elements, once all of them have been found to have `element_count` elements.
pub(super) fn input_elements<E: Stored>(inputs: &[View<'_>], element_count: usize) -> Result<Vec<*const E>> {
    if !(1..=MAX_INPUTS).contains(&inputs.len()) {
        return Err(argument_error!(
            "there are {} inputs, 1 to {MAX_INPUTS} can be reduced at once. Reduce in groups.",
            inputs.len()
        ));
    }
    let elements = inputs.iter().enumerate();
    elements.map(|(i, input)| input.elements(&format!("inputs[{i}]"), element_count)).collect()
}

/// Checked inputs: pointers to slices of equal length. The methods take elements inside that length.
pub(super) struct Reduction<E> {
    engine: Engine,
    inputs: Vec<*const E>,
}

impl<E: Element> Reduction<E> {
    pub fn new(engine: Engine, inputs: Vec<*const E>) -> Self {
        Self { engine, inputs }
    }

    pub fn is_finite(&self, element_count: usize) -> bool {
        let kernels = E::kernels(self.engine.table);
        // SAFETY: the engine's instruction set is available, and the count is the checked length.
        self.inputs.iter().all(|&input| unsafe { (kernels.is_finite)(input, element_count) })
    }

    fn part_count(&self, element_count: usize) -> usize {
        part_count(self.engine.threads, element_count * self.inputs.len() * size_of::<E>())
    }

    /// The sums of the piece's maximal nodes. `between` is called if one thread takes the whole piece, and not at all
    /// if several threads share it.
    pub fn gram<'s>(&self, piece: &Piece, sums: &'s mut Accumulator, between: Between<'_>) -> &'s [f64] {
        match self.part_count(piece.element_count()) {
            1 => self.gram_blocks(piece, sums, between),
            parts => self.gram_in_parts(piece, parts, sums),
        }
    }

    fn gram_blocks<'s>(&self, piece: &Piece, sums: &'s mut Accumulator, mut between: Between<'_>) -> &'s [f64] {
        let kernels = E::kernels(self.engine.table);
        sums.restart(piece.run.segment_element_count);
        for (block, offset, count) in piece.blocks() {
            let between = between.as_mut().map(|between| &mut **between as &mut dyn FnMut(Range<usize>));
            // SAFETY: the engine's instruction set is available, and the block lies in the piece, whose length was
            // checked.
            sums.push_block(block, |products| unsafe {
                (kernels.gram)(&self.inputs, offset..offset + count, products, between);
            });
        }
        sums.finish()
    }

    /// Each thread adds a run of blocks as far as the canonical tree allows, and the nodes of all runs are added here.
    fn gram_in_parts<'s>(&self, piece: &Piece, parts: usize, sums: &'s mut Accumulator) -> &'s [f64] {
        let width = sums.width();
        let pieces: Vec<_> = ranges(piece.element_count(), parts).map(|range| piece.part(range)).collect();
        let (engine, inputs) = (self.engine.with_threads(1), Shared::new(&self.inputs));
        let nodes = run_jobs(pieces.clone(), |part| {
            Reduction::new(engine, inputs.get().clone()).gram(&part, &mut Accumulator::new(0, width), None).to_vec()
        });
        sums.restart(piece.run.segment_element_count);
        for (part, nodes) in pieces.iter().zip(&nodes) {
            sums.push_run(&part.run, nodes);
        }
        sums.finish()
    }

    /// For every node of the piece and every vector of k coefficients the k + 1 products.
    pub fn refine(&self, piece: &Piece, vectors: &[f64]) -> Vec<f64> {
        let kernels = E::kernels(self.engine.table);
        let k = self.inputs.len();
        let mut scratch = Box::new([0.0; BLOCK_ELEMENTS]);
        let mut sums = Accumulator::new(piece.run.segment_element_count, vectors.len() / k * (k + 1));
        for (block, offset, count) in piece.blocks() {
            // SAFETY: the block lies in the piece, whose length was checked.
            let inputs: Vec<_> = self.inputs.iter().map(|input| unsafe { input.add(offset) }).collect();
            sums.push_block(block, |products| {
                for (vector, products) in vectors.chunks_exact(k).zip(products.chunks_exact_mut(k + 1)) {
                    let terms: Vec<_> = terms(&inputs, vector).collect();
                    // SAFETY: as in `gram_blocks`; the scratch holds a block.
                    unsafe { (kernels.refine)(&terms, &inputs, count, &mut scratch, products) };
                }
            });
        }
        sums.finish().to_vec()
    }

    /// `out` is the whole slice, as long as the inputs.
    pub fn combine<O: Output<E>>(&self, elements: Range<usize>, coefficients: &[f64], out: *mut O) {
        let mut combination = Combination::new();
        combination.begin(self, elements, coefficients);
        combination.finish(self, out);
    }
}

/// At most so many remaining elements are combined in one call: taking turns with gram saves less than more calls cost.
const FEW_ELEMENTS: usize = 1024;

/// A combination that is computed a few elements at a time, in turns with another kernel.
pub(super) struct Combination<E> {
    terms: Vec<Term<E>>,
    /// The elements that are not combined yet.
    remaining: Range<usize>,
}

impl<E: Element> Combination<E> {
    /// A combination of no elements.
    pub fn new() -> Self {
        Self { terms: Vec::new(), remaining: 0..0 }
    }

    /// Drops the elements that remain, and begins with others.
    pub fn begin(&mut self, reduction: &Reduction<E>, elements: Range<usize>, coefficients: &[f64]) {
        self.terms.clear();
        self.terms.extend(terms(&reduction.inputs, coefficients));
        self.remaining = elements;
    }

    /// Combines as many elements as `next` has, or all that remain if they are few; prefetches `next`, which is read
    /// after this call. `out` is the whole slice.
    pub fn advance<O: Output<E>>(&mut self, reduction: &Reduction<E>, next: Range<usize>, out: *mut O) {
        let begin = self.remaining.start;
        let count = if self.remaining.len() <= FEW_ELEMENTS {
            self.remaining.len()
        } else {
            next.len().min(self.remaining.len())
        };
        self.remaining.start += count;
        if begin < self.remaining.start {
            // SAFETY: the elements lie in the checked length of inputs and out.
            unsafe {
                combine(reduction.engine, &self.terms, begin..self.remaining.start, out, Pass::Before(next.start))
            };
        }
    }

    /// Combines all elements that remain.
    pub fn finish<O: Output<E>>(&mut self, reduction: &Reduction<E>, out: *mut O) {
        let remaining = std::mem::replace(&mut self.remaining, 0..0);
        let (engine, parts, pass) =
            (reduction.engine, reduction.part_count(remaining.len()), pass_of(&self.terms, remaining.len(), out));
        if parts == 1 {
            // SAFETY: the elements lie in the checked length of inputs and out, and no input is streamed to.
            return unsafe { combine(engine, &self.terms, remaining, out, pass) };
        }
        let (terms, out) = (Shared::new(&self.terms), Shared::new(out));
        let jobs = ranges(remaining.len(), parts)
            .map(|part| remaining.start + part.start..remaining.start + part.end)
            .collect();
        // SAFETY: as above, and no two threads get the same elements.
        run_jobs(jobs, |elements| unsafe { combine(engine, terms.get(), elements, out.get(), pass) });
    }
}

/// A call that writes at least so many bytes streams them past the cache: no second-level cache would keep them.
const STREAMED_BYTE_LENGTH: usize = 4 << 20;

fn pass_of<E, O>(terms: &[Term<E>], element_count: usize, out: *mut O) -> Pass {
    let is_input = terms.iter().any(|term| std::ptr::eq(term.input.cast(), out));
    let is_long = element_count * size_of::<O>() >= STREAMED_BYTE_LENGTH;
    if is_long && !is_input { Pass::Streaming } else { Pass::Alone }
}

/// # Safety
/// The elements must exist in all terms and in `out`.
unsafe fn combine<E: Element, O: Output<E>>(
    engine: Engine,
    terms: &[Term<E>],
    elements: Range<usize>,
    out: *mut O,
    pass: Pass,
) {
    // SAFETY: the engine's instruction set is available; the rest is handed on from the caller.
    unsafe { O::combine(E::kernels(engine.table))(terms, elements, out, pass) };
}

/// The inputs that take part: those whose coefficient is not 0.
fn terms<E>(inputs: &[*const E], coefficients: &[f64]) -> impl Iterator<Item = Term<E>> {
    let terms = inputs.iter().zip(coefficients).map(|(&input, &coefficient)| Term { input, coefficient });
    terms.filter(|term| term.coefficient != 0.0)
}
