//! Sums over a few segments only: scaled products, and those of nodes that cancel.

use std::collections::{BTreeMap, BTreeSet};

use super::{DeviceWindow, GpuReducer, Products, row_bytes, triangle};
use crate::dispatch::{Call, filled, pairs_of};
use crate::error::Result;
use crate::layout::{Batch, Chunk};
use crate::partials::{Source, Sums, chunk_table, run};
use crate::scaling::scale_of;
use crate::shader::{Kernel, Tile};
use crate::solve::Wanted;

/// The bytes of a table's row.
type RowOf<'a> = Box<dyn Fn(usize) -> Vec<u8> + 'a>;

/// A kernel to run over the chunks of some segments.
struct Task<'a> {
    kernel: Kernel,
    sum_count: usize,
    /// Slots that are its inputs.
    inputs: &'a [usize],
    /// The segment of each row.
    segments: &'a [usize],
    /// Bindings, and what the table there holds for a row.
    tables: Vec<(u32, RowOf<'a>)>,
}

impl GpuReducer {
    /// Runs a task over all windows: one list of sums a row.
    fn sums_of(&self, task: &Task<'_>) -> Result<Vec<Vec<f64>>> {
        let mut work = Vec::new();
        for window in &self.windows {
            for batch in self.selected(window, task.segments) {
                let sums = self.sums_over(window, &batch, task)?;
                work.push((sums, batch.rows));
            }
        }
        let mut totals = vec![vec![0.0; task.sum_count]; task.segments.len()];
        let all: Vec<_> = work.iter().map(|(sums, _)| sums).collect();
        run(&self.gpu, &all, |index, bytes| {
            let (sums, rows) = &work[index];
            sums.add(bytes, |row, place, sum| totals[rows[row]][place] += sum, |_, _, _| ());
        })?;
        Ok(totals)
    }

    fn sums_over(&self, window: &DeviceWindow, batch: &Batch, task: &Task<'_>) -> Result<Sums> {
        let mut tables = Vec::with_capacity(task.tables.len());
        for (binding, row_of) in &task.tables {
            let bytes: Vec<u8> = batch.rows.iter().flat_map(|&row| row_of(row)).collect();
            tables.push((*binding, filled(&self.gpu, &bytes)?));
        }
        let chunks = chunk_table(&self.gpu, batch)?;
        let source = Source {
            kernel: task.kernel,
            element: self.element,
            sum_count: task.sum_count,
            largest_count: 0,
            call: Call::of_slots(task.inputs.iter().copied(), window.window.group_count(), batch.chunks.len()),
            slab: &window.slab,
            tables,
        };
        Sums::new(&self.gpu, batch, &chunks, &source)
    }

