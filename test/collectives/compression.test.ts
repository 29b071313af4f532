/** Compressed all-reduce: the bits are those of the definition, the same on every rank. */
import anyTest from 'ava'
import { Compressor, type CompressionFormat } from '../../ts/src/compressor.ts'
import { createMemoryTransport } from '../transport/_memory.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import type { AllReduceAlgorithm, OnNonFinite, ReduceOp } from '../../ts/src/types.ts'
import { fc, runsOf } from '../_property.ts'
import { sampleOf } from '../_sample.ts'
import { type World, bitsOf, failuresOf, makeWorld, onAll, vectorOf } from '../_world.ts'
import { familyOf, relativeError } from '../reduction/_oracle.ts'
import { type Case, Definition, LOCAL, compressorOf, sumOf } from './_compression.ts'

const test = anyTest.serial

const FORMATS: readonly CompressionFormat[] = ['f16', 'bf16', 'int8']

const anyCase: fc.Arbitrary<Case> = fc.record({
  op: fc.constantFrom<ReduceOp>('sum', 'average', 'adasum', 'adasum'),
  algorithm: fc.constantFrom<AllReduceAlgorithm>('auto', 'direct', 'single-shot'),
  format: fc.constantFrom(...FORMATS),
  block: fc.constantFrom(16, 64, 256, 2048),
  errorFeedback: fc.boolean(),
  segments: fc
    .array(fc.oneof(fc.constantFrom(0, 1, 2047, 2048, 2049), fc.nat(9000)), { minLength: 1, maxLength: 5 })
    .map((counts) => (counts.some((count) => count > 0) ? counts : [...counts, 3])),
  withOut: fc.nat(0xff),
  bucketBytes: fc.constantFrom(undefined, undefined, 4000, 20_000),
  steps: fc.integer({ min: 1, max: 3 }),
  seed: fc.nat(1e6),
  bad: fc.oneof(fc.constant(0), fc.nat(0xff)),
})

const hasBit = (bits: number, rank: number): boolean => ((bits >> rank) & 1) === 1

async function check(world: World, one: Case): Promise<void> {
  const { op, algorithm, segments, withOut, bucketBytes, steps, seed, bad } = one
  const size = world.ranks.length
  const definition = new Definition(one, size)
  const compressors = world.ranks.map(() => compressorOf(one))
  for (let step = 0; step < steps; step++) {
    const options = { count: size, length: sumOf(segments), seed: seed + step }
    const inputs = familyOf('a large common part', (n) => new Float32Array(n), options)
    const absent = [...inputs.keys()].filter((rank) => step === 1 && hasBit(bad, rank))
    for (const rank of absent) inputs[rank]![seed % options.length] = NaN
    const before = inputs.map(bitsOf)
    const out = inputs.map((input, rank) => (hasBit(withOut, rank) ? input.slice().fill(7) : undefined))
    const data = inputs.map((input) => input.slice())
    const got = await onAll(world.ranks, (comm, rank) =>
      comm.allReduce(data[rank]!, {
        ...{ op, algorithm, segments, onNonFinite: 'skip', compressor: compressors[rank]! },
        ...(out[rank] && { out: out[rank] }),
        ...(bucketBytes !== undefined && { bucketBytes }),
      }),
    )
    const want = definition.step(inputs, absent)
    for (const [rank, { result, nonFiniteRanks }] of got.entries()) {
      const where = `rank ${rank}, step ${step}`
      equal(result === (out[rank] ?? data[rank]), true, `${where}: the place of the result`)
      equal(nonFiniteRanks.join(), absent.join(), `${where}: who was left out`)
      equal(bitsOf(result), bitsOf(want), `${where}: the result`)
      if (out[rank]) equal(bitsOf(data[rank]!), before[rank]!, `${where}: the data beside out`)
    }
  }
}

function equal<T>(actual: T, expected: T, what: string): void {
  if (actual !== expected) throw new Error(`${what}: ${String(actual)}, expected ${String(expected)}`)
}

test('memory: any calls give the bits of the definition on every rank', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 2, max: 8 }), fc.nat(1e6), anyCase, async (size, seed, one) => {
      const world = await makeWorld(size, { transport: createMemoryTransport({ seed, maxChunkByteLength: 20_000 }) })
      await check(world, one)
      await world.close()
    }),
    { numRuns: runsOf(30) },
  )
  t.pass()
})

