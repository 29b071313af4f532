import * as jax from '@jax-js/jax'
import test, { type ExecutionContext } from 'ava'
import { allReduce, type ArrayTree, broadcast } from '../../../ts/src/adapters/jax/index.ts'
import { Compressor } from '../../../ts/src/compressor.ts'
import type { Communicator } from '../../../ts/src/communicator/communicator.ts'
import type { AllReduceOp, ReduceOp } from '../../../ts/src/types.ts'
import { fc, runsOf } from '../../_property.ts'
import { failuresOf, makeWorld, onAll, type World } from '../../_world.ts'
import { reduceOf, relativeError } from '../../optim/_oracle.ts'
import {
  arraysIn,
  type LeafDtype,
  type LeafSpec,
  leavesOf,
  read,
  references,
  reordered,
  sizeOf,
  treeOf,
  trees,
  type TreeSpec,
  valuesOf,
} from './_trees.ts'

const { numpy: np } = jax
const SIZES = [1, 2, 3]
const OPS: Record<LeafDtype, AllReduceOp[]> = {
  float32: ['sum', 'average', 'adasum', 'min', 'max'],
  int32: ['sum', 'min', 'max'],
  uint32: ['sum', 'min', 'max'],
  bool: ['min', 'max'],
}

const worlds = new Map<number, World>()
test.before(async () => {
  for (const size of SIZES) worlds.set(size, await makeWorld(size))
})
test.after.always(async () => {
  for (const world of worlds.values()) await world.close()
})
const ranksOf = (size: number): Communicator[] => worlds.get(size)!.ranks

async function ownWorld(t: ExecutionContext, size = 2): Promise<Communicator[]> {
  const world = await makeWorld(size)
  t.teardown(() => world.close())
  return world.ranks
}

/** Trees of all ranks, whose objects list their keys in different orders. */
const treesOf = (spec: TreeSpec, size: number): ArrayTree[] =>
  Array.from({ length: size }, (_, rank) => treeOf(reordered(spec, rank), rank))

const keysOf = (tree: ArrayTree): string => jax.tree.structure(tree).toString()

/** A leaf of all ranks, combined in plain arithmetic. */
function expectedOf(leaf: LeafSpec, op: AllReduceOp, size: number): number[] {
  const all = Array.from({ length: size }, (_, rank) => valuesOf(leaf, rank))
  if (leaf.dtype === 'float32' && op !== 'min' && op !== 'max') return reduceOf(op, all, [sizeOf(leaf)])
  const fold = { sum: (a: number, b: number) => a + b, min: Math.min, max: Math.max }[op as 'sum' | 'min' | 'max']
  const folded = all[0]!.map((_, i) => all.map((values) => values[i]!).reduce((a, b) => fold(a, b)))
  const wrap = { int32: (value: number) => value | 0, uint32: (value: number) => value >>> 0 }
  return leaf.dtype === 'int32' || leaf.dtype === 'uint32' ? folded.map(wrap[leaf.dtype]) : folded
}

test('broadcast: every rank gets the root’s bits, in its own order of keys, and nothing leaks', async (t) => {
  const property = fc.asyncProperty(trees(), fc.constantFrom(...SIZES), fc.nat(2), async (spec, size, pick) => {
    const root = pick % size
    const given = treesOf(spec, size)
    const arrays = given.map(arraysIn)
    const structures = given.map(keysOf)
    const got = await onAll(ranksOf(size), (comm, rank) => broadcast(given[rank]!, comm, { root }))
    for (const [rank, tree] of got.entries()) {
      t.is(keysOf(tree), structures[rank]!)
      const leaves = leavesOf(reordered(spec, rank))
      for (const [index, array] of arraysIn(tree).entries()) {
        t.deepEqual([array.shape, array.dtype], [leaves[index]!.shape, leaves[index]!.dtype as jax.DType])
        t.deepEqual(await read(array), valuesOf(leaves[index]!, root))
      }
      if (rank !== root) t.true(references(arrays[rank]!).every((count) => count === 0))
      t.true(references(arraysIn(tree)).every((count) => count === 1))
      jax.tree.dispose(tree)
    }
  })
  await fc.assert(property, { numRuns: runsOf(30) })
})

