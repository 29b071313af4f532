/** Ranks that count by weights: every schedule against the local function and the definition, and what peers may say. */
import anyTest from 'ava'
import { Compressor } from '../../ts/src/compressor.ts'
import type { AdasumError } from '../../ts/src/errors.ts'
import { averageSync, reduceSync } from '../../ts/src/reduction/local.ts'
import { DEFAULT_TUNING } from '../../ts/src/tuning.ts'
import type {
  AllReduceAlgorithm,
  AllReduceOptions,
  FloatArray,
  OnNonFinite,
  Operator,
  Reduction,
} from '../../ts/src/types.ts'
import { createMemoryTransport } from '../transport/_memory.ts'
import { HAS_SHARED_MEMORY } from '../../ts/src/shared-memory/shared-memory.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import { fc, runsOf } from '../_property.ts'
import { type World, bitsOf, failuresOf, makeWorld, onAll, vectorOf } from '../_world.ts'
import { shared } from '../shared-memory/_memory.ts'
import { operatorOracleOf } from '../reduction/_operators.ts'
import { FAMILIES, adasumOfNodes, familyOf, oracle, relativeError } from '../reduction/_oracle.ts'

const test = anyTest.serial

const TAME = Object.keys(FAMILIES).filter((family) => !family.startsWith('alternating'))
const BY_PAIRS: Operator[] = [{ name: 'adasum', kappa: 0.4 }, { name: 'adascale' }]
/** The average, as a function of the caller's, which may look at the weights of its arguments. */
const CUSTOM: Operator = {
  name: 'custom',
  coefficients: (_, { weights }) => weights.map((weight) => weight / sumOf(weights)),
}
/** Vectors of 64 KiB and more are reduced while they come. */
const STREAMED = { ...DEFAULT_TUNING, streamByteLength: 64 << 10 }

const anyWeight = fc.oneof(
  fc.constantFrom(0, 0, 1, 32, 1e-300, 2 ** 53),
  fc.integer({ min: 1, max: 1000 }),
  fc.double({ min: 1e-6, max: 1e6, noNaN: true }),
)
const anySegments = fc
  .array(fc.oneof(fc.constantFrom(0, 1, 2047, 2049), fc.nat(40_000)), { minLength: 1, maxLength: 4 })
  .map((counts) => (counts.some((count) => count > 0) ? counts : [...counts, 1]))

const anyCase = fc.record({
  op: fc.constantFrom<'average' | 'adasum' | Operator>('average', 'adasum', ...BY_PAIRS, CUSTOM),
  weights: fc.array(anyWeight, { minLength: 1, maxLength: 9 }),
  algorithm: fc.constantFrom<AllReduceAlgorithm>('auto', 'direct', 'single-shot', 'levels'),
  dtype: fc.constantFrom('f32', 'f64'),
  family: fc.constantFrom(...TAME),
  segments: anySegments,
  onNonFinite: fc.constantFrom<OnNonFinite>('throw', 'skip', 'propagate'),
  /** Bits of the ranks with a NaN, if they are looked at. */
  bad: fc.oneof(fc.constant(0), fc.nat(0x1ff)),
  bucketBytes: fc.constantFrom(undefined, undefined, 20_000),
  seed: fc.nat(1e6),
})
type Case = typeof anyCase extends fc.Arbitrary<infer C> ? C : never

const hasBit = (bits: number, rank: number): boolean => ((bits >> rank) & 1) === 1
const sumOf = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0)

function equal<T>(actual: T, expected: T, what: string): void {
  if (actual !== expected) throw new Error(`${what}: ${String(actual)}, expected ${String(expected)}`)
}

function inputsOf({ weights, dtype, family, segments, onNonFinite, bad, seed }: Case): FloatArray[] {
  const make = (n: number): FloatArray => (dtype === 'f32' ? new Float32Array(n) : new Float64Array(n))
  const length = sumOf(segments)
  const inputs = familyOf<FloatArray>(family, make, { count: weights.length, length, seed })
  // Absent ranks may have anything; those that take part, what the policy finds.
  inputs.forEach((input, rank) => {
    const isBad = hasBit(bad, rank) && (onNonFinite !== 'propagate' || weights[rank] === 0)
    if (isBad) input[seed % length] = NaN
  })
  return inputs
}

function reduced(one: Case, inputs: readonly FloatArray[]): Reduction<FloatArray> | string {
  const { op, weights, segments, onNonFinite } = one
  try {
    return reduceSync(inputs, { op, weights, segments, onNonFinite, coefficients: true })
  } catch (error) {
    return (error as AdasumError).code
  }
}

