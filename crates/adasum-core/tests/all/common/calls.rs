//! The entry points with Rust's own types. A refusal is a failure here; `hostile` is where refusals are tested.

use adasum_core::Engine;
use adasum_core::entry::{self, Results, View, ViewMut};

use super::float::Float;

pub const SUM: f64 = 0.0;
pub const AVERAGE: f64 = 1.0;
pub const ADASUM: f64 = 2.0;

#[derive(Clone, Debug, PartialEq)]
pub struct Reduced<F> {
    pub result: Vec<F>,
    /// One a segment.
    pub orthogonality: Vec<f64>,
    /// One a segment.
    pub squared_norm_sum: Vec<f64>,
    /// One list a segment.
    pub coefficients: Vec<Vec<f64>>,
}

pub fn product_count(k: usize) -> usize {
    k * (k + 1) / 2
}

fn views<F: Float>(inputs: &[Vec<F>]) -> Vec<View<'_>> {
    inputs.iter().map(|input| View::of(input)).collect()
}

/// Pieces that are whole segments.
pub fn whole(segments: &[usize]) -> Vec<f64> {
    segments.iter().flat_map(|&count| [count as f64, 0.0, count as f64]).collect()
}

/// Memory for results that nothing that is computed equals.
fn untouched<F: Float>(length: usize) -> Vec<F> {
    vec![F::from_f64(-77.0); length]
}

/// Whole segments, inputs of any weights, the result stored as O.
pub fn reduce_into<E: Float, O: Float>(
    engine: Engine,
    op: f64,
    inputs: &[Vec<E>],
    weights: &[f64],
    segments: &[usize],
) -> Reduced<O> {
    let k = inputs.len();
    let mut result = untouched(inputs[0].len());
    let mut stats = vec![-77.0; segments.len() * (2 + k)];
    let results =
        Results { out: ViewMut::of(&mut result), nodes: ViewMut::of::<f64>(&mut []), stats: ViewMut::of(&mut stats) };
    let pieces = whole(segments);
    engine.reduce(op, E::CODE, O::CODE, &views(inputs), View::of(weights), View::of(&pieces), results).unwrap();
    let rows = || stats.chunks_exact(2 + k);
    Reduced {
        result,
        orthogonality: rows().map(|row| row[0]).collect(),
        squared_norm_sum: rows().map(|row| row[1]).collect(),
        coefficients: rows().map(|row| row[2..].to_vec()).collect(),
    }
}

/// Whole segments, inputs of any weights.
pub fn reduce_weighted<F: Float>(
    engine: Engine,
    op: f64,
    inputs: &[Vec<F>],
    weights: &[f64],
    segments: &[usize],
) -> Reduced<F> {
    reduce_into(engine, op, inputs, weights, segments)
}

pub fn reduce<F: Float>(engine: Engine, op: f64, inputs: &[Vec<F>]) -> Reduced<F> {
    reduce_weighted(engine, op, inputs, &vec![1.0; inputs.len()], &[inputs[0].len()])
}

/// One segment, each input of weight 1, the result stored as O.
pub fn adasum_into<E: Float, O: Float>(engine: Engine, inputs: &[Vec<E>]) -> Reduced<O> {
    reduce_into(engine, ADASUM, inputs, &vec![1.0; inputs.len()], &[inputs[0].len()])
}

pub fn adasum<F: Float>(engine: Engine, inputs: &[Vec<F>]) -> Reduced<F> {
    reduce(engine, ADASUM, inputs)
}

/// Nodes of a slice.
pub fn gram<F: Float>(engine: Engine, inputs: &[Vec<F>], pieces: &[f64]) -> Vec<f64> {
    let mut nodes = vec![f64::NAN; node_count_all(pieces) * product_count(inputs.len())];
    engine.gram(F::CODE, &views(inputs), View::of(pieces), ViewMut::of(&mut nodes)).unwrap();
    nodes
}

fn node_count_all(pieces: &[f64]) -> usize {
    let whole = pieces.chunks_exact(3).filter(|piece| piece[0] == piece[2]).count();
    whole + node_count(pieces)
}

pub fn node_count(pieces: &[f64]) -> usize {
    entry::node_count(View::of(pieces)).unwrap() as usize
}

pub fn refine<F: Float>(engine: Engine, inputs: &[Vec<F>], vectors: &[f64], piece: &[f64]) -> Vec<f64> {
    let k = inputs.len();
    let mut nodes = vec![f64::NAN; node_count_all(piece) * vectors.len() / k * (k + 1)];
    let (vectors, piece) = (View::of(vectors), View::of(piece));
    engine.refine(F::CODE, &views(inputs), vectors, piece, ViewMut::of(&mut nodes)).unwrap();
    nodes
}

pub fn gram_finish(segment: usize, runs: &[f64], nodes: &[f64], width: usize) -> Vec<f64> {
    entry::gram_finish(segment as f64, View::of(runs), View::of(nodes), width as f64).unwrap()
}

/// The coefficients of Adasum.
pub fn coefficients(dtype: f64, weights: &[f64], gram: &[f64], refinements: &[f64]) -> Vec<f64> {
    coefficients_by(0.0, 0.0, dtype, weights, gram, refinements)
}

/// The coefficients by a rule for pairs.
pub fn coefficients_by(
    rule: f64,
    parameter: f64,
    dtype: f64,
    weights: &[f64],
    gram: &[f64],
    refinements: &[f64],
) -> Vec<f64> {
    let (weights, gram, refinements) = (View::of(weights), View::of(gram), View::of(refinements));
    entry::balanced_coefficients(rule, parameter, dtype, weights, gram, refinements).unwrap()
}

pub fn combine_into<E: Float, O: Float>(
    engine: Engine,
    inputs: &[Vec<E>],
    counts: &[f64],
    coefficients: &[f64],
) -> Vec<O> {
    let mut out = untouched(inputs[0].len());
    let (counts, coefficients) = (View::of(counts), View::of(coefficients));
    engine.combine(E::CODE, O::CODE, &views(inputs), counts, coefficients, ViewMut::of(&mut out)).unwrap();
    out
}

pub fn combine<F: Float>(engine: Engine, inputs: &[Vec<F>], counts: &[f64], coefficients: &[f64]) -> Vec<F> {
    combine_into(engine, inputs, counts, coefficients)
}

pub fn has_non_finite<F: Float>(engine: Engine, input: &[F], segments: &[f64]) -> bool {
    engine.has_non_finite(F::CODE, View::of(input), View::of(segments)).unwrap()
}
