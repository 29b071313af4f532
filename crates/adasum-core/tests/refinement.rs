//! Nodes whose terms cancel: who is measured, when, how exact the result is, and that it always comes to an end.

#![expect(clippy::unwrap_used, reason = "a refusal is a failure here")]

mod common;

use adasum_core::Engine;
use common::calls::{Reduced, adasum, coefficients, combine, gram, gram_finish, product_count, refine};
use common::float::{Float, bits, round, widen};
use common::inputs::Random;
use common::oracle::{adasum_all, pair, relative_error};
use common::{engines, properties};
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

/// A request of `coefficients`.
#[derive(Debug, PartialEq)]
struct Request {
    first: usize,
    count: usize,
    vector: Vec<f64>,
}

fn requests(answer: &[f64], k: usize) -> Vec<Request> {
    let rows = answer[1..].chunks_exact(k + 2).take(answer[0] as usize);
    rows.map(|row| Request { first: row[0] as usize, count: row[1] as usize, vector: row[2..].to_vec() }).collect()
}

/// What several ranks do for a segment that is cut among them: the same entry points, on slices.
struct Ranks<'a, F> {
    engine: Engine,
    inputs: &'a [Vec<F>],
    runs: Vec<(usize, usize)>,
}

impl<F: Float> Ranks<'_, F> {
    fn length(&self) -> usize {
        self.inputs[0].len()
    }

    fn gather(&self, width: usize, partial: impl Fn(&[Vec<F>], &[f64]) -> Vec<f64>) -> Vec<f64> {
        let table: Vec<f64> = self.runs.iter().flat_map(|&(first, count)| [first as f64, count as f64]).collect();
        let of_run = |&(first, count): &(usize, usize)| {
            let slices: Vec<_> = self.inputs.iter().map(|g| g[first..first + count].to_vec()).collect();
            partial(&slices, &[self.length() as f64, first as f64, count as f64])
        };
        let nodes: Vec<f64> = self.runs.iter().flat_map(of_run).collect();
        gram_finish(self.length(), &table, &nodes, width)
    }

    fn adasum(&self) -> (Reduced<F>, Vec<Vec<Request>>) {
        let k = self.inputs.len();
        let products = self.gather(product_count(k), |slices, piece| gram(self.engine, slices, piece));
        let (mut refinements, mut rounds) = (Vec::new(), Vec::new());
        loop {
            let answer = coefficients(F::CODE, &vec![1; k], &products, &refinements);
            if answer[0] == 0.0 {
                let coefficients = answer[2..].to_vec();
                let result = combine(self.engine, self.inputs, &[self.length() as f64], &coefficients);
                return (Reduced { result, orthogonality: vec![answer[1]], coefficients: vec![coefficients] }, rounds);
            }
            let requests = requests(&answer, k);
            let vectors: Vec<f64> = requests.iter().flat_map(|request| request.vector.clone()).collect();
            let width = requests.len() * (k + 1);
            let measured = self.gather(width, |slices, piece| refine(self.engine, slices, &vectors, piece));
            for (request, products) in requests.iter().zip(measured.chunks_exact(k + 1)) {
                refinements.extend([request.first as f64, request.count as f64]);
                refinements.extend(products);
            }
            rounds.push(requests);
            assert!(rounds.len() < k, "more rounds than the tree has nodes");
        }
    }
}

fn nodes_of(rounds: &[Vec<Request>]) -> Vec<Vec<(usize, usize)>> {
    rounds.iter().map(|round| round.iter().map(|request| (request.first, request.count)).collect()).collect()
}

fn ranks_agree_with_one_process<F: Float>(n: usize, noise: f64) {
    let length = 9000;
    let inputs = alternating::<F>(n as u64, n, length, noise);
    for engine in engines() {
        let expected = adasum(engine, &inputs);
        for runs in [vec![(0, 9000)], vec![(0, 2048), (2048, 6952)], vec![(0, 4096), (4096, 4096), (8192, 808)]] {
            let (ours, _) = Ranks { engine, inputs: &inputs, runs }.adasum();
            assert_eq!(bits(&ours.result), bits(&expected.result), "n = {n}, noise {noise:e}");
            assert_eq!(ours, expected, "n = {n}, noise {noise:e}");
        }
    }
}

#[test]
fn a_cut_segment_is_refined_to_the_same_bits_as_a_whole_one() {
    for (n, noise) in (2..=9).flat_map(|n| [0.5, 1e-2, 1e-5, 1e-9].map(|noise| (n, noise))) {
        ranks_agree_with_one_process::<f32>(n, noise);
        ranks_agree_with_one_process::<f64>(n, noise);
    }
}

