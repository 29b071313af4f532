/** A model and a shard of data on every rank of a world, and what fits and compares them. */
import type { ExecutionContext } from 'ava'
import * as tf from '@tensorflow/tfjs-core'
import * as layers from '@tensorflow/tfjs-layers'
import { distribute, type DistributeOptions } from '../../ts/src/adapters/tfjs/index.ts'
import type { Communicator } from '../../ts/src/communicator/communicator.ts'
import { makeWorld } from '../_world.ts'
import { gaussian } from '../optim/_oracle.ts'
import { valuesOf } from './_train.ts'

export const LEARNING_RATE = 0.05
export const FEATURES = 6
export const BATCH = 4

export interface Replica {
  comm: Communicator
  rank: number
  model: layers.LayersModel
  x: tf.Tensor
  y: tf.Tensor
}

export interface Setup {
  /** Batches per epoch on a rank. */
  batches?: number | ((rank: number) => number)
  /** Samples of each rank, in place of whole batches. */
  samples?: readonly number[]
  normalize?: boolean
  hidden?: (rank: number) => number
}

/** Models with different weights on every rank, and a shard of data for each. */
export async function replicas(t: ExecutionContext, size: number, setup: Setup = {}): Promise<Replica[]> {
  const { batches = 3, normalize = false, hidden = () => 5, samples: counts } = setup
  const world = await makeWorld(size)
  const made = world.ranks.map((comm, rank): Replica => {
    const model = layers.sequential()
    const kernelInitializer = layers.initializers.glorotUniform({ seed: rank + 1 })
    model.add(layers.layers.dense({ units: hidden(rank), inputShape: [FEATURES], kernelInitializer }))
    if (normalize) model.add(layers.layers.batchNormalization())
    model.add(layers.layers.dense({ units: 2, kernelInitializer }))
    model.compile({ optimizer: tf.train.sgd(LEARNING_RATE), loss: 'meanSquaredError', metrics: ['mse'] })
    const samples = counts?.[rank] ?? BATCH * (typeof batches === 'number' ? batches : batches(rank))
    const x = tf.tensor(gaussian(samples * FEATURES, 10 * rank + 3), [samples, FEATURES])
    return { comm, rank, model, x, y: tf.tensor(gaussian(samples * 2, 10 * rank + 4), [samples, 2]) }
  })
  t.teardown(async () => {
    await world.close()
    for (const { model, x, y } of made) {
      model.dispose()
      tf.dispose([x, y])
    }
  })
  return made
}

const FIT = { batchSize: BATCH, shuffle: false, verbose: 0 } as const

export function fit(
  replica: Replica,
  options: DistributeOptions,
  args: layers.ModelFitArgs = {},
): Promise<layers.History> {
  const { model, comm, x, y } = replica
  return model.fit(x, y, { ...FIT, callbacks: distribute(model, comm, options), ...args })
}

export const weightsOf = ({ model }: Replica): Float32Array => valuesOf(model.weights.map((weight) => weight.read()))

export function equalWeights(t: ExecutionContext, made: readonly Replica[]): Float32Array {
  for (const replica of made) t.deepEqual(weightsOf(replica), weightsOf(made[0]!))
  return weightsOf(made[0]!)
}

/** A batch of an epoch; the last one may be shorter. */
export function batchOf(tensor: tf.Tensor, batch: number): tf.Tensor {
  return tf.slice(tensor, BATCH * batch, Math.min(BATCH, tensor.shape[0] - BATCH * batch))
}

/** A dataset of batches, as fitDataset takes them, that does not know its length. */
export function datasetOf({ x, y }: Replica): Parameters<layers.LayersModel['fitDataset']>[0] {
  const batches = Math.ceil(x.shape[0] / BATCH)
  const iterator = async () => {
    let index = 0
    const next = async () => {
      if (index === batches) return { value: null, done: true }
      const [xs, ys] = [batchOf(x, index), batchOf(y, index++)]
      return { value: { xs, ys }, done: false }
    }
    return { next }
  }
  return { iterator, size: null } as unknown as Parameters<layers.LayersModel['fitDataset']>[0]
}
