//! Fewer places: the highest of four, or the mean of all.

use crate::math::add_to;
use crate::tape::{Derivative, Id, Step, Tape, filled};

struct Highest {
    x: Id,
    /// For each element the place in `x` that it is from.
    origins: Vec<u32>,
}

struct Mean {
    x: Id,
    places: usize,
    channels: usize,
}

impl Tape<'_> {
    /// The highest of each two by two places of images with `side` rows and columns; the first one of equals.
    pub fn max_pool(&mut self, x: Id, side: usize, channels: usize) -> Id {
        let images = self.value(x);
        let count = images.len() / 4;
        let (mut value, mut origins) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let next = [channels, side * channels, (side + 1) * channels];
        for row in (0..images.len() / (side * channels)).step_by(2) {
            for column in (0..side).step_by(2) {
                let begin = (row * side + column) * channels;
                for first in begin..begin + channels {
                    let (mut highest, mut origin) = (images[first], first);
                    for other in next.map(|offset| first + offset) {
                        if images[other] > highest {
                            (highest, origin) = (images[other], other);
                        }
                    }
                    value.push(highest);
                    origins.push(origin as u32);
                }
            }
        }
        self.push(value, Highest { x, origins })
    }

    /// The mean of all places of each image.
    pub fn mean_of_places(&mut self, x: Id, places: usize, channels: usize) -> Id {
        let images = self.value(x).chunks_exact(places * channels);
        let mut value = vec![0.0; images.len() * channels];
        for (image, mean) in images.zip(value.chunks_exact_mut(channels)) {
            image.chunks_exact(channels).for_each(|place| add_to(mean, place));
            mean.iter_mut().for_each(|value| *value /= places as f32);
        }
        self.push(value, Mean { x, places, channels })
    }
}

impl Derivative for Highest {
    fn backward(&self, step: &mut Step<'_>) {
        let length = step.others.value(self.x).len();
        if let Some(target) = step.others.gradient(self.x) {
            let target = filled(target, length);
            for (origin, gradient) in self.origins.iter().zip(step.gradient) {
                target[*origin as usize] += gradient;
            }
        }
    }
}

impl Derivative for Mean {
    fn backward(&self, step: &mut Step<'_>) {
        let Self { x, places, channels } = *self;
        let length = step.others.value(x).len();
        let Some(target) = step.others.gradient(x) else { return };
        for (image, gradient) in
            filled(target, length).chunks_exact_mut(places * channels).zip(step.gradient.chunks_exact(channels))
        {
            for place in image.chunks_exact_mut(channels) {
                for (into, gradient) in place.iter_mut().zip(gradient) {
                    *into += gradient / places as f32;
                }
            }
        }
    }
}
