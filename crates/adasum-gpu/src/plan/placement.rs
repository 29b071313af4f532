//! How vectors lie in a device's memory, and which dispatches are the same at every reduction of them.

use std::ops::Range;

use super::dispatch::{Call, PARTIAL_BYTES, PlannedDispatch};
use crate::error::{Error, Result, argument_error};
use crate::layout::{Layout, Limits, Window, own_window, windows};
use crate::shader::{Element, GROUP_ELEMENTS, Inputs, Kernel, MAX_INPUTS, MAX_SEPARATE_INPUTS, Tile};

/// Longer segments do not stay in buffers of their own: the shaders' counters must not wrap.
const MAX_OWN_ELEMENTS: u64 = 1 << 30;

/// Vectors of one layout on a device.
#[derive(Debug)]
pub struct Plan {
    pub(super) element: Element,
    pub(super) slot_count: usize,
    pub(super) segment_element_counts: Vec<u64>,
    /// The layout of the segments that lie in slabs; the others have no elements in it.
    pub(super) layout: Layout,
    pub(super) limits: Limits,
    pub(super) windows: Vec<Window>,
    pub(super) tiles: Vec<Tile>,
    pub(super) gram: Vec<PlannedDispatch>,
}

impl Plan {
    /// Slots for vectors of segments with these element counts.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for more than [`MAX_INPUTS`] slots; [`Error::Argument`] for none, or an empty vector;
    /// [`Error::OutOfMemory`].
    pub fn new(element: Element, slot_count: usize, segment_element_counts: &[u64], limits: Limits) -> Result<Self> {
        Self::with_own(element, slot_count, segment_element_counts, limits, u64::MAX)
    }

