/**
 * Collectives over shared memory among ranks of one process: the same bits as without, whatever cannot be read where it lies.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { loadSharedMemory } from '#binding'
import type { SharedMemoryBinding } from '../../ts/src/binding/shared-memory.ts'
import type { Communicator } from '../../ts/src/communicator/communicator.ts'
import { HAS_SHARED_MEMORY, SharedMemory } from '../../ts/src/shared-memory/shared-memory.ts'
import { DEFAULT_TUNING } from '../../ts/src/tuning.ts'
import type { AllReduceAlgorithm, AllReduceOp } from '../../ts/src/types.ts'
import { sampleOf } from '../_sample.ts'
import { type World, bitsOf, failuresOf, makeWorld, onAll } from '../_world.ts'
import { type DtypeName, FLOATS, INTEGERS, LONG, fill, shared } from './_memory.ts'

const FLOAT_OPS = ['sum', 'average', 'adasum', 'min', 'max'] as const
const INTEGER_OPS = ['sum', 'min', 'max'] as const
interface Case {
  readonly name: DtypeName
  readonly op: AllReduceOp
  readonly algorithm: AllReduceAlgorithm
  readonly count: number
  readonly isInPlace: boolean
  readonly isAllocated: boolean
  /** By default as the data is. */
  readonly isOutAllocated?: boolean
  readonly onNonFinite?: 'skip'
}

/** Every rank's result. */
async function reduceOn(ranks: readonly Communicator[], given: Case): Promise<string[]> {
  const { name, op, algorithm, count, isInPlace, isAllocated, isOutAllocated = isAllocated, onNonFinite } = given
  return onAll(ranks, async (comm, rank) => {
    const make = (isShared: boolean): Float32Array =>
      (isShared ? comm.allocate(name, count) : comm.allocate(name, count).slice()) as Float32Array
    const data = fill(make(isAllocated), name, rank)
    const before = bitsOf(data)
    const out = isInPlace ? undefined : make(isOutAllocated)
    const dtype = name === 'f16' || name === 'bf16' ? { dtype: name } : {}
    const segments = [1000, count - 41_000, 40_000]
    const options = { op, algorithm, segments, ...dtype, ...(out && { out }), ...(onNonFinite && { onNonFinite }) }
    const { result } = await comm.allReduce(data, options as { op: 'sum' })
    if (out && bitsOf(data) !== before) throw new Error('the input has changed')
    return bitsOf(result)
  })
}

/** The same without and with shared memory, from allocated arrays and from others. */
async function compare(t: ExecutionContext, size: number, cases: readonly Case[]): Promise<void> {
  const without = await makeWorld(size)
  const withMemory = await makeWorld(size, { sharedMemory: shared() })
  for (const given of cases) {
    const want = await reduceOn(without.ranks, { ...given, isAllocated: false, isOutAllocated: false })
    t.deepEqual(await reduceOn(withMemory.ranks, given), want, `${size} ranks, ${JSON.stringify(given)}`)
  }
  for (const comm of withMemory.ranks) t.is(comm.transport, 'shared-memory')
  for (const comm of without.ranks) t.is(comm.transport, 'tcp')
  await Promise.all([without.close(), withMemory.close()])
}

function casesFor(size: number): Case[] {
  const algorithms: AllReduceAlgorithm[] = size === 17 ? ['levels'] : ['auto', 'direct', 'single-shot', 'levels']
  if (size === 2 || size === 4) algorithms.push('rvh')
  const both = [true, false]
  const where = both.flatMap((isAllocated) => [
    { isInPlace: true, isAllocated },
    ...both.map((isOutAllocated) => ({ isInPlace: false, isAllocated, isOutAllocated })),
  ])
  const pairs = [
    ...FLOATS.flatMap((name) => FLOAT_OPS.map((op) => ({ name, op }))),
    ...INTEGERS.flatMap((name) => INTEGER_OPS.map((op) => ({ name, op }))),
  ]
  // Each dtype with each operator, and all ways of each schedule with some of them.
  return pairs.flatMap((pair, i) =>
    algorithms
      .filter((_, j) => size === 3 || (i + j) % 2 === 0)
      .map((algorithm, j) => ({ ...pair, algorithm, count: LONG, ...where[(i + j) % where.length]! })),
  )
}