test('sockets: the same', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 2, max: 5 }), anyCase, async (size, one) => {
      const world = await makeWorld(size, { transport: tcp })
      await check(world, one)
      await world.close()
    }),
    { numRuns: runsOf(10) },
  )
  t.pass()
})

test('large vectors, off the main thread and in several calls of a kernel', async (t) => {
  const world = await makeWorld(3)
  const segments = [1_000_000, 17, 400_000]
  for (const format of sampleOf('formats of large vectors', FORMATS, 1))
    await check(world, {
      ...{ op: 'adasum', algorithm: 'single-shot', format, block: 256, errorFeedback: true, segments, withOut: 2 },
      ...{ bucketBytes: undefined, steps: 2, seed: 5, bad: 0 },
    })
  await world.close()
  t.pass()
})

for (const [algorithm, size] of [
  ['levels', 18],
  ['rvh', 8],
] as const)
  test(`${algorithm}: all ranks have the same bits, and what is off is made good over the steps`, async (t) => {
    const world = await makeWorld(size)
    const segments = [30_000, 5, 9000]
    for (const op of ['sum', 'average', 'adasum'] as const) {
      const options = { count: size, length: sumOf(segments), seed: 3 }
      const inputs = familyOf('a large common part', (n) => new Float32Array(n), options)
      const want = Float64Array.from(LOCAL[op](inputs, { segments }).result)
      const compressors = world.ranks.map(() => new Compressor({ format: 'int8' }))
      const total = new Float64Array(want.length)
      const steps = 10
      const errors: number[] = []
      for (let step = 0; step < steps; step++) {
        const got = await onAll(world.ranks, (comm, rank) =>
          comm.allReduce(inputs[rank]!.slice(), { op, algorithm, segments, compressor: compressors[rank]! }),
        )
        for (const { result } of got) t.is(bitsOf(result), bitsOf(got[0]!.result))
        got[0]!.result.forEach((x, i) => (total[i]! += x / steps))
        errors.push(relativeError(got[0]!.result, want, segments))
      }
      t.true(Math.max(...errors) < 0.05, `${op}: off by ${errors.join()}`)
      t.true(errors[0]! > 1e-4, `${op}: nothing was quantised`)
      // Adasum is not linear: its mean over the steps is nearer, but not as near.
      const mean = relativeError(total, want, segments)
      t.true(mean < errors[0]! / (op === 'adasum' ? 1 : 3), `${op}: the mean is off by ${mean}, a step by ${errors[0]}`)
    }
    await world.close()
  })

// ---- inputs that are not finite

for (const format of FORMATS)
  test(`${format}: policies for what is not finite`, async (t) => {
    const world = await makeWorld(3)
    for (const algorithm of ['direct', 'single-shot'] as const)
      for (const op of ['sum', 'adasum'] as const) {
        const compressors = world.ranks.map(() => new Compressor({ format }))
        const input = (rank: number) => {
          const array = vectorOf(new Float32Array(5000), rank)
          if (rank === 1) array[4000] = Infinity
          return array
        }
        const run = (onNonFinite: OnNonFinite) =>
          world.ranks.map((comm, rank) =>
            comm.allReduce(input(rank), { op, algorithm, onNonFinite, compressor: compressors[rank]! }),
          )
        for (const error of await failuresOf(run('throw'))) t.like(error, { code: 'ERR_NON_FINITE', peerRank: 1 })
        for (const { result, nonFiniteRanks } of await Promise.all(run('skip'))) {
          t.deepEqual(nonFiniteRanks, [1])
          t.true(result.every(Number.isFinite))
        }
        const spread = await Promise.all(run('propagate'))
        for (const { result } of spread) {
          t.false(Number.isFinite(result[4000]))
          t.is(bitsOf(result), bitsOf(spread[0]!.result))
        }
        // What is left over is finite, whatever has been propagated.
        const after = await Promise.all(
          world.ranks.map((comm, rank) =>
            comm.allReduce(vectorOf(new Float32Array(5000), rank), { op, algorithm, compressor: compressors[rank]! }),
          ),
        )
        t.true(after.every(({ result }) => result.every(Number.isFinite)))
      }
    await world.close()
  })

// ---- bytes

