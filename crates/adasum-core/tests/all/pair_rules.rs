//! The rules for pairs beside Adasum's own, against their definitions over vectors.

use crate::common::calls::{Reduced, coefficients_by};
use crate::common::engines;
use crate::common::float::{Float, bits, for_fine_results, round, widen, widen_one};
use crate::common::inputs::{FAMILIES, Family, Random};
use crate::common::oracle::{dot, norm, relative_error, tree};
use crate::common::ranks::Ranks;
use crate::common::tolerance;
use adasum_core::Engine;
use adasum_core::entry::{self, View};

const DAMPED: f64 = 1.0;
const ADASCALE: f64 = 2.0;
const RULES: [(f64, f64); 6] =
    [(DAMPED, 0.0), (DAMPED, 0.3), (DAMPED, 1.0), (DAMPED, 2.0), (ADASCALE, 1.0), (ADASCALE, 4.0)];

fn by_rule<E: Float, O: Float>(engine: Engine, inputs: &[Vec<E>], weights: &[f64], rule: (f64, f64)) -> Reduced<O> {
    Ranks { engine, inputs, runs: vec![(0, inputs[0].len())] }.by_rule(rule, weights)
}

/// Two vectors that stand for m and k ranks', by the definition of a rule.
fn pair((rule, parameter): (f64, f64), a: &[f64], b: &[f64], m: f64, k: f64) -> Vec<f64> {
    let (aa, ab, bb) = (dot(a, a), dot(a, b), dot(b, b));
    if aa == 0.0 || bb == 0.0 {
        return if aa == 0.0 { b.to_vec() } else { a.to_vec() };
    }
    let (c, d) = if rule == DAMPED {
        (1.0 - parameter * m / (m + k) * ab / aa, 1.0 - parameter * k / (m + k) * ab / bb)
    } else {
        let cosine = f64::max(ab / (aa * bb).sqrt(), 1.0 / parameter - 1.0);
        let shift = (m - k) / (m + k) * cosine;
        ((1.0 + shift) / (1.0 + cosine), (1.0 - shift) / (1.0 + cosine))
    };
    a.iter().zip(b).map(|(x, y)| c * x + d * y).collect()
}

fn check<E: Float, O: Float>(family: Family, n: usize, length: usize) {
    let inputs: Vec<Vec<E>> = family.rounded(&mut Random::new((n * 10_000 + length) as u64), n, length);
    let wide = widen(&inputs);
    for rule in RULES {
        let few_and_many = |i: usize| [0.5, 3.0, 0.0, 1e6][i % 4];
        for weights in [vec![1.0; n], (0..n).map(|i| (i % 4) as f64).collect(), (0..n).map(few_and_many).collect()] {
            let engines = engines();
            let ours = by_rule::<E, O>(engines[0], &inputs, &weights, rule);
            for &engine in &engines[1..] {
                assert_eq!(bits(&ours.result), bits(&by_rule::<E, O>(engine, &inputs, &weights, rule).result));
            }
            let definition = move |a: &[f64], b: &[f64], m: f64, k: f64| pair(rule, a, b, m, k);
            let expected = tree(&wide, &weights, &definition).unwrap_or(vec![0.0; length]);
            let largest = wide.iter().map(|g| norm(g)).fold(0.0, f64::max);
            let error = relative_error(&widen_one(&ours.result), &expected);
            // With kappa 2 parallel vectors cancel, and their difference then divides others.
            let cancels = rule == (DAMPED, 2.0);
            let scale = if cancels { norm(&expected).max(largest) / norm(&expected) } else { 1.0 };
            let limit = scale * if cancels { 1e-9 } else { tolerance::result::<O>(family, length) };
            let limit = limit.max(10.0 * tolerance::result::<O>(family, length));
            assert!(error <= limit, "{family:?}, n = {n}, length {length}, {rule:?}, {weights:?}: error {error:e}");
        }
    }
}

