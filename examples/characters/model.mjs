/**
 * A small transformer that predicts the next character. Every use of an array uses it up, unless it is taken by `.ref`:
 * that is how jax-js knows when memory is free.
 */
import { nn, numpy as np, random } from '@jax-js/jax'

/** Characters that the model looks back. */
export const CONTEXT = 64
const WIDTH = 64
const HEADS = 4
const LAYERS = 2

/**
 * @typedef {import('@jax-js/jax').Array} Array
 * @typedef {{ attention: Array, output: Array, up: Array, down: Array }} Layer
 * @typedef {{ characters: Array, positions: Array, layers: Layer[], logits: Array }} Params
 */

/**
 * @param {number} characterCount
 * @param {number} seed
 * @returns {Params}
 */
export function makeParams(characterCount, seed) {
  let keys = 0
  /** @param {number[]} shape */
  const normal = (...shape) =>
    random.normal(random.key(1000 * seed + keys++), shape).mul(1 / Math.sqrt(/** @type {number} */ (shape[0])))
  const layers = Array.from({ length: LAYERS }, () => ({
    attention: normal(WIDTH, 3 * WIDTH),
    output: normal(WIDTH, WIDTH),
    up: normal(WIDTH, 4 * WIDTH),
    down: normal(4 * WIDTH, WIDTH),
  }))
  return {
    characters: normal(characterCount, WIDTH),
    positions: normal(CONTEXT, WIDTH),
    layers,
    logits: normal(WIDTH, characterCount),
  }
}

/**
 * The mean of -log p over all next characters. It uses up its arguments.
 *
 * @param {Params} params
 * @param {Array} inputs int32 [batch, CONTEXT]
 * @param {Array} targets int32 [batch, CONTEXT]: in each place the character that follows
 * @returns {Array} a scalar
 */
export function lossOf(params, inputs, targets) {
  const logits = logitsOf(params, inputs)
  const wanted = nn.oneHot(targets, /** @type {number} */ (logits.shape[2]))
  return nn.logSoftmax(logits).mul(wanted).sum(-1).mean().neg()
}

/**
 * @param {Params} params
 * @param {Array} inputs int32 [batch, CONTEXT]
 * @returns {Array} float32 [batch, CONTEXT, characters]
 */
export function logitsOf({ characters, positions, layers, logits }, inputs) {
  let x = np.matmul(nn.oneHot(inputs, /** @type {number} */ (characters.shape[0])), characters).add(positions)
  for (const { attention, output, up, down } of layers) {
    x = x.ref.add(np.matmul(attentionOf(np.matmul(nn.standardize(x, -1), attention)), output))
    x = x.ref.add(np.matmul(nn.gelu(np.matmul(nn.standardize(x, -1), up)), down))
  }
  return np.matmul(nn.standardize(x, -1), logits)
}

/**
 * Each character looks at itself and at those before it. jax-js has `nn.dotProductAttention` for this, which needs
 * Node.js 22.
 *
 * @param {Array} projected [batch, length, 3 * WIDTH]: queries, keys and values
 * @returns {Array} [batch, length, WIDTH]
 */
function attentionOf(projected) {
  const [batch, length] = /** @type {[number, number]} */ (projected.shape)
  const parts = np.split(projected, 3, -1).map((part) => part.reshape([batch, length, HEADS, WIDTH / HEADS]))
  const [queries, keys, values] = /** @type {[Array, Array, Array]} */ (parts)
  const scores = np.matmul(queries.transpose([0, 2, 1, 3]), keys.transpose([0, 2, 3, 1]))
  const isLater = np.triu(np.full([length, length], -1e9), 1)
  const weights = nn.softmax(scores.mul(1 / Math.sqrt(WIDTH / HEADS)).add(isLater), -1)
  return np
    .matmul(weights, values.transpose([0, 2, 1, 3]))
    .transpose([0, 2, 1, 3])
    .reshape([batch, length, WIDTH])
}
