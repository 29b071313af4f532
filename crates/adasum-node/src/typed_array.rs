//! The memory of typed arrays that JavaScript passes.
//!
//! napi-rs's own array types accept arrays over shared memory, and read detached ones as empty. Here both are errors: a
//! kernel must be alone on its memory, and a detached array is a mistake of the caller.

use std::ops::Deref;
use std::ptr::null_mut;

use adasum_core::entry::{MAX_INPUTS, View, ViewMut};
use napi::bindgen_prelude::{Float64Array, FromNapiValue, TypeName, Uint8Array, ValidateNapiValue};
use napi::{Error, Result, Status, ValueType, check_status, sys};

/// A typed array of one kind, valid during the call that received it.
#[derive(Clone, Copy)]
pub struct Array<const KIND: i32> {
    ptr: *mut u8,
    byte_length: usize,
}

/// A Uint8Array.
pub type Bytes = Array<{ sys::TypedarrayType::uint8_array }>;
/// A Float64Array.
pub type Doubles = Array<{ sys::TypedarrayType::float64_array }>;

// SAFETY: the memory is that of a JavaScript array, which the contract forbids to touch until the call has ended.
unsafe impl<const KIND: i32> Send for Array<KIND> {}

impl<const KIND: i32> Array<KIND> {
    /// The memory, for reading.
    pub fn read(&self) -> View<'_> {
        self.write().as_view()
    }

    /// The memory, for reading during a synchronous call.
    pub fn as_slice(&self) -> &[u8] {
        if self.byte_length == 0 {
            return &[];
        }
        // SAFETY: Node reported the memory, which is neither shared nor detached, and JavaScript does not run during a
        // synchronous call.
        unsafe { std::slice::from_raw_parts(self.ptr, self.byte_length) }
    }

    /// The memory, for writing.
    pub fn write(&self) -> ViewMut<'_> {
        // SAFETY: Node reported the memory; it is neither shared nor detached, and JavaScript does not run during a
        // synchronous call, and keeps away from it during an asynchronous one.
        unsafe { ViewMut::new(self.ptr, self.byte_length) }
    }
}

impl AsRef<Bytes> for Bytes {
    fn as_ref(&self) -> &Bytes {
        self
    }
}

impl<const KIND: i32> TypeName for Array<KIND> {
    fn type_name() -> &'static str {
        "TypedArray"
    }

    fn value_type() -> ValueType {
        ValueType::Object
    }
}

impl<const KIND: i32> ValidateNapiValue for Array<KIND> {}

impl<const KIND: i32> FromNapiValue for Array<KIND> {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        let (mut kind, mut length, mut offset) = (-1, 0, 0);
        let (mut data, mut buffer) = (null_mut(), null_mut());
        // SAFETY: env and value are valid, by this trait's contract; all results have a variable.
        let status = unsafe {
            sys::napi_get_typedarray_info(env, value, &mut kind, &mut length, &mut data, &mut buffer, &mut offset)
        };
        if status != sys::Status::napi_ok || kind != KIND {
            return Err(refused(
                "is no Uint8Array or Float64Array where one is expected. Pass the kind that the contract names",
            ));
        }
        check_buffer(env, buffer)?;
        let element_size = if KIND == sys::TypedarrayType::float64_array { 8 } else { 1 };
        Ok(Self { ptr: data.cast(), byte_length: length * element_size })
    }
}

/// Refuses shared and detached buffers.
fn check_buffer(env: sys::napi_env, buffer: sys::napi_value) -> Result<()> {
    let (mut start, mut byte_length, mut is_detached) = (null_mut(), 0, false);
    // SAFETY: `buffer` comes from Node itself.
    let status = unsafe { sys::napi_get_arraybuffer_info(env, buffer, &mut start, &mut byte_length) };
    if status != sys::Status::napi_ok {
        return Err(refused("lies in shared memory, which others may write meanwhile. Copy it into an ArrayBuffer"));
    }
    // SAFETY: as above.
    check_status!(unsafe { sys::napi_is_detached_arraybuffer(env, buffer, &mut is_detached) })?;
    if is_detached {
        return Err(refused("has been detached: its memory was transferred. Pass an array that still has its memory"));
    }
    Ok(())
}

fn refused(what: &str) -> Error {
    Error::new(Status::InvalidArg, format!("an argument {what}."))
}

/// A JavaScript array of typed arrays.
pub struct List<A>(Vec<A>);

impl<A: AsRef<Bytes>> List<A> {
    /// The memory of all arrays, for reading.
    pub fn read(&self) -> Vec<View<'_>> {
        self.0.iter().map(|array| array.as_ref().read()).collect()
    }
}

impl<A> TypeName for List<A> {
    fn type_name() -> &'static str {
        "Array"
    }

    fn value_type() -> ValueType {
        ValueType::Object
    }
}

impl<A: FromNapiValue> ValidateNapiValue for List<A> {}

impl<A: FromNapiValue> FromNapiValue for List<A> {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        let mut length = 0;
        // SAFETY: env and value are valid, by this trait's contract.
        let status = unsafe { sys::napi_get_array_length(env, value, &mut length) };
        if status != sys::Status::napi_ok {
            return Err(refused("is no array where a list is expected. Pass an array of Uint8Arrays"));
        }
        if length as usize > MAX_INPUTS {
            return Err(refused("has more entries than can be reduced at once, 4,096. Reduce in groups"));
        }
        let mut elements = vec![null_mut(); length as usize];
        // Reading an element may run a getter, which could detach an array whose address is known already: so first all
        // elements, then all addresses.
        for (index, element) in (0..length).zip(&mut elements) {
            // SAFETY: as above.
            check_status!(unsafe { sys::napi_get_element(env, value, index, element) })?;
        }
        // SAFETY: the elements come from Node itself.
        let arrays = elements.into_iter().map(|element| unsafe { A::from_napi_value(env, element) });
        arrays.collect::<Result<_>>().map(Self)
    }
}

/// The napi-rs type that keeps an array of a kind from being collected.
pub trait Owned {
    /// Holds a reference, and gives it back on the JavaScript thread wherever it is dropped.
    type Owner: FromNapiValue;
}

impl Owned for Bytes {
    type Owner = Uint8Array;
}

impl Owned for Doubles {
    type Owner = Float64Array;
}

/// An array that lives until the work that uses it has settled.
pub struct Kept<A: Owned> {
    array: A,
    _owner: A::Owner,
}

impl<A: Owned> Deref for Kept<A> {
    type Target = A;

    fn deref(&self) -> &A {
        &self.array
    }
}

impl AsRef<Bytes> for Kept<Bytes> {
    fn as_ref(&self) -> &Bytes {
        self
    }
}

impl<A: Owned + TypeName> TypeName for Kept<A> {
    fn type_name() -> &'static str {
        A::type_name()
    }

    fn value_type() -> ValueType {
        A::value_type()
    }
}

impl<A: Owned + FromNapiValue + TypeName> ValidateNapiValue for Kept<A> {}

impl<A: Owned + FromNapiValue> FromNapiValue for Kept<A> {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        // SAFETY: handed on from the caller; the second conversion follows the checks of the first.
        unsafe { Ok(Self { array: A::from_napi_value(env, value)?, _owner: A::Owner::from_napi_value(env, value)? }) }
    }
}
