/** Objects of named arrays: long ones stay where they are, short ones are packed, and the numbers are those of one array. */
import anyTest from 'ava'
import { type Communicator } from '../../ts/src/communicator/communicator.ts'
import { createMemoryTransport } from '../transport/_memory.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import type { AllReduceOptions } from '../../ts/src/types.ts'
import { fc, runsOf } from '../_property.ts'
import { bitsOf, failuresOf, makeWorld, onAll, vectorOf } from '../_world.ts'

const test = anyTest.serial

type Named = Record<string, Float32Array>

const nameOf = (index: number): string => `layer${index}`

/** Consecutive parts of an array, each with memory of its own. */
function cut(array: Float32Array, lengths: readonly number[]): Named {
  let at = 0
  return Object.fromEntries(lengths.map((length, i) => [nameOf(i), array.slice(at, (at += length))]))
}

const join = (named: Named): number[] => Object.values(named).flatMap((array) => [...array])
const bitsOfNamed = (named: Named): string => bitsOf(Float32Array.from(join(named)))

/** Around the length from which on arrays are not packed, 16,384 elements; and empty ones. */
const lengths = fc.array(
  fc.oneof(fc.constantFrom(0, 1, 16_383, 16_384, 16_385, 100_000), fc.integer({ min: 1, max: 3000 })),
  { minLength: 1, maxLength: 8 },
)

async function reduceBoth(
  world: readonly Communicator[],
  counts: readonly number[],
  options: Pick<AllReduceOptions<Named>, 'op' | 'onNonFinite'> & { algorithm: 'direct' | 'single-shot' },
  withOut: boolean,
) {
  const length = counts.reduce((sum, count) => sum + count, 0)
  const inputs = world.map((_, rank) => vectorOf(new Float32Array(length), rank))
  const whole = await onAll(world, (comm, rank) =>
    comm.allReduce(inputs[rank]!.slice(), { ...options, segments: counts }),
  )
  const data = inputs.map((input) => cut(input, counts))
  const got = await onAll(world, (comm, rank) =>
    comm.allReduce(data[rank]!, { ...options, ...(withOut && { out: cut(new Float32Array(length), counts) }) }),
  )
  return { inputs, data, whole, got }
}

for (const [name, create] of Object.entries({
  memory: () => createMemoryTransport({ seed: 3, maxChunkByteLength: 70_000 }),
  tcp: () => tcp,
}))
  test(`${name}: an all-reduce of named arrays has the bits of one of their concatenation`, async (t) => {
    for (const size of [1, 2, 3]) {
      const world = await makeWorld(size, { transport: create() })
      await fc.assert(
        fc.asyncProperty(
          lengths.filter((counts) => counts.some((count) => count > 0)),
          fc.constantFrom('adasum', 'sum', 'average', 'max'),
          fc.constantFrom('direct', 'single-shot'),
          fc.constantFrom('throw', 'skip', 'propagate'),
          fc.boolean(),
          async (counts, op, algorithm, onNonFinite, withOut) => {
            const both = await reduceBoth(world.ranks, counts, { op, algorithm, onNonFinite }, withOut)
            both.got.forEach(({ result, segments }, rank) => {
              t.is(bitsOfNamed(result), bitsOf(both.whole[rank]!.result))
              t.deepEqual(
                segments.map(({ name: _, ...rest }) => rest),
                both.whole[rank]!.segments.map(({ name: _, ...rest }) => rest),
              )
              t.deepEqual(
                Object.keys(result),
                counts.map((_, i) => nameOf(i)),
              )
              if (withOut) t.is(bitsOfNamed(both.data[rank]!), bitsOf(both.inputs[rank]!))
              else t.is(result, both.data[rank]!)
            })
          },
        ),
        { numRuns: runsOf(25) },
      )
      await world.close()
    }
  })

const COUNTS = [3, 20_000, 0, 5, 70_000, 16_384, 9]

test('broadcast, send and receive take them, too', async (t) => {
  const world = await makeWorld(3, { transport: tcp })
  const want = cut(vectorOf(new Float32Array(106_401), 7), COUNTS)
  const got = await onAll(world.ranks, (comm, rank) =>
    comm.broadcast(rank === 1 ? want : cut(new Float32Array(106_401), COUNTS), { root: 1 }),
  )
  for (const named of got) t.is(bitsOfNamed(named), bitsOfNamed(want))
  const into = cut(new Float32Array(106_401), COUNTS)
  await Promise.all([world.ranks[2]!.send(want, { to: 0 }), world.ranks[0]!.receive(into, { from: 2 })])
  t.is(bitsOfNamed(into), bitsOfNamed(want))
  await world.close()
})

