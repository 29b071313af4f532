// What each of two ranks runs on @tensorflow/tfjs-node, which is no dependency of the package: models that the other backends
// train slowly or not at all, and what only this one has. Run by scripts/test-tfjs-node.mjs under `adasum run`. A rank
// that finds a mistake ends all; otherwise rank 0 prints.

import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as core from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-node'
import { connect } from 'adasum'
import { averageNonTrainableWeights, broadcastWeights, distribute, DistributedOptimizer, registerTrainingKernels } from 'adasum/tfjs' // prettier-ignore
import { convolutions, functional, sentences, small } from './_models.mjs'
import { initialize, relativeError, tensorOf, trainedByTwo, weightsOf } from './_reference.mjs'

const SEED = 7
/** What the arithmetic of two backends may differ by, after some steps. */
const TOLERANCE = 1e-5

const comm = await connect({ timeoutMs: 120_000 })

/** @param {string} title @param {() => Promise<void>} body */
async function test(title, body) {
  try {
    await body()
  } catch (error) {
    console.log(`not ok - ${title}\n${error instanceof Error ? error.stack : error}`)
    process.exit(1)
  }
  await comm.barrier()
  if (comm.rank === 0) console.log(`ok - ${title}`)
}

/** A model with weights of this rank's own, and its shard. @param {import('./_reference.mjs').Training} training */
function begin({ make, shardOf, epochs, batchSize }) {
  const [model, { x, y }] = [make(), shardOf(comm.rank)]
  initialize(model, SEED + comm.rank)
  return { model, x: tensorOf(x), y: tensorOf(y), args: { epochs, batchSize, shuffle: false, verbose: 0 } }
}

/** @param {import('@tensorflow/tfjs-layers').LayersModel} model @param {Float64Array} want */
async function checkWeights(model, want) {
  const found = weightsOf(model)
  const error = relativeError(found, want)
  assert.ok(error < TOLERANCE, `the weights are off by ${error}`)
  const all = await comm.allGather(found)
  assert.deepEqual(all.subarray(0, found.length), all.subarray(found.length), 'the ranks have different weights')
}

const ours = (/** @type {any} */ model) => distribute(model, comm, { op: 'adasum' })

await test('the backend is that of tfjs-node, and finds the tfjs-core that adasum/tfjs finds', async () => {
  assert.equal(tf.getBackend(), 'tensorflow')
  assert.equal(core.engine(), tf.engine())
})

await test('registerTrainingKernels leaves its kernels alone', async () => {
  const kernels = () => tf.getKernelsForBackend('tensorflow').map(({ kernelFunc }) => kernelFunc)
  const before = kernels()
  registerTrainingKernels()
  assert.deepEqual(kernels(), before)
  assert.ok(before.length > 100)
})

for (const [title, training] of Object.entries({
  'a CNN with batch normalisation': convolutions,
  'an LSTM with embedding of int32': sentences,
})) {
  // prettier-ignore
  await test(`${title}: fit on two ranks is what plain TensorFlow.js and Adasum come to`, async () => {
    const want = await trainedByTwo(training, SEED)
    const { model, x, y, args } = begin(training)
    await model.fit(x, y, { ...args, callbacks: ours(model) })
    await checkWeights(model, want)
  })
}

await test('an LSTM in a loop of its own, on int32 inputs: the ranks stay equal, and the loss falls', async () => {
  const { model, x, y } = begin(sentences)
  const optimizer = new DistributedOptimizer(tf.train.adam(0.02), comm, { op: 'adasum', localSteps: 2 })
  await broadcastWeights(model, comm)
  const truth = tf.oneHot(tf.cast(tf.reshape(y, [-1]), 'int32'), 3)
  const lossOf = () => tf.losses.softmaxCrossEntropy(truth, tf.log(/** @type {tf.Tensor} */ (model.apply(x))))
  const losses = []
  for (let step = 0; step < 40; step++) losses.push(await optimizer.minimizeAsync(lossOf))
  await optimizer.flush()
  assert.ok(losses[39] < losses[0] / 2, `${losses[0]}, and then ${losses[39]}`)
  await checkWeights(model, weightsOf(model))
})

