//! Seeded inputs, in the six families on which the numerics were studied.

use super::float::{Float, round};

/// SplitMix64: small, and the same on every machine.
#[derive(Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// In [0, 1).
    pub fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    pub fn vector(&mut self, length: usize) -> Vec<f64> {
        (0..length).map(|_| self.normal()).collect()
    }

    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Independent,
    LargeCommonPart,
    SpreadNorms,
    NearParallel,
    Alternating,
    NearlyCancelling,
}

pub const FAMILIES: [Family; 6] = [
    Family::Independent,
    Family::LargeCommonPart,
    Family::SpreadNorms,
    Family::NearParallel,
    Family::Alternating,
    Family::NearlyCancelling,
];

impl Family {
    /// n vectors.
    pub fn vectors(self, random: &mut Random, n: usize, length: usize) -> Vec<Vec<f64>> {
        self.vectors_with_noise(random, n, length, 1e-4)
    }

    /// n vectors as the element type can tell them apart: noise below its last bit would leave vectors that differ there in
    /// a few elements, whose differences cancel once more, down to where it is a matter of definition what is zero.
    pub fn rounded<F: Float>(self, random: &mut Random, n: usize, length: usize) -> Vec<Vec<F>> {
        let last_bit = 0.5_f64.powi(F::SIGNIFICAND_BITS as i32);
        round(&self.vectors_with_noise(random, n, length, f64::max(1e-4, 16.0 * last_bit)))
    }

    /// `smallest` is the noise of the vectors that cancel most.
    fn vectors_with_noise(self, random: &mut Random, n: usize, length: usize, smallest: f64) -> Vec<Vec<f64>> {
        let common = random.vector(length);
        let mut one = |i: usize| {
            let noise = random.vector(length);
            let mix = |c: f64, e: f64| common.iter().zip(&noise).map(|(x, y)| c * x + e * y).collect();
            let sign = if i.is_multiple_of(2) { 1.0 } else { -1.0 };
            match self {
                Family::Independent => noise,
                Family::LargeCommonPart => mix(10.0, 1.0),
                Family::SpreadNorms => mix(0.0, 10.0_f64.powi((i as i32 * 5) % 9 - 4)),
                Family::NearParallel => mix(1.0, 1e-3),
                Family::Alternating => mix(sign, 0.1),
                Family::NearlyCancelling => mix(sign, smallest),
            }
        };
        (0..n).map(&mut one).collect()
    }
}
