//! Convolutions as products of matrices: what a kernel sees at each place becomes a row of patches.

use std::ops::Range;

use crate::matrix::{ADD, Matrix, multiply, multiply_into};
use crate::tape::{Derivative, Id, Step, Tape, filled};

/// The shape of a convolution; images and kernels are square.
#[derive(Clone, Copy)]
pub struct Convolution {
    /// Rows and columns of the images.
    pub side: usize,
    /// Channels of the images.
    pub channels: usize,
    /// Rows and columns of the kernel.
    pub kernel: usize,
    /// Channels of what comes out.
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
        self.patch_length() * self.filters
    }

    fn patch_length(&self) -> usize {
        self.kernel * self.kernel * self.channels
    }

    fn image_length(&self) -> usize {
        self.side * self.side * self.channels
    }

    /// Rows above the image that the first place sees; where the number is odd, there is one more below.
    fn padding(&self) -> usize {
        ((self.out_side() - 1) * self.stride + self.kernel).saturating_sub(self.side) / 2
    }

    /// For each part of a row of an image that a patch holds: where the patch has it, where the image, and its length.
    fn for_parts(&self, mut visit: impl FnMut(usize, usize, usize)) {
        let (side, kernel, channels) = (self.side as isize, self.kernel as isize, self.channels as isize);
        let (out, padding) = (self.out_side(), self.padding() as isize);
        for place in 0..out * out {
            let top = ((place / out) * self.stride) as isize - padding;
            let left = ((place % out) * self.stride) as isize - padding;
            let (first, last) = (left.max(0), (left + kernel).min(side));
            for row in top.max(0)..(top + kernel).min(side) {
                let within = ((row - top) * kernel + first - left) * channels;
                let image = (row * side + first) * channels;
                visit(
                    place * self.patch_length() + within as usize,
                    image as usize,
                    ((last - first) * channels) as usize,
                );
            }
        }
    }

    fn patches(&self, images: &[f32]) -> Vec<f32> {
        let length = self.out_side() * self.out_side() * self.patch_length();
        let mut patches = vec![0.0; images.len() / self.image_length() * length];
        for (image, patches) in images.chunks(self.image_length()).zip(patches.chunks_mut(length)) {
            self.for_parts(|to, from, length| patches[to..to + length].copy_from_slice(&image[from..from + length]));
        }
        patches
    }

    fn add_patches_to(&self, images: &mut [f32], patches: &[f32]) {
        let length = self.out_side() * self.out_side() * self.patch_length();
        for (image, patches) in images.chunks_mut(self.image_length()).zip(patches.chunks(length)) {
            self.for_parts(|from, to, length| {
                for (target, value) in image[to..to + length].iter_mut().zip(&patches[from..from + length]) {
                    *target += value;
                }
            });
        }
    }
}

struct Convolved {
    x: Id,
    weights: Range<usize>,
    shape: Convolution,
    patches: Vec<f32>,
}

impl Tape<'_> {
    /// Images convolved with a kernel of weights.
    pub fn convolution(&mut self, x: Id, weights: Range<usize>, shape: Convolution) -> Id {
        let patches = shape.patches(self.value(x));
        let (columns, filters) = (shape.patch_length(), shape.filters);
        let rows = patches.len() / columns;
        let kernel = Matrix::new(&self.weights[weights.clone()], columns, filters);
        let value = multiply(Matrix::new(&patches, rows, columns), kernel);
        self.push(value, Convolved { x, weights, shape, patches })
    }
}

impl Derivative for Convolved {
    fn backward(&self, step: &mut Step<'_>) {
        let (columns, filters) = (self.shape.patch_length(), self.shape.filters);
        let rows = self.patches.len() / columns;
        let gradient = Matrix::new(step.gradient, rows, filters);
        let patches = Matrix::new(&self.patches, rows, columns);
        multiply_into(patches.transposed(), gradient, &mut step.weight_gradients[self.weights.clone()], filters, ADD);
        let kernel = Matrix::new(&step.weights[self.weights.clone()], columns, filters);
        let length = step.others.value(self.x).len();
        if let Some(target) = step.others.gradient(self.x) {
            let patches = multiply(gradient, kernel.transposed());
            self.shape.add_patches_to(filled(target, length), &patches);
        }
    }
}
