//! Calls of the entry points whose arguments fit together, or nearly. All memory is one arena, so that views overlap,
//! misalign and end anywhere. Fuzzing makes the same calls of bytes (`crates/adasum-fuzz`).

use std::ops::Range;

use adasum_core::entry::{self, Results, View, ViewMut, Written};
use adasum_core::{Engine, Error};

const ARENA_BYTES: usize = 1 << 16;

/// Where choices come from.
pub trait Choices {
    #[allow(dead_code, reason = "other methods are made of it, where it is not written out")]
    fn next(&mut self) -> u64;

    /// Below `end`.
    fn below(&mut self, end: usize) -> usize;

    fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

/// Memory in 8-byte words, so that its start is aligned for every dtype.
#[derive(Clone)]
pub struct Arena {
    words: Vec<u64>,
}

impl Arena {
    pub fn new(mut word: impl FnMut() -> u64) -> Self {
        Self { words: (0..ARENA_BYTES / 8).map(|_| word()).collect() }
    }

    fn write(&mut self, range: &Range<usize>) -> ViewMut<'static> {
        assert!(range.start <= range.end && range.end <= ARENA_BYTES);
        let start: *mut u8 = self.words.as_mut_ptr().cast();
        // SAFETY: inside the arena, which outlives the call and is touched by nothing else meanwhile.
        unsafe { ViewMut::new(start.add(range.start), range.len()) }
    }

    fn read(&mut self, range: &Range<usize>) -> View<'static> {
        self.write(range).as_view()
    }

    /// Whether the arena equals `before` outside of `ranges`.
    fn is_untouched_but(&self, before: &Self, ranges: &[Range<usize>]) -> bool {
        let mut now = self.bytes().to_vec();
        for range in ranges {
            now[range.clone()].copy_from_slice(&before.bytes()[range.clone()]);
        }
        now == before.bytes()
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: u8 has neither alignment nor invalid values.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr().cast(), ARENA_BYTES) }
    }
}

/// Arguments that fit together, or nearly: each is spoilt now and then.
pub struct Arguments<C> {
    random: C,
    /// One spoilt argument in so many.
    one_in: usize,
}

impl<C: Choices> Arguments<C> {
    pub fn new(random: C, one_in: usize) -> Self {
        Self { random, one_in }
    }

    fn spoilt(&mut self) -> bool {
        self.random.below(self.one_in) == 0
    }

    fn number(&mut self, value: f64) -> f64 {
        if !self.spoilt() {
            return value;
        }
        let strange =
            [f64::NAN, -1.0, 0.5, 1e300, f64::INFINITY, 2.0_f64.powi(53), -0.0, 1.0, value + 1.0, value * 2048.0];
        *self.random.pick(&strange)
    }

    fn numbers(&mut self, values: impl IntoIterator<Item = f64>) -> Vec<f64> {
        let mut values: Vec<f64> = values.into_iter().map(|value| self.number(value)).collect();
        if self.spoilt() {
            let length = self.random.below(values.len() + 2);
            values.resize(length, 1.0);
        }
        values
    }

    /// A range of the arena that has `byte_length` bytes.
    fn range(&mut self, byte_length: usize) -> Range<usize> {
        let byte_length = if self.spoilt() { self.random.below(2 * byte_length + 9) } else { byte_length };
        let byte_length = byte_length.min(ARENA_BYTES);
        let start = self.random.below(ARENA_BYTES - byte_length + 1);
        let start = if self.spoilt() { start } else { start & !7 };
        start..start + byte_length
    }

    /// Table of pieces, and their elements.
    fn pieces(&mut self) -> (Vec<f64>, usize) {
        let mut table = Vec::new();
        let mut total = 0;
        for _ in 0..self.random.below(4) {
            let segment = *self.random.pick(&[0, 1, 7, 40, 2048, 2500, 3000]);
            let last_block = segment / 2048 * 2048;
            let (first, count) =
                *self.random.pick(&[(0, segment), (0, last_block), (last_block, segment - last_block)]);
            table.extend([segment, first, count].map(|x| x as f64));
            total += count;
        }
        (table, total)
    }
}

