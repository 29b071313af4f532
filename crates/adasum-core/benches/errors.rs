//! The table of errors of docs/numerics.md: Adasum of each dtype against the recursion on vectors in f64.
//!
//! `cargo bench -p adasum-core --bench errors` prints it as Markdown. The error is |ours - exact| / |exact|, the largest over
//! n = 2 to 9 inputs of 10,000 elements and three seeds; the last column does the recursion in f32 throughout, as a first
//! implementation would.

#![expect(clippy::print_stdout, reason = "a program that prints its results")]
#![expect(clippy::unwrap_used, reason = "a refusal is a mistake in the bench")]

#[path = "../tests/all/common/mod.rs"]
mod common;

use adasum_core::Engine;
use adasum_core::half::{Bf16, F16};
use common::calls::adasum_into;
use common::float::{Float, widen, widen_one};
use common::inputs::{FAMILIES, Family, Random};
use common::oracle;

const LENGTH: usize = 10_000;
const SEEDS: [u64; 3] = [1, 2, 3];

fn main() {
    println!("| inputs | f64 | f32 | f16 to f32 | bf16 to f32 | f16 | bf16 | recursion in f32 |");
    println!("| --- | --: | --: | --: | --: | --: | --: | --: |");
    for family in FAMILIES {
        let cells = [
            error::<f64, f64>(family),
            error::<f32, f32>(family),
            error::<F16, f32>(family),
            error::<Bf16, f32>(family),
            error::<F16, F16>(family),
            error::<Bf16, Bf16>(family),
            largest(family, |inputs: &[Vec<f32>]| in_f32(inputs)),
        ];
        let cells: Vec<_> = cells.iter().map(|cell| format!("{cell:.1e}")).collect();
        println!("| {family:?} | {} |", cells.join(" | "));
    }
}

fn error<E: Float, O: Float>(family: Family) -> f64 {
    let engine = Engine::active().unwrap();
    largest(family, |inputs: &[Vec<E>]| widen_one(&adasum_into::<E, O>(engine, inputs).result))
}

fn largest<E: Float>(family: Family, adasum: impl Fn(&[Vec<E>]) -> Vec<f64>) -> f64 {
    let cases = SEEDS.iter().flat_map(|&seed| (2..=9).map(move |n| (seed, n)));
    let errors = cases.map(|(seed, n)| {
        let inputs: Vec<Vec<E>> = family.rounded(&mut Random::new(seed), n, LENGTH);
        oracle::relative_error(&adasum(&inputs), &oracle::adasum_all(&widen(&inputs)))
    });
    errors.fold(0.0, f64::max)
}

/// Every product, sum and vector in f32.
fn in_f32(inputs: &[Vec<f32>]) -> Vec<f64> {
    fn node(inputs: &[Vec<f32>]) -> Vec<f32> {
        let [vector] = inputs else {
            let (left, right) = inputs.split_at(inputs.len().div_ceil(2));
            let share = left.len() as f32 / inputs.len() as f32;
            return pair(&node(left), &node(right), share);
        };
        vector.clone()
    }
    fn pair(a: &[f32], b: &[f32], share: f32) -> Vec<f32> {
        let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).fold(0.0_f32, |sum, (x, y)| sum + x * y);
        let (aa, ab, bb) = (dot(a, a), dot(a, b), dot(b, b));
        let (c, d) = (1.0 - ab / aa * share, 1.0 - ab / bb * (1.0 - share));
        a.iter().zip(b).map(|(x, y)| c * x + d * y).collect()
    }
    widen_one(&node(inputs))
}
