//! Writing slots, and accumulating in them.
//!
//! Vectors are copied in parts of groups, so that whoever must not be held up for long can give them one by one. A part goes
//! through one upload buffer, except where the slot is simply overwritten.

use std::ops::Range;

use super::GpuReducer;
use crate::dispatch::{Call, Dispatch, storage};
use crate::error::{Result, argument_error, caught};
use crate::shader::{Element, Kernel};

/// Groups that are copied at once: 16 MiB of f32.
const PART_GROUPS: u64 = 1 << 20;

/// Where vectors wait that are not simply copied into a slot.
pub(super) struct Upload {
    buffer: wgpu::Buffer,
    group_count: u64,
}

/// What is done with a part.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Overwrite(Element),
    Add,
}

impl GpuReducer {
    /// Overwrites a slot with a vector of its dtype, or of f32, which is rounded.
    ///
    /// # Errors
    /// [`crate::Error::Argument`] for a slot that does not exist, or a vector of another length.
    pub fn write(&mut self, slot: usize, dtype: Element, vector: &[u8]) -> Result<()> {
        self.write_groups(slot, dtype, vector, 0..self.layout.group_count())
    }

    /// The same for some groups of the vector, which is given whole.
    ///
    /// # Errors
    /// As [`GpuReducer::write`].
    pub fn write_groups(&mut self, slot: usize, dtype: Element, vector: &[u8], groups: Range<u64>) -> Result<()> {
        if dtype != self.element && dtype != Element::F32 {
            return Err(argument_error!(
                "the vector is {}, the slots are {}. Write that dtype, or f32.",
                dtype.dtype().name(),
                self.element.dtype().name()
            ));
        }
        self.copy(slot, How::Overwrite(dtype), vector, groups)
    }

    /// Adds a vector of the slots' dtype to a slot, element by element, rounded once.
    ///
    /// # Errors
    /// As [`GpuReducer::write`].
    pub fn accumulate(&mut self, slot: usize, vector: &[u8]) -> Result<()> {
        self.accumulate_groups(slot, vector, 0..self.layout.group_count())
    }

    /// The same for some groups of the vector, which is given whole.
    ///
    /// # Errors
    /// As [`GpuReducer::write`].
    pub fn accumulate_groups(&mut self, slot: usize, vector: &[u8], groups: Range<u64>) -> Result<()> {
        self.copy(slot, How::Add, vector, groups)
    }

    pub(super) fn check_vector(&self, name: &str, element: Element, byte_length: usize) -> Result<()> {
        let expected = self.layout.element_count() * element.byte_length() as u64;
        if byte_length as u64 == expected {
            return Ok(());
        }
        Err(argument_error!(
            "`{name}` has {byte_length} bytes, but {} elements of {} have {expected}. Make the lengths agree.",
            self.layout.element_count(),
            element.dtype().name()
        ))
    }

    pub(super) fn check_groups(&self, groups: &Range<u64>) -> Result<()> {
        let count = self.layout.group_count();
        if groups.start <= groups.end && groups.end <= count {
            return Ok(());
        }
        Err(argument_error!("groups {} to {} of {count} do not exist. Stay inside.", groups.start, groups.end))
    }

    fn copy(&mut self, slot: usize, how: How, vector: &[u8], groups: Range<u64>) -> Result<()> {
        caught(|| {
            if slot >= self.slot_count {
                return Err(argument_error!("there is no slot {slot}; there are {}, from 0 on.", self.slot_count));
            }
            let dtype = if let How::Overwrite(dtype) = how { dtype } else { self.element };
            self.check_vector("vector", dtype, vector.len())?;
            self.check_groups(&groups)?;
            for index in 0..self.windows.len() {
                let window = self.windows[index].window.groups.clone();
                let mut begin = groups.start.max(window.start);
                while begin < groups.end.min(window.end) {
                    let end = groups.end.min(window.end).min(begin + self.part_groups());
                    let mut scratch = std::mem::take(&mut self.scratch);
                    self.layout.scatter(dtype, vector, begin..end, &mut scratch);
                    let copied = self.copy_part(index, slot, how, &scratch, begin..end);
                    self.scratch = scratch;
                    copied?;
                    begin = end;
                }
            }
            Ok(())
        })
    }

    fn part_groups(&self) -> u64 {
        PART_GROUPS.min(self.gpu.limits().binding_bytes / Element::F32.group_bytes() as u64)
    }

    /// Groups that lie in one window.
    fn copy_part(&mut self, window: usize, slot: usize, how: How, bytes: &[u8], groups: Range<u64>) -> Result<()> {
        let place = &self.windows[window].window;
        let first_group = slot as u64 * place.group_count() + groups.start - place.groups.start;
        if how == How::Overwrite(self.element) {
            let offset = first_group * self.element.group_bytes() as u64;
            let slab = &self.windows[window].slab;
            return self.gpu.scoped(|| {
                self.gpu.queue().write_buffer(slab, offset, bytes);
                // Sent at once: what waits for a later submission is held in memory twice.
                self.gpu.queue().submit([]);
                self.gpu.tidy();
            });
        }
        let (kernel, source) = match how {
            How::Overwrite(dtype) => (Kernel::Convert { result: self.element }, dtype),
            How::Add => (Kernel::Sum, self.element),
        };
        let mut call = Call { count: (groups.end - groups.start) as u32, ..Call::default() };
        // The sum kernel's first input is the slot, the conversion's first is where it reads.
        call.inputs[usize::from(kernel != Kernel::Sum)] = first_group as u32;
        let part_groups = self.part_groups();
        let upload = self.take_upload(part_groups.min(self.layout.group_count()))?;
        let slab = &self.windows[window].slab;
        let dispatch = Dispatch::new(&self.gpu, kernel, source, call, &[(1, &upload.buffer), (3, slab)])?;
        let done = self.gpu.scoped(|| {
            self.gpu.queue().write_buffer(&upload.buffer, 0, bytes);
            let mut encoder = self.gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            dispatch.encode(&mut encoder);
            self.gpu.queue().submit([encoder.finish()]);
            self.gpu.tidy();
        });
        self.upload = Some(upload);
        done
    }

    fn take_upload(&mut self, group_count: u64) -> Result<Upload> {
        match self.upload.take() {
            Some(upload) if upload.group_count >= group_count => Ok(upload),
            _ => {
                let buffer = storage(&self.gpu, group_count * Element::F32.group_bytes() as u64)?;
                Ok(Upload { buffer, group_count })
            }
        }
    }
}
