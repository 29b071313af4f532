//! Results and coefficients against the CPU's.

use adasum_core::dtype::Op;
use adasum_core::half::{Bf16, F16};
use adasum_gpu::shader::{Arithmetic, Element, MAX_INPUTS};
use adasum_gpu::{Gpu, OnNonFinite, Options};

use crate::common::calls;
use crate::common::float::{Float, round};
use crate::common::inputs::{FAMILIES, Family, Random};
use crate::compare::{adasum_on, adasum_on_cpu, filled, largest_ulps, read, relative_error};
use crate::twin::{Twin, narrow, split};
use crate::{devices, open, without_subgroups};

/// |GPU - CPU| / |CPU| of a result, by family: see docs/gpu.md. Both round once; what remains are coefficients that differ, by the
/// device's 1e-14 over r, the part of its terms' squared norms that is left of a node's.
fn tolerance<O: Float>(family: Family) -> f64 {
    let rounding = 0.5_f64.powi(O::SIGNIFICAND_BITS as i32);
    match family {
        Family::NearlyCancelling => 4.0 * rounding,
        _ => rounding,
    }
}

fn check<E: Float, O: Float>(gpu: &Gpu, family: Family, n: usize, length: usize, seed: u64) {
    let inputs: Vec<Vec<E>> = family.rounded(&mut Random::new(seed), n, length);
    let (result, reduction) = adasum_on::<E, O>(gpu, &inputs, &[length]);
    let cpu = adasum_on_cpu::<E, O>(&inputs, &[length]);
    let error = relative_error(&result, &cpu.result);
    let case = format!("{family:?}, {n} x {length}, {} into {}, seed {seed}", E::NAME, O::NAME);
    assert!(error <= tolerance::<O>(family), "{case}: {error:e}");
    let orthogonality = (reduction.solution.orthogonality[0] - cpu.orthogonality[0]).abs();
    assert!(orthogonality <= 1e-7, "{case}: {orthogonality:e}");
    let squares = reduction.solution.squared_norm_sum[0] / cpu.squared_norm_sum[0] - 1.0;
    assert!(squares.abs() <= 1e-12, "{case}: {squares:e}");
}

#[test]
fn every_family_dtype_and_number_of_inputs() {
    for gpu in devices() {
        for family in FAMILIES {
            for n in 1..=MAX_INPUTS {
                check::<f32, f32>(gpu, family, n, 4099, n as u64);
                check::<F16, f32>(gpu, family, n, 1030, n as u64);
                check::<Bf16, f32>(gpu, family, n, 1030, n as u64);
                check::<F16, F16>(gpu, family, n, 517, n as u64);
                check::<Bf16, Bf16>(gpu, family, n, 517, n as u64);
            }
        }
    }
}

#[test]
fn odd_lengths() {
    for gpu in devices() {
        for length in [16, 17, 18, 19, 63, 255, 256, 257, 4095, 4096, 4097, 70_001] {
            for family in [Family::Independent, Family::LargeCommonPart, Family::Alternating] {
                check::<f32, f32>(gpu, family, 2, length, 3);
                check::<F16, f32>(gpu, family, 3, length, 3);
                check::<Bf16, f32>(gpu, family, 3, length, 3);
            }
        }
        for length in 1..16 {
            check::<f32, f32>(gpu, Family::Independent, 3, length, 5);
            check::<F16, F16>(gpu, Family::Independent, 3, length, 5);
            check::<Bf16, Bf16>(gpu, Family::Independent, 3, length, 5);
        }
    }
}

#[test]
fn elements_differ_by_one_last_bit_at_most() {
    for gpu in devices() {
        for family in [Family::Independent, Family::LargeCommonPart, Family::SpreadNorms, Family::NearParallel] {
            check_ulps::<f32>(gpu, family);
            check_ulps::<F16>(gpu, family);
            check_ulps::<Bf16>(gpu, family);
        }
    }
}

