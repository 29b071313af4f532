//! macOS: POSIX shared memory objects, which have names.
//!
//! A name outlives the process that made it, and the memory lives as long as the name. The owner removes the name when
//! it gives the object up, at the latest when its process ends; names.rs removes those that a process had no time to
//! remove.
//!
//! Nothing reserves the memory: macOS promises more than it has and pages out what does not fit, so no access to it
//! fails as it would on a full tmpfs of Linux. It has no seals either, but gives an object its length once only.

use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::MetadataExt;
use std::ptr::{NonNull, null_mut};

use super::kinds::{Access, Tag};
use super::names::{self, name_of};

/// Only this user may read and write the object.
const MODE: u32 = 0o600;

/// Memory that this process has made; peers open it by its name, as long as it has one.
pub struct Object {
    file: File,
    tag: Tag,
}

impl Object {
    pub fn file(&self) -> &File {
        &self.file
    }

    /// A number that no reader asks for.
    pub fn fd(&self) -> u32 {
        0
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        names::unlink(&self.tag);
        names::forget(&self.tag);
    }
}

pub fn page_byte_length() -> usize {
    // SAFETY: asks for a number.
    let found = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(found).unwrap_or(4096)
}

pub fn create(byte_length: usize, tag: &Tag) -> Result<Object> {
    let length = libc::off_t::try_from(byte_length).map_err(|_| Error::from(ErrorKind::OutOfMemory))?;
    names::note(tag)?;
    let file = open_object(tag, libc::O_CREAT | libc::O_EXCL | libc::O_RDWR).inspect_err(|_| names::forget(tag));
    let object = Object { file: file?, tag: *tag };
    // SAFETY: takes numbers.
    if unsafe { libc::ftruncate(object.file.as_raw_fd(), length) } != 0 {
        return Err(Error::last_os_error());
    }
    Ok(object)
}

/// Opens the object with this tag. It is refused unless it belongs to this user, is closed to others, and has this
/// length.
pub fn open(_pid: u32, _fd: u32, byte_length: usize, tag: &Tag) -> Result<File> {
    let file = open_object(tag, libc::O_RDWR)?;
    let found = file.metadata()?;
    // SAFETY: asks for a number.
    let user = unsafe { libc::geteuid() };
    if found.uid() != user || found.mode() & 0o777 != MODE {
        return Err(Error::new(ErrorKind::PermissionDenied, "the segment is open to other users"));
    }
    // macOS rounds lengths up to whole pages.
    let excess = found.len().checked_sub(byte_length as u64);
    if excess.is_none_or(|excess| excess >= page_byte_length() as u64) {
        return Err(Error::new(ErrorKind::NotFound, "a segment of another length is there"));
    }
    Ok(file)
}

/// Maps a part of an object, its pages included.
pub fn map(file: &File, offset: usize, byte_length: usize, access: Access) -> Result<NonNull<u8>> {
    let protection = match access {
        Access::Owner => libc::PROT_READ | libc::PROT_WRITE,
        Access::Reader => libc::PROT_READ,
    };
    let (fd, offset) = (file.as_raw_fd(), offset as libc::off_t);
    // SAFETY: maps where nothing is mapped yet.
    let found = unsafe { libc::mmap(null_mut(), byte_length, protection, libc::MAP_SHARED, fd, offset) };
    if found == libc::MAP_FAILED {
        return Err(Error::last_os_error());
    }
    NonNull::new(found.cast()).ok_or_else(Error::last_os_error)
}

/// # Safety
///
/// `map` has given the memory, and nothing points there any more.
pub unsafe fn unmap(memory: NonNull<u8>, byte_length: usize) {
    // SAFETY: the caller's promise.
    unsafe { libc::munmap(memory.as_ptr().cast(), byte_length) };
}

/// Removes the names of this process's objects.
pub fn unlink_all() {
    names::unlink_own();
}

fn open_object(tag: &Tag, flags: libc::c_int) -> Result<File> {
    let name = name_of(tag)?;
    // SAFETY: the name is a C string; the mode is passed as variadic functions take it.
    let fd = unsafe { libc::shm_open(name.as_ptr(), flags, MODE as libc::c_uint) };
    if fd < 0 {
        return Err(Error::last_os_error());
    }
    // SAFETY: the descriptor is new, and nobody else's.
    let file = unsafe { File::from_raw_fd(fd) };
    // Not every system sets this flag by itself. SAFETY: takes numbers.
    if unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } != 0 {
        return Err(Error::last_os_error());
    }
    Ok(file)
}
