//! Steps of optimizers: what a naive loop gives, bit for bit, on every instruction set, however they are cut.

use crate::common::float::Float;
use crate::common::inputs::Random;
use crate::common::{engines, properties};
use adasum_core::Engine;
use adasum_core::entry::{View, ViewMut, Written};
use proptest::prelude::*;
use std::ops::{Add, Div, Mul, Neg, Sub};

const SGD: usize = 0;
const MOMENTUM: usize = 1;
const ADAM: usize = 2;
const LAMB: usize = 3;
const MUON: usize = 4;
const RULES: [usize; 5] = [SGD, MOMENTUM, ADAM, LAMB, MUON];

/// Where weights, first and second state lie in [`Arrays`].
const W: usize = 0;
const M: usize = 1;
const V: usize = 2;

trait Number:
    Float
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    fn root(self) -> Self;
}
impl Number for f32 {
    fn root(self) -> Self {
        self.sqrt()
    }
}
impl Number for f64 {
    fn root(self) -> Self {
        self.sqrt()
    }
}

#[derive(Clone, Debug)]
struct Arrays<E> {
    gradient: Vec<E>,
    /// Weights, first and second state; empty where the rule keeps none.
    written: [Vec<E>; 3],
}

impl<E: Number> Arrays<E> {
    fn new(random: &mut Random, rule: usize, length: usize) -> Self {
        let vector = |random: &mut Random| random.vector(length).into_iter().map(E::from_f64).collect::<Vec<_>>();
        let mut written = [0; 3].map(|_| vector(random));
        written[V].iter_mut().for_each(|v| *v = if *v < E::from_f64(0.0) { -*v } else { *v });
        written.iter_mut().skip(1 + state_count(rule)).for_each(Vec::clear);
        Self { gradient: vector(random), written }
    }

    fn step(&mut self, engine: Engine, rule: usize, counts: &[usize], factors: &[f64]) -> adasum_core::Result<()> {
        let counts: Vec<_> = counts.iter().map(|&count| count as f64).collect();
        let [weights, first, second] = self.written.each_mut().map(|array| ViewMut::of(array));
        let written = Written { weights, first, second };
        engine.step(rule as f64, E::CODE, View::of(&self.gradient), View::of(&counts), View::of(factors), written)
    }

    fn bits(&self) -> Vec<Vec<u64>> {
        self.written.iter().map(|array| array.iter().map(|x| x.bits()).collect()).collect()
    }
}

fn state_count(rule: usize) -> usize {
    if rule == MUON { 1 } else { rule.min(2) }
}

/// A row of factors with plausible numbers: all different, so that none can stand in for another.
fn factors(random: &mut Random, rule: usize) -> Vec<f64> {
    let mut between = |least: f64, most: f64| least + (most - least) * random.uniform();
    if rule == MUON {
        let factors = [(0.3, 2.0), (0.2, 1.5), (0.5, 0.99), (0.01, 0.5), (0.5, 2.0), (0.01, 0.5)];
        return factors.map(|(least, most)| between(least, most)).to_vec();
    }
    let mut row = vec![between(0.3, 2.0), between(0.2, 1.5), between(0.01, 0.1), between(0.0, 0.1), between(0.9, 1.0)];
    if rule == MOMENTUM {
        row.extend([between(0.5, 0.99), between(0.5, 1.0), between(0.0, 2.0).floor()]);
    }
    if rule == ADAM || rule == LAMB {
        row.extend([between(0.5, 0.99), between(0.01, 0.5), between(0.9, 0.999), between(0.001, 0.1)]);
        row.extend([between(1e-8, 1e-2), between(0.1, 1.0), between(0.1, 1.0)]);
    }
    if rule == LAMB {
        row.extend([between(0.0, 0.1), 1.0, f64::INFINITY]);
    }
    row
}

