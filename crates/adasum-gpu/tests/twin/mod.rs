//! The shaders on the CPU, a function for a function, operation by operation in f32: what a device must compute if it rounds as
//! IEEE 754 says. Names are those of `shaders/`.

#![allow(dead_code, reason = "every test binary uses a part of it")]

use adasum_gpu::shader::{Element, GROUP_ELEMENTS, WORKGROUP_THREADS};

/// Two f32 whose sum is the number.
pub type Pair = [f32; 2];

/// `product_fused.wgsl` or `product_split.wgsl`.
#[derive(Clone, Copy, Debug)]
pub struct Twin {
    pub is_fused: bool,
    pub element: Element,
    /// Threads of a subgroup, in `reduce_subgroups.wgsl`; without it `reduce_workgroup.wgsl`.
    pub subgroup_threads: Option<usize>,
}

fn upper_half(x: f32) -> f32 {
    f32::from_bits(x.to_bits() & 0xffff_f000)
}

pub fn two_sum(a: f32, b: f32) -> Pair {
    let sum = a + b;
    let b_part = sum - a;
    let a_part = sum - b_part;
    [sum, (a - a_part) + (b - b_part)]
}

pub fn add_pair(a: Pair, b: Pair) -> Pair {
    let sum = two_sum(a[0], b[0]);
    [sum[0], sum[1] + (a[1] + b[1])]
}

impl Twin {
    pub fn two_product(self, a: f32, b: f32) -> Pair {
        let product = a * b;
        if self.is_fused {
            return [product, a.mul_add(b, -product)];
        }
        let (a_upper, b_upper) = (upper_half(a), upper_half(b));
        let (a_lower, b_lower) = (a - a_upper, b - b_upper);
        let third = ((a_upper * b_upper - product) + a_upper * b_lower) + a_lower * b_upper;
        [product, third + a_lower * b_lower]
    }

    fn element_product(self, a: f32, b: f32) -> Pair {
        if self.element == Element::F32 { self.two_product(a, b) } else { [a * b, 0.0] }
    }

    pub fn add_product(self, sum: Pair, a: f32, b: f32) -> Pair {
        let product = self.element_product(a, b);
        let total = two_sum(sum[0], product[0]);
        [total[0], sum[1] + (total[1] + product[1])]
    }

    pub fn add_scaled(self, sum: Pair, factor: Pair, x: f32) -> Pair {
        // The shader's `factor.y * x` may be fused into the sum: it is the last digits' last digits.
        let product = self.two_product(factor[0], x);
        let total = two_sum(sum[0], product[0]);
        [total[0], sum[1] + (total[1] + (product[1] + factor[1] * x))]
    }

    fn add_combined(self, sum: Pair, x: Pair, g: f32) -> Pair {
        let product = self.two_product(x[0], g);
        let total = two_sum(sum[0], product[0]);
        [total[0], sum[1] + (total[1] + (product[1] + x[1] * g))]
    }

    /// One element of `combine.wgsl`: its two parts before they are narrowed.
    pub fn combine(self, factors: &[Pair], x: &[f32]) -> Pair {
        let terms = factors.iter().zip(x).filter(|(factor, _)| factor[0] != 0.0);
        let sum = terms.clone().fold([0.0; 2], |sum, (&factor, &x)| self.add_scaled(sum, factor, x));
        if (sum[0] + sum[1]).is_finite() {
            return sum;
        }
        [terms.fold(0.0, |sum, (factor, x)| sum + factor[0] * x), 0.0]
    }

    /// `gram.wgsl` over one chunk: the sum of one pair of inputs.
    pub fn gram(self, a: &[f32], b: &[f32]) -> Pair {
        let add = |sum: Pair, at: usize| self.add_product(sum, a[at], b[at]);
        self.reduce(a.len(), add)
    }

    /// What a workgroup does with a chunk: thread t takes every 64th group, then the threads' sums are added.
    fn reduce(self, length: usize, add: impl Fn(Pair, usize) -> Pair) -> Pair {
        let groups = length.div_ceil(GROUP_ELEMENTS);
        let thread_sum = |thread: usize| {
            let elements =
                (thread..groups).step_by(WORKGROUP_THREADS).flat_map(|group| group * 4..length.min(group * 4 + 4));
            elements.fold([0.0; 2], &add)
        };
        let sums: Vec<Pair> = (0..WORKGROUP_THREADS).map(thread_sum).collect();
        self.subgroup_threads.map_or_else(|| add_by_quarters(&sums), |threads| add_by_subgroups(&sums, threads))
    }

