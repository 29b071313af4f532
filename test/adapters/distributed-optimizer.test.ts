import test, { type ExecutionContext } from 'ava'
import * as tf from '@tensorflow/tfjs-core'
import '@tensorflow/tfjs-layers'
import { broadcastWeights, type StepReduction } from '../../ts/src/adapters/tfjs/index.ts'
import type { ReduceOp } from '../../ts/src/types.ts'
import { failuresOf, onAll } from '../_world.ts'
import { reduceOf, relativeError } from '../optim/_oracle.ts'
import { BACKENDS } from './_backend.mjs'
import { optimizerReplicas, type OptionsOf, type Replica } from './_optimizer-replicas.ts'
import { assignValues, deltaReference, gradientOn, lossOn, makeVariables, SEGMENTS, valuesOf } from './_train.ts'

const OPS: ReduceOp[] = ['adasum', 'sum', 'average']
const LEARNING_RATE = 0.1

const replicas = (
  t: ExecutionContext,
  size: number,
  options: OptionsOf,
  makeInner: () => tf.Optimizer = () => tf.train.sgd(LEARNING_RATE),
): Promise<Replica[]> => optimizerReplicas(t, size, options, makeInner)

const onEach = <T>(made: readonly Replica[], run: (replica: Replica) => Promise<T>): Promise<T[]> =>
  Promise.all(made.map(run))

const stepOf = ({ optimizer, variables, rank }: Replica, step: number): Promise<number> =>
  optimizer.minimizeAsync(lossOn(variables, rank, step), variables)

function equalWeights(t: ExecutionContext, made: readonly Replica[]): Float32Array {
  const weights = valuesOf(made[0]!.variables)
  for (const { variables } of made) t.deepEqual(valuesOf(variables), weights)
  return weights
}

for (const backend of BACKENDS) {
  const cases = [1, 2, 3, 4].flatMap((size) => OPS.map((op) => ({ size, op })))

  test.serial(`${backend}: one step of sgd is start - rate * op(gradients), in both modes`, async (t) => {
    await tf.setBackend(backend)
    for (const { size, op } of cases) {
      for (const mode of ['delta', 'gradient'] as const) {
        const made = await replicas(t, size, { op, mode })
        const start = valuesOf(made[0]!.variables)
        const gradients = made.map(({ variables, rank }) => gradientOn(variables, lossOn(variables, rank, 0)))
        const combined = reduceOf(op, gradients, SEGMENTS)
        await onEach(made, (replica) => stepOf(replica, 0))
        const expected = start.map((value, i) => value - LEARNING_RATE * combined[i]!)
        t.true(relativeError(equalWeights(t, made), expected) < 1e-6, `${op} of ${size}, ${mode}`)
      }
    }
  })

  test.serial(`${backend}: rounds of local steps agree with plain optimizers`, async (t) => {
    await tf.setBackend(backend)
    const makers = [() => tf.train.momentum(0.05, 0.9), () => tf.train.adam(0.01)]
    for (const makeOptimizer of makers) {
      for (const [op, size, localSteps] of [
        ['adasum', 3, 1],
        ['adasum', 4, 3],
        ['average', 2, 2],
      ] as const) {
        // prettier-ignore
        const made = await replicas(t, size, { op, localSteps }, makeOptimizer)
        for (let step = 0; step < 2 * localSteps; step++) await onEach(made, (replica) => stepOf(replica, step))
        const expected = deltaReference({ op, size, rounds: 2, localSteps, makeOptimizer })
        t.true(relativeError(equalWeights(t, made), expected) < 1e-5, `${op} of ${size}, ${localSteps} local steps`)
      }
    }
  })

  test.serial(`${backend}: accumulated gradients make one step with their mean`, async (t) => {
    await tf.setBackend(backend)
    for (const mode of ['delta', 'gradient'] as const) {
      const made = await replicas(t, 2, { op: 'adasum', mode, accumulate: 3 })
      const start = valuesOf(made[0]!.variables)
      const means = made.map(({ variables, rank }) => {
        const gradients = [0, 1, 2].map((step) => gradientOn(variables, lossOn(variables, rank, step)))
        return start.map((_, i) => (gradients[0]![i]! + gradients[1]![i]! + gradients[2]![i]!) / 3)
      })
      for (const step of [0, 1]) {
        await onEach(made, (replica) => stepOf(replica, step))
        t.deepEqual(equalWeights(t, made), start)
      }
      await onEach(made, (replica) => stepOf(replica, 2))
      const combined = reduceOf('adasum', means, SEGMENTS)
      const expected = start.map((value, i) => value - LEARNING_RATE * combined[i]!)
      t.true(relativeError(equalWeights(t, made), expected) < 1e-6, mode)
    }
  })

  test.serial(`${backend}: no step leaves a tensor behind`, async (t) => {
    await tf.setBackend(backend)
    for (const mode of ['delta', 'gradient'] as const) {
      const made = await replicas(t, 2, { op: 'adasum', mode, accumulate: 2 }, () => tf.train.adam(0.01))
      const counts: number[] = []
      for (let step = 0; step < 8; step++) {
        await onEach(made, (replica) => stepOf(replica, step))
        if (step % 2 === 1) counts.push(tf.memory().numTensors)
      }
      t.is(new Set(counts).size, 1, counts.join())
    }
  })
}

