/** Reduce-scatter against the local function, cut where the caller wants it. */
import test from 'ava'
import { AdasumError } from '../../ts/src/errors.ts'
import { adasumSync, averageSync, sumSync } from '../../ts/src/reduction/local.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import { createMemoryTransport } from '../transport/_memory.ts'
import { fc, runsOf } from '../_property.ts'
import { bitsOf, failuresOf, makeWorld, onAll, vectorOf } from '../_world.ts'

const LOCAL = { sum: sumSync, average: averageSync, adasum: adasumSync }

const TRANSPORTS = { memory: createMemoryTransport, tcp: () => tcp }

const lengths = fc.oneof(fc.nat(5), fc.nat(9000))
const program = fc
  .record({
    counts: fc.array(lengths, { minLength: 1, maxLength: 5 }).filter((counts) => counts.some((count) => count > 0)),
    op: fc.constantFrom('sum', 'average', 'adasum'),
    cut: fc.double({ min: 0, max: 1, noNaN: true }),
    withOut: fc.boolean(),
  })
  .map((drawn) => {
    const length = drawn.counts.reduce((sum, count) => sum + count, 0)
    const first = Math.floor(length * drawn.cut)
    return { ...drawn, length, segments: [first, length - first] }
  })

for (const [name, create] of Object.entries(TRANSPORTS))
  test(`${name}: each rank gets its part of what the local function gives, to the bit`, async (t) => {
    await fc.assert(
      fc.asyncProperty(program, async ({ counts, op, length, segments, withOut }) => {
        const world = await makeWorld(counts.length, { transport: create() })
        const inputs = counts.map((_, rank) => vectorOf(new Float32Array(length), rank))
        const before = inputs.map(bitsOf)
        const want = LOCAL[op](inputs, { segments, coefficients: op === 'adasum' })
        const results = await onAll(world.ranks, (comm, rank) =>
          comm.reduceScatter(inputs[rank]!, {
            ...{ op, counts, segments, coefficients: op === 'adasum' },
            ...(withOut && { out: new Float32Array(counts[rank]!) }),
          }),
        )
        t.deepEqual(inputs.map(bitsOf), before)
        let at = 0
        for (const [rank, { result, segments: report }] of results.entries()) {
          t.is(bitsOf(result), bitsOf(want.result.slice(at, (at += counts[rank]!))))
          t.deepEqual(report, want.segments)
        }
        await world.close()
      }),
      { numRuns: runsOf(30) },
    )
  })

test('equal parts need no counts; integers and minima, too; more than 16 ranks', async (t) => {
  const world = await makeWorld(18)
  const results = await onAll(world.ranks, (comm, rank) =>
    comm.reduceScatter(
      Int32Array.from({ length: 36 }, (_, i) => i * rank),
      { op: 'sum' },
    ),
  )
  t.deepEqual(
    results.map(({ result }) => [...result]),
    results.map((_, rank) => [2 * rank * 153, (2 * rank + 1) * 153]),
  )
  const least = await onAll(world.ranks, (comm, rank) =>
    comm.reduceScatter(
      Float64Array.from({ length: 18 }, (_, i) => Math.abs(i - rank)),
      { op: 'min' },
    ),
  )
  t.true(least.every(({ result }) => result.length === 1 && result[0] === 0))
  await world.close()
})

test('half formats, stored as f32', async (t) => {
  const world = await makeWorld(3)
  const bits = (rank: number): Uint16Array => Uint16Array.from({ length: 30 }, (_, i) => 0x3f80 + ((i * 7 + rank) % 64))
  const want = sumSync([0, 1, 2].map(bits), { dtype: 'bf16', out: new Float32Array(30) }).result
  const results = await onAll(world.ranks, (comm, rank) =>
    comm.reduceScatter(bits(rank), { op: 'sum', dtype: 'bf16', out: new Float32Array(10) }),
  )
  for (const [rank, { result }] of results.entries()) t.deepEqual(result, want.slice(rank * 10, rank * 10 + 10))
  await world.close()
})

