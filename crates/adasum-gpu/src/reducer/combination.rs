//! The combination, and reading it.

use std::ops::Range;

use super::GpuReducer;
use crate::dispatch::{Call, Dispatch, pairs_of, staging, storage};
use crate::error::{Error, Result, argument_error, caught};
use crate::shader::{Element, Kernel};

/// Coefficients from here on have no f32 that is near them.
const LARGEST_COEFFICIENT: f64 = f32::MAX as f64;
/// The first factor of a segment whose result is NaN throughout.
const NAN_BYTES: [u8; 4] = 0x7fc0_0000_u32.to_le_bytes();

/// Memory for results of one dtype, made at the first reduction that stores it.
pub(super) struct Results {
    element: Element,
    windows: Vec<WindowResult>,
}

impl Results {
    /// The kernel's runs that make the result.
    pub fn dispatches(&self) -> impl Iterator<Item = &Dispatch> {
        self.windows.iter().flat_map(|window| &window.dispatches)
    }
}

struct WindowResult {
    buffer: wgpu::Buffer,
    staging: wgpu::Buffer,
    /// One a batch.
    dispatches: Vec<Dispatch>,
}

impl GpuReducer {
    /// Combines all slots by these coefficients, one a segment and slot. Does not wait for the device.
    pub(super) fn combine(&mut self, coefficients: &[f64], result: Element) -> Result<()> {
        let finite = coefficients.iter().filter(|coefficient| coefficient.is_finite());
        if let Some(coefficient) = finite.copied().find(|coefficient| coefficient.abs() > LARGEST_COEFFICIENT) {
            return Err(Error::Unsupported(format!(
                "a coefficient is {coefficient:e}, a device computes with numbers up to {LARGEST_COEFFICIENT:e}. Use the CPU."
            )));
        }
        if self.results.as_ref().is_none_or(|results| results.element != result) {
            self.results = None;
            self.results = Some(self.make_results(result)?);
        }
        self.fetched.clear();
        self.write_factors(coefficients)?;
        let results = self.results.as_ref();
        self.gpu.scoped(|| {
            let mut encoder = self.gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            let dispatches = results.iter().flat_map(|results| results.dispatches());
            dispatches.for_each(|dispatch| dispatch.encode(&mut encoder));
            self.gpu.queue().submit([encoder.finish()]);
        })
    }

    fn make_results(&self, result: Element) -> Result<Results> {
        let kernel = Kernel::Combine { input_count: self.slot_count, result };
        let mut windows = Vec::with_capacity(self.windows.len());
        for window in &self.windows {
            let bytes = window.window.group_count() * result.group_bytes() as u64;
            let buffer = storage(&self.gpu, bytes)?;
            let mut dispatches = Vec::with_capacity(window.batches.len());
            for (batch, plan) in window.batches.iter().zip(&window.window.batches) {
                let call = Call::of_slots(0..self.slot_count, window.window.group_count(), plan.chunks.len());
                let buffers = [(1, &window.slab), (2, &batch.chunks), (3, &buffer), (4, &batch.factors)];
                dispatches.push(Dispatch::new(&self.gpu, kernel, self.element, call, &buffers)?);
            }
            windows.push(WindowResult { staging: staging(&self.gpu, bytes)?, buffer, dispatches });
        }
        Ok(Results { element: result, windows })
    }

    fn write_factors(&self, coefficients: &[f64]) -> Result<()> {
        for window in &self.windows {
            for (batch, plan) in window.batches.iter().zip(&window.window.batches) {
                let bytes: Vec<u8> =
                    plan.rows.iter().flat_map(|&segment| self.factor_row(coefficients, segment)).collect();
                self.gpu.scoped(|| self.gpu.queue().write_buffer(&batch.factors, 0, &bytes))?;
            }
        }
        Ok(())
    }

    fn factor_row(&self, coefficients: &[f64], segment: usize) -> Vec<u8> {
        let row = &coefficients[segment * self.slot_count..][..self.slot_count];
        let mut bytes = pairs_of(row.iter().copied());
        if row.iter().any(|coefficient| coefficient.is_nan()) {
            bytes[..4].copy_from_slice(&NAN_BYTES);
        }
        bytes
    }

    /// Brings the result to the host, and waits for it.
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
            let windows = &self.windows;
            self.gpu.read_back(&staging, &submission, |index, bytes| {
                let length = windows[index].window.group_count() * group_bytes;
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
        self.check_vector("out", element, out.len())?;
        self.check_groups(&groups)?;
        let bytes = groups.start as usize * element.group_bytes()..groups.end as usize * element.group_bytes();
        self.layout.gather(element, &self.fetched[bytes], groups, out);
        Ok(())
    }

    /// Reads the result, and waits for it.
    ///
    /// # Errors
    /// Those of [`GpuReducer::fetch`] and [`GpuReducer::copy_result`].
    pub fn read(&mut self, out: &mut [u8]) -> Result<()> {
        self.fetch()?;
        self.copy_result(0..self.layout.group_count(), out)
    }
}
