//! The names that are there, so that those of processes that were killed can be taken away.
//!
//! macOS keeps a named object until it restarts, and has no list of them. So each name is noted before it is made: as
//! an empty file `<pid>-<tag>` in a folder of this user. A process that makes its first segment takes away what dead
//! processes have left. Names are random, and none is used again: taking one away can hit nothing else, and twice does
//! no harm.

use std::ffi::{CString, OsStr};
use std::fs::{self, DirBuilder, File};
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Once;

use super::kinds::Tag;

/// Digits of the tag that fit into a name: with the slash and the prefix it has 31 characters at most.
const NAME_DIGITS: usize = 22;

/// The name of the object with a tag.
pub fn name_of(tag: &Tag) -> Result<CString> {
    let digits = format!("{:032x}", u128::from_be_bytes(*tag));
    Ok(CString::new(format!("/adasum-{}", &digits[..NAME_DIGITS]))?)
}

/// Removes the name: processes that have mapped the object keep it, and no others can open it.
pub fn unlink(tag: &Tag) {
    if let Ok(name) = name_of(tag) {
        // SAFETY: the name is a C string. Whether it was still there does not matter.
        unsafe { libc::shm_unlink(name.as_ptr()) };
    }
}

/// Notes that this process makes a name, in a file that outlives it. To be called before the name is made. The first
/// call also removes the names of processes that have ended.
pub fn note(tag: &Tag) -> Result<()> {
    static SWEPT: Once = Once::new();
    let folder = folder()?;
    SWEPT.call_once(|| unlink_where(&folder, is_dead));
    File::create_new(folder.join(entry_of(process::id(), tag))).map(drop)
}

/// Removes the note. To be called once the name has been removed.
pub fn forget(tag: &Tag) {
    if let Ok(folder) = folder() {
        // If this fails, the next process removes the file.
        let _ = fs::remove_file(folder.join(entry_of(process::id(), tag)));
    }
}

pub fn unlink_own() {
    if let Ok(folder) = folder() {
        unlink_where(&folder, |pid| pid == process::id());
    }
}

/// The folder of the notes; an error if other users may write to it: then a note could be another user's.
fn folder() -> Result<PathBuf> {
    // SAFETY: asks for a number.
    let user = unsafe { libc::geteuid() };
    let folder = std::env::temp_dir().join(format!("adasum-{user}"));
    match DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(&folder)?;
    if !found.is_dir() || found.uid() != user || found.mode() & 0o077 != 0 {
        let message = format!("{} is open to other users", folder.display());
        return Err(Error::new(ErrorKind::PermissionDenied, message));
    }
    Ok(folder)
}

fn unlink_where(folder: &Path, is_selected: impl Fn(u32) -> bool) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if let Some((pid, tag)) = parsed(&entry.file_name())
            && is_selected(pid)
        {
            unlink(&tag);
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn is_dead(pid: u32) -> bool {
    let Ok(pid) = libc::pid_t::try_from(pid) else { return false };
    // SAFETY: no signal is sent.
    pid > 0 && unsafe { libc::kill(pid, 0) } != 0 && Error::last_os_error().raw_os_error() == Some(libc::ESRCH)
}

fn entry_of(pid: u32, tag: &Tag) -> String {
    format!("{pid}-{:032x}", u128::from_be_bytes(*tag))
}

fn parsed(entry: &OsStr) -> Option<(u32, Tag)> {
    let (pid, tag) = entry.to_str()?.split_once('-')?;
    let tag = u128::from_str_radix(tag, 16).ok()?.to_be_bytes();
    Some((pid.parse().ok()?, tag))
}
