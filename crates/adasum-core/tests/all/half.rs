//! The half formats, bit by bit: what every pattern widens to and where every number between two neighbours goes, on every
//! instruction set, against the formats' definition.

use crate::common::calls::{combine, combine_into};
use crate::common::engines;
use crate::common::float::{Float, Half, bits, round_one, widen_one};
use crate::common::inputs::Random;
use adasum_core::half::{Bf16, CANONICAL_NAN_BF16, CANONICAL_NAN_F16, F16};

/// Lengths of slices that take each path of the kernels: unrolled, eight lanes, and a rest.
const SLICES: [usize; 3] = [1 << 16, 8, 7];

fn all_patterns<H: Half>() -> Vec<H> {
    (0..1 << 16).map(H::from_bits).collect()
}

/// Calls a generic function with both formats.
macro_rules! for_halves {
    ($function:ident ( $($argument:expr),* )) => {{
        $function::<F16>($($argument),*);
        $function::<Bf16>($($argument),*);
    }};
}

fn every_pattern_widens<H: Half>() {
    let all = all_patterns::<H>();
    // Every half is an f32, so that nothing is rounded here.
    let wide: Vec<f32> = all.iter().map(|x| x.to_f64() as f32).collect();
    assert!(all.iter().zip(&wide).all(|(x, wide)| x.to_f64().is_nan() || x.to_f64() == f64::from(*wide)));
    let expected: Vec<u64> = wide.iter().map(|x| if x.is_nan() { f32::CANONICAL_NAN } else { x.bits() }).collect();
    for (engine, length) in engines().into_iter().flat_map(|engine| SLICES.map(|length| (engine, length))) {
        for (slice, expected) in all.chunks(length).zip(expected.chunks(length)) {
            let ours: Vec<f32> = combine_into(engine, &[slice.to_vec()], &[slice.len() as f64], &[1.0]);
            assert_eq!(bits(&ours), expected, "{}, {}, from {:?}", H::NAME, engine.isa(), slice[0]);
        }
    }
}

#[test]
fn every_pattern_widens_to_its_number() {
    for_halves!(every_pattern_widens());
}

fn every_pattern_is_stored_as_it_was<H: Half>() {
    let all = all_patterns::<H>();
    let unchanged = |x: &H| if x.to_f64().is_nan() { H::CANONICAL_NAN } else { x.bits() };
    let expected: Vec<u64> = all.iter().map(unchanged).collect();
    for (engine, length) in engines().into_iter().flat_map(|engine| SLICES.map(|length| (engine, length))) {
        for (slice, expected) in all.chunks(length).zip(expected.chunks(length)) {
            let ours = combine(engine, &[slice.to_vec()], &[slice.len() as f64], &[1.0]);
            assert_eq!(bits(&ours), expected, "{}, {}, from {:?}", H::NAME, engine.isa(), slice[0]);
        }
    }
}

#[test]
fn every_number_is_stored_as_it_was_and_every_nan_as_the_canonical_one() {
    for_halves!(every_pattern_is_stored_as_it_was());
}

/// Stores every number as nine elements: eight lanes and a rest. An input of ones leaves the coefficient.
fn store<H: Half>(engine: adasum_core::Engine, numbers: &[f64]) -> Vec<[u64; 9]> {
    let ones = vec![H::from_f64(1.0); 9 * numbers.len()];
    let stored = combine::<H>(engine, &[ones], &vec![9.0; numbers.len()], numbers);
    bits(&stored).chunks_exact(9).map(|nine| nine.try_into().unwrap()).collect()
}

fn stores_as<H: Half>(cases: &[(f64, u16)]) {
    let numbers: Vec<f64> = cases.iter().flat_map(|&(x, _)| [x, -x]).collect();
    for engine in engines() {
        let stored = store::<H>(engine, &numbers);
        for (pair, &(x, want)) in stored.chunks_exact(2).zip(cases) {
            let want = u64::from(want);
            assert_eq!(pair[0], [want; 9], "{}, {}: {x:e}", H::NAME, engine.isa());
            assert_eq!(pair[1], [want | 0x8000; 9], "{}, {}: -{x:e}", H::NAME, engine.isa());
        }
    }
}

