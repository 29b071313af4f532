//! Steps of optimizers: weights and state are updated in place, part by part, each part by its own row of factors.

use super::layout::{Piece, parse_parts};
use super::threads::{Shared, part_count, ranges, run_jobs};
use super::view::{Exclusive, View, ViewMut};
use crate::blocks::{Accumulator, BLOCK_ELEMENTS};
use crate::dtype::{Dtype, StepRule};
use crate::element::Real;
use crate::engine::Engine;
use crate::error::{Result, argument_error};
use crate::kernel::step::{ADAM_FACTORS, LAMB_FACTORS, MOMENTUM_FACTORS, MUON_FACTORS, RATE, SGD_FACTORS};
use crate::kernel::table::{Elements, Step};

/// The arrays that a step writes.
#[derive(Clone, Copy, Debug)]
pub struct Written<'a> {
    /// The weights; with Muon's rule the direction that it writes.
    pub weights: ViewMut<'a>,
    /// The momentum, or Adam's first moment; empty for plain SGD.
    pub first: ViewMut<'a>,
    /// Adam's second moment; empty for SGD.
    pub second: ViewMut<'a>,
}

impl Engine {
    /// One step of an optimizer. `element_counts` cuts the arrays into consecutive parts, and `factors` has a row for
    /// each; with LAMB a part is a segment, whose norms make its ratio.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) if the arguments do not fit together.
    pub fn step(
        self,
        rule: f64,
        dtype: f64,
        gradient: View<'_>,
        element_counts: View<'_>,
        factors: View<'_>,
        written: Written<'_>,
    ) -> Result<()> {
        let rule = StepRule::from_code(rule)?;
        match Dtype::from_code(dtype)? {
            Dtype::F32 => step::<f32>(self, rule, gradient, element_counts, factors, written),
            Dtype::F64 => step::<f64>(self, rule, gradient, element_counts, factors, written),
            dtype => Err(argument_error!(
                "the dtype is {}, steps are computed in f32 or f64. Keep the weights as one of these.",
                dtype.name()
            )),
        }
    }
}

fn step<E: Real>(
    engine: Engine,
    rule: StepRule,
    gradient: View<'_>,
    element_counts: View<'_>,
    factors: View<'_>,
    written: Written<'_>,
) -> Result<()> {
    let (parts, element_count) = parse_parts("elementCounts", &element_counts.doubles("elementCounts")?)?;
    let factors = factors.doubles("factors")?;
    let width = rule.factor_count();
    if factors.len() as u128 != parts.len() as u128 * width as u128 {
        return Err(argument_error!(
            "`factors` has {} numbers for {} parts of {} with this rule. Give {width} a part.",
            factors.len(),
            parts.len(),
            width
        ));
    }
    let count_if = |is_kept: bool| if is_kept { element_count } else { 0 };
    let arrays = Arrays::<E> {
        gradient: gradient.elements("gradient", element_count)?,
        weights: written.weights.elements("weights", element_count)?,
        first: written.first.elements("first", count_if(rule.state_count() > 0))?,
        second: written.second.elements("second", count_if(rule.state_count() > 1))?,
        state_count: rule.state_count(),
    };
    Exclusive::reading(&[gradient])
        .writing("weights", written.weights)?
        .writing("first", written.first)?
        .writing("second", written.second)?;
    for (&(offset, count), factors) in parts.iter().zip(factors.chunks_exact(width)) {
        let part = arrays.at(offset);
        match rule.kernel::<E>(engine) {
            Some(kernel) => part.step(engine, kernel, factors, count),
            None => part.lamb(engine, factors, count),
        }
    }
    Ok(())
}

impl StepRule {
    fn factor_count(self) -> usize {
        match self {
            StepRule::Sgd => SGD_FACTORS,
            StepRule::Momentum => MOMENTUM_FACTORS,
            StepRule::Adam => ADAM_FACTORS,
            StepRule::Lamb => LAMB_FACTORS,
            StepRule::Muon => MUON_FACTORS,
        }
    }

    /// How many arrays of state the rule keeps.
    fn state_count(self) -> usize {
        match self {
            StepRule::Sgd => 0,
            StepRule::Momentum | StepRule::Muon => 1,
            StepRule::Adam | StepRule::Lamb => 2,
        }
    }

    /// The kernel that makes the whole step; none for LAMB, which needs norms in between.
    fn kernel<E: Real>(self, engine: Engine) -> Option<Step<E>> {
        let steps = E::steps(engine.table);
        match self {
            StepRule::Sgd => Some(steps.sgd),
            StepRule::Momentum => Some(steps.momentum),
            StepRule::Adam => Some(steps.adam),
            StepRule::Lamb => None,
            StepRule::Muon => Some(steps.muon),
        }
    }
}

