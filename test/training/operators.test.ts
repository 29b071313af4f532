/** Trainers whose ranks are combined by operators with parameters: what local functions make of the same gradients. */
import test from 'ava'
import { reduceSync } from '../../ts/src/reduction/local.ts'
import { DeltaExchange } from '../../ts/src/training/delta-exchange.ts'
import { FlatExchange } from '../../ts/src/training/flat-exchange.ts'
import type { TrainerOptions } from '../../ts/src/training/trainer-options.ts'
import type { Operator, ReduceOp } from '../../ts/src/types.ts'
import { weightLayout } from '../../ts/src/optim/weight-layout.ts'
import { failuresOf, makeWorld, onAll } from '../_world.ts'
import { gaussian } from '../optim/_oracle.ts'
import { equalWeights, FEATURES, fitBatch, modelOf, onEach, RATE, type Replica, replicas, samplesOf, valuesOf } from './_replicas.ts' // prettier-ignore

const MEAN: Operator = {
  name: 'custom',
  coefficients: (_, { weights }) => weights.map((weight) => weight / weights.reduce((sum, other) => sum + other)),
}
const WEIGHTED: Operator[] = [{ name: 'adasum', kappa: 0.5 }, { name: 'adascale' }, MEAN]
const OPERATORS: Operator[] = [...WEIGHTED, { name: 'adacons' }, { name: 'gaf', tau: 1 }]
const SEGMENTS = [FEATURES, 1]
const LAYOUT = weightLayout([
  { name: 'kernel', shape: [3, 5], dtype: 'float32' },
  { name: 'scale', shape: [], dtype: 'float32' },
])

for (const op of OPERATORS) {
  test(`${JSON.stringify(op)}: an exchange gives the local function's bits, and the notes of all ranks`, async (t) => {
    for (const size of [1, 2, 3, 5]) {
      const world = await makeWorld(size)
      const inputs = world.ranks.map((_, rank) => gaussian(LAYOUT.elementCount, rank + 1))
      const left = inputs.filter((_, rank) => size === 1 || rank !== 1)
      const want = [inputs, left].map((some) => reduceSync(some, { op, segments: [15, 1] }).result)
      await onAll(world.ranks, async (comm, rank) => {
        const exchange = new FlatExchange(comm, LAYOUT, { op, onNonFinite: 'skip' }, 2)
        for (const step of [0, 1]) {
          exchange.values.set(inputs[rank]!)
          const isOut = (other: number): boolean => step === 1 && size > 1 && other === 1
          if (isOut(rank)) exchange.values[0] = NaN
          const { notes } = await exchange.combine([rank + 1, 2 ** 23 + rank])
          t.deepEqual(exchange.values.slice(), want[step])
          t.deepEqual(notes, world.ranks.map((_, other) => (isOut(other) ? undefined : [other + 1, 2 ** 23 + other]))) // prettier-ignore
        }
      })
      await world.close()
    }
  })

  for (const mode of ['gradient', 'delta'] as const)
    for (const isCounted of WEIGHTED.includes(op) ? [false, true] : [false])
      test(`${JSON.stringify(op)}, mode ${mode}${isCounted ? ', by samples' : ''}: steps are those of the definition`, async (t) => {
        for (const size of [1, 3]) {
          const made = await replicas(t, size, { op, mode })
          const counts = [4, 0, 9].slice(0, size)
          const expected = modelOf()
          for (const batch of [0, 1]) {
            const before = valuesOf(expected)
            const gradients = made.map(({ rank }) => flat(expected.gradientsOn(samplesOf(rank, batch)).gradients))
            // In mode delta with weight 0 a rank takes no step; its change would not count in any case.
            const moves = mode === 'gradient' ? gradients : gradients.map((g) => changesOf(before, g))
            const options = { op, segments: SEGMENTS, ...(isCounted && { weights: counts }) }
            const combined = reduceSync(moves, options).result
            const rate = mode === 'gradient' ? -RATE : 1
            const after = before.map((value, i) => Math.fround(value + Math.fround(rate * combined[i]!)))
            expected.writeWeights([
              Float32Array.from(after.slice(0, FEATURES)),
              Float32Array.from(after.slice(FEATURES)),
            ])
            await onEach(made, (replica) => trainOn(replica, batch, isCounted ? counts[replica.rank] : undefined))
          }
          const found = equalWeights(t, made)
          found.forEach((value, i) =>
            t.true(Math.abs(value - valuesOf(expected)[i]!) < 1e-6, `${size} ranks: ${found.join()}`),
          )
          t.deepEqual(made[0]!.trainer.lastReduction!.sampleCounts, isCounted ? counts : undefined)
        }
      })
}