fn rounds_around_every_number<H: Half>() {
    let numbers = H::format().numbers();
    let mut cases = Vec::new();
    for (low_bits, pair) in (0_u16..).zip(numbers.windows(2)) {
        let (low, step) = (pair[0], pair[1] - pair[0]);
        let (middle, high_bits) = (low + step / 2.0, low_bits + 1);
        let even = low_bits + low_bits % 2;
        cases.extend([
            (low.next_up(), low_bits),
            (low + step / 4.0, low_bits),
            (middle.next_down(), low_bits),
            (middle, even),
            (middle.next_up(), high_bits),
            (low + step * 0.75, high_bits),
            (pair[1].next_down(), high_bits),
        ]);
    }
    // Minus zero would be a coefficient that leaves the input out: it has a test of its own.
    assert!(cases.iter().all(|&(x, want)| x > 0.0 && H::format().nearest(x) == want), "the definition itself");
    stores_as::<H>(&cases);
}

#[test]
fn f16_rounds_to_nearest_even_between_all_neighbours() {
    rounds_around_every_number::<F16>();
}

#[test]
fn bf16_rounds_to_nearest_even_between_all_neighbours() {
    rounds_around_every_number::<Bf16>();
}

fn lanes_round_apart<H: Half>() {
    let (infinity, count) = (u64::from(H::format().infinity()), 1 << 15);
    let mut random = Random::new(1);
    // A number and its upper neighbour, of either sign and in either order: with one pair of coefficients some lanes come
    // to lie above the middle and others below.
    let pairs: Vec<[H; 2]> = (0..count)
        .map(|_| {
            let low = (random.next() % (infinity - 1)) | (random.next() % 2 * 0x8000);
            let pair = [H::from_bits(low), H::from_bits(low + 1)];
            if random.below(2) == 0 { pair } else { [pair[1], pair[0]] }
        })
        .collect();
    let inputs: [Vec<H>; 2] = [0, 1].map(|i| pairs.iter().map(|pair| pair[i]).collect());
    let tiny = 0.5_f64.powi(40);
    for c in [[0.5, 0.5], [0.5 + tiny, 0.5 - tiny], [0.75, 0.25], [1.0 - tiny, tiny]] {
        let exact: Vec<f64> = pairs.iter().map(|[a, b]| c[0] * a.to_f64() + c[1] * b.to_f64()).collect();
        let expected = round_one::<H>(&exact);
        for engine in engines() {
            let ours = combine(engine, &inputs, &[f64::from(count)], &c);
            assert_eq!(bits(&ours), bits(&expected), "{}, {}, {c:?}", H::NAME, engine.isa());
        }
    }
}

#[test]
fn neighbouring_lanes_round_in_different_directions() {
    for_halves!(lanes_round_apart());
}

fn any_number_rounds<H: Half>() {
    let mut random = Random::new(2);
    let mut any = || {
        let x = f64::from_bits(random.next());
        // Half of all doubles are far outside; these are not.
        let near = (random.uniform() - 0.5) * 2_f64.powi(random.below(300) as i32 - 150);
        if random.below(4) == 0 { x } else { near }
    };
    let numbers: Vec<f64> = (0..100_000).map(|_| any()).collect();
    for engine in engines() {
        for (x, stored) in numbers.iter().zip(store::<H>(engine, &numbers)) {
            assert_eq!(stored, [H::from_f64(*x).bits(); 9], "{}, {}: {x:e}", H::NAME, engine.isa());
        }
    }
}

#[test]
fn any_number_rounds_to_the_nearest() {
    for_halves!(any_number_rounds());
}

