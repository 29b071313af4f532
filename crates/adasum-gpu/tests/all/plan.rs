//! A plan's steps, executed in f64 by the plainest driver: its dispatches, bound as it says, give adasum-core's result,
//! whether inputs lie in slabs or in buffers of their own.

use std::sync::Arc;

use adasum_core::Engine;
use adasum_core::dtype::Op;
use adasum_gpu::layout::Limits;
use adasum_gpu::plan::dispatch::{PlannedDispatch, binding, chunk_table};
use adasum_gpu::plan::{How, OnNonFinite, Plan, Reduction, Step};
use adasum_gpu::shader::{Element, Kernel};
use adasum_gpu::solve::Solution;

use crate::common::calls::{self, Reduced};
use crate::common::inputs::{FAMILIES, Family, Random};
use crate::common::oracle;

const ROOMY: Limits =
    Limits { binding_bytes: 1 << 27, buffer_bytes: 1 << 28, workgroups: 65_535, memory_bytes: u64::MAX };

/// Memory as a driver has it, in f32.
struct Driver {
    plan: Arc<Plan>,
    /// One a window.
    slabs: Vec<Vec<f32>>,
    /// By slot and segment.
    own: Vec<Vec<Vec<f32>>>,
    segments: Vec<usize>,
}

/// A chunk: its first group, its groups, and its row.
type Chunk = (usize, usize, usize);

impl Driver {
    fn new(plan: Plan, inputs: &[Vec<f32>], segments: &[usize]) -> Self {
        let windows = 0..plan.windows().len();
        let slabs = windows.map(|window| vec![0.0; plan.slab_bytes(window) as usize / 4]).collect();
        let cut = |input: &Vec<f32>| {
            let mut rest = &input[..];
            let parts = segments.iter().map(|&count| {
                let (part, others) = rest.split_at(count);
                rest = others;
                // What lies behind a segment must not matter.
                [part, &[f32::NAN; 5]].concat()
            });
            parts.collect::<Vec<_>>()
        };
        let own = inputs.iter().map(cut).collect();
        let mut driver = Self { plan: Arc::new(plan), slabs, own, segments: segments.to_vec() };
        (0..inputs.len()).for_each(|slot| driver.write(slot));
        driver
    }

    fn write(&mut self, slot: usize) {
        let plan = self.plan.clone();
        for part in plan.parts(slot, How::Overwrite(Element::F32), 0..plan.layout().group_count()).unwrap() {
            assert!(part.dispatch.is_none());
            for stretch in plan.layout().stretches(part.groups.clone()) {
                let from = stretch.segment_element as usize;
                let to = (part.first_group * 4 + stretch.device_element) as usize;
                let count = stretch.element_count as usize;
                let source = &self.own[slot][stretch.segment][from..from + count];
                self.slabs[part.window][to..to + count].copy_from_slice(source);
            }
        }
    }

    fn chunks(&self, dispatch: &PlannedDispatch) -> Vec<Chunk> {
        if self.plan.own_segment(dispatch.window).is_some() {
            let (length, groups) = (dispatch.call.chunk_groups as usize, dispatch.call.segment_groups as usize);
            let begins = (0..dispatch.call.count as usize).map(|chunk| chunk * length);
            return begins.map(|begin| (begin, length.min(groups - begin), 0)).collect();
        }
        let standing = dispatch.batch.map(|batch| chunk_table(&self.plan.windows()[dispatch.window].batches[batch]));
        let own = dispatch.tables.iter().find(|(at, _)| *at == binding::CHUNKS).map(|(_, bytes)| bytes.clone());
        let numbers = numbers_of(&standing.or(own).unwrap());
        numbers.chunks(4).map(|chunk| (chunk[0] as usize, chunk[1] as usize, chunk[2] as usize)).collect()
    }

