//! Steps of optimizers. Their limit is the time in which memory moves as many bytes by the triad, which reads two words
//! for one that it writes. The textbook form is the same step on the scalar instruction set.

use adasum_core::Engine;
use adasum_core::dtype::Dtype;
use adasum_core::entry::{View, ViewMut, Written};

use crate::limits::{repeats_for, seconds, triad_seconds_per_byte};
use crate::number::{Numbers, Vector};

#[derive(Clone, Copy, Debug)]
pub struct Rule {
    pub name: &'static str,
    code: f64,
    state_count: usize,
    /// Arrays read and written, over all passes.
    moved: usize,
    factors: &'static [f64],
}

/// With rates and gradients so small that the numbers stay what they are.
pub const RULES: [Rule; 4] = [
    Rule { name: "sgd", code: 0.0, state_count: 0, moved: 3, factors: &[1.0, f64::INFINITY, 1e-6, 0.0, 1.0] },
    Rule {
        name: "momentum",
        code: 1.0,
        state_count: 1,
        moved: 5,
        factors: &[1.0, f64::INFINITY, 1e-6, 0.0, 1.0, 0.9, 1.0, 0.0],
    },
    Rule {
        name: "adam",
        code: 2.0,
        state_count: 2,
        moved: 7,
        factors: &[1.0, f64::INFINITY, 1e-6, 0.0, 0.9999, 0.9, 0.1, 0.999, 0.001, 1e-8, 0.5, 0.3],
    },
    // The first pass reads four arrays and writes two, the second reads three and writes one.
    Rule {
        name: "lamb",
        code: 3.0,
        state_count: 2,
        moved: 10,
        factors: &[1.0, f64::INFINITY, 1e-6, 0.0, 1.0, 0.9, 0.1, 0.999, 0.001, 1e-6, 0.5, 0.3, 0.01, 1.0, 10.0],
    },
];

/// A rule on vectors of `element_count` elements.
pub struct StepCase {
    pub rule: Rule,
    pub dtype: Dtype,
    pub location: &'static str,
    element_count: usize,
}

/// Bytes of the weights.
const CACHE_BYTES: usize = 64 << 10;
const MEMORY_BYTES: usize = 64 << 20;

pub fn step_cases(is_quick: bool) -> Vec<StepCase> {
    let memory = if is_quick { 1 << 20 } else { MEMORY_BYTES };
    let mut cases = Vec::new();
    for (location, bytes) in [("cache", CACHE_BYTES), ("memory", memory)] {
        for dtype in [Dtype::F32, Dtype::F64] {
            let element_count = bytes / dtype.byte_length();
            cases.extend(RULES.map(|rule| StepCase { rule, dtype, location, element_count }));
        }
    }
    cases
}

impl StepCase {
    pub fn bytes(&self) -> usize {
        self.rule.moved * self.element_count * self.dtype.byte_length()
    }

    /// Arrays that the step works on.
    pub fn array_count(&self) -> usize {
        2 + self.rule.state_count
    }

    pub fn limit_seconds(&self, memory: &mut [u64]) -> f64 {
        self.bytes() as f64 * triad_seconds_per_byte(memory)
    }

    pub fn prepare(&self, engine: Engine) -> StepWork<'_> {
        let value = |array: usize, e: usize| ((e * 7 + array * 13) % 101 + 1) as f64 * 0.0123;
        let arrays = (0..self.array_count()).map(|i| Vector::new(self.dtype, self.element_count, |e| value(i, e)));
        StepWork { case: self, engine, arrays: arrays.collect() }
    }
}

/// A case with its data: gradient, weights, state.
pub struct StepWork<'a> {
    case: &'a StepCase,
    engine: Engine,
    arrays: Vec<Vector>,
}

impl StepWork<'_> {
    /// Seconds of one step.
    pub fn run(&mut self) -> f64 {
        seconds(repeats_for(self.case.bytes()), || self.step())
    }

    fn step(&mut self) {
        let rule = self.case.rule;
        let [gradient, written @ ..] = &mut self.arrays[..] else { return };
        let mut written = written.iter_mut().map(|array| ViewMut::of(array.bytes_mut()));
        let mut next = || written.next().unwrap_or(ViewMut::of::<u8>(&mut []));
        let written = Written { weights: next(), first: next(), second: next() };
        let (gradient, code) = (View::of(gradient.bytes()), self.case.dtype.code());
        let (counts, factors) = ([self.case.element_count as f64], View::of(rule.factors));
        self.engine.step(rule.code, code, gradient, View::of(&counts), factors, written).unwrap();
    }

    /// The largest relative difference of a weight from that of the scalar instruction set, after one step.
    pub fn max_relative_error(&self) -> f64 {
        let [mut ours, mut scalar] = [self.engine, Engine::available().next().unwrap()].map(|e| self.case.prepare(e));
        ours.step();
        scalar.step();
        let difference = |i: usize| {
            let [a, b] = [&ours, &scalar].map(|work| work.arrays[1].get(i));
            (a - b).abs() / b.abs()
        };
        (0..self.case.element_count).map(difference).fold(0.0, f64::max)
    }
}