fn rounds<F: Float>(inputs: &[Vec<F>]) -> Vec<Vec<(usize, usize)>> {
    let ranks = Ranks { engine: engines()[0], inputs, runs: vec![(0, inputs[0].len())] };
    nodes_of(&ranks.adasum().1)
}

#[test]
fn all_independent_nodes_are_measured_at_once_and_never_the_root() {
    assert_eq!(rounds(&alternating::<f64>(1, 2, 500, 1e-3)), [[]; 0]);
    assert_eq!(rounds(&alternating::<f64>(1, 4, 500, 1e-3)), [[(0, 2), (2, 2)]]);
    assert_eq!(rounds(&alternating::<f64>(1, 8, 500, 1e-3)), [[(0, 2), (2, 2), (4, 2), (6, 2)]]);
    assert_eq!(rounds(&alternating::<f32>(1, 4, 500, 1e-2)), [[(0, 2); 0]; 0], "f32 tolerates more");
}

#[test]
fn deeper_nodes_are_measured_first() {
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

#[test]
fn results_stay_as_exact_as_the_recursion_down_to_the_noise() {
    for (exponent, n) in (1..=6).flat_map(|exponent| [4, 5, 8].map(|n| (exponent, n))) {
        let noise = 10.0_f64.powi(-exponent);
        let inputs = alternating::<f64>(3, n, 2000, noise);
        let error = relative_error(&adasum(engines()[0], &inputs).result, &adasum_all(&inputs));
        assert!(error <= 1e-14 / noise, "f64, n = {n}, noise {noise:e}: {error:e}");
        let inputs = alternating::<f32>(3, n, 2000, noise);
        let ours = widen(&[adasum(engines()[0], &inputs).result]).remove(0);
        let error = relative_error(&ours, &adasum_all(&widen(&inputs)));
        assert!(error <= 1.2e-7, "f32, n = {n}, noise {noise:e}: {error:e}");
    }
}

fn cancelling_pair_is_neutral<F: Float>(noise: f64) {
    let mut random = Random::new(4);
    let [a, b, c, e] = [0; 4].map(|_| random.vector(400));
    let opposite: Vec<f64> = a.iter().zip(&e).map(|(x, e)| -x + noise * e).collect();
    let inputs: Vec<Vec<F>> = round(&[a, opposite, b, c]);
    let ours = adasum(engines()[0], &inputs);
    assert_eq!(ours.coefficients[0][..2], [0.0, 0.0], "noise {noise:e}");
    let wide = widen(&inputs);
    let expected = pair(&wide[2], &wide[3], 0.5, 0.5);
    assert!(relative_error(&widen(&[ours.result])[0], &expected) < 1e-7, "noise {noise:e}");
}

#[test]
fn what_is_left_at_the_level_of_rounding_counts_as_zero() {
    cancelling_pair_is_neutral::<f32>(0.0);
    cancelling_pair_is_neutral::<f64>(0.0);
    cancelling_pair_is_neutral::<f64>(1e-9);
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
        dtype in 0_u8..2,
        numbers in prop::collection::vec(prop_oneof![
            4 => -1.0_f64..1.0,
            2 => Just(0.0),
            1 => Just(1e-20),
            1 => any::<f64>(),
        ], 400),
        mask in any::<u16>(),
    ) {
        let mut numbers = numbers.iter().copied().cycle();
        let present: Vec<u8> = (0..k).map(|i| (mask >> i & 1) as u8).collect();
        let gram: Vec<f64> = numbers.by_ref().take(product_count(k)).collect();
        let mut refinements = Vec::new();
        let mut seen = Vec::new();
        loop {
            let answer = coefficients(f64::from(dtype), &present, &gram, &refinements);
            if answer[0] == 0.0 {
                prop_assert_eq!(answer.len(), 2 + k);
                for (c, present) in answer[2..].iter().zip(&present) {
                    prop_assert!(*present == 1 || *c == 0.0);
                    prop_assert!(c.is_finite() || answer[1].is_nan());
                }
                break;
            }
            let requests = requests(&answer, k);
            prop_assert_eq!(requests.len(), answer[0] as usize);
            for request in requests {
                let node = (request.first, request.count);
                prop_assert!(!seen.contains(&node), "asked twice for {:?}", node);
                prop_assert!(request.count >= 2 && request.count < k, "the root and the leaves need no measuring");
                seen.push(node);
                refinements.extend([request.first as f64, request.count as f64]);
                refinements.extend(numbers.by_ref().take(k + 1));
            }
        }
    }
}
