//! Targets of fuzzing. Each takes any bytes and panics if what they stand for is treated wrongly.

mod bytes;
pub mod entry_points;
pub mod gpu_plan;
/// The calls of the tests of adasum-core, here made of bytes.
#[path = "../../adasum-core/tests/all/hostile/session.rs"]
#[expect(clippy::unwrap_used, reason = "as in tests, a table that is made here and refused is a failure")]
mod session;

/// A target: whether what the bytes stand for was accepted.
pub type Target = fn(&[u8]) -> bool;

/// All targets, by the names of their corpora.
pub const TARGETS: [(&str, Target); 2] = [("core", entry_points::run), ("gpu-plan", gpu_plan::run)];
