//! Reverse-mode differentiation. A model calls operations one after the other; the tape keeps the value of each and what its
//! derivative takes. Then the operations are gone through backwards, each adding to the gradients of what it was made from.

use std::ops::Range;

/// A value on the tape.
#[derive(Clone, Copy)]
pub struct Id(usize);

/// The derivative of an operation.
pub trait Derivative {
    /// Adds to the gradients of what the value was made from.
    fn backward(&self, step: &mut Step<'_>);
}

struct Node {
    value: Vec<f32>,
    derivative: Option<Box<dyn Derivative>>,
}

/// What has been computed from the weights of a model.
pub struct Tape<'w> {
    /// All weights, one segment behind the other.
    pub weights: &'w [f32],
    nodes: Vec<Node>,
}

/// What a derivative is told, and where it adds.
pub struct Step<'a> {
    /// The gradient of the loss with respect to the operation's value.
    pub gradient: &'a [f32],
    /// The operation's value.
    pub value: &'a [f32],
    /// The model's weights.
    pub weights: &'a [f32],
    /// Gradients with respect to the weights.
    pub weight_gradients: &'a mut [f32],
    /// Values of all operations, and their gradients.
    pub others: Others<'a>,
}

/// The operations before one.
pub struct Others<'a> {
    nodes: &'a [Node],
    gradients: &'a mut [Vec<f32>],
}

impl<'a> Others<'a> {
    /// The value of an operation.
    pub fn value(&self, id: Id) -> &'a [f32] {
        &self.nodes[id.0].value
    }

    /// The gradient of an operation, to add to: empty as long as nothing has been added. The samples have none.
    pub fn gradient(&mut self, id: Id) -> Option<&mut Vec<f32>> {
        self.nodes[id.0].derivative.as_ref()?;
        Some(&mut self.gradients[id.0])
    }
}

/// Adds to a gradient, which may be empty so far.
pub fn accumulate(gradient: &mut Vec<f32>, parts: impl ExactSizeIterator<Item = f32>) {
    if gradient.is_empty() {
        gradient.extend(parts);
    } else {
        gradient.iter_mut().zip(parts).for_each(|(into, part)| *into += part);
    }
}

/// A gradient as a slice, to add to here and there; zeros if it was empty.
pub fn filled(gradient: &mut Vec<f32>, length: usize) -> &mut [f32] {
    gradient.resize(length, 0.0);
    gradient
}

impl<'w> Tape<'w> {
    /// With nothing on it.
    pub fn new(weights: &'w [f32]) -> Self {
        Self { weights, nodes: Vec::new() }
    }

    /// Samples.
    pub fn input(&mut self, value: Vec<f32>) -> Id {
        self.nodes.push(Node { value, derivative: None });
        Id(self.nodes.len() - 1)
    }

    /// The value of an operation.
    pub fn push(&mut self, value: Vec<f32>, derivative: impl Derivative + 'static) -> Id {
        self.nodes.push(Node { value, derivative: Some(Box::new(derivative)) });
        Id(self.nodes.len() - 1)
    }

    /// What an operation came to.
    pub fn value(&self, id: Id) -> &[f32] {
        &self.nodes[id.0].value
    }

    /// Writes the gradient of a loss with respect to the weights. `seed` is its gradient with respect to the value of `last`.
    pub fn gradient_into(&self, last: Id, seed: Vec<f32>, target: &mut [f32]) {
        target.fill(0.0);
        let mut gradients = vec![Vec::new(); self.nodes.len()];
        gradients[last.0] = seed;
        for (index, node) in self.nodes.iter().enumerate().rev() {
            let gradient = std::mem::take(&mut gradients[index]);
            let Some(derivative) = node.derivative.as_ref().filter(|_| !gradient.is_empty()) else { continue };
            derivative.backward(&mut Step {
                gradient: &gradient,
                value: &node.value,
                weights: self.weights,
                weight_gradients: target,
                others: Others { nodes: &self.nodes, gradients: &mut gradients },
            });
        }
    }
}

/// Hands out the weights of a model, segment by segment.
pub struct Segments(usize);

impl Segments {
    /// From the first weight on.
    pub fn new() -> Self {
        Self(0)
    }

    /// The next so many weights.
    pub fn take(&mut self, count: usize) -> Range<usize> {
        self.0 += count;
        self.0 - count..self.0
    }
}
