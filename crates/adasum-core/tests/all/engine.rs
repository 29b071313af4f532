//! Which instruction set runs, and on how many threads.

use adasum_core::{Engine, Error, threads_of};

#[test]
fn an_unknown_isa_is_refused_with_the_known_ones() {
    let error = Engine::chosen_by(Some("sse9".into())).err();
    assert_eq!(error.as_ref().map(Error::code), Some("ERR_ENVIRONMENT"));
    assert!(error.is_some_and(|e| e.message().contains("scalar")));
}

#[test]
fn threads_are_a_number_or_one() {
    assert_eq!(threads_of(None), Ok(1));
    assert_eq!(threads_of(Some("".into())), Ok(1));
    assert_eq!(threads_of(Some("8".into())), Ok(8));
    for wrong in ["0", "65", "-1", "2.5", "two", " 2"] {
        assert_eq!(threads_of(Some(wrong.into())).err().as_ref().map(Error::code), Some("ERR_ENVIRONMENT"), "{wrong}");
    }
}

#[test]
fn every_available_isa_can_be_forced_and_the_last_is_the_default() {
    for engine in Engine::available() {
        assert_eq!(Engine::chosen_by(Some(engine.isa().into())).map(Engine::isa), Ok(engine.isa()));
    }
    let fastest = Engine::available().last().map(Engine::isa);
    assert_eq!(Engine::chosen_by(None).map(Engine::isa).ok(), fastest);
    assert_eq!(Engine::chosen_by(Some("".into())).map(Engine::isa).ok(), fastest);
}