for (const dtypes of [['float32'], ['float32', 'int32', 'uint32'], ['float32', 'int32', 'bool']] as LeafDtype[][])
  test(`all-reduce of ${dtypes.join(', ')}: each leaf is what plain arrays give, with the same bits on all ranks`, async (t) => {
    const ops = OPS.float32.filter((op) => dtypes.every((dtype) => OPS[dtype].includes(op)))
    const given = fc.tuple(trees(dtypes), fc.constantFrom(...SIZES), fc.constantFrom(...ops))
    const property = fc.asyncProperty(given, async ([spec, size, op]) => {
      const inputs = treesOf(spec, size)
      const arrays = inputs.flatMap(arraysIn)
      const all = await onAll(ranksOf(size), (comm, rank) => allReduce(inputs[rank]!, comm, { op }))
      t.true(references(arrays).every((count) => count === 0))
      const results = all.map(({ result }, rank) => byPath(result, reordered(spec, rank)))
      for (const leaf of leavesOf(spec)) {
        const values = await Promise.all(results.map((arraysByPath) => read(arraysByPath.get(leaf.path)!)))
        for (const other of values) t.deepEqual(other, values[0])
        const expected = expectedOf(leaf, op, size)
        if (leaf.dtype === 'float32') t.true(relativeError(values[0]!, expected) < 1e-6, `${op} of ${leaf.path}`)
        else t.deepEqual(values[0], expected)
      }
      for (const { result, segments } of all) {
        const described = leavesOf(spec).map((leaf) => [leaf.path, leaf.shape, sizeOf(leaf)])
        const reported = segments.map(({ name, shape, elementCount }) => [name, shape, elementCount])
        t.deepEqual(reported.map(String).sort(), described.map(String).sort())
        t.true(references(arraysIn(result)).every((count) => count === 1))
        jax.tree.dispose(result)
      }
    })
    await fc.assert(property, { numRuns: runsOf(25) })
  })

const byPath = (tree: ArrayTree, spec: TreeSpec): Map<string, jax.Array> =>
  new Map(leavesOf(spec).map(({ path }, index) => [path, arraysIn(tree)[index]!]))

const floats = (...values: number[]): jax.Array => np.array(new Float32Array(values))

test('what is reported: orthogonality, coefficients and matrix of each leaf, sorted by path', async (t) => {
  const trees = [
    { b: floats(1, 0), a: [floats(2), floats(1)] },
    { a: [floats(2), floats(3)], b: floats(0, 1) },
  ]
  const [first] = await onAll(ranksOf(2), (comm, rank) => allReduce(trees[rank]!, comm, { op: 'adasum', gram: true })) // prettier-ignore
  const matrix = (a: number, b: number, c: number) => [Float64Array.of(a, b), Float64Array.of(b, c)]
  t.deepEqual(first!.segments, [
    { name: 'a[0]', shape: [1], elementCount: 1, orthogonality: 0.5, coefficients: [0.5, 0.5], gram: matrix(4, 4, 4) },
    {
      name: 'a[1]',
      shape: [1],
      elementCount: 1,
      orthogonality: 0.4,
      coefficients: [-0.5, 5 / 6],
      gram: matrix(1, 3, 9),
    },
    { name: 'b', shape: [2], elementCount: 2, orthogonality: 1, coefficients: [1, 1], gram: matrix(1, 0, 1) },
  ])
  t.deepEqual(first!.nonFiniteRanks, [])
  t.true(first!.bytesSent > 0)
  t.deepEqual(await read(first!.result.b), [1, 1])
})