/// One element by the definition. For LAMB `rate` is the rate times the ratio.
fn expected<E: Number>(rule: usize, row: &[f64], rate: f64, gradient: E, [w, m, v]: [E; 3]) -> [E; 3] {
    let f = |i: usize| E::from_f64(row[i]);
    let mut g = f(0) * gradient;
    if g > f(1) {
        g = f(1);
    }
    if g < -f(1) {
        g = -f(1);
    }
    if rule == MUON {
        let m = f(2) * m + f(3) * g;
        return [f(4) * m + f(5) * g, m, v];
    }
    g = g + f(3) * w;
    let kept = f(4) * w;
    if rule == SGD {
        return [kept - f(2) * g, m, v];
    }
    if rule == MOMENTUM {
        let m = f(5) * m + f(6) * g;
        return [kept - f(2) * if row[7] == 0.0 { m } else { g + f(5) * m }, m, v];
    }
    let (m, v) = (f(5) * m + f(6) * g, f(7) * v + f(8) * g * g);
    let denominator = v.root() / f(11) + f(9);
    if rule == ADAM {
        return [kept - E::from_f64(row[2] / row[10]) * m / denominator, m, v];
    }
    let direction = m / f(10) / denominator + f(12) * w;
    [kept - E::from_f64(rate) * direction, m, v]
}

/// LAMB's ratio, from the definition in f64.
fn ratio<E: Number>(row: &[f64], arrays: &Arrays<E>) -> f64 {
    let mut norms = [0.0; 2];
    for (i, &gradient) in arrays.gradient.iter().enumerate() {
        let [w, m, v] = [W, M, V].map(|k| arrays.written[k][i]);
        // The step of an element that is moved by -1 times its direction, with nothing kept.
        let mut row = row.to_vec();
        row[4] = 0.0;
        let [u, ..] = expected(LAMB, &row, -1.0, gradient, [w, m, v]);
        norms[0] += w.to_f64() * w.to_f64();
        norms[1] += u.to_f64() * u.to_f64();
    }
    if norms.contains(&0.0) { 1.0 } else { (norms[0].sqrt() / norms[1].sqrt()).min(row[14]) }
}

fn oracle<E: Number>(rule: usize, row: &[f64], arrays: &Arrays<E>) -> [Vec<E>; 3] {
    let rate = if rule == LAMB { row[2] * ratio(row, arrays) } else { 0.0 };
    let mut written = arrays.written.clone();
    for (i, &gradient) in arrays.gradient.iter().enumerate() {
        let old = arrays.written.each_ref().map(|array| array.get(i).copied().unwrap_or_default());
        for (array, new) in written.iter_mut().zip(expected(rule, row, rate, gradient, old)) {
            if let Some(element) = array.get_mut(i) {
                *element = new;
            }
        }
    }
    written
}

fn check<E: Number>(rule: usize, length: usize) {
    let mut random = Random::new((rule * 100_000 + length) as u64);
    let (arrays, row) = (Arrays::<E>::new(&mut random, rule, length), factors(&mut random, rule));
    let expected = oracle(rule, &row, &arrays);
    let mut bits = Vec::new();
    for engine in engines() {
        let mut stepped = arrays.clone();
        stepped.step(engine, rule, &[length], &row).unwrap();
        for (array, expected) in stepped.written.iter().zip(&expected) {
            for (&ours, &theirs) in array.iter().zip(expected) {
                // The norms of LAMB are added in another order here.
                let error = (ours.to_f64() - theirs.to_f64()).abs();
                let bound = if rule == LAMB { 16.0 * 0.5_f64.powi(E::SIGNIFICAND_BITS as i32) } else { 0.0 };
                assert!(error <= bound, "rule {rule}, {} of {length}: {ours:?}, not {theirs:?}", engine.isa());
            }
        }
        bits.push(stepped.bits());
    }
    assert!(bits.windows(2).all(|pair| pair[0] == pair[1]), "rule {rule}, {length}: bits differ by instruction set");
}

#[test]
fn steps_are_what_a_naive_loop_gives() {
    for rule in RULES {
        for length in [0, 1, 2, 7, 8, 9, 31, 100, 2047, 2048, 2049, 10_000] {
            check::<f32>(rule, length);
            check::<f64>(rule, length);
        }
    }
}

