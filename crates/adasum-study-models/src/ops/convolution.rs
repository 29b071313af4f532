//! Convolutions of images, [image, row, column, channel], with kernels of weights, [row, column, channel, filter].
//!
//! What a kernel sees at a place are rows of consecutive numbers in the image, and the weights of such a row, with all
//! filters, are a matrix. So nothing is copied together first: sums over a few places, or weights, and all filters stay in
//! registers while the numbers that they take go by (tiles.rs).

mod tiles;

use std::borrow::Cow;
use std::ops::Range;

use crate::math::add_to;
use crate::tape::{Derivative, Id, Step, Tape, filled};
use tiles::LANES;

/// The shape of a convolution; images and kernels are square.
#[derive(Clone, Copy)]
pub struct Convolution {
    /// Rows and columns of the images.
    pub side: usize,
    /// Channels of the images.
    pub channels: usize,
    /// Rows and columns of the kernel.
    pub kernel: usize,
    /// Channels of what comes out; at most 16.
    pub filters: usize,
    /// Steps between places.
    pub stride: usize,
    /// Whether places lie outside of the image, as many as it takes for side / stride of them.
    pub is_padded: bool,
}

impl Convolution {
    /// Rows and columns of what comes out.
    pub fn out_side(&self) -> usize {
        let covered = if self.is_padded { self.side } else { self.side - self.kernel + 1 };
        covered.div_ceil(self.stride)
    }

    /// Weights of the kernel [row, column, channel, filter].
    pub fn weight_count(&self) -> usize {
        self.kernel * self.kernel * self.channels * self.filters
    }

    fn image_length(&self) -> usize {
        self.side * self.side * self.channels
    }

    /// Rows and columns from the first that a place sees to the last, or to the last of the image.
    fn wide_side(&self) -> usize {
        self.side.max((self.out_side() - 1) * self.stride + self.kernel)
    }

    /// Rows above the image that the first place sees; where the number is odd, there is one more below.
    fn padding(&self) -> usize {
        (self.wide_side() - self.side) / 2
    }

    /// For each row of an image: where it lies in the image, and in one with all that places see.
    fn for_rows(&self, mut visit: impl FnMut(Range<usize>, Range<usize>)) {
        let (length, wide) = (self.side * self.channels, self.wide_side() * self.channels);
        for row in 0..self.side {
            let begin = (row + self.padding()) * wide + self.padding() * self.channels;
            visit(row * length..(row + 1) * length, begin..begin + length);
        }
    }

    fn wide_length(&self) -> usize {
        self.wide_side() * self.wide_side() * self.channels
    }

    /// The images with zeros around them where places see any.
    fn widened<'a>(&self, images: &'a [f32]) -> Cow<'a, [f32]> {
        if self.wide_side() == self.side {
            return Cow::Borrowed(images);
        }
        let mut wide = vec![0.0; images.len() / self.image_length() * self.wide_length()];
        for (image, wide) in images.chunks(self.image_length()).zip(wide.chunks_mut(self.wide_length())) {
            self.for_rows(|from, to| wide[to].copy_from_slice(&image[from]));
        }
        Cow::Owned(wide)
    }

    /// Adds what belongs to the images themselves.
    fn add_narrowed(&self, images: &mut [f32], wide: &[f32]) {
        for (image, wide) in images.chunks_mut(self.image_length()).zip(wide.chunks(self.wide_length())) {
            self.for_rows(|to, from| add_to(&mut image[to], &wide[from]));
        }
    }
}

struct Convolved {
    x: Id,
    weights: Range<usize>,
    shape: Convolution,
    /// The images with zeros around them; nothing where there are none.
    wide: Option<Vec<f32>>,
}

impl Tape<'_> {
    /// Images convolved with a kernel of weights.
    pub fn convolution(&mut self, x: Id, weights: Range<usize>, shape: Convolution) -> Id {
        let wide = shape.widened(self.value(x));
        let value = tiles::convolve(&shape, &wide, &self.weights[weights.clone()]);
        let wide = match wide {
            Cow::Owned(wide) => Some(wide),
            Cow::Borrowed(_) => None,
        };
        self.push(value, Convolved { x, weights, shape, wide })
    }
}

impl Derivative for Convolved {
    fn backward(&self, step: &mut Step<'_>) {
        let Self { x, shape, .. } = self;
        let images = step.others.value(*x);
        let wide = self.wide.as_deref().unwrap_or(images);
        // Filters are read by whole lanes, beyond the last one where they do not fill them.
        let gradient = match shape.filters % LANES {
            0 => Cow::Borrowed(step.gradient),
            _ => Cow::Owned([step.gradient, &[0.0; LANES]].concat()),
        };
        tiles::add_weight_gradient(shape, wide, &gradient, &mut step.weight_gradients[self.weights.clone()]);
        let Some(target) = step.others.gradient(*x) else { return };
        let (target, weights) = (filled(target, images.len()), &step.weights[self.weights.clone()]);
        if self.wide.is_none() {
            return tiles::add_image_gradient(shape, &gradient, weights, target);
        }
        let mut added = vec![0.0; wide.len()];
        tiles::add_image_gradient(shape, &gradient, weights, &mut added);
        shape.add_narrowed(target, &added);
    }
}
