/** Epochs over plain arrays, taken by a loop of a few lines: what a framework's `fit` gets from the session. */
import test, { type ExecutionContext } from 'ava'
import type { FlatWeights } from '../../ts/src/optim/flat-weights.ts'
import { type EpochModel, EpochSession, type SessionOptions } from '../../ts/src/training/epoch-session.ts'
import type { WeightAccess } from '../../ts/src/training/weight-access.ts'
import { failuresOf, makeWorld } from '../_world.ts'
import { LinearModel } from './_linear-model.ts'
import { FEATURES, modelOf, RATE, samplesOf, valuesOf } from './_replicas.ts'

const WORDS = {
  caller: 'fitAll()',
  notBegun: 'a batch came too early. Begin first.',
  sameSettings: 'Give all the same.',
  sameEpochs: 'Let all end together.',
}

class Arrays implements WeightAccess<FlatWeights> {
  readonly weights
  readonly values: readonly FlatWeights[]

  constructor(values: Record<string, FlatWeights>) {
    this.values = Object.values(values)
    this.weights = Object.entries(values).map(([name, { length, constructor }]) => {
      const dtype = { Float32Array: 'float32', Int32Array: 'int32' }[constructor.name] ?? 'bool'
      return { name, shape: [length], dtype }
    })
  }

  readWeight(index: number, target: FlatWeights): void {
    target.set(this.values[index]!)
  }

  writeWeights(values: readonly FlatWeights[]): void {
    values.forEach((value, index) => this.values[index]!.set(value))
  }
}

/** A model, and a loop that fits it: the wishes to stop come at given batches. */
class Loop {
  isStopWanted = false
  isStopped = false
  batchesDone = 0
  readonly rank: number
  readonly model = new LinearModel(FEATURES, RATE)
  readonly fixed: Arrays
  readonly session: EpochSession

  constructor(rank: number, comm: ConstructorParameters<typeof EpochSession>[1], options: Partial<SessionOptions>) {
    this.rank = rank
    this.model.values[0]!.fill(rank + 1)
    this.fixed = new Arrays({
      steps: Int32Array.of(10 * rank),
      mean: Float32Array.of(rank, 2 * rank),
      none: new Float32Array(0),
      mask: Uint8Array.of(rank, 1),
    })
    const model: EpochModel = {
      weights: () => this.model,
      trainableWeights: () => this.model,
      nonTrainableWeights: () => this.fixed,
    }
    const chosen = { op: 'average', localSteps: 1, onReduction: undefined, ...options } as const
    this.session = new EpochSession({ model, loop: this }, comm, chosen, WORDS)
  }

  stop(): void {
    this.isStopped = true
  }

  async fit(batches: number, epochs: number, { wishAt = -1, batchSize = 4 } = {}): Promise<Record<string, number>[]> {
    const { session, model, rank } = this
    const history: Record<string, number>[] = []
    await session.begin({ batchesPerEpoch: batches, settings: [{ label: 'the batch size', value: batchSize }] })
    for (let epoch = 0; epoch < epochs && !this.isStopped; epoch++) {
      await session.beginEpoch()
      for (let batch = 0; batch < batches && !this.isStopped; batch++) {
        await session.beginBatch()
        model.step(model.gradientsOn(samplesOf(rank, batch)).gradients)
        if (this.batchesDone++ === wishAt) this.isStopWanted = true
        await session.endBatch(batchSize)
      }
      const logs = { loss: rank, epoch }
      await session.endEpoch(logs)
      history.push(logs)
      await session.vote()
    }
    await session.end()
    return history
  }
}

async function loops(t: ExecutionContext, size: number, options: Partial<SessionOptions> = {}): Promise<Loop[]> {
  const world = await makeWorld(size)
  t.teardown(() => world.close())
  return world.ranks.map((comm, rank) => new Loop(rank, comm, options))
}

function equal(t: ExecutionContext, made: readonly Loop[]): void {
  for (const { model } of made) t.deepEqual(valuesOf(model), valuesOf(made[0]!.model))
}

