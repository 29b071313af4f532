/**
 * Uneven batches on several ranks, with TensorFlow.js: the weights are those of one process with all of them in one batch.
 * First by an optimizer in a loop, then by `fit`.
 */
import test, { type ExecutionContext } from 'ava'
import * as tf from '@tensorflow/tfjs-core'
import '@tensorflow/tfjs-layers'
import {
  distribute,
  DistributedOptimizer,
  type DistributedOptimizerOptions,
  type DistributeOptions,
  type StepReduction,
} from '../../ts/src/adapters/tfjs/index.ts'
import { reduceSync } from '../../ts/src/reduction/local.ts'
import { failuresOf, makeWorld, onAll } from '../_world.ts'
import { gaussian, relativeError } from '../optim/_oracle.ts'
import { PLAIN_BACKEND } from './_backend.mjs'
import { BATCH, batchOf, datasetOf, equalWeights, fit, type Replica, replicas, weightsOf } from './_replicas.ts'
import { makeVariables, valuesOf } from './_train.ts'

/** Samples of each rank's batches, two of which make a step. The data ends unevenly, and on rank 2 first. */
const COUNTS = [[4, 4, 4, 3], [4, 4, 4, 1], [4, 4, 2, 0]] // prettier-ignore
const FEATURES = 4

/** The mean squared error over all samples of these batches. A batch without any has one that is not to count. */
function lossOn([kernel, bias]: readonly tf.Variable[], batches: readonly (readonly [rank: number, batch: number])[]) {
  return (): tf.Scalar => {
    const inputs = batches.map(([rank, batch]) => {
      const count = COUNTS[rank]![batch]!
      return tf.tensor2d(gaussian(FEATURES * (count || 1), 10 * rank + batch + 1), [count || 1, FEATURES])
    })
    const x = tf.concat(inputs)
    const wanted = tf.sum(x, 1, true)
    return tf.mean(tf.squaredDifference(tf.add(tf.matMul(x, kernel as tf.Tensor2D), bias!), wanted))
  }
}

test.before(() => tf.setBackend(PLAIN_BACKEND))

for (const [name, options, makeInner] of [
  ['mode gradient, adam', { op: 'average', mode: 'gradient' }, () => tf.train.adam(0.05)],
  ['mode gradient, momentum', { op: 'average', mode: 'gradient' }, () => tf.train.momentum(0.05, 0.9)],
  ['mode delta, sgd', { op: 'average' }, () => tf.train.sgd(0.1)],
] satisfies [string, DistributedOptimizerOptions, () => tf.Optimizer][])
  test.serial(`${name}: uneven batches of three ranks are as one batch in one process`, async (t) => {
    const world = await makeWorld(3)
    const replicas = world.ranks.map(() => makeVariables())
    const optimizers = world.ranks.map((comm) => new DistributedOptimizer(makeInner(), comm, { ...options, accumulate: 2 })) // prettier-ignore
    const [alone, single] = [makeVariables(), makeInner()]
    for (const batch of [0, 1, 2, 3])
      await onAll(world.ranks, (_, rank) =>
        optimizers[rank]!.minimizeAsync(lossOn(replicas[rank]!, [[rank, batch]]), replicas[rank], {
          sampleCount: COUNTS[rank]![batch]!,
        }),
      )
    for (const first of [0, 2])
      single.minimize(lossOn(alone, [0, 1, 2].flatMap((rank) => [[rank, first], [rank, first + 1]] as const).filter(([rank, batch]) => COUNTS[rank]![batch]! > 0)), false, alone) // prettier-ignore
    for (const variables of replicas) t.true(relativeError(valuesOf(variables), valuesOf(alone)) < 1e-5)
    t.deepEqual(optimizers[0]!.lastReduction!.sampleCounts, [7, 5, 2])
    await world.close()
  })

test.serial('Adasum of micro-batches leaves no tensor behind, on one rank', async (t) => {
  const world = await makeWorld(1)
  const variables = makeVariables()
  const options = { op: 'average', accumulate: 2, accumulateOp: 'adasum' } as const
  for (const mode of ['gradient', 'delta'] as const) {
    const optimizer = new DistributedOptimizer(tf.train.momentum(0.1, 0.5), world.ranks[0]!, { ...options, mode })
    const tensors: number[] = []
    const before = valuesOf(variables)
    for (let batch = 0; batch < 8; batch++) {
      const sampleCount = COUNTS[0]![batch % 4]!
      await optimizer.minimizeAsync(lossOn(variables, [[0, batch % 4]]), variables, { sampleCount })
      if (batch % 2 === 1) tensors.push(tf.memory().numTensors)
    }
    t.is(new Set(tensors.slice(1)).size, 1)
    t.notDeepEqual(valuesOf(variables), before)
    optimizer.dispose()
  }
  await world.close()
})

