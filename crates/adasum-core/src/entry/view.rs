//! Memory as the caller describes it: a pointer and a length.
//!
//! Views may alias each other, so none of them ever becomes a `&mut`: everything goes through raw pointers, after the
//! checks in [`Exclusive`].

use std::marker::PhantomData;

use crate::element::Stored;
use crate::error::{Result, argument_error};

/// The address of empty views: JavaScript's empty arrays may have no address, or a misaligned one.
const EMPTY: *const u8 = std::ptr::dangling::<u64>().cast();

/// Bytes that are read.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    ptr: *const u8,
    byte_length: usize,
    lifetime: PhantomData<&'a [u8]>,
}

/// Bytes that are written, and read if they are an input too.
#[derive(Clone, Copy, Debug)]
pub struct ViewMut<'a> {
    ptr: *mut u8,
    byte_length: usize,
    lifetime: PhantomData<&'a [u8]>,
}

// SAFETY: the caller of `new` vouches that nobody else touches the memory while the view is in use, on whatever thread.
unsafe impl Send for View<'_> {}
// SAFETY: as above.
unsafe impl Send for ViewMut<'_> {}

impl<'a> View<'a> {
    /// A view of `byte_length` bytes at `ptr`.
    ///
    /// # Safety
    /// For as long as `'a` lasts the bytes must be valid for reading, and nobody but the entry points may write them.
    pub unsafe fn new(ptr: *const u8, byte_length: usize) -> Self {
        debug_assert!(byte_length == 0 || !ptr.is_null(), "bytes are somewhere");
        Self { ptr: if byte_length == 0 { EMPTY } else { ptr }, byte_length, lifetime: PhantomData }
    }

    /// A view of a slice.
    pub fn of<T: Copy>(slice: &'a [T]) -> Self {
        // SAFETY: the borrow keeps the slice valid, and others from writing it.
        unsafe { Self::new(slice.as_ptr().cast(), size_of_val(slice)) }
    }

    /// The view as doubles, copied: small tables are read before anything is written, so they may alias what is.
    pub(super) fn doubles(self, name: &str) -> Result<Vec<f64>> {
        double_count(name, self.byte_length)?;
        // SAFETY: the view vouches for the bytes, and nobody writes them during the copy.
        let bytes = unsafe { std::slice::from_raw_parts(self.ptr, self.byte_length) };
        let (doubles, _) = bytes.as_chunks::<8>();
        Ok(doubles.iter().map(|&double| f64::from_ne_bytes(double)).collect())
    }

    /// The first of `element_count` elements, which must be all of the view.
    pub(super) fn elements<E: Stored>(self, name: &str, element_count: usize) -> Result<*const E> {
        check_elements::<E>(name, self.ptr, self.byte_length, element_count)?;
        Ok(self.ptr.cast())
    }
}

impl<'a> ViewMut<'a> {
    /// A view of `byte_length` bytes at `ptr`.
    ///
    /// # Safety
    /// For as long as `'a` lasts the bytes must be valid for reading and writing, and nobody but the entry points may
    /// touch them.
    pub unsafe fn new(ptr: *mut u8, byte_length: usize) -> Self {
        debug_assert!(byte_length == 0 || !ptr.is_null(), "bytes are somewhere");
        Self { ptr: if byte_length == 0 { EMPTY.cast_mut() } else { ptr }, byte_length, lifetime: PhantomData }
    }

    /// A view of a slice.
    pub fn of<T: Copy>(slice: &'a mut [T]) -> Self {
        // SAFETY: the borrow keeps the slice valid, and others from touching it.
        unsafe { Self::new(slice.as_mut_ptr().cast(), size_of_val(slice)) }
    }

    pub(super) fn byte_length(self) -> usize {
        self.byte_length
    }

    /// The same bytes, to be read.
    pub fn as_view(self) -> View<'a> {
        View { ptr: self.ptr, byte_length: self.byte_length, lifetime: PhantomData }
    }

    /// The first of `element_count` elements, which must be all of the view.
    pub(super) fn elements<E: Stored>(self, name: &str, element_count: usize) -> Result<*mut E> {
        check_elements::<E>(name, self.ptr, self.byte_length, element_count)?;
        Ok(self.ptr.cast())
    }

    /// The view as room for exactly `count` doubles.
    pub(super) fn doubles(self, name: &str, count: u64) -> Result<DoublesMut<'a>> {
        let actual = double_count(name, self.byte_length)?;
        if actual as u64 != count {
            return Err(argument_error!("`{name}` has {actual} doubles, {count} are to be written. Allocate {count}."));
        }
        Ok(DoublesMut { view: self, next: 0 })
    }

    /// The view as room for `count` rows of doubles, and the width of these, one of two.
    pub(super) fn rows(self, name: &str, count: u64, [narrow, wide]: [u64; 2]) -> Result<(DoublesMut<'a>, u64)> {
        let width = if double_count(name, self.byte_length)? as u64 == count * wide { wide } else { narrow };
        Ok((self.doubles(name, count * width)?, width))
    }
}

