//! The algebra of the operator: what holds for every input, exactly or to rounding.

use crate::common::calls::{ADASUM, Reduced, adasum, adasum_into, reduce_into};
use crate::common::engines;
use crate::common::float::{Float, bits, for_fine_results, for_results, round, widen, widen_one};
use crate::common::inputs::{FAMILIES, Family, Random};
use crate::common::oracle::{dot, norm, pair, relative_error};
use crate::common::tolerance::IDENTITY;
use adasum_core::Engine;
use adasum_core::half::{Bf16, F16};

fn fastest() -> Engine {
    engines().pop().unwrap()
}

fn result(inputs: &[Vec<f64>]) -> Vec<f64> {
    adasum(fastest(), inputs).result
}

/// Pairs of vectors with all sorts of lengths and angles.
fn pairs() -> impl Iterator<Item = (Vec<f64>, Vec<f64>)> {
    (0..200).map(|seed| {
        let mut random = Random::new(seed);
        let (a, noise) = (random.vector(64), random.vector(64));
        let (mix, scale) = (2.0 * random.uniform() - 1.0, 10.0_f64.powf(4.0 * random.uniform() - 2.0));
        let b = a.iter().zip(&noise).map(|(x, e)| scale * (mix * x + (1.0 - mix.abs()) * e)).collect();
        (a, b)
    })
}

fn sum(inputs: &[Vec<f64>]) -> Vec<f64> {
    (0..inputs[0].len()).map(|e| inputs.iter().map(|g| g[e]).sum()).collect()
}

fn scaled(vector: &[f64], factor: f64) -> Vec<f64> {
    vector.iter().map(|x| x * factor).collect()
}

#[test]
fn squared_norm_and_projection_of_a_pair() {
    for (a, b) in pairs() {
        let (aa, bb, ab) = (dot(&a, &a), dot(&b, &b), dot(&a, &b));
        let c = ab / (aa * bb).sqrt();
        let s = result(&[a.clone(), b]);
        let expected = (aa + bb) * (1.0 - 0.75 * c * c) + 0.5 * c.powi(3) * (aa * bb).sqrt();
        assert!((dot(&s, &s) - expected).abs() <= IDENTITY * (aa + bb), "|s|^2");
        assert!((0.0..=(aa + bb) * (1.0 + IDENTITY)).contains(&dot(&s, &s)), "0 <= |s|^2 <= A + B");
        let expected = aa * (1.0 - 0.5 * c * c) + 0.5 * c * (aa * bb).sqrt();
        assert!((dot(&s, &a) - expected).abs() <= IDENTITY * (aa + (aa * bb).sqrt()), "s.a");
    }
}

#[test]
fn the_operator_is_half_the_sum_plus_half_the_sum_without_projections() {
    for (a, b) in pairs() {
        let ratio = |x: &[f64], y: &[f64]| dot(x, y) / dot(x, x);
        let without =
            |x: &[f64], y: &[f64]| -> Vec<f64> { x.iter().zip(y).map(|(u, v)| u - ratio(y, x) * v).collect() };
        let expected = scaled(&sum(&[a.clone(), b.clone(), without(&a, &b), without(&b, &a)]), 0.5);
        assert!(relative_error(&result(&[a, b]), &expected) <= 100.0 * IDENTITY);
    }
}

/// `base` is the size that the inputs have before, as a power of two. Numbers that are subnormal before or after have fewer
/// digits and are passed over.
fn scaling_is_exact<E: Float, O: Float>(base: i32, exponents: &[i32]) {
    for (family, n, exponent) in
        FAMILIES.iter().flat_map(|&f| (1..=9).flat_map(move |n| exponents.iter().map(move |&e| (f, n, e))))
    {
        let vectors = family.vectors(&mut Random::new(n as u64), n, 75);
        let inputs: Vec<Vec<E>> = round(&vectors.iter().map(|g| scaled(g, 2.0_f64.powi(base))).collect::<Vec<_>>());
        let factor = 2.0_f64.powi(exponent);
        let scaled_inputs: Vec<Vec<E>> = round(&widen(&inputs).iter().map(|g| scaled(g, factor)).collect::<Vec<_>>());
        let plain = adasum_into::<E, O>(fastest(), &inputs);
        let ours = adasum_into::<E, O>(fastest(), &scaled_inputs);
        for (x, scaled) in plain.result.iter().zip(&ours.result) {
            let (expected, is_normal) = (x.to_f64() * factor, x.to_f64().abs() >= O::SMALLEST_NORMAL);
            let is_exact = scaled.bits() == O::from_f64(expected).bits();
            assert!(is_exact || !is_normal, "{family:?}, n = {n}, 2^{exponent}: {scaled:?}, not {expected:e}");
        }
        assert_eq!(ours.coefficients, plain.coefficients, "{family:?}, n = {n}, 2^{exponent}");
    }
}

