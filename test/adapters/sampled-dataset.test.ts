import test from 'ava'
import * as tf from '@tensorflow/tfjs-core'
import '@tensorflow/tfjs-backend-cpu'
import { distribute, sampledDataset } from '../../ts/src/adapters/tfjs/index.ts'
import { type Sampler, type SamplerState, sampler } from '../../ts/src/training/sampler.ts'
import { equalWeights, replicas } from './_replicas.ts'

test.serial('fitDataset: each epoch is one of the sampler, the first what is left of it, and weights are equal', async (t) => {
  const made = await replicas(t, 2, { batches: 7 })
  const { x, y } = made[0]!
  const OPTIONS = { count: x.shape[0], batchSize: 3, seed: 9 }
  const rest: SamplerState = { count: 28, seed: 9, shuffle: true, epoch: 4, position: 18 }
  const seen: number[][] = []
  const epochs = await Promise.all(
    made.map(async ({ model, comm }) => {
      const mine = sampler(comm, { ...OPTIONS, state: rest })
      const dataset = sampledDataset(mine, (indices) => {
        seen.push([mine.epoch, ...indices])
        return { xs: tf.gather(x, indices), ys: tf.gather(y, indices) }
      })
      const callbacks = distribute(model, comm, { op: 'adasum' })
      const { epoch } = await model.fitDataset(dataset, { epochs: 2, verbose: 0, callbacks })
      t.deepEqual([mine.epoch, mine.position], [6, 0])
      return epoch
    }),
  )
  t.deepEqual(epochs, [[0, 1], [0, 1]]) // prettier-ignore
  equalWeights(t, made)
  const taken = (epoch: number): number[] => seen.flatMap(([of, ...indices]) => (of === epoch ? indices : []))
  // 18 of 28 samples were taken: one global batch of 6 is left, and 4 that are dropped. Then there are four of them.
  t.is(taken(4).length, 6)
  t.is(taken(5).length, 24)
  for (const epoch of [4, 5]) t.is(new Set(taken(epoch)).size, taken(epoch).length)
}) // prettier-ignore

test('arguments are checked', (t) => {
  const mine = sampler({ rank: 0, size: 1 }, { count: 4, batchSize: 2 })
  t.throws(() => sampledDataset({} as Sampler, () => 1), { code: 'ERR_ARGUMENT', message: /expected a sampler; got an object/ })
  t.throws(() => sampledDataset(mine, 1 as never), { code: 'ERR_ARGUMENT', message: /batchOf is 1; it must be a function/ })
}) // prettier-ignore
