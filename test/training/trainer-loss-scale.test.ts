/** Loss scaling of the trainer: steps that are skipped, by whom, and the scale that all ranks have afterwards. */
import test, { type ExecutionContext } from 'ava'
import { Compressor } from '../../ts/src/compressor.ts'
import type { LossScaler } from '../../ts/src/training/loss-scaler.ts'
import type { Gradients } from '../../ts/src/training/trained-model.ts'
import type { TrainerOptions } from '../../ts/src/training/trainer-options.ts'
import { DistributedTrainer } from '../../ts/src/training/distributed-trainer.ts'
import type { HalfDtype, ReduceOp } from '../../ts/src/types.ts'
import { failuresOf, makeWorld, onAll } from '../_world.ts'
import { HALF_DTYPES, halvesOf, widen, widened } from '../reduction/_half.ts'
import { equalWeights, fitBatch, modelOf, onEach, type Replica, replicas, samplesOf, valuesOf } from './_replicas.ts'

const OPS: ReduceOp[] = ['adasum', 'sum', 'average']

/** Trains on a batch with the loss scale that the trainer hands over; `spoil` may make an overflow of the gradients. */
function fitScaled({ trainer, model, rank }: Replica, batch: number, spoil: (gradients: Float32Array[]) => void = () => {}): Promise<number> {
  return trainer.train((scale) => {
    const { gradients, loss } = model.gradientsOn(samplesOf(rank, batch))
    const scaled = gradients.map((gradient) => gradient.map((value) => value * scale))
    spoil(scaled)
    return { model, gradients: scaled, loss }
  })
} // prettier-ignore

const overflow = (gradients: Float32Array[]): void => void (gradients[0]![1] = Infinity)
const scalesOf = (made: readonly Replica[]): number[] => made.map(({ trainer }) => trainer.lossScaler!.scale)

const WAYS: Omit<TrainerOptions, 'op'>[] = [
  { mode: 'gradient' },
  { mode: 'gradient', accumulate: 3 },
  { mode: 'delta' },
  { mode: 'delta', localSteps: 2, accumulate: 2 },
]
for (const way of WAYS)
  test(`${JSON.stringify(way)}: a scale without overflows leaves no trace in the weights`, async (t) => {
    for (const op of OPS) {
      const plain = await replicas(t, 3, { op, ...way })
      for (const lossScale of ['dynamic', 2 ** -4, 2 ** 90] as const) {
        const scaled = await replicas(t, 3, { op, ...way, lossScale })
        for (let batch = 0; batch < 8; batch++) {
          if (lossScale === 'dynamic') await onEach(plain, (replica) => fitBatch(replica, batch))
          const losses = await onEach(scaled, (replica) => fitScaled(replica, batch))
          if (batch === 0) t.deepEqual(losses, scaled.map(({ rank }) => modelOf().gradientsOn(samplesOf(rank, 0)).loss)) // prettier-ignore
        }
        await onEach(scaled, ({ trainer }) => trainer.flush())
        if (lossScale === 'dynamic') await onEach(plain, ({ trainer }) => trainer.flush())
        t.deepEqual(equalWeights(t, scaled), equalWeights(t, plain), `${op}, ${lossScale}`)
      }
      t.is(plain[0]!.trainer.lossScaler, undefined)
    }
  })

test('mode gradient: the step of an overflow is skipped by all ranks, and all have half the scale', async (t) => {
  for (const op of OPS) {
    for (const compressor of [undefined, 'bf16'] as const) {
      const options = () => ({
        ...{ op, mode: 'gradient' as const },
        ...(compressor && { compressor: new Compressor({ format: compressor }) }),
      })
      const scaled = await replicas(t, 3, () => ({ ...options(), lossScale: 'dynamic' }))
      const before: number[][] = []
      for (let batch = 0; batch < 3; batch++) {
        before.push(equalWeights(t, scaled))
        await onEach(scaled, (replica) => fitScaled(replica, batch, batch === 1 && replica.rank === 2 ? overflow : undefined)) // prettier-ignore
        if (batch === 1) for (const { trainer } of scaled) t.deepEqual(trainer.lastReduction!.nonFiniteRanks, [2])
      }
      t.deepEqual(before[2], before[1], 'not skipped')
      t.notDeepEqual(equalWeights(t, scaled), before[2], 'and goes on')
      t.deepEqual(scalesOf(scaled), [2 ** 15, 2 ** 15, 2 ** 15])
    }
  }
})

