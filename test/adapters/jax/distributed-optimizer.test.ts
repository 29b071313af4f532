import * as jax from '@jax-js/jax'
import test, { type ExecutionContext } from 'ava'
import {
  type ArrayTree,
  broadcast,
  DistributedOptimizer,
  type DistributedOptimizerOptions,
  type GradientTransformation,
} from '../../../ts/src/adapters/jax/index.ts'
import type { Communicator } from '../../../ts/src/communicator/communicator.ts'
import type { ReduceOp } from '../../../ts/src/types.ts'
import { fc, runsOf } from '../../_property.ts'
import { failuresOf, makeWorld } from '../../_world.ts'
import { relativeError } from '../../optim/_oracle.ts'
import { arraysIn, references } from './_trees.ts'
import {
  expectedAfter,
  gradientsOf,
  makeParams,
  mapParams,
  OPTIMIZERS,
  type OptimizerName,
  type Params,
  PATHS,
  readParams,
  type Run,
  sampleCountOf,
} from './_training.ts'

const { numpy: np, tree } = jax

interface Replica {
  comm: Communicator
  rank: number
  optimizer: DistributedOptimizer<unknown>
  params: Params
}

type OptionsOf = DistributedOptimizerOptions | ((rank: number) => DistributedOptimizerOptions)

async function replicas(
  t: ExecutionContext,
  size: number,
  options: OptionsOf,
  makeInner: () => GradientTransformation<never> = OPTIMIZERS.momentum,
): Promise<Replica[]> {
  const world = await makeWorld(size)
  t.teardown(() => world.close())
  return world.ranks.map((comm, rank) => {
    const chosen = typeof options === 'function' ? options(rank) : options
    const optimizer = new DistributedOptimizer(makeInner(), comm, chosen)
    return { comm, rank, optimizer, params: makeParams(rank) }
  })
}

/** One batch; the parameters are replaced. */
async function step(replica: Replica, batch: number): Promise<void> {
  const { optimizer, params, rank } = replica
  replica.params = await optimizer.step(gradientsOf(tree.ref(params), rank, batch), params)
}

const onEach = <T>(made: readonly Replica[], run: (replica: Replica) => Promise<T>): Promise<T[]> =>
  Promise.all(made.map(run))

async function equalParams(t: ExecutionContext, made: readonly Replica[]): Promise<Record<string, number[]>> {
  const values = await onEach(made, ({ params }) => readParams(params))
  for (const other of values) t.deepEqual(other, values[0])
  return values[0]!
}

const runs: fc.Arbitrary<Run> = fc
  .record({
    size: fc.integer({ min: 1, max: 4 }),
    op: fc.constantFrom<ReduceOp>('adasum', 'sum', 'average'),
    mode: fc.constantFrom('delta' as const, 'gradient' as const),
    optimizer: fc.constantFrom<OptimizerName>('sgd', 'momentum', 'adam'),
    localSteps: fc.integer({ min: 1, max: 3 }),
    accumulate: fc.integer({ min: 1, max: 3 }),
    accumulateOp: fc.constantFrom<ReduceOp>('average', 'adasum', 'adasum', 'sum'),
    isCounted: fc.boolean(),
  })
  .map((run) => ({
    ...run,
    localSteps: run.mode === 'gradient' ? 1 : run.localSteps,
    isCounted: run.isCounted && run.op !== 'sum' && run.accumulateOp !== 'sum',
  }))

