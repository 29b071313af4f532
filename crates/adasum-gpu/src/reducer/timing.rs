//! The time that kernels take on the device, without the host's part: for the benchmark.

use std::time::Instant;

use adasum_core::dtype::Op;

use super::gpu_reducer::GpuReducer;
use crate::dispatch::{Dispatch, filled, storage};
use crate::error::{Result, caught};
use crate::gpu::Gpu;
use crate::plan::dispatch::Call;
use crate::plan::{self, OnNonFinite};
use crate::shader::{Element, Kernel};

/// Bytes of a group of the copy kernel.
const COPY_GROUP_BYTES: u64 = 16;

impl GpuReducer {
    /// The upper triangle of the Gram matrix of each segment, as the device and the host add it up.
    ///
    /// # Errors
    /// [`crate::Error::DeviceLost`].
    pub fn gram(&self) -> Result<Vec<f64>> {
        caught(|| {
            let (op, policy) = (Op::Adasum, OnNonFinite::Propagate);
            let mut reduction = plan::Reduction::new(self.plan.clone(), op, policy, self.element())?;
            loop {
                let step = reduction.step()?;
                if let Some(gram) = reduction.gram() {
                    return Ok(gram.to_vec());
                }
                self.compute_sums(&step, &mut reduction)?;
            }
        })
    }

    /// Seconds of the Gram kernels of all slots, the mean of several in one submission.
    ///
    /// # Errors
    /// [`crate::Error::DeviceLost`].
    pub fn time_gram(&self, repeats: u32) -> Result<f64> {
        seconds(&self.gpu, &self.gram.iter().map(|sums| sums.dispatch()).collect::<Vec<_>>(), repeats)
    }

    /// Seconds of the combine kernel, the mean of several in one submission; 0 before the first reduction.
    ///
    /// # Errors
    /// [`crate::Error::DeviceLost`].
    pub fn time_combine(&self, repeats: u32) -> Result<f64> {
        let dispatches: Vec<_> = self.results.iter().flat_map(|results| results.dispatches()).collect();
        seconds(&self.gpu, &dispatches, repeats)
    }

    /// Waits until the device has done all that was submitted to it.
    ///
    /// # Errors
    /// [`crate::Error::DeviceLost`].
    pub fn finish(&self) -> Result<()> {
        caught(|| {
            let submission = self.gpu.scoped(|| self.gpu.queue().submit([]))?;
            self.gpu.wait(&submission)
        })
    }
}

/// Seconds in which the copy kernel reads so many bytes and writes as many, in buffers as long as a binding may be.
///
/// # Errors
/// [`crate::Error::DeviceLost`], [`crate::Error::OutOfMemory`].
pub fn time_copy(gpu: &Gpu, byte_length: u64, repeats: u32) -> Result<f64> {
    caught(|| {
        let most = gpu.limits().binding_bytes.min(gpu.limits().buffer_bytes) / COPY_GROUP_BYTES * COPY_GROUP_BYTES;
        let mut dispatches = Vec::new();
        let mut begin = 0;
        while begin < byte_length {
            let bytes = (byte_length - begin).min(most);
            // A page that nobody has written may have no memory behind it, and would be read too fast.
            let source = filled(gpu, &vec![1; bytes as usize])?;
            let target = storage(gpu, bytes)?;
            let call = Call { count: (bytes / COPY_GROUP_BYTES) as u32, ..Call::default() };
            dispatches.push(Dispatch::new(gpu, Kernel::Copy, Element::F32, call, &[(1, &source), (3, &target)])?);
            begin += bytes;
        }
        seconds(gpu, &dispatches.iter().collect::<Vec<_>>(), repeats)
    })
}

fn seconds(gpu: &Gpu, dispatches: &[&Dispatch], repeats: u32) -> Result<f64> {
    caught(|| {
        submit(gpu, dispatches, 1)?;
        let begin = Instant::now();
        submit(gpu, dispatches, repeats)?;
        Ok(begin.elapsed().as_secs_f64() / f64::from(repeats))
    })
}

fn submit(gpu: &Gpu, dispatches: &[&Dispatch], repeats: u32) -> Result<()> {
    let submission = gpu.scoped(|| {
        let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        for _ in 0..repeats {
            dispatches.iter().for_each(|dispatch| dispatch.encode(&mut encoder));
        }
        gpu.queue().submit([encoder.finish()])
    })?;
    gpu.wait(&submission)
}
