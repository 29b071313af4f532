/** Micro-batches of each rank, combined first by `local` and then across ranks: against the definition, and by hand. */
import test from 'ava'
import { Compressor } from '../../ts/src/compressor.ts'
import type { Communicator } from '../../ts/src/communicator/communicator.ts'
import type { MicroBatchOptions } from '../../ts/src/communicator/options.ts'
import { AdasumError } from '../../ts/src/errors.ts'
import { adasumSync, averageSync, sumSync } from '../../ts/src/reduction/local.ts'
import { isGpuReducer } from '../../ts/src/gpu/is-gpu-reducer.ts'
import { GpuReducer } from '../../ts/src/gpu/gpu-reducer.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import type { FloatArray, ReduceOp, ReducibleArray } from '../../ts/src/types.ts'
import { type World, bitsOf, failuresOf, makeWorld, onAll } from '../_world.ts'
import { HALF_DTYPES, halfFamilyOf, halvesOf, widened } from '../reduction/_half.ts'
import { FAMILIES, familyOf, oracle, relativeError } from '../reduction/_oracle.ts'

const LOCAL = { sum: sumSync, average: averageSync, adasum: adasumSync }
const OPS: readonly ReduceOp[] = ['sum', 'average', 'adasum']
const SEGMENTS = [700, 0, 2049, 3]
const LENGTH = 2752
/** Those in which rounding is not magnified by what cancels. */
const TAME = Object.keys(FAMILIES).filter((family) => !family.startsWith('alternating'))

const f32 = (length: number): Float32Array => new Float32Array(length)
const f64 = (length: number): Float64Array => new Float64Array(length)

/** Micro-batches of every rank: `counts[rank]` of them. */
function batchesOf<A extends FloatArray>(
  counts: readonly number[],
  make: (length: number) => A,
  family: string,
): A[][] {
  const count = counts.reduce((sum, count) => sum + count, 0)
  const all = familyOf(family, make, { count, length: LENGTH, seed: count })
  return counts.map((count) => all.splice(0, count))
}

const whole = (numbers: ArrayLike<number>): Float64Array => Float64Array.from(numbers)

for (const [name, make, tolerance] of [
  ['f32', f32, 1e-5],
  ['f64', f64, 1e-10],
] as const)
  test(`${name}: every pair of operators, any number of ranks and micro-batches, against the definition`, async (t) => {
    for (const counts of [[1], [3], [2, 2], [1, 4], [3, 1, 2], [2, 2, 2, 2, 5]]) {
      const world = await makeWorld(counts.length)
      for (const [index, family] of TAME.entries())
        for (const local of OPS) {
          const op = OPS[(index + counts.length) % OPS.length]!
          const batches = batchesOf<FloatArray>(counts, make, family)
          const before = batches.flat().map(bitsOf)
          const results = await onAll(world.ranks, (comm, rank) =>
            comm.allReduce(batches[rank]!, { op, local, segments: SEGMENTS }),
          )
          const inner = batches.map((own) => oracle(local, own, SEGMENTS))
          const want = oracle(op, inner, SEGMENTS)
          const what = `${local} of ${counts.join()} micro-batches, then ${op}, ${family}`
          t.true(relativeError(results[0]!.result, want, SEGMENTS) < tolerance, what)
          t.true(results.every(({ result }) => bitsOf(result) === bitsOf(results[0]!.result)))
          t.deepEqual(batches.flat().map(bitsOf), before, 'micro-batches are not changed')
        }
      await world.close()
    }
  })

/** The same by hand: the local function, and then an all-reduce of what it gives. */
async function byHand(
  world: World,
  batches: readonly ReducibleArray[][],
  { local, op, dtype }: Pick<MicroBatchOptions<ReducibleArray>, 'local' | 'op' | 'dtype'>,
) {
  const options = { segments: SEGMENTS, ...(dtype && { dtype }) }
  return onAll(world.ranks, async (comm, rank) => {
    const { result, segments } = LOCAL[local](batches[rank]!, options)
    return { ...(await comm.allReduce(result, { op, ...options })), ofLocal: segments }
  })
}