    /// The window's chunks of the segments of each row, in batches.
    fn selected(&self, window: &DeviceWindow, segments: &[usize]) -> Vec<Batch> {
        let wanted: BTreeSet<usize> = segments.iter().copied().collect();
        let mut chunks: BTreeMap<usize, Vec<Chunk>> = BTreeMap::new();
        for batch in &window.window.batches {
            for chunk in &batch.chunks {
                let segment = batch.rows[chunk.row as usize];
                if wanted.contains(&segment) {
                    chunks.entry(segment).or_default().push(*chunk);
                }
            }
        }
        let most = (self.gpu.limits().binding_bytes / row_bytes(self.slot_count)) as usize;
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

    /// Replaces the products of some segments, whose scales are known, by those of scaled inputs.
    pub(super) fn scaled_products(&self, products: &mut Products, segments: &[usize]) -> Result<()> {
        let k = self.slot_count;
        segments.iter().for_each(|&segment| products.row_mut(segment).fill(0.0));
        for tile in Tile::cover(k) {
            let pairs: Vec<_> = tile.pairs().collect();
            let totals = {
                let scales_of = |row: usize| {
                    let scales = &products.scales[&segments[row]];
                    tile.inputs.iter().flat_map(|&slot| (scales[slot] as f32).to_le_bytes()).collect()
                };
                self.sums_of(&Task {
                    kernel: Kernel::gram(&tile, true),
                    sum_count: pairs.len(),
                    inputs: &tile.inputs,
                    segments,
                    tables: vec![(5, Box::new(scales_of))],
                })?
            };
            for (&segment, totals) in segments.iter().zip(totals) {
                let scales = products.scales[&segment].clone();
                let row = &mut products.gram[segment * triangle(k)..][..triangle(k)];
                for (&(i, j), total) in pairs.iter().zip(totals) {
                    row[adasum_core::coefficients::triangle_index(k, i, j)] = total / (scales[i] * scales[j]);
                }
            }
        }
        Ok(())
    }

    /// The products of nodes that cancel, with themselves and with every slot.
    pub(super) fn measure(&self, products: &Products, wanted: &[Wanted]) -> Result<Vec<Vec<f64>>> {
        let is_scaled = |wanted: &Wanted| products.scales.contains_key(&wanted.segment);
        let mut answers: Vec<Vec<f64>> = vec![Vec::new(); wanted.len()];
        for scaled in [false, true] {
            let rows: Vec<usize> = (0..wanted.len()).filter(|&row| is_scaled(&wanted[row]) == scaled).collect();
            if rows.is_empty() {
                continue;
            }
            let nodes: Vec<_> = rows.iter().map(|&row| self.node(products, &wanted[row])).collect();
            let segments: Vec<_> = rows.iter().map(|&row| wanted[row].segment).collect();
            for ((&row, node), sums) in rows.iter().zip(&nodes).zip(self.measured(&nodes, &segments, scaled)?) {
                answers[row] = node.unscaled(&sums);
            }
        }
        Ok(answers)
    }

    fn node(&self, products: &Products, wanted: &Wanted) -> Node {
        let vector = &wanted.request.vector;
        let Some(scales) = products.scales.get(&wanted.segment) else {
            return Node { factors: vector.clone(), scales: vec![1.0; self.slot_count], own_scale: 1.0 };
        };
        let magnitudes = products.magnitudes(wanted.segment, self.element);
        let terms = vector.iter().zip(&magnitudes).filter(|(factor, _)| **factor != 0.0);
        let own_scale = scale_of(terms.map(|(factor, magnitude)| (factor * magnitude).abs()).fold(0.0, f64::max));
        let factors = vector.iter().zip(scales).map(|(factor, scale)| factor * own_scale / scale).collect();
        Node { factors, scales: scales.clone(), own_scale }
    }

    fn measured(&self, nodes: &[Node], segments: &[usize], is_scaled: bool) -> Result<Vec<Vec<f64>>> {
        let inputs: Vec<usize> = (0..self.slot_count).collect();
        let mut task = Task {
            kernel: Kernel::Refine { input_count: self.slot_count, is_scaled },
            sum_count: self.slot_count + 1,
            inputs: &inputs,
            segments,
            tables: vec![(4, Box::new(|row: usize| pairs_of(nodes[row].factors.iter().copied())))],
        };
        if is_scaled {
            let scales_of =
                |row: usize| nodes[row].scales.iter().flat_map(|&scale| (scale as f32).to_le_bytes()).collect();
            task.tables.push((5, Box::new(scales_of)));
        }
        self.sums_of(&task)
    }
}

/// A combination as the kernel forms it: of scaled inputs, and scaled itself.
struct Node {
    factors: Vec<f64>,
    scales: Vec<f64>,
    own_scale: f64,
}

impl Node {
    /// The products of the combination as it was wanted.
    fn unscaled(&self, sums: &[f64]) -> Vec<f64> {
        let with_inputs = sums[1..].iter().zip(&self.scales).map(|(sum, scale)| sum / (self.own_scale * scale));
        std::iter::once(sums[0] / (self.own_scale * self.own_scale)).chain(with_inputs).collect()
    }
}
