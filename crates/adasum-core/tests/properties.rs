//! Any bits at all: whatever the inputs are, all instruction sets store the same.

#![expect(clippy::unwrap_used, reason = "a refusal is a failure here")]

mod common;

use common::calls::{ADASUM, AVERAGE, SUM, combine, gram, has_non_finite, reduce_present, refine};
use common::float::{Float, bits};
use common::{engines, properties};
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

fn all_engines_store_the_same<F: Float>(inputs: &[Vec<F>], present: &[u8], coefficients: &[f64]) {
    let (k, length) = (inputs.len(), inputs[0].len());
    let segments = [length / 3, length - length / 3];
    let counts = segments.map(|count| count as f64);
    let whole = [length as f64, 0.0, length as f64];
    let outcome = |engine| {
        let mut all: Vec<u64> = Vec::new();
        for op in [SUM, AVERAGE, ADASUM] {
            let reduced = reduce_present(engine, op, inputs, present, &segments);
            all.extend(bits(&reduced.result));
            all.extend(bits(&reduced.orthogonality));
            reduced.coefficients.iter().for_each(|of_segment| all.extend(bits(of_segment)));
        }
        all.extend(bits(&gram(engine, inputs, &whole)));
        all.extend(bits(&refine(engine, inputs, &coefficients[..k], &whole)));
        all.extend(bits(&combine(engine, inputs, &counts, &coefficients[..2 * k])));
        all.extend(inputs.iter().map(|input| u64::from(has_non_finite(engine, input, &counts))));
        all
    };
    let engines = engines();
    let expected = outcome(engines[0]);
    for engine in &engines[1..] {
        assert_eq!(expected, outcome(*engine), "{}", engine.isa());
    }
}

proptest! {
    #![proptest_config(properties(3000))]

    #[test]
    fn all_isas_agree_in_f32(
        inputs in vectors(any_bits()),
        present in prop::collection::vec(0_u8..2, 7),
        coefficients in prop::collection::vec(prop_oneof![Just(0.0), -3.0_f64..3.0, any::<f64>()], 14),
    ) {
        all_engines_store_the_same(&inputs, &present[..inputs.len()], &coefficients);
    }

    #[test]
    fn all_isas_agree_in_f64(
        inputs in vectors(prop_oneof![20 => any_bits().prop_map(f64::from), 1 => any::<f64>()]),
        present in prop::collection::vec(0_u8..2, 7),
        coefficients in prop::collection::vec(prop_oneof![Just(0.0), -3.0_f64..3.0, any::<f64>()], 14),
    ) {
        all_engines_store_the_same(&inputs, &present[..inputs.len()], &coefficients);
    }

    #[test]
    fn the_scan_says_what_is_finite(input in prop::collection::vec(any_bits(), 0..200)) {
        let expected = input.iter().any(|x| !x.is_finite());
        for engine in engines() {
            prop_assert_eq!(has_non_finite(engine, &input, &[input.len() as f64]), expected);
        }
    }

    #[test]
    fn the_result_is_the_combination_that_the_coefficients_name(inputs in vectors(any_f32())) {
        for engine in engines() {
            let (k, length) = (inputs.len(), inputs[0].len());
            let reduced = reduce_present(engine, ADASUM, &inputs, &vec![1; k], &[length]);
            let combined = combine(engine, &inputs, &[length as f64], &reduced.coefficients[0]);
            prop_assert_eq!(bits(&reduced.result), bits(&combined));
        }
    }
}