/// The ranges that a call may write if it succeeds, and its outcome.
pub type Call = (Vec<Range<usize>>, Result<(), Error>);

/// Which dtypes the results of each dtype may have; the index is the code.
pub const RESULT_DTYPES: [&[f64]; 4] = [&[0.0], &[1.0], &[2.0, 0.0], &[3.0, 0.0]];

pub fn element_bytes(dtype: f64) -> usize {
    match dtype {
        1.0 => 8,
        2.0 | 3.0 => 2,
        5.0 => 1,
        11.0 | 12.0 => 8,
        _ => 4,
    }
}

pub struct Session<C> {
    engine: Engine,
    arguments: Arguments<C>,
    arena: Arena,
}

impl<C: Choices> Session<C> {
    pub fn new(engine: Engine, arguments: Arguments<C>, arena: Arena) -> Self {
        Self { engine, arguments, arena }
    }

    /// Makes a call: whatever the arguments, it returns, writes only where it may, and nothing at all if it refuses.
    /// Returns whether it was accepted.
    ///
    /// # Panics
    /// If the call does not keep to that; `name` tells which one it was.
    pub fn attempt(&mut self, call: fn(&mut Self) -> Call, name: &str) -> bool {
        let before = self.arena.clone();
        let (writable, result) = call(self);
        let writable = if result.is_ok() { &writable[..] } else { &[] };
        assert!(self.arena.is_untouched_but(&before, writable), "{name}: {result:?}");
        if let Err(error) = &result {
            assert_eq!(error.code(), "ERR_ARGUMENT");
            assert!(error.message().ends_with('.') && error.message().len() > 40, "what to do? {error}");
        }
        result.is_ok()
    }

    fn inputs(&mut self, k: usize, byte_length: usize) -> (Vec<Range<usize>>, Vec<View<'static>>) {
        let ranges: Vec<_> = (0..k).map(|_| self.arguments.range(byte_length)).collect();
        let views = ranges.iter().map(|range| self.arena.read(range)).collect();
        (ranges, views)
    }

    /// A range of its own, or that of an input, which fits only if the result has the inputs' dtype.
    fn out(&mut self, inputs: &[Range<usize>], byte_length: usize) -> Range<usize> {
        match inputs {
            [] => self.arguments.range(byte_length),
            _ if self.arguments.random.below(2) == 0 => self.arguments.range(byte_length),
            _ => self.arguments.random.pick(inputs).clone(),
        }
    }

    fn header(&mut self) -> (usize, f64) {
        let dtype = self.arguments.random.below(4) as f64;
        (self.arguments.random.below(4), self.arguments.number(dtype))
    }

    /// One that fits `dtype`, any other, or no dtype at all.
    fn result_dtype(&mut self, dtype: f64) -> f64 {
        let fitting = RESULT_DTYPES.get(dtype as usize).copied().unwrap_or(&[0.0]);
        let any = self.arguments.random.below(4) as f64;
        let result = if self.arguments.spoilt() { any } else { *self.arguments.random.pick(fitting) };
        self.arguments.number(result)
    }

    pub fn reduce(&mut self) -> Call {
        let ((k, dtype), (table, total)) = (self.header(), self.arguments.pieces());
        let result_dtype = self.result_dtype(dtype);
        let op = self.arguments.random.below(3) as f64;
        let op = self.arguments.number(op);
        let nodes = entry::node_count(View::of(&table)).unwrap() as usize * k * (k + 1) / 2;
        let gram_width = self.arguments.random.below(2) * k * (k + 1) / 2;
        let stats = table.len() / 3 * (2 + k + gram_width);
        let pieces = self.arguments.numbers(table);
        let weights = self.arguments.numbers(vec![1.0; k]);
        let (inputs, views) = self.inputs(k, total * element_bytes(dtype));
        let written = [
            self.out(&inputs, total * element_bytes(result_dtype)),
            self.arguments.range(8 * nodes),
            self.arguments.range(8 * stats),
        ];
        let [out, nodes, stats] = [0, 1, 2].map(|i| self.arena.write(&written[i]));
        let (weights, pieces) = (View::of(&weights), View::of(&pieces));
        let result =
            self.engine.reduce(op, dtype, result_dtype, &views, weights, pieces, Results { out, nodes, stats });
        (written.to_vec(), result)
    }

