/** Training with plain arrays: what every adapter gets from the trainer, whatever its framework is. */
import test from 'ava'
import type { TrainerOptions } from '../../ts/src/training/trainer-options.ts'
import type { ReduceOp } from '../../ts/src/types.ts'
import { failuresOf } from '../_world.ts'
import { reduceOf, relativeError } from '../optim/_oracle.ts'
import { equalWeights, FEATURES, fitBatch, modelOf, onEach, poisoned, replicas, samplesOf, train, valuesOf } from './_replicas.ts' // prettier-ignore

const OPS: ReduceOp[] = ['adasum', 'sum', 'average']
const SEGMENTS = [FEATURES, 1]
/** One process that has the samples of all ranks in one batch. */
function wholeBatchReference(size: number, steps: number, accumulate: number, isAverage: boolean): number[] {
  const model = modelOf()
  for (let step = 0; step < steps; step++) {
    const parts = Array.from({ length: size * accumulate }, (_, i) =>
      samplesOf(i % size, step * accumulate + Math.floor(i / size)),
    )
    const whole = { x: parts.flatMap(({ x }) => x), y: parts.flatMap(({ y }) => y) }
    const count = accumulate * (isAverage ? size : 1)
    model.step(model.gradientsOn(whole).gradients.map((gradient) => gradient.map((value) => value / count)))
  }
  return valuesOf(model)
}

for (const size of [2, 3, 4]) {
  for (const op of ['sum', 'average'] as const) {
    for (const accumulate of [1, 2]) {
      test(`mode gradient, ${op} of ${size}, accumulate ${accumulate}: as one process with the whole batch`, async (t) => {
        const made = await replicas(t, size, { op, mode: 'gradient', accumulate })
        for (let batch = 0; batch < 3 * accumulate; batch++) {
          await onEach(made, (replica) => fitBatch(replica, batch))
          equalWeights(t, made)
        }
        const expected = wholeBatchReference(size, 3, accumulate, op === 'average')
        const actual = equalWeights(t, made)
        // Bit for bit, except where a third has to be rounded.
        if (op === 'average' && size === 3) t.true(relativeError(actual, expected) < 1e-6)
        else t.deepEqual(actual, expected)
      })
    }
  }
}

/** Weights after rounds of local steps, each with the mean over `accumulate` batches, whose deltas are combined in f64. */
function deltaReference(op: ReduceOp, size: number, rounds: number, localSteps: number, accumulate: number): number[] {
  let start = valuesOf(modelOf())
  for (let round = 0; round < rounds; round++) {
    const deltas = Array.from({ length: size }, (_, rank) => {
      const model = modelOf()
      model.writeWeights([Float32Array.from(start.slice(0, FEATURES)), Float32Array.from(start.slice(FEATURES))])
      for (let step = round * localSteps; step < (round + 1) * localSteps; step++) {
        const batches = Array.from({ length: accumulate }, (_, i) => samplesOf(rank, step * accumulate + i))
        const whole = { x: batches.flatMap(({ x }) => x), y: batches.flatMap(({ y }) => y) }
        model.step(model.gradientsOn(whole).gradients.map((gradient) => gradient.map((value) => value / accumulate)))
      }
      return valuesOf(model).map((value, i) => value - start[i]!)
    })
    start = reduceOf(op, deltas, SEGMENTS).map((delta, i) => start[i]! + delta)
  }
  return start
}

for (const size of [2, 3, 4]) {
  for (const op of OPS) {
    for (const [localSteps, accumulate] of [[1, 1], [3, 1], [1, 2], [2, 2]] as const) {
      test(`mode delta, ${op} of ${size}, ${localSteps} local steps, accumulate ${accumulate}: as deltas in f64`, async (t) => {
        const made = await replicas(t, size, { op, localSteps, accumulate })
        for (let batch = 0; batch < 2 * localSteps * accumulate; batch++) {
          await onEach(made, (replica) => fitBatch(replica, batch))
          if ((batch + 1) % (localSteps * accumulate) === 0) equalWeights(t, made)
        }
        const expected = deltaReference(op, size, 2, localSteps, accumulate)
        t.true(relativeError(equalWeights(t, made), expected) < 1e-6)
      })
    }
  }
} // prettier-ignore

