/** The models of the studies beside TensorFlow.js, and the probe of frozen ones. */
import * as tf from '@tensorflow/tfjs-core'
import test, { type ExecutionContext } from 'ava'
import { loadAddon } from '../../studies/training/addon.ts'
import { segmentsFor } from '../../studies/training/characters.ts'
import { LENET, RESIDUAL } from '../../studies/training/images-model.ts'
import { heNormal, offsetsOf } from '../../studies/training/model.ts'
import { meansOf, probeAccuracy } from '../../studies/training/probe.ts'
import { normalNumbers, randomNumbers } from '../../studies/training/random.ts'
import { type Segments, type Slope, characterScores, lenetScores, residualScores, slopeOf } from './_tensorflow-models.ts' // prettier-ignore

const WIDTH = 5
const CLASSES = 3

/** Samples whose features are noise and, as far as `signal` goes, their class. */
function samples(count: number, seed: number, signal: number): { features: Float32Array; labels: Int32Array } {
  const [normal, uniform] = [normalNumbers(seed), randomNumbers(seed + 1)]
  const labels = Int32Array.from({ length: count }, () => Math.floor(uniform() * CLASSES))
  const features = Float32Array.from({ length: count * WIDTH }, (_, index) => {
    const [row, column] = [Math.floor(index / WIDTH), index % WIDTH]
    // Features of other sizes and means, which a probe must not mind.
    return 100 * column + 10 ** column * (normal() + signal * Number(column === labels[row]))
  })
  return { features, labels }
}

test('a probe finds what a linear one can, and guesses where there is nothing', (t) => {
  const accuracy = (signal: number): number =>
    probeAccuracy(samples(600, 1, signal), samples(2000, 2, signal), WIDTH, CLASSES)
  t.true(accuracy(20) > 0.999, String(accuracy(20)))
  // The best rule for a signal of 2 is right for 86.6 % (an integral over the normal distribution).
  t.true(Math.abs(accuracy(2) - 0.866) < 0.03, String(accuracy(2)))
  t.true(Math.abs(accuracy(0) - 1 / CLASSES) < 0.04, String(accuracy(0)))
})

test('means are of rows with the same label, in their order, and what fills none is left out', (t) => {
  const labels = Int32Array.of(1, 0, 1, 1, 0, 2, 1, 1)
  const features = Float32Array.from({ length: 16 }, (_, index) => (index % 2 === 0 ? index / 2 : -index))
  t.deepEqual(meansOf({ features, labels }, 2, 2), {
    features: Float32Array.of(2.5, -6, 1, -3, 4.5, -10),
    labels: Int32Array.of(0, 1, 1),
  })
})

const IMAGES = 6
const PIECES = 2
const CHARACTERS = 70

/** Samples that use every part of a model: pixels between 0 and 1, and characters in no order. */
function madeUpSamples(seed: number): {
  images: Float32Array
  labels: Int32Array
  codes: Int32Array
  next: Int32Array
} {
  const uniform = randomNumbers(seed)
  const codes = Int32Array.from({ length: PIECES * 64 }, () => Math.floor(CHARACTERS * uniform()))
  return {
    images: Float32Array.from({ length: IMAGES * 784 }, uniform),
    labels: Int32Array.from({ length: IMAGES }, (_, image) => (3 * image) % 10),
    codes,
    next: codes.map((code) => (7 * code + 1) % CHARACTERS),
  }
}

/** Checks that both slopes are those of one function: within `bound` of the length of the gradient. */
function checkSlopes(t: ExecutionContext, found: Slope, expected: Slope, bound: number): void {
  const length = Math.hypot(...expected.gradient)
  const distance = Math.hypot(...found.gradient.map((value, index) => value - expected.gradient[index]!))
  t.true(length > 0.1, String(length))
  t.true(distance < bound * length, `${distance / length} of the length`)
  t.true(Math.abs(found.loss - expected.loss) < 1e-5, `${found.loss} beside ${expected.loss}`)
}

