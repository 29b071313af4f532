/** Compressed all-reduce: the bits are those of the definition, the same on every rank, and nothing is lost in the long run. */
import anyTest from 'ava'
import { Compressor, type CompressionFormat } from '../../ts/src/compressor.ts'
import { adasumSync, averageSync, sumSync } from '../../ts/src/reduction/local.ts'
import { createMemoryTransport } from '../../ts/src/transport/memory.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import type { AllReduceAlgorithm, OnNonFinite, ReduceOp } from '../../ts/src/types.ts'
import { fc } from '../_property.ts'
import { type World, bitsOf, failuresOf, makeWorld, onAll, vectorOf } from '../_world.ts'
import { familyOf, relativeError } from '../reduction/_oracle.ts'
import { quantise } from './_quantize.ts'

const test = anyTest.serial

const LOCAL = { sum: sumSync, average: averageSync, adasum: adasumSync }
const FORMATS: readonly CompressionFormat[] = ['f16', 'bf16', 'int8']
const sumOf = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0)

interface Case {
  op: ReduceOp
  algorithm: AllReduceAlgorithm
  format: CompressionFormat
  block: number
  errorFeedback: boolean
  segments: number[]
  withOut: number
  bucketBytes: number | undefined
  steps: number
  seed: number
  /** Ranks whose input has a NaN in it at the second step; they are left out. */
  bad: number
}

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
const compressorOf = ({ format, block, errorFeedback }: Case): Compressor =>
  new Compressor({ format, errorFeedback, ...(format === 'int8' && { blockElementCount: block }) })

/** Steps of a world by the definition: what each gives, from what the steps before have left over. */
class Definition {
  readonly #one: Case
  readonly #isDirect: boolean
  #inputs: Float32Array[] | undefined
  #result: Float32Array | undefined

  constructor(one: Case, size: number) {
    this.#one = one
    const isShort = 4 * sumOf(one.segments) <= 32 << 10
    this.#isDirect = one.algorithm === 'direct' || (one.algorithm === 'auto' && (size <= 2 || (size <= 8 && isShort)))
  }