test('local steps are local, and nothing happens before gradients are together', async (t) => {
  const made = await replicas(t, 2, { op: 'adasum', localSteps: 2, accumulate: 2 })
  const start = valuesOf(modelOf())
  await onEach(made, (replica) => fitBatch(replica, 0))
  t.deepEqual(equalWeights(t, made), start)
  await onEach(made, (replica) => fitBatch(replica, 1))
  t.notDeepEqual(valuesOf(made[0]!.model), valuesOf(made[1]!.model))
  t.is(made[0]!.trainer.lastReduction, undefined)
  for (const batch of [2, 3]) await onEach(made, (replica) => fitBatch(replica, batch))
  equalWeights(t, made)
  t.deepEqual(made[0]!.trainer.lastReduction!.segments.map(({ name, elementCount }) => [name, elementCount]), [['kernel', 3], ['bias', 1]]) // prettier-ignore
})

test('the loss is that of this rank, before the step', async (t) => {
  const made = await replicas(t, 2, { op: 'sum', mode: 'gradient' })
  const losses = made.map(({ rank }) => modelOf().gradientsOn(samplesOf(rank, 0)).loss)
  t.deepEqual(await onEach(made, (replica) => fitBatch(replica, 0)), losses)
})

const MISMATCHES: [what: string, optionsOf: (rank: number) => TrainerOptions, message: RegExp][] = [
  ['op', (rank) => ({ op: rank === 1 ? 'sum' : 'adasum' }), /op is adasum on rank 0 and sum on rank 1/],
  ['mode', (rank) => ({ op: 'sum', mode: rank === 1 ? 'gradient' : 'delta' }), /mode is delta on rank 0 and gradient on rank 1/],
  ['localSteps', (rank) => ({ op: 'sum', localSteps: 1 + (rank & 1) }), /localSteps is 1 on rank 0 and 2 on rank 1/],
  ['accumulate', (rank) => ({ op: 'sum', accumulate: 1 + (rank & 1) }), /accumulate is 1 on rank 0 and 2 on rank 1/],
] // prettier-ignore
for (const [what, optionsOf, message] of MISMATCHES) {
  test(`ranks that differ in ${what} find out in the first exchange`, async (t) => {
    const made = await replicas(t, 3, optionsOf)
    const steps = made.map(async (replica) => {
      await fitBatch(replica, 0)
      // The ranks that exchange later.
      if (replica.trainer.lastReduction === undefined) await fitBatch(replica, 1)
    })
    for (const error of await failuresOf(steps)) {
      t.like(error, { code: 'ERR_MISMATCH' })
      t.regex(error.message, message)
      t.regex(error.message, /^LinearTrainer: .*Construct it with the same options on every rank\.$/)
    }
  })
}

for (const mode of ['delta', 'gradient'] as const) {
  test(`mode ${mode}: ranks that differ in shapes or values find out, in the adapter's words`, async (t) => {
    const shapes = await replicas(t, 2, { op: 'sum', mode }, (rank) => modelOf(FEATURES - rank))
    for (const error of await failuresOf(shapes.map((replica) => fitBatch(replica, 0)))) {
      const message = 'LinearTrainer: weight 0 is float32[3] on rank 0 and float32[2] on rank 1. Take the same features everywhere.' // prettier-ignore
      t.like(error, { code: 'ERR_MISMATCH', message })
    }
    const values = await replicas(t, 2, { op: 'sum', mode })
    values[1]!.model.values[1]![0] = 1
    for (const error of await failuresOf(values.map((replica) => fitBatch(replica, 0)))) {
      t.like(error, { code: 'ERR_MISMATCH' })
      t.regex(
        error.message,
        /the fingerprint of the initial weights is \d+ on rank 0 and \d+ on rank 1\. Copy them first\.$/,
      )
    }
  })
}

test('flush exchanges what is pending, takes a step with gradients that wait, and does nothing otherwise', async (t) => {
  const made = await replicas(t, 3, { op: 'sum', localSteps: 2, accumulate: 2 })
  await onEach(made, ({ trainer }) => trainer.flush())
  for (const batch of [0, 1]) await onEach(made, (replica) => fitBatch(replica, batch))
  await onEach(made, ({ trainer }) => trainer.flush())
  const weights = equalWeights(t, made)
  t.true(relativeError(weights, deltaReference('sum', 3, 1, 1, 2)) < 1e-6)
  await onEach(made, ({ trainer }) => trainer.flush())
  t.deepEqual(equalWeights(t, made), weights)

  const waiting = await replicas(t, 2, { op: 'sum', mode: 'gradient', accumulate: 4 })
  await onEach(waiting, (replica) => fitBatch(replica, 0))
  await onEach(waiting, ({ trainer }) => trainer.flush())
  t.deepEqual(equalWeights(t, waiting), wholeBatchReference(2, 1, 1, false))
})