test.serial('the loss is that of this rank before the step', async (t) => {
  const made = await replicas(t, 2, { op: 'adasum' })
  const losses = made.map(({ variables, rank }) => tf.tidy(() => lossOn(variables, rank, 0)().dataSync()[0]!))
  t.deepEqual(await onEach(made, (replica) => stepOf(replica, 0)), losses)
})

test.serial('one rank alone trains exactly as the plain optimizer does', async (t) => {
  const made = await replicas(t, 1, { op: 'adasum', localSteps: 2 }, () => tf.train.adam(0.01))
  const plain = makeVariables()
  const optimizer = tf.train.adam(0.01)
  for (let step = 0; step < 5; step++) {
    await stepOf(made[0]!, step)
    optimizer.minimize(lossOn(plain, 0, step), false, plain)
  }
  await made[0]!.optimizer.flush()
  t.deepEqual(valuesOf(made[0]!.variables), valuesOf(plain))
})

test.serial('it does not pass for a tf.Optimizer', async (t) => {
  const [{ optimizer }] = (await replicas(t, 1, { op: 'sum' })) as [Replica]
  t.false(optimizer instanceof tf.Optimizer)
})

test.serial('a second call before the first has settled is refused, and does not disturb it', async (t) => {
  const made = await replicas(t, 2, { op: 'adasum' })
  const first = onEach(made, (replica) => stepOf(replica, 0))
  for (const replica of made) {
    await t.throwsAsync(stepOf(replica, 1), { code: 'ERR_NOT_READY', message: /Await each call/ })
    await t.throwsAsync(replica.optimizer.flush(), { code: 'ERR_NOT_READY' })
  }
  await t.notThrowsAsync(first)
  await t.notThrowsAsync(onEach(made, (replica) => stepOf(replica, 1)))
  equalWeights(t, made)
})

test.serial('flush exchanges what is pending, and does nothing otherwise', async (t) => {
  const made = await replicas(t, 3, { op: 'adasum', localSteps: 4 })
  await onEach(made, ({ optimizer }) => optimizer.flush())
  const start = valuesOf(made[0]!.variables)
  for (const step of [0, 1]) await onEach(made, (replica) => stepOf(replica, step))
  t.notDeepEqual(valuesOf(made[0]!.variables), valuesOf(made[1]!.variables))
  await onEach(made, ({ optimizer }) => optimizer.flush())
  const makeOptimizer = (): tf.Optimizer => tf.train.sgd(LEARNING_RATE)
  const expected = deltaReference({ op: 'adasum', size: 3, rounds: 1, localSteps: 2, makeOptimizer })
  const weights = equalWeights(t, made)
  t.true(relativeError(weights, expected) < 1e-6)
  t.notDeepEqual(weights, start)
  await onEach(made, ({ optimizer }) => optimizer.flush())
  t.deepEqual(equalWeights(t, made), weights)
})

test.serial('flush takes a step with gradients that wait for more', async (t) => {
  for (const mode of ['delta', 'gradient'] as const) {
    const made = await replicas(t, 2, { op: 'sum', mode, accumulate: 4 })
    const start = valuesOf(made[0]!.variables)
    const gradients = made.map(({ variables, rank }) => gradientOn(variables, lossOn(variables, rank, 0)))
    await onEach(made, (replica) => stepOf(replica, 0))
    await onEach(made, ({ optimizer }) => optimizer.flush())
    const expected = start.map((value, i) => value - LEARNING_RATE * (gradients[0]![i]! + gradients[1]![i]!))
    t.true(relativeError(equalWeights(t, made), expected) < 1e-6, mode)
  }
})

