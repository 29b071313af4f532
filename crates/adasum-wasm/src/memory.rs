//! Arrays in this module's memory.
//!
//! JavaScript copies the arrays of a call into one reserved range of memory. Arrays that overlap keep their distances,
//! and all keep their alignment, so that the core's checks see what the caller passed. For each array JavaScript also
//! writes two words: its address and its byte length; for a list they are the address of its first array's two words,
//! and the number of arrays. The address of the two words is what crosses the border.

use std::cell::RefCell;

use adasum_core::entry::{View, ViewMut};

/// An address in this module's memory.
pub type Address = usize;

/// The unit in which memory is reserved: arrays begin at multiples of its size.
type Unit = u128;

thread_local! {
    static RESERVED: RefCell<Vec<Unit>> = const { RefCell::new(Vec::new()) };
}

/// Reserves so many bytes at a multiple of 16, until the next call of this function. Returns 0 if there is not so much
/// memory.
pub fn reserve(byte_length: usize) -> Address {
    RESERVED.with_borrow_mut(|reserved| {
        let unit_count = byte_length.div_ceil(size_of::<Unit>());
        if unit_count > reserved.capacity() {
            // The old memory is given back first: nothing in it is needed any more, and the module's memory cannot
            // shrink.
            *reserved = Vec::new();
            if reserved.try_reserve_exact(unit_count).is_err() {
                return 0;
            }
        }
        reserved.as_mut_ptr().expose_provenance()
    })
}

/// The two words at an address.
fn pair(address: Address) -> [usize; 2] {
    let words: *const [usize; 2] = std::ptr::with_exposed_provenance(address);
    // SAFETY: addresses come from our JavaScript alone, which has written two words there; any alignment will do.
    unsafe { words.read_unaligned() }
}

/// The array whose two words are at an address, for writing.
pub fn write(array: Address) -> ViewMut<'static> {
    let [address, byte_length] = pair(array);
    // SAFETY: JavaScript has written the array there, in memory that it has reserved, and does not run during the call.
    unsafe { ViewMut::new(std::ptr::with_exposed_provenance_mut(address), byte_length) }
}

/// The array whose two words are at an address, for reading.
pub fn read(array: Address) -> View<'static> {
    write(array).as_view()
}

/// The arrays of the list whose two words are at an address, for reading.
pub fn list(list: Address) -> Vec<View<'static>> {
    let [first, count] = pair(list);
    (0..count).map(|index| read(first + index * size_of::<[usize; 2]>())).collect()
}