test.serial('options of a batch that there are not, and sample counts that are none, are refused', async (t) => {
  const world = await makeWorld(1)
  const variables = makeVariables()
  const optimizer = new DistributedOptimizer(tf.train.sgd(0.1), world.ranks[0]!, { op: 'average' })
  const tensors = tf.memory().numTensors
  const loss = (): tf.Scalar => tf.mean(tf.square(variables[0]!))
  const message = /there is no option "samples"\. The options are sampleCount\./
  await t.throwsAsync(optimizer.minimizeAsync(loss, variables, { samples: 3 } as object), {
    code: 'ERR_ARGUMENT',
    message,
  })
  await t.throwsAsync(optimizer.minimizeAsync(loss, variables, { sampleCount: -3 }), { code: 'ERR_ARGUMENT' })
  t.is(tf.memory().numTensors, tensors)
  optimizer.dispose()
  await world.close()
})

/** Three batches each, of which the last ones have 3, 4 and 1 samples. */
const SAMPLES = [11, 12, 9]
const EPOCH_BATCHES = 3

const lengthOf = ({ x }: Replica, batch: number): number => Math.min(BATCH, x.shape[0] - BATCH * batch)
const variablesOf = ({ model }: Replica) => model.weights.map((weight) => weight.read() as tf.Variable)

function assign(replica: Replica, values: ArrayLike<number>): void {
  let offset = 0
  for (const variable of variablesOf(replica)) {
    const part = Array.from(values).slice(offset, (offset += variable.size))
    tf.tidy(() => variable.assign(tf.tensor(part, variable.shape)))
  }
}

/** One epoch by plain trainOnBatch calls: start + op(d_r; S_r), as docs/modes.md has it. */
async function defined(made: readonly Replica[], { op, localSteps = 1 }: DistributeOptions): Promise<Float32Array> {
  const segments = made[0]!.model.weights.map(({ shape }) => tf.util.sizeFromShape(shape as number[]))
  let start = Float64Array.from(weightsOf(made[0]!))
  made.forEach((replica) => assign(replica, start))
  let counts = made.map(() => 0)
  for (let batch = 0; batch < EPOCH_BATCHES; batch++) {
    for (const { model, x, y } of made) await model.trainOnBatch(batchOf(x, batch), batchOf(y, batch))
    counts = counts.map((count, rank) => count + lengthOf(made[rank]!, batch))
    if ((batch + 1) % localSteps !== 0 && batch + 1 < EPOCH_BATCHES) continue
    const changes = made.map((replica) => Float64Array.from(weightsOf(replica), (value, i) => value - start[i]!))
    const { result } = reduceSync(changes, { op, segments, weights: counts })
    start = start.map((value, i) => value + result[i]!)
    made.forEach((replica) => assign(replica, start))
    counts = made.map(() => 0)
  }
  return Float32Array.from(start)
}

function fitDataset(replica: Replica, options: DistributeOptions): Promise<unknown> {
  const callbacks = distribute(replica.model, replica.comm, options)
  return replica.model.fitDataset(datasetOf(replica), { epochs: 1, verbose: 0, callbacks })
}

for (const [size, options] of [
  [3, { op: 'average' }],
  [3, { op: 'adasum' }],
  [2, { op: 'adasum', localSteps: 2 }],
  [3, { op: 'average', localSteps: 3 }],
  [3, { op: { name: 'adascale' } }],
  [3, { op: 'adasum', hierarchy: 'average' }],
  [1, { op: 'average' }],
] as [number, DistributeOptions][])
  test.serial(`${JSON.stringify(options)} of ${size}: an uneven last batch counts by its samples`, async (t) => {
    const samples = SAMPLES.slice(0, size)
    const definition = { ...options, ...(options.hierarchy && { op: 'average' as const }) }
    const expected = await defined(await replicas(t, size, { samples }), definition)
    for (const run of [fit, fitDataset]) {
      const made = await replicas(t, size, { samples })
      const reductions: StepReduction[] = []
      const onReduction = (reduction: StepReduction): void => void reductions.push(reduction)
      await Promise.all(made.map((r) => run(r, { ...options, ...(r.rank === 0 && { onReduction }) })))
      t.true(relativeError(equalWeights(t, made), expected) < 1e-5)
      const { localSteps = 1 } = options
      const inLast = made.map((r) => [2, 1, 0].slice(0, EPOCH_BATCHES % localSteps || localSteps).reduce((sum, batch) => sum + lengthOf(r, batch), 0)) // prettier-ignore
      const last = reductions.findLast(({ sampleCounts }) => sampleCounts!.some((count) => count > 1))
      t.deepEqual(last!.sampleCounts, inLast)
    }
  })

