//! Which dtypes a result can be stored in.

use crate::common::engines;
use crate::hostile::{RESULT_DTYPES, element_bytes};
use adasum_core::entry::{Results, View, ViewMut};
use adasum_core::{Engine, Error};

/// Everything fits but, perhaps, the pair of dtypes.
fn reduce_and_combine(engine: Engine, dtype: f64, result_dtype: f64) -> [(Result<(), Error>, bool); 2] {
    let bytes = |dtype| vec![0_u64; 8 * element_bytes(dtype) / 8];
    let (input, mut stats) = (bytes(dtype), [7.0; 3]);
    let [mut reduced, mut combined] = [0; 2].map(|_| vec![7_u64; 8 * element_bytes(result_dtype) / 8]);
    let results =
        Results { out: ViewMut::of(&mut reduced), nodes: ViewMut::of::<f64>(&mut []), stats: ViewMut::of(&mut stats) };
    let (inputs, pieces) = ([View::of(&input)], [8.0, 0.0, 8.0]);
    let weights = [1.0];
    let of_reduce = engine.reduce(2.0, dtype, result_dtype, &inputs, View::of(&weights), View::of(&pieces), results);
    let (counts, out) = ([8.0], ViewMut::of(&mut combined));
    let of_combine = engine.combine(dtype, result_dtype, &inputs, View::of(&counts), View::of(&[1.0]), out);
    let is_untouched = |words: &[u64]| words.iter().all(|&word| word == 7);
    [(of_reduce, is_untouched(&reduced) && stats == [7.0; 3]), (of_combine, is_untouched(&combined))]
}

#[test]
fn only_halves_can_be_stored_as_another_dtype_and_only_as_f32() {
    let names = ["f32", "f64", "f16", "bf16"];
    let pairs = (0..4).flat_map(|dtype| (0..4).map(move |result| (dtype, result)));
    for (engine, (dtype, result)) in
        engines().into_iter().flat_map(|engine| pairs.clone().map(move |pair| (engine, pair)))
    {
        let fits = RESULT_DTYPES[dtype].contains(&(result as f64));
        for (outcome, is_untouched) in reduce_and_combine(engine, dtype as f64, result as f64) {
            assert_eq!((outcome.is_ok(), is_untouched), (fits, !fits), "{} into {}", names[dtype], names[result]);
            let Err(error) = outcome else { continue };
            let what = format!("inputs are {}, the result is {}", names[dtype], names[result]);
            assert!(error.code() == "ERR_ARGUMENT" && error.message().contains(&what), "{error}");
        }
    }
}

#[test]
fn unknown_dtypes_are_refused_on_either_side() {
    for strange in [4.0, -1.0, 0.5, f64::NAN, f64::INFINITY] {
        for (dtype, result) in [(strange, 0.0), (2.0, strange), (strange, strange)] {
            for (outcome, is_untouched) in reduce_and_combine(engines()[0], dtype, result) {
                assert!(outcome.is_err_and(|error| error.message().contains("dtype code")) && is_untouched);
            }
        }
    }
}
