//! Slots on a device, and their reduction.
//!
//! A reducer has k slots for vectors of one layout. They stay on the device: the host writes or accumulates into them, reduces
//! as often as it likes, and reads the result. All memory but small tables is made once, when the reducer is.
//!
//! ```text
//! write, accumulate -> slabs -> gram -> partial sums -> host: f64, coefficients -> combine -> results -> read
//! ```

mod combination;
mod measurement;
mod slots;
mod timing;

use adasum_core::dtype::Op;

use crate::dispatch::{Call, storage};
use crate::error::{Error, Result, argument_error, caught};
use crate::gpu::Gpu;
use crate::layout::{Layout, Window, windows};
use crate::partials::{PARTIAL_BYTES, Source, Sums, chunk_table, run};
use crate::scaling;
use crate::shader::{Element, Kernel, MAX_INPUTS, Tile};
use crate::solve::{Solution, solve};
use combination::Results;

pub use timing::time_copy;

/// What to do with an input that has NaN or infinity in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnNonFinite {
    /// Refuse the reduction.
    Throw,
    /// Leave that input out.
    Skip,
    /// Compute on.
    Propagate,
}

/// What a reduction has found; the result itself stays on the device.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reduction {
    /// Of `Op::Adasum` only: see there.
    pub solution: Solution,
    /// Slots that are not finite. Empty if nothing was looked at.
    pub non_finite: Vec<usize>,
}

/// Slots for k vectors on a device.
pub struct GpuReducer {
    gpu: Gpu,
    element: Element,
    slot_count: usize,
    layout: Layout,
    windows: Vec<DeviceWindow>,
    results: Option<Results>,
    /// What was read back last, in the device's order.
    fetched: Vec<u8>,
    scratch: Vec<u8>,
    upload: Option<slots::Upload>,
}

/// A window's memory.
struct DeviceWindow {
    window: Window,
    slab: wgpu::Buffer,
    batches: Vec<DeviceBatch>,
}

struct DeviceBatch {
    chunks: wgpu::Buffer,
    /// In the order of the tiles of `Tile::cover`.
    tiles: Vec<Sums>,
    /// The coefficients, one row a segment of the batch.
    factors: wgpu::Buffer,
}

impl GpuReducer {
    /// Room for `slot_count` vectors, all zero, of segments with these element counts.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for more than [`MAX_INPUTS`] slots; [`Error::Argument`] for none, or an empty vector;
    /// [`Error::OutOfMemory`].
    pub fn new(gpu: &Gpu, element: Element, slot_count: usize, segment_element_counts: &[u64]) -> Result<Self> {
        caught(|| {
            if slot_count == 0 {
                return Err(argument_error!("there are 0 slots. Give one for each vector."));
            }
            if slot_count > MAX_INPUTS {
                return Err(Error::Unsupported(format!(
                    "there are {slot_count} slots, a device reduces up to {MAX_INPUTS}. Reduce in groups, or on the CPU."
                )));
            }
            let layout = Layout::new(segment_element_counts)?;
            let cut = windows(&layout, element, slot_count, row_bytes(slot_count), gpu.limits())?;
            check_memory(gpu, &layout, element, slot_count)?;
            let mut windows = Vec::with_capacity(cut.len());
            for window in cut {
                windows.push(DeviceWindow::new(gpu, element, slot_count, window)?);
            }
            let gpu = gpu.clone();
            let (results, fetched, scratch, upload) = (None, Vec::new(), Vec::new(), None);
            Ok(Self { gpu, element, slot_count, layout, windows, results, fetched, scratch, upload })
        })
    }

    /// The segments.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// How many slots there are.
    pub fn slot_count(&self) -> usize {
        self.slot_count
    }

    /// What the slots hold.
    pub fn element(&self) -> Element {
        self.element
    }

    /// How many buffers the slots lie in.
    pub fn window_count(&self) -> usize {
        self.windows.len()
    }

