//! Equal bits: for every cut, offset, instruction set and address in memory. The bits are also those of the order as
//! docs/numerics.md words it.

use crate::common::calls::{
    AVERAGE, SUM, adasum_into, combine_into, gram, gram_finish, has_non_finite, node_count, product_count,
    reduce_weighted, refine, whole,
};
use crate::common::float::{Float, bits, for_dtypes, for_results, round, widen};
use crate::common::inputs::{Family, Random};
use crate::common::oracle::canonical_dot;
use crate::common::{engines, properties};
use adasum_core::Engine;
use adasum_core::entry::{Results, View, ViewMut};
use proptest::prelude::*;

const BLOCK: usize = 2048;

fn inputs<F: Float>(seed: u64, n: usize, length: usize) -> Vec<Vec<F>> {
    round(&Family::Independent.vectors(&mut Random::new(seed), n, length))
}

fn gram_is_canonical<F: Float>(k: usize, length: usize) {
    let inputs = inputs::<F>(length as u64, k, length);
    let wide = widen(&inputs);
    let expected = (0..k).flat_map(|i| (i..k).map(move |j| (i, j))).map(|(i, j)| canonical_dot(&wide[i], &wide[j]));
    let expected: Vec<f64> = expected.collect();
    for engine in engines() {
        let ours = gram(engine, &inputs, &[length as f64, 0.0, length as f64]);
        assert_eq!(bits(&ours), bits(&expected), "{k} inputs, length {length}, {}", engine.isa());
    }
}

#[test]
fn gram_adds_in_the_order_that_is_written_down() {
    for length in (0..70).chain([2040, 2047, 2048, 2049, 4096, 6143, 6144, 6145, 14_336, 20_000, 34_816, 100_001]) {
        for_dtypes!(gram_is_canonical(5, length));
    }
}

/// Every shape of the last tile, of a chunk, and of the last panel.
#[test]
fn gram_of_any_number_of_inputs_adds_in_that_order() {
    for k in (1..=20).chain([31, 32, 33, 34, 35, 36, 49]) {
        for length in [5, 513, 2049 + k] {
            for_dtypes!(gram_is_canonical(k, length));
        }
    }
}

fn refine_is_canonical<F: Float>(length: usize) {
    let inputs = inputs::<F>(length as u64, 3, length);
    let vectors = [0.5, -1.25, 0.1, 0.0, 3.0, -0.7];
    let wide = widen(&inputs);
    let mut expected = Vec::new();
    for c in vectors.chunks_exact(3) {
        let first = c.iter().position(|&c| c != 0.0).unwrap();
        let at = |e: usize| (first + 1..3).fold(c[first] * wide[first][e], |sum, i| sum + c[i] * wide[i][e]);
        let x: Vec<f64> = (0..length).map(at).collect();
        expected.push(canonical_dot(&x, &x));
        expected.extend(wide.iter().map(|g| canonical_dot(&x, g)));
    }
    for engine in engines() {
        let ours = refine(engine, &inputs, &vectors, &[length as f64, 0.0, length as f64]);
        assert_eq!(bits(&ours), bits(&expected), "length {length}, {}", engine.isa());
    }
}

#[test]
fn refine_forms_its_vector_and_adds_in_the_order_that_is_written_down() {
    for length in [1, 7, 8, 9, 100, 2048, 2055, 6145, 20_000] {
        for_dtypes!(refine_is_canonical(length));
    }
}

/// A segment's runs: cuts at blocks, possibly several at one block.
fn runs(length: usize, cut_blocks: &[usize]) -> Vec<(usize, usize)> {
    let mut edges: Vec<usize> = cut_blocks.iter().map(|&block| block * BLOCK).filter(|&cut| cut <= length).collect();
    edges.extend([0, length]);
    edges.sort_unstable();
    edges.windows(2).map(|edge| (edge[0], edge[1] - edge[0])).collect()
}

fn slice_of<F: Float>(inputs: &[Vec<F>], (first, count): (usize, usize)) -> Vec<Vec<F>> {
    inputs.iter().map(|g| g[first..first + count].to_vec()).collect()
}

