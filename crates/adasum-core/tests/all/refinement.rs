//! Nodes whose terms cancel: which are refined, when, how exact the result is, and that the rounds always come to an
//! end.

use crate::common::calls::{adasum, adasum_into, coefficients, product_count};
use crate::common::float::{Float, Half, bits, for_fine_results, for_results, round, widen, widen_one};
use crate::common::inputs::Random;
use crate::common::oracle::{adasum_all, pair, relative_error};
use crate::common::ranks::{Ranks, RefinementRequest, requests};
use crate::common::{engines, properties};
use adasum_core::half::{Bf16, F16};
use proptest::prelude::*;

/// Vectors of alternating sign that differ by noise: every pair nearly cancels.
fn alternating<F: Float>(seed: u64, n: usize, length: usize, noise: f64) -> Vec<Vec<F>> {
    let mut random = Random::new(seed);
    let common = random.vector(length);
    let mut one = |i: usize| -> Vec<f64> {
        let sign = if i.is_multiple_of(2) { 1.0 } else { -1.0 };
        common.iter().zip(random.vector(length)).map(|(x, e)| sign * x + noise * e).collect()
    };
    round(&(0..n).map(&mut one).collect::<Vec<_>>())
}

fn nodes_of(rounds: &[Vec<RefinementRequest>]) -> Vec<Vec<(usize, usize)>> {
    rounds.iter().map(|round| round.iter().map(|request| (request.first, request.count)).collect()).collect()
}

/// Inputs of 9,000 elements, cut in several ways.
fn ranks_agree<E: Float, O: Float>(inputs: &[Vec<E>]) {
    for engine in engines() {
        let expected = adasum_into::<E, O>(engine, inputs);
        for runs in [vec![(0, 9000)], vec![(0, 2048), (2048, 6952)], vec![(0, 4096), (4096, 4096), (8192, 808)]] {
            let (ours, _) = Ranks { engine, inputs, runs }.adasum::<O>();
            assert_eq!(bits(&ours.result), bits(&expected.result), "{} into {}", E::NAME, O::NAME);
            assert_eq!(ours, expected, "{} into {}", E::NAME, O::NAME);
        }
    }
}

fn ranks_agree_on_alternating<E: Float, O: Float>(n: usize, noise: f64) {
    ranks_agree::<E, O>(&alternating::<E>(n as u64, n, 9000, noise));
}

#[test]
fn a_cut_segment_is_refined_to_the_same_bits_as_a_whole_one() {
    for (n, noise) in (2..=9).flat_map(|n| [0.5, 1e-2, 1e-5, 1e-9].map(|noise| (n, noise))) {
        for_results!(ranks_agree_on_alternating(n, noise));
    }
}

fn rounds<F: Float>(inputs: &[Vec<F>]) -> Vec<Vec<(usize, usize)>> {
    let ranks = Ranks { engine: engines()[0], inputs, runs: vec![(0, inputs[0].len())] };
    nodes_of(&ranks.adasum::<F>().1)
}

#[test]
fn all_independent_nodes_are_refined_at_once_and_never_the_root() {
    assert_eq!(rounds(&alternating::<f64>(1, 2, 500, 1e-3)), [[]; 0]);
    assert_eq!(rounds(&alternating::<f64>(1, 4, 500, 1e-3)), [[(0, 2), (2, 2)]]);
    assert_eq!(rounds(&alternating::<f64>(1, 8, 500, 1e-3)), [[(0, 2), (2, 2), (4, 2), (6, 2)]]);
    assert_eq!(rounds(&alternating::<f32>(1, 4, 500, 1e-2)), [[(0, 2); 0]; 0], "f32 tolerates more");
    assert_eq!(rounds(&alternating::<F16>(1, 4, 500, 1e-2)), [[(0, 2); 0]; 0], "so does f16");
    assert_eq!(rounds(&alternating::<Bf16>(1, 4, 500, 1e-2)), [[(0, 2); 0]; 0], "so does bf16");
}

/// A pair of opposite vectors of which one element differs in its last bit: all that is left of a half format's pair
/// once it cancels so far that it is refined.
fn one_last_bit_apart<E: Half, O: Float>() {
    let [large, other]: [Vec<E>; 2] = [6, 7].map(|seed| round(&[Random::new(seed).vector(9000)]).remove(0));
    let mut opposite: Vec<E> = large.iter().map(|x| E::from_f64(-x.to_f64())).collect();
    opposite[4321] = E::from_bits(opposite[4321].bits() + 1);
    let inputs = [large, opposite, other.clone(), other];
    assert_eq!(rounds(&inputs), [[(0, 2)]], "{}", E::NAME);
    ranks_agree::<E, O>(&inputs);
    let ours = adasum_into::<E, f32>(engines()[0], &inputs);
    assert!(ours.coefficients[0][0] != 0.0, "{}: what is left is no noise", E::NAME);
    let error = relative_error(&widen_one(&ours.result), &adasum_all(&widen(&inputs)));
    assert!(error <= 1.2e-7, "{}: {error:e}", E::NAME);
}

#[test]
fn halves_that_differ_in_one_last_bit_are_refined() {
    one_last_bit_apart::<F16, F16>();
    one_last_bit_apart::<F16, f32>();
    one_last_bit_apart::<Bf16, Bf16>();
    one_last_bit_apart::<Bf16, f32>();
}