const layer = (): ArrayTree => ({ layers: [{ w: np.zeros([2, 3]), b: np.zeros([3]) }] })
const MISMATCHES: [string, () => ArrayTree, () => ArrayTree, RegExp][] = [
  ['a shape', layer, () => ({ layers: [{ w: np.zeros([3, 2]), b: np.zeros([3]) }] }), /leaf layers\[0\]\.w is float32\[2, 3\] on rank 0 and float32\[3, 2\] on rank 1/],
  ['a dtype', layer, () => ({ layers: [{ w: np.zeros([2, 3]), b: np.zeros([3], { dtype: np.int32 }) }] }), /leaf layers\[0\]\.b is float32\[3\] on rank 0 and int32\[3\] on rank 1/],
  ['a path that one lacks', layer, () => ({ layers: [{ w: np.zeros([2, 3]) }] }), /leaf layers\[0\]\.b is float32\[3\] on rank 0 and missing on rank 1/],
  ['a path that one has in addition', layer, () => ({ layers: [{ w: np.zeros([2, 3]), b: np.zeros([3]) }], extra: np.zeros([]) }), /leaf extra is missing on rank 0 and float32\[\] on rank 1/],
  ['a name', layer, () => ({ layers: [{ w: np.zeros([2, 3]), c: np.zeros([3]) }] }), /leaf layers\[0\]\.b is float32\[3\] on rank 0 and missing on rank 1/],
  ['a list and an object', () => [np.zeros([1])], () => ({ 0: np.zeros([1]) }), /leaf \[0\] is float32\[1\] on rank 0 and missing on rank 1/],
  ['an array and nothing', () => np.zeros([1]), () => [], /leaf \(root\) is float32\[1\] on rank 0 and missing on rank 1/],
] // prettier-ignore
for (const [what, first, second, message] of MISMATCHES)
  test(`ranks that differ in ${what}: the path and both values are named, and nothing leaks`, async (t) => {
    for (const call of [
      (tree: ArrayTree, comm: Communicator): Promise<unknown> => broadcast(tree, comm),
      (tree: ArrayTree, comm: Communicator): Promise<unknown> => allReduce(tree, comm, { op: 'sum' }),
    ]) {
      const given = [first(), second()]
      const arrays = given.flatMap(arraysIn)
      const errors = await failuresOf(ranksOf(2).map((comm, rank) => call(given[rank]!, comm)))
      for (const error of errors) {
        t.like(error, { code: 'ERR_MISMATCH' })
        t.regex(error.message, message)
      }
      t.true(references(arrays).every((count) => count === 0))
    }
  })

test('what is for floats alone leaves integers beside them as they are', async (t) => {
  const integers = [1_000_003, -7]
  const all = await onAll(ranksOf(2), (comm, rank) => {
    const tree = { n: np.array(Int32Array.from(integers)), w: floats(rank, 1) }
    return allReduce(tree, comm, { op: 'sum', compressor: new Compressor({ format: 'bf16' }), onNonFinite: 'skip' })
  })
  for (const { result } of all) t.deepEqual([await read(result.n), await read(result.w)], [[2_000_006, -14], [1, 2]]) // prettier-ignore
})

test('the ops are compared by the communicator, and the trees are used up', async (t) => {
  const ranks = await ownWorld(t)
  const given = [layer(), layer()]
  const arrays = given.flatMap(arraysIn)
  const ops: ReduceOp[] = ['sum', 'average']
  const calls = ranks.map((comm, rank) => allReduce(given[rank]!, comm, { op: ops[rank]! }))
  for (const error of await failuresOf(calls)) t.like(error, { code: 'ERR_MISMATCH' })
  t.true(references(arrays).every((count) => count === 0))
})

