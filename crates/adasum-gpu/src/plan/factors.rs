//! The factors with which the combine kernel multiplies inputs, from the coefficients.

use adasum_core::dtype::Op;

use super::dispatch::pairs_of;
use super::placement::Plan;
use crate::error::{Error, Result};
use crate::solve::Solution;

/// Coefficients from here on have no f32 that is near them.
const LARGEST_COEFFICIENT: f64 = f32::MAX as f64;
/// The first factor of a segment whose result is NaN throughout.
const NAN_BYTES: [u8; 4] = 0x7fc0_0000_u32.to_le_bytes();

impl Plan {
    /// The factors of every batch, as [`Plan::combinations`] takes them.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for coefficients beyond f32.
    pub(super) fn factors(&self, op: Op, weights: &[f64], solution: &Solution) -> Result<Vec<Vec<u8>>> {
        let coefficients = self.coefficients(op, weights, solution);
        let finite = coefficients.iter().filter(|coefficient| coefficient.is_finite());
        if let Some(coefficient) = finite.copied().find(|coefficient| coefficient.abs() > LARGEST_COEFFICIENT) {
            return Err(Error::Unsupported(format!(
                "a coefficient is {coefficient:e}, a device computes with numbers up to {LARGEST_COEFFICIENT:e}. Use the CPU."
            )));
        }
        let rows = |(window, batch): (usize, usize)| &self.windows[window].batches[batch].rows;
        let row = |&segment: &usize| factor_row(&coefficients[segment * self.slot_count..][..self.slot_count]);
        Ok(self.batches().map(|batch| rows(batch).iter().flat_map(row).collect()).collect())
    }

    /// One number a segment and input. If no input takes part, all are 0, and so is the result, as on the CPU.
    fn coefficients(&self, op: Op, weights: &[f64], solution: &Solution) -> Vec<f64> {
        let total: f64 = weights.iter().sum();
        if total > 0.0 && op == Op::Adasum {
            return solution.coefficients.clone();
        }
        let constant = |slot: usize| match op {
            Op::Average if total > 0.0 => weights[slot] / total,
            _ => weights[slot],
        };
        (0..self.segment_count()).flat_map(|_| (0..self.slot_count).map(constant)).collect()
    }
}

fn factor_row(row: &[f64]) -> Vec<u8> {
    let mut bytes = pairs_of(row.iter().copied());
    if row.iter().any(|coefficient| coefficient.is_nan()) {
        bytes[..4].copy_from_slice(&NAN_BYTES);
    }
    bytes
}
