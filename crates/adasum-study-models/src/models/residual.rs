//! A small residual network with batch norm (He and others, arXiv 1512.03385): 8 channels in half the resolution, then 16 in a
//! quarter, two blocks with a shortcut and one that halves, for images of 28 x 28 in ten classes.

use crate::ops::{Convolution, Statistics};
use crate::tape::{Id, Segments, Tape};

const NARROW: usize = 8;
const WIDE: usize = 16;
const CLASSES: usize = 10;
const SMALLEST: usize = 7;

const fn shape(side: usize, channels: usize, kernel: usize, filters: usize, stride: usize) -> Convolution {
    Convolution { side, channels, kernel, filters, stride, is_padded: true }
}

/// In the order in which the weights lie: stem, narrow 1 and 2, halving 1 and 2, shortcut, wide 1 and 2.
const SHAPES: [Convolution; 8] = [
    shape(28, 1, 3, NARROW, 2),
    shape(14, NARROW, 3, NARROW, 1),
    shape(14, NARROW, 3, NARROW, 1),
    shape(14, NARROW, 3, WIDE, 2),
    shape(7, WIDE, 3, WIDE, 1),
    shape(14, NARROW, 1, WIDE, 2),
    shape(7, WIDE, 3, WIDE, 1),
    shape(7, WIDE, 3, WIDE, 1),
];

/// The channels that are normalized, one convolution after the other.
pub const CHANNEL_COUNT: usize = 3 * NARROW + 5 * WIDE;

/// Convolutions with the normalization behind each.
struct Layers<'t, 'w> {
    tape: &'t mut Tape<'w>,
    segments: Segments,
    next: usize,
    known: &'t [Statistics],
    found: Vec<Statistics>,
}

impl Layers<'_, '_> {
    fn next(&mut self, x: Id) -> Id {
        let shape = SHAPES[self.next];
        let convolved = self.tape.convolution(x, self.segments.take(shape.weight_count()), shape);
        let (gamma, beta) = (self.segments.take(shape.filters), self.segments.take(shape.filters));
        let (id, statistics) = self.tape.batch_norm(convolved, gamma, beta, self.known.get(self.next));
        self.found.push(statistics);
        self.next += 1;
        id
    }

    fn rectified(&mut self, x: Id) -> Id {
        let id = self.next(x);
        self.tape.relu(id)
    }

    /// Two convolutions.
    fn pair(&mut self, x: Id) -> Id {
        let inner = self.rectified(x);
        self.next(inner)
    }

    fn joined(&mut self, left: Id, right: Id) -> Id {
        let sum = self.tape.add(left, right);
        self.tape.relu(sum)
    }
}

/// Scores [images, 10], and the statistics that were normalized by: the ones given, or those of this batch.
pub fn scores(tape: &mut Tape<'_>, images: &[f32], known: &[Statistics]) -> (Id, Vec<Statistics>) {
    let x = tape.input(images.to_vec());
    let mut layers = Layers { tape, segments: Segments::new(), next: 0, known, found: Vec::new() };
    let stem = layers.rectified(x);
    let inner = layers.pair(stem);
    let narrow = layers.joined(stem, inner);
    let halved = layers.pair(narrow);
    let shortcut = layers.next(narrow);
    let wide = layers.joined(halved, shortcut);
    let inner = layers.pair(wide);
    let last = layers.joined(wide, inner);
    let Layers { mut segments, found, .. } = layers;
    let mean = tape.mean_of_places(last, SMALLEST * SMALLEST, WIDE);
    let product = tape.product(mean, segments.take(WIDE * CLASSES), CLASSES);
    (tape.bias(product, segments.take(CLASSES)), found)
}

/// Means and variances one behind the other, as JavaScript holds them.
pub fn unpacked(packed: &[f32]) -> Vec<Statistics> {
    let mut segments = Segments::new();
    let mut take = |count| packed[segments.take(count)].to_vec();
    if packed.is_empty() {
        return Vec::new();
    }
    SHAPES.iter().map(|shape| Statistics { means: take(shape.filters), variances: take(shape.filters) }).collect()
}
