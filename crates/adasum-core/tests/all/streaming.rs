//! Results and copies that are too long for the cache are written past it: the same bits, wherever they lie, and nothing
//! beside them.

use crate::common::engines;
use crate::common::float::Float;
use crate::common::inputs::{Family, Random};
use adasum_core::entry::{View, ViewMut, copy};
use adasum_core::half::{Bf16, F16};
use adasum_core::{Engine, Error};

/// Longer than what is streamed, and no multiple of anything.
const BYTE_LENGTH: usize = (4 << 20) + 4 * 77;
const GUARD: u8 = 0xa5;
/// Before and after what is written; a multiple of every alignment.
const MARGIN: usize = 256;

/// Bytes in guarded memory, `offset` after the beginning of a line of the cache.
struct Guarded {
    words: Vec<u64>,
    begin: usize,
    byte_length: usize,
}

impl Guarded {
    fn new(offset: usize, byte_length: usize) -> Self {
        let words = vec![u64::from_ne_bytes([GUARD; 8]); (byte_length + 2 * MARGIN) / 8 + 1];
        let line = words.as_ptr().cast::<u8>().align_offset(64);
        Self { words, begin: line + MARGIN / 2 + offset, byte_length }
    }

    fn view(&mut self) -> ViewMut<'_> {
        let start: *mut u8 = self.words.as_mut_ptr().cast();
        // SAFETY: inside the words, which are borrowed for as long.
        unsafe { ViewMut::new(start.add(self.begin), self.byte_length) }
    }

    /// What was written, if nothing else was.
    fn written(&self) -> &[u8] {
        // SAFETY: u8 has neither alignment nor invalid values.
        let all = unsafe { std::slice::from_raw_parts(self.words.as_ptr().cast::<u8>(), self.words.len() * 8) };
        let end = self.begin + self.byte_length;
        assert!(all[..self.begin].iter().chain(&all[end..]).all(|&byte| byte == GUARD), "written beside it");
        &all[self.begin..end]
    }
}

/// In calls so short that nothing is streamed.
fn combined_in_short_calls<E: Float, O: Float>(engine: Engine, inputs: &[Vec<E>], coefficients: &[f64]) -> Vec<u8> {
    const COUNT: usize = 4096;
    let mut bytes = Vec::new();
    for begin in (0..inputs[0].len()).step_by(COUNT) {
        let end = inputs[0].len().min(begin + COUNT);
        let parts: Vec<_> = inputs.iter().map(|input| View::of(&input[begin..end])).collect();
        let mut out = Guarded::new(0, (end - begin) * size_of::<O>());
        let counts = [(end - begin) as f64];
        engine.combine(E::CODE, O::CODE, &parts, View::of(&counts), View::of(coefficients), out.view()).unwrap();
        bytes.extend_from_slice(out.written());
    }
    bytes
}

fn check_combine<E: Float, O: Float>(offsets: &[usize]) {
    let length = BYTE_LENGTH / size_of::<O>();
    let inputs: Vec<Vec<E>> = Family::LargeCommonPart.rounded(&mut Random::new(7), 3, length);
    let (coefficients, counts) = ([0.5, -1.0, 3.0], [length as f64]);
    let views: Vec<_> = inputs.iter().map(|input| View::of(input)).collect();
    for engine in engines() {
        let expected = combined_in_short_calls::<E, O>(engine, &inputs, &coefficients);
        for (&offset, threads) in offsets.iter().zip([1, 2].into_iter().cycle()) {
            let engine = engine.with_threads(threads);
            let mut out = Guarded::new(offset, length * size_of::<O>());
            engine.combine(E::CODE, O::CODE, &views, View::of(&counts), View::of(&coefficients), out.view()).unwrap();
            assert!(out.written() == expected, "{} at {offset}, {threads} threads", engine.isa());
        }
    }
}

#[test]
fn combinations_have_the_same_bits_wherever_they_lie() {
    check_combine::<f32, f32>(&[0, 4, 16, 32, 60]);
    check_combine::<f64, f64>(&[0, 8, 16, 56]);
    check_combine::<F16, F16>(&[0, 2, 62]);
    check_combine::<Bf16, f32>(&[0, 12]);
}

#[test]
fn a_combination_in_the_place_of_an_input() {
    let length = BYTE_LENGTH / 4;
    let inputs: Vec<Vec<f32>> = Family::LargeCommonPart.rounded(&mut Random::new(8), 2, length);
    let counts = [length as f64];
    for engine in engines() {
        for (place, coefficients) in [(0, [2.0, 1.0]), (1, [2.0, 1.0]), (1, [1.0, 0.0])] {
            let expected = combined_in_short_calls::<f32, f32>(engine, &inputs, &coefficients);
            let mut own = Guarded::new(20, length * 4);
            copy(View::of(&inputs[place]), own.view()).unwrap();
            let out = own.view();
            let mut views = [View::of(&inputs[0]), View::of(&inputs[1])];
            views[place] = out.as_view();
            engine.combine(0.0, 0.0, &views, View::of(&counts), View::of(&coefficients), out).unwrap();
            assert!(own.written() == expected, "{} in place of input {place}", engine.isa());
        }
    }
}

#[test]
fn zeros_where_no_input_takes_part() {
    let length = BYTE_LENGTH / 4;
    let input = vec![1.0f32; length];
    for engine in engines() {
        let mut out = Guarded::new(4, length * 4);
        let (counts, none) = ([length as f64], [0.0]);
        engine.combine(0.0, 0.0, &[View::of(&input)], View::of(&counts), View::of(&none), out.view()).unwrap();
        assert!(out.written().iter().all(|&byte| byte == 0), "{}", engine.isa());
    }
}

#[test]
fn copies_of_any_length_to_any_place() {
    let mut random = Random::new(9);
    let bytes: Vec<u8> = (0..BYTE_LENGTH).map(|_| random.next() as u8).collect();
    for (from, to, byte_length) in [(0, 0, 0), (1, 0, 5), (3, 61, BYTE_LENGTH - 3), (0, 1, 4 << 20), (64, 0, 4 << 20)] {
        let mut out = Guarded::new(to, byte_length);
        let source = &bytes[from..from + byte_length];
        copy(View::of(source), out.view()).unwrap();
        assert!(out.written() == source, "from {from} to {to}");
    }
}

#[test]
fn a_copy_of_another_length_or_onto_itself_is_refused() {
    let mut words = [0u64; 8];
    let whole = ViewMut::of(&mut words);
    assert!(matches!(copy(View::of(&[0u8; 63]), whole), Err(Error::Argument(_))));
    assert!(matches!(copy(whole.as_view(), whole), Err(Error::Argument(_))));
}
