//! Which arithmetic keeps exact sums on this device.
//!
//! WGSL lets compilers reorder sums, fuse products into them and evaluate `fma` as two operations. Whether one does so shows
//! in the results only. So a device is tried out when it is opened: products of vectors with all 24 bits in use, where plain
//! f32 errs by 1e-8 and exact sums by 1e-15 or so. The first arithmetic with the errors of exact sums is taken, and then by
//! subgroups, if that has them, too.

use crate::dispatch::{Call, filled};
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::layout::Batch;
use crate::partials::{Source, Sums, chunk_table, run};
use crate::shader::{Arithmetic, Element, GROUP_ELEMENTS, Kernel, Tile};

/// Two vectors fit into the smallest binding that a test allows.
const GROUPS: usize = 64;
/// Groups of each chunk: one for every thread of a workgroup, and for some of them only.
const CUTS: [&[usize]; 2] = [&[GROUPS], &[37, 1, 26]];
/// Relative to the norms; between the errors of plain f32 and those of exact sums.
const LARGEST_ERROR: f64 = 1e-12;

/// Sets the device's arithmetic.
///
/// # Errors
/// [`Error::Unsupported`] if none will do.
pub(crate) fn choose_arithmetic(gpu: &Gpu) -> Result<()> {
    let mut smallest_error = f64::INFINITY;
    for arithmetic in Arithmetic::ALL {
        let error = error_of(gpu, arithmetic)?;
        if error <= LARGEST_ERROR {
            add_by_subgroups(gpu, arithmetic);
            return Ok(());
        }
        smallest_error = smallest_error.min(error);
    }
    Err(Error::Unsupported(format!(
        "{} does not keep sums exact: its products err by {smallest_error:.1e}, {LARGEST_ERROR:.0e} is needed. Use another adapter, \
         or the CPU.",
        gpu.summary().name
    )))
}

/// Subgroups are a matter of speed: a device that fails at them, in whatever way, goes on without.
fn add_by_subgroups(gpu: &Gpu, arithmetic: Arithmetic) {
    let is_exact =
        gpu.has_subgroups() && error_of(gpu, arithmetic.with_subgroups()).is_ok_and(|error| error <= LARGEST_ERROR);
    if !is_exact {
        gpu.set_arithmetic(arithmetic);
    }
}

/// The largest error of a product, relative to the norms; the device is left with the arithmetic.
fn error_of(gpu: &Gpu, arithmetic: Arithmetic) -> Result<f64> {
    gpu.set_arithmetic(arithmetic);
    let vectors = [vector(1), vector(2)];
    let mut largest = 0.0;
    for cut in CUTS {
        largest = f64::max(largest, largest_error(&vectors, &products(gpu, &vectors, cut)?));
    }
    Ok(largest)
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

fn products(gpu: &Gpu, vectors: &[Vec<f32>; 2], cut: &[usize]) -> Result<Vec<f64>> {
    let tile = &Tile::cover(2)[0];
    let mut batch = Batch::default();
    let mut first_group = 0;
    for &group_count in cut {
        batch.push(first_group, group_count as u64, 0);
        first_group += group_count as u64;
    }
    let bytes: Vec<u8> = vectors.iter().flatten().flat_map(|x| x.to_le_bytes()).collect();
    let (slab, chunks) = (filled(gpu, &bytes)?, chunk_table(gpu, &batch)?);
    let source = Source {
        kernel: Kernel::gram(tile, false),
        element: Element::F32,
        sum_count: 3,
        largest_count: 2,
        call: Call::of_slots([0, 1], GROUPS as u64, cut.len()),
        slab: &slab,
        tables: Vec::new(),
    };
    let sums = Sums::new(gpu, &batch, &chunks, &source)?;
    let mut products = vec![0.0; 3];
    run(gpu, &[&sums], |_, bytes| sums.add(bytes, |_, pair, sum| products[pair] += sum, |_, _, _| ()))?;
    Ok(products)
}

fn largest_error([a, b]: &[Vec<f32>; 2], products: &[f64]) -> f64 {
    // Exact products, in f64; their sum errs by 1e-14 at most.
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum::<f64>();
    let scale = (dot(a, a) * dot(b, b)).sqrt();
    let exact = [dot(a, a), dot(a, b), dot(b, b)];
    let errors = exact.iter().zip(products).map(|(exact, product)| (exact - product).abs() / scale);
    // A comparison with NaN would take the product for exact.
    errors.fold(0.0, |largest, error| if error.is_nan() { f64::INFINITY } else { f64::max(largest, error) })
}
