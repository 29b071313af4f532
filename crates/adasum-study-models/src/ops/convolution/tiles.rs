//! The loops of convolutions, over tiles of sums that fit into the vector registers: at most a dozen sums of eight numbers
//! beside each other, each over its terms in order.

use super::Convolution;
use crate::math::add_to;

/// Numbers that are computed with at once.
pub const LANES: usize = 8;
type Lanes = [f32; LANES];

/// A row of lanes of weights.
type Row<const WIDTH: usize> = [Lanes; WIDTH];

/// Where places and numbers lie.
struct Strides {
    image: usize,
    row: usize,
    /// From one place to the next, and to the one below it.
    place: usize,
    place_row: usize,
    /// Numbers in a row of what a kernel sees.
    seen: usize,
    out: usize,
}

impl Strides {
    fn of(shape: &Convolution) -> Self {
        let row = shape.wide_side() * shape.channels;
        Self {
            image: shape.wide_length(),
            row,
            place: shape.stride * shape.channels,
            place_row: shape.stride * row,
            seen: shape.kernel * shape.channels,
            out: shape.out_side(),
        }
    }
}

/// Adds a row times a factor of its own to each row of sums.
#[inline(always)]
fn add_products<const WIDTH: usize>(sums: &mut [Row<WIDTH>], factors: impl Iterator<Item = f32>, row: &[Lanes]) {
    for (sums, factor) in sums.iter_mut().zip(factors) {
        for (sum, lanes) in sums.iter_mut().zip(row) {
            for lane in 0..LANES {
                sum[lane] = lanes[lane].mul_add(factor, sum[lane]);
            }
        }
    }
}

/// Rows of numbers as rows of lanes, filled up with zeros.
fn in_lanes<const WIDTH: usize>(numbers: &[f32], length: usize) -> Vec<Row<WIDTH>> {
    let row = |numbers: &[f32]| {
        let mut lanes = [[0.0; LANES]; WIDTH];
        lanes.as_flattened_mut()[..length].copy_from_slice(numbers);
        lanes
    };
    numbers.chunks_exact(length).map(row).collect()
}

/// The convolution of wide images.
pub fn convolve(shape: &Convolution, images: &[f32], weights: &[f32]) -> Vec<f32> {
    match shape.filters.div_ceil(LANES) {
        1 => convolve_in::<7, 1>(shape, images, &in_lanes(weights, shape.filters)),
        2 => convolve_in::<5, 2>(shape, images, &in_lanes(weights, shape.filters)),
        _ => panic!("{} filters, of 16 at most", shape.filters),
    }
}

fn convolve_in<const PLACES: usize, const WIDTH: usize>(
    shape: &Convolution,
    images: &[f32],
    weights: &[Row<WIDTH>],
) -> Vec<f32> {
    let (strides, filters) = (Strides::of(shape), shape.filters);
    let out = strides.out;
    assert!(out >= PLACES, "{out} places in a row, which are fewer than {PLACES}");
    let mut value = vec![0.0; images.len() / strides.image * out * out * filters];
    for (index, row) in value.chunks_exact_mut(out * filters).enumerate() {
        let image = &images[index / out * strides.image + index % out * strides.place_row..];
        for first in (0..out).step_by(PLACES) {
            // The last ones are computed twice where they do not fill a tile.
            let first = first.min(out - PLACES);
            let sums = see::<PLACES, WIDTH>(shape.kernel, &strides, &image[first * strides.place..], weights);
            for (sums, place) in sums.iter().zip(row[first * filters..].chunks_exact_mut(filters)) {
                place.copy_from_slice(&sums.as_flattened()[..filters]);
            }
        }
    }
    value
}

/// What a kernel makes of places beside each other, the first of which begins with the image.
#[inline(always)]
fn see<const PLACES: usize, const WIDTH: usize>(
    kernel: usize,
    strides: &Strides,
    image: &[f32],
    weights: &[Row<WIDTH>],
) -> [Row<WIDTH>; PLACES] {
    let mut sums = [[[0.0; LANES]; WIDTH]; PLACES];
    for row in 0..kernel {
        let weights = &weights[row * strides.seen..][..strides.seen];
        let seen: [&[f32]; PLACES] =
            std::array::from_fn(|place| &image[row * strides.row + place * strides.place..][..weights.len()]);
        for (number, weights) in weights.iter().enumerate() {
            add_products(&mut sums, seen.iter().map(|seen| seen[number]), weights);
        }
    }
    sums
}

/// Adds the gradient of the weights. The gradient of the places has a lane more than them.
pub fn add_weight_gradient(shape: &Convolution, images: &[f32], gradient: &[f32], target: &mut [f32]) {
    match (shape.filters.div_ceil(LANES), shape.kernel * shape.channels) {
        (1, 5) => add_weight_gradient_in::<5, 1>(shape, images, gradient, target),
        (1, seen) if seen % 8 == 0 => add_weight_gradient_in::<8, 1>(shape, images, gradient, target),
        (1, seen) if seen % 3 == 0 => add_weight_gradient_in::<3, 1>(shape, images, gradient, target),
        (2, seen) if seen % 6 == 0 => add_weight_gradient_in::<6, 2>(shape, images, gradient, target),
        (2, seen) if seen % 4 == 0 => add_weight_gradient_in::<4, 2>(shape, images, gradient, target),
        (width, seen) => panic!("no tile for rows of {seen} weights and {width} lanes of filters"),
    }
}

