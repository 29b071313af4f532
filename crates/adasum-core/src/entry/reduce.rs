//! The reduction of a slice in one call. Whole segments go gram -> coefficients -> combine, so that combine finds
//! gram's data still in the cache. For cut segments only the partial Gram matrices can be computed here.
//!
//! Gram on one segment takes turns with combine on the segment before it, chunk by chunk: while combine works in the
//! cache, the elements that gram reads next arrive from memory.

use super::by_dtype::with_elements;
use super::layout::{Piece, Pieces};
use super::reduction::{Combination, Reduction, input_elements, product_count};
use super::tables::parse_weights;
use super::view::{DoublesMut, Exclusive, View, ViewMut};
use crate::blocks::Accumulator;
use crate::coefficients::{
    Memory, Outcome, PairRule, Refinement, RefinementRequest, Thresholds, coefficients, triangle_index,
};
use crate::dtype::Op;
use crate::element::{Element, Output};
use crate::engine::Engine;
use crate::error::Result;

/// The memory that [`Engine::reduce`] writes.
#[derive(Clone, Copy, Debug)]
pub struct Results<'a> {
    /// The result, as long as the inputs; may be exactly one of them.
    pub out: ViewMut<'a>,
    /// With adasum, the nodes of the cut pieces.
    pub nodes: ViewMut<'a>,
    /// With adasum, 2 + k doubles a piece: orthogonality, the sum of the squared norms, then the coefficients; or, as
    /// its length says, k (k + 1) / 2 more, the upper triangle of the Gram matrix, 0 where an input is absent. All NaN
    /// for cut pieces.
    pub stats: ViewMut<'a>,
}

impl Engine {
    /// Reduces a slice: all of it with sum and average; with adasum the whole pieces, and the nodes of the cut ones.
    /// `weights` has one double for each input: how many vectors, or samples, the input stands for. An input of weight
    /// 0 takes no part and is not read. Sum and average touch neither nodes nor stats.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) if the arguments do not fit together.
    #[expect(clippy::too_many_arguments, reason = "the binding's contract: one argument for each of JavaScript's")]
    pub fn reduce(
        self,
        op: f64,
        dtype: f64,
        result_dtype: f64,
        inputs: &[View<'_>],
        weights: View<'_>,
        pieces: View<'_>,
        results: Results<'_>,
    ) -> Result<()> {
        let op = Op::from_code(op)?;
        with_elements!(dtype, result_dtype, reduce(self, op, inputs, weights, pieces, results))
    }
}

fn reduce<E: Element, O: Output<E>>(
    engine: Engine,
    op: Op,
    inputs: &[View<'_>],
    weights: View<'_>,
    pieces: View<'_>,
    Results { out, nodes, stats }: Results<'_>,
) -> Result<()> {
    let pieces = Pieces::parse(&pieces.doubles("pieces")?)?;
    let elements = input_elements::<E>(inputs, pieces.element_count)?;
    let present = Present::new(parse_weights(weights, inputs.len())?);
    let reduction = Reduction::new(engine, present.indices.iter().map(|&i| elements[i]).collect());
    let out_elements = out.elements::<O>("out", pieces.element_count)?;
    let exclusive = Exclusive::reading(inputs).writing_in_place("out", out)?;
    if op != Op::Adasum {
        reduction.combine(0..pieces.element_count, &constant_coefficients(op, &present), out_elements);
        return Ok(());
    }
    exclusive.writing("nodes", nodes)?.writing("stats", stats)?;
    let width = product_count(inputs.len()) as u64;
    let row_widths = [2 + inputs.len() as u64, 2 + inputs.len() as u64 + width];
    let (stats, row_width) = stats.rows("stats", pieces.pieces.len() as u64, row_widths)?;
    let mut adasum = Adasum {
        nodes: nodes.doubles("nodes", pieces.node_count(|piece| !piece.run.is_whole()) * width)?,
        stats,
        has_grams: row_width == row_widths[1],
        sums: Accumulator::new(0, product_count(present.indices.len())),
        reduction,
        combination: Combination::new(),
        present,
        out: out_elements,
        gram: Vec::new(),
        present_coefficients: Vec::new(),
        memory: Memory::default(),
    };
    pieces.pieces.iter().for_each(|piece| adasum.reduce_piece(piece));
    adasum.finish();
    Ok(())
}

/// The coefficients of an operator that does not look at the vectors.
fn constant_coefficients(op: Op, present: &Present) -> Vec<f64> {
    let total: f64 = present.weights.iter().sum();
    let coefficient = |weight: f64| if op == Op::Average { weight / total } else { 1.0 };
    present.gather(&present.weights).map(coefficient).collect()
}

/// Which inputs take part, those of weight > 0. Tables that cross the border are indexed by all inputs, kernels see
/// only these.
struct Present {
    weights: Vec<f64>,
    indices: Vec<usize>,
}

impl Present {
    fn new(weights: Vec<f64>) -> Self {
        let indices = (0..weights.len()).filter(|&i| weights[i] != 0.0).collect();
        Self { weights, indices }
    }

    /// The upper triangle over all inputs, 0 where one is absent.
    fn spread_triangle(&self, compact: &[f64], all: &mut Vec<f64>) {
        let k = self.weights.len();
        all.clear();
        if self.indices.len() == k {
            all.extend_from_slice(compact);
            return;
        }
        all.resize(product_count(k), 0.0);
        let pairs = self.indices.iter().enumerate().flat_map(|(a, i)| self.indices[a..].iter().map(move |j| (i, j)));
        for ((&i, &j), &product) in pairs.zip(compact) {
            all[triangle_index(k, i, j)] = product;
        }
    }

    /// Numbers of all inputs, 0 for the absent ones.
    fn spread(&self, compact: &[f64]) -> Vec<f64> {
        let mut all = vec![0.0; self.weights.len()];
        for (&i, &x) in self.indices.iter().zip(compact) {
            all[i] = x;
        }
        all
    }

    fn gather<'s>(&'s self, all: &'s [f64]) -> impl Iterator<Item = f64> + 's {
        self.indices.iter().map(move |&i| all[i])
    }
}

/// The reduction of one slice.
struct Adasum<'a, E, O> {
    reduction: Reduction<E>,
    /// The combination of the whole piece before.
    combination: Combination<E>,
    present: Present,
    sums: Accumulator,
    out: *mut O,
    nodes: DoublesMut<'a>,
    stats: DoublesMut<'a>,
    /// Whether statistics end with Gram matrices.
    has_grams: bool,
    // These buffers are used again for every piece.
    gram: Vec<f64>,
    present_coefficients: Vec<f64>,
    memory: Memory,
}

impl<E: Element, O: Output<E>> Adasum<'_, E, O> {
    fn reduce_piece(&mut self, piece: &Piece) {
        let (reduction, combination, out) = (&self.reduction, &mut self.combination, self.out);
        let mut turn = |next| combination.advance(reduction, next, out);
        let sums = reduction.gram(piece, &mut self.sums, Some(&mut turn));
        if !piece.run.is_whole() {
            let width = product_count(self.present.indices.len());
            for node in 0..piece.node_count() as usize {
                self.present.spread_triangle(&sums[node * width..][..width], &mut self.gram);
                self.nodes.write(&self.gram);
            }
            let k = self.present.weights.len();
            let gram_width = if self.has_grams { product_count(k) } else { 0 };
            self.stats.write(&vec![f64::NAN; 2 + k + gram_width]);
            return;
        }
        self.present.spread_triangle(sums, &mut self.gram);
        self.solve(piece);
        if self.has_grams {
            self.stats.write(&self.gram);
        }
        self.finish();
        let elements = piece.offset..piece.offset + piece.element_count();
        self.combination.begin(&self.reduction, elements, &self.present_coefficients);
    }