/// Doubles that are written one after the other.
#[derive(Debug)]
pub(super) struct DoublesMut<'a> {
    view: ViewMut<'a>,
    next: usize,
}

impl DoublesMut<'_> {
    /// Writes the next doubles.
    pub(super) fn write(&mut self, values: &[f64]) {
        let start = self.next * size_of::<f64>();
        assert!(start + size_of_val(values) <= self.view.byte_length, "the number of doubles was checked");
        // SAFETY: the bytes are inside the view, by the line above; u8 has no alignment to keep; `values` is our own.
        unsafe {
            std::ptr::copy_nonoverlapping(values.as_ptr().cast(), self.view.ptr.add(start), size_of_val(values));
        }
        self.next += values.len();
    }
}

/// A name for messages, and the memory it stands for.
type Named<'n, 'a> = (&'n str, View<'a>);

/// The check that nothing is written where something else is read or written.
pub(super) struct Exclusive<'n, 'a> {
    read: Vec<Named<'n, 'a>>,
    written: Vec<Named<'n, 'a>>,
}

impl<'n, 'a> Exclusive<'n, 'a> {
    /// Memory that is read while the call runs.
    pub(super) fn reading(inputs: &[View<'a>]) -> Self {
        Self { read: inputs.iter().map(|&input| ("inputs", input)).collect(), written: Vec::new() }
    }

    /// Refuses `view` if it touches anything that was named before.
    pub(super) fn writing(self, name: &'n str, view: ViewMut<'a>) -> Result<Self> {
        self.write(name, view.as_view(), |_| false)
    }

    /// The same, but `view` may be exactly one of the inputs.
    pub(super) fn writing_in_place(self, name: &'n str, view: ViewMut<'a>) -> Result<Self> {
        let view = view.as_view();
        self.write(name, view, |other| other.ptr == view.ptr && other.byte_length == view.byte_length)
    }

    fn write(mut self, name: &'n str, view: View<'a>, may_alias: impl Fn(&View<'a>) -> bool) -> Result<Self> {
        let of_inputs = self.read.iter().filter(|(_, other)| !may_alias(other));
        for (other_name, other) in of_inputs.chain(&self.written) {
            let shared = overlap(view, *other);
            if shared > 0 {
                return Err(argument_error!(
                    "`{name}` ({} bytes) and `{other_name}` ({} bytes) overlap in {shared} bytes. Use separate memory; \
                     only `out` may be an input, and then exactly.",
                    view.byte_length,
                    other.byte_length
                ));
            }
        }
        self.written.push((name, view));
        Ok(self)
    }
}

/// How many bytes two views have in common.
fn overlap(a: View<'_>, b: View<'_>) -> usize {
    let start = a.ptr.addr().max(b.ptr.addr());
    let end = (a.ptr.addr() + a.byte_length).min(b.ptr.addr() + b.byte_length);
    end.saturating_sub(start)
}

fn double_count(name: &str, byte_length: usize) -> Result<usize> {
    if !byte_length.is_multiple_of(size_of::<f64>()) {
        return Err(argument_error!(
            "`{name}` has {byte_length} bytes, which is no multiple of 8. Give a Float64Array."
        ));
    }
    Ok(byte_length / size_of::<f64>())
}

fn check_elements<E: Stored>(name: &str, ptr: *const u8, byte_length: usize, element_count: usize) -> Result<()> {
    let dtype = E::NAME;
    let expected = element_count as u128 * size_of::<E>() as u128;
    if byte_length as u128 != expected {
        return Err(argument_error!(
            "`{name}` has {byte_length} bytes, but {element_count} elements of {dtype} have {expected}. Make the lengths agree."
        ));
    }
    if !ptr.addr().is_multiple_of(align_of::<E>()) {
        return Err(argument_error!(
            "`{name}` begins {} bytes after a multiple of {}, the alignment of {dtype}. Align its byteOffset.",
            ptr.addr() % align_of::<E>(),
            align_of::<E>()
        ));
    }
    Ok(())
}
