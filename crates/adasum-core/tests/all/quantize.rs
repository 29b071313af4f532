//! Quantised numbers: what a naive loop gives, bit for bit, on every instruction set; and what that is good for.

use crate::common::float::Float;
use crate::common::inputs::Random;
use crate::common::{engines, properties};
use adasum_core::Engine;
use adasum_core::entry::{View, ViewMut};
use adasum_core::half::{Bf16, F16};
use proptest::prelude::*;

const F16_CODES: f64 = 2.0;
const BF16_CODES: f64 = 3.0;
const INT8_CODES: f64 = 4.0;
const FORMATS: [f64; 3] = [F16_CODES, BF16_CODES, INT8_CODES];
const CANONICAL_NAN: u32 = 0x7fc0_0000;

fn code_length(format: f64, block: usize, counts: &[usize]) -> usize {
    let of = |&count: &usize| if format == INT8_CODES { count + 4 * count.div_ceil(block) } else { 2 * count };
    counts.iter().map(of).sum()
}

fn table(counts: &[usize]) -> Vec<f64> {
    counts.iter().map(|&count| count as f64).collect()
}

/// Codes, and what is left over if there was a residual.
fn quantize(
    engine: Engine,
    format: f64,
    block: usize,
    input: &[f32],
    counts: &[usize],
    residual: Option<&[f32]>,
) -> (Vec<u8>, Vec<f32>) {
    let mut codes = vec![0xaa_u8; code_length(format, block, counts)];
    let mut rest = residual.unwrap_or(&[]).to_vec();
    let (input, counts) = (View::of(input), table(counts));
    let (residual, written) = (ViewMut::of(&mut rest), ViewMut::of(&mut codes));
    engine.quantize(format, block as f64, input, View::of(&counts), residual, written).unwrap();
    (codes, rest)
}

fn dequantize(engine: Engine, format: f64, block: usize, codes: &[u8], counts: &[usize]) -> Vec<f32> {
    let mut out = vec![-77.0_f32; counts.iter().sum()];
    let (codes, counts) = (View::of(codes), table(counts));
    engine.dequantize(format, block as f64, codes, View::of(&counts), ViewMut::of(&mut out)).unwrap();
    out
}

/// What each number becomes and what codes it has, by the definition.
fn oracle(format: f64, block: usize, exact: &[f32], counts: &[usize]) -> (Vec<u8>, Vec<f32>) {
    let (mut codes, mut numbers) = (Vec::new(), Vec::new());
    let mut rest = exact;
    for &count in counts {
        let (part, others) = rest.split_at(count);
        rest = others;
        for block in part.chunks(block) {
            match format {
                F16_CODES => half::<F16>(block, 65_504.0, |x| x.0, &mut codes, &mut numbers),
                BF16_CODES => half::<Bf16>(block, Bf16(0x7f7f).to_f64(), |x| x.0, &mut codes, &mut numbers),
                _ => int8(block, &mut codes, &mut numbers),
            }
        }
    }
    (codes, numbers)
}

fn half<H: Float>(block: &[f32], largest: f64, bits: fn(H) -> u16, codes: &mut Vec<u8>, numbers: &mut Vec<f32>) {
    for &x in block {
        let within = if x.is_finite() { f64::from(x).max(-largest).min(largest) } else { f64::from(x) };
        let code = H::from_f64(within);
        codes.extend(bits(code).to_ne_bytes());
        numbers.push(if code.to_f64().is_nan() { f32::from_bits(CANONICAL_NAN) } else { code.to_f64() as f32 });
    }
}

fn int8(block: &[f32], codes: &mut Vec<u8>, numbers: &mut Vec<f32>) {
    let largest = block.iter().map(|x| if x.is_nan() { f32::INFINITY } else { x.abs() }).fold(0.0, f32::max);
    let scale = match largest.min(3.4e38) / 127.0 {
        _ if largest.is_infinite() => f32::from_bits(CANONICAL_NAN),
        scale if scale.is_subnormal() => 0.0,
        scale => scale,
    };
    codes.extend(scale.to_ne_bytes());
    for &x in block {
        // Rounded to f32 twice, as the kernel does: the inverse, and the product.
        let code = if scale > 0.0 { (x * (1.0 / scale)).round_ties_even() } else { 0.0 };
        assert!(code.abs() <= 127.0, "{x} of {largest} has the code {code}");
        codes.push(code as i8 as u8);
        numbers.push(if scale.is_nan() { scale } else { f32::from(code as i8) * scale });
    }
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|x| x.to_bits()).collect()
}

/// Numbers of every magnitude, with some that are strange.
fn strange(random: &mut Random, length: usize) -> Vec<f32> {
    let special = [0.0, -0.0, 1.0, f32::MAX, f32::MIN, f32::MIN_POSITIVE, 1e-45, 65_504.0, 65_520.0, 1e-37, 3.4e38];
    let bad = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::from_bits(0xffc0_1234)];
    (0..length)
        .map(|_| match random.below(40) {
            0 => *random.pick(&bad),
            1..=6 => *random.pick(&special),
            7..=12 => f32::from_bits(random.next() as u32 & 0xff7f_ffff),
            _ => random.normal() as f32,
        })
        .collect()
}

