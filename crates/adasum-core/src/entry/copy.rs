//! Copies of any bytes.

use super::reduction::STREAMED_BYTE_LENGTH;
use super::view::{Exclusive, View, ViewMut};
use crate::engine::Engine;
use crate::error::Result;

impl Engine {
    /// Copies as many bytes as `to` has.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) if the lengths differ, or the views have bytes in common.
    pub fn copy(self, from: View<'_>, to: ViewMut<'_>) -> Result<()> {
        let byte_length = to.byte_length();
        let (target, source) = (to.elements::<u8>("to", byte_length)?, from.elements::<u8>("from", byte_length)?);
        Exclusive::reading(&[from]).writing("to", to)?;
        // SAFETY: the engine's instruction set is available; both have so many bytes, and none in common.
        unsafe {
            if byte_length < STREAMED_BYTE_LENGTH {
                std::ptr::copy_nonoverlapping(source, target, byte_length);
            } else {
                (self.table.copy)(source, target, byte_length);
            }
        }
        Ok(())
    }
}
