//! What is measured, and how often.

use std::time::Instant;

use adasum_core::dtype::Op;
use adasum_core::half;
use adasum_core::half::{Bf16, F16};
use adasum_gpu::shader::{Element, Tile};
use adasum_gpu::{Gpu, GpuReducer, OnNonFinite, time_copy};

use crate::cpu::OnCpu;
use crate::report::Line;

const MIB: u64 = 1 << 20;
/// Rounds of which the fastest counts.
const ROUNDS: usize = 5;
/// What one submission of a kernel should move, so that its start does not show.
const SUBMISSION_BYTES: u64 = 1 << 32;

/// Vector lengths in bytes: those of the targets, or what a software renderer can do in a minute.
fn vector_bytes(gpu: &Gpu, is_quick: bool) -> Vec<u64> {
    if is_quick {
        return vec![MIB / 4];
    }
    if gpu.summary().is_software() { vec![MIB, 16 * MIB] } else { vec![MIB, 16 * MIB, 256 * MIB, 1024 * MIB] }
}

pub fn lines(gpu: &Gpu, is_quick: bool) -> impl Iterator<Item = Line> {
    let sizes = vector_bytes(gpu, is_quick);
    let cases = sizes.into_iter().flat_map(|bytes| [2, 4, 8, 16].map(|k| (bytes, k)));
    cases.flat_map(move |(bytes, k)| {
        Element::ALL.into_iter().flat_map(move |element| case(gpu, bytes, k, element, is_quick))
    })
}

fn case(gpu: &Gpu, vector_bytes: u64, k: usize, element: Element, is_quick: bool) -> Vec<Line> {
    let length = vector_bytes / element.byte_length() as u64;
    let inputs: Vec<Vec<u8>> = (0..k).map(|slot| vector(element, length, slot as u64)).collect();
    // A device with too little memory for the case is none for it.
    let Ok(mut reducer) = filled(gpu, element, &inputs, length) else { return Vec::new() };
    let all_bytes = vector_bytes * k as u64;
    let is_software = gpu.summary().is_software();
    let repeats = if is_quick || is_software { 2 } else { (SUBMISSION_BYTES / all_bytes).clamp(2, 500) as u32 };
    let copied = all_bytes / 2;
    let copy_seconds = best(|| time_copy(gpu, copied, repeats).unwrap());
    let copy_gbps = 2.0 * copied as f64 / copy_seconds / 1e9;
    let line = |kernel, bytes, moved_bytes, seconds, max_relative_error| {
        let (adapter, dtype) = (gpu.summary().name.clone(), element.dtype().name());
        Line { adapter, kernel, k, dtype, bytes, moved_bytes, seconds, copy_gbps, max_relative_error }
    };

    let wide: Vec<Vec<f64>> = inputs.iter().map(|input| widen(element, input)).collect();
    let gram_error = gram_error(&wide, &reducer.gram().unwrap());
    let gram_reads = Tile::cover(k).iter().map(|tile| tile.inputs.len() as u64).sum::<u64>() * vector_bytes;
    let gram_seconds = best(|| reducer.time_gram(repeats).unwrap());
    let coefficients = reducer.reduce(Op::Adasum, OnNonFinite::Throw, element).unwrap().solution.coefficients;
    let mut out = vec![0; vector_bytes as usize];
    reducer.read(&mut out).unwrap();
    let error = combination_error(&wide, &coefficients, &widen(element, &out));
    let combine_seconds = best(|| reducer.time_combine(repeats).unwrap());
    let combine_bytes = all_bytes + vector_bytes;

    let resident = best(|| {
        timed(|| {
            reducer.reduce(Op::Adasum, OnNonFinite::Throw, element).unwrap();
            reducer.finish().unwrap();
        })
    });
    let uploaded = best(|| {
        timed(|| {
            inputs.iter().enumerate().for_each(|(slot, input)| reducer.write(slot, element, input).unwrap());
            reducer.reduce(Op::Adasum, OnNonFinite::Throw, element).unwrap();
            reducer.read(&mut out).unwrap();
        })
    });
    let (on_cpu, cpu_error) = on_cpu(element, &inputs, &wide);
    let whole = all_bytes + combine_bytes;
    vec![
        line("gram", all_bytes, gram_reads, gram_seconds, gram_error),
        line("combine", combine_bytes, combine_bytes, combine_seconds, error),
        line("reduce resident", whole, gram_reads + combine_bytes, resident, error),
        line("reduce uploaded", whole, gram_reads + combine_bytes, uploaded, error),
        line("reduce cpu", whole, whole, on_cpu, cpu_error),
    ]
}

