//! What several ranks do for a segment that is cut among them: the same entry points, on slices, and small tables that
//! are exchanged.

use adasum_core::Engine;

use super::calls::{Reduced, coefficients_by, combine_into, gram, gram_finish, product_count, refine};
use super::float::Float;

/// Adasum's rule for pairs, as a code and a parameter.
const RULE_OF_ADASUM: (f64, f64) = (0.0, 0.0);

/// A node that `coefficients` asks to have refined.
#[derive(Debug, PartialEq)]
pub struct RefinementRequest {
    pub first: usize,
    pub count: usize,
    pub vector: Vec<f64>,
}

pub fn requests(answer: &[f64], k: usize) -> Vec<RefinementRequest> {
    let rows = answer[1..].chunks_exact(k + 2).take(answer[0] as usize);
    rows.map(|row| RefinementRequest { first: row[0] as usize, count: row[1] as usize, vector: row[2..].to_vec() })
        .collect()
}

/// One segment. Every rank has a run of each input: its first element, and how many.
pub struct Ranks<'a, E> {
    pub engine: Engine,
    pub inputs: &'a [Vec<E>],
    pub runs: Vec<(usize, usize)>,
}

/// The same elements of every input.
pub fn slice_of<E: Float>(inputs: &[Vec<E>], (first, count): (usize, usize)) -> Vec<Vec<E>> {
    inputs.iter().map(|g| g[first..first + count].to_vec()).collect()
}

impl<E: Float> Ranks<'_, E> {
    fn length(&self) -> usize {
        self.inputs[0].len()
    }

    /// The segment's products, added from what `partial` returns for every rank's slices and piece.
    pub fn gather(&self, width: usize, partial: impl Fn(&[Vec<E>], &[f64]) -> Vec<f64>) -> Vec<f64> {
        let of_run = |&run: &(usize, usize)| {
            partial(&slice_of(self.inputs, run), &[self.length() as f64, run.0 as f64, run.1 as f64])
        };
        self.finish(width, &self.runs.iter().flat_map(of_run).collect::<Vec<_>>())
    }

    /// The root of the tree: all ranks' nodes, given in the order of the runs, added up.
    pub fn finish(&self, width: usize, nodes: &[f64]) -> Vec<f64> {
        let table: Vec<f64> = self.runs.iter().flat_map(|&(first, count)| [first as f64, count as f64]).collect();
        gram_finish(self.length(), &table, nodes, width)
    }

    /// The result, and the nodes that had to be refined in each round.
    pub fn adasum<O: Float>(&self) -> (Reduced<O>, Vec<Vec<RefinementRequest>>) {
        let products = product_count(self.inputs.len());
        self.adasum_from(&self.gather(products, |slices, piece| gram(self.engine, slices, piece)))
    }

    /// The same from the segment's Gram matrix.
    pub fn adasum_from<O: Float>(&self, gram: &[f64]) -> (Reduced<O>, Vec<Vec<RefinementRequest>>) {
        self.reduce_from(RULE_OF_ADASUM, &vec![1.0; self.inputs.len()], gram)
    }

    /// The result of the inputs that weigh something, by a rule for pairs, given by its code and parameter.
    pub fn by_rule<O: Float>(&self, rule: (f64, f64), weights: &[f64]) -> Reduced<O> {
        let products = product_count(self.inputs.len());
        let gram = self.gather(products, |slices, piece| gram(self.engine, slices, piece));
        self.reduce_from(rule, weights, &gram).0
    }

    fn reduce_from<O: Float>(
        &self,
        (rule, parameter): (f64, f64),
        weights: &[f64],
        gram: &[f64],
    ) -> (Reduced<O>, Vec<Vec<RefinementRequest>>) {
        let k = self.inputs.len();
        let (mut refinements, mut rounds) = (Vec::new(), Vec::new());
        loop {
            let answer = coefficients_by(rule, parameter, E::CODE, weights, gram, &refinements);
            if answer[0] == 0.0 {
                return (self.combined(answer[1], answer[2], &answer[3..]), rounds);
            }
            let requests = requests(&answer, k);
            let vectors: Vec<f64> = requests.iter().flat_map(|request| request.vector.clone()).collect();
            let width = requests.len() * (k + 1);
            let refined = self.gather(width, |slices, piece| refine(self.engine, slices, &vectors, piece));
            for (request, products) in requests.iter().zip(refined.chunks_exact(k + 1)) {
                refinements.extend([request.first as f64, request.count as f64]);
                refinements.extend(products);
            }
            rounds.push(requests);
            assert!(rounds.len() < k, "more rounds than the tree has nodes");
        }
    }

    fn combined<O: Float>(&self, orthogonality: f64, squared_norm_sum: f64, coefficients: &[f64]) -> Reduced<O> {
        let of_run = |&run: &(usize, usize)| {
            combine_into(self.engine, &slice_of(self.inputs, run), &[run.1 as f64], coefficients)
        };
        Reduced {
            result: self.runs.iter().flat_map(of_run).collect(),
            orthogonality: vec![orthogonality],
            squared_norm_sum: vec![squared_norm_sum],
            coefficients: vec![coefficients.to_vec()],
        }
    }
}
