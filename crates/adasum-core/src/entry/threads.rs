//! A fixed split of work over threads. No two parts write the same memory, and their sums are joined in the canonical
//! order, so the number of threads changes no bit.

use std::ops::Range;
#[cfg(not(target_family = "wasm"))]
use std::thread;

use crate::blocks::BLOCK_ELEMENTS;

/// Input bytes that are worth a thread: starting one costs as much as reading about a tenth of them.
const LEAST_BYTES: usize = 256 << 10;

/// A pointer, or a list of them, for other threads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shared<T>(T);

impl<T: Copy> Shared<T> {
    pub(super) fn new(value: T) -> Self {
        Self(value)
    }

    /// A method, so that a closure captures the wrapper and not what is in it.
    pub(super) fn get(self) -> T {
        self.0
    }
}

// SAFETY: whoever wraps a pointer sees to it that no two threads write the same memory, nor one what another reads.
unsafe impl<T> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Shared<T> {}

/// Into how many parts, `threads` at most, it is worth to cut so many bytes of input.
pub(super) fn part_count(threads: usize, byte_length: usize) -> usize {
    threads.min(byte_length / LEAST_BYTES).max(1)
}

/// Cuts `element_count` elements at block boundaries into at most `parts` ranges of about the same length.
pub(super) fn ranges(element_count: usize, parts: usize) -> impl Iterator<Item = Range<usize>> {
    let length = element_count.div_ceil(parts).next_multiple_of(BLOCK_ELEMENTS).max(BLOCK_ELEMENTS);
    (0..element_count.div_ceil(length)).map(move |part| part * length..element_count.min((part + 1) * length))
}

/// Cuts the rows of a matrix, at multiples of `tile`, into at most `parts` ranges of about the same work: of a symmetric
/// product each row has less than the one above it.
pub(super) fn row_ranges(
    rows: usize,
    parts: usize,
    tile: usize,
    is_symmetric: bool,
) -> impl Iterator<Item = Range<usize>> {
    let edge = move |part: usize| {
        let share = part as f64 / parts as f64;
        let share = if is_symmetric { 1.0 - (1.0 - share).sqrt() } else { share };
        ((rows as f64 * share) as usize).next_multiple_of(tile).min(rows)
    };
    (0..parts).map(move |part| edge(part)..if part + 1 == parts { rows } else { edge(part + 1) })
}

/// Does the jobs one after the other: there are no threads.
#[cfg(target_family = "wasm")]
pub(super) fn run_jobs<J: Send, R: Send>(jobs: Vec<J>, work: impl Fn(J) -> R + Sync) -> Vec<R> {
    jobs.into_iter().map(work).collect()
}

/// Does the jobs at once, the first of them on this thread; returns their answers in order.
#[cfg(not(target_family = "wasm"))]
pub(super) fn run_jobs<J: Send, R: Send>(jobs: Vec<J>, work: impl Fn(J) -> R + Sync) -> Vec<R> {
    let mut jobs = jobs.into_iter();
    let Some(first) = jobs.next() else { return Vec::new() };
    thread::scope(|scope| {
        let others: Vec<_> = jobs.map(|job| scope.spawn(|| work(job))).collect();
        let mut answers = vec![work(first)];
        for other in others {
            // A panic goes on here, where the binding turns it into an error.
            answers.push(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        answers
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_everything_in_blocks() {
        for (count, parts) in [(0, 3), (1, 4), (2048, 2), (2049, 2), (100_000, 7), (6 * 2048, 3)] {
            let all: Vec<_> = ranges(count, parts).collect();
            assert!(all.len() <= parts);
            assert_eq!(all.iter().map(Range::len).sum::<usize>(), count);
            assert!(all.windows(2).all(|pair| pair[0].end == pair[1].start && pair[0].end % BLOCK_ELEMENTS == 0));
        }
    }

    #[test]
    fn ranges_of_rows_cover_all_of_them_in_tiles() {
        for (rows, parts, is_symmetric) in
            [(1, 1, true), (5, 3, false), (100, 7, true), (600, 4, false), (600, 4, true)]
        {
            let all: Vec<_> = row_ranges(rows, parts, 6, is_symmetric).collect();
            assert_eq!((all[0].start, all[parts - 1].end), (0, rows));
            assert!(all.windows(2).all(|pair| pair[0].end == pair[1].start && pair[0].start <= pair[0].end));
            assert!(all[1..].iter().all(|range| range.start % 6 == 0 || range.is_empty()), "{all:?}");
        }
    }

    #[test]
    fn ranges_of_rows_have_about_the_same_work() {
        for is_symmetric in [false, true] {
            let work = |range: Range<usize>| range.map(|row| if is_symmetric { 600 - row } else { 1 }).sum::<usize>();
            let shares: Vec<_> = row_ranges(600, 4, 6, is_symmetric).map(work).collect();
            assert!(shares.iter().all(|&share| share.abs_diff(shares[0]) < shares[0] / 10), "{shares:?}");
        }
    }

    #[test]
    fn answers_come_in_the_order_of_the_jobs() {
        assert_eq!(run_jobs((0..9).collect(), |x: i32| x * x), [0, 1, 4, 9, 16, 25, 36, 49, 64]);
        assert!(run_jobs(Vec::<i32>::new(), |x| x).is_empty());
    }
}
