//! Systems on which processes share no memory: every call returns an error.

use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::ptr::NonNull;

use super::kinds::{Access, Tag};

/// An object of this type is never made.
pub enum Object {}

impl Object {
    pub fn file(&self) -> &File {
        match *self {}
    }

    pub fn fd(&self) -> u32 {
        match *self {}
    }
}

fn unsupported<T>() -> Result<T> {
    Err(Error::new(ErrorKind::Unsupported, "memory is shared between processes on Linux and macOS only"))
}

pub fn page_byte_length() -> usize {
    4096
}

pub fn create(_byte_length: usize, _tag: &Tag) -> Result<Object> {
    unsupported()
}

pub fn open(_pid: u32, _fd: u32, _byte_length: usize, _tag: &Tag) -> Result<File> {
    unsupported()
}

pub fn map(_file: &File, _offset: usize, _byte_length: usize, _access: Access) -> Result<NonNull<u8>> {
    unsupported()
}

/// # Safety
///
/// Never called: nothing is mapped.
pub unsafe fn unmap(_memory: NonNull<u8>, _byte_length: usize) {}

pub fn unlink_all() {}
