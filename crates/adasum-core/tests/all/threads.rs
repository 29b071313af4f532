//! Threads change no bit: gram, combine and all three operators on one thread and on several.

use crate::common::calls::{ADASUM, AVERAGE, Reduced, SUM, combine, gram, reduce_weighted, whole};
use crate::common::engines;
use crate::common::float::{Float, bits};
use crate::common::inputs::{Family, Random};
use adasum_core::Engine;
use adasum_core::entry::{Results, View, ViewMut};

const K: usize = 3;
/// Large enough for several threads: f32 inputs of this length have 2.4 MB together.
const LENGTH: usize = 200_001;

fn inputs<F: Float>() -> Vec<Vec<F>> {
    Family::LargeCommonPart.rounded(&mut Random::new(5), K, LENGTH)
}

fn on_threads<T: PartialEq + std::fmt::Debug>(compute: impl Fn(Engine) -> T) {
    for engine in engines() {
        let alone = compute(engine);
        for threads in [2, 3, 5, 64] {
            assert_eq!(compute(engine.with_threads(threads)), alone, "{} threads on {}", threads, engine.isa());
        }
    }
}

fn check_reduce<F: Float>(segments: &[usize]) {
    let inputs = inputs::<F>();
    for op in [SUM, AVERAGE, ADASUM] {
        on_threads(|engine| {
            let weights = [1.0, 2.0, if op == ADASUM { 0.0 } else { 1.0 }];
            let segments = if op == ADASUM { segments } else { &[LENGTH] };
            let Reduced { result, orthogonality, squared_norm_sum, coefficients } =
                reduce_weighted(engine, op, &inputs, &weights, segments);
            // Sum and average leave the statistics as they were; bits, so that NaN equals itself.
            let per_segment = [bits(&orthogonality), bits(&squared_norm_sum)];
            (bits(&result), per_segment, coefficients.iter().map(|row| bits(row)).collect::<Vec<_>>())
        });
    }
}

#[test]
fn reduce_of_one_segment_of_several_and_of_many() {
    let many = [vec![1000; 200], vec![1]].concat();
    for segments in [vec![LENGTH], vec![2048, 0, LENGTH - 2049, 1], many] {
        check_reduce::<f32>(&segments);
        check_reduce::<f64>(&segments);
    }
}

#[test]
fn gram_and_combine_of_a_cut_slice() {
    let inputs = inputs::<f32>();
    // A slice in the middle of a segment, and one that reaches its end.
    let pieces = [5e6, 2048.0 * 7.0, 2048.0 * 90.0, 2048.0 * 9.0 + 15_681.0, 2048.0 * 9.0, 15_681.0];
    assert_eq!(pieces[2] + pieces[5], LENGTH as f64);
    on_threads(|engine| bits(&gram(engine, &inputs, &pieces)));
    on_threads(|engine| bits(&combine(engine, &inputs, &[LENGTH as f64], &[0.5, -1.0, 0.25])));
}

#[test]
fn in_place() {
    let reduced = |engine: Engine| {
        let mut inputs = inputs::<f32>();
        let mut stats = [0.0; 2 + K];
        let (first, others) = inputs.split_at_mut(1);
        let out = ViewMut::of(&mut first[0]);
        let views = [out.as_view(), View::of(&others[0]), View::of(&others[1])];
        let results = Results { out, nodes: ViewMut::of::<f64>(&mut []), stats: ViewMut::of(&mut stats) };
        let pieces = whole(&[LENGTH]);
        engine.reduce(ADASUM, 0.0, 0.0, &views, View::of(&[1.0; K]), View::of(&pieces), results).unwrap();
        bits(&inputs[0])
    };
    on_threads(reduced);
}
