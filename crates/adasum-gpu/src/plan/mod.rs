//! The plan of a reduction on a device, without the device.
//!
//! A [`Plan`] says how vectors lie in a device's memory and which dispatches work on them. A [`Reduction`] says which
//! of them come next, takes the sums that have been read back, and solves. Two drivers follow it: `crate::reducer` over
//! wgpu, and `ts/src/gpu/web` over a browser's WebGPU, for which this module is compiled to WebAssembly.

pub mod dispatch;
mod factors;
mod placement;
mod products;
mod reduction;
mod segment_sums;
mod slots;

pub use placement::Plan;
pub use reduction::{OnNonFinite, Reduction, Step};
pub use slots::{How, Part};