test.serial('flush with unequal amounts pending names both', async (t) => {
  const made = await replicas(t, 2, { op: 'adasum', localSteps: 4 })
  await onEach(made, (replica) => stepOf(replica, 0))
  await stepOf(made[1]!, 1)
  for (const error of await failuresOf(made.map(({ optimizer }) => optimizer.flush()))) {
    t.like(error, { code: 'ERR_MISMATCH' })
    t.regex(error.message, /the number of pending steps is 1 on rank 0 and 2 on rank 1/)
  }
})

test.serial('segments carry the names of this rank, and orthogonality', async (t) => {
  const seen: StepReduction[] = []
  const made = await replicas(t, 2, { op: 'adasum', onReduction: (reduction) => seen.push(reduction) })
  t.is(made[0]!.optimizer.lastReduction, undefined)
  await onEach(made, (replica) => stepOf(replica, 0))
  for (const { optimizer, variables } of made) {
    const { segments, bytesSent, nonFiniteRanks } = optimizer.lastReduction!
    t.deepEqual(segments.map(({ name, elementCount }) => [name, elementCount]), variables.map(({ name, size }) => [name, size])) // prettier-ignore
    for (const { orthogonality } of segments) t.true(orthogonality! > 0.5 && orthogonality! <= 1.0001)
    t.true(bytesSent > 60)
    t.deepEqual(nonFiniteRanks, [])
    t.true(seen.includes(optimizer.lastReduction!))
  }
})

test.serial('weights that the program assigns between rounds are the start of the next one', async (t) => {
  const made = await replicas(t, 2, { op: 'adasum' })
  await onEach(made, (replica) => stepOf(replica, 0))
  assignValues(made[1]!.variables, new Float32Array(15).fill(0.25))
  await onAll(made.map(({ comm }) => comm), (comm, rank) => broadcastWeights(made[rank]!.variables, comm, { root: 1 })) // prettier-ignore
  const start = equalWeights(t, made)
  t.true(start.every((value) => value === 0.25))
  const gradients = made.map(({ variables, rank }) => gradientOn(variables, lossOn(variables, rank, 1)))
  await onEach(made, (replica) => stepOf(replica, 1))
  const combined = reduceOf('adasum', gradients, SEGMENTS)
  const expected = start.map((value, i) => value - LEARNING_RATE * combined[i]!)
  t.true(relativeError(equalWeights(t, made), expected) < 1e-6)
})

test.serial('without a list, all variables on which the loss depends are trained', async (t) => {
  const [made] = await replicas(t, 1, { op: 'adasum' })
  const bystander = tf.variable(tf.scalar(3))
  const before = valuesOf(made!.variables)
  await made!.optimizer.minimizeAsync(lossOn(made!.variables, 0, 0))
  t.deepEqual(made!.optimizer.lastReduction!.segments.map(({ elementCount }) => elementCount), SEGMENTS) // prettier-ignore
  t.notDeepEqual(valuesOf(made!.variables), before)
  t.is(bystander.dataSync()[0], 3)
  bystander.dispose()
})

test.serial('a listed variable without a gradient keeps its value in sgd', async (t) => {
  for (const mode of ['delta', 'gradient'] as const) {
    const made = await replicas(t, 2, { op: 'adasum', mode })
    const spare = made.map(() => tf.variable(tf.tensor1d([1, 2])))
    await onEach(made, ({ optimizer, variables, rank }) =>
      optimizer.minimizeAsync(lossOn(variables, rank, 0), [...variables, spare[rank]!]),
    )
    equalWeights(t, made)
    t.deepEqual([...spare[0]!.dataSync()], [1, 2])
    t.is(made[0]!.optimizer.lastReduction!.segments.length, 3)
    tf.dispose(spare)
  }
})

