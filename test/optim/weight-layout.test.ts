import test from 'ava'
import { viewsOf, weightLayout } from '../../ts/src/optim/weight-layout.ts'

test('weights lie one behind the other, and a view is the memory of its weight', (t) => {
  const specs = [[2, 3], [], [0, 4], [2]].map((shape, i) => ({ name: `w${i}`, shape, dtype: 'float32' }))
  const layout = weightLayout(specs)
  t.is(layout.elementCount, 9)
  t.deepEqual(layout.weights, specs.map((spec, i) => ({ ...spec, offset: [0, 6, 7, 7][i]!, elementCount: [6, 1, 0, 2][i]! }))) // prettier-ignore
  const flat = Float32Array.from({ length: 9 }, (_, i) => i)
  const views = viewsOf(layout, flat)
  t.deepEqual(views.map((view) => [...view]), [[0, 1, 2, 3, 4, 5], [6], [], [7, 8]]) // prettier-ignore
  views[3]![1] = -1
  t.is(flat[8], -1)
})