test('the bits, the report and the bytes are those of the local function and an all-reduce, over sockets', async (t) => {
  const world = await makeWorld(3, { transport: tcp })
  const f32s = batchesOf([2, 3, 1], f32, 'a large common part')
  for (const op of OPS)
    for (const local of OPS) {
      const want = await byHand(world, f32s, { op, local })
      const got = await onAll(world.ranks, (comm, rank) =>
        comm.allReduce(f32s[rank]!, { op, local, segments: SEGMENTS }),
      )
      for (const [rank, { result, segments, bytesSent, local: own }] of got.entries()) {
        t.is(bitsOf(result), bitsOf(want[rank]!.result), `${local}, ${op}`)
        t.deepEqual(segments, want[rank]!.segments)
        t.is(bytesSent, want[rank]!.bytesSent)
        t.deepEqual(own, { segments: want[rank]!.ofLocal, nonFiniteInputs: [] })
      }
    }
  await world.close()
})

test('half formats: one dtype throughout, and f32 in an out', async (t) => {
  const world = await makeWorld(2)
  for (const dtype of HALF_DTYPES) {
    const all = halfFamilyOf(dtype, 'independent', { count: 5, length: LENGTH, seed: 3 })
    const batches = [all.slice(0, 2), all.slice(2)]
    const options = { op: 'adasum', local: 'average', dtype, segments: SEGMENTS } as const
    const want = await byHand(world, batches, options)
    const same = await onAll(world.ranks, (comm, rank) => comm.allReduce(batches[rank]!, options))
    t.is(bitsOf(same[0]!.result), bitsOf(want[0]!.result))
    const out = [f32(LENGTH), f32(LENGTH)]
    const wide = await onAll(world.ranks, (comm, rank) =>
      comm.allReduce(batches[rank]!, { ...options, out: out[rank]! }),
    )
    const rounded = batches.map((own) => {
      const exact = oracle(
        'average',
        own.map((half) => widened(dtype, half)),
        SEGMENTS,
      )
      return widened(dtype, halvesOf(dtype, exact))
    })
    t.true(wide.every(({ result }, rank) => result === out[rank]))
    t.true(relativeError(out[1]!, oracle('adasum', rounded, SEGMENTS), SEGMENTS) < 1e-6)
  }
  await world.close()
})

test('with a power of two of ranks, and equally many each, adasum of adasum is that of all micro-batches', async (t) => {
  for (const [size, count] of [
    [2, 2],
    [2, 3],
    [4, 2],
    [4, 5],
  ] as const) {
    const world = await makeWorld(size)
    const batches = batchesOf(Array<number>(size).fill(count), f64, 'a large common part')
    const [first] = await onAll(world.ranks, (comm, rank) =>
      comm.allReduce(batches[rank]!, { op: 'adasum', local: 'adasum', segments: SEGMENTS }),
    )
    const { result } = adasumSync(batches.flat(), { segments: SEGMENTS })
    t.true(relativeError(first!.result, result, SEGMENTS) < 1e-12, `${size} x ${count}`)
    await world.close()
  }
})

test('out takes the result, and coefficients are those of ranks and of micro-batches', async (t) => {
  const world = await makeWorld(2)
  const batches = batchesOf([3, 2], f32, 'independent')
  const out = [f32(LENGTH), f32(LENGTH)]
  const results = await onAll(world.ranks, (comm, rank) => {
    const options = { op: 'adasum', local: 'adasum', coefficients: true, segments: SEGMENTS } as const
    return comm.allReduce(batches[rank]!, { ...options, out: out[rank]! })
  })
  for (const [rank, { result, segments, local }] of results.entries()) {
    t.is(result, out[rank]!)
    t.true(segments.every(({ coefficients }) => coefficients?.length === 2))
    t.true(local!.segments.every(({ coefficients }) => coefficients?.length === batches[rank]!.length))
    const { coefficients } = adasumSync(batches[rank]!, { segments: SEGMENTS, coefficients: true }).segments[2]!
    t.deepEqual(local!.segments[2]!.coefficients, coefficients)
  }
  await world.close()
})

