//! The last step of a reduction, the combination, and the reading of its result.

use std::ops::Range;

use super::gpu_reducer::GpuReducer;
use super::results::{Results, WindowResult};
use crate::dispatch::{Dispatch, staging, storage};
use crate::error::{Result, argument_error, caught};
use crate::plan::dispatch::binding;
use crate::shader::Element;

impl GpuReducer {
    /// Combines all slots by these factors, one list of bytes a batch. Does not wait for the device.
    pub(super) fn combine(&mut self, factors: &[Vec<u8>], result: Element) -> Result<()> {
        if self.results.as_ref().is_none_or(|results| results.element != result) {
            self.results = None;
            self.results = Some(self.make_results(result)?);
        }
        self.fetched.clear();
        let results = self.results.as_ref();
        self.gpu.scoped(|| {
            let batches = self.windows.iter().flat_map(|window| &window.batches);
            batches.zip(factors).for_each(|(batch, bytes)| self.gpu.queue().write_buffer(&batch.factors, 0, bytes));
            let mut encoder = self.gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            let dispatches = results.iter().flat_map(|results| results.dispatches());
            dispatches.for_each(|dispatch| dispatch.encode(&mut encoder));
            self.gpu.queue().submit([encoder.finish()]);
        })
    }

    fn make_results(&self, result: Element) -> Result<Results> {
        let mut windows = Vec::with_capacity(self.windows.len());
        for window in self.plan.windows() {
            let bytes = window.group_count() * result.group_bytes() as u64;
            windows.push(WindowResult { buffer: storage(&self.gpu, bytes)?, staging: staging(&self.gpu, bytes)? });
        }
        let mut dispatches = Vec::new();
        for planned in self.plan.combinations(result) {
            let (window, out) = (&self.windows[planned.window], &windows[planned.window].buffer);
            let mut buffers = vec![(binding::SLAB, &window.slab), (binding::OUT, out)];
            let batch = planned.batch.map(|batch| &window.batches[batch]);
            buffers.extend(batch.iter().map(|batch| (binding::CHUNKS, &batch.chunks)));
            buffers.extend(batch.iter().map(|batch| (binding::FACTORS, &batch.factors)));
            dispatches.push(Dispatch::of(&self.gpu, &planned, &buffers)?);
        }
        Ok(Results { element: result, windows, dispatches })
    }

    /// Copies the result to the host, and waits for it.
    ///
    /// # Errors
    /// [`Error::Argument`] before the first reduction; [`Error::DeviceLost`].
    pub fn fetch(&mut self) -> Result<()> {
        caught(|| {
            let Some(results) = &self.results else {
                return Err(argument_error!("there is no result: 0 reductions so far. Reduce first."));
            };
            let submission = self.gpu.scoped(|| {
                let mut encoder = self.gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
                for window in &results.windows {
                    encoder.copy_buffer_to_buffer(&window.buffer, 0, &window.staging, 0, window.buffer.size());
                }
                self.gpu.queue().submit([encoder.finish()])
            })?;
            let staging: Vec<_> = results.windows.iter().map(|window| &window.staging).collect();
            let (fetched, group_bytes) = (&mut self.fetched, results.element.group_bytes() as u64);
            fetched.clear();
            let windows = self.plan.windows();
            self.gpu.read_back(&staging, &submission, |index, bytes| {
                let length = windows[index].group_count() * group_bytes;
                fetched.extend_from_slice(&bytes[..length as usize]);
            })
        })
    }

    /// Copies groups of the fetched result to their elements in `out`, a whole vector of the result's dtype.
    ///
    /// # Errors
    /// [`Error::Argument`] if nothing was fetched since the last reduction, or `out` has another length.
    pub fn copy_result(&self, groups: Range<u64>, out: &mut [u8]) -> Result<()> {
        let Some(element) = self.results.as_ref().map(|results| results.element).filter(|_| !self.fetched.is_empty())
        else {
            return Err(argument_error!("no result was fetched: 0 bytes are there. Fetch it first."));
        };
        self.plan.check_vector("out", element, out.len() as u64)?;
        self.plan.check_groups(&groups)?;
        let bytes = groups.start as usize * element.group_bytes()..groups.end as usize * element.group_bytes();
        self.layout().gather(element, &self.fetched[bytes], groups, out);
        Ok(())
    }

    /// Reads the result, and waits for it.
    ///
    /// # Errors
    /// Those of [`GpuReducer::fetch`] and [`GpuReducer::copy_result`].
    pub fn read(&mut self, out: &mut [u8]) -> Result<()> {
        self.fetch()?;
        self.copy_result(0..self.layout().group_count(), out)
    }
}
