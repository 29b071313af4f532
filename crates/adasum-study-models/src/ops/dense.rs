//! Products with a matrix of weights.

use std::ops::Range;

use crate::matrix::{ADD, Matrix, multiply, multiply_into};
use crate::tape::{Derivative, Id, Step, Tape};

struct Product {
    x: Id,
    weights: Range<usize>,
    inputs: usize,
    outputs: usize,
}

impl Tape<'_> {
    /// `x` [rows, inputs] times weights [inputs, outputs].
    pub fn product(&mut self, x: Id, weights: Range<usize>, outputs: usize) -> Id {
        let inputs = weights.len() / outputs;
        let rows = self.value(x).len() / inputs;
        let matrix = Matrix::new(&self.weights[weights.clone()], inputs, outputs);
        let value = multiply(Matrix::new(self.value(x), rows, inputs), matrix);
        self.push(value, Product { x, weights, inputs, outputs })
    }
}

impl Derivative for Product {
    fn backward(&self, step: &mut Step<'_>) {
        let Self { x, inputs, outputs, .. } = *self;
        let rows = step.gradient.len() / outputs;
        let gradient = Matrix::new(step.gradient, rows, outputs);
        let samples = Matrix::new(step.others.value(x), rows, inputs);
        multiply_into(samples.transposed(), gradient, &mut step.weight_gradients[self.weights.clone()], outputs, ADD);
        let weights = Matrix::new(&step.weights[self.weights.clone()], inputs, outputs);
        if let Some(target) = step.others.gradient(x) {
            add_product(target, gradient, weights.transposed(), inputs);
        }
    }
}

fn add_product(target: &mut Vec<f32>, left: Matrix, right: Matrix, columns: usize) {
    if target.is_empty() {
        *target = multiply(left, right);
    } else {
        multiply_into(left, right, target, columns, ADD);
    }
}