async function check(world: World, one: Case): Promise<void> {
  const { op, weights, algorithm, segments, onNonFinite, bucketBytes } = one
  const inputs = inputsOf(one)
  const options = { op, algorithm, segments, onNonFinite, coefficients: true, ...(bucketBytes && { bucketBytes }) }
  const got = await Promise.allSettled(
    world.ranks.map((comm, rank) => comm.allReduce(inputs[rank]!.slice(), { ...options, weight: weights[rank]! })),
  )
  const want = reduced(one, inputs)
  for (const [rank, found] of got.entries()) {
    if (found.status === 'rejected') {
      equal((found.reason as AdasumError).code, want as string, `rank ${rank}`)
      continue
    }
    if (typeof want === 'string') throw new Error(`rank ${rank} has not failed with ${want}`)
    const { value } = found
    equal(bitsOf(value.result), bitsOf(want.result), `rank ${rank}: the result`)
    equal(JSON.stringify(value.segments), JSON.stringify(want.segments), `rank ${rank}: the report`)
    equal(value.nonFiniteRanks.join(), want.nonFiniteRanks.join(), `rank ${rank}: who is not finite`)
    equal(value.weights?.join(), weights.join(), `rank ${rank}: the weights`)
  }
}

for (const [name, settings] of Object.entries({
  memory: () => ({ transport: createMemoryTransport() }),
  'streamed in random pieces': () => ({
    transport: createMemoryTransport({ seed: 5, maxChunkByteLength: 30_000 }),
    tuning: STREAMED,
  }),
  ...(HAS_SHARED_MEMORY && {
    'shared memory, streamed': () => ({ sharedMemory: shared(), tuning: STREAMED }),
  }),
  'sockets, streamed': () => ({ transport: tcp, tuning: STREAMED }),
}))
  test(`${name}: any weights give the bits and reports of the local function on every rank`, async (t) => {
    await fc.assert(
      fc.asyncProperty(anyCase, async (one) => {
        const world = await makeWorld(one.weights.length, settings())
        await check(world, one)
        await world.close()
      }),
      { numRuns: runsOf(name === 'memory' ? 60 : 25) },
    )
    t.pass()
  })

/**
 * Three calls in a row, twice: with weights, and with NaN in place of weight 0. Weights move on by a rank from call to call, and
 * a compressor keeps what it has left over.
 */
async function checkCounts(
  world: World,
  inputs: Float32Array[],
  weights: number[],
  options: AllReduceOptions<Float32Array>,
): Promise<void> {
  const { compressor: like, ...others } = options
  const calls = (isWeighted: boolean): Promise<Reduction<Float32Array>[][]> =>
    onAll(world.ranks, async (comm, rank) => {
      const compressor = like && new Compressor({ format: like.format })
      const own = { ...others, onNonFinite: 'skip' as const, ...(compressor && { compressor }) }
      const made: Reduction<Float32Array>[] = []
      for (let step = 0; step < 3; step++) {
        const weight = weights[(rank + step) % weights.length]!
        const data = weight === 0 ? inputs[rank]!.map(() => NaN) : inputs[rank]!.slice()
        made.push(await comm.allReduce(data, isWeighted ? { ...own, weight } : own))
      }
      return made
    })
  const [got, want] = [await calls(true), await calls(false)]
  for (const [rank, made] of got.entries())
    for (const [step, { result, segments, nonFiniteRanks }] of made.entries()) {
      const where = `rank ${rank}, call ${step}`
      equal(bitsOf(result), bitsOf(want[rank]![step]!.result), `${where}: the result`)
      equal(JSON.stringify(segments), JSON.stringify(want[rank]![step]!.segments), `${where}: the report`)
      equal(nonFiniteRanks.length, 0, `${where}: absent ranks are not looked at`)
    }
}

const VARIANTS: Record<string, Partial<AllReduceOptions<Float32Array>>> = {
  levels: { algorithm: 'levels', coefficients: true },
  rvh: { algorithm: 'rvh', coefficients: true },
  'machines (average)': { op: 'adasum', hierarchy: 'average', coefficients: true },
  'machines (adasum)': { op: 'adasum', hierarchy: 'adasum', coefficients: true },
  'int8, single-shot': { algorithm: 'single-shot', compressor: new Compressor({ format: 'int8' }) },
  'bf16, rvh': { algorithm: 'rvh', compressor: new Compressor({ format: 'bf16' }) },
  'f16, machines': { op: 'adasum', hierarchy: 'average', compressor: new Compressor({ format: 'f16' }) },
}
for (const [name, variant] of Object.entries(VARIANTS))
  test(`${name}: equal weights give the bits of none, and weight 0 those of a rank that is left out`, async (t) => {
    const size = name === 'levels' ? 18 : 8
    const anyPair = fc.record({ weight: anyWeight.filter((weight) => weight > 0), absent: fc.nat(0x3ffff) })
    const world = await makeWorld(size, { machineOf: (rank) => [0, 1, 0, 2, 2, 2, 1, 0][rank % 8]! })
    const inputs = Array.from({ length: size }, (_, rank) => vectorOf(new Float32Array(9001), rank))
    await fc.assert(
      fc.asyncProperty(anyPair, async ({ weight, absent }) => {
        const weights = inputs.map((_, rank) => (hasBit(absent, rank) ? 0 : weight))
        for (const op of variant.op ? [variant.op] : (['average', 'adasum', ...BY_PAIRS] as const))
          await checkCounts(world, inputs, weights, { ...variant, op, segments: [4001, 0, 5000] })
      }),
      { numRuns: runsOf(6) },
    )
    await world.close()
    t.pass()
  })

