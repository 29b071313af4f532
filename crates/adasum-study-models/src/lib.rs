//! The models that the studies train, for a process of Node.js: losses and gradients on one core, by reverse-mode
//! differentiation over the few operations that they take.
//!
//! Studies compare what is done with gradients, and train small models many thousand times. Here a gradient has the same
//! bits whatever else is computed, and takes a fraction of the time that a framework needs for so little arithmetic.

mod math;
mod matrix;
mod models;
mod ops;
mod tape;

use napi::bindgen_prelude::{Float32Array, Int32Array};
use napi::{Error, Result};
use napi_derive::napi;

use models::{characters, lenet, residual};
use ops::{Statistics, cross_entropy};
use tape::{Id, Tape};

const PIXELS: usize = 28 * 28;
const CLASSES: usize = 10;
const LENET_WEIGHTS: usize = 61_706;
const RESIDUAL_WEIGHTS: usize = 9_794;

/// How well a model does on some samples.
#[napi(object)]
pub struct Judged {
    /// The mean cross-entropy.
    pub loss: f64,
    /// How many were told rightly.
    pub right: u32,
}

/// Scores on the tape, judged by labels.
fn judge(tape: &Tape<'_>, scores: Id, labels: &[i32], target: Option<&mut [f32]>) -> Judged {
    let judgement = cross_entropy(tape.value(scores), labels);
    if let Some(target) = target {
        tape.gradient_into(scores, judgement.gradient, target);
    }
    Judged { loss: judgement.loss, right: judgement.right }
}

/// Fails unless two numbers are equal.
fn same(what: &str, found: usize, expected: usize) -> Result<()> {
    if found == expected { Ok(()) } else { Err(Error::from_reason(format!("{what}: {found}, not {expected}"))) }
}

fn within(what: &str, codes: &[i32], count: usize) -> Result<()> {
    match codes.iter().find(|code| usize::try_from(**code).map_or(true, |code| code >= count)) {
        Some(code) => Err(Error::from_reason(format!("{what}: {code}, of {count}"))),
        None => Ok(()),
    }
}

/// The model of a name on images; a residual network is told statistics to normalize by, or none.
fn image_scores(tape: &mut Tape<'_>, model: &str, images: &[f32], statistics: &[f32]) -> Result<(Id, Vec<Statistics>)> {
    let expected = match model {
        "lenet" => LENET_WEIGHTS,
        "residual" => RESIDUAL_WEIGHTS,
        _ => return Err(Error::from_reason(format!("there is no model {model} of images"))),
    };
    same("weights", tape.weights.len(), expected)?;
    if model == "lenet" {
        return Ok((lenet::scores(tape, images), Vec::new()));
    }
    if !statistics.is_empty() {
        same("statistics", statistics.len(), 2 * residual::CHANNEL_COUNT)?;
    }
    Ok(residual::scores(tape, images, &residual::unpacked(statistics)))
}

/// The mean loss of images [labels, 28, 28] and its gradient, which is written.
#[napi]
pub fn image_gradient(
    model: String,
    weights: Float32Array,
    images: Float32Array,
    labels: Int32Array,
    mut gradient: Float32Array,
) -> Result<f64> {
    same("pixels", images.len(), labels.len() * PIXELS)?;
    same("elements of the gradient", gradient.len(), weights.len())?;
    within("class", &labels, CLASSES)?;
    let mut tape = Tape::new(&weights);
    let (scores, _) = image_scores(&mut tape, &model, &images, &[])?;
    // SAFETY: JavaScript waits for this call, and no other argument is this array.
    Ok(judge(&tape, scores, &labels, Some(unsafe { gradient.as_mut() })).loss)
}

/// How well a model tells images.
#[napi]
pub fn judge_images(
    model: String,
    weights: Float32Array,
    images: Float32Array,
    labels: Int32Array,
    statistics: Float32Array,
) -> Result<Judged> {
    same("pixels", images.len(), labels.len() * PIXELS)?;
    within("class", &labels, CLASSES)?;
    let mut tape = Tape::new(&weights);
    let (scores, _) = image_scores(&mut tape, &model, &images, &statistics)?;
    Ok(judge(&tape, scores, &labels, None))
}

/// The statistics of a batch of images in a residual network: means and variances, one convolution after the other.
#[napi]
pub fn image_statistics(weights: Float32Array, images: Float32Array) -> Result<Float32Array> {
    let mut tape = Tape::new(&weights);
    let (_, statistics) = image_scores(&mut tape, "residual", &images, &[])?;
    let packed: Vec<f32> = statistics.into_iter().flat_map(|each| [each.means, each.variances].concat()).collect();
    Ok(Float32Array::new(packed))
}

/// The transformer on pieces of text [pieces, 64].
fn text_values(tape: &mut Tape<'_>, codes: &[i32], character_count: u32) -> Result<(Id, Id)> {
    let characters = character_count as usize;
    same("weights", tape.weights.len(), characters::weight_count(characters))?;
    same("characters beyond whole pieces", codes.len() % characters::CONTEXT, 0)?;
    within("character", codes, characters)?;
    Ok(characters::features_and_scores(tape, codes, characters))
}

/// The mean loss of characters that follow others, and its gradient, which is written.
#[napi]
pub fn text_gradient(
    character_count: u32,
    weights: Float32Array,
    codes: Int32Array,
    targets: Int32Array,
    mut gradient: Float32Array,
) -> Result<f64> {
    same("targets", targets.len(), codes.len())?;
    same("elements of the gradient", gradient.len(), weights.len())?;
    within("character", &targets, character_count as usize)?;
    let mut tape = Tape::new(&weights);
    let (_, scores) = text_values(&mut tape, &codes, character_count)?;
    // SAFETY: JavaScript waits for this call, and no other argument is this array.
    Ok(judge(&tape, scores, &targets, Some(unsafe { gradient.as_mut() })).loss)
}

/// How well the transformer tells which characters follow.
#[napi]
pub fn judge_text(
    character_count: u32,
    weights: Float32Array,
    codes: Int32Array,
    targets: Int32Array,
) -> Result<Judged> {
    same("targets", targets.len(), codes.len())?;
    within("character", &targets, character_count as usize)?;
    let mut tape = Tape::new(&weights);
    let (_, scores) = text_values(&mut tape, &codes, character_count)?;
    Ok(judge(&tape, scores, &targets, None))
}

/// What the transformer makes of characters before it predicts: [characters, 64].
#[napi]
pub fn text_features(character_count: u32, weights: Float32Array, codes: Int32Array) -> Result<Float32Array> {
    let mut tape = Tape::new(&weights);
    let (features, _) = text_values(&mut tape, &codes, character_count)?;
    Ok(Float32Array::new(tape.value(features).to_vec()))
}
