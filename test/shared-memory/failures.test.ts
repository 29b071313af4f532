/** Failures of ranks that read each other's memory: no result comes from memory that changed while it was read. */
import { setImmediate as nextTurn, setTimeout as wait } from 'node:timers/promises'
import test from 'ava'
import { loadSharedMemory } from '#binding'
import type { Communicator } from '../../ts/src/communicator/communicator.ts'
import { type PeerOffer, type Offer } from '../../ts/src/shared-memory/offer.ts'
import { HAS_SHARED_MEMORY, SharedMemory } from '../../ts/src/shared-memory/shared-memory.ts'
import { bitsOf, failuresOf, makeWorld, onAll } from '../_world.ts'
import { LONG, fill, shared } from './_memory.ts'

if (HAS_SHARED_MEMORY) {
  /** Memory in which something happens between the last byte that is read and the word that it has been. */
  class Interrupted extends SharedMemory {
    interrupt: () => void = () => undefined

    override borrow(offer: Offer): PeerOffer {
      const borrowed = super.borrow(offer)
      const finish = (): boolean => {
        this.interrupt()
        return borrowed.finish()
      }
      return { ...borrowed, finish }
    }
  }

  const INTERRUPTED: [
    name: string,
    size: number,
    call: (comm: Communicator, data: Float32Array, signal?: AbortSignal) => Promise<unknown>,
  ][] = [
    ['two ranks', 2, (comm, data, signal) => comm.allReduce(data, { op: 'sum', ...(signal && { signal }) })],
    ['three ranks', 3, (comm, data, signal) => comm.allReduce(data, { op: 'adasum', ...(signal && { signal }) })],
    ['a broadcast', 2, (comm, data, signal) => comm.broadcast(data, signal && { signal })],
  ]
  for (const [name, size, call] of INTERRUPTED)
    test(`nobody succeeds with memory that its owner changes after a failure: ${name}`, async (t) => {
      const memories = Array.from({ length: size }, () => new Interrupted(loadSharedMemory()))
      const world = await makeWorld(size, { sharedMemory: (rank) => memories[rank]! })
      const datas = world.ranks.map((comm, rank) => fill(comm.allocate('f32', LONG), 'f32', rank))
      const before = datas.map(bitsOf)
      const controller = new AbortController()
      memories[1]!.interrupt = () => {
        // The owner's call ends, and its caller takes the array back.
        controller.abort()
        datas[0]!.fill(NaN)
      }
      const calls = world.ranks.map((comm, rank) =>
        call(comm, datas[rank]!, rank === 0 ? controller.signal : undefined),
      )
      for (const error of await failuresOf(calls)) t.like(error, { code: 'ERR_ABORTED', rank: 0 })
      t.deepEqual(datas.slice(1).map(bitsOf), before.slice(1))
      await world.close()
    })

  test('a call that has failed writes no more into `out`', async (t) => {
    const [count, bucketCount] = [4_000_000, 16]
    const segments = Array.from({ length: bucketCount }, () => count / bucketCount)
    let failedCount = 0
    for (const turns of [3, 6, 12, 24, 48]) {
      const world = await makeWorld(3, { sharedMemory: shared() })
      const calls = world.ranks.map(async (comm, rank) => {
        const data = comm.allocate('f32', count).fill(rank)
        const out = comm.allocate('f32', count)
        const error: unknown = await comm
          .allReduce(data, { op: 'adasum', out, segments, bucketBytes: (4 * count) / bucketCount })
          .catch((reason: unknown) => reason)
        out.fill(-7)
        await wait(50)
        return { isFailed: error instanceof Error, isUntouched: out.every((x) => x === -7) }
      })
      for (let turn = 0; turn < turns; turn++) await nextTurn()
      world.kill(2)
      const ends = await Promise.all(calls.slice(0, 2))
      t.true(ends.every(({ isUntouched }) => isUntouched))
      failedCount += ends.filter(({ isFailed }) => isFailed).length
      await world.close()
    }
    t.true(failedCount > 0)
  })

  test('a dead rank’s memory can still be read, and its end is told', async (t) => {
    const world = await makeWorld(3, { sharedMemory: shared() })
    const datas = world.ranks.map((comm, rank) => fill(comm.allocate('f32', LONG), 'f32', rank))
    await onAll(world.ranks, (comm, rank) => comm.allReduce(datas[rank]!, { op: 'average' }))
    const before = datas.map(bitsOf)
    const calls = [0, 1].map((rank) => world.ranks[rank]!.allReduce(datas[rank]!, { op: 'adasum' }))
    const errors = failuresOf(calls)
    world.kill(2)
    for (const error of await errors) t.like(error, { code: 'ERR_PEER_LOST' })
    t.deepEqual(datas.map(bitsOf), before)
    await world.close()
  })

  test('a rank that dies when it has read everything, but before it could say so, fails nobody who needs no more of it', async (t) => {
    class Dying extends SharedMemory {
      die: () => void = () => undefined

      override borrow(offer: Offer): PeerOffer {
        const borrowed = super.borrow(offer)
        const finish = (): boolean => {
          const isFinished = borrowed.finish()
          this.die()
          return isFinished
        }
        return { ...borrowed, finish }
      }
    }
    const memories = [0, 1].map(() => new Dying(loadSharedMemory()))
    const world = await makeWorld(2, { sharedMemory: (rank) => memories[rank]! })
    memories[1]!.die = () => world.kill(1)
    const [root, other] = world.ranks.map((comm) => comm.broadcast(fill(comm.allocate('f32', LONG), 'f32', comm.rank)))
    other!.catch(() => undefined)
    await t.notThrowsAsync(root!)
    await t.throwsAsync(world.ranks[0]!.barrier(), { code: 'ERR_PEER_LOST' })
    await world.close()
  })

  test('ranks that call different things find out before anything is read', async (t) => {
    const world = await makeWorld(2, { sharedMemory: shared() })
    const calls = world.ranks.map((comm, rank) =>
      comm.allReduce(comm.allocate('f32', LONG + rank), { op: rank === 0 ? 'sum' : 'adasum' }),
    )
    for (const error of await failuresOf(calls)) t.like(error, { code: 'ERR_MISMATCH' })
    await world.close()
  })
} else test.skip('no memory is shared on this system', () => undefined)