    fn finish(&mut self) {
        self.combination.finish(&self.reduction, self.out);
    }

    /// Writes the piece's statistics and finds the coefficients of the inputs that are present. Refines nodes until no
    /// more requests come: every answer settles at least one node of the tree, so the loop ends.
    fn solve(&mut self, piece: &Piece) {
        let mut answers: Vec<(RefinementRequest, Vec<f64>)> = Vec::new();
        loop {
            let refinements: Vec<_> = answers
                .iter()
                .map(|(node, products)| Refinement { first: node.first, count: node.count, products })
                .collect();
            let thresholds = Thresholds::of::<E>();
            let (memory, weights) = (&mut self.memory, &self.present.weights);
            match coefficients(memory, PairRule::Adasum, thresholds, weights, &self.gram, &refinements) {
                Outcome::Done { orthogonality, squared_norm_sum, coefficients } => {
                    self.stats.write(&[orthogonality, squared_norm_sum]);
                    self.stats.write(coefficients);
                    self.present_coefficients.clear();
                    self.present_coefficients.extend(self.present.gather(coefficients));
                    return;
                }
                Outcome::Refine(requests) => answers.extend(self.refine(piece, requests)),
            }
        }
    }

    /// Each request with its node's products, in tables over all inputs.
    fn refine(&self, piece: &Piece, requests: Vec<RefinementRequest>) -> Vec<(RefinementRequest, Vec<f64>)> {
        let vectors: Vec<_> = requests.iter().flat_map(|request| self.present.gather(&request.vector)).collect();
        let products = self.reduction.refine(piece, &vectors);
        let answers = products.chunks_exact(self.present.indices.len() + 1).map(|answer| {
            let mut all = vec![answer[0]];
            all.extend(self.present.spread(&answer[1..]));
            all
        });
        requests.into_iter().zip(answers).collect()
    }
}