test('folds, machines and compression go on from the local result', async (t) => {
  const world = await makeWorld(4, { machineOf: (rank) => rank >> 1 })
  const batches = batchesOf([2, 1, 2, 3], f32, 'independent')
  const inner = batches.map((own) => sumSync(own).result)
  for (const how of [
    { op: 'max' },
    { op: 'adasum', hierarchy: 'average' },
    { op: 'sum', algorithm: 'levels' },
  ] as const) {
    const want = await onAll(world.ranks, (comm, rank) => comm.allReduce(inner[rank]!.slice(), how))
    const got = await onAll(world.ranks, (comm, rank) => comm.allReduce(batches[rank]!, { ...how, local: 'sum' }))
    t.is(bitsOf(got[3]!.result), bitsOf(want[3]!.result), how.op)
  }
  const compressed = await onAll(world.ranks, (comm, rank) => {
    const compressor = new Compressor({ format: 'bf16' })
    return comm.allReduce(batches[rank]!, { op: 'average', local: 'average', compressor })
  })
  const want = oracle(
    'average',
    batches.map((own) => oracle('average', own)),
  )
  t.true(relativeError(compressed[0]!.result, want) < 2 ** -6)
  await world.close()
})

test('calls issued together match by their order', async (t) => {
  const world = await makeWorld(3)
  const batches = batchesOf([2, 2, 2], f32, 'independent')
  const calls = await onAll(world.ranks, (comm, rank) =>
    Promise.all([
      comm.allReduce(batches[rank]!, { op: 'sum', local: 'sum' }),
      comm.allReduce(Float32Array.of(rank), { op: 'sum' }),
      comm.allReduce(batches[rank]!, { op: 'average', local: 'sum', backend: 'auto' }),
    ]),
  )
  for (const [sum, ranks, mean] of calls) {
    t.is(ranks.result[0], 3)
    t.true(
      relativeError(
        sum.result,
        whole(mean.result).map((x) => 3 * x),
      ) < 1e-6,
    )
  }
  await world.close()
})

const poisoned = (batches: Float32Array[][], rank: number, index: number): Float32Array[][] => {
  batches[rank]![index]![17] = Infinity
  return batches
}

test('a micro-batch that is not finite: every rank throws, or it alone is left out', async (t) => {
  const world = await makeWorld(3)
  for (const local of OPS) {
    const batches = poisoned(batchesOf([2, 3, 1], f32, 'independent'), 1, 2)
    const options = { op: 'adasum', local } as const
    const calls = world.ranks.map((comm, rank) => comm.allReduce(batches[rank]!, options))
    for (const error of await failuresOf(calls)) {
      t.is((error as AdasumError).code, 'ERR_NON_FINITE')
      t.regex(error.message, /\(rank 1\)/)
    }
    const skipped = await onAll(world.ranks, (comm, rank) =>
      comm.allReduce(batches[rank]!, { ...options, onNonFinite: 'skip' }),
    )
    const kept = [batches[0]!, batches[1]!.slice(0, 2), batches[2]!]
    t.true(
      relativeError(
        skipped[2]!.result,
        oracle(
          'adasum',
          kept.map((own) => oracle(local, own)),
        ),
      ) < 1e-5,
    )
    t.deepEqual(
      skipped.map(({ nonFiniteRanks }) => nonFiniteRanks),
      [[], [], []],
    )
    t.deepEqual(
      skipped.map(({ local }) => local!.nonFiniteInputs),
      [[], [2], []],
    )
  }
  await world.close()
})

