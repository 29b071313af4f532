//! The buffers that a combination is stored in.

use crate::dispatch::Dispatch;
use crate::shader::Element;

/// Buffers for results of one dtype, made at the first reduction that stores this dtype.
pub(super) struct Results {
    pub element: Element,
    pub windows: Vec<WindowResult>,
    pub dispatches: Vec<Dispatch>,
}

impl Results {
    /// The dispatches that write the result.
    pub fn dispatches(&self) -> impl Iterator<Item = &Dispatch> {
        self.dispatches.iter()
    }
}

/// A window's part of the result, on the device and for the host to read.
pub(super) struct WindowResult {
    pub buffer: wgpu::Buffer,
    pub staging: wgpu::Buffer,
}