test.serial(
  'a variable without a gradient in a later step has none: that of the step before is not used again',
  async (t) => {
    for (const mode of ['delta', 'gradient'] as const) {
      const made = await replicas(t, 2, { op: 'sum', mode })
      const spare = made.map(() => tf.variable(tf.tensor1d([1, 2])))
      const lossWith = (variables: tf.Variable[], rank: number, own: tf.Variable) => (): tf.Scalar =>
        tf.add(lossOn(variables, rank, 0)(), tf.sum(own))
      const step = (isWith: boolean) =>
        onEach(made, ({ optimizer, variables, rank }) => {
          const loss = isWith ? lossWith(variables, rank, spare[rank]!) : lossOn(variables, rank, 1)
          return optimizer.minimizeAsync(loss, [...variables, spare[rank]!])
        })
      await step(true)
      const once = [...spare[0]!.dataSync()]
      t.notDeepEqual(once, [1, 2])
      await step(false)
      for (const own of spare) t.deepEqual([...own.dataSync()], once)
      tf.dispose(spare)
    }
  },
)

const MISMATCHES: [what: string, options: OptionsOf, prepare: (replica: Replica) => void, message: RegExp][] = [
  ['op', (rank) => ({ op: rank === 1 ? 'sum' : 'adasum' }), () => undefined, /op is adasum on rank 0 and sum on rank 1/],
  ['localSteps', (rank) => ({ op: 'sum', localSteps: 2 - rank }), () => undefined, /localSteps is 2 on rank 0 and 1 on rank 1/],
  ['shape', { op: 'sum' }, (replica) => {
    if (replica.rank === 1) replica.variables.reverse()
  }, /weight 0 is float32\[4, 3\] on rank 0 and float32\[3\] on rank 1/],
  ['count', { op: 'sum' }, (replica) => {
    if (replica.rank === 1) replica.variables.pop()
  }, /the number of weights is 2 on rank 0 and 1 on rank 1/],
  ['weights', { op: 'sum' }, ({ rank, variables }) => {
    if (rank === 1) assignValues(variables, new Float32Array(15))
  }, /fingerprint of the initial weights is \d+ on rank 0 and \d+ on rank 1. Call broadcastWeights/],
] // prettier-ignore

for (const [what, options, prepare, message] of MISMATCHES) {
  test.serial(`ranks that differ in ${what} find out in the first exchange`, async (t) => {
    const made = await replicas(t, 2, options)
    const all = made.map(({ variables }) => [...variables])
    made.forEach(prepare)
    const lossOf = ({ rank }: Replica): (() => tf.Scalar) => lossOn(all[rank]!, rank, 0)
    const steps = made.map(async (replica) => {
      const { optimizer, variables } = replica
      await optimizer.minimizeAsync(lossOf(replica), variables)
      if (what === 'localSteps') await optimizer.minimizeAsync(lossOf(replica), variables)
    })
    for (const error of await failuresOf(steps)) {
      t.like(error, { code: 'ERR_MISMATCH' })
      t.regex(error.message, message)
    }
    tf.dispose(all)
  })
}

const poisoned =
  (variables: readonly tf.Variable[], rank: number): (() => tf.Scalar) =>
  () =>
    tf.mul(lossOn(variables, rank, 0)(), NaN)

test.serial('NaN on one rank: every rank throws, keeps its weights, and may go on', async (t) => {
  const made = await replicas(t, 3, { op: 'adasum', mode: 'gradient' })
  const start = valuesOf(made[0]!.variables)
  const tensors = tf.memory().numTensors
  const lossOf = ({ variables, rank }: Replica) => (rank === 1 ? poisoned(variables, rank) : lossOn(variables, rank, 0))
  const steps = made.map((replica) => replica.optimizer.minimizeAsync(lossOf(replica), replica.variables))
  for (const error of await failuresOf(steps)) t.like(error, { code: 'ERR_NON_FINITE' })
  t.deepEqual(equalWeights(t, made), start)
  t.is(tf.memory().numTensors, tensors)
  await onEach(made, (replica) => stepOf(replica, 1))
  t.notDeepEqual(equalWeights(t, made), start)
})

test.serial('mode delta: a failed exchange leaves the local steps', async (t) => {
  const made = await replicas(t, 2, { op: 'adasum', localSteps: 2 })
  await onEach(made, (replica) => stepOf(replica, 0))
  const local = made.map(({ variables }) => valuesOf(variables))
  const steps = made.map(({ optimizer, variables, rank }) =>
    optimizer.minimizeAsync(
      rank === 1 ? poisoned(variables, 1) : () => tf.mul(lossOn(variables, 0, 1)(), 0),
      variables,
    ),
  )
  for (const error of await failuresOf(steps)) t.like(error, { code: 'ERR_NON_FINITE' })
  t.deepEqual(valuesOf(made[0]!.variables), local[0])
  t.true(valuesOf(made[1]!.variables).every(Number.isNaN))
})

