/** All-reduce by minimum, maximum and integer sums: every dtype, both schedules, every place of the result, and refusals. */
import test from 'ava'
import { AdasumError } from '../../ts/src/errors.ts'
import { createMemoryTransport } from '../transport/_memory.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import type { Communicator } from '../../ts/src/communicator/communicator.ts'
import type { AllReduceOp, FloatArray, NamedArrays, OnNonFinite, Reduction } from '../../ts/src/types.ts'
import { sampleOf } from '../_sample.ts'
import { bitsOf, failuresOf, makeWorld, onAll } from '../_world.ts'
import { FOLD_CASES, type FoldArray, type FoldCase, type FoldName, foldOracle } from '../reduction/_fold-oracle.ts'
import { widened } from '../reduction/_half.ts'

/** By number of elements: direct, single-shot with empty slices, and cut in slices and in named arrays. */
const LENGTHS: number[][] = [[1], [257], [9000], [20_000, 0, 40_001]]
const CASES = FOLD_CASES.flatMap((of) => of.ops.flatMap((op) => LENGTHS.map((segments) => ({ of, op, segments }))))

/** Reproducible bits, any at all: NaNs, infinities, subnormals and zeros of either sign among them. */
function bitsFor(rank: number, { make }: FoldCase, length: number): FoldArray {
  const array = make(length)
  const bytes = new Uint8Array(array.buffer)
  let state = 99 + rank * 7919
  for (let i = 0; i < bytes.length; i++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    bytes[i] = state >>> 24
  }
  // Runs of zeros and ones make the strange numbers frequent.
  for (let i = rank; i + 8 < bytes.length; i += 64 + rank) bytes.fill(i % 3 ? 0xff : 0, i, i + 8)
  return array
}

type Data = FoldArray | NamedArrays<FoldArray>
/** The types of the overloads say more than a loop over dtypes can. */
interface AnyRank {
  allReduce(data: Data, options: object): Promise<Reduction<Data>>
}

const fold = (comm: Communicator, data: Data, options: object): Promise<Reduction<Data>> =>
  (comm as unknown as AnyRank).allReduce(data, options)

function named(array: FoldArray, segments: readonly number[]): Record<string, FoldArray> {
  let at = 0
  return Object.fromEntries(segments.map((count, i) => [`layer ${i}`, array.slice(at, (at += count))]))
}

const allBits = (data: Data): string =>
  ArrayBuffer.isView(data) ? bitsOf(data) : Object.values(data).map(bitsOf).join()

const optionsOf = ({ dtype }: FoldCase): object => (dtype === 'f16' || dtype === 'bf16' ? { dtype } : {})

async function problemOf(ranks: Communicator[], of: FoldCase, op: FoldName, segments: number[]): Promise<string> {
  const length = segments.reduce((a, b) => a + b)
  const inputs = ranks.map((_, rank) => bitsFor(rank, of, length))
  const before = inputs.map(bitsOf)
  const want = foldOracle(op, of.dtype, inputs)
  const options = { op, ...optionsOf(of) }
  const problems: string[] = []
  const withOut = await onAll(ranks, (comm, rank) =>
    fold(comm, inputs[rank]!, { ...options, segments, out: of.make(length) }),
  )
  if (withOut.some(({ result }) => allBits(result) !== bitsOf(want))) problems.push('out')
  if (withOut.some(({ segments: told }) => told.some((segment) => 'orthogonality' in segment))) problems.push('reports')
  if (inputs.some((input, rank) => bitsOf(input) !== before[rank])) problems.push('the data beside out')
  const parts = inputs.map((input) => named(input, segments))
  await onAll(ranks, (comm, rank) => fold(comm, parts[rank]!, options))
  if (parts.some((arrays) => allBits(arrays) !== allBits(named(want, segments)))) problems.push('named, in place')
  if (of.dtype === 'f16' || of.dtype === 'bf16') {
    const wide = Float32Array.from(widened(of.dtype, want as Uint16Array))
    const asF32 = await onAll(ranks, (comm, rank) =>
      fold(comm, inputs[rank]!, { ...options, out: new Float32Array(length) }),
    )
    if (asF32.some(({ result }) => allBits(result) !== bitsOf(wide))) problems.push('out as f32')
  }
  const inPlace = await onAll(ranks, (comm, rank) => fold(comm, inputs[rank]!, options))
  if (inPlace.some(({ result }, rank) => result !== inputs[rank])) problems.push('in place: another array')
  if (inputs.some((input) => bitsOf(input) !== bitsOf(want))) problems.push('in place')
  return problems.join('; ')
}

const TRANSPORTS = {
  memory: (size: number) => createMemoryTransport({ seed: size, maxChunkByteLength: 50_000 }),
  tcp: () => tcp,
}

for (const [name, transport] of Object.entries(TRANSPORTS)) {
  for (const size of name === 'memory' ? [1, 2, 3, 5, 9] : [3]) {
    test(`${name}, ${size} ranks: every rank holds the bits of a plain loop`, async (t) => {
      const { ranks, close } = await makeWorld(size, { transport: transport(size) })
      for (const { of, op, segments } of sampleOf(`${name}, ${size} ranks`, CASES, 20))
        t.is(await problemOf(ranks, of, op, segments), '', `${op} ${of.dtype}, ${segments.join()}`)
      await close()
    })
  }
}