    fn element(&self, dispatch: &PlannedDispatch, input: usize, at: usize) -> f64 {
        match self.plan.own_segment(dispatch.window) {
            Some(segment) => self.own[dispatch.slots[input]][segment][at].into(),
            None => self.slabs[dispatch.window][dispatch.call.inputs[input] as usize * 4 + at].into(),
        }
    }

    /// The inputs of a chunk, scaled by these.
    fn vectors(&self, dispatch: &PlannedDispatch, (first, count, _): Chunk, scales: &[f64]) -> Vec<Vec<f64>> {
        let elements = first * 4..(first + count) * 4;
        let vector = |(input, scale): (usize, &f64)| {
            elements.clone().map(|at| self.element(dispatch, input, at) * scale).collect::<Vec<_>>()
        };
        scales.iter().enumerate().map(vector).collect()
    }

    fn execute(&self, dispatch: &PlannedDispatch) -> Vec<u8> {
        let (mut sums, mut magnitudes) = (Vec::new(), Vec::new());
        let chunks = self.chunks(dispatch);
        assert_eq!(chunks.len(), dispatch.rows.len());
        for chunk in chunks {
            let (of_chunk, largest) = self.sums(dispatch, chunk);
            assert_eq!((of_chunk.len(), largest.len()), (dispatch.sum_count, dispatch.largest_count));
            for sum in of_chunk {
                let upper = sum as f32;
                let lower = if upper.is_finite() { (sum - f64::from(upper)) as f32 } else { 0.0 };
                sums.extend([upper, lower].into_iter().flat_map(f32::to_le_bytes));
            }
            magnitudes.extend(largest.into_iter().flat_map(|magnitude| (magnitude as f32).to_le_bytes()));
        }
        [sums, magnitudes].concat()
    }

    fn sums(&self, dispatch: &PlannedDispatch, chunk: Chunk) -> (Vec<f64>, Vec<f64>) {
        match dispatch.kernel {
            Kernel::Gram { input_count, row_count, first_column, is_scaled } => {
                let scales = if is_scaled {
                    row(dispatch, binding::SCALES, chunk.2, input_count)
                } else {
                    vec![1.0; input_count]
                };
                let x = self.vectors(dispatch, chunk, &scales);
                let pairs = (0..row_count).flat_map(|i| (i.max(first_column)..input_count).map(move |j| (i, j)));
                let largest = |x: &Vec<f64>| x.iter().fold(0.0, |most, x| f64::max(most, x.abs()));
                let magnitudes = x.iter().take(dispatch.largest_count).map(largest).collect();
                (pairs.map(|(i, j)| oracle_dot(&x[i], &x[j])).collect(), magnitudes)
            }
            Kernel::Refine { input_count: k, is_scaled } => {
                let width = if is_scaled { 2 * k } else { k };
                let numbers = pairs(dispatch, binding::FACTORS, chunk.2, width);
                let scales = if is_scaled { numbers[k..].to_vec() } else { vec![1.0; k] };
                let g = self.vectors(dispatch, chunk, &scales);
                let x: Vec<f64> = (0..g[0].len()).map(|e| (0..k).map(|i| term(numbers[i], g[i][e])).sum()).collect();
                let with_inputs = g.iter().map(|g| oracle_dot(&x, g));
                (std::iter::once(oracle_dot(&x, &x)).chain(with_inputs).collect(), Vec::new())
            }
            other => panic!("{other:?} gives no sums"),
        }
    }

