//! Segments of named POSIX objects, as macOS has them, on whatever has such objects: what the addon does on Linux is tested
//! from JavaScript.
#![cfg(any(target_os = "linux", target_os = "macos"))]

#[path = "../src/shared_memory/mapping.rs"]
#[allow(dead_code, reason = "the addon uses all of it")]
mod mapping;
#[path = "../src/shared_memory/system/mod.rs"]
#[allow(dead_code, reason = "the addon uses all of it")]
mod system;

use std::io::{ErrorKind, Result};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use mapping::Mapping;
use system::{TAG_BYTE_LENGTH, Tag};

const BYTE_LENGTH: usize = 100_000;

/// One for each test, and none that another process has.
fn tag_of(test: u8) -> Tag {
    tag_by(std::process::id(), test)
}

fn tag_by(pid: u32, test: u8) -> Tag {
    let mut tag = [test; TAG_BYTE_LENGTH];
    tag[..4].copy_from_slice(&pid.to_le_bytes());
    tag
}

fn open(tag: &Tag) -> Result<Mapping> {
    // Neither process nor descriptor matters.
    Mapping::open(0, 7, BYTE_LENGTH, tag)
}

fn note_of(pid: u32, tag: &Tag) -> PathBuf {
    // SAFETY: asks for a number.
    let user = unsafe { libc::geteuid() };
    let tag = u128::from_be_bytes(*tag);
    std::env::temp_dir().join(format!("adasum-{user}")).join(format!("{pid}-{tag:032x}"))
}

fn is_noted(pid: u32, tag: &Tag) -> bool {
    note_of(pid, tag).exists()
}

fn error_of(result: Result<Mapping>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

#[test]
fn two_mappings_have_the_same_data_and_words() -> Result<()> {
    let tag = tag_of(1);
    let owner = Mapping::create(BYTE_LENGTH, &tag)?;
    let reader = open(&tag)?;
    for (at, byte) in [(0, 3u8), (BYTE_LENGTH - 1, 7)] {
        // SAFETY: within the data of both mappings, and no other thread has them.
        unsafe {
            assert_eq!(owner.data().add(at).read(), 0);
            owner.data().add(at).write(byte);
            assert_eq!(reader.data().add(at).read(), byte);
        }
    }
    assert!(!reader.is_published(5, 9));
    assert!(owner.publish(5, 9));
    assert!(reader.is_published(5, 9) && !reader.is_published(5, 8) && !reader.is_published(6, 9));
    assert!(reader.finish(5, 9) && owner.is_finished(5, 9) && !owner.withdraw(5, 9));
    assert!(owner.publish(5, 10) && owner.withdraw(5, 10) && !reader.finish(5, 10));
    Ok(())
}

#[test]
fn what_is_not_the_segment_that_was_meant_is_not_mapped() -> Result<()> {
    let tag = tag_of(2);
    let _owner = Mapping::create(BYTE_LENGTH, &tag)?;
    assert_eq!(error_of(open(&tag_of(3))), Some(ErrorKind::NotFound));
    // The name has a part of the tag only; the header has all of it.
    let mut same_name = tag;
    same_name[TAG_BYTE_LENGTH - 1] ^= 1;
    assert_eq!(error_of(open(&same_name)), Some(ErrorKind::NotFound));
    assert_eq!(error_of(Mapping::create(BYTE_LENGTH, &same_name)), Some(ErrorKind::AlreadyExists));
    let page = system::page_byte_length();
    // Less than a page may be rounding.
    for byte_length in [BYTE_LENGTH + 2 * page, BYTE_LENGTH - page] {
        assert_eq!(error_of(Mapping::open(0, 0, byte_length, &tag)), Some(ErrorKind::NotFound));
    }
    assert!(open(&tag).is_ok());
    Ok(())
}

/// Where an object's mode can be changed.
#[cfg(target_os = "linux")]
#[test]
fn a_segment_that_others_could_open_is_refused() -> Result<()> {
    let tag = tag_of(4);
    let owner = system::create(BYTE_LENGTH, &tag)?;
    assert!(system::open(0, 0, BYTE_LENGTH, &tag).is_ok());
    let mut permissions = owner.file().metadata()?.permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o640);
    owner.file().set_permissions(permissions)?;
    assert_eq!(
        system::open(0, 0, BYTE_LENGTH, &tag).err().map(|error| error.kind()),
        Some(ErrorKind::PermissionDenied)
    );
    Ok(())
}

#[test]
fn the_name_goes_with_its_owner() -> Result<()> {
    let tag = tag_of(6);
    let owner = Mapping::create(BYTE_LENGTH, &tag)?;
    assert!(is_noted(std::process::id(), &tag));
    let reader = open(&tag)?;
    assert!(owner.publish(0, 1));
    drop(owner);
    // Those who have it keep it.
    assert!(reader.is_retired() && reader.finish(0, 1));
    assert_eq!(error_of(open(&tag)), Some(ErrorKind::NotFound));
    assert!(!is_noted(std::process::id(), &tag));
    Ok(())
}

#[test]
fn what_cannot_be_made_leaves_no_name() {
    let tag = tag_of(7);
    assert!(Mapping::create(usize::MAX / 2, &tag).is_err());
    assert_eq!(error_of(open(&tag)), Some(ErrorKind::NotFound));
}

/// Two more processes run this test: one that takes no name away when it ends, and one that comes after it.
#[test]
fn what_a_killed_process_has_left_goes_with_the_next_one() -> Result<()> {
    const ROLE: &str = "ADASUM_TEST_ROLE";
    const NAME: &str = "what_a_killed_process_has_left_goes_with_the_next_one";
    // This process looks for leftovers when it makes its first one: now, and not later.
    let made = Mapping::create(BYTE_LENGTH, &tag_of(8))?;
    match std::env::var(ROLE).as_deref() {
        Ok("killed") => std::process::exit(0),
        Ok(_) => return Ok(()),
        Err(_) => {}
    }
    let run = |role: &str| -> Result<u32> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.args(["--exact", NAME]).env(ROLE, role).stdout(Stdio::null()).spawn()?;
        assert!(child.wait()?.success());
        Ok(child.id())
    };
    let killed = run("killed")?;
    let left = tag_by(killed, 8);
    assert!(open(&left).is_ok() && is_noted(killed, &left));
    run("next")?;
    assert_eq!(error_of(open(&left)), Some(ErrorKind::NotFound));
    assert!(!is_noted(killed, &left));
    // This process lives.
    assert!(open(&tag_of(8)).is_ok());
    drop(made);
    Ok(())
}