test('mode gradient: all ranks overflow, and the scale is lowered once', async (t) => {
  const made = await replicas(t, 2, { op: 'adasum', mode: 'gradient', lossScale: 'dynamic' })
  await onEach(made, (replica) => fitScaled(replica, 0, overflow))
  t.deepEqual(equalWeights(t, made), valuesOf(modelOf()))
  t.deepEqual(scalesOf(made), [2 ** 15, 2 ** 15])
})

test('mode gradient: a sum that overflows in the exchange alone is skipped, too', async (t) => {
  const made = await replicas(t, 2, { op: 'sum', mode: 'gradient', lossScale: { initialScale: 4 } })
  await onEach(made, (replica) => fitScaled(replica, 0, ([kernel]) => void kernel!.fill(2e38)))
  t.notDeepEqual(equalWeights(t, made), valuesOf(modelOf()), 'a quarter of it does not')
  const before = equalWeights(t, made)
  for (const { trainer } of made) trainer.lossScaler!.restore({ scale: 1, goodSteps: 0, skippedSteps: 0 })
  await onEach(made, (replica) => fitScaled(replica, 1, ([kernel]) => void kernel!.fill(2e38)))
  t.deepEqual(equalWeights(t, made), before)
  for (const { trainer } of made) {
    t.deepEqual(trainer.lastReduction!.nonFiniteRanks, [])
    t.deepEqual(trainer.lossScaler!.state(), { scale: 0.5, goodSteps: 0, skippedSteps: 1 })
  }
})

test('accumulate: one batch that overflows costs the whole step, and the scale changes between steps only', async (t) => {
  for (const mode of ['gradient', 'delta'] as const) {
    const made = await replicas(t, 2, { op: 'adasum', mode, accumulate: 3, lossScale: { growthInterval: 1 } })
    const scales: number[] = []
    for (let batch = 0; batch < 6; batch++) {
      await onEach(made, (replica) => fitScaled(replica, batch, batch === 1 ? overflow : undefined))
      scales.push(...new Set(scalesOf(made)))
      if (batch === 2) t.deepEqual(equalWeights(t, made), valuesOf(modelOf()), mode)
    }
    t.deepEqual(scales, [16, 16, 15, 15, 15, 16].map((exponent) => 2 ** exponent), mode) // prettier-ignore
    t.notDeepEqual(equalWeights(t, made), valuesOf(modelOf()))
  }
})

/** Three ranks with local steps, of which rank 1 does not take those in `skipped`. */
async function localStepsWithout(t: ExecutionContext, steps: number, skipped: readonly number[]): Promise<number[]> {
  const made = await replicas(t, 3, { op: 'adasum', localSteps: steps })
  for (let batch = 0; batch < steps; batch++)
    await onEach(made, ({ trainer, model, rank }) =>
      trainer.train(() => {
        const { gradients, loss } = model.gradientsOn(samplesOf(rank, batch))
        const isSkipped = rank === 1 && skipped.includes(batch)
        return { model, gradients: isSkipped ? gradients.map((gradient) => gradient.fill(0)) : gradients, loss }
      }),
    )
  return equalWeights(t, made)
}

test('mode delta: a rank skips its own steps and lowers its own scale; the exchange makes all agree', async (t) => {
  for (const hierarchy of [undefined, 'sum'] as const) {
    const options = { op: 'adasum', localSteps: 4, lossScale: 'dynamic' } as const
    const made = await replicas(t, 3, { ...options, ...(hierarchy && { hierarchy }) })
    const scales: number[][] = []
    for (let batch = 0; batch < 4; batch++) {
      const spoils = (rank: number): boolean => (rank === 1 && batch < 2) || (rank === 2 && batch === 3)
      await onEach(made, (replica) => fitScaled(replica, batch, spoils(replica.rank) ? overflow : undefined))
      scales.push(scalesOf(made).map(Math.log2))
    }
    t.deepEqual(scales, [[16, 15, 16], [16, 14, 16], [16, 14, 16], [14, 14, 14]]) // prettier-ignore
    for (const { trainer } of made)
      t.deepEqual(trainer.lossScaler!.state(), { scale: 2 ** 14, goodSteps: 0, skippedSteps: 2 })
    equalWeights(t, made)
  }
  const made = await replicas(t, 3, { op: 'adasum', localSteps: 3, lossScale: 'dynamic' })
  for (let batch = 0; batch < 3; batch++)
    await onEach(made, (replica) => fitScaled(replica, batch, replica.rank === 1 && batch === 1 ? overflow : undefined))
  t.deepEqual(equalWeights(t, made), await localStepsWithout(t, 3, [1]))
})