fn check(format: f64, block: usize, input: &[f32], counts: &[usize], residual: Option<&[f32]>) {
    let sum = |(&x, &r): (&f32, &f32)| if (x + r).is_infinite() && x.is_finite() { x } else { x + r };
    let exact = residual.map_or(input.to_vec(), |residual| input.iter().zip(residual).map(sum).collect());
    let (codes, numbers) = oracle(format, block, &exact, counts);
    let left = |(&x, &q): (&f32, &f32)| if (x - q).is_finite() { x - q } else { 0.0 };
    let rest: Vec<f32> = residual.map_or(vec![], |_| exact.iter().zip(&numbers).map(left).collect());
    for engine in engines() {
        let what = format!("{} format {format}, blocks of {block}, {counts:?}", engine.isa());
        let found = quantize(engine, format, block, input, counts, residual);
        assert_eq!(found.0, codes, "{what}: codes");
        assert_eq!(bits(&found.1), bits(&rest), "{what}: what is left over");
        assert_eq!(bits(&dequantize(engine, format, block, &codes, counts)), bits(&numbers), "{what}: numbers");
    }
}

#[test]
fn every_length_equals_the_definition() {
    let mut random = Random::new(1);
    for format in FORMATS {
        for length in (0..70).chain([255, 256, 257, 2047, 2048, 2049, 5000]) {
            let (input, residual) = (strange(&mut random, length), random.vector(length));
            let residual: Vec<f32> = residual.iter().map(|&x| x as f32 / 100.0).collect();
            for block in [16, 256, 2048] {
                check(format, block, &input, &[length], None);
                check(format, block, &input, &[length], Some(&residual));
            }
        }
    }
}

#[test]
fn parts_have_blocks_of_their_own() {
    let mut random = Random::new(2);
    for counts in [&[5, 0, 300, 17][..], &[0, 0], &[2048, 1], &[1, 1, 1]] {
        let input = strange(&mut random, counts.iter().sum());
        FORMATS.into_iter().for_each(|format| check(format, 256, &input, counts, Some(&vec![0.25; input.len()])));
    }
}

#[test]
fn ties_go_to_the_even_code() {
    // The scale is 1.
    let input: Vec<f32> = [127.0, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 126.5].to_vec();
    for engine in engines() {
        let (codes, _) = quantize(engine, INT8_CODES, 16, &input, &[8], None);
        assert_eq!(codes[..4], 1.0_f32.to_ne_bytes());
        assert_eq!(codes[4..].iter().map(|&code| code as i8).collect::<Vec<_>>(), [127, 0, 2, 2, 0, -2, -2, 126]);
    }
}

#[test]
fn finite_numbers_stay_finite() {
    let input = [f32::MAX, f32::MIN, 70_000.0, -1e38, 1.0];
    for engine in engines() {
        for format in FORMATS {
            let (codes, rest) = quantize(engine, format, 16, &input, &[5], Some(&[f32::MAX; 5]));
            let numbers = dequantize(engine, format, 16, &codes, &[5]);
            assert!(numbers.iter().chain(&rest).all(|x| x.is_finite()), "{format}: {numbers:?}, {rest:?}");
        }
    }
}

proptest! {
    #![proptest_config(properties(300))]

    #[test]
    fn any_bits(
        raw in prop::collection::vec((any::<u32>(), -1e3_f32..1e3), 0..600),
        format in prop::sample::select(&FORMATS[..]),
        block in prop::sample::select(&[16_usize, 32, 64, 128, 256, 512, 1024, 2048][..]),
        cut in any::<prop::sample::Index>(),
    ) {
        let input: Vec<f32> = raw.iter().map(|&(bits, _)| f32::from_bits(bits)).collect();
        let residual: Vec<f32> = raw.iter().map(|&(_, residual)| residual).collect();
        let at = cut.index(input.len() + 1);
        check(format, block, &input, &[at, input.len() - at], Some(&residual));
    }

    /// What is left over is added later: over many calls nothing is lost but what is left over at the end.
    #[test]
    fn in_the_long_run_nothing_is_lost(
        input in prop::collection::vec(-1.0_f32..1.0, 1..300),
        steps in 1_usize..50,
        format in prop::sample::select(&FORMATS[..]),
    ) {
        let engine = engines()[0];
        let counts = [input.len()];
        let mut residual = vec![0.0; input.len()];
        let mut sums = vec![0.0_f64; input.len()];
        for _ in 0..steps {
            let (codes, rest) = quantize(engine, format, 64, &input, &counts, Some(&residual));
            let numbers = dequantize(engine, format, 64, &codes, &counts);
            sums.iter_mut().zip(numbers).for_each(|(sum, x)| *sum += f64::from(x));
            residual = rest;
        }
        // A quantum of int8 is max / 127; those of the half formats are smaller.
        for (e, &sum) in sums.iter().enumerate() {
            let lost = f64::from(input[e]) * steps as f64 - sum;
            prop_assert!(lost.abs() <= 1.01 / 127.0 + 1e-6 * steps as f64, "element {e} lost {lost} in {steps} steps");
        }
    }
}
