//! Kernels that give partial sums: run them, read the sums back, and add them up in f64.

use crate::dispatch::{Call, Dispatch, filled, staging, storage};
use crate::error::Result;
use crate::gpu::Gpu;
use crate::layout::Batch;
use crate::shader::{Element, Kernel};

/// Bytes of a partial sum: a pair of f32.
pub(crate) const PARTIAL_BYTES: u64 = 8;
const CHUNK_BYTES: usize = 16;

/// A kernel over one batch of chunks, and the memory for its sums.
pub(crate) struct Sums {
    dispatch: Dispatch,
    sum_count: usize,
    partials: wgpu::Buffer,
    largest: Option<wgpu::Buffer>,
    largest_count: usize,
    staging: wgpu::Buffer,
    /// Row of each chunk.
    rows: Vec<u32>,
}

/// What a kernel is that gives sums, and what it needs beside the slab.
pub(crate) struct Source<'a> {
    pub kernel: Kernel,
    pub element: Element,
    pub sum_count: usize,
    /// Inputs whose largest magnitudes it tells.
    pub largest_count: usize,
    pub call: Call,
    pub slab: &'a wgpu::Buffer,
    /// Bindings of its tables, with one entry a row of the batch.
    pub tables: Vec<(u32, wgpu::Buffer)>,
}

/// A batch's chunks as the shaders read them.
pub(crate) fn chunk_table(gpu: &Gpu, batch: &Batch) -> Result<wgpu::Buffer> {
    let numbers = batch.chunks.iter().flat_map(|chunk| [chunk.first_group, chunk.group_count, chunk.row, 0]);
    let mut bytes = Vec::with_capacity(batch.chunks.len() * CHUNK_BYTES);
    bytes.extend(numbers.flat_map(u32::to_le_bytes));
    filled(gpu, &bytes)
}

impl Sums {
    pub fn new(gpu: &Gpu, batch: &Batch, chunks: &wgpu::Buffer, source: &Source<'_>) -> Result<Self> {
        let chunk_count = batch.chunks.len() as u64;
        let partial_bytes = chunk_count * source.sum_count as u64 * PARTIAL_BYTES;
        let largest_bytes = chunk_count * source.largest_count as u64 * 4;
        let partials = storage(gpu, partial_bytes)?;
        let largest = if largest_bytes > 0 { Some(storage(gpu, largest_bytes)?) } else { None };
        let mut buffers = vec![(1, source.slab), (2, chunks), (3, &partials)];
        buffers.extend(largest.iter().map(|largest| (4, largest)));
        buffers.extend(source.tables.iter().map(|(binding, table)| (*binding, table)));
        Ok(Self {
            dispatch: Dispatch::new(gpu, source.kernel, source.element, source.call, &buffers)?,
            sum_count: source.sum_count,
            staging: staging(gpu, partial_bytes + largest_bytes)?,
            partials,
            largest,
            largest_count: source.largest_count,
            rows: batch.chunks.iter().map(|chunk| chunk.row).collect(),
        })
    }

    /// The kernel's run.
    pub fn dispatch(&self) -> &Dispatch {
        &self.dispatch
    }

    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder) {
        self.dispatch.encode(encoder);
        let partial_bytes = (self.rows.len() * self.sum_count) as u64 * PARTIAL_BYTES;
        encoder.copy_buffer_to_buffer(&self.partials, 0, &self.staging, 0, partial_bytes);
        if let Some(largest) = &self.largest {
            let bytes = (self.rows.len() * self.largest_count) as u64 * 4;
            encoder.copy_buffer_to_buffer(largest, 0, &self.staging, partial_bytes, bytes);
        }
    }

    pub fn staging(&self) -> &wgpu::Buffer {
        &self.staging
    }

    /// Adds what has been read back: `sums(row, index)` and `largest(row, input)` say where to.
    pub fn add(
        &self,
        bytes: &[u8],
        mut sum: impl FnMut(usize, usize, f64),
        mut largest: impl FnMut(usize, usize, u32),
    ) {
        let (partials, magnitudes) = bytes.split_at(self.rows.len() * self.sum_count * PARTIAL_BYTES as usize);
        let (numbers, _) = partials.as_chunks::<8>();
        for (at, number) in numbers.iter().enumerate() {
            let row = self.rows[at / self.sum_count] as usize;
            let [a, b, c, d, e, f, g, h] = *number;
            let (upper, lower) = (f32::from_le_bytes([a, b, c, d]), f32::from_le_bytes([e, f, g, h]));
            sum(row, at % self.sum_count, f64::from(upper) + f64::from(lower));
        }
        if self.largest_count > 0 {
            let (numbers, _) = magnitudes.as_chunks::<4>();
            for (at, &number) in numbers.iter().take(self.rows.len() * self.largest_count).enumerate() {
                let row = self.rows[at / self.largest_count] as usize;
                largest(row, at % self.largest_count, u32::from_le_bytes(number));
            }
        }
    }
}

/// Runs all of them in one submission and adds each one's sums.
pub(crate) fn run(gpu: &Gpu, all: &[&Sums], mut add: impl FnMut(usize, &[u8])) -> Result<()> {
    let submission = gpu.scoped(|| {
        let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        all.iter().for_each(|sums| sums.encode(&mut encoder));
        gpu.queue().submit([encoder.finish()])
    })?;
    let staging: Vec<_> = all.iter().map(|sums| sums.staging()).collect();
    gpu.read_back(&staging, &submission, |index, bytes| add(index, bytes))
}
