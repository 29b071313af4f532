//! Kernels by instruction set, as bytes of input a second, or elements of matrices; `memory/read` is what the same cores
//! read without arithmetic.
//!
//! Two sizes: vectors that stay in the cache, and vectors that do not. Compare rates only within one run.

#![expect(clippy::unwrap_used, reason = "a refusal is a mistake in the bench")]

use std::hint::black_box;

use adasum_core::Engine;
use adasum_core::entry::{Results, View, ViewMut};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// Elements of all inputs together: 128 KiB and 64 MiB of f32.
const SIZES: [(&str, usize); 2] = [("cache", 1 << 15), ("memory", 1 << 24)];
const INPUT_COUNTS: [usize; 3] = [2, 4, 8];

struct Vectors {
    inputs: Vec<Vec<f32>>,
    out: Vec<f32>,
    pieces: [f64; 3],
}

impl Vectors {
    fn new(k: usize, elements: usize) -> Self {
        let length = elements / k;
        let value = |i: usize, e: usize| ((e * 7 + i * 13) % 101) as f32 / 50.0 - 1.0;
        let inputs = (0..k).map(|i| (0..length).map(|e| value(i, e)).collect()).collect();
        Self { inputs, out: vec![0.0; length], pieces: [length as f64, 0.0, length as f64] }
    }

    fn views(&self) -> Vec<View<'_>> {
        self.inputs.iter().map(|input| View::of(input)).collect()
    }

    fn bytes(&self) -> Throughput {
        Throughput::Bytes(self.inputs.iter().map(|input| size_of_val(&input[..]) as u64).sum())
    }
}

fn each(c: &mut Criterion, kernel: &str, mut run: impl FnMut(Engine, &mut Vectors)) {
    let mut group = c.benchmark_group(kernel);
    for (size, elements) in SIZES {
        for k in INPUT_COUNTS {
            let mut vectors = Vectors::new(k, elements);
            group.throughput(vectors.bytes());
            for engine in Engine::available() {
                let id = BenchmarkId::new(format!("{}/{size}", engine.isa()), format!("k={k}"));
                group.bench_function(id, |b| b.iter(|| run(engine, black_box(&mut vectors))));
            }
        }
    }
}

fn gram(c: &mut Criterion) {
    each(c, "gram", |engine, vectors| {
        let k = vectors.inputs.len();
        let mut nodes = vec![0.0; k * (k + 1) / 2];
        engine.gram(0.0, &vectors.views(), View::of(&vectors.pieces), ViewMut::of(&mut nodes)).unwrap();
        black_box(nodes);
    });
}

fn combine(c: &mut Criterion) {
    each(c, "combine", |engine, vectors| {
        let (count, coefficients) = ([vectors.pieces[0]], vec![0.75; vectors.inputs.len()]);
        let mut out = std::mem::take(&mut vectors.out);
        let (count, coefficients) = (View::of(&count), View::of(&coefficients));
        engine.combine(0.0, 0.0, &vectors.views(), count, coefficients, ViewMut::of(&mut out)).unwrap();
        vectors.out = out;
    });
}

/// Both, over segments of 16,384 elements, as in a model of many layers.
fn adasum(c: &mut Criterion) {
    each(c, "adasum", |engine, vectors| {
        let (k, length) = (vectors.inputs.len(), vectors.out.len());
        let segment = length.min(1 << 14);
        let pieces = [segment as f64, 0.0, segment as f64].repeat(length / segment);
        let mut stats = vec![0.0; (2 + k) * length / segment];
        let mut out = std::mem::take(&mut vectors.out);
        let results =
            Results { out: ViewMut::of(&mut out), nodes: ViewMut::of::<f64>(&mut []), stats: ViewMut::of(&mut stats) };
        let (weights, pieces) = (vec![1.0; k], View::of(&pieces));
        engine.reduce(2.0, 0.0, 0.0, &vectors.views(), View::of(&weights), pieces, results).unwrap();
        vectors.out = out;
    });
}

fn scan(c: &mut Criterion) {
    each(c, "scan", |engine, vectors| {
        for input in &vectors.inputs {
            let is_bad = engine.has_non_finite(0.0, View::of(input), View::of(&vectors.pieces[..1])).unwrap();
            assert!(!black_box(is_bad));
        }
    });
}

