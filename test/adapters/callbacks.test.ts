/** `distribute` beside other callbacks: plain objects and instances of callback classes, in one list, in any order. */
import test, { type ExecutionContext } from 'ava'
import * as tf from '@tensorflow/tfjs-core'
import * as layers from '@tensorflow/tfjs-layers'
import { distribute } from '../../ts/src/adapters/tfjs/index.ts'
import { fc } from '../_property.ts'
import './_backend.mjs'
import { BATCH, datasetOf, equalWeights, FEATURES, fit, type Replica, replicas } from './_replicas.ts'

const OPTIONS = { op: 'adasum' } as const
const METHODS = ['onTrainBegin', 'onEpochBegin', 'onBatchBegin', 'onBatchEnd', 'onEpochEnd', 'onTrainEnd'] as const

/**
 * Fits on all ranks with the callbacks of each, which are made where programs make them: among the arguments, when `fit`
 * itself has been looked up already. How many epochs each rank did.
 */
async function epochsWith(
  made: readonly Replica[],
  callbacksOf: (replica: Replica) => unknown,
  epochs: number,
  isDataset = false,
): Promise<number[]> {
  const histories = await Promise.all(
    made.map((replica) => {
      const { model, x, y } = replica
      const args = { epochs, batchSize: BATCH, verbose: 0 } as const
      const make = () => callbacksOf(replica) as layers.CustomCallbackArgs
      return isDataset
        ? model.fitDataset(datasetOf(replica), { epochs, verbose: 0, callbacks: make() })
        : model.fit(x, y, { ...args, callbacks: make() })
    }),
  )
  return histories.map(({ epoch }) => epoch.length)
}

/** Models that are not sequential, and so have none within that runs. */
function functional(t: ExecutionContext, made: readonly Replica[]): Replica[] {
  return made.map((replica) => {
    const input = layers.input({ shape: [FEATURES] })
    const output = layers.layers.dense({ units: 2 }).apply(input) as layers.SymbolicTensor
    const model = layers.model({ inputs: input, outputs: output })
    model.compile({ optimizer: 'sgd', loss: 'meanSquaredError' })
    t.teardown(() => model.dispose())
    return { ...replica, model }
  })
}

const ours = ({ model, comm }: Replica) => distribute(model, comm, OPTIONS)
/** It stops at the end of epoch 1, since no loss is below 0. */
const impatient = () => layers.callbacks.earlyStopping({ monitor: 'loss', baseline: 0, patience: 2 })
const plain = () => ({ onEpochEnd: () => undefined })

const LISTS: [name: string, callbacksOf: (replica: Replica) => unknown][] = [
  ['distribute, class', (replica) => [ours(replica), impatient()]],
  ['class, distribute', (replica) => [impatient(), ours(replica)]],
  ['plain, distribute, class', (replica) => [plain(), ours(replica), impatient()]],
  ['class, distribute, plain', (replica) => [impatient(), ours(replica), plain()]],
  ['distribute, class, plain', (replica) => [ours(replica), impatient(), plain()]],
  ['distribute as a class, class', (replica) => [new layers.CustomCallback(ours(replica)), impatient()]],
  [
    'distribute as a class, plain, class',
    (replica) => [new layers.CustomCallback(ours(replica)), plain(), impatient()],
  ],
]

for (const isDataset of [false, true]) {
  for (const [name, callbacksOf] of LISTS) {
    test.serial(`${isDataset ? 'fitDataset' : 'fit'}: early stopping in the list (${name})`, async (t) => {
      const made = await replicas(t, 2)
      t.deepEqual(await epochsWith(made, callbacksOf, 5, isDataset), [2, 2])
      equalWeights(t, made)
    })
  }
}

