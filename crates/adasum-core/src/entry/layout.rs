//! The tables of counts that JavaScript passes as doubles: the checks that they are integers, and that they add up.

use std::ops::Range;

use crate::blocks::{BLOCK_ELEMENTS, Run};
use crate::error::{Result, argument_error};

/// The largest integer up to which doubles count without gaps.
const LARGEST_COUNT: f64 = 9_007_199_254_740_991.0;

/// A run of a segment, and its offset in the slice.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub run: Run,
    /// Index of the piece's first element in the slice.
    pub offset: usize,
}

impl Piece {
    /// A whole segment that begins at `offset` of the slice.
    pub fn whole(offset: usize, element_count: usize) -> Self {
        Self { run: Run::whole(element_count as u64), offset }
    }

    /// How many elements the piece has.
    pub fn element_count(&self) -> usize {
        self.run.element_count as usize // The sum over all pieces was checked to fit.
    }

    /// A part of the piece. The range is in elements from the piece's start; it begins and ends at blocks or at the
    /// piece's end.
    pub fn part(&self, range: Range<usize>) -> Self {
        let run = Run {
            first_element: self.run.first_element + range.start as u64,
            element_count: range.len() as u64,
            ..self.run
        };
        Self { run, offset: self.offset + range.start }
    }

    /// How many nodes `gram` writes for the piece; a whole piece has one.
    pub fn node_count(&self) -> u64 {
        self.run.node_count()
    }

    /// The blocks, each with its index in the tree, its offset in the slice and its length.
    pub fn blocks(&self) -> impl Iterator<Item = (u64, usize, usize)> {
        let (run, offset) = (self.run, self.offset);
        let first = run.blocks().start;
        run.blocks().map(move |block| {
            (block, offset + (block - first) as usize * BLOCK_ELEMENTS, run.block_element_count(block))
        })
    }
}

/// A slice's pieces.
#[derive(Debug)]
pub(super) struct Pieces {
    pub pieces: Vec<Piece>,
    /// Elements in the slice.
    pub element_count: usize,
}

impl Pieces {
    /// Reads triples of segmentElementCount, firstElement, elementCount.
    pub fn parse(table: &[f64]) -> Result<Self> {
        let (triples, rest) = table.as_chunks::<3>();
        if !rest.is_empty() {
            return Err(argument_error!(
                "`pieces` has {} numbers, which is no multiple of 3. Give three numbers a piece.",
                table.len()
            ));
        }
        let mut offsets = Offsets::default();
        let mut pieces = Vec::with_capacity(triples.len());
        for &[segment, first, count] in triples {
            let run = parse_run(count_of("segmentElementCount", segment)?, first, count)?;
            pieces.push(Piece { run, offset: offsets.take(run.element_count)? });
        }
        Ok(Self { pieces, element_count: offsets.total })
    }

    /// Nodes of the pieces that `choose` picks.
    pub fn node_count(&self, choose: impl Fn(&Piece) -> bool) -> u64 {
        self.pieces.iter().filter(|piece| choose(piece)).map(Piece::node_count).sum()
    }
}

/// Reads pairs of firstElement, elementCount that cover a segment in ascending order.
pub(super) fn parse_runs(segment_element_count: f64, table: &[f64]) -> Result<Vec<Run>> {
    let segment = count_of("segmentElementCount", segment_element_count)?;
    let (pairs, rest) = table.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(argument_error!(
            "`runs` has {} numbers, which is no multiple of 2. Give two numbers a run.",
            table.len()
        ));
    }
    let mut next_element = 0;
    let mut runs = Vec::with_capacity(pairs.len());
    for &[first, count] in pairs {
        let run = parse_run(segment, first, count)?;
        if run.first_element != next_element {
            return Err(argument_error!(
                "a run begins at element {} of its segment, the one before it ends at {next_element}. List the runs in \
                 ascending order, without gaps.",
                run.first_element
            ));
        }
        next_element += run.element_count;
        runs.push(run);
    }
    if next_element != segment || runs.is_empty() {
        return Err(argument_error!(
            "{} runs cover {next_element} elements of a segment of {segment}. List the runs of all ranks.",
            runs.len()
        ));
    }
    Ok(runs)
}

/// Reads element counts of consecutive parts: for each its offset and length, and the sum.
pub(super) fn parse_parts(name: &str, table: &[f64]) -> Result<(Vec<(usize, usize)>, usize)> {
    let mut offsets = Offsets::default();
    let mut parts = Vec::with_capacity(table.len());
    for &count in table {
        let count = count_of(name, count)?;
        parts.push((offsets.take(count)?, count as usize));
    }
    Ok((parts, offsets.total))
}

/// A double as a count.
pub(super) fn count_of(name: &str, value: f64) -> Result<u64> {
    if !(0.0..=LARGEST_COUNT).contains(&value) || value.fract() != 0.0 {
        return Err(argument_error!(
            "{name} is {value}, which is no count from 0 to {LARGEST_COUNT}. Give a whole number."
        ));
    }
    Ok(value as u64)
}

fn parse_run(segment_element_count: u64, first: f64, count: f64) -> Result<Run> {
    let first_element = count_of("firstElement", first)?;
    let element_count = count_of("elementCount", count)?;
    let end = first_element + element_count; // Both below 2^53.
    if end > segment_element_count {
        return Err(argument_error!(
            "a piece ends at element {end}, its segment has {segment_element_count}. Cut inside the segment."
        ));
    }
    let block = BLOCK_ELEMENTS as u64;
    for edge in [first_element, end] {
        if !edge.is_multiple_of(block) && (edge != segment_element_count || edge == first_element) {
            return Err(argument_error!(
                "a cut at element {edge} of a segment of {segment_element_count} is no multiple of {block}. Cut at block \
                 boundaries."
            ));
        }
    }
    Ok(Run { segment_element_count, first_element, element_count })
}

/// Running sum of lengths, which must fit into the address space.
#[derive(Default)]
struct Offsets {
    total: usize,
}

impl Offsets {
    fn take(&mut self, count: u64) -> Result<usize> {
        let start = self.total;
        let end = usize::try_from(count).ok().and_then(|count| start.checked_add(count));
        self.total = end.ok_or_else(|| {
            argument_error!("the lengths {start} and {count} together exceed the address space. Check the counts.")
        })?;
        Ok(start)
    }
}
