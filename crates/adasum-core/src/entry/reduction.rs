//! The kernels over whole pieces: what is left to do once the arguments are checked.

use super::layout::Piece;
use super::threads::{Shared, part_count, ranges, run};
use super::view::View;
use crate::blocks::{Accumulator, BLOCK_ELEMENTS};
use crate::element::{Element, Output};
use crate::engine::Engine;
use crate::error::{Result, argument_error};
use crate::kernel::Term;

/// Most inputs of one call; their Gram matrix then has 64 MiB.
pub const MAX_INPUTS: usize = 4096;

/// Products of k vectors with each other: the upper triangle.
pub(super) fn product_count(k: usize) -> usize {
    k * (k + 1) / 2
}

/// The inputs' first elements, once all of them have been found to have `element_count` elements.
pub(super) fn input_elements<E: Element>(inputs: &[View<'_>], element_count: usize) -> Result<Vec<*const E>> {
    if !(1..=MAX_INPUTS).contains(&inputs.len()) {
        return Err(argument_error!(
            "there are {} inputs, 1 to {MAX_INPUTS} can be reduced at once. Reduce in groups.",
            inputs.len()
        ));
    }
    let elements = inputs.iter().enumerate();
    elements.map(|(i, input)| input.elements(&format!("inputs[{i}]"), element_count)).collect()
}

/// Checked inputs: pointers to slices of equal length. The methods take offsets and counts inside that length.
pub(super) struct Reduction<E> {
    engine: Engine,
    inputs: Vec<*const E>,
    // Kept from call to call: a model has thousands of small segments.
    at: Vec<*const E>,
    terms: Vec<Term<E>>,
}

impl<E: Element> Reduction<E> {
    pub fn new(engine: Engine, inputs: Vec<*const E>) -> Self {
        Self { engine, inputs, at: Vec::new(), terms: Vec::new() }
    }

    pub fn is_finite(&self, element_count: usize) -> bool {
        let kernels = E::kernels(self.engine.table);
        // SAFETY: the engine's instruction set is available, and the count is the checked length.
        self.inputs.iter().all(|&input| unsafe { (kernels.is_finite)(input, element_count) })
    }

    /// The sums of the piece's maximal nodes.
    pub fn gram<'s>(&mut self, piece: &Piece, sums: &'s mut Accumulator) -> &'s [f64] {
        let parts = part_count(self.engine.threads, piece.element_count() * self.inputs.len() * size_of::<E>());
        if parts > 1 {
            return self.gram_in_parts(piece, parts, sums);
        }
        let kernels = E::kernels(self.engine.table);
        sums.restart(piece.run.segment_element_count);
        for (block, offset, count) in piece.blocks() {
            self.at.clear();
            self.at.extend(at(&self.inputs, offset));
            // SAFETY: the engine's instruction set is available, and the block lies in the piece, whose length was checked.
            sums.push_block(block, |products| unsafe { (kernels.gram)(&self.at, count, products) });
        }
        sums.finish()
    }

    /// Each thread adds a run of blocks as far as the canonical tree allows, and the nodes of all runs are added here.
    fn gram_in_parts<'s>(&self, piece: &Piece, parts: usize, sums: &'s mut Accumulator) -> &'s [f64] {
        let width = sums.width();
        let pieces: Vec<_> = ranges(piece.element_count(), parts).map(|range| piece.part(range)).collect();
        let (engine, inputs) = (self.engine.with_threads(1), Shared::new(&self.inputs));
        let nodes = run(pieces.clone(), |part| {
            Reduction::new(engine, inputs.get().clone()).gram(&part, &mut Accumulator::new(0, width)).to_vec()
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
            let inputs: Vec<_> = at(&self.inputs, offset).collect();
            sums.push_block(block, |products| {
                for (vector, products) in vectors.chunks_exact(k).zip(products.chunks_exact_mut(k + 1)) {
                    let terms: Vec<_> = terms(inputs.iter().copied(), vector).collect();
                    // SAFETY: as in `gram`; the scratch holds a block.
                    unsafe { (kernels.refine)(&terms, &inputs, count, &mut scratch, products) };
                }
            });
        }
        sums.finish().to_vec()
    }

    /// `out` is the whole slice, as long as the inputs.
    pub fn combine<O: Output<E>>(&mut self, offset: usize, element_count: usize, coefficients: &[f64], out: *mut O) {
        let parts = part_count(self.engine.threads, element_count * self.inputs.len() * size_of::<E>());
        if parts > 1 {
            let (engine, inputs, out) = (self.engine.with_threads(1), Shared::new(&self.inputs), Shared::new(out));
            run(ranges(element_count, parts).collect(), |range| {
                Reduction::new(engine, inputs.get().clone()).combine(
                    offset + range.start,
                    range.len(),
                    coefficients,
                    out.get(),
                );
            });
            return;
        }
        let kernels = E::kernels(self.engine.table);
        self.terms.clear();
        self.terms.extend(terms(at(&self.inputs, offset), coefficients));
        // SAFETY: the engine's instruction set is available; offset and count lie in the checked length of inputs and out.
        unsafe { O::combine(kernels)(&self.terms, element_count, out.add(offset)) };
    }
}

/// The inputs' elements from `offset` on.
fn at<E>(inputs: &[*const E], offset: usize) -> impl Iterator<Item = *const E> {
    // SAFETY: offsets of pieces and parts lie inside the slices, whose length was checked.
    inputs.iter().map(move |input| unsafe { input.add(offset) })
}

/// The inputs that take part: those whose coefficient is not 0.
fn terms<E>(inputs: impl Iterator<Item = *const E>, coefficients: &[f64]) -> impl Iterator<Item = Term<E>> {
    let terms = inputs.zip(coefficients).map(|(input, &coefficient)| Term { input, coefficient });
    terms.filter(|term| term.coefficient != 0.0)
}