test('modes, operators, local steps and accumulation are what plain arrays give, and nothing leaks', async (t) => {
  const property = fc.asyncProperty(runs, fc.integer({ min: 1, max: 5 }), async (run, calls) => {
    const { size, optimizer, isCounted, ...options } = run
    const made = await replicas(t, size, options, OPTIMIZERS[optimizer])
    const all = new Set<jax.Array>()
    for (let batch = 0; batch < calls; batch++)
      await onEach(made, async (replica) => {
        for (const array of arraysIn(replica.params)) all.add(array)
        const gradients = gradientsOf(tree.ref(replica.params), replica.rank, batch)
        for (const array of arraysIn(gradients)) all.add(array)
        const counted = isCounted ? { sampleCount: sampleCountOf(replica.rank, batch) } : {}
        replica.params = await replica.optimizer.step(gradients, replica.params, counted)
      })
    await onEach(made, async (replica) => void (replica.params = await replica.optimizer.flush(replica.params)))
    const values = await equalParams(t, made)
    const expected = expectedAfter(run, calls)
    const [actual, wanted] = [values, expected].map((leaves) => PATHS.flatMap((path) => leaves[path]!))
    t.true(relativeError(actual!, wanted!) < 1e-5, `${JSON.stringify(run)} ${calls} ${relativeError(actual!, wanted!)}`)
    for (const { params, optimizer } of made) {
      t.true(references(arraysIn(params)).every((count) => count === 1))
      // A rank whose batches were all empty has none.
      const state = arraysIn((optimizer.state ?? []) as ArrayTree)
      optimizer.dispose()
      t.true(references(state).every((count) => count === 0))
      tree.dispose(params)
    }
    t.true(references([...all]).every((count) => count === 0))
  })
  await fc.assert(property, { numRuns: runsOf(20) })
})

for (const mode of ['gradient', 'delta'] as const)
  for (const isCounted of [false, true])
    test(`${mode}, accumulateOp adasum${isCounted ? ', by samples' : ''}: refused batches with integer leaves count for nothing`, async (t) => {
      const run = { size: 2, op: 'average', optimizer: 'adam', mode, accumulate: 3, isCounted } as const
      const options = { op: run.op, mode, accumulate: run.accumulate, accumulateOp: 'adasum' } as const
      const made = await replicas(t, run.size, options, OPTIMIZERS.adam)
      for (let batch = 0; batch < 7; batch++)
        await onEach(made, async (replica) => {
          const { optimizer, rank } = replica
          const given = isCounted ? { sampleCount: sampleCountOf(rank, batch) } : {}
          const integers = mapParams((x) => x.astype(np.int32), makeParams(rank))
          const refused = optimizer.step(integers, replica.params, given)
          // The first call of all finds the shapes by its parameters, and refuses the gradients all the same.
          await t.throwsAsync(refused, {
            code: 'ERR_ARGUMENT',
            message: /gradients: leaf layers\[0\]\.b is int32\[3\], and float32/,
          })
          t.deepEqual(references(arraysIn(integers)), [0, 0, 0])
          replica.params = optimizer.takeParams() as Params
          const gradients = gradientsOf(tree.ref(replica.params), rank, batch)
          replica.params = await optimizer.step(gradients, replica.params, given)
        })
      await onEach(made, async (replica) => void (replica.params = await replica.optimizer.flush(replica.params)))
      const expected = expectedAfter({ ...run, accumulateOp: 'adasum' }, 7)
      const values = await equalParams(t, made)
      const [actual, wanted] = [values, expected].map((leaves) => PATHS.flatMap((path) => leaves[path]!))
      t.true(relativeError(actual!, wanted!) < 1e-5, `off by ${relativeError(actual!, wanted!)}`)
    })

test('parameters that were changed between two rounds are the start of the next', async (t) => {
  const made = await replicas(t, 2, { op: 'sum' }, OPTIMIZERS.sgd)
  await onEach(made, (replica) => step(replica, 0))
  const before = await equalParams(t, made)
  await onEach(made, async (replica) => {
    const halves = mapParams((x) => x.mul(0.5), replica.params)
    const unmoved = mapParams((x) => np.zerosLike(x), tree.ref(halves))
    replica.params = await replica.optimizer.step(unmoved, halves)
  })
  const values = await equalParams(t, made)
  for (const path of PATHS) t.deepEqual(values[path], before[path]!.map((value) => value / 2)) // prettier-ignore
})

