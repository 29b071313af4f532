//! The Gram matrices, as the partial sums of the dispatches are added to them.

use std::collections::BTreeMap;

use adasum_core::coefficients::triangle_index;

use super::dispatch::PlannedDispatch;
use crate::shader::{Element, Tile};

/// The Gram matrix of every segment, and the largest magnitude of each input in it.
#[derive(Debug)]
pub(super) struct Products {
    slot_count: usize,
    /// An upper triangle a segment.
    pub gram: Vec<f64>,
    /// Bits of the largest magnitude, one a segment and input.
    largest: Vec<u32>,
    /// The powers of two by which the inputs of a segment are multiplied, for segments whose inputs are scaled.
    pub scales: BTreeMap<usize, Vec<f64>>,
}

impl Products {
    pub fn new(segment_count: usize, slot_count: usize) -> Self {
        Self {
            slot_count,
            gram: vec![0.0; segment_count * triangle(slot_count)],
            largest: vec![0; segment_count * slot_count],
            scales: BTreeMap::new(),
        }
    }

    /// Adds the sums and magnitudes of a dispatch over a tile.
    pub fn add(&mut self, dispatch: &PlannedDispatch, bytes: &[u8], tile: &Tile) {
        let k = self.slot_count;
        let indices: Vec<_> = tile.pairs().map(|(i, j)| triangle_index(k, i, j)).collect();
        let (gram, largest) = (&mut self.gram, &mut self.largest);
        dispatch.add(
            bytes,
            |segment, pair, sum| gram[segment * triangle(k) + indices[pair]] += sum,
            |segment, input, bits| {
                let magnitude = &mut largest[segment * k + tile.inputs[input]];
                *magnitude = bits.max(*magnitude);
            },
        );
    }

    /// Replaces the products of a tile's inputs in a segment by those of scaled inputs.
    pub fn set_scaled(&mut self, segment: usize, tile: &Tile, sums: &[f64]) {
        let k = self.slot_count;
        let scales = &self.scales[&segment];
        let row = &mut self.gram[segment * triangle(k)..][..triangle(k)];
        for ((i, j), sum) in tile.pairs().zip(sums) {
            row[triangle_index(k, i, j)] = sum / (scales[i] * scales[j]);
        }
    }

    pub fn magnitudes(&self, segment: usize, element: Element) -> Vec<f64> {
        let bits = &self.largest[segment * self.slot_count..][..self.slot_count];
        bits.iter().map(|&bits| element.magnitude(bits)).collect()
    }

    /// The slots that have NaN or infinity in any segment.
    pub fn non_finite(&self, element: Element) -> Vec<usize> {
        let rows = || self.largest.chunks_exact(self.slot_count);
        let is_non_finite = |&slot: &usize| rows().any(|row| !element.magnitude(row[slot]).is_finite());
        (0..self.slot_count).filter(is_non_finite).collect()
    }

    pub fn row_mut(&mut self, segment: usize) -> &mut [f64] {
        let width = triangle(self.slot_count);
        &mut self.gram[segment * width..][..width]
    }
}

fn triangle(k: usize) -> usize {
    k * (k + 1) / 2
}
