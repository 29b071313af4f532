/**
 * How many bytes a call sends. `bytesSent` is compared with what reaches the connections, and both with these formulas
 * (n ranks, B bytes of data, H = 64 bytes of header, S_r bytes of data and W_r bytes of statistics in rank r's slice):
 *
 *   direct        (n - 1) (H + B)
 *   levels        all levels: for each transfer to another rank H and its elements, the same on the way down if it has any
 *   single-shot   (n - 1) H + (B - S_r)                    the slices of the others
 *               + sum over segments cut across ranks that r has a part of: (sharers - 1) (H + 8 nodes k (k + 1) / 2)
 *               + (n - 1) (H + S_r + W_r)                  the combined slice, to everyone, unless it is empty
 *   flat          root: (n - 1) (H + B)
 *   scatter       root: (n - 1) (2 H + part of root) + (B - part of root); others: (n - 2) (H + own part)
 *   all-gather    (n - 1) (H + B)
 *   barrier       (n - 1) H
 *
 * and H for each message of more than 64 KiB that is received, which is asked for by a READY frame.
 */
import test from 'ava'
import { loadBinding } from '#binding'
import { type Level, LevelPlanner, type Transfer } from '../../ts/src/collectives/schedule/level-plan.ts'
import { allReduceSchedule, broadcastSchedule } from '../../ts/src/collectives/schedule/schedule.ts'
import { equalParts, segmentsBeginningIn, sliceBegins } from '../../ts/src/collectives/schedule/slices.ts'
import { chunkElementCount, sliceOf } from '../../ts/src/kernels/slice.ts'
import { dtypeOf } from '../../ts/src/tensor/dtype.ts'
import { type Layout, layoutOfArray } from '../../ts/src/tensor/layout.ts'
import { DEFAULT_TUNING } from '../../ts/src/tuning.ts'
import { createMemoryTransport } from '../transport/_memory.ts'
import type { Pipe, Transport } from '../../ts/src/transport/transport.ts'
import { sampleOf } from '../_sample.ts'
import { makeWorld, onAll } from '../_world.ts'
import { familyOf } from '../reduction/_oracle.ts'

const HEADER = 64
const EAGER = 64 << 10
const F32 = dtypeOf(new Float32Array(1))!

/** A transport that counts the bytes written at accepted ends, in the order in which they were accepted. */
function counting(transport: Transport): { transport: Transport; written: number[] } {
  const written: number[] = []
  const count = (pipe: Pipe): Pipe => {
    const index = written.push(0) - 1
    const write: Pipe['write'] = (bytes, done) => {
      written[index]! += bytes.length
      pipe.write(bytes, done)
    }
    return new Proxy(pipe, {
      get(target, name) {
        if (name === 'write') return write
        const value = Reflect.get(target, name, target) as unknown
        return typeof value === 'function' ? (value.bind(target) as unknown) : value
      },
    })
  }
  const listen: Transport['listen'] = (host, port, accept) =>
    transport.listen(host, port, (pipe) => accept(count(pipe)))
  return { transport: { name: transport.name, listen, dial: (...args) => transport.dial(...args) }, written }
}

interface Counted {
  world: Awaited<ReturnType<typeof makeWorld>>
  /** Bytes that each rank has written since the last question. */
  readonly sent: () => number[]
  /**
   * Whether so many bytes more than a call's own can be frames that no call counts: credit that is given back, and the
   * announcements of a rank that has made no progress for a second, to all others.
   */
  readonly isControl: (bytes: number) => boolean
}

async function countedWorld(size: number): Promise<Counted> {
  const { transport, written } = counting(createMemoryTransport({ seed: size, maxChunkByteLength: 100_000 }))
  const world = await makeWorld(size, { transport, isConnected: true })
  // makeWorld connects the pairs (reader, writer) one after the other, readers first.
  const writers = world.ranks.flatMap((_, reader) =>
    world.ranks.map((__, rank) => rank).filter((rank) => rank !== reader),
  )
  let [askedAt, seconds] = [performance.now(), 0]
  const sent = (): number[] => {
    seconds = Math.floor((performance.now() - askedAt) / 1000)
    askedAt = performance.now()
    const sums = world.ranks.map(() => 0)
    written.forEach((bytes, index) => (sums[writers[index]!]! += bytes))
    written.fill(0)
    return sums
  }
  const isControl = (bytes: number): boolean =>
    bytes >= 0 && bytes % HEADER === 0 && bytes <= HEADER * size * (1 + seconds)
  return { world, sent, isControl }
}