#[test]
fn parts_have_rows_of_their_own() {
    let mut random = Random::new(7);
    for rule in RULES {
        let counts = [5, 0, 3000, 1, 9];
        let arrays = Arrays::<f32>::new(&mut random, rule, counts.iter().sum());
        let rows: Vec<_> = counts.iter().map(|_| factors(&mut random, rule)).collect();
        for engine in engines() {
            let mut together = arrays.clone();
            together.step(engine, rule, &counts, &rows.concat()).unwrap();
            let mut begin = 0;
            for (&count, row) in counts.iter().zip(&rows) {
                let cut = |array: &Vec<f32>| array.get(begin..begin + count).unwrap_or_default().to_vec();
                let mut alone = Arrays { gradient: cut(&arrays.gradient), written: arrays.written.each_ref().map(cut) };
                alone.step(engine, rule, &[count], row).unwrap();
                assert_eq!(together.written.each_ref().map(cut), alone.written, "rule {rule}, part at {begin}");
                begin += count;
            }
        }
    }
}

#[test]
fn neither_threads_nor_cuts_change_a_bit() {
    let mut random = Random::new(8);
    for rule in RULES {
        let length = 300_001;
        let (arrays, row) = (Arrays::<f32>::new(&mut random, rule, length), factors(&mut random, rule));
        for engine in engines() {
            let stepped = |engine: Engine, counts: &[usize]| {
                let mut arrays = arrays.clone();
                arrays.step(engine, rule, counts, &row.repeat(counts.len())).unwrap();
                arrays.bits()
            };
            let whole = stepped(engine, &[length]);
            assert_eq!(stepped(engine.with_threads(3), &[length]), whole, "rule {rule}, three threads");
            if rule != LAMB {
                assert_eq!(stepped(engine, &[1, 4099, 0, length - 4100]), whole, "rule {rule}, in parts");
            }
        }
    }
}

#[test]
fn what_is_not_a_number_stays_so_and_is_canonical() {
    for rule in RULES {
        for engine in engines() {
            let mut random = Random::new(9);
            let mut arrays = Arrays::<f32>::new(&mut random, rule, 40);
            arrays.gradient[17] = f32::from_bits(0xffc0_1234);
            let row = factors(&mut random, rule);
            arrays.step(engine, rule, &[40], &row).unwrap();
            for (array, state) in arrays.written.iter().zip(0..) {
                let Some(element) = array.get(17) else { continue };
                assert_eq!(element.bits(), f32::CANONICAL_NAN, "rule {rule}, array {state}, {}", engine.isa());
                let others = array.iter().enumerate().filter(|&(i, _)| i != 17);
                // LAMB's ratio is that of the whole segment: its weights are lost.
                assert!(others.clone().all(|(_, x)| !x.is_nan()) || rule == LAMB && state == W);
            }
        }
    }
}

#[test]
fn weights_by_a_ratio_that_is_no_number_are_canonical() {
    for engine in engines() {
        let mut random = Random::new(15);
        let (mut arrays, mut row) = (Arrays::<f64>::new(&mut random, LAMB, 40), factors(&mut random, LAMB));
        // Both norms overflow. On x86-64 the NaN that is their quotient has its sign bit set.
        [arrays.written[W][17], row[3], row[12]] = [1e200, 0.0, 0.05];
        arrays.step(engine, LAMB, &[40], &row).unwrap();
        assert!(arrays.written[W].iter().all(|x| x.bits() == f64::CANONICAL_NAN), "{}", engine.isa());
    }
}

