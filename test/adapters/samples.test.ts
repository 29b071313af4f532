/** Uneven batches on several ranks, with TensorFlow.js: the weights are those of one process with all of them in one batch. */
import test from 'ava'
import * as tf from '@tensorflow/tfjs-core'
import '@tensorflow/tfjs-layers'
import { DistributedOptimizer, type DistributedOptimizerOptions } from '../../ts/src/adapters/tfjs/index.ts'
import { makeWorld, onAll } from '../_world.ts'
import { gaussian, relativeError } from '../optim/_oracle.ts'
import { PLAIN_BACKEND } from './_backend.mjs'
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
