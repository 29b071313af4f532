/** All-reduce of f16 and bf16: both schedules, in place and not, stored as they are and as f32, and ranks that disagree. */
import test from 'ava'
import { AdasumError } from '../../ts/src/errors.ts'
import { adasumSync, averageSync, sumSync } from '../../ts/src/reduction/local.ts'
import { createMemoryTransport } from '../transport/_memory.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import type { Communicator } from '../../ts/src/communicator/communicator.ts'
import type { HalfDtype, ReduceOp } from '../../ts/src/types.ts'
import { sampleOf } from '../_sample.ts'
import { bitsOf, failuresOf, makeWorld, onAll, vectorOf } from '../_world.ts'
import { HALF_DTYPES, halvesOf } from '../reduction/_half.ts'

const LOCAL = { sum: sumSync, average: averageSync, adasum: adasumSync }
const TRANSPORTS = {
  memory: (size: number) => createMemoryTransport({ seed: size, maxChunkByteLength: 50_000 }),
  tcp: () => tcp,
}

/** Direct up to 16,384 elements (and for two ranks); single-shot with segments cut across ranks and empty slices. */
const CASES: number[][] = [[1], [257], [2048, 1], [16_384], [16_385], [3, 0, 9000, 10_997], [20_000, 40_001]]
const MOST = CASES.reduce((most, segments) => Math.max(most, lengthOf(segments)), 0)

function lengthOf(segments: readonly number[]): number {
  return segments.reduce((a, b) => a + b)
}

const cached = new Map<string, Uint16Array>()

function inputOf(dtype: HalfDtype, rank: number, length: number): Uint16Array {
  const key = `${dtype} ${rank}`
  if (!cached.has(key)) cached.set(key, halvesOf(dtype, vectorOf(new Float64Array(MOST), rank)))
  return cached.get(key)!.slice(0, length)
}

/** An array as an object of named ones, one a segment. */
function named<A extends Uint16Array | Float32Array>(array: A, segments: readonly number[]): Record<string, A> {
  let at = 0
  return Object.fromEntries(segments.map((count, i) => [`layer ${i}`, array.slice(at, (at += count)) as A]))
}

const allBits = (arrays: Record<string, ArrayBufferView>): string => Object.values(arrays).map(bitsOf).join()

/** In the four ways to say where the result goes: what each rank got and what it had to get. */
async function problemOf(
  ranks: Communicator[],
  dtype: HalfDtype,
  op: ReduceOp,
  segments: number[],
): Promise<string | undefined> {
  const length = lengthOf(segments)
  const inputs = ranks.map((_, rank) => inputOf(dtype, rank, length))
  const local = { dtype, segments, coefficients: true } as const
  const want = LOCAL[op](inputs, local)
  const wide = LOCAL[op](inputs, { ...local, out: new Float32Array(length) })
  const options = { op, ...local }
  const before = inputs.map(bitsOf)
  const withOut = await onAll(ranks, (comm, rank) =>
    comm.allReduce(inputs[rank]!, { ...options, out: new Uint16Array(length) }),
  )
  if (withOut.some(({ result }) => bitsOf(result) !== bitsOf(want.result))) return 'out'
  const asF32 = await onAll(ranks, (comm, rank) =>
    comm.allReduce(inputs[rank]!, { ...options, out: new Float32Array(length) }),
  )
  if (asF32.some(({ result }) => bitsOf(result) !== bitsOf(wide.result))) return 'out as f32'
  const reports = [...withOut, ...asF32].map((reduction) => JSON.stringify(reduction.segments))
  if (reports.some((report) => report !== JSON.stringify(want.segments))) return 'the reports'
  if (inputs.some((input, rank) => bitsOf(input) !== before[rank])) return 'the data beside out'
  const inPlace = await onAll(ranks, (comm, rank) => comm.allReduce(inputs[rank]!, options))
  if (inPlace.some(({ result }, rank) => result !== inputs[rank])) return 'in place: another array'
  if (inputs.some((input) => bitsOf(input) !== bitsOf(want.result))) return 'in place'
  return undefined
}

