//! The layout of a vector on a device, and how it is cut into windows, chunks and batches.
//!
//! **Groups.** A thread loads a group of four elements at once. So every segment begins at a multiple of four, and
//! zeros fill the gap before it. Zeros add nothing to any product, so no kernel ever looks at a segment's end.
//!
//! **Windows.** A vector may be longer than the longest binding of a device. So it is cut into windows. Each window has
//! one buffer, a *slab*, which holds that part of every slot, one slot behind the other. Kernels see one slab at a
//! time.
//!
//! **Chunks.** A workgroup takes one chunk at a time: consecutive groups of one segment and one window. Chunks are so
//! long that a segment has at most [`MAX_PARTIALS`] of them; each gives one partial sum, which the host adds. Windows
//! may force a few more.
//!
//! **Batches.** One dispatch takes a batch: chunks of one window whose tables fit into a binding.

use std::ops::Range;

use crate::error::{Error, Result, argument_error};
use crate::shader::{Element, GROUP_ELEMENTS, Inputs};

/// Partial sums that a segment may have, unless it lies in many windows.
pub const MAX_PARTIALS: u64 = 4096;
/// A chunk has no fewer groups, unless its segment or window ends: sixteen for each thread.
const MIN_CHUNK_GROUPS: u64 = 1024;
/// All segments together have no more chunks than this and their own number.
const MAX_CHUNKS: u64 = 65_536;
/// Offsets are u32, and loop counters must not wrap.
const MAX_WINDOW_GROUPS: u64 = 1 << 30;

/// No device has as many buffers. A vector that takes more is refused before its windows are listed, which would take the host's
/// memory.
const MAX_WINDOWS: u64 = 1 << 17;

/// Where a segment begins, on the host and on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    element_count: u64,
    first_element: u64,
    first_group: u64,
}

impl Segment {
    fn groups(&self) -> Range<u64> {
        self.first_group..self.first_group + self.element_count.div_ceil(GROUP_ELEMENTS as u64)
    }
}

/// The segments of a vector.
#[derive(Clone, Debug)]
pub struct Layout {
    segments: Vec<Segment>,
    element_count: u64,
    group_count: u64,
}

/// Elements of one segment that are consecutive both on the host and on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Index of the segment.
    pub segment: usize,
    /// Index of the first element in the segment.
    pub segment_element: u64,
    /// Index of the first element in the vector on the host.
    pub first_element: u64,
    /// At least one.
    pub element_count: u64,
    /// Index of the first element on the device, from the start of the range of groups.
    pub device_element: u64,
}

impl Layout {
    /// # Errors
    /// [`Error::Argument`] if there are no elements, or more than an address can count.
    pub fn new(segment_element_counts: &[u64]) -> Result<Self> {
        let layout = Self::perhaps_empty(segment_element_counts)?;
        if layout.element_count == 0 {
            return Err(argument_error!("the vector has 0 elements. Give at least one."));
        }
        Ok(layout)
    }

    /// The same without a refusal of 0 elements: all segments may lie in buffers of their own.
    pub(crate) fn perhaps_empty(segment_element_counts: &[u64]) -> Result<Self> {
        let mut layout = Self { segments: Vec::new(), element_count: 0, group_count: 0 };
        for &element_count in segment_element_counts {
            let (first_element, first_group) = (layout.element_count, layout.group_count);
            let segment = Segment { element_count, first_element, first_group };
            let end = first_element.checked_add(element_count).filter(|&end| end < 1 << 48);
            layout.element_count = end.ok_or_else(|| {
                argument_error!(
                    "the segments have {first_element} and {element_count} elements and more; 2^48 is the limit. Check the counts."
                )
            })?;
            layout.group_count = segment.groups().end;
            layout.segments.push(segment);
        }
        Ok(layout)
    }

    /// How many segments there are.
    pub fn segment_count(&self) -> usize {
        self.segments.len()
    }

    /// Elements of a segment.
    pub fn segment_element_count(&self, segment: usize) -> u64 {
        self.segments[segment].element_count
    }

    /// Elements on the host.
    pub fn element_count(&self) -> u64 {
        self.element_count
    }

    /// Groups on the device.
    pub fn group_count(&self) -> u64 {
        self.group_count
    }