/** Headers of the READY frames for messages of these lengths. */
const asked = (...byteLengths: number[]): number => HEADER * byteLengths.filter((length) => length > EAGER).length
const sumOf = (numbers: number[]): number => numbers.reduce((a, b) => a + b, 0)

function singleShotBytes(layout: Layout, size: number, rank: number, width: number): number {
  const begins = sliceBegins(layout, size)
  const slice = (of: number): number => 4 * (begins[of + 1]! - begins[of]!)
  const rows = (of: number): number => {
    const [from, to] = segmentsBeginningIn(layout, { begin: begins[of]!, end: begins[of + 1]! })
    return 8 * width * (to - from)
  }
  const others = Array.from({ length: size }, (_, i) => i).filter((i) => i !== rank)
  const exchange = sumOf(others.map((peer) => HEADER + slice(peer) + asked(slice(rank))))
  const result = slice(rank) > 0 ? HEADER + slice(rank) + rows(rank) : 0
  const gather = sumOf(others.map((peer) => result + asked(slice(peer) + rows(peer))))
  return exchange + (width > 0 ? nodeBytes(layout, begins, size, rank) : 0) + gather
}

function nodeBytes(layout: Layout, begins: Float64Array, size: number, rank: number): number {
  const messageOf = (of: number, segment: number): number => {
    const from = Math.max(begins[of]!, layout.segmentBegins[segment]!)
    const to = Math.min(begins[of + 1]!, layout.segmentBegins[segment + 1]!)
    if (from >= to || to - from === layout.segmentElementCounts[segment]) return 0
    const { pieces } = sliceOf(layout, from, to, chunkElementCount(4, size))
    return 8 * loadBinding().nodeCount(pieces) * ((size * (size + 1)) / 2)
  }
  return sumOf(
    Array.from(layout.segmentElementCounts, (_, segment) => {
      const messages = Array.from({ length: size }, (__, of) => messageOf(of, segment))
      if (messages[rank] === 0) return 0
      const others = messages.filter((bytes, of) => of !== rank && bytes > 0)
      return sumOf(others.map((bytes) => HEADER + messages[rank]! + asked(bytes)))
    }),
  )
}

const LAYOUTS: number[][] = [[1], [5000], [20_000, 0, 300], [2048 * 40], [7, 150_000, 3, 2048 * 9, 0], [400_000]]

for (const size of sampleOf('bytes sent', [1, 2, 3, 4, 8, 9, 16], 4)) {
  test(`${size} ranks: an all-reduce sends what its schedule says`, async (t) => {
    const { world, sent, isControl } = await countedWorld(size)
    for (const segments of LAYOUTS) {
      const length = sumOf(segments)
      const layout = layoutOfArray(F32, length, segments)
      const inputs = familyOf('independent', (n) => new Float32Array(n), { count: size, length, seed: length })
      for (const [op, onNonFinite, coefficients, width] of [
        ['sum', 'propagate', false, 0],
        ['sum', 'throw', false, 0],
        ['adasum', 'throw', false, 1],
        ['adasum', 'skip', true, 1 + size],
      ] as const) {
        sent()
        const data = inputs.map((input) => input.slice())
        const results = await onAll(world.ranks, (comm, rank) =>
          comm.allReduce(data[rank]!, { op, onNonFinite, segments, coefficients }),
        )
        const onTheWire = sent()
        results.forEach(({ bytesSent }, rank) => {
          const isDirect = allReduceSchedule(size, length * 4, DEFAULT_TUNING) === 'direct'
          // What a rank says of its input is in the header, but for long vectors, which it scans meanwhile, unless
          // it may be left out. Adasum says nothing where the Gram matrices show it.
          const said = onNonFinite === 'throw' && op === 'sum' && length * 4 >= 1 << 20 ? HEADER : 0
          const direct = (size - 1) * (HEADER + length * 4 + asked(length * 4) + said)
          const expected = isDirect ? direct : singleShotBytes(layout, size, rank, width)
          t.is(bytesSent, expected, `${op}, ${segments.join()}, rank ${rank}`)
          // What is given back of the credit is no call's own.
          const credit = onTheWire[rank]! - expected
          t.true(isControl(credit), `${onTheWire[rank]} on the wire`)
        })
      }
    }
    await world.close()
  })
}

