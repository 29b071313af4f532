//! The grid: every number of inputs, length, family and instruction set against the pairwise recursion.

use crate::common::calls::{ADASUM, AVERAGE, Reduced, SUM, adasum_into, reduce_into};
use crate::common::engines;
use crate::common::float::{Float, bits, for_results, widen, widen_one};
use crate::common::inputs::{FAMILIES, Family, Random};
use crate::common::{oracle, tolerance};
use adasum_core::Engine;
use adasum_core::half::{Bf16, F16};

const MEDIUM: [usize; 5] = [1000, 2047, 2048, 2049, 10_000];

struct Case {
    family: Family,
    n: usize,
    length: usize,
    seed: u64,
}

impl Case {
    fn inputs<F: Float>(&self) -> Vec<Vec<F>> {
        self.family.rounded(&mut Random::new(self.seed), self.n, self.length)
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}, n = {}, length {}, seed {:#x}", self.family, self.n, self.length, self.seed)
    }
}

fn grid(lengths: impl Iterator<Item = usize> + Clone) -> impl Iterator<Item = Case> {
    FAMILIES.into_iter().enumerate().flat_map(move |(f, family)| {
        let lengths = lengths.clone();
        (1..=9).flat_map(move |n| {
            lengths.clone().map(move |length| {
                let seed = ((f as u64) << 48) | ((n as u64) << 32) | length as u64;
                Case { family, n, length, seed }
            })
        })
    })
}

/// The same bits on all engines.
fn on_all<F: Float>(case: &Case, compute: impl Fn(Engine) -> Reduced<F>) -> Reduced<F> {
    let engines = engines();
    let first = compute(engines[0]);
    for &engine in &engines[1..] {
        let other = compute(engine);
        assert_eq!(bits(&first.result), bits(&other.result), "{} differs from scalar: {case}", engine.isa());
        assert_eq!(bits(&first.orthogonality), bits(&other.orthogonality), "{}: {case}", engine.isa());
        assert_eq!(first.coefficients, other.coefficients, "{}: {case}", engine.isa());
    }
    first
}

fn check<E: Float, O: Float>(case: &Case) {
    let inputs = case.inputs::<E>();
    let ours = on_all(case, |engine| adasum_into::<E, O>(engine, &inputs));
    let wide = widen(&inputs);
    let expected = oracle::adasum_all(&wide);
    is_near::<E, O>(case, &wide, &ours.result, &expected);
    let total: f64 = wide.iter().map(|g| oracle::dot(g, g)).sum();
    let orthogonality = if total == 0.0 { 1.0 } else { oracle::dot(&expected, &expected) / total };
    let difference = (ours.orthogonality[0] - orthogonality).abs();
    assert!(difference <= tolerance::orthogonality::<E>(), "{case}, {}: orthogonality off by {difference:e}", E::NAME);
}

/// A half format's own rounding would hide every other error. So each of its numbers must be what `expected` rounds to, or
/// what it would round to if it were off by the tolerance.
fn is_near<E: Float, O: Float>(case: &Case, inputs: &[Vec<f64>], ours: &[O], expected: &[f64]) {
    let limit = tolerance::result::<O>(case.family, case.length);
    if O::SIGNIFICAND_BITS >= f32::SIGNIFICAND_BITS {
        let error = oracle::relative_error(&widen_one(ours), expected);
        assert!(error <= limit, "{case}, {} into {}: error {error:e} above {limit:e}", E::NAME, O::NAME);
        return;
    }
    let largest = inputs.iter().map(|g| oracle::norm(g)).fold(0.0, f64::max); // Absent ones are NaN, which max passes over.
    let slack = limit * oracle::norm(expected) + tolerance::CANCELLED * largest;
    for (e, (x, want)) in ours.iter().zip(expected).enumerate() {
        let [low, high] = [want - slack, want + slack].map(|x| O::from_f64(x).to_f64());
        assert!((low..=high).contains(&x.to_f64()), "{case}, {}: element {e} is {x:?}, not {want:e}", O::NAME);
    }
}

#[test]
fn adasum_in_f32_equals_the_recursion() {
    grid((0..=257).chain(MEDIUM).chain([70_001])).for_each(|case| check::<f32, f32>(&case));
}

#[test]
fn adasum_in_f64_equals_the_recursion() {
    grid((0..=257).chain(MEDIUM).chain([70_001])).for_each(|case| check::<f64, f64>(&case));
}

#[test]
fn adasum_in_f16_equals_the_recursion() {
    grid((0..=67).chain(MEDIUM)).for_each(|case| check::<F16, F16>(&case));
    grid((0..=67).chain([2049])).for_each(|case| check::<F16, f32>(&case));
}

