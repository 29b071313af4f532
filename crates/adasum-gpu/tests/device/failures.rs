//! Bad arguments, bad inputs, too little memory, a device that goes: typed errors, and nothing worse.

use adasum_core::dtype::Op;
use adasum_core::half::{Bf16, F16};
use adasum_gpu::shader::Element;
use adasum_gpu::{Gpu, GpuReducer, OnNonFinite, Options};

use crate::common::float::{Float, bits};
use crate::common::inputs::{Family, Random};
use crate::compare::{adasum_on_cpu, bytes_of, element_of, filled, read, relative_error};
use crate::{devices, open};

#[test]
fn arguments_that_do_not_fit() {
    for gpu in devices() {
        let code = |slots: usize, segments: &[u64]| GpuReducer::new(gpu, Element::F32, slots, segments).map(drop);
        assert_eq!(code(0, &[1]).unwrap_err().code(), "ERR_ARGUMENT");
        assert_eq!(code(17, &[1]).unwrap_err().code(), "ERR_UNSUPPORTED");
        assert_eq!(code(2, &[0]).unwrap_err().code(), "ERR_ARGUMENT");
        let mut reducer = GpuReducer::new(gpu, Element::Bf16, 2, &[3]).unwrap();
        assert_eq!(reducer.write(2, Element::Bf16, &[0; 6]).unwrap_err().code(), "ERR_ARGUMENT");
        assert_eq!(reducer.write(0, Element::Bf16, &[0; 5]).unwrap_err().code(), "ERR_ARGUMENT");
        assert_eq!(reducer.write(0, Element::F16, &[0; 6]).unwrap_err().code(), "ERR_ARGUMENT");
        assert_eq!(reducer.write_groups(0, Element::Bf16, &[0; 6], 0..2).unwrap_err().code(), "ERR_ARGUMENT");
        assert_eq!(reducer.accumulate(0, &[0; 12]).unwrap_err().code(), "ERR_ARGUMENT");
        assert_eq!(reducer.read(&mut [0; 6]).unwrap_err().code(), "ERR_ARGUMENT");
        reducer.reduce(Op::Adasum, OnNonFinite::Throw, Element::Bf16).unwrap();
        assert_eq!(reducer.copy_result(0..1, &mut [0; 6]).unwrap_err().code(), "ERR_ARGUMENT");
        assert_eq!(reducer.read(&mut [0; 5]).unwrap_err().code(), "ERR_ARGUMENT");
        reducer.read(&mut [0; 6]).unwrap();
    }
}

#[test]
fn an_adapter_that_is_not_there() {
    let error = Gpu::open(&Options { adapter: Some(99), ..Options::default() }).map(drop).unwrap_err();
    assert!(matches!(error.code(), "ERR_ARGUMENT" | "ERR_UNSUPPORTED"), "{error}");
}

fn check_policies<F: Float>(gpu: &Gpu, poison: f64) {
    let mut inputs: Vec<Vec<F>> = Family::LargeCommonPart.rounded(&mut Random::new(1), 3, 900);
    inputs[1][450] = F::from_f64(poison);
    let segments = [300, 300, 300];
    let mut reducer = filled(gpu, &inputs, &segments);
    let error = reducer.reduce(Op::Adasum, OnNonFinite::Throw, element_of::<F>()).unwrap_err();
    assert_eq!(error, adasum_gpu::Error::NonFinite(vec![1]));
    assert!(error.message().contains("slot 1"));

    let skipped = reducer.reduce(Op::Adasum, OnNonFinite::Skip, element_of::<F>()).unwrap();
    assert_eq!(skipped.non_finite, [1]);
    let cpu = adasum_on_cpu::<F, F>(&[inputs[0].clone(), inputs[2].clone()], &segments);
    let tolerance = 0.5_f64.powi(F::SIGNIFICAND_BITS as i32);
    assert!(relative_error(&read::<F>(&mut reducer), &cpu.result) <= tolerance);

    let propagated = reducer.reduce(Op::Adasum, OnNonFinite::Propagate, element_of::<F>()).unwrap();
    assert!(propagated.solution.orthogonality[1].is_nan() && propagated.non_finite.is_empty());
    let ours = read::<F>(&mut reducer);
    assert!(ours[300..600].iter().all(|x| x.bits() == F::CANONICAL_NAN));
    assert!(ours[..300].iter().chain(&ours[600..]).all(|x| x.to_f64().is_finite()));
}

