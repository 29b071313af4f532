/** Collectives that move bytes: every root, every dtype, both schedules; and what a barrier promises. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import test from 'ava'
import { createMemoryTransport } from '../transport/_memory.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import type { Transport } from '../../ts/src/transport/transport.ts'
import type { NumericArray } from '../../ts/src/types.ts'
import { fc, runsOf } from '../_property.ts'
import { bitsOf, makeWorld, onAll } from '../_world.ts'

const TYPES = [
  ...[Float32Array, Float64Array, Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array],
  ...[Int32Array, Uint32Array, BigInt64Array, BigUint64Array],
]
type NumericType = (typeof TYPES)[number]

const TRANSPORTS: Record<string, () => Transport> = {
  memory: () => createMemoryTransport({ seed: 3, maxChunkByteLength: 60_000 }),
  tcp: () => tcp,
}

/** Random bytes of that type: any bits must arrive as they are. */
function randomArray(type: NumericType, length: number, seed: number): NumericArray {
  const array = new type(length)
  const bytes = new Uint8Array(array.buffer)
  for (let i = 0, state = seed + 1; i < bytes.length; i++) bytes[i] = (state = Math.imul(state, 48271) >>> 0) >>> 24
  return array
}

for (const [name, transport] of Object.entries(TRANSPORTS)) {
  test(`${name}: broadcast gives every rank the root's bits, from every root, for every dtype`, async (t) => {
    for (const size of name === 'memory' ? [1, 2, 3, 5, 16] : [2, 3, 5]) {
      const world = await makeWorld(size, { transport: transport() })
      let call = 0
      for (const [index, type] of TYPES.entries()) {
        // Around one element, one eager frame, and from where on the message is scattered.
        for (const byteLength of [8, 64 << 10, (64 << 10) + 8, 256 << 10, (300 << 10) + 8 * index]) {
          const length = byteLength / type.BYTES_PER_ELEMENT
          const root = call++ % size
          const data = world.ranks.map((_, rank) => randomArray(type, length, rank))
          const want = bitsOf(data[root]!)
          const got = await onAll(world.ranks, (comm, rank) => comm.broadcast(data[rank]!, { root }))
          t.deepEqual(new Set(got.map(bitsOf)), new Set([want]), `${type.name}[${length}] from ${root} of ${size}`)
          t.true(got.every((array, rank) => array === data[rank]))
        }
      }
      await world.close()
    }
  })

  test(`${name}: all-gather puts the data of all ranks in rank order, in a new array`, async (t) => {
    for (const size of name === 'memory' ? [1, 2, 7, 16] : [2, 5]) {
      const world = await makeWorld(size, { transport: transport() })
      for (const [index, type] of TYPES.entries()) {
        const length = [1, 3, 20_000][index % 3]!
        const data = world.ranks.map((_, rank) => randomArray(type, length, rank))
        const before = data.map(bitsOf)
        const got = await onAll(world.ranks, (comm, rank) => comm.allGather(data[rank]!))
        for (const array of got) {
          t.is(array.constructor, type)
          t.deepEqual(
            world.ranks.map((_, rank) => bitsOf(array.subarray(rank * length, (rank + 1) * length))),
            before,
          )
        }
        t.deepEqual(data.map(bitsOf), before)
      }
      await world.close()
    }
  })
}

test('named arrays of any dtype are broadcast in place, empty ones among them', async (t) => {
  for (const type of TYPES) {
    for (const length of [3, 100_000]) {
      const world = await makeWorld(4, { transport: createMemoryTransport() })
      const data = world.ranks.map((_, rank) => ({
        weights: randomArray(type, length, rank),
        none: new type(0),
        bias: randomArray(type, 5, rank + 10),
      }))
      const want = Object.values(data[2]!).map(bitsOf)
      const got = await onAll(world.ranks, (comm, rank) => comm.broadcast(data[rank]!, { root: 2 }))
      got.forEach((arrays, rank) => {
        t.is(arrays, data[rank]!)
        t.deepEqual(Object.values(arrays).map(bitsOf), want, type.name)
      })
      await world.close()
    }
  }
})

