//! Rows of weights for characters, and for the places where they stand.

use std::ops::Range;

use crate::math::add_to;
use crate::tape::{Derivative, Id, Step, Tape};

struct Embedded {
    codes: Vec<i32>,
    table: Range<usize>,
    positions: Range<usize>,
    width: usize,
}

impl Tape<'_> {
    /// For each character the row of its code in `table`, and that of its place in `positions`. Codes are checked by the caller.
    pub fn embedding(&mut self, codes: &[i32], table: Range<usize>, positions: Range<usize>, width: usize) -> Id {
        let (rows, places) = (&self.weights[table.clone()], &self.weights[positions.clone()]);
        let mut value = Vec::with_capacity(codes.len() * width);
        for (code, place) in codes.iter().zip(places.chunks_exact(width).cycle()) {
            let row = &rows[*code as usize * width..][..width];
            value.extend(row.iter().zip(place).map(|(row, place)| row + place));
        }
        self.push(value, Embedded { codes: codes.to_vec(), table, positions, width })
    }
}

impl Derivative for Embedded {
    fn backward(&self, step: &mut Step<'_>) {
        let width = self.width;
        for (row, (code, gradient)) in self.codes.iter().zip(step.gradient.chunks_exact(width)).enumerate() {
            add_to(&mut step.weight_gradients[self.table.clone()][*code as usize * width..][..width], gradient);
            let place = row * width % self.positions.len();
            add_to(&mut step.weight_gradients[self.positions.clone()][place..][..width], gradient);
        }
    }
}