    /// Copies the elements of some groups from a whole vector to where they lie on the device, zeros in the gaps.
    pub fn scatter(&self, element: Element, vector: &[u8], groups: Range<u64>, out: &mut Vec<u8>) {
        let byte_length = element.byte_length() as u64;
        out.clear();
        out.resize((groups.end - groups.start) as usize * element.group_bytes(), 0);
        for stretch in self.stretches(groups) {
            let from = (stretch.first_element * byte_length) as usize;
            let to = (stretch.device_element * byte_length) as usize;
            let count = (stretch.element_count * byte_length) as usize;
            out[to..to + count].copy_from_slice(&vector[from..from + count]);
        }
    }

    /// Copies the elements of some groups from the device's order into a whole vector.
    pub fn gather(&self, element: Element, device: &[u8], groups: Range<u64>, vector: &mut [u8]) {
        let byte_length = element.byte_length() as u64;
        for stretch in self.stretches(groups) {
            let to = (stretch.first_element * byte_length) as usize;
            let from = (stretch.device_element * byte_length) as usize;
            let count = (stretch.element_count * byte_length) as usize;
            vector[to..to + count].copy_from_slice(&device[from..from + count]);
        }
    }

    /// The stretches of which some groups consist, apart from the gaps.
    pub fn stretches(&self, groups: Range<u64>) -> impl Iterator<Item = Stretch> {
        const GROUP: u64 = GROUP_ELEMENTS as u64;
        self.segments_in(groups.clone()).map(move |(index, segment)| {
            let begin = segment.first_group.max(groups.start);
            let first = (begin - segment.first_group) * GROUP;
            let end = segment.element_count.min((groups.end.saturating_sub(segment.first_group)) * GROUP);
            Stretch {
                segment: index,
                segment_element: first,
                first_element: segment.first_element + first,
                element_count: end - first,
                device_element: (begin - groups.start) * GROUP,
            }
        })
    }

    /// The segments that have a group in the range.
    fn segments_in(&self, groups: Range<u64>) -> impl Iterator<Item = (usize, &Segment)> {
        let first = self.segments.partition_point(|segment| segment.groups().end <= groups.start);
        let segments = self.segments.iter().enumerate().skip(first);
        let until = segments.take_while(move |(_, segment)| segment.first_group < groups.end);
        until.filter(|(_, segment)| segment.element_count > 0)
    }
}

/// What a device allows, and what the caller allows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a storage binding.
    pub binding_bytes: u64,
    /// Bytes of a buffer.
    pub buffer_bytes: u64,
    /// Workgroups of a dispatch.
    pub workgroups: u32,
    /// Bytes of all buffers of a reducer.
    pub memory_bytes: u64,
}

impl Limits {
    pub(crate) fn largest_buffer(&self) -> u64 {
        self.binding_bytes.min(self.buffer_bytes)
    }
}

/// Groups of one segment, inside one window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Counted from the window's start.
    pub first_group: u32,
    /// At least one.
    pub group_count: u32,
    /// Index into the batch's rows.
    pub row: u32,
}

/// The chunks that one dispatch works on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// In the order of their groups.
    pub chunks: Vec<Chunk>,
    /// What each row of the tables is for: the index of a segment, or of an entry in the caller's list.
    pub rows: Vec<usize>,
}

impl Batch {
    /// Adds a chunk, and its row unless the last chunk had the same.
    pub fn push(&mut self, first_group: u64, group_count: u64, row: usize) {
        if self.rows.last() != Some(&row) {
            self.rows.push(row);
        }
        let row = (self.rows.len() - 1) as u32;
        self.chunks.push(Chunk { first_group: first_group as u32, group_count: group_count as u32, row });
    }
}

/// A part of all slots that lies in one buffer, or a segment for which every input has a buffer of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Which of the two it is.
    pub inputs: Inputs,
    /// Its groups, counted from the start of the vector, or of the segment.
    pub groups: Range<u64>,
    /// In the order of their groups.
    pub batches: Vec<Batch>,
}

impl Window {
    /// How many groups of each slot it holds.
    pub fn group_count(&self) -> u64 {
        self.groups.end - self.groups.start
    }
}

