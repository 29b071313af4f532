/** A linear model on every rank of a world, with small whole numbers to train on. */
import type { ExecutionContext } from 'ava'
import { DistributedTrainer } from '../../ts/src/training/distributed-trainer.ts'
import type { TrainerOptions } from '../../ts/src/training/trainer-options.ts'
import { makeWorld, type World } from '../_world.ts'
import { LinearModel, MomentumModel, type Samples } from './_linear-model.ts'

export const FEATURES = 3
/** A power of two: with whole numbers for data, three steps of f32 arithmetic round nothing. */
export const RATE = 1 / 16
const WORDS = {
  trainer: 'LinearTrainer',
  step: 'fitBatch()',
  sameWeights: 'Take the same features everywhere.',
  equalStart: 'Copy them first.',
}

export interface Replica {
  rank: number
  world: World
  model: LinearModel
  trainer: DistributedTrainer<Float32Array>
}

export function modelOf(features = FEATURES): LinearModel {
  const model = new LinearModel(features, RATE)
  model.values[0]!.set([2, -1, 3].slice(0, features))
  return model
}

export function momentumModel(): MomentumModel {
  const model = new MomentumModel(FEATURES, RATE)
  model.writeWeights(modelOf().values)
  return model
}

export async function replicas(
  t: ExecutionContext,
  size: number,
  options: TrainerOptions | ((rank: number) => TrainerOptions),
  makeModel: (rank: number) => LinearModel = () => modelOf(),
): Promise<Replica[]> {
  const world = await makeWorld(size)
  t.teardown(() => world.close())
  return world.ranks.map((comm, rank) => {
    const chosen = typeof options === 'function' ? options(rank) : options
    return { rank, world, model: makeModel(rank), trainer: new DistributedTrainer(comm, chosen, WORDS) }
  })
}

/** Small whole numbers, others for every rank and batch. */
export function samplesOf(rank: number, batch: number, features = FEATURES): Samples {
  let state = 97 * rank + 31 * batch + 7
  const next = (bound: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * (2 * bound + 1)) - bound
  }
  const x = Array.from({ length: 4 }, () => Array.from({ length: features }, () => next(1)))
  return { x, y: x.map(() => next(4)) }
}

export const train = ({ trainer, model }: Replica, samples: Samples): Promise<number> =>
  trainer.train(() => ({ model, ...model.gradientsOn(samples) }))

export const fitBatch = (replica: Replica, batch: number): Promise<number> =>
  train(replica, samplesOf(replica.rank, batch, replica.model.values[0]!.length))

export const onEach = <T>(made: readonly Replica[], run: (replica: Replica) => Promise<T>): Promise<T[]> =>
  Promise.all(made.map(run))

export const valuesOf = ({ values }: LinearModel): number[] => values.flatMap((value) => [...value])

export function equalWeights(t: ExecutionContext, made: readonly Replica[], message?: string): number[] {
  const first = valuesOf(made[0]!.model)
  for (const { model } of made) t.deepEqual(valuesOf(model), first, message)
  return first
}

/** Samples whose loss and gradients are NaN. */
export const poisoned = (rank: number, batch: number): Samples => ({ ...samplesOf(rank, batch), y: [NaN, 0, 0, 0] })
