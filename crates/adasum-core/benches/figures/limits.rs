//! What the machine gives: plain reads, an in-place triad with ordinary stores, and the rate of f64 multiply-adds.

use std::hint::black_box;
use std::time::Instant;

use crate::cases::Case;
use crate::number::Numbers;

/// Words of a register-sized group, and independent groups: no addition waits for the one before it.
const GROUP: usize = 4;
const GROUPS: usize = 8;
const STEP: usize = GROUP * GROUPS;

/// The least time the case can take on this machine at this moment, measured in memory of its size.
pub fn limit_seconds(case: &Case, memory: &mut [u64]) -> f64 {
    memory_seconds(case, memory).max(case.operations() / multiply_add_rate())
}

/// Time to move the case's bytes: plain reads, and for kernels that write the triad, which reads two vectors and writes one.
fn memory_seconds(case: &Case, words: &mut [u64]) -> f64 {
    let input = case.element_count * case.dtype.byte_length();
    let reads = read_seconds_per_byte(words);
    if !case.kernel.writes() {
        return (case.k * input) as f64 * reads;
    }
    let triad = triad_seconds_per_byte(words);
    3.0 * input as f64 * triad + case.k.saturating_sub(2) as f64 * input as f64 * reads
}

/// The faster of one stream and two.
fn read_seconds_per_byte(words: &mut [u64]) -> f64 {
    let (low, high) = words.split_at(words.len() / 2);
    let repeats = repeats_for(words.len() * 8);
    let one = seconds(repeats, || read(words, &[]));
    let two = seconds(repeats, || read(low, high));
    one.min(two) / (words.len() * 8) as f64
}

/// The same for the triad, in memory of twice the size.
pub fn triad_seconds_per_byte(words: &mut [u64]) -> f64 {
    let (a, b) = words.split_at_mut(words.len() / 2);
    let repeats = repeats_for((a.len() + b.len()) * 8);
    let time = seconds(repeats, || triad(a, b));
    time / (3 * a.len() * 8) as f64
}

/// How often a loop over so many bytes is repeated within one measurement.
pub fn repeats_for(bytes: usize) -> usize {
    ((16 << 20) / bytes.max(1)).clamp(1, 4096)
}

/// Seconds of one call.
pub fn seconds(repeats: usize, mut run: impl FnMut()) -> f64 {
    let begin = Instant::now();
    for _ in 0..repeats {
        run();
    }
    begin.elapsed().as_secs_f64() / repeats as f64
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

/// Picks the widest form of a loop: the bodies are the same, the compiler vectorises each for its target.
macro_rules! widest {
    ($name:ident, $body:ident ( $($argument:ident: $type:ty),* )) => {
        fn $name($($argument: $type),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                fn wide($($argument: $type),*) {
                    $body($($argument),*)
                }
                if has_avx2() {
                    // SAFETY: the features were just found.
                    return unsafe { wide($($argument),*) };
                }
            }
            $body($($argument),*)
        }
    };
}
widest!(read, read_body(a: &[u64], b: &[u64]));
widest!(triad, triad_body(a: &mut [u64], b: &[u64]));
widest!(multiply_add, multiply_add_body(repeats: usize));

#[inline(always)]
fn read_body(a: &[u64], b: &[u64]) {
    let mut sums = [[0_u64; GROUP]; GROUPS];
    let mut add = |words: &[u64]| {
        for (sum, group) in sums.iter_mut().zip(words.chunks_exact(GROUP)) {
            for (lane, word) in sum.iter_mut().zip(group) {
                *lane = lane.wrapping_add(*word);
            }
        }
    };
    let mut second = b.chunks_exact(STEP);
    for step in a.chunks_exact(STEP) {
        add(step);
        if let Some(step) = second.next() {
            add(step);
        }
    }
    black_box(sums);
}

/// a = a + 2 b, in integers: nothing but memory can hold it up.
#[inline(always)]
fn triad_body(a: &mut [u64], b: &[u64]) {
    for (x, y) in a.iter_mut().zip(b) {
        *x = x.wrapping_add(y.wrapping_shl(1));
    }
    black_box(a.first());
}

const CHAINS: usize = 12;

#[inline(always)]
fn multiply_add_body(repeats: usize) {
    let mut sums = [[1.0_f64; GROUP]; CHAINS];
    let (factor, term) = (black_box([0.999_999_f64; GROUP]), black_box([1e-9_f64; GROUP]));
    for _ in 0..repeats {
        for sum in &mut sums {
            for lane in 0..GROUP {
                sum[lane] = sum[lane].mul_add(factor[lane], term[lane]);
            }
        }
    }
    black_box(sums);
}

/// Multiply-adds of f64 a second: one instruction for 2, 4 or 8 lanes each, none of which waits for another.
pub fn multiply_add_rate() -> f64 {
    const REPEATS: usize = 50_000;
    let time = seconds(1, || multiply_add(REPEATS));
    (REPEATS * CHAINS * GROUP) as f64 / time
}
