//! What is done on a device, without the device.
//!
//! A plan says how vectors lie in a device's memory and which dispatches work on them; a [`Reduction`] says which of them come
//! next, takes the sums that have been read back, and solves. Two drivers do what they are told: `crate::reducer` over wgpu, and
//! `ts/src/gpu/web` over a browser's WebGPU, to which this module is compiled for WebAssembly.

mod factors;
mod measurement;
mod placement;
mod products;
mod reduction;
pub mod run;
mod slots;

pub use placement::Plan;
pub use reduction::{OnNonFinite, Reduction, Step};
pub use slots::{How, Part};