    /// The whole vector that the combinations make of these factors.
    fn combine(&self, factors: &[Vec<u8>]) -> Vec<f64> {
        let mut results: Vec<Vec<f64>> = self.segments.iter().map(|&count| vec![f64::NAN; count]).collect();
        for (dispatch, factors) in self.plan.combinations(Element::F32).iter().zip(factors) {
            let k = self.plan.slot_count();
            let window = &self.plan.windows()[dispatch.window];
            for (chunk, &segment) in self.chunks(dispatch).into_iter().zip(&dispatch.rows) {
                let own = pairs_of(&factors[chunk.2 * k * 8..][..k * 8]);
                let g = self.vectors(dispatch, chunk, &vec![1.0; k]);
                let x = (0..chunk.1 * 4).map(|e| (0..k).map(|i| term(own[i], g[i][e])).sum());
                for (e, x) in x.enumerate() {
                    let at = match self.plan.own_segment(dispatch.window) {
                        Some(_) => chunk.0 * 4 + e,
                        None => self.segment_element(segment, window.groups.start as usize + chunk.0, e),
                    };
                    if let Some(result) = results[segment].get_mut(at) {
                        *result = x;
                    }
                }
            }
        }
        results.concat()
    }

    /// Which element of its segment lies so many behind the beginning of a group.
    fn segment_element(&self, segment: usize, group: usize, e: usize) -> usize {
        let stretches: Vec<_> = self.plan.layout().stretches(group as u64..group as u64 + 1).collect();
        assert_eq!(stretches[0].segment, segment);
        stretches[0].segment_element as usize + e
    }

    fn reduce(&self, on_non_finite: OnNonFinite) -> (Vec<f64>, Solution) {
        let mut reduction = Reduction::new(self.plan.clone(), Op::Adasum, on_non_finite, Element::F32).unwrap();
        loop {
            let step = reduction.step().unwrap();
            let dispatches = match step {
                Step::Gram => self.plan.gram().to_vec(),
                Step::SegmentSums => reduction.dispatches().to_vec(),
                Step::Combine(factors) => return (self.combine(&factors), reduction.solution()),
            };
            // In any order.
            for (index, dispatch) in dispatches.iter().enumerate().rev() {
                reduction.add(index, &self.execute(dispatch));
            }
        }
    }
}

/// An input whose factor is 0 takes no part, whatever is in it.
fn term(factor: f64, x: f64) -> f64 {
    if factor == 0.0 { 0.0 } else { factor * x }
}

fn oracle_dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn numbers_of(bytes: &[u8]) -> Vec<u32> {
    bytes.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect()
}

fn floats_of(bytes: &[u8]) -> Vec<f64> {
    numbers_of(bytes).into_iter().map(|bits| f32::from_bits(bits).into()).collect()
}

fn pairs_of(bytes: &[u8]) -> Vec<f64> {
    floats_of(bytes).chunks(2).map(|pair| pair[0] + pair[1]).collect()
}

fn table(dispatch: &PlannedDispatch, binding: u32) -> &[u8] {
    &dispatch.tables.iter().find(|(at, _)| *at == binding).unwrap().1
}

fn row(dispatch: &PlannedDispatch, binding: u32, row: usize, width: usize) -> Vec<f64> {
    floats_of(&table(dispatch, binding)[row * width * 4..][..width * 4])
}

fn pairs(dispatch: &PlannedDispatch, binding: u32, row: usize, width: usize) -> Vec<f64> {
    pairs_of(&table(dispatch, binding)[row * width * 8..][..width * 8])
}

fn on_cpu(inputs: &[Vec<f32>], segments: &[usize]) -> Reduced<f32> {
    calls::reduce_into(Engine::active().unwrap(), calls::ADASUM, inputs, &vec![1.0; inputs.len()], segments)
}

