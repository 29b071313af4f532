//! Slots on a device, and their reduction.
//!
//! A reducer has k slots for vectors of one layout. They stay on the device: the host writes or accumulates into them,
//! reduces as often as it likes, and reads the result. All memory but small tables is made once, when the reducer is.
//!
//! ```text
//! write, accumulate -> slabs -> gram -> partial sums -> host: f64, coefficients -> combine -> results -> read
//! ```

mod combination;
mod gpu_reducer;
mod reduction;
mod results;
mod slots;
mod timing;

pub use gpu_reducer::GpuReducer;
pub use reduction::Reduction;
pub use timing::time_copy;