test('NaN on one rank: an error on all, the trees are used up, and the next call works', async (t) => {
  const ranks = await ownWorld(t)
  const given = [{ a: floats(1, 2), n: np.zeros([2], { dtype: np.int32 }) }, { a: floats(NaN, 2), n: np.zeros([2], { dtype: np.int32 }) }] // prettier-ignore
  t.like(given[0]!.a, { refCount: 1 })
  const arrays = given.flatMap(arraysIn)
  const calls = ranks.map((comm, rank) => allReduce({ a: given[rank]!.a, n: given[rank]!.n }, comm, { op: 'sum', onNonFinite: 'throw' })) // prettier-ignore
  for (const error of await failuresOf(calls)) t.like(error, { code: 'ERR_NON_FINITE' })
  t.true(references(arrays).every((count) => count === 0))
  const skip = await onAll(ranks, (comm, rank) => allReduce({ a: floats(rank === 0 ? NaN : 5) }, comm, { op: 'adasum', onNonFinite: 'skip' })) // prettier-ignore
  for (const { result, nonFiniteRanks } of skip) {
    t.deepEqual(await read(result.a), [5])
    t.deepEqual(nonFiniteRanks, [0])
  }
})

const REFUSED: [string, (t: ExecutionContext) => unknown, string, RegExp][] = [
  ['a number', () => ({ w: floats(1), step: 3 }), 'ERR_ARGUMENT', /allReduce\(\): leaf step is a number, and no array\. .*np\.array/],
  ['a map', () => ({ w: floats(1), m: new Map() }), 'ERR_ARGUMENT', /leaf m is an object of type Map/],
  ['float64', () => ({ w: floats(1), d: np.zeros([2], { dtype: np.float64 }) }), 'ERR_UNSUPPORTED', /leaf d is float64; .*Node\.js 20.*astype/],
  ['float16', () => ({ w: floats(1), d: np.zeros([2], { dtype: np.float16 }) }), 'ERR_UNSUPPORTED', /leaf d is float16; .*Float16Array/],
  ['an array twice', () => { const a = floats(1); return { w: a, v: a } }, 'ERR_ARGUMENT', /leaf w is use 2 of an array with 1 references\. Take \.ref/],
] // prettier-ignore
for (const [what, make, code, message] of REFUSED)
  test(`refused before anything is sent, and used up: ${what}`, async (t) => {
    const tree = make(t) as ArrayTree
    const arrays = arraysIn(tree).filter((leaf) => leaf instanceof jax.Array)
    await t.throwsAsync(allReduce(tree, ranksOf(2)[0]!, { op: 'sum' }), { code, message })
    t.true(references(arrays).every((count) => count === 0))
  })

test('an array that has been freed is refused, and the others of its tree are used up', async (t) => {
  const [freed, other] = [floats(1), floats(2)]
  freed.dispose()
  await t.throwsAsync(broadcast({ freed, other }, ranksOf(2)[0]!), { code: 'ERR_ARGUMENT', message: /leaf freed has been freed/ }) // prettier-ignore
  t.is(other.refCount, 0)
})