test('a rank of whose micro-batches none is finite is left out', async (t) => {
  const world = await makeWorld(2)
  const batches = poisoned(poisoned(batchesOf([2, 2], f32, 'independent'), 0, 0), 0, 1)
  const results = await onAll(world.ranks, (comm, rank) =>
    comm.allReduce(batches[rank]!, { op: 'average', local: 'sum', onNonFinite: 'skip' }),
  )
  for (const { result, nonFiniteRanks } of results) {
    t.deepEqual(nonFiniteRanks, [0])
    t.is(bitsOf(result), bitsOf(sumSync(batches[1]!).result))
  }
  const [propagated] = await onAll(world.ranks, (comm, rank) =>
    comm.allReduce(batches[rank]!, { op: 'sum', local: 'sum' }),
  )
  t.is(propagated!.result[17], Infinity)
  t.true(Number.isFinite(propagated!.result[16]))
  await world.close()
})

test('ranks that differ in what they combine by notice it', async (t) => {
  const [a, b] = batchesOf([2, 2], f32, 'independent') as [Float32Array[], Float32Array[]]
  const differing: [(comm: Communicator) => Promise<unknown>, (comm: Communicator) => Promise<unknown>, RegExp][] = [
    [
      (comm) => comm.allReduce(a, { op: 'adasum', local: 'sum' }),
      (comm) => comm.allReduce(b, { op: 'adasum', local: 'average' }),
      /Rank 0.*: adasum after sum of micro-batches f32\[2752\]; rank 1.*: adasum after average of micro-batches f32\[2752\]/,
    ],
    [
      (comm) => comm.allReduce(a, { op: 'adasum', local: 'sum' }),
      (comm) => comm.allReduce(b[0]!, { op: 'adasum' }),
      /adasum after sum of micro-batches f32\[2752\]; rank 1.*: adasum f32\[2752\]/,
    ],
    [
      (comm) => comm.allReduce(a, { op: 'adasum', local: 'adasum', hierarchy: 'sum' }),
      (comm) => comm.allReduce(b, { op: 'adasum', local: 'adasum', hierarchy: 'average' }),
      /adasum of machines \(sum within\) after adasum of micro-batches/,
    ],
    [
      (comm) => comm.allReduce(a, { op: 'sum', local: 'sum', segments: [752, 2000] }),
      (comm) => comm.allReduce(b, { op: 'sum', local: 'sum', segments: [2000, 752] }),
      /segments, names, machines or buckets of hash/,
    ],
  ]
  for (const [first, second, message] of differing) {
    const world = await makeWorld(2)
    const errors = await failuresOf([first(world.ranks[0]!), second(world.ranks[1]!)])
    for (const error of errors) t.is((error as AdasumError).code, 'ERR_MISMATCH')
    t.regex(errors[0]!.message, message)
    await world.close()
  }
})

test('what a rank fails in before it sends anything is told to all', async (t) => {
  const world = await makeWorld(3, { isConnected: true })
  const batches = batchesOf([2, 2, 2], f32, 'independent')
  const calls = world.ranks.map((comm, rank) => comm.allReduce(batches[rank]!, { op: 'adasum', local: 'sum' }))
  const { buffer } = batches[1]![0]! as Float32Array<ArrayBuffer>
  structuredClone(buffer, { transfer: [buffer] })
  for (const error of await failuresOf(calls)) t.regex(error.message, /transferred away/)
  await world.close()
})

