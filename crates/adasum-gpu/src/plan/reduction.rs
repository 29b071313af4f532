//! One reduction, a step at a time.
//!
//! ```text
//! step: Gram -> run Plan::gram, add each one's sums
//! step: Measure -> run `runs`, add each one's sums; any number of times
//! step: Combine -> write `factors`, run Plan::combinations
//! ```

use std::sync::Arc;

use adasum_core::dtype::Op;

use super::measurement::{Measurement, Node, answers};
use super::placement::Plan;
use super::products::Products;
use super::run::Run;
use crate::error::{Error, Result, argument_error};
use crate::scaling;
use crate::shader::Element;
use crate::solve::{Solution, Solver, Wanted};

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
        all.into_iter().find(|&(of, _)| of == code).map(|(_, policy)| policy).ok_or_else(|| {
            argument_error!("the policy code is {code}, known are 0 (throw), 1 (skip) and 2 (propagate).")
        })
    }
}

/// What a driver is to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Run [`Plan::gram`], and add what each run gives.
    Gram,
    /// Run [`Reduction::runs`], and add what each gives.
    Measure,
    /// Run [`Plan::combinations`] with these factors, one list of bytes a batch; that is all.
    Combine(Vec<Vec<u8>>),
}

/// Whose sums are on their way.
enum Phase {
    Begin,
    Gram,
    Scaling(Vec<usize>),
    Solving(Vec<Wanted>, Vec<Node>),
}

/// A reduction on its way.
pub struct Reduction {
    plan: Arc<Plan>,
    op: Op,
    on_non_finite: OnNonFinite,
    weights: Vec<f64>,
    non_finite: Vec<usize>,
    products: Products,
    measurement: Measurement,
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
        let (weights, non_finite, measurement) = (vec![1.0; plan.slot_count], Vec::new(), Measurement::default());
        let phase = Phase::Begin;
        Ok(Self { plan, op, on_non_finite, weights, non_finite, products, measurement, solver: None, phase })
    }

    /// What comes next. All that the last step asked for must have been added.
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
                self.leave_out()?;
                if self.op != Op::Adasum || self.non_finite.len() == self.plan.slot_count {
                    return self.combine();
                }
                let segments = self.out_of_range();
                if !segments.is_empty() {
                    self.measurement = self.plan.scaled(&self.products, &segments);
                    self.phase = Phase::Scaling(segments);
                    return Ok(Step::Measure);
                }
            }
            Phase::Scaling(segments) => self.plan.take_scaled(&mut self.products, &segments, &self.measurement),
            Phase::Solving(wanted, nodes) => {
                let answers = answers(&nodes, &self.measurement);
                if let Some(solver) = &mut self.solver {
                    solver.answer(wanted, answers);
                }
            }
        }
        self.solve()
    }

    /// What a [`Step::Measure`] runs.
    pub fn runs(&self) -> &[Run] {
        &self.measurement.runs
    }

    /// Adds the sums, and behind them the largest magnitudes, that a run of this step has given.
    pub fn add(&mut self, index: usize, bytes: &[u8]) {
        if matches!(self.phase, Phase::Gram) {
            let tile = &self.plan.tiles[index % self.plan.tiles.len()];
            self.products.add(&self.plan.gram[index], bytes, tile);
        } else {
            self.measurement.add(index, bytes);
        }
    }

    /// The upper triangle of each segment's Gram matrix, once it is known.
    pub fn gram(&self) -> Option<&[f64]> {
        self.solver.is_some().then_some(&self.products.gram)
    }

    /// Slots that are not finite. Empty if nothing was looked at.
    pub fn non_finite(&self) -> &[usize] {
        &self.non_finite
    }

    /// Orthogonality and coefficients, of adasum only; once there is nothing left to measure.
    pub fn solution(&self) -> Solution {
        self.solver.as_ref().map(|solver| solver.solution().clone()).unwrap_or_default()
    }

    fn leave_out(&mut self) -> Result<()> {
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

    /// The segments that have left f32's range, whose scales are noted. The products of segments with an input that is not finite
    /// become NaN: whether a device's own sums show it is its own affair.
    fn out_of_range(&mut self) -> Vec<usize> {
        let mut wanted = Vec::new();
        for segment in 0..self.plan.segment_count() {
            let mut magnitudes = self.products.magnitudes(segment, self.plan.element);
            magnitudes.iter_mut().zip(&self.weights).filter(|(_, weight)| **weight == 0.0).for_each(|(m, _)| *m = 0.0);
            if magnitudes.iter().any(|magnitude| !magnitude.is_finite()) {
                self.products.row_mut(segment).fill(f64::NAN);
            } else if scaling::is_needed(self.plan.segment_element_counts[segment], &magnitudes) {
                wanted.push(segment);
                self.products.scales.insert(segment, scaling::scales(&magnitudes));
            }
        }
        wanted
    }

    fn solve(&mut self) -> Result<Step> {
        let solver = self.solver.get_or_insert_with(|| Solver::new(self.weights.clone(), self.products.gram.clone()));
        let wanted = solver.wanted();
        if wanted.is_empty() {
            return self.combine();
        }
        let (nodes, measurement) = self.plan.nodes(&self.products, &wanted);
        self.measurement = measurement;
        self.phase = Phase::Solving(wanted, nodes);
        Ok(Step::Measure)
    }

    fn combine(&mut self) -> Result<Step> {
        let factors = self.plan.factors(self.op, &self.weights, &self.solution())?;
        Ok(Step::Combine(factors))
    }
}
