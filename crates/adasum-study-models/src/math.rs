//! Sums and exponentials whose bits are the same on every machine: the order of additions is written down, and vector
//! instructions of whatever width follow it.

/// Partial sums that are kept beside each other.
const LANES: usize = 16;

/// The sum of all products of elements at the same place.
pub fn dot(left: &[f32], right: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let ((left, left_rest), (right, right_rest)) = (left.as_chunks::<LANES>(), right.as_chunks::<LANES>());
    for (a, b) in left.iter().zip(right) {
        for lane in 0..LANES {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    for (lane, (a, b)) in left_rest.iter().zip(right_rest).enumerate() {
        lanes[lane] += a * b;
    }
    total(lanes)
}

/// The sum of all elements.
pub fn sum(values: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            lanes[lane] += chunk[lane];
        }
    }
    for (lane, value) in rest.iter().enumerate() {
        lanes[lane] += value;
    }
    total(lanes)
}

fn total(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// `target += values`, element by element.
pub fn add_to(target: &mut [f32], values: &[f32]) {
    for (into, value) in target.iter_mut().zip(values) {
        *into += value;
    }
}

const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;
/// Added to a number of less than 2^22, it leaves the nearest whole number in the lowest bits.
const ROUNDER: f32 = 12_582_912.0;

/// e to the power of x, within two units in the last place; numbers outside of -87 to 88 count as these.
///
/// Range reduction by Cody and Waite, and the Taylor polynomial of degree 7 on half a ln 2 to both sides.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUNDER;
    let whole = shifted - ROUNDER;
    let rest = (x - whole * LN_2_HIGH) - whole * LN_2_LOW;
    let mut power = 1.0 / 5040.0;
    for factor in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        power = power * rest + factor;
    }
    power * f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23))
}