/// The largest of two vectors' elements, in place of the first, of every dtype.
fn fold(c: &mut Criterion) {
    let mut group = c.benchmark_group("fold");
    let codes = [("f32", 0.0), ("f64", 1.0), ("f16", 2.0), ("bf16", 3.0), ("u8", 5.0), ("i32", 9.0), ("i64", 11.0)];
    for (size, elements) in SIZES {
        let words = || (0..elements as u64 / 4).map(|e| e.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect::<Vec<_>>();
        let (mut first, second) = (words(), words());
        group.throughput(Throughput::Bytes(2 * size_of_val(&second[..]) as u64));
        for (name, code) in codes {
            for engine in Engine::available() {
                let id = BenchmarkId::new(format!("{}/{size}", engine.isa()), name);
                group.bench_function(id, |b| {
                    b.iter(|| {
                        let out = ViewMut::of(black_box(&mut first));
                        engine.fold(4.0, code, &[out.as_view(), View::of(&second)], out).unwrap();
                    });
                });
            }
        }
    }
}

/// Numbers into codes, with error feedback, and back; as bytes of f32.
fn quantize(c: &mut Criterion) {
    let mut group = c.benchmark_group("quantize");
    let formats = [("f16", 2.0, 2.0), ("bf16", 3.0, 2.0), ("int8", 4.0, 1.0 + 4.0 / 256.0)];
    for (size, elements) in SIZES {
        let count = [elements as f64 / 4.0];
        let numbers: Vec<f32> = (0..elements / 4).map(|e| (e * 7 % 101) as f32 / 50.0 - 1.0).collect();
        let (mut residual, mut out) = (vec![0.0_f32; numbers.len()], vec![0.0_f32; numbers.len()]);
        group.throughput(Throughput::Bytes(size_of_val(&numbers[..]) as u64));
        for (name, format, bytes) in formats {
            let mut codes = vec![0_u8; (count[0] * bytes) as usize];
            for engine in Engine::available() {
                let id = |what: &str| BenchmarkId::new(format!("{}/{size}", engine.isa()), format!("{name}/{what}"));
                group.bench_function(id("codes"), |b| {
                    b.iter(|| {
                        let (residual, codes) = (ViewMut::of(&mut residual), ViewMut::of(&mut codes));
                        engine.quantize(format, 256.0, View::of(&numbers), View::of(&count), residual, codes).unwrap();
                    });
                });
                group.bench_function(id("numbers"), |b| {
                    b.iter(|| {
                        let (codes, out) = (View::of(&codes), ViewMut::of(black_box(&mut out)));
                        engine.dequantize(format, 256.0, codes, View::of(&count), out).unwrap();
                    });
                });
            }
        }
    }
}

/// Muon's five Newton-Schulz iterations of small and middling matrices, in place; an element is one of the matrix.
fn orthogonalize(c: &mut Criterion) {
    let mut group = c.benchmark_group("orthogonalize");
    let factors = [&[1e-7, 0.0], [[3.4445, -4.775, 2.0315]; 5].as_flattened()].concat();
    for [rows, columns] in [[64, 64], [256, 256], [128, 512], [512, 128]] {
        let value = |e: usize| ((e * 7919 + e / 13) % 1013) as f64 / 500.0 - 1.0;
        let mut wide: Vec<f64> = (0..rows * columns).map(value).collect();
        let mut narrow: Vec<f32> = wide.iter().map(|&x| x as f32).collect();
        group.throughput(Throughput::Elements(wide.len() as u64));
        for engine in Engine::available() {
            let shape = [rows as f64, columns as f64];
            let mut measure = |dtype: &str, code: f64, matrix: ViewMut<'_>| {
                let id = BenchmarkId::new(format!("{}/{dtype}", engine.isa()), format!("{rows}x{columns}"));
                group.bench_function(id, |b| {
                    b.iter(|| engine.orthogonalize(code, shape, View::of(&factors), black_box(matrix)).unwrap());
                });
            };
            measure("f32", 0.0, ViewMut::of(&mut narrow));
            measure("f64", 1.0, ViewMut::of(&mut wide));
        }
    }
}

/// The reference: an integer sum, which the compiler vectorises and which waits for nothing but memory.
fn memory(c: &mut Criterion) {
    let mut group = c.benchmark_group("memory");
    for (size, elements) in SIZES {
        let words: Vec<u64> = (0..elements as u64 / 2).collect();
        group.throughput(Throughput::Bytes(size_of_val(&words[..]) as u64));
        group.bench_function(BenchmarkId::new("read", size), |b| {
            b.iter(|| black_box(&words).iter().fold(0_u64, |sum, word| sum.wrapping_add(*word)));
        });
    }
}

criterion_group!(benches, memory, gram, combine, adasum, scan, fold, quantize, orthogonalize);
criterion_main!(benches);
