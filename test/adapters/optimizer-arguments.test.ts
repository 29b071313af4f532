/** What the constructor of DistributedOptimizer refuses. */
import test from 'ava'
import * as tf from '@tensorflow/tfjs-core'
import { DistributedOptimizer } from '../../ts/src/adapters/tfjs/index.ts'
import type { Communicator } from '../../ts/src/communicator/communicator.ts'
import { makeWorld } from '../_world.ts'
import './_backend.mjs'

test('bad arguments of the constructor', async (t) => {
  const world = await makeWorld(1)
  t.teardown(() => world.close())
  const [comm] = world.ranks as [Communicator]
  const inner = tf.train.sgd(0.1)
  const make = (options: unknown) => (): unknown => new DistributedOptimizer(inner, comm, options as { op: 'sum' })
  const refused = { code: 'ERR_ARGUMENT' }
  t.throws(make(undefined), refused)
  t.throws(make({}), { ...refused, message: /op is undefined/ })
  t.throws(make({ op: 'mean' }), refused)
  t.throws(make({ op: 'sum', mode: 'deltas' }), { ...refused, message: /mode is deltas/ })
  for (const value of [0, -1, 1.5, '2', NaN]) {
    t.throws(make({ op: 'sum', localSteps: value }), { ...refused, message: /localSteps is/ })
    t.throws(make({ op: 'sum', accumulate: value }), { ...refused, message: /accumulate is/ })
  }
  t.throws(make({ op: 'sum', mode: 'gradient', localSteps: 2 }), { ...refused, message: /Use accumulate/ })
  t.throws(make({ op: 'sum', onNonFinite: 'ignore' }), refused)
  const known =
    'mode, localSteps, accumulate, accumulateOp, lossScale, onReduction, op, onNonFinite, hierarchy, compressor, gram, timeoutMs, signal'
  const message = `there is no option "localstep". The options are ${known}.`
  t.throws(make({ op: 'sum', localstep: 4 }), { ...refused, message })
  for (const nothing of [undefined, null, {}, Promise.resolve(comm)] as never[])
    t.throws(() => new DistributedOptimizer(inner, nothing, { op: 'sum' }), { ...refused, message: /comm must be/ })
  const wrapped = new DistributedOptimizer(inner, comm, { op: 'sum' }) as unknown as tf.Optimizer
  t.throws(() => new DistributedOptimizer(wrapped, comm, { op: 'sum' }), refused)
})