test('the report names the leaves, and each tree keeps its own order of keys', async (t) => {
  const seen: string[][] = []
  const made = await replicas(t, 2, {
    op: 'adasum',
    onReduction: ({ segments }) => seen.push(segments.map(({ name }) => name)),
  })
  const structures = made.map(({ params }) => tree.structure(params as ArrayTree).toString())
  t.not(structures[0], structures[1])
  t.is(made[0]!.optimizer.lastReduction, undefined)
  await onEach(made, (replica) => step(replica, 0))
  t.deepEqual(made.map(({ params }) => tree.structure(params as ArrayTree).toString()), structures) // prettier-ignore
  t.deepEqual(seen, [PATHS, PATHS])
  t.is(made[0]!.optimizer.lastReduction!.segments.length, 3)
})

const MISMATCHES: [what: string, OptionsOf, (replica: Replica) => void, RegExp][] = [
  ['op', (rank) => ({ op: rank === 1 ? 'sum' : 'adasum' }), () => undefined, /DistributedOptimizer: op is adasum on rank 0 and sum on rank 1/],
  ['values', { op: 'sum' }, (replica) => {
    if (replica.rank === 1) replica.params = mapParams((x) => x.mul(2), replica.params)
  }, /fingerprint of the initial weights is \d+ on rank 0 and \d+ on rank 1\. Call params = await broadcast\(params, comm\)/],
  ['paths', { op: 'sum' }, (replica) => {
    if (replica.rank === 1) replica.params = { layers: replica.params.layers, size: replica.params.scale } as never
  }, /leaf scale is float32\[\] on rank 0 and missing on rank 1\. Pass params with the same paths/],
  ['shapes', { op: 'sum', mode: 'gradient' }, (replica) => {
    if (replica.rank === 1) replica.params.scale = replica.params.scale.reshape([1])
  }, /leaf scale is float32\[\] on rank 0 and float32\[1\] on rank 1/],
] // prettier-ignore
for (const [what, options, prepare, message] of MISMATCHES)
  test(`ranks that differ in ${what} find out in the first exchange, and keep their parameters`, async (t) => {
    const made = await replicas(t, 2, options)
    made.forEach(prepare)
    const zeros = (params: Params): Params => mapParams((x) => np.zerosLike(x), tree.ref(params))
    const steps = made.map(({ optimizer, params }) => optimizer.step(zeros(params), params))
    for (const error of await failuresOf(steps)) {
      t.like(error, { code: 'ERR_MISMATCH' })
      t.regex(error.message, message)
    }
    for (const { optimizer } of made) {
      const kept = arraysIn(optimizer.takeParams()!)
      t.deepEqual(references(kept), [1, 1, 1])
      t.is(optimizer.takeParams(), undefined)
    }
  })

for (const mode of ['gradient', 'delta'] as const)
  test(`${mode}: NaN on one rank is an error on all; takeParams gives what was before the exchange, and all go on`, async (t) => {
    const made = await replicas(t, 2, { op: 'adasum', mode })
    await onEach(made, (replica) => step(replica, 0))
    const before = await equalParams(t, made)
    const gone = made.flatMap(({ params }) => arraysIn(params))
    const poisoned = made.map(({ params, rank, optimizer }) => {
      const gradients = gradientsOf(tree.ref(params), rank, 1)
      if (rank === 1) gradients.scale = gradients.scale.mul(NaN)
      gone.push(...arraysIn(gradients))
      return optimizer.step(gradients, params)
    })
    for (const error of await failuresOf(poisoned)) t.like(error, { code: 'ERR_NON_FINITE' })
    for (const replica of made) replica.params = replica.optimizer.takeParams() as Params
    if (mode === 'delta') {
      t.notDeepEqual(await readParams(made[0]!.params), before)
      t.true(references(gone).every((count) => count === 0))
      return
    }
    t.deepEqual(await equalParams(t, made), before)
    await onEach(made, (replica) => step(replica, 2))
    t.notDeepEqual(await equalParams(t, made), before)
    t.true(references(gone).every((count) => count === 0))
  })

