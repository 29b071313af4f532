//! Folds: what a naive loop gives, bit for bit, whatever the bits, the order, the instruction set and the threads.

use std::fmt::Debug;

use crate::common::float::Float;
use crate::common::inputs::Random;
use crate::common::{engines, properties};
use adasum_core::Engine;
use adasum_core::entry::{View, ViewMut};
use adasum_core::half::{Bf16, F16};
use proptest::prelude::*;

const SUM: f64 = 0.0;
const MIN: f64 = 3.0;
const MAX: f64 = 4.0;

/// What a fold is by its definition; it shares no line with the core.
trait Item: Copy + Debug + Default + Send + Sync + 'static {
    const TYPE_CODE: f64;
    const OPS: &'static [f64];
    fn of(bits: u64) -> Self;
    fn raw(self) -> u64;
    fn expected(op: f64, items: &[Self]) -> u64;
}

macro_rules! float_item {
    ($($type:ty),*) => {$(
        impl Item for $type {
            const TYPE_CODE: f64 = <$type as Float>::CODE;
            const OPS: &'static [f64] = &[MIN, MAX];
            fn of(bits: u64) -> Self {
                Float::from_bits(bits)
            }
            fn raw(self) -> u64 {
                self.bits()
            }
            fn expected(op: f64, items: &[Self]) -> u64 {
                if items.iter().any(|x| x.to_f64().is_nan()) {
                    return <$type as Float>::CANONICAL_NAN;
                }
                let is_less = |a: $type, b: $type| {
                    let (x, y) = (a.to_f64(), b.to_f64());
                    x < y || x == y && x.is_sign_negative() && y.is_sign_positive()
                };
                let better = |a, b| if is_less(a, b) == (op == MIN) { a } else { b };
                items.iter().copied().reduce(better).unwrap().bits()
            }
        }
    )*};
}
float_item!(f32, f64, F16, Bf16);

macro_rules! integer_item {
    ($($type:ty: $code:literal),*) => {$(
        impl Item for $type {
            const TYPE_CODE: f64 = $code;
            const OPS: &'static [f64] = &[SUM, MIN, MAX];
            fn of(bits: u64) -> Self {
                bits as $type
            }
            fn raw(self) -> u64 {
                self as u64
            }
            fn expected(op: f64, items: &[Self]) -> u64 {
                let wide = items.iter().map(|&x| i128::from(x));
                let folded = if op == SUM { wide.sum() } else if op == MIN { wide.min().unwrap() } else { wide.max().unwrap() };
                (folded as $type).raw()
            }
        }
    )*};
}
integer_item!(u8: 5.0, i32: 9.0, u32: 10.0, i64: 11.0, u64: 12.0);

macro_rules! for_items {
    ($function:ident ( $($argument:expr),* )) => {{
        $function::<f32>($($argument),*);
        $function::<f64>($($argument),*);
        $function::<F16>($($argument),*);
        $function::<Bf16>($($argument),*);
        $function::<u8>($($argument),*);
        $function::<i32>($($argument),*);
        $function::<u32>($($argument),*);
        $function::<i64>($($argument),*);
        $function::<u64>($($argument),*);
    }};
}

/// Any bits: small numbers, those around every format's zero, infinity and NaN, and others.
fn bits_of(random: &mut Random) -> u64 {
    const MAGNITUDES: [u64; 6] = [0, 1, 0x7c00, 0x7f80, 0x7f80_0000, 0x7ff0_0000_0000_0000];
    const SIGNS: [u64; 4] = [0, 0x8000, 0x8000_0000, 0x8000_0000_0000_0000];
    match random.below(4) {
        0 => random.next(),
        1 => random.below(5) as u64,
        _ => (*random.pick(&MAGNITUDES) + random.below(2) as u64) ^ *random.pick(&SIGNS),
    }
}

fn vectors<T: Item>(random: &mut Random, k: usize, length: usize) -> Vec<Vec<T>> {
    (0..k).map(|_| (0..length).map(|_| T::of(bits_of(random))).collect()).collect()
}

fn fold<T: Item>(engine: Engine, op: f64, inputs: &[Vec<T>]) -> Vec<u64> {
    let mut out = vec![T::of(0x5555); inputs[0].len()];
    let views: Vec<_> = inputs.iter().map(|input| View::of(input)).collect();
    engine.fold(op, T::TYPE_CODE, &views, ViewMut::of(&mut out)).unwrap();
    out.into_iter().map(T::raw).collect()
}

