import test from 'ava'
import { checkAgreement } from '../../ts/src/training/agreement.ts'
import { checkSameLayout } from '../../ts/src/training/layout-agreement.ts'
import { weightLayout } from '../../ts/src/optim/weight-layout.ts'
import type { Communicator } from '../../ts/src/communicator/communicator.ts'
import { failuresOf, makeWorld, onAll } from '../_world.ts'

const shared = (comm: Communicator) => ({ comm, caller: 'fit()', advice: 'Use one value.', call: {} })
const layoutOf = (...shapes: number[][]) =>
  weightLayout(shapes.map((shape, index) => ({ name: `w${index}`, shape, dtype: 'float32' })))

test('ranks that agree pass, with unknown values and choices', async (t) => {
  const world = await makeWorld(3)
  t.teardown(() => world.close())
  const settings = [
    { label: 'steps', value: undefined },
    { label: 'op', value: 1, choices: ['sum', 'adasum'] },
  ]
  await t.notThrowsAsync(onAll(world.ranks, (comm) => checkAgreement(settings, shared(comm))))
})

test('the first difference is named with both values, alike on every rank', async (t) => {
  const world = await makeWorld(3)
  t.teardown(() => world.close())
  const settingsOf = (rank: number) => [
    { label: 'samples', value: 64 },
    { label: 'the op', value: rank === 2 ? 1 : 0, choices: ['sum', 'adasum'] },
    { label: 'steps', value: rank === 1 ? undefined : 7 },
  ]
  const errors = await failuresOf(world.ranks.map((comm) => checkAgreement(settingsOf(comm.rank), shared(comm))))
  for (const error of errors) {
    t.like(error, {
      code: 'ERR_MISMATCH',
      message: 'fit(): the op is sum on rank 0 and adasum on rank 2. Use one value.',
    })
  }
})

test('an unknown value differs from a known one', async (t) => {
  const world = await makeWorld(2)
  t.teardown(() => world.close())
  const check = (comm: Communicator) =>
    checkAgreement([{ label: 'steps', value: comm.rank === 1 ? undefined : 7 }], shared(comm))
  const [error] = await failuresOf(world.ranks.map(check))
  t.regex(error!.message, /steps is 7 on rank 0 and unknown on rank 1/)
})

const DIFFERENCES: [string, number[][], number[][], RegExp][] = [
  ['count', [[2], [3]], [[2]], /the number of weights is 2 on rank 0 and 1 on rank 1/],
  ['size', [[2], [3]], [[2], [4]], /weight 1 is float32\[3\] on rank 0 and float32\[4\] on rank 1/],
  ['shape', [[5], [2, 3]], [[5], [3, 2]], /weight 1 is float32\[2, 3\] on rank 0 and float32\[3, 2\] on rank 1/],
  ['rank of a shape', [[1]], [[]], /weight 0 is float32\[1\] on rank 0 and float32\[\] on rank 1/],
]
for (const [what, first, second, message] of DIFFERENCES) {
  test(`layouts that differ in ${what}`, async (t) => {
    const world = await makeWorld(2)
    t.teardown(() => world.close())
    const check = (comm: Communicator) => checkSameLayout(layoutOf(...(comm.rank === 0 ? first : second)), shared(comm))
    for (const error of await failuresOf(world.ranks.map(check))) {
      t.like(error, { code: 'ERR_MISMATCH' })
      t.regex(error.message, message)
    }
  })
}

test('equal layouts pass whatever the names are', async (t) => {
  const world = await makeWorld(2)
  t.teardown(() => world.close())
  const layout = (rank: number) => weightLayout([{ name: `dense_${rank}/kernel`, shape: [2, 3], dtype: 'float32' }])
  await t.notThrowsAsync(onAll(world.ranks, (comm, rank) => checkSameLayout(layout(rank), shared(comm))))
})