await test('weights of int32 are rank 0’s, those of float32 averages', async () => {
  const variables = [
    tf.variable(tf.tensor1d([comm.rank, 10], 'int32'), false),
    tf.variable(tf.tensor1d([comm.rank, 10]), false),
  ]
  const model = { weights: variables.map(own), trainableWeights: [], nonTrainableWeights: variables.map(own) }
  await averageNonTrainableWeights(model, comm)
  assert.deepEqual(variables.map((variable) => [...variable.dataSync()]), [[0, 10], [0.5, 10]]) // prettier-ignore
  assert.deepEqual(variables.map(({ dtype }) => dtype), ['int32', 'float32']) // prettier-ignore
})

/** @param {tf.Variable} variable */
function own(variable) {
  return { read: () => variable }
}

await test('fitDataset over tf.data', async () => {
  const want = await trainedByTwo(small, SEED)
  const { model, x, y, args } = begin(small)
  const rows = (/** @type {tf.Tensor} */ tensor) => tf.data.array(/** @type {number[][]} */ (tensor.arraySync()))
  const dataset = tf.data.zip({ xs: rows(x), ys: rows(y) }).batch(args.batchSize)
  const { history } = await model.fitDataset(dataset, { epochs: args.epochs, verbose: 0, callbacks: ours(model) })
  assert.equal(history.loss.length, args.epochs)
  await checkWeights(model, want)
})

/** Events that TensorBoard reads have numbers as f32. @param {string} folder @param {number} value */
function isLogged(folder, value) {
  const place = join(folder, 'train')
  const bytes = Buffer.from(Float32Array.of(value).buffer)
  return readdirSync(place).some((name) => readFileSync(join(place, name)).includes(bytes))
}

/** @typedef {(logs: any, distributed: any) => any[]} Order */
/** @type {Record<string, Order>} */
const ORDERS = {
  'behind distribute': (logs, distributed) => [distributed, ...logs],
  'before distribute': (logs, distributed) => [...logs, distributed],
  'beside distribute as a CustomCallback': (logs, distributed) => [new tf.CustomCallback(distributed), ...logs],
  'behind distribute and a plain object': (logs, distributed) => [{ onEpochEnd: () => {} }, distributed, ...logs],
}

for (const [title, training] of Object.entries({ sequential: small, 'not sequential': functional })) {
  for (const [name, order] of Object.entries(ORDERS)) {
    await test(`tensorBoard on rank 0, ${name}, of a model that is ${title}`, async () => {
      const want = await trainedByTwo(training, SEED)
      const { model, x, y, args } = begin(training)
      const folder = mkdtempSync(join(tmpdir(), 'adasum-tensorboard-'))
      try {
        const logs = comm.rank === 0 ? [tf.node.tensorBoard(folder, { histogramFreq: 1 })] : []
        const callbacks = order(logs, ours(model))
        const { history } = await model.fit(x, y, { ...args, callbacks })
        await checkWeights(model, want)
        // Those before distribute see the numbers of their own rank.
        const isAverage = name !== 'before distribute'
        if (comm.rank === 0) assert.deepEqual(history.loss.map((loss) => isLogged(folder, loss)), Array(args.epochs).fill(isAverage)) // prettier-ignore
      } finally {
        rmSync(folder, { recursive: true })
      }
    })
  }
}

await test('tensorBoard in a list that comes too late is an error that says so', async () => {
  const { model, x, y, args } = begin(functional)
  const logs = () => tf.node.tensorBoard(join(tmpdir(), 'adasum-never'))
  const fit = model.fit(x, y, { ...args, callbacks: [ours(model), logs()] })
  await assert.rejects(fit, { code: 'ERR_ARGUMENT', message: /Make the list before the call/ })
})

await comm.close()
