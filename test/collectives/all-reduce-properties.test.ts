/** All-reduce on random worlds, layouts, dtypes, options and inputs, against the local function with the same inputs. */
import test from 'ava'
import { reduceSync } from '../../ts/src/reduction/local.ts'
import { createMemoryTransport } from '../transport/_memory.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import type {
  AllReduceAlgorithm,
  HalfDtype,
  NamedArrays,
  OnNonFinite,
  Operator,
  ReduceOp,
  ReducibleArray,
  Reduction,
} from '../../ts/src/types.ts'
import { fc, runsOf } from '../_property.ts'
import { sampleOf } from '../_sample.ts'
import { type World, bitsOf, makeWorld, onAll } from '../_world.ts'
import { halfFamilyOf, round } from '../reduction/_half.ts'
import { FAMILIES, familyOf } from '../reduction/_oracle.ts'

const NEW = {
  f32: (length: number) => new Float32Array(length),
  f64: (length: number) => new Float64Array(length),
  f16: (length: number) => new Uint16Array(length),
  bf16: (length: number) => new Uint16Array(length),
}
type AnyDtype = keyof typeof NEW

interface Call {
  op: ReduceOp | Operator
  /** One that stores nothing in between: for up to 16 ranks all of them but rvh. */
  algorithm?: AllReduceAlgorithm
  dtype: AnyDtype
  family: string
  segments: number[]
  named: boolean
  /** A bit for each rank: whether it gives an `out`. */
  withOut: number
  /** Half formats only: every rank gives an `out` of f32. */
  asF32: boolean
  coefficients: boolean
  onNonFinite: OnNonFinite
  /** A bit for each rank: whether its input has a NaN in it. */
  bad: number
  seed: number
}

const OPERATORS: Operator[] = [
  { name: 'adasum', kappa: 0.25 },
  { name: 'adascale', cap: 2 },
  { name: 'adacons' },
  { name: 'gaf', tau: 0.98 },
  { name: 'custom', coefficients: (gram) => gram.map((products, i) => 1 / (1 + i + Math.abs(products[0]!))) },
]

const anyCall: fc.Arbitrary<Call> = fc.record({
  op: fc.constantFrom<ReduceOp | Operator>(
    ...(['sum', 'average', 'adasum', 'adasum', 'adasum'] as const),
    ...OPERATORS,
  ),
  algorithm: fc.constantFrom<AllReduceAlgorithm>('auto', 'auto', 'direct', 'single-shot', 'levels'),
  dtype: fc.constantFrom<AnyDtype>('f32', 'f64', 'f16', 'bf16'),
  family: fc.constantFrom(...Object.keys(FAMILIES)),
  segments: fc
    .array(fc.oneof(fc.constantFrom(0, 1, 2047, 2048, 2049, 6145), fc.nat(20_000)), { minLength: 1, maxLength: 7 })
    .map((counts) => (counts.some((count) => count > 0) ? counts : [...counts, 1])),
  named: fc.boolean(),
  withOut: fc.nat(0xffff),
  asF32: fc.boolean(),
  coefficients: fc.boolean(),
  onNonFinite: fc.constantFrom<OnNonFinite>('throw', 'skip', 'propagate'),
  bad: fc.oneof(fc.constant(0), fc.nat(0xffff), fc.constant(0xffff)),
  seed: fc.nat(1e6),
})

const hasBit = (bits: number, rank: number): boolean => ((bits >> rank) & 1) === 1
const nameOf = (segment: number): string => `layer ${segment}`

const halfOf = ({ dtype }: Call): HalfDtype | undefined => (dtype === 'f16' || dtype === 'bf16' ? dtype : undefined)
const isAsF32 = (call: Call): boolean => call.asF32 && halfOf(call) !== undefined

/** The array as the call wants it: itself, or cut into named ones. */
function wrap(array: ReducibleArray, { named, segments }: Call): ReducibleArray | NamedArrays<ReducibleArray> {
  if (!named) return array
  let at = 0
  return Object.fromEntries(segments.map((count, i) => [nameOf(i), array.slice(at, (at += count))]))
}

function unwrap(data: ReducibleArray | NamedArrays<ReducibleArray>): ReducibleArray {
  if (ArrayBuffer.isView(data)) return data
  const parts = Object.values(data)
  const type = parts[0]!.constructor as new (length: number) => ReducibleArray
  const array = new type(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) array.set(part, (at += part.length) - part.length)
  return array
}

function inputsOf(call: Call, size: number): ReducibleArray[] {
  const { dtype, family, segments, bad, seed } = call
  const length = segments.reduce((a, b) => a + b)
  const [options, half] = [{ count: size, length, seed }, halfOf(call)]
  const inputs: ReducibleArray[] = half
    ? halfFamilyOf(half, family, options)
    : familyOf<Float32Array | Float64Array>(family, NEW[dtype as 'f32' | 'f64'], options)
  inputs.forEach((input, rank) => {
    const value = rank % 2 ? NaN : -Infinity
    if (hasBit(bad, rank)) input[seed % length] = half ? round(half, value) : value
  })
  return inputs
}

/** What the call must give, or the code with which it must fail. */
function locally(call: Call, inputs: ReducibleArray[]): Reduction | string {
  const { op, segments, coefficients, onNonFinite, named } = call
  const out = isAsF32(call) ? new Float32Array(inputs[0]!.length) : undefined
  try {
    const options = { segments, coefficients, onNonFinite, ...dtypeOption(call), ...(out && { out }) }
    const want: Reduction = reduceSync(inputs, { ...options, op })
    if (named) want.segments.forEach((segment, i) => (segment.name = nameOf(i)))
    return want
  } catch (error) {
    return (error as { code: string }).code
  }
}

