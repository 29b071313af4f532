//! Which arithmetic keeps exact sums on this device.
//!
//! WGSL lets compilers reorder sums, fuse products into them and evaluate `fma` as two operations. Only the results
//! show whether a compiler does so. So a device is tested when it is opened, with products of vectors that use all 24
//! bits: plain f32 errs by 1e-8 there, and exact sums by 1e-15 or so. The device gets the first arithmetic whose errors
//! are those of exact sums, by subgroups if that keeps the sums exact, too.

use crate::error::Error;
use crate::layout::Batch;
use crate::plan::dispatch::{Call, PlannedDispatch, binding, chunk_table};
use crate::shader::{Element, GROUP_ELEMENTS, Inputs, Kernel, Tile};

/// Two vectors fit into the smallest binding that a test allows.
const GROUPS: usize = 64;
/// Groups of each chunk: one for every thread of a workgroup, and for some of them only.
const CUTS: [&[usize]; 2] = [&[GROUPS], &[37, 1, 26]];
/// Relative to the norms; between the errors of plain f32 and those of exact sums.
const LARGEST_ERROR: f64 = 1e-12;

/// Two vectors, and dispatches over them that cut them in several ways.
pub struct Trial {
    vectors: [Vec<f32>; 2],
    dispatches: Vec<PlannedDispatch>,
    smallest_error: f64,
}

impl Default for Trial {
    fn default() -> Self {
        let dispatches = CUTS.iter().map(|cut| dispatch_over(cut)).collect();
        Self { vectors: [vector(1), vector(2)], dispatches, smallest_error: f64::INFINITY }
    }
}

fn dispatch_over(cut: &[usize]) -> PlannedDispatch {
    let mut batch = Batch::default();
    let mut first_group = 0;
    for &group_count in cut {
        batch.push(first_group, group_count as u64, 0);
        first_group += group_count as u64;
    }
    PlannedDispatch {
        kernel: Kernel::gram(&Tile::cover(2)[0], false),
        element: Element::F32,
        inputs: Inputs::Slab,
        window: 0,
        batch: None,
        slots: vec![0, 1],
        call: Call::of_slots([0, 1], GROUPS as u64, cut.len()),
        tables: vec![(binding::CHUNKS, chunk_table(&batch))],
        sum_count: 3,
        largest_count: 2,
        rows: vec![0; cut.len()],
    }
}

impl Trial {
    /// The bytes that the kernel reads.
    pub fn slab(&self) -> Vec<u8> {
        self.vectors.iter().flatten().flat_map(|x| x.to_le_bytes()).collect()
    }

    /// A dispatch for each cut, to be tried in one arithmetic after the other.
    pub fn dispatches(&self) -> &[PlannedDispatch] {
        &self.dispatches
    }

    /// Whether the sums of a dispatch, which were read back, are exact. `index` is that of the dispatch.
    pub fn is_passed(&mut self, index: usize, bytes: &[u8]) -> bool {
        let mut products = [0.0; 3];
        self.dispatches[index].add(bytes, |_, pair, sum| products[pair] += sum, |_, _, _| ());
        let error = self.error_of(&products);
        self.smallest_error = self.smallest_error.min(error);
        error <= LARGEST_ERROR
    }

    /// The error for a device that has passed in no arithmetic.
    pub fn refusal(&self, name: &str) -> Error {
        Error::Unsupported(format!(
            "{name} does not keep sums exact: its products err by {:.1e}, {LARGEST_ERROR:.0e} is needed. Use another adapter, or \
             the CPU.",
            self.smallest_error
        ))
    }

    fn error_of(&self, products: &[f64]) -> f64 {
        let [a, b] = &self.vectors;
        // Exact products, in f64; their sum errs by 1e-14 at most.
        let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum::<f64>();
        let scale = (dot(a, a) * dot(b, b)).sqrt();
        let exact = [dot(a, a), dot(a, b), dot(b, b)];
        let errors = exact.iter().zip(products).map(|(exact, product)| (exact - product).abs() / scale);
        // A comparison with NaN would take the product for exact.
        errors.fold(0.0, |largest, error| if error.is_nan() { f64::INFINITY } else { f64::max(largest, error) })
    }
}

/// Numbers between -2 and 2 that use every bit, the same on every machine.
fn vector(seed: u32) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(0x915f_77f5).wrapping_add(0x6a09_e667);
        let sign = if state >> 31 == 0 { 1.0 } else { -1.0 };
        sign * f32::from_bits(0x3f80_0000 | (state >> 8 & 0x7f_ffff))
    };
    (0..GROUPS * GROUP_ELEMENTS).map(|_| next()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sums of a dispatch's chunks as a device would give them; `sum` adds a chunk's products.
    fn bytes_of(trial: &Trial, index: usize, sum: impl Fn(&[f32], &[f32]) -> (f32, f32)) -> Vec<u8> {
        let [mut a, mut b] = [&trial.vectors[0][..], &trial.vectors[1][..]];
        let mut bytes = Vec::new();
        for group_count in CUTS[index] {
            let (of_a, rest_of_a) = a.split_at(group_count * GROUP_ELEMENTS);
            let (of_b, rest_of_b) = b.split_at(group_count * GROUP_ELEMENTS);
            (a, b) = (rest_of_a, rest_of_b);
            for (x, y) in [(of_a, of_a), (of_a, of_b), (of_b, of_b)] {
                let (upper, lower) = sum(x, y);
                bytes.extend(upper.to_le_bytes().into_iter().chain(lower.to_le_bytes()));
            }
        }
        bytes.resize(bytes.len() + trial.dispatches()[index].largest_bytes() as usize, 0);
        bytes
    }

    #[test]
    fn exact_sums_pass_and_plain_ones_do_not() {
        let mut trial = Trial::default();
        let plain = |x: &[f32], y: &[f32]| (x.iter().zip(y).map(|(x, y)| x * y).sum::<f32>(), 0.0);
        let exact = |x: &[f32], y: &[f32]| {
            let sum: f64 = x.iter().zip(y).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum();
            (sum as f32, (sum - f64::from(sum as f32)) as f32)
        };
        for index in 0..CUTS.len() {
            let bytes = bytes_of(&trial, index, plain);
            assert!(!trial.is_passed(index, &bytes));
            assert!(trial.refusal("it").message().contains("1e-12 is needed"));
            let bytes = bytes_of(&trial, index, exact);
            assert!(trial.is_passed(index, &bytes));
            let nan = bytes_of(&trial, index, |_, _| (f32::NAN, 0.0));
            assert!(!trial.is_passed(index, &nan));
        }
    }
}