    /// Combines all slots; `result` is the dtype in which the result is stored: the slots' own, or f32.
    ///
    /// # Errors
    /// [`Error::NonFinite`] if the policy is to throw; [`Error::Unsupported`] for coefficients beyond f32;
    /// [`Error::DeviceLost`], [`Error::OutOfMemory`].
    pub fn reduce(&mut self, op: Op, on_non_finite: OnNonFinite, result: Element) -> Result<Reduction> {
        caught(|| {
            self.check_result(result)?;
            let mut weights = vec![1.0; self.slot_count];
            let mut non_finite = Vec::new();
            let mut solution = Solution::default();
            if op == Op::Adasum || on_non_finite != OnNonFinite::Propagate {
                let mut products = self.products()?;
                if on_non_finite != OnNonFinite::Propagate {
                    non_finite = products.non_finite(self.element);
                    if on_non_finite == OnNonFinite::Throw && !non_finite.is_empty() {
                        return Err(Error::NonFinite(non_finite));
                    }
                    non_finite.iter().for_each(|&slot| weights[slot] = 0.0);
                }
                if op == Op::Adasum && non_finite.len() < self.slot_count {
                    self.rescale(&mut products, &weights)?;
                    solution = solve(&weights, &products.gram, |wanted| self.measure(&products, wanted))?;
                }
            }
            let coefficients = self.coefficients(op, &weights, &solution);
            self.combine(&coefficients, result)?;
            Ok(Reduction { solution, non_finite })
        })
    }

    fn check_result(&self, result: Element) -> Result<()> {
        if result == self.element || result == Element::F32 {
            return Ok(());
        }
        Err(argument_error!(
            "the slots are {}, the result is {}. Use one dtype, or f32 for the result of f16 or bf16.",
            self.element.dtype().name(),
            result.dtype().name()
        ))
    }

    /// One number a segment and input. If nothing takes part the result is the first input, as on the CPU.
    fn coefficients(&self, op: Op, weights: &[f64], solution: &Solution) -> Vec<f64> {
        let total: f64 = weights.iter().sum();
        if total > 0.0 && op == Op::Adasum {
            return solution.coefficients.clone();
        }
        let constant = |slot: usize| match op {
            _ if total == 0.0 => f64::from(u8::from(slot == 0)),
            Op::Average => weights[slot] / total,
            _ => weights[slot],
        };
        (0..self.layout.segment_count()).flat_map(|_| (0..self.slot_count).map(constant)).collect()
    }

    /// All products of all slots, and each one's largest magnitude.
    fn products(&self) -> Result<Products> {
        let mut products = Products::new(self.layout.segment_count(), self.slot_count);
        let tiles = Tile::cover(self.slot_count);
        let work: Vec<_> = self
            .windows
            .iter()
            .flat_map(|window| window.batches.iter().zip(&window.window.batches))
            .flat_map(|(batch, plan)| batch.tiles.iter().zip(&tiles).map(|(sums, tile)| (sums, tile, &plan.rows)))
            .collect();
        let all: Vec<_> = work.iter().map(|(sums, ..)| *sums).collect();
        run(&self.gpu, &all, |index, bytes| {
            let (sums, tile, rows) = work[index];
            products.add(sums, bytes, tile, rows);
        })?;
        Ok(products)
    }
}

/// Bytes of the longest row that a table has for a chunk.
fn row_bytes(slot_count: usize) -> u64 {
    let sums = Tile::cover(slot_count).iter().map(|tile| tile.pairs().count()).max().unwrap_or(1);
    PARTIAL_BYTES * sums.max(slot_count + 1).max(2) as u64
}

fn check_memory(gpu: &Gpu, layout: &Layout, element: Element, slot_count: usize) -> Result<()> {
    let needed = layout.group_count() * (slot_count + 1) as u64 * element.group_bytes() as u64;
    let allowed = gpu.limits().memory_bytes;
    if needed <= allowed {
        return Ok(());
    }
    Err(Error::OutOfMemory(format!(
        "{slot_count} slots and a result need {needed} bytes on the device, {allowed} are allowed. Use fewer slots or a shorter \
         vector, or the CPU."
    )))
}

