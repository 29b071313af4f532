/** Worlds of ranks in this process, over any transport, without a store or handshakes: what the tests of collectives need. */
import { createHash } from 'node:crypto'
import { Communicator } from '../ts/src/communicator/communicator.ts'
import { Group } from '../ts/src/group/group.ts'
import { createMemoryTransport } from '../ts/src/transport/memory.ts'
import type { Listener, Pipe, Transport } from '../ts/src/transport/transport.ts'

export interface World {
  readonly ranks: Communicator[]
  readonly groups: Group[]
  /** The connection on which `reader` hears `writer`, at the reader's end. */
  pipe(reader: number, writer: number): Pipe
  readonly close: () => Promise<void>
}

/** A rank that hears another. */
export type Pair = readonly [reader: number, writer: number]

function allPairs(size: number): Pair[] {
  const ranks = [...Array(size).keys()]
  return ranks.flatMap((reader) => ranks.map((writer): Pair => [reader, writer])).filter(([r, w]) => r !== w)
}

/** The world's ranks, connected in both directions where `pairs` has both; by default all to all. */
export async function makeWorld(
  size: number,
  {
    transport = createMemoryTransport(),
    pairs = allPairs(size),
    ...limits
  }: { transport?: Transport; pairs?: readonly Pair[]; timeoutMs?: number; stallMs?: number } = {},
): Promise<World> {
  const groups = Array.from({ length: size }, (_, rank) => new Group({ rank, size, timeoutMs: 20_000, ...limits }))
  const pipes = new Map<string, [reader: Pipe, writer: Pipe]>()
  for (const [reader, writer] of pairs) pipes.set(`${reader}<${writer}`, await connectPair(transport))
  for (const [rank, peer] of pairs)
    groups[rank]!.addPeer(peer, pipes.get(`${rank}<${peer}`)![0], pipes.get(`${peer}<${rank}`)![1])
  const place = (rank: number) => ({ localRank: rank, localSize: size })
  const ranks = groups.map((group, rank) => new Communicator(group, place(rank), () => Promise.resolve()))
  return {
    ranks,
    groups,
    pipe: (reader, writer) => pipes.get(`${reader}<${writer}`)![0],
    close: async () => void (await Promise.all(ranks.map((comm) => comm.close()))),
  }
}

async function connectPair(transport: Transport): Promise<[Pipe, Pipe]> {
  let accept: (pipe: Pipe) => void
  const accepted = new Promise<Pipe>((resolve) => (accept = resolve))
  const listener: Listener = await transport.listen('127.0.0.1', 0, (pipe) => accept(pipe))
  const dialled = await transport.dial('127.0.0.1', listener.port)
  const pair: [Pipe, Pipe] = [dialled, await accepted]
  await listener.close()
  return pair
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

/** Reproducible numbers for a rank: different on every rank, with a common part. */
export function vectorOf<A extends Float32Array | Float64Array>(array: A, rank: number): A {
  let state = 12345 + rank * 7919
  for (let i = 0; i < array.length; i++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    array[i] = state / 2 ** 32 - 0.5 + Math.sin(i) * 0.3
  }
  return array
}

/** A short name for all the bits of an array. */
export function bitsOf(array: ArrayBufferView): string {
  const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
  return createHash('sha256').update(bytes).digest('hex')
}
