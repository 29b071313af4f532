/** Long vectors under the direct schedule, which are reduced while they come. */
import anyTest from 'ava'
import type { AdasumError } from '../../ts/src/errors.ts'
import { adasumSync, averageSync, sumSync } from '../../ts/src/reduction/local.ts'
import { createMemoryTransport } from '../transport/_memory.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import type { OnNonFinite, ReduceOp } from '../../ts/src/types.ts'
import { bitsOf, failuresOf, makeWorld, onAll, vectorOf } from '../_world.ts'

const test = anyTest.serial

const LOCAL = { sum: sumSync, average: averageSync, adasum: adasumSync }
const TRANSPORTS = {
  memory: () => createMemoryTransport(),
  'memory in random pieces': () => createMemoryTransport({ seed: 5, maxChunkByteLength: 300_000 }),
  tcp: () => tcp,
}
/** One large segment; large and small ones, and an empty one. */
const SEGMENTS = [[1_200_007], [7, 600_000, 0, 3000, 597_000]]
const LENGTH = 1_200_007

const inputsOf = (size: number): Float32Array[] =>
  Array.from({ length: size }, (_, rank) => vectorOf(new Float32Array(LENGTH), rank))

for (const [name, create] of Object.entries(TRANSPORTS))
  test(`${name}: the bits of the local function, in place and into out`, async (t) => {
    for (const size of [2, 3]) {
      const world = await makeWorld(size, { transport: create() })
      const inputs = inputsOf(size)
      for (const segments of SEGMENTS)
        for (const op of ['sum', 'average', 'adasum'] as const) {
          const options = { op, segments, algorithm: 'direct', coefficients: op === 'adasum' } as const
          const { op: _, algorithm: __, ...local } = options
          const want = LOCAL[op](inputs, local)
          const data = inputs.map((input) => input.slice())
          const intoOut = await onAll(world.ranks, (comm, rank) =>
            comm.allReduce(data[rank]!, { ...options, out: new Float32Array(LENGTH) }),
          )
          t.deepEqual(data.map(bitsOf), inputs.map(bitsOf))
          const inPlace = await onAll(world.ranks, (comm, rank) => comm.allReduce(data[rank]!, options))
          for (const { result, segments: report } of [...intoOut, ...inPlace]) {
            t.is(bitsOf(result), bitsOf(want.result))
            t.deepEqual(report, want.segments)
          }
        }
      await world.close()
    }
  })

test('f64, whose chunks are half as many elements, and halves stored as f32', async (t) => {
  const world = await makeWorld(2)
  const doubles = [0, 1].map((rank) => vectorOf(new Float64Array(300_001), rank))
  const want = adasumSync(doubles)
  for (const { result } of await onAll(world.ranks, (comm, rank) =>
    comm.allReduce(doubles[rank]!.slice(), { op: 'adasum' }),
  ))
    t.is(bitsOf(result), bitsOf(want.result))
  const halves = [0, 1].map((rank) =>
    Uint16Array.from({ length: 700_000 }, (_, i) => 0x3f00 + ((i * 31 + rank * 7) % 199)),
  )
  const wide = adasumSync(halves, { dtype: 'bf16', out: new Float32Array(700_000) })
  const got = await onAll(world.ranks, (comm, rank) =>
    comm.allReduce(halves[rank]!, { op: 'adasum', dtype: 'bf16', out: new Float32Array(700_000) }),
  )
  for (const { result } of got) t.is(bitsOf(result), bitsOf(wide.result))
  await world.close()
})

test('minimum and integer sums', async (t) => {
  const world = await makeWorld(2)
  const inputs = [0, 1].map((rank) => Int32Array.from({ length: 400_000 }, (_, i) => (i * 7919 * (rank + 1)) | 0))
  for (const op of ['sum', 'min'] as const) {
    const want = inputs[0]!.map((x, i) => (op === 'sum' ? x + inputs[1]![i]! : Math.min(x, inputs[1]![i]!)))
    const got = await onAll(world.ranks, (comm, rank) => comm.allReduce(inputs[rank]!.slice(), { op }))
    for (const { result } of got) t.is(bitsOf(result), bitsOf(want))
  }
  await world.close()
})

for (const op of ['adasum', 'sum'] satisfies ReduceOp[]) {
  test(`${op}: an input that is not finite is refused on all ranks; no input is changed, and the group lives on`, async (t) => {
    for (const size of [2, 3]) {
      const world = await makeWorld(size)
      const inputs = inputsOf(size)
      inputs[1]![LENGTH - 1] = NaN
      for (const segments of SEGMENTS) {
        const data = inputs.map((input) => input.slice())
        const options = { op, segments, algorithm: 'direct', onNonFinite: 'throw' } as const
        for (const withOut of [true, false]) {
          const calls = world.ranks.map((comm, rank) =>
            comm.allReduce(data[rank]!, { ...options, ...(withOut && { out: new Float32Array(LENGTH) }) }),
          )
          for (const error of await failuresOf(calls)) t.is((error as AdasumError).code, 'ERR_NON_FINITE')
        }
        t.deepEqual(data.map(bitsOf), inputs.map(bitsOf))
      }
      await world.close()
    }
  })

  test(`${op}: left out, or left out on every rank`, async (t) => {
    const world = await makeWorld(3)
    const inputs = inputsOf(3)
    const options = { op, algorithm: 'direct', onNonFinite: 'skip' as OnNonFinite } as const
    for (const broken of [[2], [0, 2], [0, 1, 2]]) {
      for (const rank of broken) inputs[rank]![11] = Infinity
      for (const segments of SEGMENTS) {
        const want = LOCAL[op](inputs, { segments, onNonFinite: 'skip' })
        const data = inputs.map((input) => input.slice())
        const got = await onAll(world.ranks, (comm, rank) => comm.allReduce(data[rank]!, { ...options, segments }))
        if (broken.length === 3) t.true(want.result.every((element) => element === 0))
        for (const { result, nonFiniteRanks } of got) {
          t.deepEqual(nonFiniteRanks, broken)
          t.is(bitsOf(result), bitsOf(want.result))
        }
      }
    }
    await world.close()
  })
}

test('a rank that is lost in the middle fails the call on the others, whose data is unchanged', async (t) => {
  for (const op of ['sum', 'adasum'] as const) {
    const world = await makeWorld(3, { transport: createMemoryTransport({ seed: 7, maxChunkByteLength: 100_000 }) })
    const inputs = inputsOf(3)
    const data = inputs.map((input) => input.slice())
    const calls = world.ranks.map((comm, rank) => comm.allReduce(data[rank]!, { op, algorithm: 'direct' }))
    setTimeout(() => world.pipe(0, 2).destroy(), 3)
    const results = await Promise.allSettled(calls)
    // Rank 1 may have had all of it before.
    for (const rank of [0, 2]) t.is(results[rank]!.status, 'rejected')
    results.forEach((result, rank) => {
      if (result.status === 'fulfilled') return
      t.is((result.reason as AdasumError).code, 'ERR_PEER_LOST')
      t.is(bitsOf(data[rank]!), bitsOf(inputs[rank]!))
    })
    await world.close()
  }
})
