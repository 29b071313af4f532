//! A copy that is too long for the cache: written past it, so that memory need not bring what is overwritten.

use crate::simd::{CACHE_LINE, Isa};

/// # Safety
/// The bytes must be valid for reading at `from` and for writing at `to`, and must not overlap; see
/// [`Table`](super::Table).
#[inline(always)]
pub unsafe fn copy<I: Isa>(from: *const u8, to: *mut u8, byte_length: usize) {
    let head = if I::STREAMS { to.align_offset(CACHE_LINE).min(byte_length) } else { byte_length };
    let lines = (byte_length - head) / CACHE_LINE * CACHE_LINE;
    // SAFETY: the three ranges make up the bytes, and the lines of the second begin lines of `to`.
    unsafe {
        std::ptr::copy_nonoverlapping(from, to, head);
        for at in (head..head + lines).step_by(CACHE_LINE) {
            I::stream_line(from.add(at), to.add(at));
        }
        let tail = head + lines;
        std::ptr::copy_nonoverlapping(from.add(tail), to.add(tail), byte_length - tail);
        I::end_stream();
    }
}
