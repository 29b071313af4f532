//! Largest errors against the oracle, by family and dtype.

use super::float::Float;
use super::inputs::Family;

/// For results: |ours - oracle| / |oracle|.
///
/// f32 results carry one rounding, 6e-8, and a Gram error of at most 1e-16 / r for r > 1e-8. The half formats' products
/// are as exact as those of f32, so before their own rounding they are no worse. In f64 the rounding is that of the
/// oracle too. Vectors of few elements are parallel up to sign, so that any family may happen to cancel.
pub fn result<F: Float>(family: Family, length: usize) -> f64 {
    if F::NAME != "f64" {
        return 1.2e-7;
    }
    match (family, length < 16) {
        (Family::NearlyCancelling, true) => 1e-8,
        // A small difference divides the large vector that it meets next: see n = 6, where this happens on both sides.
        (Family::NearlyCancelling, false) => 1e-9,
        (_, true) => 1e-12,
        (Family::Alternating, false) => 1e-13,
        (_, false) => 2e-15,
    }
}

/// For results that cancel: what rounding leaves of inputs of norm 1, multiplied by coefficients of up to 1 / noise.
pub const CANCELLED: f64 = 1e-12;

/// For |result|^2 / sum |g|^2, absolute: the sum is at least as large as the error's own scale.
///
/// Halves differ by a whole last bit or not at all, so that short vectors often come close to r = 1e-8, below which
/// nodes are refined: there the Gram error is 1e-8.
pub fn orthogonality<F: Float>() -> f64 {
    if F::SIGNIFICAND_BITS < f32::SIGNIFICAND_BITS { 1e-8 } else { 1e-10 }
}

/// For identities that hold exactly in real numbers, computed in f64.
pub const IDENTITY: f64 = 4e-15;
