//! Every input of the corpora, and some that are made up.

use adasum_fuzz::TARGETS;

const MADE_UP: u64 = 2000;

/// SplitMix64.
fn random(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[test]
#[expect(clippy::expect_used, reason = "a corpus that is not there is a failure")]
fn nothing_of_the_corpora_breaks_anything() {
    for (name, run) in TARGETS {
        let folder = format!("{}/../../test/fuzz/corpus/{name}", env!("CARGO_MANIFEST_DIR"));
        let files = std::fs::read_dir(&folder).expect("every target has a corpus");
        let inputs: Vec<Vec<u8>> = files
            .map(|file| std::fs::read(file.expect("a file of the corpus").path()).expect("it can be read"))
            .collect();
        assert!(!inputs.is_empty(), "{folder} is empty");
        for input in &inputs {
            run(input);
        }
    }
}

/// Were all refused, or all accepted, they would test nothing.
#[test]
fn made_up_inputs_are_accepted_and_refused() {
    for (name, run) in TARGETS {
        let mut random = random(7);
        let accepted = (0..MADE_UP)
            .filter(|_| {
                let length = random() % 60;
                let input: Vec<u8> = (0..length).map(|_| random() as u8).collect();
                run(&input)
            })
            .count() as u64;
        assert!(accepted > MADE_UP / 100 && accepted < MADE_UP * 99 / 100, "{name}: {accepted} of {MADE_UP}");
    }
}