test('overflows count the same where batches have sample counts, and where they are accumulated by Adasum', async (t) => {
  for (const mode of ['gradient', 'delta'] as const)
    for (const more of [{}, { accumulateOp: 'adasum' }] as const)
      for (const op of OPS) {
        const made = await replicas(t, 3, { op, mode, accumulate: 2, lossScale: 'dynamic', ...more })
        const sampleCountOf = (rank: number): number => rank + 1
        for (let batch = 0; batch < 4; batch++) {
          await onEach(made, ({ trainer, model, rank }) =>
            trainer.train((scale) => {
              const { gradients, loss } = model.gradientsOn(samplesOf(rank, batch))
              const scaled = gradients.map((gradient) => gradient.map((value) => value * scale))
              if (rank === 1 && batch === 1) overflow(scaled)
              return { model, gradients: scaled, loss, ...(op !== 'sum' && { sampleCount: sampleCountOf(rank) }) }
            }),
          )
          if (batch === 1 && mode === 'gradient') t.deepEqual(equalWeights(t, made), valuesOf(modelOf()))
        }
        t.true(equalWeights(t, made).every(Number.isFinite))
        for (const { trainer } of made)
          t.deepEqual(trainer.lossScaler!.state(), { scale: 2 ** 15, goodSteps: 1, skippedSteps: 1 }, `${mode}, ${op}`)
      }
})

test('mode delta: if all ranks skip all steps, the weights stay as they were', async (t) => {
  for (const op of OPS) {
    const made = await replicas(t, 2, { op, localSteps: 2, lossScale: 'dynamic' })
    for (const { model } of made) model.step = () => t.fail()
    for (const batch of [0, 1]) await onEach(made, (replica) => fitScaled(replica, batch, overflow))
    t.deepEqual(equalWeights(t, made), valuesOf(modelOf()))
    t.deepEqual(scalesOf(made), [2 ** 14, 2 ** 14])
  }
})

test('good steps are counted over rounds, and a part of a round counts as what it was', async (t) => {
  const made = await replicas(t, 2, { op: 'adasum', localSteps: 3, lossScale: { growthInterval: 4 } })
  for (const batch of [0, 1, 2]) await onEach(made, (replica) => fitScaled(replica, batch))
  t.deepEqual(made[0]!.trainer.lossScaler!.state(), { scale: 2 ** 16, goodSteps: 3, skippedSteps: 0 })
  for (const batch of [3, 4]) await onEach(made, (replica) => fitScaled(replica, batch))
  await onEach(made, ({ trainer }) => trainer.flush())
  for (const { trainer } of made)
    t.deepEqual(trainer.lossScaler!.state(), { scale: 2 ** 17, goodSteps: 1, skippedSteps: 0 })
})

test('ranks with different scales are told so', async (t) => {
  const cases: [TrainerOptions['lossScale'], TrainerOptions['lossScale'], RegExp][] = [
    ['dynamic', undefined, /lossScale is 65536 on rank 0 and 0 on rank 1/],
    ['dynamic', 1024, /lossScale is 65536 on rank 0 and 1024 on rank 1/],
    ['dynamic', { growthInterval: 7 }, /growthInterval of lossScale is 2000 on rank 0 and 7 on rank 1/],
    [1024, { initialScale: 1024 }, /minScale of lossScale is 1024 on rank 0 and 7\.88\S+ on rank 1/],
  ]
  for (const mode of ['gradient', 'delta'] as const)
    for (const [first, second, message] of cases) {
      const optionsOf = (rank: number): TrainerOptions => {
        const lossScale = rank === 0 ? first : second
        return { op: 'adasum', mode, ...(lossScale !== undefined && { lossScale }) }
      }
      const made = await replicas(t, 2, optionsOf)
      for (const error of await failuresOf(made.map((replica) => fitScaled(replica, 0)))) {
        t.like(error, { code: 'ERR_MISMATCH' })
        t.regex(error.message, message)
      }
    }
  // An overflow of the first round is no difference of the ranks.
  const made = await replicas(t, 2, { op: 'adasum', localSteps: 2, lossScale: 'dynamic' })
  for (const batch of [0, 1])
    await onEach(made, (replica) => fitScaled(replica, batch, replica.rank === 0 && batch === 0 ? overflow : undefined))
  t.deepEqual(scalesOf(made), [2 ** 15, 2 ** 15])
})

