//! LeNet-5 (LeCun and others 1998) with rectifiers and max pooling, for images of 28 x 28 in ten classes.

use crate::ops::Convolution;
use crate::tape::{Id, Segments, Tape};

const FIRST: Convolution = Convolution { side: 28, channels: 1, kernel: 5, filters: 6, stride: 1, is_padded: true };
const SECOND: Convolution = Convolution { side: 14, channels: 6, kernel: 5, filters: 16, stride: 1, is_padded: false };
const UNITS: [usize; 4] = [400, 120, 84, 10];

/// Scores [images, 10].
pub fn scores(tape: &mut Tape<'_>, images: &[f32]) -> Id {
    let mut segments = Segments::new();
    let mut x = tape.input(images.to_vec());
    for shape in [FIRST, SECOND] {
        x = tape.convolution(x, segments.take(shape.weight_count()), shape);
        x = tape.bias(x, segments.take(shape.filters));
        x = tape.relu(x);
        x = tape.max_pool(x, shape.out_side(), shape.filters);
    }
    for layer in 0..3 {
        x = tape.product(x, segments.take(UNITS[layer] * UNITS[layer + 1]), UNITS[layer + 1]);
        x = tape.bias(x, segments.take(UNITS[layer + 1]));
        if layer < 2 {
            x = tape.relu(x);
        }
    }
    x
}