test('a call before the last has settled is refused, and its trees are used up', async (t) => {
  const [replica] = await replicas(t, 1, { op: 'sum' })
  const first = step(replica!, 0)
  const [params, gradients, others] = [makeParams(0), makeParams(0), makeParams(0)]
  const refused = { code: 'ERR_NOT_READY', message: /step\(\) was called before/ }
  await t.throwsAsync(replica!.optimizer.step(gradients, params), refused)
  await t.throwsAsync(replica!.optimizer.flush(others), { code: 'ERR_NOT_READY' })
  t.true(references([params, gradients, others].flatMap((each) => arraysIn(each))).every((count) => count === 0))
  await first
  await step(replica!, 1)
  t.pass()
})

const zeros = (): Params => mapParams((x) => np.zerosLike(x), makeParams(0))
const WRONG: [string, (gradients: Params, params: Params) => [unknown, unknown], string, RegExp][] = [
  ['gradients of another shape', (gradients, params) => [{ ...gradients, scale: gradients.scale.reshape([1]) }, params], 'ERR_ARGUMENT', /gradients: leaf scale is float32\[1\], and float32\[\] in the params of the first step/],
  ['gradients that lack a leaf', ({ scale }, params) => [{ scale }, params], 'ERR_ARGUMENT', /gradients: leaf layers\[0\]\.b is missing/],
  ['a number among the gradients', (gradients, params) => [{ ...gradients, more: 1 }, params], 'ERR_ARGUMENT', /gradients: leaf more is a number/],
  ['other parameters than in the first step', (gradients, params) => [gradients, { ...params, more: np.zeros([1]) }], 'ERR_ARGUMENT', /params: leaf more is float32\[1\], and missing in the params of the first step/],
  ['a number among the parameters', (gradients, params) => [gradients, { ...params, more: 1 }], 'ERR_ARGUMENT', /params: leaf more is a number/],
] // prettier-ignore
for (const [what, make, code, message] of WRONG)
  test(`refused, without a leak: ${what}`, async (t) => {
    const [replica] = await replicas(t, 1, { op: 'sum' })
    const { optimizer } = replica!
    await step(replica!, 0)
    const [gradients, params] = make(zeros(), replica!.params) as [Params, Params]
    const arrays = [...tree.leaves(gradients), ...tree.leaves(params)]
    const given = arrays.filter((leaf) => leaf instanceof jax.Array)
    await t.throwsAsync(optimizer.step(gradients, params), { code, message })
    const kept = optimizer.takeParams()
    t.is(kept === undefined, !what.includes('gradients'))
    tree.dispose(kept)
    t.true(references(given).every((count) => count === 0))
  })

test('parameters of the first call: at least one, all float32', async (t) => {
  const [replica] = await replicas(t, 1, { op: 'sum' })
  const { optimizer } = replica!
  await t.throwsAsync(optimizer.step({}, {}), { code: 'ERR_ARGUMENT', message: /params has 0 arrays/ })
  const params = { w: np.zeros([2]), steps: np.zeros([1], { dtype: np.int32 }) }
  const unsupported = { code: 'ERR_UNSUPPORTED', message: /params: leaf steps is int32; only float32 can be trained/ }
  await t.throwsAsync(optimizer.flush(params), unsupported)
  t.deepEqual(references(arraysIn(params)), [0, 0])
})

const { momentum } = OPTIMIZERS
const BROKEN: [string, Partial<GradientTransformation<never>>, { message: RegExp }][] = [
  ['throws', { update: () => { throw new RangeError('out of sorts') } }, { message: /out of sorts/ }],
  ['is asynchronous', { update: (async () => []) as never }, { message: /must return \[updates, state\]; got an object of type Promise\. It cannot be asynchronous/ }],
  ['returns other updates', { update: (updates, state) => [{ scale: (updates as Params).scale }, state] }, { message: /the updates of the optimizer: leaf layers\[0\]\.b is missing/ }],
  ['returns no pair', { update: (updates) => updates as never }, { message: /must return \[updates, state\]; got an object of type Object/ }],
  ['has no initial state', { init: () => { throw new RangeError('out of sorts') } }, { message: /out of sorts/ }],
] // prettier-ignore
for (const [what, broken, expected] of BROKEN)
  test(`an inner optimizer that ${what}: the error arrives, parameters are kept, and nothing leaks`, async (t) => {
    for (const mode of ['delta', 'gradient'] as const) {
      const [replica] = await replicas(t, 1, { op: 'sum', mode }, () => ({ ...momentum(), ...broken }))
      const { params, optimizer } = replica!
      const gradients = gradientsOf(tree.ref(params), 0, 0)
      const before = await readParams(params)
      await t.throwsAsync(optimizer.step(gradients, params), expected)
      const kept = optimizer.takeParams() as Params
      t.deepEqual(await readParams(kept), before)
      t.deepEqual(references(arraysIn(gradients)), [0, 0, 0])
      t.deepEqual(references(arraysIn(kept)), [1, 1, 1])
    }
  })

