//! adasum's reduction on a GPU.
//!
//! The steps are those of [`adasum_core`]: gram, coefficients, combine. Gram and combine run on the device, over
//! vectors that stay there; the host adds a few thousand partial sums in f64 and solves for the coefficients. WGSL has
//! no f64, so sums are kept as pairs of f32 that lose no more than f64 does (`shaders/shared/pair.wgsl`), and results
//! differ from the CPU's by the last rounding at most, not in every bit: see docs/gpu.md.
//!
//! | module | holds |
//! |---|---|
//! | [`shader`] | the typed table of shaders, and the making of their text from `shaders/` |
//! | [`layout`] | the layout of vectors on a device, and how they are cut into windows, chunks and batches |
//! | [`plan`] | which dispatches work on which buffers, and a reduction as a sequence of steps: all but the device |
//! | [`self_test`] | which arithmetic keeps exact sums on a device |
//! | [`Gpu`] | an open device: limits, pipelines, failures; `open` chooses its adapter and its arithmetic |
//! | [`GpuReducer`] | slots on a device, and their reduction |
//!
//! The feature `device` adds the wgpu device. `adasum-gpu-wasm` consists of the rest, for the device that a browser
//! has.

pub mod error;
pub mod layout;
pub mod plan;
pub mod scaling;
pub mod self_test;
pub mod shader;
pub mod solve;

pub use error::{Error, Result};

#[cfg(feature = "device")]
mod adapter;
#[cfg(feature = "device")]
mod dispatch;
#[cfg(feature = "device")]
mod gpu;
#[cfg(feature = "device")]
mod open;
#[cfg(feature = "device")]
mod partials;
#[cfg(feature = "device")]
mod reducer;

#[cfg(feature = "device")]
pub use adapter::{AdapterSummary, adapters};
#[cfg(feature = "device")]
pub use gpu::Gpu;
#[cfg(feature = "device")]
pub use open::Options;
#[cfg(feature = "device")]
pub use plan::OnNonFinite;
#[cfg(feature = "device")]
pub use reducer::{GpuReducer, Reduction, time_copy};