const BATCH = Float32Array.of(1, 2, 3, 4)
const HALF = new Uint16Array(new ArrayBuffer(16), 0, 4)
const REFUSED: Record<string, [data: unknown, options: object, message: RegExp, code?: string]> = {
  'a list without local': [[BATCH], {}, /local is undefined; it must be one of sum, average, adasum/],
  'an unknown local': [[BATCH], { local: 'max' }, /local is max; it must be one of/],
  'local for one array': [
    BATCH,
    { local: 'sum' },
    /local is sum, and data is an object of type Float32Array\. Micro-batches/,
  ],
  'local for named arrays': [{ a: BATCH }, { local: 'sum' }, /Micro-batches are a list of typed arrays/],
  'no micro-batch': [[], { local: 'sum' }, /at least one typed array/],
  'a number among them': [[BATCH, 1], { local: 'sum' }, /inputs\[1\] must be a typed array; got a number/],
  'two dtypes': [[BATCH, new Float64Array(4)], { local: 'sum' }, /inputs\[1\] is f64, inputs\[0\] is f32/],
  'two lengths': [[BATCH, new Float32Array(3)], { local: 'sum' }, /inputs\[1\] has 3 elements, inputs\[0\] has 4/],
  integers: [[Int32Array.of(1)], { local: 'sum', op: 'sum' }, /i32, which cannot be reduced/],
  'halves without a dtype': [[HALF], { local: 'sum' }, /u16, which cannot be reduced/],
  'no op': [[BATCH], { local: 'sum', op: undefined }, /op is undefined/],
  'an unknown policy': [[BATCH], { local: 'sum', onNonFinite: 'drop' }, /onNonFinite is drop/],
  'an unknown backend': [
    [BATCH],
    { local: 'sum', backend: 'npu' },
    /backend 'npu' is not available/,
    'ERR_UNSUPPORTED',
  ],
  'f64 for a GPU': [[new Float64Array(4)], { local: 'sum', backend: 'gpu' }, /the inputs are f64/, 'ERR_UNSUPPORTED'],
  'segments that do not add up': [[BATCH], { local: 'sum', segments: [3] }, /add up to 3 elements, the data has 4/],
  'out over an input': [[BATCH], { local: 'sum', out: BATCH }, /inputs\[0\] and out overlap/],
  'a wide out over an input': [[HALF], { local: 'sum', dtype: 'f16', out: new Float32Array(HALF.buffer) }, /overlap/],
  'out of another length': [
    [BATCH],
    { local: 'sum', out: new Float32Array(3) },
    /out has 3 elements, inputs\[0\] has 4/,
  ],
  'out of another dtype': [
    [BATCH],
    { local: 'sum', out: new Float64Array(4) },
    /out is f64\[4\], the data is f32\[4\]/,
  ],
  'a misspelt option': [
    [BATCH],
    { local: 'sum', backends: 'cpu' },
    /no option "backends".*compressor, timeoutMs, signal, local, backend/,
  ],
  'options that are none': [[BATCH], [], /options must be an object/],
}

test('bad input fails that call alone, before anything is sent', async (t) => {
  const world = await makeWorld(2)
  const call = (data: unknown, options: object): Promise<unknown> =>
    world.ranks[0]!.allReduce(
      data as Float32Array[],
      (Array.isArray(options) ? options : { op: 'adasum', ...options }) as never,
    )
  for (const [what, [data, options, message, code = 'ERR_ARGUMENT']] of Object.entries(REFUSED))
    await t.throwsAsync(call(data, options), { instanceOf: AdasumError, code, message }, what)
  t.deepEqual([...BATCH], [1, 2, 3, 4])
  const [a] = await onAll(world.ranks, (comm) => comm.allReduce(Float32Array.of(comm.rank + 1), { op: 'sum' }))
  t.is(a!.result[0], 3)
  await world.close()
})

test('what only looks like a GpuReducer is none, whatever it does when it is asked', (t) => {
  const refuse = (): never => {
    throw new Error('no')
  }
  const traps = { has: refuse, get: refuse, getPrototypeOf: refuse, getOwnPropertyDescriptor: refuse }
  for (const value of [Object.create(GpuReducer.prototype), new Proxy({}, traps), {}, null, undefined, 1, 'slots'])
    t.false(isGpuReducer(value))
})