#[test]
fn inputs_that_are_not_finite() {
    for gpu in devices() {
        for poison in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            check_policies::<f32>(gpu, poison);
            check_policies::<F16>(gpu, poison);
            check_policies::<Bf16>(gpu, poison);
        }
    }
}

#[test]
fn if_no_input_is_finite_the_result_is_zero() {
    for gpu in devices() {
        let inputs = [vec![1.0_f32, f32::INFINITY, 3.0], vec![f32::NEG_INFINITY, 2.0, 2.0]];
        let mut reducer = filled(gpu, &inputs, &[3]);
        let reduction = reducer.reduce(Op::Adasum, OnNonFinite::Skip, Element::F32).unwrap();
        assert_eq!(reduction.non_finite, [0, 1]);
        assert_eq!(bits(&read::<f32>(&mut reducer)), bits(&[0.0_f32; 3]));
    }
}

#[test]
fn a_sum_of_infinities() {
    for gpu in devices() {
        let inputs =
            [vec![1.0_f32, f32::INFINITY, f32::MAX, f32::INFINITY], vec![2.0, 1.0, f32::MAX, f32::NEG_INFINITY]];
        let mut reducer = filled(gpu, &inputs, &[4]);
        reducer.reduce(Op::Sum, OnNonFinite::Propagate, Element::F32).unwrap();
        let ours = read::<f32>(&mut reducer);
        assert_eq!(ours[..3], [3.0, f32::INFINITY, f32::INFINITY]);
        assert!(ours[3].is_nan());
    }
}

#[test]
fn too_little_memory_leaves_the_device_as_it_was() {
    for gpu in devices() {
        let small = open(gpu.summary(), Options { memory_bytes: Some(1 << 20), ..Options::default() });
        let error = GpuReducer::new(&small, Element::F32, 4, &[1 << 20]).map(drop).unwrap_err();
        assert_eq!(error.code(), "ERR_OUT_OF_MEMORY");
        assert!(error.message().contains("20971520") && error.message().contains("1048576"), "{error}");
        let mut reducer = GpuReducer::new(&small, Element::F32, 4, &[1 << 10]).unwrap();
        reducer.reduce(Op::Adasum, OnNonFinite::Throw, Element::F32).unwrap();
    }
}

#[test]
fn a_lost_device_fails_every_later_call() {
    for gpu in devices() {
        let doomed = open(gpu.summary(), Options::default());
        let inputs: Vec<Vec<f32>> = Family::Independent.rounded(&mut Random::new(2), 2, 50);
        let mut reducer = filled(&doomed, &inputs, &[50]);
        reducer.reduce(Op::Adasum, OnNonFinite::Throw, Element::F32).unwrap();
        doomed.destroy();
        let reduced = reducer.reduce(Op::Adasum, OnNonFinite::Throw, Element::F32).unwrap_err();
        assert_eq!(reduced.code(), "ERR_DEVICE_LOST");
        assert_eq!(reducer.read(&mut [0; 200]).unwrap_err().code(), "ERR_DEVICE_LOST");
        assert_eq!(reducer.write(0, Element::F32, &bytes_of(&inputs[0])).unwrap_err().code(), "ERR_DEVICE_LOST");
        assert_eq!(GpuReducer::new(&doomed, Element::F32, 2, &[9]).map(drop).unwrap_err().code(), "ERR_DEVICE_LOST");
        // Another device of the same adapter is not concerned.
        let mut other = filled(gpu, &inputs, &[50]);
        other.reduce(Op::Adasum, OnNonFinite::Throw, Element::F32).unwrap();
    }
}