#[test]
fn adasum_in_bf16_equals_the_recursion() {
    grid((0..=67).chain(MEDIUM)).for_each(|case| check::<Bf16, Bf16>(&case));
    grid((0..=67).chain([2049])).for_each(|case| check::<Bf16, f32>(&case));
}

fn check_weights<E: Float, O: Float>(case: &Case) {
    let mut inputs = case.inputs::<E>();
    for mask in 0..1_u32 << case.n {
        // Weights from 1/3 to 7/3 beside zeros.
        let weight = |i: usize| f64::from(mask >> i & 1) * (1 + (i + mask as usize) % 7) as f64 / 3.0;
        let weights: Vec<f64> = (0..case.n).map(weight).collect();
        // What is absent is not read: it may be anything.
        for (input, _) in inputs.iter_mut().zip(&weights).filter(|(_, weight)| **weight == 0.0) {
            input.fill(E::from_f64(f64::NAN));
        }
        let compute = |engine| reduce_into::<E, O>(engine, ADASUM, &inputs, &weights, &[case.length]);
        let ours = on_all(case, compute);
        let wide = widen(&inputs);
        let expected = oracle::adasum(&wide, &weights).unwrap_or(vec![0.0; case.length]);
        is_near::<E, O>(case, &wide, &ours.result, &expected);
        for (i, coefficient) in ours.coefficients[0].iter().enumerate() {
            assert!(weights[i] > 0.0 || *coefficient == 0.0, "{case}: absent input {i} has a coefficient");
        }
        let of_present = wide.iter().zip(&weights).filter(|(_, weight)| **weight > 0.0);
        let trace: f64 = of_present.map(|(g, _)| oracle::dot(g, g)).sum();
        let ours_trace = ours.squared_norm_sum[0];
        assert!((ours_trace - trace).abs() <= 1e-14 * trace, "{case}: squared norms sum to {ours_trace}, not {trace}");
        inputs = case.inputs();
    }
}

#[test]
fn inputs_count_as_often_as_they_weigh_and_are_not_read_if_they_weigh_nothing() {
    for case in grid([3, 100].into_iter()).filter(|case| case.n <= 6) {
        for_results!(check_weights(&case));
    }
}

fn check_constant<E: Float, O: Float>(case: &Case) {
    let inputs = case.inputs::<E>();
    let wide = widen(&inputs);
    let (weights, segments) = (vec![1.0; case.n], [case.length]);
    for (op, coefficient) in [(SUM, 1.0), (AVERAGE, 1.0 / case.n as f64)] {
        let compute = |engine| Reduced {
            orthogonality: vec![],
            squared_norm_sum: vec![],
            coefficients: vec![],
            ..reduce_into::<E, O>(engine, op, &inputs, &weights, &segments)
        };
        let ours = on_all(case, compute);
        let sum_at = |e: usize| wide[1..].iter().fold(coefficient * wide[0][e], |sum, g| sum + coefficient * g[e]);
        let expected: Vec<O> = (0..case.length).map(|e| O::from_f64(sum_at(e))).collect();
        assert_eq!(bits(&ours.result), bits(&expected), "{case}, op {op}, {} into {}", E::NAME, O::NAME);
    }
}

#[test]
fn sum_and_average_add_in_input_order_and_round_once() {
    for case in grid((0..=67).chain([2049])) {
        for_results!(check_constant(&case));
    }
}

fn check_segments<E: Float, O: Float>(segments: &[usize]) {
    let length = segments.iter().sum();
    let case = Case { family: Family::Alternating, n: 5, length, seed: 1 };
    let inputs = case.inputs::<E>();
    let ours = on_all(&case, |engine| reduce_into::<E, O>(engine, ADASUM, &inputs, &[1.0; 5], segments));
    let mut start = 0;
    for (segment, &count) in segments.iter().enumerate() {
        let of_segment: Vec<Vec<E>> = inputs.iter().map(|g| g[start..start + count].to_vec()).collect();
        let alone = adasum_into::<E, O>(engines()[0], &of_segment);
        assert_eq!(bits(&ours.result[start..start + count]), bits(&alone.result), "segment {segment}");
        assert_eq!(ours.coefficients[segment], alone.coefficients[0], "segment {segment}");
        assert_eq!(ours.orthogonality[segment], alone.orthogonality[0], "segment {segment}");
        assert_eq!(ours.squared_norm_sum[segment], alone.squared_norm_sum[0], "segment {segment}");
        start += count;
    }
}

#[test]
fn segments_are_reduced_apart() {
    for_results!(check_segments(&[0, 1, 5000, 8, 2048, 13, 0]));
}