    pub fn gram(&mut self) -> Call {
        let ((k, dtype), (table, total)) = (self.header(), self.arguments.pieces());
        let whole = table.chunks_exact(3).filter(|piece| piece[0] == piece[2]).count();
        let nodes = (entry::node_count(View::of(&table)).unwrap() as usize + whole) * k * (k + 1) / 2;
        let pieces = self.arguments.numbers(table);
        let (_, views) = self.inputs(k, total * element_bytes(dtype));
        let nodes = self.arguments.range(8 * nodes);
        let result = self.engine.gram(dtype, &views, View::of(&pieces), self.arena.write(&nodes));
        (vec![nodes], result)
    }

    pub fn refine(&mut self) -> Call {
        let ((k, dtype), m) = (self.header(), self.arguments.random.below(3));
        let count = *self.arguments.random.pick(&[0, 1, 9, 2049]);
        let pieces = self.arguments.numbers([count, 0, count].map(|x| x as f64));
        let vectors = self.arguments.numbers(vec![0.5; m * k]);
        let (_, views) = self.inputs(k, count * element_bytes(dtype));
        let nodes = self.arguments.range(8 * m * (k + 1));
        let (vectors, pieces) = (View::of(&vectors), View::of(&pieces));
        let result = self.engine.refine(dtype, &views, vectors, pieces, self.arena.write(&nodes));
        (vec![nodes], result)
    }

    pub fn combine(&mut self) -> Call {
        let (k, dtype) = self.header();
        let counts: Vec<usize> = (0..self.arguments.random.below(4)).map(|_| self.arguments.random.below(70)).collect();
        let (element_count, result_dtype) = (counts.iter().sum::<usize>(), self.result_dtype(dtype));
        let coefficients = self.arguments.numbers(vec![0.25; counts.len() * k]);
        let counts = self.arguments.numbers(counts.iter().map(|&count| count as f64));
        let (inputs, views) = self.inputs(k, element_count * element_bytes(dtype));
        let out = self.out(&inputs, element_count * element_bytes(result_dtype));
        let (counts, coefficients) = (View::of(&counts), View::of(&coefficients));
        let result = self.engine.combine(dtype, result_dtype, &views, counts, coefficients, self.arena.write(&out));
        (vec![out], result)
    }

    pub fn fold(&mut self) -> Call {
        let k = self.arguments.random.below(4);
        let (op, dtype) =
            *self.arguments.random.pick(&[(3.0, 0.0), (4.0, 1.0), (3.0, 2.0), (0.0, 5.0), (4.0, 9.0), (0.0, 12.0)]);
        let byte_length = self.arguments.random.below(700) * element_bytes(dtype);
        let (op, dtype) = (self.arguments.number(op), self.arguments.number(dtype));
        let (inputs, views) = self.inputs(k, byte_length);
        let out = self.out(&inputs, byte_length);
        let result = self.engine.fold(op, dtype, &views, self.arena.write(&out));
        (vec![out], result)
    }

    /// Format, block length, and a table of parts with the lengths of their elements and codes in bytes.
    fn parts(&mut self) -> ([f64; 2], Vec<f64>, [usize; 2]) {
        let (format, block) = (self.arguments.random.below(3), 16 << self.arguments.random.below(8));
        let counts: Vec<usize> =
            (0..self.arguments.random.below(4)).map(|_| *self.arguments.random.pick(&[0, 1, 16, 100, 2048])).collect();
        let bytes_of = |&count: &usize| if format < 2 { 2 * count } else { count + 4 * count.div_ceil(block) };
        let bytes = [4 * counts.iter().sum::<usize>(), counts.iter().map(bytes_of).sum()];
        let numbers = [2.0 + format as f64, block as f64].map(|number| self.arguments.number(number));
        (numbers, self.arguments.numbers(counts.iter().map(|&count| count as f64)), bytes)
    }

