//! What the operating system does for shared memory: one module a system, with the same functions.

mod kinds;
pub use kinds::{Access, TAG_BYTE_LENGTH, Tag};

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
