//! The driver of a reduction, from its first step to the last.

use adasum_core::dtype::Op;

use super::gpu_reducer::GpuReducer;
use crate::error::{Result, caught};
use crate::partials::{Sums, compute};
use crate::plan::{self, OnNonFinite, Step};
use crate::shader::Element;
use crate::solve::Solution;

/// The report of a reduction; the result itself stays on the device.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reduction {
    /// Empty unless the operator was [`Op::Adasum`].
    pub solution: Solution,
    /// Slots with NaN or infinity in them. Empty if the policy is to propagate: then they are not looked for.
    pub non_finite: Vec<usize>,
}

impl GpuReducer {
    /// Combines all slots; `result` is the dtype in which the result is stored: the slots' own, or f32.
    ///
    /// # Errors
    /// [`crate::Error::NonFinite`] if the policy is to throw; [`crate::Error::Unsupported`] for coefficients beyond
    /// f32; [`crate::Error::DeviceLost`], [`crate::Error::OutOfMemory`].
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
                self.compute_sums(&step, &mut reduction)?;
            }
        })
    }

    /// Computes the sums of a step, and adds them to the reduction.
    pub(super) fn compute_sums(&self, step: &Step, reduction: &mut plan::Reduction) -> Result<()> {
        if *step == Step::Gram {
            return compute(&self.gpu, &self.gram.iter().collect::<Vec<_>>(), |index, bytes| {
                reduction.add(index, bytes)
            });
        }
        let planned = reduction.dispatches().iter();
        let sums = planned.map(|planned| Sums::new(&self.gpu, planned, &self.windows[planned.window].slab, None));
        let sums = sums.collect::<Result<Vec<_>>>()?;
        compute(&self.gpu, &sums.iter().collect::<Vec<_>>(), |index, bytes| reduction.add(index, bytes))
    }
}
