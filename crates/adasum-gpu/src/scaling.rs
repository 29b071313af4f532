//! Inputs whose products leave the range of f32.
//!
//! Squares of f32 reach from 1e-90 to 1e77, f32 itself from 1e-38 to 3e38. The Gram kernel also finds the largest
//! magnitude of each input. Products of inputs may have overflowed, or lost digits below f32's smallest number. Then
//! the inputs are scaled by powers of two, which is exact, so that their largest elements lie in [1, 2), and the
//! products are computed again. That is rare: it takes elements beyond 1e15, or none above 1e-9.

/// A rounding error of a product is lost if it is smaller: f32's smallest normal number.
const SMALLEST: f64 = f32::MIN_POSITIVE as f64;
/// The error of a sum that may be ignored, relative to the norms.
const NEGLIGIBLE: f64 = 1e-14;
/// Bounds of a scale: beyond them it would be no normal f32.
const LARGEST_EXPONENT: i32 = 126;

/// Whether the products of inputs with these largest magnitudes must be computed again, of scaled inputs.
pub fn is_needed(element_count: u64, magnitudes: &[f64]) -> bool {
    let count = element_count as f64;
    let largest = magnitudes.iter().copied().fold(0.0, f64::max);
    let smallest = magnitudes.iter().copied().filter(|&magnitude| magnitude > 0.0).fold(f64::INFINITY, f64::min);
    let may_overflow = count * largest * largest >= f64::from(f32::MAX) / 4.0;
    let may_vanish = smallest.is_finite() && count * SMALLEST > NEGLIGIBLE * smallest * smallest;
    largest.is_finite() && (may_overflow || may_vanish)
}

/// The powers of two that bring these largest magnitudes to [1, 2), as far as f32 has them; 1 for zero and for what is
/// not finite.
pub fn scales(magnitudes: &[f64]) -> Vec<f64> {
    magnitudes.iter().map(|&magnitude| scale_of(magnitude)).collect()
}

/// The power of two that brings a magnitude to [1, 2), as far as f32 has it.
pub fn scale_of(magnitude: f64) -> f64 {
    if magnitude == 0.0 || !magnitude.is_finite() {
        return 1.0;
    }
    let exponent = magnitude.log2().floor() as i32;
    2_f64.powi((-exponent).clamp(-LARGEST_EXPONENT, LARGEST_EXPONENT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_gradients_need_none() {
        assert!(!is_needed(1_000_000, &[1e-3, 10.0, 0.0]));
        assert!(!is_needed(10_000, &[0.0, 0.0]));
        assert!(!is_needed(10, &[f64::INFINITY, 1e30]));
        assert!(!is_needed(10, &[f64::NAN, 1.0]));
    }

    #[test]
    fn large_and_small_ones_do() {
        assert!(is_needed(1_000_000, &[1e17]));
        assert!(is_needed(1_000_000, &[1.0, 1e-12]));
        assert!(is_needed(10, &[1e-20]));
    }

    #[test]
    fn scaled_magnitudes_lie_near_one() {
        for magnitude in [1.0, 1.5, 1e-20, 3e38, 1.2e-38, f64::from(f32::MAX)] {
            let scaled = magnitude * scale_of(magnitude);
            // Beyond two only at the upper end, where the scale is at its bound.
            assert!((1.0..2.0).contains(&scaled) || (magnitude > 1e38 && scaled < 4.0), "{magnitude:e} {scaled}");
            assert!((scale_of(magnitude) as f32).is_normal());
        }
        assert_eq!(scales(&[0.0, f64::NAN]), [1.0, 1.0]);
    }
}
