//! Newton-Schulz iterations: what loops over rows, columns and terms give, bit for bit, on every instruction set.

use crate::common::float::Float;
use crate::common::inputs::Random;
use crate::common::{engines, properties};
use adasum_core::Engine;
use adasum_core::entry::{View, ViewMut};
use proptest::prelude::*;
use std::ops::{Add, Div, Mul};

const MUON: [[f64; 3]; 5] = [[3.4445, -4.775, 2.0315]; 5];

trait Number: Float + Add<Output = Self> + Mul<Output = Self> + Div<Output = Self> {}
impl Number for f32 {}
impl Number for f64 {}

fn orthogonalized<E: Number>(
    engine: Engine,
    [rows, columns]: [usize; 2],
    norm: [f64; 2],
    iterations: &[[f64; 3]],
    matrix: &[E],
) -> Vec<E> {
    let mut out = matrix.to_vec();
    let factors = [&norm, iterations.as_flattened()].concat();
    let shape = [rows as f64, columns as f64];
    engine.orthogonalize(E::CODE, shape, View::of(&factors), ViewMut::of(&mut out)).unwrap();
    out
}

fn transposed<E: Copy>(matrix: &[E], columns: usize) -> Vec<E> {
    (0..matrix.len()).map(|i| matrix[i % (matrix.len() / columns) * columns + i / (matrix.len() / columns)]).collect()
}

/// left (n rows) times right (m columns), term by term.
fn product<E: Number>(left: &[E], right: &[E], rows: usize, columns: usize) -> Vec<E> {
    let terms = left.len() / rows;
    let element = |i: usize| {
        (0..terms)
            .fold(E::from_f64(0.0), |sum, k| sum + left[i / columns * terms + k] * right[k * columns + i % columns])
    };
    (0..rows * columns).map(element).collect()
}

/// By the definition; the squares of the norm are added in order, in f64.
fn oracle<E: Number>([rows, columns]: [usize; 2], added: f64, iterations: &[[f64; 3]], matrix: &[E]) -> Vec<E> {
    if rows > columns {
        return transposed(&oracle([columns, rows], added, iterations, &transposed(matrix, columns)), rows);
    }
    let norm = matrix.iter().map(|x| x.to_f64() * x.to_f64()).sum::<f64>().sqrt() + added;
    let mut x: Vec<E> = matrix.iter().map(|&x| x / E::from_f64(norm)).collect();
    for coefficients in iterations {
        let [a, b, c] = coefficients.map(E::from_f64);
        let gram = product(&x, &transposed(&x, columns), rows, rows);
        let square = product(&gram, &gram, rows, rows);
        let polynomial: Vec<E> = gram.iter().zip(&square).map(|(&g, &s)| b * g + c * s).collect();
        let moved = product(&polynomial, &x, rows, columns);
        x = x.iter().zip(&moved).map(|(&x, &m)| a * x + E::from_f64(1.0) * m).collect();
    }
    x
}

fn bits<E: Float>(vector: &[E]) -> Vec<u64> {
    vector.iter().map(|x| x.bits()).collect()
}

/// Small whole numbers, whose squares add up exactly in any order.
fn whole_numbers<E: Float>(random: &mut Random, count: usize) -> Vec<E> {
    (0..count).map(|_| E::from_f64(random.below(19) as f64 - 9.0)).collect()
}

const SHAPES: [[usize; 2]; 13] = [
    [1, 1],
    [1, 9],
    [9, 1],
    [2, 3],
    [6, 16],
    [7, 17],
    [17, 7],
    [33, 33],
    [48, 64],
    [64, 48],
    [70, 600],
    [301, 45],
    [200, 203],
];

fn check<E: Number>(shape: [usize; 2], iterations: &[[f64; 3]]) {
    let matrix = whole_numbers::<E>(&mut Random::new(shape[0] as u64 * 1000 + shape[1] as u64), shape[0] * shape[1]);
    let expected = bits(&oracle(shape, 1e-3, iterations, &matrix));
    for engine in engines() {
        let ours = orthogonalized(engine, shape, [1e-3, 0.0], iterations, &matrix);
        assert!(bits(&ours) == expected, "{shape:?}, {}: not the bits of the loops", engine.isa());
        let parts = orthogonalized(engine.with_threads(3), shape, [1e-3, 0.0], iterations, &matrix);
        assert!(bits(&parts) == expected, "{shape:?}, {}, three threads", engine.isa());
    }
}

#[test]
fn products_are_those_of_three_loops() {
    for shape in SHAPES {
        check::<f32>(shape, &MUON);
        check::<f64>(shape, &MUON[..2]);
    }
}

#[test]
fn more_terms_than_a_block_has() {
    check::<f32>([40, 1100], &MUON[..1]);
    check::<f64>([530, 3], &MUON);
}

#[test]
fn no_iterations_leave_the_division() {
    let matrix = [3.0_f32, 0.0, -4.0, 0.0];
    for engine in engines() {
        assert_eq!(orthogonalized(engine, [2, 2], [0.0, 0.0], &[], &matrix), [0.6, 0.0, -0.8, 0.0]);
        assert_eq!(orthogonalized(engine, [2, 2], [5.0, 0.0], &[], &matrix), [0.3, 0.0, -0.4, 0.0]);
        assert_eq!(orthogonalized(engine, [2, 2], [0.0, 10.0], &[], &matrix), [0.3, 0.0, -0.4, 0.0]);
    }
}

