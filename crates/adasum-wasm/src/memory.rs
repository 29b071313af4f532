//! Arrays in this module's memory.
//!
//! JavaScript copies the arrays of a call into one reserved stretch of memory, arrays that overlap keeping their places to
//! each other, so that the core's checks of overlap and alignment see what the caller passed. For each array it writes two
//! words, its address and its byte length, and for a list the address of the first such pair and their number; what crosses
//! the border is the address of these two words.

use std::cell::RefCell;

use adasum_core::entry::{View, ViewMut};

/// A place in this module's memory.
pub type Address = usize;

/// What memory is reserved in: arrays begin at multiples of its size.
type Unit = u128;

thread_local! {
    static RESERVED: RefCell<Vec<Unit>> = const { RefCell::new(Vec::new()) };
}

/// Memory for so many bytes at a multiple of 16, until the next call of this function; 0 if there is not so much.
pub fn reserve(byte_length: usize) -> Address {
    RESERVED.with_borrow_mut(|reserved| {
        let unit_count = byte_length.div_ceil(size_of::<Unit>());
        if unit_count > reserved.capacity() {
            // Given back first: nothing in it is needed any more, and memory cannot shrink.
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

/// The array whose place stands at an address, to be written.
pub fn write(array: Address) -> ViewMut<'static> {
    let [address, byte_length] = pair(array);
    // SAFETY: JavaScript has written the array there, in memory that it has reserved, and does not run during the call.
    unsafe { ViewMut::new(std::ptr::with_exposed_provenance_mut(address), byte_length) }
}

/// The array whose place stands at an address, to be read.
pub fn read(array: Address) -> View<'static> {
    write(array).as_view()
}

/// The arrays of a list.
pub fn list(list: Address) -> Vec<View<'static>> {
    let [first, count] = pair(list);
    (0..count).map(|index| read(first + index * size_of::<[usize; 2]>())).collect()
}
