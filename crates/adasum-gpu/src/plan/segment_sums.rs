//! Sums over the chunks of some segments only: the products of scaled inputs, and the refinements of nodes that cancel.

use std::collections::{BTreeMap, BTreeSet};

use super::dispatch::{PlannedDispatch, binding, chunk_table, pairs_of};
use super::placement::{Plan, row_bytes};
use super::products::Products;
use crate::layout::{Batch, Chunk, Window};
use crate::scaling::scale_of;
use crate::shader::{Inputs, Kernel};
use crate::solve::SegmentRequest;

/// A kernel that goes over the chunks of some segments.
struct Task {
    kernel: Kernel,
    sum_count: usize,
    /// The slots that are its inputs.
    slots: Vec<usize>,
    /// The segment of each row.
    segments: Vec<usize>,
    /// Bindings, and what the table there holds for each row.
    tables: Vec<(u32, Vec<Vec<u8>>)>,
}

/// The dispatches of some tasks, and the sums that have come back.
#[derive(Debug, Default)]
pub(super) struct SegmentSums {
    pub dispatches: Vec<PlannedDispatch>,
    /// The index of each dispatch's task.
    tasks: Vec<usize>,
    /// One list of sums a row, for each task.
    pub totals: Vec<Vec<Vec<f64>>>,
}

impl SegmentSums {
    fn push(&mut self, plan: &Plan, task: &Task) {
        self.dispatches.extend(plan.dispatches_of(task));
        self.tasks.resize(self.dispatches.len(), self.totals.len());
        self.totals.push(vec![vec![0.0; task.sum_count]; task.segments.len()]);
    }

    /// Adds the sums of a dispatch.
    pub fn add(&mut self, index: usize, bytes: &[u8]) {
        let totals = &mut self.totals[self.tasks[index]];
        self.dispatches[index].add(bytes, |row, index, sum| totals[row][index] += sum, |_, _, _| ());
    }
}

impl Plan {
    fn dispatches_of(&self, task: &Task) -> Vec<PlannedDispatch> {
        let windows = self.windows.iter().enumerate();
        windows
            .flat_map(|(index, window)| match window.inputs {
                Inputs::Slab => self.dispatches_in_slab(index, window, task),
                Inputs::Separate => self.dispatches_in_own_buffers(index, window, task),
            })
            .collect()
    }

    fn dispatches_in_slab(&self, index: usize, window: &Window, task: &Task) -> Vec<PlannedDispatch> {
        let batches = self.batches_of(window, &task.segments);
        let dispatch = |batch: Batch| {
            let rows: Vec<usize> = batch.chunks.iter().map(|chunk| batch.rows[chunk.row as usize]).collect();
            self.task_dispatch(index, task, rows, &batch.rows, vec![(binding::CHUNKS, chunk_table(&batch))])
        };
        batches.into_iter().map(dispatch).collect()
    }

    /// There is no chunk table, so that all chunks of a dispatch belong to one row.
    fn dispatches_in_own_buffers(&self, index: usize, window: &Window, task: &Task) -> Vec<PlannedDispatch> {
        let segment = window.batches[0].rows[0];
        let rows = task.segments.iter().enumerate().filter(|(_, of_row)| **of_row == segment);
        let chunk_count = window.batches[0].chunks.len();
        rows.map(|(row, _)| self.task_dispatch(index, task, vec![row; chunk_count], &[row], Vec::new())).collect()
    }

    fn task_dispatch(
        &self,
        window: usize,
        task: &Task,
        rows: Vec<usize>,
        table_rows: &[usize],
        mut tables: Vec<(u32, Vec<u8>)>,
    ) -> PlannedDispatch {
        for (binding, bytes) in &task.tables {
            tables.push((*binding, table_rows.iter().flat_map(|&row| bytes[row].iter().copied()).collect()));
        }
        PlannedDispatch {
            kernel: task.kernel,
            element: self.element,
            inputs: self.windows[window].inputs,
            window,
            batch: None,
            call: self.call(window, &task.slots, rows.len()),
            slots: task.slots.clone(),
            tables,
            sum_count: task.sum_count,
            largest_count: 0,
            rows,
        }
    }

    /// The window's chunks that belong to these segments, in batches; each batch's rows are indices into `segments`.
    fn batches_of(&self, window: &Window, segments: &[usize]) -> Vec<Batch> {
        let selected: BTreeSet<usize> = segments.iter().copied().collect();
        let mut chunks: BTreeMap<usize, Vec<Chunk>> = BTreeMap::new();
        for batch in &window.batches {
            for chunk in &batch.chunks {
                let segment = batch.rows[chunk.row as usize];
                if selected.contains(&segment) {
                    chunks.entry(segment).or_default().push(*chunk);
                }
            }
        }
        let most = (self.limits.largest_buffer() / row_bytes(self.slot_count)) as usize;
        let mut batches = Vec::new();
        for (row, segment) in segments.iter().enumerate() {
            for chunk in chunks.get(segment).map_or(&[][..], Vec::as_slice) {
                if batches.last().is_none_or(|batch: &Batch| batch.chunks.len() == most) {
                    batches.push(Batch::default());
                }
                if let Some(batch) = batches.last_mut() {
                    batch.push(chunk.first_group.into(), chunk.group_count.into(), row);
                }
            }
        }
        batches
    }

