//! Causal attention of several heads (Vaswani and others, arXiv 1706.03762).

use crate::math::{dot, exp, sum};
use crate::matrix::{ADD, Matrix, REPLACE, Scales, multiply_into};
use crate::tape::{Derivative, Id, Step, Tape, filled};

/// Its shape.
#[derive(Clone, Copy)]
pub struct Attention {
    /// Characters of a piece.
    pub context: usize,
    /// Features of a character.
    pub width: usize,
    /// Heads, among which the features are divided.
    pub heads: usize,
}

impl Attention {
    fn head_width(&self) -> usize {
        self.width / self.heads
    }

    fn scale(&self) -> f32 {
        1.0 / (self.head_width() as f32).sqrt()
    }

    /// For each piece and head: where its queries begin among [row, 3 * width], and where its part of a value of [row, width].
    fn for_heads(&self, rows: usize, mut visit: impl FnMut(usize, usize)) {
        for piece in 0..rows / self.context {
            for head in 0..self.heads {
                let row = piece * self.context;
                visit(row * 3 * self.width + head * self.head_width(), row * self.width + head * self.head_width());
            }
        }
    }

    /// Queries, keys or values of one head.
    fn part<'a>(&self, projected: &'a [f32], begin: usize, which: usize) -> Matrix<'a> {
        Matrix::strided(&projected[begin + which * self.width..], self.context, self.head_width(), 3 * self.width)
    }
}

struct Attended {
    x: Id,
    shape: Attention,
    /// For each piece and head [query, key].
    probabilities: Vec<f32>,
}

impl Tape<'_> {
    /// `x` has queries, keys and values beside each other [row, 3 * width]; each character looks at itself and those before it.
    pub fn attention(&mut self, x: Id, shape: Attention) -> Id {
        let projected = self.value(x);
        let (context, rows) = (shape.context, projected.len() / (3 * shape.width));
        let mut value = vec![0.0; rows * shape.width];
        let mut probabilities = vec![0.0; rows * context * shape.heads];
        let mut tables = probabilities.chunks_exact_mut(context * context);
        shape.for_heads(rows, |begin, out| {
            let Some(table) = tables.next() else { return };
            let [queries, keys, values] = [0, 1, 2].map(|which| shape.part(projected, begin, which));
            multiply_into(queries, keys.transposed(), table, context, Scales { scale: shape.scale(), ..REPLACE });
            for (place, row) in table.chunks_exact_mut(context).enumerate() {
                let (seen, later) = row.split_at_mut(place + 1);
                softmax(seen);
                later.fill(0.0);
            }
            multiply_into(Matrix::new(table, context, context), values, &mut value[out..], shape.width, REPLACE);
        });
        self.push(value, Attended { x, shape, probabilities })
    }
}

/// Replaces numbers by their shares of the sum of exponentials.
pub fn softmax(row: &mut [f32]) {
    let highest = row.iter().fold(f32::NEG_INFINITY, |highest, value| highest.max(*value));
    row.iter_mut().for_each(|value| *value = exp(*value - highest));
    let factor = 1.0 / sum(row);
    row.iter_mut().for_each(|value| *value *= factor);
}

impl Derivative for Attended {
    fn backward(&self, step: &mut Step<'_>) {
        let shape = self.shape;
        let (context, width) = (shape.context, shape.width);
        let projected = step.others.value(self.x);
        let Some(target) = step.others.gradient(self.x) else { return };
        let target = filled(target, projected.len());
        let scaled = Scales { scale: shape.scale(), ..ADD };
        let mut tables = self.probabilities.chunks_exact(context * context);
        let mut scores = vec![0.0; context * context];
        shape.for_heads(step.gradient.len() / width, |begin, out| {
            let Some(table) = tables.next() else { return };
            let [queries, keys, values] = [0, 1, 2].map(|which| shape.part(projected, begin, which));
            let gradient = Matrix::strided(&step.gradient[out..], context, shape.head_width(), width);
            let mut into = |which: usize, left: Matrix, right: Matrix, scales: Scales| {
                multiply_into(left, right, &mut target[begin + which * width..], 3 * width, scales);
            };
            into(2, Matrix::new(table, context, context).transposed(), gradient, ADD);
            multiply_into(gradient, values.transposed(), &mut scores, context, REPLACE);
            for (row, shares) in scores.chunks_exact_mut(context).zip(table.chunks_exact(context)) {
                let mean = dot(row, shares);
                row.iter_mut().zip(shares).for_each(|(score, share)| *score = share * (*score - mean));
            }
            let scores = Matrix::new(&scores, context, context);
            into(0, scores, keys, scaled);
            into(1, scores.transposed(), queries, scaled);
        });
    }
}