pub fn filled(gpu: &Gpu, element: Element, inputs: &[Vec<u8>], length: u64) -> adasum_gpu::Result<GpuReducer> {
    let mut reducer = GpuReducer::new(gpu, element, inputs.len(), &[length])?;
    for (slot, input) in inputs.iter().enumerate() {
        reducer.write(slot, element, input)?;
    }
    Ok(reducer)
}

fn best(mut measure: impl FnMut() -> f64) -> f64 {
    (0..ROUNDS).map(|_| measure()).fold(f64::INFINITY, f64::min)
}

pub fn timed(work: impl FnOnce()) -> f64 {
    let begin = Instant::now();
    work();
    begin.elapsed().as_secs_f64()
}

/// Numbers between -2 and 2 with a common part, the same in every run.
pub fn vector(element: Element, length: u64, slot: u64) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(slot + 1);
    let mut bytes = Vec::with_capacity(length as usize * element.byte_length());
    for at in 0..length {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        let own = (state >> 40) as f64 / (1_u64 << 23) as f64 - 1.0;
        let common = (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f64 / (1_u64 << 23) as f64 - 1.0;
        let number = own + common;
        match element {
            Element::F32 => bytes.extend((number as f32).to_le_bytes()),
            Element::F16 => bytes.extend(F16::from_f64(number).0.to_le_bytes()),
            Element::Bf16 => bytes.extend(Bf16::from_f64(number).0.to_le_bytes()),
        }
    }
    bytes
}

fn widen(element: Element, bytes: &[u8]) -> Vec<f64> {
    let halves =
        |widen: fn(u16) -> f64| bytes.as_chunks::<2>().0.iter().map(|&b| widen(u16::from_le_bytes(b))).collect();
    match element {
        Element::F32 => bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b).into()).collect(),
        Element::F16 => halves(|bits| half::F16(bits).to_f64()),
        Element::Bf16 => halves(|bits| half::Bf16(bits).to_f64()),
    }
}

/// Largest error of a product, relative to the norms of its two vectors.
fn gram_error(inputs: &[Vec<f64>], products: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| {
        // Blocks keep f64's own errors below those that are looked for.
        let blocks = a.chunks(4096).zip(b.chunks(4096)).map(|(a, b)| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>());
        blocks.sum::<f64>()
    };
    let norms: Vec<f64> = inputs.iter().map(|input| dot(input, input).sqrt()).collect();
    let pairs = (0..inputs.len()).flat_map(|i| (i..inputs.len()).map(move |j| (i, j)));
    let errors = pairs
        .zip(products)
        .map(|((i, j), product)| (dot(&inputs[i], &inputs[j]) - product).abs() / (norms[i] * norms[j]));
    errors.fold(0.0, f64::max)
}

/// Largest error of a stored combination, relative to the largest element.
fn combination_error(inputs: &[Vec<f64>], coefficients: &[f64], out: &[f64]) -> f64 {
    let exact = |at: usize| inputs.iter().zip(coefficients).map(|(input, c)| c * input[at]).sum::<f64>();
    let scale = (0..out.len()).map(|at| exact(at).abs()).fold(0.0, f64::max);
    (0..out.len()).map(|at| (out[at] - exact(at)).abs() / scale).fold(0.0, f64::max)
}

/// Seconds of the same reduction by adasum-core, and its error.
fn on_cpu(element: Element, inputs: &[Vec<u8>], wide: &[Vec<f64>]) -> (f64, f64) {
    let mut cpu = OnCpu::new(element, inputs);
    let seconds = best(|| timed(|| cpu.reduce()));
    (seconds, combination_error(wide, cpu.coefficients(), &widen(element, &cpu.bytes())))
}
