//! The entry points of adasum-core, on every instruction set of this machine.

use adasum_core::Engine;

use crate::bytes::Bytes;
use crate::session::{Arena, Arguments, Call, Choices, Session};

/// One argument in so many is spoilt.
const ONE_IN: usize = 8;

type Calls<'a> = [(&'static str, fn(&mut Session<Bytes<'a>>) -> Call); 10];

/// One call, as the first byte says.
///
/// # Panics
/// If an instruction set does not refuse, or accept, what the others do; as [`Session::attempt`] does.
pub fn run(data: &[u8]) -> bool {
    let calls: Calls = [
        ("reduce", Session::reduce),
        ("gram", Session::gram),
        ("refine", Session::refine),
        ("combine", Session::combine),
        ("fold", Session::fold),
        ("quantize", Session::quantize),
        ("dequantize", Session::dequantize),
        ("step", Session::step),
        ("orthogonalize", Session::orthogonalize),
        ("tables", Session::tables),
    ];
    let mut bytes = Bytes(data);
    let &(name, call) = bytes.pick(&calls);
    let accepted: Vec<bool> = Engine::available()
        .map(|engine| {
            let arguments = Arguments::new(Bytes(bytes.0), ONE_IN);
            Session::new(engine, arguments, Arena::new(words())).attempt(call, name)
        })
        .collect();
    assert!(accepted.iter().all(|&one| one == accepted[0]), "{name}: {accepted:?} on the instruction sets");
    accepted[0]
}

/// The same memory for every input: numbers of moderate size, in f32 as well as in f64.
fn words() -> impl FnMut() -> u64 {
    let mut state = 0_u64;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 8) & 0x3fff_ffff_3fff_ffff | 0x2000_0000_2000_0000
    }
}
