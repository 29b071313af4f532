/** Schedules for any optimizer of TensorFlow.js in fit. */
import test from 'ava'
import * as tf from '@tensorflow/tfjs-core'
import * as layers from '@tensorflow/tfjs-layers'
import { adamw, distribute, learningRateSchedule, type Schedule } from '../../ts/src/adapters/tfjs/index.ts'
import { AdasumError } from '../../ts/src/errors.ts'
import { constant, linear } from '../../ts/src/optim/index.ts'
import './_backend.mjs'
import { BATCH, datasetOf, equalWeights, replicas } from './_replicas.ts'

const STEPS = 8
const RATE = 0.25

const OPTIMIZERS: Record<string, () => tf.Optimizer> = {
  sgd: () => tf.train.sgd(RATE),
  momentum: () => tf.train.momentum(RATE, 0.5),
  adagrad: () => tf.train.adagrad(RATE),
  adadelta: () => tf.train.adadelta(RATE),
  adam: () => tf.train.adam(RATE),
  adamax: () => tf.train.adamax(RATE),
  rmsprop: () => tf.train.rmsprop(RATE),
  adamw: () => adamw(RATE, { weightDecay: 0 }),
}

/** A weight whose gradient is 1 in every step, so that each change of it is the rate times what the optimizer makes of ones. */
async function weightsOf(optimizer: tf.Optimizer, schedule?: Schedule): Promise<number[]> {
  const model = layers.sequential()
  model.add(layers.layers.dense({ units: 1, inputShape: [1], useBias: false, kernelInitializer: 'zeros' }))
  model.compile({ optimizer, loss: (_truth: tf.Tensor, output: tf.Tensor) => tf.mean(output) })
  const ones = tf.ones([STEPS, 1])
  const weights = [0]
  const onBatchEnd = (): void => void weights.push(model.getWeights()[0]!.dataSync()[0]!)
  const callbacks = [...(schedule ? [learningRateSchedule(model, schedule)] : []), { onBatchEnd }]
  await model.fit(ones, ones, {
    batchSize: 1,
    epochs: 1,
    verbose: 0,
    callbacks: callbacks as layers.CustomCallbackArgs[],
  })
  tf.dispose(ones)
  model.dispose()
  return weights
}

const changesOf = (weights: readonly number[]): number[] => weights.slice(1).map((weight, i) => weight - weights[i]!)

for (const [name, make] of Object.entries(OPTIMIZERS))
  test.serial(`${name}: each step has the rate of the schedule`, async (t) => {
    const schedule = linear({ rate: 2 * RATE, steps: STEPS, warmupSteps: 3 })
    const alone = changesOf(await weightsOf(make()))
    const scheduled = changesOf(await weightsOf(make(), schedule))
    for (const [step, change] of scheduled.entries()) {
      const expected = (alone[step]! * schedule(step)) / RATE
      t.true(Math.abs(change - expected) <= 1e-5 * Math.abs(alone[step]!), `step ${step}: ${change}, not ${expected}`)
    }
    t.deepEqual(changesOf(await weightsOf(make(), constant({ rate: RATE }))), alone)
  })

test.serial('with distribute ranks step alike, and a second fit goes on where the first one was', async (t) => {
  const made = await replicas(t, 2, { batches: 3 })
  const asked: number[][] = made.map(() => [])
  for (const epochs of [2, 1])
    await Promise.all(
      made.map(async ({ model, comm, rank, x, y }) => {
        const schedule: Schedule = (stepCount) => {
          asked[rank]!.push(stepCount)
          return 0.01 / (1 + stepCount)
        }
        const callbacks = [distribute(model, comm, { op: 'adasum' }), learningRateSchedule(model, schedule)]
        await model.fit(x, y, { batchSize: BATCH, epochs, verbose: 0, callbacks })
      }),
    )
  t.deepEqual(asked, Array<number[]>(2).fill([0, 1, 2, 3, 4, 5, 6, 7, 8]))
  equalWeights(t, made)
})

test.serial('with the state of another optimizer it goes on where that one was', async (t) => {
  const [replica] = await replicas(t, 1, { batches: 3 })
  const { model, x, y } = replica!
  const asked: number[] = []
  const fitAnew = (): Promise<layers.History> => {
    const callbacks = learningRateSchedule(model, (stepCount) => (asked.push(stepCount), 0.01))
    return model.fit(x, y, { batchSize: BATCH, verbose: 0, callbacks })
  }
  model.compile({ optimizer: tf.train.adam(RATE), loss: 'meanSquaredError' })
  await fitAnew()
  const state = await model.optimizer.getWeights()
  model.compile({ optimizer: tf.train.adam(RATE), loss: 'meanSquaredError' })
  await model.optimizer.setWeights(state)
  await fitAnew()
  t.deepEqual(asked, [0, 1, 2, 3, 4, 5])
})

test.serial('callbacks of both kinds may stand on either side of it, without distribute', async (t) => {
  const impatient = (): layers.EarlyStopping =>
    layers.callbacks.earlyStopping({ monitor: 'loss', baseline: 0, patience: 2 })
  const plain = { onEpochEnd: () => undefined }
  for (const isDataset of [false, true])
    for (const order of ['schedule first', 'class first', 'plain first']) {
      const [replica] = await replicas(t, 1)
      const { model, x, y } = replica!
      let steps = 0
      const ours = learningRateSchedule(model, () => (steps++, 0.01))
      const callbacks = { 'schedule first': [ours, impatient(), plain], 'class first': [impatient(), ours], 'plain first': [plain, ours, impatient()] }[order]! // prettier-ignore
      const args = { epochs: 5, verbose: 0, callbacks: callbacks as layers.CustomCallbackArgs[] } as const
      const run = isDataset
        ? model.fitDataset(datasetOf(replica!), args)
        : model.fit(x, y, { ...args, batchSize: BATCH })
      // No loss is below 0, so it stops at the end of epoch 1.
      t.is((await run).epoch.length, 2, order)
      t.is(steps, 6, order)
    }
})

test.serial('what is no schedule, no model, and no rate is refused', async (t) => {
  const [replica] = await replicas(t, 1)
  const { model, x, y } = replica!
  const refused = { instanceOf: AdasumError, code: 'ERR_ARGUMENT' }
  for (const wrong of [undefined, 0.1, {}, 'cosine'])
    t.throws(() => learningRateSchedule(model, wrong as never), { ...refused, message: /^schedule must be a function/ })
  for (const wrong of [undefined, null, {}, 3]) t.throws(() => learningRateSchedule(wrong as never, () => 1), refused)
  for (const schedule of [() => NaN, () => '1' as unknown as number]) {
    const callbacks = learningRateSchedule(model, schedule)
    await t.throwsAsync(model.fit(x, y, { verbose: 0, callbacks }), { ...refused, message: /learning rate of step 1/ })
  }
  model.optimizer = {} as tf.Optimizer
  const bare = learningRateSchedule(model, () => 1)
  await t.throwsAsync(bare.onBatchBegin(0), { ...refused, message: /no optimizer with a learning rate/ })
})