#[test]
fn rules_equal_the_recursion() {
    for family in FAMILIES {
        // These cancel at some nodes to noise, of which there is nothing to compare.
        if matches!(family, Family::NearlyCancelling) {
            continue;
        }
        for n in 1..=9 {
            for_fine_results!(check(family, n, if n == 3 { 2049 } else { 100 }));
        }
    }
}

fn coefficients(rule: (f64, f64), weights: &[f64], gram: &[f64]) -> Vec<f64> {
    coefficients_by(rule.0, rule.1, 0.0, weights, gram, &[])[3..].to_vec()
}

#[test]
fn damped_by_nothing_is_the_sum_and_by_one_adasum() {
    let (weights, gram) = ([1.0, 2.0, 1.0], [4.0, 1.5, -0.5, 3.0, 0.25, 2.0]);
    assert_eq!(coefficients((DAMPED, 0.0), &weights, &gram), [1.0; 3]);
    let adasum = coefficients((0.0, 0.0), &weights, &gram);
    assert_eq!(coefficients((DAMPED, 1.0), &weights, &gram), adasum);
}

#[test]
fn damped_by_the_step_is_the_mean_of_both_orders_of_kaczmarz() {
    for seed in 0..50 {
        let mut random = Random::new(seed);
        let unit = |v: Vec<f64>| -> Vec<f64> { v.iter().map(|x| x / dot(&v, &v).sqrt()).collect() };
        let rows = [unit(random.vector(16)), unit(random.vector(16))];
        let (weights, step) = (random.vector(16), 2.0 * random.uniform());
        let targets = [random.uniform(), random.uniform()];
        let gradient =
            |w: &[f64], i: usize| -> Vec<f64> { rows[i].iter().map(|x| x * (dot(&rows[i], w) - targets[i])).collect() };
        let take = |w: &[f64], g: &[f64]| -> Vec<f64> { w.iter().zip(g).map(|(w, g)| w - step * g).collect() };
        let after = |first: usize| {
            let w = take(&weights, &gradient(&weights, first));
            take(&w, &gradient(&w, 1 - first))
        };
        let expected: Vec<f64> = after(0).iter().zip(after(1)).map(|(x, y)| (x + y) / 2.0).collect();
        let gradients = [gradient(&weights, 0), gradient(&weights, 1)];
        let combined = by_rule::<f64, f64>(engines()[0], &gradients, &[1.0; 2], (DAMPED, step)).result;
        assert!(relative_error(&take(&weights, &combined), &expected) <= 100.0 * tolerance::IDENTITY, "seed {seed}");
    }
}

#[test]
fn adascale_has_the_length_of_its_gain_for_vectors_of_equal_norm() {
    for cosine in [0.0, 0.1, 0.5, 0.99, 1.0] {
        let gain = 2.0 * 2.0 / (2.0 + 2.0 * cosine); // n tr K / 1^T K 1
        let found = coefficients((ADASCALE, 1.0), &[1.0; 2], &[1.0, cosine, 1.0]);
        assert_eq!(found, [gain / 2.0; 2], "of the mean, whose coefficients are 1/2");
    }
    // Opposed vectors are added, unless the cap says otherwise.
    assert_eq!(coefficients((ADASCALE, 1.0), &[1.0; 2], &[1.0, -0.5, 1.0]), [1.0; 2]);
    assert_eq!(coefficients((ADASCALE, 4.0), &[1.0; 2], &[1.0, -0.5, 1.0]), [2.0; 2]);
    assert_eq!(coefficients((ADASCALE, 4.0), &[1.0; 2], &[1.0, -1.0, 1.0]), [4.0; 2]);
}

