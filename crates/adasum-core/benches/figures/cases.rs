//! The cases that are timed.

use std::hint::black_box;

use adasum_core::Engine;
use adasum_core::dtype::Dtype;
use adasum_core::entry::{Results, View, ViewMut};

use crate::exact;
use crate::limits::{repeats_for, seconds};
use crate::number::{Numbers, Vector};
use crate::textbook;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kernel {
    Gram,
    /// Into the first input.
    Combine,
    /// Gram, coefficients and combine, in segments of 1 MiB, into the first input.
    Adasum,
    /// The same in segments of 1 to 1,000 elements.
    AdasumSmall,
    /// Combine with constant coefficients, over the same data.
    Sum,
}

impl Kernel {
    pub fn name(self) -> &'static str {
        match self {
            Kernel::Gram => "gram",
            Kernel::Combine => "combine",
            Kernel::Adasum => "adasum",
            Kernel::AdasumSmall => "adasum-small",
            Kernel::Sum => "sum",
        }
    }

    pub fn writes(self) -> bool {
        self != Kernel::Gram
    }

    pub fn multiplies(self) -> bool {
        matches!(self, Kernel::Gram | Kernel::Adasum | Kernel::AdasumSmall)
    }
}

pub struct Case {
    pub kernel: Kernel,
    pub k: usize,
    pub dtype: Dtype,
    /// Elements of each input.
    pub element_count: usize,
    pub location: &'static str,
}

/// Bytes of all inputs together in "cache", and of each of two inputs in "memory".
const CACHE_BYTES: usize = 256 << 10;
const MEMORY_BYTES: usize = 256 << 20;
const TEXTBOOK_ELEMENTS: usize = 1 << 18;

pub fn cases(is_quick: bool) -> Vec<Case> {
    let memory = if is_quick { 1 << 20 } else { MEMORY_BYTES };
    let mut cases = Vec::new();
    for kernel in [Kernel::Gram, Kernel::Combine] {
        for (location, bytes) in [("cache", CACHE_BYTES / 2), ("memory", memory)] {
            for k in [2, 4, 8, 16] {
                cases.push(Case::new(kernel, k, Dtype::F32, bytes * 2 / k, location));
            }
            for dtype in [Dtype::F64, Dtype::F16, Dtype::Bf16] {
                cases.push(Case::new(kernel, 2, dtype, bytes, location));
            }
        }
    }
    for k in [2, 8] {
        let bytes = memory.min(16 << 20);
        for kernel in [Kernel::Sum, Kernel::Adasum, Kernel::AdasumSmall] {
            cases.push(Case::new(kernel, k, Dtype::F32, bytes, "layers"));
        }
    }
    cases
}

impl Case {
    fn new(kernel: Kernel, k: usize, dtype: Dtype, input_bytes: usize, location: &'static str) -> Self {
        let element_count = input_bytes / dtype.byte_length();
        Self { kernel, k, dtype, element_count, location }
    }

    /// Without vector instructions the large cases would take most of the time and tell nothing new.
    pub fn is_for(&self, isa: &str) -> bool {
        isa != "scalar" || self.location == "cache" && self.k == 2
    }

    /// Bytes of all inputs together.
    pub fn input_bytes(&self) -> usize {
        self.k * self.element_count * self.dtype.byte_length()
    }

    /// Read and written.
    pub fn bytes(&self) -> usize {
        (self.k + usize::from(self.kernel.writes())) * self.element_count * self.dtype.byte_length()
    }

    /// Instructions of the arithmetic, each counted as one multiply-add: products are fused unless they are not exact,
    /// and combinations never are.
    pub fn operations(&self) -> f64 {
        let (k, n) = (self.k as f64, self.element_count as f64);
        let products = n * k * (k + 1.0) / 2.0 * if self.dtype == Dtype::F64 { 2.0 } else { 1.0 };
        let combination = n * (2.0 * k - 1.0);
        let count = |does: bool, operations: f64| if does { operations } else { 0.0 };
        count(self.kernel.multiplies(), products) + count(self.kernel.writes(), combination)
    }

