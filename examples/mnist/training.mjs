/**
 * One run: so many steps by one operator at one learning rate, from the weights that the model has.
 *
 * All operators are used in the same way, so that like is compared with like: each of a rank's logical workers computes
 * the gradient of its own batch, the operator combines those of the rank and then those of all ranks, and one momentum
 * SGD takes a step with the result. For numbers that are powers of two that is the operator over all workers at once.
 */
import { performance } from 'node:perf_hooks'
import * as tf from '@tensorflow/tfjs-core'
import { DistributedOptimizer, broadcastWeights } from 'adasum/tfjs'
import { BATCH_SIZE, CURVE_FRACTIONS, MOMENTUM, WORKERS_PER_RANK } from './config.mjs'
import { CLASSES, IMAGE_SIDE, labelsOf, pixelsOf, shuffledIndices } from './data.mjs'
import { accuracyOnAll, curveAccuracy, hashWeights, weightsAreFinite } from './evaluation.mjs'
import { createMeter, createStopwatch } from './meter.mjs'
import { lossOf } from './model.mjs'

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
 * @typedef {object} Trainer
 * @property {number} batchesPerStep of this process
 * @property {(images: tf.Tensor4D, labels: tf.Tensor2D) => Promise<number>} takeBatch returns the loss; the last batch of a
 *   step takes the step
 * @property {() => void} dispose
 */

/**
 * @param {Setting} setting
 * @param {import('./config.mjs').Plan} plan
 * @returns {Promise<import('./records.mjs').Done>}
 */
export async function trainRun(setting, plan) {
  const { model, comm, report } = setting
  const meter = createMeter(comm)
  const watch = createStopwatch()
  const trainer = plan.op === 'none' ? aloneTrainer(model, plan) : rankTrainer(model, plan, meter)
  const state = { step: 0, loss: NaN, diverged: false }
  const reportProgress = () => {
    const { communicationSeconds } = meter.totals()
    report({ type: 'progress', step: state.step, loss: state.loss, seconds: watch.seconds(), communicationSeconds })
  }
  await broadcastWeights(model, comm)
  await comm.barrier()
  watch.start()
  await takeSteps(setting, plan, { trainer, state, watch, reportProgress })
  watch.stop()
  reportProgress()
  trainer.dispose()
  return {
    steps: state.step,
    diverged: state.diverged || !weightsAreFinite(model),
    loss: state.loss,
    seconds: watch.seconds(),
    ...meter.totals(),
    accuracy: await accuracyOnAll(setting),
    sha256: hashWeights(model),
  }
}

/** All steps of a run, or those before the first that is impossible, since a gradient is not finite. */
async function takeSteps(setting, { part, steps }, { trainer, state, watch, reportProgress }) {
  const { training, comm, seed, report } = setting
  const order = shuffledIndices(training.count, seed * 1000 + comm.rank)
  const curveSteps = new Set(part === 'epoch' ? CURVE_FRACTIONS.map((fraction) => Math.ceil(fraction * steps)) : [])
  let reportedAt = -Infinity
  while (state.step < steps) {
    const loss = await takeStep(trainer, training, batchesOf(order, state.step, trainer.batchesPerStep))
    if (loss === undefined) return void (state.diverged = true)
    state.loss = state.step === 0 ? loss : state.loss + LOSS_SMOOTHING * (loss - state.loss)
    state.step++
    if (curveSteps.has(state.step)) {
      watch.stop()
      report({ type: 'point', step: state.step, seconds: watch.seconds(), accuracy: await curveAccuracy(setting) })
      watch.start()
    }
    if (performance.now() - reportedAt > REPORT_INTERVAL_MS) {
      reportedAt = performance.now()
      reportProgress()
    }
  }
}

/** The batches of this process in one step. @param {Uint32Array} order @param {number} step @param {number} count */
function batchesOf(order, step, count) {
  return Array.from({ length: count }, (_, i) => {
    const begin = (step * count + i) * BATCH_SIZE
    return order.subarray(begin, begin + BATCH_SIZE)
  })
}

/**
 * Returns the mean loss of this process's batches; undefined if a gradient was not finite, which all ranks learn at once.
 *
 * @param {Trainer} trainer
 * @param {import('./data.mjs').Examples} examples
 * @param {Uint32Array[]} batches
 */
async function takeStep(trainer, examples, batches) {
  let sum = 0
  try {
    for (const batch of batches) sum += await withBatch(examples, batch, trainer.takeBatch)
  } catch (error) {
    if (error.code === 'ERR_NON_FINITE') return undefined
    throw error
  }
  return sum / batches.length
}

/** One worker in a process alone: plain TensorFlow.js, no adasum in it. @returns {Trainer} */
function aloneTrainer(model, { learningRate }) {
  const optimizer = tf.train.momentum(learningRate, MOMENTUM)
  const takeBatch = async (images, labels) => {
    const loss = optimizer.minimize(() => lossOf(model, images, labels), true)
    const value = loss.dataSync()[0]
    loss.dispose()
    return value
  }
  return { batchesPerStep: 1, takeBatch, dispose: () => optimizer.dispose() }
}

/** One rank among several, whose batches are logical workers. @returns {Trainer} */
function rankTrainer(model, { op, learningRate }, meter) {
  const optimizer = new DistributedOptimizer(tf.train.momentum(learningRate, MOMENTUM), meter.comm, {
    op,
    mode: 'gradient',
    accumulate: WORKERS_PER_RANK,
    accumulateOp: op,
    onNonFinite: 'throw',
    onReduction: meter.onReduction,
  })
  const takeBatch = (images, labels) => optimizer.minimizeAsync(() => lossOf(model, images, labels))
  return { batchesPerStep: WORKERS_PER_RANK, takeBatch, dispose: () => optimizer.dispose() }
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
