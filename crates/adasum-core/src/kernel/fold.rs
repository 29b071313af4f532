//! Joins all inputs element by element, by a rule that is commutative and associative to the bit: no order of inputs,
//! cut or instruction set can change a result. The loops are plain; the compiler vectorises them for the CPU features
//! that the caller has enabled.

use std::ops::Range;

use crate::element::Stored;
use crate::rules::Rule;

/// Elements whose keys are kept in the first-level cache while one input after the other is read.
const STRIP: usize = 512;

/// # Safety
/// See [`Kernels`](super::table::Kernels); `out` must be valid for writing and may be one of the inputs.
#[inline(always)]
pub unsafe fn fold<E: Stored, R: Rule<E>>(inputs: &[*const E], elements: Range<usize>, out: *mut E) {
    debug_assert!(inputs.iter().all(|input| input.is_aligned()) && out.is_aligned(), "elements are aligned");
    let Some((first, others)) = inputs.split_first() else { return };
    let mut strip = [R::Key::default(); STRIP];
    let mut element = elements.start;
    while element < elements.end {
        let keys = &mut strip[..STRIP.min(elements.end - element)];
        // SAFETY: the strip ends where the elements end or before. All its reads come before its writes.
        unsafe {
            load_keys::<E, R>(first.add(element), keys);
            for input in others {
                join_keys::<E, R>(input.add(element), keys);
            }
            store_keys::<E, R>(keys, out.add(element));
        }
        element += STRIP;
    }
}

/// # Safety
/// `input` must be valid for reading as many elements as there are keys.
#[inline(always)]
unsafe fn load_keys<E: Stored, R: Rule<E>>(input: *const E, keys: &mut [R::Key]) {
    for (i, key) in keys.iter_mut().enumerate() {
        // SAFETY: handed on from the caller.
        *key = R::to_key(unsafe { input.add(i).read() });
    }
}

/// # Safety
/// See [`load_keys`].
#[inline(always)]
unsafe fn join_keys<E: Stored, R: Rule<E>>(input: *const E, keys: &mut [R::Key]) {
    for (i, key) in keys.iter_mut().enumerate() {
        // SAFETY: handed on from the caller.
        *key = R::join(*key, R::to_key(unsafe { input.add(i).read() }));
    }
}

/// # Safety
/// `out` must be valid for writing as many elements as there are keys.
#[inline(always)]
unsafe fn store_keys<E: Stored, R: Rule<E>>(keys: &[R::Key], out: *mut E) {
    for (i, &key) in keys.iter().enumerate() {
        // SAFETY: handed on from the caller.
        unsafe { out.add(i).write(R::from_key(key)) };
    }
}