test.serial(
  'average of uneven batches with SGD is the step of one process that has them all in one batch',
  async (t) => {
    const made = await replicas(t, 3, { samples: SAMPLES })
    const [alone] = (await replicas(t, 1, { samples: [1] })) as [Replica]
    assign(alone, weightsOf(made[0]!))
    await Promise.all(made.map((replica) => fit(replica, { op: 'average' })))
    for (let batch = 0; batch < EPOCH_BATCHES; batch++) {
      const [x, y] = (['x', 'y'] as const).map((name) =>
        tf.concat(made.map((replica) => batchOf(replica[name], batch))),
      )
      await alone.model.trainOnBatch(x!, y!)
    }
    t.true(relativeError(equalWeights(t, made), weightsOf(alone)) < 1e-5)
  },
)

test.serial('batches of one size give the bits that they give where nobody counts samples', async (t) => {
  for (const op of ['average', 'adasum', { name: 'adasum', kappa: 0.5 }] as const) {
    const [made, other] = [await replicas(t, 3), await replicas(t, 3)]
    await Promise.all(made.map((replica) => fit(replica, { op })))
    t.deepEqual(equalWeights(t, made), await uncounted(t, other, op))
  }
})

/** An epoch by trainOnBatch calls and all-reduces without weights, in f32. */
async function uncounted(t: ExecutionContext, made: readonly Replica[], op: DistributeOptions['op']) {
  const segments = made[0]!.model.weights.map(({ shape }) => tf.util.sizeFromShape(shape as number[]))
  const start = weightsOf(made[0]!)
  for (let batch = 0; batch < EPOCH_BATCHES; batch++) {
    made.forEach((replica) => assign(replica, start))
    for (const { model, x, y } of made) await model.trainOnBatch(batchOf(x, batch), batchOf(y, batch))
    const changes = made.map((replica) => valuesOf(variablesOf(replica)).map((value, i) => value - start[i]!))
    const { result } = reduceSync(changes, { op, segments })
    result.forEach((change, i) => (start[i]! += change))
  }
  made.forEach((replica) => assign(replica, start))
  return equalWeights(t, made)
}

test.serial(
  'an operator that counts nothing wants equally many samples, and others equally many batches',
  async (t) => {
    for (const [samples, op, message] of [
      [[11, 12], 'sum', /the number of samples is 11 on rank 0 and 12 on rank 1.*comm\.shard/],
      [[11, 12], { name: 'gaf', tau: 1 }, /the number of samples is 11 on rank 0 and 12 on rank 1/],
      [[12, 13], 'adasum', /the number of batches per epoch is 3 on rank 0 and 4 on rank 1.*comm\.shard/],
    ] as const) {
      const made = await replicas(t, 2, { samples })
      for (const error of await failuresOf(made.map((replica) => fit(replica, { op })))) {
        t.like(error, { code: 'ERR_MISMATCH' })
        t.regex(error.message, message)
      }
    }
  },
)

test.serial('a wish to stop comes through where batches are uneven', async (t) => {
  const made = await replicas(t, 3, { samples: SAMPLES })
  const begun = made.map(() => 0)
  const runs = made.map((replica) => {
    const stop = {
      onBatchBegin: () => {
        if (++begun[replica.rank]! === EPOCH_BATCHES && replica.rank === 1) replica.model.stopTraining = true
      },
    }
    const callbacks = [distribute(replica.model, replica.comm, { op: 'average' }), stop]
    return fit(replica, { op: 'average' }, { epochs: 3, callbacks })
  })
  await Promise.all(runs)
  t.deepEqual(begun, [EPOCH_BATCHES, EPOCH_BATCHES, EPOCH_BATCHES])
  equalWeights(t, made)
})