    pub fn quantize(&mut self) -> Call {
        let ([format, block], counts, [input_bytes, code_bytes]) = self.parts();
        let with_residual = self.arguments.random.below(2);
        let input = self.arguments.range(input_bytes);
        let written = [self.arguments.range(with_residual * input_bytes), self.arguments.range(code_bytes)];
        let (input, counts) = (self.arena.read(&input), View::of(&counts));
        let [residual, codes] = [0, 1].map(|i| self.arena.write(&written[i]));
        let result = self.engine.quantize(format, block, input, counts, residual, codes);
        (written.to_vec(), result)
    }

    pub fn dequantize(&mut self) -> Call {
        let ([format, block], counts, [out_bytes, code_bytes]) = self.parts();
        let (codes, out) = (self.arguments.range(code_bytes), self.arguments.range(out_bytes));
        let (codes, counts) = (self.arena.read(&codes), View::of(&counts));
        let result = self.engine.dequantize(format, block, codes, counts, self.arena.write(&out));
        (vec![out], result)
    }

    pub fn step(&mut self) -> Call {
        let rule = self.arguments.random.below(5);
        let dtype = self.arguments.random.below(2);
        let counts: Vec<usize> =
            (0..self.arguments.random.below(4)).map(|_| *self.arguments.random.pick(&[0, 1, 100, 3000])).collect();
        let byte_length = counts.iter().sum::<usize>() * [4, 8][dtype];
        let state_count = [0, 1, 2, 2, 1][rule];
        let factors = self.arguments.numbers(vec![0.5; counts.len() * [5, 8, 12, 15, 6][rule]]);
        let counts = self.arguments.numbers(counts.iter().map(|&count| count as f64));
        let gradient = self.arguments.range(byte_length);
        let written = [1, state_count.min(1), state_count / 2].map(|times| self.arguments.range(times * byte_length));
        let codes = [rule, dtype].map(|code| self.arguments.number(code as f64));
        let [weights, first, second] = [0, 1, 2].map(|i| self.arena.write(&written[i]));
        let (gradient, written_arrays) = (self.arena.read(&gradient), Written { weights, first, second });
        let result =
            self.engine.step(codes[0], codes[1], gradient, View::of(&counts), View::of(&factors), written_arrays);
        (written.to_vec(), result)
    }

    pub fn orthogonalize(&mut self) -> Call {
        let dtype = self.arguments.random.below(2);
        let shape = [0, 1].map(|_| *self.arguments.random.pick(&[0, 1, 5, 17, 30]));
        let iterations = self.arguments.random.below(3);
        let factors = self.arguments.numbers(vec![0.5; 2 + 3 * iterations]);
        let written = self.arguments.range(shape[0] * shape[1] * [4, 8][dtype]);
        let [rows, columns, dtype] = [shape[0], shape[1], dtype].map(|number| self.arguments.number(number as f64));
        let (factors, matrix) = (View::of(&factors), self.arena.write(&written));
        (vec![written], self.engine.orthogonalize(dtype, [rows, columns], factors, matrix))
    }

    pub fn tables(&mut self) -> Call {
        let (k, dtype) = self.header();
        let (count, products) = (*self.arguments.random.pick(&[0, 5, 9000]), k * (k + 1) / 2);
        let gram = self.arguments.numbers(vec![1.0; products]);
        let refinements = self.arguments.numbers(if k > 2 { vec![0.0, 2.0, 1.0, 1.0, 1.0, 1.0] } else { vec![] });
        let weights = self.arguments.numbers(vec![1.0; k]);
        let (rule, parameter) = (self.arguments.number(1.0), self.arguments.number(0.5));
        let (weights, gram_view, answers) = (View::of(&weights), View::of(&gram), View::of(&refinements));
        let coefficients = entry::balanced_coefficients(rule, parameter, dtype, weights, gram_view, answers);
        let runs = self.arguments.numbers([0.0, f64::from(count)]);
        let (segment, width) = (self.arguments.number(f64::from(count)), self.arguments.number(products as f64));
        let finished = entry::gram_finish(segment, View::of(&runs), View::of(&gram), width);
        let input = self.arguments.range(count as usize * element_bytes(dtype));
        let counts = self.arguments.numbers([f64::from(count)]);
        let scanned = self.engine.has_non_finite(dtype, self.arena.read(&input), View::of(&counts));
        (vec![], coefficients.and(finished).and(scanned).map(drop))
    }
}