if (HAS_SHARED_MEMORY) {
  for (const size of [2, 3, 4, 5])
    test(`all-reduce of every dtype, operator and schedule has the bits that it has without: ${size} ranks`, (t) =>
      compare(t, size, sampleOf(`${size} ranks`, casesFor(size), 25)))

  test('vectors so long that their results are written past the cache', async (t) => {
    const cases = (['sum', 'adasum'] as const).flatMap((op) =>
      [true, false].map((isInPlace) => ({ name: 'f32', op, isInPlace, isAllocated: true }) as const),
    )
    // Vectors of 8 MiB and more a rank.
    for (const [size, algorithm, count] of [
      [2, 'direct', 2_200_001],
      [3, 'single-shot', 6_600_001],
    ] as const) {
      const given = cases.map((each) => ({ ...each, algorithm, count }))
      await compare(t, size, given)
    }
  })

  test('17 ranks, by levels', (t) => {
    const cases = (['f32', 'bf16', 'i64'] as const).flatMap((name) =>
      (['sum', 'adasum'] as const)
        .filter((op) => op === 'sum' || name !== 'i64')
        .map((op, i) => ({ name, op, algorithm: 'levels', count: 400_009, isInPlace: i === 0, isAllocated: i === 0 })),
    ) as Case[]
    return compare(t, 17, cases)
  })

  test('inputs that are left out, and those that are refused', async (t) => {
    const world = await makeWorld(3, { sharedMemory: shared() })
    const inputs = (comm: Communicator, rank: number): Float32Array => {
      const data = fill(comm.allocate('f32', LONG), 'f32', rank)
      if (rank === 1) data[LONG - 1] = NaN
      return data
    }
    const datas = world.ranks.map(inputs)
    const before = datas.map(bitsOf)
    const calls = world.ranks.map((comm, rank) => comm.allReduce(datas[rank]!, { op: 'adasum' }))
    for (const error of await failuresOf(calls)) t.like(error, { code: 'ERR_NON_FINITE', peerRank: 1 })
    t.deepEqual(datas.map(bitsOf), before)
    for (const algorithm of ['auto', 'levels'] as const) {
      const out = world.ranks.map((comm) => comm.allocate('f32', LONG))
      const options = { op: 'adasum', onNonFinite: 'skip', algorithm } as const
      const results = await onAll(world.ranks, (comm, rank) =>
        comm.allReduce(datas[rank]!, { ...options, out: out[rank]! }),
      )
      for (const { nonFiniteRanks } of results) t.deepEqual(nonFiniteRanks, [1])
      t.is(new Set(out.map(bitsOf)).size, 1)
    }
    await world.close()
  })

  test('named arrays, some of them allocated, and buckets', async (t) => {
    const counts = [40_000, 10, 90_000, 300, 5000]
    const run = async (world: World): Promise<string[]> =>
      onAll(world.ranks, async (comm, rank) => {
        const entries = counts.map((count, i): [string, Float32Array] => {
          const array = i % 2 === 0 ? comm.allocate('f32', count) : new Float32Array(count)
          return [`layer${i}`, fill(array, 'f32', rank * 10 + i)]
        })
        const data = Object.fromEntries(entries)
        await comm.allReduce(data, { op: 'adasum', bucketBytes: 200_000 })
        await comm.allReduce(data, { op: 'sum', algorithm: 'direct' })
        return bitsOf(Float32Array.from(Object.values(data).flatMap((array) => [...array])))
      })
    for (const size of [2, 3]) {
      const [without, withMemory] = [await makeWorld(size), await makeWorld(size, { sharedMemory: shared() })]
      t.deepEqual(await run(withMemory), await run(without))
      await Promise.all([without.close(), withMemory.close()])
    }
  })

  test('everything that only moves', async (t) => {
    const world = await makeWorld(3, { sharedMemory: shared() })
    for (const isAllocated of [true, false]) {
      const make = (comm: Communicator, seed: number, count = LONG): Int32Array => {
        const array = fill(comm.allocate('i32', count), 'i32', seed)
        return isAllocated ? array : array.slice()
      }
      const broadcast = await onAll(world.ranks, (comm, rank) => comm.broadcast(make(comm, rank), { root: 1 }))
      const want = bitsOf(make(world.ranks[0]!, 1))
      for (const data of broadcast) t.is(bitsOf(data), want)
      const gathered = await onAll(world.ranks, (comm, rank) => comm.allGather(make(comm, rank)))
      t.deepEqual(gathered[2]!.subarray(LONG, 2 * LONG), make(world.ranks[0]!, 1))
      t.is(new Set(gathered.map(bitsOf)).size, 1)
      const parts = await onAll(world.ranks, (comm, rank) => comm.allToAll(make(comm, rank, 3 * LONG)))
      t.deepEqual(parts[2]!.result.subarray(0, LONG), make(world.ranks[0]!, 0, 3 * LONG).subarray(2 * LONG))
      const scattered = await onAll(world.ranks, (comm, rank) =>
        comm.reduceScatter(make(comm, rank, 3 * LONG), { op: 'max' }),
      )
      const wanted = [0, 1, 2].map((rank) => make(world.ranks[0]!, rank, 3 * LONG))
      const largest = wanted[0]!.map((x, i) => Math.max(x, wanted[1]![i]!, wanted[2]![i]!))
      scattered.forEach(({ result }, rank) =>
        t.is(bitsOf(result), bitsOf(largest.slice(rank * LONG, (rank + 1) * LONG)), `part ${rank}`),
      )
    }
    await world.close()
  })

  test('messages wait for their receiver, without copies, and hold up nothing', async (t) => {
    const world = await makeWorld(2, { sharedMemory: shared(1 << 23) })
    const [sender, receiver] = world.ranks as [Communicator, Communicator]
    const sent = Array.from({ length: 6 }, (_, i) => {
      const array = fill(sender.allocate('f32', LONG), 'f32', i)
      return i % 2 === 0 ? array : array.slice()
    })
    const sending = sent.map((data) => sender.send(data, { to: 1 }))
    await onAll(world.ranks, (comm, rank) => comm.allReduce(fill(new Float32Array(LONG), 'f32', rank), { op: 'sum' }))
    for (const data of sent) {
      const into = receiver.allocate('f32', LONG)
      await receiver.receive(into, { from: 0 })
      t.is(bitsOf(into), bitsOf(data))
    }
    await Promise.all(sending)
    await world.close()
  })

  test('bytes that are read where they lie are not sent', async (t) => {
    const world = await makeWorld(2, { sharedMemory: shared() })
    for (const make of [(comm: Communicator) => comm.allocate('f32', LONG), () => new Float32Array(LONG)]) {
      const results = await onAll(world.ranks, (comm) => comm.allReduce(make(comm), { op: 'sum' }))
      for (const { bytesSent } of results) t.true(bytesSent < 1000, `${bytesSent}`)
    }
    await world.close()
  })

  test('calls at once, of the same array too, and groups beside each other', async (t) => {
    const world = await makeWorld(3, { sharedMemory: shared() })
    const digests = await onAll(world.ranks, async (comm, rank) => {
      const half = await comm.split(0, -rank)
      const data = fill(comm.allocate('f64', LONG), 'f64', rank)
      const outs = [0, 1, 2].map(() => comm.allocate('f64', LONG))
      await Promise.all([
        comm.allReduce(data, { op: 'adasum', out: outs[0]! }),
        comm.allReduce(data, { op: 'adasum', out: outs[1]! }),
        half!.allReduce(data, { op: 'sum', out: outs[2]! }),
      ])
      t.is(bitsOf(outs[0]!), bitsOf(outs[1]!))
      return outs.map(bitsOf).join()
    })
    t.is(new Set(digests).size, 1)
    await world.close()
  })

  // ---- what cannot be had

  test('without room for copies messages go through the connection; allocated arrays are still read', async (t) => {
    for (const limit of [64 << 10, 5 * LONG]) {
      const world = await makeWorld(3, { sharedMemory: shared(limit) })
      const without = await makeWorld(3)
      for (const isAllocated of [true, false]) {
        const given = { name: 'f32', op: 'adasum', algorithm: 'auto', count: LONG, isInPlace: true } as const
        t.deepEqual(
          await reduceOn(world.ranks, { ...given, isAllocated }),
          await reduceOn(without.ranks, { ...given, isAllocated: false }),
        )
      }
      await Promise.all([world.close(), without.close()])
    }
  })

  /** The system's functions, of which one rank's do not open anything. */
  function refusing(isRefusing: (rank: number) => boolean): (rank: number) => SharedMemory {
    const native = loadSharedMemory()
    const openSegment: SharedMemoryBinding['openSegment'] = () => {
      throw new Error('Permission denied (os error 13)')
    }
    return (rank) => new SharedMemory(isRefusing(rank) ? { ...native, openSegment } : { ...native })
  }

  const MODES: [name: string, isRefusing: (rank: number) => boolean, found: string[]][] = [
    ['one rank', (rank) => rank === 1, ['mixed', 'tcp', 'mixed']],
    ['all ranks', () => true, ['tcp', 'tcp', 'tcp']],
  ]
  for (const [name, isRefusing, found] of MODES)
    test.serial(
      `memory that cannot be opened: the connection takes its place, with one warning a rank: ${name}`,
      async (t) => {
        const warnings: string[] = []
        const listen = (warning: Error & { code?: string }): void => {
          if (warning.code === 'ADASUM_SHARED_MEMORY') warnings.push(warning.message)
        }
        process.on('warning', listen)
        const world = await makeWorld(3, { sharedMemory: refusing(isRefusing) })
        const without = await makeWorld(3)
        for (const algorithm of ['single-shot', 'auto', 'levels'] as const)
          for (const isAllocated of [true, false]) {
            const given = { name: 'f32', op: 'adasum', algorithm, count: LONG, isInPlace: false } as const
            t.deepEqual(
              await reduceOn(world.ranks, { ...given, isAllocated }),
              await reduceOn(without.ranks, { ...given, isAllocated: false }),
            )
          }
        t.deepEqual(
          world.ranks.map((comm) => comm.transport),
          found as never,
        )
        await Promise.all([world.close(), without.close()])
        await nextTurn()
        process.off('warning', listen)
        t.is(warnings.length, 3)
        for (const warning of warnings) t.regex(warning, /^Rank \d \(.+\) is on this machine, but/)
      },
    )

  // ---- allocate

  test('allocate gives zeroed arrays of every dtype, and refuses what is none', async (t) => {
    const worlds = [await makeWorld(2, { sharedMemory: shared() }), await makeWorld(2)]
    for (const { ranks } of worlds) {
      const [comm] = ranks as [Communicator]
      for (const name of [...FLOATS, ...INTEGERS, 'i8', 'i16', 'u16'] as const)
        for (const count of [0, 1, 70_000]) {
          const array = comm.allocate(name, count)
          t.is(array.length, count)
          t.true(array.every((x: number | bigint) => Number(x) === 0))
        }
      t.true(comm.allocate('f64', 3) instanceof Float64Array)
      t.true(comm.allocate('bf16', 70_000) instanceof Uint16Array)
      for (const count of [-1, 0.5, NaN, Infinity, 2 ** 53, '7'])
        t.throws(() => comm.allocate('f32', count as number), { code: 'ERR_ARGUMENT' })
      t.throws(() => comm.allocate('f64', 2 ** 49), { code: 'ERR_ARGUMENT', message: /cannot be had/ })
      t.throws(() => comm.allocate('f128' as 'f64', 1), { code: 'ERR_ARGUMENT', message: /f128; there are f32, f64/ })
    }
    await Promise.all(worlds.map((world) => world.close()))
  })

  test('allocated arrays live on after close, and serve another world', async (t) => {
    const world = await makeWorld(2, { sharedMemory: shared() })
    const datas = world.ranks.map((comm, rank) => fill(comm.allocate('f32', LONG), 'f32', rank))
    await onAll(world.ranks, (comm, rank) => comm.allReduce(datas[rank]!, { op: 'sum' }))
    await world.close()
    const sum = bitsOf(datas[0]!)
    t.is(bitsOf(datas[1]!), sum)
    const next = await makeWorld(2, { sharedMemory: shared() })
    const [first] = await onAll(next.ranks, (comm, rank) => comm.allReduce(datas[rank]!, { op: 'average' }))
    const { bytesSent } = first!
    t.true(bytesSent < 1000)
    t.is(bitsOf(datas[0]!), sum)
    await next.close()
  })

  test('a short limit for pieces changes nothing', async (t) => {
    const tuning = { ...DEFAULT_TUNING, streamByteLength: 64 << 10, scatterByteLength: 4 << 10, offThreadByteLength: 0 }
    for (const size of [2, 3, 5]) {
      const [world, without] = [await makeWorld(size, { tuning, sharedMemory: shared() }), await makeWorld(size)]
      for (const op of ['sum', 'adasum'] as const) {
        const given = { name: 'f32', op, algorithm: 'auto', count: LONG, isInPlace: false, isAllocated: true } as const
        t.deepEqual(await reduceOn(world.ranks, given), await reduceOn(without.ranks, { ...given, isAllocated: false }))
      }
      await Promise.all([world.close(), without.close()])
    }
  })
} else test.skip('no memory is shared on this system', () => undefined)