const flat = (parts: readonly Float32Array[]): Float32Array => Float32Array.from(parts.flatMap((part) => [...part]))

function changesOf(before: readonly number[], gradient: Float32Array): Float32Array {
  return gradient.map((g, i) => Math.fround(before[i]! - Math.fround(RATE * g)) - before[i]!)
}

function trainOn({ trainer, model, rank }: Replica, batch: number, sampleCount?: number): Promise<number> {
  const { gradients, loss } = model.gradientsOn(samplesOf(rank, batch))
  return trainer.train(() => ({ model, gradients, loss, ...(sampleCount !== undefined && { sampleCount }) }))
}

test('one rank alone: an operator that lengthens a single vector does so in mode delta, too', async (t) => {
  const world = await makeWorld(1)
  t.teardown(() => world.close())
  const exchange = new DeltaExchange(world.ranks[0]!, LAYOUT, { op: { name: 'adacons' } })
  exchange.weights.fill(4)
  await exchange.combine()
  const kernel = Math.fround(1 / Math.sqrt(15))
  t.true(exchange.weights.every((weight, i) => Math.abs(weight - (i < 15 ? kernel : 1)) < 1e-7))
})

for (const [what, ops, message] of [
  ['operators', [{ name: 'adasum', kappa: 0.5 }, 'adasum'], /op is damped on rank 0 and adasum on rank 1/],
  [
    'operators of one kind',
    [{ name: 'gaf', tau: 1 }, { name: 'adacons' }],
    /op is gaf on rank 0 and adacons on rank 1/,
  ],
  ['parameters', [0.5, 0.500001].map((kappa) => ({ name: 'adasum', kappa })), /the parameter of op is 0\.5 on rank 0 and 0\.500001 on rank 1/], // prettier-ignore
] as [string, (Operator | ReduceOp)[], RegExp][])
  test(`${what} that differ between ranks are found in the first exchange`, async (t) => {
    const made = await replicas(t, 2, (rank) => ({ op: ops[rank]! }))
    for (const error of await failuresOf(made.map((replica) => fitBatch(replica, 0)))) {
      t.like(error, { code: 'ERR_MISMATCH' })
      t.regex(error.message, message)
    }
  })

test('functions that differ between ranks fail the exchange on both', async (t) => {
  const made = await replicas(t, 2, (rank) => ({
    op: { name: 'custom', coefficients: (gram) => gram.map(() => rank + 1) },
  }))
  for (const error of await failuresOf(made.map((replica) => fitBatch(replica, 0)))) {
    t.like(error, { code: 'ERR_MISMATCH' })
    t.regex(error.message, /op\.coefficients of segment 0 differ/)
  }
})

test('what is changed in the object afterwards has no effect', async (t) => {
  const op = { name: 'adasum', kappa: 0 }
  const [changed, plain] = [await replicas(t, 2, { op } as TrainerOptions), await replicas(t, 2, { op: 'sum' })]
  op.kappa = 2
  for (const made of [changed, plain]) await onEach(made, (replica) => fitBatch(replica, 0))
  t.deepEqual(equalWeights(t, changed), equalWeights(t, plain))
})

test('operators that are none, or cannot be here, are refused', async (t) => {
  for (const [options, code, message] of [
    [{ op: 'max' }, 'ERR_ARGUMENT', /op is max; it must be one of sum, average, adasum, or an operator with/],
    [{ op: null }, 'ERR_ARGUMENT', /op is null/],
    [{ op: { name: 'gaf' } }, 'ERR_ARGUMENT', /op\.tau is undefined/],
    [{ op: { name: 'max' } }, 'ERR_ARGUMENT', /op\.name is max/],
    [{ op: { name: 'adascale' }, hierarchy: 'average' }, 'ERR_ARGUMENT', /hierarchy is average, and op is adascale/],
    [{ op: 'sum', accumulateOp: { name: 'adascale' } }, 'ERR_ARGUMENT', /accumulateOp is /],
  ] as const)
    await t.throwsAsync(replicas(t, 1, options as unknown as TrainerOptions), { code, message })
  await t.throwsAsync(replicas(t, 17, { op: { name: 'adacons' } }), {
    code: 'ERR_UNSUPPORTED',
    message: /op is adacons, which takes at most 16 ranks at once; there are 17/,
  })
  const [one] = await replicas(t, 1, { op: { name: 'gaf', tau: 1 } })
  await t.throwsAsync(trainOn(one!, 0, 4), {
    code: 'ERR_ARGUMENT',
    message: /sampleCount is given, and op is gaf: only average, adasum \(with kappa, too\), adascale and custom/,
  })
})
