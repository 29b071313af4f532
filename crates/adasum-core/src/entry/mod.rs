//! The byte-level entry points: what the bindings call.
//!
//! All checks on arguments that come from outside are made here, once: codes, counts, lengths, alignment, overlap. A
//! call that is refused has written nothing. See `ts/src/binding/binding.ts` for the contract; names and order of
//! arguments are the same.

mod by_dtype;
mod copy;
mod fold;
mod layout;
mod orthogonalize;
mod quantize;
mod reduce;
mod reduction;
mod step;
mod tables;
mod threads;
mod view;

pub use copy::copy;
pub use reduce::Results;
pub use reduction::MAX_INPUTS;
pub use step::Written;
pub use tables::{balanced_coefficients, gram_finish, node_count};
pub use view::{View, ViewMut};

use crate::blocks::Accumulator;
use crate::element::{Element, Output};
use crate::engine::Engine;
use crate::error::{Result, argument_error};
use by_dtype::{with_element, with_elements};
use layout::{Piece, Pieces, parse_parts};
use reduction::{Reduction, input_elements, product_count};
use view::Exclusive;

impl Engine {
    /// True if `input` has NaN or infinity in it; for f64 also if a segment's squared norm is not finite.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) if the arguments do not fit together.
    pub fn has_non_finite(self, dtype: f64, input: View<'_>, segment_element_counts: View<'_>) -> Result<bool> {
        with_element!(dtype, has_non_finite(self, input, segment_element_counts))
    }

    /// Writes the nodes of the Gram matrix of every piece, whole or cut, in order.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) if the arguments do not fit together.
    pub fn gram(self, dtype: f64, inputs: &[View<'_>], pieces: View<'_>, nodes: ViewMut<'_>) -> Result<()> {
        with_element!(dtype, gram(self, inputs, pieces, nodes))
    }

    /// Forms x = sum vector_i g_i for each of m coefficient vectors, and writes its products with itself and with all
    /// inputs: the refinement of m tree nodes.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) if the arguments do not fit together.
    pub fn refine(
        self,
        dtype: f64,
        inputs: &[View<'_>],
        vectors: View<'_>,
        pieces: View<'_>,
        nodes: ViewMut<'_>,
    ) -> Result<()> {
        with_element!(dtype, refine(self, inputs, vectors, pieces, nodes))
    }

    /// out = sum c_i g_i, with k coefficients for each of the consecutive parts.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) if the arguments do not fit together.
    pub fn combine(
        self,
        dtype: f64,
        result_dtype: f64,
        inputs: &[View<'_>],
        element_counts: View<'_>,
        coefficients: View<'_>,
        out: ViewMut<'_>,
    ) -> Result<()> {
        with_elements!(dtype, result_dtype, combine(self, inputs, element_counts, coefficients, out))
    }
}

fn has_non_finite<E: Element>(engine: Engine, input: View<'_>, segment_element_counts: View<'_>) -> Result<bool> {
    let (parts, element_count) =
        parse_parts("segmentElementCounts", &segment_element_counts.doubles("segmentElementCounts")?)?;
    let reduction = Reduction::new(engine, vec![input.elements::<E>("input", element_count)?]);
    if E::EXACT_PRODUCTS {
        return Ok(!reduction.is_finite(element_count));
    }
    let mut squared_norm = Accumulator::new(0, 1);
    let mut is_finite = |&(offset, count): &(usize, usize)| {
        reduction.gram(&Piece::whole(offset, count), &mut squared_norm, None)[0].is_finite()
    };
    Ok(!parts.iter().all(&mut is_finite))
}

fn gram<E: Element>(engine: Engine, inputs: &[View<'_>], pieces: View<'_>, nodes: ViewMut<'_>) -> Result<()> {
    let pieces = Pieces::parse(&pieces.doubles("pieces")?)?;
    let reduction = Reduction::new(engine, input_elements::<E>(inputs, pieces.element_count)?);
    Exclusive::reading(inputs).writing("nodes", nodes)?;
    let width = product_count(inputs.len());
    let mut nodes = nodes.doubles("nodes", pieces.node_count(|_| true) * width as u64)?;
    let mut accumulator = Accumulator::new(0, width);
    for piece in &pieces.pieces {
        nodes.write(reduction.gram(piece, &mut accumulator, None));
    }
    Ok(())
}

fn refine<E: Element>(
    engine: Engine,
    inputs: &[View<'_>],
    vectors: View<'_>,
    pieces: View<'_>,
    nodes: ViewMut<'_>,
) -> Result<()> {
    let pieces = Pieces::parse(&pieces.doubles("pieces")?)?;
    let &[piece] = &pieces.pieces[..] else {
        return Err(argument_error!("there are {} pieces, refine takes 1. Call it once a piece.", pieces.pieces.len()));
    };
    let reduction = Reduction::new(engine, input_elements::<E>(inputs, pieces.element_count)?);
    let vectors = vectors.doubles("vectors")?;
    if !vectors.len().is_multiple_of(inputs.len()) {
        return Err(argument_error!(
            "`vectors` has {} numbers for {} inputs. Give one number an input and vector.",
            vectors.len(),
            inputs.len()
        ));
    }
    Exclusive::reading(inputs).writing("nodes", nodes)?;
    let width = vectors.len() / inputs.len() * (inputs.len() + 1);
    nodes.doubles("nodes", piece.node_count() * width as u64)?.write(reduction.refine(&piece, &vectors).as_slice());
    Ok(())
}

fn combine<E: Element, O: Output<E>>(
    engine: Engine,
    inputs: &[View<'_>],
    element_counts: View<'_>,
    coefficients: View<'_>,
    out: ViewMut<'_>,
) -> Result<()> {
    let (parts, element_count) = parse_parts("elementCounts", &element_counts.doubles("elementCounts")?)?;
    let reduction = Reduction::new(engine, input_elements::<E>(inputs, element_count)?);
    let coefficients = coefficients.doubles("coefficients")?;
    if coefficients.len() as u128 != parts.len() as u128 * inputs.len() as u128 {
        return Err(argument_error!(
            "`coefficients` has {} numbers for {} parts of {} inputs. Give one number a part and input.",
            coefficients.len(),
            parts.len(),
            inputs.len()
        ));
    }
    let out_elements = out.elements::<O>("out", element_count)?;
    Exclusive::reading(inputs).writing_in_place("out", out)?;
    for (&(offset, count), coefficients) in parts.iter().zip(coefficients.chunks_exact(inputs.len())) {
        reduction.combine(offset..offset + count, coefficients, out_elements);
    }
    Ok(())
}