test('non-finite inputs: thrown on all, left out, or left out everywhere', async (t) => {
  const world = await makeWorld(3)
  const inputs = [0, 1, 2].map((rank) => vectorOf(new Float32Array(6000), rank))
  inputs[1]![17] = NaN
  const errors = await failuresOf(world.ranks.map((comm, rank) => comm.reduceScatter(inputs[rank]!, { op: 'adasum' })))
  for (const error of errors) t.is((error as AdasumError).code, 'ERR_NON_FINITE')
  const want = adasumSync(inputs, { onNonFinite: 'skip' }).result
  const skipped = await onAll(world.ranks, (comm, rank) =>
    comm.reduceScatter(inputs[rank]!, { op: 'adasum', onNonFinite: 'skip' }),
  )
  for (const [rank, { result, nonFiniteRanks }] of skipped.entries()) {
    t.deepEqual(nonFiniteRanks, [1])
    t.is(bitsOf(result), bitsOf(want.slice(rank * 2000, rank * 2000 + 2000)))
  }
  for (const input of inputs) input[3] = Infinity
  const none = await onAll(world.ranks, (comm, rank) =>
    comm.reduceScatter(inputs[rank]!, { op: 'adasum', onNonFinite: 'skip' }),
  )
  for (const { result } of none) t.is(bitsOf(result), bitsOf(new Float32Array(2000)))
  await world.close()
})

test('what only one owner can see is thrown on all, whoever it is', async (t) => {
  const world = await makeWorld(3)
  for (const at of [0, 1, 2]) {
    const inputs = [0, 1, 2].map((rank) => vectorOf(new Float32Array(6000), rank))
    inputs[(at + 1) % 3]![at * 2000 + 7] = NaN
    // Each segment lies with one rank, and so does the Gram matrix in which it shows.
    const options = { op: 'adasum', segments: [2000, 2000, 2000], timeoutMs: 10_000 } as const
    const errors = await failuresOf(world.ranks.map((comm, rank) => comm.reduceScatter(inputs[rank]!, options)))
    for (const error of errors) t.is((error as AdasumError).code, 'ERR_NON_FINITE')
  }
  await world.close()
})

test('other counts on another rank are a mismatch', async (t) => {
  const world = await makeWorld(2)
  const errors = await failuresOf(
    world.ranks.map((comm, rank) =>
      comm.reduceScatter(new Float32Array(10), { op: 'sum', counts: rank === 0 ? [4, 6] : [6, 4] }),
    ),
  )
  for (const error of errors) t.is((error as AdasumError).code, 'ERR_MISMATCH')
  await world.close()
})

test('bad arguments fail their call alone', async (t) => {
  const world = await makeWorld(2)
  const [comm] = world.ranks as [(typeof world.ranks)[0]]
  const data = new Float32Array(10)
  const calls: [object, RegExp][] = [
    [{ op: 'sum', counts: [4, 5] }, /`counts` add up to 9 elements, the data has 10/],
    [{ op: 'sum', out: new Float32Array(10) }, /out is f32\[10\], this rank's part is f32\[5\]/],
    [{ op: 'sum', out: new Float64Array(5) }, /out is f64\[5\], this rank's part is f32\[5\]/],
    [{ op: 'sum', out: data.subarray(0, 5) }, /overlap/],
    [{ op: 'summ' }, /op is summ/],
    [{ op: 'sum', algorithm: 'levels' }, /no option "algorithm"/],
  ]
  for (const [options, message] of calls)
    await t.throwsAsync(comm.reduceScatter(data, options as never), {
      instanceOf: AdasumError,
      code: 'ERR_ARGUMENT',
      message,
    })
  await t.throwsAsync(comm.reduceScatter({ a: data } as never, { op: 'sum' }), { code: 'ERR_ARGUMENT' })
  await onAll(world.ranks, (each) => each.barrier())
  await world.close()
})