    /// The same for inputs whose segments each lie in a buffer of their own. A segment of at least `own_bytes` is used
    /// in those buffers if it consists of whole groups, whatever lies behind them, and if all inputs can be bound at
    /// once. The other segments are to be copied into slabs.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn with_own(
        element: Element,
        slot_count: usize,
        segment_element_counts: &[u64],
        limits: Limits,
        own_bytes: u64,
    ) -> Result<Self> {
        check_slot_count(slot_count)?;
        Layout::new(segment_element_counts)?;
        let row_bytes = row_bytes(slot_count);
        let own: Vec<Option<Window>> = segment_element_counts
            .iter()
            .enumerate()
            .map(|(segment, &count)| {
                // A result of f32 has four bytes an element, whatever the inputs have.
                let is_own = slot_count <= MAX_SEPARATE_INPUTS
                    && count * element.byte_length() as u64 >= own_bytes.max(1)
                    && count.is_multiple_of(GROUP_ELEMENTS as u64)
                    && count < MAX_OWN_ELEMENTS
                    && count * 4 <= limits.largest_buffer();
                if is_own { own_window(segment, count, row_bytes, &limits) } else { None }
            })
            .collect();
        let in_slabs =
            segment_element_counts.iter().zip(&own).map(|(&count, own)| if own.is_none() { count } else { 0 });
        let layout = Layout::perhaps_empty(&in_slabs.collect::<Vec<_>>())?;
        let mut cut = windows(&layout, element, slot_count, row_bytes, &limits)?;
        check_memory(&layout, element, slot_count, &limits)?;
        cut.extend(own.into_iter().flatten());
        let segment_element_counts = segment_element_counts.to_vec();
        let tiles = Tile::cover(slot_count);
        let gram = Vec::new();
        let mut plan = Self { element, slot_count, segment_element_counts, layout, limits, windows: cut, tiles, gram };
        plan.gram = plan.make_gram();
        Ok(plan)
    }

    /// The element type of the slots.
    pub fn element(&self) -> Element {
        self.element
    }

    /// How many slots there are.
    pub fn slot_count(&self) -> usize {
        self.slot_count
    }

    /// The segments that lie in slabs.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// How many segments there are, wherever they lie.
    pub fn segment_count(&self) -> usize {
        self.segment_element_counts.len()
    }

    /// What the device allows.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The slabs, and behind them the segments that have buffers of their own.
    pub fn windows(&self) -> &[Window] {
        &self.windows
    }

    /// The segment of a window in which every input has a buffer of its own; None for a slab.
    pub fn own_segment(&self, window: usize) -> Option<usize> {
        let window = &self.windows[window];
        (window.inputs == Inputs::Separate).then(|| window.batches[0].rows[0])
    }

    /// Bytes of a window's slab; 0 where there is none.
    pub fn slab_bytes(&self, window: usize) -> u64 {
        match self.windows[window].inputs {
            Inputs::Slab => self.windows[window].group_count() * (self.slot_count * self.element.group_bytes()) as u64,
            Inputs::Separate => 0,
        }
    }

    /// The dispatches of the Gram kernels over all windows: the same at every reduction.
    pub fn gram(&self) -> &[PlannedDispatch] {
        &self.gram
    }

    /// The dispatches that combine, with results stored as `result`: one a batch.
    pub fn combinations(&self, result: Element) -> Vec<PlannedDispatch> {
        let kernel = Kernel::Combine { input_count: self.slot_count, result };
        self.batches()
            .map(|(window, batch)| self.dispatch(kernel, window, batch, (0..self.slot_count).collect()))
            .collect()
    }

    /// All batches: the index of the window, and the index of the batch in it.
    pub fn batches(&self) -> impl Iterator<Item = (usize, usize)> {
        self.windows
            .iter()
            .enumerate()
            .flat_map(|(index, window)| (0..window.batches.len()).map(move |batch| (index, batch)))
    }

    /// Checks that a whole vector of this dtype has so many bytes.
    ///
    /// # Errors
    /// [`Error::Argument`].
    pub fn check_vector(&self, name: &str, element: Element, byte_length: u64) -> Result<()> {
        let expected = self.layout.element_count() * element.byte_length() as u64;
        if byte_length == expected {
            return Ok(());
        }
        Err(argument_error!(
            "`{name}` has {byte_length} bytes, but {} elements of {} have {expected}. Make the lengths agree.",
            self.layout.element_count(),
            element.dtype().name()
        ))
    }

    /// Checks that the groups exist.
    ///
    /// # Errors
    /// [`Error::Argument`].
    pub fn check_groups(&self, groups: &Range<u64>) -> Result<()> {
        let count = self.layout.group_count();
        if groups.start <= groups.end && groups.end <= count {
            return Ok(());
        }
        Err(argument_error!("groups {} to {} of {count} do not exist. Stay inside.", groups.start, groups.end))
    }

    fn make_gram(&self) -> Vec<PlannedDispatch> {
        let mut dispatches = Vec::new();
        for (window, batch) in self.batches() {
            for tile in &self.tiles {
                let mut dispatch = self.dispatch(Kernel::gram(tile, false), window, batch, tile.inputs.clone());
                dispatch.sum_count = tile.pairs().count();
                dispatch.largest_count = if tile.is_triangle() { tile.inputs.len() } else { 0 };
                dispatches.push(dispatch);
            }
        }
        dispatches
    }

    /// The dispatch of a kernel over a batch. Its rows are segments.
    fn dispatch(&self, kernel: Kernel, window: usize, batch: usize, slots: Vec<usize>) -> PlannedDispatch {
        let Window { inputs, batches, .. } = &self.windows[window];
        let chunks = &batches[batch];
        PlannedDispatch {
            kernel,
            element: self.element,
            inputs: *inputs,
            window,
            batch: Some(batch),
            call: self.call(window, &slots, chunks.chunks.len()),
            slots,
            tables: Vec::new(),
            sum_count: 0,
            largest_count: 0,
            rows: chunks.chunks.iter().map(|chunk| chunks.rows[chunk.row as usize]).collect(),
        }
    }

    pub(super) fn call(&self, window: usize, slots: &[usize], count: usize) -> Call {
        let window = &self.windows[window];
        if window.inputs == Inputs::Slab {
            return Call::of_slots(slots.iter().copied(), window.group_count(), count);
        }
        Call {
            count: count as u32,
            chunk_groups: window.batches[0].chunks[0].group_count,
            segment_groups: window.group_count() as u32,
            ..Call::default()
        }
    }
}

/// Bytes of the longest row that a table has for a chunk: all sums of a tile, or the factors and scales of a node.
pub(super) fn row_bytes(slot_count: usize) -> u64 {
    let sums = Tile::cover(slot_count).iter().map(|tile| tile.pairs().count()).max().unwrap_or(1);
    PARTIAL_BYTES * sums.max(2 * slot_count).max(2) as u64
}

fn check_slot_count(slot_count: usize) -> Result<()> {
    if slot_count == 0 {
        return Err(argument_error!("there are 0 slots. Give one for each vector."));
    }
    if slot_count > MAX_INPUTS {
        return Err(Error::Unsupported(format!(
            "there are {slot_count} slots, a device reduces up to {MAX_INPUTS}. Reduce in groups, or on the CPU."
        )));
    }
    Ok(())
}

fn check_memory(layout: &Layout, element: Element, slot_count: usize, limits: &Limits) -> Result<()> {
    let needed = layout.group_count() * (slot_count + 1) as u64 * element.group_bytes() as u64;
    let allowed = limits.memory_bytes;
    if needed <= allowed {
        return Ok(());
    }
    Err(Error::OutOfMemory(format!(
        "{slot_count} slots and a result need {needed} bytes on the device, {allowed} are allowed. Use fewer slots or a shorter \
         vector, or the CPU."
    )))
}