test.serial('early stopping on one rank alone, and one of its own numbers, stop all ranks alike', async (t) => {
  const made = await replicas(t, 3)
  const one = (replica: Replica) => (replica.rank === 1 ? [ours(replica), impatient()] : ours(replica))
  t.deepEqual(await epochsWith(made, one, 5), [2, 2, 2])
  const before = (replica: Replica) => [
    layers.callbacks.earlyStopping({ monitor: 'loss', mode: 'max', patience: 1 + replica.rank }),
    ours(replica),
  ]
  const epochs = await epochsWith(made, before, 9)
  t.deepEqual(epochs, [epochs[0], epochs[0], epochs[0]])
  t.true(epochs[0]! < 9)
  equalWeights(t, made)
})

/** A callback that calls its own methods, and writes down what it is told. */
class Recorder extends layers.Callback {
  readonly calls: string[] = []
  readonly losses: unknown[] = []
  #note(name: string, at?: number): void {
    this.calls.push(at === undefined ? name : `${name} ${at}`)
  }
  override async onTrainBegin(): Promise<void> {
    this.#note('onTrainBegin')
  }
  override async onEpochBegin(epoch: number): Promise<void> {
    this.#note('onEpochBegin', epoch)
  }
  override async onBatchBegin(batch: number): Promise<void> {
    this.#note('onBatchBegin', batch)
  }
  override async onBatchEnd(batch: number): Promise<void> {
    this.#note('onBatchEnd', batch)
  }
  override async onEpochEnd(epoch: number, logs?: layers.Logs): Promise<void> {
    this.#note('onEpochEnd', epoch)
    this.losses.push(logs?.['loss'])
  }
  override async onTrainEnd(): Promise<void> {
    this.#note('onTrainEnd')
  }
  get given(): unknown[] {
    const { params, model } = this as unknown as { params: { epochs: number; batchSize: number }; model: unknown }
    return [params.epochs, params.batchSize, model]
  }
}

test.serial('an instance is called on itself, with the parameters, the model and the averages', async (t) => {
  const made = await replicas(t, 2, { batches: 1 })
  const recorders = made.map(() => new Recorder())
  const lists = made.map((replica) => [ours(replica), recorders[replica.rank]!])
  const args = made.map(() => ({ epochs: 2 }))
  const histories = await Promise.all(
    made.map((replica, rank) => fit(replica, OPTIONS, { ...args[rank], callbacks: lists[rank]! })),
  )
  const epoch = (index: number): string[] =>
    [`onEpochBegin ${index}`, 'onBatchBegin 0', 'onBatchEnd 0', `onEpochEnd ${index}`] // prettier-ignore
  for (const [rank, recorder] of recorders.entries()) {
    t.deepEqual(recorder.calls, ['onTrainBegin', ...epoch(0), ...epoch(1), 'onTrainEnd'])
    t.deepEqual(recorder.losses, histories[0]!.history['loss'])
    t.deepEqual(recorder.given.slice(0, 2), [2, 4])
    t.is(recorder.given[2], made[rank]!.model)
    t.is(lists[rank]!.length, 2)
  }
})

test.serial('a class of callbacks made of functions does not call itself', async (t) => {
  // As tfjs-node's TensorBoard callback is written.
  class Board extends layers.CustomCallback {
    constructor(epochs: number[]) {
      super({ onEpochEnd: async (epoch: number) => void epochs.push(epoch) })
    }
  }
  const made = await replicas(t, 2)
  const seen = made.map((): number[] => [])
  await epochsWith(made, (replica) => [ours(replica), new Board(seen[replica.rank]!)], 3)
  t.deepEqual(seen, [[0, 1, 2], [0, 1, 2]]) // prettier-ignore
})

