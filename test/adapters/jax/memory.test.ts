/** That jax-js's memory does not grow: it counts references itself, and no collector finds what was forgotten. */
import { watchedBytes } from './_watched-memory.mjs'
import * as jax from '@jax-js/jax'
import test from 'ava'
import {
  allReduce,
  broadcast,
  DistributedOptimizer,
  type GradientTransformation,
} from '../../../ts/src/adapters/jax/index.ts'
import { makeWorld, onAll } from '../../_world.ts'

const { numpy: np, tree } = jax

interface Params {
  [key: string]: jax.Array
  w: jax.Array
}

const MEBIBYTE = 2 ** 20
const sgd: GradientTransformation<unknown[]> = {
  init: () => [],
  update: (gradients, state) => [{ w: (gradients as Params).w.mul(-0.1) }, state],
}
/** From memory: jax-js keeps no memory for constants. */
const makeParams = (): Params => ({ w: np.array(Float32Array.from({ length: MEBIBYTE / 4 }, (_, i) => i / MEBIBYTE)) })
const gradientsOf = (params: Params, factor: number): Params =>
  jax.grad((p: Params) => np.square(p.w).mul(factor).sum())(tree.ref(params))

for (const options of [{ accumulate: 100 }, { localSteps: 100 }])
  test.serial(`batches that nobody reads are computed all the same: ${JSON.stringify(options)}`, async (t) => {
    const world = await makeWorld(1)
    t.teardown(() => world.close())
    const optimizer = new DistributedOptimizer(sgd, world.ranks[0]!, { op: 'sum', ...options })
    let params = makeParams()
    const batches = async (count: number): Promise<number> => {
      for (let batch = 0; batch < count; batch++) params = await optimizer.step(gradientsOf(params, 0.1), params)
      return watchedBytes()
    }
    const atFirst = await batches(10)
    t.true((await batches(30)) <= atFirst + 2 * MEBIBYTE, `${atFirst} bytes at first`)
    optimizer.dispose()
    tree.dispose(params)
  })

for (const mode of ['gradient', 'delta'] as const)
  test.serial(`${mode}: sixty batches, exchanges and failures take no more memory than ten`, async (t) => {
    const world = await makeWorld(2)
    t.teardown(() => world.close())
    const made = world.ranks.map((comm) => {
      const localSteps = mode === 'delta' ? 2 : 1
      const optimizer = new DistributedOptimizer(sgd, comm, { op: 'adasum', mode, localSteps, accumulate: 2 })
      return { comm, optimizer, params: makeParams() }
    })
    const batches = async (count: number): Promise<number> => {
      for (let batch = 0; batch < count; batch++)
        await onAll(world.ranks, async (comm, rank) => {
          const own = made[rank]!
          own.params = await own.optimizer.step(gradientsOf(own.params, 0.1), own.params)
          const bad = gradientsOf(own.params, NaN)
          await t.throwsAsync(allReduce(bad, comm, { op: 'adasum' }), { code: 'ERR_NON_FINITE' })
          own.params = await broadcast(own.params, comm)
        })
      return watchedBytes()
    }
    const atFirst = await batches(10)
    t.true(atFirst > 2 * MEBIBYTE)
    t.true((await batches(50)) <= atFirst + MEBIBYTE, `${atFirst} bytes at first`)
  })
