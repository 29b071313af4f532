//! Segments of memory that ranks of one machine share: the contract of `ts/src/binding/shared-memory.ts`.
//!
//! A segment belongs to the process that made it; others map its data read-only. Raw pointers stay on this side:
//! JavaScript sees the data as an ArrayBuffer, which keeps the mapping alive as long as anybody holds it, and the state
//! words not at all.

mod mapping;
mod system;

use std::sync::Arc;

use napi::bindgen_prelude::ArrayBuffer;
use napi::{Env, Error, Result, Status};
use napi_derive::napi;

use mapping::Mapping;
use system::TAG_BYTE_LENGTH;

/// A segment, as one process has it mapped.
#[napi]
pub struct Segment {
    mapping: Arc<Mapping>,
}

/// Makes a segment and maps it: after that no access to it can fail.
#[napi(catch_unwind)]
pub fn create_segment(byte_length: f64, tag: &[u8]) -> Result<Segment> {
    let mapping = Mapping::create(whole(byte_length)?, checked(tag)?).map_err(to_js)?;
    Ok(Segment { mapping: Arc::new(mapping) })
}

/// Maps the segment of another process of this machine, if the tag and the length are those it has.
#[napi(catch_unwind)]
pub fn open_segment(pid: u32, fd: u32, byte_length: f64, tag: &[u8]) -> Result<Segment> {
    let mapping = Mapping::open(pid, fd, whole(byte_length)?, checked(tag)?).map_err(to_js)?;
    Ok(Segment { mapping: Arc::new(mapping) })
}

/// Removes the names of this process's segments, where segments have names, so that nobody can map them any more. To be
/// called when the process ends.
#[napi]
pub fn unlink_segments() {
    system::unlink_all();
}

#[napi]
impl Segment {
    #[napi(getter)]
    pub fn fd(&self) -> u32 {
        self.mapping.fd()
    }

    /// How many state words there are.
    #[napi(getter)]
    pub fn word_count(&self) -> u32 {
        self.mapping.word_count()
    }

    /// The data; to be called once, since two ArrayBuffers must not have the same memory.
    #[napi]
    pub fn buffer<'env>(&self, env: &'env Env) -> Result<ArrayBuffer<'env>> {
        let kept = Arc::clone(&self.mapping);
        // SAFETY: the memory is mapped as long as the mapping lives, which the finalizer keeps until the buffer has
        // gone.
        unsafe {
            ArrayBuffer::from_external(env, self.mapping.data(), self.mapping.byte_length(), kept, |_, kept| drop(kept))
        }
    }

    #[napi]
    pub fn publish(&self, word: u32, generation: u32) -> bool {
        self.mapping.publish(word, generation)
    }

    #[napi]
    pub fn is_published(&self, word: u32, generation: u32) -> bool {
        self.mapping.is_published(word, generation)
    }

    #[napi]
    pub fn finish(&self, word: u32, generation: u32) -> bool {
        self.mapping.finish(word, generation)
    }

    #[napi]
    pub fn is_finished(&self, word: u32, generation: u32) -> bool {
        self.mapping.is_finished(word, generation)
    }

    #[napi]
    pub fn withdraw(&self, word: u32, generation: u32) -> bool {
        self.mapping.withdraw(word, generation)
    }

    #[napi]
    pub fn is_retired(&self) -> bool {
        self.mapping.is_retired()
    }
}

fn whole(byte_length: f64) -> Result<usize> {
    // Beyond 2^53 a JavaScript number does not stand for one integer.
    if byte_length >= 1.0 && byte_length <= 2f64.powi(53) && byte_length.fract() == 0.0 {
        return Ok(byte_length as usize);
    }
    Err(Error::new(Status::InvalidArg, format!("a segment of {byte_length} bytes cannot be. Ask for a whole number")))
}

fn checked(tag: &[u8]) -> Result<&[u8; TAG_BYTE_LENGTH]> {
    tag.try_into().map_err(|_| {
        Error::new(Status::InvalidArg, format!("a tag has {TAG_BYTE_LENGTH} bytes, this one {}", tag.len()))
    })
}

fn to_js(error: std::io::Error) -> Error {
    Error::new(Status::GenericFailure, error.to_string())
}