test('a state that was kept, given to another optimizer, goes on where the first was', async (t) => {
  const [first] = await replicas(t, 1, { op: 'sum' }, OPTIMIZERS.adam)
  t.is(first!.optimizer.state, undefined)
  for (const batch of [0, 1]) await step(first!, batch)
  const [second] = await replicas(t, 1, { op: 'sum' }, OPTIMIZERS.adam)
  tree.dispose(second!.params)
  second!.optimizer.state = tree.ref(first!.optimizer.state as ArrayTree)
  second!.params = tree.ref(first!.params)
  for (const replica of [first!, second!]) await step(replica, 2)
  t.deepEqual(await readParams(second!.params), await readParams(first!.params))
})

test('dispose frees accumulated gradients, the state and the parameters of a failed call', async (t) => {
  const [replica] = await replicas(t, 1, { op: 'sum', accumulate: 2 })
  const { optimizer } = replica!
  for (const batch of [0, 1]) await step(replica!, batch)
  const state = arraysIn(optimizer.state as ArrayTree)
  const gradients = gradientsOf(tree.ref(replica!.params), 0, 2)
  const params = await optimizer.step(gradients, replica!.params)
  await t.throwsAsync(optimizer.step({}, params as ArrayTree), { code: 'ERR_ARGUMENT' })
  optimizer.dispose()
  const arrays = [...state, ...arraysIn(gradients), ...arraysIn(params)]
  t.true(references(arrays).every((count) => count === 0))
})

test('constructor arguments are checked', async (t) => {
  const [replica] = await replicas(t, 1, { op: 'sum' })
  const { comm } = replica!
  const make = (inner: unknown, world: unknown, options: unknown) => () =>
    new DistributedOptimizer(inner as GradientTransformation, world as Communicator, options as { op: 'sum' })
  const refused = (message: RegExp) => ({ code: 'ERR_ARGUMENT', message })
  t.throws(make({ init: () => [] }, comm, { op: 'sum' }), refused(/an optimizer with init\(params\) and update/))
  t.throws(make(undefined, comm, { op: 'sum' }), refused(/got undefined/))
  t.throws(make(momentum(), {}, { op: 'sum' }), refused(/comm must be a communicator/))
  t.throws(make(momentum(), comm, { op: 'sum', mode: 'gradient', localSteps: 2 }), refused(/localSteps is 2/))
  t.throws(make(momentum(), comm, { op: 'sum', steps: 2 }), refused(/no option "steps"/))
})

test('broadcast makes parameters of different ranks a common start', async (t) => {
  const made = await replicas(t, 3, { op: 'average', mode: 'gradient' })
  await onEach(made, async (replica) => {
    const own = mapParams((x) => x.mul(replica.rank + 1), replica.params)
    replica.params = await broadcast(own, replica.comm, { root: 2 })
  })
  await onEach(made, (replica) => step(replica, 0))
  await equalParams(t, made)
})

