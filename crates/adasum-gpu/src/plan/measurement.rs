//! Sums over a few segments only: scaled products, and those of nodes that cancel.

use std::collections::{BTreeMap, BTreeSet};

use super::placement::{Plan, row_bytes};
use super::products::Products;
use super::run::{Run, binding, chunk_table, pairs_of};
use crate::layout::{Batch, Chunk, Window};
use crate::scaling::scale_of;
use crate::shader::{Inputs, Kernel};
use crate::solve::Wanted;

/// A kernel to run over the chunks of some segments.
struct Task {
    kernel: Kernel,
    sum_count: usize,
    /// Slots that are its inputs.
    slots: Vec<usize>,
    /// The segment of each row.
    segments: Vec<usize>,
    /// Bindings, and what the table there holds for each row.
    tables: Vec<(u32, Vec<Vec<u8>>)>,
}

/// Tasks on their way: their runs, and what has come back of them.
#[derive(Debug, Default)]
pub(super) struct Measurement {
    pub runs: Vec<Run>,
    /// Of each run.
    tasks: Vec<usize>,
    /// One list of sums a row, for each task.
    pub totals: Vec<Vec<Vec<f64>>>,
}

impl Measurement {
    fn push(&mut self, plan: &Plan, task: &Task) {
        self.runs.extend(plan.runs_of(task));
        self.tasks.resize(self.runs.len(), self.totals.len());
        self.totals.push(vec![vec![0.0; task.sum_count]; task.segments.len()]);
    }

    /// Adds what a run has given.
    pub fn add(&mut self, index: usize, bytes: &[u8]) {
        let totals = &mut self.totals[self.tasks[index]];
        self.runs[index].add(bytes, |row, place, sum| totals[row][place] += sum, |_, _, _| ());
    }
}

impl Plan {
    fn runs_of(&self, task: &Task) -> Vec<Run> {
        let windows = self.windows.iter().enumerate();
        windows
            .flat_map(|(index, window)| match window.inputs {
                Inputs::Slab => self.runs_in_slab(index, window, task),
                Inputs::Separate => self.runs_in_own(index, window, task),
            })
            .collect()
    }

    fn runs_in_slab(&self, index: usize, window: &Window, task: &Task) -> Vec<Run> {
        let batches = self.selected(window, &task.segments);
        let run = |batch: Batch| {
            let rows: Vec<usize> = batch.chunks.iter().map(|chunk| batch.rows[chunk.row as usize]).collect();
            self.measuring(index, task, rows, &batch.rows, vec![(binding::CHUNKS, chunk_table(&batch))])
        };
        batches.into_iter().map(run).collect()
    }

    /// Chunks without a table are all of one row.
    fn runs_in_own(&self, index: usize, window: &Window, task: &Task) -> Vec<Run> {
        let segment = window.batches[0].rows[0];
        let rows = task.segments.iter().enumerate().filter(|(_, wanted)| **wanted == segment);
        let chunk_count = window.batches[0].chunks.len();
        rows.map(|(row, _)| self.measuring(index, task, vec![row; chunk_count], &[row], Vec::new())).collect()
    }

