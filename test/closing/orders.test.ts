/**
 * Closing, in every order in which connections may be dialled and accepted, data come, and ranks close. A rank that has
 * closed is as hard on the others as it can be: nobody reaches it any more, and whoever is in the middle of dialling it
 * is cut off. All the same every call succeeds that all its ranks make, and none stands still.
 */
import { loadBinding, loadSharedMemory } from '#binding'
import { setImmediate as nextTurn } from 'node:timers/promises'
import test from 'ava'
import { Communicator } from '../../ts/src/communicator/communicator.ts'
import { World } from '../../ts/src/world/world.ts'
import { AdasumError } from '../../ts/src/errors.ts'
import { createMemoryTransport } from '../transport/_memory.ts'
import { HAS_SHARED_MEMORY, SharedMemory } from '../../ts/src/shared-memory/shared-memory.ts'
import type { Pipe } from '../../ts/src/transport/transport.ts'
import { fc } from '../_property.ts'

/** Longer than what is sent unasked. */
const LONG = 20_000
/** Shorter than any time that a link waits for an explanation. */
const STALL_MS = 900

const KINDS = ['broadcast', 'sum', 'all-gather', 'barrier', 'message', 'group broadcast'] as const

interface Program {
  readonly size: number
  readonly kind: (typeof KINDS)[number]
  readonly isLong: boolean
  readonly sharesMemory: boolean
  readonly isStriped: boolean
  /**
   * Turns of the event loop: before a rank calls, before it closes; before a dial arrives, is accepted, and is known to
   * be.
   */
  readonly turns: readonly number[]
}

const programs: fc.Arbitrary<Program> = fc.record({
  size: fc.integer({ min: 2, max: 5 }),
  kind: fc.constantFrom(...KINDS),
  isLong: fc.boolean(),
  sharesMemory: fc.boolean(),
  isStriped: fc.boolean(),
  turns: fc.array(fc.oneof(fc.constant(0), fc.nat(6), fc.nat(40)), { minLength: 7, maxLength: 60 }),
})

/** Ranks whose connections take the turns that a program says. */
function connectAll({ size, sharesMemory, isStriped, turns }: Program) {
  let used = 0
  const wait = async (): Promise<void> => {
    for (let left = turns[used++ % turns.length]!; left > 0; left--) await nextTurn()
  }
  const network = createMemoryTransport({ maxChunkByteLength: isStriped ? 5000 : 100_000 })
  const closed = new Set<number>()
  const lost = (peerRank: number, how: string): AdasumError =>
    new AdasumError('ERR_PEER_LOST', `rank ${peerRank} ${how}`, { peerRank })
  const worlds = Array.from({ length: size }, (_, rank) => {
    const dial = async (peer: number, groupId: string, signal: AbortSignal): Promise<Pipe> => {
      await wait()
      signal.throwIfAborted()
      if (closed.has(peer)) throw lost(peer, 'cannot be reached')
      const [dialled, accepted] = await pair(network)
      await wait()
      if (closed.has(peer) || signal.aborted) {
        accepted.destroy()
        dialled.destroy()
        signal.throwIfAborted()
        throw lost(peer, 'broke the connection during the handshake')
      }
      const accepting = wait().then(() =>
        closed.has(peer) ? accepted.destroy() : worlds[peer]!.connections.accept(rank, groupId, accepted),
      )
      await Promise.race([accepting, wait()])
      return dialled
    }
    const sharedMemory = sharesMemory ? new SharedMemory(loadSharedMemory()) : undefined
    const release = async (): Promise<void> => {
      sharedMemory?.close()
      closed.add(rank)
    }
    const routes = Array.from({ length: size }, (_, peer) => ({
      ...{ machine: 0, address: `memory:${peer}`, sharesMemory },
      dial: (groupId: string, signal: AbortSignal) => dial(peer, groupId, signal),
    }))
    return new World({ binding: loadBinding(), rank, routes, sharedMemory, release })
  })
  const ranks = worlds.map((world) => new Communicator(world, world.openRoot({ timeoutMs: 5000 })))
  return { ranks, wait }
}

async function pair(network: ReturnType<typeof createMemoryTransport>): Promise<[Pipe, Pipe]> {
  let accept: (pipe: Pipe) => void
  const accepted = new Promise<Pipe>((resolve) => (accept = resolve))
  const listener = await network.listen('127.0.0.1', 0, (pipe) => accept(pipe))
  const ends: [Pipe, Pipe] = [await network.dial('127.0.0.1', listener.port), await accepted]
  await listener.close()
  return ends
}

async function call(comm: Communicator, { kind, isLong }: Program): Promise<void> {
  const data = new Float32Array(isLong ? LONG : 10).fill(comm.rank + 1)
  const check = (isRight: boolean): void => {
    if (!isRight) throw new Error(`rank ${comm.rank}, ${kind}: a wrong value`)
  }
  if (kind === 'broadcast') check((await comm.broadcast(data))[9] === 1)
  if (kind === 'sum') check((await comm.allReduce(data, { op: 'sum' })).result[9] === (comm.size * (comm.size + 1)) / 2)
  if (kind === 'all-gather') check((await comm.allGather(data)).at(-1) === comm.size)
  if (kind === 'barrier') await comm.barrier()
  if (kind === 'message' && comm.rank === 0) await comm.send(data, { to: comm.size - 1 })
  if (kind === 'message' && comm.rank === comm.size - 1) check((await comm.receive(data, { from: 0 }))[9] === 1)
  if (kind !== 'group broadcast') return
  const group = await comm.split(comm.rank % 2)
  await group!.broadcast(data, { root: group!.size - 1 })
  await group!.close()
}

test('whatever the order, closing fails and holds up no call of another rank', async (t) => {
  await fc.assert(
    fc.asyncProperty(programs, async (drawn) => {
      const program = { ...drawn, sharesMemory: drawn.sharesMemory && HAS_SHARED_MEMORY }
      const { ranks, wait } = connectAll(program)
      let ticks = 0
      const clock = setInterval(() => ticks++, 10)
      const live = async (comm: Communicator): Promise<void> => {
        await wait()
        const begin = ticks
        const error = await call(comm, program).catch((reason: unknown) => reason as Error)
        const idleMs = (ticks - begin) * 10
        await wait()
        await comm.close()
        if (error) throw error
        if (idleMs > STALL_MS) throw new Error(`rank ${comm.rank} stood still for ${idleMs} ms`)
      }
      const ends = await Promise.allSettled(ranks.map(live))
      clearInterval(clock)
      for (const end of ends) if (end.status === 'rejected') throw end.reason
    }),
    { numRuns: 250 },
  )
  t.pass()
})