test('options, operators and communicators are checked, and the tree is used up', async (t) => {
  const [comm] = ranksOf(1)
  const cases: [(tree: { w: jax.Array; n: jax.Array }) => Promise<unknown>, RegExp][] = [
    [(tree) => allReduce(tree, comm!, { op: 'product' as 'sum' }), /op is "?product/],
    [(tree) => allReduce(tree, comm!, { op: 'average' }), /op is average, and n is int32, which takes sum, min, max/],
    [(tree) => allReduce(tree, comm!, { op: 'sum', roof: 1 } as never), /no option "roof"/],
    [(tree) => allReduce(tree, comm!, undefined as never), /options must be an object/],
    [(tree) => broadcast(tree, comm!, { root: 7 }), /root/],
    [(tree) => broadcast(tree, {} as never), /must be a communicator/],
  ]
  for (const [call, message] of cases) {
    const tree = { w: floats(1), n: np.zeros([1], { dtype: np.int32 }) }
    await t.throwsAsync(call(tree), { code: 'ERR_ARGUMENT', message })
    t.deepEqual(references([tree.w, tree.n]), [0, 0])
  }
  const flags = np.zeros([1], { dtype: np.bool })
  await t.throwsAsync(allReduce([flags], comm!, { op: 'sum' }), { message: /\[0\] is bool, which takes min, max/ })
})

test('the caller keeps what it has another reference to, tied arrays included', async (t) => {
  const kept = await onAll(ranksOf(2), async (comm, rank) => {
    const shared = floats(rank, 1)
    const { result } = await allReduce({ in: shared.ref, out: shared.ref }, comm, { op: 'sum' })
    t.is(shared.refCount, 1)
    return [await read(result.in), await read(result.out), await read(shared)]
  })
  t.deepEqual(kept, [[[1, 2], [1, 2], [0, 1]], [[1, 2], [1, 2], [1, 1]]]) // prettier-ignore
})

test('lazy arrays are computed: views, sums and gradients', async (t) => {
  const made = await onAll(ranksOf(2), async (comm) => {
    const x = np.arange(6).astype(np.float32).reshape([2, 3])
    const grad = jax.grad((a: jax.Array) => np.square(a).sum())
    const { result } = await allReduce({ turned: x.ref.transpose(), slope: grad(x.ref), sum: x.sum() }, comm, { op: 'sum' }) // prettier-ignore
    return [result.turned.shape, await read(result.turned), await read(result.slope), await read(result.sum)]
  })
  for (const values of made) t.deepEqual(values, [[3, 2], [0, 6, 2, 8, 4, 10], [0, 4, 8, 12, 16, 20], [30]])
})

test('null and undefined mean nothing, as in JAX, and stay where they are', async (t) => {
  for (const tree of await onAll(ranksOf(2), (comm, rank) =>
    broadcast({ a: null, b: [floats(rank)], c: undefined } as never, comm),
  )) {
    // prettier-ignore
    const { a, b, c } = tree as unknown as { a: null; b: [jax.Array]; c: undefined }
    t.deepEqual([a, c, await read(b[0])], [null, undefined, [0]])
  }
  for (const { result } of await onAll(ranksOf(2), (comm) => allReduce([], comm, { op: 'sum' })))
    t.deepEqual(result, [])
})

test('calls that are not awaited one by one run in their order, each with its own numbers', async (t) => {
  const counts = [700, 3, 20_000, 1, 3]
  await onAll(ranksOf(3), async (comm, rank) => {
    // Ranks come at different moments.
    const calls = counts.map((count, index) =>
      allReduce([np.full([count], index + rank, { dtype: np.float32 })], comm, { op: 'sum' }),
    )
    for (const [index, { result }] of (await Promise.all(calls)).entries()) {
      const values = await read(result[0]!)
      t.true(values.length === counts[index] && values.every((value) => value === 3 * index + 3))
    }
  })
})

test('buffers are used again, come from the communicator, and are let go of after a failure', async (t) => {
  const ranks = await ownWorld(t)
  const asked: string[] = []
  const watched = ranks.map((comm, rank) => {
    const allocate: Communicator['allocate'] = (dtype, count) => {
      if (rank === 0) asked.push(`${dtype} ${count}`)
      return comm.allocate(dtype, count)
    }
    const { rank: own, size } = comm
    return { ...{ rank: own, size, allocate }, allReduce: comm.allReduce.bind(comm), broadcast: comm.broadcast.bind(comm), allGather: comm.allGather.bind(comm) } // prettier-ignore
  })
  const reduce = (count: number, value = 1): Promise<unknown>[] =>
    watched.map((comm) => allReduce({ w: np.full([count], value), n: np.zeros([2], { dtype: np.int32 }) }, comm as never, { op: 'sum', onNonFinite: 'throw' })) // prettier-ignore
  for (const count of [9, 4, 9]) await Promise.all(reduce(count))
  t.deepEqual(asked, ['i32 2', 'f32 9'])
  await Promise.all(watched.map((comm) => broadcast([np.zeros([10])], comm as never)))
  t.deepEqual(asked, ['i32 2', 'f32 9', 'f32 10'])
  await failuresOf(reduce(9, NaN))
  await Promise.all(reduce(12))
  t.deepEqual(asked, ['i32 2', 'f32 9', 'f32 10', 'i32 2', 'f32 12'])
})