    fn measuring(
        &self,
        window: usize,
        task: &Task,
        rows: Vec<usize>,
        table_rows: &[usize],
        mut tables: Vec<(u32, Vec<u8>)>,
    ) -> Run {
        for (binding, bytes) in &task.tables {
            tables.push((*binding, table_rows.iter().flat_map(|&row| bytes[row].iter().copied()).collect()));
        }
        Run {
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

    /// The window's chunks of the segments of each row, in batches.
    fn selected(&self, window: &Window, segments: &[usize]) -> Vec<Batch> {
        let wanted: BTreeSet<usize> = segments.iter().copied().collect();
        let mut chunks: BTreeMap<usize, Vec<Chunk>> = BTreeMap::new();
        for batch in &window.batches {
            for chunk in &batch.chunks {
                let segment = batch.rows[chunk.row as usize];
                if wanted.contains(&segment) {
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

    /// Asks for the products of some segments, whose scales are known, of scaled inputs: one task a tile.
    pub(super) fn scaled(&self, products: &Products, segments: &[usize]) -> Measurement {
        let mut measurement = Measurement::default();
        for tile in &self.tiles {
            let scales_of = |segment: &usize| f32_bytes(tile.inputs.iter().map(|&slot| products.scales[segment][slot]));
            let task = Task {
                kernel: Kernel::gram(tile, true),
                sum_count: tile.pairs().count(),
                slots: tile.inputs.clone(),
                segments: segments.to_vec(),
                tables: vec![(binding::SCALES, segments.iter().map(scales_of).collect())],
            };
            measurement.push(self, &task);
        }
        measurement
    }

    /// Takes over what was asked for by [`Plan::scaled`].
    pub(super) fn take_scaled(&self, products: &mut Products, segments: &[usize], measurement: &Measurement) {
        for (tile, totals) in self.tiles.iter().zip(&measurement.totals) {
            segments.iter().zip(totals).for_each(|(&segment, sums)| products.set_scaled(segment, tile, sums));
        }
    }

    /// Asks for the products of nodes that cancel, with themselves and with every slot.
    pub(super) fn nodes(&self, products: &Products, wanted: &[Wanted]) -> (Vec<Node>, Measurement) {
        let nodes: Vec<Node> = wanted.iter().map(|wanted| self.node(products, wanted)).collect();
        let mut measurement = Measurement::default();
        for is_scaled in [false, true] {
            let chosen: Vec<_> = nodes.iter().zip(wanted).filter(|(node, _)| node.is_scaled() == is_scaled).collect();
            if chosen.is_empty() {
                continue;
            }
            let task = Task {
                kernel: Kernel::Refine { input_count: self.slot_count, is_scaled },
                sum_count: self.slot_count + 1,
                slots: (0..self.slot_count).collect(),
                segments: chosen.iter().map(|(_, wanted)| wanted.segment).collect(),
                tables: vec![(binding::FACTORS, chosen.iter().map(|(node, _)| node.row()).collect())],
            };
            measurement.push(self, &task);
        }
        (nodes, measurement)
    }

    fn node(&self, products: &Products, wanted: &Wanted) -> Node {
        let vector = &wanted.request.vector;
        let Some(scales) = products.scales.get(&wanted.segment) else {
            return Node { factors: vector.clone(), scales: None, own_scale: 1.0 };
        };
        let magnitudes = products.magnitudes(wanted.segment, self.element);
        let terms = vector.iter().zip(&magnitudes).filter(|(factor, _)| **factor != 0.0);
        let own_scale = scale_of(terms.map(|(factor, magnitude)| (factor * magnitude).abs()).fold(0.0, f64::max));
        let factors = vector.iter().zip(scales).map(|(factor, scale)| factor * own_scale / scale).collect();
        Node { factors, scales: Some(scales.clone()), own_scale }
    }
}

fn f32_bytes(numbers: impl Iterator<Item = f64>) -> Vec<u8> {
    numbers.flat_map(|number| (number as f32).to_le_bytes()).collect()
}

/// A combination as the kernel forms it: of scaled inputs, and scaled itself.
#[derive(Debug)]
pub(super) struct Node {
    factors: Vec<f64>,
    /// Where the segment's inputs were scaled.
    scales: Option<Vec<f64>>,
    own_scale: f64,
}

impl Node {
    fn is_scaled(&self) -> bool {
        self.scales.is_some()
    }

    /// As `shaders/refine.wgsl` reads it: the scales stand behind the factors.
    fn row(&self) -> Vec<u8> {
        pairs_of(self.factors.iter().chain(self.scales.iter().flatten()).copied())
    }

    /// The products of the combination as it was wanted.
    fn unscaled(&self, sums: &[f64]) -> Vec<f64> {
        let scale_of = |input: usize| self.scales.as_ref().map_or(1.0, |scales| scales[input]);
        let with_inputs = sums[1..].iter().enumerate().map(|(input, sum)| sum / (self.own_scale * scale_of(input)));
        std::iter::once(sums[0] / (self.own_scale * self.own_scale)).chain(with_inputs).collect()
    }
}

/// The answers of nodes, in their order: those that were not scaled came first.
pub(super) fn answers(nodes: &[Node], measurement: &Measurement) -> Vec<Vec<f64>> {
    let mut totals = measurement.totals.iter().flatten();
    let mut all: Vec<Vec<f64>> = vec![Vec::new(); nodes.len()];
    for is_scaled in [false, true] {
        let chosen = nodes.iter().zip(&mut all).filter(|(node, _)| node.is_scaled() == is_scaled);
        for ((node, answer), sums) in chosen.zip(&mut totals) {
            *answer = node.unscaled(sums);
        }
    }
    all
}