test('views into a larger buffer are filled, and nothing around them', async (t) => {
  const world = await makeWorld(3, { transport: createMemoryTransport() })
  const buffers = world.ranks.map(() => new Uint8Array(400_000).fill(0xee))
  const views = buffers.map(({ buffer }) => new Float32Array(buffer, 8, 99_000))
  views[1]!.fill(0.5)
  await onAll(world.ranks, (comm, rank) => comm.broadcast(views[rank]!, { root: 1 }))
  for (const [rank, buffer] of buffers.entries()) {
    t.true(views[rank]!.every((x) => x === 0.5))
    t.true(buffer.every((byte, i) => (i >= 8 && i < 396_008) || byte === 0xee))
  }
  await world.close()
})

test('the data may be changed as soon as the call has settled', async (t) => {
  const world = await makeWorld(4, { transport: tcp })
  for (let round = 0; round < 10; round++) {
    const got = await onAll(world.ranks, async (comm, rank) => {
      const data = new Int32Array(500_000).fill(rank === 0 ? round : -1)
      const moved = await comm.broadcast(data)
      const result = moved.slice()
      data.fill(-2)
      const gathered = await comm.allGather(result.subarray(0, 30_000))
      result.fill(-3)
      return gathered
    })
    for (const gathered of got) t.true(gathered.every((x) => x === round))
  }
  await world.close()
})

test('nobody leaves a barrier before everybody has come, in any order', async (t) => {
  const anyOrder = fc
    .integer({ min: 2, max: 9 })
    .chain((size) => fc.shuffledSubarray([...Array(size).keys()], { minLength: size }))
  await fc.assert(
    fc.asyncProperty(anyOrder, fc.nat(1e6), async (order, seed) => {
      const world = await makeWorld(order.length, {
        transport: createMemoryTransport({ seed, maxChunkByteLength: 40 }),
      })
      let [entered, left] = [0, 0]
      const calls: Promise<void>[] = []
      for (const rank of order) {
        if (left > 0) return false
        entered++
        calls.push(
          world.ranks[rank]!.barrier().then(() => {
            left++
            if (entered < order.length) throw new Error('left too early')
          }),
        )
        for (let turn = 0; turn < 5; turn++) await nextTurn()
      }
      await Promise.all(calls)
      await world.close()
      return left === order.length
    }),
    { numRuns: runsOf(30) },
  )
  t.pass()
})

test('calls that are not awaited keep their order, whatever their kinds and sizes', async (t) => {
  const kinds = fc.constantFrom('broadcast', 'allGather', 'barrier', 'allReduce')
  const program = fc.array(fc.record({ kind: kinds, length: fc.constantFrom(1, 1000, 20_000, 90_000) }), {
    maxLength: 25,
  })
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 2, max: 5 }), program, fc.nat(1e6), async (size, calls, seed) => {
      const world = await makeWorld(size, { transport: createMemoryTransport({ seed, maxChunkByteLength: 30_000 }) })
      const results = await onAll(world.ranks, async (comm, rank) => {
        const pending = calls.map(async ({ kind, length }, i): Promise<boolean> => {
          const root = i % size
          const data = new Float32Array(length).fill(i + rank)
          if (kind === 'barrier') return (await comm.barrier()) === undefined
          if (kind === 'broadcast') return (await comm.broadcast(data, { root })).every((x) => x === i + root)
          if (kind === 'allGather')
            return (await comm.allGather(data)).every((x, at) => x === i + Math.floor(at / length))
          const { result } = await comm.allReduce(data, { op: 'sum' })
          return result.every((x) => x === size * i + (size * (size - 1)) / 2)
        })
        return (await Promise.all(pending)).every(Boolean)
      })
      await world.close()
      return results.every(Boolean)
    }),
    { numRuns: runsOf(15) },
  )
  t.pass()
})
