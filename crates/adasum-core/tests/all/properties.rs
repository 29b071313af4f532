//! Any bits at all: whatever the inputs are, all instruction sets store the same.

use crate::common::calls::{ADASUM, AVERAGE, SUM, combine_into, gram, has_non_finite, reduce_into, refine};
use crate::common::float::{Float, Half, bits};
use crate::common::{engines, properties};
use adasum_core::Engine;
use adasum_core::half::{Bf16, F16};
use proptest::prelude::*;

/// k vectors of equal length with elements from `element`.
fn vectors<F: Float>(element: impl Strategy<Value = F> + Clone) -> impl Strategy<Value = Vec<Vec<F>>> {
    (1_usize..7, 0_usize..90)
        .prop_flat_map(move |(k, length)| prop::collection::vec(prop::collection::vec(element.clone(), length), k))
}

fn any_f32() -> impl Strategy<Value = f32> + Clone {
    prop_oneof![
        6 => -1.0_f32..1.0,
        2 => (0_u32..0x7f80_0000, any::<bool>()).prop_map(|(b, minus)| f32::from_bits(b) * if minus { -1.0 } else { 1.0 }),
        1 => prop::sample::select(vec![0.0, -0.0, f32::MIN_POSITIVE, f32::from_bits(1), f32::MAX]),
    ]
}

/// Numbers, and now and then what is none.
fn any_bits() -> impl Strategy<Value = f32> + Clone {
    prop_oneof![40 => any_f32(), 1 => any::<u32>().prop_map(f32::from_bits)]
}

fn any_half<H: Half>() -> impl Strategy<Value = H> + Clone {
    let infinity = u64::from(H::format().infinity());
    prop_oneof![
        6 => (-1.0_f64..1.0).prop_map(H::from_f64),
        2 => (0..infinity, any::<bool>()).prop_map(|(b, minus)| H::from_bits(b | if minus { 0x8000 } else { 0 })),
        1 => prop::sample::select(vec![0, 0x8000, 1, infinity - 1]).prop_map(H::from_bits),
    ]
}

fn any_half_bits<H: Half>() -> impl Strategy<Value = H> + Clone {
    prop_oneof![40 => any_half::<H>(), 1 => any::<u64>().prop_map(H::from_bits)]
}

fn coefficients() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(prop_oneof![Just(0.0), -3.0_f64..3.0, any::<f64>()], 14)
}

fn weights() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(
        prop_oneof![Just(0.0), Just(1.0), Just(5.0), 0.0..3.0_f64, Just(590_295_810_358_705_651_712.0)],
        7,
    )
}

/// Everything that is stored as O.
fn results<E: Float, O: Float>(engine: Engine, inputs: &[Vec<E>], weights: &[f64], coefficients: &[f64]) -> Vec<u64> {
    let (k, length) = (inputs.len(), inputs[0].len());
    let segments = [length / 3, length - length / 3];
    let mut all: Vec<u64> = Vec::new();
    for op in [SUM, AVERAGE, ADASUM] {
        let reduced = reduce_into::<E, O>(engine, op, inputs, weights, &segments);
        all.extend(bits(&reduced.result));
        all.extend(bits(&reduced.orthogonality));
        all.extend(bits(&reduced.squared_norm_sum));
        reduced.coefficients.iter().for_each(|of_segment| all.extend(bits(of_segment)));
    }
    let counts = segments.map(|count| count as f64);
    all.extend(bits::<O>(&combine_into(engine, inputs, &counts, &coefficients[..2 * k])));
    all
}

/// Everything that does not depend on the dtype of the result.
fn products_and_scan<E: Float>(engine: Engine, inputs: &[Vec<E>], vector: &[f64]) -> Vec<u64> {
    let length = inputs[0].len() as f64;
    let mut all = bits(&gram(engine, inputs, &[length, 0.0, length]));
    all.extend(bits(&refine(engine, inputs, vector, &[length, 0.0, length])));
    all.extend(inputs.iter().map(|input| u64::from(has_non_finite(engine, input, &[length]))));
    all
}

