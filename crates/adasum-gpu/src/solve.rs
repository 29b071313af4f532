//! From the sums of all segments to their coefficients.
//!
//! adasum-core works out the coefficients, segment by segment, and requests the refinement of nodes whose terms cancel.
//! The requests of all segments are answered at once, in rounds, until none is left: every refinement settles at least
//! one node of a tree, so the rounds end.

use std::collections::BTreeMap;

use adasum_core::coefficients::{Memory, Outcome, PairRule, Refinement, RefinementRequest, Thresholds, coefficients};

/// A node is refined if its squared norm falls below this part of its terms'. On the CPU that is 1e-8; a device's sums
/// err by 1e-14 rather than 1e-16.
const REFINE_BELOW: f64 = 1e-6;

/// A request for the refinement of one segment's node.
pub struct SegmentRequest {
    /// The segment.
    pub segment: usize,
    /// The node, and its vector.
    pub node: RefinementRequest,
}

/// The coefficients and statistics of all segments.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Solution {
    /// |result|^2 / sum |g_i|^2, a segment at a time; see [`Outcome::Done`].
    pub orthogonality: Vec<f64>,
    /// sum |g_i|^2, a segment at a time.
    pub squared_norm_sum: Vec<f64>,
    /// One number a segment and input.
    pub coefficients: Vec<f64>,
}

/// Solves all segments, in rounds.
pub struct Solver {
    weights: Vec<f64>,
    /// An upper triangle a segment.
    gram: Vec<f64>,
    solution: Solution,
    /// The refined nodes of each segment that has any, with their products.
    refined: BTreeMap<usize, Vec<(RefinementRequest, Vec<f64>)>>,
    /// Segments whose coefficients are not found yet.
    unsolved: Vec<usize>,
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
        let (refined, unsolved, memory) = (BTreeMap::new(), (0..segment_count).collect(), Memory::default());
        Self { weights, gram, solution, refined, unsolved, memory }
    }

    /// Solves as far as the refinements reach. Returns the nodes that must be refined next; if there are none, all
    /// segments are solved.
    pub fn solve(&mut self) -> Vec<SegmentRequest> {
        let width = self.gram.len() / self.solution.orthogonality.len();
        let mut requests = Vec::new();
        for &segment in &self.unsolved {
            let refined = self.refined.get(&segment).map_or(&[][..], Vec::as_slice);
            let gram = &self.gram[segment * width..][..width];
            requests.extend(solve_segment(&mut self.memory, &self.weights, gram, refined, segment, &mut self.solution));
        }
        self.unsolved = requests.iter().map(|request: &SegmentRequest| request.segment).collect();
        self.unsolved.dedup();
        requests
    }

    /// Takes the products of each requested node: with itself, then with every input.
    pub fn add_refinements(&mut self, requests: Vec<SegmentRequest>, products: Vec<Vec<f64>>) {
        for (request, products) in requests.into_iter().zip(products) {
            self.refined.entry(request.segment).or_default().push((request.node, products));
        }
    }

    /// The solution, complete once [`Solver::solve`] has returned no request.
    pub fn solution(&self) -> &Solution {
        &self.solution
    }
}

/// Writes one segment's part of the solution, or returns the nodes that must be refined first.
fn solve_segment(
    memory: &mut Memory,
    weights: &[f64],
    gram: &[f64],
    refined: &[(RefinementRequest, Vec<f64>)],
    segment: usize,
    solution: &mut Solution,
) -> Vec<SegmentRequest> {
    let refinements: Vec<_> =
        refined.iter().map(|(node, products)| Refinement { first: node.first, count: node.count, products }).collect();
    let thresholds = Thresholds { refine_below: REFINE_BELOW, smallest_squared_norm: 0.0 };
    match coefficients(memory, PairRule::Adasum, thresholds, weights, gram, &refinements) {
        Outcome::Done { orthogonality, squared_norm_sum, coefficients } => {
            solution.orthogonality[segment] = orthogonality;
            solution.squared_norm_sum[segment] = squared_norm_sum;
            solution.coefficients[segment * weights.len()..][..weights.len()].copy_from_slice(coefficients);
            Vec::new()
        }
        Outcome::Refine(nodes) => nodes.into_iter().map(|node| SegmentRequest { segment, node }).collect(),
    }
}