test('int8 sends about a quarter of the bytes, the half formats half', async (t) => {
  for (const size of [2, 4]) {
    const world = await makeWorld(size)
    const bytesOf = async (format?: CompressionFormat): Promise<number> => {
      const got = await onAll(world.ranks, (comm) =>
        comm.allReduce(new Float32Array(1 << 18).fill(1), {
          ...{ op: 'sum', ...(format && { compressor: new Compressor({ format }) }) },
        }),
      )
      return got[0]!.bytesSent
    }
    const plain = await bytesOf()
    t.is(Math.round((1000 * (await bytesOf('int8'))) / plain), 254)
    for (const format of ['f16', 'bf16'] as const) t.is(Math.round((1000 * (await bytesOf(format))) / plain), 500)
    await world.close()
  }
})

// ---- arguments

test('a compressor is what its options say', (t) => {
  t.like(new Compressor({ format: 'int8' }), { format: 'int8', blockElementCount: 256, errorFeedback: true })
  const wrong: [unknown, RegExp][] = [
    [undefined, /options must be an object/],
    [{}, /format is undefined; it must be one of f16, bf16, int8/],
    [{ format: 'int4' }, /format is int4/],
    [{ format: 'int8', blockElementCount: 100 }, /blockElementCount is 100; it must be a power of two from 16 to 2048/],
    [{ format: 'int8', blockElementCount: 8 }, /blockElementCount is 8/],
    [{ format: 'int8', blockElementCount: 4096 }, /blockElementCount is 4096/],
    [{ format: 'int8', blockElementCount: '256' }, /blockElementCount is 256; it must/],
    [{ format: 'bf16', blockElementCount: 256 }, /bf16 has no blocks/],
    [{ format: 'f16', errorFeedback: 1 }, /errorFeedback is 1/],
    [{ format: 'f16', blocks: 16 }, /no option "blocks"\. The options are format, blockElementCount, errorFeedback/],
  ]
  for (const [options, message] of wrong)
    t.throws(() => new Compressor(options as never), { code: 'ERR_ARGUMENT', message })
})

test('only sums of f32 are compressed, and only by a compressor', async (t) => {
  const world = await makeWorld(2)
  const compressor = new Compressor({ format: 'int8' })
  const refused = async (data: unknown, options: object, message: RegExp) => {
    const call = world.ranks[0]!.allReduce(data as Float32Array, { op: 'sum', compressor, ...options } as never)
    await t.throwsAsync(call, { code: 'ERR_ARGUMENT', message })
  }
  await refused(
    new Float64Array(4),
    {},
    /takes f32 and an operator that adds \(no min, no max\); op is sum, and the data is f64/,
  )
  await refused(Int32Array.of(1), {}, /the data is i32/)
  await refused(new Uint16Array(4), { dtype: 'bf16' }, /the data is bf16/)
  await refused(new Float32Array(4), { op: 'max' }, /op is max/)
  await refused(
    new Float32Array(4),
    { compressor: { format: 'int8' } },
    /compressor must be a Compressor; got an object/,
  )
  await t.throwsAsync(world.ranks[0]!.reduceScatter(new Float32Array(4), { op: 'sum', compressor } as never), {
    message: /there is no option "compressor"/,
  })
  await onAll(world.ranks, (comm) => comm.barrier())
  await world.close()
})

test('ranks that compress differently are told so', async (t) => {
  const compressors: [Compressor | undefined, RegExp][] = [
    [undefined, /not compressed/],
    [new Compressor({ format: 'int8', blockElementCount: 64 }), /compressed to int8 in blocks of 64/],
    [new Compressor({ format: 'bf16' }), /compressed to bf16[;.]/],
  ]
  for (const [other, message] of compressors) {
    const world = await makeWorld(2)
    const errors = await failuresOf(
      world.ranks.map((comm, rank) => {
        const compressor = rank === 0 ? new Compressor({ format: 'int8' }) : other
        return comm.allReduce(new Float32Array(100), { op: 'sum', ...(compressor && { compressor }) })
      }),
    )
    for (const error of errors) {
      t.like(error, { code: 'ERR_MISMATCH' })
      t.regex(error.message, /compressed to int8 in blocks of 256/)
      t.regex(error.message, message)
    }
    await world.close()
  }
})

test('a world of one sends nothing, and rounds nothing', async (t) => {
  const world = await makeWorld(1)
  const data = vectorOf(new Float32Array(1000), 0)
  const { result } = await world.ranks[0]!.allReduce(data.slice(), {
    ...{ op: 'adasum', compressor: new Compressor({ format: 'int8' }) },
  })
  t.is(bitsOf(result), bitsOf(data))
  await world.close()
})
