// A loop of one's own with jax-js, on every rank: a line is fitted to points, of which each rank has others. Prints one JSON line.
import { createHash } from 'node:crypto'
import { jit, numpy as np, random, tree, valueAndGrad } from '@jax-js/jax'
import { connect } from 'adasum'
import { allReduce, broadcast, DistributedOptimizer } from 'adasum/jax'

const comm = await connect()
const { rank, size } = comm
const [x, w, noise] = [[64, 8], [8], [64]].map((shape, index) => random.normal(random.key(10 * rank + index), shape))
const y = x.ref.sum(1).add(3).add(noise.mul(0.01))
// The ranks list the members in different orders.
const initial = rank % 2 === 0 ? { w, b: np.zeros([]) } : { b: np.zeros([]), w }
const loss = (p, points, values) => np.square(np.dot(points, p.w).add(p.b).sub(values)).mean()
const lossAndGradients = jit(valueAndGrad(loss))
const sgd = {
  init: () => [],
  update: (gradients, state) => [tree.map((g) => g.mul(-0.1), gradients), state],
}

const optimizer = new DistributedOptimizer(sgd, comm, { op: 'adasum', localSteps: 4 })
let params = await broadcast(initial, comm)
const losses = []
for (let step = 0; step < 62; step++) {
  const [value, gradients] = lossAndGradients(tree.ref(params), x.ref, y.ref)
  params = await optimizer.step(gradients, params)
  losses.push(await value.data())
}
params = await optimizer.flush(params)

const { result, segments } = await allReduce({ loss: np.array(losses.at(-1)) }, comm, { op: 'average' })
const bytes = Buffer.concat(
  [await params.b.ref.data(), await params.w.ref.data()].map(({ buffer }) => Buffer.from(buffer)),
)
const weights = createHash('sha256').update(bytes).digest('hex')
const [mean] = await result.loss.data()
await comm.close()
const line = {
  rank,
  size,
  first: losses[0][0],
  mean,
  weights,
  bias: params.b.item(),
  names: segments.map(({ name }) => name),
}
process.stdout.write(`${JSON.stringify(line)}\n`)