fn check(family: Family, k: usize, segments: &[usize], limits: Limits, own_bytes: u64, scale: f32) {
    let length = segments.iter().sum();
    let mut inputs: Vec<Vec<f32>> = family.rounded(&mut Random::new(k as u64), k, length);
    inputs.iter_mut().flatten().for_each(|x| *x *= scale);
    let counts: Vec<u64> = segments.iter().map(|&count| count as u64).collect();
    let plan = Plan::with_own(Element::F32, k, &counts, limits, own_bytes).unwrap();
    let (result, solution) = Driver::new(plan, &inputs, segments).reduce(OnNonFinite::Throw);
    let cpu = on_cpu(&inputs, segments);
    let theirs: Vec<f64> = cpu.result.iter().map(|&x| x.into()).collect();
    let error = oracle::relative_error(&result, &theirs);
    let case = format!("{family:?}, {k} inputs, own from {own_bytes}, times {scale:e}");
    // One rounding of theirs, and where all but everything cancels what factors of 48 bits leave.
    assert!(error <= if family == Family::NearlyCancelling { 2.4e-7 } else { 6e-8 }, "{case}: {error:e}");
    for (segment, (ours, theirs)) in solution.orthogonality.iter().zip(&cpu.orthogonality).enumerate() {
        assert!((ours - theirs).abs() <= 1e-7, "{case}: segment {segment}: {ours} {theirs}");
    }
}

#[test]
fn slabs_and_buffers_of_their_own_give_the_result_of_the_cpu() {
    // A segment of a few elements is left out where it is chance what cancels.
    let segments = [300, 0, 5000, 77, 1024];
    for family in FAMILIES {
        for k in [1, 2, 3, 6, 7, 16] {
            for own_bytes in [0, 1024, u64::MAX] {
                check(family, k, &segments, ROOMY, own_bytes, 1.0);
            }
        }
    }
}

#[test]
fn so_they_do_under_small_limits() {
    let limits = Limits { binding_bytes: 4 << 10, workgroups: 2, ..ROOMY };
    for (k, family) in [(2, Family::Independent), (5, Family::NearlyCancelling), (6, Family::Alternating)] {
        for own_bytes in [0, u64::MAX] {
            check(family, k, &[900, 3000, 1, 500], limits, own_bytes, 1.0);
        }
    }
}

#[test]
fn so_they_do_beyond_the_range_of_f32() {
    for scale in [1e-25, 1e25] {
        for family in [Family::Independent, Family::NearlyCancelling] {
            for k in [2, 6, 9] {
                check(family, k, &[300, 2000], ROOMY, 0, scale);
                check(family, k, &[300, 2000], ROOMY, u64::MAX, scale);
            }
        }
    }
}

#[test]
fn a_stage_has_bindings_enough_for_what_stays_where_it_is() {
    let counts = [1 << 20, 16];
    let own = |k: usize, own_bytes: u64, limits: Limits| {
        let plan = Plan::with_own(Element::F32, k, &counts, limits, own_bytes).unwrap();
        (0..plan.windows().len()).filter_map(|window| plan.own_segment(window)).collect::<Vec<_>>()
    };
    assert_eq!(own(6, 0, ROOMY), [0, 1]);
    assert_eq!(own(6, 65, ROOMY), [0]);
    assert_eq!(own(7, 0, ROOMY), [0; 0]);
    let odd = Plan::with_own(Element::F32, 2, &[17, 20], ROOMY, 0).unwrap();
    assert_eq!((odd.own_segment(0), odd.own_segment(1)), (None, Some(1)));
    assert_eq!(own(6, 0, Limits { binding_bytes: 1 << 20, ..ROOMY }), [1]);
}

#[test]
fn inputs_that_are_not_finite_are_left_out_of_all_segments() {
    let mut inputs: Vec<Vec<f32>> = Family::LargeCommonPart.rounded(&mut Random::new(5), 3, 600);
    inputs[1][599] = f32::INFINITY;
    for own_bytes in [0, u64::MAX] {
        let plan = Plan::with_own(Element::F32, 3, &[300, 300], ROOMY, own_bytes).unwrap();
        let (result, _) = Driver::new(plan, &inputs, &[300, 300]).reduce(OnNonFinite::Skip);
        let cpu = on_cpu(&[inputs[0].clone(), inputs[2].clone()], &[300, 300]);
        let theirs: Vec<f64> = cpu.result.iter().map(|&x| x.into()).collect();
        assert!(oracle::relative_error(&result, &theirs) <= 6e-8);
    }
}
