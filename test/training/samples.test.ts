/** Batches of unequal lengths, and gradients of several batches in one step: what they give is what one process gives. */
import test, { type ExecutionContext } from 'ava'
import type { TrainerOptions } from '../../ts/src/training/trainer-options.ts'
import type { ReduceOp } from '../../ts/src/types.ts'
import { fc, runsOf } from '../_property.ts'
import { failuresOf } from '../_world.ts'
import { oracle, relativeError } from '../reduction/_oracle.ts'
import type { LinearModel, MomentumModel, Samples } from './_linear-model.ts'
import { equalWeights, FEATURES, fitBatch, modelOf, momentumModel, onEach, RATE, type Replica, replicas, samplesOf, valuesOf } from './_replicas.ts' // prettier-ignore

const SEGMENTS = [FEATURES, 1]
const NAN = Float32Array.of(1, NaN, 3)

/** The first samples of a rank's batch. */
function batchOf(rank: number, batch: number, count: number): Samples {
  const parts = [0, 1].map((i) => samplesOf(rank, 100 * i + batch))
  return {
    x: parts.flatMap(({ x }) => x).slice(0, count),
    y: parts.flatMap(({ y }) => y).slice(0, count),
  }
}

/** Gradients of the mean loss; NaN without samples, as frameworks have it. */
function meanGradients(model: LinearModel, samples: Samples): Float32Array[] {
  return model.gradientsOn(samples).gradients.map((gradient) => gradient.map((value) => value / samples.y.length))
}

function trainOn({ trainer, model, rank }: Replica, batch: number, count: number, isCounted = true): Promise<number> {
  const samples = batchOf(rank, batch, count)
  const own = { model, gradients: meanGradients(model, samples), loss: 0 }
  return trainer.train(() => ({ ...own, ...(isCounted && { sampleCount: count }) }))
}

/** Steps of one process that has the samples of all ranks and micro-batches in one batch. */
function wholeBatches(model: LinearModel, counts: number[][], accumulate: number): number[] {
  for (let first = 0; first < counts[0]!.length; first += accumulate) {
    const parts = counts.flatMap((own, rank) =>
      own.slice(first, first + accumulate).map((count, i) => batchOf(rank, first + i, count)),
    )
    const whole = { x: parts.flatMap(({ x }) => x), y: parts.flatMap(({ y }) => y) }
    if (whole.y.length > 0) model.step(meanGradients(model, whole))
  }
  return valuesOf(model)
}

async function trainAll(made: Replica[], counts: number[][], isCounted = true): Promise<void> {
  for (let batch = 0; batch < counts[0]!.length; batch++)
    await onEach(made, (replica) => trainOn(replica, batch, counts[replica.rank]![batch]!, isCounted))
}

const anyCounts = (most: number, least = 0): fc.Arbitrary<{ accumulate: number; counts: number[][] }> =>
  fc.record({ size: fc.integer({ min: 1, max: 4 }), accumulate: fc.integer({ min: 1, max: 3 }) }).chain((shape) => {
    const length = 3 * shape.accumulate
    const ofRank = fc.array(fc.integer({ min: least, max: most }), { minLength: length, maxLength: length })
    const ofAll = fc.array(ofRank, { minLength: shape.size, maxLength: shape.size })
    return ofAll.map((counts) => ({ accumulate: shape.accumulate, counts }))
  })

const near = (actual: number[], expected: number[]): number =>
  relativeError(Float64Array.from(actual), Float64Array.from(expected))

async function compare(
  t: ExecutionContext,
  options: TrainerOptions,
  { accumulate, counts }: { accumulate: number; counts: number[][] },
  makeModel: () => LinearModel,
): Promise<void> {
  const made = await replicas(t, counts.length, { ...options, accumulate }, makeModel)
  await trainAll(made, counts)
  const error = near(equalWeights(t, made), wholeBatches(makeModel(), counts, accumulate))
  if (!(error < 1e-5)) throw new Error(`off by ${error}`)
}

for (const [what, options, makeModel] of [
  ['mode gradient, SGD', { op: 'average', mode: 'gradient' }, modelOf],
  ['mode gradient, momentum', { op: 'average', mode: 'gradient' }, momentumModel],
  ['mode delta, SGD', { op: 'average', mode: 'delta' }, modelOf],
] as const)
  test(`${what}: uneven batches of all ranks are as one batch in one process`, async (t) => {
    await fc.assert(
      fc.asyncProperty(anyCounts(8), (one) => compare(t, options, one, () => makeModel())),
      { numRuns: runsOf(25) },
    )
    t.pass()
  })

test('mode delta, momentum: equal batches of all ranks are as one batch in one process', async (t) => {
  await fc.assert(
    fc.asyncProperty(anyCounts(8, 8), (one) => compare(t, { op: 'average' }, one, momentumModel)),
    { numRuns: runsOf(10) },
  )
  t.pass()
})

