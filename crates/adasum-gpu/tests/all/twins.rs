//! The twins against f64: what the shaders compute is right, if a device computes what they say.

use crate::common::float::{Float, round_one, widen_one};
use crate::common::inputs::{FAMILIES, Random};
use crate::common::oracle;
use crate::twin::{Pair, Twin, narrow, split, widen};
use adasum_core::half::{Bf16, F16};
use adasum_gpu::shader::Element;

const FUSED: Twin = Twin { is_fused: true, element: Element::F32, subgroup_threads: None };
const SPLIT: Twin = Twin { is_fused: false, ..FUSED };

/// By workgroups, and by subgroups of every size there is: in those of 128 half the lanes do not run.
fn twins() -> Vec<Twin> {
    let by_subgroups = [1, 4, 8, 16, 32, 64, 128].map(|threads| Twin { subgroup_threads: Some(threads), ..FUSED });
    [FUSED, SPLIT].into_iter().chain(by_subgroups).collect()
}

/// Relative to the norms: a few roundings of the second part of a sum.
const GRAM_ERROR: f64 = 1e-13;

fn value([upper, lower]: Pair) -> f64 {
    f64::from(upper) + f64::from(lower)
}

#[test]
fn a_product_and_its_error_are_the_product() {
    let mut random = Random::new(1);
    for _ in 0..100_000 {
        let (a, b) = (random.normal() as f32, random.normal() as f32);
        let exact = f64::from(a) * f64::from(b);
        assert_eq!(value(FUSED.two_product(a, b)), exact, "{a:e} {b:e}");
        let error = (value(SPLIT.two_product(a, b)) - exact).abs();
        assert!(error <= 2_f64.powi(-46) * exact.abs(), "{a:e} {b:e}: {error:e}");
    }
}

#[test]
fn sums_of_products_err_by_no_more_than_those_of_f64() {
    for family in FAMILIES {
        for length in [1, 5, 255, 256, 257, 4096, 40_000] {
            let vectors: Vec<Vec<f32>> = family.rounded(&mut Random::new(3), 2, length);
            let (a, b) = (&vectors[0], &vectors[1]);
            let (wide_a, wide_b) = (widen_one(a), widen_one(b));
            let exact = oracle::dot(&wide_a, &wide_b);
            for twin in twins() {
                let error = (value(twin.gram(a, b)) - exact).abs() / (oracle::norm(&wide_a) * oracle::norm(&wide_b));
                assert!(error <= GRAM_ERROR, "{family:?}, {length} elements, {twin:?}: {error:e}");
            }
        }
    }
}

#[test]
fn products_of_a_combination_that_cancels_are_those_of_the_combination() {
    let (length, factors) = (3000, [1.0, 1.000_1]);
    let inputs: Vec<Vec<f32>> = crate::common::inputs::Family::NearlyCancelling.rounded(&mut Random::new(5), 2, length);
    let wide: Vec<_> = inputs.iter().map(|g| widen_one(g)).collect();
    let x: Vec<f64> = (0..length).map(|e| factors[0] * wide[0][e] + factors[1] * wide[1][e]).collect();
    let exact = [oracle::dot(&x, &x), oracle::dot(&x, &wide[0]), oracle::dot(&x, &wide[1])];
    let scales = [exact[0], oracle::norm(&x) * oracle::norm(&wide[0]), oracle::norm(&x) * oracle::norm(&wide[1])];
    for twin in twins() {
        let sums = twin.refine(&factors.map(split), &inputs);
        for ((sum, exact), scale) in sums.iter().zip(exact).zip(scales) {
            let error = (value(*sum) - exact).abs() / scale;
            assert!(error < 1e-9, "{twin:?}: {error:e}");
        }
    }
}

#[test]
fn a_combination_is_rounded_as_that_of_f64() {
    let mut random = Random::new(7);
    let mut differing = 0;
    for _ in 0..20_000 {
        let factors: Vec<f64> = random.vector(4);
        let x: Vec<f32> = round_one(&random.vector(4));
        let exact = factors.iter().zip(&x).fold(0.0, |sum, (c, &x)| sum + c * f64::from(x));
        let parts: Vec<_> = factors.iter().map(|&factor| split(factor)).collect();
        let ours = f32::from_bits(narrow(Element::F32, SPLIT.combine(&parts, &x)));
        let ulps = (ours.to_bits() as i64 - (exact as f32).to_bits() as i64).abs();
        // Where the terms cancel almost wholly, the last bits of f64 itself are noise.
        assert!(ulps <= 1 || exact.abs() < 1e-4, "{ours:e} {exact:e}");
        differing += usize::from(ulps > 0);
    }
    assert!(differing < 20, "{differing}");
}

fn check_widen<F: Float>(element: Element) {
    for bits in 0..=0xffff_u32 {
        let (ours, exact) = (f64::from(widen(element, bits)), F::from_bits(bits.into()).to_f64());
        assert!(ours == exact || (ours.is_nan() && exact.is_nan()), "{bits:#x}: {ours:e} {exact:e}");
    }
}

#[test]
fn every_half_widens_to_itself() {
    check_widen::<F16>(Element::F16);
    check_widen::<Bf16>(Element::Bf16);
}

/// Around every number of the format: the number, its neighbours in two parts of f32, and the middles.
fn check_narrow(element: Element, from_f64: impl Fn(f64) -> u16) {
    for bits in 0..0x7f80_u32 {
        let (low, high) = (widen(element, bits), widen(element, bits + 1));
        if !high.is_finite() {
            break;
        }
        let middle = low + (high - low) / 2.0;
        for upper in [low, middle, high, low + (high - low) / 4.0] {
            for lower in [0.0, upper * 2_f32.powi(-26), -upper * 2_f32.powi(-26)] {
                // Below that the second part is no normal number, which devices may take for zero.
                if lower != 0.0 && lower.abs() < f32::MIN_POSITIVE {
                    continue;
                }
                for sign in [1.0, -1.0] {
                    let want = from_f64(f64::from(sign * upper) + f64::from(sign * lower));
                    let ours = narrow(element, [sign * upper, sign * lower]);
                    assert_eq!(ours, u32::from(want), "{upper:e} + {lower:e}");
                }
            }
        }
    }
    assert_eq!(narrow(element, [f32::INFINITY, 0.0]), u32::from(from_f64(f64::INFINITY)));
    assert_eq!(narrow(element, [f32::NAN, 0.0]), u32::from(from_f64(f64::NAN)));
    assert_eq!(narrow(element, [f32::MAX, 0.0]), u32::from(from_f64(f64::from(f32::MAX))));
}

#[test]
fn halves_are_rounded_once() {
    check_narrow(Element::F16, |x| F16::from_f64(x).0);
    check_narrow(Element::Bf16, |x| Bf16::from_f64(x).0);
}

/// What a machine that has not built the device's tests says at the end.
#[cfg(not(feature = "device"))]
#[test]
fn the_device_is_tested_elsewhere() {
    use std::io::Write;
    let is_required = std::env::var("ADASUM_REQUIRE_GPU").is_ok_and(|value| value == "1");
    assert!(!is_required, "ADASUM_REQUIRE_GPU is 1, and this was built without the feature `device`");
    let line =
        "skipped: shaders on a device (npm run test:gpu runs them; shaders and twins were checked without one)\n";
    std::io::stderr().write_all(line.as_bytes()).ok();
}