fn all_engines_store_the_same<E: Float, O: Float>(inputs: &[Vec<E>], weights: &[f64], coefficients: &[f64]) {
    let weights = &weights[..inputs.len()];
    let engines = engines();
    let expected = results::<E, O>(engines[0], inputs, weights, coefficients);
    let products = products_and_scan(engines[0], inputs, &coefficients[..inputs.len()]);
    for &engine in &engines[1..] {
        assert_eq!(expected, results::<E, O>(engine, inputs, weights, coefficients), "{}", engine.isa());
        assert_eq!(products, products_and_scan(engine, inputs, &coefficients[..inputs.len()]), "{}", engine.isa());
    }
}

fn the_scan_is_right<F: Float>(input: &[F]) {
    let expected = input.iter().any(|x| !x.to_f64().is_finite());
    for engine in engines() {
        assert_eq!(has_non_finite(engine, input, &[input.len() as f64]), expected, "{}, {}", F::NAME, engine.isa());
    }
}

fn is_what_the_coefficients_name<E: Float, O: Float>(inputs: &[Vec<E>]) {
    for engine in engines() {
        let (k, length) = (inputs.len(), inputs[0].len());
        let reduced = reduce_into::<E, O>(engine, ADASUM, inputs, &vec![1.0; k], &[length]);
        let combined: Vec<O> = combine_into(engine, inputs, &[length as f64], &reduced.coefficients[0]);
        assert_eq!(bits(&reduced.result), bits(&combined), "{} into {}, {}", E::NAME, O::NAME, engine.isa());
    }
}

proptest! {
    #![proptest_config(properties(3000))]

    #[test]
    fn all_isas_agree_in_f32(
        inputs in vectors(any_bits()),
        weights in weights(),
        coefficients in coefficients(),
    ) {
        all_engines_store_the_same::<f32, f32>(&inputs, &weights, &coefficients);
    }

    #[test]
    fn all_isas_agree_in_f64(
        inputs in vectors(prop_oneof![20 => any_bits().prop_map(f64::from), 1 => any::<f64>()]),
        weights in weights(),
        coefficients in coefficients(),
    ) {
        all_engines_store_the_same::<f64, f64>(&inputs, &weights, &coefficients);
    }

    #[test]
    fn all_isas_agree_in_f16(
        inputs in vectors(any_half_bits::<F16>()),
        weights in weights(),
        coefficients in coefficients(),
    ) {
        all_engines_store_the_same::<F16, F16>(&inputs, &weights, &coefficients);
        all_engines_store_the_same::<F16, f32>(&inputs, &weights, &coefficients);
    }

    #[test]
    fn all_isas_agree_in_bf16(
        inputs in vectors(any_half_bits::<Bf16>()),
        weights in weights(),
        coefficients in coefficients(),
    ) {
        all_engines_store_the_same::<Bf16, Bf16>(&inputs, &weights, &coefficients);
        all_engines_store_the_same::<Bf16, f32>(&inputs, &weights, &coefficients);
    }

    #[test]
    fn the_scan_says_what_is_finite(
        f32s in prop::collection::vec(any_bits(), 0..200),
        f16s in prop::collection::vec(any_half_bits::<F16>(), 0..200),
        bf16s in prop::collection::vec(any_half_bits::<Bf16>(), 0..200),
    ) {
        the_scan_is_right(&f32s);
        the_scan_is_right(&f16s);
        the_scan_is_right(&bf16s);
    }

    #[test]
    fn the_result_is_the_combination_that_the_coefficients_name(
        f32s in vectors(any_f32()),
        f16s in vectors(any_half::<F16>()),
        bf16s in vectors(any_half::<Bf16>()),
    ) {
        is_what_the_coefficients_name::<f32, f32>(&f32s);
        is_what_the_coefficients_name::<F16, F16>(&f16s);
        is_what_the_coefficients_name::<F16, f32>(&f16s);
        is_what_the_coefficients_name::<Bf16, Bf16>(&bf16s);
        is_what_the_coefficients_name::<Bf16, f32>(&bf16s);
    }
}
