//! How vectors are copied into slots.
//!
//! A copy has parts, which are ranges of groups, so that a thread that must not be held up for long can copy one at a
//! time. A part goes through the upload buffer, unless it overwrites a slot with elements of the slot's own dtype.

use std::ops::Range;

use super::dispatch::{Call, PlannedDispatch};
use super::placement::Plan;
use crate::error::{Result, argument_error};
use crate::shader::{Element, Inputs, Kernel};

/// Groups that are copied at once: 16 MiB of f32.
const PART_GROUPS: u64 = 1 << 20;

/// How a part is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The part is converted from this dtype, and overwrites the slot.
    Overwrite(Element),
    /// The part is added to the slot.
    Add,
}

/// A part of a copy: groups that lie in one window.
#[derive(Clone, Debug)]
pub struct Part {
    /// Which window.
    pub window: usize,
    /// Which groups of the vector.
    pub groups: Range<u64>,
    /// The first group, counted from the start of the slab.
    pub first_group: u64,
    /// The dispatch that copies them from the upload buffer, which is bound as the slab. None if the driver writes them
    /// to the slab itself.
    pub dispatch: Option<PlannedDispatch>,
}

impl Plan {
    /// The parts of some groups of a vector that is stored in a slot, or added to it.
    ///
    /// # Errors
    /// [`crate::Error::Argument`] for a slot that does not exist, groups that do not, or a dtype that slots do not
    /// take.
    pub fn parts(&self, slot: usize, how: How, groups: Range<u64>) -> Result<Vec<Part>> {
        if slot >= self.slot_count {
            return Err(argument_error!("there is no slot {slot}; there are {}, from 0 on.", self.slot_count));
        }
        self.check_dtype(how)?;
        self.check_groups(&groups)?;
        let mut parts = Vec::new();
        for (index, window) in self.windows.iter().enumerate().filter(|(_, window)| window.inputs == Inputs::Slab) {
            let mut begin = groups.start.max(window.groups.start);
            while begin < groups.end.min(window.groups.end) {
                let end = groups.end.min(window.groups.end).min(begin + self.part_groups());
                let first_group = slot as u64 * window.group_count() + begin - window.groups.start;
                let dispatch = self.copy_dispatch(index, how, first_group, end - begin);
                parts.push(Part { window: index, groups: begin..end, first_group, dispatch });
                begin = end;
            }
        }
        Ok(parts)
    }

    /// Bytes of the upload buffer: as many as any part has.
    pub fn upload_bytes(&self) -> u64 {
        self.part_groups().min(self.layout.group_count()) * Element::F32.group_bytes() as u64
    }

    fn check_dtype(&self, how: How) -> Result<()> {
        match how {
            How::Overwrite(dtype) if dtype != self.element && dtype != Element::F32 => Err(argument_error!(
                "the vector is {}, the slots are {}. Write that dtype, or f32.",
                dtype.dtype().name(),
                self.element.dtype().name()
            )),
            _ => Ok(()),
        }
    }

    fn part_groups(&self) -> u64 {
        PART_GROUPS.min(self.limits.largest_buffer() / Element::F32.group_bytes() as u64)
    }

    fn copy_dispatch(&self, window: usize, how: How, first_group: u64, group_count: u64) -> Option<PlannedDispatch> {
        let (kernel, element) = match how {
            How::Overwrite(dtype) if dtype == self.element => return None,
            How::Overwrite(dtype) => (Kernel::Convert { result: self.element }, dtype),
            How::Add => (Kernel::Sum, self.element),
        };
        let mut call = Call { count: group_count as u32, ..Call::default() };
        // The sum kernel's first input is the slot; the convert kernel's second one is the slot, and its first the
        // upload buffer.
        call.inputs[usize::from(kernel != Kernel::Sum)] = first_group as u32;
        Some(PlannedDispatch {
            kernel,
            element,
            inputs: Inputs::Slab,
            window,
            batch: None,
            slots: Vec::new(),
            call,
            tables: Vec::new(),
            sum_count: 0,
            largest_count: 0,
            rows: Vec::new(),
        })
    }
}

impl Part {
    /// How many groups it has.
    pub fn group_count(&self) -> u64 {
        self.groups.end - self.groups.start
    }
}