for (const [name, segments, scoresOf] of [
  ['lenet', LENET, lenetScores],
  ['residual', RESIDUAL, residualScores],
] as const)
  test(`${name}: loss and gradient are those of TensorFlow.js, and classes are told by the highest score`, async (t) => {
    const addon = await loadAddon()
    for (const seed of [1, 2]) {
      const { images, labels } = madeUpSamples(seed)
      const next = normalNumbers(seed)
      // Biases and gammas as training leaves them, too.
      const weights = heNormal(segments, seed).map((weight) => weight + 0.05 * next())
      const gradient = new Float32Array(weights.length).fill(NaN)
      const loss = addon.imageGradient(name, weights, images, labels, gradient)
      const expected = slopeOf(segments, weights, labels, (tensors) => scoresOf(tensors, images))
      checkSlopes(t, { loss, gradient }, expected, 1e-5)
      const judged = addon.judgeImages(name, weights, images, labels, new Float32Array())
      const right = tf.tidy(() => {
        const scores = scoresOf(tensorsOf(segments, weights), images)
        return tf.sum(tf.equal(tf.argMax(scores, 1), tf.tensor1d(labels, 'int32'))).dataSync()[0]
      })
      t.deepEqual(judged, { loss, right: right! })
    }
  })

test('the transformer: loss, gradient and what it predicts from are those of TensorFlow.js', async (t) => {
  const addon = await loadAddon()
  const segments = segmentsFor(CHARACTERS)
  for (const seed of [1, 2]) {
    const { codes, next } = madeUpSamples(seed)
    const normal = normalNumbers(seed)
    const weights = Float32Array.from({ length: offsetsOf(segments).at(-1)! }, () => 0.15 * normal())
    const gradient = new Float32Array(weights.length).fill(NaN)
    const loss = addon.textGradient(CHARACTERS, weights, codes, next, gradient)
    const expected = slopeOf(segments, weights, next, (tensors) => characterScores(tensors, codes))
    checkSlopes(t, { loss, gradient }, expected, 1e-5)
    t.is(addon.judgeText(CHARACTERS, weights, codes, next).loss, loss)
    const features = addon.textFeatures(CHARACTERS, weights, codes)
    const [scores, found] = tf.tidy(() => {
      const tensors = tensorsOf(segments, weights)
      const rows = tf.tensor2d(features, [codes.length, 64])
      return [characterScores(tensors, codes), tf.matMul(rows, tensors.at(-1) as tf.Tensor2D)].map((each) =>
        each.dataSync(),
      )
    })
    t.true(found!.every((value, index) => Math.abs(value - scores![index]!) < 1e-4))
  }
})

test('images are normalized by statistics that are given: those of the batch come to the same', async (t) => {
  const addon = await loadAddon()
  const { images, labels } = madeUpSamples(3)
  const weights = heNormal(RESIDUAL, 3)
  const statistics = addon.imageStatistics(weights, images)
  const own = addon.judgeImages('residual', weights, images, labels, new Float32Array())
  t.deepEqual(addon.judgeImages('residual', weights, images, labels, statistics), own)
  t.notDeepEqual(addon.judgeImages('residual', weights, images, labels, statistics.map((value) => value + 0.1)), own) // prettier-ignore
})

test('a gradient has the same bits each time, and samples that do not fit are told', async (t) => {
  const addon = await loadAddon()
  const { images, labels, codes, next } = madeUpSamples(4)
  const weights = heNormal(LENET, 4)
  const slope = (): Float32Array => {
    const target = new Float32Array(weights.length)
    addon.imageGradient('lenet', weights, images, labels, target)
    return target
  }
  const first = slope()
  addon.imageGradient('lenet', weights, images.subarray(784), labels.subarray(1), new Float32Array(weights.length))
  t.deepEqual(slope(), first)
  const none = new Float32Array()
  t.throws(() => addon.judgeImages('lenet', weights, images.subarray(1), labels, none), { message: /pixels: 4703, not 4704/ }) // prettier-ignore
  t.throws(() => addon.judgeImages('lenet', weights.subarray(1), images, labels, none), { message: /weights: 61705/ })
  t.throws(() => addon.judgeImages('lenet', weights, images, labels.map(() => 10), none), { message: /class: 10, of 10/ }) // prettier-ignore
  t.throws(() => addon.judgeText(CHARACTERS, weights, codes, next), { message: /weights: 61706/ })
})

test('a loss that is not finite is not hidden', async (t) => {
  const addon = await loadAddon()
  const { images, labels } = madeUpSamples(5)
  const weights = heNormal(LENET, 5)
  weights[61_700] = NaN
  const target = new Float32Array(weights.length)
  t.false(Number.isFinite(addon.imageGradient('lenet', weights, images, labels, target)))
})

function tensorsOf(segments: Segments, weights: Float32Array): tf.Tensor[] {
  const offsets = offsetsOf(segments)
  return segments.map(({ shape }, index) => tf.tensor(weights.slice(offsets[index], offsets[index + 1]), shape))
}