test('a large vector, folded off-thread and in several calls of the kernel', async (t) => {
  const { ranks, close } = await makeWorld(3)
  const length = 3_000_001
  const data = ranks.map((_, rank) => Float32Array.from({ length }, (_, i) => Math.sin(i * (rank + 1))))
  const want = foldOracle('max', 'f32', data)
  await onAll(ranks, (comm, rank) => comm.allReduce(data[rank]!, { op: 'max' }))
  t.true(data.every((array) => bitsOf(array) === bitsOf(want)))
  await close()
})

// ---- what is not finite

test('NaN is passed on by default, refused on every rank, or left out with its rank', async (t) => {
  for (const size of [2, 3]) {
    const { ranks, close } = await makeWorld(size)
    for (const length of [5, 40_000]) {
      for (const array of [Float32Array, Float64Array]) {
        const inputs = () => ranks.map((_, rank) => new array(length).fill(rank ? 3 + rank : NaN) as FloatArray)
        const call = (comm: Communicator, data: FloatArray, onNonFinite?: OnNonFinite) =>
          comm.allReduce(data, { op: 'min', ...(onNonFinite && { onNonFinite }) })
        const passedOn = await onAll(ranks, (comm, rank) => call(comm, inputs()[rank]!))
        t.true(passedOn.every(({ result }) => result.every(Number.isNaN)))
        const leftOut = await onAll(ranks, (comm, rank) => call(comm, inputs()[rank]!, 'skip'))
        t.true(leftOut.every(({ result, nonFiniteRanks }) => result.every((x) => x === 4) && nonFiniteRanks[0] === 0))
        const data = inputs()
        const errors = await failuresOf(ranks.map((comm, rank) => call(comm, data[rank]!, 'throw')))
        for (const error of errors) t.like(error, { code: 'ERR_NON_FINITE' })
        t.true(data[1]!.every((x) => x === 4))
      }
    }
    await close()
  }
})

test('f64 numbers whose squares overflow are finite to a minimum', async (t) => {
  const { ranks, close } = await makeWorld(2)
  const length = (16 << 20) / 8 + 3 // Longer than one step of the scan.
  for (const onNonFinite of ['throw', 'skip'] as const) {
    const data = ranks.map((_, rank) => new Float64Array(length).fill(1e300 * (rank + 1)))
    const results = await onAll(ranks, (comm, rank) => comm.allReduce(data[rank]!, { op: 'min', onNonFinite }))
    t.true(results.every(({ result, nonFiniteRanks }) => result[length - 1] === 1e300 && nonFiniteRanks.length === 0))
  }
  const data = ranks.map((_, rank) => new Float64Array(length).fill(1e300, 0, length - rank).fill(NaN, length - rank))
  const options = { op: 'max', onNonFinite: 'skip' } as const
  const results = await onAll(ranks, (comm, rank) => comm.allReduce(data[rank]!, options))
  t.deepEqual(
    results.map(({ nonFiniteRanks }) => nonFiniteRanks),
    [[1], [1]],
  )
  await close()
})

test('integers are always finite, whatever a rank says of those that are not', async (t) => {
  const { ranks, close } = await makeWorld(3)
  const policies = [undefined, 'throw', 'skip'] as const
  const results = await onAll(ranks, (comm, rank) =>
    comm.allReduce(Int32Array.of(-rank, rank), { op: 'sum', ...(policies[rank] && { onNonFinite: policies[rank] }) }),
  )
  for (const { result, nonFiniteRanks } of results) {
    t.deepEqual(result, Int32Array.of(-3, 3))
    t.deepEqual(nonFiniteRanks, [])
  }
  await close()
})

// ---- ranks that disagree, and what is refused

for (const [name, transport] of Object.entries(TRANSPORTS)) {
  test(`${name}: another op or dtype on one rank is a mismatch that says so`, async (t) => {
    for (const length of [100, 50_000]) {
      const others: [FoldArray, AllReduceOp, says: string][] = [
        [new Int32Array(length), 'max', 'max i32'],
        [new Int32Array(length), 'sum', 'sum i32'],
        [new Uint32Array(length), 'min', 'min u32'],
        [new Float32Array(length), 'average', 'average f32'],
      ]
      for (const [data, op, says] of others) {
        const { ranks, close } = await makeWorld(3, { transport: transport(3) })
        const errors = await failuresOf(
          ranks.map((comm) =>
            comm.rank === 1 ? fold(comm, data.slice(), { op }) : comm.allReduce(new Int32Array(length), { op: 'min' }),
          ),
        )
        for (const error of errors) t.true(error instanceof AdasumError && error.code === 'ERR_MISMATCH')
        t.regex(errors[0]!.message, new RegExp(`Rank 0: min i32\\[${length}\\]; rank 1.*: ${says}\\[${length}\\]`))
        await close()
      }
    }
  })
}

test('types: integers take sum, min and max, and give arrays of their kind', async (t) => {
  const { ranks, close } = await makeWorld(1)
  const [comm] = ranks as [Communicator]
  const counts: Int32Array = (await comm.allReduce(Int32Array.of(1), { op: 'sum' })).result
  const steps: BigUint64Array = (await comm.allReduce(BigUint64Array.of(2n), { op: 'max' })).result
  const both: { a: Uint8Array } = (await comm.allReduce({ a: Uint8Array.of(3) }, { op: 'min' })).result
  const floats: Float64Array = (await comm.allReduce(Float64Array.of(4), { op: 'min' })).result
  t.deepEqual([counts[0], steps[0], both.a[0], floats[0]], [1, 2n, 3, 4])
  // @ts-expect-error integers cannot be averaged
  await t.throwsAsync(comm.allReduce(counts, { op: 'average' }), { code: 'ERR_ARGUMENT' })
  await close()
})