#[test]
fn adascale_averages_parallel_vectors_and_never_lengthens_beyond_orthogonal_ones() {
    assert_eq!(coefficients((ADASCALE, 1.0), &[3.0, 1.0], &[1.0, 2.0, 4.0]), [0.75, 0.25]);
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let inputs = [random.vector(3), random.vector(3)];
        let found = by_rule::<f64, f64>(engines()[0], &inputs, &[1.0; 2], (ADASCALE, 1.0));
        assert!(found.orthogonality[0] <= 1.0 + tolerance::IDENTITY, "seed {seed}");
        let swapped = [inputs[1].clone(), inputs[0].clone()];
        let other = by_rule::<f64, f64>(engines()[0], &swapped, &[1.0; 2], (ADASCALE, 1.0));
        assert_eq!(bits(&found.result), bits(&other.result), "seed {seed}: the order of a pair does not matter");
    }
}

/// The Gram matrix of two vectors of lengths 1 and `length`.
fn pair_gram(length: f64, cosine: f64) -> [f64; 3] {
    [1.0, length * cosine, length * length]
}

fn weighted_pairs() -> impl Iterator<Item = ([f64; 2], f64)> {
    let weights =
        [[1.0, 1.0], [3.0, 1.0], [0.01, 0.03], [0.3, 7.5], [1.0, 1e12], [5e-324, 1.0], [9007199254740992.0, 1.0]];
    weights.into_iter().flat_map(|pair| [1e-3, 1.0, 2.5].map(|length| (pair, length)))
}

fn assert_near(found: &[f64], expected: [f64; 2], what: &str) {
    for (x, y) in found.iter().zip(expected) {
        assert!((x - y).abs() <= 4.0 * f64::EPSILON, "{what}: {found:?}, expected {expected:?}");
    }
}

#[test]
fn weights_average_what_is_parallel_and_leave_what_is_orthogonal() {
    for ([m, k], length) in weighted_pairs() {
        let shares = [m / (m + k), k / (m + k)];
        let what = format!("weights {m} and {k}, length {length}");
        for rule in RULES {
            assert_eq!(coefficients(rule, &[m, k], &pair_gram(length, 0.0)), [1.0; 2], "{what}, {rule:?}");
        }
        assert_near(&coefficients((ADASCALE, 1.0), &[m, k], &pair_gram(length, 1.0)), shares, &what);
        for kappa in [0.0, 0.3, 1.0, 2.0] {
            let found = coefficients((DAMPED, kappa), &[m, k], &pair_gram(1.0, 1.0));
            assert_near(&found, shares.map(|share| 1.0 - kappa * share), &what);
        }
    }
}

#[test]
fn of_weights_only_the_ratios_count_and_absent_inputs_do_not() {
    let gram = [4.0, 1.5, -0.5, 3.0, 0.25, 2.0];
    for rule in RULES {
        let found = coefficients(rule, &[0.046875, 0.1875, 0.09375], &gram);
        assert_eq!(coefficients(rule, &[3.0, 12.0, 6.0], &gram), found);
        let without = coefficients(rule, &[6.0, 12.0], &[gram[0], gram[2], gram[5]]);
        assert_eq!(coefficients(rule, &[6.0, 0.0, 12.0], &gram), [without[0], 0.0, without[1]]);
    }
}

#[test]
fn an_input_of_weight_four_is_a_node_of_four_equal_ones() {
    // Not so for a kappa other than 1: four equal vectors give (2 - kappa)^2 times each.
    for rule in [(DAMPED, 1.0), (ADASCALE, 1.0), (ADASCALE, 4.0)] {
        let [a, b] = [0, 1].map(|seed| Random::new(seed).vector(30));
        let copies: Vec<Vec<f64>> = [[&a; 4], [&b; 4]].concat().into_iter().cloned().collect();
        for (fewer, weight) in [(vec![1.0; 8], 4.0), (vec![1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0], 1.0)] {
            let whole = by_rule::<f64, f64>(engines()[0], &copies, &fewer, rule).result;
            let ours = by_rule::<f64, f64>(engines()[0], &[a.clone(), b.clone()], &[4.0, weight], rule).result;
            assert!(relative_error(&ours, &whole) <= 10.0 * tolerance::IDENTITY, "{rule:?}, {weight}");
        }
    }
}