#[test]
fn nothing_is_rounded_twice() {
    let power = |exponent| 2_f64.powi(exponent);
    // The nearest f32 is a middle between two halves, and the number lies beside it.
    stores_as::<F16>(&[
        (1.0 + power(-11) + power(-40), 0x3c01),
        (1.0 + power(-10) + power(-11) - power(-40), 0x3c01),
        (power(-25) + power(-70), 0x0001),
        (65_520.0 - power(-30), 0x7bff),
    ]);
    stores_as::<Bf16>(&[
        (1.0 + power(-8) + power(-40), 0x3f81),
        (1.0 + power(-7) + power(-8) - power(-40), 0x3f81),
        (power(-134) + power(-170), 0x0001),
        (power(-150), 0x0000),
    ]);
}

#[test]
fn what_is_too_large_becomes_infinity_and_what_is_too_small_zero() {
    let huge = [f64::MAX, f64::INFINITY, 1e300, 3.4e38 * 1.5];
    stores_as::<F16>(&huge.map(|x| (x, 0x7c00)));
    stores_as::<Bf16>(&huge.map(|x| (x, 0x7f80)));
    let tiny = [5e-324, f64::MIN_POSITIVE, 1e-300, 1e-46];
    stores_as::<F16>(&tiny.map(|x| (x, 0)));
    stores_as::<Bf16>(&tiny.map(|x| (x, 0)));
    stores_as::<F16>(&[(65_519.0, 0x7bff), (65_520.0, 0x7c00), (6e-8, 0x0001), (6.1e-5, 0x03ff)]);
}

fn special_values<H: Half>() {
    let [one, zero, infinity] = [1.0, 0.0, f64::INFINITY].map(H::from_f64);
    let [minus_zero, minus_infinity] = [zero, infinity].map(|x| H::from_bits(x.bits() | 0x8000));
    let quiet = H::CANONICAL_NAN;
    let cases: [(H, H, [f64; 2], u64); 10] = [
        (infinity, minus_infinity, [1.0, 1.0], quiet),
        (infinity, zero, [1.0, f64::INFINITY], quiet),
        (infinity, one, [1.0, -1e300], infinity.bits()),
        (one, one, [f64::INFINITY, 1.0], infinity.bits()),
        (one, one, [-f64::NAN, 1.0], quiet),
        (one, one, [1.0, f64::from_bits(0x7ff0_0000_0000_0001)], quiet),
        (H::from_bits(quiet | 0x8001), one, [1.0, 1.0], quiet),
        (minus_zero, minus_zero, [1.0, 1.0], minus_zero.bits()),
        (minus_zero, zero, [1.0, 1.0], zero.bits()),
        (one, one, [1.0, -1.0], zero.bits()),
    ];
    for engine in engines() {
        for (case, (a, b, coefficients, want)) in cases.iter().enumerate() {
            let inputs = [vec![*a; 45], vec![*b; 45]];
            let ours = combine(engine, &inputs, &[45.0], coefficients);
            assert_eq!(bits(&ours), [*want; 45], "{}, {}, case {case}", H::NAME, engine.isa());
            let wide: Vec<f32> = combine_into(engine, &inputs, &[45.0], coefficients);
            let x = H::from_bits(*want).to_f64();
            let want = if x.is_nan() { f32::CANONICAL_NAN } else { f32::from_f64(x).bits() };
            assert_eq!(bits(&wide), [want; 45], "{} into f32, {}, case {case}", H::NAME, engine.isa());
        }
    }
}

#[test]
fn infinities_signed_zeros_and_nans() {
    for_halves!(special_values());
}

/// The combination in f64, written down as it is defined.
fn combination<H: Half>(inputs: &[Vec<H>], coefficients: &[f64]) -> Vec<f64> {
    let products: Vec<Vec<f64>> =
        inputs.iter().zip(coefficients).map(|(g, c)| widen_one(g).iter().map(|x| c * x).collect()).collect();
    (0..inputs[0].len()).map(|e| products[1..].iter().fold(products[0][e], |sum, g| sum + g[e])).collect()
}