fn check_ulps<F: Float>(gpu: &Gpu, family: Family) {
    let inputs: Vec<Vec<F>> = family.rounded(&mut Random::new(9), 4, 20_000);
    let (ours, _) = adasum_on::<F, F>(gpu, &inputs, &[20_000]);
    let cpu = adasum_on_cpu::<F, F>(&inputs, &[20_000]);
    // An element in which the terms all but cancel has lost its last bits in f64, too.
    let small = F::SMALLEST_NORMAL.max(1e-3);
    let pairs = ours.iter().zip(&cpu.result).filter(|(_, cpu)| cpu.to_f64().abs() > small);
    let (ours, theirs): (Vec<F>, Vec<F>) = pairs.map(|(a, b)| (*a, *b)).unzip();
    let ulps = largest_ulps(&ours, &theirs);
    assert!(ulps <= 1, "{family:?} {}: {ulps}", F::NAME);
}

/// The twin of a device that rounds as IEEE 754 says.
fn twin_of(gpu: &Gpu) -> Twin {
    let Arithmetic { is_fused, by_subgroups, .. } = gpu.arithmetic();
    let subgroup_threads = gpu.summary().subgroup_threads.filter(|_| by_subgroups).map(|[fewest, most]| {
        assert_eq!(fewest, most, "the twin takes one size");
        most as usize
    });
    Twin { is_fused, element: Element::F32, subgroup_threads }
}

#[test]
fn products_have_the_bits_of_their_twin() {
    for gpu in devices().iter().filter(|gpu| gpu.summary().is_software()) {
        // One chunk: the host adds nothing to its sums.
        let inputs: Vec<Vec<f32>> = Family::Independent.rounded(&mut Random::new(10), 2, 4001);
        let products = filled(gpu, &inputs, &[4001]).gram().unwrap();
        let pairs = [(0, 0), (0, 1), (1, 1)];
        assert_eq!(products.len(), pairs.len());
        for ((i, j), product) in pairs.into_iter().zip(products) {
            let [upper, lower] = twin_of(gpu).gram(&inputs[i], &inputs[j]);
            assert_eq!(product, f64::from(upper) + f64::from(lower), "{i} . {j}, {}", gpu.arithmetic().name());
        }
    }
}

#[test]
fn subgroups_are_used_where_there_are_some_and_can_be_left_unused() {
    for gpu in devices().iter().filter(|gpu| gpu.summary().is_software()) {
        let [opened, plain] = [Options::default(), without_subgroups()].map(|options| open(gpu.summary(), options));
        assert_eq!(opened.arithmetic().by_subgroups, gpu.summary().subgroup_threads.is_some());
        assert!(!plain.arithmetic().by_subgroups);
        assert_eq!(plain.arithmetic().is_guarded, opened.arithmetic().is_guarded);
    }
}

#[test]
fn a_combination_has_the_bits_of_its_twin() {
    for gpu in devices().iter().filter(|gpu| gpu.summary().is_software()) {
        let inputs: Vec<Vec<f32>> = Family::Independent.rounded(&mut Random::new(11), 3, 1001);
        let (ours, reduction) = adasum_on::<f32, f32>(gpu, &inputs, &[1001]);
        let twin = twin_of(gpu);
        let factors: Vec<_> = reduction.solution.coefficients.iter().map(|&c| split(c)).collect();
        for (at, ours) in ours.iter().enumerate() {
            let x: Vec<f32> = inputs.iter().map(|input| input[at]).collect();
            let twins = narrow(twin.element, twin.combine(&factors, &x));
            assert_eq!(ours.to_bits(), twins, "element {at}: {ours:e}, {:e}", f32::from_bits(twins));
        }
    }
}

#[test]
fn equal_inputs_give_equal_bits() {
    for gpu in devices() {
        let inputs: Vec<Vec<f32>> = Family::Alternating.rounded(&mut Random::new(13), 5, 9001);
        let runs: Vec<_> = (0..3).map(|_| adasum_on::<f32, f32>(gpu, &inputs, &[9001])).collect();
        assert!(runs.iter().all(|run| run.0 == runs[0].0 && run.1 == runs[0].1));
    }
}

