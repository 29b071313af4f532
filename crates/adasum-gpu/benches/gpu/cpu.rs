//! The same reduction by adasum-core, on one thread.

use adasum_core::Engine;
use adasum_core::dtype::Dtype;
use adasum_core::entry::{Results, View, ViewMut};
use adasum_gpu::shader::Element;

pub struct OnCpu {
    dtype_code: f64,
    element_count: f64,
    inputs: Vec<Vec<u32>>,
    weights: Vec<f64>,
    out: Vec<u32>,
    stats: Vec<f64>,
}

impl OnCpu {
    pub fn new(element: Element, inputs: &[Vec<u8>]) -> Self {
        let inputs: Vec<Vec<u32>> = inputs.iter().map(|input| words_of(input)).collect();
        Self {
            dtype_code: Dtype::ALL.iter().position(|&dtype| dtype == element.dtype()).unwrap() as f64,
            element_count: (inputs[0].len() * 4 / element.byte_length()) as f64,
            weights: vec![1.0; inputs.len()],
            out: vec![0; inputs[0].len()],
            stats: vec![0.0; 2 + inputs.len()],
            inputs,
        }
    }

    pub fn reduce(&mut self) {
        let views: Vec<View<'_>> = self.inputs.iter().map(|input| View::of(input)).collect();
        let results = Results {
            out: ViewMut::of(&mut self.out),
            nodes: ViewMut::of::<f64>(&mut []),
            stats: ViewMut::of(&mut self.stats),
        };
        let pieces = [self.element_count, 0.0, self.element_count];
        let (code, weights) = (self.dtype_code, View::of(&self.weights));
        Engine::active().unwrap().reduce(2.0, code, code, &views, weights, View::of(&pieces), results).unwrap();
    }

    /// The coefficients of the last reduction.
    pub fn coefficients(&self) -> &[f64] {
        &self.stats[2..]
    }

    /// The last result.
    pub fn bytes(&self) -> Vec<u8> {
        self.out.iter().flat_map(|word| word.to_le_bytes()).collect()
    }
}

/// Aligned as every dtype needs it.
fn words_of(bytes: &[u8]) -> Vec<u32> {
    bytes.as_chunks::<4>().0.iter().map(|&word| u32::from_le_bytes(word)).collect()
}