#[test]
fn powers_of_two_scale_the_result_bit_for_bit() {
    let exponents = [-20, -1, 3, 30];
    scaling_is_exact::<f32, f32>(0, &exponents);
    scaling_is_exact::<f64, f64>(0, &exponents);
    scaling_is_exact::<Bf16, Bf16>(0, &exponents);
    scaling_is_exact::<Bf16, f32>(0, &exponents);
    // The family with norms from 1e-4 to 1e4 nearly fills f16's range: the inputs may grow a little, but not shrink.
    scaling_is_exact::<F16, F16>(-4, &[1, 3]);
    scaling_is_exact::<F16, f32>(-4, &[1, 3]);
}

/// A reflection at the plane orthogonal to `axis`.
fn reflected(vector: &[f64], axis: &[f64]) -> Vec<f64> {
    let factor = 2.0 * dot(vector, axis) / dot(axis, axis);
    vector.iter().zip(axis).map(|(x, u)| x - factor * u).collect()
}

#[test]
fn orthogonal_transforms_commute_with_the_operator() {
    for n in 2..=9 {
        let mut random = Random::new(n as u64);
        let inputs = Family::SpreadNorms.vectors(&mut random, n, 50);
        let axis = random.vector(50);
        let transformed: Vec<_> = inputs.iter().map(|g| reflected(g, &axis)).collect();
        let error = relative_error(&result(&transformed), &reflected(&result(&inputs), &axis));
        assert!(error <= 10.0 * IDENTITY, "n = {n}: {error:e}");
    }
}

#[test]
fn a_pair_commutes_bit_for_bit() {
    for (a, b) in pairs() {
        let commuted = result(&[b.clone(), a.clone()]);
        assert_eq!(bits(&result(&[a, b])), bits(&commuted));
    }
}

fn zero_is_neutral<E: Float, O: Float>() {
    for position in 0..2 {
        let g: Vec<E> = round(&[Random::new(3).vector(100)]).remove(0);
        let mut inputs = vec![vec![E::default(); 100]; 2];
        inputs[position] = g.clone();
        let ours = adasum_into::<E, O>(fastest(), &inputs);
        assert_eq!(widen_one(&ours.result), widen_one(&g));
        assert_eq!(ours.orthogonality, [1.0]);
    }
}

#[test]
fn a_zero_vector_is_neutral() {
    for_results!(zero_is_neutral());
}

fn a_zero_vector_keeps_its_count<E: Float, O: Float>() {
    let mut random = Random::new(4);
    let [a, b, c] = [0; 3].map(|_| random.vector(20));
    let inputs: Vec<Vec<E>> = round(&[a, vec![0.0; 20], b, c]);
    let ours = adasum_into::<E, O>(fastest(), &inputs);
    // In f64 it might be a vector whose norm underflows.
    assert!(ours.coefficients[0][1] == 0.0 || E::NAME == "f64");
    // Two inputs stand on either side of the root, zero or not: the weights are those of the paper.
    let wide = widen(&inputs);
    let expected = pair(&wide[0], &pair(&wide[2], &wide[3], 0.5, 0.5), 0.5, 0.5);
    assert!(relative_error(&widen_one(&ours.result), &expected) < 1e-7);
}

#[test]
fn a_zero_vector_has_coefficient_zero_and_keeps_its_count() {
    for_fine_results!(a_zero_vector_keeps_its_count());
}

fn zeros_give_zero<E: Float, O: Float>() {
    for n in 1..=9 {
        let ours = adasum_into::<E, O>(fastest(), &vec![vec![E::default(); 33]; n]);
        assert_eq!((bits(&ours.result), ours.orthogonality), (vec![0; 33], vec![1.0]));
    }
}

#[test]
fn inputs_that_are_all_zero_give_zero_and_count_as_orthogonal() {
    for_results!(zeros_give_zero());
}

