/** `model.stopTraining = true` on one rank, at any moment, stops all ranks after the same batch. */
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import * as tf from '@tensorflow/tfjs-core'
import type * as layers from '@tensorflow/tfjs-layers'
import { distribute } from '../../ts/src/adapters/tfjs/index.ts'
import type { Collectives } from '../../ts/src/training/collectives.ts'
import { compile, linesOf, outcomeOf, ROOT, startAdasum } from '../cli/_adasum.ts'
import { fc } from '../_property.ts'
import { failuresOf } from '../_world.ts'
import './_backend.mjs'
import { datasetOf, equalWeights, fit, type Replica, replicas } from './_replicas.ts'

const SIGNALLED = fileURLToPath(new URL('_signalled.mjs', import.meta.url))

test.before(compile)

interface Counts {
  batches: number
  epochs: number
}

const counter = (counts: Counts) => ({
  onBatchEnd: () => void counts.batches++,
  onEpochEnd: () => void counts.epochs++,
})

/** A callback that stops one rank's training at the end of a batch. */
const stopAt = ({ model, rank }: Replica, who: number, batch: number) => ({
  onBatchEnd: (index: number) => {
    if (rank === who && index === batch) model.stopTraining = true
  },
})

const CASES = (['before', 'after'] as const).flatMap((order) =>
  [1, 2, 3, 4].map((localSteps) => ({ order, localSteps })),
)

for (const { order, localSteps } of CASES) {
  test.serial(
    `a wish in an epoch, ${order} distribute, stops all after the exchange; ${localSteps} local steps`,
    async (t) => {
      for (const [who, batch] of [
        [0, 0],
        [1, 1],
        [2, 4],
        [1, 6],
      ] as const) {
        // prettier-ignore
        const made = await replicas(t, 3, { batches: 7 })
        const counts = made.map(() => ({ batches: 0, epochs: 0 }))
        const histories = await Promise.all(
          made.map((replica, rank) => {
            const ours = distribute(replica.model, replica.comm, { op: 'adasum', localSteps })
            const stop = stopAt(replica, who, batch)
            const callbacks = [counter(counts[rank]!), ...(order === 'before' ? [stop, ours] : [ours, stop])]
            return fit(replica, { op: 'adasum' }, { callbacks, epochs: 3, validationSplit: 0.01 })
          }),
        )
        equalWeights(t, made)
        const done = batch + 1
        const exchanges = order === 'before' ? Math.ceil(done / localSteps) : Math.floor(done / localSteps) + 1
        for (const each of counts) t.deepEqual(each, { batches: Math.min(7, exchanges * localSteps), epochs: 1 })
        for (const { history } of histories) t.deepEqual(history, histories[0]!.history)
      }
    },
  )
}

interface Wish {
  rank: number
  /** Number of the moment; without one nobody wishes to stop. */
  moment?: number
}

/** One rank's training, moment by moment: around each collective, and in callbacks before and after distribute(). */
class Watch {
  readonly comm: Collectives
  moments = 0
  /** Exchanges of weights that have begun. */
  exchanges = 0
  exchangesAtWish: number | undefined
  readonly #replica: Replica
  readonly #wish: Wish

  constructor(replica: Replica, wish: Wish) {
    const { comm, rank } = replica
    this.#replica = replica
    this.#wish = wish
    this.comm = {
      rank,
      size: comm.size,
      allReduce: this.#around(comm.allReduce.bind(comm) as Call),
      broadcast: this.#around(comm.broadcast.bind(comm) as Call),
      allGather: this.#around(comm.allGather.bind(comm) as Call),
    } as Collectives
  }

  readonly moment = (): void => {
    if (this.#replica.rank === this.#wish.rank && this.moments === this.#wish.moment) {
      this.#replica.model.stopTraining = true
      this.exchangesAtWish = this.exchanges
    }
    this.moments++
  }

  callbacks(): layers.CustomCallbackArgs {
    const { moment } = this
    // As a checkpoint is written: a signal comes while it is awaited.
    const awaited = async (): Promise<void> => {
      moment()
      await new Promise((resolve) => setImmediate(resolve))
      moment()
    }
    const each = { onTrainBegin: moment, onEpochBegin: moment, onBatchBegin: moment, onBatchEnd: moment }
    return { ...each, onEpochEnd: awaited, onTrainEnd: moment }
  }

  #around(call: Call): Call {
    return async (array, options) => {
      // The wish travels with the weights, and is read before they are.
      if (options?.segments !== undefined) this.exchanges++
      this.moment()
      const result = call(array, options)
      this.moment()
      return result.finally(this.moment)
    }
  }
}

type Call = (array: unknown, options?: { segments?: unknown }) => Promise<unknown>