/// The arrays from one element on.
#[derive(Clone, Copy)]
struct Arrays<E> {
    gradient: *const E,
    weights: *mut E,
    first: *mut E,
    second: *mut E,
    state_count: usize,
}

impl<E: Real> Arrays<E> {
    fn at(self, offset: usize) -> Self {
        let state = |pointer: *mut E, index: usize| {
            if index < self.state_count { pointer.wrapping_add(offset) } else { pointer }
        };
        Self {
            gradient: self.gradient.wrapping_add(offset),
            weights: self.weights.wrapping_add(offset),
            first: state(self.first, 0),
            second: state(self.second, 1),
            state_count: self.state_count,
        }
    }

    /// # Safety
    /// So many elements must exist in all arrays, and nobody else may touch them while the slices live.
    unsafe fn elements<'a>(self, count: usize) -> Elements<'a, E> {
        let state_count = |index: usize| if index < self.state_count { count } else { 0 };
        // SAFETY: handed on from the caller. The arrays were found not to overlap, and pointers to none are aligned.
        unsafe {
            Elements {
                gradient: std::slice::from_raw_parts(self.gradient, count),
                weights: std::slice::from_raw_parts_mut(self.weights, count),
                first: std::slice::from_raw_parts_mut(self.first, state_count(0)),
                second: std::slice::from_raw_parts_mut(self.second, state_count(1)),
            }
        }
    }

    fn part_count(self, engine: Engine, count: usize) -> usize {
        part_count(engine.threads, count * (2 + self.state_count) * size_of::<E>())
    }

    fn step(self, engine: Engine, kernel: Step<E>, factors: &[f64], count: usize) {
        let arrays = Shared::new(self);
        let jobs = ranges(count, self.part_count(engine, count)).collect();
        // SAFETY: the engine's instruction set is available, the elements lie in the checked lengths, and no two threads
        // get the same ones.
        run_jobs(jobs, |range| unsafe { kernel(factors, arrays.get().at(range.start).elements(range.len())) });
    }

    /// Both passes over one segment.
    fn lamb(self, engine: Engine, factors: &[f64], count: usize) {
        let [squared_weights, _, squared_directions] = self.lamb_norms(engine, factors, count);
        let [adapts, most] = [factors[ADAM_FACTORS + 1], factors[ADAM_FACTORS + 2]];
        let has_both = squared_weights > 0.0 && squared_directions > 0.0;
        let ratio = if has_both && adapts != 0.0 { squared_weights.sqrt() / squared_directions.sqrt() } else { 1.0 };
        // What is NaN stays NaN.
        let ratio = if adapts != 0.0 && ratio > most { most } else { ratio };
        let rate = factors[RATE] * ratio;
        let kernel = E::steps(engine.table).lamb_weights;
        let arrays = Shared::new(self);
        let jobs = ranges(count, self.part_count(engine, count)).collect();
        // SAFETY: as in `step`.
        run_jobs(jobs, |range| unsafe { kernel(factors, rate, arrays.get().at(range.start).elements(range.len())) });
    }

    /// The first pass: updates the moments. Returns |w|^2, w.u and |u|^2, added in the canonical order.
    fn lamb_norms(self, engine: Engine, factors: &[f64], count: usize) -> [f64; 3] {
        let whole = Piece::whole(0, count);
        let parts: Vec<_> = ranges(count, self.part_count(engine, count)).map(|range| whole.part(range)).collect();
        let arrays = Shared::new(self);
        let nodes = run_jobs(parts.clone(), |part| arrays.get().lamb_blocks(engine, factors, &part));
        let mut sums = Accumulator::new(count as u64, 3);
        for (part, nodes) in parts.iter().zip(&nodes) {
            sums.push_run(&part.run, nodes);
        }
        sums.finish().try_into().unwrap_or_default()
    }

    fn lamb_blocks(self, engine: Engine, factors: &[f64], part: &Piece) -> Vec<f64> {
        let (moments, gram) = (E::steps(engine.table).lamb_moments, E::kernels(engine.table).gram);
        let mut directions = Box::new([E::ZERO; BLOCK_ELEMENTS]);
        let mut sums = Accumulator::new(part.run.segment_element_count, 3);
        for (block, offset, count) in part.blocks() {
            let arrays = self.at(offset);
            // SAFETY: the engine's instruction set is available, the block lies in the checked lengths, and no other
            // thread gets it.
            sums.push_block(block, |products| unsafe {
                moments(factors, arrays.elements(count), &mut directions[..count]);
                gram(&[arrays.weights.cast_const(), directions.as_ptr()], 0..count, products, None);
            });
        }
        sums.finish().to_vec()
    }
}