test.serial('a lost peer fails the step and leaves the local weights', async (t) => {
  const made = await replicas(t, 2, { op: 'adasum' })
  await onEach(made, (replica) => stepOf(replica, 0))
  const [first, second] = made as [Replica, Replica]
  const expected = makeVariables()
  assignValues(expected, valuesOf(first.variables))
  tf.train.sgd(LEARNING_RATE).minimize(lossOn(expected, 0, 1), false, expected)
  await second.comm.close()
  await t.throwsAsync(stepOf(first, 1), { code: 'ERR_PEER_LOST' })
  t.deepEqual(valuesOf(first.variables), valuesOf(expected))
  tf.dispose(expected)
})

test.serial("onNonFinite 'skip': the others go on, and the rank that was left out joins them", async (t) => {
  for (const mode of ['delta', 'gradient'] as const) {
    const made = await replicas(t, 3, { op: 'adasum', mode, onNonFinite: 'skip' })
    const start = valuesOf(made[0]!.variables)
    const gradients = [0, 2].map((rank) => gradientOn(made[rank]!.variables, lossOn(made[rank]!.variables, rank, 0)))
    const lossOf = ({ variables, rank }: Replica) => (rank === 1 ? poisoned(variables, 1) : lossOn(variables, rank, 0))
    await onEach(made, (replica) => replica.optimizer.minimizeAsync(lossOf(replica), replica.variables))
    const combined = reduceOf('adasum', gradients, SEGMENTS)
    const expected = start.map((value, i) => value - LEARNING_RATE * combined[i]!)
    t.true(relativeError(equalWeights(t, made), expected) < 1e-6, mode)
    t.deepEqual(made[0]!.optimizer.lastReduction!.nonFiniteRanks, [1])
  }
})

test.serial('a step in which all ranks are left out does not happen', async (t) => {
  for (const mode of ['delta', 'gradient'] as const) {
    const made = await replicas(t, 2, { op: 'adasum', mode, onNonFinite: 'skip' })
    const start = valuesOf(made[0]!.variables)
    await onEach(made, ({ optimizer, variables, rank }) =>
      optimizer.minimizeAsync(poisoned(variables, rank), variables),
    )
    t.deepEqual(equalWeights(t, made), start, mode)
  }
})

test.serial('what f throws comes out as it is, and nothing is pending', async (t) => {
  const made = await replicas(t, 2, { op: 'adasum' })
  const tensors = tf.memory().numTensors
  for (const { optimizer, variables } of made) {
    const failing = (): tf.Scalar => {
      throw new RangeError('no such batch')
    }
    await t.throwsAsync(optimizer.minimizeAsync(failing, variables), { instanceOf: RangeError })
  }
  t.is(tf.memory().numTensors, tensors)
  await t.notThrowsAsync(onEach(made, (replica) => stepOf(replica, 0)))
})

test.serial('bad arguments of minimizeAsync', async (t) => {
  const [{ optimizer, variables }] = (await replicas(t, 1, { op: 'adasum' })) as [Replica]
  const refused = { code: 'ERR_ARGUMENT' }
  const loss = lossOn(variables, 0, 0)
  const call = (f: unknown, list?: unknown): Promise<number> => optimizer.minimizeAsync(f as typeof loss, list as [])
  await t.throwsAsync(call(undefined, variables), refused)
  await t.throwsAsync(
    call(() => Promise.resolve(tf.scalar(0)), variables),
    { ...refused, message: /promise/ },
  )
  await t.throwsAsync(call(loss, 'kernel'), refused)
  await t.throwsAsync(call(loss, [tf.scalar(1)]), refused)
  const frozen = tf.variable(tf.scalar(1), false)
  await t.throwsAsync(call(loss, [frozen]), { ...refused, message: /none of the 1 variables is trainable/ })
  await call(loss, variables)
  await t.throwsAsync(call(loss, [variables[1], variables[0]]), { ...refused, message: /not the 2 of the first call/ })
  const other = makeVariables(7)
  await t.throwsAsync(call(lossOn(other, 0, 0)), { ...refused, message: /had none in the first call/ })
})
