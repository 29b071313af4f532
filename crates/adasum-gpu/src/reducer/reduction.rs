//! A reduction, from its first step to the last.

use adasum_core::dtype::Op;

use super::memory::GpuReducer;
use crate::error::{Result, caught};
use crate::partials::{Sums, run};
use crate::plan::{self, OnNonFinite, Step};
use crate::shader::Element;
use crate::solve::Solution;

/// What a reduction has found; the result itself stays on the device.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reduction {
    /// Of `Op::Adasum` only: see there.
    pub solution: Solution,
    /// Slots that are not finite. Empty if nothing was looked at.
    pub non_finite: Vec<usize>,
}

impl GpuReducer {
    /// Combines all slots; `result` is the dtype in which the result is stored: the slots' own, or f32.
    ///
    /// # Errors
    /// [`crate::Error::NonFinite`] if the policy is to throw; [`crate::Error::Unsupported`] for coefficients beyond f32;
    /// [`crate::Error::DeviceLost`], [`crate::Error::OutOfMemory`].
    pub fn reduce(&mut self, op: Op, on_non_finite: OnNonFinite, result: Element) -> Result<Reduction> {
        caught(|| {
            let mut reduction = plan::Reduction::new(self.plan.clone(), op, on_non_finite, result)?;
            loop {
                let step = reduction.step()?;
                if let Step::Combine(factors) = step {
                    self.combine(&factors, result)?;
                    let non_finite = reduction.non_finite().to_vec();
                    return Ok(Reduction { solution: reduction.solution(), non_finite });
                }
                self.measure(&step, &mut reduction)?;
            }
        })
    }

    /// Runs what a step asks for, and adds what it gives.
    pub(super) fn measure(&self, step: &Step, reduction: &mut plan::Reduction) -> Result<()> {
        if *step == Step::Gram {
            return run(&self.gpu, &self.gram.iter().collect::<Vec<_>>(), |index, bytes| reduction.add(index, bytes));
        }
        let sums = reduction.runs().iter().map(|run| Sums::new(&self.gpu, run, &self.windows[run.window].slab, None));
        let sums = sums.collect::<Result<Vec<_>>>()?;
        run(&self.gpu, &sums.iter().collect::<Vec<_>>(), |index, bytes| reduction.add(index, bytes))
    }
}