interface Run {
  watches: Watch[]
  counts: Counts[]
  histories: layers.History[]
}

const RUNS = 15
const EPOCHS = 3
const BATCHES = 4

interface Plan extends Wish {
  localSteps: number
  isDataset: boolean
}

async function train(t: ExecutionContext, made: readonly Replica[], plan: Plan): Promise<Run> {
  const { localSteps, isDataset, ...wish } = plan
  const watches = made.map((replica) => new Watch(replica, wish))
  const counts = made.map(() => ({ batches: 0, epochs: 0 }))
  const histories = await Promise.all(
    made.map((replica, rank) => {
      const [watch, options] = [watches[rank]!, { op: 'adasum', localSteps } as const]
      const ours = distribute(replica.model, watch.comm, options)
      watch.moment()
      const callbacks = [watch.callbacks(), ours, watch.callbacks(), counter(counts[rank]!)]
      if (!isDataset) return fit(replica, options, { callbacks, epochs: EPOCHS })
      return replica.model.fitDataset(datasetOf(replica), { epochs: EPOCHS, verbose: 0, callbacks })
    }),
  )
  equalWeights(t, made)
  return { watches, counts, histories }
}

for (const isDataset of [false, true]) {
  const what = isDataset ? 'fitDataset' : 'fit'
  test.serial(`${what}: a wish of any rank at any moment stops all ranks at the next exchange`, async (t) => {
    const made = await replicas(t, 2, { batches: BATCHES })
    for (const localSteps of [1, 3]) {
      const { watches } = await train(t, made, { rank: 0, localSteps, isDataset })
      const [moments, whole] = [watches[0]!.moments, watches[0]!.exchanges]
      const check = async (rank: number, moment: number): Promise<void> => {
        const run = await train(t, made, { rank, moment, localSteps, isDataset })
        const begun = run.watches[rank]!.exchangesAtWish!
        // At the end of an epoch there is a vote, too. What comes after the last exchange has no effect.
        const isBetweenEpochs = begun > 0 && begun % (whole / EPOCHS) === 0
        const expected = begun === whole ? [whole] : isBetweenEpochs ? [begun, begun + 1] : [begun + 1]
        for (const { exchanges } of run.watches) t.true(expected.includes(exchanges), `${exchanges}, wish at ${begun}`)
        for (const each of run.counts) t.deepEqual(each, run.counts[0]!)
        for (const { history } of run.histories) t.deepEqual(history, run.histories[0]!.history)
      }
      await fc.assert(fc.asyncProperty(fc.nat({ max: 1 }), fc.nat({ max: moments - 1 }), check), { numRuns: RUNS })
    }
  })
}

test.serial('a wish at the end of an epoch, before distribute or after it, stops all there', async (t) => {
  for (const order of ['before', 'after']) {
    const made = await replicas(t, 3)
    const histories = await Promise.all(
      made.map((replica) => {
        const stop = {
          onEpochEnd: (epoch: number) => {
            if (replica.rank === 2 && epoch === 1) replica.model.stopTraining = true
          },
        }
        const ours = distribute(replica.model, replica.comm, { op: 'adasum' })
        const callbacks = order === 'before' ? [stop, ours] : [ours, stop]
        return fit(replica, { op: 'adasum' }, { callbacks, epochs: 5 })
      }),
    )
    for (const { epoch } of histories) t.deepEqual(epoch, [0, 1])
    equalWeights(t, made)
  }
})

test.serial('a wish that is taken back before an exchange stops nobody', async (t) => {
  const made = await replicas(t, 2)
  const histories = await Promise.all(
    made.map((replica) => {
      const { model } = replica
      const hesitate = {
        onBatchBegin: () => {
          model.stopTraining = true
          t.true(model.stopTraining)
          model.stopTraining = false
          t.false(model.stopTraining)
        },
      }
      const ours = distribute(model, replica.comm, { op: 'adasum' })
      return fit(replica, { op: 'adasum' }, { callbacks: [hesitate, ours], epochs: 2 })
    }),
  )
  for (const { epoch } of histories) t.deepEqual(epoch, [0, 1])
})

test.serial('a rank whose numbers are left out is heard at the next exchange in which they are not', async (t) => {
  const made = await replicas(t, 2, { batches: 4 })
  const counts = made.map(() => ({ batches: 0, epochs: 0 }))
  await Promise.all(
    made.map((replica, rank) => {
      const { model, comm } = replica
      const poison = {
        onBatchEnd: (batch: number) => {
          if (rank === 0 || batch > 0) return
          model.stopTraining = true
          const variable = model.trainableWeights[0]!.read() as tf.Variable
          tf.tidy(() => variable.assign(tf.fill(variable.shape, NaN)))
        },
      }
      const options = { op: 'adasum', onNonFinite: 'skip' } as const
      const callbacks = [poison, distribute(model, comm, options), counter(counts[rank]!)]
      return fit(replica, options, { callbacks, epochs: 2 })
    }),
  )
  for (const each of counts) t.deepEqual(each, { batches: 2, epochs: 1 })
  equalWeights(t, made)
})