async function namedProblemOf(
  ranks: Communicator[],
  dtype: HalfDtype,
  segments: number[],
): Promise<string | undefined> {
  const length = lengthOf(segments)
  const inputs = ranks.map((_, rank) => inputOf(dtype, rank, length))
  const want = adasumSync(inputs, { dtype, segments }).result
  const wide = adasumSync(inputs, { dtype, segments, out: new Float32Array(length) }).result
  const options = { op: 'adasum', dtype } as const
  const data = inputs.map((input) => named(input, segments))
  const asF32 = await onAll(ranks, (comm, rank) =>
    comm.allReduce(data[rank]!, { ...options, out: named(new Float32Array(length), segments) }),
  )
  if (asF32.some(({ result }) => allBits(result) !== allBits(named(wide, segments)))) return 'named, out as f32'
  const withOut = await onAll(ranks, (comm, rank) =>
    comm.allReduce(data[rank]!, { ...options, out: named(new Uint16Array(length), segments) }),
  )
  if (withOut.some(({ result }) => allBits(result) !== allBits(named(want, segments)))) return 'named, out'
  await onAll(ranks, (comm, rank) => comm.allReduce(data[rank]!, options))
  if (data.some((arrays) => allBits(arrays) !== allBits(named(want, segments)))) return 'named, in place'
  return undefined
}

for (const [name, transport] of Object.entries(TRANSPORTS)) {
  for (const size of [1, 2, 3, 4, 5, 9]) {
    test(`${name}, ${size} ranks: every rank holds the bits of the local function`, async (t) => {
      const { ranks, close } = await makeWorld(size, { transport: transport(size) })
      for (const dtype of HALF_DTYPES) {
        for (const segments of sampleOf(`${name}, ${size} ranks, ${dtype}`, CASES, 3)) {
          const ops: ReduceOp[] = name === 'memory' ? ['sum', 'average', 'adasum'] : ['adasum']
          for (const op of ops)
            t.is(await problemOf(ranks, dtype, op, segments), undefined, `${op} ${dtype}, ${segments.join()}`)
          t.is(await namedProblemOf(ranks, dtype, segments), undefined, `${dtype}, ${segments.join()}`)
        }
      }
      await close()
    })
  }
}

test('if all ranks are left out the result is zero, as f32 if that is asked for', async (t) => {
  for (const size of [1, 2, 3, 9]) {
    const { ranks, close } = await makeWorld(size)
    for (const dtype of HALF_DTYPES) {
      for (const segments of [[5], [100, 20_000]]) {
        const numbers = ranks.map((_, rank) => new Float32Array(lengthOf(segments)).fill(rank + 0.5))
        numbers.forEach((list, rank) => (list[rank % 5] = rank % 2 ? NaN : -Infinity))
        const inputs = numbers.map((list) => halvesOf(dtype, list))
        const options = { op: 'adasum', dtype, onNonFinite: 'skip' } as const
        const plain = await onAll(ranks, (comm, rank) =>
          comm.allReduce(inputs[rank]!, { ...options, out: new Float32Array(numbers[0]!.length) }),
        )
        const parts = await onAll(ranks, (comm, rank) =>
          comm.allReduce(named(inputs[rank]!, segments), {
            ...options,
            out: named(new Float32Array(numbers[0]!.length), segments),
          }),
        )
        for (const [rank, { length }] of numbers.entries()) {
          const zeros = new Float32Array(length)
          t.is(bitsOf(plain[rank]!.result), bitsOf(zeros), `rank ${rank} of ${size}`)
          t.is(allBits(parts[rank]!.result), allBits(named(zeros, segments)), `rank ${rank} of ${size}, named`)
          t.is(plain[rank]!.nonFiniteRanks.length, size)
        }
        const inPlace = await onAll(ranks, (comm, rank) => comm.allReduce(inputs[rank]!, options))
        for (const [rank, { result }] of inPlace.entries())
          t.is(bitsOf(result), bitsOf(new Uint16Array(numbers[rank]!.length)), `rank ${rank} of ${size}, in place`)
      }
    }
    await close()
  }
})

test('what is not finite on one rank is refused on all, and leaves out and data alone', async (t) => {
  for (const size of [2, 3]) {
    const { ranks, close } = await makeWorld(size)
    for (const length of [5, 40_000]) {
      const data = ranks.map((_, rank) => inputOf('bf16', rank, length))
      data[1]![length - 1] = 0x7f80
      const before = data.map(bitsOf)
      const failures = await failuresOf(
        ranks.map((comm, rank) =>
          comm.allReduce(data[rank]!, { op: 'adasum', dtype: 'bf16', out: new Float32Array(length) }),
        ),
      )
      for (const error of failures) t.like(error, { code: 'ERR_NON_FINITE' })
      t.deepEqual(data.map(bitsOf), before)
    }
    await onAll(ranks, (comm) => comm.barrier())
    await close()
  }
})

