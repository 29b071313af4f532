//! Operations on each element, or on each row beside a bias.

use std::ops::Range;

use crate::math::{add_to, exp};
use crate::tape::{Derivative, Id, Step, Tape, accumulate};

struct Sum([Id; 2]);

struct Biased {
    x: Id,
    bias: Range<usize>,
}

struct Rectified(Id);

struct Gelu {
    x: Id,
    slopes: Vec<f32>,
}

impl Tape<'_> {
    /// The sum of two values.
    pub fn add(&mut self, left: Id, right: Id) -> Id {
        let mut value = self.value(left).to_vec();
        add_to(&mut value, self.value(right));
        self.push(value, Sum([left, right]))
    }

    /// A bias of weights added to each row.
    pub fn bias(&mut self, x: Id, bias: Range<usize>) -> Id {
        let mut value = self.value(x).to_vec();
        for row in value.chunks_exact_mut(bias.len()) {
            add_to(row, &self.weights[bias.clone()]);
        }
        self.push(value, Biased { x, bias })
    }

    /// 0 for what is below.
    pub fn relu(&mut self, x: Id) -> Id {
        let value = self.value(x).iter().map(|&value| if value > 0.0 { value } else { 0.0 }).collect();
        self.push(value, Rectified(x))
    }

    /// `x` times the normal distribution's share below it (Hendrycks and Gimpel, arXiv 1606.08415).
    pub fn gelu(&mut self, x: Id) -> Id {
        let (value, slopes) = self.value(x).iter().map(|&x| gelu(x)).unzip();
        self.push(value, Gelu { x, slopes })
    }
}

/// The value and its slope. The share is by Abramowitz and Stegun 7.1.26, within 1.5e-7.
fn gelu(x: f32) -> (f32, f32) {
    let bell = exp(-0.5 * x * x);
    let t = 1.0 / (1.0 + 0.327_591_1 * std::f32::consts::FRAC_1_SQRT_2 * x.abs());
    let mut polynomial = 1.061_405_4;
    for factor in [-1.453_152_1, 1.421_413_8, -0.284_496_72, 0.254_829_6] {
        polynomial = polynomial * t + factor;
    }
    let beyond = 0.5 * polynomial * t * bell;
    let share = if x >= 0.0 { 1.0 - beyond } else { beyond };
    (x * share, share + x * bell * 0.398_942_3)
}

impl Derivative for Sum {
    fn backward(&self, step: &mut Step<'_>) {
        for id in self.0 {
            if let Some(target) = step.others.gradient(id) {
                accumulate(target, step.gradient.iter().copied());
            }
        }
    }
}

impl Derivative for Biased {
    fn backward(&self, step: &mut Step<'_>) {
        let bias = &mut step.weight_gradients[self.bias.clone()];
        for row in step.gradient.chunks_exact(bias.len()) {
            add_to(bias, row);
        }
        if let Some(target) = step.others.gradient(self.x) {
            accumulate(target, step.gradient.iter().copied());
        }
    }
}

impl Derivative for Rectified {
    fn backward(&self, step: &mut Step<'_>) {
        if let Some(target) = step.others.gradient(self.0) {
            let parts = step.gradient.iter().zip(step.value);
            accumulate(target, parts.map(|(gradient, value)| if *value > 0.0 { *gradient } else { 0.0 }));
        }
    }
}

impl Derivative for Gelu {
    fn backward(&self, step: &mut Step<'_>) {
        if let Some(target) = step.others.gradient(self.x) {
            accumulate(target, step.gradient.iter().zip(&self.slopes).map(|(gradient, slope)| gradient * slope));
        }
    }
}