#[test]
fn results_of_weighted_pairs_are_within_their_bounds() {
    for ([m, k], length) in weighted_pairs() {
        for step in -20..=20 {
            let gram = pair_gram(length, f64::from(step) / 20.0);
            let squared_norm = |rule: (f64, f64)| -> f64 {
                let found = coefficients(rule, &[m, k], &gram);
                found[0] * found[0] * gram[0] + 2.0 * found[0] * found[1] * gram[1] + found[1] * found[1] * gram[2]
            };
            let (sum, orthogonal) = (1.0 + length, 1.0 + length * length);
            let what = format!("weights {m} and {k}, length {length}, cosine {step}/20");
            for kappa in [0.0, 0.3, 1.0] {
                let limit = (1.0 - kappa) * sum + kappa * orthogonal.sqrt();
                assert!(
                    squared_norm((DAMPED, kappa)) <= limit * limit * (1.0 + tolerance::IDENTITY),
                    "{what}, {kappa}"
                );
            }
            let largest = if f64::max(m / k, k / m) <= 13.9 { 1.0 } else { 1.04 };
            let limit = largest * orthogonal * (1.0 + tolerance::IDENTITY);
            assert!(squared_norm((ADASCALE, 1.0)) <= limit, "{what}");
        }
    }
}

fn powers_of_two<E: Float, O: Float>(family: Family, n: usize) {
    let vectors = family.vectors(&mut Random::new(n as u64), n, 75);
    let inputs: Vec<Vec<E>> = round(&vectors);
    let scaled = |factor: f64| -> Vec<Vec<E>> {
        round(&widen(&inputs).iter().map(|g| g.iter().map(|x| x * factor).collect()).collect::<Vec<_>>())
    };
    for rule in RULES {
        let plain = by_rule::<E, O>(engines()[0], &inputs, &vec![1.0; n], rule);
        let ours = by_rule::<E, O>(engines()[0], &scaled(0.25), &vec![1.0; n], rule);
        assert_eq!(ours.coefficients, plain.coefficients, "{family:?}, n = {n}, {rule:?}");
    }
}

#[test]
fn powers_of_two_change_no_coefficient() {
    for family in FAMILIES {
        for n in 1..=9 {
            powers_of_two::<f32, f32>(family, n);
            powers_of_two::<f64, f64>(family, n);
        }
    }
}

fn same_inputs<E: Float, O: Float>() {
    let input: Vec<E> = round(&[Random::new(1).vector(300)]).remove(0);
    // An f64 combination rounds its partial sums.
    for n in [1, 2, 4, 8, 16].into_iter().filter(|n| *n <= 2 || E::NAME != "f64") {
        for rule in [(DAMPED, 1.0), (ADASCALE, 1.0), (ADASCALE, 9.0)] {
            let found = by_rule::<E, E>(engines()[0], &vec![input.clone(); n], &vec![1.0; n], rule);
            assert_eq!(bits(&found.result), bits(&input), "{n} inputs, {rule:?}");
        }
    }
}

#[test]
fn a_power_of_two_of_equal_inputs_gives_that_input_bit_for_bit() {
    for_fine_results!(same_inputs());
}

#[test]
fn parameters_out_of_range_are_refused() {
    let gram = [1.0, 0.0, 1.0];
    let bad =
        [(0.0, 1.0), (1.0, -0.1), (1.0, 2.1), (1.0, f64::NAN), (2.0, 0.9), (2.0, 101.0), (2.0, f64::NAN), (3.0, 0.0)];
    for (rule, parameter) in bad {
        let refused = entry::balanced_coefficients(
            rule,
            parameter,
            0.0,
            View::of(&[1.0; 2]),
            View::of(&gram),
            View::of::<f64>(&[]),
        );
        assert_eq!(refused.unwrap_err().code(), "ERR_ARGUMENT", "{rule}, {parameter}");
    }
}
