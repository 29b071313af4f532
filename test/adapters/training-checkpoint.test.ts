/** Training that is interrupted and goes on from a checkpoint, beside the same one undisturbed. */
import { readdirSync } from 'node:fs'
import test, { type ExecutionContext } from 'ava'
import * as tf from '@tensorflow/tfjs-core'
import * as layers from '@tensorflow/tfjs-layers'
import '@tensorflow/tfjs-backend-cpu'
import { adamw, distribute, DistributedOptimizer, lamb, loadTraining, sampledDataset, saveTraining } from '../../ts/src/adapters/tfjs/index.ts' // prettier-ignore
import type { Communicator } from '../../ts/src/communicator/communicator.ts'
import { type Sampler, type SamplerState, sampler } from '../../ts/src/training/sampler.ts'
import { folder } from '../checkpoint/_folder.ts'
import { gaussian } from '../optim/_oracle.ts'
import { makeWorld } from '../_world.ts'

const COUNT = 40
const OPTIONS = { count: COUNT, batchSize: 4, seed: 3 }

const OPTIMIZERS: Record<string, () => tf.Optimizer> = {
  sgd: () => tf.train.sgd(0.05),
  momentum: () => tf.train.momentum(0.02, 0.9, true),
  adam: () => tf.train.adam(0.02),
  adamw: () => adamw(0.02),
  lamb: () => lamb(0.02, { preset: 'timm' }),
  rmsprop: () => tf.train.rmsprop(0.01, 0.9, 0.5),
  adagrad: () => tf.train.adagrad(0.05),
  adadelta: () => tf.train.adadelta(0.5),
}

interface Replica {
  comm: Communicator
  variables: tf.Variable[]
  optimizer: tf.Optimizer
  samples: Sampler
  trainer: DistributedOptimizer
}

const x = tf.tensor(gaussian(COUNT * 3, 1), [COUNT, 3])
const y = tf.tensor(gaussian(COUNT, 2), [COUNT, 1])

/** A network of two layers on each rank, with the same weights. */
async function replicas(t: ExecutionContext, size: number, make: () => tf.Optimizer, mode: 'delta' | 'gradient'): Promise<Replica[]> {
  const world = await makeWorld(size)
  const made = world.ranks.map((comm) => {
    const variables = [tf.variable(tf.tensor(gaussian(15, 4), [3, 5])), tf.variable(tf.zeros([5])), tf.variable(tf.tensor(gaussian(5, 5), [5, 1]))]
    const optimizer = make()
    const trainer = new DistributedOptimizer(optimizer, comm, { op: 'adasum', mode })
    return { comm, variables, optimizer, trainer, samples: sampler(comm, OPTIONS) }
  })
  t.teardown(async () => {
    await world.close()
    for (const { variables, trainer } of made) tf.dispose([variables, trainer.dispose()])
  })
  return made
} // prettier-ignore

async function train({ variables, trainer, samples }: Replica, steps: number): Promise<void> {
  const [first, bias, second] = variables as [tf.Variable, tf.Variable, tf.Variable]
  for (let step = 0; step < steps;) {
    const indices = samples.next()
    if (indices === undefined) continue
    step++
    await trainer.minimizeAsync(() => {
      const hidden = tf.tanh(tf.add(tf.matMul(tf.gather(x, indices), first), bias))
      return tf.mean<tf.Scalar>(tf.squaredDifference(tf.matMul(hidden, second), tf.gather(y, indices)))
    }, variables)
  }
}

const bitsOf = (variables: readonly tf.Tensor[]): Uint32Array[] =>
  variables.map((variable) => new Uint32Array(variable.dataSync<'float32'>().slice().buffer))

const onEach = <T>(made: readonly Replica[], run: (replica: Replica) => Promise<T>): Promise<T[]> =>
  Promise.all(made.map(run))

const save = (path: string) => (replica: Replica) =>
  saveTraining(path, { model: replica.variables, optimizer: replica.trainer, values: { ...replica.samples.state() } }, { comm: replica.comm }) // prettier-ignore

async function load(path: string, { variables, optimizer, samples, comm }: Replica): Promise<number | undefined> {
  const loaded = await loadTraining(path, { model: variables, optimizer }, { comm })
  if (loaded) samples.restore(loaded.values as unknown as SamplerState)
  return loaded?.localRank
}

for (const [name, make] of Object.entries(OPTIMIZERS))
  for (const mode of ['delta', 'gradient'] as const)
    test.serial(`${name}, mode ${mode}: a run that was interrupted ends with the bits of one that was not`, async (t) => {
      const path = folder(t)
      const whole = await replicas(t, 2, make, mode)
      await onEach(whole, (replica) => train(replica, 37))
      const before = await replicas(t, 2, make, mode)
      await onEach(before, (replica) => train(replica, 29))
      await onEach(before, save(path))
      const after = await replicas(t, 2, make, mode)
      t.deepEqual(await onEach(after, (replica) => load(path, replica)), [0, 1])
      await onEach(after, (replica) => train(replica, 8))
      for (const [rank, { variables, samples }] of after.entries()) {
        t.deepEqual(bitsOf(variables), bitsOf(whole[rank]!.variables))
        t.deepEqual(samples.state(), whole[rank]!.samples.state())
        t.notDeepEqual(bitsOf(variables), bitsOf(before[rank]!.variables))
      }
    }) // prettier-ignore

