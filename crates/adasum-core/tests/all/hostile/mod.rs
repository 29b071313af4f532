//! Arguments that nobody would pass on purpose.

mod session;

use crate::common::inputs::Random;
use crate::common::{engines, seed};
use adasum_core::Engine;
use session::{Arena, Arguments, Call, Choices, Session};
pub use session::{RESULT_DTYPES, element_bytes};

const CALLS: usize = 20_000;

impl Choices for Random {
    fn next(&mut self) -> u64 {
        Random::next(self)
    }

    fn below(&mut self, end: usize) -> usize {
        Random::below(self, end)
    }
}

/// Returns how many calls were accepted.
fn attack(engine: Engine, one_in: usize, call: fn(&mut Session<Random>) -> Call) -> usize {
    let mut random = Random::new(seed());
    let arena = Arena::new(|| random.next());
    let mut session = Session::new(engine, Arguments::new(random, one_in), arena);
    let calls = CALLS / engines().len();
    (0..calls).filter(|index| session.attempt(call, &format!("call {index}, seed {}", seed()))).count()
}

fn attack_all(call: fn(&mut Session<Random>) -> Call) {
    for engine in engines() {
        // A test in which nothing, or everything, is accepted tests nothing.
        let (mild, wild) = (attack(engine, 40, call), attack(engine, 4, call));
        assert!(mild > 200, "only {mild} calls were accepted");
        assert!(wild < CALLS / 4, "{wild} calls with spoilt arguments were accepted");
    }
}

#[test]
fn reduce_survives() {
    attack_all(Session::reduce);
}

#[test]
fn gram_survives() {
    attack_all(Session::gram);
}

#[test]
fn refine_survives() {
    attack_all(Session::refine);
}

#[test]
fn combine_survives() {
    attack_all(Session::combine);
}

#[test]
fn fold_survives() {
    attack_all(Session::fold);
}

#[test]
fn quantize_survives() {
    attack_all(Session::quantize);
}

#[test]
fn dequantize_survives() {
    attack_all(Session::dequantize);
}

#[test]
fn step_survives() {
    attack_all(Session::step);
}

#[test]
fn orthogonalize_survives() {
    attack_all(Session::orthogonalize);
}

#[test]
fn tables_survive() {
    attack_all(Session::tables);
}
