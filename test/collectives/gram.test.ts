/** Gram matrices in the reports of collectives: the bits of the local functions, on every rank. */
import anyTest from 'ava'
import { Compressor } from '../../ts/src/compressor.ts'
import { adasumSync, reduceSync } from '../../ts/src/reduction/local.ts'
import type {
  AllReduceAlgorithm,
  AllReduceOptions,
  FloatArray,
  Operator,
  ReduceOp,
  SegmentReduction,
} from '../../ts/src/types.ts'
import { DEFAULT_TUNING } from '../../ts/src/tuning.ts'
import { fc, runsOf } from '../_property.ts'
import { bitsOf, failuresOf, makeWorld, onAll, vectorOf } from '../_world.ts'
import { HAS_SHARED_MEMORY } from '../../ts/src/shared-memory/shared-memory.ts'
import { shared } from '../shared-memory/_memory.ts'
import { FAMILIES, familyOf } from '../reduction/_oracle.ts'

const test = anyTest.serial

const OPERATORS: (ReduceOp | Operator)[] = [
  'adasum',
  'adasum',
  { name: 'adasum', kappa: 0.3 },
  { name: 'adacons' },
  { name: 'custom', coefficients: (gram) => gram.map((_, i) => i / 2) },
]
/** Vectors of 64 KiB and more are reduced while they come. */
const STREAMED = { ...DEFAULT_TUNING, streamByteLength: 64 << 10 }

const sumOf = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0)

/** A reduction takes one element at least. */
const withElements = (counts: number[]): number[] => (sumOf(counts) > 0 ? counts : [...counts, 1])

const anyCase = fc.record({
  op: fc.constantFrom(...OPERATORS),
  size: fc.integer({ min: 1, max: 9 }),
  algorithm: fc.constantFrom<AllReduceAlgorithm>('auto', 'direct', 'single-shot', 'levels'),
  dtype: fc.constantFrom('f32', 'f64'),
  family: fc.constantFrom(...Object.keys(FAMILIES)),
  segments: fc
    .array(fc.oneof(fc.constantFrom(0, 1, 2047, 2049), fc.nat(40_000)), { minLength: 1, maxLength: 4 })
    .map(withElements),
  bucketBytes: fc.constantFrom(undefined, undefined, 20_000),
  /** Bits of the ranks that are left out: by their weight or because they are not finite. */
  absent: fc.oneof(fc.constant(0), fc.nat(0x1ff)),
  isByWeight: fc.boolean(),
  isScattered: fc.boolean(),
  seed: fc.nat(1e6),
})
type Case = typeof anyCase extends fc.Arbitrary<infer C> ? C : never

function inputsOf({ size, dtype, family, segments, absent, seed }: Case): FloatArray[] {
  const make = (n: number): FloatArray => (dtype === 'f32' ? new Float32Array(n) : new Float64Array(n))
  const inputs = familyOf<FloatArray>(family, make, { count: size, length: sumOf(segments), seed })
  inputs.forEach((input, rank) => (absent >> rank) & 1 && input.fill(NaN))
  return inputs
}

/** JSON has no NaN and drops the digits of none of the other numbers. */
const textOf = (segments: readonly SegmentReduction[]): string =>
  segments.map(({ gram, ...rest }) => JSON.stringify(rest) + gram?.map((row) => bitsOf(row)).join()).join('\n')

