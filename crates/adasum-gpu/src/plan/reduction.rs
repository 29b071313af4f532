//! One reduction, a step at a time. A driver executes each step:
//!
//! ```text
//! Gram         dispatch Plan::gram, and add the sums of each
//! SegmentSums  dispatch Reduction::dispatches, and add the sums of each; any number of times
//! Combine      write the factors, and dispatch Plan::combinations
//! ```

use std::sync::Arc;

use adasum_core::dtype::Op;

use super::dispatch::PlannedDispatch;
use super::placement::Plan;
use super::products::Products;
use super::segment_sums::{Node, SegmentSums, products_of};
use crate::error::{Error, Result, argument_error};
use crate::scaling;
use crate::shader::Element;
use crate::solve::{SegmentRequest, Solution, Solver};

/// What to do with an input that has NaN or infinity in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnNonFinite {
    /// Refuse the reduction.
    Throw,
    /// Leave that input out.
    Skip,
    /// Compute on.
    Propagate,
}

impl OnNonFinite {
    /// The policy with a code of the border to JavaScript.
    ///
    /// # Errors
    /// [`Error::Argument`] for a code that none has.
    pub fn from_code(code: f64) -> Result<Self> {
        let all = [(0.0, Self::Throw), (1.0, Self::Skip), (2.0, Self::Propagate)];
        all.into_iter().find(|&(known, _)| known == code).map(|(_, policy)| policy).ok_or_else(|| {
            argument_error!("the policy code is {code}, known are 0 (throw), 1 (skip) and 2 (propagate).")
        })
    }
}

/// What a driver is to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Dispatch [`Plan::gram`], and [`Reduction::add`] the sums of each.
    Gram,
    /// Dispatch [`Reduction::dispatches`], and [`Reduction::add`] the sums of each.
    SegmentSums,
    /// Dispatch [`Plan::combinations`] with these factors, one list of bytes a batch. This is the last step.
    Combine(Vec<Vec<u8>>),
}

/// Which sums the driver computes before the next step.
enum Phase {
    Begin,
    Gram,
    Scaling(Vec<usize>),
    Refining(Vec<SegmentRequest>, Vec<Node>),
}

/// A reduction in progress.
pub struct Reduction {
    plan: Arc<Plan>,
    op: Op,
    on_non_finite: OnNonFinite,
    weights: Vec<f64>,
    non_finite: Vec<usize>,
    products: Products,
    segment_sums: SegmentSums,
    solver: Option<Solver>,
    phase: Phase,
}

impl Reduction {
    /// A reduction of all slots; `result` is the dtype in which the result is stored: the slots' own, or f32.
    ///
    /// # Errors
    /// [`Error::Argument`] for another dtype.
    pub fn new(plan: Arc<Plan>, op: Op, on_non_finite: OnNonFinite, result: Element) -> Result<Self> {
        if result != plan.element && result != Element::F32 {
            return Err(argument_error!(
                "the slots are {}, the result is {}. Use one dtype, or f32 for the result of f16 or bf16.",
                plan.element.dtype().name(),
                result.dtype().name()
            ));
        }
        let products = Products::new(plan.segment_count(), plan.slot_count);
        let (weights, non_finite, segment_sums) = (vec![1.0; plan.slot_count], Vec::new(), SegmentSums::default());
        let phase = Phase::Begin;
        Ok(Self { plan, op, on_non_finite, weights, non_finite, products, segment_sums, solver: None, phase })
    }

