//! All integration tests in one program: each of its own would compile every kernel again, and their tests would not run side by
//! side.

#![expect(clippy::unwrap_used, reason = "a refusal is a failure here")]

mod common;
/// Private to the crate; its tests stand beside what they test.
#[path = "../../src/entry/threads.rs"]
#[allow(dead_code, reason = "the tests use a part of it")]
mod split;

use adasum_core::blocks;

mod canonical;
mod engine;
mod fold;
mod golden;
mod half;
mod hostile;
mod identities;
mod oracle;
mod orthogonalize;
mod pair_rules;
mod properties;
mod quantize;
mod refinement;
mod result_dtypes;
mod step;
mod streaming;
mod threads;
