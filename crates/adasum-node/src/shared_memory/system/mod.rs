//! What the operating system does for shared memory: one module a system, with the same functions.

use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::ptr::NonNull;

use super::TAG_BYTE_LENGTH;

pub type Tag = [u8; TAG_BYTE_LENGTH];

/// What a process may do with the data of a segment. Everybody writes state words.
#[derive(Clone, Copy)]
pub enum Access {
    Owner,
    Reader,
}

// Tests of Rust are those of POSIX, on Linux, too, whose own way is tested from JavaScript.
#[cfg(any(target_os = "macos", all(target_os = "linux", test)))]
mod names;
#[cfg(any(target_os = "macos", all(target_os = "linux", test)))]
mod posix;
#[cfg(any(target_os = "macos", all(target_os = "linux", test)))]
pub use posix::*;

#[cfg(all(target_os = "linux", not(test)))]
mod linux;
#[cfg(all(target_os = "linux", not(test)))]
pub use linux::*;

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
mod elsewhere;
#[cfg(not(any(target_os = "linux", target_os = "macos")))]
pub use elsewhere::*;