test.serial('fit: weights, optimizer and data go on in the middle of an epoch', async (t) => {
  const path = folder(t)
  const build = (): layers.Sequential => {
    const model = layers.sequential()
    model.add(layers.layers.dense({ units: 4, inputShape: [3], kernelInitializer: layers.initializers.glorotUniform({ seed: 1 }) })) // prettier-ignore
    model.add(layers.layers.batchNormalization())
    model.add(layers.layers.dense({ units: 1, kernelInitializer: layers.initializers.glorotUniform({ seed: 2 }) }))
    model.compile({ optimizer: tf.train.adam(0.02), loss: 'meanSquaredError' })
    return model
  }
  const world = await makeWorld(1)
  t.teardown(() => world.close())
  const [comm] = world.ranks as [Communicator]
  const fit = async (model: layers.Sequential, samples: Sampler, epochs: number, callback = {}): Promise<void> => {
    const dataset = sampledDataset(samples, (indices) => ({ xs: tf.gather(x, indices), ys: tf.gather(y, indices) }))
    await model.fitDataset(dataset, { epochs, verbose: 0, callbacks: [distribute(model, comm, { op: 'adasum' }), callback] }) // prettier-ignore
  }
  const whole = build()
  await fit(whole, sampler(comm, OPTIONS), 2)
  const [before, samples] = [build(), sampler(comm, OPTIONS)]
  const onBatchEnd = async (): Promise<void> => {
    if (samples.position !== 12) return
    await saveTraining(path, { model: before, optimizer: before.optimizer, values: { sampler: samples.state() } }) // prettier-ignore
    before.stopTraining = true
  }
  await fit(before, samples, 1, { onBatchEnd })
  const after = build()
  const loaded = await loadTraining(path, { model: after, optimizer: after.optimizer })
  await fit(after, sampler(comm, { ...OPTIONS, state: loaded!.values['sampler'] as SamplerState }), 2)
  const weightsOf = (model: layers.Sequential): Uint32Array[] => bitsOf(model.weights.map((weight) => weight.read()))
  t.deepEqual(weightsOf(after), weightsOf(whole))
  t.notDeepEqual(weightsOf(after), weightsOf(before))
})

test.serial('more ranks than before take over what others had, and no tensors are left', async (t) => {
  const path = folder(t)
  const before = await replicas(t, 2, OPTIMIZERS['adam']!, 'delta')
  await onEach(before, (replica) => train(replica, 3))
  const moments = await onEach(before, async ({ optimizer }) => bitsOf((await optimizer.getWeights()).slice(1).map(({ tensor }) => tensor))) // prettier-ignore
  await onEach(before, save(path))
  const after = await replicas(t, 3, OPTIMIZERS['adam']!, 'delta')
  await onEach(after, (replica) => train(replica, 1))
  const { numTensors } = tf.memory()
  t.deepEqual(await onEach(after, (replica) => load(path, replica)), [0, 1, 0])
  t.is(tf.memory().numTensors, numTensors)
  const restored = await onEach(after, async ({ optimizer }) => bitsOf((await optimizer.getWeights()).slice(1).map(({ tensor }) => tensor))) // prettier-ignore
  t.deepEqual(restored, [moments[0], moments[1], moments[0]])
  await onEach(after, (replica) => train(replica, 2))
})

test.serial('a checkpoint of something else is refused, and changes nothing', async (t) => {
  const path = folder(t)
  const [before] = await replicas(t, 1, OPTIMIZERS['adam']!, 'delta')
  const { variables, optimizer } = before!
  t.is(await loadTraining(path, { model: variables, optimizer }), undefined)
  await saveTraining(path, { model: variables, optimizer })
  const [first, ...others] = variables as [tf.Variable, ...tf.Variable[]]
  first.assign(tf.zerosLike(first))
  const refuses = async (training: Parameters<typeof loadTraining>[1], message: RegExp): Promise<void> => {
    await t.throwsAsync(loadTraining(path, training), { code: 'ERR_MISMATCH', message })
    t.true(first.dataSync().every((value) => value === 0))
  }
  await refuses({ model: variables, optimizer: tf.train.momentum(0.1, 0.9) }, /has the state of Adam, the optimizer is Momentum/) // prettier-ignore
  await refuses({ model: [first] }, /holds 3 weights, the model has 1/)
  await refuses({ model: [first, others[1]!, others[0]!] }, /weight 1 \(.*\) is float32\[5, 1\] in the model and float32\[5\] in the file/) // prettier-ignore
  await saveTraining(path, { model: variables })
  await refuses({ model: variables, optimizer }, /has the state of no optimizer, the optimizer is Adam/)
  const names = readdirSync(path)
  const adamax = tf.train.adamax(0.1)
  await t.throwsAsync(saveTraining(path, { model: variables, optimizer: adamax }), { code: 'ERR_UNSUPPORTED', message: /Adamax does not hand out its state/ }) // prettier-ignore
  await t.throwsAsync(saveTraining(path, { model: variables, optimizer: {} as never }), { code: 'ERR_ARGUMENT', message: /optimizer must be a tf\.Optimizer; got an object/ }) // prettier-ignore
  await t.throwsAsync(saveTraining(path, { model: variables, value: 1 } as never), { code: 'ERR_ARGUMENT', message: /no option "value"/ }) // prettier-ignore
  t.deepEqual(readdirSync(path), names)
})
