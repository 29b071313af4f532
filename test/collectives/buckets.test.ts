/** Buckets: no bit of result or report depends on them, and ranks that cut differently are told so. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import anyTest from 'ava'
import { bucketRanges } from '../../ts/src/collectives/schedule/buckets.ts'
import { dtypeOf } from '../../ts/src/tensor/dtype.ts'
import { layoutOfArray } from '../../ts/src/tensor/layout.ts'
import { createMemoryTransport } from '../transport/_memory.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import type { AllReduceOp, OnNonFinite } from '../../ts/src/types.ts'
import { fc, runsOf } from '../_property.ts'
import { bitsOf, failuresOf, makeWorld, onAll, vectorOf } from '../_world.ts'

const test = anyTest.serial

const F32 = dtypeOf(new Float32Array(1))!
const sumOf = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0)

test('buckets are whole segments in order, as long as asked for but for the last, and not too many', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(1000), { minLength: 1, maxLength: 300 }).filter((counts) => sumOf(counts) > 0),
      fc.integer({ min: 1, max: 5000 }),
      (counts, bytes) => {
        const layout = layoutOfArray(F32, sumOf(counts), counts)
        const ranges = bucketRanges(layout, bytes)
        const lengthOf = ([from, to]: [number, number]): number => 4 * sumOf(counts.slice(from, to))
        t.deepEqual(
          ranges.flatMap(([from, to]) => counts.slice(from, to)),
          counts,
        )
        t.true(ranges.length <= 64)
        for (const range of ranges.slice(0, -1)) {
          t.true(lengthOf(range) >= bytes)
          // Without its last segment it would be too short, for what was asked or for the number of buckets.
          const less = lengthOf([range[0], range[1] - 1])
          t.true(less < Math.max(bytes, (4 * sumOf(counts)) / 63))
        }
      },
    ),
  )
})

const SEGMENTS = [40_000, 7, 0, 3000, 90_000, 0, 0, 5000, 61_111, 1, 30_000, 0]
const LENGTH = sumOf(SEGMENTS)

for (const [algorithm, size, transport] of [
  ['single-shot', 1, 'memory'],
  ['single-shot', 3, 'tcp'],
  ['single-shot', 5, 'memory'],
  ['rvh', 4, 'tcp'],
  ['levels', 18, 'memory'],
] as const)
  test(`${algorithm}, ${size} ranks over ${transport}: the bits of one bucket`, async (t) => {
    const world = await makeWorld(size, {
      transport: transport === 'tcp' ? tcp : createMemoryTransport({ seed: size, maxChunkByteLength: 60_000 }),
    })
    const inputs = world.ranks.map((_, rank) => vectorOf(new Float32Array(LENGTH), rank))
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom<AllReduceOp>('adasum', 'sum', 'min'),
        fc.constantFrom<OnNonFinite>('throw', 'skip', 'propagate'),
        fc.constantFrom(1, 4000, 100_000, 300_000, 1e9),
        fc.boolean(),
        fc.boolean(),
        async (op, onNonFinite, bucketBytes, coefficients, withOut) => {
          const options = { op, onNonFinite, segments: SEGMENTS, algorithm, coefficients }
          const out = () => (withOut ? { out: new Float32Array(LENGTH) } : {})
          const run = (more: object) =>
            onAll(world.ranks, (comm, rank) => comm.allReduce(inputs[rank]!.slice(), { ...options, ...more, ...out() }))
          const [one, many] = [await run({}), await run({ bucketBytes })]
          many.forEach(({ result, segments }, rank) => {
            t.is(bitsOf(result), bitsOf(one[rank]!.result))
            t.deepEqual(segments, one[rank]!.segments)
          })
        },
      ),
      { numRuns: runsOf(size > 8 ? 6 : 15) },
    )
    await world.close()
  })

for (const [algorithm, size] of [
  ['single-shot', 3],
  ['rvh', 4],
] as const)
  test(`${algorithm}: inputs that are not finite in one bucket`, async (t) => {
    const world = await makeWorld(size)
    const inputs = world.ranks.map((_, rank) => vectorOf(new Float32Array(LENGTH), rank))
    inputs[1]![LENGTH - 1] = NaN
    const bits = inputs.map(bitsOf)
    const options = { op: 'adasum', segments: SEGMENTS, algorithm } as const
    const refused = await failuresOf(
      world.ranks.map((comm, rank) => comm.allReduce(inputs[rank]!, { ...options, bucketBytes: 50_000 })),
    )
    for (const error of refused) t.regex(error.message, /is not finite \(rank 1\)/)
    t.deepEqual(inputs.map(bitsOf), bits)
    const run = (more: object) =>
      onAll(world.ranks, (comm, rank) =>
        comm.allReduce(inputs[rank]!.slice(), { ...options, ...more, onNonFinite: 'skip' }),
      )
    for (const bad of [[1], [...world.ranks.keys()]]) {
      for (const rank of bad) inputs[rank]![5] = Infinity
      const [one, many] = [await run({}), await run({ bucketBytes: 50_000 })]
      many.forEach(({ result, nonFiniteRanks, segments }, rank) => {
        t.is(bitsOf(result), bitsOf(one[rank]!.result))
        t.deepEqual(nonFiniteRanks, bad)
        t.deepEqual(segments, one[rank]!.segments)
      })
    }
    await world.close()
  })

test('ranks with different buckets are told so', async (t) => {
  const world = await makeWorld(3)
  const calls = world.ranks.map((comm, rank) =>
    comm.allReduce(new Float32Array(LENGTH), {
      op: 'sum',
      segments: SEGMENTS,
      algorithm: 'single-shot',
      ...(rank !== 0 && { bucketBytes: 100_000 * rank }),
    }),
  )
  for (const error of await failuresOf(calls)) t.regex(error.message, /^all-reduce #1 differs\..* buckets of hash /)
  await world.close()
})

test('bucketBytes must be a whole number above 0', async (t) => {
  const world = await makeWorld(3)
  for (const bucketBytes of [0, -1, 1.5, NaN, '1' as never])
    await t.throwsAsync(
      world.ranks[0]!.allReduce(new Float32Array(9), { op: 'sum', bucketBytes, algorithm: 'levels' }),
      {
        code: 'ERR_ARGUMENT',
      },
    )
  await world.close()
})

test('a rank lost in mid-call fails it on the others, whose data is unchanged', async (t) => {
  const world = await makeWorld(3, { transport: createMemoryTransport({ seed: 4, maxChunkByteLength: 20_000 }) })
  const data = world.ranks.map((_, rank) => vectorOf(new Float32Array(LENGTH), rank))
  const bits = data.map(bitsOf)
  const options = { op: 'adasum', segments: SEGMENTS, algorithm: 'single-shot', bucketBytes: 100_000 } as const
  const calls = world.ranks.map((comm, rank) => comm.allReduce(data[rank]!, options))
  for (let turn = 0; turn < 20; turn++) await nextTurn()
  world.kill(2)
  const results = await Promise.allSettled(calls)
  t.true(results.some(({ status }) => status === 'rejected'))
  results.forEach(({ status }, rank) => status === 'rejected' && t.is(bitsOf(data[rank]!), bits[rank]!))
  await world.close()
})