fn runs_give_the_whole<F: Float>(length: usize, cut_blocks: &[usize], engine: Engine) {
    let inputs = inputs::<F>(length as u64, 3, length);
    let whole = [length as f64, 0.0, length as f64];
    let runs = runs(length, cut_blocks);
    let table: Vec<f64> = runs.iter().flat_map(|&(first, count)| [first as f64, count as f64]).collect();
    let piece = |&(first, count): &(usize, usize)| [length as f64, first as f64, count as f64];

    let nodes: Vec<f64> = runs.iter().flat_map(|run| gram(engine, &slice_of(&inputs, *run), &piece(run))).collect();
    let ours = gram_finish(length, &table, &nodes, product_count(3));
    assert_eq!(bits(&ours), bits(&gram(engine, &inputs, &whole)), "gram, length {length}, runs {runs:?}");

    let vectors = [1.0, -0.5, 0.25];
    let nodes = runs.iter().flat_map(|run| refine(engine, &slice_of(&inputs, *run), &vectors, &piece(run)));
    let ours = gram_finish(length, &table, &nodes.collect::<Vec<_>>(), 4);
    assert_eq!(bits(&ours), bits(&refine(engine, &inputs, &vectors, &whole)), "refine, length {length}, runs {runs:?}");
}

proptest! {
    #![proptest_config(properties(300))]

    #[test]
    fn every_cut_into_runs_gives_the_same_bits(
        length in 1_usize..40_000,
        cut_blocks in prop::collection::vec(0_usize..20, 0..8),
        isa in any::<usize>(),
    ) {
        let engines = engines();
        let engine = engines[isa % engines.len()];
        for_dtypes!(runs_give_the_whole(length, &cut_blocks, engine));
    }

    #[test]
    fn runs_of_huge_segments_have_few_nodes_and_all_of_them_are_used(
        block_count in 1_u64..1 << 40,
        cuts in prop::collection::vec(0_u64..1 << 40, 0..6),
    ) {
        // Every node weighs the number of its blocks: the sum of the weights tells whether one is missing or doubled.
        let mut edges: Vec<u64> = cuts.iter().map(|cut| cut % (block_count + 1)).chain([0, block_count]).collect();
        edges.sort_unstable();
        let length = (block_count * BLOCK as u64) as usize;
        let runs: Vec<(u64, u64)> = edges.windows(2).map(|e| (e[0], e[1] - e[0])).collect();
        let mut nodes = Vec::new();
        let mut table = Vec::new();
        for &(first, count) in &runs {
            let [first, count] = [first, count].map(|blocks| (blocks * BLOCK as u64) as f64);
            table.extend([first, count]);
            let is_whole = count == length as f64;
            let piece_nodes = if is_whole { 1 } else { node_count(&[length as f64, first, count]) };
            prop_assert!(piece_nodes <= 84);
            nodes.extend(vec![1.0; piece_nodes]);
        }
        prop_assert_eq!(gram_finish(length, &table, &nodes, 1), [nodes.len() as f64]);
    }
}

/// Copies of vectors at an odd element offset of their memory.
fn at_offset<F: Float>(vectors: &[Vec<F>], offset: usize) -> Vec<Vec<F>> {
    let filler = std::iter::repeat_n(F::from_f64(f64::NAN), offset);
    vectors.iter().map(|g| filler.clone().chain(g.iter().copied()).chain(filler.clone()).collect()).collect()
}

fn offsets_do_not_matter<E: Float, O: Float>(length: usize, offset: usize, engine: Engine) {
    let inputs = inputs::<E>(9, 3, length);
    let expected = adasum_into::<E, O>(engine, &inputs);
    let mut moved = at_offset(&inputs, offset);
    let mut out = vec![O::from_f64(-77.0); length + 2 * offset];
    let mut stats = [0.0; 5];
    let views: Vec<_> = moved.iter().map(|g| View::of(&g[offset..offset + length])).collect();
    let pieces = [length as f64, 0.0, length as f64];
    let results = Results {
        out: ViewMut::of(&mut out[offset..offset + length]),
        nodes: ViewMut::of::<f64>(&mut []),
        stats: ViewMut::of(&mut stats),
    };
    engine.reduce(2.0, E::CODE, O::CODE, &views, View::of(&[1.0; 3]), View::of(&pieces), results).unwrap();
    assert_eq!(bits(&out[offset..offset + length]), bits(&expected.result), "length {length}, offset {offset}");
    let around = out[..offset].iter().chain(&out[offset + length..]);
    assert!(around.clone().all(|&x| x == O::from_f64(-77.0)), "written beside `out`");
    moved.clear();
}