#[test]
fn lamb_does_not_scale_by_norms_that_are_zero() {
    for (zero, adapts) in [(W, 1.0), (M, 1.0), (usize::MAX, 0.0)] {
        let mut random = Random::new(10);
        let mut arrays = Arrays::<f64>::new(&mut random, LAMB, 33);
        let mut row = factors(&mut random, LAMB);
        [row[3], row[12], row[13]] = [0.0, 0.0, adapts];
        if zero == W {
            arrays.written[W].fill(0.0);
        }
        if zero == M {
            arrays.written[M].fill(0.0);
            arrays.gradient.fill(0.0);
        }
        let adam = {
            let mut arrays = arrays.clone();
            arrays.step(engines()[0], ADAM, &[33], &row[..12]).unwrap();
            arrays.written
        };
        arrays.step(engines()[0], LAMB, &[33], &row).unwrap();
        for (ours, theirs) in arrays.written[W].iter().zip(&adam[W]) {
            assert!((ours - theirs).abs() < 1e-15, "with a ratio of 1 it is Adam: {ours}, not {theirs}");
        }
    }
}

#[test]
fn lamb_limits_no_ratio_where_it_does_not_adapt() {
    let arrays = Arrays::<f64>::new(&mut Random::new(13), LAMB, 40);
    let mut row = factors(&mut Random::new(14), LAMB);
    row[13] = 0.0;
    let stepped = |most: f64| {
        let mut arrays = arrays.clone();
        arrays.step(engines()[0], LAMB, &[40], &[&row[..14], &[most]].concat()).unwrap();
        arrays.bits()
    };
    assert_eq!(stepped(0.01), stepped(f64::INFINITY));
}

#[test]
fn lamb_limits_its_ratio() {
    let mut random = Random::new(11);
    let arrays = Arrays::<f64>::new(&mut random, LAMB, 50);
    let mut row = factors(&mut random, LAMB);
    let free = ratio(&row, &arrays);
    row[14] = free / 3.0;
    let mut stepped = arrays.clone();
    stepped.step(engines()[0], LAMB, &[50], &row).unwrap();
    for (ours, theirs) in stepped.written[W].iter().zip(&oracle(LAMB, &row, &arrays)[W]) {
        assert!((ours - theirs).abs() < 1e-15, "{ours}, not {theirs}");
    }
    assert!((row[2] * free / 3.0 - row[2] * ratio(&row, &arrays)).abs() < 1e-15);
}

proptest! {
    #![proptest_config(properties(64))]

    #[test]
    fn any_bits_give_the_same_bits_on_every_instruction_set(seed: u64, rule in 0_usize..RULES.len(), length in 0_usize..70) {
        let mut random = Random::new(seed);
        let mut arrays = Arrays::<f32>::new(&mut random, rule, length);
        for array in std::iter::once(&mut arrays.gradient).chain(&mut arrays.written) {
            array.iter_mut().for_each(|x| *x = f32::from_bits(random.next() as u32));
        }
        let row = factors(&mut random, rule);
        let all: Vec<_> = engines().into_iter().map(|engine| {
            let mut arrays = arrays.clone();
            arrays.step(engine, rule, &[length], &row).unwrap();
            arrays.bits()
        }).collect();
        prop_assert!(all.windows(2).all(|pair| pair[0] == pair[1]));
    }
}

#[test]
fn half_formats_and_unknown_rules_are_refused() {
    let mut arrays = Arrays::<f32>::new(&mut Random::new(12), SGD, 4);
    let unchanged = arrays.bits();
    let strange = arrays.step(engines()[0], 5, &[4], &[1.0; 5]).unwrap_err();
    assert!(strange.message().contains("rule code is 5"), "{strange}");
    let short = arrays.step(engines()[0], SGD, &[4], &[1.0; 6]).unwrap_err();
    assert!(short.message().contains("6 numbers for 1 parts of 5"), "{short}");
    let [weights, first, second] = arrays.written.each_mut().map(|array| ViewMut::of(array));
    let written = Written { weights, first, second };
    let gradient = View::of(&arrays.gradient);
    let half = engines()[0].step(0.0, 2.0, gradient, View::of(&[8.0]), View::of(&[1.0; 5]), written).unwrap_err();
    assert!(half.message().contains("f16"), "{half}");
    assert_eq!(arrays.bits(), unchanged);
}