impl DeviceWindow {
    fn new(gpu: &Gpu, element: Element, slot_count: usize, window: Window) -> Result<Self> {
        let slab = storage(gpu, window.group_count() * (slot_count * element.group_bytes()) as u64)?;
        let tiles = Tile::cover(slot_count);
        let mut batches = Vec::with_capacity(window.batches.len());
        for batch in &window.batches {
            let chunks = chunk_table(gpu, batch)?;
            let sums = tiles.iter().map(|tile| {
                let source = Source {
                    kernel: Kernel::gram(tile, false),
                    element,
                    sum_count: tile.pairs().count(),
                    largest_count: if tile.is_triangle() { tile.inputs.len() } else { 0 },
                    call: Call::of_slots(tile.inputs.iter().copied(), window.group_count(), batch.chunks.len()),
                    slab: &slab,
                    tables: Vec::new(),
                };
                Sums::new(gpu, batch, &chunks, &source)
            });
            let tiles = sums.collect::<Result<Vec<_>>>()?;
            let factors = storage(gpu, (batch.rows.len() * slot_count) as u64 * PARTIAL_BYTES)?;
            batches.push(DeviceBatch { chunks, tiles, factors });
        }
        Ok(Self { window, slab, batches })
    }
}

/// The Gram matrix of every segment, and what its inputs' magnitudes are.
struct Products {
    slot_count: usize,
    /// An upper triangle a segment.
    gram: Vec<f64>,
    /// Bits of the largest magnitude, one a segment and input.
    largest: Vec<u32>,
    /// By which powers of two the inputs of a segment were multiplied, where they were.
    scales: std::collections::BTreeMap<usize, Vec<f64>>,
}

impl Products {
    fn new(segment_count: usize, slot_count: usize) -> Self {
        Self {
            slot_count,
            gram: vec![0.0; segment_count * triangle(slot_count)],
            largest: vec![0; segment_count * slot_count],
            scales: std::collections::BTreeMap::new(),
        }
    }

    fn add(&mut self, sums: &Sums, bytes: &[u8], tile: &Tile, rows: &[usize]) {
        let k = self.slot_count;
        let place = |(i, j)| adasum_core::coefficients::triangle_index(k, i, j);
        let places: Vec<_> = tile.pairs().map(place).collect();
        let (gram, largest) = (&mut self.gram, &mut self.largest);
        sums.add(
            bytes,
            |row, pair, sum| gram[rows[row] * triangle(k) + places[pair]] += sum,
            |row, input, bits| {
                let magnitude = &mut largest[rows[row] * k + tile.inputs[input]];
                *magnitude = bits.max(*magnitude);
            },
        );
    }

    fn magnitudes(&self, segment: usize, element: Element) -> Vec<f64> {
        let bits = &self.largest[segment * self.slot_count..][..self.slot_count];
        bits.iter().map(|&bits| element.magnitude(bits)).collect()
    }

    /// The slots that have NaN or infinity in any segment.
    fn non_finite(&self, element: Element) -> Vec<usize> {
        let rows = || self.largest.chunks_exact(self.slot_count);
        let is_non_finite = |&slot: &usize| rows().any(|row| !element.magnitude(row[slot]).is_finite());
        (0..self.slot_count).filter(is_non_finite).collect()
    }

    fn segment_count(&self) -> usize {
        self.largest.len() / self.slot_count
    }

    fn row_mut(&mut self, segment: usize) -> &mut [f64] {
        let width = triangle(self.slot_count);
        &mut self.gram[segment * width..][..width]
    }
}

fn triangle(k: usize) -> usize {
    k * (k + 1) / 2
}

impl GpuReducer {
    /// Asks again, scaled, for the products of segments that have left f32's range, and makes those of segments with an input
    /// that is not finite NaN: whether a device's own sums show it is its own affair.
    fn rescale(&self, products: &mut Products, weights: &[f64]) -> Result<()> {
        let mut wanted = Vec::new();
        for segment in 0..products.segment_count() {
            let mut magnitudes = products.magnitudes(segment, self.element);
            magnitudes.iter_mut().zip(weights).filter(|(_, weight)| **weight == 0.0).for_each(|(m, _)| *m = 0.0);
            if magnitudes.iter().any(|magnitude| !magnitude.is_finite()) {
                products.row_mut(segment).fill(f64::NAN);
            } else if scaling::is_needed(self.layout.segment_element_count(segment), &magnitudes) {
                wanted.push(segment);
                products.scales.insert(segment, scaling::scales(&magnitudes));
            }
        }
        if wanted.is_empty() { Ok(()) } else { self.scaled_products(products, &wanted) }
    }
}