#[test]
fn odd_offsets_change_nothing_and_nothing_is_written_beside_the_result() {
    for engine in engines() {
        for (length, offset) in (0..70).chain([2049]).flat_map(|length| (1..8).map(move |offset| (length, offset))) {
            for_results!(offsets_do_not_matter(length, offset, engine));
        }
    }
}

fn in_place<F: Float>(op: f64, target: usize, segments: &[usize], engine: Engine) {
    let length: usize = segments.iter().sum();
    let mut inputs = inputs::<F>(10, 4, length);
    let expected = reduce_weighted(engine, op, &inputs, &[1.0; 4], segments);
    let mut stats = vec![0.0; 6 * segments.len()];
    let pieces = whole(segments);
    let views: Vec<View<'_>> = inputs
        .iter_mut()
        .map(|g| {
            let bytes = size_of_val(&g[..]);
            // SAFETY: the vectors outlive the call, and nothing else touches them meanwhile.
            unsafe { View::new(g.as_mut_ptr().cast(), bytes) }
        })
        .collect();
    let ptr: *mut u8 = inputs[target].as_mut_ptr().cast();
    // SAFETY: as above; that it is an input too is what is tested.
    let out = unsafe { ViewMut::new(ptr, length * size_of::<F>()) };
    let results = Results { out, nodes: ViewMut::of::<f64>(&mut []), stats: ViewMut::of(&mut stats) };
    engine.reduce(op, F::CODE, F::CODE, &views, View::of(&[1.0; 4]), View::of(&pieces), results).unwrap();
    assert_eq!(bits(&inputs[target]), bits(&expected.result), "op {op}, in place of input {target}, {segments:?}");
}

#[test]
fn the_result_may_replace_any_input() {
    for engine in engines() {
        for (op, target) in [SUM, AVERAGE, 2.0].into_iter().flat_map(|op| (0..4).map(move |target| (op, target))) {
            for segments in [&[5003][..], &[7, 2500, 0, 1, 2048, 3000, 600]] {
                for_dtypes!(in_place(op, target, segments, engine));
            }
        }
    }
}

fn absent_terms_are_not_read<E: Float, O: Float>() {
    let mut inputs = inputs::<E>(11, 3, 100);
    inputs[1].fill(E::from_f64(f64::NAN));
    for engine in engines() {
        let coefficients = [0.5, 0.0, 2.0, 9.0, 9.0, 9.0, 0.0, -0.0, 0.0];
        let ours: Vec<O> = combine_into(engine, &inputs, &[40.0, 0.0, 60.0], &coefficients);
        let at = |e: usize| O::from_f64(0.5 * inputs[0][e].to_f64() + 2.0 * inputs[2][e].to_f64());
        assert_eq!(bits(&ours[..40]), bits(&(0..40).map(at).collect::<Vec<_>>()), "{}", engine.isa());
        assert_eq!(bits(&ours[40..]), [0; 60], "{}", engine.isa());
    }
}

#[test]
fn combine_leaves_out_inputs_with_coefficient_zero() {
    for_results!(absent_terms_are_not_read());
}

/// Statistics of a slice with a cut piece, in rows of a width.
fn statistics_of<F: Float>(
    engine: Engine,
    inputs: &[Vec<F>],
    weights: &[f64],
    width: usize,
) -> (Vec<F>, Vec<Vec<f64>>) {
    let pieces = [5.0, 0.0, 5.0, 0.0, 0.0, 0.0, 5000.0, 0.0, 2048.0, 2500.0, 0.0, 2500.0];
    let views: Vec<_> = inputs.iter().map(|input| View::of(input)).collect();
    let mut result = vec![F::from_f64(-77.0); inputs[0].len()];
    let mut nodes = vec![0.0; node_count(&pieces) * product_count(inputs.len())];
    let mut stats = vec![-77.0; width * pieces.len() / 3];
    let [out, nodes, table] = [ViewMut::of(&mut result), ViewMut::of(&mut nodes), ViewMut::of(&mut stats)];
    let (weights, pieces) = (View::of(weights), View::of(&pieces));
    let results = Results { out, nodes, stats: table };
    engine.reduce(2.0, F::CODE, F::CODE, &views, weights, pieces, results).unwrap();
    (result, stats.chunks_exact(width).map(<[f64]>::to_vec).collect())
}