for (const mode of ['gradient', 'delta'] as const) {
  test(`mode ${mode}: equal sample counts give the bits of none`, async (t) => {
    for (const op of ['average', 'adasum'] as const) {
      const counts = [0, 1, 2].map(() => [6, 6, 6, 6])
      const [counted, plain] = [await replicas(t, 3, { op, mode, accumulate: 2 }), await replicas(t, 3, { op, mode, accumulate: 2 })] // prettier-ignore
      await trainAll(counted, counts)
      await trainAll(plain, counts, false)
      t.deepEqual(equalWeights(t, counted), equalWeights(t, plain))
      t.deepEqual(counted[0]!.trainer.lastReduction!.sampleCounts, [12, 12, 12])
      t.is(plain[0]!.trainer.lastReduction!.sampleCounts, undefined)
    }
  })

  test(`mode ${mode}: a rank without samples goes along, and its optimizer does not move by itself`, async (t) => {
    const made = await replicas(t, 2, { op: 'adasum', mode }, momentumModel)
    await trainAll(made, [[4, 4], [4, 0]]) // prettier-ignore
    equalWeights(t, made)
    const [, idle] = made.map(({ model }) => model as MomentumModel)
    const alone = momentumModel()
    if (mode === 'delta') alone.step(meanGradients(alone, batchOf(1, 0, 4)))
    if (mode === 'delta') t.deepEqual(idle!.velocities, alone.velocities)
    // If nobody has samples, there is no step.
    const before = equalWeights(t, made)
    await trainAll(made, [[0], [0]])
    t.deepEqual(equalWeights(t, made), before)
    t.deepEqual(made[0]!.trainer.lastReduction!.sampleCounts, [0, 0])
  })

  test(`mode ${mode}: Adasum of ranks counts samples`, async (t) => {
    const counts = [[3], [8], [1]]
    const made = await replicas(t, 3, { op: 'adasum', mode })
    const gradients = counts.map(([count], rank) =>
      Float64Array.from(meanGradients(modelOf(), batchOf(rank, 0, count!)).flatMap((part) => [...part])),
    )
    await trainAll(made, counts)
    const combined = oracle('adasum', gradients, SEGMENTS, counts.flat())
    const expected = valuesOf(modelOf()).map((value, i) => value - RATE * combined[i]!)
    t.true(near(equalWeights(t, made), expected) < 1e-6)
  })
}

/** SGD with what `accumulateOp` makes of two batches of each rank, averaged over ranks, in f64. */
function definedSteps(accumulateOp: ReduceOp, counts: number[][], isCounted: boolean): number[] {
  const model = modelOf()
  for (let first = 0; first < counts[0]!.length; first += 2) {
    const ofRanks = counts.map((own, rank) => {
      const gradients = [0, 1].map((i) => {
        const samples = batchOf(rank, first + i, own[first + i]!)
        return Float64Array.from(meanGradients(model, samples).flatMap((part) => [...part]))
      })
      const weights = isCounted ? own.slice(first, first + 2) : [1, 1]
      return { gradient: oracle(accumulateOp, gradients, SEGMENTS, weights), weight: weights[0]! + weights[1]! }
    })
    const gradients = ofRanks.map(({ gradient }) => gradient)
    const weights = ofRanks.map(({ weight }) => weight)
    const step = oracle('average', gradients, SEGMENTS, weights)
    const after = valuesOf(model).map((value, i) => value - RATE * step[i]!)
    model.writeWeights([Float32Array.from(after.slice(0, FEATURES)), Float32Array.from(after.slice(FEATURES))])
  }
  return valuesOf(model)
}

for (const mode of ['gradient', 'delta'] as const)
  for (const accumulateOp of ['average', 'sum', 'adasum'] satisfies ReduceOp[])
    for (const isCounted of accumulateOp === 'sum' ? [false] : [false, true]) {
      const name = `mode ${mode}, accumulateOp ${accumulateOp}${isCounted ? ', by samples' : ''}`
      test(`${name}: batches are combined as the definition does it, on one rank and two`, async (t) => {
        const all = isCounted ? [[2, 5, 0, 3], [1, 4, 7, 2]] : [[2, 5, 1, 3], [1, 4, 7, 2]] // prettier-ignore
        for (const counts of [all.slice(0, 1), all]) {
          const made = await replicas(t, counts.length, { op: 'average', mode, accumulate: 2, accumulateOp })
          await trainAll(made, counts, isCounted)
          t.true(near(equalWeights(t, made), definedSteps(accumulateOp, counts, isCounted)) < 1e-6)
        }
      })
    }