test('f64 whose norms overflow only as a sum, halves into f32, and integers', async (t) => {
  const world = await makeWorld(2)
  const big = (): Record<string, Float64Array> => ({
    a: new Float64Array(9000).fill(1),
    b: new Float64Array(9000).fill(1.6e152),
  })
  for (const error of await failuresOf(
    world.ranks.map((comm) => comm.allReduce(big(), { op: 'sum', onNonFinite: 'throw' })),
  ))
    t.like(error, { code: 'ERR_NON_FINITE' })
  const halves = { a: new Uint16Array(40_000).fill(0x3c00), b: new Uint16Array(7).fill(0x4000) }
  const wide = await onAll(world.ranks, (comm) =>
    comm.allReduce(halves, { op: 'sum', dtype: 'f16', out: { a: new Float32Array(40_000), b: new Float32Array(7) } }),
  )
  for (const { result } of wide) {
    t.true(result['a'].every((x) => x === 2))
    t.true(result['b'].every((x) => x === 4))
  }
  const integers = await onAll(world.ranks, (comm, rank) =>
    comm.allReduce({ a: new Int32Array(30_000).fill(rank + 1), b: Int32Array.of(rank, -rank) }, { op: 'sum' }),
  )
  for (const { result } of integers) {
    t.true(result['a'].every((x) => x === 3))
    t.deepEqual([...result['b']], [1, -1])
  }
  await world.close()
})

test('an input that is not finite: refused everywhere, inputs as they were; left out; left out everywhere', async (t) => {
  for (const algorithm of ['direct', 'single-shot'] as const) {
    const world = await makeWorld(3)
    const inputs = world.ranks.map((_, rank) => cut(vectorOf(new Float32Array(106_401), rank), COUNTS))
    const before = (): string[] => inputs.map(bitsOfNamed)
    inputs[2]!['layer4']![69_999] = NaN
    const bits = before()
    const call = { op: 'adasum', algorithm } as const
    for (const error of await failuresOf(world.ranks.map((comm, rank) => comm.allReduce(inputs[rank]!, call))))
      t.regex(error.message, /1 of 3 ranks is not finite \(rank 2\)/)
    t.deepEqual(before(), bits)
    const two = await onAll(world.ranks, (comm, rank) =>
      comm.allReduce(structuredClone(inputs[rank]!), { ...call, onNonFinite: 'skip' }),
    )
    for (const { result, nonFiniteRanks } of two) {
      t.deepEqual(nonFiniteRanks, [2])
      t.is(bitsOfNamed(result), bitsOfNamed(two[0]!.result))
    }
    for (const input of inputs) input['layer1']![0] = Infinity
    const none = await onAll(world.ranks, (comm, rank) =>
      comm.allReduce(inputs[rank]!, { ...call, onNonFinite: 'skip', out: cut(new Float32Array(106_401), COUNTS) }),
    )
    const zeros = cut(new Float32Array(106_401), COUNTS)
    for (const { result } of none) t.is(bitsOfNamed(result), bitsOfNamed(zeros))
    await world.close()
  }
})

test('a rank lost in mid-call leaves the arrays of the others as they were', async (t) => {
  const world = await makeWorld(3, { transport: createMemoryTransport({ seed: 9, maxChunkByteLength: 20_000 }) })
  const inputs = world.ranks.map((_, rank) => cut(vectorOf(new Float32Array(106_401), rank), COUNTS))
  const bits = inputs.map(bitsOfNamed)
  const calls = world.ranks.map((comm, rank) => comm.allReduce(inputs[rank]!, { op: 'adasum' }))
  setTimeout(() => world.kill(1), 2)
  const results = await Promise.allSettled(calls)
  results.forEach(({ status }, rank) => status === 'rejected' && t.is(bitsOfNamed(inputs[rank]!), bits[rank]!))
  t.true(results.some(({ status }) => status === 'rejected'))
  await world.close()
})
