//! Types of segments that are the same on every system.

/// Bytes of a segment's tag.
pub const TAG_BYTE_LENGTH: usize = 16;

/// The random bytes by which a process recognises the segment that it was told of.
pub type Tag = [u8; TAG_BYTE_LENGTH];

/// What a process may do with the data of a segment. State words are writable for all processes.
#[derive(Clone, Copy)]
pub enum Access {
    /// The process that made the segment.
    Owner,
    /// Any other.
    Reader,
}