    /// The next step. All sums of the step before must have been added.
    ///
    /// # Errors
    /// [`Error::NonFinite`] if the policy is to throw; [`Error::Unsupported`] for coefficients beyond f32.
    pub fn step(&mut self) -> Result<Step> {
        match std::mem::replace(&mut self.phase, Phase::Begin) {
            Phase::Begin if self.op == Op::Adasum || self.on_non_finite != OnNonFinite::Propagate => {
                self.phase = Phase::Gram;
                return Ok(Step::Gram);
            }
            Phase::Begin => return self.combine(),
            Phase::Gram => {
                self.leave_out_non_finite()?;
                if self.op != Op::Adasum || self.non_finite.len() == self.plan.slot_count {
                    return self.combine();
                }
                let segments = self.out_of_range();
                if !segments.is_empty() {
                    self.segment_sums = self.plan.scaled_sums(&self.products, &segments);
                    self.phase = Phase::Scaling(segments);
                    return Ok(Step::SegmentSums);
                }
            }
            Phase::Scaling(segments) => self.plan.take_scaled(&mut self.products, &segments, &self.segment_sums),
            Phase::Refining(requests, nodes) => {
                if let Some(solver) = &mut self.solver {
                    solver.add_refinements(requests, products_of(&nodes, &self.segment_sums));
                }
            }
        }
        self.solve()
    }

    /// The dispatches of a [`Step::SegmentSums`].
    pub fn dispatches(&self) -> &[PlannedDispatch] {
        &self.segment_sums.dispatches
    }

    /// Adds the sums of a dispatch of this step, given by its index in the step, and the largest magnitudes behind
    /// them.
    pub fn add(&mut self, index: usize, bytes: &[u8]) {
        if matches!(self.phase, Phase::Gram) {
            let tile = &self.plan.tiles[index % self.plan.tiles.len()];
            self.products.add(&self.plan.gram[index], bytes, tile);
        } else {
            self.segment_sums.add(index, bytes);
        }
    }

    /// The upper triangle of each segment's Gram matrix, once it is known.
    pub fn gram(&self) -> Option<&[f64]> {
        self.solver.is_some().then_some(&self.products.gram)
    }

    /// Slots with NaN or infinity in them. Empty if the policy is to propagate: then they are not looked for.
    pub fn non_finite(&self) -> &[usize] {
        &self.non_finite
    }

    /// Orthogonality, squared norms and coefficients, with adasum only: complete at the step [`Step::Combine`].
    pub fn solution(&self) -> Solution {
        self.solver.as_ref().map(|solver| solver.solution().clone()).unwrap_or_default()
    }

    fn leave_out_non_finite(&mut self) -> Result<()> {
        if self.on_non_finite == OnNonFinite::Propagate {
            return Ok(());
        }
        self.non_finite = self.products.non_finite(self.plan.element);
        if self.on_non_finite == OnNonFinite::Throw && !self.non_finite.is_empty() {
            return Err(Error::NonFinite(self.non_finite.clone()));
        }
        self.non_finite.iter().for_each(|&slot| self.weights[slot] = 0.0);
        Ok(())
    }

    /// The segments whose products have left f32's range; their scales are noted in the products. The products of
    /// segments with an input that is not finite become NaN here, since a device need not make NaN of them.
    fn out_of_range(&mut self) -> Vec<usize> {
        let mut segments = Vec::new();
        for segment in 0..self.plan.segment_count() {
            let mut magnitudes = self.products.magnitudes(segment, self.plan.element);
            magnitudes.iter_mut().zip(&self.weights).filter(|(_, weight)| **weight == 0.0).for_each(|(m, _)| *m = 0.0);
            if magnitudes.iter().any(|magnitude| !magnitude.is_finite()) {
                self.products.row_mut(segment).fill(f64::NAN);
            } else if scaling::is_needed(self.plan.segment_element_counts[segment], &magnitudes) {
                segments.push(segment);
                self.products.scales.insert(segment, scaling::scales(&magnitudes));
            }
        }
        segments
    }

    fn solve(&mut self) -> Result<Step> {
        let solver = self.solver.get_or_insert_with(|| Solver::new(self.weights.clone(), self.products.gram.clone()));
        let requests = solver.solve();
        if requests.is_empty() {
            return self.combine();
        }
        let (nodes, segment_sums) = self.plan.refinement_sums(&self.products, &requests);
        self.segment_sums = segment_sums;
        self.phase = Phase::Refining(requests, nodes);
        Ok(Step::SegmentSums)
    }

    fn combine(&mut self) -> Result<Step> {
        let factors = self.plan.factors(self.op, &self.weights, &self.solution())?;
        Ok(Step::Combine(factors))
    }
}