test('levels and machines of any weights give what the definition gives, the same bits on every rank', async (t) => {
  const machines = [0, 1, 0, 2, 2, 2, 1, 0]
  const [size, segments] = [8, [4001, 0, 5000]]
  const world = await makeWorld(size, { machineOf: (rank) => machines[rank]! })
  await fc.assert(
    fc.asyncProperty(fc.array(anyWeight, { minLength: size, maxLength: size }), fc.nat(1e6), async (weights, seed) => {
      const make = (n: number): Float64Array => new Float64Array(n)
      const inputs = familyOf('a large common part', make, { count: size, length: sumOf(segments), seed })
      const run = async (options: AllReduceOptions<Float64Array>, want: Float64Array): Promise<void> => {
        const call = { ...options, segments }
        const got = await onAll(world.ranks, (comm, rank) =>
          comm.allReduce(inputs[rank]!.slice(), { ...call, weight: weights[rank]! }),
        )
        for (const { result } of got) equal(bitsOf(result), bitsOf(got[0]!.result), 'the bits')
        const error = relativeError(got[0]!.result, want, segments)
        if (!(error < 1e-11)) throw new Error(`${JSON.stringify(options)} is off by ${error}`)
      }
      for (const op of ['average', 'adasum'] as const)
        await run({ op, algorithm: 'rvh' }, oracle(op, inputs, segments, weights))
      for (const op of BY_PAIRS) await run({ op, algorithm: 'rvh' }, operatorOracleOf(op, inputs, segments, weights))
      await run({ op: 'adasum', hierarchy: 'average' }, machineMeans(machines, inputs, segments, weights))
    }),
    { numRuns: runsOf(15) },
  )
  await world.close()
  t.pass()
})

/** Adasum of the machines' means by weights, each counting as much as its ranks together. */
function machineMeans(machines: number[], inputs: Float64Array[], segments: number[], weights: number[]): Float64Array {
  const result = new Float64Array(inputs[0]!.length)
  let begin = 0
  for (const count of segments) {
    const parts = inputs.map((input) => input.subarray(begin, begin + count))
    const nodes = [...new Set(machines)].map((machine) => {
      const own = weights.map((weight, rank) => (machines[rank] === machine ? weight : 0))
      const total = sumOf(own)
      return { vector: total > 0 ? oracle('average', parts, [count], own) : parts[0]!.map(() => 0), count: total }
    })
    const { vector, count: all } = adasumOfNodes(nodes)
    result.set(all > 0 ? vector : vector.fill(0), begin)
    begin += count
  }
  return result
}

test('reduce-scatter gives the parts of the all-reduce', async (t) => {
  const world = await makeWorld(3, { tuning: STREAMED })
  for (const weights of [
    [3, 0, 0.5],
    [0, 0, 0],
  ]) {
    const inputs = weights.map((_, rank) => vectorOf(new Float32Array(90_000), rank))
    for (const op of ['average', 'adasum', ...BY_PAIRS, CUSTOM] as const) {
      const want = reduceSync(inputs, { op, weights }).result
      const got = await onAll(world.ranks, (comm, rank) =>
        comm.reduceScatter(inputs[rank]!, { op, weight: weights[rank]! }),
      )
      got.forEach(({ result, weights: found }, rank) => {
        t.is(bitsOf(result), bitsOf(want.slice(rank * 30_000, (rank + 1) * 30_000)))
        t.deepEqual(found, weights)
      })
    }
  }
  await world.close()
})

