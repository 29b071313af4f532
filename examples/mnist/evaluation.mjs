/** What a model is worth, and which weights it has: what is told of it after training. */
import { createHash } from 'node:crypto'
import * as tf from '@tensorflow/tfjs-core'
import { CURVE_IMAGES, TEST_IMAGES } from './config.mjs'
import { IMAGE_SIDE, labelsOf, pixelsOf } from './data.mjs'

/** @typedef {import('./training.mjs').Setting} Setting */

/** Images that a forward pass takes. */
const EVALUATION_BATCH = 500

/** Accuracy of the shared model on all test images, each rank classifying its part. @param {Setting} setting */
export async function accuracyOnAll(setting) {
  const indices = Uint32Array.from({ length: setting.test.count }, (_, i) => i)
  return (await countCorrect(setting, indices)) / TEST_IMAGES
}

/** The same on a fixed sample spread over the whole test set, whose first half is the easier one. @param {Setting} setting */
export async function curveAccuracy(setting) {
  const stride = TEST_IMAGES / CURVE_IMAGES
  const all = Uint32Array.from({ length: setting.test.count }, (_, i) => i)
  const sample = all.filter((i) => (i + setting.testBegin) % stride === 0)
  return (await countCorrect(setting, sample)) / CURVE_IMAGES
}

/** How many of these images, of all ranks together, the model gets right. @param {Setting} setting @param {Uint32Array} indices */
async function countCorrect({ model, comm, test }, indices) {
  let correct = 0
  for (let begin = 0; begin < indices.length; begin += EVALUATION_BATCH) {
    const batch = indices.subarray(begin, begin + EVALUATION_BATCH)
    const images = tf.tensor4d(pixelsOf(test, batch), [batch.length, IMAGE_SIDE, IMAGE_SIDE, 1])
    const digits = tf.tidy(() => tf.argMax(model.apply(images), -1).dataSync())
    images.dispose()
    labelsOf(test, batch).forEach((label, i) => (correct += label === digits[i] ? 1 : 0))
  }
  const counts = new Float64Array([correct])
  await comm.allReduce(counts, { op: 'sum' })
  return counts[0]
}

/** @param {import('@tensorflow/tfjs-layers').Sequential} model */
export function weightsAreFinite(model) {
  return model.getWeights().every((weight) => weight.dataSync().every(Number.isFinite))
}

/** SHA-256 over the bytes of all weights, in the model's order. @param {import('@tensorflow/tfjs-layers').Sequential} model */
export function hashWeights(model) {
  const hash = createHash('sha256')
  for (const weight of model.getWeights()) {
    const values = weight.dataSync()
    hash.update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
  }
  return hash.digest('hex')
}
