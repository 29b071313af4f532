//! Vectors beyond what a binding or a dispatch may have, with the limits forced small.

use adasum_core::dtype::Op;
use adasum_core::half::Bf16;
use adasum_gpu::shader::Element;
use adasum_gpu::{OnNonFinite, Options};

use crate::common::inputs::{Family, Random};
use crate::compare::{adasum_on, adasum_on_cpu, filled, read, relative_error};
use crate::{devices, open};

#[test]
fn bindings_and_dispatches_are_split() {
    for gpu in devices() {
        let options = Options { binding_bytes: Some(16 << 10), workgroups: Some(3), ..Options::default() };
        let small = open(gpu.summary(), options);
        let segments = [5000, 1, 0, 77, 30_000, 2, 3];
        for (n, family) in [(2, Family::Independent), (5, Family::NearlyCancelling), (11, Family::Alternating)] {
            let length = segments.iter().sum();
            let inputs: Vec<Vec<f32>> = family.rounded(&mut Random::new(31), n, length);
            assert!(filled(&small, &inputs, &segments).window_count() > 10);
            let (ours, reduction) = adasum_on::<f32, f32>(&small, &inputs, &segments);
            let (whole, of_whole) = adasum_on::<f32, f32>(gpu, &inputs, &segments);
            let cpu = adasum_on_cpu::<f32, f32>(&inputs, &segments);
            assert!(relative_error(&ours, &cpu.result) < 1.2e-7, "{n}");
            assert!(relative_error(&ours, &whole) < 1.2e-7, "{n}");
            assert_eq!(reduction.solution.orthogonality.len(), of_whole.solution.orthogonality.len());
        }
    }
}

#[test]
fn many_segments_and_halves_under_small_limits() {
    for gpu in devices() {
        let options = Options { binding_bytes: Some(4 << 10), workgroups: Some(1), ..Options::default() };
        let small = open(gpu.summary(), options);
        let segments: Vec<usize> = (0..700).map(|i| i % 5).collect();
        let inputs: Vec<Vec<Bf16>> = Family::LargeCommonPart.rounded(&mut Random::new(37), 9, segments.iter().sum());
        let (ours, _) = adasum_on::<Bf16, f32>(&small, &inputs, &segments);
        let cpu = adasum_on_cpu::<Bf16, f32>(&inputs, &segments);
        assert!(relative_error(&ours, &cpu.result) < 1.2e-7);
    }
}

/// Accumulating and converting go through upload buffers, which the limit makes small, too.
#[test]
fn uploads_are_split() {
    for gpu in devices() {
        let small = open(gpu.summary(), Options { binding_bytes: Some(2 << 10), ..Options::default() });
        let inputs: Vec<Vec<f32>> = Family::Independent.rounded(&mut Random::new(41), 2, 9999);
        let mut reducer = filled(&small, &inputs, &[9999]);
        let bytes: Vec<u8> = inputs[0].iter().flat_map(|x| x.to_le_bytes()).collect();
        reducer.accumulate(1, &bytes).unwrap();
        reducer.reduce(Op::Sum, OnNonFinite::Propagate, Element::F32).unwrap();
        let twice: Vec<f32> = inputs[0].iter().zip(&inputs[1]).map(|(a, b)| (a + b) + a).collect();
        assert!(relative_error(&read::<f32>(&mut reducer), &twice) < 1e-7);
    }
}
