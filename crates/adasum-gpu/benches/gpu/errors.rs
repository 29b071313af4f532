//! The table of errors of docs/gpu.md, as Markdown: Adasum on the device against the recursion on vectors in f64, and against
//! the CPU. The largest over 2 to 9 inputs of 10,000 elements and three seeds, as in docs/numerics.md.

#[path = "../../../adasum-core/tests/all/common/mod.rs"]
mod common;

use adasum_core::Engine;
use adasum_core::dtype::Op;
use adasum_core::half::{Bf16, F16};
use adasum_gpu::shader::Element;
use adasum_gpu::{Gpu, GpuReducer, OnNonFinite};
use common::calls::adasum_into;
use common::float::{Float, widen, widen_one};
use common::inputs::{FAMILIES, Family, Random};
use common::oracle;

const LENGTH: usize = 10_000;
const SEEDS: [u64; 3] = [1, 2, 3];

pub fn print(gpu: &Gpu) {
    println!("{}\n", crate::report::machine(gpu));
    println!("| inputs | f32 | f16 to f32 | bf16 to f32 | f32 beside the CPU | f16 to f32 | bf16 to f32 |");
    println!("| --- | --: | --: | --: | --: | --: | --: |");
    for family in FAMILIES {
        let pairs = [errors::<f32>(gpu, family), errors::<F16>(gpu, family), errors::<Bf16>(gpu, family)];
        let cells = pairs.iter().map(|pair| pair.0).chain(pairs.iter().map(|pair| pair.1));
        let cells: Vec<_> = cells.map(|cell| format!("{cell:.1e}")).collect();
        println!("| {family:?} | {} |", cells.join(" | "));
    }
}

/// Largest errors against the oracle and against the CPU.
fn errors<E: Float>(gpu: &Gpu, family: Family) -> (f64, f64) {
    let engine = Engine::active().unwrap();
    let cases = SEEDS.iter().flat_map(|&seed| (2..=9).map(move |n| (seed, n)));
    let errors = cases.map(|(seed, n)| {
        let inputs: Vec<Vec<E>> = family.rounded(&mut Random::new(seed), n, LENGTH);
        let ours = on_device(gpu, &inputs);
        let cpu = widen_one(&adasum_into::<E, f32>(engine, &inputs).result);
        let exact = oracle::adasum_all(&widen(&inputs));
        (oracle::relative_error(&ours, &exact), oracle::relative_error(&ours, &cpu))
    });
    errors.fold((0.0, 0.0), |largest, error| (f64::max(largest.0, error.0), f64::max(largest.1, error.1)))
}

fn on_device<E: Float>(gpu: &Gpu, inputs: &[Vec<E>]) -> Vec<f64> {
    let element = Element::ALL.into_iter().find(|element| element.dtype().name() == E::NAME).unwrap();
    let mut reducer = GpuReducer::new(gpu, element, inputs.len(), &[LENGTH as u64]).unwrap();
    for (slot, input) in inputs.iter().enumerate() {
        let bytes: Vec<u8> =
            input.iter().flat_map(|x| x.bits().to_le_bytes()[..element.byte_length()].to_vec()).collect();
        reducer.write(slot, element, &bytes).unwrap();
    }
    reducer.reduce(Op::Adasum, OnNonFinite::Throw, Element::F32).unwrap();
    let mut out = vec![0; LENGTH * 4];
    reducer.read(&mut out).unwrap();
    out.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes).into()).collect()
}