    /// The dispatches for the products of scaled inputs, of segments whose scales `products` has: one task a tile.
    pub(super) fn scaled_sums(&self, products: &Products, segments: &[usize]) -> SegmentSums {
        let mut segment_sums = SegmentSums::default();
        for tile in &self.tiles {
            let scales_of = |segment: &usize| f32_bytes(tile.inputs.iter().map(|&slot| products.scales[segment][slot]));
            let task = Task {
                kernel: Kernel::gram(tile, true),
                sum_count: tile.pairs().count(),
                slots: tile.inputs.clone(),
                segments: segments.to_vec(),
                tables: vec![(binding::SCALES, segments.iter().map(scales_of).collect())],
            };
            segment_sums.push(self, &task);
        }
        segment_sums
    }

    /// Writes the sums of [`Plan::scaled_sums`] into the products.
    pub(super) fn take_scaled(&self, products: &mut Products, segments: &[usize], segment_sums: &SegmentSums) {
        for (tile, totals) in self.tiles.iter().zip(&segment_sums.totals) {
            segments.iter().zip(totals).for_each(|(&segment, sums)| products.set_scaled(segment, tile, sums));
        }
    }

    /// The requested nodes, and the dispatches that refine them: their products with themselves and with every slot.
    pub(super) fn refinement_sums(&self, products: &Products, requests: &[SegmentRequest]) -> (Vec<Node>, SegmentSums) {
        let nodes: Vec<Node> = requests.iter().map(|request| self.node(products, request)).collect();
        let mut segment_sums = SegmentSums::default();
        for is_scaled in [false, true] {
            let chosen: Vec<_> = nodes.iter().zip(requests).filter(|(node, _)| node.is_scaled() == is_scaled).collect();
            if chosen.is_empty() {
                continue;
            }
            let task = Task {
                kernel: Kernel::Refine { input_count: self.slot_count, is_scaled },
                sum_count: self.slot_count + 1,
                slots: (0..self.slot_count).collect(),
                segments: chosen.iter().map(|(_, request)| request.segment).collect(),
                tables: vec![(binding::FACTORS, chosen.iter().map(|(node, _)| node.row()).collect())],
            };
            segment_sums.push(self, &task);
        }
        (nodes, segment_sums)
    }

    fn node(&self, products: &Products, request: &SegmentRequest) -> Node {
        let vector = &request.node.vector;
        let Some(scales) = products.scales.get(&request.segment) else {
            return Node { factors: vector.clone(), scales: None, own_scale: 1.0 };
        };
        let magnitudes = products.magnitudes(request.segment, self.element);
        let terms = vector.iter().zip(&magnitudes).filter(|(factor, _)| **factor != 0.0);
        let own_scale = scale_of(terms.map(|(factor, magnitude)| (factor * magnitude).abs()).fold(0.0, f64::max));
        let factors = vector.iter().zip(scales).map(|(factor, scale)| factor * own_scale / scale).collect();
        Node { factors, scales: Some(scales.clone()), own_scale }
    }
}

fn f32_bytes(numbers: impl Iterator<Item = f64>) -> Vec<u8> {
    numbers.flat_map(|number| (number as f32).to_le_bytes()).collect()
}

/// A tree node whose vector the refine kernel forms, of inputs that may be scaled; the vector itself is then scaled,
/// too.
#[derive(Debug)]
pub(super) struct Node {
    factors: Vec<f64>,
    /// The scales of the segment's inputs, if they were scaled.
    scales: Option<Vec<f64>>,
    own_scale: f64,
}

impl Node {
    fn is_scaled(&self) -> bool {
        self.scales.is_some()
    }

    /// The bytes that `shaders/refine.wgsl` reads: the factors, then the scales.
    fn row(&self) -> Vec<u8> {
        pairs_of(self.factors.iter().chain(self.scales.iter().flatten()).copied())
    }

    /// The products of the vector before it was scaled.
    fn unscaled(&self, sums: &[f64]) -> Vec<f64> {
        let scale_of = |input: usize| self.scales.as_ref().map_or(1.0, |scales| scales[input]);
        let with_inputs = sums[1..].iter().enumerate().map(|(input, sum)| sum / (self.own_scale * scale_of(input)));
        std::iter::once(sums[0] / (self.own_scale * self.own_scale)).chain(with_inputs).collect()
    }
}

/// The products of the nodes, in the order of the nodes; the sums have those of all unscaled nodes first.
pub(super) fn products_of(nodes: &[Node], segment_sums: &SegmentSums) -> Vec<Vec<f64>> {
    let mut totals = segment_sums.totals.iter().flatten();
    let mut all: Vec<Vec<f64>> = vec![Vec::new(); nodes.len()];
    for is_scaled in [false, true] {
        let chosen = nodes.iter().zip(&mut all).filter(|(node, _)| node.is_scaled() == is_scaled);
        for ((node, products), sums) in chosen.zip(&mut totals) {
            *products = node.unscaled(sums);
        }
    }
    all
}
