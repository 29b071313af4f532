//! Which arithmetic keeps exact sums on this device.
//!
//! WGSL lets compilers reorder sums, fuse products into them and evaluate `fma` as two operations. Whether one does so shows
//! in the results only. So a device is tried out when it is opened: products of vectors with all 24 bits in use, where plain
//! f32 errs by 1e-8 and exact sums by 1e-15 or so. The first arithmetic with the errors of exact sums is taken.

use crate::error::Error;
use crate::layout::Batch;
use crate::plan::run::{Call, Run, binding, chunk_table};
use crate::shader::{Element, GROUP_ELEMENTS, Inputs, Kernel, Tile};

/// Two vectors fit into the smallest binding that a test allows.
const GROUPS: usize = 64;
/// Groups of each chunk: one for every thread of a workgroup, and for some of them only.
const CUTS: [&[usize]; 2] = [&[GROUPS], &[37, 1, 26]];
/// Relative to the norms; between the errors of plain f32 and those of exact sums.
const LARGEST_ERROR: f64 = 1e-12;

/// Two vectors, and a kernel over them, cut in several ways.
pub struct Trial {
    vectors: [Vec<f32>; 2],
    runs: Vec<Run>,
    /// Of each run, in the arithmetic that is being tried.
    products: Vec<[f64; 3]>,
    smallest_error: f64,
}

impl Default for Trial {
    fn default() -> Self {
        let (vectors, runs) = ([vector(1), vector(2)], CUTS.map(run_over).to_vec());
        Self { vectors, products: vec![[0.0; 3]; runs.len()], runs, smallest_error: f64::INFINITY }
    }
}

impl Trial {
    /// What the kernel reads.
    pub fn slab(&self) -> Vec<u8> {
        self.vectors.iter().flatten().flat_map(|x| x.to_le_bytes()).collect()
    }

    /// The kernel, to be run in one arithmetic after the other.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Adds the sums of a run that were read back.
    pub fn add(&mut self, index: usize, bytes: &[u8]) {
        let products = &mut self.products[index];
        self.runs[index].add(bytes, |_, pair, sum| products[pair] += sum, |_, _, _| ());
    }

    /// Whether all sums since the last call are exact.
    pub fn is_passed(&mut self) -> bool {
        let error = self.products.iter().map(|products| self.error_of(products)).fold(0.0, f64::max);
        self.products.fill([0.0; 3]);
        self.smallest_error = self.smallest_error.min(error);
        error <= LARGEST_ERROR
    }

    /// What to say of a device that has passed in no arithmetic.
    pub fn refusal(&self, name: &str) -> Error {
        Error::Unsupported(format!(
            "{name} does not keep sums exact: its products err by {:.1e}, {LARGEST_ERROR:.0e} is needed. Use another adapter, or \
             the CPU.",
            self.smallest_error
        ))
    }

    fn error_of(&self, products: &[f64; 3]) -> f64 {
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

fn run_over(cut: &[usize]) -> Run {
    let tile = &Tile::cover(2)[0];
    let mut batch = Batch::default();
    let mut first_group = 0;
    for &group_count in cut {
        batch.push(first_group, group_count as u64, 0);
        first_group += group_count as u64;
    }
    Run {
        kernel: Kernel::gram(tile, false),
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

/// Between -2 and 2, every bit in use, the same everywhere.
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

    /// Adds the sums of all chunks as a device would give them, and judges them.
    fn is_passed(trial: &mut Trial, sum: impl Fn(&[f32], &[f32]) -> (f32, f32)) -> bool {
        for (index, cut) in CUTS.into_iter().enumerate() {
            let (mut bytes, mut begin) = (Vec::new(), 0);
            for &group_count in cut {
                let elements = begin..begin + group_count * GROUP_ELEMENTS;
                begin = elements.end;
                let [a, b] = trial.vectors.each_ref().map(|vector| &vector[elements.clone()]);
                for (x, y) in [(a, a), (a, b), (b, b)] {
                    let (upper, lower) = sum(x, y);
                    bytes.extend(upper.to_le_bytes().into_iter().chain(lower.to_le_bytes()));
                }
            }
            bytes.resize(bytes.len() + trial.runs()[index].largest_bytes() as usize, 0);
            trial.add(index, &bytes);
        }
        trial.is_passed()
    }

    #[test]
    fn exact_sums_pass_and_plain_ones_do_not() {
        let mut trial = Trial::default();
        let plain = |x: &[f32], y: &[f32]| (x.iter().zip(y).map(|(x, y)| x * y).sum::<f32>(), 0.0);
        assert!(!is_passed(&mut trial, plain));
        assert!(trial.refusal("it").message().contains("1e-12 is needed"));
        let exact = |x: &[f32], y: &[f32]| {
            let sum: f64 = x.iter().zip(y).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum();
            (sum as f32, (sum - f64::from(sum as f32)) as f32)
        };
        assert!(is_passed(&mut trial, exact));
        assert!(!is_passed(&mut trial, |_, _| (f32::NAN, 0.0)));
        assert!(is_passed(&mut trial, exact));
    }
}