fn add_weight_gradient_in<const WEIGHTS: usize, const WIDTH: usize>(
    shape: &Convolution,
    images: &[f32],
    gradient: &[f32],
    target: &mut [f32],
) {
    let (strides, filters) = (Strides::of(shape), shape.filters);
    let of_image = strides.out * strides.out * filters;
    for (index, image) in images.chunks_exact(strides.image).enumerate() {
        let gradient = &gradient[index * of_image..];
        for row in 0..shape.kernel {
            for first in (0..strides.seen).step_by(WEIGHTS) {
                let image = &image[row * strides.row + first..];
                let sums = over_places::<WEIGHTS, WIDTH>(&strides, image, gradient, filters);
                let weights = &mut target[(row * strides.seen + first) * filters..];
                for (sums, weights) in sums.iter().zip(weights.chunks_exact_mut(filters)) {
                    add_to(weights, sums.as_flattened());
                }
            }
        }
    }
}

/// Sums over all places of an image, of numbers that they see beside each other times their gradients.
#[inline(always)]
fn over_places<const WEIGHTS: usize, const WIDTH: usize>(
    strides: &Strides,
    image: &[f32],
    gradient: &[f32],
    filters: usize,
) -> [Row<WIDTH>; WEIGHTS] {
    let mut sums = [[[0.0; LANES]; WIDTH]; WEIGHTS];
    for row in 0..strides.out {
        for column in 0..strides.out {
            let seen = &image[row * strides.place_row + column * strides.place..][..WEIGHTS];
            let (lanes, _) = gradient[(row * strides.out + column) * filters..].as_chunks::<LANES>();
            add_products(&mut sums, seen.iter().copied(), &lanes[..WIDTH]);
        }
    }
    sums
}

/// Adds the gradient of wide images.
pub fn add_image_gradient(shape: &Convolution, gradient: &[f32], weights: &[f32], target: &mut [f32]) {
    match (shape.kernel * shape.channels).div_ceil(LANES) {
        1 => add_image_gradient_in::<7, 1>(shape, gradient, weights, target),
        3 => add_image_gradient_in::<4, 3>(shape, gradient, weights, target),
        4 => add_image_gradient_in::<2, 4>(shape, gradient, weights, target),
        6 => add_image_gradient_in::<2, 6>(shape, gradient, weights, target),
        width => panic!("no tile for rows of {width} lanes of weights"),
    }
}

fn add_image_gradient_in<const PLACES: usize, const WIDTH: usize>(
    shape: &Convolution,
    gradient: &[f32],
    weights: &[f32],
    target: &mut [f32],
) {
    let (strides, filters) = (Strides::of(shape), shape.filters);
    let out = strides.out;
    let rows = in_lanes::<WIDTH>(&transposed(weights, strides.seen, filters), strides.seen);
    for index in 0..target.len() / strides.image * out {
        let image = &mut target[index / out * strides.image + index % out * strides.place_row..];
        let gradient = &gradient[index * out * filters..];
        let mut place = 0;
        while place < out {
            let (image, gradient) = (&mut image[place * strides.place..], &gradient[place * filters..]);
            let is_whole = place + PLACES <= out;
            for (row, weights) in rows.chunks_exact(filters).enumerate() {
                let image = &mut image[row * strides.row..];
                if is_whole {
                    spread::<PLACES, WIDTH>(&strides, image, gradient, weights);
                } else {
                    spread::<1, WIDTH>(&strides, image, gradient, weights);
                }
            }
            place += if is_whole { PLACES } else { 1 };
        }
    }
}

/// Rows of a kernel, with filters before what is seen: [row, filter, seen].
fn transposed(weights: &[f32], seen: usize, filters: usize) -> Vec<f32> {
    let rows = weights.chunks_exact(seen * filters);
    rows.flat_map(|row| (0..filters).flat_map(|filter| row.iter().skip(filter).step_by(filters).copied())).collect()
}

/// Adds to one row of what places see what their gradients come to there.
fn spread<const PLACES: usize, const WIDTH: usize>(
    strides: &Strides,
    image: &mut [f32],
    gradient: &[f32],
    weights: &[Row<WIDTH>],
) {
    for (place, sums) in over_filters::<PLACES, WIDTH>(gradient, weights).iter().enumerate() {
        let seen = &mut image[place * strides.place..][..strides.seen];
        add_to(seen, sums.as_flattened());
    }
}

/// Sums over all filters, for places beside each other. A function of its own, since the compiler would take what becomes of
/// the sums for a reason to compute them number by number.
#[inline(never)]
fn over_filters<const PLACES: usize, const WIDTH: usize>(
    gradient: &[f32],
    weights: &[Row<WIDTH>],
) -> [Row<WIDTH>; PLACES] {
    let mut sums = [[[0.0; LANES]; WIDTH]; PLACES];
    let gradients: [&[f32]; PLACES] = std::array::from_fn(|place| &gradient[place * weights.len()..][..weights.len()]);
    for (filter, weights) in weights.iter().enumerate() {
        add_products(&mut sums, gradients.iter().map(|gradient| gradient[filter]), weights);
    }
    sums
}
