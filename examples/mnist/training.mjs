/**
 * One run: an epoch over this rank's examples by one operator at one learning rate.
 *
 * All operators are used in the same way, so that like is compared with like: each rank takes a step of momentum SGD on
 * its own batch, and the weights become start + op(local weights - start). Momentum SGD is linear in the gradient, so
 * average is exactly momentum SGD on the batch of all ranks, and sum the same with the rate times the number of ranks.
 */
import { createHash } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import * as tf from '@tensorflow/tfjs-core'
import { DistributedOptimizer, broadcastWeights } from 'adasum/tfjs'
import { BATCH_SIZE, CURVE_FRACTIONS, CURVE_IMAGES, MOMENTUM, TEST_IMAGES } from './config.mjs'
import { CLASSES, IMAGE_SIDE, labelsOf, pixelsOf, shuffledIndices } from './data.mjs'
import { lossOf } from './model.mjs'

/** Images a forward pass of the evaluation takes. */
const EVALUATION_BATCH = 500

/** Progress is reported at most this often. */
const REPORT_INTERVAL_MS = 200

/** Weight of the newest loss in the running mean that is shown. */
const LOSS_SMOOTHING = 0.1

/**
 * @typedef {object} Setting
 * @property {import('@tensorflow/tfjs-layers').Sequential} model its weights are where the run starts
 * @property {import('adasum').Communicator} comm a world of one for a process alone
 * @property {import('./data.mjs').Examples} training this rank's examples
 * @property {import('./data.mjs').Examples} test this rank's part of the test images
 * @property {number} testBegin index of the first of them among all test images
 * @property {number} seed
 * @property {(message: object) => void} report
 */

/**
 * @param {Setting} setting
 * @param {{ op: string, learningRate: number }} run
 */
export async function trainRun(setting, { op, learningRate }) {
  const { model, comm, training, report } = setting
  const meter = createMeter(comm)
  await broadcastWeights(model, comm)
  const step = op === 'none' ? plainStep(model, learningRate) : distributedStep(model, learningRate, op, meter)
  const order = shuffledIndices(training.count, setting.seed * 1000 + comm.rank)
  const steps = Math.ceil(training.count / BATCH_SIZE)
  const curveSteps = new Set(CURVE_FRACTIONS.map((fraction) => Math.max(1, Math.round(fraction * steps))))
  const state = { taken: 0, loss: NaN, diverged: false, seconds: 0 }
  const watch = createStopwatch()
  let reportedAt = -Infinity

  await comm.barrier()
  watch.start()
  while (state.taken < steps && !state.diverged) {
    const batch = order.subarray(state.taken * BATCH_SIZE, (state.taken + 1) * BATCH_SIZE)
    const loss = await withBatch(training, batch, step)
    if (loss === undefined) state.diverged = true
    else state.loss = state.taken === 0 ? loss : state.loss + LOSS_SMOOTHING * (loss - state.loss)
    state.taken++
    if (curveSteps.has(state.taken)) {
      watch.stop()
      report({ type: 'point', step: state.taken, accuracy: await curveAccuracy(setting) })
      // After a combination the weights are the same on all ranks, so all of them come to the same answer.
      state.diverged ||= !weightsAreFinite(model)
      watch.start()
    }
    if (performance.now() - reportedAt > REPORT_INTERVAL_MS) {
      reportedAt = performance.now()
      report({ type: 'progress', ...progressOf(state, steps, watch, meter) })
    }
  }
  watch.stop()
  report({ type: 'progress', ...progressOf(state, steps, watch, meter) })
  // A refused update leaves each rank with its own last step: rank 0's weights stand for the run.
  if (state.diverged) await broadcastWeights(model, comm)
  return {
    steps: state.taken,
    diverged: state.diverged,
    loss: state.loss,
    seconds: watch.seconds(),
    ...meter.totals(),
    accuracy: await accuracyOnAll(setting),
    sha256: hashWeights(model),
  }
}

/** A step of this process alone: plain TensorFlow.js, no adasum in it. */
function plainStep(model, learningRate) {
  const optimizer = tf.train.momentum(learningRate, MOMENTUM)
  return async (images, labels) => {
    const loss = optimizer.minimize(() => lossOf(model, images, labels), true)
    const value = loss.dataSync()[0]
    loss.dispose()
    return value
  }
}