for (const mode of ['gradient', 'delta'] as const)
  test(`${mode}: with a loss scale the parameters are those of unscaled training, bit for bit, and nothing leaks`, async (t) => {
    const plain = await replicas(t, 2, { op: 'adasum', mode })
    const scaled = await replicas(t, 2, { op: 'adasum', mode, lossScale: 1024 })
    const all = new Set<jax.Array>()
    for (let batch = 0; batch < 3; batch++) {
      await onEach(plain, (replica) => step(replica, batch))
      await onEach(scaled, async (replica) => {
        const { optimizer, params, rank } = replica
        const { scale } = optimizer.lossScaler!
        const gradients = mapParams((leaf) => leaf.mul(scale), gradientsOf(tree.ref(params), rank, batch))
        for (const array of arraysIn(gradients)) all.add(array)
        replica.params = await optimizer.step(gradients, params)
      })
    }
    t.deepEqual(await equalParams(t, scaled), await equalParams(t, plain))
    t.is(plain[0]!.optimizer.lossScaler, undefined)
    t.true(references([...all]).every((count) => count === 0))
  })

test('an overflow on one rank skips the step on all of them, and lowers the scale', async (t) => {
  const made = await replicas(t, 2, { op: 'average', mode: 'gradient', lossScale: 'dynamic' })
  const before = await equalParams(t, made)
  const scales = made.map(({ optimizer }) => optimizer.lossScaler!.scale)
  await onEach(made, async (replica) => {
    const { optimizer, params, rank } = replica
    const factor = rank === 1 ? Infinity : optimizer.lossScaler!.scale
    const gradients = mapParams((leaf) => leaf.mul(factor), gradientsOf(tree.ref(params), rank, 0))
    replica.params = await optimizer.step(gradients, params)
  })
  t.deepEqual(await equalParams(t, made), before)
  t.deepEqual(made.map(({ optimizer }) => optimizer.lossScaler!.scale), scales.map((scale) => scale / 2)) // prettier-ignore
})

test('batches count by their samples: unequal ones of two ranks are one process with all of them', async (t) => {
  const made = await replicas(t, 2, { op: 'average', mode: 'gradient' }, OPTIMIZERS.sgd)
  const [alone] = await replicas(t, 1, { op: 'average', mode: 'gradient' }, OPTIMIZERS.sgd)
  const counts = [3, 1]
  const means = [0, 1].map((rank) => gradientsOf(tree.ref(made[0]!.params), rank, 0))
  const mean = mapParams((leaf) => leaf.mul(3 / 4), tree.ref(means[0]!))
  const rest = mapParams((leaf) => leaf.mul(1 / 4), tree.ref(means[1]!))
  const sum = tree.map<jax.Array, jax.Array, Params>((a, b) => a.add(b), mean, rest)
  alone!.params = await alone!.optimizer.step(sum, alone!.params)
  await onEach(made, async (replica) => {
    const { optimizer, params, rank } = replica
    replica.params = await optimizer.step(means[rank]!, params, { sampleCount: counts[rank]! })
  })
  const [values, expected] = [await equalParams(t, made), await equalParams(t, [alone!])]
  for (const path of PATHS) t.true(relativeError(values[path]!, expected[path]!) < 1e-6, path)
  t.deepEqual(made[0]!.optimizer.lastReduction!.sampleCounts, counts)
})

test('a rank without data goes along with 0 samples; other counts and options are refused, without a leak', async (t) => {
  const made = await replicas(t, 2, { op: 'adasum' })
  await onEach(made, async (replica) => {
    const { optimizer, params, rank } = replica
    const gradients = gradientsOf(tree.ref(params), rank, 0)
    replica.params = await optimizer.step(gradients, params, { sampleCount: rank === 0 ? 8 : 0 })
  })
  await equalParams(t, made)
  const { optimizer, params } = made[0]!
  for (const options of [{ sampleCount: -1 }, { sampleCount: NaN }, { samples: 1 }, 5]) {
    const given = [gradientsOf(tree.ref(params), 0, 1), tree.ref(params)] as const
    const arrays = arraysIn(given[0])
    await t.throwsAsync(optimizer.step(...given, options as object), { code: 'ERR_ARGUMENT' })
    const left = optimizer.takeParams()
    if (left !== undefined) tree.dispose(left)
    t.true(
      references(arrays).every((count) => count === 0),
      JSON.stringify(options),
    )
  }
})
