/** The models of the studies that are this repository's own, and the probe of frozen ones. */
import '@tensorflow/tfjs-backend-cpu'
// Registers gradients.
import '@tensorflow/tfjs-layers'
import * as tf from '@tensorflow/tfjs-core'
import test from 'ava'
import { registerShortReluGradient } from '../../studies/training/backend.ts'
import { meansOf, probeAccuracy } from '../../studies/training/probe.ts'
import { normalNumbers, randomNumbers } from '../../studies/training/random.ts'
import { makeResidual } from '../../studies/training/residual.ts'

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

test.serial('the residual network: its gradient is the slope of its loss, batch norm included', async (t) => {
  await tf.setBackend('cpu')
  const model = await makeResidual('mnist')
  const weights = await model.initial(1)
  t.is(weights.length, model.elementCount)
  const indices = Uint32Array.from({ length: 8 }, (_, index) => index)
  const [gradient, unused] = [new Float32Array(weights.length), new Float32Array(weights.length)]
  model.load(weights)
  await model.gradient(indices, gradient)
  const length = Math.hypot(...gradient.map((value) => value))
  t.true(length > 0.1, String(length))
  const next = normalNumbers(3)
  for (let direction = 0; direction < 3; direction++) {
    const along = Float32Array.from(weights, () => next() / Math.sqrt(weights.length))
    const lossAt = async (step: number): Promise<number> => {
      model.load(weights.map((weight, index) => weight + step * along[index]!))
      return model.gradient(indices, unused)
    }
    const step = 2e-3
    const slope = ((await lossAt(step)) - (await lossAt(-step))) / (2 * step)
    const expected = gradient.reduce((sum, value, index) => sum + value * along[index]!, 0)
    t.true(Math.abs(slope - expected) < 0.02 * length, `${slope} beside ${expected}`)
  }
})

test.serial('the short gradient of a rectifier is that of TensorFlow.js, to the bit', async (t) => {
  await tf.setBackend('cpu')
  const next = normalNumbers(5)
  const x = tf.tensor1d(Float32Array.from({ length: 1000 }, (_, index) => (index % 10 === 0 ? 0 : next())))
  const dy = tf.tensor1d(Float32Array.from({ length: 1000 }, () => next()))
  const gradient = (): Float32Array =>
    tf
      .grad((input) => tf.relu(input))(x, dy)
      .dataSync<'float32'>()
  const stock = gradient()
  registerShortReluGradient(tf)
  t.deepEqual(gradient(), stock)
  t.is(stock.filter((value) => value === 0).length > 400, true)
})
