/** Loss scaling of DistributedOptimizer: TensorFlow.js computes scaled gradients, and nothing else is different. */
import test, { type ExecutionContext } from 'ava'
import * as tf from '@tensorflow/tfjs-core'
import '@tensorflow/tfjs-layers'
import type { DistributedOptimizer, DistributedOptimizerOptions } from '../../ts/src/adapters/tfjs/index.ts'
import { BACKENDS } from './_backend.mjs'
import { optimizerReplicas, type Replica } from './_optimizer-replicas.ts'
import { lossOn, valuesOf } from './_train.ts'

const replicas = (t: ExecutionContext, options: DistributedOptimizerOptions): Promise<Replica[]> =>
  optimizerReplicas(t, 2, options, () => tf.train.adam(0.01))

/** The losses of one call on each rank. `factor` multiplies the loss of one rank. */
const stepAll = (made: readonly Replica[], step: number, factor = 1): Promise<number[]> =>
  Promise.all(
    made.map(({ optimizer, variables, rank }) => {
      const loss = lossOn(variables, rank, step)
      const f = rank === 0 && factor !== 1 ? () => tf.mul<tf.Scalar>(loss(), factor) : loss
      return optimizer.minimizeAsync(f, variables)
    }),
  )

function equalWeights(t: ExecutionContext, made: readonly Replica[]): Float32Array {
  const weights = valuesOf(made[0]!.variables)
  for (const { variables } of made) t.deepEqual(valuesOf(variables), weights)
  return weights
}

const WAYS: Omit<DistributedOptimizerOptions, 'op'>[] = [
  { mode: 'gradient' },
  { mode: 'gradient', accumulate: 2 },
  { mode: 'delta', localSteps: 2 },
]

/** Tensors that a loss which is no scalar leaves behind: those that TensorFlow.js does not dispose of itself. */
async function leftBy(optimizer: DistributedOptimizer): Promise<number> {
  const variable = tf.variable(tf.zeros([2]))
  const before = tf.memory().numTensors
  await optimizer.minimizeAsync(() => tf.square<tf.Tensor>(variable) as tf.Scalar, [variable]).catch(() => undefined)
  const left = tf.memory().numTensors - before
  variable.dispose()
  return left
}

for (const backend of BACKENDS) {
  test.serial(`${backend}: weights and losses have the bits of training without a scale`, async (t) => {
    await tf.setBackend(backend)
    for (const way of WAYS) {
      const plain = await replicas(t, { op: 'adasum', ...way })
      const scaled = await replicas(t, { op: 'adasum', ...way, lossScale: 'dynamic' })
      for (let step = 0; step < 4; step++)
        t.deepEqual(await stepAll(scaled, step), await stepAll(plain, step), JSON.stringify(way))
      t.deepEqual(equalWeights(t, scaled), equalWeights(t, plain), JSON.stringify(way))
      t.is(scaled[0]!.optimizer.lossScaler!.state().goodSteps, way.accumulate === 2 ? 2 : 4)
      t.is(plain[0]!.optimizer.lossScaler, undefined)
    }
  })

  test.serial(
    `${backend}: a loss that only its scale makes infinite is skipped, and is reported as it is`,
    async (t) => {
      await tf.setBackend(backend)
      for (const mode of ['gradient', 'delta'] as const) {
        const made = await replicas(t, { op: 'adasum', mode, lossScale: { initialScale: 2 ** 80 } })
        const [start, before] = [valuesOf(made[0]!.variables), made.map(({ variables }) => valuesOf(variables))]
        const [loss] = await stepAll(made, 0, 2 ** 50)
        t.true(loss! > 2 ** 40 && loss! < 2 ** 60)
        const weights = made.map(({ variables }) => valuesOf(variables))
        if (mode === 'gradient') t.deepEqual(weights, before)
        else t.notDeepEqual(equalWeights(t, made), start, 'the other rank has stepped')
        for (const { optimizer } of made) t.is(optimizer.lossScaler!.scale, 2 ** 79)
        await stepAll(made, 1)
        t.notDeepEqual(equalWeights(t, made), weights[0])
      }
    },
  )

  test.serial(`${backend}: no step leaves a tensor behind, taken, skipped or failed`, async (t) => {
    await tf.setBackend(backend)
    for (const way of WAYS) {
      const made = await replicas(t, { op: 'adasum', ...way, lossScale: 2 ** 20 })
      const counts: number[] = []
      for (let step = 0; step < 8; step++) {
        await stepAll(made, step, step === 4 ? Infinity : 1)
        if (step % 2 === 1) counts.push(tf.memory().numTensors)
      }
      t.is(new Set(counts).size, 1, counts.join())
      t.is(await leftBy(made[0]!.optimizer), await leftBy((await replicas(t, { op: 'adasum', ...way }))[0]!.optimizer))
    }
  })
}
