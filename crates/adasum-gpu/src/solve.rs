//! From the sums of all segments to their coefficients.
//!
//! The coefficients are adasum-core's. What it wants to have measured, because it cancels, is measured for all segments at
//! once, and it is asked again, until it wants no more: every answer settles at least one node of the tree, so it ends.

use std::collections::BTreeMap;

use adasum_core::coefficients::{Memory, Outcome, Refinement, Request, Thresholds, coefficients};

/// A node is measured if its squared norm falls below this part of its terms'. The CPU waits until 1e-8; a device's sums err
/// by 1e-14 rather than 1e-16.
const REFINE_BELOW: f64 = 1e-6;

/// One segment's node that is to be measured.
pub struct Wanted {
    /// The segment.
    pub segment: usize,
    /// The node, and its vector.
    pub request: Request,
}

/// What is known of all segments in the end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Solution {
    /// |result|^2 / sum |g_i|^2, a segment at a time; see [`Outcome::Done`].
    pub orthogonality: Vec<f64>,
    /// sum |g_i|^2, a segment at a time.
    pub squared_norm_sum: Vec<f64>,
    /// One number a segment and input.
    pub coefficients: Vec<f64>,
}

/// All segments on their way to a solution.
pub struct Solver {
    weights: Vec<f64>,
    /// An upper triangle a segment.
    gram: Vec<f64>,
    solution: Solution,
    answers: BTreeMap<usize, Vec<(Request, Vec<f64>)>>,
    /// Segments that are not settled.
    open: Vec<usize>,
    memory: Memory,
}

impl Solver {
    /// `gram` has an upper triangle a segment.
    pub fn new(weights: Vec<f64>, gram: Vec<f64>) -> Self {
        let k = weights.len();
        let segment_count = gram.len() / (k * (k + 1) / 2);
        let solution = Solution {
            orthogonality: vec![0.0; segment_count],
            squared_norm_sum: vec![0.0; segment_count],
            coefficients: vec![0.0; segment_count * k],
        };
        let (answers, open, memory) = (BTreeMap::new(), (0..segment_count).collect(), Memory::default());
        Self { weights, gram, solution, answers, open, memory }
    }

    /// The nodes that must be measured first; if there are none, everything is solved.
    pub fn wanted(&mut self) -> Vec<Wanted> {
        let width = self.gram.len() / self.solution.orthogonality.len();
        let mut wanted = Vec::new();
        for &segment in &self.open {
            let known = self.answers.get(&segment).map_or(&[][..], Vec::as_slice);
            let gram = &self.gram[segment * width..][..width];
            wanted.extend(settle(&mut self.memory, &self.weights, gram, known, segment, &mut self.solution));
        }
        self.open = wanted.iter().map(|wanted: &Wanted| wanted.segment).collect();
        self.open.dedup();
        wanted
    }

    /// Takes the products of each node that was wanted: with itself, then with every input.
    pub fn answer(&mut self, wanted: Vec<Wanted>, products: Vec<Vec<f64>>) {
        for (wanted, products) in wanted.into_iter().zip(products) {
            self.answers.entry(wanted.segment).or_default().push((wanted.request, products));
        }
    }

    /// What has been solved.
    pub fn solution(&self) -> &Solution {
        &self.solution
    }
}

/// Writes one segment's part of the solution, or says what must be measured first.
fn settle(
    memory: &mut Memory,
    weights: &[f64],
    gram: &[f64],
    known: &[(Request, Vec<f64>)],
    segment: usize,
    solution: &mut Solution,
) -> Vec<Wanted> {
    let refinements: Vec<_> =
        known.iter().map(|(node, products)| Refinement { first: node.first, count: node.count, products }).collect();
    let thresholds = Thresholds { refine_below: REFINE_BELOW, smallest_squared_norm: 0.0 };
    match coefficients(memory, thresholds, weights, gram, &refinements) {
        Outcome::Done { orthogonality, squared_norm_sum, coefficients } => {
            solution.orthogonality[segment] = orthogonality;
            solution.squared_norm_sum[segment] = squared_norm_sum;
            solution.coefficients[segment * weights.len()..][..weights.len()].copy_from_slice(coefficients);
            Vec::new()
        }
        Outcome::Measure(requests) => requests.into_iter().map(|request| Wanted { segment, request }).collect(),
    }
}