fn combines_in_f64_and_rounds_once<H: Half>() {
    let mut random = Random::new(3);
    for length in (1..70).chain([1000]) {
        for k in 1..=6 {
            let finite = u64::from(H::format().infinity());
            let mut any = || H::from_bits((random.next() % finite) | (random.next() % 2 * 0x8000));
            let inputs: Vec<Vec<H>> = (0..k).map(|_| (0..length).map(|_| any()).collect()).collect();
            let coefficients = random.vector(k);
            let exact = combination(&inputs, &coefficients);
            for engine in engines() {
                let ours: Vec<H> = combine(engine, &inputs, &[length as f64], &coefficients);
                assert_eq!(bits(&ours), bits(&round_one::<H>(&exact)), "{}, {}", H::NAME, engine.isa());
                let wide: Vec<f32> = combine_into(engine, &inputs, &[length as f64], &coefficients);
                assert_eq!(bits(&wide), bits(&round_one::<f32>(&exact)), "{} into f32, {}", H::NAME, engine.isa());
            }
        }
    }
}

#[test]
fn both_results_are_the_combination_in_f64_rounded_once() {
    for_halves!(combines_in_f64_and_rounds_once());
}

/// All numbers of a format that are at least +0 and finite, ascending, then infinity.
fn ascending(infinity: u16, to_f64: impl Fn(u16) -> f64) -> Vec<(u16, f64)> {
    (0..=infinity).map(|bits| (bits, to_f64(bits))).collect()
}

/// One number at a time. Between each number and the next: just below the middle, the middle, and just above it.
fn check_rounding(infinity: u16, to_f64: impl Fn(u16) -> f64, from_f64: impl Fn(f64) -> u16) {
    let numbers = ascending(infinity, &to_f64);
    for pair in numbers.windows(2) {
        let [(low_bits, low), (high_bits, high)] = [pair[0], pair[1]];
        // Infinity rounds as the number that would come next.
        let step = if high.is_finite() { high - low } else { low - to_f64(low_bits - 1) };
        let middle = low + step / 2.0;
        let even = if low_bits % 2 == 0 { low_bits } else { high_bits };
        for (x, want) in [
            (low, low_bits),
            (low + step * 0.25, low_bits),
            (middle.next_down(), low_bits),
            (middle, even),
            (middle.next_up(), high_bits),
            (low + step * 0.75, high_bits),
        ] {
            assert_eq!(from_f64(x), want, "{x:e}");
            assert_eq!(from_f64(-x), want | 0x8000, "-{x:e}");
        }
    }
}

#[test]
fn f16_rounds_to_nearest_even_around_every_number() {
    check_rounding(0x7c00, |bits| F16(bits).to_f64(), |x| F16::from_f64(x).0);
}

#[test]
fn bf16_rounds_to_nearest_even_around_every_number() {
    check_rounding(0x7f80, |bits| Bf16(bits).to_f64(), |x| Bf16::from_f64(x).0);
}

#[test]
fn extremes_and_nan() {
    for x in [f64::MAX, f64::INFINITY, 1e300] {
        assert_eq!((F16::from_f64(x).0, Bf16::from_f64(x).0), (0x7c00, 0x7f80));
    }
    for x in [f64::from_bits(1), 1e-300] {
        assert_eq!((F16::from_f64(x).0, Bf16::from_f64(x).0), (0, 0));
        assert_eq!((F16::from_f64(-x).0, Bf16::from_f64(-x).0), (0x8000, 0x8000));
    }
    for x in [f64::NAN, -f64::NAN, f64::from_bits(0x7ff0_0000_0000_0001)] {
        assert_eq!((F16::from_f64(x).0, Bf16::from_f64(x).0), (CANONICAL_NAN_F16, CANONICAL_NAN_BF16));
    }
    assert!(F16(0x7c01).to_f64().is_nan() && Bf16(0xff81).to_f64().is_nan());
}

#[test]
fn one_rounding_not_two() {
    let x = 1.0 + 2_f64.powi(-11) + 2_f64.powi(-40);
    assert_eq!(F16::from_f64(x).to_f64(), 1.0 + 2_f64.powi(-10));
    assert_eq!(F16::from_f64(f64::from(x as f32)).to_f64(), 1.0);
}
