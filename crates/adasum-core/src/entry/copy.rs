//! Copies of any bytes.

use super::view::{Exclusive, View, ViewMut};
use crate::error::Result;
use crate::simd::stream;

/// Copies as many bytes as `to` has. Bypasses the cache where the CPU can: for bytes that the cache has no room for.
///
/// # Errors
/// [`Error::Argument`](crate::Error::Argument) if the lengths differ, or the views have bytes in common.
pub fn copy(from: View<'_>, to: ViewMut<'_>) -> Result<()> {
    let byte_length = to.byte_length();
    let (target, source) = (to.elements::<u8>("to", byte_length)?, from.elements::<u8>("from", byte_length)?);
    Exclusive::reading(&[from]).writing("to", to)?;
    // SAFETY: both have so many bytes, and none in common.
    unsafe { stream::copy(source, target, byte_length) };
    Ok(())
}