    /// `refine.wgsl` over one chunk: x.x, then x.g for every input.
    pub fn refine(self, factors: &[Pair], inputs: &[Vec<f32>]) -> Vec<Pair> {
        let combined = |at: usize| {
            let terms = factors.iter().zip(inputs).filter(|(factor, _)| factor[0] != 0.0);
            let parts = terms.fold([0.0; 2], |sum, (&factor, g)| self.add_scaled(sum, factor, g[at]));
            two_sum(parts[0], parts[1])
        };
        let length = inputs[0].len();
        let square = self.reduce(length, |sum, at| {
            let x = combined(at);
            let square = self.add_combined(sum, x, x[0]);
            [square[0], square[1] + x[0] * x[1]]
        });
        let with = |g: &Vec<f32>| self.reduce(length, |sum, at| self.add_combined(sum, combined(at), g[at]));
        std::iter::once(square).chain(inputs.iter().map(with)).collect()
    }
}

/// `reduce_workgroup.wgsl`
fn add_by_quarters(sums: &[Pair]) -> Pair {
    let quarter =
        |at: usize| sums[at * 16 + 1..at * 16 + 16].iter().fold(sums[at * 16], |total, &sum| add_pair(total, sum));
    add_pair(add_pair(quarter(0), quarter(1)), add_pair(quarter(2), quarter(3)))
}

/// `add_lane` of `reduce_subgroups.wgsl`: what the first lane has in the end.
fn add_lanes(lanes: &[Pair]) -> Pair {
    let mut totals = lanes.to_vec();
    let mut distance = 1;
    while distance < lanes.len() {
        let next = |lane: usize| totals.get(lane + distance).map_or(totals[lane], |&next| add_pair(totals[lane], next));
        totals = (0..lanes.len()).map(next).collect();
        distance *= 2;
    }
    totals[0]
}

fn add_by_subgroups(sums: &[Pair], subgroup_threads: usize) -> Pair {
    let totals: Vec<Pair> = sums.chunks(subgroup_threads).map(add_lanes).collect();
    totals[1..].iter().fold(totals[0], |total, &next| add_pair(total, next))
}

/// `widen` of one element.
pub fn widen(element: Element, bits: u32) -> f32 {
    match element {
        Element::F32 => f32::from_bits(bits),
        Element::Bf16 => f32::from_bits(bits << 16),
        Element::F16 => {
            let magnitude = bits & 0x7fff;
            let shifted = (magnitude << 13) + if magnitude >= 0x7c00 { 0x7000_0000 } else { 0x3800_0000 };
            let subnormal = magnitude as f32 * 5.960_464_5e-8;
            let signed = if bits >= 0x8000 { -subnormal } else { subnormal };
            if magnitude < 0x400 { signed } else { f32::from_bits(shifted | (bits & 0x8000) << 16) }
        }
    }
}

fn odd_bits(upper: f32, lower: f32) -> u32 {
    let sum = two_sum(upper, lower);
    let bits = sum[0].to_bits();
    if !sum[0].is_finite() || sum[1] == 0.0 || bits & 1 == 1 {
        return bits;
    }
    if (sum[1] > 0.0) == (sum[0] > 0.0) { bits + 1 } else { bits - 1 }
}

fn f16_bits(odd: u32) -> u32 {
    let (sign, magnitude) = (odd >> 16 & 0x8000, odd & 0x7fff_ffff);
    if magnitude > 0x7f80_0000 {
        return 0x7e00;
    }
    if magnitude >= 0x4780_0000 {
        return sign | 0x7c00;
    }
    if magnitude >= 0x3880_0000 {
        return sign | (magnitude - 0x3800_0000 + 0x0fff + (magnitude >> 13 & 1)) >> 13;
    }
    let shift = 126 - (magnitude >> 23);
    if shift > 24 {
        return sign;
    }
    let significand = magnitude & 0x7f_ffff | 0x80_0000;
    let half = (1 << (shift - 1)) - 1;
    sign | (significand + half + (significand >> shift & 1)) >> shift
}

fn bf16_bits(odd: u32) -> u32 {
    if odd & 0x7fff_ffff > 0x7f80_0000 {
        return 0x7fc0;
    }
    (odd + 0x7fff + (odd >> 16 & 1)) >> 16
}

/// `narrow` of one element: its bits.
pub fn narrow(element: Element, [upper, lower]: Pair) -> u32 {
    match element {
        Element::F32 => {
            let sum = upper + lower;
            if sum.is_nan() { 0x7fc0_0000 } else { sum.to_bits() }
        }
        Element::F16 => f16_bits(odd_bits(upper, lower)),
        Element::Bf16 => bf16_bits(odd_bits(upper, lower)),
    }
}

/// A number as the host splits it for the shaders.
pub fn split(number: f64) -> Pair {
    let upper = number as f32;
    [upper, (number - f64::from(upper)) as f32]
}