async function check(one: Case, isShared: boolean): Promise<void> {
  const { op, size, segments, algorithm, bucketBytes, absent, isByWeight, isScattered } = one
  const inputs = inputsOf(one)
  const world = await makeWorld(size, {
    tuning: STREAMED,
    ...(isShared && { sharedMemory: shared() }),
  })
  const weights =
    isByWeight && op === 'adasum' ? inputs.map((_, rank) => ((absent >> rank) & 1 ? 0 : 1 + rank)) : undefined
  // Only where nobody is left out are vectors reduced while they come.
  const common = { op, segments, gram: true, onNonFinite: absent === 0 ? 'throw' : 'skip' } as const
  const counts = inputs.map((input, rank) => (rank === 0 ? input.length : 0))
  const want = reduceSync(inputs, { ...common, ...(weights && { weights }) })
  const found = await onAll(world.ranks, (comm, rank) => {
    const options = { ...common, ...(weights && { weight: weights[rank]! }) }
    if (isScattered) return comm.reduceScatter(inputs[rank]!, { ...options, counts })
    const more = { algorithm, ...(bucketBytes !== undefined && { bucketBytes }) }
    return comm.allReduce(inputs[rank]!, { ...options, ...more })
  })
  await world.close()
  for (const [rank, { segments: reported }] of found.entries())
    if (textOf(reported) !== textOf(want.segments))
      throw new Error(`rank ${rank}:\n${textOf(reported)}\nexpected:\n${textOf(want.segments)}`)
}

for (const isShared of HAS_SHARED_MEMORY ? [false, true] : [false])
  test(`every schedule reports the matrices of the local function${isShared ? ', in shared memory' : ''}`, async (t) => {
    await fc.assert(
      fc.asyncProperty(anyCase, (one) => check(one, isShared)),
      { numRuns: runsOf(isShared ? 30 : 120) },
    )
    t.pass()
  })

test('16 ranks have matrices in every schedule but rvh', async (t) => {
  const world = await makeWorld(16)
  const inputs = world.ranks.map((_, rank) => vectorOf(new Float32Array(3000), rank))
  const want = textOf(adasumSync(inputs, { gram: true, segments: [1000, 2000] }).segments)
  for (const algorithm of ['direct', 'single-shot', 'levels'] as const) {
    const options = { op: 'adasum', gram: true, algorithm, segments: [1000, 2000] } as const
    const found = await onAll(world.ranks, (comm, rank) => comm.allReduce(inputs[rank]!.slice(), options))
    for (const { segments } of found) t.is(textOf(segments), want, algorithm)
  }
  await world.close()
})

test('where no rank has a whole matrix there is none, but coefficients, and no error', async (t) => {
  const cases: [number, Partial<AllReduceOptions<Float32Array>>][] = [
    [17, {}],
    [17, { algorithm: 'direct' }],
    [17, { algorithm: 'levels' }],
    [4, { algorithm: 'rvh' }],
    [4, { hierarchy: 'average' }],
  ]
  for (const [size, how] of cases) {
    const world = await makeWorld(size, { machineOf: (rank) => rank % 2 })
    const options = { op: 'adasum', gram: true, segments: [500, 1500], ...how } as const
    const found = await onAll(world.ranks, (comm, rank) =>
      comm.allReduce(vectorOf(new Float32Array(2000), rank), options),
    )
    for (const { segments } of found)
      for (const segment of segments) {
        t.false('gram' in segment)
        t.is(segment.coefficients!.length, size)
        t.is(typeof segment.orthogonality, 'number')
      }
    await world.close()
  }
  const world = await makeWorld(17)
  const scattered = await onAll(world.ranks, (comm, rank) =>
    comm.reduceScatter(vectorOf(new Float32Array(170), rank), { op: 'adasum', gram: true }),
  )
  t.false('gram' in scattered[0]!.segments[0]!)
  await world.close()
})

