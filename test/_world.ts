/**
 * Worlds of ranks in this process, over any transport, without a store or handshakes: what the tests of collectives
 * need.
 */
import { loadBinding } from '#binding'
import { createHash } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Binding } from '../ts/src/binding/binding.ts'
import { AdasumError } from '../ts/src/errors.ts'
import { Communicator } from '../ts/src/communicator/communicator.ts'
import { World as CommunicatorWorld } from '../ts/src/world/world.ts'
import type { Group } from '../ts/src/group/group.ts'
import type { Instruments } from '../ts/src/observe/instruments.ts'
import { createMemoryTransport } from './transport/_memory.ts'
import type { SharedMemory } from '../ts/src/shared-memory/shared-memory.ts'
import { StripedPipe } from '../ts/src/transport/striped.ts'
import type { Listener, Pipe, Transport } from '../ts/src/transport/transport.ts'
import type { Tuning } from '../ts/src/tuning.ts'
import { WORLD_GROUP_ID } from '../ts/src/wire/handshake-format.ts'

export interface World {
  readonly ranks: Communicator[]
  readonly groups: Group[]
  /** The connection on which `reader` hears `writer`, at the reader's end. */
  pipe(reader: number, writer: number): Pipe
  /** As if the rank's process had ended: all its connections break, and nobody reaches it any more. */
  kill(rank: number): void
  readonly close: () => Promise<void>
}

/** @param isConnected - whether all ranks are connected from the start, or only when they need it */
export async function makeWorld(
  size: number,
  {
    transport = createMemoryTransport(),
    isConnected = size <= 16,
    tuning,
    machineOf = () => 0,
    bindingOf = loadBinding,
    sharedMemory,
    instruments,
    ...limits
  }: {
    transport?: Transport
    isConnected?: boolean
    tuning?: Tuning
    /** The number of a rank's machine, as another rank has been told. */
    machineOf?: (rank: number, seenBy: number) => number
    /** What computes on each rank. */
    bindingOf?: (rank: number) => Binding
    /** What each rank shares with the others; without it they share nothing. */
    sharedMemory?: (rank: number) => SharedMemory
    /** What each rank reports with. */
    instruments?: (rank: number) => Instruments
    timeoutMs?: number
    stallMs?: number
  } = {},
): Promise<World> {
  const pipes = new Map<string, Pipe>()
  const ends = new Set<{ rank: number; pipe: Pipe }>()
  const keep = (end: { rank: number; pipe: Pipe }): void => {
    ends.add(end)
    void end.pipe.closed.then(() => ends.delete(end))
  }
  const dead = new Set<number>()
  const sharesMemory = sharedMemory !== undefined
  const routesOf = (rank: number, dial: (peer: number, groupId: string) => Promise<Pipe>) =>
    Array.from({ length: size }, (_, peer) => ({
      ...{ machine: machineOf(peer, rank), address: `memory:${peer}`, sharesMemory },
      dial: (groupId: string) => dial(peer, groupId),
    }))
  const worlds = Array.from({ length: size }, (_, rank) => {
    const dial = async (peer: number, groupId: string): Promise<Pipe> => {
      const [dialled, accepted] = await connectPair(transport, tuning?.connectionsPerPeer)
      keep({ rank, pipe: dialled })
      keep({ rank: peer, pipe: accepted })
      if (dead.has(rank) || dead.has(peer)) {
        dialled.destroy()
        accepted.destroy()
        throw new AdasumError('ERR_PEER_LOST', `rank ${peer} cannot be reached: it is dead.`, { peerRank: peer })
      }
      if (groupId === WORLD_GROUP_ID) pipes.set(`${rank}<${peer}`, dialled)
      worlds[peer]!.connections.accept(rank, groupId, accepted)
      return dialled
    }
    const own = {
      sharedMemory: sharedMemory?.(rank),
      ...(tuning && { tuning }),
    }
    const reporting = instruments?.(rank)
    const binding = bindingOf(rank)
    return new CommunicatorWorld({
      rank,
      binding,
      routes: routesOf(rank, dial),
      ...own,
      ...(reporting && { reporting }),
      release: async () => {
        own.sharedMemory?.close()
        await reporting?.close()
      },
    })
  })
  const roots = worlds.map((world) => world.openRoot({ timeoutMs: 20_000, ...limits }))
  const groups = roots.map(({ group }) => group)
  if (isConnected) {
    for (const group of groups) for (const peer of groups) if (peer !== group) group.linkTo(peer.rank)
    while (pipes.size < size * (size - 1)) await nextTurn()
  }
  const ranks = worlds.map((world, rank) => new Communicator(world, roots[rank]!))
  return {
    ranks,
    groups,
    kill: (rank) => {
      dead.add(rank)
      for (const end of ends) if (end.rank === rank) end.pipe.destroy()
    },
    pipe: (reader, writer) => pipes.get(`${reader}<${writer}`)!,
    close: async () => void (await Promise.all(ranks.map((comm) => comm.close()))),
  }
}

/** Several connections, if there are to be some, are joined to one pipe. */
async function connectPair(transport: Transport, count = 1): Promise<[Pipe, Pipe]> {
  if (count === 1) return connectOne(transport)
  const pairs = await Promise.all(Array.from({ length: count }, () => connectOne(transport)))
  return [new StripedPipe(pairs.map(([dialled]) => dialled)), new StripedPipe(pairs.map(([, accepted]) => accepted))]
}

async function connectOne(transport: Transport): Promise<[Pipe, Pipe]> {
  const accepted = new Map<string, Pipe>()
  let onAccepted = (): void => undefined
  const listener: Listener = await transport.listen('127.0.0.1', 0, (pipe) => {
    accepted.set(pipe.remoteAddress, pipe)
    onAccepted()
  })
  const dialled = await transport.dial('127.0.0.1', listener.port)
  // The port may have been another test's, and somebody who still looks for that one comes here, too.
  while (!accepted.has(dialled.localAddress)) await new Promise<void>((resolve) => (onAccepted = resolve))
  await listener.close()
  const other = accepted.get(dialled.localAddress)!
  for (const pipe of accepted.values()) if (pipe !== other) pipe.destroy()
  return [dialled, other]
}

/** Runs the same thing on all ranks at once. */
export function onAll<T>(
  ranks: readonly Communicator[],
  run: (comm: Communicator, rank: number) => Promise<T>,
): Promise<T[]> {
  return Promise.all(ranks.map((comm) => run(comm, comm.rank)))
}

/** As onAll, and every rank must fail: their errors. */
export async function failuresOf<T>(promises: readonly Promise<T>[]): Promise<Error[]> {
  const results = await Promise.allSettled(promises)
  return results.map((result, rank) => {
    if (result.status === 'fulfilled') throw new Error(`Rank ${rank} succeeded.`)
    return result.reason as Error
  })
}

let waves = new Float64Array(0)

/** What all ranks have in common. Computed once: it takes longer than most of what is tested with it. */
function wavesOf(length: number): Float64Array {
  if (waves.length < length) waves = Float64Array.from({ length }, (_, i) => Math.sin(i) * 0.3)
  return waves
}

/** Reproducible numbers for a rank: different on every rank, with a common part. */
export function vectorOf<A extends Float32Array | Float64Array>(array: A, rank: number): A {
  const common = wavesOf(array.length)
  let state = 12345 + rank * 7919
  for (let i = 0; i < array.length; i++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    array[i] = state / 2 ** 32 - 0.5 + common[i]!
  }
  return array
}

/** A short name for all the bits of an array. */
export function bitsOf(array: ArrayBufferView): string {
  const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
  return createHash('sha256').update(bytes).digest('hex')
}
