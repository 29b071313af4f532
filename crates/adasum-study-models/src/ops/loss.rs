//! The loss of classifiers.

use super::attention::softmax;

/// How well scores tell the classes.
pub struct Judgement {
    /// The mean cross-entropy.
    pub loss: f64,
    /// Rows whose highest score is that of their class.
    pub right: u32,
    /// Of the loss, with respect to the scores.
    pub gradient: Vec<f32>,
}

/// Judges scores [rows, classes] by the class of each row. Classes are checked by the caller.
pub fn cross_entropy(scores: &[f32], labels: &[i32]) -> Judgement {
    let classes = scores.len() / labels.len();
    let mut gradient = scores.to_vec();
    let (mut loss, mut right) = (0.0, 0);
    for (row, label) in gradient.chunks_exact_mut(classes).zip(labels) {
        let label = *label as usize;
        right += u32::from(highest_of(row) == label);
        softmax(row);
        // Whoever was given no share at all would be infinitely wrong, where the others are only far.
        loss -= f64::from(row[label].max(f32::MIN_POSITIVE)).ln();
        row[label] -= 1.0;
        row.iter_mut().for_each(|value| *value /= labels.len() as f32);
    }
    // What is not finite stays so, for the caller to see.
    let sum: f32 = scores.iter().map(|score| score * 0.0).sum();
    Judgement { loss: loss / labels.len() as f64 + f64::from(sum), right, gradient }
}

/// The first of equals.
fn highest_of(row: &[f32]) -> usize {
    let mut highest = 0;
    for (index, value) in row.iter().enumerate() {
        if *value > row[highest] {
            highest = index;
        }
    }
    highest
}