  step(inputs: readonly Float32Array[], absent: readonly number[]): Float32Array {
    const { op, segments, errorFeedback } = this.#one
    const sent = inputs.map((input, rank) => quantise(this.#one, segments, input, this.#inputs?.[rank]))
    const present = sent.filter((_, rank) => !absent.includes(rank))
    const { result } = LOCAL[op](
      sent.map(({ numbers }, rank) => (absent.includes(rank) ? inputs[rank]! : numbers)),
      {
        segments,
        onNonFinite: 'skip',
      },
    )
    const zeros = inputs.map((input) => new Float32Array(input.length))
    if (present.length > 0 && errorFeedback)
      this.#inputs = sent.map(({ residual }, rank) =>
        absent.includes(rank) ? (this.#inputs?.[rank] ?? zeros[rank]!) : residual,
      )
    if (present.length === 0 || this.#isDirect) return result
    const gathered = quantise(this.#one, segments, result, this.#result)
    if (errorFeedback) this.#result = gathered.residual
    return gathered.numbers
  }
}

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
      const isKept = absent.length === size
      equal(bitsOf(result), isKept ? before[rank]! : bitsOf(want), `${where}: the result`)
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
    { numRuns: 60 },
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
    { numRuns: 10 },
  )
  t.pass()
})

test('large vectors, off the main thread and in several calls of a kernel', async (t) => {
  const world = await makeWorld(3)
  const segments = [1_000_000, 17, 400_000]
  for (const format of FORMATS)
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

// ---- error feedback

test('with error feedback the sum over the steps is off by no more than quanta', async (t) => {
  const world = await makeWorld(3)
  // All but the first are smaller than half a quantum, which is 1 / 127: alone they are never sent.
  const gradient = Float32Array.from({ length: 3000 }, (_, i) => (i % 256 === 0 ? 1 : 0.003))
  const totals: Record<string, Float64Array> = {}
  for (const [algorithm, errorFeedback] of [
    ['direct', true],
    ['single-shot', true],
    ['direct', false],
  ] as const) {
    const compressors = world.ranks.map(() => new Compressor({ format: 'int8', errorFeedback }))
    const total = new Float64Array(gradient.length)
    for (let step = 0; step < 100; step++) {
      const [first] = await onAll(world.ranks, (comm, rank) =>
        comm.allReduce(gradient.slice(), { op: 'sum', algorithm, compressor: compressors[rank]! }),
      )
      first!.result.forEach((x, i) => (total[i]! += x))
    }
    totals[`${algorithm} ${errorFeedback}`] = total
  }
  const quantum = 1 / 127
  const worst = (total: Float64Array): number => Math.max(...total.map((x, i) => Math.abs(x - 300 * gradient[i]!)))
  t.true(worst(totals['direct true']!) <= 3 * quantum * 1.01)
  t.true(worst(totals['single-shot true']!) <= 6 * quantum * 1.01)
  t.is(totals['direct false']![1], 0)
  await world.close()
})

test('a call that is refused leaves what is left over as it was', async (t) => {
  const one: Case = {
    ...{ op: 'sum', algorithm: 'single-shot', format: 'int8', block: 64, errorFeedback: true, segments: [5000] },
    ...{ withOut: 0, bucketBytes: undefined, steps: 1, seed: 1, bad: 0 },
  }
  const world = await makeWorld(3)
  const compressors = world.ranks.map(() => compressorOf(one))
  const definition = new Definition(one, 3)
  for (const step of [0, 1, 2, 3]) {
    const inputs = world.ranks.map((_, rank) => vectorOf(new Float32Array(5000), rank + 10 * step))
    if (step === 2) inputs[1]![7] = NaN
    const calls = world.ranks.map((comm, rank) =>
      comm.allReduce(inputs[rank]!.slice(), {
        ...{ op: 'sum', algorithm: 'single-shot', onNonFinite: 'throw', compressor: compressors[rank]! },
      }),
    )
    if (step === 2) for (const error of await failuresOf(calls)) t.like(error, { code: 'ERR_NON_FINITE' })
    else {
      const want = bitsOf(definition.step(inputs, []))
      for (const { result } of await Promise.all(calls)) t.is(bitsOf(result), want)
    }
  }
  await world.close()
})

test('a world that breaks leaves it as it was, and another world goes on from there', async (t) => {
  const one: Case = {
    ...{ op: 'average', algorithm: 'single-shot', format: 'bf16', block: 64, errorFeedback: true, segments: [90_000] },
    ...{ withOut: 0, bucketBytes: undefined, steps: 1, seed: 1, bad: 0 },
  }
  const compressors = [0, 1, 2].map(() => compressorOf(one))
  const definition = new Definition(one, 3)
  const inputsOf = (step: number) => [0, 1, 2].map((rank) => vectorOf(new Float32Array(90_000), rank + 10 * step))
  const call = (world: World, rank: number, input: Float32Array) =>
    world.ranks[rank]!.allReduce(input.slice(), {
      ...{ op: 'average', algorithm: 'single-shot', compressor: compressors[rank]! },
    })
  for (const step of [0, 1, 2]) {
    const world = await makeWorld(3)
    const inputs = inputsOf(step)
    if (step === 1) {
      // Rank 2 has begun, and dies: nobody has a result.
      const calls = [0, 1].map((rank) => call(world, rank, inputs[rank]!))
      world.kill(2)
      for (const error of await failuresOf(calls)) t.like(error, { code: 'ERR_PEER_LOST' })
    } else {
      const want = bitsOf(definition.step(inputs, []))
      const got = await Promise.all(inputs.map((input, rank) => call(world, rank, input)))
      for (const { result } of got) t.is(bitsOf(result), want)
    }
    await world.close()
  }
})

test('reset forgets what is left over', async (t) => {
  const world = await makeWorld(2)
  const compressors = world.ranks.map(() => new Compressor({ format: 'int8', blockElementCount: 16 }))
  const run = async (): Promise<string> => {
    const got = await onAll(world.ranks, (comm, rank) =>
      comm.allReduce(vectorOf(new Float32Array(1000), rank), { op: 'sum', compressor: compressors[rank]! }),
    )
    return bitsOf(got[0]!.result)
  }
  const first = await run()
  t.not(await run(), first)
  for (const compressor of compressors) compressor.reset()
  t.is(await run(), first)
  await world.close()
})

test('segments keep theirs by name and length, whatever call they are in', async (t) => {
  const world = await makeWorld(2)
  const [together, apart] = [0, 1].map(() => world.ranks.map(() => new Compressor({ format: 'int8' }))) as [
    Compressor[],
    Compressor[],
  ]
  for (let step = 0; step < 3; step++) {
    const layers = (rank: number) => ({
      kernel: vectorOf(new Float32Array(3000), rank + 10 * step),
      bias: vectorOf(new Float32Array(70), rank + 100 * step),
    })
    const one = await onAll(world.ranks, (comm, rank) =>
      comm.allReduce(layers(rank), { op: 'sum', compressor: together[rank]! }),
    )
    // Both at once: no segment is in both.
    const two = await onAll(world.ranks, (comm, rank) => {
      const { kernel, bias } = layers(rank)
      const options = { op: 'sum', compressor: apart[rank]! } as const
      return Promise.all([comm.allReduce({ bias }, options), comm.allReduce({ kernel }, options)])
    })
    t.is(bitsOf(two[0]![0].result.bias), bitsOf(one[0]!.result.bias))
    t.is(bitsOf(two[0]![1].result.kernel), bitsOf(one[0]!.result.kernel))
  }
  await world.close()
})

test('two calls at once cannot have one segment', async (t) => {
  const world = await makeWorld(2)
  await onAll(world.ranks, async (comm) => {
    const compressor = new Compressor({ format: 'bf16' })
    const options = { op: 'sum', compressor } as const
    const first = comm.allReduce(new Float32Array(100).fill(1), options)
    await t.throwsAsync(comm.allReduce(new Float32Array(100).fill(1), options), {
      code: 'ERR_NOT_READY',
      message: /another call has segment 0\[100\]\. Await that call first/,
    })
    t.throws(() => compressor.reset(), { code: 'ERR_NOT_READY' })
    t.is((await first).result[0], 2)
    t.is((await comm.allReduce(new Float32Array(100).fill(1), options)).result[0], 2)
  })
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

// ---- training, and bytes

test('gradient descent comes as near with int8 as with f32', async (t) => {
  const world = await makeWorld(4)
  const dimension = 300
  // Each rank has a quadratic of its own; together they have one minimum.
  const centres = world.ranks.map((_, rank) => vectorOf(new Float32Array(dimension), rank))
  const best = Float64Array.from({ length: dimension }, (_, i) => centres.reduce((sum, c) => sum + c[i]! / 4, 0))
  const train = async (errorFeedback: boolean | undefined): Promise<number> => {
    const compressors = world.ranks.map(() =>
      errorFeedback === undefined
        ? undefined
        : new Compressor({ format: 'int8', blockElementCount: 2048, errorFeedback }),
    )
    const weights = world.ranks.map(() => new Float32Array(dimension))
    for (let step = 0; step < 300; step++)
      await onAll(world.ranks, async (comm, rank) => {
        const mine = weights[rank]!
        // Steeper along the first: its gradient sets the scale of all.
        const gradient = mine.map(
          (w, i) => (w - centres[rank]![i]!) * (i === 0 ? 1 : 0.01) + (i === 0 ? Math.sin(step) : 0),
        )
        const compressor = compressors[rank]
        const { result } = await comm.allReduce(gradient, { op: 'average', ...(compressor && { compressor }) })
        result.forEach((g, i) => (mine[i]! -= (i === 0 ? 0.1 : 10) * g))
      })
    return Math.sqrt(best.slice(1).reduce((sum, x, i) => sum + (weights[0]![i + 1]! - x) ** 2, 0))
  }
  const [exact, fed, lost] = [await train(undefined), await train(true), await train(false)]
  t.true(exact < 1e-4, `f32: ${exact}`)
  t.true(fed < 0.5 * lost, `with error feedback ${fed}, without ${lost}`)
  await world.close()
})

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
  await refused(new Float64Array(4), {}, /takes f32 and one of sum, average, adasum; op is sum, and the data is f64/)
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