test.serial('a wish holds for one training, and what is left of an earlier one for none', async (t) => {
  const made = await replicas(t, 2, { batches: 2 })
  const options = { op: 'adasum' } as const
  const ours = made.map(({ model, comm }) => distribute(model, comm, options))
  const epochsOf = (histories: layers.History[]): number[] => histories.map(({ epoch }) => epoch.length)
  const fitAll = () =>
    Promise.all(made.map((replica, rank) => fit(replica, options, { callbacks: ours[rank]!, epochs: 2 })))
  made[1]!.model.stopTraining = true
  t.deepEqual(epochsOf(await fitAll()), [1, 1])
  t.deepEqual(made.map(({ model }) => model.stopTraining), [true, true]) // prettier-ignore
  t.deepEqual(epochsOf(await fitAll()), [2, 2])

  // A training that fails, too.
  const failing = made.map((replica) => {
    const broken = { onBatchBegin: () => Promise.reject(new Error('on purpose')) }
    replica.model.stopTraining = true
    return fit(replica, options, { callbacks: [ours[replica.rank]!, broken] })
  })
  for (const error of await failuresOf(failing)) t.is(error.message, 'on purpose')
  t.deepEqual(epochsOf(await fitAll()), [2, 2])
})

test.serial('without distribute, a model stops as TensorFlow.js says: at once', async (t) => {
  const [replica] = (await replicas(t, 1, { batches: 4 })) as [Replica]
  distribute(replica.model, replica.comm, { op: 'adasum' })
  const counts = { batches: 0, epochs: 0 }
  await fit(replica, { op: 'adasum' }, { callbacks: [counter(counts), stopAt(replica, 0, 1)], epochs: 2 })
  t.deepEqual(counts, { batches: 2, epochs: 1 })
  await t.notThrowsAsync(replica.model.fit(replica.x, replica.y, { verbose: 0 }))
})

test.serial('a second call of fit, which TensorFlow.js refuses, takes nothing from the first', async (t) => {
  const made = await replicas(t, 2, { batches: 4 })
  const counts = made.map(() => ({ batches: 0, epochs: 0 }))
  const again = ({ model, x, y, rank }: Replica) => ({
    onBatchEnd: async (batch: number) => {
      if (batch === 0) await t.throwsAsync(model.fit(x, y), { message: /another fit\(\) call is ongoing/ })
      if (rank === 1) model.stopTraining = true
    },
  })
  await Promise.all(
    made.map((replica, rank) => {
      const ours = distribute(replica.model, replica.comm, { op: 'adasum', localSteps: 2 })
      return fit(replica, { op: 'adasum' }, { callbacks: [ours, again(replica), counter(counts[rank]!)], epochs: 2 })
    }),
  )
  for (const each of counts) t.deepEqual(each, { batches: 2, epochs: 1 })
})

test.serial('a rank that stops past the property is noticed at once, on all ranks', async (t) => {
  const made = await replicas(t, 2)
  const runs = made.map((replica) => {
    const { model, comm, rank } = replica
    const inner = (model as unknown as { model: { stopTraining: boolean } }).model
    const leave = { onEpochEnd: () => void (rank === 1 && (inner.stopTraining = true)) }
    const callbacks = [distribute(model, comm, { op: 'adasum' }), leave]
    return fit(replica, { op: 'adasum' }, { callbacks, epochs: 3 })
  })
  for (const error of await failuresOf(runs)) t.like(error, { code: 'ERR_MISMATCH' })
})

interface Line {
  rank: number
  batches: number
  epochs: number
  weights: string
}

test.serial('two processes: a signal that one of them handles stops both, after the same batch', async (t) => {
  const child = startAdasum(t, ['run', '-n', '2', SIGNALLED], { cwd: ROOT })
  const [, pid] = await linesOf(child, /pid (\d+)/, 2)
  process.kill(Number(pid), 'SIGUSR2')
  const { exitCode, stdout, stderr } = await outcomeOf(child)
  t.is(exitCode, 0, stderr)
  const lines = [...stdout.matchAll(/\{.*\}/g)].map(([json]) => JSON.parse(json) as Line)
  const [first, second] = lines.sort((a, b) => a.rank - b.rank) as [Line, Line]
  t.deepEqual({ ...first, rank: 1 }, second)
  t.true(first.batches >= 10)
})
