//! The element types, as the tests see them.

use std::fmt::Debug;

pub trait Float: Copy + Debug + Default + PartialEq + Send + 'static {
    const CODE: f64;
    const NAME: &'static str;
    /// Largest relative error of one rounding.
    const UNIT_ROUNDOFF: f64;
    fn from_f64(x: f64) -> Self;
    fn to_f64(self) -> f64;
    fn bits(self) -> u64;
}

impl Float for f32 {
    const CODE: f64 = 0.0;
    const NAME: &'static str = "f32";
    const UNIT_ROUNDOFF: f64 = 5.960_464_477_539_063e-8;
    fn from_f64(x: f64) -> Self {
        x as f32
    }
    fn to_f64(self) -> f64 {
        self.into()
    }
    fn bits(self) -> u64 {
        self.to_bits().into()
    }
}

impl Float for f64 {
    const CODE: f64 = 1.0;
    const NAME: &'static str = "f64";
    const UNIT_ROUNDOFF: f64 = 1.110_223_024_625_156_5e-16;
    fn from_f64(x: f64) -> Self {
        x
    }
    fn to_f64(self) -> f64 {
        self
    }
    fn bits(self) -> u64 {
        self.to_bits()
    }
}

pub fn bits<F: Float>(vector: &[F]) -> Vec<u64> {
    vector.iter().map(|x| x.bits()).collect()
}

pub fn widen<F: Float>(vectors: &[Vec<F>]) -> Vec<Vec<f64>> {
    vectors.iter().map(|vector| vector.iter().map(|x| x.to_f64()).collect()).collect()
}

pub fn round<F: Float>(vectors: &[Vec<f64>]) -> Vec<Vec<F>> {
    vectors.iter().map(|vector| vector.iter().map(|&x| F::from_f64(x)).collect()).collect()
}
