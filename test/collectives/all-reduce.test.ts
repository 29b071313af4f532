import test from 'ava'
import { createHash } from 'node:crypto'
import type { FloatArray, ReduceOp } from '../../ts/src/types.ts'
import { adasumSync, averageSync, sumSync } from '../../ts/src/reduction/local.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import { createMemoryTransport } from '../transport/_memory.ts'
import { makeWorld, onAll, vectorOf } from '../_world.ts'

const LOCAL = { sum: sumSync, average: averageSync, adasum: adasumSync }
const OPS: ReduceOp[] = ['sum', 'average', 'adasum']
const hash = (array: FloatArray): string => createHash('sha256').update(array).digest('hex')

/** Direct, single-shot with empty slices, segments cut across ranks, many small segments; lengths around block borders. */
const CASES: { length: number; segments?: number[] }[] = [
  { length: 1 },
  { length: 257 },
  { length: 2049, segments: [2048, 1] },
  { length: 9000 },
  { length: 20_000, segments: [3, 0, 9000, 10_997] },
  { length: 61_706, segments: [150, 6, 2400, 16, 48_000, 120, 10_080, 84, 840, 10] },
  { length: 300_001, segments: [100_000, 200_001] },
]

for (const size of [1, 2, 3, 4, 5, 7, 8, 9, 16]) {
  test(`memory, ${size} ranks: every rank holds the bits of the local function`, async (t) => {
    const world = await makeWorld(size, {
      transport: createMemoryTransport({ seed: size, maxChunkByteLength: 50_000 }),
    })
    for (const { length, segments } of CASES) {
      for (const op of OPS) {
        const inputs = Array.from({ length: size }, (_, rank) => vectorOf(new Float32Array(length), rank))
        const want = LOCAL[op](inputs, { ...(segments && { segments }), coefficients: true })
        const options = { op, ...(segments && { segments }), coefficients: true }
        const withOut = await onAll(world.ranks, (comm, rank) =>
          comm.allReduce(inputs[rank]!, { ...options, out: new Float32Array(length) }),
        )
        t.true(
          withOut.every(({ result }) => hash(result) === hash(want.result)),
          `${op} ${length}, out`,
        )
        for (const { segments: found } of withOut) t.deepEqual(found, want.segments)
        const inPlace = await onAll(world.ranks, (comm, rank) => comm.allReduce(inputs[rank]!, options))
        t.true(
          inPlace.every(({ result }, rank) => result === inputs[rank] && hash(result) === hash(want.result)),
          `${op} ${length}`,
        )
      }
    }
    await world.close()
  })
}

test('sockets, 1 to 9 ranks: every rank holds the bits of the local function', async (t) => {
  for (let size = 1; size <= 9; size++) {
    const world = await makeWorld(size, { transport: tcp })
    for (const length of [5, 61_706, 400_000]) {
      const inputs = Array.from({ length: size }, (_, rank) => vectorOf(new Float64Array(length), rank))
      const want = adasumSync(inputs)
      const got = await onAll(world.ranks, (comm, rank) => comm.allReduce(inputs[rank]!, { op: 'adasum' }))
      t.true(
        got.every(({ result }) => hash(result) === hash(want.result)),
        `${size} ranks, ${length} elements`,
      )
    }
    await world.close()
  }
})
