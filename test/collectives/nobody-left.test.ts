/** `onNonFinite: 'skip'` where no rank's input is finite: the result is zero on every rank, to the bit, whatever is asked for. */
import test from 'ava'
import { Compressor } from '../../ts/src/compressor.ts'
import { adasum, adasumSync, average, averageSync, sum, sumSync } from '../../ts/src/reduction/local.ts'
import type {
  AllReduceAlgorithm,
  AllReduceOp,
  AllReduceOptions,
  ReducibleArray,
  Reduction,
} from '../../ts/src/types.ts'
import { makeWorld, onAll } from '../_world.ts'

const OPS: readonly AllReduceOp[] = ['adasum', 'sum', 'average', 'min', 'max']
const DTYPES = {
  f32: (length: number) => new Float32Array(length),
  f64: (length: number) => new Float64Array(length),
  f16: (length: number) => new Uint16Array(length),
  bf16: (length: number) => new Uint16Array(length),
}
type DtypeName = keyof typeof DTYPES

/** Another number on every rank, with something that is not finite among them. */
function inputOf(dtype: DtypeName, length: number, rank: number): ReducibleArray {
  const input = DTYPES[dtype](length)
  // For half formats these are the bits of a moderate number and of an infinity.
  const infinity = { f16: 0x7c00, bf16: 0xff80, f32: -Infinity, f64: NaN }[dtype]
  input.fill(dtype.endsWith('16') ? 0x3c00 + rank : rank + 0.5)
  input[(7 * rank) % length] = infinity
  return input
}

const isZero = (array: ReducibleArray): boolean =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength).every((byte) => byte === 0)

type Options = AllReduceOptions<Float32Array>

for (const [size, algorithms] of Object.entries({
  1: ['auto'],
  2: ['direct', 'single-shot', 'levels'],
  4: ['direct', 'single-shot', 'rvh'],
  17: ['levels'],
} satisfies Record<number, AllReduceAlgorithm[]>))
  test(`all-reduce of ${size}: every op, dtype and schedule, in place and with out`, async (t) => {
    const world = await makeWorld(Number(size))
    for (const algorithm of algorithms)
      for (const op of OPS)
        for (const dtype of Object.keys(DTYPES) as DtypeName[])
          for (const [length, more] of [
            [9, {}],
            [9000, { segments: [1000, 8000], bucketBytes: 2000 }],
          ] as const) {
            const half = dtype.endsWith('16') && { dtype }
            const outs = [() => undefined, DTYPES[dtype], ...(half ? [DTYPES.f32] : [])]
            for (const outOf of outs) {
              const got = await onAll(world.ranks, (comm, rank) => {
                const out = outOf(length)?.fill(7)
                const options = { op, algorithm, onNonFinite: 'skip', ...half, ...more, ...(out && { out }) }
                return comm.allReduce(inputOf(dtype, length, rank) as Float32Array, options as Options)
              })
              const what = `${algorithm}, ${op}, ${dtype}, ${length}`
              for (const { result, nonFiniteRanks } of got) {
                t.true(isZero(result), what)
                t.is(nonFiniteRanks.length, Number(size), what)
              }
            }
          }
    await world.close()
  })

test('reduce-scatter, with counts and without', async (t) => {
  const world = await makeWorld(3)
  for (const op of OPS)
    for (const dtype of Object.keys(DTYPES) as DtypeName[])
      for (const counts of [undefined, [0, 5000, 1000]])
        for (const { result } of await onAll(world.ranks, (comm, rank) =>
          comm.reduceScatter(inputOf(dtype, 6000, rank) as Float32Array, {
            ...{ op, onNonFinite: 'skip', ...(counts && { counts }) },
            ...((dtype.endsWith('16') && { dtype }) as object),
          }),
        ))
          t.true(isZero(result), `${op}, ${dtype}`)
  await world.close()
})

test('by machines, and compressed', async (t) => {
  const world = await makeWorld(4, { machineOf: (rank) => rank >> 1 })
  const compressors = world.ranks.map(() => new Compressor({ format: 'int8' }))
  for (const length of [50, 9000])
    for (const more of ['adasum', 'sum', 'average'].flatMap((hierarchy) => [
      { hierarchy },
      { hierarchy, compressor: true },
      { op: hierarchy, compressor: true },
      { op: hierarchy, compressor: true, algorithm: 'direct' },
    ]))
      for (const { result } of await onAll(world.ranks, (comm, rank) => {
        const compressor = 'compressor' in more && { compressor: compressors[rank]! }
        const options = { op: 'adasum', onNonFinite: 'skip', ...more, ...compressor }
        return comm.allReduce(inputOf('f32', length, rank) as Float32Array, options as Options)
      }))
        t.true(isZero(result), JSON.stringify(more))
  await world.close()
})

test('micro-batches: of one rank, and of all', async (t) => {
  const world = await makeWorld(3)
  for (const op of ['adasum', 'sum', 'average'] as const)
    for (const local of ['adasum', 'sum', 'average'] as const)
      for (const count of [1, 3]) {
        const batches = (rank: number): Float32Array[] =>
          Array.from({ length: count }, (_, i) => inputOf('f32', 3000, rank + i) as Float32Array)
        const options = { op, local, onNonFinite: 'skip' } as const
        const got = await onAll(world.ranks, (comm, rank) => comm.allReduce(batches(rank), options))
        for (const { result, nonFiniteRanks, local: own } of got) {
          t.true(isZero(result), `${op}, ${local}`)
          t.deepEqual(nonFiniteRanks, [0, 1, 2])
          t.is(own!.nonFiniteInputs.length, count)
        }
        // A rank that has none is left out like any other, and not taken for one whose gradient is zero.
        const ones = (rank: number): Float32Array[] => (rank === 1 ? batches(1) : [new Float32Array(3000).fill(1)])
        const others = await onAll(world.ranks, (comm, rank) =>
          comm.allReduce(ones(rank), { ...options, op: 'average', out: new Float32Array(3000) }),
        )
        for (const { result, nonFiniteRanks } of others) {
          t.true(result.every((x) => x === 1))
          t.deepEqual(nonFiniteRanks, [1])
        }
      }
  await world.close()
})

test('in one process', async (t) => {
  for (const dtype of Object.keys(DTYPES) as DtypeName[])
    for (const call of [adasum, sum, average, adasumSync, sumSync, averageSync]) {
      const half = dtype.endsWith('16') && { dtype }
      for (const outOf of [() => undefined, DTYPES[dtype], ...(half ? [DTYPES.f32] : [])]) {
        const inputs = [inputOf(dtype, 300, 0), inputOf(dtype, 300, 1)]
        const copies = inputs.map((input) => input.slice())
        const out = outOf(300)?.fill(7)
        const options = { onNonFinite: 'skip', ...half, ...(out && { out }) } as object
        const { result, nonFiniteRanks } = (await call(inputs as never, options as never)) as Reduction
        t.true(isZero(result), `${call.name}, ${dtype}`)
        t.deepEqual(nonFiniteRanks, [0, 1])
        t.deepEqual(inputs, copies)
      }
    }
})
