//! Dispatches that give partial sums, and the reading of these sums.

use crate::dispatch::{Dispatch, staging, storage};
use crate::error::Result;
use crate::gpu::Gpu;
use crate::plan::dispatch::{PlannedDispatch, binding};

/// A dispatch over one batch of chunks, and the buffers for its sums.
pub(crate) struct Sums {
    dispatch: Dispatch,
    partials: wgpu::Buffer,
    partial_bytes: u64,
    largest: Option<wgpu::Buffer>,
    largest_bytes: u64,
    staging: wgpu::Buffer,
}

impl Sums {
    /// `chunks` is the chunk table, unless the dispatch has one of its own.
    pub fn new(
        gpu: &Gpu,
        planned: &PlannedDispatch,
        slab: &wgpu::Buffer,
        chunks: Option<&wgpu::Buffer>,
    ) -> Result<Self> {
        let (partial_bytes, largest_bytes) = (planned.partial_bytes(), planned.largest_bytes());
        let partials = storage(gpu, partial_bytes)?;
        let largest = if largest_bytes > 0 { Some(storage(gpu, largest_bytes)?) } else { None };
        let mut buffers = vec![(binding::SLAB, slab), (binding::OUT, &partials)];
        buffers.extend(chunks.map(|chunks| (binding::CHUNKS, chunks)));
        buffers.extend(largest.iter().map(|largest| (binding::LARGEST, largest)));
        let dispatch = Dispatch::of(gpu, planned, &buffers)?;
        let staging = staging(gpu, partial_bytes + largest_bytes)?;
        Ok(Self { dispatch, partials, partial_bytes, largest, largest_bytes, staging })
    }

    /// The dispatch itself.
    pub fn dispatch(&self) -> &Dispatch {
        &self.dispatch
    }

    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder) {
        self.dispatch.encode(encoder);
        encoder.copy_buffer_to_buffer(&self.partials, 0, &self.staging, 0, self.partial_bytes);
        if let Some(largest) = &self.largest {
            encoder.copy_buffer_to_buffer(largest, 0, &self.staging, self.partial_bytes, self.largest_bytes);
        }
    }

    pub fn staging(&self) -> &wgpu::Buffer {
        &self.staging
    }
}

/// Computes all of them in one submission, and gives the bytes of each one's sums to `add`.
pub(crate) fn compute(gpu: &Gpu, all: &[&Sums], mut add: impl FnMut(usize, &[u8])) -> Result<()> {
    let submission = gpu.scoped(|| {
        let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        all.iter().for_each(|sums| sums.encode(&mut encoder));
        gpu.queue().submit([encoder.finish()])
    })?;
    let staging: Vec<_> = all.iter().map(|sums| sums.staging()).collect();
    gpu.read_back(&staging, &submission, |index, bytes| add(index, bytes))
}