#[test]
fn sum_and_average() {
    for gpu in devices() {
        let inputs: Vec<Vec<f32>> = Family::SpreadNorms.rounded(&mut Random::new(17), 4, 3001);
        let mut reducer = filled(gpu, &inputs, &[3000, 1]);
        for (op, code) in [(Op::Sum, calls::SUM), (Op::Average, calls::AVERAGE)] {
            let reduction = reducer.reduce(op, OnNonFinite::Propagate, Element::F32).unwrap();
            assert!(reduction.solution.coefficients.is_empty());
            let cpu = calls::reduce(adasum_core::Engine::active().unwrap(), code, &inputs);
            assert!(relative_error(&read::<f32>(&mut reducer), &cpu.result) < 1e-9);
        }
    }
}

/// Many segments in one dispatch, empty ones among them.
#[test]
fn one_to_ten_thousand_segments() {
    for gpu in devices() {
        let mut random = Random::new(19);
        for segment_count in [1, 2, 3, 100, 10_000] {
            let lengths: Vec<usize> =
                (0..segment_count).map(|i| if i % 7 == 3 { 0 } else { 1 + random.below(40) }).collect();
            check_segments::<f32>(gpu, &mut random, &lengths);
            check_segments::<F16>(gpu, &mut random, &lengths);
            check_segments::<Bf16>(gpu, &mut random, &lengths);
        }
    }
}

fn check_segments<F: Float>(gpu: &Gpu, random: &mut Random, lengths: &[usize]) {
    let inputs: Vec<Vec<F>> = Family::LargeCommonPart.rounded(random, 3, lengths.iter().sum());
    let (ours, reduction) = adasum_on::<F, f32>(gpu, &inputs, lengths);
    let cpu = adasum_on_cpu::<F, f32>(&inputs, lengths);
    let case = format!("{} segments of {}", lengths.len(), F::NAME);
    assert!(relative_error(&ours, &cpu.result) < 6e-8, "{case}");
    for (segment, theirs) in cpu.coefficients.iter().enumerate() {
        let ours = &reduction.solution.coefficients[segment * 3..][..3];
        let difference = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        // Where r is just above the device's threshold or the CPU's, both err by 1e-8.
        assert!(difference < 1e-6, "segment {segment} of {case}: {ours:?} {theirs:?}");
    }
}

#[test]
fn zero_vectors_are_neutral() {
    for gpu in devices() {
        let a: Vec<f32> = round(&[Random::new(23).vector(100)]).remove(0);
        let zero = vec![0.0_f32; 100];
        let (ours, reduction) = adasum_on::<f32, f32>(gpu, &[zero.clone(), a.clone(), zero.clone()], &[100]);
        assert_eq!(ours, a);
        assert_eq!(reduction.solution.coefficients, [0.0, 1.0, 0.0]);
        let (ours, reduction) = adasum_on::<f32, f32>(gpu, &[zero.clone(), zero.clone()], &[100]);
        assert_eq!((ours, reduction.solution.orthogonality), (zero, vec![1.0]));
    }
}

/// Products of these leave f32's range; those of the CPU are f64.
#[test]
fn tiny_and_huge_vectors() {
    for gpu in devices() {
        for scales in [[1e-25, 1e-25, 1e-25], [1e25, 1e25, 1e25], [1e-12, 1.0, 1e12], [1e-20, 1e-20, 1e-3]] {
            for family in [Family::Independent, Family::LargeCommonPart, Family::NearlyCancelling] {
                let mut wide = family.vectors(&mut Random::new(29), 3, 2500);
                wide.iter_mut().zip(scales).for_each(|(vector, scale)| vector.iter_mut().for_each(|x| *x *= scale));
                let inputs: Vec<Vec<f32>> = round(&wide);
                let (ours, _) = adasum_on::<f32, f32>(gpu, &inputs, &[2499, 1]);
                let cpu = adasum_on_cpu::<f32, f32>(&inputs, &[2499, 1]);
                let error = relative_error(&ours, &cpu.result);
                assert!(error < 2e-7, "{family:?} {scales:?}: {error:e}");
            }
        }
    }
}
