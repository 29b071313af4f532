// What two ranks must come to: plain TensorFlow.js trains for both of them on its cpu backend, and the operator is computed
// here in double precision.

import * as tf from '@tensorflow/tfjs-node'

/** Samples of a rank. @typedef {{ x: Values, y: Values }} Shard */
/** @typedef {{ values: Float32Array | Int32Array, shape: number[] }} Values */
/** A training, the same one in each of the two ways. @typedef {object} Training
 * @property {() => import('@tensorflow/tfjs-layers').LayersModel} make compiled
 * @property {(rank: number) => Shard} shardOf
 * @property {number} batchSize
 * @property {number} epochs
 */

/** Numbers between -1 and 1. @param {number} length @param {number} seed */
export function numbers(length, seed) {
  let state = 2463534242 + seed * 7919
  const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32
  return Float32Array.from({ length }, () => 2 * next() - 1)
}

/** @param {number[]} shape @param {number} count numbers from 0 to it @param {number} seed */
export function integers(shape, count, seed) {
  const length = shape.reduce((a, b) => a * b)
  return { shape, values: Int32Array.from(numbers(length, seed), (value) => Math.floor(((value + 1) / 2) * count)) }
}

/** @param {number[]} shape @param {number} seed */
export function floats(shape, seed) {
  return { shape, values: numbers(shape.reduce((a, b) => a * b), seed) } // prettier-ignore
}

/** @param {Values} values */
export const tensorOf = ({ values, shape }) =>
  tf.tensor(values.slice(), shape, values instanceof Int32Array ? 'int32' : 'float32')

/** Weights of a model from a seed, on every backend the same. @param {import('@tensorflow/tfjs-layers').LayersModel} model @param {number} seed */
export function initialize(model, seed) {
  model.trainableWeights.forEach((weight, index) => {
    const { values, shape } = floats(/** @type {number[]} */ (weight.shape), 100 * seed + index)
    write(weight, values.map((value) => value / 2)) // prettier-ignore
    return shape
  })
}

/** @param {{ read(): tf.Tensor }} weight */
const read = (weight) => Float64Array.from(weight.read().dataSync())

/** @param {{ read(): tf.Tensor }} weight @param {ArrayLike<number>} values */
function write(weight, values) {
  const variable = /** @type {tf.Variable} */ (weight.read())
  tf.tidy(() => variable.assign(tf.tensor(Float32Array.from(values), variable.shape)))
}

/** All weights of a model, one behind the other. @param {import('@tensorflow/tfjs-layers').LayersModel} model */
export const weightsOf = (model) => Float64Array.from(model.weights.flatMap((weight) => [...read(weight)]))

/** @param {ArrayLike<number>} a @param {ArrayLike<number>} b */
const dot = (a, b) => Array.from(a).reduce((sum, value, index) => sum + value * (b[index] ?? NaN), 0)

/** Adasum of two vectors, from its definition. @param {Float64Array} a @param {Float64Array} b */
function adasumOfTwo(a, b) {
  const [ab, aa, bb] = [dot(a, b), dot(a, a), dot(b, b)]
  const [ofA, ofB] = [aa > 0 ? 1 - ab / (2 * aa) : 1, bb > 0 ? 1 - ab / (2 * bb) : 1]
  return a.map((value, index) => ofA * value + ofB * (b[index] ?? NaN))
}

/**
 * @param {Training} training
 * @param {number} seed of the weights of rank 0, with which all begin
 * @returns {Promise<Float64Array>} the weights at the end, after an exchange at every batch
 */
export async function trainedByTwo({ make, shardOf, batchSize, epochs }, seed) {
  tf.setBackend('cpu')
  const ranks = [0, 1].map((rank) => {
    const [model, { x, y }] = [make(), shardOf(rank)]
    initialize(model, seed)
    return { model, x: tensorOf(x), y: tensorOf(y) }
  })
  const models = ranks.map(({ model }) => model)
  const batches = (ranks[0]?.x.shape[0] ?? 0) / batchSize
  for (let step = 0; step < epochs * batches; step++) {
    const start = models[0]?.trainableWeights.map(read) ?? []
    for (const { model, x, y } of ranks) {
      const [first, count] = [(step % batches) * batchSize, batchSize]
      await model.trainOnBatch(tf.slice(x, first, count), tf.slice(y, first, count))
    }
    combine(models, start)
    if ((step + 1) % batches === 0) averageOthers(models)
  }
  const result = weightsOf(models[0])
  tf.setBackend('tensorflow')
  return result
}

/** start + op(local - start), a weight after the other. @param {readonly any[]} models @param {readonly Float64Array[]} start */
function combine(models, start) {
  for (const [index, from] of start.entries()) {
    const [a, b] = models.map((model) => read(model.trainableWeights[index]).map((value, i) => value - from[i]))
    const combined = adasumOfTwo(a, b)
    for (const model of models) write(model.trainableWeights[index], from.map((value, i) => value + combined[i])) // prettier-ignore
  }
}

/** What is not trained, such as statistics of batches. @param {readonly any[]} models */
function averageOthers(models) {
  for (const index of models[0].nonTrainableWeights.keys()) {
    const [a, b] = models.map((model) => read(model.nonTrainableWeights[index]))
    for (const model of models) write(model.nonTrainableWeights[index], a.map((value, i) => (value + b[i]) / 2)) // prettier-ignore
  }
}

/** |found - want| / |want| @param {Float64Array} found @param {Float64Array} want */
export function relativeError(found, want) {
  const difference = found.map((value, index) => value - want[index])
  return found.length === want.length ? Math.sqrt(dot(difference, difference) / dot(want, want)) : NaN
}