for (const [what, options] of Object.entries({
  'pending steps': { op: 'sum', localSteps: 4 },
  'accumulated gradients': { op: 'sum', mode: 'gradient', accumulate: 4 },
} as const))
  test(`flush with different numbers of ${what} names both, and changes nothing`, async (t) => {
    const made = await replicas(t, 2, options)
    await onEach(made, (replica) => fitBatch(replica, 0))
    await fitBatch(made[1]!, 1)
    const before = made.map(({ model }) => valuesOf(model))
    for (const error of await failuresOf(made.map(({ trainer }) => trainer.flush()))) {
      const message = `flush(): the number of ${what} is 1 on rank 0 and 2 on rank 1. Call fitBatch() equally often on every rank.`
      t.like(error, { code: 'ERR_MISMATCH', message })
    }
    t.deepEqual(made.map(({ model }) => valuesOf(model)), before) // prettier-ignore
    await fitBatch(made[0]!, 1)
    await onEach(made, ({ trainer }) => trainer.flush())
    equalWeights(t, made)
  })

test('a failed exchange: mode gradient is without the step, mode delta has the local steps, and both go on', async (t) => {
  for (const mode of ['gradient', 'delta'] as const) {
    const made = await replicas(t, 3, { op: 'adasum', mode })
    await onEach(made, (replica) => fitBatch(replica, 0))
    const before = equalWeights(t, made)
    const steps = made.map((replica) => train(replica, (replica.rank === 1 ? poisoned : samplesOf)(replica.rank, 1)))
    for (const error of await failuresOf(steps)) t.like(error, { code: 'ERR_NON_FINITE' })
    for (const { rank, model } of made) {
      const local = modelOf()
      local.writeWeights([Float32Array.from(before.slice(0, FEATURES)), Float32Array.from(before.slice(FEATURES))])
      local.step(local.gradientsOn((rank === 1 ? poisoned : samplesOf)(rank, 1)).gradients)
      t.deepEqual(valuesOf(model), mode === 'gradient' ? before : valuesOf(local))
    }
    if (mode === 'delta') for (const { model } of made) model.writeWeights(modelOf().values)
    await onEach(made, (replica) => fitBatch(replica, 2))
    t.notDeepEqual(equalWeights(t, made), before)
  }
})

test('a lost peer fails the step and leaves the weights as documented', async (t) => {
  for (const mode of ['gradient', 'delta'] as const) {
    const [first] = await replicas(t, 2, { op: 'sum', mode })
    const local = modelOf()
    if (mode === 'delta') local.step(local.gradientsOn(samplesOf(0, 0)).gradients)
    first!.world.kill(1)
    await t.throwsAsync(fitBatch(first!, 0), { code: 'ERR_PEER_LOST' })
    t.deepEqual(valuesOf(first!.model), valuesOf(local))
  }
})

test("a step in which all ranks are left out (onNonFinite: 'skip') does not happen", async (t) => {
  for (const mode of ['gradient', 'delta'] as const) {
    const made = await replicas(t, 2, { op: 'adasum', mode, onNonFinite: 'skip' })
    // Not even one with zeros, which an optimizer with momentum would take.
    for (const { model } of made) model.stepCombined = () => t.fail()
    await onEach(made, (replica) => train(replica, poisoned(replica.rank, 0)))
    t.deepEqual(equalWeights(t, made), valuesOf(modelOf()), mode)
  }
})

test('a call before the last one has settled is refused, and its batch is not computed', async (t) => {
  const made = await replicas(t, 2, { op: 'sum' })
  const first = onEach(made, (replica) => fitBatch(replica, 0))
  for (const { trainer } of made) {
    const compute = (): never => t.fail()
    await t.throwsAsync(trainer.train(compute), { code: 'ERR_NOT_READY', message: /^fitBatch\(\) was called/ })
    await t.throwsAsync(trainer.flush(), { code: 'ERR_NOT_READY' })
  }
  await first
  await onEach(made, (replica) => fitBatch(replica, 1))
  equalWeights(t, made)
})
