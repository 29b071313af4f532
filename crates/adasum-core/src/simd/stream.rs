//! Writing past the cache: then the bytes that are overwritten need not be read first. Every x86-64 can do it.

/// Bytes of a line of the cache.
pub const CACHE_LINE: usize = 64;

/// Whether the CPU can write past the cache. If it cannot, lines are written as always.
pub const STREAMS: bool = cfg!(target_arch = "x86_64");

/// Writes a line past the cache.
///
/// # Safety
/// A line must be valid for reading at `from`, and for writing at `to`, which must begin one.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub unsafe fn line(from: *const u8, to: *mut u8) {
    use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_stream_si128};
    debug_assert!(to.addr().is_multiple_of(CACHE_LINE), "a line begins at `to`");
    for part in (0..CACHE_LINE).step_by(size_of::<__m128i>()) {
        // SAFETY: all parts lie in the line, and are as aligned as they must be.
        unsafe { _mm_stream_si128(to.add(part).cast(), _mm_loadu_si128(from.add(part).cast())) };
    }
}

/// Writes a line.
///
/// # Safety
/// A line must be valid for reading at `from`, and for writing at `to`.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub unsafe fn line(from: *const u8, to: *mut u8) {
    // SAFETY: the caller vouches for both.
    unsafe { std::ptr::copy_nonoverlapping(from, to, CACHE_LINE) };
}

/// Makes the lines visible before whatever this thread writes next: a thread that sees the later write sees the lines.
#[inline(always)]
pub fn end() {
    // SAFETY: every x86-64 has this instruction.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
}

/// Copies past the cache.
///
/// # Safety
/// The bytes must be valid for reading at `from` and for writing at `to`, and must not overlap.
pub unsafe fn copy(from: *const u8, to: *mut u8, byte_length: usize) {
    debug_assert!(from.addr().abs_diff(to.addr()) >= byte_length, "the bytes do not overlap");
    let head = if STREAMS { to.align_offset(CACHE_LINE).min(byte_length) } else { byte_length };
    let tail = head + (byte_length - head) / CACHE_LINE * CACHE_LINE;
    // SAFETY: the three ranges make up the bytes, and the lines of the second begin lines of `to`.
    unsafe {
        std::ptr::copy_nonoverlapping(from, to, head);
        for at in (head..tail).step_by(CACHE_LINE) {
            line(from.add(at), to.add(at));
        }
        std::ptr::copy_nonoverlapping(from.add(tail), to.add(tail), byte_length - tail);
    }
    end();
}