fn oracle<T: Item>(op: f64, inputs: &[Vec<T>]) -> Vec<u64> {
    let column = |e: usize| inputs.iter().map(|input| input[e]).collect::<Vec<_>>();
    (0..inputs[0].len()).map(|e| T::expected(op, &column(e))).collect()
}

fn check<T: Item>(k: usize, length: usize) {
    let inputs = vectors::<T>(&mut Random::new((k * 10_000 + length) as u64), k, length);
    for &op in T::OPS {
        let expected = oracle(op, &inputs);
        for engine in engines() {
            assert_eq!(fold(engine, op, &inputs), expected, "op {op}, dtype {}, {k} of {length}", T::TYPE_CODE);
        }
    }
}

#[test]
fn equal_the_naive_loop() {
    for k in 1..=9 {
        for length in (0..=70).chain([511, 512, 513, 2049]) {
            for_items!(check(k, length));
        }
    }
}

fn in_place<T: Item>(target: usize) {
    let inputs = vectors::<T>(&mut Random::new(target as u64), 4, 1500);
    for (engine, &op) in engines().into_iter().flat_map(|engine| T::OPS.iter().map(move |op| (engine, op))) {
        let mut memory = inputs.clone();
        let out = ViewMut::of(&mut memory[target]);
        let views: Vec<_> = (0..4).map(|i| if i == target { out.as_view() } else { View::of(&inputs[i]) }).collect();
        engine.fold(op, T::TYPE_CODE, &views, out).unwrap();
        let found: Vec<_> = memory[target].iter().map(|x| x.raw()).collect();
        assert_eq!(found, oracle(op, &inputs), "op {op}, dtype {}, into input {target}", T::TYPE_CODE);
    }
}

#[test]
fn the_result_may_replace_any_input() {
    (0..4).for_each(|target| for_items!(in_place(target)));
}

fn on_threads<T: Item>() {
    let length = (3 << 20) / size_of::<T>() + 1;
    let inputs = vectors::<T>(&mut Random::new(1), 2, length);
    let op = T::OPS[0];
    for engine in engines() {
        let alone = fold(engine, op, &inputs);
        for threads in [2, 5] {
            assert!(fold(engine.with_threads(threads), op, &inputs) == alone, "dtype {}", T::TYPE_CODE);
        }
    }
}

#[test]
fn threads_change_no_bit() {
    for_items!(on_threads());
}

#[test]
fn floats_are_added_by_reduce() {
    for code in [0.0, 1.0, 2.0, 3.0] {
        let (input, mut out) = ([1_u64; 2], [7_u64; 2]);
        let error = engines()[0].fold(SUM, code, &[View::of(&input)], ViewMut::of(&mut out)).unwrap_err();
        assert!(error.code() == "ERR_ARGUMENT" && error.message().contains("Add them with reduce"), "{error}");
        assert_eq!(out, [7; 2]);
    }
}

fn any_order_gives_the_same<T: Item>(columns: &[Vec<u64>], rotation: usize) {
    let mut inputs: Vec<Vec<T>> = columns.iter().map(|bits| bits.iter().map(|&b| T::of(b)).collect()).collect();
    for &op in T::OPS {
        let expected = oracle(op, &inputs);
        for engine in engines() {
            assert_eq!(fold(engine, op, &inputs), expected, "op {op}, dtype {}", T::TYPE_CODE);
        }
        let k = inputs.len();
        inputs.rotate_left(rotation % k);
        inputs.swap(0, rotation / 7 % k);
        assert_eq!(oracle(op, &inputs), expected, "the definition itself, op {op}, dtype {}", T::TYPE_CODE);
    }
}

proptest! {
    #![proptest_config(properties(500))]

    #[test]
    fn any_bits_in_any_order(
        columns in (1_usize..7, 0_usize..90)
            .prop_flat_map(|(k, length)| prop::collection::vec(prop::collection::vec(any::<u64>(), length), k)),
        seed in any::<u64>(),
        rotation in 0_usize..100,
    ) {
        for_items!(any_order_gives_the_same(&columns, rotation));
        // Those that folds must tell apart.
        let mut random = Random::new(seed);
        let strange: Vec<Vec<u64>> =
            columns.iter().map(|column| column.iter().map(|_| bits_of(&mut random)).collect()).collect();
        for_items!(any_order_gives_the_same(&strange, rotation));
    }
}