fn statistics_end_with_grams<F: Float>(engine: Engine) {
    let (k, weights) = (4, [1.0, 0.0, 2.0, 1.0]);
    let mut inputs = inputs::<F>(21, k, 4553);
    inputs[1].fill(F::from_f64(f64::NAN));
    let (result, narrow) = statistics_of(engine, &inputs, &weights, 2 + k);
    let (same_result, wide) = statistics_of(engine, &inputs, &weights, 2 + k + product_count(k));
    assert_eq!(bits(&result), bits(&same_result));
    inputs[1].fill(F::from_f64(0.0));
    let stretches = [0..5, 5..5, 5..2053, 2053..4553];
    for (piece, stretch) in stretches.into_iter().enumerate() {
        let length = stretch.len();
        let part: Vec<_> = inputs.iter().map(|input| input[stretch.clone()].to_vec()).collect();
        let mut expected = narrow[piece].clone();
        if piece == 2 {
            expected.extend([f64::NAN; 10]);
        } else if length == 0 {
            expected.extend([0.0; 10]);
        } else {
            expected.extend(gram(engine, &part, &whole(&[length])));
        }
        assert_eq!(bits(&wide[piece]), bits(&expected), "piece {piece}, {}, {}", F::NAME, engine.isa());
    }
}

#[test]
fn statistics_that_are_long_enough_end_with_the_gram_matrices() {
    for engine in engines() {
        for_dtypes!(statistics_end_with_grams(engine));
    }
}

fn negative_zero_survives<E: Float, O: Float>() {
    for engine in engines() {
        let ours: Vec<O> = combine_into(engine, &[vec![E::from_f64(-0.0); 9]], &[9.0], &[1.0]);
        assert_eq!(bits(&ours), [O::from_f64(-0.0).bits(); 9], "{} into {}, {}", E::NAME, O::NAME, engine.isa());
    }
}

#[test]
fn combine_starts_from_the_first_product_so_that_negative_zero_survives() {
    for_results!(negative_zero_survives());
}

fn stored_nans_are_canonical<E: Float, O: Float>() {
    let sign = 1 << (8 * size_of::<E>() - 1);
    let strange = E::from_bits(E::CANONICAL_NAN | sign | 5);
    let [infinity, minus_infinity] = [f64::INFINITY, f64::NEG_INFINITY].map(E::from_f64);
    for engine in engines() {
        for inputs in [vec![vec![strange; 19]], vec![vec![infinity; 19], vec![minus_infinity; 19]]] {
            let ours: Vec<O> = combine_into(engine, &inputs, &[19.0], &vec![1.0; inputs.len()]);
            assert_eq!(bits(&ours), [O::CANONICAL_NAN; 19], "{} into {}, {}", E::NAME, O::NAME, engine.isa());
        }
    }
}

#[test]
fn stored_nans_are_canonical_whatever_their_cause() {
    for_results!(stored_nans_are_canonical());
}

fn one_bad_element_is_found<F: Float>() {
    let (one, minus_one) = (F::from_f64(1.0), F::from_f64(-1.0));
    // The largest number of the dtype but for f64, whose squares must be finite too.
    let largest = F::from_bits(F::from_f64(f64::INFINITY).bits() - 1);
    let large = if F::NAME == "f64" { one } else { largest };
    for (engine, length) in engines().into_iter().flat_map(|engine| (0..80).map(move |length| (engine, length))) {
        assert!(!has_non_finite(engine, &vec![large; length], &[length as f64]));
        assert!(!has_non_finite(engine, &vec![minus_one; length], &[length as f64]));
        for position in 0..length {
            for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(F::from_f64) {
                let mut input = vec![one; length];
                input[position] = bad;
                let found = has_non_finite(engine, &input, &[length as f64]);
                assert!(found, "{}, {}: {bad:?} at {position}", F::NAME, engine.isa());
            }
        }
    }
}

#[test]
fn the_scan_finds_one_bad_element_anywhere() {
    for_dtypes!(one_bad_element_is_found());
}

#[test]
fn the_scan_of_f64_finds_squared_norms_that_overflow_in_one_segment() {
    for engine in engines() {
        let input = vec![1e154; 10]; // 1e308 is finite, 2e308 is not.
        assert!(!has_non_finite(engine, &input, &[1.0; 10]));
        assert!(has_non_finite(engine, &input, &[1.0, 1.0, 2.0, 6.0]));
    }
}
