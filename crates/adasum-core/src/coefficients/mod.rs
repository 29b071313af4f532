//! From the Gram matrix to the coefficients.
//!
//! The inputs are the leaves of a contiguous balanced tree: n inputs split into ceil(n/2) and floor(n/2). A node
//! combines the vectors a and b of its children, which stand for m and k vectors (or samples), as
//!
//! ```text
//! Adasum(a, b) = (1 - a.b / |a|^2 * m / (m + k)) a  +  (1 - a.b / |b|^2 * k / (m + k)) b
//! ```
//!
//! which for m = k is the operator of arXiv 2006.02924; a [`PairRule`] may give other factors. Every node's vector is sum c_i g_i over its inputs, so all the
//! products follow from K_ij = g_i . g_j, and no vector is ever formed. Three cases need care:
//!
//! - **Absent inputs** have weight 0: the other child passes through.
//! - **Zero vectors** keep their weight but are neutral: coefficient 0, and the other child passes through.
//! - **Cancellation.** If the terms of a node's vector nearly cancel, c^T K c is mostly rounding error. The node is
//!   then *refined*, unless it is the root, whose products nobody needs: [`coefficients`] returns a
//!   [`RefinementRequest`], the caller forms the vector, takes its products with itself and with every input, and gives
//!   them to the next call as a [`Refinement`]. In that call the vector is a term of its own, like an input. If even
//!   its refined norm is at the level of the inputs' own rounding, it counts as zero.
//!
//! All arithmetic is plain f64 in the order in which it stands here, so equal matrices give equal bits.

mod rule;
mod solver;
mod tree;

use solver::Solver;

pub use rule::PairRule;
pub use solver::{Memory, Refinement, RefinementRequest, Thresholds};
pub use tree::{is_inner_node, triangle_index};

/// What [`coefficients`] returns.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome<'m> {
    /// All coefficients are found.
    Done {
        /// |result|^2 / sum |g_i|^2 over the inputs that are present: 1 for orthogonal ones, 1/n for n identical ones.
        /// 1 if all inputs are zero, NaN if the matrix is not finite.
        orthogonality: f64,
        /// sum |g_i|^2 over the inputs that are present, infinite if it overflows, NaN if the matrix is not finite.
        squared_norm_sum: f64,
        /// One coefficient an input.
        coefficients: &'m [f64],
    },
    /// These nodes must be refined first. The next call takes their refinements beside those that this one was given.
    Refine(Vec<RefinementRequest>),
}

/// The balanced coefficients of one segment, by the rule for its pairs. `weights` says how many vectors, or samples, each
/// input stands for. `gram` is
/// the upper triangle over all inputs; the entries of inputs of weight 0 are not read.
pub fn coefficients<'m>(
    memory: &'m mut Memory,
    rule: PairRule,
    thresholds: Thresholds,
    weights: &[f64],
    gram: &[f64],
    refinements: &[Refinement<'_>],
) -> Outcome<'m> {
    let mut solver = Solver::new(memory, rule, thresholds, weights, gram, refinements);
    if !solver.is_finite() {
        return not_finite(memory, weights);
    }
    let root = solver.node(0..weights.len());
    if !solver.requests.is_empty() {
        return Outcome::Refine(solver.requests);
    }
    let smallest_squared_norm = solver.smallest_squared_norm();
    let trace = solver.trace();
    let squared_norm_sum = trace / solver.scale;
    let squared_norm = root.map_or(0.0, |vector| vector.squared_norm.max(0.0));
    if memory.coefficients.iter().any(|c| !c.is_finite()) {
        return not_finite(memory, weights);
    }
    let is_negligible = trace == 0.0 || trace < smallest_squared_norm;
    let orthogonality = if is_negligible { 1.0 } else { squared_norm / trace };
    Outcome::Done { orthogonality, squared_norm_sum, coefficients: &memory.coefficients }
}

fn not_finite<'m>(memory: &'m mut Memory, weights: &[f64]) -> Outcome<'m> {
    memory.coefficients.clear();
    memory.coefficients.extend(weights.iter().map(|&weight| if weight == 0.0 { 0.0 } else { f64::NAN }));
    Outcome::Done { orthogonality: f64::NAN, squared_norm_sum: f64::NAN, coefficients: &memory.coefficients }
}