#[test]
fn singular_values_come_near_one() {
    for [rows, columns] in [[20, 50], [50, 20], [16, 16]] {
        let matrix: Vec<f64> = Random::new(5).vector(rows * columns);
        let x = orthogonalized(engines()[0], [rows, columns], [1e-7, 0.0], &MUON, &matrix);
        // The cubic iteration, which converges, makes it orthogonal to the last digits.
        let exact = orthogonalized(engines()[0], [rows, columns], [0.0, 0.0], &[[1.5, -0.5, 0.0]; 60], &matrix);
        let short = if rows < columns { exact.clone() } else { transposed(&exact, columns) };
        let side = rows.min(columns);
        let gram = product(&short, &transposed(&short, rows.max(columns)), side, side);
        for (i, &g) in gram.iter().enumerate() {
            let unit = if i / side == i % side { 1.0 } else { 0.0 };
            assert!((g - unit).abs() < 1e-12, "{rows} x {columns}: {g} at {i}");
        }
        let difference = x.iter().zip(&exact).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt();
        assert!(difference < 0.35 * (side as f64).sqrt(), "{difference}: a singular value is off by more than a third");
    }
}

#[test]
fn zeros_stay_zeros() {
    for engine in engines() {
        for norm in [[0.0, 0.0], [1e-8, 0.0], [0.0, 1e-7], [1e-60, 0.0]] {
            assert_eq!(orthogonalized(engine, [3, 5], norm, &MUON, &[0.0_f32; 15]), [0.0; 15]);
        }
        for shape in [[0, 0], [0, 7], [7, 0]] {
            assert!(orthogonalized::<f64>(engine, shape, [0.0, 0.0], &MUON, &[]).is_empty());
        }
    }
}

#[test]
fn denormal_numbers_count() {
    for engine in engines() {
        let mut matrix = vec![0.0_f32; 6 * 4];
        (0..4).for_each(|i| matrix[i * 5] = f32::from_bits(3));
        let x = orthogonalized(engine, [6, 4], [0.0, 0.0], &MUON, &matrix);
        let one = x[0];
        assert!((0.6..1.3).contains(&one), "{one}");
        assert!(x.iter().enumerate().all(|(i, &y)| y == if i < 20 && i % 5 == 0 { one } else { 0.0 }), "{x:?}");
    }
}

#[test]
fn what_is_not_a_number_spoils_the_matrix_and_is_canonical() {
    for bad in [f32::from_bits(0xffc0_1234), f32::INFINITY] {
        for engine in engines() {
            let mut matrix = vec![0.5_f32; 12 * 9];
            matrix[50] = bad;
            let x = orthogonalized(engine, [12, 9], [1e-7, 0.0], &MUON, &matrix);
            assert!(x.iter().all(|x| x.bits() == f32::CANONICAL_NAN), "{bad}, {}", engine.isa());
        }
    }
}

#[test]
fn arguments_that_do_not_fit_are_refused() {
    let matrix = vec![1.0_f32; 12];
    let refused = |dtype: f64, shape: [f64; 2], factors: &[f64], says: &str| {
        let mut out = matrix.clone();
        let error = engines()[0].orthogonalize(dtype, shape, View::of(factors), ViewMut::of(&mut out)).unwrap_err();
        assert!(error.message().contains(says), "{error}");
        assert_eq!(out, matrix);
    };
    refused(2.0, [3.0, 4.0], &[0.0; 2], "the dtype is f16");
    refused(0.0, [3.0, 5.0], &[0.0; 2], "48 bytes, but 15 elements");
    refused(0.0, [0.5, 24.0], &[0.0; 2], "rows is 0.5");
    refused(0.0, [3.0, f64::NAN], &[0.0; 2], "columns is NaN");
    refused(0.0, [9e15, 9e15], &[0.0; 2], "address space");
    refused(0.0, [3.0, 4.0], &[1.0], "1 numbers");
    refused(0.0, [3.0, 4.0], &[1.0; 4], "4 numbers");
    refused(0.0, [3.0, 4.0], &[1.0; 305], "305 numbers");
}

proptest! {
    #![proptest_config(properties(64))]

    #[test]
    fn any_bits_give_the_same_bits_on_every_instruction_set(seed: u64, rows in 0_usize..40, columns in 0_usize..40) {
        let mut random = Random::new(seed);
        // Sizes of a few orders of magnitude, and in every third matrix any bits at all.
        let any = random.below(3) == 0;
        let matrix: Vec<f32> = (0..rows * columns).map(|_| {
            if any { f32::from_bits(random.next() as u32) } else { random.normal() as f32 }
        }).collect();
        let all: Vec<_> = engines().into_iter().map(|engine| {
            bits(&orthogonalized(engine, [rows, columns], [1e-7, 0.0], &MUON, &matrix))
        }).collect();
        prop_assert!(all.windows(2).all(|pair| pair[0] == pair[1]));
        if rows != columns {
            let turned = orthogonalized(engines()[0], [columns, rows], [1e-7, 0.0], &MUON, &transposed(&matrix, columns.max(1)));
            let back = bits(&transposed(&turned, rows.max(1)));
            // The norm adds in another order.
            let error = |a: &u64, b: &u64| (f32::from_bits(*a as u32) - f32::from_bits(*b as u32)).abs();
            prop_assert!(any || all[0].iter().zip(&back).all(|(a, b)| error(a, b) < 1e-2));
        }
    }
}