test('Adasum of batches: a weight may have no gradient in some of them, and all ranks find a NaN together', async (t) => {
  const [kernel, bias] = [Float32Array.of(1, 2, 3), Float32Array.of(1)]
  for (const mode of ['gradient', 'delta'] as const) {
    const made = await replicas(t, 2, {
      ...{ op: 'average', onNonFinite: 'throw', mode, accumulate: 2, accumulateOp: 'adasum' },
    })
    const step = (...batches: (readonly (Float32Array | undefined)[])[]): Promise<void>[] =>
      made.map(async ({ trainer, model, rank }) => {
        for (const batch of batches) {
          // Only rank 1 has it.
          const gradients = batch.includes(NAN) && rank === 0 ? [kernel, bias] : batch
          await trainer.train(() => ({ model, gradients, loss: 0 }))
        }
      })
    // The memory of these is used again for those.
    await Promise.all(step([undefined, bias], [kernel, undefined]))
    await Promise.all(step([kernel, undefined], [undefined, undefined]))
    const want = valuesOf(modelOf()).map((value, i) => value - RATE * [2, 4, 6, 1][i]!)
    t.deepEqual(equalWeights(t, made), want)
    for (const error of await failuresOf(step([kernel, bias], [NAN, bias]))) t.like(error, { code: 'ERR_NON_FINITE' })
  }
})

test('a round of local steps counts the samples of all of them', async (t) => {
  const counts = [[2, 6], [8, 0], [1, 1]] // prettier-ignore
  const made = await replicas(t, 3, { op: 'average', localSteps: 2 })
  const start = valuesOf(modelOf())
  const deltas = counts.map((own, rank) => {
    const model = modelOf()
    own.forEach((count, batch) => count > 0 && model.step(meanGradients(model, batchOf(rank, batch, count))))
    return Float64Array.from(valuesOf(model), (value, i) => value - start[i]!)
  })
  const delta = oracle('average', deltas, SEGMENTS, [8, 8, 2])
  await trainAll(made, counts)
  t.true(near(equalWeights(t, made), start.map((value, i) => value + delta[i]!)) < 1e-6) // prettier-ignore
  t.deepEqual(made[0]!.trainer.lastReduction!.sampleCounts, [8, 8, 2])
})

test('sample counts that are none, come and go, or mean nothing to the operator are refused', async (t) => {
  const [alone] = await replicas(t, 1, { op: 'average', accumulate: 3 })
  const { trainer, model } = alone!
  const batch = (sampleCount?: unknown) => () => ({
    model,
    gradients: model.values.map((value) => value.slice()),
    loss: 0,
    sampleCount: sampleCount as number,
  })
  for (const bad of [-1, NaN, Infinity, 2 ** 53 + 2, '3', null])
    await t.throwsAsync(trainer.train(batch(bad)), {
      code: 'ERR_ARGUMENT',
      message: /sampleCount is .*from 0 to 2\^53/,
    })
  await trainer.train(batch(2))
  await t.throwsAsync(trainer.train(batch()), {
    code: 'ERR_ARGUMENT',
    message: /sampleCount is missing, and was given/,
  })
  await trainer.train(batch(2))
  const [other] = await replicas(t, 1, { op: 'average' })
  await other!.trainer.train(() => ({ ...batch()(), model: other!.model }))
  await t.throwsAsync(
    other!.trainer.train(() => ({ ...batch(1)(), model: other!.model })),
    { code: 'ERR_ARGUMENT', message: /sampleCount is given, and was not given before/ },
  )
  for (const [options, message] of [
    [{ op: 'sum' }, /sampleCount is given, and op is sum/],
    [{ op: 'average', accumulateOp: 'sum' }, /sampleCount is given, and accumulateOp is sum/],
    [{ op: 'adasum', hierarchy: 'sum' }, /sampleCount is given, and hierarchy is sum/],
  ] as const) {
    const [refused] = await replicas(t, 1, options)
    await t.throwsAsync(trainOn(refused!, 0, 2), { code: 'ERR_ARGUMENT', message })
  }
})

test('ranks of which only some count samples, or that accumulate otherwise, find out in the first exchange', async (t) => {
  const made = await replicas(t, 2, { op: 'average' })
  for (const error of await failuresOf(made.map((replica) => trainOn(replica, 0, 3, replica.rank === 1))))
    t.true(error.message.includes('sampleCount is absent on rank 0 and given on rank 1'), error.message)
  const others = await replicas(t, 2, (rank) => ({ op: 'average', accumulateOp: rank === 1 ? 'adasum' : 'sum' }))
  for (const error of await failuresOf(others.map((replica) => fitBatch(replica, 0))))
    t.true(error.message.includes('accumulateOp is sum on rank 0 and adasum on rank 1'), error.message)
})

test('an accumulateOp that is none is refused', async (t) => {
  await t.throwsAsync(replicas(t, 1, { op: 'sum', accumulateOp: 'max' as ReduceOp }), {
    code: 'ERR_ARGUMENT',
    message: /accumulateOp is max; it must be one of/,
  })
})