test.serial('any list: every callback hears every call, in the order of the list', async (t) => {
  const made = await replicas(t, 1, { batches: 2 })
  const kinds = fc.array(fc.constantFrom('plain', 'instance'), { maxLength: 4 })
  const check = async (before: string[], after: string[]): Promise<void> => {
    const heard: string[] = []
    const entry = (kind: string, index: number): unknown => {
      const functions = METHODS.map((name) => [name, async () => void heard.push(`${name} ${index}`)] as const)
      const callback = Object.fromEntries(functions) as layers.CustomCallbackArgs
      return kind === 'plain' ? callback : new layers.CustomCallback(callback)
    }
    const count = before.length + after.length
    const list = (replica: Replica) => [
      ...before.map((kind, index) => entry(kind, index)),
      ours(replica),
      ...after.map((kind, index) => entry(kind, before.length + index)),
    ]
    await epochsWith(made, list, 1)
    const names = ['onTrainBegin', 'onEpochBegin', 'onBatchBegin', 'onBatchEnd', 'onBatchBegin', 'onBatchEnd', 'onEpochEnd', 'onTrainEnd'] // prettier-ignore
    t.deepEqual(heard, names.flatMap((name) => Array.from({ length: count }, (_, index) => `${name} ${index}`))) // prettier-ignore
  }
  await fc.assert(fc.asyncProperty(kinds, kinds, check), { numRuns: 20 })
})

test.serial('a model that distribute knows is fitted without it as before', async (t) => {
  const [replica] = (await replicas(t, 1)) as [Replica]
  ours(replica)
  ours(replica)
  const { model, x, y } = replica
  const recorder = new Recorder()
  const args = { epochs: 3, batchSize: 4, verbose: 0, callbacks: [plain(), recorder] } as const
  const { epoch } = await model.fit(x, y, args as unknown as layers.ModelFitArgs)
  t.is(epoch.length, 3)
  t.is(recorder.calls.length, 2 + 3 * 8)
  t.is((args.callbacks as readonly unknown[]).length, 2)
  t.is((await model.fit(x, y, { epochs: 2, verbose: 0, callbacks: impatient() })).epoch.length, 2)
  t.is((await model.fit(x, y)).epoch.length, 1)
  await t.throwsAsync(model.fit(x, tf.zeros([1, 1])), { message: /expected a batch of elements/ })
  t.deepEqual(Object.keys(model).filter((name) => /^(fit|stop)/.test(name)), []) // prettier-ignore
})

for (const isDataset of [false, true]) {
  test.serial(
    `${isDataset ? 'fitDataset' : 'fit'}: a model that is not sequential, and a list made before the call`,
    async (t) => {
      for (const [name, callbacksOf] of LISTS) {
        const made = functional(t, await replicas(t, 2))
        const lists = made.map(callbacksOf)
        t.deepEqual(await epochsWith(made, ({ rank }) => lists[rank], 5, isDataset), [2, 2], name)
        equalWeights(t, made)
      }
    },
  )
}

test.serial(
  'a model that is not sequential, and a list made in the call: what cannot be mixed is refused at once',
  async (t) => {
    const message = /^the callbacks are instances of classes.*Make the list before the call/
    const [replica] = functional(t, await replicas(t, 1)) as [Replica]
    const { model, x, y } = replica
    const begun: string[] = []
    const first = { onTrainBegin: () => void begun.push('training') }
    await t.throwsAsync(model.fit(x, y, { callbacks: [ours(replica), first, impatient()] }), { code: 'ERR_ARGUMENT', message }) // prettier-ignore
    const [other] = functional(t, [replica]) as [Replica]
    const board = () => new layers.CustomCallback({ onEpochEnd: () => Promise.resolve() })
    await t.throwsAsync(other.model.fit(x, y, { callbacks: [ours(other), first, board()] }), { code: 'ERR_ARGUMENT', message }) // prettier-ignore
    t.deepEqual(begun, [])
    // The first entry says that it is a list of instances; distribute() takes part in those.
    const [third] = functional(t, [replica]) as [Replica]
    const { epoch } = await third.model.fit(x, y, {
      epochs: 5,
      verbose: 0,
      callbacks: [impatient(), ours(third)] as never,
    })
    t.is(epoch.length, 2)
  },
)

test.serial('a sequential model that is compiled once more', async (t) => {
  const made = await replicas(t, 2)
  made.forEach(ours)
  for (const { model } of made) model.compile({ optimizer: 'sgd', loss: 'meanSquaredError' })
  t.deepEqual(await epochsWith(made, (replica) => [ours(replica), impatient()], 5), [2, 2])
  equalWeights(t, made)
})
