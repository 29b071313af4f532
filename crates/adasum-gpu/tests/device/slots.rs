//! What a reducer's slots are good for: writing, accumulating, converting, reducing again.

use adasum_core::dtype::Op;
use adasum_core::half::{Bf16, F16};
use adasum_gpu::shader::Element;
use adasum_gpu::{Gpu, GpuReducer, OnNonFinite};

use crate::common::float::{Float, bits, round_one, widen_one};
use crate::common::inputs::{Family, Random};
use crate::compare::{adasum_on_cpu, bytes_of, element_of, filled, read, relative_error};
use crate::devices;

fn check_sum<F: Float>(gpu: &Gpu) {
    let inputs: Vec<Vec<F>> = Family::SpreadNorms.rounded(&mut Random::new(1), 4, 2003);
    let mut reducer = filled(gpu, &inputs[..1], &[1000, 3, 1000]);
    for input in &inputs[1..] {
        reducer.accumulate(0, &bytes_of(input)).unwrap();
    }
    reducer.reduce(Op::Sum, OnNonFinite::Propagate, element_of::<F>()).unwrap();
    let add = |sum: Vec<F>, input: &Vec<F>| {
        let exact: Vec<f64> = widen_one(&sum).iter().zip(widen_one(input)).map(|(a, b)| a + b).collect();
        round_one(&exact)
    };
    let want = inputs[1..].iter().fold(inputs[0].clone(), add);
    assert_eq!(bits(&read::<F>(&mut reducer)), bits(&want), "{}", F::NAME);
}

#[test]
fn accumulated_vectors_are_rounded_once_each() {
    for gpu in devices() {
        check_sum::<f32>(gpu);
        check_sum::<F16>(gpu);
        check_sum::<Bf16>(gpu);
    }
}

fn check_conversion<F: Float>(gpu: &Gpu) {
    let mut numbers: Vec<f32> = round_one(&Random::new(2).vector(5001));
    numbers[..6].copy_from_slice(&[0.0, -0.0, 1e-6, -65_504.0, 70_000.0, 1.000_488_4]);
    let mut reducer = GpuReducer::new(gpu, element_of::<F>(), 1, &[5001]).unwrap();
    reducer.write(0, Element::F32, &bytes_of(&numbers)).unwrap();
    reducer.reduce(Op::Sum, OnNonFinite::Propagate, element_of::<F>()).unwrap();
    let want: Vec<F> = numbers.iter().map(|&x| F::from_f64(x.into())).collect();
    let ours = read::<F>(&mut reducer);
    // The combination adds +0.
    let same = |(a, b): (&F, &F)| a.bits() == b.bits() || (a.to_f64() == 0.0 && b.to_f64() == 0.0);
    assert!(ours.iter().zip(&want).all(same), "{}", F::NAME);
}

#[test]
fn f32_is_rounded_into_halves() {
    for gpu in devices() {
        check_conversion::<F16>(gpu);
        check_conversion::<Bf16>(gpu);
    }
}

#[test]
fn slots_may_be_written_and_reduced_again() {
    for gpu in devices() {
        let inputs: Vec<Vec<f32>> = Family::LargeCommonPart.rounded(&mut Random::new(3), 3, 777);
        let mut reducer = filled(gpu, &inputs[..2], &[700, 77]);
        for turn in 0..3 {
            reducer.write(1, Element::F32, &bytes_of(&inputs[1 + turn % 2])).unwrap();
            reducer.reduce(Op::Adasum, OnNonFinite::Throw, Element::F32).unwrap();
            let now = [inputs[0].clone(), inputs[1 + turn % 2].clone()];
            let cpu = adasum_on_cpu::<f32, f32>(&now, &[700, 77]);
            assert!(relative_error(&read::<f32>(&mut reducer), &cpu.result) < 1e-7);
        }
    }
}