fn nothing_gives_zero<E: Float, O: Float>() {
    let inputs = vec![vec![E::from_f64(f64::NAN); 9]; 3];
    for op in 0..3 {
        let ours = reduce_into::<E, O>(fastest(), f64::from(op), &inputs, &[0.0; 3], &[9]);
        assert_eq!(bits(&ours.result), [0; 9]);
    }
    let ours = reduce_into::<E, O>(fastest(), ADASUM, &inputs, &[0.0; 3], &[9]);
    let (orthogonality, squared_norm_sum, coefficients) = (vec![1.0], vec![0.0], vec![vec![0.0; 3]]);
    assert_eq!(ours, Reduced { result: vec![O::default(); 9], orthogonality, squared_norm_sum, coefficients });
}

#[test]
fn without_any_present_input_the_result_is_zero() {
    for_results!(nothing_gives_zero());
}

fn disjoint_supports_add<E: Float, O: Float>() {
    for n in 1..=9 {
        let length = 10 * n + 3;
        let one = |i: usize| {
            let values = Random::new(i as u64).vector(length);
            values.iter().enumerate().map(|(e, &x)| E::from_f64(if e % n == i { x } else { 0.0 })).collect()
        };
        let inputs: Vec<Vec<E>> = (0..n).map(one).collect();
        let ours = adasum_into::<E, O>(fastest(), &inputs);
        let expected: Vec<O> = sum(&widen(&inputs)).iter().map(|&x| O::from_f64(x)).collect();
        assert_eq!(bits(&ours.result), bits(&expected), "n = {n}");
        assert_eq!(ours.coefficients, [vec![1.0; n]], "n = {n}");
        assert!((ours.orthogonality[0] - 1.0).abs() <= IDENTITY, "n = {n}");
    }
}

#[test]
fn inputs_with_disjoint_supports_give_their_sum_bit_for_bit() {
    for_results!(disjoint_supports_add());
}

fn identical_inputs_give_the_input<E: Float, O: Float>(n: usize) {
    let g: Vec<E> = round(&[Random::new(5).vector(1000)]).remove(0);
    let ours = adasum_into::<E, O>(fastest(), &vec![g.clone(); n]);
    assert_eq!(ours.coefficients, [vec![1.0 / n as f64; n]], "n = {n}");
    assert_eq!(ours.orthogonality, [1.0 / n as f64], "n = {n}");
    if E::NAME == "f64" {
        // There is no room for 3/8 of a number: the coefficients are exact, the additions round.
        assert!(relative_error(&widen_one(&ours.result), &widen_one(&g)) <= IDENTITY, "n = {n}");
    } else {
        assert_eq!(widen_one(&ours.result), widen_one(&g), "n = {n}, {} into {}", E::NAME, O::NAME);
    }
}

#[test]
fn a_power_of_two_of_identical_inputs_gives_the_input() {
    for n in [1, 2, 4, 8, 16, 32] {
        for_results!(identical_inputs_give_the_input(n));
    }
}

#[test]
fn parallel_inputs_of_any_sign_and_length_give_their_mean() {
    for n in 1..=9 {
        let mut random = Random::new(n as u64);
        let direction = random.vector(30);
        let factors: Vec<f64> = (0..n).map(|i| [1.0, -0.3, 5.0][i % 3] * (1.0 + random.uniform())).collect();
        let inputs: Vec<_> = factors.iter().map(|&f| scaled(&direction, f)).collect();
        let expected = scaled(&sum(&inputs), 1.0 / n as f64);
        let error = relative_error(&result(&inputs), &expected);
        assert!(error <= 100.0 * IDENTITY, "n = {n}: {error:e}");
    }
}

#[test]
fn a_least_squares_step_is_the_mean_of_both_sequential_orders() {
    for seed in 0..50 {
        let mut random = Random::new(seed);
        let (weights, target) = (random.vector(12), random.vector(2));
        let rows: Vec<Vec<f64>> = (0..2).map(|_| random.vector(12)).map(|row| scaled(&row, 1.0 / norm(&row))).collect();
        let gradient = |w: &[f64], i: usize| scaled(&rows[i], dot(&rows[i], w) - target[i]);
        let step = |w: &[f64], i: usize| -> Vec<f64> { w.iter().zip(gradient(w, i)).map(|(x, g)| x - g).collect() };
        let mean = scaled(&sum(&[step(&step(&weights, 0), 1), step(&step(&weights, 1), 0)]), 0.5);
        let combined = result(&[gradient(&weights, 0), gradient(&weights, 1)]);
        let ours: Vec<f64> = weights.iter().zip(combined).map(|(x, g)| x - g).collect();
        assert!(relative_error(&ours, &mean) <= IDENTITY, "seed {seed}");
    }
}

