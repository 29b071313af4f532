//! Where a combination is stored.

use crate::dispatch::Dispatch;
use crate::shader::Element;

/// Memory for results of one dtype, made at the first reduction that stores it.
pub(super) struct Results {
    pub element: Element,
    pub windows: Vec<WindowResult>,
    pub dispatches: Vec<Dispatch>,
}

impl Results {
    /// The kernel's runs that make the result.
    pub fn dispatches(&self) -> impl Iterator<Item = &Dispatch> {
        self.dispatches.iter()
    }
}

/// A window's part of the result, on the device and for the host to read.
pub(super) struct WindowResult {
    pub buffer: wgpu::Buffer,
    pub staging: wgpu::Buffer,
}
