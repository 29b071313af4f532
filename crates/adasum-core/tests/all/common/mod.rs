//! Shared by all integration tests: safe calls of the entry points, seeded inputs, the oracle, the tolerances.

#![allow(dead_code, unused_imports, unused_macros, reason = "a benchmark uses a part of it")]

pub mod calls;
pub mod float;
pub mod half;
pub mod inputs;
pub mod oracle;
pub mod ranks;
pub mod tolerance;

use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::sync::OnceLock;

use adasum_core::Engine;
use proptest::test_runner::{Config as ProptestConfig, RngSeed};

/// All engines of this machine. Fails if `ADASUM_REQUIRE_ISA` names one that it does not have; says which there are.
pub fn engines() -> Vec<Engine> {
    static REPORT: OnceLock<()> = OnceLock::new();
    let engines: Vec<_> = Engine::available().collect();
    let names: Vec<_> = engines.iter().map(|engine| engine.isa()).collect();
    if let Ok(required) = std::env::var("ADASUM_REQUIRE_ISA") {
        for isa in required.split(',').filter(|isa| !isa.is_empty()) {
            assert!(names.contains(&isa), "ADASUM_REQUIRE_ISA wants {isa}, this machine has {}", names.join(", "));
        }
    }
    REPORT.get_or_init(|| say(&format!("ISAs covered: {}", names.join(", "))));
    engines
}

/// A line on stderr, at once. Not through a macro: the test harness would swallow it when all is well.
fn say(line: &str) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).ok();
}

/// The seed of this run: printed, and taken from `ADASUM_SEED` to repeat one.
pub fn seed() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    *SEED.get_or_init(|| {
        let chosen = std::env::var("ADASUM_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = chosen.unwrap_or_else(|| RandomState::new().hash_one(0));
        say(&format!("seed of the properties: ADASUM_SEED={seed}"));
        seed
    })
}

/// So many cases of a property, from the run's seed.
pub fn properties(cases: u32) -> ProptestConfig {
    let seed = seed();
    ProptestConfig { cases, rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..ProptestConfig::default() }
}