    pub fn prepare(&self, engine: Engine) -> Work<'_> {
        let value = |i: usize, e: usize| (((e * 7 + i * 13) % 101) as f64 - 50.0) * 0.0123;
        let inputs: Vec<_> =
            (0..self.k).map(|i| Vector::new(self.dtype, self.element_count, |e| value(i, e))).collect();
        let pieces = self.segments().into_iter().flat_map(|count| [count as f64, 0.0, count as f64]).collect();
        Work { case: self, engine, inputs, pieces }
    }

    fn segments(&self) -> Vec<usize> {
        let length = |index: usize| match self.kernel {
            Kernel::Adasum => (1 << 20) / self.dtype.byte_length(),
            Kernel::AdasumSmall => 1 + index * 7919 % 1000,
            _ => self.element_count,
        };
        let (mut segments, mut left) = (Vec::new(), self.element_count);
        while left > 0 {
            let count = left.min(length(segments.len()));
            segments.push(count);
            left -= count;
        }
        segments
    }
}

/// A case with its data.
pub struct Work<'a> {
    case: &'a Case,
    engine: Engine,
    inputs: Vec<Vector>,
    pieces: Vec<f64>,
}

impl Work<'_> {
    /// Seconds of one call.
    pub fn run(&mut self) -> f64 {
        seconds(repeats_for(self.case.bytes()), || drop(black_box(self.call())))
    }

    /// Seconds of the textbook loops, timed on some of the elements: they are slower than any memory.
    pub fn textbook(&self) -> f64 {
        let element_count = self.case.element_count.min(TEXTBOOK_ELEMENTS);
        let mut out = Vector::new(self.case.dtype, element_count, |_| 0.0);
        let time = seconds(1, || {
            if self.case.kernel.multiplies() {
                black_box(textbook::gram(&self.inputs, element_count));
            }
            if self.case.kernel.writes() {
                textbook::combine(&self.inputs, &coefficients(self.case.k), &mut out);
            }
        });
        time * self.case.element_count as f64 / element_count as f64
    }

    /// The numbers that the call gives besides its vector: products, or orthogonality and coefficients of each segment.
    fn call(&mut self) -> Vec<f64> {
        let (k, code) = (self.inputs.len(), self.case.dtype.code());
        let (first, others) = self.inputs.split_at_mut(1);
        let out = ViewMut::of(first[0].bytes_mut());
        let others = others.iter().map(|input| View::of(input.bytes()));
        let views: Vec<_> = std::iter::once(out.as_view()).chain(others).collect();
        let pieces = View::of(&self.pieces);
        match self.case.kernel {
            Kernel::Gram => {
                let mut nodes = vec![0.0; k * (k + 1) / 2];
                self.engine.gram(code, &views, pieces, ViewMut::of(&mut nodes)).unwrap();
                nodes
            }
            Kernel::Combine => {
                let (count, coefficients) = ([self.case.element_count as f64], coefficients(k));
                self.engine.combine(code, code, &views, View::of(&count), View::of(&coefficients), out).unwrap();
                coefficients
            }
            kernel => {
                let mut stats = vec![0.0; self.pieces.len() / 3 * (2 + k)];
                let results = Results { out, nodes: ViewMut::of::<f64>(&mut []), stats: ViewMut::of(&mut stats) };
                let (op, weights) = (if kernel == Kernel::Sum { 0.0 } else { 2.0 }, vec![1.0; k]);
                self.engine.reduce(op, code, code, &views, View::of(&weights), pieces, results).unwrap();
                stats
            }
        }
    }

    /// On data as they were at first, and on all of them.
    pub fn max_relative_error(&self) -> f64 {
        let mut fresh = self.case.prepare(self.engine);
        let before = self.case.prepare(self.engine);
        let numbers = fresh.call();
        if self.case.kernel == Kernel::Gram {
            return exact::gram_error(&before.inputs, &numbers);
        }
        let mut begin = 0;
        let errors = self.pieces.chunks_exact(3).enumerate().map(|(segment, piece)| {
            let elements = begin..begin + piece[2] as usize;
            begin = elements.end;
            let coefficients = self.coefficients_of(segment, &numbers);
            exact::combination_error(&before.inputs, &coefficients, &fresh.inputs[0], elements)
        });
        errors.fold(0.0, f64::max)
    }

    fn coefficients_of(&self, segment: usize, numbers: &[f64]) -> Vec<f64> {
        let k = self.case.k;
        match self.case.kernel {
            Kernel::Sum => vec![1.0; k],
            Kernel::Adasum | Kernel::AdasumSmall => numbers[segment * (2 + k) + 2..][..k].to_vec(),
            _ => numbers.to_vec(),
        }
    }
}

/// Their sum is 1, and the first is close to it: combining in place again and again leaves the numbers what they are.
fn coefficients(k: usize) -> Vec<f64> {
    let rest = 1.0 / 1024.0;
    (0..k).map(|i| if i == 0 { 1.0 - rest * (k - 1) as f64 } else { rest }).collect()
}
