//! A segment in the address space of a process.
//!
//! ```text
//! page 0    tag (16 bytes) | retired | ... | state words from byte 64 on
//! page 1..  data
//! ```
//!
//! A state word belongs to one message whose bytes lie in the data. It holds the message's generation and one of three
//! states:
//!
//! ```text
//! owner   publish     any -> READABLE         the message's bytes are there
//! reader  finish      READABLE -> FINISHED    the reader has read all of them: the owner may change them
//! owner   withdraw    READABLE -> WITHDRAWN   the owner changes them now: the reader must drop what it has read
//! ```
//!
//! Finish and withdraw are compare-and-swaps, so exactly one of the two succeeds. A reader whose finish succeeds has
//! read the bytes as they were before any change; otherwise it learns that it was too late.

use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use super::system::{self, Access, Object, Tag};

const RETIRED_OFFSET: usize = 16;
const WORDS_OFFSET: usize = 64;
/// As many state words as fit in the smallest page.
const WORD_COUNT: u32 = ((4096 - WORDS_OFFSET) / 4) as u32;

const READABLE: u32 = 1;
const FINISHED: u32 = 2;
const WITHDRAWN: u32 = 3;

pub struct Mapping {
    header: NonNull<u8>,
    data: NonNull<u8>,
    page: usize,
    byte_length: usize,
    /// The object that others map, if this process made the segment.
    object: Option<Object>,
}

// SAFETY: the header is touched by atomic operations only once the mapping is made, and the data not at all.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    pub fn create(byte_length: usize, tag: &Tag) -> Result<Self> {
        let page = system::page_byte_length();
        let object = system::create(total(page, byte_length)?, tag)?;
        let mut mapping = Self::map(object.file(), page, byte_length, Access::Owner)?;
        mapping.object = Some(object);
        // SAFETY: the header is a page long, and nobody else knows of the segment yet.
        unsafe { mapping.header.cast::<Tag>().write(*tag) };
        Ok(mapping)
    }

    pub fn open(pid: u32, fd: u32, byte_length: usize, tag: &Tag) -> Result<Self> {
        let page = system::page_byte_length();
        let file = system::open(pid, fd, total(page, byte_length)?, tag)?;
        let mapping = Self::map(&file, page, byte_length, Access::Reader)?;
        // SAFETY: the header is a page long; its owner wrote the tag before it told anybody of the segment.
        let found = unsafe { mapping.header.cast::<Tag>().read() };
        if found == *tag { Ok(mapping) } else { Err(Error::new(ErrorKind::NotFound, "another segment is there")) }
    }

    fn map(file: &File, page: usize, byte_length: usize, access: Access) -> Result<Self> {
        let header = system::map(file, 0, page, Access::Owner)?;
        match system::map(file, page, byte_length, access) {
            Ok(data) => Ok(Self { header, data, page, byte_length, object: None }),
            Err(error) => {
                // SAFETY: the header was mapped just now, and nothing points there.
                unsafe { system::unmap(header, page) };
                Err(error)
            }
        }
    }

    pub fn fd(&self) -> u32 {
        self.object.as_ref().map_or(u32::MAX, Object::fd)
    }

    pub fn word_count(&self) -> u32 {
        WORD_COUNT
    }

    pub fn data(&self) -> *mut u8 {
        self.data.as_ptr()
    }

    pub fn byte_length(&self) -> usize {
        self.byte_length
    }

    /// False if there is no such word.
    pub fn publish(&self, word: u32, generation: u32) -> bool {
        let Some(state) = self.word(word) else { return false };
        state.store(value(generation, READABLE), Ordering::Release);
        true
    }

    pub fn is_published(&self, word: u32, generation: u32) -> bool {
        self.has(word, generation, READABLE)
    }

    /// False if the owner has withdrawn the bytes: they may have changed while they were read.
    pub fn finish(&self, word: u32, generation: u32) -> bool {
        self.step(word, generation, FINISHED)
    }

    pub fn is_finished(&self, word: u32, generation: u32) -> bool {
        self.has(word, generation, FINISHED)
    }

    /// False if the reader had finished already.
    pub fn withdraw(&self, word: u32, generation: u32) -> bool {
        self.step(word, generation, WITHDRAWN)
    }

    /// Whether the owner has given the segment up.
    pub fn is_retired(&self) -> bool {
        self.at(RETIRED_OFFSET).load(Ordering::Acquire) != 0
    }

    fn has(&self, word: u32, generation: u32, state: u32) -> bool {
        self.word(word).is_some_and(|word| word.load(Ordering::Acquire) == value(generation, state))
    }

    fn step(&self, word: u32, generation: u32, to: u32) -> bool {
        let (before, after) = (value(generation, READABLE), value(generation, to));
        self.word(word)
            .is_some_and(|word| word.compare_exchange(before, after, Ordering::AcqRel, Ordering::Acquire).is_ok())
    }

    fn word(&self, word: u32) -> Option<&AtomicU32> {
        (word < WORD_COUNT).then(|| self.at(WORDS_OFFSET + 4 * word as usize))
    }

    fn at(&self, offset: usize) -> &AtomicU32 {
        // SAFETY: offsets are multiples of 4 within the header, which is mapped for reading and writing while self
        // lives.
        unsafe { AtomicU32::from_ptr(self.header.add(offset).as_ptr().cast()) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.object.is_some() {
            self.at(RETIRED_OFFSET).store(1, Ordering::Release);
        }
        // SAFETY: nothing points there any more: the ArrayBuffer holds a reference to the mapping, so it has gone
        // before.
        unsafe {
            system::unmap(self.header, self.page);
            system::unmap(self.data, self.byte_length);
        }
    }
}

fn value(generation: u32, state: u32) -> u32 {
    generation << 2 | state
}

fn total(page: usize, byte_length: usize) -> Result<usize> {
    page.checked_add(byte_length).ok_or_else(|| Error::new(ErrorKind::OutOfMemory, "too large for this machine"))
}
