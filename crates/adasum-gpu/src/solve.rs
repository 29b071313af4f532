//! From the sums of all segments to their coefficients.
//!
//! The coefficients are adasum-core's. What it wants to have measured, because it cancels, is measured for all segments at
//! once, and it is asked again, until it wants no more: every answer settles at least one node of the tree, so it ends.

use std::collections::BTreeMap;

use adasum_core::coefficients::{Memory, Outcome, Refinement, Request, Thresholds, coefficients};

use crate::error::Result;

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

/// Solves all segments. `gram` has an upper triangle a segment; `measure` gives the products of each node that is wanted: with
/// itself, then with every input.
///
/// # Errors
/// Those of `measure`.
pub fn solve(
    weights: &[f64],
    gram: &[f64],
    mut measure: impl FnMut(&[Wanted]) -> Result<Vec<Vec<f64>>>,
) -> Result<Solution> {
    let k = weights.len();
    let width = k * (k + 1) / 2;
    let segment_count = gram.len() / width;
    let mut solution = Solution {
        orthogonality: vec![0.0; segment_count],
        squared_norm_sum: vec![0.0; segment_count],
        coefficients: vec![0.0; segment_count * k],
    };
    let mut answers: BTreeMap<usize, Vec<(Request, Vec<f64>)>> = BTreeMap::new();
    let mut open: Vec<usize> = (0..segment_count).collect();
    let mut memory = Memory::default();
    while !open.is_empty() {
        let mut wanted = Vec::new();
        for &segment in &open {
            let known = answers.get(&segment).map_or(&[][..], Vec::as_slice);
            wanted.extend(settle(
                &mut memory,
                weights,
                &gram[segment * width..][..width],
                known,
                segment,
                &mut solution,
            ));
        }
        let found = if wanted.is_empty() { Vec::new() } else { measure(&wanted)? };
        open = wanted.iter().map(|wanted| wanted.segment).collect();
        open.dedup();
        for (wanted, products) in wanted.into_iter().zip(found) {
            answers.entry(wanted.segment).or_default().push((wanted.request, products));
        }
    }
    Ok(solution)
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