#[test]
fn deeper_nodes_are_refined_first() {
    // The pairs cancel, and so do the small vectors that they leave.
    let mut random = Random::new(2);
    let (common, small, tiny) = (random.vector(300), random.vector(300), random.vector(300));
    let vector = |signs: [f64; 3]| -> Vec<f64> {
        (0..300).map(|e| signs[0] * common[e] + 1e-3 * signs[1] * small[e] + 1e-5 * signs[2] * tiny[e]).collect()
    };
    let quarter =
        [vector([1.0, 1.0, 1.0]), vector([-1.0, 1.0, 0.3]), vector([1.0, -1.0, 0.5]), vector([-1.0, -1.0, 0.0])];
    let inputs: Vec<_> = quarter.iter().cloned().chain((0..4).map(|_| random.vector(300))).collect();
    assert_eq!(rounds(&inputs), [vec![(0, 2), (2, 2)], vec![(0, 4)]]);
    let error = relative_error(&adasum(engines()[0], &inputs).result, &adasum_all(&inputs));
    assert!(error < 1e-9, "{error:e}");
}

fn is_as_exact_as_the_recursion<E: Float, O: Float>(n: usize, noise: f64) {
    let inputs = alternating::<E>(3, n, 2000, noise);
    let ours = widen_one(&adasum_into::<E, O>(engines()[0], &inputs).result);
    let error = relative_error(&ours, &adasum_all(&widen(&inputs)));
    let limit = if O::NAME == "f64" { 1e-14 / noise } else { 1.2e-7 };
    assert!(error <= limit, "{} into {}, n = {n}, noise {noise:e}: {error:e}", E::NAME, O::NAME);
}

#[test]
fn results_stay_as_exact_as_the_recursion_down_to_the_noise() {
    for (exponent, n) in (1..=6).flat_map(|exponent| [4, 5, 8].map(|n| (exponent, n))) {
        let noise = 10.0_f64.powi(-exponent);
        for_fine_results!(is_as_exact_as_the_recursion(n, noise));
    }
}

fn cancelling_pair_is_neutral<E: Float, O: Float>(noise: f64) {
    let mut random = Random::new(4);
    let [a, b, c, e] = [0; 4].map(|_| random.vector(400));
    let opposite: Vec<f64> = a.iter().zip(&e).map(|(x, e)| -x + noise * e).collect();
    let inputs: Vec<Vec<E>> = round(&[a, opposite, b, c]);
    let ours = adasum_into::<E, O>(engines()[0], &inputs);
    assert_eq!(ours.coefficients[0][..2], [0.0, 0.0], "noise {noise:e}");
    let wide = widen(&inputs);
    let expected = pair(&wide[2], &wide[3], 0.5, 0.5);
    assert!(relative_error(&widen_one(&ours.result), &expected) < 1e-7, "noise {noise:e}");
}

#[test]
fn what_is_left_at_the_level_of_rounding_counts_as_zero() {
    for_fine_results!(cancelling_pair_is_neutral(0.0));
    cancelling_pair_is_neutral::<f64, f64>(1e-9);
}

#[test]
fn everything_may_cancel() {
    let a = Random::new(5).vector(100);
    let opposite: Vec<f64> = a.iter().map(|x| -x).collect();
    for n in [2, 4, 6, 8] {
        let inputs: Vec<_> = (0..n).map(|i| if i % 2 == 0 { a.clone() } else { opposite.clone() }).collect();
        let ours = adasum(engines()[0], &inputs);
        let largest = ours.result.iter().fold(0.0_f64, |largest, x| largest.max(x.abs()));
        assert!(largest <= 1e-13, "n = {n}: {largest:e}");
        assert!((0.0..1e-14).contains(&ours.orthogonality[0]), "n = {n}");
    }
}

proptest! {
    #![proptest_config(properties(2000))]

    #[test]
    fn any_matrix_and_any_answers_come_to_an_end(
        k in 1_usize..12,
        dtype in 0_u8..4,
        numbers in prop::collection::vec(prop_oneof![
            4 => -1.0_f64..1.0,
            2 => Just(0.0),
            1 => Just(1e-20),
            1 => any::<f64>(),
        ], 400),
        mask in any::<u16>(),
    ) {
        let mut numbers = numbers.iter().copied().cycle();
        let weights: Vec<f64> = (0..k).map(|i| f64::from(mask >> i & 1) * (1 + i) as f64).collect();
        let gram: Vec<f64> = numbers.by_ref().take(product_count(k)).collect();
        let mut refinements = Vec::new();
        let mut seen = Vec::new();
        loop {
            let answer = coefficients(f64::from(dtype), &weights, &gram, &refinements);
            if answer[0] == 0.0 {
                prop_assert_eq!(answer.len(), 3 + k);
                for (c, weight) in answer[3..].iter().zip(&weights) {
                    prop_assert!(*weight > 0.0 || *c == 0.0);
                    prop_assert!(c.is_finite() || answer[1].is_nan());
                }
                break;
            }
            let requests = requests(&answer, k);
            prop_assert_eq!(requests.len(), answer[0] as usize);
            for request in requests {
                let node = (request.first, request.count);
                prop_assert!(!seen.contains(&node), "asked twice for {:?}", node);
                prop_assert!(request.count >= 2 && request.count < k, "the root and the leaves need no refinement");
                seen.push(node);
                refinements.extend([request.first as f64, request.count as f64]);
                refinements.extend(numbers.by_ref().take(k + 1));
            }
        }
    }
}