test('a call without matrices sends not a byte more, and one with them what the option says', async (t) => {
  for (const algorithm of ['direct', 'single-shot'] as const) {
    const world = await makeWorld(3)
    const bytes = async (options: { gram?: boolean; coefficients?: boolean }): Promise<number[]> => {
      const segments = [3000, 3000, 3000]
      const found = await onAll(world.ranks, (comm, rank) =>
        comm.allReduce(vectorOf(new Float32Array(9000), rank), { op: 'adasum', algorithm, segments, ...options }),
      )
      return found.map(({ bytesSent }) => bytesSent)
    }
    const [plain, off, coefficients, gram] = [
      await bytes({}),
      await bytes({ gram: false }),
      await bytes({ coefficients: true }),
      await bytes({ gram: true }),
    ]
    t.deepEqual(off, plain)
    // Direct ranks compute all of it themselves; under single-shot each reports its own segments to two others.
    const more = algorithm === 'direct' ? 0 : 8 * 6 * 3 * 2
    t.is(sumOf(gram) - sumOf(coefficients), more)
    await world.close()
  }
})

test('ranks of which only some ask for matrices fail, and see which', async (t) => {
  const world = await makeWorld(2)
  const errors = await failuresOf(
    world.ranks.map((comm, rank) => comm.allReduce(new Float32Array(9), { op: 'adasum', gram: rank === 1 })),
  )
  t.regex(
    errors[0]!.message,
    /Rank 0: adasum f32\[9\], not compressed; rank 1 \(.*\): adasum f32\[9\], with Gram matrices, not compressed/,
  )
  await world.close()
})

test('operators without a matrix refuse the option before anything is sent', async (t) => {
  const world = await makeWorld(2, { isConnected: false })
  const [comm] = world.ranks
  for (const op of ['sum', 'average', 'min'] as const) {
    const expected = { code: 'ERR_ARGUMENT', message: /gram is true, and op is (sum|average|min)/ }
    await t.throwsAsync(comm!.allReduce(new Float32Array(4), { op, gram: true }), expected)
    await t.throwsAsync(comm!.reduceScatter(new Float32Array(4), { op, gram: true }), expected)
  }
  await t.throwsAsync(comm!.allReduce(new Int32Array(4), { op: 'sum', gram: true }), { code: 'ERR_ARGUMENT' })
  await t.throwsAsync(comm!.allReduce(new Float32Array(4), { op: 'adasum', gram: 'yes' as never }), {
    code: 'ERR_ARGUMENT',
    message: /gram is yes; it must be true or false/,
  })
  await world.close()
})

test('micro-batches: matrices of the ranks, and of this rank’s own where Adasum combines them', async (t) => {
  const world = await makeWorld(2)
  for (const local of ['adasum', 'average'] as const) {
    const batches = [0, 1].map((rank) => [0, 1, 2].map((i) => vectorOf(new Float32Array(500), 10 * rank + i)))
    const combined = batches.map((list) => reduceSync(list, { op: local }).result)
    const want = textOf(adasumSync(combined, { gram: true }).segments)
    const found = await onAll(world.ranks, (comm, rank) =>
      comm.allReduce(batches[rank]!, { op: 'adasum', local, gram: true }),
    )
    for (const [rank, { segments, local: own }] of found.entries()) {
      t.is(textOf(segments), want)
      if (local === 'average') t.false('gram' in own!.segments[0]!)
      else t.is(textOf(own!.segments), textOf(adasumSync(batches[rank]!, { gram: true }).segments))
    }
  }
  await world.close()
})

test('with a compressor matrices are of what was sent, the same on all ranks', async (t) => {
  const world = await makeWorld(4)
  const inputs = world.ranks.map((_, rank) => vectorOf(new Float32Array(5000), rank))
  const exact = adasumSync(inputs, { gram: true }).segments[0]!.gram!
  const found = await onAll(world.ranks, (comm, rank) =>
    comm.allReduce(inputs[rank]!.slice(), { op: 'adasum', gram: true, compressor: new Compressor({ format: 'bf16' }) }),
  )
  t.is(new Set(found.map(({ segments }) => textOf(segments))).size, 1)
  found[0]!.segments[0]!.gram!.forEach((row, i) =>
    row.forEach((product, j) => t.true(Math.abs(product - exact[i]![j]!) <= 0.01 * exact[i]![i]!)),
  )
  await world.close()
})
