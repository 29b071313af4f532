/** Steps of the example's ranks, against the same steps with the gradients of sixteen workers combined at once. */
import test, { type ExecutionContext } from 'ava'
import * as tf from '@tensorflow/tfjs-core'
import '@tensorflow/tfjs-backend-wasm'
import type { Sequential } from '@tensorflow/tfjs-layers'
import { registerTrainingKernels } from '../../ts/src/adapters/tfjs/index.ts'
import { reduceSync } from '../../ts/src/index.ts'
import type { ReduceOp } from '../../ts/src/types.ts'
import { makeWorld } from '../_world.ts'
import { type Data, type Done, type Examples, type Plan, load } from './_mnist.ts'

const [RANKS, WORKERS_PER_RANK, BATCH_SIZE, MOMENTUM] = [4, 4, 16, 0.9]
const [STEPS, SEED, RATE] = [2, 3, 0.01]
const IMAGES_PER_RANK = STEPS * WORKERS_PER_RANK * BATCH_SIZE

interface Model {
  createLeNet5: (seed: number) => Sequential
  lossOf: (model: Sequential, images: tf.Tensor4D, labels: tf.Tensor2D) => tf.Scalar
}

interface Training {
  trainRun: (setting: object, plan: Plan) => Promise<Done>
}

const { PIXELS, CLASSES, pixelsOf, labelsOf, shuffledIndices } = await load<Data>('data.mjs')
const { createLeNet5, lossOf } = await load<Model>('model.mjs')
const { trainRun } = await load<Training>('training.mjs')

test.before(async () => {
  await tf.setBackend('wasm')
  registerTrainingKernels()
})

/** Images of a rank in which each class has a brightness of its own. */
function madeUpExamples(rank: number): Examples {
  const labels = Uint8Array.from({ length: IMAGES_PER_RANK }, (_, i) => (i * 7 + rank) % CLASSES)
  const images = new Uint8Array(IMAGES_PER_RANK * PIXELS).map((_, i) => {
    const index = Math.floor(i / PIXELS)
    return (labels[index]! * 20 + ((i * 2654435761 + rank * 97) >>> 7)) % 256
  })
  return { images, labels, count: IMAGES_PER_RANK }
}

function weightsOf(model: Sequential): Float32Array {
  return Float32Array.from(model.getWeights().flatMap((weight) => [...weight.dataSync()]))
}

function gradientOf(model: Sequential, examples: Examples, indices: Uint32Array): Float32Array {
  return tf.tidy(() => {
    const images = tf.tensor4d(pixelsOf(examples, indices), [indices.length, 28, 28, 1])
    const classes = tf.tensor1d(labelsOf(examples, indices), 'int32')
    const labels = tf.cast(tf.oneHot(classes, CLASSES), 'float32') as tf.Tensor2D
    const { grads } = tf.variableGrads(() => lossOf(model, images, labels))
    const variables = model.trainableWeights.map((weight) => weight.read() as tf.Variable)
    return Float32Array.from(variables.flatMap(({ name }) => [...grads[name]!.dataSync()]))
  })
}

/** Momentum SGD with the gradients of all workers combined by the local function. */
function reference(op: ReduceOp, model: Sequential): Float32Array {
  const shapes = model.getWeights().map(({ shape }) => shape)
  const segments = model.getWeights().map(({ size }) => size)
  const velocity = new Float32Array(segments.reduce((a, b) => a + b, 0))
  let weights = weightsOf(model)
  for (let step = 0; step < STEPS; step++) {
    const gradients = Array.from({ length: RANKS * WORKERS_PER_RANK }, (_, worker) => {
      const rank = Math.floor(worker / WORKERS_PER_RANK)
      const order = shuffledIndices(IMAGES_PER_RANK, SEED * 1000 + rank)
      const begin = (step * WORKERS_PER_RANK + (worker % WORKERS_PER_RANK)) * BATCH_SIZE
      return gradientOf(model, madeUpExamples(rank), order.subarray(begin, begin + BATCH_SIZE))
    })
    const { result } = reduceSync(gradients, { op, segments })
    velocity.forEach((value, i) => (velocity[i] = MOMENTUM * value + result[i]!))
    weights = weights.map((value, i) => value - RATE * velocity[i]!)
    const parts = tf.split(tf.tensor1d(weights), segments)
    model.setWeights(parts.map((part, i) => tf.reshape(part, shapes[i]!)))
  }
  return weights
}

async function trainedRanks(t: ExecutionContext, op: ReduceOp): Promise<{ models: Sequential[]; done: Done[] }> {
  const world = await makeWorld(RANKS)
  t.teardown(() => world.close())
  const models = world.ranks.map(() => createLeNet5(SEED))
  const plan: Plan = { part: 'rates', op, learningRate: RATE, steps: STEPS }
  const done = await Promise.all(
    world.ranks.map((comm, rank) => {
      const examples = madeUpExamples(rank)
      const common = { comm, model: models[rank], training: examples, test: examples, testBegin: 0, seed: SEED }
      return trainRun({ ...common, report: () => undefined }, plan)
    }),
  )
  return { models, done }
}

for (const op of ['average', 'sum', 'adasum'] as const)
  test.serial(`two steps of four ranks by ${op} are those of sixteen workers`, async (t) => {
    const { models, done } = await trainedRanks(t, op)
    t.is(new Set(done.map(({ sha256 }) => sha256)).size, 1)
    t.true(done.every(({ steps, diverged }) => steps === STEPS && !diverged))
    const found = weightsOf(models[0]!)
    const start = weightsOf(createLeNet5(SEED))
    const expected = reference(op, createLeNet5(SEED))
    const [distance, length] = [
      Math.sqrt(found.reduce((sum, value, i) => sum + (value - expected[i]!) ** 2, 0)),
      Math.sqrt(expected.reduce((sum, value, i) => sum + (value - start[i]!) ** 2, 0)),
    ]
    t.true(length > 1e-3 && distance < 1e-4 * length, `${distance} of ${length}`)
    for (const model of models) model.dispose()
  })
