//! Writing slots, and accumulating in them, in the parts that `plan::slots` describes.

use std::ops::Range;

use super::gpu_reducer::GpuReducer;
use crate::dispatch::{Dispatch, storage};
use crate::error::{Result, caught};
use crate::plan::dispatch::binding;
use crate::plan::{How, Part};
use crate::shader::Element;

impl GpuReducer {
    /// Overwrites a slot with a vector of its dtype, or of f32, which is rounded.
    ///
    /// # Errors
    /// [`crate::Error::Argument`] for a slot that does not exist, or a vector of another length.
    pub fn write(&mut self, slot: usize, dtype: Element, vector: &[u8]) -> Result<()> {
        self.write_groups(slot, dtype, vector, 0..self.layout().group_count())
    }

    /// The same for some groups of the vector, which is given whole.
    ///
    /// # Errors
    /// As [`GpuReducer::write`].
    pub fn write_groups(&mut self, slot: usize, dtype: Element, vector: &[u8], groups: Range<u64>) -> Result<()> {
        self.copy(slot, How::Overwrite(dtype), vector, groups)
    }

    /// Adds a vector of the slots' dtype to a slot, element by element, rounded once.
    ///
    /// # Errors
    /// As [`GpuReducer::write`].
    pub fn accumulate(&mut self, slot: usize, vector: &[u8]) -> Result<()> {
        self.accumulate_groups(slot, vector, 0..self.layout().group_count())
    }

    /// The same for some groups of the vector, which is given whole.
    ///
    /// # Errors
    /// As [`GpuReducer::write`].
    pub fn accumulate_groups(&mut self, slot: usize, vector: &[u8], groups: Range<u64>) -> Result<()> {
        self.copy(slot, How::Add, vector, groups)
    }

    fn copy(&mut self, slot: usize, how: How, vector: &[u8], groups: Range<u64>) -> Result<()> {
        caught(|| {
            let dtype = if let How::Overwrite(dtype) = how { dtype } else { self.element() };
            let parts = self.plan.parts(slot, how, groups)?;
            self.plan.check_vector("vector", dtype, vector.len() as u64)?;
            for part in parts {
                let mut scratch = std::mem::take(&mut self.scratch);
                self.layout().scatter(dtype, vector, part.groups.clone(), &mut scratch);
                let copied = self.copy_part(&part, &scratch);
                self.scratch = scratch;
                copied?;
            }
            Ok(())
        })
    }

    fn copy_part(&mut self, part: &Part, bytes: &[u8]) -> Result<()> {
        let slab = &self.windows[part.window].slab;
        let Some(planned) = &part.dispatch else {
            let offset = part.first_group * self.element().group_bytes() as u64;
            return self.gpu.scoped(|| {
                self.gpu.queue().write_buffer(slab, offset, bytes);
                // Submitted at once: bytes that wait for a later submission are held in memory twice.
                self.gpu.queue().submit([]);
                self.gpu.tidy();
            });
        };
        let upload = match self.upload.take() {
            Some(upload) => upload,
            None => storage(&self.gpu, self.plan.upload_bytes())?,
        };
        let dispatch = Dispatch::of(&self.gpu, planned, &[(binding::SLAB, &upload), (binding::OUT, slab)])?;
        let done = self.gpu.scoped(|| {
            self.gpu.queue().write_buffer(&upload, 0, bytes);
            let mut encoder = self.gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            dispatch.encode(&mut encoder);
            self.gpu.queue().submit([encoder.finish()]);
            self.gpu.tidy();
        });
        self.upload = Some(upload);
        done
    }
}
