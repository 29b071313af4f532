//! A transformer that predicts the next character: 64 wide, two layers of four heads, 64 characters to look back, each block
//! behind a normalization without weights.

use crate::ops::Attention;
use crate::tape::{Id, Segments, Tape};

/// Characters of a piece.
pub const CONTEXT: usize = 64;
const WIDTH: usize = 64;
const LAYERS: usize = 2;
const SHAPE: Attention = Attention { context: CONTEXT, width: WIDTH, heads: 4 };

/// Weights for so many different characters.
pub fn weight_count(characters: usize) -> usize {
    WIDTH * (2 * characters + CONTEXT + LAYERS * 12 * WIDTH)
}

/// What the model makes of each character before it predicts, [rows, 64], and its scores [rows, characters].
pub fn features_and_scores(tape: &mut Tape<'_>, codes: &[i32], characters: usize) -> (Id, Id) {
    let mut segments = Segments::new();
    let (table, positions) = (segments.take(characters * WIDTH), segments.take(CONTEXT * WIDTH));
    let mut x = tape.embedding(codes, table, positions, WIDTH);
    for _ in 0..LAYERS {
        let normalized = tape.standardize(x, WIDTH);
        let projected = tape.product(normalized, segments.take(3 * WIDTH * WIDTH), 3 * WIDTH);
        let attended = tape.attention(projected, SHAPE);
        let out = tape.product(attended, segments.take(WIDTH * WIDTH), WIDTH);
        x = tape.add(x, out);
        let normalized = tape.standardize(x, WIDTH);
        let up = tape.product(normalized, segments.take(4 * WIDTH * WIDTH), 4 * WIDTH);
        let bent = tape.gelu(up);
        let down = tape.product(bent, segments.take(4 * WIDTH * WIDTH), WIDTH);
        x = tape.add(x, down);
    }
    let features = tape.standardize(x, WIDTH);
    (features, tape.product(features, segments.take(WIDTH * characters), characters))
}