/** Bytes that a rank sends in a sum, which has no statistics and no flags. */
function levelBytes(levels: readonly Level[], rank: number): number {
  const others = (transfers: readonly Transfer[]): number[] =>
    transfers.filter((transfer) => transfer.rank !== rank).map(({ begin, end }) => 4 * (end - begin))
  return sumOf(
    levels.map(({ sends, receives }) => {
      const [up, down] = [others(sends), others(receives)]
      const answers = down.filter((bytes) => bytes > 0)
      return sumOf(up) + HEADER * up.length + asked(...down) + sumOf(answers) + HEADER * answers.length + asked(...up)
    }),
  )
}

for (const [kind, size] of [
  ['levels', 18],
  ['levels', 40],
  ['rvh', 16],
] as const) {
  test(`${kind}, ${size} ranks: an all-reduce sends what its plan says`, async (t) => {
    const { world, sent, isControl } = await countedWorld(size)
    for (const segments of [[1], [7, 150_000, 3, 2048 * 9, 0], [600_000]]) {
      sent()
      const layout = layoutOfArray(F32, sumOf(segments), segments)
      const results = await onAll(world.ranks, (comm) =>
        comm.allReduce(new Float32Array(layout.elementCount), { op: 'sum', segments, algorithm: kind }),
      )
      const onTheWire = sent()
      results.forEach(({ bytesSent }, rank) => {
        t.is(bytesSent, levelBytes(new LevelPlanner(kind, size, rank).plan(layout), rank), `rank ${rank}`)
        const credit = onTheWire[rank]! - bytesSent
        t.true(isControl(credit), `${onTheWire[rank]} on the wire`)
      })
    }
    await world.close()
  })
}

test('a cancelling tree node costs one more round among those who share the segment', async (t) => {
  const [size, length] = [4, 100_000]
  const { world, sent } = await countedWorld(size)
  const layout = layoutOfArray(F32, length)
  const make = (n: number): Float32Array => new Float32Array(n)
  const inputs = familyOf('alternating sign, 1e-4 noise', make, { count: size, length, seed: 1 })
  const results = await onAll(world.ranks, (comm, rank) => comm.allReduce(inputs[rank]!, { op: 'adasum' }))
  const onTheWire = sent()
  results.forEach(({ bytesSent }, rank) => {
    const more = bytesSent - singleShotBytes(layout, size, rank, 1)
    t.true(more > (size - 1) * HEADER && more < 10_000, `${more} bytes more`)
    t.is(onTheWire[rank], bytesSent)
  })
  await world.close()
})

test('broadcast, all-gather and barrier send what their schedules say', async (t) => {
  for (const size of [2, 3, 5, 16]) {
    const { world, sent, isControl } = await countedWorld(size)
    for (const byteLength of [1, 1000, 256 << 10, 1_000_001]) {
      for (const root of [0, size - 1]) {
        sent()
        await onAll(world.ranks, (comm) => comm.broadcast(new Uint8Array(byteLength), { root }))
        const isFlat = broadcastSchedule(size, byteLength, DEFAULT_TUNING) === 'flat'
        const offsets = equalParts(byteLength, size)
        const part = (rank: number): number => offsets[rank + 1]! - offsets[rank]!
        sent().forEach((bytes, rank) => {
          const flat = rank === root ? (size - 1) * (HEADER + byteLength) : asked(byteLength)
          const asRoot = (size - 1) * (2 * HEADER + part(root)) + byteLength - part(root)
          const parts = Array.from({ length: size }, (_, of) => part(of)).filter((_, of) => of !== rank)
          const asOther = (size - 2) * (HEADER + part(rank)) + asked(part(rank), ...parts)
          const expected = isFlat ? flat : rank === root ? asRoot : asOther
          const credit = bytes - expected
          t.true(isControl(credit), `${byteLength} bytes, ${size} ranks, rank ${rank}: ${bytes}, not ${expected}`)
        })
      }
      await onAll(world.ranks, (comm) => comm.allGather(new Uint8Array(byteLength)))
      for (const bytes of sent()) t.true(isControl(bytes - (size - 1) * (HEADER + byteLength + asked(byteLength))))
    }
    await onAll(world.ranks, (comm) => comm.barrier())
    for (const bytes of sent()) t.true(isControl(bytes - (size - 1) * HEADER))
    await world.close()
  }
})
