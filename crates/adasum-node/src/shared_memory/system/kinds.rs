//! What segments have in common on every system.

/// Bytes of the tag by which a segment is recognised.
pub const TAG_BYTE_LENGTH: usize = 16;

/// By what a segment is recognised.
pub type Tag = [u8; TAG_BYTE_LENGTH];

/// What a process may do with the data of a segment. Everybody writes state words.
#[derive(Clone, Copy)]
pub enum Access {
    /// The process that made the segment.
    Owner,
    /// Any other.
    Reader,
}
