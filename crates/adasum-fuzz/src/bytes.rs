//! Choices that are read from bytes, zeros once there are none left.

use crate::session::Choices;

/// The rest of the bytes.
pub struct Bytes<'a>(pub &'a [u8]);

impl Bytes<'_> {
    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }
}

impl Choices for Bytes<'_> {
    fn next(&mut self) -> u64 {
        u64::from_le_bytes([(); 8].map(|()| self.byte()))
    }

    fn below(&mut self, end: usize) -> usize {
        // One byte where that is enough: each then has a meaning of its own.
        let choice = if end <= 1 << 8 { usize::from(self.byte()) } else { self.next() as usize };
        choice % end
    }
}