#[test]
fn the_expectation_over_independent_draws() {
    // E[s] = (2 I - M) E[X] with M = E[X X^T / |X|^2], for X uniform over a few vectors.
    let mut random = Random::new(6);
    let draws: Vec<_> = (0..7).map(|_| random.vector(5)).collect();
    let share = 1.0 / draws.len() as f64;
    let all = draws.iter().flat_map(|a| draws.iter().map(|b| result(&[a.clone(), b.clone()])));
    let expectation = scaled(&sum(&all.collect::<Vec<_>>()), share * share);
    let mean = scaled(&sum(&draws), share);
    let projected: Vec<_> = draws.iter().map(|x| scaled(x, dot(x, &mean) / dot(x, x) * share)).collect();
    let expected: Vec<f64> = mean.iter().zip(sum(&projected)).map(|(m, p)| 2.0 * m - p).collect();
    assert!(relative_error(&expectation, &expected) <= IDENTITY);
}

#[test]
fn tiny_f64_vectors_are_kept_although_their_norms_underflow() {
    let mut random = Random::new(7);
    let tiny: Vec<_> = (0..3).map(|_| scaled(&random.vector(10), 1e-170)).collect();
    let ours = adasum(fastest(), &tiny);
    assert_eq!((bits(&ours.result), ours.coefficients), (bits(&sum(&tiny)), vec![vec![1.0; 3]]));
    // Beside a normal vector they count as orthogonal to it.
    let ours = adasum(fastest(), &[tiny[0].clone(), random.vector(10)]);
    assert_eq!(ours.coefficients, [vec![1.0; 2]]);
}

#[test]
fn huge_f64_vectors_do_not_overflow_while_their_products_are_finite() {
    for n in 2..=9 {
        let inputs = Family::Independent.vectors(&mut Random::new(8), n, 100);
        let huge: Vec<_> = inputs.iter().map(|g| scaled(g, 2.0_f64.powi(507))).collect();
        let (ours, plain) = (adasum(fastest(), &huge), adasum(fastest(), &inputs));
        assert_eq!(bits(&ours.result), bits(&scaled(&plain.result, 2.0_f64.powi(507))), "n = {n}");
        assert_eq!(ours.coefficients, plain.coefficients, "n = {n}");
    }
}

fn what_is_not_finite_poisons_its_segment<E: Float, O: Float>() {
    for (bad, n) in [(f64::NAN, 3), (f64::INFINITY, 2), (f64::NEG_INFINITY, 1)] {
        let mut inputs = vec![vec![E::from_f64(1.0); 12]; n];
        inputs[n - 1][2] = E::from_f64(bad);
        for engine in engines() {
            let ours = reduce_into::<E, O>(engine, ADASUM, &inputs, &vec![1.0; n], &[5, 7]);
            assert_eq!(bits(&ours.result[..5]), [O::CANONICAL_NAN; 5], "{} into {}", E::NAME, O::NAME);
            assert!(ours.result[5..].iter().all(|&x| x == O::from_f64(1.0)), "{}", engine.isa());
            assert!(ours.orthogonality[0].is_nan() && ours.coefficients[0].iter().all(|c| c.is_nan()));
        }
    }
}

#[test]
fn a_gram_matrix_that_is_not_finite_poisons_its_segment_with_the_canonical_nan() {
    for_results!(what_is_not_finite_poisons_its_segment());
    let overflowing = vec![vec![1e200_f64; 4]; 2];
    let ours = adasum(fastest(), &overflowing);
    assert_eq!(bits(&ours.result), [f64::CANONICAL_NAN; 4]);
}

fn squares_neither_underflow_nor_overflow<E: Float, O: Float>() {
    let infinity = E::from_f64(f64::INFINITY);
    for (extreme, mean) in [E::from_bits(1), E::from_bits(infinity.bits() - 1)].map(|x| (x, x.to_f64())) {
        let ours = adasum_into::<E, O>(fastest(), &vec![vec![extreme; 6]; 4]);
        assert_eq!(widen_one(&ours.result), [mean; 6], "{} into {}", E::NAME, O::NAME);
        assert_eq!((ours.orthogonality, ours.coefficients), (vec![0.25], vec![vec![0.25; 4]]));
    }
}

#[test]
fn the_smallest_and_the_largest_numbers_of_f32_and_the_halves_have_norms() {
    squares_neither_underflow_nor_overflow::<f32, f32>();
    squares_neither_underflow_nor_overflow::<F16, F16>();
    squares_neither_underflow_nor_overflow::<F16, f32>();
    squares_neither_underflow_nor_overflow::<Bf16, Bf16>();
    squares_neither_underflow_nor_overflow::<Bf16, f32>();
}
