//! All integration tests that need no device, in one program: each of its own would compile every kernel again.

#![expect(clippy::unwrap_used, reason = "a refusal is a failure here")]

#[path = "../../../adasum-core/tests/all/common/mod.rs"]
mod common;
#[path = "../twin/mod.rs"]
mod twin;

mod plan;
mod shaders;
mod twins;