/** A step of one rank among several; undefined if its update was not finite, which all ranks learn at once. */
function distributedStep(model, learningRate, op, meter) {
  const inner = tf.train.momentum(learningRate, MOMENTUM)
  const optimizer = new DistributedOptimizer(inner, meter.comm, { op, mode: 'delta', onReduction: meter.onReduction })
  return async (images, labels) => {
    try {
      return await optimizer.minimizeAsync(() => lossOf(model, images, labels))
    } catch (error) {
      if (error.code === 'ERR_NON_FINITE') return undefined
      throw error
    }
  }
}

/** Calls `step` with the batch's tensors and frees them. */
async function withBatch(examples, indices, step) {
  const images = tf.tensor4d(pixelsOf(examples, indices), [indices.length, IMAGE_SIDE, IMAGE_SIDE, 1])
  const labels = tf.tidy(() => {
    const classes = tf.tensor1d(labelsOf(examples, indices), 'int32')
    // Not by oneHot's own dtype argument: the wasm kernel writes integers whatever it is told.
    return tf.cast(tf.oneHot(classes, CLASSES), 'float32')
  })
  try {
    return await step(images, labels)
  } finally {
    tf.dispose([images, labels])
  }
}

/** Accuracy of the shared model on all test images, each rank classifying its part. */
async function accuracyOnAll(setting) {
  const indices = Uint32Array.from({ length: setting.test.count }, (_, i) => i)
  return (await countCorrect(setting, indices)) / TEST_IMAGES
}

/** The same on a fixed sample spread over the whole test set, whose first half is the easier one. */
async function curveAccuracy(setting) {
  const stride = TEST_IMAGES / CURVE_IMAGES
  const all = Uint32Array.from({ length: setting.test.count }, (_, i) => i)
  return (
    (await countCorrect(
      setting,
      all.filter((i) => (i + setting.testBegin) % stride === 0),
    )) / CURVE_IMAGES
  )
}

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

function weightsAreFinite(model) {
  return model.getWeights().every((weight) => weight.dataSync().every(Number.isFinite))
}

/** SHA-256 over the bytes of all weights, in the model's order. */
function hashWeights(model) {
  const hash = createHash('sha256')
  for (const weight of model.getWeights()) {
    const values = weight.dataSync()
    hash.update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
  }
  return hash.digest('hex')
}

function progressOf(state, steps, watch, meter) {
  const { communicationSeconds } = meter.totals()
  return { step: state.taken, steps, loss: state.loss, seconds: watch.seconds(), communicationSeconds }
}

/** The time between start and stop, added up: evaluation is not training. */
function createStopwatch() {
  let sum = 0
  let startedAt = NaN
  const running = () => (Number.isNaN(startedAt) ? 0 : performance.now() - startedAt)
  return {
    start: () => void (startedAt = performance.now()),
    stop: () => {
      sum += running()
      startedAt = NaN
    },
    seconds: () => (sum + running()) / 1000,
  }
}

/**
 * What a run's communication costs and finds: the time of each all-reduce, waiting for the slowest rank included, its
 * bytes, and for Adasum the orthogonality of every weight tensor.
 *
 * @param {import('adasum').Communicator} comm
 */
function createMeter(comm) {
  let milliseconds = 0
  let bytesSent = 0
  /** @type {number[][]} */
  const orthogonality = []
  const allReduce = async (data, options) => {
    const begin = performance.now()
    try {
      return await comm.allReduce(data, options)
    } finally {
      milliseconds += performance.now() - begin
    }
  }
  const { rank, size } = comm
  return {
    /** The communicator with a watch on it, as far as an optimizer needs it. */
    comm: { rank, size, allReduce, broadcast: comm.broadcast.bind(comm), allGather: comm.allGather.bind(comm) },
    onReduction: (reduction) => {
      bytesSent += reduction.bytesSent
      if (reduction.segments[0].orthogonality === undefined) return
      orthogonality.push(reduction.segments.map((segment) => segment.orthogonality))
    },
    totals: () => ({ communicationSeconds: milliseconds / 1000, bytesSent, orthogonality }),
  }
}
