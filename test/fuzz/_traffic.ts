/** What ranks of a small world really say to each other: a call of each kind, between ranks that share memory and others. */
import { AdasumError } from '../../ts/src/errors.ts'
import { HAS_SHARED_MEMORY } from '../../ts/src/shared-memory/shared-memory.ts'
import type { Pipe, Transport } from '../../ts/src/transport/transport.ts'
import { HEADER_BYTE_LENGTH } from '../../ts/src/wire/frame.ts'
import { type World, makeWorld, onAll, vectorOf } from '../_world.ts'
import { shared } from '../shared-memory/_memory.ts'
import { createMemoryTransport } from '../transport/_memory.ts'

export interface Traffic {
  /** What was written to each connection, if it is short. */
  readonly streams: readonly Uint8Array[]
  readonly frames: readonly Uint8Array[]
}

const LONGEST_STREAM = 4096

let recorded: Promise<Traffic> | undefined

export function recordTraffic(): Promise<Traffic> {
  recorded ??= record()
  return recorded
}

async function record(): Promise<Traffic> {
  const written: Uint8Array[][] = []
  await inWorld(written, {}, playAll)
  await inWorld(written, {}, playMismatch)
  if (HAS_SHARED_MEMORY) await inWorld(written, { sharedMemory: shared() }, playLong)
  const frames = written.flat()
  const streams = written.map((parts) => new Uint8Array(Buffer.concat(parts)))
  const isUseful = ({ length }: Uint8Array): boolean => length >= HEADER_BYTE_LENGTH && length <= LONGEST_STREAM
  return { streams: streams.filter(isUseful), frames }
}

async function inWorld(
  written: Uint8Array[][],
  options: Parameters<typeof makeWorld>[1],
  play: (world: World) => Promise<unknown>,
): Promise<void> {
  const world = await makeWorld(2, { ...options, transport: listening(createMemoryTransport(), written) })
  await play(world)
  await world.close()
}

async function playAll({ ranks }: World): Promise<void> {
  await onAll(ranks, (comm) => comm.barrier())
  await onAll(ranks, (comm, rank) => comm.allReduce(vectorOf(new Float32Array(30), rank), { op: 'adasum' }))
  await onAll(ranks, (comm, rank) =>
    comm.allReduce(vectorOf(new Float32Array(9), rank), { op: 'average', weight: rank + 1, segments: [4, 5] }),
  )
  await onAll(ranks, (comm) => comm.broadcast(new Uint8Array(5)))
  await onAll(ranks, (comm, rank) => comm.allGather(new Float64Array(2).fill(rank)))
  await onAll(ranks, (comm) => comm.join())
}

/** Ends with the frames of a failure. */
async function playMismatch({ ranks }: World): Promise<void> {
  const outcomes = ranks.map((comm, rank) => comm.allReduce(new Float32Array(3 + rank), { op: 'sum' }))
  for (const outcome of await Promise.allSettled(outcomes))
    if (outcome.status === 'fulfilled' || !(outcome.reason instanceof AdasumError)) throw new Error('they do differ')
}

async function playLong({ ranks }: World): Promise<void> {
  await onAll(ranks, (comm, rank) => comm.allReduce(vectorOf(new Float32Array(60_000), rank), { op: 'adasum' }))
}

/** The same transport, which remembers what is written to each end of a connection. */
function listening(transport: Transport, written: Uint8Array[][]): Transport {
  const spyOn = (pipe: Pipe): Pipe => {
    const parts: Uint8Array[] = []
    written.push(parts)
    const write = pipe.write.bind(pipe)
    pipe.write = (bytes, done) => {
      parts.push(Uint8Array.from(bytes))
      write(bytes, done)
    }
    return pipe
  }
  return {
    name: transport.name,
    listen: (host, port, accept) => transport.listen(host, port, (pipe) => accept(spyOn(pipe))),
    dial: async (host, port, signal) => spyOn(await transport.dial(host, port, signal)),
  }
}