/// The windows of a reducer's vectors. `row_bytes` is the length of the longest row that a table has for a chunk.
///
/// # Errors
/// [`Error::Unsupported`] if not even one group of every slot fits into a binding; [`Error::OutOfMemory`] for more windows than
/// any device has buffers.
pub fn windows(
    layout: &Layout,
    element: Element,
    slot_count: usize,
    row_bytes: u64,
    limits: &Limits,
) -> Result<Vec<Window>> {
    let bytes = slot_count as u64 * element.group_bytes() as u64;
    // A result of f32 has groups of 16 bytes, whatever the slots have.
    let most = (limits.largest_buffer() / bytes).min(limits.largest_buffer() / 16).min(MAX_WINDOW_GROUPS);
    let batch_chunks = (limits.largest_buffer() / row_bytes) as usize;
    if most == 0 || batch_chunks == 0 {
        return Err(Error::Unsupported(format!(
            "a group of all {slot_count} slots has {bytes} bytes and a row of a table {row_bytes}; the device binds {}. Use fewer \
             slots, or the CPU.",
            limits.largest_buffer()
        )));
    }
    let window_count = layout.group_count.div_ceil(most);
    if window_count > MAX_WINDOWS {
        return Err(Error::OutOfMemory(format!(
            "{slot_count} slots of {} elements take {window_count} buffers of at most {} bytes, of at most {MAX_WINDOWS}. Use fewer \
             slots or a shorter vector, or the CPU.",
            layout.element_count,
            limits.largest_buffer()
        )));
    }
    let ranges = (0..window_count).map(|window| window * most..layout.group_count.min((window + 1) * most));
    Ok(ranges.map(|groups| window(layout, groups, window_count, batch_chunks)).collect())
}

/// The window of a segment whose inputs have buffers of their own; none if it has too many chunks for one dispatch.
pub(crate) fn own_window(segment: usize, element_count: u64, row_bytes: u64, limits: &Limits) -> Option<Window> {
    let group_count = element_count.div_ceil(GROUP_ELEMENTS as u64);
    let length = MIN_CHUNK_GROUPS.max(group_count.div_ceil(MAX_PARTIALS));
    let mut batch = Batch::default();
    for begin in (0..group_count).step_by(length as usize) {
        batch.push(begin, length.min(group_count - begin), segment);
    }
    let fits = batch.chunks.len() as u64 * row_bytes <= limits.largest_buffer();
    fits.then(|| Window { inputs: Inputs::Separate, groups: 0..group_count, batches: vec![batch] })
}