// ---- ranks that disagree

type Call = (comm: Communicator, data: Uint16Array) => Promise<unknown>
const bf16: Call = (comm, data) => comm.allReduce(data, { op: 'adasum', dtype: 'bf16' })
/** The address of the one that is a peer. */
const AT = '(?: \\(\\S+\\))?'
const DEVIATIONS: Record<string, [deviate: Call, says: (length: number) => string]> = {
  'the other half format': [
    (comm, data) => comm.allReduce(data, { op: 'adasum', dtype: 'f16' }),
    (length) => `adasum bf16\\[${length}\\]; rank 1${AT}: adasum f16\\[${length}\\]\\. `,
  ],
  'a result as f32': [
    (comm, data) => comm.allReduce(data, { op: 'adasum', dtype: 'bf16', out: new Float32Array(data.length) }),
    (length) => `adasum bf16\\[${length}\\], result bf16; rank 1${AT}: adasum bf16\\[${length}\\], result f32\\. `,
  ],
  'data in f32': [
    (comm, data) => comm.allReduce(new Float32Array(data.length), { op: 'adasum' }),
    (length) => `adasum bf16\\[${length}\\]; rank 1${AT}: adasum f32\\[${length}\\]\\. `,
  ],
  'the bits, as they are': [
    (comm, data) => comm.broadcast(data),
    (length) => `adasum bf16\\[${length}\\]; rank 1${AT}: broadcast u16\\[${length}\\] `,
  ],
}

for (const [name, transport] of Object.entries(TRANSPORTS)) {
  for (const [what, [deviate, says]] of Object.entries(DEVIATIONS)) {
    test(`${name}: ${what} on one rank is a mismatch that says so`, async (t) => {
      for (const size of [2, 3]) {
        for (const length of [100, 50_000]) {
          const world = await makeWorld(size, { transport: transport(size) })
          const data = world.ranks.map((_, rank) => inputOf('bf16', rank, length))
          const before = data.map(bitsOf)
          const calls = world.ranks.map((comm, rank) => (rank === 1 ? deviate : bf16)(comm, data[rank]!))
          const errors = await failuresOf(calls)
          for (const error of errors) t.true(error instanceof AdasumError && error.code === 'ERR_MISMATCH')
          t.regex(errors[0]!.message, new RegExp(`differs\\. Rank 0${AT}: ${says(length)}`))
          t.deepEqual(data.map(bitsOf), before)
          await world.close()
        }
      }
    })
  }
}

// ---- types: the compiler checks these, and that the wrong ones are errors

test('a result has the type of the data, or of the Float32Arrays that are to hold it', async (t) => {
  const { ranks, close } = await makeWorld(1)
  const [comm] = ranks as [Communicator]
  const half: Uint16Array = new Uint16Array(3)
  const options = { op: 'adasum', dtype: 'bf16' } as const
  const same: Uint16Array = (await comm.allReduce(half, options)).result
  const wide: Float32Array = (await comm.allReduce(half, { ...options, out: new Float32Array(3) })).result
  const layers: { a: Uint16Array } = (await comm.allReduce({ a: half }, options)).result
  const wideLayers: { a: Float32Array } = (
    await comm.allReduce({ a: half }, { ...options, out: { a: new Float32Array(3) } })
  ).result
  const out: Float64Array = new Float64Array(3)
  t.is((await comm.allReduce(new Float64Array(3), { op: 'sum', out })).result, out)
  t.true([same, wide, layers.a, wideLayers.a].every(({ length }) => length === 3))
  await close()
})

export async function refusedByTheCompiler(comm: Communicator, half: Uint16Array, single: Float32Array) {
  const options = { op: 'adasum', dtype: 'f16' } as const
  // @ts-expect-error the result is a Uint16Array
  const wide: Float32Array = (await comm.allReduce(half, options)).result
  // @ts-expect-error the result is the Float32Array
  const narrow: Uint16Array = (await comm.allReduce(half, { ...options, out: single })).result
  // @ts-expect-error no such dtype
  await comm.allReduce(half, { op: 'adasum', dtype: 'f64' })
  // @ts-expect-error half formats are stored as they are or as f32
  await comm.allReduce(half, { ...options, out: new Float64Array(3) })
  // @ts-expect-error f64 is not stored as f32
  await comm.allReduce(new Float64Array(3), { op: 'sum', out: single })
  return [wide, narrow]
}
