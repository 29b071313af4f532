//! A reduction on a device beside the same one on the CPU.

use adasum_core::Engine;
use adasum_core::dtype::Op;
use adasum_gpu::shader::Element;
use adasum_gpu::{Gpu, GpuReducer, OnNonFinite, Reduction};

use crate::common::calls::{self, Reduced};
use crate::common::float::{Float, widen_one};
use crate::common::oracle;

pub fn element_of<F: Float>() -> Element {
    match F::NAME {
        "f32" => Element::F32,
        "f16" => Element::F16,
        _ => Element::Bf16,
    }
}

pub fn bytes_of<F: Float>(vector: &[F]) -> Vec<u8> {
    let length = element_of::<F>().byte_length();
    vector.iter().flat_map(|x| x.bits().to_le_bytes()[..length].to_vec()).collect()
}

pub fn vector_of<F: Float>(bytes: &[u8]) -> Vec<F> {
    let bits = bytes.chunks_exact(element_of::<F>().byte_length()).map(|bytes| {
        let mut all = [0; 8];
        all[..bytes.len()].copy_from_slice(bytes);
        u64::from_le_bytes(all)
    });
    bits.map(F::from_bits).collect()
}

/// A reducer with these vectors in its slots.
pub fn filled<F: Float>(gpu: &Gpu, inputs: &[Vec<F>], segments: &[usize]) -> GpuReducer {
    let segments: Vec<u64> = segments.iter().map(|&count| count as u64).collect();
    let mut reducer = GpuReducer::new(gpu, element_of::<F>(), inputs.len(), &segments).unwrap();
    for (slot, input) in inputs.iter().enumerate() {
        reducer.write(slot, element_of::<F>(), &bytes_of(input)).unwrap();
    }
    reducer
}

pub fn read<F: Float>(reducer: &mut GpuReducer) -> Vec<F> {
    let mut out = vec![0; reducer.layout().element_count() as usize * element_of::<F>().byte_length()];
    reducer.read(&mut out).unwrap();
    vector_of(&out)
}

/// Adasum of whole segments on the device, stored as O.
pub fn adasum_on<E: Float, O: Float>(gpu: &Gpu, inputs: &[Vec<E>], segments: &[usize]) -> (Vec<O>, Reduction) {
    let mut reducer = filled(gpu, inputs, segments);
    let reduction = reducer.reduce(Op::Adasum, OnNonFinite::Throw, element_of::<O>()).unwrap();
    (read(&mut reducer), reduction)
}

/// The same on the CPU.
pub fn adasum_on_cpu<E: Float, O: Float>(inputs: &[Vec<E>], segments: &[usize]) -> Reduced<O> {
    let (engine, weights) = (Engine::active().unwrap(), vec![1.0; inputs.len()]);
    calls::reduce_into(engine, calls::ADASUM, inputs, &weights, segments)
}

/// |ours - theirs| / |theirs|
pub fn relative_error<F: Float>(ours: &[F], theirs: &[F]) -> f64 {
    oracle::relative_error(&widen_one(ours), &widen_one(theirs))
}

/// The largest distance of two elements in numbers of their type that lie between them.
pub fn largest_ulps<F: Float>(ours: &[F], theirs: &[F]) -> u64 {
    let place = |x: &F| {
        let sign = 1_i64 << (element_of::<F>().byte_length() * 8 - 1);
        let bits = x.bits() as i64;
        if bits & sign == 0 { bits } else { sign - bits }
    };
    ours.iter().zip(theirs).map(|(a, b)| (place(a) - place(b)).unsigned_abs()).max().unwrap_or(0)
}