function dtypeOption(call: Call): { dtype?: HalfDtype } {
  const dtype = halfOf(call)
  return dtype ? { dtype } : {}
}

/** Starts a call on all ranks; the returned function checks what has come of it. */
function start(world: World, call: Call): () => Promise<void> {
  const inputs = inputsOf(call, world.ranks.length)
  const before = inputs.map(bitsOf)
  const data = inputs.map((input) => wrap(input.slice(), call))
  const whole = NEW[isAsF32(call) ? 'f32' : call.dtype]
  const out = inputs.map((input, rank) =>
    hasBit(call.withOut, rank) || isAsF32(call) ? wrap(whole(input.length), call) : undefined,
  )
  const { op, algorithm = 'auto', coefficients, onNonFinite, named, segments } = call
  const options = { op, algorithm, coefficients, onNonFinite, ...dtypeOption(call), ...(!named && { segments }) }
  const results = Promise.allSettled(
    world.ranks.map((comm, rank) => comm.allReduce(data[rank]!, { ...options, ...(out[rank] && { out: out[rank] }) })),
  )
  const want = locally(call, inputs)
  return async () => {
    const messages = new Set<string>()
    for (const [rank, result] of (await results).entries()) {
      const where = `rank ${rank}`
      if (typeof want === 'string' || result.status === 'rejected') {
        const { code, message } =
          result.status === 'rejected' ? (result.reason as NodeJS.ErrnoException) : { code: 'none' }
        equal(code, typeof want === 'string' ? want : 'none', where)
        equal(bitsOf(unwrap(data[rank]!)), before[rank], `${where}: the data after a failure`)
        messages.add(message!)
        continue
      }
      const { value } = result
      equal(value.result === (out[rank] ?? data[rank]), true, `${where}: the place of the result`)
      equal(value.nonFiniteRanks.join(), want.nonFiniteRanks.join(), `${where}: nonFiniteRanks`)
      equal(JSON.stringify(value.segments), JSON.stringify(want.segments), `${where}: segments`)
      equal(bitsOf(unwrap(value.result)), bitsOf(want.result), `${where}: the result`)
      if (out[rank]) equal(bitsOf(unwrap(data[rank]!)), before[rank], `${where}: the data beside out`)
    }
    equal(messages.size <= 1, true, 'one message on all ranks')
  }
}

function equal<T>(actual: T, expected: T, what: string): void {
  if (actual !== expected) throw new Error(`${what}: ${String(actual)}, expected ${String(expected)}`)
}

test('memory: any calls, side by side, give the bits and reports of the local function on every rank', async (t) => {
  const anyWorld = fc.record({
    size: fc.integer({ min: 1, max: 16 }),
    seed: fc.nat(1e6),
    chunk: fc.constantFrom(1000, 50_000, 1 << 20),
  })
  await fc.assert(
    fc.asyncProperty(
      anyWorld,
      fc.array(anyCall, { minLength: 1, maxLength: 4 }),
      async ({ size, seed, chunk }, calls) => {
        const transport = createMemoryTransport({ seed, maxChunkByteLength: chunk })
        const world = await makeWorld(size, { transport })
        const checks = calls.map((call) => start(world, call))
        for (const check of checks) await check()
        await onAll(world.ranks, (comm) => comm.barrier())
        await world.close()
        // Where goodbyes took too long, pipes are cut off, which they tell in a later turn.
        await Promise.all([...transport.pipes].map((pipe) => pipe.closed))
        return transport.pipes.size === 0
      },
    ),
    { numRuns: runsOf(25) },
  )
  t.pass()
})

test('sockets: the same', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 2, max: 6 }),
      fc.array(anyCall, { minLength: 1, maxLength: 3 }),
      async (size, calls) => {
        const world = await makeWorld(size, { transport: tcp })
        for (const check of calls.map((call) => start(world, call))) await check()
        await world.close()
      },
    ),
    { numRuns: runsOf(10) },
  )
  t.pass()
})

// Nodes of the tree that cancel all but completely are measured anew, in rounds among the ranks that share the segment.
for (const dtype of ['f32', 'f64', 'f16', 'bf16'] as const) {
  test(`${dtype}: tree nodes that cancel are measured across ranks and give the bits of the local function`, async (t) => {
    // Rounding to a half format by its definition takes its time.
    for (const size of dtype === 'f32' || dtype === 'f64' ? sampleOf(dtype, [3, 4, 7, 8, 13, 16], 3) : [3, 8]) {
      const world = await makeWorld(size, {
        transport: createMemoryTransport({ seed: size, maxChunkByteLength: 100_000 }),
      })
      for (const segments of [[70_000], [100, 30_000, 0, 40_000, 7]]) {
        for (const onNonFinite of ['throw', 'skip'] as const) {
          const bad = onNonFinite === 'skip' ? 0b10 : 0
          const common = {
            op: 'adasum',
            dtype,
            segments,
            named: false,
            withOut: 0b101,
            asF32: true,
            coefficients: true,
          } as const
          const call = { ...common, family: 'alternating sign, 1e-4 noise', onNonFinite, bad, seed: size }
          await t.notThrowsAsync(start(world, call), `${size} ranks, segments ${segments.join()}`)
          const exact = { ...call, family: 'alternating sign, no noise' }
          await t.notThrowsAsync(start(world, exact), `${size} ranks, no noise`)
        }
      }
      await world.close()
    }
  })
}