fn window(layout: &Layout, groups: Range<u64>, window_count: u64, batch_chunks: usize) -> Window {
    let mut batches = vec![Batch::default()];
    for (index, segment) in layout.segments_in(groups.clone()) {
        let partials = MAX_PARTIALS.saturating_sub(window_count).max(1);
        let segment_groups = segment.groups().end - segment.first_group;
        let length =
            MIN_CHUNK_GROUPS.max(segment_groups.div_ceil(partials)).max(layout.group_count.div_ceil(MAX_CHUNKS));
        let (mut at, end) = (segment.first_group.max(groups.start), segment.groups().end.min(groups.end));
        while at < end {
            let count = length.min(end - at);
            if batches.last().is_some_and(|batch| batch.chunks.len() == batch_chunks) {
                batches.push(Batch::default());
            }
            if let Some(batch) = batches.last_mut() {
                batch.push(at - groups.start, count, index);
            }
            at += count;
        }
    }
    Window { inputs: Inputs::Slab, groups, batches }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a refusal is a failure here")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ROOMY: Limits =
        Limits { binding_bytes: 1 << 27, buffer_bytes: 1 << 28, workgroups: 65_535, memory_bytes: u64::MAX };

    fn bytes_of(elements: impl Iterator<Item = u32>) -> Vec<u8> {
        elements.flat_map(u32::to_le_bytes).collect()
    }

    #[test]
    fn segments_begin_at_groups_and_zeros_fill_the_gaps() {
        let layout = Layout::new(&[3, 0, 5]).unwrap();
        assert_eq!((layout.element_count(), layout.group_count()), (8, 3));
        let mut device = Vec::new();
        layout.scatter(Element::F32, &bytes_of(1..=8), 0..3, &mut device);
        assert_eq!(device, bytes_of([1, 2, 3, 0, 4, 5, 6, 7, 8, 0, 0, 0].into_iter()));
        layout.scatter(Element::F32, &bytes_of(1..=8), 1..2, &mut device);
        assert_eq!(device, bytes_of(4..=7));
        let mut vector = bytes_of([0; 8].into_iter());
        layout.gather(Element::F32, &bytes_of([9, 10, 11, 12].into_iter()), 2..3, &mut vector);
        assert_eq!(vector, bytes_of([0, 0, 0, 0, 0, 0, 0, 9].into_iter()));
    }

    #[test]
    fn an_empty_vector_and_one_beyond_all_addresses_are_refused() {
        assert_eq!(Layout::new(&[]).unwrap_err().code(), "ERR_ARGUMENT");
        assert_eq!(Layout::new(&[0, 0]).unwrap_err().code(), "ERR_ARGUMENT");
        assert_eq!(Layout::new(&[1, u64::MAX]).unwrap_err().code(), "ERR_ARGUMENT");
    }

    #[test]
    fn a_long_segment_has_no_more_partial_sums_than_promised() {
        let layout = Layout::new(&[100_000_000]).unwrap();
        let windows = windows(&layout, Element::F32, 2, 24, &ROOMY).unwrap();
        let chunks: usize = windows.iter().flat_map(|window| &window.batches).map(|batch| batch.chunks.len()).sum();
        assert!(windows.len() > 1);
        assert!(chunks as u64 <= MAX_PARTIALS, "{chunks}");
    }

    #[test]
    fn what_fits_into_no_binding_is_refused() {
        let layout = Layout::new(&[5]).unwrap();
        let limits = Limits { binding_bytes: 64, ..ROOMY };
        assert_eq!(windows(&layout, Element::F32, 5, 8, &limits).unwrap_err().code(), "ERR_UNSUPPORTED");
    }

    proptest! {
        #[test]
        fn chunks_hold_every_group_once_inside_segments_windows_and_limits(
            segments in prop::collection::vec(0_u64..40_000, 1..40),
            slot_count in 1_usize..=16,
            binding_bytes in 1024_u64..200_000,
        ) {
            prop_assume!(segments.iter().sum::<u64>() > 0);
            let layout = Layout::new(&segments).unwrap();
            let limits = Limits { binding_bytes, ..ROOMY };
            let windows = windows(&layout, Element::F32, slot_count, 100, &limits).unwrap();
            let mut next_group = 0;
            for window in &windows {
                prop_assert!(window.group_count() * slot_count as u64 * 16 <= binding_bytes);
                for batch in &window.batches {
                    prop_assert!(batch.chunks.len() as u64 * 100 <= binding_bytes);
                    prop_assert!(batch.rows.len() <= batch.chunks.len());
                    for chunk in &batch.chunks {
                        let begin = window.groups.start + u64::from(chunk.first_group);
                        let end = begin + u64::from(chunk.group_count);
                        let segment = layout.segments[batch.rows[chunk.row as usize]].groups();
                        prop_assert!(begin == next_group && end > begin);
                        prop_assert!(segment.start <= begin && end <= segment.end && end <= window.groups.end);
                        next_group = end;
                    }
                }
            }
            prop_assert_eq!(next_group, layout.group_count());
        }

        #[test]
        fn gathering_what_was_scattered_gives_it_back(
            segments in prop::collection::vec(0_u64..30, 1..20),
            cuts in prop::collection::vec(0_u64..200, 0..4),
            is_half: bool,
        ) {
            prop_assume!(segments.iter().sum::<u64>() > 0);
            let layout = Layout::new(&segments).unwrap();
            let element = if is_half { Element::Bf16 } else { Element::F32 };
            let vector: Vec<u8> = (0..layout.element_count() as usize * element.byte_length()).map(|i| i as u8 | 1).collect();
            let mut cuts: Vec<u64> = cuts.into_iter().map(|cut| cut.min(layout.group_count())).collect();
            cuts.extend([0, layout.group_count()]);
            cuts.sort_unstable();
            let (mut device, mut back) = (Vec::new(), vec![0; vector.len()]);
            for range in cuts.windows(2) {
                layout.scatter(element, &vector, range[0]..range[1], &mut device);
                layout.gather(element, &device, range[0]..range[1], &mut back);
            }
            prop_assert_eq!(vector, back);
        }
    }
}
