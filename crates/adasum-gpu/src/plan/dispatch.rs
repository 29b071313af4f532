//! One dispatch as the plan describes it: the kernel, its arguments, and the buffers that any driver binds to it.

use crate::layout::{Batch, Limits};
use crate::shader::{Element, Inputs, Kernel, MAX_INPUTS, WORKGROUP_THREADS};

/// Bytes of a partial sum: a pair of f32.
pub const PARTIAL_BYTES: u64 = 8;
const CHUNK_BYTES: usize = 16;

/// Bindings beside the inputs; see `shaders/`.
pub mod binding {
    /// The kernel's arguments.
    pub const CALL: u32 = 0;
    /// The slab, or another buffer that is read.
    pub const SLAB: u32 = 1;
    /// The chunk table, if there is one.
    pub const CHUNKS: u32 = 2;
    /// The buffer that is written.
    pub const OUT: u32 = 3;
    /// The largest magnitudes.
    pub const LARGEST: u32 = 4;
    /// The factors of a combination.
    pub const FACTORS: u32 = 4;
    /// The powers of two by which the Gram kernel scales.
    pub const SCALES: u32 = 5;
    /// The first input that has a buffer of its own.
    pub const FIRST_INPUT: u32 = 8;
}

/// The arguments of a kernel; see `shaders/shared/call.wgsl`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Call {
    /// Offset of each input's first group.
    pub inputs: [u32; MAX_INPUTS],
    /// Number of chunks, or of groups.
    pub count: u32,
    /// Groups of every chunk but the last, where there is no table of them.
    pub chunk_groups: u32,
    /// Groups of the only segment, where there is no table of chunks.
    pub segment_groups: u32,
}

impl Call {
    /// Bytes of a call.
    pub const BYTES: u64 = 4 * (MAX_INPUTS as u64 + 4);

    /// The arguments for inputs that lie in these slots, the first groups of which are `groups_apart` from slot to
    /// slot.
    pub fn of_slots(slots: impl IntoIterator<Item = usize>, groups_apart: u64, count: usize) -> Self {
        let mut call = Self { count: count as u32, ..Self::default() };
        for (input, slot) in call.inputs.iter_mut().zip(slots) {
            *input = (slot as u64 * groups_apart) as u32;
        }
        call
    }

    /// The bytes that the shaders read.
    pub fn bytes(&self) -> Vec<u8> {
        let numbers = self.inputs.iter().chain([&self.count, &0, &self.chunk_groups, &self.segment_groups]);
        numbers.flat_map(|number| number.to_le_bytes()).collect()
    }
}

/// A kernel, its arguments, and what it reads and writes.
#[derive(Clone, Debug)]
pub struct PlannedDispatch {
    /// The kernel.
    pub kernel: Kernel,
    /// The element type of the inputs.
    pub element: Element,
    /// Whether the inputs lie in the window's slab, or in buffers of their own.
    pub inputs: Inputs,
    /// The window that it works on.
    pub window: usize,
    /// The batch of the window whose chunk table is bound, and for a combination its factors. None if `tables` has them
    /// all.
    pub batch: Option<usize>,
    /// The slots that are its inputs, in order.
    pub slots: Vec<usize>,
    /// Its arguments.
    pub call: Call,
    /// Tables that only this dispatch reads, with their bindings.
    pub tables: Vec<(u32, Vec<u8>)>,
    /// How many sums each chunk gives.
    pub sum_count: usize,
    /// The number of inputs whose largest magnitude each chunk gives.
    pub largest_count: usize,
    /// The row of the sums to which each chunk belongs.
    pub rows: Vec<usize>,
}

impl PlannedDispatch {
    /// How many workgroups the dispatch has. Each goes on to the next chunk until there is none, so any number of them
    /// will do.
    pub fn workgroups(&self, limits: &Limits) -> u32 {
        workgroups(self.kernel, self.call, limits)
    }

    /// Bytes of the sums.
    pub fn partial_bytes(&self) -> u64 {
        (self.rows.len() * self.sum_count) as u64 * PARTIAL_BYTES
    }

    /// Bytes of the largest magnitudes, which are read back behind the sums.
    pub fn largest_bytes(&self) -> u64 {
        (self.rows.len() * self.largest_count) as u64 * 4
    }

    /// Decodes the bytes that have been read back: calls `sum(row, index, number)` for every partial sum, then
    /// `largest(row, input, bits)` for every largest magnitude.
    pub fn add(
        &self,
        bytes: &[u8],
        mut sum: impl FnMut(usize, usize, f64),
        mut largest: impl FnMut(usize, usize, u32),
    ) {
        let (partials, magnitudes) = bytes.split_at(self.partial_bytes() as usize);
        let (numbers, _) = partials.as_chunks::<8>();
        for (at, number) in numbers.iter().enumerate() {
            let [a, b, c, d, e, f, g, h] = *number;
            let (upper, lower) = (f32::from_le_bytes([a, b, c, d]), f32::from_le_bytes([e, f, g, h]));
            sum(self.rows[at / self.sum_count], at % self.sum_count, f64::from(upper) + f64::from(lower));
        }
        let (numbers, _) = magnitudes.as_chunks::<4>();
        for (at, &number) in numbers.iter().take(self.rows.len() * self.largest_count).enumerate() {
            largest(self.rows[at / self.largest_count], at % self.largest_count, u32::from_le_bytes(number));
        }
    }
}

/// How many workgroups the dispatch of a kernel has.
pub fn workgroups(kernel: Kernel, call: Call, limits: &Limits) -> u32 {
    let is_by_chunks = matches!(kernel, Kernel::Gram { .. } | Kernel::Refine { .. } | Kernel::Combine { .. });
    let most = if is_by_chunks { call.count } else { call.count.div_ceil(WORKGROUP_THREADS as u32) };
    most.min(limits.workgroups)
}

/// A batch's chunks, as the bytes that the shaders read.
pub fn chunk_table(batch: &Batch) -> Vec<u8> {
    let numbers = batch.chunks.iter().flat_map(|chunk| [chunk.first_group, chunk.group_count, chunk.row, 0]);
    let mut bytes = Vec::with_capacity(batch.chunks.len() * CHUNK_BYTES);
    bytes.extend(numbers.flat_map(u32::to_le_bytes));
    bytes
}

/// Pairs of f32 whose sums are these numbers, as the bytes that the shaders read.
pub fn pairs_of(numbers: impl IntoIterator<Item = f64>) -> Vec<u8> {
    let halves = numbers.into_iter().flat_map(|number| {
        // Combine leaves out inputs whose factor has the bits of +0; so -0 becomes +0 here, which no other kernel tells
        // apart.
        let upper = number as f32 + 0.0;
        let lower = if upper.is_finite() { (number - f64::from(upper)) as f32 } else { 0.0 };
        [upper, lower]
    });
    halves.flat_map(f32::to_le_bytes).collect()
}
