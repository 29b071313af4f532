//! Linux: files in memory without names, which a peer opens through /proc.

use std::fs::{File, OpenOptions, read_link};
use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::ptr::{NonNull, null_mut};

use super::kinds::{Access, Tag};

/// What /proc shows of a segment's descriptor.
const LINK: &str = "/memfd:adasum (deleted)";
const SEALS: libc::c_int = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;

pub fn page_byte_length() -> usize {
    // SAFETY: asks for a number.
    let found = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(found).unwrap_or(4096)
}

/// Memory that this process has made; peers open it by its descriptor.
pub struct Object(File);

impl Object {
    pub fn file(&self) -> &File {
        &self.0
    }

    pub fn fd(&self) -> u32 {
        self.0.as_raw_fd().unsigned_abs()
    }
}

/// Makes a file in memory, without a name. All of it is reserved and nobody can shrink it, so no access to it can fail.
pub fn create(byte_length: usize, _tag: &Tag) -> Result<Object> {
    let length = libc::off_t::try_from(byte_length).map_err(|_| Error::from(ErrorKind::OutOfMemory))?;
    // SAFETY: the name is a C string.
    let fd = unsafe { libc::memfd_create(c"adasum".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) };
    if fd < 0 {
        return Err(Error::last_os_error());
    }
    // SAFETY: the descriptor is new, and nobody else's.
    let file = unsafe { File::from_raw_fd(fd) };
    // SAFETY: takes numbers. A signal may cut it short; it then begins anew.
    while unsafe { libc::fallocate(fd, 0, 0, length) } != 0 {
        let error = Error::last_os_error();
        if error.kind() != ErrorKind::Interrupted {
            return Err(error);
        }
    }
    // SAFETY: takes numbers.
    if unsafe { libc::fcntl(fd, libc::F_ADD_SEALS, SEALS) } != 0 {
        return Err(Error::last_os_error());
    }
    Ok(Object(file))
}

/// Opens the file of another process. It is refused unless `create` made it, with this length.
pub fn open(pid: u32, fd: u32, byte_length: usize, _tag: &Tag) -> Result<File> {
    let path = format!("/proc/{pid}/fd/{fd}");
    // The link is checked first, since opening something else may have side effects.
    if read_link(&path)?.as_os_str() != LINK {
        return Err(Error::new(ErrorKind::NotFound, format!("{path} is no segment")));
    }
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(&path)?;
    // SAFETY: takes numbers.
    let seals = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS) };
    if seals < 0 || seals & SEALS != SEALS || file.metadata()?.len() != byte_length as u64 {
        return Err(Error::new(ErrorKind::NotFound, format!("{path} is a segment of another length")));
    }
    Ok(file)
}

/// Maps a part of a file, its pages included.
pub fn map(file: &File, offset: usize, byte_length: usize, access: Access) -> Result<NonNull<u8>> {
    let protection = match access {
        Access::Owner => libc::PROT_READ | libc::PROT_WRITE,
        Access::Reader => libc::PROT_READ,
    };
    let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
    // SAFETY: maps where nothing is mapped yet.
    let found =
        unsafe { libc::mmap(null_mut(), byte_length, protection, flags, file.as_raw_fd(), offset as libc::off_t) };
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

/// There are no names.
pub fn unlink_all() {}
