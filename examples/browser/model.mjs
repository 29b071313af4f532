/**
 * Two spirals, and a small network that tells them apart: tanh layers of 2-16-16-1 units, binary cross-entropy, gradients by
 * hand. All weights lie in one Float32Array, a layer after the other, each its matrix and then its biases.
 */

const UNITS = [2, 16, 16, 1]
const TURNS = 1.25
const NOISE = 0.02

/** Elements of each layer: the segments that are combined one by one. */
export const SEGMENTS = UNITS.slice(1).map((outputs, layer) => outputs * (UNITS[layer] + 1))
export const LAYERS = SEGMENTS.map((_, layer) => `layer ${layer + 1}`)

const WEIGHT_COUNT = SEGMENTS.reduce((sum, count) => sum + count, 0)
const BEGINS = SEGMENTS.map((_, layer) => SEGMENTS.slice(0, layer).reduce((sum, count) => sum + count, 0))

/** Mulberry32: equal seeds, equal numbers in [0, 1). */
export function randomOf(seed) {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Points in a square of side 2, in pairs of coordinates, and for each the spiral it lies on, 0 or 1. */
export function makeSpirals(count, random) {
  const [points, labels] = [new Float32Array(2 * count), new Uint8Array(count)]
  for (let i = 0; i < count; i++) {
    const label = i % 2
    const along = Math.sqrt(random())
    const angle = 2 * Math.PI * (TURNS * along + label / 2)
    points[2 * i] = 0.9 * along * Math.cos(angle) + NOISE * (random() - 0.5)
    points[2 * i + 1] = 0.9 * along * Math.sin(angle) + NOISE * (random() - 0.5)
    labels[i] = label
  }
  return { points, labels, count }
}

export function makeWeights(random) {
  const weights = new Float32Array(WEIGHT_COUNT)
  SEGMENTS.forEach((_, layer) => {
    const [inputs, outputs] = [UNITS[layer], UNITS[layer + 1]]
    const range = Math.sqrt(6 / (inputs + outputs)) * (layer === 0 ? 3 : 1)
    for (let i = 0; i < inputs * outputs; i++) weights[BEGINS[layer] + i] = range * (2 * random() - 1)
  })
  return weights
}

/** What every layer gives for one point, the point first; the last is the logit of spiral 1. */
function forward(weights, x, y) {
  const layers = [Float64Array.of(x, y)]
  SEGMENTS.forEach((_, layer) => {
    const [inputs, outputs, begin] = [layers[layer], UNITS[layer + 1], BEGINS[layer]]
    const biases = begin + inputs.length * outputs
    const sums = new Float64Array(outputs)
    for (let o = 0; o < outputs; o++) {
      let sum = weights[biases + o]
      for (let i = 0; i < inputs.length; i++) sum += inputs[i] * weights[begin + i * outputs + o]
      sums[o] = layer === SEGMENTS.length - 1 ? sum : Math.tanh(sum)
    }
    layers.push(sums)
  })
  return layers
}

/** The probability that a point lies on spiral 1. */
export function probabilityOf(weights, x, y) {
  return 1 / (1 + Math.exp(-forward(weights, x, y).at(-1)[0]))
}

/** Mean loss and gradient over the points of these indices: one micro-batch. */
export function lossAndGradient(weights, { points, labels }, indices) {
  const gradient = new Float32Array(WEIGHT_COUNT)
  let loss = 0
  for (const index of indices) {
    const layers = forward(weights, points[2 * index], points[2 * index + 1])
    const [logit] = layers.at(-1)
    const label = labels[index]
    // log(1 + exp(z)) - label * z, without overflow.
    loss += Math.max(logit, 0) + Math.log1p(Math.exp(-Math.abs(logit))) - label * logit
    backward(weights, layers, (1 / (1 + Math.exp(-logit)) - label) / indices.length, gradient)
  }
  return { loss: loss / indices.length, gradient }
}

/** Adds one point's share to the gradient, from the derivative by the logit back to the first layer. */
function backward(weights, layers, slope, gradient) {
  let slopes = Float64Array.of(slope)
  for (let layer = SEGMENTS.length - 1; layer >= 0; layer--) {
    const [inputs, outputs, begin] = [layers[layer], UNITS[layer + 1], BEGINS[layer]]
    const before = new Float64Array(inputs.length)
    for (let o = 0; o < outputs; o++) {
      gradient[begin + inputs.length * outputs + o] += slopes[o]
      for (let i = 0; i < inputs.length; i++) {
        gradient[begin + i * outputs + o] += slopes[o] * inputs[i]
        before[i] += slopes[o] * weights[begin + i * outputs + o]
      }
    }
    slopes = before.map((x, i) => x * (1 - inputs[i] ** 2))
  }
}

/** The share of points whose spiral is classified correctly. */
export function accuracyOf(weights, { points, labels, count }) {
  let right = 0
  for (let i = 0; i < count; i++)
    if (probabilityOf(weights, points[2 * i], points[2 * i + 1]) > 0.5 === (labels[i] === 1)) right++
  return right / count
}
