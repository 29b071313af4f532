//! Rows or channels brought to mean 0 and variance 1.

use std::ops::Range;

use crate::math::{add_to, dot, sum};
use crate::tape::{Derivative, Id, Step, Tape, filled};

const ROW_EPSILON: f32 = 1e-5;
const CHANNEL_EPSILON: f32 = 1e-3;

/// The mean and the variance of each channel.
#[derive(Clone)]
pub struct Statistics {
    /// One a channel.
    pub means: Vec<f32>,
    /// One a channel.
    pub variances: Vec<f32>,
}

struct Standardized {
    x: Id,
    width: usize,
    inverses: Vec<f32>,
}

struct Normalized {
    x: Id,
    gamma: Range<usize>,
    beta: Range<usize>,
    standardized: Vec<f32>,
    inverses: Vec<f32>,
}

impl Tape<'_> {
    /// Each row brought to mean 0 and variance 1.
    pub fn standardize(&mut self, x: Id, width: usize) -> Id {
        let mut value = self.value(x).to_vec();
        let mut inverses = Vec::with_capacity(value.len() / width);
        for row in value.chunks_exact_mut(width) {
            let mean = sum(row) / width as f32;
            row.iter_mut().for_each(|value| *value -= mean);
            let inverse = 1.0 / (dot(row, row) / width as f32 + ROW_EPSILON).sqrt();
            row.iter_mut().for_each(|value| *value *= inverse);
            inverses.push(inverse);
        }
        self.push(value, Standardized { x, width, inverses })
    }

    /// Batch norm (Ioffe and Szegedy, arXiv 1502.03167) by the statistics given, or by those of the batch, which are returned.
    pub fn batch_norm(
        &mut self,
        x: Id,
        gamma: Range<usize>,
        beta: Range<usize>,
        known: Option<&Statistics>,
    ) -> (Id, Statistics) {
        let channels = gamma.len();
        let statistics = known.cloned().unwrap_or_else(|| statistics_of(self.value(x), channels));
        let inverses: Vec<f32> =
            statistics.variances.iter().map(|variance| 1.0 / (variance + CHANNEL_EPSILON).sqrt()).collect();
        let mut standardized = self.value(x).to_vec();
        let mut value = vec![0.0; standardized.len()];
        let (scales, shifts) = (&self.weights[gamma.clone()], &self.weights[beta.clone()]);
        for (row, out) in standardized.chunks_exact_mut(channels).zip(value.chunks_exact_mut(channels)) {
            for channel in 0..channels {
                row[channel] = (row[channel] - statistics.means[channel]) * inverses[channel];
                out[channel] = row[channel] * scales[channel] + shifts[channel];
            }
        }
        let id = self.push(value, Normalized { x, gamma, beta, standardized, inverses });
        (id, statistics)
    }
}

fn statistics_of(values: &[f32], channels: usize) -> Statistics {
    let means = mean_of_rows(values, channels, |_, value| value);
    let variances = mean_of_rows(values, channels, |channel, value| (value - means[channel]).powi(2));
    let single = |numbers: Vec<f64>| numbers.into_iter().map(|number| number as f32).collect();
    Statistics { variances: single(variances), means: single(means) }
}

/// For each channel the mean of a function of its values, in double precision: thousands are added up.
fn mean_of_rows(values: &[f32], channels: usize, of: impl Fn(usize, f64) -> f64) -> Vec<f64> {
    let mut sums = vec![0.0; channels];
    for row in values.chunks_exact(channels) {
        for (channel, (sum, value)) in sums.iter_mut().zip(row).enumerate() {
            *sum += of(channel, f64::from(*value));
        }
    }
    let count = (values.len() / channels) as f64;
    sums.into_iter().map(|sum| sum / count).collect()
}

impl Derivative for Standardized {
    fn backward(&self, step: &mut Step<'_>) {
        let width = self.width;
        let Some(target) = step.others.gradient(self.x) else { return };
        let target = filled(target, step.value.len());
        let rows =
            target.chunks_exact_mut(width).zip(step.gradient.chunks_exact(width)).zip(step.value.chunks_exact(width));
        for (((into, gradient), value), inverse) in rows.zip(&self.inverses) {
            let mean = sum(gradient) / width as f32;
            let along = dot(gradient, value) / width as f32;
            for column in 0..width {
                into[column] += inverse * (gradient[column] - mean - value[column] * along);
            }
        }
    }
}

/// Of a batch that was normalized by its own statistics, which depend on it.
impl Derivative for Normalized {
    fn backward(&self, step: &mut Step<'_>) {
        let channels = self.gamma.len();
        let count = (step.gradient.len() / channels) as f64;
        let (mut sums, mut along) = (vec![0.0; channels], vec![0.0; channels]);
        let rows = || step.gradient.chunks_exact(channels).zip(self.standardized.chunks_exact(channels));
        for (gradient, value) in rows() {
            for channel in 0..channels {
                sums[channel] += f64::from(gradient[channel]);
                along[channel] += f64::from(gradient[channel]) * f64::from(value[channel]);
            }
        }
        let single = |numbers: Vec<f64>, factor: f64| -> Vec<f32> {
            numbers.into_iter().map(|number| (number * factor) as f32).collect()
        };
        let [means, slopes] = [single(sums.clone(), 1.0 / count), single(along.clone(), 1.0 / count)];
        add_to(&mut step.weight_gradients[self.beta.clone()], &single(sums, 1.0));
        add_to(&mut step.weight_gradients[self.gamma.clone()], &single(along, 1.0));
        let scales = &step.weights[self.gamma.clone()];
        let Some(target) = step.others.gradient(self.x) else { return };
        for ((gradient, value), into) in rows().zip(filled(target, step.value.len()).chunks_exact_mut(channels)) {
            for channel in 0..channels {
                let deviation = gradient[channel] - means[channel] - value[channel] * slopes[channel];
                into[channel] += scales[channel] * self.inverses[channel] * deviation;
            }
        }
    }
}
