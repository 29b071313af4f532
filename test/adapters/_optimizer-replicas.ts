/** The same variables on every rank of a world, each trained by a DistributedOptimizer. */
import type { ExecutionContext } from 'ava'
import * as tf from '@tensorflow/tfjs-core'
import { DistributedOptimizer, type DistributedOptimizerOptions } from '../../ts/src/adapters/tfjs/index.ts'
import type { Communicator } from '../../ts/src/communicator/communicator.ts'
import { makeWorld } from '../_world.ts'
import { makeVariables } from './_train.ts'

export interface Replica {
  comm: Communicator
  rank: number
  variables: tf.Variable[]
  optimizer: DistributedOptimizer
}

export type OptionsOf = DistributedOptimizerOptions | ((rank: number) => DistributedOptimizerOptions)

/** One replica a rank, all with the same weights. They go when the test ends. */
export async function optimizerReplicas(
  t: ExecutionContext,
  size: number,
  options: OptionsOf,
  makeInner: () => tf.Optimizer,
): Promise<Replica[]> {
  const world = await makeWorld(size)
  const made = world.ranks.map((comm, rank) => {
    const chosen = typeof options === 'function' ? options(rank) : options
    return { comm, rank, variables: makeVariables(), optimizer: new DistributedOptimizer(makeInner(), comm, chosen) }
  })
  t.teardown(async () => {
    await world.close()
    for (const { variables, optimizer } of made) {
      optimizer.dispose()
      tf.dispose(variables)
    }
  })
  return made
}