for (const size of [2, 3, 4]) {
  test(`${size} ranks begin with the weights of rank 0, and end epochs with equal weights and logs`, async (t) => {
    const reductions: unknown[] = []
    const made = await loops(t, size, { localSteps: 2, onReduction: (reduction) => reductions.push(reduction) })
    const histories = await Promise.all(made.map((loop) => loop.fit(3, 2)))
    equal(t, made)
    // Two exchanges an epoch: after two batches, and at its end.
    t.is(reductions.length, 4 * size)
    for (const history of histories) t.deepEqual(history, [0, 1].map((epoch) => ({ loss: (size - 1) / 2, epoch }))) // prettier-ignore
    const [steps, mean, , mask] = made[size - 1]!.fixed.values
    t.deepEqual([...steps!, ...mask!], [0, 0, 1], 'those of rank 0')
    t.deepEqual([...mean!], [(size - 1) / 2, size - 1], 'the average')
  })
}

test('one rank alone trains as it would without the session', async (t) => {
  const [made] = await loops(t, 1)
  await made!.fit(1, 2)
  const plain = modelOf()
  plain.values[0]!.fill(1)
  for (let epoch = 0; epoch < 2; epoch++) plain.step(plain.gradientsOn(samplesOf(0, 0)).gradients)
  t.deepEqual(valuesOf(made!.model), valuesOf(plain))
})

for (const [what, wishAt] of [
  ['within an epoch', 1],
  ['in the last batch of one', 3],
] as const) {
  test(`a wish of one rank ${what} stops all after the same batch`, async (t) => {
    const made = await loops(t, 3)
    await Promise.all(made.map((loop, rank) => loop.fit(4, 3, rank === 1 ? { wishAt } : {})))
    equal(t, made)
    t.deepEqual(made.map(({ batchesDone }) => batchesDone), made.map(() => wishAt + 1)) // prettier-ignore
  })
}

test('a wish after the last exchange of an epoch is voted on', async (t) => {
  const made = await loops(t, 2)
  const { session } = made[1]!
  const endEpoch = session.endEpoch.bind(session)
  session.endEpoch = async (logs) => {
    await endEpoch(logs)
    made[1]!.isStopWanted = true
  }
  await Promise.all(made.map((loop) => loop.fit(2, 3)))
  t.deepEqual(made.map(({ batchesDone }) => batchesDone), [2, 2]) // prettier-ignore
})

test('a rank that has more batches is named, with both numbers, in the words of the adapter', async (t) => {
  const made = await loops(t, 2, { localSteps: 2 })
  for (const error of await failuresOf(made.map((loop, rank) => loop.fit(3 + rank, 1)))) {
    const numbers = 'rank 0 ended its epoch after 3 batches, rank 1 is at batch 4'
    t.like(error, {
      code: 'ERR_MISMATCH',
      message: `fitAll(): ${numbers}. Give every rank the same number of batches.`,
    })
  }
})

test('settings that differ are found before the first batch, and a batch before begin is refused', async (t) => {
  const made = await loops(t, 2)
  await t.throwsAsync(made[0]!.session.beginBatch(), { code: 'ERR_NOT_READY', message: 'fitAll(): a batch came too early. Begin first.' }) // prettier-ignore
  for (const error of await failuresOf(made.map((loop, rank) => loop.fit(1, 1, { batchSize: 4 + rank })))) {
    const message = 'fitAll(): the batch size is 4 on rank 0 and 5 on rank 1. Give all the same.'
    t.like(error, { code: 'ERR_MISMATCH', message })
  }
  t.deepEqual(made.map(({ batchesDone }) => batchesDone), [0, 0]) // prettier-ignore
})

test('a rank that goes on when another has ended is noticed at once, on both', async (t) => {
  const made = await loops(t, 2)
  for (const error of await failuresOf(made.map((loop, rank) => loop.fit(1, 1 + rank))))
    t.like(error, { code: 'ERR_MISMATCH' })
})