test('micro-batches count as much as their rank says', async (t) => {
  const world = await makeWorld(2)
  const batches = [0, 1, 2, 3].map((index) => vectorOf(new Float32Array(100), index))
  const locals = [averageSync(batches.slice(0, 2)), averageSync(batches.slice(2))].map(({ result }) => result)
  const want = averageSync(locals, { weights: [5, 2] }).result
  const got = await onAll(world.ranks, (comm, rank) =>
    comm.allReduce(batches.slice(2 * rank, 2 * rank + 2), { op: 'average', local: 'average', weight: [5, 2][rank]! }),
  )
  for (const { result } of got) t.is(bitsOf(result), bitsOf(want))
  await world.close()
})

test('weights travel in messages that are sent anyway', async (t) => {
  const bytesOf = async (weight: number | undefined, size: number, algorithm: AllReduceAlgorithm): Promise<number> => {
    const world = await makeWorld(size, { tuning: STREAMED })
    const got = await onAll(world.ranks, (comm, rank) =>
      comm.allReduce(vectorOf(new Float32Array(40_000), rank), {
        ...{ op: 'adasum', algorithm, ...(weight !== undefined && { weight }) },
      }),
    )
    await world.close()
    return sumOf(got.map(({ bytesSent }) => bytesSent))
  }
  for (const [size, algorithm] of [
    [1, 'direct'],
    [3, 'direct'],
    [5, 'single-shot'],
  ] as const)
    t.is(await bytesOf(7, size, algorithm), await bytesOf(undefined, size, algorithm))
  // Each of four ranks sends one message behind whose numbers the weights of two ranks stand.
  t.is((await bytesOf(7, 4, 'rvh')) - (await bytesOf(undefined, 4, 'rvh')), 4 * 2 * 8)
})

test('ranks of which only some give a weight have called different things', async (t) => {
  const world = await makeWorld(2)
  const errors = await failuresOf(
    world.ranks.map((comm, rank) =>
      comm.allReduce(Float32Array.of(1), { op: 'average', ...(rank === 1 && { weight: 1 }) }),
    ),
  )
  for (const error of errors) t.is((error as AdasumError).code, 'ERR_MISMATCH')
  const words = /Rank 0: average f32\[1\], not compressed; rank 1.*: average f32\[1\], with weights, not compressed/
  t.true(errors.some(({ message }) => words.test(message)))
  await world.close()
})

test('what is no weight, and operators that count nothing, are refused; the group lives on', async (t) => {
  const world = await makeWorld(1)
  const [comm] = world.ranks as [World['ranks'][0]]
  const data = Float32Array.of(4)
  for (const weight of [-1, NaN, Infinity, 2 ** 53 + 2, '3', null])
    for (const call of [
      () => comm.allReduce(data, { op: 'average', weight: weight as number }),
      () => comm.reduceScatter(data, { op: 'adasum', weight: weight as number }),
    ])
      await t.throwsAsync(call, { code: 'ERR_ARGUMENT', message: /weight is .*; it must be a number from 0 to 2\^53/ })
  for (const op of ['sum', 'min', { name: 'adacons' }, { name: 'gaf', tau: 1 }] as const)
    await t.throwsAsync(comm.allReduce(data, { op, weight: 1 }), {
      code: 'ERR_ARGUMENT',
      message: /weight is given, and op is .*: only average, adasum .* count samples/,
    })
  await t.throwsAsync(comm.allReduce(data, { op: 'adasum', hierarchy: 'sum', weight: 1 }), {
    code: 'ERR_ARGUMENT',
    message: /weight is given, and hierarchy is sum/,
  })
  t.like(await comm.allReduce(data, { op: 'average', weight: 0.1 }), { result: Float32Array.of(4), weights: [0.1] })
  t.like(await comm.allReduce(data, { op: 'average', weight: 0 }), { result: Float32Array.of(0), weights: [0] })
  await world.close()
})

test('a peer that says no weight behind its numbers ends the group; nobody gets a gradient', async (t) => {
  for (const bad of [NaN, -1, Infinity, 2 ** 54]) {
    const world = await makeWorld(4)
    const group = world.groups[2]!
    const run = group.run.bind(group)
    group.run = (descriptor, options, body) =>
      run(descriptor, options, (call) => {
        const send = call.send.bind(call)
        // The first step of the second level.
        call.send = (to, step, parts, ...about) =>
          send(
            to,
            step,
            step === 64 ? [...parts.slice(0, -1), new Uint8Array(Float64Array.of(1, bad).buffer)] : parts,
            ...about,
          )
        return body(call)
      })
    const errors = await failuresOf(
      world.ranks.map((comm) =>
        comm.allReduce(new Float32Array(10_000), { op: 'average', algorithm: 'rvh', weight: 1 }),
      ),
    )
    for (const error of errors) t.like(error, { code: 'ERR_MISMATCH' })
    t.true(errors.some(({ message }) => message.includes(`sent weight ${bad}`)))
    await world.close()
  }
})