test('mode gradient: lossScale takes the place of onNonFinite; a wrong scale is refused', async (t) => {
  const world = await makeWorld(1)
  t.teardown(() => world.close())
  const words = { trainer: 'Trainer', step: 'step()', sameWeights: '', equalStart: '' }
  const make = (options: object) => new DistributedTrainer(world.ranks[0]!, options as TrainerOptions, words)
  for (const onNonFinite of ['throw', 'skip', 'propagate'])
    t.throws(() => make({ op: 'sum', mode: 'gradient', lossScale: 'dynamic', onNonFinite }), {
      ...{ code: 'ERR_ARGUMENT', message: new RegExp(`^onNonFinite is ${onNonFinite}, but with lossScale`) },
    })
  t.notThrows(() => make({ op: 'sum', mode: 'delta', lossScale: 'dynamic', onNonFinite: 'skip' }))
  t.throws(() => make({ op: 'sum', lossScale: 1000 }), { code: 'ERR_ARGUMENT', message: /^lossScale is 1000/ })
})

// ---- gradients that are halves already

/** One weight vector in f32, whose gradients are halves. */
class HalfModel {
  readonly weights = [{ name: 'w', shape: [64], dtype: 'float32' }]
  readonly values = new Float32Array(64)
  readonly combined = new Float32Array(64)
  readonly dtype: HalfDtype

  constructor(dtype: HalfDtype) {
    this.dtype = dtype
  }

  readWeight(_: number, target: Float32Array): void {
    target.set(this.values)
  }

  writeWeights([values]: readonly Float32Array[]): void {
    this.values.set(values!)
  }

  addGradient(sum: Uint16Array | undefined, gradient: Uint16Array): Uint16Array {
    return sum === undefined ? gradient : halvesOf(this.dtype, sum.map((bits, i) => widen(this.dtype, bits) + widen(this.dtype, gradient[i]!))) // prettier-ignore
  }

  divideGradient(sum: Uint16Array, divisor: number): Uint16Array {
    return halvesOf(this.dtype, widened(this.dtype, sum).map((value) => value / divisor)) // prettier-ignore
  }

  readGradient(gradient: Uint16Array, target: Float32Array): void {
    target.set(widened(this.dtype, gradient))
  }

  disposeGradient(): void {}

  step([gradient]: Gradients<Uint16Array>): void {
    this.stepCombined([Float32Array.from(widened(this.dtype, gradient!))])
  }

  stepCombined([gradient]: readonly Float32Array[]): void {
    this.combined.set(gradient!)
    gradient!.forEach((value, i) => (this.values[i]! -= value / 8))
  }
}

const halfGradient = (dtype: HalfDtype, rank: number): Uint16Array =>
  halvesOf(
    dtype,
    Float64Array.from({ length: 64 }, (_, i) => Math.sin(1 + i + 5 * rank)),
  )

for (const dtype of HALF_DTYPES)
  test(`gradients in ${dtype} go through the trainer: as f32, or with a compressor in their own two bytes`, async (t) => {
    const world = await makeWorld(3)
    t.teardown(() => world.close())
    const words = { trainer: 'Trainer', step: 'step()', sameWeights: '', equalStart: '' }
    const bytes: number[] = []
    for (const format of [undefined, dtype]) {
      const combined = await onAll(world.ranks, async (comm, rank) => {
        const model = new HalfModel(dtype)
        const compressor = format && new Compressor({ format, errorFeedback: false })
        const options = { op: 'adasum', mode: 'gradient', ...(compressor && { compressor }) } as const
        const trainer = new DistributedTrainer<Uint16Array>(comm, options, words)
        await trainer.train(() => ({ model, gradients: [halfGradient(dtype, rank)], loss: 0 }))
        if (rank === 0) bytes.push(trainer.lastReduction!.bytesSent)
        return model.combined
      })
      const expected = await onAll(world.ranks, async (comm, rank) => {
        const out = new Float32Array(64)
        return (await comm.allReduce(halfGradient(dtype, rank), { op: 'adasum', dtype, out })).result
      })
      // Each rank computes the whole of so short a result, from halves that lose nothing on the way.
      t.deepEqual(combined, expected, format ?? 'f32')
    }
    t.is(bytes[0]! - bytes[1]!, 2 * 64 * 2, 'two bytes less an element and peer')
  })

test('LossScaler of a trainer goes on from a saved state', async (t) => {
  const made = await replicas(t, 2, { op: 'adasum', mode: 'gradient', lossScale: { growthInterval: 3 } })
  for (const batch of [0, 1]) await onEach(made, (replica) => fitScaled(replica, batch))
  const saved = JSON.stringify(made[0]!.trainer.lossScaler!.state())
  const later = await replicas(t, 2, { op: 'adasum', mode: 'gradient', lossScale: { growthInterval: 3 } })
  for (const { trainer } of later) trainer.lossScaler!.restore(JSON.parse(saved) as ReturnType<LossScaler['state']>)
  await onEach(later, (replica) => fitScaled(replica, 2))
  t.deepEqual(scalesOf(later), [2 ** 17, 2 ** 17])
})