#[test]
fn results_may_be_stored_in_two_dtypes_one_after_the_other() {
    for gpu in devices() {
        let inputs: Vec<Vec<F16>> = Family::Independent.rounded(&mut Random::new(4), 2, 99);
        let mut reducer = filled(gpu, &inputs, &[99]);
        reducer.reduce(Op::Adasum, OnNonFinite::Throw, Element::F32).unwrap();
        let wide = read::<f32>(&mut reducer);
        reducer.reduce(Op::Adasum, OnNonFinite::Throw, Element::F16).unwrap();
        let narrow = read::<F16>(&mut reducer);
        let rounded: Vec<F16> = wide.iter().map(|&x| F16::from_f64(x.into())).collect();
        // Rounding by way of f32 is rounding twice: hardly ever another number.
        assert!(narrow.iter().zip(&rounded).filter(|(a, b)| a.bits() != b.bits()).count() <= 1);
        assert_eq!(reducer.reduce(Op::Sum, OnNonFinite::Throw, Element::Bf16).unwrap_err().code(), "ERR_ARGUMENT");
    }
}

#[test]
fn two_reducers_take_turns() {
    for gpu in devices() {
        let inputs: [Vec<Vec<f32>>; 2] =
            [5, 6].map(|seed| Family::Alternating.rounded(&mut Random::new(seed), 4, 5000));
        let mut reducers = inputs.each_ref().map(|inputs| filled(gpu, inputs, &[5000]));
        for _ in 0..3 {
            for reducer in &mut reducers {
                reducer.reduce(Op::Adasum, OnNonFinite::Throw, Element::F32).unwrap();
            }
            for (reducer, inputs) in reducers.iter_mut().zip(&inputs) {
                let cpu = adasum_on_cpu::<f32, f32>(inputs, &[5000]);
                assert!(relative_error(&read::<f32>(reducer), &cpu.result) < 1e-7);
            }
        }
    }
}

#[test]
fn two_reducers_on_two_threads() {
    for gpu in devices() {
        std::thread::scope(|scope| {
            for seed in [7, 8] {
                scope.spawn(move || {
                    let inputs: Vec<Vec<f32>> = Family::Independent.rounded(&mut Random::new(seed), 3, 3000);
                    let cpu = adasum_on_cpu::<f32, f32>(&inputs, &[3000]);
                    let mut reducer = filled(gpu, &inputs, &[3000]);
                    for _ in 0..10 {
                        reducer.reduce(Op::Adasum, OnNonFinite::Throw, Element::F32).unwrap();
                        assert!(relative_error(&read::<f32>(&mut reducer), &cpu.result) < 1e-7);
                    }
                });
            }
        });
    }
}

/// Resident memory of this process, in bytes. Linux only: elsewhere nothing is measured.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(status.split(' ').nth(1)?.parse::<u64>().ok()? * 4096)
}

/// Set in the process in which nothing else allocates.
const ALONE: &str = "ADASUM_TEST_ALONE";

#[test]
fn a_thousand_reducers_leave_nothing_behind() {
    if std::env::var_os(ALONE).is_some() {
        return make_a_thousand();
    }
    let me = std::env::current_exe().unwrap();
    let arguments = ["--exact", "slots::a_thousand_reducers_leave_nothing_behind"];
    let output = std::process::Command::new(me).args(arguments).env(ALONE, "1").output().unwrap();
    let words = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && words.contains("1 passed"), "{words}");
}

fn make_a_thousand() {
    for gpu in devices() {
        let input = vec![1.0_f32; 100_000];
        let once = || {
            let mut reducer = filled(gpu, &[input.clone(), input.clone()], &[100_000]);
            reducer.reduce(Op::Adasum, OnNonFinite::Throw, Element::F32).unwrap();
            assert_eq!(read::<f32>(&mut reducer), input);
        };
        (0..100).for_each(|_| once());
        let before = resident_bytes();
        (0..900).for_each(|_| once());
        // 900 leaked slabs would be 720 MB.
        let grown = resident_bytes().zip(before).map_or(0, |(after, before)| after.saturating_sub(before));
        assert!(grown < 64 << 20, "{grown} bytes more after 900 reducers");
    }
}
